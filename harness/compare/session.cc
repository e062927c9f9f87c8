#include "harness/compare/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>

namespace kvproof::compare {
namespace {

Margin margin_for(const Session& session, const std::string& metric) {
  const auto found = session.margins.find(metric);
  return found == session.margins.end() ? Margin() : found->second;
}

void check(const std::vector<Measured>& measured, const char* what) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const Measured& each : measured) {
    const std::string name = fmt::format("judge_session: {}{} of {}", what, each.metric, each.case_id);
    if (each.effects.empty()) throw std::invalid_argument(name + " has no blocks");
    if (!seen.emplace(each.case_id, each.metric).second) throw std::invalid_argument(name + " is given twice");
  }
}

// Why the session cannot be believed about a metric; empty where it can.
std::string doubt_of(const Session& session, const std::string& metric) {
  bool controlled = false;
  for (const Measured& control : session.controls) {
    if (control.metric != metric) continue;
    controlled = true;
    const Effect effect = effect_of(control.effects);
    const Verdict verdict = judge(effect, margin_for(session, metric));
    if (verdict == Verdict::regressed || verdict == Verdict::improved) {
      return fmt::format(
          "the base against its own copy is {} by {:+.1f} % ({}) in this session: measure again when the machine is "
          "quiet",
          word(verdict), 100 * (effect.ratio() - 1), control.case_id);
    }
  }
  return controlled ? "" : "the session has no control (the base against its own copy) of this metric";
}

std::string why_open(const Effect& effect, const Margin& margin) {
  const auto percent = [](double log_ratio) { return fmt::format("{:+.1f} %", 100 * std::expm1(log_ratio)); };
  if (!effect.low) return fmt::format("{} blocks make no interval at 95 %: 6 are the least", effect.blocks);
  const std::string between = fmt::format("between {} and {}", percent(*effect.low), percent(*effect.high));
  const bool within = -margin.log() < *effect.low && *effect.high < margin.log();
  if (!within) return between + " it may be either";
  return fmt::format(
      "{}, surely not equal, and identical programs have differed by so much here that the margin is {:.1f} %: "
      "measure on a quieter machine",
      between, 100 * margin.share);
}

Judged judged_alone(const Session& session, const Measured& measured) {
  Judged judged{measured.case_id,
                measured.metric,
                measured.gated,
                effect_of(measured.effects),
                margin_for(session, measured.metric),
                Verdict::inconclusive,
                1,
                {},
                {},
                false};
  judged.verdict = judge(judged.effect, judged.margin);
  judged.p = judged.effect.p_slower;
  return judged;
}

void withdraw(Judged& judged, std::string reason) {
  judged.verdict = Verdict::inconclusive;
  judged.reason = std::move(reason);
}

// Holm over the gated ones, slower and faster each: their p, and REGRESSED and IMPROVED that do not stand.
void correct(std::vector<Judged>& judged) {
  std::vector<Judged*> gated;
  std::vector<double> slower, faster;
  for (Judged& each : judged) {
    if (!each.gated) continue;
    gated.push_back(&each);
    slower.push_back(each.effect.p_slower);
    faster.push_back(each.effect.p_faster);
  }
  slower = holm(slower);
  faster = holm(faster);
  const auto tests = static_cast<int64_t>(gated.size());
  for (std::size_t i = 0; i < gated.size(); ++i) {
    Judged& each = *gated[i];
    each.p = slower[i];
    const bool worse = each.verdict == Verdict::regressed;
    const double p = worse ? slower[i] : faster[i];
    if ((!worse && each.verdict != Verdict::improved) || p <= kOneSidedAlpha) continue;
    const int64_t least = least_blocks(tests);
    withdraw(each,
             fmt::format("{}, but among {} gated tests that may be chance: p = {:.3f} after Holm's correction{}",
                         worse ? "slower" : "faster", tests, p,
                         each.effect.blocks >= least ? "" : fmt::format("; so many need {} blocks or more", least)));
    each.blocks_to_settle = blocks_to_settle(each.effect, each.margin.share, tests);
  }
}

bool same_test(const Judged& a, const Judged& b) { return a.case_id == b.case_id && a.metric == b.metric; }
bool fired(const Judged& judged) { return judged.gated && judged.verdict == Verdict::regressed; }

}  // namespace

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> ascending(p.size());
  std::iota(ascending.begin(), ascending.end(), std::size_t{0});
  std::stable_sort(ascending.begin(), ascending.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> corrected(p.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < ascending.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(p.size() - rank) * p[ascending[rank]]));
    corrected[ascending[rank]] = largest;
  }
  return corrected;
}

