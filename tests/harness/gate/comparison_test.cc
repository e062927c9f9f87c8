// The document of a comparison, of two records and of two programs.
#include "harness/gate/comparison.h"

#include "tests/harness/gate/fake_gate.h"
#include "tests/harness/track/samples.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using kvproof::testing::FakeGate;
using kvproof::testing::fit_record;
using kvproof::testing::small_facts;
using Texts = std::vector<std::string>;

namespace {

Texts schema_errors(const Json& document) {
  return kvproof::testing::JsonSchema(
             Json::parse(kvproof::testing::read_file(kvproof::testing::source_path("results/comparison.schema.json"))))
      .errors(document);
}

Json compared(const Json& base, const Json& candidate, const Texts& accept = {}) {
  Json document = compare_documents({"record", "a.json"}, base, {"record", "b.json"}, candidate, accept);
  compare::conclude(document);
  CHECK(schema_errors(document) == Texts{});
  return document;
}

Json programs(FakeGate& gate, const Texts& accept = {}) {
  LoadedConfig config;
  config.config.file = "demo.yaml";
  config.hash = "0123456789abcdef";
  config.config.compare = gate.spec.compare;
  const TimingOutcome outcome = gate.run();
  Json document = compare_programs({"ref", "main"}, {"binary", "build/kvproof"}, config, outcome,
                                   "2026-11-22T10:15:00Z", 12.5, "results/runs/a.jsonl", accept);
  compare::conclude(document);
  CHECK(schema_errors(document) == Texts{});
  return document;
}

Json::const_iterator find(const Json& list, const std::string& one_case, const std::string& metric) {
  return std::find_if(list.begin(), list.end(),
                      [&](const Json& one) { return one["case"] == one_case && one["metric"] == metric; });
}

}  // namespace

TEST_CASE("two records of the same results are IDENTICAL, with both of their makers", "[gate][comparison]") {
  const Json document = compared(fit_record(), fit_record());
  CHECK(document["verdict"]["exact"] == "IDENTICAL");
  CHECK(document["verdict"]["exit_code"] == 0);
  CHECK(document["base"] == Json({{"kind", "record"},
                                  {"name", "a.json"},
                                  {"version", "0.1.0"},
                                  {"commit", "5507e5d4c1a0b2e3f4958677a8b9cadbecfd0e1f"},
                                  {"dirty", false},
                                  {"fingerprint", "f17ce5b7a363c97f"},
                                  {"cpu_model", "Intel(R) Xeon(R) Platinum 8488C"},
                                  {"started", "2026-11-22T10:15:00Z"}}));
  CHECK(document["cases"][0]["shape"] == "pp6 tg64");
  CHECK(document["config"].is_null());
  CHECK(document["warnings"].empty());
}

TEST_CASE("a changed count of two records fails, unless it is accepted", "[gate][comparison]") {
  Json candidate = fit_record();
  candidate["cases"][1]["paths"]["engine"]["kv_cache_bytes"] = 1;
  const Json changed = compared(fit_record(), candidate);
  CHECK(changed["verdict"]["exit_code"] == 1);
  CHECK(changed["cases"][1]["verdict"] == "CHANGED");
  const Json meant = compared(fit_record(), candidate, {"kv_cache_bytes", "tokens"});
  CHECK(meant["verdict"]["exit_code"] == 0);
  CHECK(meant["accept"]["unused"] == Json({"tokens"}));
}

