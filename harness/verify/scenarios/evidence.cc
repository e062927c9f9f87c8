#include "harness/verify/scenarios/evidence.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>

#include "harness/verify/clue.h"
#include "harness/verify/gates.h"
#include "harness/verify/scenarios/attention_evidence.h"
#include "harness/verify/scenarios/rounding.h"
#include "harness/verify/scenarios/stage_words.h"

namespace kvproof {
namespace {

using Numbers = std::span<const double>;

// Bases of RoPE that are in use; angles are looked for under each.
constexpr std::array kRotaryBases = {10000.0, 100000.0, 500000.0, 1000000.0};
// Rotary tables may be kept in bfloat16: an angle is known to this, relative to its pair's length.
constexpr double kAngleTolerance = 0.02;
constexpr double kLittle = 1e-6;  // what a norm's eps leaves of another length
constexpr double kSlack = 4;      // equal numbers may be so many times as far apart as the gate allows

Stage stage_of(const Place& place) {
  for (const StageWords& known : kStageWords)
    if (place.stage == known.word) return known.stage;
  return place.tensor == "K" ? Stage::key : Stage::value;  // slots
}

bool has_heads(Stage stage) {
  return stage == Stage::query || stage == Stage::key || stage == Stage::value || stage == Stage::attention;
}

/// Where a vector was found in the traces.
struct Source {
  int sequence = -1;  // into Scene::others; -1: the row's own
  Stage stage = Stage::embed;
  int64_t layer = 0, position = 0, head = 0;
};

class Hypotheses {
 public:
  explicit Hypotheses(const Scene& scene) : s_(scene), stage_(stage_of(scene.place)) {
    const int64_t layer = s_.place.layer == kNowhere ? 0 : s_.place.layer;
    if (s_.place.stage == "logits") {
      right_ = s_.trace.logits_at(s_.place.position);
      tolerance_ = kSlack * s_.trace.logits.allowed;
      width_ = static_cast<int64_t>(s_.found.size());
      return;
    }
    const auto traced = s_.trace.stages.find({stage_, layer});
    if (traced == s_.trace.stages.end() || s_.place.position >= static_cast<int64_t>(s_.trace.tokens.size())) return;
    right_ = traced->second.at(s_.place.position);
    tolerance_ = kSlack * traced->second.allowed;
    width_ = has_heads(stage_) ? s_.info.head_dim : traced->second.width;
  }

  std::string run() {
    if (right_.size() != s_.found.size()) return "";
    if (s_.place.stage == "attention") {
      const std::string found = explain_attention(s_, tolerance_);
      return found.empty() ? first_of({&Hypotheses::found_elsewhere, &Hypotheses::rounded}) : found;
    }
    if (s_.place.stage == "logits") return first_of({&Hypotheses::no_number, &Hypotheses::other_logits});
    if (s_.place.stage == "smear")
      return first_of(
          {&Hypotheses::no_number, &Hypotheses::smear_share, &Hypotheses::rounded, &Hypotheses::found_elsewhere});
    return first_of({&Hypotheses::no_number, &Hypotheses::rounded, &Hypotheses::found_elsewhere, &Hypotheses::turned,
                     &Hypotheses::stretched, &Hypotheses::in_part});
  }

 private:
  using Hypothesis = std::string (Hypotheses::*)();
  std::string first_of(std::initializer_list<Hypothesis> hypotheses) {
    for (const Hypothesis hypothesis : hypotheses)
      if (std::string found = (this->*hypothesis)(); !found.empty()) return found;
    return "";
  }

  bool same(Numbers a, Numbers b) const { return max_distance(a, b) <= tolerance_; }
  int64_t heads() const { return static_cast<int64_t>(s_.found.size()) / width_; }
  Numbers head(Numbers all, int64_t h) const { return all.subspan(h * width_, width_); }
  std::vector<int64_t> wrong_heads() const {
    std::vector<int64_t> wrong;
    for (int64_t h = 0; h < heads(); ++h)
      if (!same(head(s_.found, h), head(right_, h))) wrong.push_back(h);
    return wrong;
  }
  std::string what() const {
    if (s_.place.stage != "cache") return fmt::format("the {} stage", s_.place.stage);
    return fmt::format("slot {}", s_.place.position);
  }

  // --- nothing there ---------------------------------------------------------------------------------------------------

  std::string no_number() {
    const auto odd = std::count_if(s_.found.begin(), s_.found.end(), [](double x) { return !std::isfinite(x); });
    if (odd > 0) return fmt::format("{} is {}: nothing was written there", what(), clue::kNotANumber);
    if (max_magnitude(s_.found) == 0) return what() + " is all zeros";
    return "";
  }

