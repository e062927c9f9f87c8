"""The child's side of kvproof-subject/1 (PROTOCOL.md): framing, the request loop, and the class to fill in.

Standard library only. An adapter is a subclass of Subject and one line: `serve(MyEngine)`. Tensors are returned as numpy arrays,
torch tensors or (nested) lists of floats; caches are whatever object you like.
"""
import array
import json
import math
import os
import struct
import sys
import time
import traceback
from itertools import chain

PROTOCOL = "kvproof-subject/1"
CODES = {"float64": "d", "float32": "f", "int64": "q", "int32": "i", "uint8": "B"}  # dtype -> typecode of module array


class CapacityError(Exception):
    """More tokens than the cache, or more positions than the model, can hold. Raise it before anything has changed."""


class ArgumentError(Exception):
    """A request that makes no sense here: a cache, row or layer that there is not."""


class Subject:
    """One method per request. What a method cannot do it leaves as it is here, and out of `can`.

    A method that raises has changed nothing: CapacityError becomes an answer `capacity`, NotImplementedError `unsupported`,
    ArgumentError `argument`, anything else `failed`.
    """

    def hello(self, dtype):
        """Who runs what. dtype: None, or one of your `dtypes` to run in from now on.
        returns a dict with name, dtype, device, model, can and what else PROTOCOL.md lists under hello"""
        raise NotImplementedError("hello")

    def uncached(self, tokens, first):
        """Recompute of n token ids without any cache. returns logits (n - first, V) of positions first … n - 1"""
        raise NotImplementedError("uncached")

    def new(self, rows, capacity):
        """returns an empty cache of `rows` rows that takes `capacity` tokens in each: any object of yours"""
        raise NotImplementedError("new")

    def forward(self, cache, tokens, all_logits):
        """Appends tokens[b] (one id at least) to row b. returns logits (B, V) of each row's last token; with all_logits those of
        every new token, (ΣT, V), row after row. raises CapacityError before it changes anything"""
        raise NotImplementedError("forward")

    def lengths(self, cache):
        """returns for each row the positions that it holds, by your own book-keeping (do not count along here)"""
        raise NotImplementedError("lengths")

    def capacity(self, cache):
        """returns how many tokens a row can hold; None: it grows by itself"""
        return None

    def bytes(self, cache):
        """returns the memory of keys and values; None: unknown"""
        return None

    def clone(self, cache, rows, capacity):
        """returns a new cache; its row i is a copy of row rows[i] of this one, which stays as it is"""
        raise NotImplementedError("clone")

    def truncate(self, cache, row, length):
        """Forgets all but the first `length` positions of the row; of every row where row is None."""
        raise NotImplementedError("truncate")

    def reset(self, cache):
        """Empties the cache; its rows and capacity stay."""
        raise NotImplementedError("reset")

    def retain(self, cache, rows):
        """Keeps these rows (ascending) of the cache and drops the others: row rows[i] becomes row i."""
        raise NotImplementedError("retain")

    def reserve(self, cache, capacity):
        """Raises the capacity; what the cache holds stays."""
        raise NotImplementedError("reserve")

    def poison(self, cache):
        """Fills every slot that no position holds with NaN."""
        raise NotImplementedError("poison")

    def free(self, cache):
        """The cache is not used again."""

    def read_slots(self, cache, row, layer):
        """returns (keys, values), each (n, G, D), of the n positions held; a third entry lists them where they are not 0 … n - 1"""
        raise NotImplementedError("read_slots")

    def perturb(self, cache, row, layer, position, tensor, delta):
        """Adds delta to every number of that position's key (tensor "keys") or value ("values")."""
        raise NotImplementedError("perturb")

    def threads(self, threads):
        """Computes with so many threads from now on."""
        raise NotImplementedError("threads")

    def generate(self, tokens, rows, max_tokens):
        """Your own generation loop: greedy, lowest id on ties, no stop token. returns for each row the max_tokens ids after tokens"""
        raise NotImplementedError("generate")

    def synchronize(self):
        """Waits until a forward's result is there, where forward() returns before (GPUs): the clock stops after it."""

    def own_elapsed_ns(self):
        """returns what the last forward took by a clock closer to the engine than one around forward(), for adapters that put
        much Python between the two; None: there is none"""
        return None


def pack(value, dtype=None):
    """(dtype, shape, little-endian bytes) of a torch tensor, a numpy array, or nested lists of floats (float64, or `dtype`)."""
    if hasattr(value, "detach"):  # torch; numpy has no bfloat16, its bits travel as int16
        value = value.detach().contiguous().cpu()
        name = str(value.dtype).removeprefix("torch.")
        array_of = value.view(sys.modules["torch"].int16) if name == "bfloat16" else value
        return name, list(value.shape), array_of.numpy().tobytes()
    if hasattr(value, "tobytes") and hasattr(value, "shape"):  # numpy, or alike
        return value.dtype.name, list(value.shape), value.astype(value.dtype.newbyteorder("<")).tobytes()
    shape, inner = [], value
    while isinstance(inner, (list, tuple)):
        shape.append(len(inner))
        inner = inner[0] if inner else 0
    for _ in shape[1:]:
        value = list(chain.from_iterable(value))
    numbers = array.array(CODES[dtype or "float64"], value)
    if len(numbers) != math.prod(shape):
        raise ValueError(f"nested lists of unequal lengths: {len(numbers)} numbers do not make the shape {shape}")
    if sys.byteorder == "big":
        numbers.byteswap()
    return dtype or "float64", shape, numbers.tobytes()


