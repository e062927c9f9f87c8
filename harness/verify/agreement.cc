#include "harness/verify/agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "harness/verify/choice.h"
#include "harness/verify/metrics.h"

namespace kvproof {
namespace {

bool finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

std::string token_text(std::optional<TokenId> token) {
  return token ? fmt::format("token {}", *token) : "nothing, it had ended";
}

std::string place(int64_t row, std::optional<int64_t> step) {
  return step ? fmt::format("row {}, step {}", row, *step) : fmt::format("row {}, inside the prompt", row);
}

bool earlier(const Flip& a, const Flip& b) { return std::pair(a.step, a.row) < std::pair(b.step, b.row); }

}  // namespace

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::agree:
      return "AGREE";
    case Verdict::tie:
      return "TIE";
    case Verdict::disagree:
      return "DISAGREE";
    case Verdict::unverified:
      return "UNVERIFIED";
  }
  throw std::logic_error("a verdict without a name");
}

std::optional<int64_t> first_difference(const TokenStream& a, const TokenStream& b) {
  const auto [left, right] = std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end());
  if (left == a.tokens.end() && right == b.tokens.end()) return std::nullopt;
  return left - a.tokens.begin();
}

AgreementJudge::AgreementJudge(AgreementSettings settings, std::vector<TokenStream> naive,
                               std::vector<TokenStream> engine)
    : settings_(std::move(settings)), naive_(std::move(naive)), engine_(std::move(engine)) {
  if (naive_.size() != engine_.size()) throw std::invalid_argument("the paths have different numbers of rows");
  const auto token_at = [](const TokenStream& stream, int64_t step) {
    return step < static_cast<int64_t>(stream.tokens.size()) ? std::optional(stream.tokens[step]) : std::nullopt;
  };
  for (std::size_t row = 0; row < naive_.size(); ++row) {
    const auto step = first_difference(naive_[row], engine_[row]);
    if (!step) continue;
    Flip flip;
    flip.row = static_cast<int64_t>(row);
    flip.step = *step;
    flip.naive_token = token_at(naive_[row], *step);
    flip.engine_token = token_at(engine_[row], *step);
    divergences_.push_back(flip);
  }
}

bool AgreementJudge::scored() const {
  return settings_.sampler.mode == SamplerMode::per_row || settings_.sampler.temperature == 0;
}

/// Whether the two paths are expected to draw different tokens from equal logits.
bool AgreementJudge::not_comparable() const { return !scored() && settings_.sampler.top_k.value_or(0) > 0; }

void AgreementJudge::add(const JudgedPosition& p) {
  const std::size_t vocab = p.naive.size();
  const auto fits = [&](std::span<const double> logits) { return logits.empty() || logits.size() == vocab; };
  if (vocab == 0 || p.engine.size() != vocab || p.reference.size() != vocab || !fits(p.naive_taken) ||
      !fits(p.engine_taken) || !fits(p.logic_engine)) {
    throw std::invalid_argument("logits of one position differ in length");
  }
  ++positions_;
  for (const auto& [name, logits] :
       {std::pair("naive", p.naive), std::pair("naive", p.naive_taken), std::pair("engine", p.engine),
        std::pair("engine", p.engine_taken), std::pair("float64 reference", p.reference), std::pair("float64 engine", p.logic_engine)}) {
    if (finite(logits)) continue;
    if (not_finite_.empty())
      not_finite_ = fmt::format("the {} path's logits are not finite at {}", name, place(p.row, p.step));
    return;
  }
  add_numbers(p);
  if (!p.step || !scored()) return;
  const auto divergence = std::find_if(divergences_.begin(), divergences_.end(),
                                       [&](const Flip& f) { return f.row == p.row && f.step == *p.step; });
  if (divergence != divergences_.end()) {
    judge_divergence(*divergence, p);
  } else {
    judge_replay(p);
  }
}

void AgreementJudge::add_numbers(const JudgedPosition& p) {
  max_abs_ = std::max(max_abs_, max_distance(p.naive, p.engine));
  naive_error_ = std::max(naive_error_, max_distance(p.naive, p.reference));
  engine_error_ = std::max(engine_error_, max_distance(p.engine, p.reference));
  if (!p.logic_engine.empty()) logic_error_ = std::max(logic_error_, max_distance(p.logic_engine, p.reference));
  for (const double logit : p.reference) max_logit_ = std::max(max_logit_, std::abs(logit));
  const double kl = kl_divergence(p.naive, p.engine);
  kl_sum_ += kl;
  kl_max_ = std::max(kl_max_, kl);
  same_top1_ += argmax(p.naive) == argmax(p.engine);
}

/// The free-running streams part here: were the tokens that came out within rounding of each other?
void AgreementJudge::judge_divergence(Flip& divergence, const JudgedPosition& p) {
  if (!divergence.naive_token || !divergence.engine_token) return;
  const Margin margin = flip_margin(settings_.sampler, {p.naive, p.engine, p.reference, p.naive_taken, p.engine_taken},
                                    p.row, *p.step, *divergence.naive_token, *divergence.engine_token);
  divergence.margin = margin.margin;
  divergence.allowed = margin.allowed;
}

