// Catch2 under one name: Debian ships v2 (one header), newer systems v3 (several).
#pragma once

// LibTorch's CHECK comes first, and Catch2's takes its place, in whatever order a file includes them.
#if __has_include(<c10/util/Logging.h>)
#include <c10/util/Logging.h>
#endif

#if __has_include(<catch2/catch.hpp>)
#include <catch2/catch.hpp>
#else
#include <catch2/catch_all.hpp>
using Catch::Approx;
namespace Catch::Matchers {
using Catch::Matchers::ContainsSubstring;
inline auto Contains(const std::string& text) { return ContainsSubstring(text); }
}  // namespace Catch::Matchers
#endif

#include <string>

namespace kvproof::testing {
/// A file of the source tree, by its path from the top.
inline std::string source_path(const std::string& relative) { return std::string(KVPROOF_SOURCE_DIR) + "/" + relative; }
}  // namespace kvproof::testing
