#!/usr/bin/env python3
"""What `kvproof synthesize` writes, torch.load, json and tiktoken read: every tensor, the sizes, the tokenizer."""
import json
import math
import os
import pickle
import subprocess
import tempfile

import torch

KVPROOF = os.environ["KVPROOF"]

# generation -> (tensors that must be there, tensors that must not)
CASES = {
    "2025-10": (["lm_head.weight"], ["resid_lambdas", "smear_gate.weight"]),
    "2026-02": (["resid_lambdas", "value_embeds.1.weight"], ["smear_gate.weight"]),
    "head": (["smear_gate.weight", "smear_lambda", "backout_lambda", "transformer.h.3.attn.ve_gate.weight"], []),
}

for dtype in ("float32", "bfloat16"):
    for generation, (present, absent) in CASES.items():
        with tempfile.TemporaryDirectory() as scratch:
            base = os.path.join(scratch, "base")
            spec = f"d4,n_embd=64,n_head=4,n_kv_head=2,vocab_size=331,sequence_len=128,generation={generation},dtype={dtype},seed=3"
            subprocess.run([KVPROOF, "synthesize", spec, "--out", base, "--tag", "d4", "--step", "7"], check=True)
            folder = os.path.join(base, "base_checkpoints", "d4")
            tensors = torch.load(os.path.join(folder, "model_000007.pt"), weights_only=True)
            with open(os.path.join(folder, "meta_000007.json")) as f:
                config = json.load(f)["model_config"]
            assert (config["n_layer"], config["n_embd"], config["vocab_size"]) == (4, 64, 331), config
            assert tensors["transformer.wte.weight"].shape[1] == 64
            assert tensors["transformer.h.0.attn.c_k.weight"].shape == (32, 64)
            assert tensors["transformer.h.0.mlp.c_fc.weight"].dtype == getattr(torch, dtype)
            assert all(name in tensors for name in present), (generation, sorted(tensors))
            assert not any(name in tensors for name in absent), (generation, sorted(tensors))
            for name, tensor in tensors.items():  # hot: nothing is zero, nothing is broken
                assert torch.isfinite(tensor.float()).all() and tensor.float().abs().max() > 0, name
            with open(os.path.join(base, "tokenizer", "tokenizer.pkl"), "rb") as f:
                encoding = pickle.load(f)
            assert encoding.n_vocab == 331
            text = "Héllo wörld, 12 times 7?\n"
            ids = encoding.encode_ordinary(text)
            assert encoding.decode(ids) == text
            ours = json.loads(subprocess.run([KVPROOF, "tokenize", "--base-dir", base, "--text", text, "--format", "json"],
                                             check=True, capture_output=True, text=True).stdout)
            assert ours["ids"] == ids, (ours["ids"], ids)
            parameters = sum(math.prod(t.shape) for t in tensors.values())
            print(f"{generation} {dtype}: {len(tensors)} tensors, {parameters} elements, tokenizer of {encoding.n_vocab}")
