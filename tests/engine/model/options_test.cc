#include <ATen/Context.h>

#include "engine/error.h"
#include "engine/model/model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

TEST_CASE("auto means the best device there is, and float32 on a CPU") {
  const ModelOptions resolved = resolve_model_options({.dtype = "auto", .device = "cpu"});
  CHECK(resolved.backend == "aten");
  CHECK(resolved.dtype == "float32");
  CHECK(resolved.device == "cpu");
  const std::string found = at::hasCUDA() ? "cuda" : at::hasMPS() ? "mps" : "cpu";
  CHECK(resolve_model_options({}).device == found);
}

TEST_CASE("options that cannot be had say what can") {
  CHECK_THROWS_WITH(resolve_model_options({.backend = "tpu"}), "backend: unknown backend \"tpu\"; use auto or aten");
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
