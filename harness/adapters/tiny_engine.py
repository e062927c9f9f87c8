"""The engine behind adapter_skeleton.py, in your engine's place: a tiny GPT with a KV cache in plain Python, in float64.

RMS norm, rotary positions, grouped-query attention, a sliding window in the first layer, MLP with squared ReLU; deterministic random
weights, large enough that every cached number moves the logits. `uncached` and `forward` are two code paths over the same weights:
an uncached path that goes through the cache would prove nothing.
"""
import math
import random
from operator import mul

V, C, H, G, D, L, FF = 31, 8, 4, 2, 2, 2, 12  # vocabulary, channels, heads, kv heads, head size, layers, MLP
WINDOWS = [6, None]  # positions back that a token sees in each layer; None: all
MAX_POSITIONS = 64


class Full(Exception):
    """More tokens than the cache, or more positions than the model, can hold."""


def dot(a, b):
    return sum(map(mul, a, b))


def linear(weight, x):
    return [sum(map(mul, row, x)) for row in weight]


def norm(x):
    scale = 1 / math.sqrt(dot(x, x) / len(x) + 1e-6)
    return [scale * number for number in x]


def rotate(x, position):
    """Heads side by side; with D = 2 each head is one pair."""
    c, s = math.cos(0.7 * position), math.sin(0.7 * position)
    return [number for i in range(0, len(x), 2) for number in (x[i] * c - x[i + 1] * s, x[i] * s + x[i + 1] * c)]


def attend(q, keys, values):
    """One head: q (D), keys and values (n, D) -> (D)"""
    scores = [dot(q, key) / math.sqrt(D) for key in keys]
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    return [dot(weights, column) / total for column in zip(*values)]


def heads(x):
    return [x[i:i + D] for i in range(0, len(x), D)]


class Cache:
    def __init__(self, rows, capacity):
        self.capacity = capacity
        self.lengths = [0] * rows
        # [row][layer][slot]: the G * D numbers of a key or value. A slot is replaced, never changed in place.
        self.keys, self.values = ([[[[0.0] * (G * D)] * capacity for _ in range(L)] for _ in range(rows)] for _ in range(2))

    def copy_row(self, source, to, copy):
        """Row `source` becomes row `to` of the cache `copy`."""
        n = self.lengths[source]
        if n > copy.capacity:
            raise Full(f"row {source} holds {n} positions, the copy's capacity is {copy.capacity}")
        copy.lengths[to] = n
        for i in range(L):
            copy.keys[to][i][:n] = self.keys[source][i][:n]
            copy.values[to][i][:n] = self.values[source][i][:n]


class Engine:
    def __init__(self, seed=1):
        rng = random.Random(seed)

        def matrix(rows, columns, gain):
            return [[rng.gauss(0, gain / math.sqrt(columns)) for _ in range(columns)] for _ in range(rows)]

        self.wte = matrix(V, C, math.sqrt(C))
        self.layers = [{"q": matrix(H * D, C, 1.5), "k": matrix(G * D, C, 1.5), "v": matrix(G * D, C, 1.5), "o": matrix(C, H * D, 1.5),
                        "up": matrix(FF, C, 1.0), "down": matrix(C, FF, 1.0)} for _ in range(L)]
        self.lm_head = matrix(V, C, 2.0)

    def qkv(self, layer, x, position):
        """x (C) -> query (H * D) and key (G * D), both rotated, and value (G * D)"""
        x = norm(x)
        return rotate(linear(layer["q"], x), position), rotate(linear(layer["k"], x), position), linear(layer["v"], x)

    def finish(self, layer, x, y):
        """The rest of a layer behind attention's output y (H * D)."""
        x = [a + b for a, b in zip(x, linear(layer["o"], y))]
        hidden = [max(0.0, number) ** 2 for number in linear(layer["up"], norm(x))]
        return [a + b for a, b in zip(x, linear(layer["down"], hidden))]

    def logits(self, x):
        return linear(self.lm_head, norm(x))

    def uncached(self, tokens, first):
        """Logits (n - first, V) of the n tokens' positions from `first` on, everything computed again."""
        xs = [self.wte[token] for token in tokens]
        for layer, window in zip(self.layers, WINDOWS):
            q, k, v = zip(*(self.qkv(layer, x, position) for position, x in enumerate(xs)))
            q, k, v = ([heads(x) for x in of_all] for of_all in (q, k, v))  # (n, heads, D)
            for i in range(len(xs)):
                seen = range(0 if window is None else max(0, i - window), i + 1)
                y = [attend(q[i][h], [k[j][h * G // H] for j in seen], [v[j][h * G // H] for j in seen]) for h in range(H)]
                xs[i] = self.finish(layer, xs[i], sum(y, []))
        return [self.logits(x) for x in xs[first:]]

    def forward(self, cache, tokens, all_logits):
        """Appends tokens[b] to row b. returns logits of each row's last new token, (B, V), or of all, (ΣT, V)"""
        self.refuse_overflow(cache, tokens)
        logits = []
        for row, new in enumerate(tokens):
            xs = self.append(cache, row, new)
            logits += [self.logits(x) for x in (xs if all_logits else xs[-1:])]
        return logits

    def refuse_overflow(self, cache, tokens):
        for row, (length, new) in enumerate(zip(cache.lengths, tokens)):
            if length + len(new) > min(cache.capacity, MAX_POSITIONS):
                raise Full(f"row {row} holds {length}, {len(new)} more exceed its {cache.capacity} slots or {MAX_POSITIONS} positions")

    def append(self, cache, row, new):
        """Puts the new tokens' keys and values into the row's next slots. returns (T, C), what the last layer gives"""
        start = cache.lengths[row]
        positions = self.positions(cache, start, len(new))
        xs = [self.wte[token] for token in new]
        for i, layer in enumerate(self.layers):
            q, k, v = zip(*(self.qkv(layer, x, position) for position, x in zip(positions, xs)))
            self.store(cache, row, i, start, k, v)
            for t in range(len(xs)):
                seen = self.visible(cache, i, start, t, len(new))
                keys, values = cache.keys[row][i][seen], cache.values[row][i][seen]
                y = []
                for h in range(H):
                    at = slice(self.kv_head(h) * D, (self.kv_head(h) + 1) * D)
                    y += attend(q[t][h * D:(h + 1) * D], [key[at] for key in keys], [value[at] for value in values])
                xs[t] = self.finish(layer, xs[t], y)
        cache.lengths[row] = start + len(new)
        return xs

    def positions(self, cache, start, count):
        return range(start, start + count)

    def store(self, cache, row, layer, start, keys, values):
        cache.keys[row][layer][start:start + len(keys)] = keys
        cache.values[row][layer][start:start + len(values)] = values

    def visible(self, cache, layer, start, t, count):
        """The slots that token t of `count` new ones behind `start` held ones sees."""
        window = WINDOWS[layer]
        return slice(0 if window is None else max(0, start + t - window), start + t + 1)

    def kv_head(self, h):
        return h * G // H
