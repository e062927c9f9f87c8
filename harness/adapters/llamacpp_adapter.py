#!/usr/bin/env python3
"""llama.cpp's memory of keys and values, through the low-level calls of llama-cpp-python 0.3.36, driven over kvproof-subject/1.

    kvproof verify --subject "python3 llamacpp_adapter.py --model FILE.gguf"
    kvproof verify --subject "python3 llamacpp_adapter.py --tiny --kv f32 --flash-attn on"

One context; a cache is a set of its sequences, copied by llama_memory_seq_cp and shortened by llama_memory_seq_rm. llama.cpp has no
forward without that memory: `uncached` is one llama_decode of the whole text in a second context that is empty. It has no
generation loop either (programs on top have), so `generate` is left out.
"""
import argparse
import contextlib
import os
import tempfile
import time

import llama_cpp as ll
import numpy as np
from kvproof_subject import ArgumentError, CapacityError, Subject, serve
from llamacpp_tiny import write_tiny

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
which = parser.add_mutually_exclusive_group(required=True)
which.add_argument("--model", help="GGUF file")
which.add_argument("--tiny", action="store_true", help="a small llama with random float32 weights")
parser.add_argument("--seed", type=int, default=1, help="of --tiny's weights")
parser.add_argument("--kv", choices=["f32", "f16"], default="f16", help="dtype of keys and values; f16 is llama.cpp's default")
parser.add_argument("--flash-attn", choices=["off", "on"], default="off")
parser.add_argument("--split", action="store_true", help="a buffer for each sequence (kv_unified = false) instead of one for all")
parser.add_argument("--context", type=int, default=8192, help="slots of the context, for all sequences together")
parser.add_argument("--ubatch", type=int, help="tokens of one graph; all that a context holds where it is left out")
parser.add_argument("--sequences", type=int, default=32, help="rows of all caches together")
parser.add_argument("--threads", type=int, default=1)


