#include <algorithm>

#include "engine/generate/generation_loop.h"
#include "engine/model/model.h"

namespace kvproof {
namespace {

// Keeps every row's whole sequence and runs it through the model again at each step.
class RecomputeSource final : public LogitSource {
 public:
  RecomputeSource(const Model& model, LogitsAt at) : model_(model), at_(at) {}

  at::Tensor start(const std::vector<TokenId>& prompt, int64_t rows) override {
    sequences_.assign(rows, prompt);
    return recompute();
  }

  at::Tensor next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) override {
    std::vector<std::vector<TokenId>> going_on;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      going_on.push_back(std::move(sequences_[kept[i]]));
      going_on.back().push_back(tokens[i]);
    }
    sequences_ = std::move(going_on);
    return recompute();
  }

  int64_t token_forwards() const override { return token_forwards_; }
  int64_t kv_cache_bytes() const override { return 0; }

 private:
  at::Tensor recompute() {
    TokenBatch batch{static_cast<int64_t>(sequences_.size()), static_cast<int64_t>(sequences_[0].size()), {}, {}};
    for (const auto& row : sequences_) batch.ids.insert(batch.ids.end(), row.begin(), row.end());
    token_forwards_ += batch.batch * batch.length;
    const at::Tensor logits = model_.forward(batch, at_);  // (B, T, V), or (B, V)
    return at_ == LogitsAt::all ? logits.select(1, batch.length - 1) : logits;
  }

  const Model& model_;
  LogitsAt at_;
  std::vector<std::vector<TokenId>> sequences_;
  int64_t token_forwards_ = 0;
};

class NaiveGenerator final : public Generator {
 public:
  NaiveGenerator(const Model& model, const SpecialTokens* special, LogitsAt at) : model_(model), special_(special), at_(at) {}

  GenerationResult generate(const GenerationRequest& request, GenerationObserver* observer) override {
    const RowRules rules{.special = request.stop ? special_ : nullptr};
    const int64_t max_tokens = check_request(request, model_, rules);
    RecomputeSource source(model_, at_);
    return run_generation(request, max_tokens, rules, NanochatProcedure::naive, &model_, source, observer);
  }

 private:
  const Model& model_;
  const SpecialTokens* special_;
  LogitsAt at_;
};

}  // namespace

std::unique_ptr<Generator> make_naive_generator(const Model& model, const SpecialTokens* special, LogitsAt logits) {
  return std::make_unique<NaiveGenerator>(model, special, logits);
}

}  // namespace kvproof