TEST_CASE("times of two runs on one machine are told beside each other, and decide nothing", "[gate][comparison]") {
  Json slow = fit_record();
  for (const char* key : {"median", "min", "max"}) {
    Json& metric = slow["cases"][0]["paths"]["engine"]["metrics"]["tpot_ns"][key];
    metric = metric.get<double>() * 2;
  }
  const Json document = compared(fit_record(), slow);
  CHECK(document["verdict"]["exit_code"] == 0);
  CHECK(document["timing"]["kind"] == "advisory");
  CHECK(document["timing"]["verdict"].is_null());
  const auto tpot = find(document["timing"]["metrics"], "demo/france", "engine_tpot wall");
  REQUIRE(tpot != document["timing"]["metrics"].end());
  CHECK((*tpot)["ratio"].get<double>() == Approx(2));
  CHECK((*tpot)["gated"] == false);
  CHECK((*tpot)["verdict"].is_null());
  CHECK((*tpot)["base_ns"] == 636778);
  const auto e2e = find(document["timing"]["metrics"], "demo/france", "engine_e2e wall");
  REQUIRE(e2e != document["timing"]["metrics"].end());
  CHECK((*e2e)["low"].get<double>() == Approx(43283520.0 / 43540445));  // the faster end over the slower one
  CHECK((*e2e)["high"].get<double>() == Approx(43540445.0 / 43283520));
  CHECK((*e2e)["blocks"] == 6);
}

TEST_CASE("times of two machines are not put beside each other, though exact values are", "[gate][comparison]") {
  Json elsewhere = fit_record();
  elsewhere["machine"]["fingerprint"] = "0123456789abcdef";
  const Json document = compared(fit_record(), elsewhere);
  CHECK(document["timing"]["verdict"] == "INCOMPARABLE");
  CHECK_THAT(document["timing"]["reason"].get<std::string>(), Contains("0123456789abcdef"));
  CHECK(document["timing"]["metrics"].empty());
  REQUIRE(document["warnings"].size() == 1);
  CHECK_THAT(document["warnings"][0].get<std::string>(), Contains("another machine: machine f17ce5b7a363c97f"));
  CHECK(document["verdict"]["exact"] == "IDENTICAL");
  CHECK(document["verdict"]["exit_code"] == 0);
}

TEST_CASE("times of another workload are left out, and where none is left the reason is told", "[gate][comparison]") {
  Json other = fit_record();
  other["cases"][0]["settings"]["run"]["threads"] = 4;
  const Json document = compared(fit_record(), other);
  CHECK(document["verdict"]["exit_code"] == 4);
  CHECK(document["cases"][0]["reason"] == "settings.run.threads: 2 in the base, 4 in the candidate");
  for (const Json& one : document["timing"]["metrics"]) CHECK(one["case"] == "demo/tool");
  CHECK_FALSE(document["timing"]["metrics"].empty());
  other["cases"][1]["settings"]["run"]["threads"] = 4;
  CHECK(compared(fit_record(), other)["timing"]["reason"] == "no case has times of the same work on both sides");
}

TEST_CASE("a base that keeps no times asks for none", "[gate][comparison]") {
  const Json exact = compare::baseline_of(fit_record(), compare::Times::leave_out);
  Json document = compare_documents({"baseline", "main"}, exact, {"record", "b.json"}, fit_record(), {});
  CHECK(document["timing"].is_null());
  CHECK(compare::conclude(document) == ExitCode::ok);
  CHECK(document["verdict"]["timing"].is_null());
  CHECK(document["cases"][0]["shape"] == "pp6 tg64");  // the record knows it
}

TEST_CASE("two equal programs are IDENTICAL and EQUIVALENT, with what was measured", "[gate][comparison]") {
  FakeGate gate;
  const Json document = programs(gate);
  CHECK(document["verdict"] ==
        Json({{"exact", "IDENTICAL"}, {"timing", "EQUIVALENT"}, {"exit_code", 0}, {"reasons", Json::array()}}));
  CHECK(document["base"]["kind"] == "ref");
  CHECK(document["base"]["commit"] == "base");
  CHECK(document["candidate"]["commit"] == "new");
  CHECK(document["candidate"]["fingerprint"] == "bbbb");
  CHECK(document["candidate"]["cpu_model"].is_null());  // not this machine
  CHECK(document["cases"][0]["shape"] == "pp3 tg4");
  CHECK(document["config"] == Json({{"file", "demo.yaml"}, {"hash", "0123456789abcdef"}}));
  CHECK(document["timing"]["session"] == Json({{"blocks", 8},
                                               {"rounds", 1},
                                               {"epoch_ns", 10'000'000},
                                               {"seconds", 12.5},
                                               {"tests", 4},
                                               {"cases_joined", false},
                                               {"note", ""},
                                               {"journal", "results/runs/a.jsonl"}}));
  CHECK(document["timing"]["reason"].is_null());
  CHECK(document["timing"]["metrics"].size() == 8);
  CHECK(document["timing"]["controls"].size() == 4);
  CHECK(document["warnings"].empty());
}

