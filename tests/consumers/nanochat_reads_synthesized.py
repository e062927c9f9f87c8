#!/usr/bin/env python3
"""nanochat's own loader reads what `kvproof synthesize` writes, and its forward gives our logits.

NANOCHAT_SRC names a checkout of karpathy/nanochat; without it the test is skipped.
"""
import os
import subprocess
import sys
import tempfile
import types

if not os.environ.get("NANOCHAT_SRC"):
    print("skipped: set NANOCHAT_SRC to a checkout of karpathy/nanochat")
    sys.exit(77)

import numpy as np
import torch

KVPROOF = os.environ["KVPROOF"]
TOLERANCE = 2e-5

with tempfile.TemporaryDirectory() as base_parent:
    base = os.path.join(base_parent, "base")
    os.environ["NANOCHAT_BASE_DIR"] = base
    os.environ["NANOCHAT_DTYPE"] = "float32"
    sys.path.insert(0, os.environ["NANOCHAT_SRC"])
    sys.modules["rustbpe"] = types.ModuleType("rustbpe")  # trains tokenizers; nothing here does
    spec = "d4,n_embd=256,n_head=4,n_kv_head=2,vocab_size=331,sequence_len=512,seed=5"
    subprocess.run([KVPROOF, "synthesize", spec, "--out", base, "--tag", "d4"], check=True)

    from nanochat.checkpoint_manager import load_model

    model, tokenizer, meta = load_model("base", torch.device("cpu"), phase="eval")
    assert tokenizer.get_vocab_size() == 331
    ids = [(i * 37 + 5) % 331 for i in range(300)]  # past the window of 128
    with torch.inference_mode():
        theirs = model(torch.tensor([ids]))[0].float().numpy()
    for path in ("naive", "engine"):
        out = os.path.join(base_parent, path + ".npy")
        subprocess.run([KVPROOF, "logits", "--base-dir", base, "--prompt-tokens", ",".join(map(str, ids)), "--path", path,
                        "--out", out], check=True)
        worst = float(np.abs(np.load(out) - theirs).max())
        print(f"{path}: worst difference of logits {worst:.2e}")
        assert worst <= TOLERANCE, worst
