#include "harness/measure/shard.h"

#include <algorithm>

#include "engine/error.h"
#include "harness/error.h"
#include "tests/harness/config/config_file.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Ids = std::vector<std::string>;

namespace {

const std::string kTwoModels = R"(checkpoints:
  - {name: small, synthetic: "d2,vocab_size=64,n_embd=64,n_head=2,sequence_len=512"}
  - {name: large, synthetic: "d4,vocab_size=64,n_embd=128,n_head=4,sequence_len=512"}
prompts:
  - {name: short, synthetic: {length: 20, seed: 1}}
  - {name: long, synthetic: {length: 400, seed: 2}}
sampler: {max_tokens: 40}
run: {threads: 1, peaks: off, repetitions: 5}
)";

Ids cases_of_shard(const std::string& config, int64_t index, int64_t count) {
  LoadedConfig loaded = load_text(config);
  select(loaded, shard_of(loaded, index, count));
  return ids_of(loaded);
}

}  // namespace

TEST_CASE("a case costs the more, the longer its prompt, the larger its model and the more its repetitions",
          "[shard]") {
  const Costs costs = costs_of(load_text(kTwoModels));
  REQUIRE(costs.cases.size() == 4);
  CHECK(costs.cases[0].cost < costs.cases[1].cost);
  CHECK(costs.cases[2].cost < costs.cases[3].cost);
  CHECK(costs.cases[0].cost < costs.cases[2].cost);
  CHECK(costs.cases[1].cost < costs.cases[3].cost);
  CHECK(costs.cases[0].group == costs.cases[1].group);
  CHECK(costs.cases[0].group != costs.cases[2].group);
  const Costs more = costs_of(load_text(kTwoModels, {"run.repetitions=50"}));
  CHECK(more.cases[3].cost > 3 * costs.cases[3].cost);
}

TEST_CASE("a model's opening costs more where peaks are measured, and most with a full verification", "[shard]") {
  const auto opening = [](const std::vector<std::string>& sets) {
    return costs_of(load_text(kTwoModels, sets)).openings.front();
  };
  CHECK(opening({"run.verify=off"}) < opening({}));
  CHECK(opening({}) < opening({"run.peaks=on"}));
  CHECK(opening({"run.peaks=on"}) < opening({"run.verify=full"}));
}

TEST_CASE("costs are estimated, not timed: the same every time", "[shard]") {
  const LoadedConfig config = load_text(kTwoModels);
  const Costs first = costs_of(config), second = costs_of(config);
  CHECK(first.openings == second.openings);
  for (std::size_t i = 0; i < first.cases.size(); ++i) CHECK(first.cases[i].cost == second.cases[i].cost);
}

TEST_CASE("the shards of a config have all its cases, each once, in its order; its hash stays", "[shard]") {
  const LoadedConfig whole = load_text(kTwoModels);
  for (const int64_t count : {1, 2, 3, 4, 6}) {
    Ids all;
    for (int64_t index = 1; index <= count; ++index) {
      LoadedConfig part = whole;
      const Shard shard = shard_of(part, index, count);
      CHECK(shard.cases == ids_of(whole));
      select(part, shard);
      CHECK(part.hash == whole.hash);
      for (const std::string& id : ids_of(part)) all.push_back(id);
    }
    std::sort(all.begin(), all.end());
    Ids expected = ids_of(whole);
    std::sort(expected.begin(), expected.end());
    CHECK(all == expected);
  }
  CHECK(cases_of_shard(kTwoModels, 5, 6) == Ids{});
}

TEST_CASE("a checkpoint that cannot be opened ends the split, for it hangs on all of them", "[shard]") {
  const std::string config = R"(checkpoints:
  - {name: small, synthetic: "d2,vocab_size=64,n_embd=64,n_head=2,sequence_len=512"}
  - {name: gone, base_dir: nowhere}
prompts: [{name: p, synthetic: {length: 20, seed: 1}}]
)";
  CHECK_THROWS_AS(shard_of(load_text(config), 1, 2), CheckpointError);
}

TEST_CASE("a subject that stands alone costs something before it was ever started", "[shard]") {
  const Costs costs = costs_of(load_text(R"(checkpoints: [{name: other, subject: "no-such-program"}]
prompts:
  - {name: short, synthetic: {length: 20, seed: 1}}
  - {name: long, tokens: [1, 2, 3, 4]}
)"));
  REQUIRE(costs.cases.size() == 2);
  CHECK(costs.cases[0].cost > costs.cases[1].cost);
  CHECK(costs.cases[1].cost > 0);
}

TEST_CASE("what a record says of a shard is read back as it was, and a damaged one refused", "[shard]") {
  const Shard shard{2, 3, {"a", "b", "c"}, {1, 2, 1}};
  const Json json = shard_json(shard);
  const Shard read = shard_from(View(json));
  CHECK(read.index == 2);
  CHECK(read.count == 3);
  CHECK(read.cases == shard.cases);
  CHECK(read.of == shard.of);
  CHECK(shard_text(shard) == "shard 2 of 3: 1 of 3 cases");
  for (const char* damage : {R"({"index": 4})", R"({"of": [1, 2]})", R"({"of": [1, 2, 4]})", R"({"index": 0})"}) {
    Json damaged = json;
    damaged.update(Json::parse(damage));
    CHECK_THROWS_AS(shard_from(View(damaged)), RecordError);
  }
}
