#include "harness/compare/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kvproof::compare {
namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

std::optional<double> as_ratio(std::optional<double> log) { return log ? std::optional(std::exp(*log)) : std::nullopt; }

void put_effect(Json& out, const Effect& effect) {
  out["ratio"] = effect.ratio();
  out["low"] = or_null(as_ratio(effect.low));
  out["high"] = or_null(as_ratio(effect.high));
}

std::string last_part(const std::string& field) { return field.substr(field.rfind('.') + 1); }

std::string shown(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

Finding finding_of_change(const std::string& id, const Json& change) {
  const std::string field = change.at("field"), place = change.at("place"), what = last_part(field);
  std::string text =
      fmt::format("{}: CHANGED: {}{}: {} in the base, {} in the candidate", id, field,
                  place.empty() ? "" : ", " + place, shown(change.at("base")), shown(change.at("candidate")));
  if (what == "tokens" || what == "agreement") return {"disagree", ExitCode::disagree, std::move(text)};
  if (what == "status" && change.at("candidate") != "ok") return {"error", ExitCode::failed, std::move(text)};
  return {"regressed", ExitCode::regression, std::move(text)};
}

void find_in_cases(const Json& cases, std::vector<Finding>& found) {
  int64_t compared = 0;
  for (const Json& one : cases) {
    const std::string id = one.at("id"), verdict = one.at("verdict");
    compared += verdict == "IDENTICAL" || verdict == "CHANGED" || verdict == "INCOMPARABLE";
    if (verdict == "INCOMPARABLE")
      found.push_back({"incomparable", ExitCode::no_baseline,
                       fmt::format("{}: INCOMPARABLE: {}", id, one.at("reason").get<std::string>())});
    if (verdict == "MISSING" && !one.at("accepted").get<bool>())
      found.push_back({"missing", ExitCode::regression, id + ": MISSING: the base has it, the candidate does not"});
    for (const Json& change : one.at("changes")) {
      if (!change.at("accepted").get<bool>()) found.push_back(finding_of_change(id, change));
    }
  }
  if (compared == 0) found.push_back({"incomparable", ExitCode::no_baseline, "INCOMPARABLE: no case is in both"});
}

/// Of the changes of a case, which has some, ci.accept names all.
bool is_accepted(const Json& cases, const std::string& id) {
  const auto one = std::find_if(cases.begin(), cases.end(), [&](const Json& each) { return each.at("id") == id; });
  if (one == cases.end() || one->at("changes").empty()) return false;
  const Json& changes = one->at("changes");
  return std::all_of(changes.begin(), changes.end(), [](const Json& each) { return each.at("accepted").get<bool>(); });
}

/// Of cases that were not timed. A case whose other tokens are meant is none.
/// returns whether that was the reason for all of them
bool find_untimed(const Json& cases, const Json& untimed, std::vector<Finding>& found) {
  bool all_accepted = !untimed.empty();
  for (const Json& one : untimed) {
    const std::string id = one.at("case"), side = one.at("side").is_null() ? "" : one.at("side").get<std::string>();
    if (side.empty() && is_accepted(cases, id)) continue;
    all_accepted = false;
    const std::string text = fmt::format("{}: was not timed: {}", id, one.at("reason").get<std::string>());
    if (side == "candidate") found.push_back({"error", ExitCode::failed, text});
    if (side == "base") found.push_back({"incomparable", ExitCode::no_baseline, text});
    if (side.empty()) found.push_back({"inconclusive", ExitCode::inconclusive, text});
  }
  return all_accepted;
}

void find_in_times(const Json& cases, const Json& timing, std::vector<Finding>& found) {
  if (timing.is_null() || timing.at("kind") != "paired") return;
  const bool all_accepted = find_untimed(cases, timing.value("untimed", Json::array()), found);
  bool any = false;
  for (const Json& metric : timing.at("metrics")) {
    const std::string said = metric.at("verdict"), reason = metric.at("reason");
    if (!metric.at("gated").get<bool>() || (said != "REGRESSED" && said != "INCONCLUSIVE")) continue;
    any = true;
    const bool worse = said == "REGRESSED";
    found.push_back({worse ? "regressed" : "inconclusive", worse ? ExitCode::regression : ExitCode::inconclusive,
                     fmt::format("{}: {}: {} at {:.3f} times the base's{}", metric.at("case").get<std::string>(), said,
                                 metric.at("metric").get<std::string>(), metric.at("ratio").get<double>(),
                                 reason.empty() ? "" : ": " + reason)});
  }
  const bool nothing_timed = all_accepted && timing.at("metrics").empty();
  if (timing.at("verdict") == "INCOMPARABLE" && !nothing_timed)
    found.push_back(
        {"incomparable", ExitCode::no_baseline, "times: INCOMPARABLE: " + timing.at("reason").get<std::string>()});
  if (timing.at("verdict") == "INCONCLUSIVE" && !any)
    found.push_back({"inconclusive", ExitCode::inconclusive, "times: INCONCLUSIVE"});
}

/// CHANGED (a value, or a case is missing), else INCOMPARABLE (a case, or no case in common), else IDENTICAL. Added cases
/// change nothing: they have no baseline yet.
Verdict exact_verdict(const Json& cases) {
  const auto any = [&](const char* verdict) {
    return std::any_of(cases.begin(), cases.end(), [&](const Json& one) { return one.at("verdict") == verdict; });
  };
  if (any("CHANGED") || any("MISSING")) return Verdict::changed;
  return any("INCOMPARABLE") || !any("IDENTICAL") ? Verdict::incomparable : Verdict::identical;
}

}  // namespace

