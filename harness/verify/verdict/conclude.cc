#include "harness/verify/verdict/conclude.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace kvproof {
namespace {

void localise_failures(VerifyReport& report, bool stages_shown) {
  std::vector<ScenarioOutcome> in_use, latent;
  for (const ScenarioOutcome& outcome : report.outcomes) {
    if (!outcome.latent || !outcome.failed()) in_use.push_back(outcome);
    if (outcome.latent || !outcome.failed()) latent.push_back(outcome);
  }
  LocaliseFacts facts;
  facts.stages_shown = stages_shown;
  for (const int64_t window : report.subject.windows)
    if (window < report.subject.rotary_len) facts.windows.push_back(window);
  report.first_divergence = localise(in_use, facts);
  report.latent_divergence = localise(latent, facts);
}

int64_t failures(const std::optional<ModelReport>& model) {
  return model ? model->constants.failures + model->logits.failures : 0;
}
bool model_failed(const VerifyReport& report) {
  return !report.model_error.empty() || (report.vectors && report.vectors->tally.failures > 0) ||
         failures(report.model) + failures(report.against_ours) > 0;
}

std::string part_of(const Divergence& d) {
  const bool generation = d.suspect == Suspect::generation || d.suspect == Suspect::sampling;
  return d.suspect == Suspect::subject ? "subject" : generation ? "generation" : "cache";
}

std::vector<std::string> wrong_parts(const VerifyReport& report) {
  std::vector<std::string> wrong;
  if (model_failed(report)) wrong.push_back("model");
  for (const auto* d : {&report.first_divergence, &report.latent_divergence})
    if (*d && std::count(wrong.begin(), wrong.end(), part_of(**d)) == 0) wrong.push_back(part_of(**d));
  return wrong;
}

std::string explain_model(const VerifyReport& report) {
  const bool foreign = failures(report.against_ours) > 0 && failures(report.model) == 0;
  std::string text = foreign
                         ? "model wrong: what the subject computes is not what our engine does on the same checkpoint"
                         : "model wrong: what this engine computes is not what nanochat does";
  for (const auto* findings :
       {report.vectors ? &report.vectors->findings : nullptr, report.model ? &report.model->findings : nullptr,
        report.against_ours ? &report.against_ours->findings : nullptr}) {
    if (!findings || findings->empty()) continue;
    text += " (" + findings->front().place.operation + ": " + findings->front().message + ")";
    break;
  }
  if (!report.model_error.empty()) text += " (" + report.model_error + ")";
  return text;
}

std::string explain_failure(const VerifyReport& report) {
  std::vector<std::string> parts;
  if (model_failed(report)) parts.push_back(explain_model(report));
  if (const auto& d = report.first_divergence) parts.push_back(part_of(*d) + " wrong: " + d->hint);
  if (const auto& d = report.latent_divergence) {
    const bool same = report.first_divergence && report.first_divergence->suspect == d->suspect;
    parts.push_back(
        same ? fmt::format("{} scenarios that its own generate never reaches fail likewise", report.failed(true).size())
             : "latent: not reached by the subject's own generate: " + part_of(*d) + " wrong: " + d->hint);
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

/// Empty: none.
std::string doubts_of(const VerifyReport& report) {
  std::string doubts;
  for (const Calibration& c : report.calibrations)
    for (const std::string& doubt : c.doubts) doubts += (doubts.empty() ? "" : "; ") + c.dtype + ": " + doubt;
  return doubts;
}

std::string explain_pass(const VerifyReport& report) {
  if (!report.options.only.empty()) return "the scenarios asked for show no difference; only a whole run says more";
  if (report.not_covered.empty())
    return "the cached output is that of recomputation, in every scenario, and a broken cache would have shown";
  return "the cached output is that of recomputation in every scenario that ran, and a cache broken there would have "
         "shown; what was not covered is listed";
}

}  // namespace

void conclude(VerifyReport& report, bool stages_shown) {
  localise_failures(report, stages_shown);
  report.wrong = wrong_parts(report);
  if (!report.wrong.empty()) {
    report.verdict = VerifyVerdict::fail;
    report.explanation = explain_failure(report);
    return;
  }
  const std::string doubts = doubts_of(report);
  report.verdict = doubts.empty() ? VerifyVerdict::pass : VerifyVerdict::inconclusive;
  report.explanation = doubts.empty() ? explain_pass(report) : doubts;
}

}  // namespace kvproof
