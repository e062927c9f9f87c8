// A clock that says what a test wants and a subject that takes exactly as long as its script.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

#include <functional>
#include <string>
#include <vector>

#include "harness/measure/probe.h"
#include "harness/subject/subject.h"

namespace kvproof::testing {

class ManualProbe : public Probe {
 public:
  int64_t time_ns = 1'000'000;  // any start: only differences may matter
  std::string refusal;          // of reset_peak_rss
  int64_t peak = 0;

  int64_t now_ns() override { return time_ns; }
  int64_t cpu_ns() override { return 2 * time_ns; }
  int64_t context_switches() override { return time_ns / 100; }
  std::string reset_peak_rss() override {
    peak = 1000;
    return refusal;
  }
  Fact<int64_t> peak_rss_bytes() override { return Fact<int64_t>::known(peak); }
};

/// Each look at this clock takes its time.
class TickingProbe final : public ManualProbe {
 public:
  int64_t now_ns() override { return time_ns += 25; }
};

/// One call of `generate`: what it costs and yields.
struct Script {
  std::vector<std::vector<TokenId>> rows;  // generated tokens; a row that is shorter ended
  std::vector<ForcedTokens> forced;        // what its tools force, by row; empty: nothing
  int64_t prefill_ns = 0, step_ns = 0, sample_ns = 0;
  int64_t extra_forwards = 0;  // counted beyond what rows of these lengths take
  int64_t prefill_extra = 0;   // positions the first forward takes beyond the prompt
  double first_logit = 1;      // what the logits behind the prompt are
};

class ScriptedSubject : public Subject {
 public:
  explicit ScriptedSubject(ManualProbe& probe) : probe_(probe) {}

  Script naive, engine;
  std::function<void(Path, int64_t call)> before;  // may change the scripts; call counts from 0 over both paths
  std::vector<Path> calls;
  std::vector<GenerationRequest> requests;

  SubjectInfo info() const override { return {"scripted", "script", "float32", "cpu", 1, 100, 1000}; }
  LogitRows uncached_logits(const std::vector<TokenId>&, int64_t, StageSink*) override { return {}; }
  std::unique_ptr<SubjectCache> new_cache(int64_t, int64_t) override { return nullptr; }

  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    if (before) before(path, static_cast<int64_t>(calls.size()));
    calls.push_back(path);
    requests.push_back(request);
    const Script& script = path == Path::naive ? naive : engine;
    probe_.peak += path == Path::naive ? 500 : 50;
    GenerationResult result;
    const auto P = static_cast<int64_t>(request.prompt.size());
    std::size_t steps = 0;
    for (const auto& row : script.rows) steps = std::max(steps, row.size());
    for (std::size_t step = 0; step < steps; ++step) {
      GenerationStep taken{static_cast<int64_t>(step), {}, {}, {}};
      for (std::size_t row = 0; row < script.rows.size(); ++row) {
        if (step >= script.rows[row].size()) continue;
        taken.rows.push_back(static_cast<int64_t>(row));
        taken.tokens.push_back(script.rows[row][step]);
        taken.masks.push_back(is_forced(script, request, row, step) ? 0 : 1);
      }
      const auto running = static_cast<int64_t>(taken.rows.size());
      int64_t positions = path == Path::naive ? running * (P + static_cast<int64_t>(step)) : step == 0 ? P : running;
      if (step == 0) positions += script.prefill_extra;
      result.token_forwards += positions;
      probe_.time_ns += step == 0 ? script.prefill_ns : script.step_ns;
      observer->on_forward(positions);
      if (step == 0) observer->on_first_logits(at::full({1, 4}, script.first_logit));
      probe_.time_ns += script.sample_ns;
      observer->on_step(taken);
    }
    probe_.time_ns += 777;  // what comes after the last token is nobody's
    result.token_forwards += script.extra_forwards;
    result.steps = static_cast<int64_t>(steps);
    result.kv_cache_bytes = path == Path::naive ? 0 : 4096;
    for (std::size_t row = 0; row < script.rows.size(); ++row) {
      GeneratedRow out{request.prompt, std::vector<int>(request.prompt.size(), 0), Finish::length};
      for (std::size_t step = 0; step < script.rows[row].size(); ++step) {
        out.tokens.push_back(script.rows[row][step]);
        out.mask.push_back(is_forced(script, request, row, step) ? 0 : 1);
      }
      result.rows.push_back(out);
    }
    return result;
  }

 private:
  static bool is_forced(const Script& script, const GenerationRequest& request, std::size_t row, std::size_t step) {
    const auto at = static_cast<int64_t>(step);
    return (!script.forced.empty() && script.forced[row].count(at)) ||
           (!request.forced.empty() && request.forced[row].count(at));
  }

  ManualProbe& probe_;
};

/// P = 10, three tokens, one row: naive 1000 + 2 x 1100, engine 600 + 2 x 100, each + 7 of sampling per step.
inline ScriptedSubject standard_subject(ManualProbe& probe) {
  ScriptedSubject subject(probe);
  subject.naive = {{{1, 2, 3}}, {}, 1000, 1100, 7, 0, 0};
  subject.engine = {{{1, 2, 3}}, {}, 600, 100, 7, 0, 0};
  return subject;
}

inline GenerationRequest request_of_rows(int64_t rows) {
  GenerationRequest request;
  request.prompt = std::vector<TokenId>(10, 4);
  request.max_tokens = 3;
  request.num_samples = rows;
  request.sampler.temperature = 0;
  request.stop = request.tools = false;
  return request;
}

}  // namespace kvproof::testing
