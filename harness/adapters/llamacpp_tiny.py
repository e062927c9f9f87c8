"""A small llama with random weights as a GGUF file, for llamacpp_adapter.py --tiny."""
import gguf
import numpy as np


def write_tiny(path, seed):
    """A GGUF file of a two-layer llama with weights large enough that attention matters."""
    V, C, H, G, L, F = 211, 64, 4, 2, 2, 96
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(C)
    writer.add_block_count(L)
    writer.add_feed_forward_length(F)
    writer.add_head_count(H)
    writer.add_head_count_kv(G)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(C // H)
    writer.add_vocab_size(V)
    writer.add_tokenizer_model("none")
    shapes = {"token_embd": (V, C), "output_norm": (C,), "output": (V, C)}
    for i in range(L):
        shapes |= {f"blk.{i}.{name}": shape for name, shape in {
            "attn_norm": (C,), "attn_q": (C, C), "attn_k": (C * G // H, C), "attn_v": (C * G // H, C), "attn_output": (C, C),
            "ffn_norm": (C,), "ffn_gate": (F, C), "ffn_up": (F, C), "ffn_down": (C, F)}.items()}
    for name, shape in shapes.items():
        spread = 0.2 if len(shape) == 1 else 1.0 if name == "token_embd" else 1.5 / shape[1]**0.5
        writer.add_tensor(name + ".weight", ((len(shape) == 1) + spread * rng.standard_normal(shape)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
