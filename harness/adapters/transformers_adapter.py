#!/usr/bin/env python3
"""Any causal language model of Hugging Face transformers with any of its caches, driven over kvproof-subject/1.

    kvproof verify --subject "python3 transformers_adapter.py --model DIR"
    kvproof verify --subject "python3 transformers_adapter.py --tiny gpt2 --cache static"

--random is for timing: fresh weights, whose sizes are all that counts.

Caches: dynamic keeps everything in every layer; sliding drops in layers that slide what lies behind their window, as generate()
does; static has a fixed capacity; quantized keeps 8-bit floats, which no check of rounding will take for the same.
"""
import argparse
import copy
import inspect

import torch
import transformers
from kvproof_subject import CapacityError, Subject, serve
from transformers_model import TINY, computes_in_float64, learned_positions, load, random_nanochat, windows


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", help="folder or hub id")
    which.add_argument("--tiny", choices=TINY, help="a small model of this family with random weights")
    which.add_argument("--random", metavar="nanochat:dN[,vocab_size=V]", help="a NanoChat of nanochat's sizes at depth N, fresh weights")
    parser.add_argument("--seed", type=int, default=1, help="of the weights of --tiny and --random")
    parser.add_argument("--cache", choices=["dynamic", "sliding", "static", "quantized"], default="dynamic")
    parser.add_argument("--dtype", default="float32", help="what runs where kvproof asks for no other")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


class Held:
    """A transformers cache and what it does not know before its first forward."""

    def __init__(self, cache, rows):
        self.cache, self.rows = cache, rows


class Transformers(Subject):
    def __init__(self, args):
        torch.set_grad_enabled(False)
        self.args = args
        self.model = (random_nanochat(args.random, args.seed) if args.random else load(args.model, args.tiny, args.seed)).to(args.device)
        self.config = self.model.config.get_text_config()
        exact = ["float64"] if not args.random and computes_in_float64(self.model) else []
        # What generate() asks for: the logits of the last position alone, of models that can leave out the others.
        keeps = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        self.last = {"logits_to_keep": 1} if keeps else {}
        self.dtypes = sorted({args.dtype, "float32", *exact})
        self.model = self.model.to(getattr(torch, args.dtype))
        self.positions, self.windows = learned_positions(self.model), windows(self.config)

    def hello(self, dtype):
        if dtype:
            self.model = self.model.to(getattr(torch, dtype))
        c = self.config
        can = ["uncached", "all_logits", "batch", "chunks", "reset", "caches", "threads", "generate"]
        if self.args.cache in ("dynamic", "sliding"):
            can += ["clone", "gather", "retain"]
            if self.args.cache == "dynamic" or not any(self.windows):  # a layer that has dropped keys cannot go back
                can += ["truncate"]
        if self.args.cache == "static":  # no poison: it reads all slots and masks, so they have to hold numbers
            can += ["capacity_limit"]
        if self.args.cache != "quantized":
            can += ["read_slots", "perturb"]
        if self.positions:
            can += ["position_limit"]
        heads = c.num_attention_heads
        return {
            "name": f"transformers {transformers.__version__} {c.model_type}, {self.args.cache} cache",
            "dtype": str(self.model.dtype).removeprefix("torch."), "device": str(self.model.device),
            "threads": torch.get_num_threads(), "dtypes": self.dtypes, "can": can, "generate_uses": ["batch"],
            "model": {"vocab_size": c.vocab_size, "n_layer": c.num_hidden_layers, "n_head": heads,
                      "n_kv_head": getattr(c, "num_key_value_heads", None) or heads,
                      "head_dim": getattr(c, "head_dim", None) or c.hidden_size // heads, "n_embd": c.hidden_size,
                      "sequence_len": c.max_position_embeddings, "windows": self.windows,
                      **({"max_positions": self.positions} if self.positions else {})},
        }

    def ids(self, rows):
        return torch.tensor(rows, device=self.model.device)

    def uncached(self, tokens, first):
        return self.model(self.ids([tokens]), use_cache=False).logits[0, first:]

    def make_cache(self, capacity):
        kind, config = self.args.cache, self.model.config
        if kind == "static":
            return transformers.StaticCache(config=config, max_cache_len=capacity)
        if kind == "quantized":
            return transformers.QuantizedCache("fp8", config)
        return transformers.DynamicCache(config=config) if kind == "sliding" else transformers.DynamicCache()

    def new(self, rows, capacity):
        return Held(self.make_cache(capacity), rows)

    def lengths(self, held):
        return [int(held.cache.get_seq_length())] * held.rows

    def capacity(self, held):
        return max(layer.max_cache_len for layer in held.cache.layers) if self.args.cache == "static" else None

    def bytes(self, held):
        return sum(t.nbytes for layer in held.cache.layers for t in (layer.keys, layer.values) if t is not None)

    def forward(self, held, tokens, all_logits):
        kept = {} if all_logits else self.last
        try:  # positions are left to the model, which asks its cache
            logits = self.model(self.ids(tokens), past_key_values=held.cache, use_cache=True, **kept).logits
        except IndexError as e:  # a static cache's slots, or a table of positions, are at their end
            raise CapacityError(str(e)) from e
        return logits.flatten(0, 1) if all_logits else logits[:, -1]

    def clone(self, held, rows, capacity):
        clone = Held(copy.deepcopy(held.cache), len(rows))
        if held.rows == 1:
            clone.cache.batch_repeat_interleave(len(rows))
        else:
            clone.cache.batch_select_indices(self.ids(rows))
        return clone

    def retain(self, held, rows):
        held.cache.batch_select_indices(self.ids(rows))
        held.rows = len(rows)

    def truncate(self, held, row, length):
        held.cache.crop(-(int(held.cache.get_seq_length()) - length))  # a negative number is what goes, in all versions

    def reset(self, held):
        held.cache.reset()

    def kept(self, held, layer):
        """(keys, values, the positions that they belong to): a layer that slides has the last ones"""
        keys, values = held.cache.layers[layer].keys, held.cache.layers[layer].values  # (B, G, slots, D)
        n = int(held.cache.get_seq_length())
        count = min(n, keys.shape[2])
        return keys[:, :, :count], values[:, :, :count], range(n - count, n)

    def read_slots(self, held, row, layer):
        if held.cache.get_seq_length() == 0:  # there are no tensors yet
            return [], []
        keys, values, positions = self.kept(held, layer)
        return keys[row].transpose(0, 1), values[row].transpose(0, 1), positions

    def perturb(self, held, row, layer, position, tensor, delta):
        keys, values, positions = self.kept(held, layer)
        (keys if tensor == "keys" else values)[row, :, positions.index(position)] += delta

    def threads(self, threads):
        torch.set_num_threads(threads)

    def synchronize(self):
        if self.model.device.type == "cuda":
            torch.cuda.synchronize(self.model.device)

    def generate(self, tokens, rows, max_tokens):
        ids = self.ids([tokens] * rows)
        out = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=max_tokens, pad_token_id=0,
                                  past_key_values=self.make_cache(len(tokens) + max_tokens))
        return out[:, len(tokens):].tolist()


if __name__ == "__main__":
    options = arguments()
    serve(lambda: Transformers(options))
