#include "harness/compare/exact.h"

#include <fstream>
#include <functional>

#include "harness/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::compare;
using Catch::Matchers::Contains;

namespace {

Json sample() {
  std::ifstream in(kvproof::testing::source_path("tests/data/record/sample.json"));
  REQUIRE(in);
  return Json::parse(in);
}

Json& engine(Json& record, int one_case = 0) { return record["cases"][one_case]["paths"]["engine"]; }

// The sample against itself with one thing changed.
ExactComparison against_itself(const std::function<void(Json&)>& change) {
  Json candidate = sample();
  change(candidate);
  return compare_exact(sample(), candidate);
}

std::string only_change(const std::function<void(Json&)>& change) {
  const ExactComparison result = against_itself(change);
  REQUIRE(result.changed.size() == 1);
  CHECK(result.missing.empty());
  CHECK(result.identical.size() == 4);
  const ExactChange& it = result.changed[0];
  return it.case_id + ": " + it.field + (it.place.empty() ? "" : " " + it.place) + ": " + it.base.dump() + " " +
         it.candidate.dump();
}

std::string reason(const std::function<void(Json&)>& change) {
  const ExactComparison result = against_itself(change);
  REQUIRE(result.incomparable.size() == 2);  // one of them failed in both
  CHECK(result.changed.empty());
  return result.incomparable[0].case_id + ": " + result.incomparable[0].reason;
}

}  // namespace

TEST_CASE("a record is identical to itself, but for what failed", "[compare]") {
  const ExactComparison result = compare_exact(sample(), sample());
  CHECK(result.changed.empty());
  CHECK(result.identical.size() == 5);
  REQUIRE(result.incomparable.size() == 1);
  CHECK(result.incomparable[0].case_id == "demo/long");
  CHECK(result.incomparable[0].reason == "failed in both: failed (capacity)");
  CHECK_FALSE(result.other_machine.has_value());

  Json without = sample();
  without["cases"].erase(5);
  CHECK(compare_exact(without, without).incomparable.empty());
}

TEST_CASE("a baseline says of a record what the record says of itself", "[compare]") {
  const Json baseline = baseline_of(sample());
  CHECK(baseline["schema"]["name"] == kBaselineSchema);
  CHECK(baseline_of(baseline) == baseline);
  CHECK(baseline_of(Json::parse(baseline.dump())) == baseline);
  CHECK(compare_exact(baseline, sample()).identical.size() == 5);
  Json changed = sample();
  engine(changed)["token_forwards"] = 70;
  CHECK(compare_exact(baseline, changed).changed.size() == 1);
  CHECK(compare_exact(changed, baseline).changed.size() == 1);
}

TEST_CASE("times, texts and the number of repetitions are not compared", "[compare]") {
  const ExactComparison result = against_itself([](Json& record) {
    Json& one = record["cases"][0];
    one["settings"]["run"]["repetitions"] = 99;
    one["paths"]["engine"]["metrics"] = nullptr;
    one["paths"]["engine"]["samples"] = Json::array();
    one["prompt"]["name"] = "another";
    one["speedup"] = nullptr;
    record["config"]["hash"] = "0000000000000000";
    record["checkpoints"][0]["path"] = "elsewhere.pt";
  });
  CHECK(result.identical.size() == 5);
}

TEST_CASE("every exact value that changed is named, with both values", "[compare]") {
  CHECK(only_change([](Json& r) { engine(r)["token_forwards"] = 70; }) == "demo/france: engine.token_forwards: 69 70");
  CHECK(only_change([](Json& r) { r["cases"][1]["paths"]["naive"]["token_forwards"] = 1; }) ==
        "demo/tool: naive.token_forwards: 315 1");
  CHECK(only_change([](Json& r) { engine(r)["kv_cache_bytes"] = 573441; }) ==
        "demo/france: engine.kv_cache_bytes: 573440 573441");
  CHECK(only_change([](Json& r) { engine(r)["kv_cache_bytes"] = nullptr; }) ==
        "demo/france: engine.kv_cache_bytes: 573440 null");
  CHECK(only_change([](Json& r) { r["cases"][0]["agreement"]["verdict"] = "TIE"; }) ==
        "demo/france: agreement: \"AGREE\" \"TIE\"");
}

TEST_CASE("tokens that changed are named by their place among those generated", "[compare]") {
  const auto token = [](int row, int at, Json value) {
    return [=](Json& r) { engine(r, 2)["rows"][row]["tokens"][at] = value; };
  };
  Json record = sample();
  const auto prompt = record["cases"][2]["prompt"]["tokens"].size();
  const Json was = engine(record, 2)["rows"][1]["tokens"][prompt + 2];
  CHECK(only_change(token(1, static_cast<int>(prompt) + 2, 1999)) ==
        record["cases"][2]["id"].get<std::string>() + ": engine.tokens row 1, token 2: " + was.dump() + " 1999");

  const auto one_less = [](Json& r) {
    Json& tokens = engine(r)["rows"][0]["tokens"];
    tokens.erase(tokens.size() - 1);
  };
  CHECK_THAT(only_change(one_less), Contains("demo/france: engine.tokens row 0, token 63: ") && Contains(" null"));
  CHECK(only_change([](Json& r) { engine(r, 2)["rows"].erase(0); }) ==
        record["cases"][2]["id"].get<std::string>() + ": engine.tokens rows: 4 3");
}

