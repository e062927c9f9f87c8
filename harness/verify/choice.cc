#include "harness/verify/choice.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

namespace kvproof {
namespace {

double unit(const SamplerSettings& settings) { return settings.temperature > 0 ? settings.temperature : 1; }

/// Both paths' actual errors at one token, as logits: of each the worse of what it computed.
double error_at(const FlipEvidence& e, TokenId token) {
  const auto error = [&](std::span<const double> logits) {
    return logits.empty() ? 0 : std::abs(logits[token] - e.reference[token]);
  };
  return std::max(error(e.naive), error(e.naive_taken)) + std::max(error(e.engine), error(e.engine_taken));
}

Margin margin_between(const SamplerSettings& settings, const FlipEvidence& e, TokenId a, TokenId b, double distance) {
  return {distance, (error_at(e, a) + error_at(e, b)) / unit(settings)};
}

Margin harder(const Margin& a, const Margin& b) { return a.margin - a.allowed >= b.margin - b.allowed ? a : b; }

/// `token` was taken by the path with the logits `with`, and is none of `candidates`, those of the path with the logits
/// `without`. Some candidate must then have passed it; the nearest of them is the one to blame rounding on.
Margin exclusion_margin(const SamplerSettings& settings, const FlipEvidence& e, TokenId token,
                        std::span<const double> with, std::span<const double> without,
                        const std::vector<bool>& candidates) {
  std::optional<TokenId> nearest, last;  // last: the weakest candidate, should none have passed the token
  for (TokenId other = 0; other < static_cast<TokenId>(without.size()); ++other) {
    if (!candidates[other]) continue;
    if (!last || without[other] < without[*last]) last = other;
    const auto distance = [&](TokenId t) { return std::abs(e.reference[t] - e.reference[token]); };
    if (with[other] <= with[token] && (!nearest || distance(other) < distance(*nearest))) nearest = other;
  }
  const TokenId rival = nearest.value_or(*last);
  return margin_between(settings, e, token, rival, std::abs(e.reference[token] - e.reference[rival]) / unit(settings));
}

}  // namespace

std::vector<bool> candidates(const SamplerSettings& settings, std::span<const double> logits) {
  const auto vocab = static_cast<int64_t>(logits.size());
  const int64_t k = settings.top_k.value_or(0);
  if (settings.temperature <= 0 || k <= 0 || k >= vocab) return std::vector<bool>(logits.size(), true);
  std::vector<double> sorted(logits.begin(), logits.end());
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const double threshold = sorted[k - 1];
  const int64_t above = std::count_if(logits.begin(), logits.end(), [&](double logit) { return logit > threshold; });
  int64_t ties = k - above;
  std::vector<bool> kept(logits.size());
  for (std::size_t token = 0; token < kept.size(); ++token) {
    kept[token] = logits[token] > threshold || (logits[token] == threshold && ties-- > 0);
  }
  return kept;
}

TokenId chosen_token(const SamplerSettings& settings, std::span<const double> logits, int64_t row, int64_t step) {
  const std::vector<bool> candidate = candidates(settings, logits);
  TokenId best = 0;
  double best_score = -std::numeric_limits<double>::infinity();
  for (TokenId token = 0; token < static_cast<TokenId>(logits.size()); ++token) {
    if (!candidate[token]) continue;
    const double score = per_row_score(settings, logits[token], row, step, token);
    if (score > best_score) {
      best = token;
      best_score = score;
    }
  }
  return best;
}

Margin flip_margin(const SamplerSettings& settings, const FlipEvidence& e, int64_t row, int64_t step,
                   TokenId naive_token, TokenId engine_token) {
  const std::span<const double> naive = e.naive_taken.empty() ? e.naive : e.naive_taken;
  const std::span<const double> engine = e.engine_taken.empty() ? e.engine : e.engine_taken;
  const std::vector<bool> of_naive = candidates(settings, naive), of_engine = candidates(settings, engine);
  std::optional<Margin> excluded;
  if (!of_engine[naive_token]) excluded = exclusion_margin(settings, e, naive_token, naive, engine, of_engine);
  if (!of_naive[engine_token]) {
    const Margin margin = exclusion_margin(settings, e, engine_token, engine, naive, of_naive);
    excluded = excluded ? harder(*excluded, margin) : margin;
  }
  if (excluded) return *excluded;
  const auto score = [&](TokenId token) { return per_row_score(settings, e.reference[token], row, step, token); };
  return margin_between(settings, e, naive_token, engine_token, std::abs(score(naive_token) - score(engine_token)));
}

}  // namespace kvproof