def read_message(stream):
    """returns the next request's header; None: the stream ended"""
    start = stream.read(8)
    if len(start) < 8:
        return None
    magic, size = struct.unpack("<4sI", start)
    if magic != b"KVP1":
        raise ValueError(f"expected a message of {PROTOCOL}, which begins with KVP1; found {start!r}")
    return json.loads(stream.read(size))


def write_message(stream, header, tensors=()):
    """tensors: (name, pack(…)) of each"""
    if tensors:
        header["tensors"] = [{"name": name, "dtype": t[0], "shape": t[1]} for name, t in tensors]
    text = json.dumps(header).encode()
    stream.write(b"".join([b"KVP1", struct.pack("<I", len(text)), text, *(t[2] for _, t in tensors)]))
    stream.flush()


class Server:
    """Answers requests for a Subject; keeps its caches by number."""

    def __init__(self, subject):
        self.subject = subject
        self.caches = {}
        self.next_cache = 0

    def cache(self, request):
        if request["cache"] not in self.caches:
            raise ArgumentError(f"there is no cache {request['cache']}; in use: {sorted(self.caches)}")
        return self.caches[request["cache"]]

    def state(self, cache):
        fields = {"lengths": self.subject.lengths(cache), "capacity": self.subject.capacity(cache), "bytes": self.subject.bytes(cache)}
        return {name: value for name, value in fields.items() if value is not None}, ()

    def adopt(self, cache):
        self.caches[self.next_cache] = cache
        self.next_cache += 1
        state, _ = self.state(cache)
        return {"cache": self.next_cache - 1, **state}, ()

    def timed(self, compute, *args):
        start = time.perf_counter_ns()
        logits = compute(*args)
        self.subject.synchronize()
        elapsed = time.perf_counter_ns() - start
        own = self.subject.own_elapsed_ns()
        return elapsed if own is None else own, [("logits", pack(logits))]

    # One method per op: request -> (fields of the answer, its tensors)

    def op_hello(self, r):
        if r["protocol"] != PROTOCOL:
            raise ArgumentError(f"expected protocol {PROTOCOL}, got {r['protocol']}")
        hello = self.subject.hello(r.get("dtype"))
        model = hello.get("model", {})
        self.of_no_slot = [0, model.get("n_kv_head", 0), model.get("head_dim", 0)]
        return {"protocol": PROTOCOL, **hello}, ()

    def op_state(self, r):
        return self.state(self.cache(r))

    def op_uncached(self, r):
        elapsed, logits = self.timed(self.subject.uncached, r["tokens"], r["first"])
        return {"elapsed_ns": elapsed}, logits

    def op_forward(self, r):
        cache = self.cache(r)
        elapsed, logits = self.timed(self.subject.forward, cache, r["tokens"], r["logits"] == "all")
        return {"elapsed_ns": elapsed, **self.state(cache)[0]}, logits

    def op_new(self, r):
        return self.adopt(self.subject.new(r["rows"], r["capacity"]))

    def op_clone(self, r):
        return self.adopt(self.subject.clone(self.cache(r), r["rows"], r["capacity"]))

    def op_free(self, r):
        self.subject.free(self.cache(r))
        del self.caches[r["cache"]]
        return {}, ()

    def op_read_slots(self, r):
        keys, values, *positions = self.subject.read_slots(self.cache(r), r["row"], r["layer"])
        tensors = {"keys": pack(keys), "values": pack(values)}
        for name, (dtype, shape, data) in tensors.items():
            if shape == [0]:  # an empty list knows nothing of heads
                tensors[name] = dtype, self.of_no_slot, data
        return {"positions": list(positions[0])} if positions else {}, list(tensors.items())

    def op_threads(self, r):
        self.subject.threads(r["threads"])
        return {}, ()

    def op_generate(self, r):
        return {"tokens": self.subject.generate(r["tokens"], r["rows"], r["max_tokens"])}, ()

    def op_ping(self, r):
        return {}, [("bytes", ("uint8", [r["bytes"]], bytes(r["bytes"])))]

    FIELDS = {"truncate": ["row", "length"], "reset": [], "retain": ["rows"], "reserve": ["capacity"], "poison": [],
              "perturb": ["row", "layer", "position", "tensor", "delta"]}

    def change(self, r):
        """truncate, reset, retain, reserve, poison, perturb: the method of that name with the request's other fields."""
        cache = self.cache(r)
        getattr(self.subject, r["op"])(cache, *(r[name] for name in self.FIELDS[r["op"]]))
        return self.state(cache)

    op_truncate = op_reset = op_retain = op_reserve = op_poison = op_perturb = change

    def answer(self, request):
        """(header, tensors) of the answer, errors included."""
        try:
            op = getattr(self, "op_" + request["op"], None)
            if op is None:
                raise NotImplementedError(f"unknown request {request['op']}")
            fields, tensors = op(request)
            return {"id": request["id"], **fields}, tensors
        except Exception as e:
            kinds = ((CapacityError, "capacity"), (NotImplementedError, "unsupported"), (ArgumentError, "argument"))
            kind = next((word for error, word in kinds if isinstance(e, error)), "failed")
            message = str(e)
            if kind == "failed":
                traceback.print_exc()
                frame = traceback.extract_tb(e.__traceback__)[-1]
                message = f"{type(e).__name__}: {e} ({os.path.basename(frame.filename)}, line {frame.lineno})"
            return {"id": request["id"], "error": {"kind": kind, "message": message}}, ()


def serve(make):
    """Makes the subject, make(), and answers requests until stdin ends. Whatever is printed meanwhile goes to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nobody else may read requests …
    os.dup2(2, 1)  # … or write between answers
    sys.stdout = sys.stderr
    server = Server(make())
    try:
        while (request := read_message(requests)) is not None:
            write_message(answers, *server.answer(request))
    except BrokenPipeError:  # nobody listens any more
        os._exit(0)
