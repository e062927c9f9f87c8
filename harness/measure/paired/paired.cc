#include "harness/measure/paired/paired.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "harness/error.h"

namespace kvproof {
namespace {

/// Thrown where the listener ends the session.
struct Stopped {};

using Children = std::map<Side, MeasureChild>;

/// How two paths' work differs, so that times of one say nothing of the other; empty: it does not.
std::string token_difference(const PathFacts& a, const PathFacts& b) {
  for (std::size_t row = 0; row < std::max(a.tokens.size(), b.tokens.size()); ++row) {
    if (row >= a.tokens.size() || row >= b.tokens.size())
      return fmt::format("{} rows and {}", a.tokens.size(), b.tokens.size());
    const auto &x = a.tokens[row], &y = b.tokens[row];
    const auto [at, other] = std::mismatch(x.begin(), x.end(), y.begin(), y.end());
    const auto step = at - x.begin();
    if (at != x.end() && other != y.end()) return fmt::format("row {}, token {} is {} and {}", row, step, *at, *other);
    if (x.size() != y.size()) return fmt::format("row {} has {} tokens and {}", row, x.size(), y.size());
  }
  return {};
}

std::string token_difference(const CaseFacts& a, const CaseFacts& b) {
  for (const Path path : {Path::naive, Path::engine}) {
    const std::string found = token_difference(a.of(path), b.of(path));
    if (!found.empty()) return fmt::format("{}, {}", word_of(path), found);
  }
  return {};
}

/// What a program gives of a case must not depend on the process. First logits may: a library may sum in another order
/// where memory is aligned otherwise, which the tokens then show if it matters.
std::string work_difference(const CaseFacts& a, const CaseFacts& b) {
  if (const std::string found = token_difference(a, b); !found.empty()) return found;
  for (const Path path : {Path::naive, Path::engine}) {
    const PathFacts &x = a.of(path), &y = b.of(path);
    if (x.token_forwards != y.token_forwards || x.kv_cache_bytes != y.kv_cache_bytes ||
        x.prefill_positions != y.prefill_positions)
      return fmt::format("{}, {} and {} positions, {} and {} bytes of cache", word_of(path),
                         x.token_forwards, y.token_forwards, x.kv_cache_bytes, y.kv_cache_bytes);
  }
  return {};
}

class Pairing {
 public:
  Pairing(const PairedSpec& spec, Journal* journal, const PairedListener& listener)
      : spec_(spec), journal_(journal), listener_(listener),
        control_(
            std::any_of(spec.cases.begin(), spec.cases.end(), [](const PairedCase& one) { return one.controlled; })) {
    if (spec.cases.empty() || spec.blocks < 1 || spec.rounds < 1 || spec.epoch_ns < 1 || spec.warm_up.rounds < 1)
      throw std::invalid_argument("measure_paired: no cases, or less than one block, round, nanosecond or warm-up");
    session_.cases.resize(spec.cases.size());
  }

  PairedSession run() {
    try {
      for (block_ = 0; block_ < spec_.blocks; ++block_) {
        std::vector<Rounds> rounds = run_block();
        if (journal_) journal_->append(block_json(block_, rounds));
        session_.blocks.push_back(std::move(rounds));
        if (nothing_to_time()) break;
      }
    } catch (const Stopped&) {
      session_.interrupted = true;
    }
    return std::move(session_);
  }

 private:
  bool first() const { return block_ == 0; }
  bool nothing_to_time() const {
    return std::all_of(session_.cases.begin(), session_.cases.end(), [](const PairedFacts& facts) { return !facts.untimed.empty(); });
  }

  void tell(const std::string& id, const std::string& stage) const {
    if (listener_ && !listener_({block_, spec_.blocks, id, stage})) throw Stopped();
  }

  /// Who comes first has the quieter machine, or the larger pages: neither side always does.
  std::vector<Side> order(bool with_control) const {
    std::vector<Side> sides = {Side::base, Side::candidate};
    if (with_control) sides.push_back(Side::control);
    if (block_ % 2 == 1) std::reverse(sides.begin(), sides.end());
    return sides;
  }

  std::vector<Rounds> run_block() {
    tell("", "start");
    Children children = start();
    std::vector<Rounds> rounds;
    for (std::size_t index = 0; index < spec_.cases.size(); ++index) {
      const PairedCase& one = spec_.cases[index];
      if (!session_.cases[index].untimed.empty()) continue;  // seen in an earlier block
      tell(one.id, "open");
      open(children, index);
      if (!session_.cases[index].untimed.empty()) continue;
      for (const Timed& timed : one.timed) {
        tell(one.id, word_of(timed));
        for (const Side against : {Side::candidate, Side::control}) {
          if (against == Side::control && !one.controlled) continue;
          if (auto run = run_rounds(children, index, timed, against); !run.rounds.empty())
            rounds.push_back(std::move(run));
        }
      }
    }
    return rounds;
  }

  Children start() {
    std::map<Side, StartedChild> started;  // they load their libraries at the same time
    for (const Side side : order(control_)) started.emplace(side, spec_.start(side));
    Children children;
    for (auto& [side, child] : started) {  // the base first: its error is the one that is told
      children.emplace(std::piecewise_construct, std::forward_as_tuple(side),
                       std::forward_as_tuple(side, std::move(child), spec_.deadlines));
    }
    const MeasureChild &base = children.at(Side::base), &candidate = children.at(Side::candidate);
    if (first()) {
      require_comparable(base, candidate);
      session_.base = base.hello();
      session_.candidate = candidate.hello();
      if (journal_) journal_->append(session_json());
    }
    for (const auto& [side, child] : children) require_same_program(child);
    return children;
  }

