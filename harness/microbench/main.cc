// kvproof-bench: a config's cases, or the parts that a generation is made of, timed with Google Benchmark.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/cli/console.h"
#include "harness/config/config.h"
#include "harness/error.h"
#include "harness/microbench/config_cases.h"
#include "harness/microbench/parts.h"

namespace kvproof {
namespace {

constexpr const char* kHelp =
    R"(kvproof-bench: a config's cases, or the parts that a generation is made of, timed with Google Benchmark

kvproof-bench [--config FILE [--set A.B=VALUE]...] [Google Benchmark's flags]

  --config FILE      Time the cases of a config of kvproof run: CASE/naive/prefill, CASE/naive/decode, CASE/naive/e2e,
                     and the same of CASE/engine. Nothing is judged here: whether the outputs agree, and the cache is
                     right, says kvproof run
  --set A.B=VALUE    Override one value of the config, such as sampler.max_tokens=16; may be given several times
  --help             Print this and exit

Without --config: forwards, sampling, tokenization, the subject protocol, kernels; of the model that KVPROOF_SYNTHETIC
(such as d12) or KVPROOF_BASE_DIR names, else of the embedded one.

Exit codes: 0 fine, 2 the command line or the config is wrong, or no benchmark matched, 6 a case could not run, 70 a bug

Google Benchmark's flags; for a few quick numbers: --benchmark_filter=engine/decode --benchmark_time_unit=ms
)";

void print_help() {
  std::fputs(kHelp, stdout);
  benchmark::PrintDefaultHelp();
}

struct OwnFlags {
  std::optional<std::string> config;
  std::vector<std::string> sets;
};

/// Takes our flags out of the command line: "--flag value" or "--flag=value". throws ArgumentError
OwnFlags take_own_flags(int& argc, char** argv) {
  OwnFlags flags;
  const auto take = [&](const std::string& name, const std::string& value) {
    if (name == "--set") return flags.sets.push_back(value);
    if (flags.config) throw ArgumentError(name, "was given twice; give it once");
    flags.config = value;
  };
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const std::string name(word.substr(0, word.find('=')));
    if (name != "--config" && name != "--set") {
      argv[kept++] = argv[i];
    } else if (name.size() < word.size()) {
      take(name, std::string(word.substr(name.size() + 1)));
    } else if (i + 1 < argc && std::string_view(argv[i + 1]).substr(0, 2) != "--") {
      take(name, argv[++i]);
    } else {
      throw ArgumentError(name, "needs a value; kvproof-bench --help lists what there is");
    }
  }
  argc = kept;
  argv[argc] = nullptr;
  if (!flags.config && !flags.sets.empty())
    throw ArgumentError("--set", "overrides a value of a config, and there is none; give --config FILE");
  return flags;
}

/// Google Benchmark says on stderr why nothing matched.
ExitCode run_registered() { return benchmark::RunSpecifiedBenchmarks() == 0 ? ExitCode::usage : ExitCode::ok; }

ExitCode run(int argc, char** argv) {
  const OwnFlags flags = take_own_flags(argc, argv);
  benchmark::Initialize(&argc, argv, print_help);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return ExitCode::usage;
  if (!flags.config) {
    register_part_benchmarks();
    return run_registered();
  }
  ConfigCases cases(load_config(*flags.config, flags.sets));
  cases.register_benchmarks();
  const ExitCode code = run_registered();
  return worse(code, cases.code());
}

}  // namespace
}  // namespace kvproof

int main(int argc, char** argv) {
  using kvproof::ExitCode;
  kvproof::cli::Console console(/*json=*/false);
  ExitCode code = ExitCode::bug;
  try {
    code = kvproof::run(argc, argv);
  } catch (const kvproof::Error& error) {
    code = exit_code_of(error);
    console.failure(error.kind(), error.place(), error.message(), code);
  } catch (const std::exception& fault) {
    console.failure("bug", "", fault.what(), code);
  }
  return static_cast<int>(code);
}
