// What the sessions of a proof come to, on lines written by hand.
#include "harness/gate/proof.h"

#include <cmath>
#include <set>

#include "harness/error.h"
#include "harness/verify/faults/table.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;

namespace {

/// A session of one gated metric of each phase, of 12 blocks that all show the same.
Json session(const std::string& plan, const std::string& timing, const std::string& prefill = "EQUIVALENT",
             const std::string& decode = "EQUIVALENT", int exit_code = 0) {
  const auto metric = [](const std::string& name, const std::string& verdict) {
    return Json{{"metric", name}, {"verdict", verdict}, {"ratio", 1.5}, {"d", std::vector<double>(12, 0.01)}};
  };
  return {{"kind", "session"},
          {"plan", plan},
          {"seconds", 40},
          {"timing", timing.empty() ? Json() : Json(timing)},
          {"exit_code", exit_code},
          {"metrics", {metric("engine_prefill cpu", prefill), metric("engine_decode cpu", decode)}},
          {"controls",
           {{{"metric", "engine_decode cpu"}, {"verdict", "EQUIVALENT"}, {"d", std::vector<double>(12, -0.002)}}}}};
}

/// Sessions in which every claim holds, without a spare one.
std::vector<Json> as_claimed() {
  std::vector<Json> lines = {{{"kind", "proof"}, {"config_hash", "aaaa"}}};
  const auto add = [&](int64_t times, const Json& line) {
    lines.insert(lines.end(), static_cast<std::size_t>(times), line);
  };
  add(30, session("aa", "EQUIVALENT"));
  add(30, session("aa-busy", "INCONCLUSIVE", "INCONCLUSIVE"));
  add(57, session("slow-5", "REGRESSED", "REGRESSED", "REGRESSED", 1));
  add(3, session("slow-5", "INCONCLUSIVE", "INCONCLUSIVE", "INCONCLUSIVE", 3));
  add(20, session("slow-10", "REGRESSED", "REGRESSED", "REGRESSED", 1));
  add(20, session("decode-10", "REGRESSED", "EQUIVALENT", "REGRESSED", 1));
  add(5, session("output", "", "EQUIVALENT", "EQUIVALENT", 5));
  return lines;
}

Json& line_of(std::vector<Json>& lines, const std::string& plan) {
  for (Json& line : lines) {
    if (line.value("plan", "") == plan) return line;
  }
  FAIL("no session of " << plan);
  throw;
}

/// "claim: count of of", of those that do not hold.
std::vector<std::string> broken(const Json& summary) {
  std::vector<std::string> texts;
  for (const Json& one : summary["claims"]) {
    if (one["holds"] == false)
      texts.push_back(one["claim"].get<std::string>() + ": " + one["count"].dump() + " of " + one["of"].dump());
  }
  return texts;
}

}  // namespace

TEST_CASE("the plan that is furthest behind comes next, the first of several", "[gate][proof]") {
  REQUIRE(proof_plans().size() == 6);  // of 30, 30, 60, 20, 20, 5 sessions
  CHECK(next_plan({0, 0, 0, 0, 0, 0}) == 0);
  CHECK(next_plan({1, 0, 0, 0, 0, 0}) == 1);
  CHECK(next_plan({1, 1, 1, 1, 1, 1}) == 2);  // 1 of 60
  CHECK(next_plan({1, 1, 2, 1, 1, 1}) == 0);  // 1 of 30 is less than 1 of 20, and 2 of 60 no less
  CHECK(next_plan({30, 30, 60, 20, 20, 4}) == 5);
  CHECK(next_plan({30, 30, 60, 20, 20, 5}) == -1);
  CHECK(next_plan({31, 30, 60, 25, 20, 5}) == -1);
}

