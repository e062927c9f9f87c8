#!/usr/bin/env python3
"""Makes scipy.json beside it: the numbers that harness/compare must find, as SciPy and NumPy find them.

    make.py [FILE]    writes FILE, default scipy.json in the script's own folder
Needs numpy and scipy; the versions it was run with are in README.md.
"""
import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist, pdist

SEED = 20261122


def sign_tests():
    pairs = [(n, k) for n in (1, 5, 6, 12, 20, 101) for k in sorted({0, 1, n // 2, (3 * n) // 4, n - 1, n})]
    return [{"n": n, "positive": k, "p": stats.binomtest(k, n, 0.5, alternative="greater").pvalue} for n, k in pairs]


def blocks(random):
    """Effects of blocks: quiet, noisy, with a stall, few, heavy-tailed; odd and even numbers of rounds."""
    shapes = [(12, 5, 0.0, 0.01), (12, 4, 0.05, 0.008), (12, 7, -0.03, 0.05), (6, 3, 0.02, 0.01), (5, 3, 0.02, 0.01),
              (31, 5, 0.004, 0.02)]
    samples = [random.normal(effect, noise, (n, rounds)) for n, rounds, effect, noise in shapes]
    samples.append(random.standard_t(2, (20, 6)) * 0.01 + 0.01)
    samples[1][3] += 0.6  # a block that another program stopped
    out = []
    for y in samples:
        d = np.median(y, axis=1)
        n, ascending = len(d), np.sort(d)
        ranks = [k for k in range(1, n // 2 + 1) if stats.binom.cdf(k - 1, n, 0.5) <= 0.025]
        s = np.std(d, ddof=1)
        one_sided = [stats.binomtest(int(np.sum(side > 0)), n, 0.5, alternative="greater").pvalue for side in (d, -d)]
        out.append({"y": y.tolist(), "d": d.tolist(), "m": np.median(d), "s": s,
                    "low": ascending[ranks[-1] - 1] if ranks else None, "high": ascending[-ranks[-1]] if ranks else None,
                    "p_slower": one_sided[0], "p_faster": one_sided[1],
                    "minimum_detectable": np.exp((1.96 + 0.84) * 1.2533 * s / np.sqrt(n)) - 1})
    return out


def chances():
    """Of REGRESSED: the k-th smallest of n blocks above zero, and more than half of them above the margin."""
    out = []
    for effect, spread, n, margin, tests in ((0.05, 0.03, 12, 0.02, 1), (0.05, 0.05, 31, 0.02, 1), (0.05, 0.03, 12, 0.02, 20),
                                             (0.1, 0.2, 60, 0.05, 3), (0.03, 0.06, 101, 0.02, 1), (0.01, 0.01, 12, 0.02, 1)):
        ranks = [k for k in range(1, n // 2 + 1) if stats.binom.cdf(k - 1, n, 0.5) <= 0.025 / tests]
        above_zero = stats.binom.cdf(ranks[-1] - 1, n, stats.norm.cdf(-effect / spread))
        above_margin = stats.binom.cdf((n - 1) // 2, n, stats.norm.cdf(-(effect - np.log1p(margin)) / spread))
        out.append({"log_effect": effect, "spread": spread, "blocks": n, "margin": margin, "tests": tests,
                    "chance": max(0.0, above_zero + above_margin - 1)})
    return out


def least_blocks():
    return [{"tests": tests, "blocks": int(np.ceil(np.log2(tests / 0.025)))} for tests in (1, 2, 10, 102, 103)]


def holm(random):
    """By Holm's definition: the least α at which the step-down procedure rejects, from its own rejections."""
    out = []
    for size in (1, 2, 7, 40):
        p = random.uniform(0, 1, size) ** 3
        p[-1] = p[0]  # a tie
        order = np.argsort(p, kind="stable")
        adjusted = []
        for i in range(size):
            rank = int(np.where(order == i)[0][0])
            adjusted.append(min(1.0, max((size - j) * p[order[j]] for j in range(rank + 1))))
        out.append({"p": p.tolist(), "adjusted": adjusted})
    return out


def noise_floors(random):
    out = []
    for n in (20, 21, 60, 200):
        m = random.normal(0, 0.01, n)
        out.append({"m": m.tolist(), "floor": np.quantile(np.abs(m), 0.95)})
    return out


def t_tests(random):
    samples = [(3, 3, 0.05), (10, 10, 0.0), (40, 3, 0.01), (2, 5, 0.02), (25, 60, -0.004)]
    out = []
    for n, m, shift in samples:
        a, b = random.normal(0, 0.01, n), random.normal(shift, 0.01, m)
        out.append({"a": a.tolist(), "b": b.tolist(), "p": stats.ttest_ind(a, b).pvalue})
    return out


def energy_splits(random):
    """Where E-divisive cuts: its statistic of every cut with three points on both sides or more."""
    out = []
    for n, step_at, step in ((6, 3, 0.1), (7, 0, 0.0), (40, 25, 0.03), (41, 3, 0.05), (60, 57, 0.05)):
        x = random.normal(0, 0.01, n)
        x[step_at:] += step
        energies = []
        for at in range(3, n - 2):
            a, b = x[:at, None], x[at:, None]
            energies.append(len(a) * len(b) / n * (2 * cdist(a, b).mean() - pdist(a).mean() - pdist(b).mean()))
        best = int(np.argmax(energies))
        out.append({"values": x.tolist(), "at": best + 3, "energy": energies[best]})
    return out


def counts():
    """Clopper and Pearson's intervals as quantiles of beta; binomtest's own, found by bisection, are to 1e-10 the same."""
    def low(count, of, error):
        return stats.beta.ppf(error, count, of - count + 1) if count > 0 else 0.0

    def high(count, of, error):
        return stats.beta.ppf(1 - error, count + 1, of - count) if count < of else 1.0

    out = []
    for count, of in ((0, 60), (57, 60), (60, 60), (1, 1), (0, 1), (7, 20), (299, 300)):
        interval = stats.binomtest(count, of).proportion_ci(0.95, method="exact")
        row = {"count": count, "of": of, "low": low(count, of, 0.025), "high": high(count, of, 0.025),
               "at_most": high(count, of, 0.05), "at_least": low(count, of, 0.05)}
        assert np.allclose([row["low"], row["high"]], [interval.low, interval.high], rtol=1e-10, atol=0)
        out.append(row)
    return out


def document():
    random = np.random.Generator(np.random.PCG64(SEED))
    return {"sign_tests": sign_tests(), "blocks": blocks(random), "chances": chances(), "least_blocks": least_blocks(), "holm": holm(random),
            "noise_floors": noise_floors(random), "t_tests": t_tests(random), "energy_splits": energy_splits(random),
            "counts": counts()}


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "scipy.json"
    parts = [f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row, allow_nan=False) for row in rows) + "\n]" for name, rows in document().items()]
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n")
