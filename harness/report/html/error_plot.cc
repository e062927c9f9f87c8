// How far the engine's outputs are off, against the position, as the verification of the case's group saw it.
#include <optional>

#include "harness/error.h"
#include "harness/report/html/plot_data.h"
#include "harness/report/page.h"

namespace kvproof {
namespace {

std::optional<View> verification_of(const View& record, const View& one) {
  if (!one.has("verification") || !record.has("verifications")) return std::nullopt;  // before runs verified
  const View own = one.at("verification");
  const auto index = own.at("index").integer_or_null();
  if (!index) return std::nullopt;
  const auto all = record.at("verifications").items();
  if (*index < 0 || *index >= std::ssize(all))
    throw RecordError(own.pointer() + "/index", "expected one of the record's " + std::to_string(all.size()) +
                                                    " verifications, found " + std::to_string(*index) +
                                                    "; the record is damaged");
  return all[static_cast<std::size_t>(*index)];
}

/// {positions[], max_abs[]} without what is not finite; null where nothing is left.
Json finite_errors(const View& errors) {
  Json positions = Json::array(), max_abs = Json::array();
  const auto at = errors.at("positions").items(), off = errors.at("max_abs").items();
  for (std::size_t i = 0; i < std::min(at.size(), off.size()); ++i) {
    const auto error = off[i].number_or_null();
    if (!error) continue;
    positions.push_back(at[i].integer());
    max_abs.push_back(*error);
  }
  if (positions.empty()) return nullptr;
  return {{"positions", positions}, {"max_abs", max_abs}};
}

Json logits_of(const View& verification) {
  if (!verification.has("error_by_position") || verification.at("error_by_position").is_null()) return nullptr;
  const View errors = verification.at("error_by_position");
  Json found = finite_errors(errors);
  if (!found.is_null()) found["scenario"] = shown(errors.at("scenario"));
  return found;
}

// Of the same sequence, the levels behind the logits.
Json levels_of(const View& verification) {
  Json found = Json::array();
  if (!verification.has("error_by_position") || verification.at("error_by_position").is_null()) return found;
  const View errors = verification.at("error_by_position");
  if (!errors.has("levels")) return found;  // older records
  for (const char* code : {"L3", "L4"}) {
    if (!errors.at("levels").has(code)) continue;
    Json level = finite_errors(errors.at("levels").at(code));
    if (level.is_null()) continue;
    level["level"] = code;
    level["name"] = shown(verification.at("levels").at(code).at("name"));
    found.push_back(std::move(level));
  }
  return found;
}

// What failed, level by level: only findings that have a place and a size.
Json findings_of(const View& verification) {
  Json findings = Json::array();
  for (const View& outcome : verification.at("outcomes").items()) {
    for (const View& finding : outcome.at("findings").items()) {
      const auto position = finding.at("position").integer_or_null();
      const auto error = finding.at("error").number_or_null();
      if (!position || !error) continue;
      const std::string level = shown(finding.at("level"));
      findings.push_back({{"level", level},
                          {"name", shown(verification.at("levels").at(finding.at("level").text()).at("name"))},
                          {"scenario", shown(outcome.at("name"))},
                          {"position", *position},
                          {"error", *error}});
    }
  }
  return findings;
}

// Of the levels that compare numbers, what came nearest to failing: exact ones have no distance.
Json worst_of(const View& verification) {
  Json worst = Json::array();
  for (const char* code : {"L2", "L3", "L4"}) {
    const View level = verification.at("levels").at(code);
    const auto ratio = level.at("worst_ratio").number_or_null();
    if (level.at("checks").integer() > 0 && ratio)
      worst.push_back({{"level", code}, {"name", shown(level.at("name"))}, {"ratio", *ratio}});
  }
  return worst;
}

}  // namespace

Json error_by_position(const View& record, const View& one) {
  const auto verification = verification_of(record, one);
  if (!verification) return no_plot("The case was not verified: nobody looked for errors.");
  Json logits = logits_of(*verification), findings = findings_of(*verification);
  if (logits.is_null() && findings.empty()) return no_plot("The verification kept no errors by position.");
  return {{"dtype", shown(verification->at("dtype"))},
          {"logits", logits},
          {"levels", levels_of(*verification)},
          {"findings", findings},
          {"worst", worst_of(*verification)}};
}

}  // namespace kvproof