class LlamaCpp(Subject):
    def __init__(self, args):
        self.args = args
        with contextlib.ExitStack() as stack:
            path = args.model
            if args.tiny:
                path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "tiny.gguf")
                write_tiny(path, args.seed)
            params = ll.llama_model_default_params()
            params.n_gpu_layers = 0
            params.use_mmap = not args.tiny
            self.model = ll.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise SystemExit(f"llamacpp_adapter: llama.cpp cannot load {path}")
        self.vocab = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(self.model))
        self.context = self.make_context(args.sequences)
        self.memory = ll.llama_get_memory(self.context)
        self.reference = None  # made when `uncached` first asks for it: a context of a large model takes gigabytes
        self.elapsed_ns = None
        self.unused = set(range(args.sequences))
        # What keys and values are rounded to: flash attention takes them as float16 whatever the cache holds.
        self.rounding = "float16" if args.kv == "f16" or args.flash_attn == "on" else "float32"

    def make_context(self, sequences):
        params = ll.llama_context_default_params()
        params.n_ctx = self.args.context * (sequences if self.args.split else 1)
        params.n_batch = params.n_ctx
        params.n_ubatch = self.args.ubatch or self.args.context  # a chunk is one graph
        params.n_seq_max = sequences
        params.kv_unified = not self.args.split
        params.n_threads = params.n_threads_batch = self.args.threads
        params.type_k = params.type_v = {"f32": 0, "f16": 1}[self.args.kv]  # GGML_TYPE_F32, GGML_TYPE_F16
        params.flash_attn_type = {"off": 0, "on": 1}[self.args.flash_attn]
        context = ll.llama_init_from_model(self.model, params)
        if not context:
            raise SystemExit("llamacpp_adapter: llama.cpp makes no context of these options")
        return context

    def hello(self, dtype):
        n = {name: getattr(ll, "llama_model_" + name)(self.model) for name in ("n_layer", "n_head", "n_head_kv", "n_embd", "n_ctx_train")}
        return {
            "name": f"llama.cpp (llama-cpp-python {ll.__version__}), {self.args.kv} cache, flash attention {self.args.flash_attn}",
            "backend": ll.llama_print_system_info().decode().strip(" |\n"),
            "dtype": self.rounding, "device": "cpu", "threads": self.args.threads,
            # No max_positions: positions are numbers, and what runs out are the context's slots. No windows: the calls do not tell
            # which layers slide.
            "model": {"vocab_size": self.vocab, "n_layer": n["n_layer"], "n_head": n["n_head"], "n_kv_head": n["n_head_kv"],
                      "head_dim": n["n_embd"] // n["n_head"], "n_embd": n["n_embd"], "sequence_len": n["n_ctx_train"]},
            "can": ["uncached", "all_logits", "batch", "uneven", "chunks", "clone", "gather", "truncate", "truncate_row", "reset",
                    "retain", "caches", "threads"],
        }

    def decode(self, context, rows, wanted):
        """rows: (sequence, first position, tokens) of each; wanted: "last" or "all". returns logits, row after row"""
        total = sum(len(tokens) for _, _, tokens in rows)
        batch = ll.llama_batch_init(total, 0, 1)
        try:
            outputs = []
            for sequence, start, tokens in rows:
                for t, token in enumerate(tokens):
                    i = batch.n_tokens
                    batch.token[i], batch.pos[i] = token, start + t
                    batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
                    batch.logits[i] = wanted == "all" or t == len(tokens) - 1
                    outputs += [i] if batch.logits[i] else []
                    batch.n_tokens += 1
            # The clock that llama-bench has: the call and its end, not the batch that Python fills token by token.
            start = time.perf_counter_ns()
            status = ll.llama_decode(context, batch)
            ll.llama_synchronize(context)
            self.elapsed_ns = time.perf_counter_ns() - start
        finally:
            ll.llama_batch_free(batch)
        if status == 1:
            raise CapacityError(f"llama_decode found no room for {total} more tokens in {self.args.context} slots")
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return np.stack([np.ctypeslib.as_array(ll.llama_get_logits_ith(context, i), (self.vocab,)).copy() for i in outputs])

    def own_elapsed_ns(self):
        return self.elapsed_ns

    def uncached(self, tokens, first):
        self.reference = self.reference or self.make_context(1)
        ll.llama_memory_clear(ll.llama_get_memory(self.reference), True)
        return self.decode(self.reference, [(0, 0, tokens)], "all")[first:]

    def take(self, rows):
        if rows > len(self.unused):
            raise ArgumentError(f"{rows} more rows than --sequences {self.args.sequences} leaves; {len(self.unused)} are unused")
        return [self.unused.pop() for _ in range(rows)]

    def drop(self, sequences):
        for sequence in sequences:
            ll.llama_memory_seq_rm(self.memory, sequence, -1, -1)
        self.unused |= set(sequences)

    def new(self, rows, capacity):
        """A list of sequences; capacity is not promised to any of them, so none is reported."""
        return self.take(rows)

    def free(self, cache):
        self.drop(cache)

    def lengths(self, cache):
        return [ll.llama_memory_seq_pos_max(self.memory, sequence) + 1 for sequence in cache]

    def forward(self, cache, tokens, all_logits):
        return self.decode(self.context, list(zip(cache, self.lengths(cache), tokens)), "all" if all_logits else "last")

    def clone(self, cache, rows, capacity):
        copy = self.take(len(rows))
        for to, row in zip(copy, rows):
            ll.llama_memory_seq_cp(self.memory, cache[row], to, -1, -1)
        return copy

    def retain(self, cache, rows):
        kept = [cache[row] for row in rows]
        self.drop(set(cache) - set(kept))
        cache[:] = kept

    def truncate(self, cache, row, length):
        for sequence in cache if row is None else [cache[row]]:
            if not ll.llama_memory_seq_rm(self.memory, sequence, length, -1):
                raise NotImplementedError("llama_memory_seq_rm: this memory cannot forget a part of a sequence")

    def reset(self, cache):
        for sequence in cache:
            ll.llama_memory_seq_rm(self.memory, sequence, -1, -1)

    def threads(self, threads):
        self.args.threads = threads
        for context in filter(None, (self.context, self.reference)):
            ll.llama_set_n_threads(context, threads, threads)


if __name__ == "__main__":
    options = parser.parse_args()
    serve(lambda: LlamaCpp(options))