  // --- the right numbers in fewer bits ---------------------------------------------------------------------------------

  std::string rounded() {
    for (const RoundedDtype& dtype : kRoundedDtypes) {
      if (std::ldexp(1.0, -dtype.bits) <= dtype_epsilon(s_.info.dtype)) continue;
      bool all = true;
      for (std::size_t i = 0; all && i < s_.found.size(); ++i) {
        const double x = s_.found[i];
        all = x == round_to_bits(x, dtype.bits) &&
              std::abs(x - right_[i]) <= std::ldexp(std::abs(right_[i]), 1 - dtype.bits) + 1e-7 + tolerance_;
      }
      if (all) return fmt::format("{} is the right one {} {}", what(), clue::kRounded, dtype.name);
    }
    return "";
  }

  // --- the right numbers of another place ------------------------------------------------------------------------------

  std::optional<Source> search(Numbers wanted, int64_t wrong_head) const {
    // Near places first: the same layer and stage, then other positions, layers, tensors, rows.
    const auto in = [&](int sequence, Stage stage, int64_t layer) -> std::optional<Source> {
      const Trace& trace = sequence < 0 ? s_.trace : *s_.others[sequence].trace;
      const auto traced = trace.stages.find({stage, layer});
      if (traced == trace.stages.end() || traced->second.width % width_ != 0) return std::nullopt;
      const int64_t all = static_cast<int64_t>(trace.tokens.size());
      const int64_t length = sequence < 0 ? all : std::min(all, s_.others[sequence].length);
      std::optional<Source> best;
      for (int64_t p = 0; p < length; ++p) {
        for (int64_t h = 0; h < traced->second.width / width_; ++h) {
          if (!same(wanted, head(traced->second.at(p), h))) continue;
          const Source here{sequence, stage, layer, p, h};
          const auto far = [&](const Source& x) {
            return 2 * std::abs(x.position - s_.place.position) + (x.head != wrong_head);
          };
          if (!best || far(here) < far(*best)) best = here;
        }
      }
      return best;
    };
    const int64_t own_layer = s_.place.layer == kNowhere ? 0 : s_.place.layer;
    for (int sequence = -1; sequence < static_cast<int>(s_.others.size()); ++sequence) {
      if (auto found = in(sequence, stage_, own_layer)) return found;
      for (int64_t layer = 0; layer < s_.info.n_layer; ++layer)
        if (auto found = in(sequence, stage_, layer)) return found;
      if (!has_heads(stage_)) continue;
      for (const Stage other : {Stage::key, Stage::value, Stage::query}) {
        if (auto found = in(sequence, other, own_layer)) return found;
        for (int64_t layer = 0; layer < s_.info.n_layer; ++layer)
          if (auto found = in(sequence, other, layer)) return found;
      }
    }
    return std::nullopt;
  }

  std::string found_elsewhere() {
    const std::vector<int64_t> wrong = wrong_heads();
    std::vector<int64_t> from;
    std::optional<Source> first;
    for (const int64_t h : wrong) {
      const auto source = search(head(s_.found, h), h);
      if (!source) return "";
      if (!first) first = source;
      if (source->sequence != first->sequence || source->stage != first->stage || source->layer != first->layer ||
          source->position != first->position)
        return fmt::format("{} holds heads of several positions or layers", what());
      from.push_back(source->head);
    }
    if (!first) return "";
    return fmt::format("{} {} {}", what(), s_.place.stage == "cache" ? "holds" : "shows",
                       describe(*first, wrong, from));
  }

  std::string describe(const Source& source, const std::vector<int64_t>& wrong,
                       const std::vector<int64_t>& from) const {
    std::string text = fmt::format("the {} of position {}", words_of_stage(source.stage).noun, source.position);
    if (s_.place.layer != kNowhere && source.layer != s_.place.layer) text += fmt::format(", layer {}", source.layer);
    if (source.sequence >= 0) text += fmt::format(", {}: {}", clue::kOtherRow, s_.others[source.sequence].name);
    if (wrong != from)
      text += fmt::format(", heads {} where {} belong", fmt::join(from, ", "), fmt::join(wrong, ", "));
    else if (static_cast<int64_t>(wrong.size()) < heads())
      text += fmt::format(", in heads {} of {}", fmt::join(wrong, ", "), heads());
    return text;
  }

  std::string other_logits() {
    const auto in = [&](const Trace& trace, int64_t length) -> std::optional<int64_t> {
      for (std::size_t i = 0; i < trace.positions.size() && trace.positions[i] < length; ++i)
        if (same(s_.found, trace.logits.at(static_cast<int64_t>(i)))) return trace.positions[i];
      return std::nullopt;
    };
    if (const auto p = in(s_.trace, static_cast<int64_t>(s_.trace.tokens.size())))
      return fmt::format("they are those of position {}", *p);
    for (const OtherSequence& other : s_.others)
      if (const auto p = in(*other.trace, other.length))
        return fmt::format("they are those of position {}, {}: {}", *p, clue::kOtherRow, other.name);
    return "";
  }

