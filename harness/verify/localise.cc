#include "harness/verify/localise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/verify/failure.h"
#include "harness/verify/meaning.h"
#include "harness/verify/pattern.h"

namespace kvproof {
namespace {

Meaning judge(const Pattern& p) {
  if (p.first().outcome->subject_broke && (p.is_error() || p.first().outcome->findings.empty()))
    return {Suspect::subject, "the subject broke off: " + p.first().outcome->broke_off, ""};
  if (is_generation(p.finding())) return meaning_of_generation(p);
  if (p.rounding_only() && !p.first().outcome->broke_off.empty())
    return {Suspect::unknown,
            fmt::format("in {} the engine ends in an error: {}", p.first().dtype, p.first().outcome->broke_off),
            fmt::format("{} in float64 passes", p.first().kind)};
  if (p.rounding_only())
    return {Suspect::precision,
            fmt::format("the logic is right, but {} rounds more than the same dtype does in full recompute",
                        p.first().dtype),
            fmt::format("{} in float64 passes", p.first().kind)};
  if (is_twin(p.finding())) return meaning_of_twin(p);
  if (contains(p.at().operation, ", to be refused")) return meaning_of_refusal(p);
  if (!is_forward(p.finding())) return meaning_of_operation(p);
  if (const Meaning clear = meaning_of_clue(p); clear.suspect != Suspect::unknown) return clear;
  if (const std::string change = change_before(p.finding()); !change.empty()) return meaning_after(p, change);
  if (p.rows_matter()) return meaning_of_rows(p);
  return p.facts.stages_shown || p.stage() == "state" ? meaning_of_stage(p) : meaning_of_slots(p);
}

// --- words -----------------------------------------------------------------------------------------------------------

/// What the wrong numbers look like, here or, where the finding has none, in the same layer of the same step.
std::string numbers(const Pattern& p) {
  if (!p.finding().evidence.empty() || is_twin(p.finding())) return p.finding().evidence;
  for (const Finding& other : p.first().outcome->findings) {
    if (is_twin(other) || other.place.step != p.at().step || other.place.layer != p.at().layer ||
        other.evidence.empty())
      continue;
    return fmt::format("at position {} {}", other.place.position, other.evidence);
  }
  return "";
}

/// Whether only one way of calling goes wrong.
std::string where(const Pattern& p) {
  if (!is_forward(p.finding())) return "";
  const bool decode = p.at().operation.starts_with("decode");
  bool other = false;  // the other way of calling fails as well
  for (const Failure& f : p.failures)
    if (f.dtype == p.first().dtype && is_forward(f.finding))
      other |= f.finding.place.operation.starts_with("decode") != decode;
  if (other) return "";
  return decode ? "first seen in steps of one token, never in longer ones"
                : "first seen in chunks of several tokens, never in steps of one";
}

/// Which kinds of scenarios fail and which pass.
std::string contrast(const Pattern& p) {
  std::vector<std::string> passing, failing;
  const auto add = [](std::vector<std::string>& kinds, const std::string& kind) {
    if (std::count(kinds.begin(), kinds.end(), kind) == 0) kinds.push_back(kind);
  };
  for (const ScenarioOutcome& outcome : p.outcomes) {
    if (dtype_of(outcome.name) != p.first().dtype || !outcome.skipped.empty()) continue;
    add(outcome.failed() ? failing : passing, kind_of(outcome.name));
  }
  std::erase_if(passing, [&](const std::string& kind) { return std::count(failing.begin(), failing.end(), kind) > 0; });
  if (passing.empty()) return "";
  const auto some = [](std::vector<std::string> kinds) {
    constexpr std::size_t kMost = 6;
    const std::size_t more = kinds.size() > kMost ? kinds.size() - kMost : 0;
    kinds.resize(kinds.size() - more);
    return fmt::format("{}{}", fmt::join(kinds, ", "), more ? fmt::format(" and {} more", more) : "");
  };
  return fmt::format("of the kinds of scenarios {} {}, {} {}", some(failing), failing.size() == 1 ? "fails" : "fail",
                     some(passing), passing.size() == 1 ? "passes" : "pass");
}

}  // namespace

std::optional<Divergence> localise(const std::vector<ScenarioOutcome>& outcomes, const LocaliseFacts& facts) {
  const std::vector<Failure> failures = failures_of(outcomes);
  if (failures.empty()) return std::nullopt;
  const Pattern p{outcomes, failures, facts};
  Meaning meaning = judge(p);
  std::vector<std::string> evidence;
  for (const std::string& part : {meaning.pattern, numbers(p), where(p), contrast(p)})
    if (!part.empty()) evidence.push_back(part);
  const ScenarioOutcome& outcome = *p.first().outcome;
  return Divergence{outcome.name,
                    outcome.seed,
                    p.finding(),
                    meaning.suspect,
                    std::move(meaning.hint),
                    fmt::format("{}", fmt::join(evidence, "; "))};
}

}  // namespace kvproof
