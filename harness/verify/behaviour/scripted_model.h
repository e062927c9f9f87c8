// A model whose logits say what it was fed: for checks of whatever drives a model, fast and independent of weights.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/model/model.h"

namespace kvproof {

/// float64 logits in [-3, 3) that are a pure hash of a row's tokens and positions.
///
/// Keys and values written into a cache are numbers made of token and position; a cached forward hashes what it reads back,
/// together with the tokens the cache says it holds. Any row, token or slot that is not what it should be gives other
/// logits at every later step; and where all is right, cached and uncached logits are equal to the last bit.
class ScriptedModel final : public Model {
 public:
  static constexpr int64_t kVocabulary = 300;  // the smallest byte-level vocabulary and some merges
  static constexpr double kFavoured = 50;      // logit of a script's tokens

  /// A token and the logit it gets in place of the hash's.
  struct Said {
    Said(int32_t token, double logit = kFavoured) : token(token), logit(logit) {}  // NOLINT: a token says enough
    int32_t token;
    double logit;
  };
  /// What the model favours after a history; nothing: the hash alone.
  using Script = std::function<std::vector<Said>(std::span<const int32_t> history)>;

  ScriptedModel();

  std::string backend() const override { return "script"; }

  /// Replaces the script. Not while a generation runs.
  void set_script(Script script) { script_ = std::move(script); }

  /// (V) What the model must say after a history of at least one token. Plain arithmetic.
  std::vector<double> logits_after(std::span<const int32_t> history) const;

 protected:
  at::Tensor execute(const StepPlan& plan, const TokenBatch& tokens, KVCache* cache, LogitsAt at) const override;

 private:
  void write(const StepPlan& plan, const TokenBatch& tokens, KVCache& cache) const;
  uint64_t read(const KVCache& cache, int64_t row, std::span<const int32_t> tokens) const;
  void fill_logits(uint64_t fingerprint, std::span<const int32_t> history, double* logits) const;

  Script script_;
};

}  // namespace kvproof
