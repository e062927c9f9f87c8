// Small made-up models whose every part matters: what the self-test plants faults in and looks for false alarms on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "engine/tokenizer/tokenizer.h"

namespace kvproof {

struct Shape {
  std::string spec;  // of synthesize_checkpoint, without a seed
  ArchitectureOverrides overrides;
};

/// Each varies what another keeps: layers 1, 2, 3, 5, 7; kv heads 1:1, 2:1, 3:1, 4:1; head sizes 16, 32, 64, 128; window
/// patterns L, S, SL, SSSL; vocabularies of odd size; every generation of nanochat. The first one can show most faults.
const std::vector<Shape>& shapes();

Checkpoint make_shape(const Shape& shape, uint64_t seed);

/// A byte-level tokenizer of that vocabulary size; null where it is too small for one.
std::unique_ptr<Tokenizer> tokenizer_of_size(int64_t vocab_size);

}  // namespace kvproof
