// The kernels' benchmarks. Each reports what it moves, and `of_limit`: how near it comes to what the machine can (limits.h).
// `kernels/read` is a plain sum over as much memory by as many threads. Compare them within one run, interleaved:
//   kvproof-bench --benchmark_filter=kernels/ --benchmark_enable_random_interleaving=true --benchmark_repetitions=9
#include "harness/microbench/kernels.h"

#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/kernels/attention.h"
#include "engine/kernels/matmul.h"
#include "engine/kernels/thread_team.h"
#include "engine/kernels/vector_ops.h"
#include "harness/machine/peaks/read_memory.h"
#include "harness/microbench/limits.h"

namespace kvproof {
namespace {

using namespace kernels;  // NOLINT: what this file is about

constexpr int64_t kFarBytes = int64_t{440} << 20;  // more than a cache a model would share

// Memory out of cache that all benchmarks share.
void* far_memory() {
  static const ReadMemory kMemory(kFarBytes);
  return kMemory.data();
}

ThreadTeam& team_of(int64_t threads) {
  static std::map<int64_t, std::unique_ptr<ThreadTeam>> teams;
  auto& team = teams[threads];
  if (!team) team = std::make_unique<ThreadTeam>(static_cast<int>(threads));
  return *team;
}

std::vector<float> numbers(int64_t n) {
  std::vector<float> x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>((i * 7919 + 13) % 1000) / 1000 - 0.5f;
  return x;
}

template <typename T>
std::vector<T> stored(int64_t n) {
  const std::vector<float> x = numbers(n);
  std::vector<T> y(n);
  convert(x.data(), y.data(), n);
  return y;
}

template <typename T>
constexpr const char* kDtype = sizeof(T) == 2 ? "bfloat16" : "float32";

template <typename T>
constexpr int64_t kSize = static_cast<int64_t>(sizeof(T));

// The bound: reads all of the far memory once per iteration.
void read(benchmark::State& state) {
  ThreadTeam& team = team_of(state.range(0));
  const auto* p = static_cast<const float*>(far_memory());
  for (auto _ : state)
    team.run([&](Member& member) {
      const Range part = member.share(kFarBytes / 4, 128);
      benchmark::DoNotOptimize(sum_of(p + part.begin, part.size()));
    });
  report_work(state, {.threads = team.size(), .bytes = kFarBytes});
}

template <typename W>
void run_matmul(benchmark::State& state, const W* w, int64_t N, int64_t K, int64_t n, int64_t threads) {
  ThreadTeam& team = team_of(threads);
  const std::vector<float> x = numbers(n * K);
  std::vector<float> y(n * N);
  const Matmul<W, float> product{w, K, x.data(), K, y.data(), N, n, K};
  for (auto _ : state) {
    team.run([&](Member& member) { matmul(product, member.share(N, 8)); });
    benchmark::ClobberMemory();
  }
  report_work(state, {kDtype<W>, team.size(), N * K * kSize<W>, 2.0 * static_cast<double>(N * K * n)});
}

// Weights out of cache: rows, threads, K.
template <typename W>
void matmul_far(benchmark::State& state) {
  const int64_t K = state.range(2), N = kFarBytes / kSize<W> / K;
  run_matmul(state, static_cast<const W*>(far_memory()), N, K, state.range(0), state.range(1));
}

// Weights in cache, a small model's matrix: rows, N, K.
template <typename W>
void matmul_near(benchmark::State& state) {
  const int64_t N = state.range(1), K = state.range(2);
  const std::vector<W> w = stored<W>(N * K);
  run_matmul(state, w.data(), N, K, state.range(0), 1);
}

// One decode step's attention of a kv head of 128, in cache: keys, query heads that share it.
template <typename KV>
void attention(benchmark::State& state) {
  constexpr int64_t D = 128;
  const int64_t keys = state.range(0), group = state.range(1);
  const std::vector<KV> k = stored<KV>(keys * D), v = stored<KV>(keys * D);
  const std::vector<float> q = numbers(group * D);
  std::vector<float> out(group * D);
  const std::vector<Range> ranges(group, Range{0, keys});
  const Attention<KV, float> step{q.data(), D, k.data(), D, v.data(), D, out.data(), D, ranges.data(), group, D, 0.09f};
  for (auto _ : state) {
    attend(step);
    benchmark::ClobberMemory();
  }
  report_work(state, {kDtype<KV>, 1, 2 * keys * D * kSize<KV>, 4.0 * static_cast<double>(group * keys * D)});
}

// What a team costs where there is nothing to do: a run of `barriers` barriers.
void team_barriers(benchmark::State& state) {
  ThreadTeam& team = team_of(state.range(0));
  const int64_t barriers = state.range(1);
  for (auto _ : state)
    team.run([&](Member& member) {
      for (int64_t i = 0; i < barriers; ++i) member.barrier();
    });
}

// One of vector_ops over n elements in cache: Out ← In, in place where `accumulates`.
template <typename In, typename Out>
struct VectorOp {
  const char* name;
  void (*run)(const In* x, Out* y, int64_t n);
  bool accumulates = false;  // reads y too
};

template <typename In, typename Out>
void vector_op(benchmark::State& state, VectorOp<In, Out> op) {
  const int64_t n = state.range(0);
  const std::vector<In> x = stored<In>(n);
  std::vector<Out> y(n);
  for (auto _ : state) {
    op.run(x.data(), y.data(), n);
    benchmark::ClobberMemory();
  }
  report_work(state, {.bytes = n * (kSize<In> + (op.accumulates ? 2 : 1) * kSize<Out>)});
}

template <typename In, typename Out>
void register_op(const VectorOp<In, Out>& op) {
  benchmark::RegisterBenchmark((std::string("kernels/") + op.name).c_str(), vector_op<In, Out>, op)
      ->ArgName("n")
      ->Arg(1024)
      ->Arg(32768)
      ->Unit(benchmark::kMicrosecond);
}

// Of a head's n elements; the tables' rows stand where their values do not matter: behind x.
void rotate_head(const float* x, float* y, int64_t n) { rotate(x, x, x + n / 2, y, n); }
void rotate_norm_head(const float* x, float* y, int64_t n) { rotate_norm(x, x, x + n / 2, y, n, 1e-6f, 1.2f); }

void register_vector_ops() {
  using Floats = VectorOp<float, float>;
  register_op(Floats{"rms_norm", [](const float* x, float* y, int64_t n) { rms_norm(x, y, n, 1e-6f); }});
  register_op(Floats{"rotate", rotate_head});
  register_op(Floats{"rotate_norm", rotate_norm_head});
  register_op(Floats{"axpby", [](const float* x, float* y, int64_t n) { axpby(0.5f, x, 0.5f, y, y, n); }, true});
  register_op(Floats{"sigmoid", [](const float* x, float* y, int64_t n) { sigmoid(x, y, n, 2.f); }});
  register_op(Floats{"softcap", [](const float* x, float* y, int64_t n) { softcap(x, y, n, 15.f); }});
  register_op(Floats{"add/float32", [](const float* x, float* y, int64_t n) { add(x, y, n); }, true});
  register_op(VectorOp<Bfloat16, float>{
      "add/bfloat16", [](const Bfloat16* x, float* y, int64_t n) { add(x, y, n); }, true});
  register_op(Floats{"relu_squared/float32", [](const float* x, float* y, int64_t n) { relu_squared(x, y, n); }});
  register_op(VectorOp<Bfloat16, Bfloat16>{
      "relu_squared/bfloat16", [](const Bfloat16* x, Bfloat16* y, int64_t n) { relu_squared(x, y, n); }});
  register_op(VectorOp<Bfloat16, float>{
      "convert/widen", [](const Bfloat16* x, float* y, int64_t n) { convert(x, y, n); }});
  register_op(VectorOp<float, Bfloat16>{
      "convert/narrow", [](const float* x, Bfloat16* y, int64_t n) { convert(x, y, n); }});
}

template <typename W>
void register_type(const std::string& type) {
  const auto name = [&](const char* kernel) { return std::string("kernels/") + kernel + "/" + type; };
  benchmark::RegisterBenchmark(name("matmul_far").c_str(), matmul_far<W>)
      ->ArgNames({"rows", "threads", "K"})
      ->ArgsProduct({{1, 2, 4, 8, 16}, {1, 2}, {1024, 4096}})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark(name("matmul_near").c_str(), matmul_near<W>)
      ->ArgNames({"rows", "N", "K"})
      ->ArgsProduct({{1, 8}, {256}, {256, 1024}})
      ->ArgsProduct({{1, 8}, {1024}, {256}})
      ->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(name("attention").c_str(), attention<W>)
      ->ArgNames({"keys", "heads"})
      ->ArgsProduct({{512, 2048}, {1, 4}})
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_kernel_benchmarks() {
  benchmark::RegisterBenchmark("kernels/read", read)
      ->ArgName("threads")
      ->Arg(1)
      ->Arg(2)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  register_type<float>("float32");
  register_type<Bfloat16>("bfloat16");
  benchmark::RegisterBenchmark("kernels/barriers", team_barriers)
      ->ArgNames({"threads", "barriers"})
      ->ArgsProduct({{1, 2}, {0, 100}})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
  register_vector_ops();
}

}  // namespace kvproof
