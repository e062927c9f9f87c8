#include "harness/verify/scenarios/attention_evidence.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "harness/verify/clue.h"
#include "harness/verify/gates.h"
#include "harness/verify/scenarios/rounding.h"

namespace kvproof {
namespace {

constexpr int64_t kProbed = 4;         // channels that a range must reproduce before all are looked at
constexpr int64_t kMostRanges = 1024;  // keys up to which every range is tried

/// Keys begin … end - 1.
struct Range {
  int64_t begin = 0, end = 0;
};

/// The weighted values of one query head, computed anew from recomputed queries, keys and values.
class HeadAttention {
 public:
  HeadAttention(const Scene& scene, double tolerance)
      : s_(scene), tolerance_(tolerance), D_(scene.info.head_dim), G_(scene.info.n_kv_head), q_(stage(Stage::query)),
        k_(stage(Stage::key)), v_(stage(Stage::value)),
        held_(std::min<int64_t>(scene.held, static_cast<int64_t>(scene.trace.tokens.size()))), keys_(held_) {
    // What lies behind the last key may have been read too, if it is made of numbers.
    if (s_.slots) keys_ = std::max(held_, s_.slots->count);
  }

  bool complete() const { return q_ && k_ && v_ && s_.place.position < held_; }
  int64_t held() const { return held_; }
  int64_t keys() const { return keys_; }

  /// Scores every key under a query head, a kv head and a scale.
  void use(int64_t head, int64_t kv_head, double scale) {
    head_ = head;
    kv_head_ = kv_head;
    scores_.assign(keys_, 0);
    for (int64_t j = 0; j < keys_; ++j) {
      const double* key = row(true, j);
      for (int64_t d = 0; d < D_; ++d) scores_[j] += query()[d] * key[d];
      scores_[j] *= scale;
    }
  }

  bool gives(Range range) const { return matches(sum_over(range)); }
  /// As above with every share of the sum rounded.
  bool gives_rounded(Range range, int bits) const {
    const std::vector<double> weights = weights_below(range.end);
    const double total = sum_over(range).shares;
    Sum rounded(D_);
    for (int64_t j = range.begin; j < range.end; ++j) add(rounded, j, round_to_bits(weights[j] / total, bits));
    rounded.shares = 1;
    return matches(rounded);
  }
  /// The key without which (factor -1), or with which once more (1), the range gives what was found.
  std::optional<int64_t> one_key(Range range, double factor) const {
    const std::vector<double> weights = weights_below(range.end);
    const Sum all = sum_over(range);
    for (int64_t j = range.begin; j < range.end; ++j) {
      Sum changed = all;
      add(changed, j, factor * weights[j]);
      if (matches(changed)) return j;
    }
    return std::nullopt;
  }
  /// The range nearest to the expected one that gives what was found.
  std::optional<Range> find_range(Range expected) const {
    std::optional<Range> best;
    const auto distance = [&](Range r) { return std::abs(r.begin - expected.begin) + std::abs(r.end - expected.end); };
    const int64_t probed = std::min(kProbed, D_);
    for (int64_t end = 1; end <= keys_; ++end) {
      if (keys_ > kMostRanges && std::abs(end - expected.end) > 8 && end != held_ && end != keys_) continue;
      const std::vector<double> weights = weights_below(end);
      Sum sum(probed);
      for (int64_t begin = end - 1; begin >= 0; --begin) {
        add(sum, begin, weights[begin]);
        if (best && distance({begin, end}) >= distance(*best)) continue;
        if (matches(sum) && gives({begin, end})) best = Range{begin, end};
      }
    }
    return best;
  }
  double distance(Range range) const {
    const Sum sum = sum_over(range);
    double worst = 0;
    for (int64_t d = 0; d < D_; ++d) worst = std::max(worst, std::abs(sum.values[d] / sum.shares - wanted()[d]));
    return worst;
  }

 private:
  const TracedValues* stage(Stage which) const {
    const auto found = s_.trace.stages.find({which, s_.place.layer});
    return found == s_.trace.stages.end() ? nullptr : &found->second;
  }
  const double* query() const { return q_->at(s_.place.position).data() + head_ * D_; }
  const double* wanted() const { return s_.found.data() + head_ * D_; }
  const double* row(bool key, int64_t j) const {
    if (j < held_) return (key ? k_ : v_)->at(j).data() + kv_head_ * D_;
    return (key ? s_.slots->keys : s_.slots->values).data() + (j * G_ + kv_head_) * D_;
  }

