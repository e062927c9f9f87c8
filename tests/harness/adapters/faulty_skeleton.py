#!/usr/bin/env python3
"""The skeleton adapter with one thing broken, so that kvproof can be seen to find it.

    faulty_skeleton.py --fault NAME    answers requests
    faulty_skeleton.py --list-faults   NAME<TAB>class of each; class: what is broken, "protocol" where the adapter lies or dies,
                                       "none" where nothing is broken
"""
import array
import functools
import math
import os
import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "harness/adapters"))
channel = os.dup(1)  # the real one; serve() takes descriptor 1 away

import tiny_engine as tiny
from adapter_skeleton import Skeleton
from kvproof_subject import serve

FAULTS = {}  # name -> (class, [(of the subject or its engine, method's name, what replaces it)])


def fault(name, kind, of):
    """The function replaces the method of its name; its first argument is the method replaced. A fault may replace several."""
    def plant(function):
        FAULTS.setdefault(name, (kind, []))[1].append((of, function.__name__, function))
        return function
    return plant


def faulty(name):
    subject = Skeleton()
    for of, method, function in FAULTS[name][1]:
        target = subject.engine if of == "engine" else subject
        setattr(target, method, functools.partial(function, getattr(target, method)))
    return subject


# Positions

@fault("position-off-by-one-in-decode", "position", of="engine")
def positions(real, cache, start, count):
    return [start + 1] if start and count == 1 else real(cache, start, count)


@fault("position-restarts-per-chunk", "position", of="engine")
def positions(real, cache, start, count):
    return range(count)


@fault("reset-leaves-positions", "position", of="subject")
def reset(real, cache):
    """The counter that decode rotates by goes on from where it was."""
    cache.left_over = getattr(cache, "left_over", 0) + max(cache.lengths)
    real(cache)


@fault("reset-leaves-positions", "position", of="engine")
def positions(real, cache, start, count):
    return [start + getattr(cache, "left_over", 0)] if start and count == 1 else real(cache, start, count)


# What is stored

@fault("key-stored-as-value", "cache write", of="engine")
def store(real, cache, row, layer, start, keys, values):
    real(cache, row, layer, start, keys, keys)


@fault("last-value-of-a-chunk-dropped", "cache write", of="engine")
def store(real, cache, row, layer, start, keys, values):
    real(cache, row, layer, start, keys, values[:-1] if len(values) > 1 else values)


@fault("keys-rounded-to-float32", "precision", of="engine")
def store(real, cache, row, layer, start, keys, values):
    real(cache, row, layer, start, [list(array.array("f", key)) for key in keys], values)


# What is seen

@fault("window-ignored-in-decode", "window", of="engine")
def visible(real, cache, layer, start, t, count):
    return slice(0, start + 1) if start and count == 1 else real(cache, layer, start, t, count)


@fault("window-one-wider", "window", of="engine")
def visible(real, cache, layer, start, t, count):
    seen = real(cache, layer, start, t, count)
    return slice(max(0, seen.start - 1), seen.stop)


@fault("window-one-narrower", "window", of="engine")
def visible(real, cache, layer, start, t, count):
    seen = real(cache, layer, start, t, count)
    return slice(seen.start + 1 if seen.start else 0, seen.stop)


@fault("chunk-not-causal", "mask", of="engine")
def visible(real, cache, layer, start, t, count):
    return slice(real(cache, layer, start, t, count).start, start + count)


@fault("stale-slot-read", "key range", of="engine")
def visible(real, cache, layer, start, t, count):
    """One slot behind what is held: zeros, or what a longer text left there."""
    seen = real(cache, layer, start, t, count)
    return slice(seen.start, min(seen.stop + 1, cache.capacity)) if count == 1 else seen


@fault("kv-heads-tiled", "head map", of="engine")
def kv_head(real, h):
    return h % tiny.G


# Copies and lengths

