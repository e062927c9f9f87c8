#!/usr/bin/env python3
"""An adapter to start from; it runs as it is, on the engine in tiny_engine.py.

    kvproof verify --subject "python3 adapter_skeleton.py"

Copy this file and kvproof_subject.py, call your engine where this calls `self.engine`, and keep in `can` only the words that you
have filled in: hello, uncached, new, lengths and forward are enough to begin with.
"""
import math

import tiny_engine as tiny
from kvproof_subject import CapacityError, Subject, serve


class Skeleton(Subject):
    def __init__(self):
        self.engine = tiny.Engine()

    def hello(self, dtype):
        """returns a dict: who runs what. Every field stands in PROTOCOL.md; dtype is None or one of `dtypes`, to run in"""
        return {
            "name": "skeleton", "dtype": "float64", "device": "cpu", "threads": 1, "dtypes": ["float64"],
            "model": {"vocab_size": tiny.V, "n_layer": tiny.L, "n_head": tiny.H, "n_kv_head": tiny.G, "head_dim": tiny.D,
                      "n_embd": tiny.C, "max_positions": tiny.MAX_POSITIONS, "windows": tiny.WINDOWS},
            "can": ["uncached", "all_logits", "batch", "uneven", "chunks", "clone", "gather", "truncate", "truncate_row", "reset",
                    "reserve", "retain", "caches", "capacity_limit", "position_limit", "poison", "read_slots", "perturb", "generate"],
            "generate_uses": ["batch", "clone"],
        }

    # The least: a cache of one row, a prompt, then one token at a time.

    def uncached(self, tokens, first):
        """returns logits (n - first, V) of positions first … n - 1, computed without any cache"""
        return self.engine.uncached(tokens, first)

    def new(self, rows, capacity):
        """returns any object that is a cache of `rows` empty rows for `capacity` tokens each"""
        return tiny.Cache(rows, capacity)

    def lengths(self, cache):
        """returns a list: how many positions each row holds, as your engine counts them"""
        return cache.lengths

    def capacity(self, cache):
        """returns how many a row can hold; None where a cache grows by itself"""
        return cache.capacity

    def bytes(self, cache):
        """returns the memory of all keys and values; None where that is not known"""
        return 2 * len(cache.lengths) * tiny.L * cache.capacity * tiny.G * tiny.D * 8

    def forward(self, cache, tokens, all_logits):
        """tokens: a list of new ids for each row. returns logits (B, V) of each row's last, or of all of them, (ΣT, V).
        CapacityError: they do not fit, and nothing has changed"""
        try:
            return self.engine.forward(cache, tokens, all_logits)
        except tiny.Full as e:
            raise CapacityError(str(e)) from e

    # Each further method is a word in `can`.

    def clone(self, cache, rows, capacity):
        """returns a new cache whose row i is a copy of row rows[i]; the two share nothing"""
        copy = self.new(len(rows), capacity)
        try:
            for to, source in enumerate(rows):
                cache.copy_row(source, to, copy)
        except tiny.Full as e:
            raise CapacityError(str(e)) from e
        return copy

    def truncate(self, cache, row, length):
        """The row (all of them: None) forgets what lies behind its first `length` positions. returns nothing"""
        for r in range(len(cache.lengths)) if row is None else [row]:
            cache.lengths[r] = min(cache.lengths[r], length)

    def reset(self, cache):
        """The cache is as good as new. returns nothing"""
        cache.lengths = [0] * len(cache.lengths)

    def retain(self, cache, rows):
        """Of the rows only these stay, in this order. returns nothing"""
        cache.lengths, cache.keys, cache.values = ([of[row] for row in rows] for of in (cache.lengths, cache.keys, cache.values))

    def reserve(self, cache, capacity):
        """There is room for `capacity` tokens from now on; what is held stays. returns nothing"""
        for row_slots in cache.keys + cache.values:
            for slots in row_slots:
                slots += [[0.0] * (tiny.G * tiny.D)] * (capacity - cache.capacity)
        cache.capacity = max(cache.capacity, capacity)

    def poison(self, cache):
        """What no position holds becomes NaN, so that reading it shows. returns nothing"""
        for n, keys, values in zip(cache.lengths, cache.keys, cache.values):
            for slots in keys + values:
                slots[n:] = [[math.nan] * (tiny.G * tiny.D)] * (cache.capacity - n)

    def read_slots(self, cache, row, layer):
        """returns (keys, values) of the n positions held, each (n, G, D)"""
        n = cache.lengths[row]
        return tuple([tiny.heads(slot) for slot in of[row][layer][:n]] for of in (cache.keys, cache.values))

    def perturb(self, cache, row, layer, position, tensor, delta):
        """Each number of that key or value grows by delta. returns nothing"""
        slots = (cache.keys if tensor == "keys" else cache.values)[row][layer]
        slots[position] = [number + delta for number in slots[position]]

    def generate(self, tokens, rows, max_tokens):
        """returns for each row the ids that your own loop puts behind the prompt: one prefill, a copy for each row, then decode"""
        prompt = self.new(1, len(tokens) + max_tokens)
        logits = self.forward(prompt, [tokens], False) * rows
        cache = self.clone(prompt, [0] * rows, prompt.capacity)
        out = [[] for _ in range(rows)]
        for step in range(max_tokens):
            for row in range(rows):
                out[row].append(logits[row].index(max(logits[row])))
            if step + 1 < max_tokens:
                logits = self.forward(cache, self.next_tokens(out), False)
        return out

    def next_tokens(self, out):
        return [row[-1:] for row in out]


if __name__ == "__main__":
    serve(Skeleton)
