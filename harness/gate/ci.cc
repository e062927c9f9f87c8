#include "harness/gate/ci.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/build_info.h"
#include "harness/record/view.h"

namespace kvproof {
namespace {

void find_in_case(const View& one, std::vector<compare::Finding>& found) {
  const std::string id = one.at("id").text();
  if (one.at("status").text() != "ok") {
    const View error = one.at("error");
    found.push_back({"error", static_cast<ExitCode>(error.at("exit_code").integer()),
                     fmt::format("{}: FAILED: {}", id, error.at("message").text())});
    return;
  }
  if (one.at("agreement").at("verdict").text() == "DISAGREE")
    found.push_back(
        {"disagree", ExitCode::disagree, id + ": DISAGREE: the engine's tokens are not those of full recompute"});
  if (const View validity = one.at("validity"); validity.at("verdict").text() != "VALID") {
    const auto reasons = validity.at("reasons").items();
    found.push_back({"error", ExitCode::failed,
                     fmt::format("{}: INVALID: {}", id, reasons.empty() ? "no reason is given" : reasons[0].text())});
  }
}

}  // namespace

std::vector<compare::Finding> findings_of_run(const Json& document) {
  const View record(document);
  std::vector<compare::Finding> found;
  for (const View& one : record.at("cases").items()) find_in_case(one, found);
  if (record.has("verifications")) {
    for (const View& one : record.at("verifications").items()) {
      const std::string verdict = one.at("verdict").text();
      const std::string text = fmt::format(
          "verification {}: {}: the KV cache {}", one.at("checkpoint").text(), verdict,
          verdict == "FAIL" ? "is wrong; the report says where" : "could not be judged in the time there was");
      if (verdict == "FAIL") found.push_back({"disagree", ExitCode::disagree, text});
      if (verdict == "INCONCLUSIVE") found.push_back({"inconclusive", ExitCode::inconclusive, text});
    }
  }
  const auto code = static_cast<ExitCode>(record.at("exit_code").integer());
  if (code == ExitCode::interrupted)
    found.push_back({"incomparable", ExitCode::no_baseline, "the run was cut off: cases or repetitions are missing"});
  else if (found.empty() && code != ExitCode::ok)
    found.push_back({"error", code, fmt::format("the run ended with exit code {}", static_cast<int>(code))});
  return found;
}

CiVerdict decide(const std::vector<compare::Finding>& findings, const CiSpec& spec, bool strict) {
  CiVerdict verdict;
  for (const compare::Finding& finding : findings) {
    const bool named = std::find(spec.fail_on.begin(), spec.fail_on.end(), finding.kind) != spec.fail_on.end();
    if (named || finding.kind == "incomparable" || (strict && finding.kind == "inconclusive")) {
      verdict.code = worse(verdict.code, finding.code);
      verdict.failures.push_back(finding);
    } else {
      verdict.warnings.push_back(finding);
    }
  }
  return verdict;
}

std::vector<std::string> unused_accepts(const std::vector<Json>& comparisons) {
  std::vector<std::string> unused;
  if (comparisons.empty()) return unused;
  for (const Json& word : comparisons.front().at("accept").at("unused")) {
    const bool everywhere = std::all_of(comparisons.begin(), comparisons.end(), [&](const Json& one) {
      const Json& list = one.at("accept").at("unused");
      return std::find(list.begin(), list.end(), word) != list.end();
    });
    if (everywhere) unused.push_back(word);
  }
  return unused;
}

Json ci_json(const CiVerdict& verdict, const LoadedConfig& config, bool strict, const std::vector<Json>& comparisons,
             const std::string& started, const Json& artifacts) {
  const auto list = [](const std::vector<compare::Finding>& findings) {
    Json out = Json::array();
    for (const compare::Finding& each : findings) out.push_back({{"kind", each.kind}, {"text", each.text}});
    return out;
  };
  Json warnings = list(verdict.warnings);
  const std::vector<std::string> unused = unused_accepts(comparisons);
  for (const std::string& word : unused)
    warnings.push_back(
        {{"kind", "accept"},
         {"text", fmt::format("ci.accept: {} is no longer needed: nothing of it changed; remove it", word)}});
  for (const Json& comparison : comparisons) {
    for (const Json& text : comparison.at("warnings")) warnings.push_back({{"kind", "note"}, {"text", text}});
  }
  return {
      {"schema", {{"name", kCiSchema}, {"version", kCiVersion}}},
      {"kvproof", {{"version", build_info().version}, {"commit", build_info().commit}, {"dirty", build_info().dirty}}},
      {"started", started},
      {"config", {{"file", config.config.file.string()}, {"hash", config.hash}}},
      {"strict", strict},
      {"fail_on", config.config.ci.fail_on},
      {"accept", {{"given", config.config.ci.accept}, {"unused", unused}}},
      {"failures", list(verdict.failures)},
      {"warnings", warnings},
      {"artifacts", artifacts},
      {"exit_code", static_cast<int>(verdict.code)}};
}

}  // namespace kvproof
