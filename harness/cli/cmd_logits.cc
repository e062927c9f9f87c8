// kvproof logits: the logits of every position, without a cache or chunk by chunk through one, as a file for NumPy.
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <numeric>

#include "engine/error.h"
#include "harness/cli/command.h"
#include "harness/cli/model_flags.h"
#include "harness/cli/npy.h"
#include "harness/cli/output_file.h"

namespace kvproof::cli {
namespace {

struct LogitsFlags {
  ModelFlags model;
  std::vector<int32_t> tokens;
  std::vector<int64_t> chunks;  // of the engine path; empty; the naive path
  std::string out;
};

void declare_logits(CLI::App& app) {
  add_value(app, "--prompt-tokens", "1,2,3", "The ids, as they are");
  add_value(app, "--path", "engine|naive",
            "engine (default): through the KV cache; naive: one forward without a cache");
  add_value(app, "--prefill-chunks", "5,1,4", "How the engine cuts the prompt into forwards; default one");
  add_value(app, "--out", "FILE.npy", "Where to write (T, vocab_size); its folder is made, the file replaced");
  add_model_flags(app);
}

LogitsFlags read_logits_flags(const Arguments& arguments) {
  LogitsFlags flags;
  flags.tokens = arguments.token_ids("--prompt-tokens");
  const bool engine = arguments.word("--path", {"engine", "naive"}).value_or("engine") == "engine";
  const auto T = static_cast<int64_t>(flags.tokens.size());
  if (!arguments.given("--prefill-chunks")) {
    if (engine) flags.chunks = {T};
  } else {
    if (!engine) throw ArgumentError("--prefill-chunks", "is for the engine path; the naive path has no chunks");
    flags.chunks = arguments.integers("--prefill-chunks", 1, T);
    const auto total = std::accumulate(flags.chunks.begin(), flags.chunks.end(), int64_t{0});
    if (total != T) {
      throw ArgumentError("--prefill-chunks", fmt::format("must sum to the {} prompt tokens, got {}", T, total));
    }
  }
  flags.out = arguments.required("--out", "the file to write");
  flags.model = read_model_flags(arguments);
  return flags;
}

/// (T, V) on the CPU.
at::Tensor compute_logits(const LogitsFlags& flags, const Model& model) {
  if (flags.chunks.empty()) {
    return model.forward(TokenBatch::single(flags.tokens), LogitsAt::all)[0].cpu().contiguous();
  }
  auto cache = model.new_cache(1, static_cast<int64_t>(flags.tokens.size()));
  std::vector<at::Tensor> parts;
  auto next = flags.tokens.begin();
  for (const auto length : flags.chunks) {
    parts.push_back(model.forward(TokenBatch::single({next, next + length}), cache, LogitsAt::all)[0].cpu());
    next += length;
  }
  return at::cat(parts).contiguous();
}

ExitCode run_logits(Call& call) {
  const auto flags = read_logits_flags(call.arguments);
  const auto session = open_session(flags.model, call.console);
  check_token_ids(flags.tokens, session.checkpoint.dims.vocab_size, "--prompt-tokens");
  prepare_output_file(flags.out);
  const auto logits = compute_logits(flags, *session.model);  // (T, V)
  write_npy(flags.out, logits);
  const auto* dtype = logits.scalar_type() == at::kDouble ? "float64" : "float32";
  call.console.document({{"out", flags.out}, {"shape", logits.sizes().vec()}, {"dtype", dtype}});
  call.console.text(fmt::format("{}: ({}, {}) {}\n", flags.out, logits.size(0), logits.size(1), dtype));
  return ExitCode::ok;
}

}  // namespace

Command logits_command() {
  return {"logits",
          "Write the logits of every position of a prompt to a .npy file",
          {"float32, or float64 with --dtype float64. JSON: {\"out\", \"shape\", \"dtype\"}"},
          {ExitCode::failed},
          declare_logits,
          run_logits};
}

}  // namespace kvproof::cli
