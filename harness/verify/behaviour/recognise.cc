#include "harness/verify/behaviour/recognise.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace kvproof {
namespace {

bool is_terminal(const WrongTokens& w, TokenId token) {
  return w.request.stop && w.rules.special &&
         (token == w.rules.special->assistant_end || token == w.rules.special->bos);
}

/// Streams of unequal length that agree up to the end of the shorter one.
std::string recognise_length(const WrongTokens& w) {
  const auto& actual = w.actual[w.row];
  const auto& wanted = w.wanted[w.row];
  const auto step = static_cast<std::size_t>(w.step);
  if (step == wanted.size()) {
    if (is_terminal(w, actual[step])) return "the stop token was kept";
    const bool ended = w.expected.rows[w.row].row.finish == Finish::stop;
    if (ended) return "the row went on past its stop token";
    return actual.size() == wanted.size() + 1 ? "one token too many"
                                              : fmt::format("{} tokens too many", actual.size() - wanted.size());
  }
  const auto others_ended = [&] {
    for (std::size_t row = 0; row < w.wanted.size(); ++row)
      if (static_cast<int64_t>(row) != w.row && w.wanted[row].size() <= step && step > 0) return true;
    return false;
  };
  const std::string missing = wanted.size() - actual.size() == 1
                                  ? "one token too few"
                                  : fmt::format("{} tokens too few", wanted.size() - actual.size());
  return others_ended() ? missing + "; the row ended where another one did" : missing;
}

std::string recognise_other_row(const WrongTokens& w) {
  const auto& actual = w.actual[w.row];
  for (std::size_t other = 0; other < w.wanted.size(); ++other) {
    if (static_cast<int64_t>(other) == w.row) continue;
    const auto& theirs = w.wanted[other];
    if (actual.size() >= 2 && actual == w.actual[other] && static_cast<int64_t>(other) < w.row)
      return fmt::format("row {} repeats row {}'s tokens", w.row, other);
    if (w.step < static_cast<int64_t>(theirs.size()) && actual[w.step] == theirs[w.step])
      return fmt::format("it is row {}'s token of this step", other);
  }
  return "";
}

/// What a sampler with one thing wrong would do.
struct Hypothesis {
  std::string text;
  SamplerSettings settings;
  int64_t row = 0;
  std::function<int64_t(int64_t)> step = [](int64_t right) { return right; };
};

std::vector<Hypothesis> misread_settings(const WrongTokens& w) {
  const SamplerSettings& s = w.request.sampler;
  std::vector<Hypothesis> all;
  const auto with = [&](const std::string& text, auto change) {
    all.push_back({text, s, w.row});
    change(all.back().settings);
  };
  const int64_t k = s.top_k.value_or(0);
  for (const int64_t other : {k - 1, k + 1})
    if (k > 0 && other > 0) with(fmt::format("as if top_k were {}", other), [&](auto& x) { x.top_k = other; });
  if (k > 0) with("as if top_k were not there", [](auto& x) { x.top_k.reset(); });
  if (s.temperature == 0) return all;
  for (int64_t row = 0; row <= w.request.num_samples; ++row)
    if (row != w.row) all.push_back({fmt::format("as if drawn with row {}'s noise", row), s, row});
  all.push_back({"as if drawn with the noise of the step before", s, w.row, [](int64_t step) { return step - 1; }});
  all.push_back({"as if drawn with the noise of the next step", s, w.row, [](int64_t step) { return step + 1; }});
  all.push_back({"as if drawn with the noise of step 0", s, w.row, [](int64_t) { return int64_t{0}; }});
  with("as if drawn with the next seed", [](auto& x) { ++x.seed; });
  with("as if drawn with the seed before", [](auto& x) { --x.seed; });
  with("as if temperature were 0", [](auto& x) { x.temperature = 0; });
  if (s.temperature == 1) return all;
  with("as if temperature were 1", [](auto& x) { x.temperature = 1; });
  with("as if logits were multiplied by temperature", [](auto& x) { x.temperature = 1 / x.temperature; });
  return all;
}

/// The misreading that explains most of the row's tokens, the first wrong one among them.
std::string recognise_settings(const WrongTokens& w) {
  const std::vector<TokenId>& actual = w.actual[w.row];
  const auto& stream = w.expected.rows[w.row].stream;
  constexpr int64_t kMostSteps = 16;
  const int64_t end = std::min<int64_t>(static_cast<int64_t>(actual.size()), w.step + kMostSteps);
  std::vector<std::vector<double>> logits;  // along the wrong history
  std::vector<TokenId> history = w.request.prompt;
  history.insert(history.end(), actual.begin(), actual.begin() + w.step);
  for (int64_t step = w.step; step < end; ++step) {
    logits.push_back(w.logits(history));
    if (actual[step] < 0 || actual[step] >= static_cast<TokenId>(logits.back().size())) break;
    history.push_back(actual[step]);
  }
  int64_t best = 0;
  std::string found;
  for (const Hypothesis& one : misread_settings(w)) {
    int64_t explained = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const int64_t step = w.step + static_cast<int64_t>(i);
      const bool forced = step < static_cast<int64_t>(stream.size()) && stream[step].mask == 0;
      const bool takes = expected_choice(one.settings, logits[i], one.row, one.step(step)).token == actual[step];
      if (i == 0 && !takes) break;
      explained += takes && !forced;
    }
    if (explained <= best) continue;
    best = explained;
    found = one.text;
  }
  return found;
}

