// A config's cases as benchmarks: what `kvproof run` measures, under Google Benchmark's flags. Nothing is judged here.
#pragma once

#include <benchmark/benchmark.h>

#include <string>

#include "harness/config/config.h"
#include "harness/error.h"
#include "harness/microbench/open_case.h"

namespace kvproof {

/// Registers CASE/naive/prefill, CASE/naive/decode, CASE/naive/e2e and the same of CASE/engine, in the order in which a
/// run takes the cases; decode where sampler.max_tokens is 2 or more. Google Benchmark adds what it measures by to a
/// name: /process_time/manual_time. Their meanings are those of render_gbench (harness/report/export/gbench.h), and
///
/// iterations  generations, of prefill those that end with the first token; of decode the gaps between tokens
/// cpu_time    of all threads of this process: of prefill and e2e in those calls, of decode from the first token on
/// label       the shape, "pp6 tg64"
/// errors      a case that cannot run, or does not do the same work each time, has SkipWithError with the words that a
///             report has for it; the others go on
///
/// No checkpoint is opened before the first benchmark runs.
class ConfigCases {
 public:
  explicit ConfigCases(LoadedConfig config);

  /// This must live as long as benchmarks run.
  void register_benchmarks();

  /// The worst of what has happened so far, as a run counts it; ok: all cases could run.
  ExitCode code() const { return code_; }

 private:
  enum class Phase { prefill, decode, e2e };
  struct Series {
    std::size_t index;  // into LoadedConfig::cases
    Path path;
    Phase phase;
  };

  void add(const Series& series);
  void run(benchmark::State& state, const Series& series);
  void time(benchmark::State& state, const Series& series);

  LoadedConfig config_;
  OpenCases cases_;
  ExitCode code_ = ExitCode::ok;
};

}  // namespace kvproof