  // --- turned, stretched -----------------------------------------------------------------------------------------------

  /// The angle by which the pair (i, i + D/2) is turned, if all pairs of all heads keep their lengths.
  std::optional<std::vector<double>> angles() const {
    const int64_t half = width_ / 2;
    std::vector<double> cross(half, 0.0), dot(half, 0.0);
    for (int64_t h = 0; h < heads(); ++h) {
      const Numbers x = head(right_, h), y = head(s_.found, h);
      const double least = kAngleTolerance * max_magnitude(x);
      for (int64_t i = 0; i < half; ++i) {
        const double before = std::hypot(x[i], x[i + half]), after = std::hypot(y[i], y[i + half]);
        if (std::abs(before - after) > kAngleTolerance * before + least) return std::nullopt;
        // Rows are (x1 cos + x2 sin, x2 cos - x1 sin): positions turn from the first half's axis to the second's, clockwise.
        dot[i] += x[i] * y[i] + x[i + half] * y[i + half];
        cross[i] += x[i + half] * y[i] - x[i] * y[i + half];
      }
    }
    std::vector<double> turned(half);
    for (int64_t i = 0; i < half; ++i) turned[i] = std::atan2(cross[i], dot[i]);
    return turned;
  }

  /// The number of positions whose angles these are, the smallest that fits.
  std::optional<int64_t> positions_of(const std::vector<double>& turned) const {
    const auto half = static_cast<double>(turned.size());
    for (int64_t far = 1; far <= std::max<int64_t>(16, 2 * s_.held); ++far) {
      for (const int64_t d : {far, -far}) {
        for (const double base : kRotaryBases) {
          double worst = 0;
          for (std::size_t i = 0; i < turned.size(); ++i) {
            const double expected = static_cast<double>(d) * std::pow(base, -static_cast<double>(i) / half);
            worst = std::max(worst, std::abs(std::remainder(turned[i] - expected, 2 * std::numbers::pi)));
            if (worst > 2 * kAngleTolerance) break;
          }
          if (worst <= 2 * kAngleTolerance) return d;
        }
      }
    }
    return std::nullopt;
  }

  std::string turned() {
    if (stage_ != Stage::query && stage_ != Stage::key) return "";
    const auto all = angles();
    if (!all) return "";
    double largest = 0;
    for (const double angle : *all) largest = std::max(largest, std::abs(angle));
    if (largest < 1e-6) return "";
    const auto d = positions_of(*all);
    if (!d)
      return fmt::format("{} is {} angles that belong to no position near: its pairs keep their lengths", what(),
                         clue::kTurned);
    const int64_t p = s_.place.position + *d;
    const std::string positions = fmt::format("{} position{}", std::abs(*d), std::abs(*d) == 1 ? "" : "s");
    if (s_.trace.from_slots)  // another engine may turn the other way round
      return fmt::format("{} is {} {} that it should not be", what(), clue::kTurned, positions);
    std::string text = fmt::format("{} is {} {} too {}, as for position {}", what(), clue::kTurned, positions,
                                   *d > 0 ? "many" : "few", p);
    if (s_.first > 0 && s_.held - s_.first > 1 && p == s_.place.position - s_.first)
      text += ", counted from the chunk's start";
    if (p < 0 && p == -s_.place.position) text += ", or the other way round";
    return text;
  }

  std::string stretched() {
    std::vector<double> factors;
    for (int64_t h = 0; h < heads(); ++h) {
      const Numbers x = head(right_, h), y = head(s_.found, h);
      double xy = 0, xx = 0;
      for (int64_t i = 0; i < width_; ++i) xy += x[i] * y[i], xx += x[i] * x[i];
      const double factor = xy / xx;
      for (int64_t i = 0; i < width_; ++i)
        if (!(std::abs(y[i] - factor * x[i]) <= tolerance_ * std::max(1.0, std::abs(factor)))) return "";
      factors.push_back(factor);
    }
    const auto [low, high] = std::minmax_element(factors.begin(), factors.end());
    if (std::max(*high - 1, 1 - *low) < kLittle)
      return fmt::format("{} is {}{:+.2g}", what(), clue::kStretchedLittle, *high - 1);
    if (*high - *low <= 1e-6 * std::abs(*high)) return fmt::format("{} is {} {:.6g}", what(), clue::kStretched, *high);
    return fmt::format("{} is {} another factor in each head, {:.4g} to {:.4g}", what(), clue::kStretched, *low, *high);
  }

