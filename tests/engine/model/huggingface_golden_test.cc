// A checkpoint in Hugging Face's layout gives what transformers gives.
#include <ATen/ATen.h>

#include "engine/checkpoint/safetensors.h"
#include "engine/model/model.h"
#include "tests/engine/model/tensors.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

const std::string kFolder = source_path("tests/golden/huggingface");
const std::string kInner50 = kFolder + "/inner-50";  // an MLP of another width, and no softcap

struct Golden {
  explicit Golden(const std::string& folder)
      : json(read_json(folder + "/golden.json")), logits(load_safetensors(folder + "/logits.safetensors")),
        checkpoint(load_checkpoint({folder, {}, {}, {}})) {}
  nlohmann::json json;
  StateDict logits;
  Checkpoint checkpoint;
};

at::Tensor rows_at(const at::Tensor& logits, const nlohmann::json& positions) {
  return logits.index_select(0, at::tensor(positions.get<std::vector<int64_t>>()));
}

// The largest distance over all sequences, recomputed and through a cache in chunks and steps.
double worst_distance(const Golden& golden, const std::string& dtype, const std::string& name) {
  const auto model = make_model(golden.checkpoint, {.backend = GENERATE("native", "aten"), .dtype = dtype, .device = "cpu"});
  double worst = 0;
  for (std::size_t i = 0; i < golden.json["sequences"].size(); ++i) {
    const auto& sequence = golden.json["sequences"][i];
    const auto ids = sequence["ids"].get<std::vector<int32_t>>();
    const at::Tensor expected = golden.logits.at(std::to_string(i) + "." + name);
    const at::Tensor uncached = model->forward(TokenBatch::single(ids), LogitsAt::all)[0];
    worst = std::max(worst, max_abs(rows_at(uncached, sequence["positions"]), expected));

    KVCache cache = model->new_cache(1, static_cast<int64_t>(ids.size()));
    std::vector<at::Tensor> rows;
    for (std::size_t t = 0, chunk = ids.size() / 2 + 1; t < ids.size(); t += chunk, chunk = 1) {
      const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(t);
      rows.push_back(model->forward(TokenBatch::single({begin, begin + static_cast<std::ptrdiff_t>(chunk)}), cache,
                                    LogitsAt::all)[0]);
    }
    worst = std::max(worst, max_abs(rows_at(at::cat(rows), sequence["positions"]), expected));
  }
  return worst;
}

}  // namespace

TEST_CASE("float32 logits are transformers'", "[golden][huggingface]") {
  const std::string folder = GENERATE(kFolder, kInner50);
  CHECK(worst_distance(Golden(folder), "float32", "float32.sdpa") <= 2e-5);  // worst seen 6.5e-6
}

TEST_CASE("float64 logits are transformers' once its norms are in float64 too", "[golden][huggingface]") {
  const std::string folder = GENERATE(kFolder, kInner50);
  CHECK(worst_distance(Golden(folder), "float64", "float64.wide") <= 1e-9);  // worst seen 1.1e-14
}

// Its float64 models take every norm in float32; that, and nothing else, is what float64 logits differ by.
TEST_CASE("float64 logits of transformers as it is differ by its float32 norms", "[golden][huggingface]") {
  const std::string folder = GENERATE(kFolder, kInner50);
  const double worst = worst_distance(Golden(folder), "float64", "float64.sdpa");
  CHECK(worst <= 5e-6);  // seen 1.2e-6
  CHECK(worst > 1e-8);
}

TEST_CASE("constants that config.json does not state would be seen in the logits", "[golden][huggingface]") {
  const auto [key, value, least] = GENERATE(table<std::string, std::string, double>({
      {"norm_eps", "1e-6", 1e-6},              // transformers' default; seen 9.6e-6
      {"norm_eps", "1.1920929e-7", 1e-6},      // nanochat's; seen 1.4e-5
      {"rope_base", "10000", 1e-2},            // seen 1.8
      {"softcap", "15", 1e-2},                 // seen 0.26
      {"rope_table_dtype", "bfloat16", 1e-3},  // nanochat's of October 2025; seen 0.010
  }));
  CAPTURE(key, value);
  Golden golden(kFolder);
  golden.checkpoint = load_checkpoint({kFolder, {}, {}, {}}, {{key, value}});
  CHECK(worst_distance(golden, "float64", "float64.wide") > least);
}

TEST_CASE("a softcap where transformers has none would be seen in the logits", "[golden][huggingface]") {
  Golden golden(kInner50);
  golden.checkpoint = load_checkpoint({kInner50, {}, {}, {}}, {{"softcap", "15"}});
  CHECK(worst_distance(golden, "float64", "float64.wide") > 1e-2);  // seen 0.38
}
