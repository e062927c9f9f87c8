#include "harness/verify/behaviour/recognise.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

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

/// Each setting that could have been misread, tried on the right logits.
std::string recognise_settings(const WrongTokens& w, std::span<const double> logits, TokenId actual) {
  const SamplerSettings& s = w.request.sampler;
  const auto takes = [&](const SamplerSettings& settings, int64_t row, int64_t step) {
    return expected_choice(settings, logits, row, step).token == actual;
  };
  const auto with = [&](auto change) {
    SamplerSettings changed = s;
    change(changed);
    return takes(changed, w.row, w.step);
  };
  if (s.temperature == 0) return "";
  for (int64_t row = 0; row < w.request.num_samples + 1; ++row)
    if (row != w.row && takes(s, row, w.step)) return fmt::format("as if drawn with row {}'s noise", row);
  for (const int64_t step : {w.step - 1, w.step + 1, int64_t{0}})
    if (step != w.step && step >= 0 && takes(s, w.row, step))
      return fmt::format("as if drawn with the noise of step {}", step);
  if (with([](auto& x) { ++x.seed; }) || with([](auto& x) { --x.seed; })) return "as if drawn with a neighbouring seed";
  if (s.top_k.value_or(0) > 0) {
    for (const int64_t k : {*s.top_k - 1, *s.top_k + 1})
      if (k > 0 && with([&](auto& x) { x.top_k = k; })) return fmt::format("as if top_k were {}", k);
    if (with([](auto& x) { x.top_k.reset(); })) return "as if top_k were not there";
  }
  if (s.temperature != 1 && with([](auto& x) { x.temperature = 1; })) return "as if temperature were 1";
  if (s.temperature != 1 && with([](auto& x) { x.temperature = 1 / x.temperature; }))
    return "as if logits were multiplied by temperature";
  if (with([](auto& x) { x.temperature = 0; })) return "as if temperature were 0";
  return "";
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
      std::vector<TokenId> history = w.request.prompt;
      for (int64_t step = 0; step < w.step; ++step) history.push_back(stream[step].token);
      if (w.request.sampler.mode == SamplerMode::per_row) {
        if (const std::string found = recognise_settings(w, w.logits(history), token); !found.empty()) return found;
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
