// What a forward must at least do: FLOPs, bytes, positions. Exact arithmetic on shapes; nothing is measured.
#pragma once

#include <cstdint>

#include "engine/model/gpt_config.h"

namespace kvproof {

/// Parameters by how they are used.
struct ParameterCount {
  int64_t total;        // every stored element that counts (padding rows of the vocabulary excluded)
  int64_t matmul;       // elements of matrices multiplied per token, lm_head included
  int64_t embedding;    // wte and value_embeds
  int64_t scalar;       // lambdas, gates that are vectors
};
ParameterCount count_parameters(const GptConfig& config);

/// Multiply-adds counted as two: matrices, attention over the keys each layer sees at this position, optionally logits.
/// position  absolute, 0-based: the token sees min(position, window) + 1 keys
double flops_per_token(const GptConfig& config, int64_t position, bool with_logits);

/// Sum of flops_per_token over positions first … first + count - 1; logits at all of them or at the last only.
double flops_of_forward(const GptConfig& config, int64_t first, int64_t count, bool logits_at_all);

/// Bytes of keys and values one position takes in one row.
int64_t kv_bytes_per_token(const GptConfig& config, int64_t bytes_per_element);

/// Bytes of weights one decode step of `batch` rows must read: matmul weights once, scalars, one row per token of each embedding.
int64_t weight_bytes_read(const GptConfig& config, int64_t bytes_per_element, int64_t batch);

/// Bytes of keys and values one row's decode step at `position` must read (windows respected).
int64_t kv_bytes_read(const GptConfig& config, int64_t bytes_per_element, int64_t position);

/// Positions pushed through the model for N tokens after a prompt of P: naive P + (P+1) + … = N·P + N(N-1)/2.
int64_t naive_token_forwards(int64_t prompt, int64_t generated);
/// Engine, B rows that share the prompt: P + B·(N - 1).
int64_t engine_token_forwards(int64_t prompt, int64_t generated, int64_t rows);

}  // namespace kvproof