@fault("clone-aliases-its-source", "clone", of="subject")
def clone(real, cache, rows, capacity):
    copy = real(cache, rows, capacity)
    for to, source in enumerate(rows):
        for slots in cache.keys[source] + cache.values[source]:
            slots += [[0.0] * (tiny.G * tiny.D)] * (capacity - len(slots))
        copy.keys[to], copy.values[to] = cache.keys[source], cache.values[source]
    return copy


@fault("clone-copies-row-0-only", "clone", of="subject")
def clone(real, cache, rows, capacity):
    copy = real(cache, rows, capacity)
    empty = tiny.Cache(len(rows), capacity)
    copy.keys[1:], copy.values[1:] = empty.keys[1:], empty.values[1:]
    return copy


@fault("clone-one-position-short", "clone", of="subject")
def clone(real, cache, rows, capacity):
    copy = real(cache, rows, capacity)
    copy.lengths = [max(0, length - 1) for length in copy.lengths]
    return copy


@fault("truncate-leaves-the-length", "truncate", of="subject")
def truncate(real, cache, row, length):
    pass


@fault("batch-rows-swapped", "row", of="subject")
def forward(real, cache, tokens, all_logits):
    logits = real(cache, tokens, all_logits)
    return logits[1::-1] + logits[2:] if len(tokens) > 1 else logits


# Room

@fault("overflow-silently-dropped", "capacity", of="engine")
def append(real, cache, row, new):
    fits = new[:cache.capacity - cache.lengths[row]]
    xs = real(cache, row, fits) if fits else []
    return xs + [[1.0] * tiny.C] * (len(new) - len(fits))


@fault("overflow-silently-dropped", "capacity", of="engine")
@fault("overflow-accepted", "capacity", of="engine")
def refuse_overflow(real, cache, tokens):
    """Positions end all the same."""
    real(types.SimpleNamespace(lengths=cache.lengths, capacity=tiny.MAX_POSITIONS), tokens)


# Its own loop

@fault("generate-feeds-the-token-before", "generation", of="subject")
def next_tokens(real, out):
    return [row[-2:-1] or row for row in out]


# Lies and deaths

@fault("logits-of-another-shape", "protocol", of="subject")
def forward(real, cache, tokens, all_logits):
    return [row[:-1] for row in real(cache, tokens, all_logits)]


@fault("lengths-wrong", "state", of="subject")
def lengths(real, cache):
    return [length + (length > 5) for length in real(cache)]


@fault("writes-between-the-messages", "protocol", of="subject")
def forward(real, cache, tokens, all_logits):
    os.write(channel, b"computing ...\n")
    return real(cache, tokens, all_logits)


@fault("dies-in-forward", "protocol", of="subject")
def forward(real, cache, tokens, all_logits):
    print("about to die", file=sys.stderr, flush=True)
    os._exit(3)


@fault("hangs-in-forward", "protocol", of="subject")
def forward(real, cache, tokens, all_logits):
    time.sleep(3600)


@fault("raises-in-forward", "protocol", of="subject")
def forward(real, cache, tokens, all_logits):
    raise RuntimeError("out of luck")


@fault("logits-are-nan", "logits", of="subject")
def forward(real, cache, tokens, all_logits):
    return [[math.nan] * tiny.V for _ in real(cache, tokens, all_logits)]


# Harmless

@fault("prints-much", "none", of="subject")
def forward(real, cache, tokens, all_logits):
    print("progress", tokens)
    os.write(1, b"from below\n")
    return real(cache, tokens, all_logits)


if __name__ == "__main__":
    if sys.argv[1:] == ["--list-faults"]:
        print("\n".join(f"{name}\t{kind}" for name, (kind, _) in FAULTS.items()))
    elif len(sys.argv) == 3 and sys.argv[1] == "--fault" and sys.argv[2] in FAULTS:
        serve(lambda: faulty(sys.argv[2]))
    else:
        sys.exit(f"usage: {sys.argv[0]} --list-faults | --fault NAME, one of: {', '.join(FAULTS)}")
