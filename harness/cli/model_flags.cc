#include "harness/cli/model_flags.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <string_view>

#include "engine/error.h"
#include "harness/machine/machine.h"
#include "harness/measure/checkpoint_session.h"

namespace kvproof::cli {
namespace {

constexpr int64_t kMostThreads = 1024;

/// Runs something of the engine; what it calls "dtype" or "architecture.softcap" is a flag of ours.
template <class F>
auto with_flags_as_places(F&& run) {
  try {
    return run();
  } catch (const ArgumentError& error) {
    constexpr std::string_view kArchitecture = "architecture.";
    if (error.place().rfind(kArchitecture, 0) == 0) {
      throw ArgumentError("--arch " + error.place().substr(kArchitecture.size()), error.message());
    }
    for (const auto* name : {"synthetic", "source", "tag", "step", "backend", "dtype", "device"}) {
      if (error.place() == name) throw ArgumentError(std::string("--") + name, error.message());
    }
    throw;
  }
}

void describe(const Checkpoint& checkpoint, Console& console) {
  if (checkpoint.location.model_file.empty()) {
    console.note(
        fmt::format("checkpoint {}: synthetic, generation {}", checkpoint.name, checkpoint.architecture.generation));
  } else if (checkpoint.location.layout == CheckpointLayout::huggingface) {
    console.note(fmt::format("checkpoint {}: in Hugging Face's layout, generation {}",
                             checkpoint.location.model_file.string(), checkpoint.architecture.generation));
  } else {
    console.note(fmt::format("checkpoint {}: tag {}, step {}, val_bpb {}, generation {}",
                             checkpoint.location.model_file.string(), checkpoint.location.tag, checkpoint.location.step,
                             checkpoint.val_bpb ? fmt::format("{}", *checkpoint.val_bpb) : "unknown",
                             checkpoint.architecture.generation));
  }
  for (const auto& guess : checkpoint.location.guesses) console.note("  " + guess);
  for (const auto& ambiguity : checkpoint.inference.ambiguities) console.warn(ambiguity);
}

}  // namespace

void add_model_flags(CLI::App& app) {
  add_value(app, "--base-dir", "DIR", "nanochat's base directory, or a folder in Hugging Face's layout; default $NANOCHAT_BASE_DIR, else ~/.cache/nanochat");
  add_value(app, "--source", "base|mid|sft|rl",
            "Which training stage; default the only one present, else sft, rl, mid, base");
  add_value(app, "--tag", "TAG", "Which model; default the d<number> with the largest number");
  add_value(app, "--step", "N", "Which step; default the largest");
  add_value(app, "--synthetic", "SPEC",
            "No files: a model with made-up weights, such as d4 or d4,vocab_size=2048,seed=3");
  add_list(app, "--arch", "K=V,...", "Overrides what was inferred about the architecture, such as softcap=20");
  add_value(app, "--backend", "BACKEND", "auto (native where it can run), native (our own kernels, on the CPU), aten (LibTorch's)");
  add_value(app, "--dtype", "DTYPE", "auto (float32 on a CPU), float32, bfloat16, float16, float64");
  add_value(app, "--device", "DEVICE", "auto, cpu, cuda, mps");
  add_value(app, "--threads", "N|auto", "Threads of one forward; default auto: LibTorch's own choice");
  add_toggle(app, "--pin", "Bind the native backend's threads to CPUs");
}

int read_threads(const Arguments& arguments) {
  if (arguments.text("--threads").value_or("auto") == "auto") return 0;
  return static_cast<int>(*arguments.integer("--threads", 1, kMostThreads));
}

std::string read_backend(const Arguments& arguments) {
  return arguments.word("--backend", {"auto", "native", "aten"}).value_or("auto");
}

ModelFlags read_model_flags(const Arguments& arguments) {
  ModelFlags flags;
  flags.synthetic = arguments.text("--synthetic");
  for (const auto* name : {"--base-dir", "--source", "--tag", "--step"}) {
    if (flags.synthetic && arguments.given(name)) {
      throw ArgumentError("--synthetic",
                          fmt::format("cannot be combined with {}; a synthetic model has no files", name));
    }
    if (arguments.text(name) == "") throw ArgumentError(name, "is empty; give a value or leave the flag out");
  }
  flags.request.base_dir = arguments.text("--base-dir").value_or("");
  flags.request.source = arguments.word("--source", {"base", "mid", "sft", "rl"});
  flags.request.tag = arguments.text("--tag");
  flags.request.step = arguments.integer("--step", 0, std::numeric_limits<int64_t>::max());
  for (const auto& [key, value] : arguments.pairs("--arch")) {
    if (!flags.overrides.emplace(key, value).second) {
      throw ArgumentError("--arch " + key, "was given twice; give it once");
    }
  }
  flags.options.backend = read_backend(arguments);
  flags.options.pin = arguments.given("--pin");
  flags.options.dtype =
      arguments.word("--dtype", {"auto", "float32", "bfloat16", "float16", "float64"}).value_or("auto");
  flags.options.device = arguments.word("--device", {"auto", "cpu", "cuda", "mps"}).value_or("auto");
  flags.threads = read_threads(arguments);
  with_flags_as_places([&] { return resolve_model_options(flags.options); });  // before files are opened
  return flags;
}

Checkpoint open_checkpoint(const ModelFlags& flags, Console& console) {
  auto checkpoint = with_flags_as_places([&] {
    return flags.synthetic ? synthesize_checkpoint(*flags.synthetic, flags.overrides)
                           : load_checkpoint(flags.request, flags.overrides);
  });
  describe(checkpoint, console);
  return checkpoint;
}

Session open_session(const ModelFlags& flags, Console& console) {
  const int64_t begin = now_ns();
  if (flags.threads > 0) set_threads(flags.threads);
  Session session{open_checkpoint(flags, console), std::nullopt, nullptr};
  session.tokenizer = open_tokenizer(session.checkpoint);
  session.model = with_flags_as_places([&] { return make_model(session.checkpoint, flags.options); });
  session.model->synchronize();
  session.load_ns = now_ns() - begin;
  return session;
}

void require_tokenizer(const Session& session, const std::string& flag, const std::string& advice) {
  if (session.tokenizer) return;
  const auto& base_dir = session.checkpoint.location.base_dir;
  const auto where = base_dir.empty() ? "a synthetic model" : base_dir.string();
  throw ArgumentError(flag, fmt::format("needs a tokenizer, and {} has none; {}", where, advice));
}

Tokenizer open_tokenizer_alone(const ModelFlags& flags) {
  if (flags.synthetic) throw ArgumentError("--synthetic", "a synthetic model has no tokenizer; give --base-dir");
  const auto base_dir = resolve_base_dir(flags.request);
  const bool huggingface = !std::filesystem::exists(base_dir / "tokenizer") && std::filesystem::exists(base_dir / "tokenizer.json");
  return Tokenizer::load(huggingface ? base_dir : base_dir / "tokenizer");
}

}  // namespace kvproof::cli
