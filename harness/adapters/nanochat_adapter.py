#!/usr/bin/env python3
"""nanochat's own engine, driven over kvproof-subject/1: its model, its KVCache, its Engine, as the checkout has them.

    NANOCHAT_SRC=~/nanochat kvproof verify --reference both --base-dir ~/.cache/nanochat --source sft \\
        --subject "python3 nanochat_adapter.py --base-dir ~/.cache/nanochat --source sft"

Checkouts from October 2025 on, where their forward runs on the device. Weights and cache in float32 unless NANOCHAT_DTYPE says
otherwise (checkouts before March 2026 do not read it; they keep their rotary tables in bfloat16, on both paths).
"""
import argparse
import copy
import os
import sys

from kvproof_subject import ArgumentError, CapacityError, Subject, serve

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--base-dir", required=True, help="what nanochat calls NANOCHAT_BASE_DIR: checkpoints and tokenizer")
parser.add_argument("--source", default="sft", help="base, mid, sft or rl, as far as the checkout knows it")
parser.add_argument("--tag", help="model tag, d20; nanochat's own guess where it is left out")
parser.add_argument("--step", type=int)
parser.add_argument("--device", default="cpu")


class NoSpecials:
    """Stands in for Engine's tokenizer: no token ever stops a row or starts the calculator."""

    def encode_special(self, text):
        return -1

    def get_bos_token_id(self):
        return -1


class Nanochat(Subject):
    def __init__(self, args):
        os.environ["NANOCHAT_BASE_DIR"] = os.path.expanduser(args.base_dir)
        os.environ.setdefault("NANOCHAT_DTYPE", "float32")
        if not os.environ.get("NANOCHAT_SRC"):
            sys.exit("nanochat_adapter: set NANOCHAT_SRC to a checkout of karpathy/nanochat")
        sys.path.insert(0, os.environ["NANOCHAT_SRC"])
        global torch
        import torch
        from nanochat import common, engine
        from nanochat.checkpoint_manager import load_model

        torch.set_grad_enabled(False)
        self.device = torch.device(args.device)
        self.model, _, _ = load_model(args.source, self.device, phase="eval", model_tag=args.tag, step=args.step)
        if not hasattr(common, "COMPUTE_DTYPE"):
            # Before it there was autocast, and embeddings in bfloat16 among float32 weights; without autocast only one dtype works.
            for parameter in self.model.parameters():
                parameter.data = parameter.data.float()
        self.dtype = getattr(common, "COMPUTE_DTYPE", torch.float32)
        self.engine = engine.Engine(self.model, NoSpecials())
        self.KVCache = engine.KVCache
        self.flat = not hasattr(self.KVCache, "insert_kv")  # one tensor per K and V with lengths beside it, since January 2026

    def hello(self, dtype):
        config = self.model.config
        windows = [left if left >= 0 else None for left, _ in getattr(self.model, "window_sizes", [(-1, 0)] * config.n_layer)]
        return {
            "name": f"nanochat {os.path.basename(os.path.realpath(os.environ['NANOCHAT_SRC']))}",
            "dtype": str(self.dtype).removeprefix("torch."), "device": str(self.device), "threads": torch.get_num_threads(),
            "model": {"vocab_size": config.vocab_size, "n_layer": config.n_layer, "n_head": config.n_head,
                      "n_kv_head": config.n_kv_head, "head_dim": config.n_embd // config.n_head, "n_embd": config.n_embd,
                      "sequence_len": config.sequence_len, "max_positions": self.model.cos.size(1), "windows": windows},
            # Its forward has a branch for chunks behind a prefix; all rows stand at one position. A buffer of fixed size promises to
            # hold no more than that, so capacity_limit is claimed though nothing here refuses for nanochat; the older cache grows.
            "can": ["uncached", "all_logits", "batch", "chunks", "clone", "reset", "caches", "position_limit", "poison", "read_slots",
                    "perturb", "threads", "generate", "capacity_limit" if self.flat else "reserve"],
            # Engine.generate: one prefill, a copy for each row, one token at a time. With max_tokens its cache has exactly the room
            # that it needs. With max_tokens=None it has config.sequence_len slots and no end, but nothing in nanochat calls it so:
            # chunks and overflow are counted as what its own generation does not use.
            "generate_uses": ["batch", "clone"],
        }

    def uncached(self, tokens, first):
        # Later forwards refuse a single token without a cache: two of them, and what causality keeps from the second.
        ids = torch.tensor([tokens if len(tokens) > 1 else tokens * 2], device=self.device)
        return self.model(ids)[0, first:len(tokens)].float()

    def new(self, rows, capacity):
        config = self.model.config
        where = {"device": self.device, "dtype": self.dtype} if self.flat else {}
        return self.KVCache(batch_size=rows, num_heads=config.n_kv_head, seq_len=capacity, head_dim=config.n_embd // config.n_head,
                            num_layers=config.n_layer, **where)

    def lengths(self, cache):
        return cache.cache_seqlens.tolist() if self.flat else [cache.get_pos()] * cache.kv_shape[2]

    def capacity(self, cache):
        return cache.max_seq_len if self.flat else None

    def bytes(self, cache):
        return sum(tensor.nbytes for tensor in self.storage(cache))

    def storage(self, cache):
        """Keys and values, (L, B, slots, G, D) each; nothing before the older cache has seen a key."""
        if self.flat:
            return [cache.k_cache, cache.v_cache]
        return [] if cache.kv_cache is None else [cache.kv_cache[:, which].transpose(2, 3) for which in (0, 1)]

    def forward(self, cache, tokens, all_logits):
        try:
            logits = self.model(torch.tensor(tokens, device=self.device), kv_cache=cache).float()  # (B, T, V)
        except AssertionError as e:
            if "rotary" in str(e):
                raise CapacityError(str(e)) from e
            raise
        return logits.flatten(0, 1) if all_logits else logits[:, -1]

    def clone(self, cache, rows, capacity):
        if any(rows):
            raise ArgumentError(f"KVCache.prefill copies a cache of one row; asked for rows {rows}")
        clone = self.new(len(rows), capacity)
        if not self.flat and cache.kv_cache is not None:
            # The older prefill takes a source without a free slot only, and Engine has no other: its first cache is as long as the
            # prompt. The same here: a view of the slots held.
            cache = copy.copy(cache)
            cache.kv_cache = cache.kv_cache[..., :cache.pos, :]
        clone.prefill(cache)
        return clone

    def reset(self, cache):
        cache.reset()

    def reserve(self, cache, capacity):
        """The older cache makes room by itself, when a key comes that has none."""

    def poison(self, cache):
        for tensor in self.storage(cache):
            tensor[:, :, cache.get_pos():] = float("nan")

    def read_slots(self, cache, row, layer):
        return [tensor[layer, row, :cache.get_pos()].float() for tensor in self.storage(cache)] or ([], [])

    def perturb(self, cache, row, layer, position, tensor, delta):
        self.storage(cache)[tensor == "values"][layer, row, position] += delta

    def threads(self, threads):
        torch.set_num_threads(threads)

    def synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def generate(self, tokens, rows, max_tokens):
        columns = [column for column, _ in self.engine.generate(tokens, num_samples=rows, max_tokens=max_tokens, temperature=0.0)]
        return [list(row) for row in zip(*columns)]


if __name__ == "__main__":
    args = parser.parse_args()
    serve(lambda: Nanochat(args))
