"""Out of a log's lines: for each cell our figure and each peer's, ratios with intervals, means over cells. Pure functions."""
import math
import statistics

from engines import OURS
from ratios import geometric_mean, log_ratios, ratio_of

OUT_OF_CACHE = 64 * 2**20  # bytes a step; less, as a d4 reads, lies in caches, where memory's rate is no bound
SCHEMA = {"name": "kvproof-peers", "version": 1}


def column_of(key):
    """The table's column of an engine's key: its key without the variant."""
    return key.partition(" fa=")[0]


def variant_of(key):
    """Flash attention off or on; "" where there is nothing to choose."""
    return key.partition(" fa=")[2].partition(",")[0]


def joined(lines, key):
    """An engine's blocks of all launches, in order."""
    return [time for line in lines for time in line["engines"][key]["blocks"]]


def fastest(lines, keys):
    """Of the settings of one peer the one whose blocks are fastest, by their median."""
    return min(keys, key=lambda key: statistics.median(joined(lines, key)))


def figure(cell, times):
    ns = statistics.median(times)
    return {"ns": ns, "tok_per_s": cell["rows"] * cell["tokens"] / ns * 1e9}


def peer_in(cell, lines, column):
    """A peer's entry of a cell; of several settings the fastest."""
    keys = [key for key in lines[0]["engines"] if column_of(key) == column]
    key = fastest(lines, keys)
    launches = [log_ratios(line["engines"][key]["blocks"], line["engines"][OURS]["blocks"]) for line in lines]
    logs = [value for launch in launches for value in launch]
    ratio = ratio_of(logs)
    return {"column": column, "flash_attention": variant_of(key), **figure(cell, joined(lines, key)), "ratio": ratio.ratio,
            "low": ratio.low, "high": ratio.high, "n": ratio.n,
            "by_launch": [math.exp(statistics.median(launch)) for launch in launches], "rounds": [math.exp(value) for value in logs]}


def cell_of(lines, peaks):
    """lines: those of one cell, one a launch, with the same engines; peaks: the log's"""
    cell = {name: lines[0][name] for name in ("cell", "shape", "dtype", "threads", "kind", "tokens", "depth", "rows", "bytes_read", "flops")}
    cell["launches"] = len(lines)
    cell["others_cpu"] = max((line["others_cpu"] for line in lines if line["others_cpu"] is not None), default=None)
    cell["ours"] = figure(cell, joined(lines, OURS))
    seconds = cell["ours"]["ns"] / 1e9
    # A prefill is bound by arithmetic, a decode step by what it reads out of memory.
    read = cell["read_bytes_per_s"] = best_of(peaks, "read_bytes_per_s", threads=cell["threads"])
    bounded = read and cell["kind"] == "decode" and cell["bytes_read"] >= OUT_OF_CACHE
    cell["bandwidth_share"] = cell["bytes_read"] / seconds / read if bounded else None
    gemm = cell["gemm_flops_per_s"] = best_of(peaks, "gemm_flops_per_s", threads=cell["threads"], dtype=cell["dtype"])
    cell["gemm_share"] = cell["flops"] / seconds / gemm if gemm and cell["kind"] == "prefill" else None
    columns = dict.fromkeys(column_of(key) for key in lines[0]["engines"] if key != OURS)
    cell["peers"] = [peer_in(cell, lines, column) for column in columns]
    return cell


def best_of(peaks, rate, **where):
    """The best of a rate of all that were measured before and behind launches with these threads, and this dtype; None: none was"""
    return max((peak[rate] for peak in peaks if all(peak[name] == value for name, value in where.items())), default=None)


def complete(lines):
    """The lines that can be put together: those with the engines that most recently ran (nanochat may have come later)."""
    engines = set(lines[-1]["engines"])
    return [line for line in lines if set(line["engines"]) == engines]


def summarize(sessions, peaks, lines):
    """The document of results/peers: see results/README.md. sessions, peaks, lines: a log's, lines those of cells"""
    by_cell = {}
    for line in sorted(lines, key=lambda line: (line["place"], line["launch"])):
        by_cell.setdefault(line["cell"], []).append(line)
    cells = [cell_of(complete(of_cell), peaks) for of_cell in by_cell.values()]
    return {"schema": SCHEMA, "sessions": sessions, "cells": cells, "engines": engines_in(lines)}


def engines_in(lines):
    """What each engine said of itself, and the largest share of CPU time that it took while another one ran."""
    engines = {}
    for line in lines:
        for key, hello in line["hello"].items():
            idle = line["engines"][key]["idle_cpu"] or 0
            seen = engines.setdefault(key, {**hello, "idle_cpu": 0})
            seen["idle_cpu"] = max(seen["idle_cpu"], idle)
    return engines


def entries_of(cells, column, **where):
    """(cell, the column's entry) over the cells that match all of `where` (a value, or several in a tuple)."""
    def fits(cell):
        return all(cell[name] in value if isinstance(value, tuple) else cell[name] == value for name, value in where.items())

    return [(cell, peer) for cell in cells if fits(cell) for peer in cell["peers"] if peer["column"] == column]


def mean_of(cells, column, **where):
    """Geometric mean over those cells; None: there are none."""
    found = entries_of(cells, column, **where)
    return geometric_mean([[math.log(ratio) for ratio in peer["rounds"]] for _, peer in found]) if found else None
