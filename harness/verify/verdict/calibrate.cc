#include "harness/verify/verdict/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "harness/verify/scenarios/scenario.h"

namespace kvproof {
namespace {

constexpr int64_t kTokens = 12;  // the sequence; the last one is decoded
constexpr double kLeastApart = 10;

/// Key blocks while it lives, whatever is thrown.
struct BlockScope {
  BlockScope(const std::function<void(int64_t)>& u, int64_t keys) : use(u) { use(keys); }
  ~BlockScope() { use(0); }
  BlockScope(const BlockScope&) = delete;
  BlockScope& operator=(const BlockScope&) = delete;
  const std::function<void(int64_t)>& use;
};

class Calibrator {
 public:
  Calibrator(const CalibrationTarget& target, uint64_t seed)
      : t_(target), naive_(target.naive ? *target.naive : target.tested),
        info_(target.tested.info()), gate_{t_.gate_dtype.empty() ? info_.dtype : t_.gate_dtype}, seed_(seed) {
    const int64_t length = std::min(kTokens, info_.rotary_len);
    tokens_ = distinct_tokens(seed, 0, length, info_.vocab_size);
    last_ = length - 1;
    reference_ = logits_of((t_.exact ? *t_.exact : naive_).uncached_logits(tokens_, last_));
    naive_error_ =
        max_distance(t_.exact ? logits_of(naive_.uncached_logits(tokens_, last_)) : with_one_more(), reference_);
    result_.dtype = info_.dtype;
  }

  Calibration run() {
    benign();
    result_.gate = gate_of(result_.worst_benign);
    negative();
    judge();
    return std::move(result_);
  }

 private:
  double gate_of(double worst_benign) const {
    if (gate_.exact()) return kFloat64Gate * std::max(1.0, max_magnitude(reference_));
    if (!is_half(gate_.dtype)) return kErrorRatioGate;
    // Alone, a broken cache may be among what is taken to be harmless: R's gate bounds what that may excuse.
    if (t_.alone) return std::min(kErrorRatioGate, 3 * std::max(1.0, worst_benign));
    return 2 * std::max(1.0, worst_benign);
  }

  static std::vector<double> logits_of(const LogitRows& rows) {
    const auto last = rows.at(rows.first_position + rows.rows - 1);
    return {last.begin(), last.end()};
  }

  /// The distance of logits of the last position, in the unit of the gate.
  double effect(std::span<const double> logits) const {
    const double distance = max_distance(logits, reference_);
    if (gate_.exact()) return distance;
    return distance / gate_.denominator(naive_error_, max_magnitude(reference_));
  }

  void note_benign(const std::string& name, std::span<const double> logits) {
    result_.benign.push_back({name, effect(logits)});
    const double value = result_.benign.back().effect;
    if (!(value <= result_.worst_benign)) result_.worst_benign = value;
  }

  /// A cache of `rows` equal rows that holds all tokens but the last, given in chunks.
  std::unique_ptr<SubjectCache> filled(int64_t rows, const std::vector<int64_t>& chunks, const Tokens& tokens) {
    auto cache = t_.tested.new_cache(rows, last_ + 2);
    int64_t at = 0;
    for (const int64_t n : chunks) {
      TokenBatch batch{rows, n, {}, {}};
      for (int64_t row = 0; row < rows; ++row)
        batch.ids.insert(batch.ids.end(), tokens.begin() + at, tokens.begin() + at + n);
      cache->forward(batch, LogitsAt::last);
      at += n;
    }
    return cache;
  }

  std::vector<double> decode(SubjectCache& cache, int64_t row = 0) {
    return logits_of(
        cache.forward(TokenBatch::column(std::vector<int32_t>(cache.batch(), tokens_[last_])), LogitsAt::last)[row]);
  }

  void benign() {
    note_benign("decoded after one prefill", decode(*filled(1, {last_}, tokens_)));
    note_benign("decoded token by token", decode(*filled(1, std::vector<int64_t>(last_, 1), tokens_)));
    if (last_ > 4 && info_.can.has(Ability::chunks))
      note_benign("prefilled in three chunks", decode(*filled(1, {3, 1, last_ - 4}, tokens_)));
    if (info_.can.has(Ability::batch)) note_benign("in a batch of three", decode(*filled(3, {last_}, tokens_), 2));
    note_benign("recomputed with one more token behind", with_one_more());
    if (!t_.use_key_blocks) return;
    for (const int64_t keys : {3, 5}) {
      const BlockScope scope(t_.use_key_blocks, keys);
      note_benign(fmt::format("attention over blocks of {} keys", keys), decode(*filled(1, {last_}, tokens_)));
      note_benign(fmt::format("recomputed over blocks of {} keys", keys),
                  logits_of(t_.tested.uncached_logits(tokens_, last_)));
    }
  }

