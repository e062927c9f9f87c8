#!/usr/bin/env python3
"""What harness/peers measures, and that its peers read as much as we do."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "harness/peers"))

from cells import SHAPES, Group, bytes_differ, cells_of, groups
from facts import not_native


class Cells(unittest.TestCase):
    def test_a_group_prefills_first_then_decodes_deeper_and_deeper_then_in_rows(self):
        names = [cell.id for cell in cells_of(Group("d12", "bf16", 2))]
        self.assertEqual(names, ["d12/bf16/t2/pp512", "d12/bf16/t2/tg@0", "d12/bf16/t2/tg@128", "d12/bf16/t2/tg@512",
                                 "d12/bf16/t2/tg@1536", "d12/bf16/t2/tg@128x8"])

    def test_every_shape_is_run_in_both_dtypes_on_one_and_two_threads(self):
        self.assertEqual([group.id for group in groups(["d4"])], ["d4/fp32/t1", "d4/fp32/t2", "d4/bf16/t1", "d4/bf16/t2"])

    def test_names_of_cells_are_unique(self):
        names = [cell.id for group in groups(SHAPES) for cell in cells_of(group)]
        self.assertEqual(len(set(names)), len(names))

    def test_rows_are_run_by_engines_made_for_rows(self):
        self.assertEqual([cell.role for cell in cells_of(Group("d4", "fp32", 1))], ["one"] * 5 + ["rows"])


class Bytes(unittest.TestCase):
    def test_matrices_within_one_percent_are_the_same_work(self):
        for theirs in (99_000, 100_000, 101_000):
            self.assertIsNone(bytes_differ(100_000, theirs))

    def test_more_or_less_than_that_is_said_with_both_figures(self):
        self.assertEqual(bytes_differ(100_000, 101_100), "matrices of 101100 bytes a token, ours have 100000: +1.10 %, at most ±1 % is the "
                         "same work")
        self.assertIn("-1.10 %", bytes_differ(100_000, 98_900))


class Native(unittest.TestCase):
    def test_an_extension_that_the_cpu_has_and_the_build_does_not_use_is_named(self):
        self.assertEqual(not_native("CPU : AVX2 = 1 | FMA = 1 | ", ["sse3", "avx2", "fma", "avx512f"]), ["AVX512"])

    def test_a_build_for_this_cpu_lacks_nothing(self):
        self.assertEqual(not_native("CPU : AVX2 = 1 | FMA = 1 | AVX512 = 1 | ", ["avx2", "fma", "avx512f"]), [])


if __name__ == "__main__":
    unittest.main()
