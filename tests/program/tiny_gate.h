// What programs are compared on: a model of a few thousand weights, few blocks, and programs that are no better than that.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/program/program.h"

namespace kvproof::testing {

inline constexpr auto kTinyConfig =
    R"(checkpoints: [{name: tiny, synthetic: "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=64"}]
prompts:
  - {name: short, synthetic: {length: 6, seed: 1}}
sampler: {temperature: 0, max_tokens: 5}
run: {threads: 1, repetitions: 2, peaks: off}
compare: {blocks: 6, rounds: 1, epoch_ms: 1, warm_up_ms: 0, time: [engine_decode]}
)";
inline constexpr auto kTwoCases =
    R"(checkpoints: [{name: tiny, synthetic: "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=64"}]
prompts:
  - {name: short, synthetic: {length: 6, seed: 1}}
  - {name: rows, tokens: [1, 2, 3], sampler: {max_tokens: 4, num_samples: 2}}
sampler: {temperature: 0, max_tokens: 5}
run: {threads: 1, repetitions: 2, peaks: off}
compare: {blocks: 6, rounds: 1, epoch_ms: 1, warm_up_ms: 0, time: [engine_decode]}
)";

/// An executable script in the folder; its path.
inline std::string put_script(const TempDir& dir, const std::string& name, const std::string& line) {
  write_file_of(dir / name, "#!/bin/sh\n" + line + "\n");
  std::filesystem::permissions(dir / name, std::filesystem::perms::owner_all);
  return dir / name;
}

/// build/kvproof with flags behind those it is given.
inline std::string put_wrapper(const TempDir& dir, const std::string& name, const std::string& flags) {
  return put_script(dir, name, fmt::format("exec '{}' \"$@\" {}", KVPROOF_PROGRAM, flags));
}

/// A noise file in which identical code has differed by 30 % on this machine: less is no alarm, whatever else runs here.
inline std::string put_noise(const TempDir& dir) {
  const auto machine = run_kvproof({"machine", "--format", "json"}).json().at("machine");
  write_file_of(
      dir / "noise.jsonl",
      fmt::format("{{\"kind\": \"aa\", \"started\": \"2026-11-22T10:15:00Z\", \"fingerprint\": {}, \"metric\": "
                  "\"engine_decode cpu\", \"log_ratio\": 0.3, \"blocks\": 12}}\n",
                  machine.at("fingerprint").dump()));
  return dir / "noise.jsonl";
}

/// Names of the files in a folder that end so; none where there is no such folder.
inline std::vector<std::string> files_of(const std::filesystem::path& folder, const std::string& end) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(folder)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().string().ends_with(end)) names.push_back(entry.path().string());
  }
  return names;
}

}  // namespace kvproof::testing