TEST_CASE("another workload cannot be compared, and the first difference says why", "[compare]") {
  const std::string at = "demo/france: ";
  CHECK(reason([](Json& r) { r["cases"][0]["settings"]["run"]["threads"] = 4; }) ==
        at + "settings.run.threads: 2 in the base, 4 in the candidate");
  CHECK(reason([](Json& r) { r["cases"][0]["settings"]["sampler"]["seed"] = 7; }) ==
        at + "settings.sampler.seed: 42 in the base, 7 in the candidate");
  CHECK(reason([](Json& r) { r["cases"][0]["settings"]["run"]["new"] = true; }) ==
        at + "settings.run.new: nothing in the base, true in the candidate");
  CHECK(reason([](Json& r) { r["cases"][0]["shape"]["depth"] = 4; }) ==
        at + "prompt.depth: 0 in the base, 4 in the candidate");
  CHECK_THAT(reason([](Json& r) { r["cases"][0]["prompt"]["tokens"][1] = 5; }), Contains(at + "prompt.xxh128: "));
  // The synthetic checkpoint has one case only.
  CHECK(reason([](Json& r) { r["checkpoints"][1]["tag"] = "d5"; }) ==
        "bare/ids/run.verify=off: checkpoint.synthetic: \"d4,vocab_size=2048\" in the base, \"d5\" in the candidate");
}

TEST_CASE("other weights make every case of theirs incomparable", "[compare]") {
  const ExactComparison result = against_itself([](Json& r) { r["checkpoints"][0]["xxh128"] = "ff"; });
  CHECK(result.incomparable.size() == 5);
  CHECK_THAT(result.incomparable[0].reason, Contains("checkpoint.xxh128: "));
  CHECK(result.identical == std::vector<std::string>{"bare/ids/run.verify=off"});
  const ExactComparison shards = against_itself([](Json& r) {
    r["checkpoints"][0]["xxh128"] = nullptr;
    r["checkpoints"][0]["shards"] = Json::array({{{"path", "a"}, {"xxh128", "01"}}, {{"path", "b"}, {"xxh128", "02"}}});
  });
  CHECK_THAT(shards.incomparable[0].reason, Contains("nothing in the candidate"));
}

TEST_CASE("the order of settings in a record says nothing", "[compare]") {
  const ExactComparison result = against_itself([](Json& r) {
    Json& sampler = r["cases"][0]["settings"]["sampler"];
    Json turned = Json::object();
    for (auto it = sampler.rbegin(); it != sampler.rend(); ++it) turned[it.key()] = it.value();
    sampler = turned;
  });
  CHECK(result.identical.size() == 5);
}

TEST_CASE("a case that is gone fails, a new one does not, and one that fails now has changed", "[compare]") {
  const ExactComparison gone = against_itself([](Json& r) { r["cases"].erase(1); });
  CHECK(gone.missing == std::vector<std::string>{"demo/tool"});
  CHECK(gone.changed.empty());

  Json with_new = sample(), base = sample();
  base["cases"].erase(5);
  with_new["cases"].erase(5);
  with_new["cases"].push_back(with_new["cases"][0]);
  with_new["cases"].back()["id"] = "demo/new";
  const ExactComparison added = compare_exact(base, with_new);
  CHECK(added.added == std::vector<std::string>{"demo/new"});
  CHECK(added.identical.size() == 5);
  CHECK(added.missing.empty());

  CHECK(only_change([](Json& r) {
          r["cases"][0] = {
              {"id", "demo/france"}, {"checkpoint", "demo"}, {"status", "failed"}, {"error", {{"kind", "capacity"}}}};
        }) == "demo/france: status: \"ok\" \"failed (capacity)\"");
}

TEST_CASE("documents without a case in common have nothing identical", "[compare]") {
  Json empty = sample();
  empty["cases"] = Json::array();
  CHECK(compare_exact(empty, empty).identical.empty());
  const ExactComparison all_new = compare_exact(empty, sample());
  CHECK(all_new.identical.empty());
  CHECK(all_new.added.size() == 6);
}

TEST_CASE("two machines are named; counts and bytes are compared all the same", "[compare]") {
  const ExactComparison result = against_itself([](Json& r) {
    r["machine"]["fingerprint"] = "0123456789abcdef";
    r["machine"]["cpu_model"] = nullptr;
  });
  CHECK(result.other_machine.value() ==
        "machine f17ce5b7a363c97f (Intel(R) Xeon(R) Platinum 8488C) in the base, 0123456789abcdef (unknown CPU) in the "
        "candidate");
  CHECK(result.identical.size() == 5);
}

