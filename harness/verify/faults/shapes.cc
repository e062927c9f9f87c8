#include "harness/verify/faults/shapes.h"

#include "engine/checkpoint/byte_tokenizer.h"

namespace kvproof {

const std::vector<Shape>& shapes() {
  const ArchitectureOverrides window5 = {{"short_window", "5"}};
  static const std::vector<Shape> kShapes = {
      {"d4,n_embd=64,n_head=4,n_kv_head=2,vocab_size=331,sequence_len=64", window5},
      {"d3,n_embd=96,n_head=6,n_kv_head=2,vocab_size=97,sequence_len=32,window_pattern=SL", {{"short_window", "6"}}},
      {"d2,n_embd=64,n_head=4,n_kv_head=1,vocab_size=101,sequence_len=32,generation=2025-10", {}},
      {"d1,n_embd=64,n_head=1,vocab_size=331,sequence_len=32,window_pattern=L", {}},
      {"d5,n_embd=64,n_head=4,n_kv_head=4,vocab_size=65,sequence_len=48,window_pattern=SSSL", {{"short_window", "9"}}},
      {"d2,n_embd=256,n_head=2,n_kv_head=2,vocab_size=77,sequence_len=32,window_pattern=SL", {{"short_window", "4"}}},
      {"d7,n_embd=32,n_head=2,n_kv_head=1,vocab_size=131,sequence_len=32,window_pattern=SSSL,generation=2026-03a",
       {{"short_window", "7"}}},
      {"d3,n_embd=64,n_head=2,n_kv_head=2,vocab_size=299,sequence_len=32,generation=2025-12", {}},
      {"d4,n_embd=64,n_head=4,n_kv_head=2,vocab_size=83,sequence_len=32,generation=2026-01", window5},
      {"d3,n_embd=96,n_head=3,n_kv_head=1,vocab_size=73,sequence_len=40,window_pattern=S,generation=2026-02",
       {{"short_window", "8"}}},
  };
  return kShapes;
}

Checkpoint make_shape(const Shape& shape, uint64_t seed) {
  return synthesize_checkpoint(shape.spec + ",seed=" + std::to_string(seed), shape.overrides);
}

std::unique_ptr<Tokenizer> tokenizer_of_size(int64_t vocab_size) {
  if (vocab_size < kSmallestVocabulary) return nullptr;
  const std::string bytes = pickle_encoding(byte_encoding(vocab_size));
  return std::make_unique<Tokenizer>(Tokenizer::from_bytes(bytes, "a made-up model's tokenizer"));
}

}  // namespace kvproof
