"""A summary as Markdown. Pure functions."""
from goals import goals_of, told, told_entry
from log import NOISY
from summary import mean_of

KINDS = (("decode", {"kind": "decode", "rows": 1}), ("decode of 8 rows", {"kind": "decode", "rows": 8}), ("prefill", {"kind": "prefill"}))


def speed(cell, figure):
    """Milliseconds a step, or tokens a second of a prefill."""
    if cell["kind"] == "prefill":
        return f"{figure['tok_per_s']:.0f} tok/s"
    ms = figure["ns"] / 1e6
    return f"{ms:.3g} ms" if ms < 100 else f"{ms:.0f} ms"


def work(cell):
    text = f"pp{cell['tokens']}" if cell["kind"] == "prefill" else f"depth {cell['depth']}"
    if cell["rows"] > 1:
        text += f", {cell['rows']} rows"
    return f"{text}, {cell['threads']} thread{'s' if cell['threads'] > 1 else ''}"


def entry(cell, peer):
    flash = f" (fa {peer['flash_attention']})" if peer["flash_attention"] else ""
    ratio, _, interval = told_entry(peer).partition(" ")
    return f"{speed(cell, peer)}{flash}: **{ratio}** {interval}".rstrip()


def table(cells):
    """Lines of one table: the cells of one shape and dtype."""
    columns = list(dict.fromkeys(peer["column"] for cell in cells for peer in cell["peers"]))
    lines = ["| | kvproof | of the limit | " + " | ".join(columns) + " |", "|---" * (3 + len(columns)) + "|"]
    for cell in cells:
        peers = {peer["column"]: entry(cell, peer) for peer in cell["peers"]}
        of_limit = cell["bandwidth_share"] or cell["gemm_share"]
        share = f"{100 * of_limit:.0f} %" if of_limit else "–"
        noisy = " †" if (cell["others_cpu"] or 0) > NOISY else ""
        lines.append(f"| {work(cell)}{noisy} | {speed(cell, cell['ours'])} | {share} | " + " | ".join(peers.get(c, "–") for c in columns) + " |")
    return lines


def means(cells):
    """A table of geometric means: by shape, dtype and kind of work."""
    columns = list(dict.fromkeys(peer["column"] for cell in cells for peer in cell["peers"]))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    shapes = list(dict.fromkeys(cell["shape"] for cell in cells))
    for dtype in dict.fromkeys(cell["dtype"] for cell in cells):
        for name, kind in KINDS:
            for shape in shapes:
                found = [mean_of(cells, column, dtype=dtype, shape=shape, **kind) for column in columns]
                if any(found):
                    lines.append(f"| {shape} {dtype}, {name} | " + " | ".join(told(mean.ratio, mean.low, mean.high) if mean else "–" for mean in found) + " |")
    return lines


def conditions(summary):
    """Where and how it was measured, from the sessions."""
    sessions, cells = summary["sessions"], summary["cells"]
    last = sessions[-1]
    machine, version = last["machine"], last["versions"]
    reads = {cell["threads"]: cell["read_bytes_per_s"] for cell in cells if cell["read_bytes_per_s"]}
    gemms = {(cell["dtype"], cell["threads"]): cell["gemm_flops_per_s"] for cell in cells if cell["gemm_flops_per_s"]}
    launches = {cell["launches"] for cell in cells}
    busiest, idle = max(((key, engine["idle_cpu"]) for key, engine in summary["engines"].items()), key=lambda pair: pair[1])
    lines = [
        f"{sessions[0]['started'][:10]}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB; "
        + "; ".join(f"{n} thread{'s' if n > 1 else ''} read {reads[n] / 1e9:.1f} GB/s" for n in sorted(reads))
        + "".join(f"; {n} {'multiply' if n > 1 else 'multiplies'} {gemms[dtype, n] / 1e9:.0f} GFLOP/s in {dtype}" for dtype, n in sorted(gemms)) + ". "
        f"kvproof {last['commit']} ({summary['engines']['kvproof']['name']}), torch {version['torch']}, transformers {version['transformers']}, "
        f"llama-cpp-python {version['llama_cpp_python']}" + (f", nanochat {version['nanochat']}" if "nanochat" in version else "") + ". "
        f"{'–'.join(map(str, sorted({min(launches), max(launches)})))} launch{'es' if max(launches) > 1 else ''} of each engine.",
        "",
        f"llama.cpp's system line: `{last['llamacpp_system']}`.",
        "",
        f"While the others ran, an engine took at most {100 * idle:.1f} % of a core ({busiest}).",
    ]
    if any((cell["others_cpu"] or 0) > NOISY for cell in cells):
        lines.append(f"† Other programs kept more than {100 * NOISY:g} % of a CPU busy while this was measured (`--again` measures it anew).")
    if any((cell["bandwidth_share"] or 0) > 1 for cell in cells):
        lines.append("**The machine was not quiet**: a share of read bandwidth above 100 % means that memory was read slower where its rate "
                     "was measured than in that cell.")
    if last["llamacpp_not_native"]:
        lines.append(f"**llama.cpp was not compiled for this CPU**: it lacks {', '.join(last['llamacpp_not_native'])}.")
    return lines


def markdown(summary):
    """The whole page. A figure is a peer's time over ours: above 1, kvproof is faster; in brackets the 95 % interval."""
    cells = summary["cells"]
    if not cells:
        return "# kvproof and its peers\n\nNothing was measured.\n"
    lines = ["# kvproof and its peers", "", *conditions(summary), "",
             "Bold: the peer's time over kvproof's, above 1 kvproof is faster; in brackets the 95 % interval. depth: tokens before the one "
             "that is computed; pp: tokens of a prompt. of the limit: of the rate at which memory is read in a decode step whose bytes do not fit "
             "caches; of the fastest product of matrices in a prefill. llama.cpp: with flash attention off or on (fa), whichever was faster in the cell.", ""]
    for shape, dtype in dict.fromkeys((cell["shape"], cell["dtype"]) for cell in cells):
        lines += [f"## {shape}, {dtype}", "", *table([c for c in cells if (c["shape"], c["dtype"]) == (shape, dtype)]), ""]
    lines += ["## Geometric means", "", *means(cells), "", "## Goals", ""]
    words = {True: "met", False: "**not met**", None: "open"}
    lines += [f"- {words[goal.met]}: {goal.text}. {goal.figure}." for goal in goals_of(cells)]
    return "\n".join(lines) + "\n"
