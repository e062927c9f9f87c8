// The loop both paths share: sample, force, record, go on. What differs is where the next logits come from.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/generate/generator.h"
#include "engine/generate/row_state.h"
#include "engine/generate/sampler.h"

namespace kvproof {

/// Where logits come from: the naive path recomputes, the engine decodes. Counts what it pushes through the model.
class LogitSource {
 public:
  virtual ~LogitSource() = default;
  /// Logits after the prompt: (1, V) for all rows alike, or (B, V).
  virtual at::Tensor start(const std::vector<TokenId>& prompt, int64_t rows) = 0;
  /// Logits (b, V) after one more token for each row that goes on.
  /// kept    indices into the previous call's rows, ascending: those not named have ended
  virtual at::Tensor next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) = 0;
  virtual int64_t token_forwards() const = 0;
  virtual int64_t kv_cache_bytes() const = 0;
};

/// Keeps every row's whole sequence, to be computed anew at each step: the naive path, whoever computes.
class RecomputingSource : public LogitSource {
 public:
  at::Tensor start(const std::vector<TokenId>& prompt, int64_t rows) final;
  at::Tensor next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) final;
  int64_t token_forwards() const final { return token_forwards_; }
  int64_t kv_cache_bytes() const final { return 0; }

 protected:
  /// Logits (b, V) behind each of these sequences, which are equally long.
  virtual at::Tensor recompute(const std::vector<std::vector<TokenId>>& sequences) = 0;

 private:
  at::Tensor count_and_recompute();

  std::vector<std::vector<TokenId>> sequences_;
  int64_t token_forwards_ = 0;
};

/// What a request must keep to, whoever computes the logits.
struct RequestLimits {
  int64_t vocab_size;
  int64_t positions;       // that there are
  std::string positions_of;  // where that number comes from, for errors: "10 x sequence_len 512"
};

/// Checks a request against a model, before any work. returns the tokens to generate at most, the rotary tables respected
/// throws ArgumentError, CapacityError (see generator.h)
int64_t check_request(const GenerationRequest& request, const RequestLimits& limits, const RowRules& rules);
int64_t check_request(const GenerationRequest& request, const Model& model, const RowRules& rules);

/// Runs a request. max_tokens as check_request returned it. model: is waited for before the observer is told; may be null
GenerationResult run_generation(const GenerationRequest& request, int64_t max_tokens, const RowRules& rules,
                                NanochatProcedure procedure, const Model* model, LogitSource& source,
                                GenerationObserver* observer);

}  // namespace kvproof