/// The right choice out of logits that belong to another history.
std::string recognise_history(const WrongTokens& w, TokenId actual) {
  const auto takes = [&](const std::vector<TokenId>& history) {
    return !history.empty() && expected_choice(w.request.sampler, w.logits(history), w.row, w.step).token == actual;
  };
  const auto& stream = w.expected.rows[w.row].stream;
  std::vector<TokenId> history = w.request.prompt, sampled = w.request.prompt;
  for (int64_t step = 0; step < w.step; ++step) {
    history.push_back(stream[step].token);
    sampled.push_back(stream[step].sampled);
  }
  if (sampled != history && takes(sampled)) return "as if sampled tokens had been fed in place of the forced ones";
  for (std::size_t step = w.request.prompt.size(); step < history.size(); ++step) {
    if (stream[step - w.request.prompt.size()].mask == 1) continue;
    std::vector<TokenId> mended = history;
    mended[step] = sampled[step];
    if (takes(mended)) return "as if the sampled token had been fed in place of the forced one";
  }
  if (w.step > 0 && takes({history.begin(), history.end() - 1})) return "as if the last token had not been fed";
  return "";
}

}  // namespace

std::string recognise_tokens(const WrongTokens& w) {
  const auto& actual = w.actual[w.row];
  const auto& wanted = w.wanted[w.row];
  if (w.step >= static_cast<int64_t>(std::min(actual.size(), wanted.size()))) return recognise_length(w);
  const TokenId token = actual[w.step];
  if (const std::string other = recognise_other_row(w); !other.empty()) return other;
  if (is_terminal(w, token)) return "the stop token was kept";
  const auto& stream = w.expected.rows[w.row].stream;
  if (w.step < static_cast<int64_t>(stream.size())) {
    const ExpectedToken& expected = stream[w.step];
    if (expected.mask == 0 && token == expected.sampled) return "the sampled token stands where a forced one belongs";
    if (expected.mask == 1) {
      if (w.request.sampler.mode == SamplerMode::per_row) {
        if (const std::string found = recognise_settings(w); !found.empty()) return found;
        if (const std::string found = recognise_history(w, token); !found.empty()) return found;
      }
    }
  }
  if (w.step + 1 < static_cast<int64_t>(wanted.size()) && token == wanted[w.step + 1])
    return "the stream is one step ahead: a token is missing";
  if (w.step > 0 && token == wanted[w.step - 1]) return "the previous token once more";
  return "";
}

}  // namespace kvproof
