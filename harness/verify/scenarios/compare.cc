#include "harness/verify/scenarios/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

namespace kvproof {
namespace {

// Evidence looks at other rows' recomputations, and at a whole layer's storage, where they are at most so many numbers.
constexpr int64_t kMostEvidence = int64_t{1} << 24;

}  // namespace

Place Comparison::place(int64_t row, const std::string& stage) const {
  Place at;
  at.step = standing_.step;
  at.operation = standing_.operation;
  at.row = row;
  at.stage = stage;
  return at;
}

void Comparison::fact(Level level, bool holds, const Place& at, const std::string& message) {
  outcome_.level(level).add_fact(holds);
  if (!holds) outcome_.note({level, at, 0, 0, message, {}});
}

double Comparison::compare(Level level, Place at, std::span<const double> found, std::span<const double> expected,
                           int64_t width, double allowed, int64_t first_position, const std::string& what) {
  const auto count = static_cast<int64_t>(found.size()) / width;
  std::vector<double> errors;
  double error = 0;
  for (int64_t i = 0; i < count; ++i) {
    errors.push_back(max_distance(found.subspan(i * width, width), expected.subspan(i * width, width)));
    error = std::max(error, errors.back());
    double& worst = outcome_.errors_of(level)[first_position + i];
    worst = std::max(worst, errors.back());
  }
  outcome_.level(level).add(error, allowed);
  for (int64_t i = 0; i < count; ++i) {
    const auto part = [&](std::span<const double> all) { return all.subspan(i * width, width); };
    const double here = errors[i];
    if (here <= allowed) continue;
    at.position = first_position + i;
    const std::string heads = at.stage == "logits" ? "" : name_heads(part(found), part(expected), allowed, at);
    Finding finding{level,
                    at,
                    here,
                    allowed,
                    fmt::format("{} at position {} {} off by {:.3g}, {:.3g} is allowed{}", what, at.position,
                                what.back() == 's' ? "are" : "is", here, allowed, heads),
                    {}};
    // The first of each kind: what comes later are its consequences.
    if (explained_.insert(at.stage + at.tensor).second) finding.evidence = explain(finding, part(found));
    outcome_.note(std::move(finding));
    break;
  }
  return error;
}

/// Which heads are wrong, where a stage has heads; the first of them goes into the place.
std::string Comparison::name_heads(std::span<const double> found, std::span<const double> expected, double allowed,
                                   Place& at) const {
  const bool headed =
      at.stage == "query" || at.stage == "key" || at.stage == "value" || at.stage == "cache" || at.stage == "attention";
  if (!headed) return "";
  const int64_t D = info_.head_dim, heads = static_cast<int64_t>(found.size()) / D;
  std::vector<int64_t> wrong;
  for (int64_t h = 0; h < heads; ++h)
    if (!(max_distance(found.subspan(h * D, D), expected.subspan(h * D, D)) <= allowed)) wrong.push_back(h);
  at.head = wrong.front();
  if (static_cast<int64_t>(wrong.size()) == heads) return heads == 1 ? "" : "; all heads";
  return fmt::format("; heads {} of {}", fmt::join(wrong, ", "), heads);
}

std::string Comparison::explain(const Finding& finding, std::span<const double> found) {
  const Place& at = finding.place;
  const Tokens& row = standing_.own_rows()[at.row];
  std::vector<OtherSequence> others = other_sequences(row);
  const Trace& trace = trace_of(row);
  const auto held = static_cast<int64_t>(row.size());
  const int64_t first = standing_.forward_from.empty() ? kNowhere : standing_.forward_from[at.row];
  Scene scene{at, found, trace, info_, held, first, standing_.steps_right, std::move(others)};
  std::optional<CacheSlots> slots;
  const SubjectCache& cache = standing_.own_cache();
  if (at.stage == "attention" && cache.capacity() * info_.n_kv_head * info_.head_dim <= kMostEvidence)
    slots = cache.contents(at.row, at.layer, 0, cache.capacity());
  if (slots) scene.slots = &*slots;
  return explain_values(scene);
}

/// The other rows of this cache, those of other caches, and what was held before.
std::vector<OtherSequence> Comparison::other_sequences(const Tokens& own) {
  struct Named {
    std::string name;
    Tokens tokens;
  };
  std::vector<Named> named;
  for (std::size_t c = 0; c < standing_.expected.size(); ++c) {
    const bool here = static_cast<int>(c) == standing_.cache;
    const std::vector<Tokens>& rows = standing_.expected[c].rows;
    for (std::size_t row = 0; row < rows.size(); ++row)
      named.push_back({fmt::format("row {}{}", row, here ? "" : " of another cache"), rows[row]});
  }
  for (const Tokens& history : histories_) named.push_back({"a row elsewhere or of before", history});
  const int64_t numbers = trace_of(own).numbers();
  std::vector<OtherSequence> others;
  for (const Named& other : named) {
    if (other.tokens.empty() || other.tokens == own || &history_of(other.tokens) == &history_of(own)) continue;
    // All of them stay in the bank together.
    if (numbers * static_cast<int64_t>(others.size() + 2) > kMostEvidence) break;
    others.push_back({other.name, &trace_of(other.tokens), static_cast<int64_t>(other.tokens.size())});
  }
  return others;
}

/// The whole sequence that a row is a part of: one recomputation serves all its steps.
const Tokens& Comparison::history_of(const Tokens& row) const {
  for (const Tokens& history : histories_) {
    if (history.size() >= row.size() && std::equal(row.begin(), row.end(), history.begin())) return history;
  }
  return row;
}

}  // namespace kvproof