TEST_CASE("run in turn, every plan is done after the sum of all sessions", "[gate][proof]") {
  std::vector<int64_t> done(proof_plans().size());
  int64_t sessions = 0;
  for (int next = 0; (next = next_plan(done)) >= 0; ++sessions) ++done[static_cast<std::size_t>(next)];
  CHECK(sessions == 165);
  for (std::size_t i = 0; i < done.size(); ++i) CHECK(done[i] == proof_plans()[i].sessions);
}

TEST_CASE("what a product costs scales the planted work, and a cost that noise hides is told", "[gate][proof]") {
  const PhaseCost cost = usable({0.01, 0.002}, "prefill");
  CHECK(cost.products(0.05) == 20);
  CHECK(cost.products(0.005) == 1);
  CHECK(cost.products(0) == 0);
  for (const double product : {0.0, -0.001, std::nan("")}) {
    CAPTURE(product);
    CHECK_THROWS_AS(usable({0.01, product}, "prefill"), RecordError);
    CHECK_THROWS_WITH(usable({0.01, product}, "prefill"), Contains("repeat on a quieter machine"));
  }
}

TEST_CASE("plans have names of their own, and their fault is one that can be planted", "[gate][proof]") {
  std::set<std::string> names;
  for (const ProofPlan& plan : proof_plans()) {
    names.insert(plan.name);
    if (!plan.fault.empty()) CHECK(find_fault(plan.fault) != nullptr);
  }
  CHECK(names.size() == proof_plans().size());
}

TEST_CASE("claims hold where their sessions bear them out", "[gate][proof]") {
  const Json summary = summarize_proof(as_claimed());
  CHECK(summary["sessions"] == 165);
  CHECK(summary["longest_s"] == 40);
  CHECK(summary["complete"] == true);
  CHECK(summary["holds"] == true);
  CHECK(broken(summary).empty());
  const Json& found = summary["claims"][4];
  CHECK(found["claim"] == "5 % slower, found and confirmed");
  CHECK(found["count"] == 57);
  CHECK(found["of"] == 60);
  CHECK(found["low"].get<double>() < 0.95);
  CHECK(found["high"].get<double>() > 0.95);
  CHECK(found["high"].get<double>() < 1);
  CHECK(summary["measured"]["slow-5"]["engine_decode cpu"] == 1.5);
}

TEST_CASE("one session too few or too many breaks a claim", "[gate][proof]") {
  std::vector<Json> lines = as_claimed();
  SECTION("an alarm for identical code") {
    line_of(lines, "aa-busy")["timing"] = "REGRESSED";
    CHECK(broken(summarize_proof(lines)) ==
          std::vector<std::string>{"identical code beside a busy core, an alarm: 1 of 30"});
  }
  SECTION("a slow-down of 5 % that a 57th session does not find") {
    line_of(lines, "slow-5")["timing"] = "INCONCLUSIVE";
    CHECK(broken(summarize_proof(lines)) == std::vector<std::string>{"5 % slower, found and confirmed: 56 of 60"});
  }
  SECTION("a slow-down that is praised") {
    line_of(lines, "slow-5")["metrics"][1]["verdict"] = "EQUIVALENT";
    CHECK(broken(summarize_proof(lines)) == std::vector<std::string>{"5 % slower, a phase called EQUIVALENT: 1 of 60"});
  }
  SECTION("a slow-down of decode that prefill is blamed for") {
    line_of(lines, "decode-10")["metrics"][0]["verdict"] = "REGRESSED";
    CHECK(broken(summarize_proof(lines)) ==
          std::vector<std::string>{"10 % slower in decode alone, blamed on prefill: 1 of 20"});
  }
  SECTION("an alarm that is not decode's") {
    line_of(lines, "decode-10")["metrics"][1]["verdict"] = "INCONCLUSIVE";
    CHECK(broken(summarize_proof(lines)) ==
          std::vector<std::string>{"10 % slower in decode alone, found in decode: 19 of 20"});
  }
  SECTION("another output that is no disagreement") {
    line_of(lines, "output")["exit_code"] = 1;
    CHECK(broken(summarize_proof(lines)) == std::vector<std::string>{"another output, exit code 5: 4 of 5"});
  }
  CHECK(summarize_proof(lines)["holds"] == false);
  CHECK_THAT(proof_text(summarize_proof(lines)), Contains("DOES NOT HOLD"));
}

