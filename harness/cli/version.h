// What --version says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace kvproof::cli {

/// Version, commit, build type, compiler, LibTorch, the instruction set LibTorch chose here and the targets it could choose.
nlohmann::ordered_json version_document();
std::string version_text();

}  // namespace kvproof::cli
