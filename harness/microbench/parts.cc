#include "harness/microbench/parts.h"

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "engine/generate/sampler.h"
#include "engine/model/cost_model.h"
#include "engine/model/model.h"
#include "engine/tokenizer/tokenizer.h"
#include "harness/microbench/kernels.h"
#include "harness/microbench/limits.h"
#include "harness/subject/child_connection.h"
#include "harness/subject/child_subject.h"

namespace kvproof {
namespace {

const Checkpoint& checkpoint() {
  static const Checkpoint kCheckpoint = [] {
    if (const char* spec = std::getenv("KVPROOF_SYNTHETIC")) return synthesize_checkpoint(spec);
    const char* dir = std::getenv("KVPROOF_BASE_DIR");
    return load_checkpoint({.base_dir = dir ? dir : KVPROOF_SOURCE_DIR "/configs/checkpoints/demo-d4"});
  }();
  return kCheckpoint;
}

const Tokenizer& tokenizer() {
  static const Tokenizer kTokenizer = Tokenizer::load(checkpoint().location.tokenizer_dir);
  return kTokenizer;
}

// One at a time: while a native model lives LibTorch has one thread.
const Model& model(const std::string& backend, const std::string& dtype) {
  static std::unique_ptr<Model> made;
  static std::string what;
  if (what != backend + dtype) {
    made.reset();
    made = make_model(checkpoint(), {.backend = backend, .dtype = dtype, .device = "cpu"});
    what = backend + dtype;
  }
  return *made;
}

int64_t size_of(const std::string& dtype) { return dtype == "float32" ? 4 : 2; }

std::vector<int32_t> tokens(int64_t n) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>((i * 7919 + 13) % checkpoint().dims.vocab_size));
  return ids;
}

void prefill(benchmark::State& state, const std::string& backend, const std::string& dtype) {
  set_threads(static_cast<int>(state.range(1)));
  const Model& m = model(backend, dtype);
  const TokenBatch prompt = TokenBatch::single(tokens(state.range(0)));
  KVCache cache = m.new_cache(1, state.range(0));
  for (auto _ : state) {
    cache.reset();
    benchmark::DoNotOptimize(m.forward(prompt, cache, LogitsAt::last));
  }
  state.counters["tok_per_s"] = benchmark::Counter(static_cast<double>(state.range(0)), benchmark::Counter::kIsIterationInvariantRate);
  report_work(state, {dtype, static_cast<int>(state.range(1)), weight_bytes_read(m.config(), size_of(dtype), 1),
                      flops_of_forward(m.config(), 0, state.range(0), /*logits_at_all=*/false)});
}

// One step at a fixed depth: the cache is cut back after each, which costs nothing.
void decode(benchmark::State& state, const std::string& backend, const std::string& dtype) {
  set_threads(static_cast<int>(state.range(1)));
  const Model& m = model(backend, dtype);
  const int64_t depth = state.range(0), rows = state.range(2);
  KVCache one = m.new_cache(1, depth + 1);
  m.forward(TokenBatch::single(tokens(depth)), one, LogitsAt::last);
  KVCache cache = one.clone_rows(std::vector<int64_t>(rows, 0), depth + 1);
  const TokenBatch step = TokenBatch::column(std::vector<int32_t>(rows, 42));
  for (auto _ : state) {
    benchmark::DoNotOptimize(m.forward(step, cache, LogitsAt::last));
    for (int64_t b = 0; b < rows; ++b) cache.truncate(b, depth);
  }
  state.counters["tok_per_s"] = benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsIterationInvariantRate);
  const int64_t element = size_of(dtype);
  report_work(state, {dtype, static_cast<int>(state.range(1)),
                      weight_bytes_read(m.config(), element, rows) + rows * kv_bytes_read(m.config(), element, depth),
                      static_cast<double>(rows) * flops_per_token(m.config(), depth, /*with_logits=*/true)});
}

std::string served_command() {
  const std::string dir = checkpoint().location.base_dir.string();
  return std::string(KVPROOF_PROGRAM) + " subject --threads 1 --base-dir '" + dir + "' 2> /dev/null";
}

// What a request costs over kvproof-subject/1, with so many bytes in the answer.
void ping(benchmark::State& state) {
  static ChildConnection connection(ChildOptions{.command = served_command()});
  for (auto _ : state) benchmark::DoNotOptimize(connection.call({{"op", "ping"}, {"bytes", state.range(0)}}, "ping"));
}

