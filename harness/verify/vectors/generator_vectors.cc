// What the tokenizer and both generators make of the prompts, against Python's.
#include <fmt/format.h>

#include <algorithm>

#include "engine/generate/generator.h"
#include "harness/verify/vectors/vector_case.h"

namespace kvproof {
namespace {

using Ids = std::vector<TokenId>;
using Stream = VectorNotes::Stream;

// torch.multinomial on the same seed draws the same tokens only with the same LibTorch on x86.
#if defined(__x86_64__)
constexpr bool kDrawsLikePython = true;
#else
constexpr bool kDrawsLikePython = false;
#endif

void check_tokenizer(const VectorCase& c, VectorNotes* notes) {
  for (std::size_t i = 0; i < c.outputs["prompts"].size(); ++i) {
    Ids ids = {c.tokenizer.special().bos};
    for (const TokenId id : c.tokenizer.encode(c.outputs["prompts"][i].get<std::string>())) ids.push_back(id);
    notes->fact(ids == c.prompt(i), fmt::format("encoding prompt {}", i),
                "expected Python's ids, found others: the tokenizer splits or merges differently");
  }
  for (const auto& text : c.outputs["tokenizer_cases"]) {
    const bool same = c.tokenizer.encode(text["text"].get<std::string>()) == text["ids"].get<Ids>();
    notes->fact(same, "encoding " + text["text"].dump(),
                "expected Python's ids, found others: the tokenizer splits or merges differently");
  }
}

SamplerSettings sampler_of(const nlohmann::json& run) {
  SamplerSettings settings{.temperature = run["temperature"], .seed = run["seed"], .mode = SamplerMode::nanochat};
  if (!run["top_k"].is_null()) settings.top_k = run["top_k"].get<int64_t>();
  return settings;
}

// What follows the prompt in a row of tokens or masks, at most `longest` of it.
template <class T>
std::vector<T> generated(const std::vector<T>& row, std::size_t prompt_len, int64_t longest) {
  const auto begin = row.begin() + static_cast<std::ptrdiff_t>(std::min(prompt_len, row.size()));
  return {begin, begin + std::min<std::ptrdiff_t>(row.end() - begin, longest)};
}

// A generation that is cut short is a prefix of the whole one.
class Comparison {
 public:
  Comparison(const VectorCase& c, const Model& model, int64_t longest, VectorNotes* notes)
      : case_(c), longest_(longest), notes_(notes), naive_(make_naive_generator(model, nullptr, LogitsAt::last)),
        engine_(make_cached_engine(model, &c.tokenizer)) {}

  // GPT.generate: one row, which nothing stops.
  void naive(const std::string& who, std::size_t prompt, const SamplerSettings& sampler, const Ids& expected) {
    GenerationRequest request = request_of(prompt, sampler, static_cast<int64_t>(expected.size()));
    request.stop = request.tools = false;
    const auto result = naive_->generate(request);
    notes_->stream(who, 0, {generated(result.rows[0].tokens, request.prompt.size(), longest_), {}},
                   {generated(expected, 0, longest_), {}});
  }

  // Engine.generate_batch: rows of prompt and tokens, with masks.
  void engine(const std::string& who, std::size_t prompt, const SamplerSettings& sampler, int64_t max_tokens,
              const nlohmann::json& run) {
    GenerationRequest request = request_of(prompt, sampler, max_tokens);
    request.num_samples = static_cast<int64_t>(run["tokens"].size());
    const auto result = engine_->generate(request);
    for (std::size_t row = 0; row < result.rows.size(); ++row) {
      const auto cut = [&](const Ids& tokens, const std::vector<int>& masks) {
        return Stream{generated(tokens, request.prompt.size(), longest_),
                      generated(masks, request.prompt.size(), longest_)};
      };
      notes_->stream(who, static_cast<int64_t>(row), cut(result.rows[row].tokens, result.rows[row].mask),
                     cut(run["tokens"][row], run["masks"][row]));
    }
  }

 private:
  GenerationRequest request_of(std::size_t prompt, const SamplerSettings& sampler, int64_t max_tokens) const {
    return {.prompt = case_.prompt(prompt), .max_tokens = std::min(max_tokens, longest_), .sampler = sampler};
  }

  const VectorCase& case_;
  int64_t longest_;
  VectorNotes* notes_;
  std::unique_ptr<Generator> naive_, engine_;
};

std::string words_of(const nlohmann::json& run) {
  return fmt::format("sampling prompt {} (temperature {}, top_k {}, seed {})", run["prompt"].dump(),
                     run["temperature"].dump(), run["top_k"].dump(), run["seed"].dump());
}

}  // namespace

void check_generators(const VectorCase& c, const Model& model, int64_t longest, VectorNotes* notes) {
  check_tokenizer(c, notes);
  constexpr int64_t kPythonsGreedy = 180;
  const SamplerSettings greedy{.temperature = 0};
  Comparison comparison(c, model, longest, notes);
  for (std::size_t i = 0; i < c.outputs["naive_greedy"].size(); ++i)
    comparison.naive(fmt::format("greedy full recompute of prompt {}", i), i, greedy, c.outputs["naive_greedy"][i]);
  for (std::size_t i = 0; i < c.outputs["engine_greedy"].size(); ++i)
    comparison.engine(fmt::format("greedy decoding of prompt {}", i), i, greedy, kPythonsGreedy,
                      c.outputs["engine_greedy"][i]);
  if (!kDrawsLikePython) {
    notes->not_covered(c.name +
                       ": sampled tokens, which were drawn on x86-64, whose random streams others do not share");
    return;
  }
  for (const auto& run : c.outputs["sampled"])
    comparison.engine("decoding, " + words_of(run), run["prompt"], sampler_of(run), run["max_tokens"], run);
  for (const auto& run : c.outputs["naive_sampled"])
    comparison.naive("full recompute, " + words_of(run), run["prompt"], sampler_of(run), run["tokens"]);
}

}  // namespace kvproof