bool Accepted::takes(const std::string& field) {
  const auto word = std::find(words_.begin(), words_.end(), last_part(field));
  if (word == words_.end()) return false;
  if (std::find(used_.begin(), used_.end(), *word) == used_.end()) used_.push_back(*word);
  return true;
}

Json Accepted::json() const {
  Json unused = Json::array();
  for (const std::string& word : words_) {
    if (std::find(used_.begin(), used_.end(), word) == used_.end()) unused.push_back(word);
  }
  return {{"given", words_}, {"unused", unused}};
}

Json cases_json(const ExactComparison& exact, const std::vector<std::string>& base_ids,
                const std::vector<std::string>& candidate_ids, const std::map<std::string, std::string>& shapes,
                Accepted& accepted) {
  std::vector<std::string> ids = base_ids;
  for (const std::string& id : candidate_ids) {
    if (std::find(base_ids.begin(), base_ids.end(), id) == base_ids.end()) ids.push_back(id);
  }
  const auto among = [](const std::vector<std::string>& list, const std::string& id) {
    return std::find(list.begin(), list.end(), id) != list.end();
  };
  Json cases = Json::array();
  for (const std::string& id : ids) {
    const auto shape = shapes.find(id);
    Json one = {{"id", id},
                {"accepted", false},
                {"shape", shape == shapes.end() ? Json() : Json(shape->second)},
                {"verdict", "IDENTICAL"},
                {"reason", nullptr},
                {"changes", Json::array()}};
    if (among(exact.missing, id)) {
      one["verdict"] = "MISSING";
      one["accepted"] = accepted.takes("cases");
    } else if (among(exact.added, id)) {
      one["verdict"] = "ADDED";
    }
    for (const Incomparable& each : exact.incomparable) {
      if (each.case_id != id) continue;
      one["verdict"] = "INCOMPARABLE";
      one["reason"] = each.reason;
    }
    for (const ExactChange& each : exact.changed) {
      if (each.case_id != id) continue;
      const bool works_now = each.field == "status" && each.candidate == "ok";
      one["verdict"] = "CHANGED";
      one["changes"].push_back({{"field", each.field},
                                {"place", each.place},
                                {"base", each.base},
                                {"candidate", each.candidate},
                                {"accepted", works_now || accepted.takes(each.field)}});
    }
    cases.push_back(std::move(one));
  }
  return cases;
}

Json metric_json(const Judged& judged, const std::optional<Judged>& second, std::optional<double> base_ns,
                 std::optional<double> candidate_ns, int64_t tests) {
  Json out = {
      {"case", judged.case_id}, {"metric", judged.metric}, {"gated", judged.gated}, {"verdict", word(judged.verdict)}};
  put_effect(out, judged.effect);
  out["base_ns"] = or_null(base_ns);
  out["candidate_ns"] = or_null(candidate_ns);
  out["blocks"] = judged.effect.blocks;
  out["margin"] = judged.margin.share;
  out["noise_floor"] = or_null(judged.margin.noise_floor);
  out["recorded"] = judged.margin.recorded;
  out["minimum_detectable"] = minimum_detectable(judged.effect);
  out["alarm_from"] = or_null(alarm_from(judged.effect, judged.margin.share, judged.gated ? tests : 1));
  out["p"] = judged.p;
  out["blocks_to_settle"] = or_null(judged.blocks_to_settle);
  out["reason"] = judged.reason;
  out["confirmed"] = judged.confirmed;
  out["confirmation"] = nullptr;
  if (second) {
    Json again = Json::object();
    put_effect(again, second->effect);
    again["verdict"] = word(second->verdict);
    out["confirmation"] = std::move(again);
  }
  return out;
}

Json control_json(const Judged& judged) {
  Json out = {{"case", judged.case_id}, {"metric", judged.metric}, {"verdict", word(judged.verdict)}};
  put_effect(out, judged.effect);
  out["minimum_detectable"] = minimum_detectable(judged.effect);
  return out;
}

std::vector<Finding> findings_of_floors(const Json& floors) {
  std::vector<Finding> found;
  for (const Json& floor : floors) {
    if (floor.at("verdict") != "REGRESSED") continue;
    found.push_back({"regressed", ExitCode::regression,
                     fmt::format("{}: REGRESSED: {} of {:.2f} lies below its floor of {:.2f}",
                                 floor.at("case").get<std::string>(), floor.at("metric").get<std::string>(),
                                 floor.at("value").get<double>(), floor.at("floor").get<double>())});
  }
  return found;
}

std::vector<Finding> findings_of_cases(const Json& document) {
  std::vector<Finding> found;
  find_in_cases(document.at("cases"), found);
  return found;
}

std::vector<Finding> findings_of_times(const Json& document) {
  std::vector<Finding> found;
  find_in_times(document.at("cases"), document.at("timing"), found);
  return found;
}

std::vector<Finding> findings_of(const Json& document) {
  std::vector<Finding> found = findings_of_cases(document);
  for (Finding& finding : findings_of_times(document)) found.push_back(std::move(finding));
  for (Finding& finding : findings_of_floors(document.at("floors"))) found.push_back(std::move(finding));
  return found;
}

ExitCode conclude(Json& document) {
  ExitCode code = ExitCode::ok;
  Json reasons = Json::array();
  for (const Finding& finding : findings_of(document)) {
    code = worse(code, finding.code);
    reasons.push_back(finding.text);
  }
  const Json& timing = document.at("timing");
  document["verdict"] = {{"exact", word(exact_verdict(document.at("cases")))},
                         {"timing", timing.is_null() ? Json() : timing.at("verdict")},
                         {"exit_code", static_cast<int>(code)},
                         {"reasons", std::move(reasons)}};
  return code;
}

}  // namespace kvproof::compare
