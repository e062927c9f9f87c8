#include "harness/verify/verdict/suite.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "engine/checkpoint/generation.h"
#include "engine/error.h"
#include "harness/verify/scenarios/scenario.h"
#include "harness/verify/scenarios/trace.h"

namespace kvproof {
namespace {

constexpr double kSecondsPerLayer = 1.2e-4;  // of one forward, whatever it computes: dispatch, taps, exports
constexpr double kFlopsPerSecond = 1.5e10;

/// Affordable on any model: what a cache does in every generation, and its three classic failures.
const std::vector<std::string> kLeast = {"decode[1,4]",  "decode[6,2]",        "chunks[3,1,4]", "ragged[1,4,6]",
                                         "clone[2,5,2]", "truncate[6,3,3]",    "reset[5,3]",    "grow[3,2]",
                                         "uneven[3,4]",  "batch_chunks[2,3,2]"};
/// Every kind once or twice, a few tokens each.
const std::vector<std::string> kShort = {
    "prefill[1]",        "prefill[9]",         "decode[1,6]",         "decode[7,3]",         "ones[5]",
    "batch[3,5,3]",      "ragged[1,4,9]",      "clone[3,7,3]",        "diverge[2,6]",        "shuffle[3,6,2]",
    "retain[4,6]",       "truncate[9,4,4]",    "truncate[4,0,3]",     "truncate_row[3,8,2]", "reset[9,3]",
    "reset[3,9]",        "grow[4,3]",          "capacity[1]",         "capacity[6]",         "overflow[1]",
    "overflow[7]",       "overflow_chunk[5]",  "overflow_rows[6]",    "overflow_chunk[5]",   "overflow_rows[6]",
    "poison[4,4]",       "interleave[5,3]",    "over_allocated[5,3]", "replay[2,5,2]",       "row_independence[3,5,2]",
    "causality[4,6]",    "reset_batch[3,6,2]", "uneven[3,6]",         "batch_chunks[3,4,3]", "batch[9,4,2]",
    "ragged[3,3,8,1,5]", "chunks[20,18,1,2]",
};
const std::vector<std::string> kMoreShort = {
    "prefill[2]",
    "prefill[3]",
    "decode[2,4]",
    "decode[3,4]",
    "chunks[1,12]",
    "chunks[12,1]",
    "chunks[5,1,5]",
    "chunks[1,1,9,2]",
    "ones[16]",
    "batch[1,6,6]",
    "batch[2,9,4]",
    "batch[4,7,3]",
    "batch[8,5,3]",
    "batch[17,4,2]",
    "ragged[9,1]",
    "uneven[9,5]",
    "uneven[4,2]",
    "batch_chunks[2,1,9]",
    "batch_chunks[5,7,1]",
    "clone[1,5,3]",
    "clone[2,1,4]",
    "clone[8,9,3]",
    "clone[17,5,2]",
    "diverge[1,1]",
    "diverge[3,12]",
    "shuffle[2,9,3]",
    "shuffle[5,4,2]",
    "retain[2,5]",
    "retain[8,5]",
    "truncate[12,11,4]",
    "truncate[12,1,6]",
    "truncate[7,7,3]",
    "truncate_row[2,5,4]",
    "truncate_row[5,9,3]",
    "reset[20,1]",
    "reset[1,20]",
    "reset_batch[4,3,7]",
    "grow[2,2]",
    "grow[9,10]",
    "capacity[2]",
    "capacity[17]",
    "poison[1,3]",
    "poison[9,6]",
    "interleave[1,8]",
    "over_allocated[1,8]",
    "replay[1,12,4]",
    "replay[4,6,3]",
    "row_independence[2,9,3]",
    "row_independence[5,3,4]",
    "causality[1,9]",
    "causality[12,5]",
    "threads[1,9,4]",
    "threads[2,9,4]",
};
const std::vector<std::string> kLeastNumerics = {"decode[5,3]", "chunks[3,1,4]", "clone[2,5,2]"};
const std::vector<std::string> kNumerics = {
    "decode[7,9]",         "chunks[3,1,9]",   "ones[6]",    "batch[3,9,4]", "ragged[1,4,9]",
    "clone[3,7,4]",        "truncate[9,4,5]", "reset[9,5]", "grow[4,3]",    "uneven[3,6]",
    "batch_chunks[3,4,3]", "shuffle[3,6,2]",  "retain[4,6]"};

double matmul_elements(const SubjectInfo& i) {
  const double C = static_cast<double>(i.n_embd), q = static_cast<double>(i.n_head * i.head_dim),
               kv = static_cast<double>(i.n_kv_head * i.head_dim),
               inner = i.n_inner > 0 ? static_cast<double>(i.n_inner) : 4 * C;  // the usual where it is not known
  return static_cast<double>(i.n_layer) * (2 * C * q + 2 * C * kv + 2 * C * inner) +
         static_cast<double>(i.vocab_size) * C;
}

/// Multiply-adds of positions first … first + count - 1, twice.
double flops(const SubjectInfo& i, int64_t first, int64_t count) {
  const double n = static_cast<double>(count), keys = static_cast<double>(first) + n / 2;
  return 2 * n * matmul_elements(i) + 4 * n * keys * static_cast<double>(i.n_layer * i.n_head * i.head_dim);
}

class Chooser {
 public:
  Chooser(const SubjectInfo& info, double seconds) : info_(info), seconds_(seconds) {}