TEST_CASE("two programs of one commit are told to be that, unless something was changed or nobody knows",
          "[gate][comparison]") {
  FakeGate gate;
  const auto warnings = [&](const std::string& commit, bool dirty) {
    for (auto& [side, program] : gate.programs) {
      program.hello.commit = commit;
      program.hello.dirty = dirty && side == Side::candidate;
    }
    return programs(gate)["warnings"];
  };
  CHECK(warnings("abc", false) == Json({"base and candidate are both built from commit abc, with nothing changed: only "
                                        "how they were built or started, and noise, can differ; if a change was meant, "
                                        "build it, or name another base"}));
  CHECK(warnings("abc", true).empty());
  CHECK(warnings("unknown", false).empty());
}

TEST_CASE("a confirmed slow-down of a program is its exit code 1, with what the second session said",
          "[gate][comparison]") {
  FakeGate gate;
  gate.slower = {{}};
  const Json document = programs(gate);
  CHECK(document["verdict"]["timing"] == "REGRESSED");
  CHECK(document["verdict"]["exit_code"] == 1);
  CHECK(document["verdict"]["reasons"] == Json({"demo/a: REGRESSED: engine_decode cpu at 1.100 times the base's"}));
  const auto slow = find(document["timing"]["metrics"], "demo/a", "engine_decode cpu");
  REQUIRE(slow != document["timing"]["metrics"].end());
  CHECK((*slow)["confirmed"] == true);
  CHECK((*slow)["confirmation"]["verdict"] == "REGRESSED");
  CHECK((*slow)["confirmation"]["ratio"].get<double>() == Approx(1.1));
}

TEST_CASE("a program with other tokens is told by its place, and the case is not timed", "[gate][comparison]") {
  FakeGate gate;
  gate.programs.at(Side::candidate).cases["demo/b"] = small_facts("demo/b", {7, 8, 5, 7});
  const Json document = programs(gate);
  CHECK(document["verdict"]["exact"] == "CHANGED");
  CHECK(document["verdict"]["exit_code"] == 5);
  CHECK(document["cases"][0]["verdict"] == "IDENTICAL");
  const Json& changes = document["cases"][1]["changes"];
  REQUIRE(changes.size() == 2);  // of naive and engine
  CHECK(changes[0]["place"] == "row 0, token 2");
  CHECK(changes[0]["base"] == 9);
  CHECK(changes[0]["candidate"] == 5);
  REQUIRE(document["warnings"].size() == 1);
  CHECK_THAT(document["warnings"][0].get<std::string>(),
             Contains("demo/b was not timed: base and candidate generate different tokens"));
}

TEST_CASE("an engine whose tokens are no longer naive's has another agreement", "[gate][comparison]") {
  FakeGate gate;
  gate.programs.at(Side::candidate).cases["demo/b"].engine.tokens = {{7, 8, 5, 7}};
  const Json changes = programs(gate)["cases"][1]["changes"];
  REQUIRE(changes.size() == 2);
  CHECK(changes[0]["field"] == "agreement");
  CHECK(changes[1]["field"] == "engine.tokens");
}

TEST_CASE("a program's changed counts fail unless they are accepted", "[gate][comparison]") {
  FakeGate gate;
  for (auto& [id, facts] : gate.programs.at(Side::candidate).cases) facts.engine.kv_cache_bytes = 8192;
  CHECK(programs(gate)["verdict"]["exit_code"] == 1);
  FakeGate again;
  for (auto& [id, facts] : again.programs.at(Side::candidate).cases) facts.engine.kv_cache_bytes = 8192;
  const Json document = programs(again, {"kv_cache_bytes"});
  CHECK(document["verdict"]["exit_code"] == 0);
  CHECK(document["accept"]["unused"].empty());
}

