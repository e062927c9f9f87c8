#!/usr/bin/env python3
"""kvproof verify finds transformers' caches right, and a subclass of one with a planted bug wrong, in the right place.

    verify_transformers_adapter.py --serve-broken NAME …   the second: the adapter with that cache, for --subject
"""
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "harness/adapters"), str(ROOT / "tests/harness/adapters")]
os.environ["HF_HUB_OFFLINE"] = "1"
ADAPTER = ROOT / "harness/adapters/transformers_adapter.py"


def serve_broken(name):
    import transformers
    import transformers_adapter
    from kvproof_subject import serve

    class ValueOfTheKey(transformers.DynamicCache):
        """In decode, layer 1 stores the key where the value belongs."""

        def update(self, key_states, value_states, layer_idx, *args, **kwargs):
            if layer_idx == 1 and key_states.shape[-2] == 1:
                value_states = key_states
            return super().update(key_states, value_states, layer_idx, *args, **kwargs)

    class OnePositionShort(transformers.DynamicCache):
        """Says one position less than it holds, once it holds more than eight: rotary positions and masks follow."""

        def get_seq_length(self, *args, **kwargs):
            length = super().get_seq_length(*args, **kwargs)
            return length - 1 if length > 8 else length

    class CropKeepsOne(transformers.DynamicCache):
        """Cropping leaves one position too many."""

        def crop(self, tokens_to_remove):
            super().crop(min(0, tokens_to_remove + 1))

    broken = {"value": ValueOfTheKey, "length": OnePositionShort, "crop": CropKeepsOne}[name]
    sys.argv = [sys.argv[0], *sys.argv[3:]]
    options = transformers_adapter.arguments()

    class Adapter(transformers_adapter.Transformers):
        def make_cache(self, capacity):
            return broken()

    serve(lambda: Adapter(options))


def main():
    try:
        import transformers
    except ImportError:
        print("skipped: no transformers; make adapters installs it")
        sys.exit(77)
    from verdict import command, kinds, verify

    print(f"transformers {transformers.__version__}")
    for arguments in (["--tiny", "nanochat"], ["--tiny", "gpt2", "--dtype", "float64"], ["--tiny", "gemma2", "--cache", "sliding"]):
        assert verify(command(ADAPTER, *arguments))["verdict"] == "PASS", arguments

    # It counts the tokens of an overflow that it refuses. That is latent: generate() does not overfill a cache.
    static = verify(command(ADAPTER, "--tiny", "nanochat", "--cache", "static"))
    assert not static["in_use"]["scenarios"] and kinds(static["latent"]["scenarios"]) <= {"capacity", "overflow", "overflow_chunk", "overflow_rows"}, static["latent"]

    value = verify(command(__file__, "--serve-broken", "value", "--tiny", "gpt2"))
    assert value["verdict"] == "FAIL" and "cache" in value["wrong"]
    assert (value["first_divergence"]["layer"], value["first_divergence"]["tensor"]) == (1, "V"), value["first_divergence"]
    length = verify(command(__file__, "--serve-broken", "length", "--tiny", "gpt2"))
    assert length["verdict"] == "FAIL" and "cache" in length["wrong"]
    crop = verify(command(__file__, "--serve-broken", "crop", "--tiny", "gpt2"))
    assert crop["verdict"] == "FAIL" and "truncate" in kinds(crop["latent"]["scenarios"]), crop["latent"]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve-broken"]:
        serve_broken(sys.argv[2])
    else:
        main()