  void add(const std::string& name) {
    if (has(name) || cannot(name)) return;  // the first: around a small window
    suite_.scenarios.push_back(name + "/" + info_.dtype);
    const Script script = script_of(name);
    suite_.seconds += estimated_seconds(script, info_);
    suite_.longest = std::max(suite_.longest, longest_of(script));
  }

  /// One of many short ones; those left out are named together.
  void add_if_affordable(const std::string& name) {
    if (has(name) || cannot(name)) return;
    if (suite_.seconds + estimated_seconds(script_of(name), info_) > seconds_) {
      left_out_.push_back(name);
    } else {
      add(name);
    }
  }

  /// All of them or none: together they show one thing.
  void add_if_affordable(std::vector<std::string> names, const std::string& what) {
    double seconds = 0;
    for (const std::string& name : names)
      if (has_no_such_positions(name)) return;
    std::erase_if(names, [&](const std::string& name) { return cannot(name); });
    if (names.empty()) return;
    for (const std::string& name : names) {
      if (!has(name)) seconds += estimated_seconds(script_of(name), info_);
    }
    if (suite_.seconds + seconds > seconds_) {
      suite_.not_covered.push_back(fmt::format("{} ({}): about {:.0f} s more than this check may take", what,
                                               names.front(), std::max(1.0, suite_.seconds + seconds - seconds_)));
      return;
    }
    for (const std::string& name : names) add(name);
  }

  /// Whether the model's rotary tables are too short for a scenario.
  bool has_no_such_positions(const std::string& name) const {
    try {
      script_of(name);
      return false;
    } catch (const ArgumentError&) {
      return true;
    }
  }

  int64_t longest() const { return suite_.longest; }

  /// returns false where it does not fit into the time; nobody is told.
  bool try_add(const std::string& name) {
    if (has(name) || cannot(name) || has_no_such_positions(name)) return true;
    if (suite_.seconds + estimated_seconds(script_of(name), info_) > seconds_) return false;
    add(name);
    return true;
  }

  /// What lies deeper than any scenario, where sequences may be so long.
  void note_beyond(int64_t end) {
    if (suite_.longest < end)
      suite_.not_covered.push_back(
          fmt::format("positions {} to {}: no scenario is that deep", suite_.longest, end - 1));
  }

  Suite take() {
    for (const auto& [ability, count] : left_to_others_) {
      suite_.not_covered.push_back(fmt::format("{} ({}): the subject does not do that; {} scenarios left out",
                                               word_of(ability).meaning, word_of(ability).word, count));
    }
    if (!left_out_.empty()) {
      suite_.not_covered.insert(suite_.not_covered.begin(), fmt::format("{} short scenarios, left out for time: {}",
                                                                        left_out_.size(), fmt::join(left_out_, ", ")));
    }
    return std::move(suite_);
  }

 private:
  Script script_of(const std::string& name) const {
    return make_script(parse_scenario(name + "/" + info_.dtype), info_, 0);
  }

  static int64_t longest_of(const Script& script) {
    int64_t longest = 0;
    for (const Tokens& history : histories(script)) longest = std::max(longest, static_cast<int64_t>(history.size()));
    return longest;
  }
  bool has(const std::string& name) const {
    return std::find(suite_.scenarios.begin(), suite_.scenarios.end(), name + "/" + info_.dtype) !=
           suite_.scenarios.end();
  }
  /// Whether it asks for what the subject does not do; that is noted once for each scenario.
  bool cannot(const std::string& name) {
    const auto missing = info_.can.missing(needs(script_of(name), info_.rotary_len));
    if (missing.empty()) return false;
    if (refused_.insert(name).second)
      for (const Ability ability : missing) ++left_to_others_[ability];
    return true;
  }

