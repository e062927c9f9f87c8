#include "harness/measure/run_peaks.h"

#include <new>

#include "tests/harness/measure/fake_peaks.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

PeakRequest request_of(int64_t threads, const std::string& dtype, int64_t weights = 5 << 20) {
  return {threads, dtype, {{kInCache, 1 << 20}, {kWeights, weights}}, {square_shape()}, {}};
}

}  // namespace

TEST_CASE("the larger of all measurements counts, threads and dtypes apart", "[peaks]") {
  double rate = 0;
  RunPeaks peaks([&](const PeakRequest& request) { return peaks_of(request, rate, 10 * rate); });
  for (const double next : {3.0, 5.0, 4.0}) {
    rate = next;
    peaks.measure(request_of(1, "float32"));
    peaks.cases_ran();
  }
  rate = 2;
  peaks.measure(request_of(2, "float32"));
  peaks.measure(request_of(1, "bfloat16"));
  CHECK(peaks.of(1, "float32")->read[0].rates.best()->per_s == 5);
  CHECK(peaks.of(1, "float32")->gemm[0].rates.best()->per_s == 50);
  CHECK(peaks.of(2, "float32")->read[0].rates.best()->per_s == 2);
  CHECK(peaks.all().size() == 3);
  CHECK(peaks.of(2, "bfloat16").reason == "no peaks were measured");
}

TEST_CASE("what was measured after one group is not measured again before the next", "[peaks]") {
  int measured = 0;
  RunPeaks peaks([&](const PeakRequest& request) { return ++measured, peaks_of(request, 1, 1); });
  peaks.measure(request_of(1, "float32"));
  peaks.cases_ran();
  peaks.measure(request_of(1, "float32"));
  CHECK(measured == 2);
  peaks.measure(request_of(1, "float32"));
  CHECK(measured == 2);
  peaks.measure(request_of(1, "float32", 6 << 20));  // another model's weights
  CHECK(measured == 3);
  peaks.measure(request_of(2, "float32", 6 << 20));
  CHECK(measured == 4);
}

TEST_CASE("what an earlier process measured counts where it is the larger", "[peaks]") {
  double rate = 5;
  RunPeaks before([&](const PeakRequest& request) { return peaks_of(request, rate, 10 * rate, true); });
  before.measure(request_of(1, "float32"));
  rate = 3;
  RunPeaks peaks([&](const PeakRequest& request) { return peaks_of(request, rate, 100 * rate, true); });
  const nlohmann::ordered_json entry = peaks_json(before.all().front());
  peaks.take(View(entry));
  CHECK(peaks_json(peaks.all().front()) == entry);
  peaks.measure(request_of(1, "float32"));
  REQUIRE(peaks.all().size() == 1);
  CHECK(peaks.of(1, "float32")->read[0].rates.best()->per_s == 5);
  CHECK(peaks.of(1, "float32")->read[0].out_of_cache == true);
  CHECK(peaks.of(1, "float32")->gemm[0].rates.best()->per_s == 300);
}

TEST_CASE("a machine that multiplies slower behind the cases than before them is told of", "[peaks]") {
  double flops = 100e9;
  RunPeaks peaks([&](const PeakRequest& request) { return peaks_of(request, 1, flops); });
  const auto measure_at = [&](double rate, int64_t threads) {
    flops = rate;
    peaks.measure(request_of(threads, "float32"));
    peaks.cases_ran();
  };
  measure_at(100e9, 1);
  measure_at(80e9, 1);
  measure_at(70e9, 2);  // other threads have another rate
  measure_at(75e9, 2);
  CHECK(peaks.slowdowns().empty());
  measure_at(59e9, 2);
  CHECK(peaks.slowdowns() ==
        std::vector<std::string>{
            "the machine became slower: with 2 threads in float32 it multiplied 75 GFLOP/s before some cases, 59 behind "
            "them (throttling, or other programs); let it cool and rest, and repeat"});
}

TEST_CASE("memory that runs out is the reason for there being no peaks", "[peaks]") {
  RunPeaks peaks([](const PeakRequest&) -> Peaks { throw std::bad_alloc(); });
  peaks.measure(request_of(1, "float32"));
  CHECK(peaks.of(1, "float32").reason == "the memory to measure the peaks in could not be had");
}

TEST_CASE("a model asks for its own sizes: its weights, and its MLP over a prompt", "[peaks]") {
  const ModelDims dims{64, 97, 2, 4, 2, 64, {}};
  const GptConfig config(dims, architecture_of("2025-10", dims));
  MachineFacts facts;
  facts.cores = 2;
  facts.l2_bytes = Fact<int64_t>::known(1 << 20);
  facts.l3_bytes = Fact<int64_t>::known(32 << 20);
  SubjectInfo info;
  info.threads = 2;
  info.dtype = "bfloat16";
  const ElementBytes bytes{2, 2, 2};
  const auto memory = Fact<int64_t>::known(int64_t{64} << 30);
  const PeakRequest request = peak_request(facts, memory, info, config, bytes);
  CHECK(request.threads == 2);
  CHECK(request.dtype == "bfloat16");
  REQUIRE(request.read.size() == 3);
  CHECK(request.read[0].bytes == 1 << 20);
  CHECK(request.read[1].name == kWeights);
  CHECK(request.read[1].bytes == weight_bytes_read(config, bytes, 1));
  CHECK(request.read[2].bytes == 128 << 20);
  REQUIRE(request.gemm.size() == 3);
  CHECK(request.gemm[1].n == 256);
  CHECK(request.gemm[1].k == 64);
  CHECK(request.gemm[2].n == 64);
  CHECK(request.gemm[2].m == 256);
}

TEST_CASE("weights as large as the memory that is read out of cache need no measurement of their own", "[peaks]") {
  const ModelDims dims{64, 32768, 2, 16, 16, 2048, {}};
  const GptConfig config(dims, architecture_of("2025-10", dims));
  MachineFacts facts;
  facts.l3_bytes = Fact<int64_t>::known(1 << 20);
  const PeakRequest request = peak_request(facts, Fact<int64_t>::unknown(""), SubjectInfo{}, config, {4, 4, 4});
  REQUIRE(request.read.size() == 2);
  CHECK(request.read[1].name == kOutOfCache);
  for (const GemmShape& shape : request.gemm)
    CHECK(shape.flops() <= 4e9);  // slow machines wait no longer for wide layers
}

TEST_CASE("a subject on no CPU, with no known threads or in another dtype has no peaks", "[peaks]") {
  SubjectInfo info;
  info.device = "cpu";
  info.dtype = "float32";
  info.threads = 2;
  CHECK(why_no_peaks(info).empty());
  info.threads = 0;
  CHECK(why_no_peaks(info) == "the subject does not say with how many threads it runs");
  info.device = "cuda:0";
  CHECK(why_no_peaks(info) == "peaks are those of the CPU, this ran on cuda:0");
  info = {};
  info.device = "cpu", info.threads = 1, info.dtype = "q4_0";
  CHECK(why_no_peaks(info) == "there are no peaks of q4_0");
}
