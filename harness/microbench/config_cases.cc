#include "harness/microbench/config_cases.h"

#include <fmt/format.h>

#include <utility>

#include "harness/measure/group_run.h"
#include "harness/record/view.h"
#include "harness/report/words.h"

namespace kvproof {

ConfigCases::ConfigCases(LoadedConfig config) : config_(std::move(config)), cases_(config_) {}

void ConfigCases::register_benchmarks() {
  for (const std::size_t index : cases_.in_order()) {
    for (const Path path : {Path::naive, Path::engine}) {
      for (const Phase phase : {Phase::prefill, Phase::decode, Phase::e2e}) {
        if (phase == Phase::decode && config_.cases[index].sampler.max_tokens < 2) continue;  // one token has no decode
        add({index, path, phase});
      }
    }
  }
}

void ConfigCases::add(const Series& series) {
  const char* phase = series.phase == Phase::prefill ? "prefill" : series.phase == Phase::decode ? "decode" : "e2e";
  const char* path = series.path == Path::naive ? "naive" : "engine";
  const std::string name = fmt::format("{}/{}/{}", config_.cases[series.index].id, path, phase);
  benchmark::RegisterBenchmark(name.c_str(), [this, series](benchmark::State& state) { run(state, series); })
      ->MeasureProcessCPUTime()
      ->UseManualTime();
}

void ConfigCases::run(benchmark::State& state, const Series& series) {
  try {
    time(state, series);
  } catch (...) {
    const Json failed = failed_case(config_, series.index, code_);
    state.SkipWithError(error_text(View(failed).at("error")).c_str());
  }
}

void ConfigCases::time(benchmark::State& state, const Series& series) {
  const auto& [index, path, phase] = series;
  const std::string& id = config_.cases[index].id;
  OpenCase& one = cases_.open(index);
  state.SetLabel(one.label());
  const Extent extent = phase == Phase::prefill ? Extent::first_token : Extent::whole;
  const CallWork work = one.settle(path, extent);
  if (phase == Phase::decode && work.gaps == 0)
    throw Error("measurement", id,
                "one token was generated: there is no gap between tokens; sampler.stop: off goes on");

  const bool decodes = phase == Phase::decode;
  const int64_t iterations = decodes ? work.gaps : 1;  // of one call
  while (state.KeepRunningBatch(iterations)) {
    if (decodes) state.PauseTiming();  // of the CPU time: the clock that counts is the call's own
    const ClockedCall call = one.call(path, extent, [&] {
      if (decodes) state.ResumeTiming();
    });
    if (work_of(call) != work)
      throw Error("measurement", id,
                  "a generation did not do the work of the one before it; kvproof run says what differs");
    const Sample& sample = call.sample;
    const int64_t ns = phase == Phase::prefill ? sample.prefill_ns : decodes ? sample.decode_ns() : sample.e2e_ns;
    state.SetIterationTime(1e-9 * static_cast<double>(ns));
  }
  const int64_t tokens = phase == Phase::prefill ? work.prefill_positions : decodes ? work.decoded : work.tokens;
  state.counters["tok_per_s"] = {static_cast<double>(tokens) / static_cast<double>(iterations),
                                 benchmark::Counter::kIsIterationInvariantRate};
}

}  // namespace kvproof