  SubjectInfo info_;
  double seconds_;
  Suite suite_;
  std::map<Ability, int64_t> left_to_others_;
  std::set<std::string> refused_;
  std::vector<std::string> left_out_;
};

/// The windows that end attention before the rotary tables end it, ascending, each once.
std::vector<int64_t> finite_windows(const SubjectInfo& info) {
  std::vector<int64_t> windows;
  for (const int64_t w : info.windows)
    if (w < info.rotary_len) windows.push_back(w);
  std::sort(windows.begin(), windows.end());
  windows.erase(std::unique(windows.begin(), windows.end()), windows.end());
  return windows;
}

std::string text(const std::string& kind, const std::vector<int64_t>& parameters) {
  return fmt::format("{}[{}]", kind, fmt::join(parameters, ","));
}

/// Around a window of w keys: a token sees w before its own.
void add_window(Chooser& suite, int64_t w, Depth depth) {
  const int64_t before = std::max<int64_t>(1, w - 1);
  suite.add_if_affordable(
      {text("decode", {before, 4}), text("clone", {2, w + 2, 2}), text("batch_chunks", {2, before, 3})},
      fmt::format("decode, clones and batches in chunks past the window of {} keys", w));
  suite.add_if_affordable({text("truncate", {w + 4, before, 4}), text("batch", {2, w + 1, 2})},
                          fmt::format("rollback and batches past the window of {} keys", w));
  if (depth == Depth::quick) return;
  suite.add_if_affordable(
      {text("prefill", {w}), text("prefill", {w + 1}), text("prefill", {w + 2}), text("chunks", {w, 2, w / 2 + 1}),
       text("chunks", {1, w + 2}), text("ragged", {w + 3, 2, w - w / 2})},
      fmt::format("prefill lengths and chunks on the edge of the window of {} keys", w));
  suite.add_if_affordable({text("ones", {w + 4})}, fmt::format("a window of {} keys crossed token by token", w));
  suite.add_if_affordable(
      {text("decode", {2 * w, 3}), text("grow", {w + 1, 3}), text("reset", {2 * w, 3}), text("reset", {3, w + 3})},
      fmt::format("twice the window of {} keys", w));
}

/// Deeper and deeper: what goes wrong far from the start shows there alone.
void add_depths(Chooser& suite, const SubjectInfo& info) {
  const int64_t end = std::min(info.sequence_len, info.rotary_len);
  for (int64_t depth = 64; depth < 2 * end; depth *= 2) {
    const int64_t prompt = std::min(depth, end - 3);
    if (prompt > suite.longest() && !suite.try_add(text("decode", {prompt, 3}))) break;
  }
  suite.note_beyond(end);
}

}  // namespace

double estimated_forward_seconds(const SubjectInfo& info) {
  return kSecondsPerLayer * static_cast<double>(info.n_layer) + flops(info, 0, 1) / kFlopsPerSecond;
}

double estimated_seconds(const Script& script, const SubjectInfo& info) {
  double forwards = 0, work = 0;
  std::vector<ExpectedCache> caches;
  for (const CacheStep& step : script.steps) {
    if (step.kind == CacheStep::Kind::forward && !step.refused) {
      ++forwards;
      for (std::size_t row = 0; row < step.tokens.size(); ++row)
        work += flops(info, static_cast<int64_t>(caches[step.cache].rows[row].size()),
                      static_cast<int64_t>(step.tokens[row].size()));
    }
    apply(step, caches);
  }
  for (const Tokens& history : histories(script)) {
    const auto n = static_cast<int64_t>(history.size());
    // Where a request gives one position's logits, each that is kept is a recomputation of half the length, on average.
    const double requests =
        info.can.has(Ability::all_logits) ? 1 : std::max(1.0, static_cast<double>(std::min(n, kRequestsOfATrace)) / 2);
    forwards += requests;
    work += requests * flops(info, 0, n);
  }
  const double times = 1 + static_cast<double>(script.twins.size());
  return times * (forwards * kSecondsPerLayer * static_cast<double>(info.n_layer) + work / kFlopsPerSecond);
}

Suite cache_suite(const SubjectInfo& info, Depth depth, double seconds, bool numerics) {
  Chooser suite(info, seconds);
  const auto fits = [&](const std::string& name) { return !suite.has_no_such_positions(name); };
  for (const std::string& name : numerics ? kLeastNumerics : kLeast)
    if (fits(name)) suite.add(name);
  if (!numerics && fits(text("rotary", {info.rotary_len}))) suite.add(text("rotary", {info.rotary_len}));
  const std::vector<int64_t> windows = finite_windows(info);
  const auto cross = [&](int64_t w) {
    // In a chunk and in decode: the two compute their masks apart.
    suite.add_if_affordable({text("chunks", {std::max<int64_t>(1, w - 1), 3, 1, 4})},
                            fmt::format("{} past the window of {} keys", numerics ? "rounding" : "sequences", w));
  };
  if (!windows.empty())
    cross(windows.front());  // before the short ones: nothing else tells whether a window ends where it should
  for (const std::string& name : numerics ? kNumerics : kShort)
    if (fits(name)) suite.add_if_affordable(name);
  for (std::size_t i = 1; i < windows.size(); ++i) cross(windows[i]);
  if (numerics) return suite.take();
  for (const int64_t w : windows) add_window(suite, w, depth);
  for (const std::string& name : depth == Depth::full ? kMoreShort : std::vector<std::string>{})
    if (fits(name)) suite.add_if_affordable(name);
  add_depths(suite, info);
  if (depth == Depth::full) {
    const int64_t N = info.sequence_len;
    suite.add_if_affordable({text("decode", {N - 1, 3})}, fmt::format("sequences past sequence_len, {} tokens", N));
    suite.add_if_affordable({text("rotary_end", {info.rotary_len})},
                            fmt::format("the last of the {} positions of the rotary tables", info.rotary_len));
  }
  return suite.take();
}

}  // namespace kvproof