  void require_same_program(const MeasureChild& child) const {
    const MeasureHello& known = child.side() == Side::candidate ? session_.candidate : session_.base;
    if (child.hello() == known) return;
    const MeasureHello& found = child.hello();
    throw SubjectError(
        child.command(),
        fmt::format("{}, hello: expected version {}, commit {}, config {}, found version {}, commit {}, config "
                    "{}: the program, the config or the machine changed during the session, or the control "
                    "is no copy of the base; start again",
                    word_of(child.side()), known.version, known.commit, known.config_hash, found.version, found.commit,
                    found.config_hash));
  }

  void open(Children& children, std::size_t index) {
    const PairedCase& one = spec_.cases[index];
    PairedFacts opened;
    for (const Side side : order(one.controlled))
      opened.sides.emplace(side, children.at(side).open(one.id, spec_.warm_up));
    PairedFacts& known = session_.cases[index];
    if (first()) {
      opened.untimed = why_untimed(opened);
      known = opened;
      if (journal_) journal_->append(case_json(known));
    }
    for (const auto& [side, facts] : opened.sides) {
      require_repeated(children.at(side), facts, known.sides.at(side), "the first block's");
      if (side == Side::control) require_repeated(children.at(side), facts, known.sides.at(Side::base), "the base's");
      if (!first() && !facts.invalid.empty() && known.untimed.empty())
        throw SubjectError(children.at(side).command(),
                           fmt::format("{}, open {}: {}", word_of(side), one.id, facts.invalid[0]));
    }
  }

  static std::string why_untimed(const PairedFacts& opened) {
    for (const auto& [side, facts] : opened.sides) {
      if (!facts.invalid.empty()) return fmt::format("{}: {}", word_of(side), facts.invalid.front());
    }
    const std::string found = token_difference(opened.sides.at(Side::base), opened.sides.at(Side::candidate));
    return found.empty() ? found : "base and candidate generate different tokens: " + found;
  }

  static void require_repeated(const MeasureChild& child, const CaseFacts& facts, const CaseFacts& known,
                               const std::string& whose) {
    const std::string found = work_difference(known, facts);
    if (found.empty()) return;
    throw SubjectError(child.command(),
                       fmt::format("{}, open {}: what it gave is not {}: {}; it is not deterministic, or "
                                   "files changed meanwhile",
                                   word_of(child.side()), facts.id, whose, found));
  }

  Rounds run_rounds(Children& children, std::size_t index, const Timed& timed, Side against) {
    const std::string& id = spec_.cases[index].id;
    MeasureChild &base = children.at(Side::base), &other = children.at(against);
    Rounds run{id, timed, against, {}};
    const int64_t steps = session_.cases[index].sides.at(Side::base).of(timed.path).steps;
    if (steps < (timed.part == Part::decode ? 2 : 1)) return run;
    // The base last: its first epoch of the first round then follows one of its own, as in all rounds after it.
    EpochLength length{std::nullopt, spec_.epoch_ns};
    const int64_t others_calls = other.epoch(id, timed, length).calls;
    length = {std::max(others_calls, base.epoch(id, timed, length).calls), 0};
    for (int64_t r = 0; r < spec_.rounds; ++r) {
      Round& round = run.rounds.emplace_back();
      round.base[0] = base.epoch(id, timed, length);
      round.other[0] = other.epoch(id, timed, length);
      round.other[1] = other.epoch(id, timed, length);
      round.base[1] = base.epoch(id, timed, length);
      for (const EpochTimes& times : round.other) require_equal_units(other, round.base[0], times, id, timed);
    }
    return run;
  }

  static void require_equal_units(const MeasureChild& child, const EpochTimes& base, const EpochTimes& times,
                                  const std::string& id, const Timed& timed) {
    if (times.units == base.units) return;
    throw SubjectError(child.command(),
                       fmt::format("{}, epoch of {}, {}: expected {} units in {} calls, as in the base, "
                                   "found {}",
                                   word_of(child.side()), id, word_of(timed), base.units, base.calls, times.units));
  }

  Json session_json() const {
    return {{"kind", "session"},
            {"protocol", kMeasureProtocol},
            {"started", utc_now()},
            {"blocks", spec_.blocks},
            {"rounds", spec_.rounds},
            {"epoch_ns", spec_.epoch_ns},
            {"base", Json(header_of(session_.base))},
            {"candidate", Json(header_of(session_.candidate))}};
  }

  static Json case_json(const PairedFacts& opened) {
    Json json = {{"kind", "case"}};
    for (const auto& [side, facts] : opened.sides) json[word_of(side)] = Json(header_of(facts));
    json["untimed"] = opened.untimed.empty() ? Json() : Json(opened.untimed);
    return json;
  }

  const PairedSpec& spec_;
  Journal* const journal_;
  const PairedListener& listener_;
  const bool control_;
  PairedSession session_;
  int64_t block_ = 0;
};

}  // namespace

PairedSession measure_paired(const PairedSpec& spec, Journal* journal, const PairedListener& listener) {
  return Pairing(spec, journal, listener).run();
}

}  // namespace kvproof
