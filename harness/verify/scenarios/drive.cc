#include "harness/verify/scenarios/drive.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "harness/error.h"
#include "harness/verify/scenarios/evidence.h"

namespace kvproof {
namespace {

// Above so many numbers held, old slots are looked at every kSparse steps only.
constexpr int64_t kOftenNumbers = int64_t{1} << 17;
constexpr int64_t kSparse = 16;
// Evidence looks at other rows' recomputations, and at a whole layer's storage, where they are at most so many numbers.
constexpr int64_t kMostEvidence = int64_t{1} << 24;

const char* stage_word(Stage stage) {
  switch (stage) {
    case Stage::embed:
      return "embed";
    case Stage::smear:
      return "smear";
    case Stage::query:
      return "query";
    case Stage::key:
      return "key";
    case Stage::value:
      return "value";
    case Stage::attention:
      return "attention";
    case Stage::layer:
      return "layer";
  }
  return "";
}

struct CollectedStage {
  Stage stage;
  int64_t layer, row, count, width;
  std::vector<double> values;
};

class Collector final : public StageSink {
 public:
  std::vector<CollectedStage> stages;
  void on_stage(const StageValues& v) override {
    stages.push_back({v.stage, v.layer, v.row, v.count, v.width, {v.values.begin(), v.values.end()}});
  }
};

/// A row's slots in every layer, as they lay after the last step that was looked at.
using RowSlots = std::vector<CacheSlots>;

bool same_bits(const double* a, const double* b, std::size_t n) { return std::memcmp(a, b, n * sizeof(double)) == 0; }

/// The first of n numbers that differ in a bit and count; n: none.
template <class Counts>
std::size_t first_changed(const std::vector<double>& a, const std::vector<double>& b, std::size_t n, Counts&& counts) {
  if (same_bits(a.data(), b.data(), n)) return n;
  for (std::size_t i = 0; i < n; ++i)
    if (!same_bits(&a[i], &b[i], 1) && counts(i)) return i;
  return n;
}

/// What was expected, with what was found where either is not there: nothing is known of it.
std::vector<double> expected_of(const TracedValues& traced, int64_t from, int64_t count, const CacheSlots& slots,
                                std::span<const double> found, int64_t first_slot) {
  const auto expected = std::span(traced.exact).subspan(from * traced.width, count * traced.width);
  std::vector<double> known(expected.begin(), expected.end());
  for (int64_t i = 0; i < count; ++i) {
    const bool traced_too = traced.present.empty() || traced.present[static_cast<std::size_t>(from + i)];
    if (traced_too && slots.has(from + i - first_slot)) continue;
    std::copy_n(found.begin() + i * traced.width, traced.width, known.begin() + i * traced.width);
  }
  return known;
}

class Driver {
 public:
  Driver(const Script& script, ScenarioOutcome& outcome, Subject& subject, TraceBank& bank, const DriveOptions& options)
      : script_(script), outcome_(outcome), subject_(subject), info_(subject.info()), bank_(bank), options_(options) {}

  void run() {
    for (const Tokens& history : histories(script_)) histories_.push_back(history);
    if (!info_.can.has(Ability::caches))  // a reference may need a cache of its own: not beside the scenario's
      for (const Tokens& history : histories_) bank_.of(history);
    for (std::size_t i = 0; i < script_.steps.size(); ++i) {
      step_ = static_cast<int64_t>(i);
      take(script_.steps[i]);
    }
    for (const Twin& twin : script_.twins) run_twin(twin);
    note_errors();
  }

  /// Notes where an exception ended the scenario.
  void note_break(const std::string& error) {
    Place at = place(kNowhere);
    at.stage = "state";
    outcome_.note({Level::invariants, at, 0, 0, "ended in an error: " + error, {}});
    note_errors();
  }

 private:
  void note_errors() {
    for (const auto& [position, error] : errors_) outcome_.errors.push_back({position, error});
  }

  struct Held {
    std::unique_ptr<SubjectCache> cache;
    std::vector<RowSlots> slots;  // (B); empty: not looked at yet
    std::string last_change;      // the last operation that was no forward, none if empty: "truncate to 4"
  };

  // --- notes ---------------------------------------------------------------------------------------------------------

  Place place(int64_t row) const {
    Place at;
    at.step = step_;
    at.operation = operation_;
    at.row = row;
    return at;
  }

