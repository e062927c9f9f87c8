#!/usr/bin/env python3
"""The adapters' side of the protocol, asked by client.py: framing, errors, and chunks = one shot = uncached.

    adapter_test.py                      the skeleton, and each fault planted in it
    adapter_test.py --adapter COMMAND    what any adapter says that it can do, in short
"""
import contextlib
import io
import math
import struct
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADAPTERS = HERE.parents[2] / "harness/adapters"
sys.path[:0] = [str(HERE), str(ADAPTERS)]

import kvproof_subject
from client import Client, Refused, distance, numbers_of

PYTHON = f'"{sys.executable}"'
SKELETON = f'{PYTHON} "{ADAPTERS / "adapter_skeleton.py"}"'
FAULTY = f'{PYTHON} "{HERE / "faulty_skeleton.py"}"'
EXACT = 1e-12  # float64; worst seen 0: the skeleton adds in the same order on both paths


def tokens_for(hello, count):
    vocab = hello["model"]["vocab_size"]
    return [(i * i * 7 + i * 3 + 1) % vocab for i in range(count)]


def compare(client, allowed):
    """Yields (what was compared, largest difference or None where a fact fails) for all that the adapter can do."""
    can, model = set(client.hello["can"]), client.hello["model"]
    tokens = tokens_for(client.hello, min(40, model.get("max_positions") or 40))
    n, room = len(tokens), len(tokens)
    every = "all" if "all_logits" in can else "last"
    expected = client.uncached(tokens) if "all_logits" in can else [client.uncached(tokens[:i], i - 1)[0] for i in range(1, n + 1)]

    def fed(cache, sizes, at=0):
        worst = 0
        for size in sizes:
            got = client.forward(cache, [tokens[at:at + size]], every)
            worst = max(worst, distance(got, expected[at + size - len(got):at + size]))
            at += size
        return worst

    one = client.new(1, room)
    yield "one shot", fed(one, [n])
    yield "decode", fed(client.new(1, room), [5] + [1] * (n - 5))
    if "chunks" in can:
        yield "chunks", fed(client.new(1, room), [7, 1, 3, n - 12, 1])
    if "batch" in can:
        two = client.new(2, room)
        other = [(token + 1) % model["vocab_size"] for token in tokens]
        got = client.forward(two, [tokens[:6], other[:6]], "last") + client.forward(two, [tokens[6:7], other[6:7]], "last")
        reference = client.uncached(other[:7], 6)[-1]
        yield "batch", max(distance([got[0]], expected[5:6]), distance([got[2]], expected[6:7]), distance([got[3]], [reference]))
    if {"batch", "uneven"} <= can:
        two = client.new(2, room)
        client.forward(two, [tokens[:3], tokens[:9]], "last")
        yield "uneven", distance(client.forward(two, [tokens[3:4], tokens[9:11]], "last"), [expected[3], expected[10]])
    if "clone" in can:
        source = client.new(1, room)
        client.forward(source, [tokens[:8]], "last")
        copy = client.ask("clone", cache=source, rows=[0] * (2 if "batch" in can else 1), capacity=room)
        yield "clone's lengths", 0 if set(copy["lengths"]) == {8} else None
        rows = len(copy["lengths"])
        # The source goes another way in between; the copy must not notice.
        client.forward(copy["cache"], [tokens[8:9]] * rows, "last")
        client.forward(source, [[(tokens[8] + 2) % model["vocab_size"]]], "last")
        yield "clone", distance(client.forward(copy["cache"], [tokens[9:10]] * rows, "last"), [expected[9]] * rows)
    if "truncate" in can:
        back = client.new(1, room)
        fed(back, [20])
        state = client.ask("truncate", cache=back, row=None, length=9)
        yield "truncate's lengths", 0 if state["lengths"] == [9] else None
        yield "truncate", fed(back, [1] * 6, at=9)
    if "reset" in can:
        client.ask("reset", cache=one)
        yield "reset", fed(one, [4, 1, 1, 1])
    if "poison" in can:
        tail = client.new(1, room)
        fed(tail, [6])
        client.ask("poison", cache=tail)
        yield "poison", fed(tail, [1] * 6, at=6)
    if "read_slots" in can:
        held = client.new(1, room)
        for count in (0, 6):
            if count:
                fed(held, [5, 1])
            last = client.ask("read_slots", cache=held, row=0, layer=model["n_layer"] - 1)
            shape = [count, model["n_kv_head"], model["head_dim"]]
            yield f"shape of {count} slots", 0 if last["keys"][0] == last["values"][0] == shape else None
    if "capacity_limit" in can:
        small = client.new(1, 4)
        fed(small, [3])
        try:
            client.forward(small, [tokens[3:6]], "last")
            yield "capacity", None
        except Refused as refusal:
            yield "capacity", 0 if refusal.kind == "capacity" else None
            yield "after a refusal", fed(small, [1], at=3)
    if "generate" in can:
        got = client.ask("generate", tokens=tokens[:4], rows=2 if "batch" in can else 1, max_tokens=5)["tokens"]
        text = tokens[:4] + got[0]
        logits = client.uncached(text[:-1], len(text) - 2)[-1]
        yield "generate", 0 if logits[text[-1]] >= max(logits) - allowed and len(set(map(tuple, got))) == 1 else None


