#include "harness/cli/version.h"

#include <ATen/Version.h>
#include <fmt/format.h>

#include "harness/build_info.h"

namespace kvproof::cli {
namespace {

/// The vector instruction sets LibTorch's CPU kernels exist for; told where that is certain.
nlohmann::ordered_json cpu_targets() {
#if defined(__x86_64__)
  return {"DEFAULT", "AVX2", "AVX512"};
#else
  return {at::get_cpu_capability()};
#endif
}

}  // namespace

nlohmann::ordered_json version_document() {
  const auto& build = build_info();
  return {{"version", build.version},
          {"commit", build.commit},
          {"dirty", build.dirty},
          {"build_type", build.build_type},
          {"compiler", build.compiler},
          {"compiler_flags", build.compiler_flags},
          {"sanitizers", build.sanitizers},
          {"torch_version", build.torch_version},
          {"cpu_capability", at::get_cpu_capability()},
          {"cpu_targets", cpu_targets()}};
}

std::string version_text() {
  const auto document = version_document();
  const auto text = [&](const char* key) { return document[key].get<std::string>(); };
  std::string targets;
  for (const auto& target : document["cpu_targets"])
    targets += (targets.empty() ? "" : ", ") + target.get<std::string>();
  return fmt::format(
      "kvproof {}\n"
      "commit     {}{}\n"
      "build      {}{}, {}, {}\n"
      "LibTorch   {}\n"
      "CPU        {} (of {})\n",
      text("version"), text("commit"), document["dirty"].get<bool>() ? " with local changes" : "", text("build_type"),
      text("sanitizers").empty() ? "" : " with sanitizers " + text("sanitizers"), text("compiler"),
      text("compiler_flags"), text("torch_version"), text("cpu_capability"), targets);
}

}  // namespace kvproof::cli