  // --- partly right ----------------------------------------------------------------------------------------------------

  std::string in_part() {
    const std::vector<int64_t> wrong = wrong_heads();
    if (wrong.empty()) return "";
    const Numbers x = head(right_, wrong.front()), y = head(s_.found, wrong.front());
    int64_t first = -1, last = -1;
    for (int64_t i = 0; i < width_; ++i) {
      if (std::abs(x[i] - y[i]) <= tolerance_) continue;
      if (first < 0) first = i;
      last = i;
    }
    if (first <= 0 && last == width_ - 1) return "";
    const bool zero = max_magnitude(y.subspan(first, last - first + 1)) == 0;
    return fmt::format("{}: channels {} to {} of {} are {}, the others right", what(), first, last, width_,
                       zero ? "zero" : "wrong");
  }

  // --- smear -----------------------------------------------------------------------------------------------------------

  struct Share {
    double factor = 0;
    bool fits = false;
  };
  /// found - own embedding as a multiple of another token's.
  Share share_of(Numbers difference, Numbers embedding) const {
    double de = 0, ee = 0;
    for (std::size_t i = 0; i < difference.size(); ++i)
      de += difference[i] * embedding[i], ee += embedding[i] * embedding[i];
    Share share{ee > 0 ? de / ee : 0, ee > 0};
    for (std::size_t i = 0; share.fits && i < difference.size(); ++i)
      share.fits = std::abs(difference[i] - share.factor * embedding[i]) <= 2 * tolerance_;
    return share;
  }

  std::string smear_share() {
    const auto embedded = s_.trace.stages.find({Stage::embed, 0}), smeared = s_.trace.stages.find({Stage::smear, 0});
    if (embedded == s_.trace.stages.end() || smeared == s_.trace.stages.end()) return "";
    const int64_t p = s_.place.position;
    const Numbers own = embedded->second.at(p);
    if (same(s_.found, own)) return "nothing is taken from the previous token";
    std::vector<double> difference(own.size()), usual(own.size());
    for (std::size_t i = 0; i < own.size(); ++i) {
      difference[i] = s_.found[i] - own[i];
      usual[i] = right_[i] - own[i];
    }
    const double gate = p > 0 ? share_of(usual, embedded->second.at(p - 1)).factor : 0;
    if (p > 0) {
      if (const Share share = share_of(difference, embedded->second.at(p - 1)); share.fits)
        return fmt::format("{:.4g} of the previous token is taken, not {:.4g}", share.factor, gate);
      if (share_of(difference, smeared->second.at(p - 1)).fits)
        return "the previous token's share is taken after its own smear, not before";
    }
    return other_token(difference, p);
  }

  std::string other_token(Numbers difference, int64_t p) const {
    for (int sequence = -1; sequence < static_cast<int>(s_.others.size()); ++sequence) {
      const Trace& trace = sequence < 0 ? s_.trace : *s_.others[sequence].trace;
      const auto embedded = trace.stages.find({Stage::embed, 0});
      if (embedded == trace.stages.end()) continue;
      for (int64_t q = 0; q < static_cast<int64_t>(trace.tokens.size()); ++q) {
        if (!share_of(difference, embedded->second.at(q)).fits) continue;
        const std::string whose =
            sequence < 0 ? "" : fmt::format(", {}: {}", clue::kOtherRow, s_.others[sequence].name);
        if (p == 0) return fmt::format("a share of position {}'s token{} is taken, where nothing precedes", q, whose);
        return fmt::format("a share of position {}'s token{} is taken, not of position {}'s", q, whose, p - 1);
      }
    }
    return p == 0 ? "something is taken, where nothing precedes" : "";
  }

  const Scene& s_;
  Stage stage_;
  Numbers right_;  // what should have been found
  double tolerance_ = 0;
  int64_t width_ = 1;  // of a head, or of the whole stage
};

/// Where in its forward the position stands.
std::string describe_chunk(const Scene& scene) {
  if (scene.first <= 0 || scene.held - scene.first < 2 || scene.place.position == kNowhere) return "";
  const int64_t t = scene.place.position - scene.first;
  if (t == 0) return fmt::format("{} that begins at position {}", clue::kFirstOfChunk, scene.first);
  return fmt::format("token {} of a chunk that begins at position {}", t, scene.first);
}

}  // namespace

std::string explain_values(const Scene& scene) {
  if (scene.place.position == kNowhere || scene.found.empty()) return "";
  const std::string values = Hypotheses(scene).run(), chunk = describe_chunk(scene);
  return values.empty() || chunk.empty() ? values + chunk : values + "; " + chunk;
}

}  // namespace kvproof