TEST_CASE("documents of another kind are refused, with the field", "[compare]") {
  const auto refused = [](const Json& document, const std::string& message) {
    CHECK_THROWS_WITH(compare_exact(document, sample()), Contains(message));
    CHECK_THROWS_AS(compare_exact(document, sample()), RecordError);
  };
  refused(Json::array(), "/: expected an object, found array");
  refused({{"schema", {{"name", "kvproof-verify"}, {"version", 1}}}},
          "/schema/name: expected \"kvproof-run\" or \"kvproof-baseline\", found \"kvproof-verify\"");
  refused({{"schema", {{"name", "kvproof-baseline"}, {"version", 2}}}},
          "/schema/version: expected 1, found 2; a newer kvproof");
  refused({{"schema", {{"name", "kvproof-run"}, {"version", 0}}}},
          "/schema/version: expected 1, found 0; no kvproof wrote this");
  Json twice = sample();
  twice["cases"][1]["id"] = "demo/france";
  refused(twice, "/cases/1/id: a second case named \"demo/france\"");
  Json short_row = sample();
  engine(short_row)["rows"][0]["tokens"] = {1, 2};
  refused(short_row, "/cases/0/paths/engine/rows/0/tokens: expected the prompt's 6 tokens first, found 2 in all");
  Json unnamed = sample();
  unnamed["cases"][0]["checkpoint"] = "else";
  refused(unnamed, "/checkpoints: expected \"else\", which a case names");
  Json torn = baseline_of(sample());
  torn["cases"][0]["exact"]["engine"]["tokens"][0] = "1 2 x";
  refused(torn, "/cases/0/exact/engine/tokens/0: expected token ids with spaces between");
}

TEST_CASE("a baseline keeps the times of valid cases, with the intervals of their repetitions", "[compare]") {
  const Json baseline = baseline_of(sample()), times = baseline["cases"][0]["times"];
  // Six repetitions: the smallest and the largest.
  CHECK(times["engine"]["e2e_ns"] == Json({{"median", 43418820}, {"low", 43283520}, {"high", 43540445}, {"n", 6}}));
  CHECK(times["naive"]["prefill_ns"] == Json({{"median", 3291592}, {"low", 3253715}, {"high", 3336138}, {"n", 6}}));
  CHECK(times["naive"].size() == 4);
  CHECK(times["engine"]["tpot_ns"]["median"] == 636778);
  CHECK(times["engine"]["tpot_ns"]["low"] == 634891);  // (43283520 - 3285357) / 63
  // Three carry no interval; of one token there is no gap; an invalid measurement has no times.
  CHECK(baseline["cases"][2]["times"]["naive"]["e2e_ns"] ==
        Json({{"median", 41059567}, {"low", nullptr}, {"high", nullptr}, {"n", 3}}));
  CHECK(baseline["cases"][3]["times"].is_null());
  CHECK(baseline["cases"][4]["times"].is_null());
  CHECK_FALSE(baseline["cases"][5].contains("times"));

  Json one_token = sample();
  one_token["cases"][4]["validity"]["verdict"] = "VALID";
  CHECK(baseline_of(one_token)["cases"][4]["times"]["engine"]["tpot_ns"].is_null());
}

TEST_CASE("times can be left out of a baseline, and a baseline without them is one", "[compare]") {
  const Json with = baseline_of(sample()), without = baseline_of(sample(), Times::leave_out);
  for (const Json& one : without["cases"]) CHECK_FALSE(one.contains("times"));
  CHECK(baseline_of(with, Times::leave_out) == without);
  CHECK(baseline_of(without) == without);
  CHECK(compare_exact(without, with).identical.size() == 5);
  CHECK(compare_exact(with, sample()).changed.empty());

  Json slower = sample();
  for (const char* path : {"naive", "engine"}) {
    Json& one = slower["cases"][0]["paths"][path];
    one["metrics"]["e2e_ns"]["median"] = 1;
    for (Json& each : one["samples"]) each["e2e_ns"] = 1;
  }
  CHECK(baseline_of(slower, Times::leave_out).dump() == without.dump());
  CHECK(baseline_of(slower) != with);
  CHECK(compare_exact(with, baseline_of(slower)).identical.size() == 5);
}

TEST_CASE("a record whose times are damaged names the field", "[compare]") {
  Json record = sample();
  record["cases"][1]["paths"]["engine"]["metrics"].erase("e2e_ns");
  CHECK_THROWS_WITH(baseline_of(record), Contains("/cases/1/paths/engine/metrics/e2e_ns"));
  CHECK_NOTHROW(baseline_of(record, Times::leave_out));
  record = sample();
  record["cases"][1]["paths"]["naive"]["samples"][2]["itl_ns"] = Json::array();
  CHECK_THROWS_WITH(baseline_of(record), Contains("/cases/1/paths/naive/samples/2/itl_ns"));
}
