// One embedded generation, opened, and where its comparisons are noted.
#pragma once

#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "engine/model/model.h"
#include "engine/tokenizer/tokenizer.h"
#include "harness/verify/vectors/embedded.h"
#include "harness/verify/vectors/vectors.h"

namespace kvproof {

struct VectorCase {
  std::string name;
  nlohmann::json outputs;  // golden.json
  StateDict tensors;       // golden.pt
  ArchitectureOverrides overrides;
  Checkpoint checkpoint;
  Tokenizer tokenizer;

  explicit VectorCase(const EmbeddedGeneration& files);
  std::vector<TokenId> prompt(std::size_t i) const { return outputs["prompt_tokens"][i]; }
};

/// The values of a tensor of any dtype and device, row-major.
std::vector<double> values_of(const at::Tensor& tensor);

/// Notes comparisons of one generation in a report.
class VectorNotes {
 public:
  VectorNotes(const VectorCase& c, VectorReport* report) : case_(c), report_(report) {}

  /// Logits (N, V) of consecutive positions. who: "full recompute of prompt 2"
  void logits(const std::string& who, const std::vector<double>& found, const at::Tensor& expected,
              int64_t first_position);
  /// One layer's keys or values, (T, G, D). tensor: "K" or "V"
  void cached(int64_t layer, const std::string& tensor, const at::Tensor& found, const at::Tensor& expected);
  /// A row of generated tokens with its masks; the prompt not included. Empty masks are not compared.
  struct Stream {
    std::vector<TokenId> tokens;
    std::vector<int> masks;
  };
  void stream(const std::string& who, int64_t row, const Stream& found, const Stream& expected);
  /// Anything else. what: a sentence without full stop, for the finding
  void fact(bool holds, const std::string& who, const std::string& what);
  void not_covered(std::string what) { report_->not_covered.push_back(std::move(what)); }

 private:
  Finding finding(Level level, const std::string& who) const;

  const VectorCase& case_;
  VectorReport* report_;
};

/// Prompts and texts encoded, greedy and sampled generations of both generators, up to `longest` new tokens per row.
void check_generators(const VectorCase& c, const Model& model, int64_t longest, VectorNotes* notes);

}  // namespace kvproof
