#!/usr/bin/env python3
"""kvproof, llama.cpp, transformers and nanochat on the same shapes, in one interleaved session. Standard library only.

    bench_peers.py                 everything, into results/peers; goes on where it was stopped
    bench_peers.py --quick         d4 and d12, one launch, into results/runs
    bench_peers.py --only 'd12/bf16/t2/tg'
    bench_peers.py --summarize     the tables again, from what was measured

Every engine is a child process that answers kvproof-subject/1, and tells by its own clock what a forward took. The engines of a
group are loaded side by side and take turns; those whose turn it is not wait. nanochat takes part when NANOCHAT_SRC names a checkout.
"""
import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import facts
import summary
import tables
from cells import SHAPES, cells_of, groups
from connection import EngineError
from engines import ROOT, Setting, engines_of, nanochat_checkout
from log import NOISY, Log, LogError
from session import launch


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="d4 and d12, one launch")
    parser.add_argument("--only", metavar="REGEX", default="", help="cells whose name it is found in, such as d12/bf16/t2/tg@512; --list shows all")
    parser.add_argument("--again", action="store_true", help=f"measure launches of cells anew in which other programs kept more than {NOISY:g} "
                        "CPUs busy")
    parser.add_argument("--list", action="store_true", help="print the names of the cells and leave")
    parser.add_argument("--summarize", action="store_true", help="measure nothing: write the tables of what the log holds")
    parser.add_argument("--launches", type=int, help="how often each engine is started anew; default 3, 1 with --quick")
    parser.add_argument("--rounds", type=int, help="of a launch; a d20's prefill has half as many; default 4, 6 with --quick")
    parser.add_argument("--out", type=Path, help="folder and name of the .jsonl, .json and .md; default results/peers/peers, with --quick "
                        "results/runs/peers-quick")
    parser.add_argument("--work", type=Path, default=ROOT / "build/peers", help="folder for weights, 12 GB in a full run (default build/peers)")
    parser.add_argument("--program", type=Path, default=ROOT / "build/kvproof")
    parser.add_argument("--python", type=Path, default=ROOT / ".deps/adapters/bin/python3", help="as make adapters LLAMACPP=1 installs it")
    parser.add_argument("--backend", default="native", help="of kvproof, where it has a choice (default native)")
    args = parser.parse_args()
    args.launches = args.launches or (1 if args.quick else 3)
    args.rounds = args.rounds or (6 if args.quick else 4)
    args.out = args.out or ROOT / ("results/runs/peers-quick" if args.quick else "results/peers/peers")
    if args.rounds < 2 or args.launches < 1:
        parser.error("--rounds: at least 2; --launches: at least 1")
    return args


def selected(args):
    """group → its cells that --quick and --only leave"""
    shapes = ["d4", "d12"] if args.quick else list(SHAPES)
    chosen = {group: [cell for cell in cells_of(group) if re.search(args.only, cell.id)] for group in groups(shapes)}
    return {group: cells for group, cells in chosen.items() if cells}


def rounds_of(args, cell):
    """Half as many where a block takes seconds."""
    return max(1, args.rounds // (2 if cell.kind == "prefill" and cell.group.shape == "d20" else 1))


def line_of(setting, cell, place, number, result):
    """A line of the log: what was measured and what it is held against."""
    prefill = cell.kind == "prefill"
    cost = setting.inspect(cell.group.spec, cell.group.dtype, cell.tokens if prefill else cell.depth)["cost"]
    return {"cell": cell.id, "place": place, "launch": number, "shape": cell.group.shape, "dtype": cell.group.dtype,
            "threads": cell.group.threads, "kind": cell.kind, "tokens": cell.tokens, "depth": cell.depth, "rows": cell.rows,
            # Of a step: the matrices once, and the keys and values of each row.
            "bytes_read": cost["weight_bytes_read_per_step"] + cell.rows * cost["kv_bytes_read_per_step"],
            "flops": cost["prefill_flops"] if prefill else None,
            "load": os.getloadavg()[0], **result}


def measure(args, setting, log):
    system = facts.llamacpp_system(setting)
    log.begin(facts.session(setting, system))
    print(f"llama.cpp: {system}", flush=True)
    if missing := log.sessions[-1]["llamacpp_not_native"]:
        print(f"warning: llama.cpp was not compiled for this CPU, it lacks {', '.join(missing)}: make adapters LLAMACPP=1 on this machine")
    places = [cell.id for group in groups(SHAPES) for cell in cells_of(group)]
    logs = setting.work / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for number in range(args.launches):
        for group, cells in selected(args).items():
            left = [cell for cell in cells if not log.has(cell.id, number, noisy=not args.again)]
            if not left:
                continue
            begin = time.monotonic()
            print(f"{group.id}, launch {number + 1} of {args.launches}", flush=True)
            if facts.program_digest(setting.program) != log.sessions[-1]["program"]["sha256"]:
                raise EngineError(f"{setting.program} was built anew while it was measured: start again, with another --out or without "
                                  f"{log.path}")
            engines = engines_of(setting, group)
            log.append({"peak": facts.peak(setting, group)})
            for cell, result in launch(engines, left, lambda cell: rounds_of(args, cell), logs, number):
                log.append(line_of(setting, cell, places.index(cell.id), number, result))
                tell(log.cells[-1], time.monotonic() - begin)
            log.append({"peak": facts.peak(setting, group)})


def tell(line, seconds):
    cell = summary.cell_of([line], [])
    peers = ", ".join(f"{peer['column']} {peer['ratio']:.2f}" for peer in cell["peers"])
    print(f"  {seconds:5.0f} s  {cell['cell']:24} {tables.speed(cell, cell['ours']):>12}   {peers}", flush=True)


def write_tables(log, out):
    document = summary.summarize(log.sessions, log.peaks, log.cells)
    text = tables.markdown(document)
    document["goals"] = [vars(goal) for goal in tables.goals_of(document["cells"])]
    out.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    out.with_suffix(".md").write_text(text)
    print(text)
    print(f"{out}.jsonl holds every block, {out}.json the figures, {out}.md these tables")


def main():
    args = arguments()
    if args.list:
        print("\n".join(cell.id for cells in selected(args).values() for cell in cells))
        return 0
    try:
        log = Log(args.out.with_suffix(".jsonl"))
        if not args.summarize:
            folder, reason = nanochat_checkout()
            if reason:
                print(f"nanochat does not take part: {reason}")
            setting = Setting(args.program, args.python, args.work, args.backend, folder)
            measure(args, setting, log)
        write_tables(log, args.out)
    except (EngineError, LogError, OSError) as e:
        print(f"bench_peers: {e}", file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
