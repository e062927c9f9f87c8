// A folder full of things that are wrong, made out of things that are right.
#pragma once

#include <filesystem>

namespace kvproof::testing {

/// Fills a folder: "demo" is the embedded model, "empty" is empty, every other entry has one fault, told by its name.
void make_broken_files(const std::filesystem::path& folder);

}  // namespace kvproof::testing
