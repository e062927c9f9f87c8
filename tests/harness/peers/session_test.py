#!/usr/bin/env python3
"""A launch of real child processes: the skeleton adapter, which needs nothing but Python, stands in for every engine."""
import json
import os
import subprocess
import sys
import tempfile
import time
import types
import unittest
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "harness/peers"))

import clocks
import session
from cells import Cell, Group
from connection import Connection, EngineError
from engines import Engine
from log import Log, LogError

SKELETON = ROOT / "harness/adapters/adapter_skeleton.py"
GROUP = Group("d20", "fp32", 1)
CELLS = [Cell(GROUP, "prefill", tokens=9), Cell(GROUP, "decode", depth=0), Cell(GROUP, "decode", depth=5), Cell(GROUP, "decode", depth=20),
         Cell(GROUP, "decode", depth=6, rows=3)]

# The skeleton with what it was asked, told on stderr; without the words in argv it can do all.
ASKED = f"""
import sys
sys.path.insert(0, {str(SKELETON.parent)!r})
import json, kvproof_subject
from adapter_skeleton import Skeleton
class Told(Skeleton):
    def hello(self, dtype):
        hello = super().hello(dtype)
        return {{**hello, "can": [word for word in hello["can"] if word not in sys.argv[1:]]}}
answer = kvproof_subject.Server.answer
def told(self, request):
    reply = answer(self, request)
    print(json.dumps([request, {{k: v for k, v in reply[0].items() if k in ("lengths", "error")}}]), file=sys.stderr)
    return reply
kvproof_subject.Server.answer = told
kvproof_subject.serve(Told)
"""


class Launch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.logs = Path(folder.name)

    def launch(self, *engines, cells=CELLS, rounds=2):
        return list(session.launch(list(engines), cells, lambda cell: rounds, self.logs, 0))

    def requests(self, number):
        return [json.loads(text) for text in (self.logs / f"{number}.log").read_text().splitlines() if text.startswith("[{")]

    def engine(self, column, *cannot, **fields):
        return Engine(column, "", [sys.executable, "-c", ASKED, *cannot], **fields)

    def test_every_engine_has_two_blocks_a_round_and_warm_ups_beside_them(self):
        results = self.launch(self.engine("kvproof"), self.engine("other"))
        self.assertEqual([cell for cell, _ in results], CELLS)
        for cell, result in results:
            for engine in ("kvproof", "other"):
                found = result["engines"][engine]
                self.assertEqual(len(found["blocks"]), 4, cell.id)
                self.assertIn(len(found["warmup"]), (2, 3, 4))
                self.assertTrue(all(time > 0 for time in found["blocks"]))
            self.assertEqual([sorted(order) for order in result["order"]], [["kvproof", "other"]] * 2)

    def test_each_step_is_made_at_the_depth_that_its_cell_names(self):
        for cannot in ((), ("truncate",)):  # going back, or copying a cache that stays
            with self.subTest(cannot=cannot):
                results = self.launch(self.engine("kvproof", *cannot))
                asked = self.requests(0)
                self.assertEqual([reply["error"] for _, reply in asked if "error" in reply], [])
                steps = Counter(tuple(reply["lengths"]) for request, reply in asked
                                if request["op"] == "forward" and {len(row) for row in request["tokens"]} == {1})
                expected = Counter()
                for cell, result in results:
                    if cell.kind == "decode":
                        blocks = sum(len(result["engines"]["kvproof"][name]) for name in ("blocks", "warmup"))
                        expected.update({(cell.depth + step,) * cell.rows: blocks for step in range(1, cell.steps + 1)})
                self.assertEqual(steps, expected)

    def test_no_cache_is_left_behind_when_an_engine_holds_one_at_a_time(self):
        self.launch(self.engine("kvproof"))
        held, most = set(), 0
        for number, (request, _) in enumerate(self.requests(0)):
            if request["op"] == "new":
                held.add(number)
            elif request["op"] == "free":
                held.pop()
            most = max(most, len(held))
        self.assertEqual(most, 1)

    def test_an_engine_runs_only_the_cells_of_its_roles(self):
        results = self.launch(self.engine("kvproof"), self.engine("one", roles=("one",)), self.engine("rows", roles=("rows",)))
        for cell, result in results:
            self.assertEqual(set(result["engines"]), {"kvproof", cell.role})

    def test_the_name_of_an_engine_that_tells_where_it_lies_is_left_out(self):
        [(_, result)] = self.launch(self.engine("kvproof"), self.engine("other", name="other one"), cells=CELLS[:1])
        self.assertEqual([hello["name"] for hello in result["hello"].values()], ["skeleton", "other one"])

    def test_threads_that_spin_while_an_engine_waits_are_seen(self):
        spinning = "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()\n" + ASKED
        quiet, busy = self.engine("kvproof"), Engine("spins", "", [sys.executable, "-c", spinning])
        [(_, result)] = self.launch(quiet, busy, cells=CELLS[:1], rounds=3)
        shares = {key: found["idle_cpu"] for key, found in result["engines"].items()}
        if None in shares.values():
            self.skipTest("no /proc/PID/task/*/schedstat here")
        self.assertLess(shares["kvproof"], 0.02)  # seen 0.001 and less
        self.assertGreater(shares["spins"], 0.05)  # seen 0.9 on a quiet machine, 0.3 on a busy one


