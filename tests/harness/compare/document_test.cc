// A comparison as a document: which findings it has, and the exit code they come to.
#include "harness/compare/document.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::compare;
using Texts = std::vector<std::string>;

namespace {

Json one_case(const std::string& id, const std::string& verdict, Json changes = Json::array()) {
  return {{"id", id},           {"shape", nullptr},
          {"verdict", verdict}, {"reason", verdict == "INCOMPARABLE" ? Json("of another size") : Json()},
          {"accepted", false},  {"changes", std::move(changes)}};
}

Json change(const std::string& field, Json base, Json candidate, const std::string& place = "") {
  return {{"field", field},
          {"place", place},
          {"base", std::move(base)},
          {"candidate", std::move(candidate)},
          {"accepted", false}};
}

Json document(Json cases) { return {{"cases", std::move(cases)}, {"timing", nullptr}, {"floors", Json::array()}}; }

Json changed(Json one_change) { return document({one_case("a", "CHANGED", {std::move(one_change)})}); }

Json metric(const std::string& verdict, bool gated = true, const std::string& reason = "") {
  return {{"case", "a"},     {"metric", "engine_decode cpu"}, {"gated", gated}, {"verdict", verdict}, {"ratio", 1.25},
          {"reason", reason}};
}

/// Identical cases, and times.
Json timed(const std::string& verdict, Json metrics, Json reason = nullptr, const std::string& kind = "paired") {
  Json one = document({one_case("a", "IDENTICAL")});
  one["timing"] = {
      {"kind", kind}, {"verdict", verdict}, {"reason", std::move(reason)}, {"metrics", std::move(metrics)}};
  return one;
}

/// "kind code: text", of each finding.
Texts said(const Json& one) {
  Texts texts;
  for (const Finding& each : findings_of(one))
    texts.push_back(each.kind + " " + std::to_string(static_cast<int>(each.code)) + ": " + each.text);
  return texts;
}

Judged slower_by_a_tenth() {
  Judged judged;
  judged.case_id = "a";
  judged.metric = "engine_decode cpu";
  const double d = std::log(1.1);
  judged.effect = effect_of(std::vector<double>{d, d, d, d, d, d});
  judged.verdict = Verdict::regressed;
  judged.p = 0.015625;
  return judged;
}

}  // namespace

TEST_CASE("a comparison in which nothing changed has no findings and exits with 0", "[compare][document]") {
  Json one = document({one_case("a", "IDENTICAL"), one_case("b", "ADDED")});
  CHECK(said(one).empty());
  CHECK(conclude(one) == ExitCode::ok);
  CHECK(one["verdict"] ==
        Json({{"exact", "IDENTICAL"}, {"timing", nullptr}, {"exit_code", 0}, {"reasons", Json::array()}}));
}

TEST_CASE("each exact change has its kind, its exit code and its place", "[compare][document]") {
  CHECK(said(changed(change("engine.tokens", 17, 18, "row 0, token 3"))) ==
        Texts{"disagree 5: a: CHANGED: engine.tokens, row 0, token 3: 17 in the base, 18 in the candidate"});
  CHECK(said(changed(change("engine.tokens", 17, nullptr, "row 0, token 3"))) ==
        Texts{"disagree 5: a: CHANGED: engine.tokens, row 0, token 3: 17 in the base, null in the candidate"});
  CHECK(said(changed(change("agreement", "AGREE", "TIE"))) ==
        Texts{"disagree 5: a: CHANGED: agreement: AGREE in the base, TIE in the candidate"});
  CHECK(said(changed(change("naive.token_forwards", 3, 4))) ==
        Texts{"regressed 1: a: CHANGED: naive.token_forwards: 3 in the base, 4 in the candidate"});
  CHECK(said(changed(change("status", "ok", "failed (capacity)"))) ==
        Texts{"error 6: a: CHANGED: status: ok in the base, failed (capacity) in the candidate"});
  // One that failed and runs now is another result all the same: the baseline is to be saved anew.
  CHECK(said(changed(change("status", "failed (capacity)", "ok"))) ==
        Texts{"regressed 1: a: CHANGED: status: failed (capacity) in the base, ok in the candidate"});
  CHECK(said(document({one_case("a", "IDENTICAL"), one_case("b", "MISSING")})) ==
        Texts{"missing 1: b: MISSING: the base has it, the candidate does not"});
  CHECK(said(document({one_case("a", "INCOMPARABLE")})) == Texts{"incomparable 4: a: INCOMPARABLE: of another size"});
}

