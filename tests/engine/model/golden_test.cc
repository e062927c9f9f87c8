#include <ATen/ATen.h>

#include "engine/model/model.h"
#include "tests/engine/model/tensors.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

// Worst seen over all eight folders: 8.3e-6.
constexpr double kLogitTolerance = 2e-5;

TokenBatch batch_of(const nlohmann::json& ids) { return TokenBatch::single(ids.get<std::vector<int32_t>>()); }

}  // namespace

TEST_CASE("uncached logits are those of the Python code of every generation", "[golden]") {
  const std::string name = GENERATE(from_range(golden_generations()));
  const auto golden = read_json(golden_path(name) + "/golden.json");
  const StateDict tensors = load_state_dict(golden_path(name) + "/golden.pt");
  const Checkpoint checkpoint = golden_checkpoint(name);
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float32", .device = "cpu"});
  for (std::size_t i = 0; i < golden["prompt_tokens"].size(); ++i) {
    CAPTURE(name, i);
    const at::Tensor logits = model->forward(batch_of(golden["prompt_tokens"][i]), LogitsAt::all)[0];
    const double worst = max_abs(logits, tensors.at("logits." + std::to_string(i)));
    CHECK(worst <= kLogitTolerance);
  }
}

TEST_CASE("logits past every window and past sequence_len are Python's, in one pass and through a cache", "[golden]") {
  const std::string name = GENERATE(from_range(golden_generations()));
  const auto golden = read_json(golden_path(name) + "/golden.json");
  const at::Tensor expected = load_state_dict(golden_path(name) + "/golden.pt").at("long.logits");
  const Checkpoint checkpoint = golden_checkpoint(name);
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float32", .device = "cpu"});
  auto ids = golden["long"]["prompt_tokens"].get<std::vector<int32_t>>();
  const auto prompt_len = static_cast<int64_t>(ids.size());
  for (const int32_t id : golden["long"]["forced_tokens"]) ids.push_back(id);
  const int64_t first = golden["long"]["first_position"];
  CAPTURE(name);

  const at::Tensor uncached = model->forward(TokenBatch::single(ids), LogitsAt::all)[0];
  const double worst_uncached = max_abs(uncached.slice(0, first), expected);
  CHECK(worst_uncached <= kLogitTolerance);

  KVCache cache = model->new_cache(1, static_cast<int64_t>(ids.size()));
  std::vector<at::Tensor> rows = {
      model->forward(TokenBatch::single({ids.begin(), ids.begin() + prompt_len}), cache, LogitsAt::all)[0]};
  for (std::size_t t = static_cast<std::size_t>(prompt_len); t < ids.size(); ++t)
    rows.push_back(model->forward(TokenBatch::single({ids[t]}), cache, LogitsAt::all)[0]);
  const double worst_cached = max_abs(at::cat(rows).slice(0, first), expected);
  CHECK(worst_cached <= kLogitTolerance);
}

TEST_CASE("the cache holds the keys and values of the Python cache, and decoding gives its logits", "[golden][kv_cache]") {
  const std::string name = GENERATE(from_range(golden_generations()));
  const auto golden = read_json(golden_path(name) + "/golden.json");
  const StateDict tensors = load_state_dict(golden_path(name) + "/golden.pt");
  const Checkpoint checkpoint = golden_checkpoint(name);
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float32", .device = "cpu"});
  const auto prompt = golden["prompt_tokens"][0].get<std::vector<int32_t>>();
  const auto forced = golden["kv_forced_tokens"].get<std::vector<int32_t>>();
  const auto total = static_cast<int64_t>(prompt.size() + forced.size());
  CAPTURE(name);

  KVCache cache = model->new_cache(1, total);
  std::vector<at::Tensor> rows = {model->forward(TokenBatch::single(prompt), cache, LogitsAt::last)};
  for (const int32_t id : forced) rows.push_back(model->forward(TokenBatch::single({id}), cache, LogitsAt::last));
  CHECK(max_abs(at::cat(rows), tensors.at("kv.decode_logits")) <= kLogitTolerance);

  for (int64_t i = 0; i < model->config().n_layer; ++i) {  // Python's: (layers, 1, T, kv heads, head dim)
    CAPTURE(i);
    CHECK(max_abs(cache.keys(i).transpose(1, 2), tensors.at("kv.k")[i]) <= kLogitTolerance);
    CHECK(max_abs(cache.values(i).transpose(1, 2), tensors.at("kv.v")[i]) <= kLogitTolerance);
  }
}

TEST_CASE("the trained model's last logits are Python's", "[golden]") {
  const auto golden = read_json(source_path("tests/golden/demo-d4.json"));
  const Checkpoint checkpoint = demo_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float32", .device = "cpu"});
  for (const auto& c : golden["cases"]) {
    const at::Tensor logits = model->forward(batch_of(c["tokens"]), LogitsAt::last)[0];
    const auto [values, ids] = logits.topk(8);
    CAPTURE(c["text"].get<std::string>());
    for (int64_t i = 0; i < 8; ++i) {
      CHECK(ids[i].item<int64_t>() == c["last_logits_top8"]["ids"][i].get<int64_t>());
      CHECK(values[i].item<double>() == Approx(c["last_logits_top8"]["values"][i].get<double>()).margin(kLogitTolerance));
    }
  }
}
