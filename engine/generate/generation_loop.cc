#include "engine/generate/generation_loop.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/error.h"
#include "engine/model/model.h"

namespace kvproof {

std::string to_string(Finish finish) {
  switch (finish) {
    case Finish::stop: return "stop";
    case Finish::length: return "length";
    case Finish::limit: return "limit";
    case Finish::abandoned: return "abandoned";
  }
  throw std::logic_error("a Finish without a name");
}

int64_t check_request(const GenerationRequest& request, const Model& model, const RowRules& rules) {
  const GptConfig& config = model.config();
  return check_request(request, {config.vocab_size, config.rotary_len(), fmt::format("10 x sequence_len {}", config.sequence_len)}, rules);
}

int64_t check_request(const GenerationRequest& request, const RequestLimits& limits, const RowRules& rules) {
  const auto P = static_cast<int64_t>(request.prompt.size());
  if (P == 0) throw ArgumentError("prompt", "is empty; give at least one token (a text prompt begins with <|bos|>)");
  for (int64_t i = 0; i < P; ++i) {
    if (request.prompt[i] < 0 || request.prompt[i] >= limits.vocab_size)
      throw ArgumentError("prompt", fmt::format("id {} at position {}: must be in [0, {})", request.prompt[i], i, limits.vocab_size));
  }
  if (request.kept_prefix < 0 || request.kept_prefix >= P)
    throw ArgumentError("kept_prefix", fmt::format("must be in [0, {}), below the prompt's tokens, got {}", P, request.kept_prefix));
  if (request.num_samples < 1) throw ArgumentError("num_samples", fmt::format("must be at least 1, got {}", request.num_samples));
  if (request.max_tokens.value_or(0) < 0) throw ArgumentError("max_tokens", fmt::format("must be at least 0, got {}", *request.max_tokens));
  if (!request.forced.empty() && static_cast<int64_t>(request.forced.size()) != request.num_samples)
    throw ArgumentError("forced", fmt::format("expected {} rows of forced tokens, got {}", request.num_samples, request.forced.size()));
  for (const ForcedTokens& row : request.forced) {
    for (const auto& [step, token] : row) {
      if (token < 0 || token >= limits.vocab_size)
        throw ArgumentError("forced", fmt::format("id {} at step {}: must be in [0, {})", token, step, limits.vocab_size));
    }
  }
  check_sampler_settings(request.sampler);
  if (request.stop && !rules.special)
    throw ArgumentError("stop", "needs the tokenizer's terminal tokens, and there is no tokenizer; turn stop off");

  // The last token is never pushed through the model, so it needs no position.
  const int64_t limit = limits.positions - P + 1;
  if (limit < 1)
    throw CapacityError("rotary tables", fmt::format("a prompt of {} needs as many positions, the tables cover {} ({}); "
                                                     "shorten the prompt", P, limits.positions, limits.positions_of));
  if (request.max_tokens.value_or(0) > limit)
    throw CapacityError("rotary tables", fmt::format("a prompt of {} and max_tokens {} need {} positions, the tables cover {} "
                                                     "({}); max_tokens can be at most {}",
                                                     P, request.max_tokens.value_or(0), P + request.max_tokens.value_or(1) - 1,
                                                     limits.positions, limits.positions_of, limit));
  return request.max_tokens.value_or(limit);
}

namespace {

// Takes one step's tokens for the live rows.
GenerationStep take_step(std::vector<RowState>& rows, const std::vector<int64_t>& live, const std::vector<TokenId>& sampled,
                         int64_t step, const RowRules& rules) {
  GenerationStep taken{step, live, {}, {}};
  for (std::size_t i = 0; i < live.size(); ++i) {
    const auto [token, mask] = rows[live[i]].take(sampled[i], step, rules);
    taken.tokens.push_back(token);
    taken.masks.push_back(mask);
  }
  return taken;
}

}  // namespace

GenerationResult run_generation(const GenerationRequest& request, int64_t max_tokens, const RowRules& rules,
                                NanochatProcedure procedure, const Model* model, LogitSource& source,
                                GenerationObserver* observer) {
  const c10::InferenceMode guard;
  std::vector<RowState> rows;
  for (int64_t r = 0; r < request.num_samples; ++r)
    rows.emplace_back(request.prompt, request.forced.empty() ? ForcedTokens{} : request.forced[r]);
  std::vector<int64_t> live(request.num_samples);
  std::iota(live.begin(), live.end(), 0);
  Sampler sampler(request.sampler, procedure);
  Finish unfinished = request.max_tokens ? Finish::length : Finish::limit;

  at::Tensor logits;
  int64_t step = 0, counted = 0;
  const auto forwarded = [&] {
    if (model) model->synchronize();
    if (observer) observer->on_forward(source.token_forwards() - counted);
    counted = source.token_forwards();
  };
  if (max_tokens > 0) {
    const at::Tensor first = source.start(request.prompt, request.num_samples);
    forwarded();
    if (observer) observer->on_first_logits(first);
    logits = first.expand({request.num_samples, -1});  // (B, V)
  }
  while (step < max_tokens) {
    const GenerationStep taken = take_step(rows, live, sampler.sample(logits, live, step, request.num_samples), step, rules);
    ++step;
    std::vector<int64_t> kept, kept_rows;  // indices into live, and the rows they name
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < live.size(); ++i) {
      if (rows[live[i]].finished()) continue;
      kept.push_back(static_cast<int64_t>(i));
      kept_rows.push_back(live[i]);
      tokens.push_back(taken.tokens[i]);
    }
    if (observer && !observer->on_step(taken)) {
      unfinished = Finish::abandoned;
      break;
    }
    if (kept.empty() || step == max_tokens) break;  // no forward whose logits nobody reads
    logits = source.next(kept, tokens);
    forwarded();
    live = std::move(kept_rows);
  }

  GenerationResult result;
  for (const RowState& row : rows) result.rows.push_back(row.result(unfinished));
  result.token_forwards = source.token_forwards();
  result.steps = step;
  result.kv_cache_bytes = source.kv_cache_bytes();
  return result;
}

at::Tensor RecomputingSource::start(const std::vector<TokenId>& prompt, int64_t rows) {
  sequences_.assign(rows, prompt);
  return count_and_recompute();
}

at::Tensor RecomputingSource::next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) {
  std::vector<std::vector<TokenId>> going_on;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    going_on.push_back(std::move(sequences_[kept[i]]));
    going_on.back().push_back(tokens[i]);
  }
  sequences_ = std::move(going_on);
  return count_and_recompute();
}

at::Tensor RecomputingSource::count_and_recompute() {
  token_forwards_ += static_cast<int64_t>(sequences_.size() * sequences_.front().size());
  return recompute(sequences_);
}

}  // namespace kvproof
