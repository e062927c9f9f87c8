"""kvproof's side of kvproof-subject/1, as small as it gets: starts an adapter and asks it. Framing written a second time, on purpose."""
import json
import math
import shlex
import struct
import subprocess
from array import array

FORMATS = {"float64": "d", "float32": "f", "float16": "e", "int64": "q", "int32": "i", "uint8": "B"}


class Refused(Exception):
    """The adapter answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['kind']}: {error['message']}")
        self.kind = error["kind"]


def numbers_of(dtype, data):
    if dtype == "bfloat16":  # the upper half of a float32
        return [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
    return list(struct.unpack(f"<{len(data) // struct.calcsize(FORMATS[dtype])}{FORMATS[dtype]}", data))


class Client:
    def __init__(self, command, dtype=None, stderr=None):
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        self.next_id = 0
        try:
            self.hello = self.ask("hello", protocol="kvproof-subject/1", **({"dtype": dtype} if dtype else {}))
        except BaseException:
            self.process.kill()
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """returns the exit status"""
        self.process.stdin.close()
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        return status

    def read(self, n):
        data = self.process.stdout.read(n)
        if len(data) != n:
            raise EOFError(f"{len(data)} bytes of {n}; the adapter ended")
        return data

    def ask(self, op, **fields):
        """returns the answer's header, with each tensor's name as (shape, numbers). raises Refused"""
        self.next_id += 1
        text = json.dumps({"id": self.next_id, "op": op, **fields}).encode()
        self.process.stdin.write(b"KVP1" + struct.pack("<I", len(text)) + text)
        self.process.stdin.flush()
        start = self.read(8)
        if start[:4] != b"KVP1":
            raise ValueError(f"expected a message, found {start!r}")
        answer = json.loads(self.read(struct.unpack("<I", start[4:])[0]))
        for tensor in answer.pop("tensors", []):
            size = {"bfloat16": 2}.get(tensor["dtype"]) or struct.calcsize(FORMATS[tensor["dtype"]])
            data = self.read(size * math.prod(tensor["shape"]))
            answer[tensor["name"]] = (tensor["shape"], numbers_of(tensor["dtype"], data))
        if answer["id"] != self.next_id:
            raise ValueError(f"expected the answer to {self.next_id}, got that to {answer['id']}")
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    # The requests of a comparison, with logits as lists of rows.

    def uncached(self, tokens, first=0):
        return rows_of(self.ask("uncached", tokens=tokens, first=first)["logits"])

    def new(self, rows, capacity):
        return self.ask("new", rows=rows, capacity=capacity)["cache"]

    def forward(self, cache, tokens, logits="all"):
        return rows_of(self.ask("forward", cache=cache, tokens=tokens, logits=logits)["logits"])

    def chunks(self, tokens, sizes, capacity):
        """Logits of all positions, the tokens put into a new cache of one row in chunks of these sizes."""
        cache, logits, at = self.new(1, capacity), [], 0
        for size in sizes:
            logits += self.forward(cache, [tokens[at:at + size]])
            at += size
        assert at == len(tokens), (at, len(tokens))
        self.ask("free", cache=cache)
        return logits


def rows_of(tensor):
    shape, numbers = tensor
    assert len(shape) == 2, shape
    return [array("d", numbers[i * shape[1]:(i + 1) * shape[1]]) for i in range(shape[0])]


def distance(a, b):
    """The largest absolute difference of two lists of rows; infinite where one holds a NaN."""
    assert len(a) == len(b), (len(a), len(b))
    worst = max(abs(x - y) for r, s in zip(a, b) for x, y in zip(r, s, strict=True))
    return worst if all(not math.isnan(x) for r in (*a, *b) for x in r) else math.inf
