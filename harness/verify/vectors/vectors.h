// "Model wrong", first half: every generation of nanochat's code, against what its Python computed.
//
// The vectors are part of the program: eight tiny checkpoints and the outputs of the code that made them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/verify/finding.h"

namespace kvproof {

struct VectorOptions {
  std::string backend = "auto", device = "cpu";  // the words of ModelOptions; the dtype is float32, as in Python
  /// Rows are compared up to so many new tokens (Python's go on to 180 greedy and 48 sampled ones); those of older code
  /// than the newest up to a third of it, as the generators are the same.
  int64_t longest_generation = 16;
};

/// Worst logit seen over all generations, positions and prompts: 8.3e-6.
inline constexpr double kVectorTolerance = 2e-5;

struct VectorReport {
  int64_t generations = 0;  // of nanochat's code
  int64_t positions = 0;    // whose logits were compared, one path each
  int64_t streams = 0;      // rows of tokens generated and compared
  double worst = 0;         // logits, keys and values: largest distance from Python's float32
  LevelTally tally;
  std::vector<Finding> findings;         // place.operation begins with the generation's name, or "resolving"
  std::vector<std::string> not_covered;  // sentences without full stop
};

/// First the architectures, as check_architectures. Per generation: logits of full recompute (every prompt; past every window and past sequence_len), logits, keys and
/// values of a prompt decoded with given tokens through a cache, the oracle's logits, prompts encoded, and what both
/// generators make of the prompts, greedy and sampled by torch.multinomial.
///
/// Tokens must be equal: no error of logits within the tolerance changes one. Greedy choices are at least 1.1e-4 from the
/// next best token, draws 3.0e-4 (of log(p / q), where the tolerance at the lowest temperature, 0.7, allows 5.8e-5).
/// An error that ends a generation's comparison is a finding.
/// throws  ArgumentError: a backend or device that is not there
/// cost    0.6 s on one thread
VectorReport check_vectors(const VectorOptions& options = {});

}  // namespace kvproof