TEST_CASE("a change that is accepted is no finding, and the rest of its case still is", "[compare][document]") {
  Json one = document(
      {one_case("a", "CHANGED", {change("engine.kv_cache_bytes", 1, 2), change("engine.token_forwards", 3, 4)})});
  one["cases"][0]["changes"][0]["accepted"] = true;
  CHECK(said(one) == Texts{"regressed 1: a: CHANGED: engine.token_forwards: 3 in the base, 4 in the candidate"});
  one["cases"][0]["changes"][1]["accepted"] = true;
  CHECK(conclude(one) == ExitCode::ok);
  CHECK(one["verdict"]["exact"] == "CHANGED");  // it did; nobody minds

  Json gone = document({one_case("a", "IDENTICAL"), one_case("b", "MISSING")});
  gone["cases"][1]["accepted"] = true;
  CHECK(conclude(gone) == ExitCode::ok);
}

TEST_CASE("documents without a case in common cannot be compared, whatever is accepted", "[compare][document]") {
  Json one = document({one_case("a", "MISSING"), one_case("b", "ADDED")});
  one["cases"][0]["accepted"] = true;
  CHECK(said(one) == Texts{"incomparable 4: INCOMPARABLE: no case is in both"});
  Json empty = document(Json::array());
  CHECK(conclude(empty) == ExitCode::no_baseline);
  CHECK(empty["verdict"]["exact"] == "INCOMPARABLE");
}

TEST_CASE("gated times are findings, and times that gate nothing are none", "[compare][document]") {
  CHECK(said(timed("REGRESSED", {metric("REGRESSED"), metric("EQUIVALENT"), metric("REGRESSED", false)})) ==
        Texts{"regressed 1: a: REGRESSED: engine_decode cpu at 1.250 times the base's"});
  CHECK(
      said(timed("INCONCLUSIVE", {metric("INCONCLUSIVE", true, "it may be either"), metric("INCONCLUSIVE", false)})) ==
      Texts{"inconclusive 3: a: INCONCLUSIVE: engine_decode cpu at 1.250 times the base's: it may be either"});
  CHECK(said(timed("INCOMPARABLE", {metric("REGRESSED", false)}, "nothing of it gates")) ==
        Texts{"incomparable 4: times: INCOMPARABLE: nothing of it gates"});
  CHECK(said(timed("EQUIVALENT", {metric("IMPROVED"), metric("EQUIVALENT")})).empty());
  CHECK(said(timed("INCONCLUSIVE", Json::array())) == Texts{"inconclusive 3: times: INCONCLUSIVE"});
  CHECK(said(timed("INCOMPARABLE", Json::array(), "another machine", "advisory")).empty());
}

TEST_CASE("exact findings and those of times can be had alone, and are all of them together", "[compare][document]") {
  Json one = timed("REGRESSED", {metric("REGRESSED")});
  one["cases"][0] = one_case("a", "CHANGED", {change("engine.tokens", 1, 2, "row 0, token 0")});
  REQUIRE(findings_of_cases(one).size() == 1);
  CHECK(findings_of_cases(one)[0].kind == "disagree");
  REQUIRE(findings_of_times(one).size() == 1);
  CHECK(findings_of_times(one)[0].kind == "regressed");
  CHECK(findings_of(one).size() == 2);
  CHECK(findings_of_times(document({one_case("a", "IDENTICAL")})).empty());
}

TEST_CASE("a ratio below its floor is a finding", "[compare][document]") {
  Json one = document({one_case("a", "IDENTICAL")});
  const auto floor = [](const char* verdict) {
    return Json{{"case", "a"}, {"metric", "speedup_e2e"}, {"floor", 2.5}, {"value", 2.125}, {"verdict", verdict}};
  };
  one["floors"] = {floor("EQUIVALENT"), floor("REGRESSED")};
  CHECK(said(one) == Texts{"regressed 1: a: REGRESSED: speedup_e2e of 2.12 lies below its floor of 2.50"});
}

