#!/usr/bin/env python3
"""kvproof verify on nanochat's own engine, at commits whose bugs are known.

NANOCHAT_SRC names a clone of karpathy/nanochat with its history; without it the test is skipped.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/harness/adapters"))
ADAPTER = ROOT / "harness/adapters/nanochat_adapter.py"

if not os.environ.get("NANOCHAT_SRC"):
    print("skipped: set NANOCHAT_SRC to a clone of karpathy/nanochat")
    sys.exit(77)

from verdict import command, kinds, verify

CHUNKS = {"chunks", "batch_chunks", "causality"}  # kinds of scenarios that put several tokens behind others
OVERFLOW = {"capacity", "overflow", "overflow_chunk", "overflow_rows", "rotary", "rotary_end"}  # that ask for more than there is room for

def check_out(commit, folder):
    """returns whether the clone has it"""
    git = ["git", "-C", os.environ["NANOCHAT_SRC"]]
    archive = subprocess.run([*git, "archive", commit, "nanochat"], capture_output=True)
    if archive.returncode == 0:
        folder.mkdir()
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return archive.returncode == 0


def verify_commit(commit, base, scratch, *flags):
    """The verdict on that commit's engine, held against its own uncached forward and against ours."""
    source = Path(scratch) / commit.replace("~", "-")
    if not check_out(commit, source):
        print(f"not there: {commit}")
        return None
    return verify(command(ADAPTER, "--base-dir", base, "--source", "base"), "--base-dir", base, "--source", "base", *flags,
                  environment={"NANOCHAT_SRC": str(source)})


def synthesize(scratch, generation):
    base = str(Path(scratch) / generation)
    spec = f"d4,n_embd=256,n_head=4,n_kv_head=2,vocab_size=331,sequence_len=512,seed=5,generation={generation}"
    subprocess.run([os.environ["KVPROOF"], "synthesize", spec, "--out", base, "--tag", "d4"], check=True, stdout=subprocess.DEVNULL)
    return base


with tempfile.TemporaryDirectory() as scratch:
    # The smear of a chunk's first token is forgotten, and a full buffer drops what comes; Engine.generate meets neither.
    if head := verify_commit("92d63d4", synthesize(scratch, "head"), scratch):
        assert head["verdict"] == "FAIL" and not head["in_use"]["scenarios"], head["in_use"]
        failed = kinds(head["latent"]["scenarios"])
        assert {"chunks", "overflow"} <= failed <= CHUNKS | OVERFLOW, failed

    # Decode looked past the sliding window until 3ba42e8. It is 256 positions back here: 257 must not see 0 any more.
    base = synthesize(scratch, "2026-02")
    # Named, for how long the sequences of a whole verification are depends on how fast the machine is.
    if before := verify_commit("3ba42e8~1", base, scratch, "--only", "decode[250,12]/float32"):
        assert before["verdict"] == "FAIL" and before["in_use"]["scenarios"], before["explanation"]
        assert before["first_divergence"]["position"] >= 257, before["first_divergence"]
    if after := verify_commit("3ba42e8", base, scratch):
        assert not after["in_use"]["scenarios"], after["in_use"]
        assert kinds(after["latent"]["scenarios"]) <= OVERFLOW, after["latent"]
