// The aten backend on an accelerator: `tests_device cuda` or `tests_device mps`. Exits 77 (skipped) where there is none.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/generate/generator.h"
#include "engine/model/model.h"

using namespace kvproof;

namespace {

// float32 on a GPU adds up in another order, and CUDA's matrix units may round to fewer bits.
constexpr double kLogitTolerance = 2e-3;
constexpr double kLogicTolerance = 1e-10;

double max_abs(const at::Tensor& a, const at::Tensor& b) {
  return (a.cpu().to(at::kDouble) - b.cpu().to(at::kDouble)).abs().max().item<double>();
}

int failures = 0;
void check(bool ok, const std::string& what) {
  fmt::print("{}: {}\n", ok ? "passed" : "FAILED", what);
  failures += !ok;
}

// The prompt in chunks through a cache, every position's logits, (T, V).
at::Tensor through_cache(const Model& model, const std::vector<int32_t>& ids, int64_t chunk) {
  KVCache cache = model.new_cache(1, static_cast<int64_t>(ids.size()));
  std::vector<at::Tensor> rows;
  for (std::size_t at = 0; at < ids.size(); at += chunk) {
    const auto end = std::min(ids.size(), at + chunk);
    rows.push_back(model.forward(TokenBatch::single({ids.begin() + at, ids.begin() + end}), cache, LogitsAt::all)[0]);
  }
  return at::cat(rows);
}

void check_generation(const Checkpoint& checkpoint, const std::string& device, const std::string& folder) {
  const auto golden = nlohmann::json::parse(std::ifstream(folder + "/golden.json"));
  const auto expected = load_state_dict(folder + "/golden.pt").at("logits.0");
  const auto ids = golden["prompt_tokens"][0].get<std::vector<int32_t>>();
  const auto model = make_model(checkpoint, {.dtype = "float32", .device = device});
  const double logits = max_abs(model->forward(TokenBatch::single(ids), LogitsAt::all)[0], expected);
  check(logits <= kLogitTolerance, fmt::format("float32 logits are Python's on a CPU (worst {:.1e})", logits));
  const double cached = max_abs(through_cache(*model, ids, 5), expected);
  check(cached <= kLogitTolerance, fmt::format("and through the cache in chunks of 5 (worst {:.1e})", cached));

  GenerationRequest request{.prompt = ids, .max_tokens = 24, .num_samples = 3, .sampler = {.temperature = 1.0}};
  request.stop = request.tools = false;
  const auto naive = make_naive_generator(*model, nullptr)->generate(request);
  const auto engine = make_cached_engine(*model, nullptr)->generate(request);
  check(naive.rows[2].tokens == engine.rows[2].tokens, "naive and engine sample the same tokens");
}

void check_logic(const Checkpoint& checkpoint, const std::string& device) {
  const auto model = make_model(checkpoint, {.dtype = "float64", .device = device});
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 150; ++i) ids.push_back((i * 37 + 5) % 331);  // past head's window of 128
  const at::Tensor plain = model->forward(TokenBatch::single(ids), LogitsAt::all)[0];
  for (const int64_t chunk : {1, 7, 150}) {
    const double worst = max_abs(through_cache(*model, ids, chunk), plain);
    check(worst <= kLogicTolerance, fmt::format("float64: chunks of {} give recompute's logits (worst {:.1e})", chunk, worst));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string device = argc == 2 ? argv[1] : "";
  if (device != "cuda" && device != "mps") {
    fmt::print(stderr, "usage: tests_device cuda|mps\n");
    return 2;
  }
  if (device == "cuda" ? !at::hasCUDA() : !at::hasMPS()) {
    fmt::print("skipped: no {} device is found by this LibTorch\n", device);
    return 77;
  }
  const std::string folder = std::string(KVPROOF_SOURCE_DIR) + "/harness/verify/vectors/generations/head";
  const Checkpoint checkpoint = load_checkpoint({.base_dir = folder});
  check_generation(checkpoint, device, folder);
  if (device == "cuda") check_logic(checkpoint, device);  // mps has no float64
  return failures == 0 ? 0 : 1;
}
