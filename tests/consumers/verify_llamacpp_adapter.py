#!/usr/bin/env python3
"""kvproof verify on llama.cpp's memory: the same words with either dtype of the cache, in one buffer and in one for each sequence."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/harness/adapters"))
ADAPTER = ROOT / "harness/adapters/llamacpp_adapter.py"

try:
    import llama_cpp
except ImportError:
    print("skipped: no llama-cpp-python; make adapters LLAMACPP=1 compiles it")
    sys.exit(77)

from verdict import command, verify

print(f"llama-cpp-python {llama_cpp.__version__}")
for arguments in (["--kv", "f32"], ["--kv", "f16"], ["--kv", "f32", "--split"]):
    document = verify(command(ADAPTER, "--tiny", *arguments))
    assert document["scenarios"] > 0, document["explanation"]
