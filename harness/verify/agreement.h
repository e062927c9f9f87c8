// Do the naive and the cached path agree? The judgement alone: numbers in, a verdict out; no model, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/sampler.h"
#include "harness/verify/gates.h"

namespace kvproof {

/// TIE: tokens differ, but no more than rounding explains. UNVERIFIED: logits were not compared.
enum class Verdict { agree, tie, disagree, unverified };
std::string to_string(Verdict verdict);  // "AGREE"

/// One row's generated tokens, the terminal one included, the prompt not.
struct TokenStream {
  std::vector<TokenId> tokens;
  std::vector<int> masks;  // 1 sampled, 0 forced; as long as tokens
};

/// The step from which two streams differ: the first unequal token, or the length of the shorter one.
std::optional<int64_t> first_difference(const TokenStream& a, const TokenStream& b);

/// All logits of one position, computed over the same tokens (the naive stream's) on every path.
struct JudgedPosition {
  int64_t row = 0;
  std::optional<int64_t> step;  // the generated token these logits chose; absent: a position inside the prompt
  std::span<const double> naive, engine, reference;  // (V) each; reference: uncached, float64
  /// (V) in the shapes in which the free-running path took its token, where the two took different ones; may be empty
  std::span<const double> naive_taken, engine_taken;
  std::span<const double> logic_engine;  // (V) cached, float64; empty unless the dtype is bfloat16 or float16
};

/// A step at which the two paths choose different tokens.
struct Flip {
  int64_t row = 0, step = 0;
  std::optional<TokenId> naive_token, engine_token;  // absent: this path had already ended
  /// In units of the score that chooses (logits / temperature): how far apart the reference has the two tokens, and
  /// what both paths' actual errors at the two add up to. Absent where no score exists.
  std::optional<double> margin, allowed;
};

struct LogitNumbers {
  int64_t positions = 0;
  double max_abs = 0;              // naive against engine
  double kl_mean = 0, kl_max = 0;  // KL(naive || engine), nats
  double same_top1 = 0;            // share of positions, 0 … 1
  double error_ratio = 0;          // R: the engine's worst error over the naive path's
};

struct Agreement {
  Verdict verdict = Verdict::unverified;
  std::string explanation;  // one sentence or two, for people
  int64_t rows = 0, identical_rows = 0;
  int64_t flips = 0;                     // steps with different choices, free-running and replayed
  std::optional<Flip> first_divergence;  // of the free-running rows: the earliest step, then the lowest row
  std::optional<LogitNumbers> logits;    // absent when UNVERIFIED or not finite
  int64_t replayed_forced_tokens = 0;    // forced by the engine's tools and given to the naive path as well
};

struct AgreementSettings {
  SamplerSettings sampler;
  std::string dtype = "float32";  // of the paths under test: decides the gate
};

/// Takes positions one at a time, so that no run's logits need be held at once.
///
/// The verdict is DISAGREE where any of these holds: a logit that is not finite; the dtype's gate broken (float64: max
/// abs; bfloat16 and float16: float64's gate on the same code, and R; else R); a flip whose margin the errors do not
/// explain; streams that are equal but for their length; a divergence nobody gave the logits of. The gate comes first:
/// a broken cache makes errors large enough to explain any flip.
/// nanochat's sampling has no score: with a temperature, differing tokens are left to the gate, and the explanation
/// says so (AGREE where top_k makes its two procedures draw differently anyway, else TIE).
class AgreementJudge {
 public:
  /// naive, engine  free-running, one stream per row, equally many
  AgreementJudge(AgreementSettings settings, std::vector<TokenStream> naive, std::vector<TokenStream> engine);

  /// (row, step) whose logits the verdict cannot do without: each row's first divergence.
  const std::vector<Flip>& divergences() const { return divergences_; }
  /// Whether a token's score is a function of its logit, so that a flip has a margin.
  bool scored() const;

  /// Each position once, in any order. throws std::invalid_argument: spans of unequal length
  void add(const JudgedPosition& position);

  /// Without any position: UNVERIFIED.
  /// unjudged  why there is none, for the explanation
  Agreement verdict(const std::string& unjudged = "run.verify is off") const;

 private:
  bool not_comparable() const;
  double error_ratio() const;
  void add_numbers(const JudgedPosition& position);
  void judge_divergence(Flip& divergence, const JudgedPosition& position);
  void judge_replay(const JudgedPosition& position);
  std::string broken_gate() const;
  std::string broken_tokens() const;
  std::string explain() const;

  AgreementSettings settings_;
  std::vector<TokenStream> naive_, engine_;
  std::vector<Flip> divergences_;  // one per row that differs, rows ascending
  std::vector<Flip> unexplained_;
  std::string not_finite_;  // where, empty if nowhere
  int64_t positions_ = 0, same_top1_ = 0, replayed_flips_ = 0;
  double max_abs_ = 0, kl_sum_ = 0, kl_max_ = 0, max_logit_ = 0;
  double naive_error_ = 0, engine_error_ = 0, logic_error_ = 0;
};

}  // namespace kvproof
