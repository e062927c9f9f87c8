"""Makes the files beside it: tiny NanoChats in Hugging Face's layout, and what transformers computes with them.

    make.py [FOLDER]    writes into FOLDER, default the script's own
Needs torch, transformers, tokenizers, safetensors; the versions it was run with are in README.md.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import NanoChatConfig, NanoChatForCausalLM
from transformers.models.nanochat import modeling_nanochat

SEED = 20251013
SPECIALS = ["<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>",
            "<|python_start|>", "<|python_end|>", "<|output_start|>", "<|output_end|>"]
PATTERN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
           r"|\s+(?!\S)|\s+")
TRAINING_TEXT = """A cache keeps the keys and the values of the tokens that came before, so that each new token is the only
one to be computed. Is the cached output that of recomputation? The checker says where the paths part: the step, the
layer, the stage and the head. It's checked itself, and it'll find the faults that we've planted there. In 2025 there
were 12 layers; by 2026 there are 20, and each window is 128, 256 or 512 keys long.
"""
# Where sizes, constants and ids are unlike the defaults, a reader that skips a field is seen.
CONFIG = dict(vocab_size=331, hidden_size=36, intermediate_size=144, num_hidden_layers=3, num_attention_heads=6,
              num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=3e-6, final_logit_softcapping=12.0,
              rope_parameters={"rope_type": "default", "rope_theta": 20000.0}, bos_token_id=0, eos_token_id=4,
              pad_token_id=0, tie_word_embeddings=False)
# Its MLP is not four times as wide as its channels, and no multiple of 4; logits are not capped.
INNER_50 = dict(CONFIG, vocab_size=61, hidden_size=24, intermediate_size=50, num_hidden_layers=2, num_attention_heads=4,
                final_logit_softcapping=None)
# ids by length and seed, and the positions whose logits are kept
SEQUENCES = [(1, 1, [0]), (7, 2, [0, 1, 2, 3, 4, 5, 6]), (64, 3, [7, 31, 32, 63])]
CONTINUATIONS = [(3, 4, 24), (40, 5, 16)]  # prompt length, seed, new tokens

TEXTS = [
    "", " ", "a", "The cache keeps the keys.", "It's what we'VE planted; they'll FIND it, won'T they?", "12 345 6789 x2026",
    "  two spaces,\ttab\n\nand\r\nlines  \n ", "   ", "\n\n\n", "don\u2019t", "caf\u00e9 na\u00efve \u00dcber stra\u00dfe \u1e9e",
    "\u0441\u043b\u043e\u0432\u043e \u03bb\u03cc\u03b3\u03bf\u03c2 \u8a9e\u8a00\u30e2\u30c7\u30eb \ud55c\uad6d\uc5b4 \u0627\u0644\u0633\u0644\u0627\u0645 \u05e9\u05dc\u05d5\u05dd", "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea!",
    "e\u0301 \u0915\u094d\u0937\u093f", "\u00a0\u2003\u0085x\u3000y\u180ez\u200b", "'\u017f '\u212a 'S 'm", "\u0661\u0662\u0663 \u2167 \u00bd \u00b2", "a\u0000b\u007f\ufeff\ufffd",
    "<|bos|>special names are text<|user_end|>", "<|bos|", "x" * 100, "ab" * 40 + "  " * 30, "()[]{}<>!?;:,.'\"`~@#$%^&*-_=+\\|/\n\n",
    "if (x == 0) {\n    return -1;  // none\n}\n", "http://localhost:8000/a?b=c&d=%20", "keykeykeyvaluevaluevalue tokenstokens",
]


def tokenizer():
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=CONFIG["vocab_size"], special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=1)
    built.train_from_iterator([TRAINING_TEXT], trainer)
    built.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    assert built.get_vocab_size() == CONFIG["vocab_size"]
    return built


def tokenizer_cases(built):
    built.encode_special_tokens = True  # names of special tokens in a text are text
    generator = torch.Generator().manual_seed(SEED)
    vocabulary = CONFIG["vocab_size"]
    runs = [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in (1, 2, 5, 20, 60)]
    runs += [[id] for id in range(vocabulary)]
    return {"encode": [{"text": text, "ids": built.encode(text, add_special_tokens=False).ids} for text in TEXTS],
            "decode": [{"ids": ids, "text": built.decode(ids, skip_special_tokens=False)} for ids in runs]}


def hot(model):
    """No weight is near zero, so that every part moves the logits."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            scale = 1.0 if "embed_tokens" in name else 2.0 * weight.shape[1] ** -0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return model


def some_ids(vocab_size, length, seed):
    return torch.randint(vocab_size, (1, length), generator=torch.Generator().manual_seed(seed))


def norm_in_own_dtype(self, x):
    return self._norm(x)


@torch.no_grad()
def write_model(config, folder):
    model = hot(NanoChatForCausalLM(NanoChatConfig(**config))).eval()
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)

    logits, golden = {}, {"sequences": [], "continuations": []}
    stock_norm = modeling_nanochat.NanoChatRMSNorm.forward
    for i, (length, seed, positions) in enumerate(SEQUENCES):
        ids = some_ids(config["vocab_size"], length, seed)
        golden["sequences"].append({"ids": ids[0].tolist(), "positions": positions})
        for attention in ("sdpa", "eager"):
            model.set_attn_implementation(attention)
            logits[f"{i}.float32.{attention}"] = model.float()(ids, use_cache=False).logits[0, positions]
            logits[f"{i}.float64.{attention}"] = model.double()(ids, use_cache=False).logits[0, positions]
        # transformers takes norms in float32 whatever the model's dtype; eager attention its softmax too. Without both,
        # what remains is float64 throughout, but for the rotary tables.
        model.set_attn_implementation("sdpa")
        modeling_nanochat.NanoChatRMSNorm.forward = norm_in_own_dtype
        logits[f"{i}.float64.wide"] = model.double()(ids, use_cache=False).logits[0, positions]
        modeling_nanochat.NanoChatRMSNorm.forward = stock_norm
    kept = {name: value for name, value in logits.items() if not name.endswith("eager")}
    for i in range(len(SEQUENCES)):
        of = lambda name: logits[f"{i}.{name}"].double()
        for name in ("float32.sdpa", "float32.eager", "float64.sdpa", "float64.eager"):
            print(i, name, "to float64.wide", (of(name) - of("float64.wide")).abs().max().item())
    save_file({name: value.contiguous() for name, value in kept.items()}, folder / "logits.safetensors")

    model.float()
    for length, seed, new in CONTINUATIONS:
        ids = some_ids(config["vocab_size"], length, seed)
        cached = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False,
                                eos_token_id=None, pad_token_id=0)[0, length:].tolist()
        row, margins = ids, []
        for _ in range(new):
            top = model(row, use_cache=False).logits[0, -1].topk(2)
            margins.append((top.values[0] - top.values[1]).item())
            row = torch.cat([row, top.indices[:1].view(1, 1)], 1)
        assert cached == row[0, length:].tolist(), "with and without a cache"
        print("smallest margin", min(margins))
        golden["continuations"].append({"ids": ids[0].tolist(), "tokens": cached})
    (folder / "golden.json").write_text(json.dumps(golden, indent=0) + "\n")


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    write_model(CONFIG, folder)
    write_model(INNER_50, folder / "inner-50")
    built = tokenizer()
    built.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_cases.json").write_text(json.dumps(tokenizer_cases(built), indent=0) + "\n")


if __name__ == "__main__":
    main()
