#include <ATen/Context.h>
#include <ATen/core/Tensor.h>

#include "engine/error.h"
#include "engine/model/model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

TEST_CASE("auto means the best device there is, and float32 on a CPU") {
  const ModelOptions resolved = resolve_model_options({.dtype = "auto", .device = "cpu"});
  CHECK(resolved.backend == "native");
  CHECK(resolved.dtype == "float32");
  CHECK(resolved.device == "cpu");
  const std::string found = at::hasCUDA() ? "cuda" : at::hasMPS() ? "mps" : "cpu";
  CHECK(resolve_model_options({}).device == found);
}

TEST_CASE("options that cannot be had say what can") {
  CHECK_THROWS_WITH(resolve_model_options({.backend = "tpu"}), "backend: unknown backend \"tpu\"; use auto, native or aten");
  CHECK_THROWS_WITH(resolve_model_options({.dtype = "int8", .device = "cpu"}),
                    "dtype: unknown dtype \"int8\"; use auto, float32, bfloat16, float16 or float64");
  CHECK_THROWS_WITH(resolve_model_options({.dtype = "auto", .device = "gpu"}),
                    "device: unknown device \"gpu\"; use auto, cpu, cuda or mps");
  CHECK_THROWS_WITH(resolve_model_options({.dtype = "float64", .device = "mps"}),
                    "dtype: mps has no float64; use --device cpu");
  if (!at::hasCUDA())
    CHECK_THROWS_WITH(resolve_model_options({.dtype = "auto", .device = "cuda"}),
                      "device: no cuda device was found by this build of LibTorch; use --device cpu");
}

TEST_CASE("auto takes the native backend where it can run, and who asks for it elsewhere learns why not") {
  CHECK(resolve_model_options({.dtype = "bfloat16", .device = "cpu"}).backend == "native");
  CHECK(resolve_model_options({.dtype = "float64", .device = "cpu"}).backend == "native");
  CHECK(resolve_model_options({.dtype = "float16", .device = "cpu"}).backend == "aten");
  CHECK(resolve_model_options({.device = "cpu", .convert_weights = false}).backend == "aten");
  CHECK(resolve_model_options({.backend = "aten", .device = "cpu"}).backend == "aten");
  CHECK_THROWS_WITH(resolve_model_options({.backend = "native", .dtype = "float16", .device = "cpu"}),
                    "backend: native has float32, bfloat16 and float64; use aten for float16");
  CHECK_THROWS_WITH(resolve_model_options({.backend = "native", .device = "cpu", .convert_weights = false}),
                    "backend: native converts weights once, when it loads them; use aten to convert them at each use");
}

TEST_CASE("weights converted at each use give the logits of converted ones, to the bit") {
  for (const char* generation : {"head", "2026-02", "2025-10"}) {
    for (const char* stored : {"bfloat16", "float32"}) {
      for (const char* dtype : {"float64", "float32", "bfloat16"}) {
        CAPTURE(generation, stored, dtype);
        const Checkpoint checkpoint =
            small_checkpoint(std::string("generation=") + generation + ",dtype=" + stored, {});
        const auto converted = make_model(checkpoint, {"aten", dtype, "cpu", true});
        const auto as_stored = make_model(checkpoint, {"auto", dtype, "cpu", false});
        CHECK(as_stored->dtype() == converted->dtype());
        const std::vector<int32_t> all = some_tokens(9, 97);
        const auto logits = [&](const Model& model, bool cached) {
          if (!cached) return model.forward(TokenBatch::single(all), LogitsAt::all).to(at::kDouble);
          KVCache cache = model.new_cache(1, 9);
          model.forward(TokenBatch::single({all.begin(), all.end() - 1}), cache, LogitsAt::last);
          return model.forward(TokenBatch::single({all.back()}), cache, LogitsAt::last).to(at::kDouble);
        };
        for (const bool cached : {false, true}) CHECK(logits(*as_stored, cached).equal(logits(*converted, cached)));
      }
    }
  }
}