// The step of `decode` as a subject makes it: in this process, or in a child.
void subject_decode(benchmark::State& state, bool in_child) {
  set_threads(1);
  std::unique_ptr<Subject> subject;
  if (in_child)
    subject = std::make_unique<ChildSubject>(ChildOptions{.command = served_command()});
  else
    subject = make_in_process_subject(model("auto", "float32"), nullptr);
  const int64_t depth = state.range(0);
  const auto cache = subject->new_cache(1, depth + 1000);
  cache->forward(TokenBatch::single(tokens(depth)), LogitsAt::last);
  const TokenBatch step = TokenBatch::column({42});
  double own_ns = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache->forward(step, LogitsAt::last));
    own_ns += static_cast<double>(subject->own_forward_ns().value_or(0));
    if (cache->length(0) < cache->capacity()) continue;
    state.PauseTiming();
    cache->truncate(0, depth);
    state.ResumeTiming();
  }
  // By the child's own clock: what is missing to the time of an iteration is the protocol's.
  if (in_child) state.counters["own_us"] = benchmark::Counter(own_ns / 1e3, benchmark::Counter::kAvgIterations);
}

// The naive path's last step after as many tokens.
void recompute(benchmark::State& state, const std::string& backend, const std::string& dtype) {
  set_threads(static_cast<int>(state.range(1)));
  const Model& m = model(backend, dtype);
  const TokenBatch all = TokenBatch::single(tokens(state.range(0) + 1));
  for (auto _ : state) benchmark::DoNotOptimize(m.forward(all, LogitsAt::all));
  report_work(state, {dtype, static_cast<int>(state.range(1)), weight_bytes_read(m.config(), size_of(dtype), 1),
                      flops_of_forward(m.config(), 0, state.range(0) + 1, /*logits_at_all=*/true)});
}

void sample(benchmark::State& state, SamplerSettings settings) {
  const c10::InferenceMode guard;
  const at::Tensor logits = at::sin(at::arange(state.range(0), at::kFloat) * 12.9898).mul_(8).unsqueeze(0);  // (1, V)
  Sampler sampler(settings, NanochatProcedure::engine);
  int64_t step = 0;
  for (auto _ : state) benchmark::DoNotOptimize(sampler.sample(logits, {0}, step++, 1));
}

void encode(benchmark::State& state, const std::string& piece) {
  std::string text;
  while (static_cast<int64_t>(text.size()) < state.range(0)) text += piece;
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer().encode(text));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}

}  // namespace

void register_part_benchmarks() {
  for (const std::string backend : {"native", "aten"}) {
    for (const std::string dtype : {"float32", "bfloat16"}) {
      const auto add = [&](const std::string& what, auto run) {
        return benchmark::RegisterBenchmark((what + "/" + backend + "/" + dtype).c_str(), run, backend, dtype)
            ->UseRealTime()->Unit(benchmark::kMillisecond);
      };
      add("prefill", prefill)->ArgNames({"tokens", "threads"})->ArgsProduct({{16, 128, 512}, {1, 2}});
      add("decode", decode)->ArgNames({"depth", "threads", "rows"})->ArgsProduct({{16, 128, 500, 1536}, {1, 2}, {1, 8}});
      add("recompute", recompute)->ArgNames({"depth", "threads"})->ArgsProduct({{16, 128, 500}, {1, 2}});
    }
  }
  benchmark::RegisterBenchmark("subject/ping", ping)->ArgName("bytes")->Arg(0)->Arg(2048 * 4)->Arg(50304 * 4)->UseRealTime()->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("subject/decode/in_process", subject_decode, false)->ArgName("depth")->Arg(128)->UseRealTime()->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("subject/decode/child", subject_decode, true)->ArgName("depth")->Arg(128)->UseRealTime()->Unit(benchmark::kMicrosecond);
  const std::vector<int64_t> vocabularies = {2048, 32768};
  benchmark::RegisterBenchmark("sample/greedy", sample, SamplerSettings{.temperature = 0})->ArgName("vocab")->ArgsProduct({vocabularies});
  benchmark::RegisterBenchmark("sample/per_row", sample, SamplerSettings{.temperature = 1})->ArgName("vocab")->ArgsProduct({vocabularies});
  benchmark::RegisterBenchmark("sample/per_row_top50", sample, SamplerSettings{.temperature = 1, .top_k = 50})
      ->ArgName("vocab")->ArgsProduct({vocabularies});
  benchmark::RegisterBenchmark("sample/nanochat", sample, SamplerSettings{.temperature = 1, .seed = 1, .mode = SamplerMode::nanochat})
      ->ArgName("vocab")->ArgsProduct({vocabularies});
  benchmark::RegisterBenchmark("tokenize/prose", encode, "And the LORD said unto Moses, 12 times 7 is 84. ")->ArgName("bytes")->Arg(1 << 20)->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("tokenize/one_letter", encode, "a")->ArgName("bytes")->Arg(1 << 20)->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("tokenize/spaces", encode, " ")->ArgName("bytes")->Arg(1 << 20)->Unit(benchmark::kMillisecond);
  register_kernel_benchmarks();
}

}  // namespace kvproof
