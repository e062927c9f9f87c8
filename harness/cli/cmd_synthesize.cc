// kvproof synthesize: a made-up checkpoint as files that nanochat reads.
#include <fmt/format.h>

#include "engine/error.h"
#include "harness/cli/command.h"
#include "harness/cli/model_flags.h"

namespace kvproof::cli {
namespace {

void declare_synthesize(CLI::App& app) {
  add_positional(app, "SPEC", "dN with fields, such as d4 or d4,vocab_size=2048,n_kv_head=1,generation=2026-01,seed=3");
  add_value(app, "--out", "DIR", "The base directory to write into; nothing there is overwritten");
  add_value(app, "--tag", "TAG", "Name of the model's folder; default d<n_layer>");
  add_value(app, "--step", "N", "Step in the file names; default 0");
}

ExitCode run_synthesize(Call& call) {
  const auto spec = call.arguments.required("SPEC", "what to synthesize, such as d4");
  const auto out = call.arguments.required("--out", "the base directory to write into");
  const auto given_tag = call.arguments.text("--tag");
  const auto step = call.arguments.integer("--step", 0, 999999).value_or(0);
  if (given_tag &&
      (given_tag->empty() || given_tag->find('/') != std::string::npos || *given_tag == "." || *given_tag == "..")) {
    throw ArgumentError("--tag", fmt::format("must be the name of a folder, got \"{}\"", *given_tag));
  }
  const auto checkpoint = [&] {
    try {
      return synthesize_checkpoint(spec);
    } catch (const ArgumentError& error) {
      throw ArgumentError(error.place() == "synthetic" ? "SPEC" : error.place(), error.message());
    }
  }();
  const auto tag = given_tag.value_or(fmt::format("d{}", checkpoint.dims.n_layer));
  save_checkpoint(checkpoint, out, tag, step);
  const auto folder = std::filesystem::path(out) / "base_checkpoints" / tag;
  call.console.document({{"base_dir", out},
                         {"source", "base"},
                         {"tag", tag},
                         {"step", step},
                         {"model", (folder / fmt::format("model_{:06}.pt", step)).string()},
                         {"meta", (folder / fmt::format("meta_{:06}.json", step)).string()}});
  call.console.text(fmt::format("{}\n", (folder / fmt::format("model_{:06}.pt", step)).string()));
  return ExitCode::ok;
}

}  // namespace

Command synthesize_command() {
  return {"synthesize",
          "Write a checkpoint with made-up weights as a nanochat base directory",
          {"JSON: {\"base_dir\", \"source\", \"tag\", \"step\", \"model\", \"meta\"}"},
          {ExitCode::failed},
          declare_synthesize,
          run_synthesize};
}

}  // namespace kvproof::cli
