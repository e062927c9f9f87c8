#!/usr/bin/env python3
"""The ratios of harness/peers, held against numbers worked out by hand and against what the project's own statistics give."""
import math
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "harness/peers"))

from ratios import geometric_mean, interval_rank, log_ratios, ratio_of


class Ratios(unittest.TestCase):
    def test_the_interval_of_a_median_is_that_of_the_exact_sign_test(self):
        # Binomial tables: P(Bin(6, ½) <= 0) = 1/64 = 1.6 %, P(Bin(12, ½) <= 2) = 79/4096 = 1.9 % and P(<= 3) = 7.3 %.
        self.assertEqual([interval_rank(n) for n in (1, 5, 6, 8, 9, 12, 20)], [0, 0, 1, 1, 2, 3, 6])

    def test_a_round_is_the_geometric_mean_of_its_two_blocks(self):
        self.assertEqual(log_ratios([8, 2, 3, 3], [2, 2, 1, 9]), [math.log(4) / 2, 0.0])

    def test_a_machine_that_slows_down_evenly_does_not_change_a_mirrored_round(self):
        # Blocks in the order A B B A, on a machine that loses the factor 1.1 from one to the next; B takes twice as long as A.
        ours, theirs = [1.0, 1.1**3], [2 * 1.1, 2 * 1.1**2]
        self.assertAlmostEqual(math.exp(log_ratios(theirs, ours)[0]), 2)

    def test_blocks_that_do_not_pair_are_refused(self):
        for theirs, ours in (([1, 2], [1]), ([1], [1])):
            with self.assertRaisesRegex(ValueError, "two a round"):
                log_ratios(theirs, ours)

    def test_the_ratio_is_the_median_with_the_order_statistics_around_it(self):
        ratio = ratio_of([math.log(x) for x in (7, 1, 2, 3, 4, 6, 5, 8, 12, 10, 9, 11)])  # n = 12: 3rd smallest to 3rd largest
        self.assertAlmostEqual(ratio.ratio, math.sqrt(6 * 7))
        self.assertAlmostEqual(ratio.low, 3)
        self.assertAlmostEqual(ratio.high, 10)
        self.assertEqual(ratio.n, 12)

    def test_five_rounds_have_a_ratio_and_no_interval(self):
        ratio = ratio_of([0.0] * 5)
        self.assertEqual((ratio.ratio, ratio.low, ratio.high), (1.0, None, None))

    def test_a_stall_in_one_round_moves_neither_the_ratio_nor_its_interval_far(self):
        quiet = [0.01 * i for i in range(12)]
        stalled = ratio_of(quiet[:-1] + [5.0])
        self.assertEqual(stalled, ratio_of(quiet))

    def test_nineteen_of_twenty_intervals_hold_the_true_ratio(self):
        draw, held = random.Random(7), 0
        for _ in range(1000):
            ratio = ratio_of([math.log(1.2) + draw.gauss(0, 0.3) for _ in range(12)])
            held += ratio.low <= 1.2 <= ratio.high
        self.assertGreaterEqual(held, 940)  # exact: 96.1 %; seen 963


class Means(unittest.TestCase):
    def test_every_cell_weighs_the_same_in_a_geometric_mean(self):
        mean = geometric_mean([[math.log(2)] * 6, [math.log(8)] * 12])
        self.assertAlmostEqual(mean.ratio, 4)
        self.assertAlmostEqual(mean.low, 4)
        self.assertAlmostEqual(mean.high, 4)
        self.assertEqual(mean.n, 2)

    def test_one_cell_with_few_rounds_leaves_the_mean_without_an_interval(self):
        mean = geometric_mean([[0.0] * 12, [math.log(4)] * 5])
        self.assertAlmostEqual(mean.ratio, 2)
        self.assertIsNone(mean.low)

    def test_a_mean_over_more_cells_is_known_better(self):
        draw = random.Random(3)
        cells = [[draw.gauss(0, 0.2) for _ in range(12)] for _ in range(16)]
        width = [math.log(m.high / m.low) for m in (geometric_mean(cells[:1]), geometric_mean(cells))]
        self.assertLess(width[1], width[0] / 2.5)  # a quarter, but for what chance puts in

    def test_the_same_numbers_give_the_same_interval(self):
        cells = [[0.1, 0.2, 0.3, 0.2, 0.1, 0.4]] * 3
        self.assertEqual(geometric_mean(cells), geometric_mean(cells))


if __name__ == "__main__":
    unittest.main()
