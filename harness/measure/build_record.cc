#include "harness/measure/build_record.h"

#include <ATen/Version.h>

#include <string>

#include "harness/build_info.h"

namespace kvproof {
namespace {

/// The name of the BLAS that LibTorch was built with, out of its own description.
Fact<std::string> blas_name() {
  const std::string text = at::show_config(), key = "BLAS_INFO=";
  const auto at = text.find(key);
  if (at == std::string::npos) return Fact<std::string>::unknown("LibTorch's configuration does not name one");
  const auto from = at + key.size();
  return Fact<std::string>::known(text.substr(from, text.find_first_of(",\n ", from) - from));
}

}  // namespace

Json build_json() {
  const BuildInfo& b = build_info();
  Json out = {{"version", b.version},       {"commit", b.commit},
              {"dirty", b.dirty},           {"build_type", b.build_type},
              {"compiler", b.compiler},     {"compiler_flags", b.compiler_flags},
              {"sanitizers", b.sanitizers}, {"torch_version", b.torch_version}};
  out["torch_config"] = at::show_config();
  put(out, "blas", blas_name());
  return out;
}

}  // namespace kvproof