TEST_CASE("identical code that is called faster is counted, and breaks no claim", "[gate][proof]") {
  std::vector<Json> lines = as_claimed();
  line_of(lines, "aa")["timing"] = "IMPROVED";
  const Json summary = summarize_proof(lines);
  CHECK(summary["holds"] == true);
  CHECK(summary["claims"][2]["claim"] == "identical code, called IMPROVED");
  CHECK(summary["claims"][2]["count"] == 1);
  CHECK(summary["claims"][3]["count"] == 0);
}

TEST_CASE("a claim whose sessions are not all there neither holds nor fails", "[gate][proof]") {
  std::vector<Json> lines = as_claimed();
  lines.pop_back();  // one of the five with another output
  const Json summary = summarize_proof(lines);
  CHECK(summary["complete"] == false);
  CHECK(summary["holds"] == true);
  CHECK(summary["claims"].back()["holds"].is_null());
  CHECK(summary["claims"].back()["count"] == 4);
  CHECK_THAT(proof_text(summary), Contains("4 of 5 sessions"));

  const Json nothing = summarize_proof({});
  CHECK(nothing["sessions"] == 0);
  CHECK(nothing["complete"] == false);
  CHECK(nothing["claims"][0]["low"].is_null());
  CHECK(nothing["power"].empty());
  CHECK_FALSE(proof_text(nothing).empty());
}

TEST_CASE("sessions beyond the plan change no count", "[gate][proof]") {
  std::vector<Json> lines = as_claimed();
  lines.push_back(session("aa", "REGRESSED", "EQUIVALENT", "REGRESSED", 1));
  CHECK(broken(summarize_proof(lines)).empty());
  CHECK(summarize_proof(lines)["claims"][0]["of"] == 30);
}

TEST_CASE("the noise floor is of identical code: A/A sessions and everybody's controls", "[gate][proof]") {
  const Json summary = summarize_proof(as_claimed());
  CHECK(summary["noise"]["engine_prefill cpu"]["recorded"] == 60);
  CHECK(summary["noise"]["engine_decode cpu"]["recorded"] == 60 + 165);
  // Of prefill all 60 show 1 %, so 1.5 % is less than the least margin.
  CHECK(summary["noise"]["engine_prefill cpu"]["floor"].get<double>() == Approx(0.01));
  CHECK(summary["noise"]["engine_prefill cpu"]["margin"].get<double>() == Approx(0.02));
  const Json& curve = summary["power"]["engine_prefill cpu"];
  CHECK(curve.front()["slow_down"] == 0.0);
  CHECK(curve.front()["regressed"] == 0);  // 1 % in every block: there, but within the margin
  CHECK(curve.front()["of"] == 60);
  CHECK(curve.back()["regressed"] == 60);  // made slower by 15 %
}

TEST_CASE("the summary fits a terminal of 100 columns", "[gate][proof]") {
  const std::string text = proof_text(summarize_proof(as_claimed()));
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    CAPTURE(text.substr(begin, end - begin));
    CHECK(end - begin <= 100);
    begin = end + 1;
  }
  CHECK_THAT(text, Contains("57 of 60") && Contains("57 or more") && Contains("holds"));
}

TEST_CASE("a damaged line of a proof is told", "[gate][proof]") {
  std::vector<Json> lines = as_claimed();
  line_of(lines, "aa").erase("metrics");
  CHECK_THROWS_AS(summarize_proof(lines), RecordError);
  CHECK_THROWS_AS(summarize_proof({Json(3)}), RecordError);
  CHECK_THROWS_AS(summarize_proof({Json::object()}), RecordError);
}
