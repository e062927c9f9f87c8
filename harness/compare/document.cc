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

/// Gathers what is wrong.
class Conclusion {
 public:
  void add(ExitCode code, std::string reason) {
    code_ = worse(code_, code);
    if (code != ExitCode::ok) reasons_.push_back(std::move(reason));
  }
  ExitCode code() const { return code_; }
  const Json& reasons() const { return reasons_; }

 private:
  ExitCode code_ = ExitCode::ok;
  Json reasons_ = Json::array();
};

ExitCode code_of_change(const std::string& field, const Json& candidate) {
  const std::string what = last_part(field);
  if (what == "tokens" || what == "agreement") return ExitCode::disagree;
  if (what == "status" && candidate != "ok") return ExitCode::failed;
  return ExitCode::regression;
}

std::string shown(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

Verdict conclude_cases(const Json& cases, Conclusion& conclusion) {
  int64_t compared = 0;
  bool changed = false, incomparable = false;
  for (const Json& one : cases) {
    const std::string id = one.at("id"), verdict = one.at("verdict");
    compared += verdict == "IDENTICAL" || verdict == "CHANGED";
    if (verdict == "INCOMPARABLE") {
      incomparable = true;
      conclusion.add(ExitCode::no_baseline, fmt::format("{}: INCOMPARABLE: {}", id, one.at("reason").get<std::string>()));
    }
    if (verdict == "MISSING" && !one.at("accepted").get<bool>()) {
      changed = true;
      conclusion.add(ExitCode::regression, id + ": MISSING: the base has it, the candidate does not");
    }
    for (const Json& change : one.at("changes")) {
      changed = true;
      if (change.at("accepted").get<bool>()) continue;
      const std::string field = change.at("field"), place = change.at("place");
      conclusion.add(code_of_change(field, change.at("candidate")),
                     fmt::format("{}: CHANGED: {}{}: {} in the base, {} in the candidate", id, field,
                                 place.empty() ? "" : ", " + place, shown(change.at("base")), shown(change.at("candidate"))));
    }
  }
  if (compared == 0 && !incomparable) {
    incomparable = true;
    conclusion.add(ExitCode::no_baseline, "INCOMPARABLE: no case is in both");
  }
  return changed ? Verdict::changed : incomparable ? Verdict::incomparable : Verdict::identical;
}

void conclude_times(const Json& timing, Conclusion& conclusion) {
  if (timing.at("kind") != "paired") return;
  const std::string verdict = timing.at("verdict").is_null() ? "" : timing.at("verdict").get<std::string>();
  for (const Json& metric : timing.at("metrics")) {
    const std::string said = metric.at("verdict");
    if (!metric.at("gated").get<bool>() || (said != "REGRESSED" && said != "INCONCLUSIVE")) continue;
    const std::string reason = metric.at("reason");
    conclusion.add(said == "REGRESSED" ? ExitCode::regression : ExitCode::inconclusive,
                   fmt::format("{}: {}: {} at {:.3f} times the base's{}", metric.at("case").get<std::string>(), said,
                               metric.at("metric").get<std::string>(), metric.at("ratio").get<double>(),
                               reason.empty() ? "" : ": " + reason));
  }
  if (verdict == "INCOMPARABLE")
    conclusion.add(ExitCode::no_baseline, "times: INCOMPARABLE: " + timing.at("reason").get<std::string>());
  if (verdict == "INCONCLUSIVE" && conclusion.code() == ExitCode::ok)
    conclusion.add(ExitCode::inconclusive, "times: INCONCLUSIVE");
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
    Json one = {{"id", id}, {"accepted", false}, {"shape", shape == shapes.end() ? Json() : Json(shape->second)}, {"verdict", "IDENTICAL"},
                {"reason", nullptr}, {"changes", Json::array()}};
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
      one["verdict"] = "CHANGED";
      one["changes"].push_back({{"field", each.field}, {"place", each.place}, {"base", each.base},
                                {"candidate", each.candidate}, {"accepted", accepted.takes(each.field)}});
    }
    cases.push_back(std::move(one));
  }
  return cases;
}

Json metric_json(const Judged& judged, const std::optional<Judged>& second, std::optional<double> base_ns,
                 std::optional<double> candidate_ns, int64_t tests) {
  Json out = {{"case", judged.case_id}, {"metric", judged.metric}, {"gated", judged.gated}, {"verdict", word(judged.verdict)}};
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

ExitCode conclude(Json& document) {
  Conclusion conclusion;
  const Verdict exact = conclude_cases(document.at("cases"), conclusion);
  const Json& timing = document.at("timing");
  if (!timing.is_null()) conclude_times(timing, conclusion);
  for (const Json& floor : document.at("floors")) {
    if (floor.at("verdict") != "REGRESSED") continue;
    conclusion.add(ExitCode::regression,
                   fmt::format("{}: REGRESSED: {} of {:.2f} lies below its floor of {:.2f}", floor.at("case").get<std::string>(),
                               floor.at("metric").get<std::string>(), floor.at("value").get<double>(),
                               floor.at("floor").get<double>()));
  }
  document["verdict"] = {{"exact", word(exact)},
                         {"timing", timing.is_null() ? Json() : timing.at("verdict")},
                         {"exit_code", static_cast<int>(conclusion.code())},
                         {"reasons", conclusion.reasons()}};
  return conclusion.code();
}

}  // namespace kvproof::compare
