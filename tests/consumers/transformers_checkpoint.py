#!/usr/bin/env python3
"""Checkpoints that transformers' save_pretrained writes give transformers' logits, and tokenizer.json its tokens.

NanoChats of random sizes and constants, in one file and in shards, float32, bfloat16 and float16 weights, tied and not;
tokenizers trained and converted from tiktoken's ranks. Without transformers the test is skipped.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import torch
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import NanoChatConfig, NanoChatForCausalLM
    from transformers.models.nanochat import modeling_nanochat
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

KVPROOF = os.environ["KVPROOF"]
ROOT = Path(__file__).resolve().parents[2]
SEED, MODELS, TEXTS = 20261013, 10, 60
FLOAT32_TOLERANCE = 2e-5  # times the softcap, or without one the largest logit, over 15
FLOAT64_TOLERANCE = 1e-9
SPECIALS = ["<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>",
            "<|python_start|>", "<|python_end|>", "<|output_start|>", "<|output_end|>"]
PATTERN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
           r"|\s+(?!\S)|\s+")
choose = random.Random(SEED)


def kvproof(*words):
    done = subprocess.run([KVPROOF, *map(str, words), "--format", "json"], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr, done.stdout[-2000:])
    return json.loads(done.stdout)


# --- models --------------------------------------------------------------------------------------------------------

def random_config():
    kv, groups, head_dim = choose.choice([1, 2, 3]), choose.choice([1, 2, 4]), 2 * choose.randint(2, 32)
    hidden = kv * groups * head_dim
    inner = choose.choice([4 * hidden, hidden, choose.randint(1, 6 * hidden)])  # nanochat has 4 alone
    return NanoChatConfig(
        vocab_size=choose.randint(20, 400), hidden_size=hidden, intermediate_size=inner,
        num_hidden_layers=choose.randint(1, 4), num_attention_heads=kv * groups, num_key_value_heads=kv,
        max_position_embeddings=choose.choice([32, 64, 500]), rms_norm_eps=choose.choice([1e-6, 1e-5, 1.1920929e-07]),
        final_logit_softcapping=choose.choice([15.0, 20.0, 7.5, None]), tie_word_embeddings=choose.random() < 0.3,
        rope_parameters={"rope_type": "default", "rope_theta": choose.choice([10000.0, 100000.0, 500.0])})


def hot(config, seed):
    model = NanoChatForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            scale = weight.shape[1] ** -0.5 * (1 if "embed_tokens" in name else 1.5)
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return model


@torch.no_grad()
def logits_of(folder, ids, dtype):
    """float64 with the norms in float64, which the library takes in float32."""
    model = NanoChatForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    stock = modeling_nanochat.NanoChatRMSNorm.forward
    if dtype == torch.float64:
        modeling_nanochat.NanoChatRMSNorm.forward = lambda self, x: self._norm(x)
    out = model(torch.tensor([ids]), use_cache=False).logits[0].double().numpy()
    modeling_nanochat.NanoChatRMSNorm.forward = stock
    return out


def check_model(index, folder):
    config = random_config()
    model = hot(config, index)
    stored = choose.choice([torch.float32, torch.float32, torch.bfloat16, torch.float16])
    sharded = choose.random() < 0.4
    model.to(stored).save_pretrained(folder, **({"max_shard_size": "60KB"} if sharded else {}))
    length = choose.randint(1, 90)
    ids = [choose.randrange(config.vocab_size) for _ in range(length)]
    worst = {}
    for dtype in ("float32", "float64"):
        theirs = logits_of(folder, ids, getattr(torch, dtype))
        largest = config.final_logit_softcapping or max(15, float(np.abs(theirs).max()))
        tolerance = FLOAT64_TOLERANCE if dtype == "float64" else FLOAT32_TOLERANCE * largest / 15
        for path in ("naive", "engine"):
            out = folder / f"{path}-{dtype}.npy"
            kvproof("logits", "--base-dir", folder, "--prompt-tokens", ",".join(map(str, ids)), "--path", path, "--dtype",
                    dtype, "--threads", 1, "--out", out)
            worst[dtype] = max(worst.get(dtype, 0), float(np.abs(np.load(out) - theirs).max()))
        assert worst[dtype] <= tolerance, (index, config, dtype, worst[dtype])
    shards = len(list(folder.glob("model-*.safetensors")))
    print(f"{index}: {config.num_hidden_layers} layers, {config.hidden_size} channels, {config.intermediate_size} hidden "
          f"units, softcap {config.final_logit_softcapping}, {config.num_attention_heads} heads, "
          f"{config.num_key_value_heads} kv heads, {stored}, {shards or 1} files, {length} tokens"
          + (", tied" if config.tie_word_embeddings else ""))
    return worst


# --- tokenizers ----------------------------------------------------------------------------------------------------

def parts():
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False)
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def finished(tokenizer):
    tokenizer.pre_tokenizer, tokenizer.decoder = parts(), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    return tokenizer


def trained(text):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = parts()
    tokenizer.train_from_iterator([text], trainers.BpeTrainer(vocab_size=1500, show_progress=False,
                                                              initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return finished(tokenizer)


def converted(ignore_merges):
    """nanochat's own ranks: every split of a token into two tokens is a merge, at the token's rank."""
    import pickle

    with open(ROOT / "configs/checkpoints/demo-d4/tokenizer/tokenizer.pkl", "rb") as file:
        ranks = pickle.load(file)._mergeable_ranks
    shown = {byte: char for char, byte in zip(byte_characters(), range(256))}
    name = lambda token: "".join(shown[byte] for byte in token)
    merges = [(name(token[:i]), name(token[i:])) for token in sorted(ranks, key=ranks.get) for i in range(1, len(token))
              if token[:i] in ranks and token[i:] in ranks]
    return finished(Tokenizer(models.BPE({name(token): rank for token, rank in ranks.items()}, merges,
                                         ignore_merges=ignore_merges)))


def byte_characters():
    """The character that shows each byte: the ByteLevel alphabet holds no order, this does."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in own else chr(next(others)) for byte in range(256)]


