"""kvproof's side of kvproof-subject/1 for timing: starts an engine, asks it, and reads past its logits."""
import json
import math
import os
import struct
import subprocess
from pathlib import Path

from clocks import IdleClock

SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "uint8": 1}


class EngineError(Exception):
    """An engine that refused a request, or ended. Says which engine, what was asked, and where its own words are."""


class Connection:
    """An engine as a child process, asked one request at a time; between requests it waits on its stdin."""

    def __init__(self, name, command, environment, log):
        """name: for messages; command: list of words; environment: added to ours; log: a path, which gets the engine's stderr"""
        self.name, self.log, self.next_id = name, Path(log), 0
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                            env={**os.environ, **environment})
        self.idle = IdleClock(self.process.pid)
        self.hello = None

    def start(self):
        """Waits until the engine has loaded its model. returns what hello says"""
        self.hello = self.ask("hello", protocol="kvproof-subject/1")
        return self.hello

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def read(self, n, op):
        data = self.process.stdout.read(n)
        if len(data) != n:
            raise EngineError(f"{self.name} ended in request {op}; its last words: {self.last_words()}")
        return data

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1]} (all of them: {self.log})" if lines else "none"

    def ask(self, op, **fields):
        """returns the answer's header; its tensors are read and dropped. raises EngineError"""
        self.next_id += 1
        text = json.dumps({"id": self.next_id, "op": op, **fields}).encode()
        try:
            self.process.stdin.write(b"KVP1" + struct.pack("<I", len(text)) + text)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() says why
        start = self.read(8, op)
        answer = json.loads(self.read(struct.unpack("<I", start[4:])[0], op))
        for tensor in answer.get("tensors", []):
            self.read(SIZES[tensor["dtype"]] * math.prod(tensor["shape"]), op)
        if "error" in answer:
            raise EngineError(f"{self.name} refused {op}: {answer['error']['kind']}: {answer['error']['message']} (its stderr: {self.log})")
        return answer

    def forward(self, cache, tokens):
        """Appends tokens (a list of ids for each row). returns nanoseconds by the engine's own clock"""
        answer = self.ask("forward", cache=cache, tokens=tokens, logits="last")
        if "elapsed_ns" not in answer:
            raise EngineError(f"{self.name} answers forward without elapsed_ns; its time cannot be told from the protocol's")
        return answer["elapsed_ns"]
