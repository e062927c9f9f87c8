#include "engine/generate/generation_loop.h"
#include "engine/model/model.h"

namespace kvproof {
namespace {

// Runs every row's whole sequence through the model again.
class ModelSource final : public RecomputingSource {
 public:
  ModelSource(const Model& model, LogitsAt at) : model_(model), at_(at) {}

 protected:
  at::Tensor recompute(const std::vector<std::vector<TokenId>>& sequences) override {
    return naive_logits(model_, sequences, at_);
  }

 private:
  const Model& model_;
  LogitsAt at_;
};

class NaiveGenerator final : public Generator {
 public:
  NaiveGenerator(const Model& model, const SpecialTokens* special, LogitsAt at) : model_(model), special_(special), at_(at) {}

  GenerationResult generate(const GenerationRequest& request, GenerationObserver* observer) override {
    const RowRules rules{.special = request.stop ? special_ : nullptr};
    const int64_t max_tokens = check_request(request, model_, rules);
    ModelSource source(model_, at_);
    return run_generation(request, max_tokens, rules, NanochatProcedure::naive, &model_, source, observer);
  }

 private:
  const Model& model_;
  const SpecialTokens* special_;
  LogitsAt at_;
};

}  // namespace

at::Tensor naive_logits(const Model& model, const std::vector<std::vector<TokenId>>& sequences, LogitsAt at) {
  TokenBatch batch{static_cast<int64_t>(sequences.size()), static_cast<int64_t>(sequences[0].size()), {}, {}};
  for (const auto& row : sequences) batch.ids.insert(batch.ids.end(), row.begin(), row.end());
  const at::Tensor logits = model.forward(batch, at);  // (B, T, V), or (B, V)
  return at == LogitsAt::all ? logits.select(1, batch.length - 1) : logits;
}

std::unique_ptr<Generator> make_naive_generator(const Model& model, const SpecialTokens* special, LogitsAt logits) {
  return std::make_unique<NaiveGenerator>(model, special, logits);
}

}  // namespace kvproof
