#!/usr/bin/env python3
"""A GGUF file with nanochat's matrices and random numbers in them, for timing llama.cpp on the shapes that kvproof runs.

    python3 llamacpp_random.py FILE.gguf --type bf16 --layers 12 --embd 768 --heads 6 --kv-heads 6 --vocab 32768

The architecture is llama.cpp's `arcee`: RMS norm, rotary positions, separate q, k, v, no biases, and an MLP of two matrices around a
squared ReLU, as nanochat's. So each matrix of a nanochat block has its counterpart of the same shape, and untied output besides.
What llama.cpp lacks of nanochat (value embeddings, smear, windows, softcap) is no matrix product, or one of a few hundred numbers.

An existing FILE is kept. Prints one line of JSON, read back from the file: {"file", "type", "matmul_bytes": what one token reads
of the matrices}.
"""
import argparse
import json
import os

import gguf
import numpy as np

TYPES = {name: getattr(gguf.GGMLQuantizationType, name.upper()) for name in ("f32", "f16", "bf16")}


def shapes(layers, embd, heads, kv_heads, vocab):
    """Tensor name → shape, (rows out, columns in) of a matrix."""
    C, kv = embd, embd // heads * kv_heads
    named = {"token_embd": (vocab, C), "output_norm": (C,), "output": (vocab, C)}
    for i in range(layers):
        named |= {f"blk.{i}.{name}": shape for name, shape in {
            "attn_norm": (C,), "attn_q": (C, C), "attn_k": (kv, C), "attn_v": (kv, C), "attn_output": (C, C), "ffn_norm": (C,),
            "ffn_up": (4 * C, C), "ffn_down": (C, 4 * C)}.items()}
    return named


def write(path, kind, sizes, context, seed=1):
    """Writes the file beside its name and moves it there: a broken run leaves none that looks whole."""
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path + ".part", "arcee")
    writer.add_context_length(context)
    writer.add_embedding_length(sizes["embd"])
    writer.add_block_count(sizes["layers"])
    writer.add_feed_forward_length(4 * sizes["embd"])
    writer.add_head_count(sizes["heads"])
    writer.add_head_count_kv(sizes["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(sizes["embd"] // sizes["heads"])
    writer.add_rope_freq_base(100000.0)
    writer.add_vocab_size(sizes["vocab"])
    writer.add_tokenizer_model("none")
    for name, shape in shapes(**sizes).items():
        if len(shape) == 1:
            writer.add_tensor(name + ".weight", np.ones(shape, np.float32))
            continue
        spread = np.float32(1 if name == "token_embd" else shape[1]**-0.5)
        weights = rng.standard_normal(shape, dtype=np.float32) * spread
        if kind == "f32":
            writer.add_tensor(name + ".weight", weights)
        else:
            writer.add_tensor(name + ".weight", gguf.quantize(weights, TYPES[kind]), raw_dtype=TYPES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


def matmul_bytes(path):
    """What one token reads of the file's matrices: all of them but the table of token embeddings, of which it reads a row."""
    return sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(path).tensors
               if len(tensor.shape) == 2 and tensor.name != "token_embd.weight")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--type", choices=TYPES, required=True)
    parser.add_argument("--context", type=int, default=2048)
    for name in ("layers", "embd", "heads", "kv-heads", "vocab"):
        parser.add_argument("--" + name, type=int, required=True)
    args = parser.parse_args()
    if not os.path.exists(args.file):
        write(args.file, args.type, {name: getattr(args, name) for name in ("layers", "embd", "heads", "kv_heads", "vocab")}, args.context)
    print(json.dumps({"file": args.file, "type": args.type, "matmul_bytes": matmul_bytes(args.file)}))


if __name__ == "__main__":
    main()