/// Elsewhere the naive stream's tokens were given to both: do the logits choose alike?
void AgreementJudge::judge_replay(const JudgedPosition& p) {
  const auto& masks = naive_.at(p.row).masks;
  if (*p.step < static_cast<int64_t>(masks.size()) && masks[*p.step] == 0) return;  // forced: nothing was chosen
  Flip flip;
  flip.row = p.row;
  flip.step = *p.step;
  flip.naive_token = chosen_token(settings_.sampler, p.naive, p.row, *p.step);
  flip.engine_token = chosen_token(settings_.sampler, p.engine, p.row, *p.step);
  if (flip.naive_token == flip.engine_token) return;
  ++replayed_flips_;
  const Margin margin = flip_margin(settings_.sampler, {p.naive, p.engine, p.reference, {}, {}}, p.row, *p.step,
                                    *flip.naive_token, *flip.engine_token);
  flip.margin = margin.margin;
  flip.allowed = margin.allowed;
  if (!margin.explained()) unexplained_.push_back(flip);
}

double AgreementJudge::error_ratio() const {
  return engine_error_ / Gate{settings_.dtype}.denominator(naive_error_, max_logit_);
}

/// Why the logits alone say DISAGREE; empty if they do not.
std::string AgreementJudge::broken_gate() const {
  const double float64_gate = kFloat64Gate * std::max(1.0, max_logit_);
  if (settings_.dtype == "float64") {
    if (max_abs_ <= float64_gate) return {};
    return fmt::format("the logits differ by {:.3g}, float64 allows {:.3g}: the cache changes the result", max_abs_,
                       float64_gate);
  }
  if (is_half(settings_.dtype) && logic_error_ > float64_gate) {
    return fmt::format("the same code in float64 differs by {:.3g}, {:.3g} is allowed: the cache changes the result",
                       logic_error_, float64_gate);
  }
  const double ratio = error_ratio();
  if (ratio <= kErrorRatioGate) return {};
  return fmt::format(
      "the engine's logits are off by {:.3g}, {:.3g} times what {} rounding does to the naive path ({} is allowed)",
      engine_error_, ratio, settings_.dtype, kErrorRatioGate);
}

/// Why the tokens say DISAGREE; empty if they do not.
std::string AgreementJudge::broken_tokens() const {
  if (!scored()) return {};
  std::vector<Flip> all = divergences_;
  all.insert(all.end(), unexplained_.begin(), unexplained_.end());
  std::sort(all.begin(), all.end(), earlier);
  for (const Flip& flip : all) {
    const std::string at = place(flip.row, flip.step);
    if (!flip.naive_token || !flip.engine_token) {
      return fmt::format("{}: naive took {}, the engine {}", at, token_text(flip.naive_token),
                         token_text(flip.engine_token));
    }
    if (!flip.margin)
      return fmt::format("{}: the paths took different tokens and the logits there were not compared", at);
    if (*flip.margin > *flip.allowed) {
      return fmt::format(
          "{}: naive took token {}, the engine {}; the reference has them {:.3g} apart, the errors explain {:.3g}", at,
          *flip.naive_token, *flip.engine_token, *flip.margin, *flip.allowed);
    }
  }
  return {};
}

/// Why AGREE or TIE.
std::string AgreementJudge::explain() const {
  if (!divergences_.empty() && not_comparable()) {
    return "nanochat's two procedures draw different tokens from equal logits when top_k is set: the logits alone were "
           "judged";
  }
  if (!divergences_.empty() && !scored()) {
    return "tokens differ; nanochat's sampling gives them no margin to be judged by: the logits alone were judged";
  }
  if (!divergences_.empty()) {
    return fmt::format("{} of {} rows differ, each first where two tokens were closer than the rounding errors",
                       divergences_.size(), naive_.size());
  }
  if (replayed_flips_ > 0) {
    return fmt::format("all tokens are equal; replayed on equal tokens, rounding flips {}", replayed_flips_);
  }
  return "all tokens are equal and the logits differ by no more than rounding";
}

Agreement AgreementJudge::verdict(const std::string& unjudged) const {
  Agreement result;
  result.rows = static_cast<int64_t>(naive_.size());
  result.identical_rows = result.rows - static_cast<int64_t>(divergences_.size());
  result.flips = static_cast<int64_t>(divergences_.size()) + replayed_flips_;
  if (!divergences_.empty())
    result.first_divergence = *std::min_element(divergences_.begin(), divergences_.end(), earlier);
  if (positions_ == 0) {
    result.explanation = fmt::format("the logits were not compared: {}; {} of {} rows have equal tokens", unjudged,
                                     result.identical_rows, result.rows);
    return result;
  }
  result.verdict = Verdict::disagree;
  if (!not_finite_.empty()) {
    result.explanation = not_finite_;
    return result;
  }
  const auto positions = static_cast<double>(positions_);
  const double same_top1 = static_cast<double>(same_top1_) / positions;
  result.logits = {positions_, max_abs_, kl_sum_ / positions, kl_max_, same_top1, error_ratio()};
  result.explanation = broken_gate();
  if (result.explanation.empty()) result.explanation = broken_tokens();
  if (!result.explanation.empty()) return result;
  result.verdict = divergences_.empty() || not_comparable() ? Verdict::agree : Verdict::tie;
  result.explanation = explain();
  return result;
}

}  // namespace kvproof