  /// Weighted values, of all channels or of the first few.
  struct Sum {
    explicit Sum(int64_t channels) : values(channels, 0.0) {}
    std::vector<double> values;
    double shares = 0;
  };
  /// exp(score) of the keys before `end`, relative to the largest of them: what lies in unused slots may be huge.
  std::vector<double> weights_below(int64_t end) const {
    double highest = -std::numeric_limits<double>::infinity();
    for (int64_t j = 0; j < end; ++j) highest = std::max(highest, scores_[j]);  // a NaN is passed over
    std::vector<double> weights(end);
    for (int64_t j = 0; j < end; ++j) weights[j] = std::exp(scores_[j] - highest);
    return weights;
  }
  void add(Sum& sum, int64_t j, double weight) const {
    const double* value = row(false, j);
    for (std::size_t d = 0; d < sum.values.size(); ++d) sum.values[d] += weight * value[d];
    sum.shares += weight;
  }
  Sum sum_over(Range range) const {
    const std::vector<double> weights = weights_below(range.end);
    Sum sum(D_);
    for (int64_t j = range.begin; j < range.end; ++j) add(sum, j, weights[j]);
    return sum;
  }
  bool matches(const Sum& sum) const {
    if (!(sum.shares > 0)) return false;
    for (std::size_t d = 0; d < sum.values.size(); ++d)
      // Garbage of any size may have been found.
      if (!(std::abs(sum.values[d] / sum.shares - wanted()[d]) <= tolerance_ * std::max(1.0, std::abs(wanted()[d]))))
        return false;
    return true;
  }

  const Scene& s_;
  double tolerance_;
  int64_t D_, G_;
  const TracedValues *q_, *k_, *v_;
  int64_t held_, keys_, head_ = 0, kv_head_ = 0;
  std::vector<double> scores_;
};

/// The hypotheses, in order.
class AttentionHypotheses {
 public:
  AttentionHypotheses(const Scene& scene, double tolerance)
      : s_(scene), info_(scene.info), attention_(scene, tolerance), position_(scene.place.position),
        window_(info_.windows.at(scene.place.layer)), expected_{std::max<int64_t>(0, position_ - window_),
                                                                position_ + 1},
        scale_(1 / std::sqrt(static_cast<double>(info_.head_dim))) {}

  std::string run() {
    if (!attention_.complete()) return "";
    find_wrong_heads();
    if (wrong_.empty()) return "";
    for (auto hypothesis :
         {&AttentionHypotheses::other_range, &AttentionHypotheses::other_kv_heads, &AttentionHypotheses::other_scale,
          &AttentionHypotheses::rounded_shares, &AttentionHypotheses::one_key}) {
      if (const std::string found = (this->*hypothesis)(); !found.empty()) return found;
    }
    return "";
  }

 private:
  int64_t kv_head(int64_t head) const { return head / (info_.n_head / info_.n_kv_head); }
  void use(int64_t head) { attention_.use(head, kv_head(head), scale_); }

  void find_wrong_heads() {
    for (int64_t head = 0; head < info_.n_head; ++head) {
      use(head);
      if (!attention_.gives(expected_)) wrong_.push_back(head);
    }
  }
  bool all_wrong_give(Range range) {
    return std::all_of(wrong_.begin(), wrong_.end(), [&](int64_t head) {
      use(head);
      return attention_.gives(range);
    });
  }

  std::string other_range() {
    use(wrong_.front());
    const auto range = attention_.find_range(expected_);
    if (!range || !all_wrong_give(*range)) return "";
    return describe(*range) + (static_cast<int64_t>(wrong_.size()) < info_.n_head
                                   ? fmt::format(", in query heads {} only", fmt::join(wrong_, ", "))
                                   : "");
  }

  std::string describe(Range r) const {
    const std::string keys = fmt::format("{} {} to {}", clue::kKeyRange, r.begin, r.end - 1);
    const std::string instead = fmt::format("{} to {}", expected_.begin, expected_.end - 1);
    const int64_t t = s_.first == kNowhere ? kNowhere : position_ - s_.first;
    const bool chunk = s_.first != kNowhere && attention_.held() - s_.first > 1;
    if (r.end == position_ + 1) {
      if (s_.first > 0 && r.begin == s_.first && expected_.begin < s_.first && chunk)
        return fmt::format("the output of {}: only the {} {} on are seen", clue::kChunkMask, clue::kKeyRange, r.begin);
      // Where earlier tokens, of the chunk or alone, saw all their keys, the first key is not lost to all.
      if (expected_.begin > 0 || position_ > s_.first || s_.steps_right || r.begin == position_ - window_ + 1)
        return describe_window(r);
      return fmt::format("the output over {} instead of {}", keys, instead);
    }
    if (chunk && s_.first > 0 && r.begin == 0 && r.end == t + 1)
      return fmt::format("the output of {}: token {} of the chunk sees keys 0 to {}", clue::kChunkMask, t, t);
    if (r.end > attention_.held())
      return fmt::format("the output over {} instead of {}: {} it holds are read", keys, instead, clue::kPastTheEnd);
    if (r.end > position_ + 1)
      return fmt::format("the output over {} instead of {}: it {}", keys, instead, clue::kLaterTokens);
    if (chunk && r.end == position_ && r.begin == expected_.begin && position_ + 1 < attention_.held())
      return fmt::format("the output {}: over {} instead of {}", clue::kWithoutItself, keys, instead);
    return fmt::format("the output over {} instead of {}", keys, instead);
  }
  std::string describe_window(Range r) const {
    if (r.begin == 0 && position_ > window_ + 1)
      return fmt::format("the output without {} {} keys", clue::kWindow, window_);
    return fmt::format("the output of {} {} instead of {}", clue::kWindow, position_ - r.begin, window_);
  }