def random_text():
    scraps = ["'s", "'LL", "\u2019t", " the", "The ", "cache", "keys ", "\n", "\r\n", "  ", "\t", "\u00a0", "\u0085", "\u3000",
              "123", "7", "\u0663\u0664", "\u00bd", "\u00e9", "e\u0301", "\u00df", "\u017f", "\u212a", "\u8a9e", "\ud55c\uad6d", "\u05e9\u05dc",
              "\U0001f600", "\U0001f1e9\U0001f1ea", "\u200d", "\ufe0f", "!", "...", "()", "_", "<|bos|>", "<|", "|>", "-", "\x00", "\u180e", "x" * 20]
    return "".join(choose.choice(scraps) for _ in range(choose.randint(0, 40)))


def check_tokenizer(name, tokenizer, folder):
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    texts = [random_text() for _ in range(TEXTS)] + [(ROOT / "README.md").read_text()]
    for text in texts:
        (folder / "text").write_text(text, newline="")
        ours = kvproof("tokenize", "--base-dir", folder, "--text-file", folder / "text")["ids"]
        theirs = tokenizer.encode(text, add_special_tokens=False).ids
        assert ours == theirs, (name, text, ours, theirs)
    print(f"{name}: {len(texts)} texts, equal")


def main():
    torch.set_num_threads(1)
    worst = {"float32": 0, "float64": 0}
    for index in range(MODELS):
        with tempfile.TemporaryDirectory() as folder:
            found = check_model(index, Path(folder))
            worst = {dtype: max(worst[dtype], found[dtype]) for dtype in worst}
    print(f"{MODELS} models: worst difference of logits {worst['float32']:.1e} in float32, {worst['float64']:.1e} in float64")
    for name, tokenizer in (("trained", trained((ROOT / "README.md").read_text())),
                            ("converted", converted(False)), ("converted, ignore_merges", converted(True))):
        with tempfile.TemporaryDirectory() as folder:
            check_tokenizer(name, tokenizer, Path(folder))


main()