  void fact(Level level, bool holds, const Place& at, const std::string& message) {
    outcome_.level(level).add_fact(holds);
    if (!holds) outcome_.note({level, at, 0, 0, message, {}});
  }

  /// Compares (count, width) numbers and notes where they first part. returns the largest distance
  double compare(Level level, Place at, std::span<const double> found, std::span<const double> expected, int64_t width,
                 double allowed, int64_t first_position, const std::string& what) {
    const double error = max_distance(found, expected);
    outcome_.level(level).add(error, allowed);
    if (error <= allowed) return error;
    const auto count = static_cast<int64_t>(found.size()) / width;
    for (int64_t i = 0; i < count; ++i) {
      const auto part = [&](std::span<const double> all) { return all.subspan(i * width, width); };
      const double here = max_distance(part(found), part(expected));
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
  std::string name_heads(std::span<const double> found, std::span<const double> expected, double allowed,
                         Place& at) const {
    const bool headed = at.stage == "query" || at.stage == "key" || at.stage == "value" || at.stage == "cache" ||
                        at.stage == "attention";
    if (!headed) return "";
    const int64_t D = info_.head_dim, heads = static_cast<int64_t>(found.size()) / D;
    std::vector<int64_t> wrong;
    for (int64_t h = 0; h < heads; ++h)
      if (!(max_distance(found.subspan(h * D, D), expected.subspan(h * D, D)) <= allowed)) wrong.push_back(h);
    at.head = wrong.front();
    if (static_cast<int64_t>(wrong.size()) == heads) return heads == 1 ? "" : "; all heads";
    return fmt::format("; heads {} of {}", fmt::join(wrong, ", "), heads);
  }

  std::string explain(const Finding& finding, std::span<const double> found) {
    const Place& at = finding.place;
    const Tokens& row = expected_[cache_].rows[at.row];
    std::vector<OtherSequence> others = other_sequences(row);
    const Trace& trace = trace_of(row);
    const auto held = static_cast<int64_t>(row.size());
    const int64_t first = forward_from_.empty() ? kNowhere : forward_from_[at.row];
    Scene scene{at, found, trace, info_, held, first, steps_right_, std::move(others)};
    std::optional<CacheSlots> slots;
    const SubjectCache& cache = *held_[cache_].cache;
    if (at.stage == "attention" && cache.capacity() * info_.n_kv_head * info_.head_dim <= kMostEvidence)
      slots = cache.contents(at.row, at.layer, 0, cache.capacity());
    if (slots) scene.slots = &*slots;
    return explain_values(scene);
  }

  /// The other rows of this cache, those of other caches, and what was held before.
  std::vector<OtherSequence> other_sequences(const Tokens& own) {
    struct Named {
      std::string name;
      Tokens tokens;
    };
    std::vector<Named> named;
    for (std::size_t c = 0; c < expected_.size(); ++c) {
      for (std::size_t row = 0; row < expected_[c].rows.size(); ++row)
        named.push_back(
            {static_cast<int>(c) == cache_ ? fmt::format("row {}", row) : fmt::format("row {} of another cache", row),
             expected_[c].rows[row]});
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

  const Tokens& history_of(const Tokens& row) const {
    for (const Tokens& history : histories_) {
      if (history.size() >= row.size() && std::equal(row.begin(), row.end(), history.begin())) return history;
    }
    return row;
  }
  const Trace& trace_of(const Tokens& row) { return bank_.of(history_of(row)); }

  // --- steps ---------------------------------------------------------------------------------------------------------

  void take(const CacheStep& step) {
    operation_ = step.describe();
    cache_ = step.cache;
    if (static_cast<std::size_t>(cache_) >= held_.size()) held_.resize(cache_ + 1);
    const std::vector<ExpectedCache> before = expected_;
    forward_from_.clear();
    if (step.kind == CacheStep::Kind::forward) {
      if (!held_[cache_].last_change.empty()) operation_ += " after " + held_[cache_].last_change;
      for (const Tokens& row : before[cache_].rows) forward_from_.push_back(static_cast<int64_t>(row.size()));
    }
    Collector stages;
    const std::vector<LogitRows> logits = execute(step, held_, &stages);
    apply(step, expected_);
    remember_change(step);
    if (step.kind == CacheStep::Kind::poison) return;
    const Held& held = held_[cache_];
    if (!check_lengths(*held.cache)) return;
    check_storage();
    if (step.kind == CacheStep::Kind::forward && !step.refused) {
      record_logits(step, logits);
      check_stages(before, stages);
      check_slots(step, before);
      check_logits(before, logits);
      steps_right_ |= outcome_.findings.empty() && step.tokens.front().size() == 1 && forward_from_.front() > 0;
    } else {
      check_slots(step, before);
    }
  }

  void remember_change(const CacheStep& step) {
    if (step.kind == CacheStep::Kind::create) return;
    if (step.kind == CacheStep::Kind::clone) held_[step.source].last_change = "being cloned";
    if (step.kind != CacheStep::Kind::forward)
      held_[cache_].last_change = step.describe();
    else if (step.refused)
      held_[cache_].last_change = "a refusal";
  }

  std::vector<LogitRows> execute(const CacheStep& step, std::vector<Held>& held, StageSink* sink) {
    Held& target = held[step.cache];
    switch (step.kind) {
      case CacheStep::Kind::create:
        target = {subject_.new_cache(step.amount, step.capacity), {}, {}};
        break;
      case CacheStep::Kind::clone:
        target = {held[step.source].cache->clone_rows(step.rows, step.capacity), {}, {}};
        break;
      case CacheStep::Kind::truncate:
        target.cache->truncate(step.rows.front(), step.amount);
        break;
      case CacheStep::Kind::reset:
        target.cache->reset();
        break;
      case CacheStep::Kind::reserve:
        target.cache->reserve(step.capacity);
        break;
      case CacheStep::Kind::retain:
        target.cache->retain_rows(step.rows);
        break;
      case CacheStep::Kind::poison:
        target.cache->poison_tail();
        break;
      case CacheStep::Kind::forward:
        return forward(step, *target.cache, sink);
    }
    return {};
  }

  std::vector<LogitRows> forward(const CacheStep& step, SubjectCache& cache, StageSink* sink) {
    TokenBatch batch;
    batch.batch = static_cast<int64_t>(step.tokens.size());
    for (const Tokens& row : step.tokens) batch.length = std::max(batch.length, static_cast<int64_t>(row.size()));
    for (const Tokens& row : step.tokens) {
      batch.lengths.push_back(static_cast<int64_t>(row.size()));
      batch.ids.insert(batch.ids.end(), row.begin(), row.end());
      batch.ids.resize(batch.ids.size() + batch.length - row.size(), row.empty() ? 0 : row.back());
    }
    const LogitsAt at = info_.can.has(Ability::all_logits) ? step.at : LogitsAt::last;
    if (!step.refused) return cache.forward(batch, at, sink);
    bool refused = false;
    try {
      cache.forward(batch, at);
    } catch (const CapacityError&) {
      refused = true;
    }
    Place where = place(kNowhere);
    where.stage = "state";
    fact(Level::invariants, refused, where,
         fmt::format("{} tokens more than fit were taken without a word", batch.length));
    return {};
  }

  // --- L0 ------------------------------------------------------------------------------------------------------------

  bool check_lengths(const SubjectCache& cache) {
    const ExpectedCache& expected = expected_[cache_];
    bool fine = cache.batch() == static_cast<int64_t>(expected.rows.size());
    Place everywhere = place(kNowhere);
    everywhere.stage = "state";
    fact(Level::invariants, fine, everywhere,
         fmt::format("the cache has {} rows, not {}", cache.batch(), expected.rows.size()));
    for (int64_t row = 0; fine && row < cache.batch(); ++row) {
      const auto length = static_cast<int64_t>(expected.rows[row].size());
      const bool same = cache.length(row) == length;
      Place at = place(row);
      at.stage = "state";
      at.position = std::min(length, cache.length(row));
      fact(Level::invariants, same, at,
           fmt::format("row {} stands at position {}, not {}", row, cache.length(row), length));
      fact(Level::invariants, cache.length(row) <= cache.capacity(), at,
           fmt::format("row {} holds {} positions, more than the capacity of {}", row, cache.length(row),
                       cache.capacity()));
      fact(Level::invariants, cache.capacity() >= expected.capacity, at,
           fmt::format("the capacity is {}, and {} were asked for", cache.capacity(), expected.capacity));
      const auto tokens = cache.tokens(row);
      if (tokens && same)
        fact(Level::side_state, *tokens == expected.rows[row], at,
             fmt::format("row {} remembers other tokens than it was given", row));
      if (!same) fine = false;
    }
    return fine;
  }

  void check_storage() {
    struct Owned {
      StorageRange range;
      std::size_t cache;
      int64_t row;
    };
    std::vector<Owned> all;
    for (std::size_t c = 0; c < held_.size(); ++c) {
      for (int64_t row = 0; held_[c].cache && row < held_[c].cache->batch(); ++row)
        for (const StorageRange& range : held_[c].cache->storage(row)) all.push_back({range, c, row});
    }
    if (all.empty()) return;
    std::sort(all.begin(), all.end(), [](const Owned& a, const Owned& b) { return a.range.begin < b.range.begin; });
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      const bool apart = all[i].range.end <= all[i + 1].range.begin;
      const Owned &a = all[i], &b = all[i + 1];
      Place at = place(std::max(a.row, b.row));
      at.stage = "state";
      outcome_.level(Level::invariants).add_fact(apart);
      if (apart) continue;
      outcome_.note({Level::invariants,
                     at,
                     0,
                     0,
                     a.cache == b.cache
                         ? fmt::format("rows {} and {} share storage", a.row, b.row)
                         : fmt::format("row {} of the clone shares storage with row {} of its source", b.row, a.row),
                     {}});
      return;
    }
  }

  // --- L3, and L0's "what was held is unchanged" -----------------------------------------------------------------------

  void check_slots(const CacheStep& step, const std::vector<ExpectedCache>& before) {
    for (std::size_t c = 0; c < held_.size(); ++c) {
      if (!held_[c].cache) continue;
      const bool own = static_cast<int>(c) == cache_;
      const bool appended = step.kind == CacheStep::Kind::forward && own && !step.refused;
      if (!own && !often(*held_[c].cache))
        continue;  // others must not change at all; where that is dear, their next step tells
      std::vector<RowSlots> now;
      for (int64_t row = 0; row < held_[c].cache->batch(); ++row) {
        const auto length = static_cast<int64_t>(expected_[c].rows[row].size());
        const int64_t old = appended ? static_cast<int64_t>(before[c].rows[row].size()) : 0;
        const bool whole = !appended || often(*held_[c].cache);
        const int64_t first = whole ? 0 : old;
        auto slots = export_row(*held_[c].cache, row, first, length - first);
        if (!slots) return;
        if (own) judge_slots(row, appended ? old : 0, first, *slots);
        if (whole) now.push_back(std::move(*slots));
      }
      if (now.empty()) continue;
      if (unchanged_rows(step, own)) check_unchanged(held_[c].slots, now, own);
      held_[c].slots = std::move(now);
    }
  }

  bool often(const SubjectCache& cache) const {
    int64_t positions = 0;
    for (int64_t row = 0; row < cache.batch(); ++row) positions += cache.length(row);
    return positions * info_.n_layer * info_.n_kv_head * info_.head_dim * 2 <= kOftenNumbers || step_ % kSparse == 0 ||
           step_ + 1 == static_cast<int64_t>(script_.steps.size());
  }

  /// Whether row i is still row i and its old slots must be as they were.
  static bool unchanged_rows(const CacheStep& step, bool own) {
    if (!own) return true;
    return step.kind == CacheStep::Kind::forward || step.kind == CacheStep::Kind::reserve ||
           step.kind == CacheStep::Kind::truncate;
  }

  std::optional<RowSlots> export_row(const SubjectCache& cache, int64_t row, int64_t first, int64_t count) const {
    RowSlots slots;
    for (int64_t layer = 0; layer < info_.n_layer; ++layer) {
      auto of_layer = cache.contents(row, layer, first, count);
      if (!of_layer) return std::nullopt;
      slots.push_back(std::move(*of_layer));
    }
    return slots;
  }

  void check_unchanged(const std::vector<RowSlots>& old, const std::vector<RowSlots>& now, bool own) {
    for (std::size_t row = 0; row < std::min(old.size(), now.size()); ++row) {
      for (std::size_t layer = 0; layer < now[row].size(); ++layer) {
        const CacheSlots &a = old[row][layer], &b = now[row][layer];
        const auto width = static_cast<std::size_t>(b.kv_heads * b.head_dim);
        const auto both = std::min(a.keys.size(), b.keys.size());
        for (const bool keys : {true, false}) {
          const std::vector<double>&x = keys ? a.keys : a.values, &y = keys ? b.keys : b.values;
          const std::size_t i = first_changed(x, y, both, [&](std::size_t at) {
            const auto slot = static_cast<int64_t>(at / width);
            return a.has(slot) && b.has(slot);
          });
          outcome_.level(Level::invariants).add_fact(i == both);
          if (i == both) continue;
          Place at = place(static_cast<int64_t>(row));
          at.layer = static_cast<int64_t>(layer);
          at.position = static_cast<int64_t>(i / width);
          at.head = static_cast<int64_t>(i % width) / b.head_dim;
          at.stage = "cache";
          at.tensor = keys ? "K" : "V";
          outcome_.note({Level::invariants,
                         at,
                         0,
                         0,
                         fmt::format("{} of layer {} at position {} changed, and this step had no business there{}",
                                     at.tensor, layer, at.position, own ? "" : ": it was done to another cache"),
                         {}});
        }
      }
    }
  }

  void judge_slots(int64_t row, int64_t from, int64_t first, const RowSlots& slots) {
    const Tokens& held = expected_[cache_].rows[row];
    if (held.empty()) return;
    const Trace& trace = trace_of(held);
    for (int64_t layer = 0; layer < info_.n_layer; ++layer) {
      for (const bool keys : {true, false}) {
        if (keys && !info_.keys_rotated && !trace.from_slots) continue;  // the reference's are
        const auto traced = trace.stages.find({keys ? Stage::key : Stage::value, layer});
        if (traced == trace.stages.end()) return;
        const int64_t width = traced->second.width;
        const std::span<const double> all = keys ? slots[layer].keys : slots[layer].values;
        Place at = place(row);
        at.layer = layer;
        at.stage = "cache";
        at.tensor = keys ? "K" : "V";
        const auto count = static_cast<int64_t>(held.size()) - from;
        const auto found = all.subspan((from - first) * width, count * width);
        compare(Level::keys_values, at, found, expected_of(traced->second, from, count, slots[layer], found, first),
                width, traced->second.allowed, from,
                fmt::format("the cached {} of layer {}, row {},", at.tensor, layer, row));
      }
    }
  }

  // --- L4 ------------------------------------------------------------------------------------------------------------

  void check_stages(const std::vector<ExpectedCache>& before, const Collector& collected) {
    for (const CollectedStage& stage : collected.stages) {
      const Trace& trace = trace_of(expected_[cache_].rows[stage.row]);
      const auto traced = trace.stages.find({stage.stage, stage.layer});
      if (traced == trace.stages.end()) continue;
      const auto from = static_cast<int64_t>(before[cache_].rows[stage.row].size());
      Place at = place(stage.row);
      at.layer = stage.stage == Stage::embed || stage.stage == Stage::smear ? kNowhere : stage.layer;
      at.stage = stage_word(stage.stage);
      if (stage.stage == Stage::key) at.tensor = "K";
      if (stage.stage == Stage::value) at.tensor = "V";
      compare(Level::side_state, at, stage.values,
              std::span(traced->second.exact).subspan(from * stage.width, stage.count * stage.width), stage.width,
              traced->second.allowed, from,
              at.layer == kNowhere
                  ? fmt::format("the {} stage, row {},", at.stage, stage.row)
                  : fmt::format("the {} stage of layer {}, row {},", at.stage, stage.layer, stage.row));
    }
  }

  // --- L2 ------------------------------------------------------------------------------------------------------------

  void check_logits(const std::vector<ExpectedCache>& before, const std::vector<LogitRows>& logits) {
    for (std::size_t row = 0; row < logits.size(); ++row) {
      const LogitRows& found = logits[row];
      const Tokens& held = expected_[cache_].rows[row];
      const auto last = static_cast<int64_t>(held.size()) - 1;
      const int64_t first = found.rows == 1 ? last : static_cast<int64_t>(before[cache_].rows[row].size());
      Place at = place(static_cast<int64_t>(row));
      at.stage = "logits";
      fact(Level::invariants, found.first_position == first && found.first_position + found.rows == last + 1, at,
           fmt::format("row {}: logits of positions {} to {} came, not of {} to {}", row, found.first_position,
                       found.first_position + found.rows - 1, first, last));
      if (found.first_position != first || found.first_position + found.rows != last + 1) continue;
      const Trace& trace = trace_of(held);
      for (int64_t position = first; position <= last; ++position) {
        const auto expected = trace.logits_at(position);
        if (expected.empty()) continue;
        const auto here = found.at(position);
        const double error = compare(Level::logits, at, here, expected, found.vocab, trace.logits.allowed, position,
                                     fmt::format("row {}'s logits", row));
        errors_[position] = std::max(errors_[position], error);
        if (options_.metrics) options_.metrics->add(position, expected, here);
      }
    }
  }

  // --- twins: relations to the bit -------------------------------------------------------------------------------------

  void record_logits(const CacheStep& step, const std::vector<LogitRows>& logits) {
    if (!script_.twins.empty()) recorded_[step_] = logits;
  }

  void run_twin(const Twin& twin) {
    std::vector<Held> held;
    for (std::size_t i = 0; i < twin.steps.size(); ++i) {
      const CacheStep& step = twin.steps[i];
      step_ = static_cast<int64_t>(i);
      operation_ = step.describe() + ", done again";
      if (static_cast<std::size_t>(step.cache) >= held.size()) held.resize(step.cache + 1);
      const std::vector<LogitRows> logits = execute(step, held, nullptr);
      if (step.kind != CacheStep::Kind::forward || step.refused) continue;
      for (const int64_t row : twin.rows) compare_twin(twin, recorded_.at(step_)[row], logits[row], row);
    }
  }

  /// What two runs of a row may be apart where they need not give equal bits.
  double tolerated(int64_t row) { return trace_of(expected_[cache_].rows[row]).logits.allowed; }

  void compare_twin(const Twin& twin, const LogitRows& a, const LogitRows& b, int64_t row) {
    const int64_t last = std::min(a.first_position + a.rows, twin.before_position);
    for (int64_t position = a.first_position; position < last; ++position) {
      const bool same = same_bits(a.at(position).data(), b.at(position).data(), a.vocab) ||
                        (!options_.bitwise && max_distance(a.at(position), b.at(position)) <= tolerated(row));
      Place at = place(row);
      at.position = position;
      at.stage = "logits";
      fact(Level::invariants, same, at,
           fmt::format("row {}'s logits at position {} changed by {:.3g} although nothing they may depend on did", row,
                       position, max_distance(a.at(position), b.at(position))));
    }
  }

  const Script& script_;
  ScenarioOutcome& outcome_;
  Subject& subject_;
  SubjectInfo info_;
  TraceBank& bank_;
  const DriveOptions& options_;
  std::vector<Tokens> histories_;
  std::vector<Held> held_;
  std::vector<ExpectedCache> expected_;
  std::map<int64_t, std::vector<LogitRows>> recorded_;  // by step, for twins
  std::map<int64_t, double> errors_;                    // by position
  int64_t step_ = 0;
  int cache_ = 0;
  std::string operation_;
  std::vector<int64_t> forward_from_;  // (B) each row's length before a forward; empty: the step is none
  std::set<std::string> explained_;    // stage and tensor
  bool steps_right_ = false;           // a forward of one token, behind others, was right
};

}  // namespace

ScenarioOutcome drive(const Script& script, const std::string& name, uint64_t seed, Subject& subject, TraceBank& bank,
                      const DriveOptions& options) {
  ScenarioOutcome outcome;
  outcome.name = name;
  outcome.seed = seed;
  const int threads = subject.info().threads;
  if (script.threads > 0 && !options.use_threads) {
    outcome.skipped = "the number of threads cannot be changed here";
    return outcome;
  }
  Driver driver(script, outcome, subject, bank, options);
  try {
    if (script.threads > 0) options.use_threads(script.threads);
    driver.run();
  } catch (const SubjectError& error) {  // its place is the command: the same for all
    outcome.broke_off = error.message();
    driver.note_break(outcome.broke_off);
  } catch (const std::exception& error) {
    outcome.broke_off = error.what();
    outcome.broke_off.resize(std::min(outcome.broke_off.find('\n'), outcome.broke_off.size()));  // no stack traces
    driver.note_break(outcome.broke_off);
  }
  if (script.threads > 0) options.use_threads(threads);
  return outcome;
}

}  // namespace kvproof