  std::vector<double> with_one_more() {
    Tokens longer = tokens_;
    longer.push_back(tokens_.front());
    if (static_cast<int64_t>(longer.size()) > info_.rotary_len) longer.pop_back();
    const LogitRows rows = naive_.uncached_logits(longer, last_);
    return {rows.at(last_).begin(), rows.at(last_).end()};
  }

  void negative() {
    Tokens exchanged = tokens_;
    exchanged[last_ / 2] = distinct_tokens(
        seed_, 1, 2, info_.vocab_size)[exchanged[last_ / 2] == distinct_tokens(seed_, 1, 1, info_.vocab_size)[0]];
    result_.negative.push_back({"one cached token is another one", effect(decode(*filled(1, {last_}, exchanged)))});
    if (last_ > 1) {
      Tokens shorter = tokens_;
      shorter.erase(shorter.begin() + last_ / 2);
      auto cache = filled(1, {last_ - 1}, shorter);
      result_.negative.push_back({"one cached token is missing", effect(decode(*cache))});
    }
    // A small nudge drowns in rounding: it is float64's to feel, and a large one float32's.
    if (!(gate_.exact() || (t_.alone && !is_half(gate_.dtype))) || !info_.can.has(Ability::perturb)) return;
    const bool copies = info_.can.contains({Ability::clone, Ability::caches});
    const auto base = copies ? filled(1, {last_}, tokens_) : nullptr;
    for (int64_t layer = 0; layer < info_.n_layer; ++layer) {
      for (const bool keys : {true, false}) nudge(base.get(), layer, keys);
    }
  }

  double nudge_size() const { return gate_.exact() ? 1e-3 : 0.1; }

  /// The most that moving one position's key or value does; positions are tried until one is felt.
  void nudge(const SubjectCache* base, int64_t layer, bool keys) {
    const double size = nudge_size();
    Control control{fmt::format("one cached {} + {:g}, layer {}", keys ? "key" : "value", size, layer), 0};
    for (const int64_t position : {last_ - 1, last_ / 2, int64_t{0}, last_ - 2}) {
      if (position < 0 || control.effect > result_.gate) continue;
      const auto cache = base ? base->clone_rows(std::vector<int64_t>{0}, last_ + 2) : filled(1, {last_}, tokens_);
      if (!cache->perturb(0, layer, position, keys, size)) return;
      control.effect = std::max(control.effect, effect(decode(*cache)));
    }
    result_.negative.push_back(control);
  }

  void judge() {
    const bool half = is_half(gate_.dtype) && !t_.alone;
    std::vector<std::string> dead;
    for (const Control& control : result_.negative)
      if (!(control.effect > result_.gate)) dead.push_back(control.name);
    if (!dead.empty() && !half) {
      result_.doubts.push_back(fmt::format(
          "{} of {} negative controls do not show in the logits ({}{}): {}", dead.size(), result_.negative.size(),
          dead.front(), dead.size() > 1 ? ", …" : "",
          is_half(gate_.dtype) ? "rounding in " + gate_.dtype + " hides what a broken cache does; run it in float32 too"
                               : "with these weights a broken cache could pass"));
    }
    if (!half && !(result_.worst_benign <= result_.gate))
      result_.doubts.push_back(
          fmt::format("harmless changes reach {:.3g} and the gate is {:.3g}", result_.worst_benign, result_.gate));
    const Control* smallest = result_.smallest_negative();
    if (!is_half(gate_.dtype) && dead.empty() && smallest && !(smallest->effect >= kLeastApart * result_.worst_benign))
      result_.doubts.push_back(
          fmt::format("the smallest harm ({}, {:.3g}) is less than {:g} times the worst harmless value ({:.3g})",
                      smallest->name, smallest->effect, kLeastApart, result_.worst_benign));
  }

  const CalibrationTarget& t_;
  Subject& naive_;
  SubjectInfo info_;
  Gate gate_;
  uint64_t seed_;
  Tokens tokens_;
  int64_t last_ = 0;
  std::vector<double> reference_;
  double naive_error_ = 0;
  Calibration result_;
};

}  // namespace

const Control* Calibration::smallest_negative() const {
  const auto least = std::min_element(negative.begin(), negative.end(),
                                      [](const Control& a, const Control& b) { return a.effect < b.effect; });
  return least == negative.end() ? nullptr : &*least;
}

Calibration calibrate(const CalibrationTarget& target, uint64_t seed) { return Calibrator(target, seed).run(); }

}  // namespace kvproof
