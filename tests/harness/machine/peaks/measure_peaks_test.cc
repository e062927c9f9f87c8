#include "harness/machine/peaks/measure_peaks.h"

#include <ATen/Parallel.h>

#include <numeric>

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

std::vector<std::string> ways_of(const Rates& rates) {
  std::vector<std::string> names;
  for (const NamedRate& way : rates.ways) names.push_back(way.by);
  return names;
}

/// A clock that advances by a microsecond at each look: no test waits, and rates are exact.
Clock ticking() {
  return [now = int64_t{0}]() mutable { return now += 1000; };
}

MachineFacts small_machine() {
  MachineFacts facts;
  facts.cores = 2;
  facts.l2_bytes = facts.l3_bytes = Fact<int64_t>::known(64 << 10);
  return facts;
}

}  // namespace

TEST_CASE("every way of every dtype and number of threads is timed, and the rate is work over time", "[peaks]") {
  const auto dtype = GENERATE("float32", "bfloat16", "float16", "float64");
  const int threads = GENERATE(1, 2, 3);
  CAPTURE(dtype, threads);
  const ReadMemory memory(1 << 20);
  PeakRequest request{threads, dtype, {{kInCache, 64 << 10}, {kOutOfCache, 1 << 20}}, {{"small", 5, 48, 33}}, {0, 1}};
  const int before = at::get_num_threads();
  const Peaks peaks = measure_peaks(request, small_machine(), memory, ticking());
  CHECK(at::get_num_threads() == before);
  CHECK(peaks.threads == threads);
  CHECK(peaks.dtype == dtype);
  REQUIRE(peaks.read.size() == 2);
  CHECK(peaks.read[0].out_of_cache == false);
  CHECK(peaks.read[1].out_of_cache == true);
  const bool own = std::string(dtype) != "float16";
  CHECK(ways_of(peaks.read[0].rates) ==
        (own ? std::vector<std::string>{"own kernel", "plain sum"} : std::vector<std::string>{"plain sum"}));
  // 64 MiB in passes, a microsecond by that clock.
  for (const NamedRate& way : peaks.read[0].rates.ways) CHECK(way.per_s == (64 << 20) * 1e6);
  REQUIRE(peaks.gemm.size() == 1);
  CHECK(ways_of(peaks.gemm[0].rates) == (threads > 1 ? std::vector<std::string>{"LibTorch", "LibTorch by columns"}
                                                     : std::vector<std::string>{"LibTorch"}));
  for (const NamedRate& way : peaks.gemm[0].rates.ways) CHECK(way.per_s == 2 * 5 * 48 * 33 * 1e6);
}

TEST_CASE("the plain sum is the sum", "[peaks]") {
  std::vector<float> numbers(256 + 5);
  std::iota(numbers.begin(), numbers.end(), 1.f);
  CHECK(sum_of(numbers.data(), 256) == 256 * 257 / 2);
  CHECK(sum_of(numbers.data(), 261) == 256 * 257 / 2);  // what is left over of 128 is left out
  CHECK(sum_of(numbers.data(), 0) == 0);
}

TEST_CASE("memory to read is zeros in whole huge pages", "[peaks]") {
  const ReadMemory memory((2 << 20) + 1);
  CHECK(memory.bytes() == 4 << 20);
  CHECK(sum_of(static_cast<const float*>(memory.data()), memory.bytes() / 4) == 0);
}

TEST_CASE("a dtype without peaks and memory that is too small are refused", "[peaks]") {
  const ReadMemory memory(1 << 20);
  CHECK_FALSE(has_peaks("int8"));
  CHECK_THROWS_WITH(measure_peaks({1, "int8", {}, {}, {}}, small_machine(), memory, ticking()),
                    "a dtype without peaks: int8");
  CHECK_THROWS_WITH(measure_peaks({1, "float32", {{kInCache, 4 << 20}}, {}, {}}, small_machine(), memory, ticking()),
                    "less memory than the working set in_cache");
  CHECK_THROWS_WITH(measure_peaks({1, "float32", {}, {{"none", 0, 1, 1}}, {}}, small_machine(), memory, ticking()),
                    "an empty product: none");
}
