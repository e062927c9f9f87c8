"""The models of transformers_adapter.py: how they are opened, what must be known of them, and small random ones."""
import copy

import torch
import transformers

SIZES = {"vocab_size": 211, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 256}
TINY = {
    "nanochat": lambda: transformers.NanoChatConfig(**SIZES),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=211, n_embd=64, n_layer=3, n_head=4, n_positions=256),
    "llama": lambda: transformers.LlamaConfig(**SIZES),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=24, max_window_layers=1),
    "gemma2": lambda: transformers.Gemma2Config(**SIZES, head_dim=16, sliding_window=24, query_pre_attn_scalar=16),
}


def tiny_model(family, seed, **options):
    """Random weights large enough that every part of the model matters; fresh ones would leave attention without effect."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(TINY[family](), **options)
    for module in model.modules():
        for name, p in module.named_parameters(recurse=False):
            fan_in = p.shape[0] if type(module).__name__ == "Conv1D" else p.shape[-1]
            scale = 1.0 if isinstance(module, torch.nn.Embedding) else 1.5 / fan_in**0.5
            p.data = p.data + 0.2 * torch.randn_like(p) if p.dim() == 1 else scale * torch.randn_like(p)
    model.tie_weights()
    return model


def random_nanochat(spec, seed):
    """A NanoChat with the sizes that nanochat itself has at that depth, as its library initialises it.

    spec    nanochat:d12, or nanochat:d4,vocab_size=2048; other fields: sequence_len
    throws  SystemExit: it is none of these
    """
    family, _, sizes = spec.partition(":")
    depth, *fields = sizes.split(",")
    named = dict(field.partition("=")[::2] for field in fields)
    if family != "nanochat" or depth[:1] != "d" or not depth[1:].isdigit() or not set(named) <= {"vocab_size", "sequence_len"}:
        raise SystemExit(f"--random: expected nanochat:d<layers>, perhaps with vocab_size=V or sequence_len=T, found {spec}")
    layers = int(depth[1:])
    heads = (64 * layers + 127) // 128  # 64 channels a layer, in whole heads of 128
    torch.manual_seed(seed)
    config = transformers.NanoChatConfig(
        vocab_size=int(named.get("vocab_size", 32768)), hidden_size=128 * heads, intermediate_size=512 * heads, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=int(named.get("sequence_len", 2048)))
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    model.generation_config.eos_token_id = None
    return model.eval()


def load(source, tiny, seed):
    """The model of a folder or hub id, or the tiny one of that family, in float32 and ready to run."""
    config = TINY[tiny]() if tiny else transformers.AutoConfig.from_pretrained(source)
    # sdpa stays in the model's dtype; where scores are capped only eager attention does so.
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    options = {"attn_implementation": "eager" if capped else "sdpa"}
    model = (tiny_model(tiny, seed, **options) if tiny else
             transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options))
    model.generation_config.eos_token_id = None  # generate() is asked for a number of tokens
    return model.eval()


def computes_in_float64(model):
    """Whether nothing is rounded to float32 on the way: many norms and softmaxes are. Then a change of 1e-9 and one of twice that
    move the logits by d and 2 d; rounding inside would swallow both or make steps of them."""
    model = copy.deepcopy(model).double()
    x = model.get_input_embeddings()(torch.arange(1, 9, device=model.device)[None]).detach()
    direction = 1e-9 * torch.randn_like(x)
    zero, one, two = (model(inputs_embeds=x + k * direction, use_cache=False).logits for k in range(3))
    return bool((two - 2 * one + zero).abs().max() < 1e-3 * (one - zero).abs().max())


def learned_positions(model):
    """How many positions there are, where they are a table; None: no end."""
    tables = [m for name, m in model.named_modules()
              if name.endswith((".wpe", ".embed_positions")) and hasattr(m, "num_embeddings")]
    return tables[0].num_embeddings - getattr(tables[0], "offset", 0) if tables else None


def windows(config):
    """By layer: how many positions back a token sees, None: all. A window of w tokens counts the token itself."""
    window = getattr(config, "sliding_window", None)
    every = "sliding_attention" if window else "full_attention"
    kinds = getattr(config, "layer_types", None) or [every] * config.num_hidden_layers
    return [window - 1 if kind == "sliding_attention" else None for kind in kinds]