class Turns(unittest.TestCase):
    """play() with engines that only take down when it was their turn."""

    class Fake:
        def __init__(self, name, turns):
            self.engine, self.turns = Engine(name, "", []), turns

        def warm_up(self, cell):
            return []

        def block(self, cell):
            self.turns.append(self.engine.key)
            return len(self.turns)

    def play(self, seed):
        turns = []
        result = session.play([self.Fake(name, turns) for name in "abcd"], CELLS[0], 3, seed)
        return turns, result

    def test_the_second_half_of_a_round_mirrors_the_first(self):
        turns, result = self.play("x")
        for number, order in enumerate(result["order"]):
            self.assertEqual(turns[8 * number:8 * number + 8], order + order[::-1])
        # Blocks are in time's order, those of a round one after the other.
        self.assertEqual(sorted(time for engine in result["engines"].values() for time in engine["blocks"]), list(range(1, 25)))
        self.assertTrue(all(engine["blocks"] == sorted(engine["blocks"]) for engine in result["engines"].values()))

    def test_orders_differ_from_round_to_round_and_come_again_with_the_seed(self):
        orders = self.play("x")[1]["order"]
        self.assertGreater(len({tuple(order) for order in orders}), 1)
        self.assertEqual(orders, self.play("x")[1]["order"])
        self.assertNotEqual(orders, self.play("y")[1]["order"])


class Blocks(unittest.TestCase):
    def test_a_block_is_the_median_of_its_steps_without_the_first(self):
        times = iter([9000, 50, 10, 20])  # of the four steps of a d20's block

        class Fake:
            hello = {"model": {"vocab_size": 7}, "can": ["truncate"]}
            idle = types.SimpleNamespace(begin=lambda: None, end=lambda: None)

            def ask(self, op, **fields):
                return {"cache": 0}

            def forward(self, cache, tokens):
                return next(times)

        self.assertEqual(session.Player(Engine("kvproof", "", []), Fake(), 8).block(Cell(GROUP, "decode", depth=0)), 20)


