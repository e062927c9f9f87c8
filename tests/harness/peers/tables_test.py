#!/usr/bin/env python3
"""From lines of a log to the summary, the goals and the Markdown: figures worked out by hand."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "harness/peers"))

import goals
from summary import mean_of, summarize
from tables import markdown

MS = 1_000_000


def line(cell="d12/fp32/t2/tg@0", launch=0, engines=None, **changed):
    """A line of a log with six rounds; engines: key → milliseconds of every block, or of each."""
    shape, dtype, threads, work = cell.split("/")
    depth, _, rows = work.partition("@")[2].partition("x")
    blocks = {key: [int(t * MS) for t in (times if isinstance(times, list) else [times] * 12)] for key, times in engines.items()}
    return {"cell": cell, "place": 0, "launch": launch, "shape": shape, "dtype": dtype, "threads": int(threads[1:]),
            "kind": "prefill" if work.startswith("pp") else "decode", "tokens": int(work[2:]) if work.startswith("pp") else 1,
            "depth": int(depth or 0), "rows": int(rows or 1), "bytes_read": 200_000_000, "flops": 4e9 if work.startswith("pp") else None, "others_cpu": 0.02,
            "engines": {key: {"blocks": times, "warmup": [], "idle_cpu": 0.001} for key, times in blocks.items()},
            "hello": {key: {"name": key, "backend": None, "threads": 2} for key in engines}, **changed}


SESSION = {"started": "2026-01-02T03:04:05+00:00", "program": {"version": [], "sha256": "ab"}, "commit": "abc1234",
           "versions": {"torch": "2", "transformers": "5", "llama_cpp_python": "0.3", "gguf": "1", "numpy": "2"},
           "llamacpp_system": "CPU : AVX2 = 1", "llamacpp_not_native": [], "python": "3.11", "environment": {},
           "machine": {"cpu": "A CPU", "cores": 2, "memory_bytes": 24 * 2**30, "system": "Linux"}}


PEAKS = [{"threads": threads, "dtype": dtype, "read_bytes_per_s": read, "gemm_flops_per_s": gemm}
         for threads, dtype, read, gemm in ((1, "fp32", 12e9, 1e11), (2, "fp32", 25e9, 2e11), (2, "fp32", 20e9, 1e11), (2, "bf16", 20e9, 1e12))]


def summary_of(*lines, session=SESSION):
    return summarize([session], PEAKS, list(lines))


def cells_with(*lines):
    return summary_of(*lines)["cells"]


class Summary(unittest.TestCase):
    def test_a_ratio_is_their_time_over_ours(self):
        [cell] = cells_with(line(engines={"kvproof": 10, "nanochat": 25}))
        self.assertEqual(cell["ours"], {"ns": 10 * MS, "tok_per_s": 100})
        [peer] = cell["peers"]
        self.assertAlmostEqual(peer["ratio"], 2.5)
        self.assertEqual((peer["column"], peer["n"], peer["tok_per_s"]), ("nanochat", 6, 40))

    def test_the_share_of_bandwidth_is_bytes_over_time_over_the_best_rate_of_so_many_threads(self):
        [cell] = cells_with(line(engines={"kvproof": 10}))
        self.assertAlmostEqual(cell["bandwidth_share"], 200e6 / 0.010 / 25e9)

    def test_what_fits_into_caches_or_is_a_prefill_has_no_share_of_bandwidth(self):
        for other in (line(engines={"kvproof": 1}, bytes_read=20_000_000), line("d12/fp32/t2/pp512", engines={"kvproof": 1})):
            self.assertIsNone(cells_with(other)[0]["bandwidth_share"])

    def test_a_prefill_has_a_share_of_the_fastest_product_of_its_dtype(self):
        [fp32, bf16, decode] = cells_with(line("d12/fp32/t2/pp512", engines={"kvproof": 40}), line("d12/bf16/t2/pp512", engines={"kvproof": 10}),
                                          line(engines={"kvproof": 10}))
        self.assertEqual((fp32["gemm_share"], bf16["gemm_share"], decode["gemm_share"]), (0.5, 0.4, None))

    def test_of_flash_attention_off_and_on_the_faster_counts(self):
        [cell] = cells_with(line(engines={"kvproof": 10, "llama.cpp f32 fa=off": 12, "llama.cpp f32 fa=on": 11}))
        [peer] = cell["peers"]
        self.assertEqual((peer["column"], peer["flash_attention"]), ("llama.cpp f32", "on"))
        self.assertAlmostEqual(peer["ratio"], 1.1)

    def test_rows_have_engines_of_their_own_in_the_same_column(self):
        [cell] = cells_with(line("d4/fp32/t1/tg@128x8", engines={"kvproof": 2, "llama.cpp f32 fa=off, rows": 3}))
        self.assertEqual((cell["peers"][0]["column"], cell["peers"][0]["flash_attention"]), ("llama.cpp f32", "off"))
        self.assertEqual(cell["ours"]["tok_per_s"], 4000)

    def test_rounds_of_all_launches_are_one_sample_and_each_launch_is_told_apart(self):
        [cell] = cells_with(line(engines={"kvproof": 10, "nanochat": 20}), line(launch=1, engines={"kvproof": 10, "nanochat": 40}))
        [peer] = cell["peers"]
        self.assertEqual((cell["launches"], peer["n"], [round(r, 6) for r in peer["by_launch"]]), (2, 12, [2, 4]))

    def test_launches_without_an_engine_that_came_later_do_not_count(self):
        [cell] = cells_with(line(engines={"kvproof": 10}), line(launch=1, engines={"kvproof": 20, "nanochat": 40}))
        self.assertEqual((cell["launches"], cell["ours"]["ns"]), (1, 20 * MS))

    def test_means_go_over_the_cells_that_were_asked_for(self):
        cells = cells_with(line("d12/fp32/t1/tg@0", engines={"kvproof": 1, "nanochat": 2}),
                           line("d20/fp32/t1/tg@0", engines={"kvproof": 1, "nanochat": 8}),
                           line("d4/fp32/t1/tg@0", engines={"kvproof": 1, "nanochat": 100}))
        self.assertAlmostEqual(mean_of(cells, "nanochat", shape=("d12", "d20")).ratio, 4)
        self.assertIsNone(mean_of(cells, "nanochat", dtype="bf16"))


class Goals(unittest.TestCase):
    def goal(self, cells, start):
        [found] = [goal for goal in goals.goals_of(cells) if goal.text.startswith(start)]
        return found

    def test_a_goal_that_nothing_was_measured_for_is_open(self):
        self.assertTrue(all(goal.met is None for goal in goals.goals_of(cells_with(line("d4/fp32/t1/tg@0", engines={"kvproof": 1})))))

    def test_a_peer_that_is_faster_beyond_doubt_in_one_cell_is_named_there(self):
        cells = cells_with(line("d12/fp32/t1/tg@0", engines={"kvproof": 10, "llama.cpp f32 fa=on": 12}),
                           line("d12/fp32/t2/tg@0", engines={"kvproof": 10, "llama.cpp f32 fa=on": 9.5}))
        goal = self.goal(cells, "llama.cpp f32: no cell")
        self.assertEqual((goal.met, goal.figure), (False, "1 of 2: d12/fp32/t2/tg@0 0.95 [0.95, 0.95]"))
        self.assertTrue(self.goal(cells, "llama.cpp f32: fp32 decode of d12").met)  # √(1.2 · 0.95) = 1.07

    def test_an_interval_that_reaches_over_one_is_not_behind(self):
        unsure = line(engines={"kvproof": 10, "llama.cpp f32 fa=on": [8] * 6 + [10.5] * 6})
        self.assertTrue(self.goal(cells_with(unsure), "llama.cpp f32: no cell").met)

    def test_a_goal_of_each_cell_fails_by_its_lowest(self):
        cells = cells_with(line("d12/fp32/t1/tg@0", engines={"kvproof": 10, "nanochat": 30}),
                           line("d20/bf16/t1/tg@0", engines={"kvproof": 10, "nanochat": 17}))
        goal = self.goal(cells, "nanochat: decode of d12 and d20")
        self.assertEqual((goal.met, goal.figure), (False, "lowest 1.70 [1.70, 1.70] in d20/bf16/t1/tg@0; 1 of 2 cells below"))

    def test_eight_rows_are_held_against_one_at_the_same_depth(self):
        one = line("d12/fp32/t1/tg@128", engines={"kvproof": 1})
        for milliseconds, met in ((1.9, True), (2.1, False)):
            cells = cells_with(one, line("d12/fp32/t1/tg@128x8", engines={"kvproof": milliseconds}))
            self.assertEqual(self.goal(cells, "kvproof: out of cache, 8 rows").met, met)

    def test_shares_of_the_limits_fail_by_their_lowest(self):
        cells = cells_with(line("d12/fp32/t2/tg@0", engines={"kvproof": 10}), line("d20/fp32/t2/tg@0", engines={"kvproof": 9}),
                           line("d12/fp32/t2/pp512", engines={"kvproof": 24}), line("d4/fp32/t2/pp128", engines={"kvproof": 90}))
        decode, prefill = self.goal(cells, "kvproof: decode of one row"), self.goal(cells, "kvproof: fp32 prefill")
        self.assertEqual((decode.met, decode.figure), (False, "lowest 0.80 in d12/fp32/t2/tg@0; 1 of 2 cells below"))
        self.assertEqual((prefill.met, prefill.figure), (True, "lowest 0.83 in d12/fp32/t2/pp512; 0 of 1 cells below"))
        self.assertIsNone(self.goal(cells, "kvproof: bf16 prefill").met)

    def test_depth_costs_what_the_deepest_step_takes_over_the_first(self):
        shallow = line("d12/fp32/t1/tg@0", engines={"kvproof": 10})
        for milliseconds, met in ((12.4, True), (12.6, False)):
            cells = cells_with(shallow, line("d12/fp32/t1/tg@1536", engines={"kvproof": milliseconds}))
            self.assertEqual(self.goal(cells, "kvproof: a step of d12").met, met)


class Markdown(unittest.TestCase):
    def test_a_table_has_a_row_for_each_cell_and_a_column_for_each_peer(self):
        text = markdown(summary_of(line(engines={"kvproof": 10, "llama.cpp f32 fa=off": 12, "llama.cpp f32 fa=on": 11,
                                                 "transformers": 25})))
        self.assertIn("## d12, fp32\n\n| | kvproof | of the limit | llama.cpp f32 | transformers |\n|---|---|---|---|---|\n"
                      "| depth 0, 2 threads | 10 ms | 80 % | 11 ms (fa on): **1.10** [1.10, 1.10] | 25 ms: **2.50** [2.50, 2.50] |\n", text)
        self.assertIn("| d12 fp32, decode | 1.10 [1.10, 1.10] | 2.50 [2.50, 2.50] |", text)
        self.assertIn("- met: llama.cpp f32: fp32 decode of d12 and d20: geometric mean at least 1.03. 1.10 [1.10, 1.10] over 1 cells.", text)

    def test_a_prefill_is_told_in_tokens_a_second(self):
        text = markdown(summary_of(line("d12/bf16/t1/pp512", engines={"kvproof": 512, "llama.cpp bf16 fa=on": 1024})))
        self.assertIn("| pp512, 1 thread | 1000 tok/s | – | 500 tok/s (fa on): **2.00** [2.00, 2.00] |", text)

    def test_few_rounds_leave_a_ratio_without_brackets(self):
        text = markdown(summary_of(line(engines={"kvproof": [10, 10], "nanochat": [20, 20]})))
        self.assertIn("| 20 ms: **2.00** |", text)

    def test_a_build_of_llama_cpp_for_another_cpu_is_said_in_bold(self):
        text = markdown(summary_of(line(engines={"kvproof": 10}), session={**SESSION, "llamacpp_not_native": ["AVX512"]}))
        self.assertIn("**llama.cpp was not compiled for this CPU**: it lacks AVX512.", text)

    def test_a_step_that_reads_faster_than_memory_was_read_shows_that_the_machine_was_not_quiet(self):
        for milliseconds, quiet in ((8.1, True), (7.9, False)):  # 200 MB at 25 GB/s take 8 ms
            text = markdown(summary_of(line(engines={"kvproof": milliseconds})))
            self.assertEqual("**The machine was not quiet**" not in text, quiet)

    def test_a_cell_that_other_programs_disturbed_in_one_launch_is_marked(self):
        text = markdown(summary_of(line(engines={"kvproof": 10}), line(launch=1, engines={"kvproof": 10}, others_cpu=0.3)))
        self.assertIn("| depth 0, 2 threads † |", text)
        self.assertIn("† Other programs kept more than 10 % of a CPU busy", text)
        self.assertNotIn("†", markdown(summary_of(line(engines={"kvproof": 10}))))


if __name__ == "__main__":
    unittest.main()
