"""Small models with random weights for transformers_adapter.py --tiny: one of each kind of attention."""
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
