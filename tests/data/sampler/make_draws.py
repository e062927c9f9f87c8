"""Writes draws.json: what torch draws from given logits by nanochat's two procedures.

    python3 make_draws.py > draws.json
"""
import json

import torch

CASES = [  # rows, vocabulary, top_k, temperature, seed, modulus, divisor
    (1, 7, None, 1.0, 42, 20011, 1024),
    (1, 331, None, 0.8, 7, 20011, 1024),
    (4, 331, None, 1.0, 42, 20011, 1024),
    (3, 1000, None, 0.6, 2**40 + 7, 20011, 2048),
    (2, 32768, None, 1.0, 0, 32749, 4096),
    (1, 1, None, 1.0, 42, 20011, 1024),
    (3, 331, 0, 1.3, 11, 20011, 1024),
    (1, 331, 50, 0.6, 42, 20011, 1024),
    (4, 331, 50, 1.0, 42, 20011, 1024),
    (3, 331, 1, 1.0, 42, 20011, 1024),
    (2, 331, 331, 1.0, 5, 20011, 2048),
    (2, 331, 1000, 1.0, 5, 20011, 2048),
    (2, 32768, 200, 1.0, 2**64 - 1, 32749, 2048),
    (3, 331, 5, 1.0, 42, 37, 8),   # nine tokens share each of the highest logits
    (2, 1000, 30, 2.0, 3, 11, 16),
    (2, 331, None, 1.0, 42, 1, 1),  # all logits equal
    (4, 331, 50, 0.0, 42, 20011, 1024),
]
STEPS = 12


def logits_of(step, rows, vocab, modulus, divisor):
    """(rows, vocab): whole numbers over a power of two, so exact in float32 wherever they are computed."""
    t = torch.arange(vocab, dtype=torch.int64)[None, :]
    r = torch.arange(rows, dtype=torch.int64)[:, None]
    return ((t * 7919 + r * 104729 + step * 1299709) % modulus).to(torch.float32) / divisor


def engine_draw(logits, temperature, top_k, generator):
    """Noise in the order of descending logits where top_k limits, in the vocabulary's where not."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    if not top_k:
        return torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=generator)[:, 0]
    values, indices = torch.topk(logits, min(top_k, logits.size(-1)), dim=-1)
    chosen = torch.multinomial(torch.softmax(values / temperature, dim=-1), 1, generator=generator)
    return indices.gather(1, chosen)[:, 0]


def naive_draw(logits, temperature, top_k, generator):
    """Noise in the vocabulary's order; what is below the k-th highest logit cannot be drawn, its equals can."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    if top_k:
        kth = torch.topk(logits, min(top_k, logits.size(-1)), dim=-1).values[:, -1:]
        logits = torch.where(logits < kth, float("-inf"), logits)
    return torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=generator)[:, 0]


def main():
    runs = []
    for rows, vocab, top_k, temperature, seed, modulus, divisor in CASES:
        run = dict(rows=rows, vocab=vocab, top_k=top_k, temperature=temperature, seed=seed, modulus=modulus,
                   divisor=divisor)
        for name, draw in (("engine", engine_draw), ("naive", naive_draw)):
            generator = torch.Generator("cpu")
            generator.manual_seed(seed)
            run[name] = [draw(logits_of(step, rows, vocab, modulus, divisor), temperature, top_k, generator).tolist()
                         for step in range(STEPS)]
        runs.append(run)
    lines = ",\n".join(json.dumps(run) for run in runs)
    print(f'{{"torch": "{torch.__version__.split("+")[0]}", "runs": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