TEST_CASE("of several findings the worst makes the exit code, and all are told", "[compare][document]") {
  Json one = timed("REGRESSED", {metric("REGRESSED")});
  CHECK(conclude(one) == ExitCode::regression);
  one["cases"].push_back(one_case("b", "INCOMPARABLE"));
  CHECK(conclude(one) == ExitCode::no_baseline);
  CHECK(one["verdict"]["exact"] == "INCOMPARABLE");
  one["cases"].push_back(one_case("c", "CHANGED", {change("status", "ok", "failed (capacity)")}));
  CHECK(conclude(one) == ExitCode::failed);
  one["cases"].push_back(one_case("d", "CHANGED", {change("engine.tokens", 1, 2, "row 0, token 0")}));
  CHECK(conclude(one) == ExitCode::disagree);
  CHECK(one["verdict"]["exact"] == "CHANGED");
  CHECK(one["verdict"]["timing"] == "REGRESSED");
  CHECK(one["verdict"]["exit_code"] == 5);
  CHECK(one["verdict"]["reasons"].size() == 4);
}

TEST_CASE("a word of ci.accept takes both paths' values, and one that took nothing is unused", "[compare][document]") {
  Accepted accepted({"kv_cache_bytes", "cases", "tokens"});
  CHECK(accepted.json() ==
        Json({{"given", {"kv_cache_bytes", "cases", "tokens"}}, {"unused", {"kv_cache_bytes", "cases", "tokens"}}}));
  CHECK(accepted.takes("engine.kv_cache_bytes"));
  CHECK(accepted.takes("naive.kv_cache_bytes"));
  CHECK_FALSE(accepted.takes("engine.token_forwards"));
  CHECK_FALSE(accepted.takes("engine.kv_cache_bytes2"));
  CHECK(accepted.takes("cases"));
  CHECK(accepted.json()["unused"] == Json({"tokens"}));
  CHECK(Accepted({}).json() == Json({{"given", Json::array()}, {"unused", Json::array()}}));
}

TEST_CASE("cases stand in the base's order, those that only the candidate has behind them", "[compare][document]") {
  ExactComparison exact;
  exact.identical = {"z"};
  exact.missing = {"m"};
  exact.added = {"b", "a"};
  exact.incomparable = {{"i", "of another size"}};
  exact.changed = {{"c", "engine.tokens", "row 1, token 2", 4, 5}, {"c", "engine.kv_cache_bytes", "", 10, 20}};
  Accepted accepted({"kv_cache_bytes", "cases"});
  const Json cases = cases_json(exact, {"z", "c", "m", "i"}, {"b", "i", "c", "a", "z"}, {{"c", "pp3 tg4"}}, accepted);
  Texts rows;
  for (const Json& one : cases)
    rows.push_back(one["id"].get<std::string>() + " " + one["verdict"].get<std::string>() +
                   (one["accepted"].get<bool>() ? " accepted" : ""));
  CHECK(rows == Texts{"z IDENTICAL", "c CHANGED", "m MISSING accepted", "i INCOMPARABLE", "b ADDED", "a ADDED"});
  CHECK(cases[0]["shape"].is_null());
  CHECK(cases[0]["changes"].empty());
  CHECK(cases[1]["shape"] == "pp3 tg4");
  CHECK(
      cases[1]["changes"] ==
      Json({{{"field", "engine.tokens"},
             {"place", "row 1, token 2"},
             {"base", 4},
             {"candidate", 5},
             {"accepted", false}},
            {{"field", "engine.kv_cache_bytes"}, {"place", ""}, {"base", 10}, {"candidate", 20}, {"accepted", true}}}));
  CHECK(cases[3]["reason"] == "of another size");
  CHECK(accepted.json()["unused"].empty());
}

