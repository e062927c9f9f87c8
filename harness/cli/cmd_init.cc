// kvproof init: a config to start from.
#include <fmt/format.h>

#include <filesystem>

#include "engine/checkpoint/atomic_file.h"
#include "harness/cli/command.h"
#include "harness/config/config.h"

namespace kvproof::cli {
namespace {

constexpr auto kDefaultConfig = "kvproof.yaml";

void declare_init(CLI::App& app) {
  add_positional(app, "FILE", fmt::format("What to write; default {}", kDefaultConfig));
}

ExitCode run_init(Call& call) {
  const auto file = call.arguments.text("FILE").value_or(kDefaultConfig);
  if (file.empty()) throw ArgumentError("FILE", "is empty; give the name of the file to write");
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(file, ignored))) {
    throw ArgumentError(file, "exists already; name another file, or remove this one");
  }
  try {
    write_file(file, starter_config());
  } catch (const CheckpointError& error) {
    throw RecordError(error.place(), error.message());
  }
  call.console.document({{"file", file}});
  call.console.text(fmt::format("{}\n", file));
  call.console.note(fmt::format("next: kvproof plan {0}, kvproof run {0}", file));
  return ExitCode::ok;
}

}  // namespace

Command init_command() {
  return {"init",
          "Write a config to start from; nothing is overwritten",
          {"JSON: {\"file\"}"},
          {ExitCode::failed},
          declare_init,
          run_init};
}

}  // namespace kvproof::cli
