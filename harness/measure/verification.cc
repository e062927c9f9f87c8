#include "harness/measure/verification.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/shell_word.h"
#include "harness/verify/verdict/verify_json.h"

namespace kvproof {
namespace {

constexpr double kQuickShare = 0.1;      // of the time that measuring took
constexpr double kLeastSeconds = 0.001;  // 0 would be the depth's own limit
constexpr std::size_t kFindingsKept = 8;
// Besides the caches' scenarios: calibration and the oracle; with full also vectors and generators. On two cores, of a
// model of a few million parameters.
constexpr double kQuickBesides = 0.5, kFullBesides = 5;

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

/// What the comparisons of logits came to, in each dtype.
Json logits_json(const VerifyReport& report) {
  std::vector<std::pair<std::string, LevelTally>> tallies;
  for (const ScenarioOutcome& outcome : report.outcomes) {
    const LevelTally& tally = outcome.level(Level::logits);
    if (tally.checks == 0) continue;
    const std::string dtype = outcome.name.substr(outcome.name.rfind('/') + 1);
    auto entry = std::find_if(tallies.begin(), tallies.end(), [&](const auto& known) { return known.first == dtype; });
    if (entry == tallies.end()) entry = tallies.insert(tallies.end(), {dtype, {}});
    entry->second.merge(tally);
  }
  Json out = Json::object();
  for (const auto& [dtype, tally] : tallies) {
    out[dtype] = {{"checks", tally.checks},
                  {"failures", tally.failures},
                  {"worst_error", finite_or_null(tally.worst_error)},
                  {"worst_ratio", finite_or_null(tally.worst_ratio)}};
  }
  return out;
}

/// The failed outcomes alone, and of them what a reader needs.
Json failed_outcomes(const Json& outcomes) {
  Json failed = Json::array();
  for (const Json& outcome : outcomes) {
    if (!outcome.at("failed").get<bool>()) continue;
    Json kept = outcome;
    kept.erase("errors");
    Json& findings = kept["findings"];
    if (findings.size() > kFindingsKept) findings.erase(findings.begin() + kFindingsKept, findings.end());
    failed.push_back(std::move(kept));
  }
  return failed;
}

/// Of the longest sequence in the dtype under test that was decoded or prefilled in chunks.
Json error_by_position(const VerifyReport& report, const Json& outcomes) {
  const Json* longest = nullptr;
  int64_t last = -1;
  for (std::size_t i = 0; i < report.outcomes.size(); ++i) {
    const ScenarioOutcome& outcome = report.outcomes[i];
    const bool kind = outcome.name.rfind("decode[", 0) == 0 || outcome.name.rfind("chunks[", 0) == 0;
    const PositionErrors& errors = outcome.errors_of(Level::logits);
    if (!kind || !outcome.name.ends_with("/" + report.subject.dtype) || errors.empty()) continue;
    if (errors.rbegin()->first <= last) continue;
    last = errors.rbegin()->first;
    longest = &outcomes.at(i);
  }
  if (!longest) return nullptr;
  Json out = {{"scenario", longest->at("name")}};
  out.update(longest->at("errors"));
  return out;
}

}  // namespace

std::optional<Depth> deepest(const std::vector<const Case*>& cases) {
  std::optional<Depth> depth;
  for (const Case* cell : cases) {
    if (cell->run.verify == "full") return Depth::full;
    if (cell->run.verify == "quick") depth = Depth::quick;
  }
  return depth;
}

VerifyOptions verify_options(Depth depth, double measured_s, bool vectors) {
  VerifyOptions options;
  options.depth = depth;
  options.behaviour = depth == Depth::full;
  options.vectors = vectors && depth == Depth::full;
  if (depth == Depth::quick) options.seconds = std::max(kQuickShare * measured_s, kLeastSeconds);
  return options;
}

double estimated_verification_s(const SubjectInfo& info, Depth depth, double measured_s) {
  const bool full = depth == Depth::full;
  const double limit = full ? kFullSeconds : verify_options(depth, measured_s, false).seconds;
  const bool own_logic = info.dtype == "float64";  // else most of the time is for the float64 twin
  double seconds = full ? kFullBesides : kQuickBesides;
  seconds += cache_suite(info, depth, (own_logic ? 1 : 0.7) * limit, false).seconds;
  if (!own_logic) seconds += cache_suite(info, depth, 0.3 * limit, true).seconds;
  return seconds;
}

std::string verify_command(const CheckpointSpec& spec, const CheckpointSession& session, const RunSpec& run,
                           const std::string& dtype, const std::string& scenario) {
  std::string words = "kvproof verify";
  const auto add = [&](const char* flag, const std::string& value) {
    words += fmt::format(" {} {}", flag, shell_quoted(value));
  };
  if (spec.subject) add("--subject", *spec.subject);
  if (spec.reference) add("--reference", *spec.reference);
  if (spec.synthetic) {
    add("--synthetic", *spec.synthetic);
  } else if (session.checkpoint) {
    const CheckpointLocation& location = session.checkpoint->location;
    add("--base-dir", location.base_dir.string());
    if (location.layout == CheckpointLayout::nanochat) {
      add("--source", location.source);
      add("--tag", location.tag);
      add("--step", std::to_string(location.step));
    }
  }
  for (const auto& [key, value] : spec.architecture) add("--arch", key + "=" + value);
  if (!spec.subject || run.dtype != "auto") add("--dtype", dtype);
  if (run.device != "auto") add("--device", run.device);
  if (run.threads) add("--threads", std::to_string(*run.threads));
  // Calibration is part of every verification, not a scenario that could be asked for.
  if (!scenario.empty() && scenario.rfind("calibration/", 0) != 0) words += fmt::format(" --only '{}'", scenario);
  return words;
}

Json verification_json(const std::string& checkpoint, const VerifyReport& report, const std::string& reproduce) {
  const SubjectInfo& subject = report.subject;
  Json out = {{"checkpoint", checkpoint},
              {"backend", subject.backend},
              {"dtype", subject.dtype},
              {"device", subject.device},
              {"threads", subject.threads}};
  if (report.options.seconds > 0) {
    out["budget_seconds"] = report.options.seconds;
  } else {
    put_null(out, "budget_seconds", "verify is full: the check takes its own time");
  }
  const Json document = verify_json(report);
  for (const auto& [key, value] : document.items())
    if (key != "outcomes") out[key] = value;
  out["logits"] = logits_json(report);
  out["error_by_position"] = error_by_position(report, document.at("outcomes"));
  out["outcomes"] = failed_outcomes(document.at("outcomes"));
  out["reproduce"] = reproduce.empty() ? Json(nullptr) : Json(reproduce);
  return out;
}

}  // namespace kvproof
