"""Ratios of paired times and how well they are known, as harness/stats has them. Pure functions on lists of numbers.

The sample of a cell is its rounds, of all launches. In a round every engine has two blocks, in an order and then in that order
mirrored, so that a machine that grows slower or faster steadily does the same to all; a round's number is the logarithm of the
ratio of two engines' geometric means. What is reported is the median, since one stall of a shared machine can be tenfold, with
the interval that exact order statistics give: no distribution is assumed.
"""
import math
import random
import statistics
from dataclasses import dataclass

RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """low, high: the 95 % interval, None where the sample is too small for one; n: how many numbers"""
    ratio: float
    low: float | None
    high: float | None
    n: int


def log_ratios(theirs, ours):
    """For each round the logarithm of their time over ours. theirs, ours: times of blocks, two of a round one after the other."""
    if len(theirs) != len(ours) or len(ours) % 2:
        raise ValueError(f"expected as many blocks of both, two a round; found {len(theirs)} and {len(ours)}")
    logs = [math.log(a / b) for a, b in zip(theirs, ours)]
    return [(logs[i] + logs[i + 1]) / 2 for i in range(0, len(logs), 2)]


def interval_rank(n):
    """The k for which the k-th smallest and the k-th largest of n numbers enclose their median with 95 %: the largest with
    P(Bin(n, 1/2) <= k - 1) <= 2.5 %. 0: there is none, n < 6"""
    k, below = 0, 1  # below: how many of the 2^n outcomes have k - 1 or fewer successes, for the k that is tried next
    while below <= 0.025 * 2**n:
        k += 1
        below += math.comb(n, k)
    return k


def ratio_of(logs):
    """The median of ratios given as logarithms, and its interval. logs: not empty"""
    n, k = len(logs), interval_rank(len(logs))
    ordered = sorted(logs)
    low, high = (math.exp(ordered[k - 1]), math.exp(ordered[n - k])) if k else (None, None)
    return Ratio(math.exp(statistics.median(logs)), low, high, n)


def geometric_mean(samples, seed=1):
    """Over cells, each given by the logarithms of its rounds: each cell's median weighs the same. The interval is a bootstrap's, by
    percentiles, which draws rounds anew within each cell; None where a cell has fewer than 6. n: how many cells. samples: not empty"""
    mean = math.exp(statistics.fmean(map(statistics.median, samples)))
    if min(map(len, samples)) < 6:
        return Ratio(mean, None, None, len(samples))
    draw = random.Random(seed)
    means = sorted(statistics.fmean(statistics.median(draw.choices(logs, k=len(logs))) for logs in samples) for _ in range(RESAMPLES))
    return Ratio(mean, math.exp(means[RESAMPLES // 40]), math.exp(means[-1 - RESAMPLES // 40]), len(samples))