  std::string other_kv_heads() {
    std::vector<int64_t> map, usual;
    for (int64_t head = 0; head < info_.n_head; ++head) {
      usual.push_back(kv_head(head));
      int64_t read = -1;
      for (int64_t step = 0; step < info_.n_kv_head && read < 0; ++step) {
        const int64_t candidate = (usual.back() + step) % info_.n_kv_head;
        attention_.use(head, candidate, scale_);
        if (attention_.gives(expected_)) read = candidate;
      }
      if (read < 0) return "";
      map.push_back(read);
    }
    return fmt::format("the output of query heads that read {}s {} instead of {}", clue::kHeadMap, fmt::join(map, ", "),
                       fmt::join(usual, ", "));
  }

  bool scaled(double scale) {
    return std::all_of(wrong_.begin(), wrong_.end(), [&](int64_t head) {
      attention_.use(head, kv_head(head), scale);
      return attention_.gives(expected_);
    });
  }
  std::string other_scale() {
    if (attention_.held() > kMostRanges || expected_.end - expected_.begin < 2) return "";
    const auto D = static_cast<double>(info_.head_dim);
    for (const double scale : {1.0, 1 / D, 1 / std::sqrt(static_cast<double>(info_.n_embd)), 0.0})
      if (scaled(scale)) return fmt::format("the output of {} {:.4g} instead of {:.4g}", clue::kScale, scale, scale_);
    const double factor = nearest_factor();
    if (!scaled(scale_ * factor)) return "";
    return fmt::format("the output of {} {:.6g} instead of {:.6g}", clue::kScale, scale_ * factor, scale_);
  }
  /// The factor of all scores whose output lies nearest: a coarse grid, then smaller and smaller steps around its best.
  double nearest_factor() {
    const auto distance = [&](double log_factor) {
      attention_.use(wrong_.front(), kv_head(wrong_.front()), scale_ * std::exp(log_factor));
      return attention_.distance(expected_);
    };
    double best = 0, at = distance(0);
    for (double step = 0.25; step > 1e-15; step /= 2) {
      const int64_t reach = step == 0.25 ? 16 : 2;
      const double middle = best;
      for (int64_t i = -reach; i <= reach; ++i) {
        const double here = distance(middle + static_cast<double>(i) * step);
        if (here < at) std::tie(best, at) = std::tuple(middle + static_cast<double>(i) * step, here);
      }
    }
    return std::exp(best);
  }

  std::string rounded_shares() {
    for (const RoundedDtype& dtype : kRoundedDtypes) {
      const bool all = std::all_of(wrong_.begin(), wrong_.end(), [&](int64_t head) {
        use(head);
        return attention_.gives_rounded(expected_, dtype.bits);
      });
      if (all) return fmt::format("the output of a softmax {} {}", clue::kRounded, dtype.name);
    }
    return "";
  }

  std::string one_key() {
    use(wrong_.front());
    if (const auto j = attention_.one_key(expected_, -1))
      return fmt::format("the output without position {} among the {} {} to {}", *j, clue::kKeyRange, expected_.begin,
                         position_);
    if (const auto j = attention_.one_key(expected_, 1))
      return fmt::format("the output with position {} twice among the {} {} to {}", *j, clue::kKeyRange,
                         expected_.begin, position_);
    return "";
  }

  const Scene& s_;
  const SubjectInfo& info_;
  HeadAttention attention_;
  int64_t position_, window_;
  Range expected_;
  double scale_;
  std::vector<int64_t> wrong_;
};

}  // namespace

std::string explain_attention(const Scene& scene, double tolerance) {
  const bool nan = std::any_of(scene.found.begin(), scene.found.end(), [](double x) { return !std::isfinite(x); });
  if (nan) {
    const auto spoilt = [&](double x) { return !std::isfinite(x); };
    if (scene.slots && std::any_of(scene.slots->values.begin(), scene.slots->values.end(), spoilt))
      return fmt::format("{}: {} it holds are read", clue::kNotANumber, clue::kPastTheEnd);
    return fmt::format("{}: {} was seen, or one that is none", clue::kNotANumber, clue::kNoKey);
  }
  if (max_magnitude(scene.found) == 0) return fmt::format("all zeros: {} was seen", clue::kNoKey);
  return AttentionHypotheses(scene, tolerance).run();
}

}  // namespace kvproof