class Others(unittest.TestCase):
    def test_a_program_that_is_none_of_ours_is_seen_and_an_engine_is_not(self):
        spin = [sys.executable, "-c", "while True: pass"]
        if clocks.busy_seconds() is None:
            self.skipTest("no /proc/stat here")
        with subprocess.Popen(spin) as process:
            engine = clocks.IdleClock(process.pid)
            stranger, known = clocks.OthersClock([]), clocks.OthersClock([engine])
            before, begin = engine.cpu(), time.perf_counter()
            stranger.begin(), known.begin()
            while engine.cpu() - before < 0.4e9 and time.perf_counter() - begin < 30:  # however little a busy machine leaves it
                time.sleep(0.05)
            shares, seconds = (stranger.share(), known.share()), time.perf_counter() - begin
            process.kill()
        # What else runs counts for both alike. Of the 0.4 s the kernel's ticks may miss some.
        self.assertGreater((shares[0] - shares[1]) * seconds, 0.3)

    def test_time_that_is_idle_or_waits_for_disks_is_not_busy(self):
        with tempfile.NamedTemporaryFile("w", suffix="stat") as file:
            file.write("cpu  100 20 30 99999 8888 4 5 6 7 8\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
            file.flush()
            self.assertEqual(clocks.busy_seconds(Path(file.name)) * os.sysconf("SC_CLK_TCK"), 165)


class Failures(unittest.TestCase):
    def ask(self, script):
        with tempfile.TemporaryDirectory() as folder:
            connection = Connection("it", [sys.executable, "-c", script], {}, Path(folder) / "log")
            try:
                connection.start()
                connection.ask("reserve", cache=0)
            finally:
                connection.close()

    def test_an_engine_that_ends_is_named_with_its_last_words(self):
        with self.assertRaisesRegex(EngineError, "it ended in request hello; its last words: no such file: m.gguf"):
            self.ask("import sys; sys.exit('no such file: m.gguf')")

    def test_a_refusal_says_what_was_asked_and_why_not(self):
        with self.assertRaisesRegex(EngineError, "it refused reserve: argument: there is no cache 0"):
            self.ask(ASKED)


class Logs(unittest.TestCase):
    SESSION = {"program": {"sha256": "ab"}}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "new" / "log.jsonl"

    def test_what_was_measured_is_not_measured_again(self):
        log = Log(self.path)
        log.begin(self.SESSION)
        log.append({"cell": "d4/fp32/t1/tg@0", "launch": 0, "engines": {}})
        again = Log(self.path)
        again.begin(self.SESSION)
        self.assertTrue(again.has("d4/fp32/t1/tg@0", 0))
        self.assertFalse(again.has("d4/fp32/t1/tg@0", 1))
        self.assertEqual(len(again.sessions), 2)

    def test_what_others_disturbed_is_measured_again_where_that_is_asked_for_and_the_later_line_counts(self):
        log = Log(self.path)
        log.begin(self.SESSION)
        for others, again in ((0.5, False), (0.05, True)):
            log.append({"cell": "d4/fp32/t1/tg@0", "launch": 0, "engines": {}, "others_cpu": others})
            self.assertTrue(log.has("d4/fp32/t1/tg@0", 0))
            self.assertEqual(log.has("d4/fp32/t1/tg@0", 0, noisy=False), again)
        self.assertEqual([line["others_cpu"] for line in Log(self.path).cells], [0.05])

    def test_figures_of_two_builds_are_not_mixed(self):
        Log(self.path).begin(self.SESSION)
        with self.assertRaisesRegex(LogError, "of another build of the program .sha256 ab; this one is cd.: remove the file, or give another"):
            Log(self.path).begin({"program": {"sha256": "cd"}})

    def test_a_line_that_is_none_is_named_by_its_number(self):
        Log(self.path).begin(self.SESSION)
        with self.path.open("a") as file:
            file.write('{"cell": "d4/fp')
        with self.assertRaisesRegex(LogError, "log.jsonl:2: expected a JSON line of a session, a peak or a cell"):
            Log(self.path)


class Program(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([sys.executable, ROOT / "harness/peers/bench_peers.py", *arguments], capture_output=True, text=True)

    def test_the_list_shows_what_the_pattern_leaves(self):
        self.assertEqual(self.run_it("--list", "--only", "d20/bf16/t2/tg@0").stdout, "d20/bf16/t2/tg@0\n")

    def test_quick_leaves_out_the_largest_shape(self):
        names = self.run_it("--list", "--quick").stdout.split()
        self.assertEqual((len(names), {name.split("/")[0] for name in names}), (48, {"d4", "d12"}))

    def test_a_log_that_is_broken_ends_with_six(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "x.jsonl").write_text("nonsense\n")
            done = self.run_it("--summarize", "--out", str(Path(folder) / "x"))
        self.assertEqual(done.returncode, 6)
        self.assertIn("x.jsonl:1: expected a JSON line", done.stderr)


if __name__ == "__main__":
    unittest.main()