TEST_CASE("times of which none gates are INCOMPARABLE, with what to set", "[gate][comparison]") {
  FakeGate gate;
  gate.of_all([](CaseFacts& facts) { facts.threads = 2; });
  const Json document = programs(gate);
  CHECK(document["timing"]["verdict"] == "INCOMPARABLE");
  CHECK(document["verdict"]["reasons"] ==
        Json({"times: INCOMPARABLE: nothing of it gates: only CPU time of one thread does; set run.threads: 1"}));
  CHECK(document["verdict"]["exit_code"] == 4);
}

TEST_CASE("a build that is none of a release is a warning", "[gate][comparison]") {
  FakeGate gate;
  for (auto& [side, program] : gate.programs) program.hello.build_type = "Debug";
  CHECK(programs(gate)["warnings"] == Json({"both are Debug builds: their times say nothing of a release's"}));
}

TEST_CASE("a floor is missed where the whole interval lies below it", "[gate][comparison]") {
  Json record = fit_record();  // of demo/france: 6.6563 [6.6324, 6.6974]
  record["cases"].erase(1);
  const auto verdict = [&](double floor) { return floors_json(record, {{"speedup_e2e", floor}})[0]["verdict"]; };
  CHECK(verdict(6.0) == "EQUIVALENT");
  CHECK(verdict(6.69) == "EQUIVALENT");    // the ratio is below, its interval reaches up to it
  CHECK(verdict(6.6974) == "EQUIVALENT");  // touches it
  CHECK(verdict(6.7) == "REGRESSED");
  CHECK(floors_json(record, {{"speedup_e2e", 7.0}}) == Json::array({{{"case", "demo/france"},
                                                                     {"metric", "speedup_e2e"},
                                                                     {"floor", 7.0},
                                                                     {"value", 6.6563},
                                                                     {"low", 6.6324},
                                                                     {"high", 6.6974},
                                                                     {"verdict", "REGRESSED"}}}));
  CHECK(floors_json(record, {{"speedup_decode", 7.0}, {"speedup_e2e", 6.0}}).size() == 2);
  CHECK(floors_json(record, {}).empty());
}

TEST_CASE("a ratio without an interval is held against its floor itself, and where there is none no floor is",
          "[gate][comparison]") {
  const Json record = kvproof::testing::sample();
  const Json floors = floors_json(record, {{"speedup_decode", 6.6}});
  Texts said;
  for (const Json& one : floors)
    said.push_back(one["case"].get<std::string>() + " " + one["verdict"].get<std::string>());
  // demo/creation: 6.5298 of three repetitions; demo/italy, of one token and failed ones have no ratio
  CHECK(said ==
        Texts{"demo/france EQUIVALENT", "demo/tool REGRESSED", "demo/creation/sampler.temperature=0.8 REGRESSED"});
}

TEST_CASE("a floor that cannot be held is a finding, not a pass", "[gate][comparison]") {
  Json record = fit_record();
  CHECK(unchecked_floors(record, {{"speedup_e2e", 1.0}}).empty());
  record["cases"][0]["speedup"] = {{"withheld", "naive and engine generated different numbers of tokens"}};
  const auto withheld = unchecked_floors(record, {{"speedup_e2e", 1.0}});
  REQUIRE_FALSE(withheld.empty());
  CHECK(withheld[0].kind == "incomparable");
  CHECK(withheld[0].code == ExitCode::no_baseline);
  CHECK(withheld[0].text ==
        "demo/france: its floors cannot be held: the speed-up is withheld: naive and engine generated different "
        "numbers of tokens");
  Json none = fit_record();
  for (Json& one : none["cases"]) one["speedup"]["decode"] = nullptr;
  const auto missing = unchecked_floors(none, {{"speedup_decode", 5.0}});
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].text == "ci.floors: no case has a speedup_decode to hold against 5.00");
  CHECK(unchecked_floors(none, {}).empty());
}