std::vector<Judged> judge_session(const Session& session) {
  check(session.compared, "");
  check(session.controls, "the control ");
  std::vector<Judged> judged;
  for (const Measured& each : session.compared) {
    Judged& one = judged.emplace_back(judged_alone(session, each));
    if (one.verdict != Verdict::inconclusive) continue;
    one.reason = why_open(one.effect, one.margin);
    one.blocks_to_settle = blocks_to_settle(one.effect, one.margin.share);
  }
  correct(judged);
  for (Judged& each : judged) {
    if (each.verdict != Verdict::regressed && each.verdict != Verdict::improved) continue;
    if (std::string doubt = doubt_of(session, each.metric); !doubt.empty()) withdraw(each, std::move(doubt));
  }
  return judged;
}

std::vector<Judged> to_confirm(std::span<const Judged> first) {
  std::vector<Judged> again;
  for (const Judged& each : first) {
    if (fired(each)) again.push_back(each);
  }
  return again;
}

std::vector<Judged> confirm(std::vector<Judged> first, std::span<const Judged> second) {
  for (Judged& each : first) {
    if (!fired(each)) continue;
    const auto repeated =
        std::find_if(second.begin(), second.end(), [&](const Judged& s) { return same_test(s, each); });
    each.confirmed = repeated != second.end() && repeated->verdict == Verdict::regressed;
    if (each.confirmed) continue;
    withdraw(each, repeated == second.end()
                       ? "a second session, which must repeat it, was not measured"
                       : fmt::format("a second session did not repeat it: {}, {:+.1f} %", word(repeated->verdict),
                                     100 * (repeated->effect.ratio() - 1)));
  }
  return first;
}

Verdict gate(std::span<const Judged> judged) {
  bool any = false, open = false, faster = false;
  for (const Judged& each : judged) {
    if (!each.gated) continue;
    any = true;
    if (fired(each) && each.confirmed) return Verdict::regressed;
    open = open || each.verdict == Verdict::inconclusive || fired(each);
    faster = faster || each.verdict == Verdict::improved;
  }
  if (!any) return Verdict::incomparable;
  if (open) return Verdict::inconclusive;
  return faster ? Verdict::improved : Verdict::equivalent;
}

Family plan_family(int64_t tests, int64_t metrics, int64_t blocks, int64_t most_blocks) {
  if (metrics < 0 || tests < metrics || (metrics == 0 && tests > 0) || std::min(blocks, most_blocks) < 1) {
    throw std::invalid_argument(fmt::format("plan_family: {} tests of {} metrics, {} blocks of {} at most", tests,
                                            metrics, blocks, most_blocks));
  }
  const int64_t least = tests == 0 ? 1 : least_blocks(tests);
  if (least <= blocks) return {tests, blocks, false, ""};
  const std::string why = fmt::format("{} gated tests need {} blocks to tell one slow-down from chance", tests, least);
  if (least <= most_blocks) return {tests, least, false, fmt::format("{}: {} in place of {}", why, least, blocks)};
  const int64_t joined = std::max(blocks, least_blocks(metrics));
  if (joined <= most_blocks) {
    return {metrics, joined, tests > metrics,
            fmt::format("{}, and {} are allowed: the cases of a metric are judged together, by their geometric mean, "
                        "over {} blocks",
                        why, most_blocks, joined)};
  }
  return {metrics, most_blocks, tests > metrics,
          fmt::format("{}, and {} are allowed, too few even with all cases of a metric together ({}): no gated verdict "
                      "can be REGRESSED",
                      why, most_blocks, joined)};
}

std::vector<Measured> join_cases(std::span<const Measured> measured) {
  std::vector<std::string> metrics;  // in their order
  std::map<std::string, std::vector<std::vector<double>>> effects;
  std::vector<Measured> result;
  for (const Measured& each : measured) {
    if (!each.gated) {
      result.push_back(each);
      continue;
    }
    auto& of_metric = effects[each.metric];
    if (of_metric.empty()) metrics.push_back(each.metric);
    of_metric.push_back(each.effects);
  }
  for (const std::string& metric : metrics)
    result.push_back({kAllCases, metric, joined_effects(effects[metric]), true});
  return result;
}

}  // namespace kvproof::compare
