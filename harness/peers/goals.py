"""What the engine sets out to reach, each goal with its figure. Pure functions on a summary's cells."""
from dataclasses import dataclass

from summary import entries_of, mean_of

ONE_ROW = {"kind": "decode", "rows": 1}
LARGE = ("d12", "d20")


@dataclass(frozen=True)
class Goal:
    """met: None where nothing was measured that could tell"""
    text: str
    figure: str
    met: bool | None


def told(ratio, low, high):
    """A ratio with its interval, where it has one."""
    return f"{ratio:.2f}" if low is None else f"{ratio:.2f} [{low:.2f}, {high:.2f}]"


def told_entry(peer):
    return told(peer["ratio"], peer["low"], peer["high"])


def mean_at_least(cells, text, least, column, **where):
    mean = mean_of(cells, column, **where)
    text = f"{text}: geometric mean at least {least:g}"
    if mean is None:
        return Goal(text, "not measured", None)
    return Goal(text, f"{told(mean.ratio, mean.low, mean.high)} over {mean.n} cells", mean.ratio >= least)


def each_at_least(cells, text, least, column, **where):
    """The ratio of every cell; the lowest is shown."""
    found = entries_of(cells, column, **where)
    text = f"{text}: at least {least:g} in each cell"
    if not found:
        return Goal(text, "not measured", None)
    cell, lowest = min(found, key=lambda pair: pair[1]["ratio"])
    below = sum(peer["ratio"] < least for _, peer in found)
    return Goal(text, f"lowest {told_entry(lowest)} in {cell['cell']}; {below} of {len(found)} cells below", below == 0)


def none_behind(cells, column):
    """No cell in which the peer is faster beyond doubt."""
    found = [(cell, peer) for cell, peer in entries_of(cells, column) if peer["high"] is not None]
    text = f"{column}: no cell's interval entirely below 1"
    if not found:
        return Goal(text, "no cell has an interval", None)
    behind = [f"{cell['cell']} {told_entry(peer)}" for cell, peer in found if peer["high"] < 1]
    return Goal(text, f"{len(behind)} of {len(found)}: {', '.join(behind)}" if behind else f"none of {len(found)}", not behind)


def llamacpp_goals(cells):
    goals = []
    for dtype, column, least in (("fp32", "llama.cpp f32", 1.03), ("bf16", "llama.cpp bf16", 1.25), ("bf16", "llama.cpp f16", 1.25)):
        goals += [none_behind(cells, column),
                  mean_at_least(cells, f"{column}: {dtype} decode of d12 and d20", least, column, shape=LARGE, **ONE_ROW),
                  mean_at_least(cells, f"{column}: {dtype} decode of d4", 1.15, column, shape="d4", **ONE_ROW),
                  mean_at_least(cells, f"{column}: {dtype} prefill", 1.3, column, kind="prefill")]
    return goals


def nanochat_goals(cells):
    return [each_at_least(cells, "nanochat: decode of d12 and d20", 1.8, "nanochat", shape=LARGE, **ONE_ROW),
            each_at_least(cells, "nanochat: decode of d4", 8, "nanochat", shape="d4", **ONE_ROW),
            each_at_least(cells, "nanochat: fp32 prefill", 1.2, "nanochat", kind="prefill", dtype="fp32")]


def of_limit(cells, text, least, share, **where):
    """The lowest share of the limit of our own cells."""
    found = [cell for cell in cells if cell[share] and all(cell[name] == value for name, value in where.items()) and cell["shape"] in LARGE]
    if not found:
        return Goal(f"{text}: at least {least:g}", "not measured", None)
    lowest = min(found, key=lambda cell: cell[share])
    below = sum(cell[share] < least for cell in found)
    return Goal(f"{text}: at least {least:g}", f"lowest {lowest[share]:.2f} in {lowest['cell']}; {below} of {len(found)} cells below", below == 0)


def own_goals(cells):
    """Of our own figures: how near the limits, what eight rows bring, and what depth costs."""
    ours = {cell["cell"]: cell["ours"] for cell in cells}
    goals = [of_limit(cells, "kvproof: decode of one row of d12 and d20, of read bandwidth", 0.85, "bandwidth_share", rows=1),
             of_limit(cells, "kvproof: fp32 prefill of d12 and d20, of the fastest product", 0.80, "gemm_share", dtype="fp32"),
             of_limit(cells, "kvproof: bf16 prefill of d12 and d20, of the fastest product", 0.70, "gemm_share", dtype="bf16")]
    pairs = [(name, ours[name.removesuffix("x8")], ours[name]) for name in ours if name.endswith("x8") and name.removesuffix("x8") in ours and name.startswith(LARGE)]
    text = "kvproof: out of cache, 8 rows give at least 4 times the tokens per second of one"
    if pairs:
        gains = {name: eight["tok_per_s"] / one["tok_per_s"] for name, one, eight in pairs}
        lowest = min(gains, key=gains.get)
        goals.append(Goal(text, f"lowest {gains[lowest]:.2f} in {lowest}; {sum(g < 4 for g in gains.values())} of {len(gains)} cells below",
                          gains[lowest] >= 4))
    else:
        goals.append(Goal(text, "not measured", None))
    text = "kvproof: a step of d12 at depth 1536 takes at most 1.25 times one at depth 0"
    costs = {name: ours[name]["ns"] / ours[name.replace("@1536", "@0")]["ns"] for name in ours
             if name.startswith("d12/") and name.endswith("@1536") and name.replace("@1536", "@0") in ours}
    if costs:
        worst = max(costs, key=costs.get)
        goals.append(Goal(text, f"largest {costs[worst]:.2f} in {worst}", costs[worst] <= 1.25))
    else:
        goals.append(Goal(text, "not measured", None))
    return goals


def goals_of(cells):
    return [*llamacpp_goals(cells), *nanochat_goals(cells), *own_goals(cells)]