TEST_CASE("a judged time as JSON has ratios, not logarithms, and null where nothing is known", "[compare][document]") {
  const Judged first = slower_by_a_tenth();
  const Json alone = metric_json(first, {}, {}, {}, 1);
  CHECK(alone["case"] == "a");
  CHECK(alone["verdict"] == "REGRESSED");
  CHECK(alone["ratio"].get<double>() == Approx(1.1));
  CHECK(alone["low"].get<double>() == Approx(1.1));  // six blocks: the smallest
  CHECK(alone["blocks"] == 6);
  CHECK(alone["margin"] == 0.02);
  CHECK(alone["noise_floor"].is_null());
  CHECK(alone["base_ns"].is_null());
  CHECK(alone["minimum_detectable"].get<double>() < 1e-12);  // blocks that do not differ
  CHECK(alone["p"] == 0.015625);                             // 2^-6
  CHECK(alone["confirmed"] == false);
  CHECK(alone["confirmation"].is_null());

  Judged second = first;
  second.effect = effect_of(std::vector<double>{0, 0});  // two make no interval
  second.verdict = Verdict::inconclusive;
  const Json confirmed = metric_json(first, second, 1000, 1100, 1);
  CHECK(confirmed["base_ns"] == 1000);
  CHECK(confirmed["candidate_ns"] == 1100);
  CHECK(confirmed["confirmation"] ==
        Json({{"ratio", 1.0}, {"low", nullptr}, {"high", nullptr}, {"verdict", "INCONCLUSIVE"}}));

  const Json control = control_json(first);
  CHECK(control["metric"] == "engine_decode cpu");
  CHECK(control["ratio"].get<double>() == Approx(1.1));
  CHECK_FALSE(control.contains("gated"));
}

TEST_CASE("what can be found at all is told for the tests that are held against each other", "[compare][document]") {
  Judged judged = slower_by_a_tenth();
  judged.effect = effect_of(std::vector<double>{0.09, 0.11, 0.10, 0.08, 0.12, 0.10});
  CHECK(metric_json(judged, {}, {}, {}, 1)["alarm_from"].is_number());
  CHECK(metric_json(judged, {}, {}, {}, 2)["alarm_from"].is_null());  // 2^-6 does not carry 0.025 / 2
  judged.gated = false;
  CHECK(metric_json(judged, {}, {}, {}, 2)["alarm_from"].is_number());
}

TEST_CASE("a case that was not timed is a finding, whoever is to blame", "[compare][document]") {
  Json one = timed("EQUIVALENT", Json::array({metric("EQUIVALENT")}));
  const auto untimed = [](const char* id, Json side, const char* reason) {
    return Json{{"case", id}, {"side", std::move(side)}, {"reason", reason}};
  };
  one["timing"]["untimed"] = {untimed("b", "candidate", "it is slow to settle"),
                              untimed("c", "base", "its cache is full"), untimed("d", nullptr, "tokens differ")};
  CHECK(said(one) == Texts{"error 6: b: was not timed: it is slow to settle",
                           "incomparable 4: c: was not timed: its cache is full",
                           "inconclusive 3: d: was not timed: tokens differ"});
  CHECK(conclude(one) == ExitCode::failed);
}

TEST_CASE("a case that was not timed because of tokens that are meant fails nothing", "[compare][document]") {
  ExactComparison exact;
  exact.changed = {{"a", "engine.tokens", "row 0, token 6", 1, 2}, {"a", "engine.token_forwards", "", 9, 8}};
  const auto untimed = [&](const std::vector<std::string>& words, Json side) {
    Accepted accepted(words);
    Json one = timed("INCOMPARABLE", Json::array(), "tokens differ");
    one["cases"] = cases_json(exact, {"a"}, {"a"}, {}, accepted);
    one["timing"]["untimed"] = {{{"case", "a"}, {"side", std::move(side)}, {"reason", "tokens differ"}}};
    return one;
  };
  CHECK(findings_of_times(untimed({"tokens", "token_forwards"}, nullptr)).empty());
  CHECK(findings_of_times(untimed({"tokens"}, nullptr)).size() == 2);  // inconclusive, and incomparable
  CHECK(findings_of_times(untimed({"tokens", "token_forwards"}, "candidate")).size() == 2);

  Json others = untimed({"tokens", "token_forwards"}, nullptr);
  others["timing"]["untimed"].push_back({{"case", "b"}, {"side", nullptr}, {"reason", "tokens differ"}});
  CHECK(findings_of_times(others).size() == 2);
}

TEST_CASE("a case that failed and works now is told and fails nothing", "[compare][document]") {
  ExactComparison exact;
  exact.changed = {{"a", "status", "", "failed (capacity)", "ok"}, {"b", "status", "", "ok", "failed (capacity)"}};
  Accepted accepted({});
  Json one = document(cases_json(exact, {"a", "b"}, {"a", "b"}, {}, accepted));
  CHECK(said(one) == Texts{"error 6: b: CHANGED: status: ok in the base, failed (capacity) in the candidate"});
}
