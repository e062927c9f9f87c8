// Can the checker be checked? Harmless runs raise no alarm and are the same again; the made-up models are as different as they say;
// every fault has a model that can show it. The self-test itself takes a minute and more: it is run on its own.
#include "harness/verify/faults/self_test.h"

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "engine/model/gpt_config.h"
#include "harness/verify/faults/benign.h"
#include "harness/verify/faults/planted_engine.h"
#include "harness/verify/faults/shapes.h"
#include "tests/support/golden.h"

using namespace kvproof;

namespace {

FaultContext context_of(const Shape& shape, const std::string& dtype = "float64") {
  const Checkpoint checkpoint = make_shape(shape, 1);
  return {GptConfig(checkpoint.dims, checkpoint.architecture), dtype,
          tokenizer_of_size(checkpoint.dims.vocab_size) != nullptr};
}

}  // namespace

TEST_CASE("harmless runs raise no alarm, on every shape", "[self_test]") {
  std::vector<int64_t> told;
  const BenignSummary summary = run_benign(40, "native", 3, [&](int64_t run) { told.push_back(run); });
  CHECK(summary.alarms == std::vector<std::string>{});
  CHECK(summary.runs >= 38);  // one that was there before does not count
  CHECK(summary.runs <= 40);
  REQUIRE(told.size() == 40);
  CHECK(std::is_sorted(told.begin(), told.end()));
}

TEST_CASE("harmless runs in float32 raise no alarm either", "[self_test]") {
  // Twenty runs to a shape, all shapes in float64 before any in float32.
  const auto shape_count = static_cast<int64_t>(shapes().size());
  const BenignSummary summary = run_benign(20 * shape_count + 20, GENERATE("native", "aten"), 11, {});
  CHECK(summary.alarms == std::vector<std::string>{});
  CHECK(summary.runs > 20 * shape_count);
}

TEST_CASE("every fault has a made-up model that can show it", "[self_test]") {
  std::vector<FaultContext> contexts;
  for (const Shape& shape : shapes()) contexts.push_back(context_of(shape));
  for (const Fault& fault : faults()) {
    CAPTURE(fault.name);
    CHECK(std::any_of(contexts.begin(), contexts.end(),
                      [&](const FaultContext& c) { return fault.not_applicable(c).empty(); }));
  }
}

TEST_CASE("the made-up models differ in what they say they differ in", "[self_test]") {
  std::set<int64_t> layers, head_dims, ratios;
  std::set<std::string> generations, patterns;
  for (const Shape& shape : shapes()) {
    const Checkpoint checkpoint = make_shape(shape, 1);
    const ModelDims& d = checkpoint.dims;
    layers.insert(d.n_layer);
    head_dims.insert(d.n_embd / d.n_head);
    ratios.insert(d.n_head / d.n_kv_head);
    generations.insert(checkpoint.architecture.generation);
    CHECK(d.vocab_size % 64 != 0);
  }
  CHECK(layers == std::set<int64_t>{1, 2, 3, 4, 5, 7});
  CHECK(head_dims == std::set<int64_t>{16, 32, 64, 128});
  CHECK(ratios == std::set<int64_t>{1, 2, 3, 4});
  CHECK(generations.size() >= 5);
}

TEST_CASE("a seed makes the same model again, another one another", "[self_test]") {
  const auto logits_of = [](uint64_t seed) {
    const Checkpoint checkpoint = make_shape(shapes()[0], seed);
    const auto model = make_model(checkpoint, {"auto", "float64", "cpu"});
    return make_in_process_subject(*model, nullptr)->uncached_logits({1, 2, 3}, 0).values;
  };
  CHECK(logits_of(1) == logits_of(1));
  CHECK(logits_of(1) != logits_of(2));
}

TEST_CASE("the list of faults is that of the table, with a place or a reason for each", "[self_test]") {
  for (const Shape& shape : shapes()) {
    const Json document = faults_json(context_of(shape));
    REQUIRE(document.at("faults").size() == faults().size());
    for (std::size_t i = 0; i < faults().size(); ++i) {
      const Json& one = document.at("faults")[i];
      CAPTURE(shape.spec, faults()[i].name);
      CHECK(one.at("name") == faults()[i].name);
      CHECK(one.at("applicable") == one.at("reason").is_null());
      CHECK(one.at("applicable") == one.at("place").is_object());
    }
  }
  CHECK(faults().size() >= 60);
}

TEST_CASE("a fault's place is met by a divergence there and by no other", "[self_test]") {
  Divergence d;
  d.suspect = Suspect::window;
  d.finding.place = {.operation = "decode", .layer = 2, .stage = "attention", .tensor = "K"};
  const FaultPlace place{
      .suspects = {Suspect::mask, Suspect::window}, .stage = "attention", .layer = 2, .first_operation = "dec"};
  CHECK(points_at(place, d));
  CHECK(points_at({.suspects = {Suspect::window}}, d));
  CHECK_FALSE(points_at({.suspects = {Suspect::mask}}, d));
  CHECK_FALSE(points_at({.suspects = {Suspect::window}, .stage = "cache"}, d));
  CHECK_FALSE(points_at({.suspects = {Suspect::window}, .tensor = "V"}, d));
  CHECK_FALSE(points_at({.suspects = {Suspect::window}, .layer = 1}, d));
  CHECK_FALSE(points_at({.suspects = {Suspect::window}, .first_operation = "chunk"}, d));
  CHECK_FALSE(points_at({.suspects = {}}, d));
}

TEST_CASE("a fault that is not there, or cannot show, is refused by name", "[self_test]") {
  CHECK_THROWS_WITH(fault_named("nonsense"),
                    "--plant: unknown fault \"nonsense\"; kvproof verify --list-faults [model flags] lists them");
  const Checkpoint checkpoint = make_shape(shapes()[2], 1);  // 2025-10: no windows, no smear
  const auto model = make_model(checkpoint, {"auto", "float64", "cpu"});
  OwnEngine engine(checkpoint, *model, nullptr);
  CHECK_THROWS_WITH(PlantedEngine(fault_named("window-one-wider"), engine, fault_context(*model, false)),
                    "--plant: window-one-wider cannot show on this model: the model has no sliding window");
}