class Framing(unittest.TestCase):
    def test_numbers_of_every_dtype_arrive_as_they_were_sent(self):
        for dtype in kvproof_subject.CODES:
            name, shape, data = kvproof_subject.pack([[1, 2, 3], [4, 5, 6]], dtype)
            self.assertEqual((name, shape, numbers_of(dtype, data)), (dtype, [2, 3], [1, 2, 3, 4, 5, 6]))

    def test_nested_lists_of_unequal_lengths_are_no_tensor(self):
        with self.assertRaisesRegex(ValueError, "unequal"):
            kvproof_subject.pack([[1.0, 2.0], [3.0]])

    def test_a_message_is_magic_length_header_and_payload(self):
        stream = io.BytesIO()
        kvproof_subject.write_message(stream, {"id": 1}, [("logits", kvproof_subject.pack([[0.5]], "float32"))])
        header = b'{"id": 1, "tensors": [{"name": "logits", "dtype": "float32", "shape": [1, 1]}]}'
        self.assertEqual(stream.getvalue(), b"KVP1" + struct.pack("<I", len(header)) + header + struct.pack("<f", 0.5))


class Loop(unittest.TestCase):
    def test_requests_that_make_no_sense_are_answered_and_change_nothing(self):
        with Client(SKELETON) as client:
            cases = [("nonsense", {}, "unsupported"), ("threads", {"threads": 2}, "unsupported"), ("free", {"cache": 7}, "argument"),
                     ("uncached", {"tokens": [99], "first": 0}, "failed")]
            for op, fields, kind in cases:
                with self.assertRaises(Refused) as caught:
                    client.ask(op, **fields)
                self.assertEqual(caught.exception.kind, kind, op)
            self.assertEqual(len(client.uncached([1, 2])), 2)

    def test_another_protocol_is_refused(self):
        with Client(SKELETON) as client:
            with self.assertRaisesRegex(Refused, "expected protocol kvproof-subject/1, got kvproof-subject/9"):
                client.ask("hello", protocol="kvproof-subject/9")

    def test_a_freed_cache_is_gone_and_numbers_are_not_used_again(self):
        with Client(SKELETON) as client:
            first = client.new(1, 4)
            client.ask("free", cache=first)
            self.assertNotEqual(client.new(1, 4), first)
            with self.assertRaisesRegex(Refused, "there is no cache 0"):
                client.forward(first, [[1]])

    def test_it_ends_quietly_with_its_input(self):
        self.assertEqual(Client(SKELETON).close(), 0)

    def test_ping_brings_so_many_bytes(self):
        with Client(SKELETON) as client:
            self.assertEqual(client.ask("ping", bytes=1000)["bytes"][0], [1000])


class Skeleton(unittest.TestCase):
    def test_it_does_all_that_it_says_as_recomputation_does(self):
        with Client(SKELETON) as client:
            for what, worst in compare(client, EXACT):
                with self.subTest(what):
                    self.assertIsNotNone(worst)
                    self.assertLessEqual(worst, EXACT)

    def test_each_cached_number_moves_the_logits(self):
        with Client(SKELETON) as client:
            tokens = tokens_for(client.hello, 6)
            expected = client.uncached(tokens, 5)
            for layer in range(client.hello["model"]["n_layer"]):
                for tensor in ("keys", "values"):
                    for position in range(5):
                        cache = client.new(1, 6)
                        client.forward(cache, [tokens[:5]], "last")
                        client.ask("perturb", cache=cache, row=0, layer=layer, position=position, tensor=tensor, delta=1e-3)
                        moved = distance(client.forward(cache, [tokens[5:]], "last"), expected)
                        self.assertGreater(moved, 1e-6, (layer, tensor, position))  # smallest seen 2e-5

    def test_each_planted_fault_shows_and_the_harmless_ones_do_not(self):
        listed = subprocess.run([sys.executable, HERE / "faulty_skeleton.py", "--list-faults"], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            name, kind = line.split("\t")
            if name == "hangs-in-forward":  # a deadline is kvproof's
                continue
            with self.subTest(name):
                wrong = None
                client = Client(f"{FAULTY} --fault {name}", stderr=subprocess.DEVNULL)
                try:
                    wrong = next((what for what, worst in compare(client, EXACT) if worst is None or worst > EXACT), None)
                except (EOFError, ValueError, AssertionError, Refused) as e:
                    wrong = type(e).__name__
                finally:
                    client.process.kill()
                    with contextlib.suppress(BrokenPipeError):
                        client.close()
                self.assertEqual(wrong is None, kind == "none", wrong)


def main():
    if sys.argv[1:2] != ["--adapter"]:
        unittest.main()
    with Client(sys.argv[2]) as client:
        print(client.hello)
        allowed = EXACT if client.hello["dtype"] == "float64" else 2e-4
        wrong = 0
        for what, worst in compare(client, allowed):
            bad = worst is None or not worst <= allowed
            wrong += bad
            print(f"{'WRONG' if bad else 'fine '}  {what}: {'-' if worst is None else f'{worst:.2e}'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
