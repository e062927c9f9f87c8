// Faults of the loop around the model. Most let the subject generate with a changed request, or with all tokens forced to what
// a faulty loop would have said, and put right what the observer and the result then tell.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "engine/generate/sampler.h"
#include "harness/verify/faults/parts.h"
#include "harness/verify/faults/planted_subject.h"

namespace kvproof::planting {
namespace {

using Request = GenerationRequest;
using Observer = GenerationObserver;

// One row's generated tokens, a terminal one included, and whether each was sampled (1) or forced (0).
struct Stream {
  std::vector<TokenId> tokens;
  std::vector<int> masks;
  Finish finish = Finish::length;
  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
};
using Streams = std::vector<Stream>;

// Passes on what a generation tells, changed.
class ChangingObserver final : public Observer {
 public:
  using Change = std::function<void(GenerationStep&)>;
  ChangingObserver(Observer* to, Change change) : to_(to), change_(std::move(change)) {}
  void on_forward(int64_t positions) override {
    if (to_) to_->on_forward(positions);
  }
  bool on_step(const GenerationStep& step) override {
    GenerationStep changed = step;
    change_(changed);
    return changed.rows.empty() || !to_ || to_->on_step(changed);
  }

 private:
  Observer* to_;
  Change change_;
};

// What the subject says of its own.
Streams say_rightly(Subject& inner, const Request& request) {
  Streams streams(request.num_samples);
  ChangingObserver listen(nullptr, [&](GenerationStep& step) {
    for (std::size_t i = 0; i < step.rows.size(); ++i) {
      streams[step.rows[i]].tokens.push_back(step.tokens[i]);
      streams[step.rows[i]].masks.push_back(step.masks[i]);
    }
  });
  const GenerationResult result = inner.generate(Path::engine, request, &listen);
  for (int64_t row = 0; row < request.num_samples; ++row) streams[row].finish = result.rows[row].finish;
  return streams;
}

// Has the masks of a step and a result say what the streams say.
void set_masks(GenerationStep& step, const Streams& streams) {
  for (std::size_t i = 0; i < step.rows.size(); ++i) {
    const Stream& stream = streams[step.rows[i]];
    if (step.step < stream.size()) step.masks[i] = stream.masks[step.step];
  }
}
void set_masks(GenerationResult& result, std::size_t prompt, const Streams& streams) {
  for (std::size_t row = 0; row < result.rows.size(); ++row) {
    std::vector<int>& mask = result.rows[row].mask;
    for (std::size_t i = prompt; i < mask.size(); ++i)
      if (i - prompt < streams[row].masks.size()) mask[i] = streams[row].masks[i - prompt];
  }
}

// Generates exactly these streams; their masks are told.
GenerationResult say(Subject& inner, Request request, const Streams& streams, Observer* observer) {
  request.tools = false;
  request.forced.assign(request.num_samples, {});
  for (int64_t row = 0; row < request.num_samples; ++row)
    for (int64_t step = 0; step < streams[row].size(); ++step) request.forced[row][step] = streams[row].tokens[step];
  ChangingObserver masks(observer, [&](GenerationStep& step) { set_masks(step, streams); });
  GenerationResult result = inner.generate(Path::engine, request, &masks);
  set_masks(result, request.prompt.size(), streams);
  return result;
}

int64_t longest(const Streams& streams) {
  int64_t n = 0;
  for (const Stream& stream : streams) n = std::max(n, stream.size());
  return n;
}

// How a faulty loop goes on after each token of a row.
struct Walk {
  /// What goes into the cache for a forced token; nothing: it is left out
  std::function<std::optional<TokenId>(TokenId forced, TokenId sampled)> feed = {};
  /// (row, step) whose noise is used
  std::function<std::pair<int64_t, int64_t>(int64_t row, int64_t step)> noise = {};
};

TokenId draw(const LogitRows& logits, const SamplerSettings& settings, int64_t row, int64_t step, int64_t rows) {
  std::vector<double> values = logits.values;
  const at::Tensor last =
      at::from_blob(values.data() + (logits.rows - 1) * logits.vocab, {1, logits.vocab}, at::kDouble);
  return Sampler(settings, NanochatProcedure::engine).sample(last, {row}, step, std::max(rows, row + 1)).front();
}

// A row as such a loop would say it. Tokens that were forced in the right stream are forced here.
Stream walk(Subject& inner, const Request& request, int64_t row, const Stream& right, int64_t steps, const Walk& how) {
  Stream stream;
  const auto cache = inner.new_cache(1, static_cast<int64_t>(request.prompt.size()) + steps);
  LogitRows logits = cache->forward(TokenBatch::single(request.prompt), LogitsAt::last).front();
  for (int64_t step = 0; step < steps; ++step) {
    const auto [noise_row, noise_step] = how.noise ? how.noise(row, step) : std::pair(row, step);
    const TokenId sampled = draw(logits, request.sampler, noise_row, noise_step, request.num_samples);
    const bool forced = step < right.size() && right.masks[step] == 0;
    stream.tokens.push_back(forced ? right.tokens[step] : sampled);
    stream.masks.push_back(forced ? 0 : 1);
    std::optional<TokenId> fed = stream.tokens.back();
    if (forced && how.feed) fed = how.feed(*fed, sampled);
    if (fed && step + 1 < steps) logits = cache->forward(TokenBatch::single({*fed}), LogitsAt::last).front();
  }
  return stream;
}

// Whether a row's draws depend on it alone, so that it can be drawn again on its own.
bool rows_draw_alone(const Request& request) {
  return request.sampler.mode == SamplerMode::per_row || request.sampler.temperature == 0;
}

// --- kinds of plantings -----------------------------------------------------------------------------------------------------

Planting around(EngineGeneration generate) {
  return [generate = std::move(generate)](const Context&) {
    return Plant{.wrap = [generate](std::unique_ptr<Subject> subject) {
      return change_generation(std::move(subject), generate);
    }};
  };
}

Planting with_request(std::function<void(Request&)> change) {
  return around([change = std::move(change)](Subject& inner, const Request& request, Observer* observer) {
    Request changed = request;
    change(changed);
    return inner.generate(Path::engine, changed, observer);
  });
}

Planting with_result(std::function<void(GenerationResult&, const Request&)> change) {
  return around([change = std::move(change)](Subject& inner, const Request& request, Observer* observer) {
    GenerationResult result = inner.generate(Path::engine, request, observer);
    change(result, request);
    return result;
  });
}

// Changes what is said, if it can be told what is right; streams come in right.
Planting with_streams(std::function<bool(Subject&, const Request&, Streams&)> change) {
  return around([change = std::move(change)](Subject& inner, const Request& request, Observer* observer) {
    Streams streams = say_rightly(inner, request);
    if (!change(inner, request, streams)) return inner.generate(Path::engine, request, observer);
    return say(inner, request, streams, observer);
  });
}

// Draws all rows again that the walk may change.
Planting with_walk(std::function<std::optional<Walk>(const Request&, const Streams& right, int64_t row)> how) {
  return with_streams([how = std::move(how)](Subject& inner, const Request& request, Streams& streams) {
    if (!rows_draw_alone(request)) return false;
    const Streams right = streams;
    const int64_t steps = request.max_tokens.value_or(longest(right));
    bool changed = false;
    for (int64_t row = 0; row < request.num_samples; ++row) {
      const std::optional<Walk> walked = how(request, right, row);
      if (!walked) continue;
      streams[row] = walk(inner, request, row, right[row], steps, *walked);
      changed = true;
    }
    return changed;
  });
}

bool has_forced(const Stream& stream) { return std::count(stream.masks.begin(), stream.masks.end(), 0) > 0; }

// --- the tables -----------------------------------------------------------------------------------------------------------

Where said(std::vector<Suspect> suspects) {
  return at({.suspects = std::move(suspects), .first_operation = "generate"});
}

void add_draws(std::vector<Fault>& all) {
  const Where drawn = said({Suspect::sampling}), looped = said({Suspect::sampling, Suspect::generation});
  all.push_back({"first-token-broadcast", "generation", "the first token is sampled once and copied to all rows",
                 "nanochat 8f979a8", any_model, looped,
                 with_streams([](Subject& inner, const Request& request, Streams& streams) {
                   if (streams[0].size() == 0 || !rows_draw_alone(request)) return false;
                   bool changed = false;
                   const Streams right = streams;
                   for (int64_t row = 1; row < request.num_samples; ++row) {
                     if (right[row].tokens[0] == right[0].tokens[0] || right[row].masks[0] == 0) continue;
                     changed = true;
                     Stream first = right[row];  // goes on from the copied token as if it had been forced
                     first.tokens[0] = right[0].tokens[0];
                     first.masks[0] = 0;
                     streams[row] = walk(inner, request, row, first, request.max_tokens.value_or(longest(right)), {});
                     streams[row].masks[0] = 1;
                   }
                   return changed;
                 })});
  all.push_back({"rows-share-one-random-stream", "generation", "all rows draw with row 0's noise", "vllm#51226",
                 any_model, looped,
                 with_walk([](const Request& request, const Streams&, int64_t row) -> std::optional<Walk> {
                   if (row == 0 || request.sampler.temperature == 0) return std::nullopt;
                   return Walk{.noise = [](int64_t, int64_t step) { return std::pair(int64_t{0}, step); }};
                 })});
  all.push_back({"random-stream-restarts-every-step", "generation", "every step draws with the first step's noise", "",
                 any_model, drawn,
                 with_walk([](const Request& request, const Streams&, int64_t) -> std::optional<Walk> {
                   if (request.sampler.temperature == 0) return std::nullopt;
                   return Walk{.noise = [](int64_t row, int64_t) { return std::pair(row, int64_t{0}); }};
                 })});
  all.push_back({"noise-by-place-in-the-batch", "generation",
                 "once a row has finished, those behind it draw with other rows' noise", "vllm#51226", needs_tokenizer,
                 drawn, with_walk([](const Request& request, const Streams& right, int64_t row) -> std::optional<Walk> {
                   if (row == 0 || request.sampler.temperature == 0) return std::nullopt;
                   return Walk{.noise = [right](int64_t row, int64_t step) {
                     int64_t place = 0;
                     for (int64_t r = 0; r < row; ++r)
                       place += right[r].finish != Finish::stop || step < right[r].size();
                     return std::pair(place, step);
                   }};
                 })});
  all.push_back({"draws-depend-on-num-samples", "generation", "the random stream is moved by the number of rows",
                 "nanochat", any_model, drawn, with_request([](Request& request) {
                   request.sampler.seed += static_cast<uint64_t>(request.num_samples - 1);
                 })});
  all.push_back({"seed-ignored", "generation", "every generation draws with seed 0", "", any_model, drawn,
                 with_request([](Request& request) { request.sampler.seed = 0; })});
  all.push_back({"top-k-keeps-one-less", "generation", "top_k keeps k - 1 candidates", "nanochat", any_model, drawn,
                 with_request([](Request& request) {
                   if (request.sampler.top_k.value_or(0) > 1) --*request.sampler.top_k;
                 })});
  all.push_back({"top-k-ignored", "generation", "top_k limits nothing", "", any_model, drawn,
                 with_request([](Request& request) { request.sampler.top_k.reset(); })});
  all.push_back({"temperature-ignored", "generation", "any temperature but 0 is taken for 1", "", any_model, drawn,
                 with_request([](Request& request) {
                   if (request.sampler.temperature > 0) request.sampler.temperature = 1;
                 })});
}

void add_forced(std::vector<Fault>& all) {
  const Where shown = said({Suspect::generation});
  all.push_back({"sampled-token-fed-for-the-forced", "generation",
                 "the cache gets the sampled token where another was forced", "", any_model, shown,
                 with_walk([](const Request&, const Streams& right, int64_t row) -> std::optional<Walk> {
                   if (!has_forced(right[row])) return std::nullopt;
                   return Walk{.feed = [](TokenId, TokenId sampled) { return std::optional(sampled); }};
                 })});
  all.push_back({"forced-token-not-cached", "generation", "forced tokens are said and never go into the cache", "",
                 any_model, shown,
                 with_walk([](const Request&, const Streams& right, int64_t row) -> std::optional<Walk> {
                   if (!has_forced(right[row])) return std::nullopt;
                   return Walk{.feed = [](TokenId, TokenId) { return std::optional<TokenId>(); }};
                 })});
  all.push_back({"forced-tokens-one-step-late", "generation", "each forced token comes one step late", "", any_model,
                 shown, with_request([](Request& request) {
                   for (ForcedTokens& row : request.forced) {
                     ForcedTokens late;
                     for (const auto& [step, token] : row) late[step + 1] = token;
                     row = std::move(late);
                   }
                 })});
  all.push_back({"forced-tokens-in-every-row", "generation", "tokens forced in one row are forced in all", "",
                 any_model, shown, with_request([](Request& request) {
                   ForcedTokens merged;
                   for (const ForcedTokens& row : request.forced) merged.insert(row.begin(), row.end());
                   for (ForcedTokens& row : request.forced) row = merged;
                 })});
  all.push_back(
      {"forced-tokens-count-as-sampled", "generation", "forced tokens have mask 1", "", any_model, shown,
       around([](Subject& inner, const Request& request, Observer* observer) {
         ChangingObserver ones(observer, [](GenerationStep& step) { step.masks.assign(step.rows.size(), 1); });
         GenerationResult result = inner.generate(Path::engine, request, &ones);
         for (GeneratedRow& row : result.rows)
           std::fill(row.mask.begin() + static_cast<std::ptrdiff_t>(request.prompt.size()), row.mask.end(), 1);
         return result;
       })});
  all.push_back({"prompt-counts-as-sampled", "generation", "the prompt has mask 1", "", any_model, shown,
                 with_result([](GenerationResult& result, const Request& request) {
                   for (GeneratedRow& row : result.rows) std::fill_n(row.mask.begin(), request.prompt.size(), 1);
                 })});
}

void add_ends(std::vector<Fault>& all) {
  const Where shown = said({Suspect::generation});
  all.push_back({"max-tokens-plus-one", "generation", "one token more than max_tokens is generated", "", any_model,
                 shown, with_request([](Request& request) {
                   if (request.max_tokens) ++*request.max_tokens;
                 })});
  all.push_back({"max-tokens-minus-one", "generation", "one token less than max_tokens is generated", "", any_model,
                 shown, with_request([](Request& request) {
                   if (request.max_tokens.value_or(0) > 0) --*request.max_tokens;
                 })});
  all.push_back({"stop-token-kept", "generation", "a finished row keeps its terminal token", "", needs_tokenizer, shown,
                 around([](Subject& inner, const Request& request, Observer* observer) {
                   std::map<int64_t, std::pair<TokenId, int>> last;  // by row
                   ChangingObserver listen(observer, [&](GenerationStep& step) {
                     for (std::size_t i = 0; i < step.rows.size(); ++i)
                       last[step.rows[i]] = {step.tokens[i], step.masks[i]};
                   });
                   GenerationResult result = inner.generate(Path::engine, request, &listen);
                   for (std::size_t row = 0; row < result.rows.size(); ++row) {
                     if (result.rows[row].finish != Finish::stop) continue;
                     result.rows[row].tokens.push_back(last[static_cast<int64_t>(row)].first);
                     result.rows[row].mask.push_back(last[static_cast<int64_t>(row)].second);
                   }
                   return result;
                 })});
  all.push_back({"stop-token-not-told", "generation", "a terminal token is not told to the observer", "",
                 needs_tokenizer, shown, around([](Subject& inner, const Request& request, Observer* observer) {
                   const Streams right = say_rightly(inner, request);
                   ChangingObserver silent(observer, [&](GenerationStep& step) {
                     for (std::size_t i = step.rows.size(); i-- > 0;) {
                       const Stream& stream = right[step.rows[i]];
                       if (stream.finish != Finish::stop || step.step + 1 != stream.size()) continue;
                       const auto at = static_cast<std::ptrdiff_t>(i);
                       step.rows.erase(step.rows.begin() + at);
                       step.tokens.erase(step.tokens.begin() + at);
                       step.masks.erase(step.masks.begin() + at);
                     }
                   });
                   return inner.generate(Path::engine, request, &silent);
                 })});
  all.push_back({"stop-token-ignored", "generation", "rows go on past their terminal token", "", needs_tokenizer, shown,
                 with_request([](Request& request) { request.stop = false; })});
  all.push_back({"finished-row-ends-all", "generation", "all rows end with the first that does", "", needs_tokenizer,
                 shown, around([](Subject& inner, const Request& request, Observer* observer) {
                   Request cut = request;
                   for (const Stream& stream : say_rightly(inner, request))
                     if (stream.finish == Finish::stop)
                       cut.max_tokens = std::min(cut.max_tokens.value_or(stream.size()), stream.size());
                   return inner.generate(Path::engine, cut, observer);
                 })});
  all.push_back({"finished-rows-still-computed", "generation",
                 "rows that have finished are pushed through the model until the last ends", "nanochat",
                 needs_tokenizer, shown, with_result([](GenerationResult& result, const Request& request) {
                   if (result.steps > 0)
                     result.token_forwards =
                         static_cast<int64_t>(request.prompt.size()) + request.num_samples * (result.steps - 1);
                 })});
  all.push_back({"forward-after-the-last-token", "generation", "the last token is pushed through the model for nothing",
                 "nanochat", any_model, shown, around([](Subject& inner, const Request& request, Observer* observer) {
                   GenerationResult result = inner.generate(Path::engine, request, observer);
                   int64_t running = 0;
                   for (const GeneratedRow& row : result.rows) running += row.finish == Finish::length;
                   if (running == 0 || result.steps == 0) return result;
                   result.token_forwards += running;
                   if (observer) observer->on_forward(running);
                   return result;
                 })});
  all.push_back({"prompt-computed-for-every-row", "generation", "the prompt is counted once per row", "", any_model,
                 shown, with_result([](GenerationResult& result, const Request& request) {
                   if (result.steps > 0)
                     result.token_forwards += (request.num_samples - 1) * static_cast<int64_t>(request.prompt.size());
                 })});
  all.push_back({"abandoning-ignored", "generation", "a generation goes on although its observer wants no more", "",
                 any_model, shown, around([](Subject& inner, const Request& request, Observer* observer) {
                   class Deaf final : public Observer {
                    public:
                     explicit Deaf(Observer* to) : to_(to) {}
                     void on_forward(int64_t positions) override {
                       if (to_) to_->on_forward(positions);
                     }
                     bool on_step(const GenerationStep& step) override {
                       if (to_) to_->on_step(step);
                       return true;
                     }

                    private:
                     Observer* to_;
                   } deaf(observer);
                   return inner.generate(Path::engine, request, &deaf);
                 })});
  all.push_back({"rows-swapped-in-the-result", "generation", "the result has the rows in the opposite order", "",
                 any_model, shown, with_result([](GenerationResult& result, const Request&) {
                   std::reverse(result.rows.begin(), result.rows.end());
                 })});
}

}  // namespace

std::vector<Fault> generation_faults() {
  std::vector<Fault> all;
  add_draws(all);
  add_forced(all);
  add_ends(all);
  return all;
}

}  // namespace kvproof::planting
