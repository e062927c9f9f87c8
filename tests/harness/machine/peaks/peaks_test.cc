#include "harness/machine/peaks/peaks.h"

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

MachineFacts machine(int cores, int64_t l2, int64_t l3) {
  MachineFacts facts;
  facts.cores = cores;
  facts.l2_bytes = l2 > 0 ? Fact<int64_t>::known(l2) : Fact<int64_t>::unknown("no L2");
  facts.l3_bytes = l3 > 0 ? Fact<int64_t>::known(l3) : Fact<int64_t>::unknown("no L3");
  return facts;
}

const Fact<int64_t> kPlenty = Fact<int64_t>::known(64 * 1024 * kMiB);

ReadPeak read_peak(const char* name, int64_t bytes, std::optional<bool> out, double rate) {
  return {{name, bytes}, out, {{{"own kernel", rate / 2}, {"plain sum", rate}}, 3}};
}

}  // namespace

TEST_CASE("out of cache is four times the last level or more", "[peaks]") {
  const Fact<int64_t> llc = last_level_cache(machine(2, 2 * kMiB, 32 * kMiB));
  CHECK(*llc == 32 * kMiB);
  CHECK(is_out_of_cache(128 * kMiB, llc) == true);
  CHECK(is_out_of_cache(128 * kMiB - 1, llc) == false);
  CHECK(*last_level_cache(machine(2, 2 * kMiB, 0)) == 2 * kMiB);  // a machine without L3
  CHECK(last_level_cache(machine(2, 0, 0)).reason == "no L3");
  CHECK_FALSE(is_out_of_cache(int64_t{1} << 40, last_level_cache(machine(2, 0, 0))).has_value());
}

TEST_CASE("the set out of cache is four times the last level, within 64 MiB, 1 GiB and an eighth of memory",
          "[peaks]") {
  const auto bytes = [](int64_t l3, const Fact<int64_t>& memory) {
    return out_of_cache_set(machine(2, 2 * kMiB, l3), memory).bytes;
  };
  CHECK(bytes(32 * kMiB, kPlenty) == 128 * kMiB);
  CHECK(bytes(8 * kMiB, kPlenty) == 64 * kMiB);
  CHECK(bytes(480 * kMiB, kPlenty) == 1024 * kMiB);  // what a virtual machine sees of a host's cache
  CHECK(bytes(480 * kMiB, Fact<int64_t>::known(2048 * kMiB)) == 256 * kMiB);
  CHECK(bytes(480 * kMiB, Fact<int64_t>::unknown("hidden")) == 1024 * kMiB);
  CHECK(out_of_cache_set(machine(2, 0, 0), kPlenty).bytes == 1024 * kMiB);
}

TEST_CASE("the set in cache is half of each core's L2, for no more cores than there are", "[peaks]") {
  CHECK(in_cache_set(machine(4, 2 * kMiB, 32 * kMiB), 1).bytes == kMiB);
  CHECK(in_cache_set(machine(4, 2 * kMiB, 32 * kMiB), 3).bytes == 3 * kMiB);
  CHECK(in_cache_set(machine(4, 2 * kMiB, 32 * kMiB), 64).bytes == 4 * kMiB);
  CHECK(in_cache_set(machine(4, 0, 32 * kMiB), 1).bytes == kMiB / 2);
  CHECK(in_cache_set(machine(512, 2 * kMiB, 32 * kMiB), 512).bytes == 64 * kMiB);
}

TEST_CASE("of two measurements the larger counts, by working set, size and shape", "[peaks]") {
  const GemmShape square = square_shape(), other{"c_fc", 64, 1024, 256};
  const Peaks before{1,
                     "float32",
                     {read_peak(kInCache, kMiB, false, 50), read_peak(kOutOfCache, 1024 * kMiB, true, 12)},
                     {{square, {{{"LibTorch", 100}}, 2}}}};
  const Peaks after{1,
                    "float32",
                    {read_peak(kOutOfCache, 1024 * kMiB, true, 14), read_peak(kInCache, 2 * kMiB, false, 70)},
                    {{square, {{{"LibTorch", 90}}, 3}}, {other, {{{"LibTorch", 95}}, 1}}}};
  const Peaks both = larger(before, after);
  REQUIRE(both.read.size() == 3);
  CHECK(both.read[0].rates.best()->per_s == 50);  // another size is another measurement
  CHECK(both.read[1].rates.best()->per_s == 14);
  CHECK(both.read[1].rates.rounds == 6);
  CHECK(both.read[2].rates.best()->per_s == 70);
  REQUIRE(both.gemm.size() == 2);
  CHECK(both.gemm[0].rates.best()->per_s == 100);
  CHECK(gemm_peak_of(both)->shape.name == "square");
  CHECK(gemm_peak_of(after)->shape.name == "c_fc");
  CHECK(gemm_peak_of(Peaks{}) == nullptr);
}

TEST_CASE("reading is held against the set out of cache, or against the one nearest in size", "[peaks]") {
  const Peaks peaks{1,
                    "float32",
                    {read_peak(kInCache, kMiB, false, 80), read_peak(kWeights, 20 * kMiB, false, 40),
                     read_peak(kOutOfCache, 512 * kMiB, true, 12)},
                    {}};
  const auto chosen = [&](int64_t bytes, std::optional<bool> out) {
    return read_peak_for(peaks, bytes, out)->set.name;
  };
  CHECK(chosen(21 * kMiB, false) == kWeights);
  CHECK(chosen(kMiB / 2, false) == kInCache);
  CHECK(chosen(600 * kMiB, false) == kOutOfCache);         // a cache of 480 MiB is reported: nothing measured is larger
  CHECK(chosen(400 * kMiB, std::nullopt) == kOutOfCache);  // nearest
  CHECK(chosen(30 * kMiB, true) == kOutOfCache);
  CHECK(read_peak_for(Peaks{}, kMiB, false) == nullptr);
}

TEST_CASE("a peak without a rate is passed over", "[peaks]") {
  Peaks peaks{1, "float32", {read_peak(kInCache, kMiB, false, 0), read_peak(kWeights, 20 * kMiB, false, 40)}, {}};
  CHECK(read_peak_for(peaks, kMiB, false)->set.name == kWeights);
  peaks.gemm = {{square_shape(), {{{"LibTorch", 0}}, 1}}};
  CHECK(gemm_peak_of(peaks) == nullptr);
  const auto json = peaks_json(peaks);
  CHECK(json["read"][0]["bytes_per_s"].is_null());
  CHECK(json["read"][0]["bytes_per_s_reason"] == "the clock did not advance");
  CHECK(json["read"][0]["by"].is_null());
}

TEST_CASE("peaks as JSON name what was measured, what won and what else was tried", "[peaks]") {
  const Peaks peaks{2,
                    "bfloat16",
                    {read_peak(kOutOfCache, 1024 * kMiB, std::nullopt, 14)},
                    {{{"c_fc", 64, 1024, 256}, {{{"LibTorch", 90}, {"LibTorch by columns", 95}}, 3}}}};
  CHECK(peaks_json(peaks) == nlohmann::ordered_json::parse(
                                 R"({"threads": 2, "dtype": "bfloat16",
                "read": [{"working_set": "out_of_cache", "bytes": 1073741824, "out_of_cache": null, "bytes_per_s": 14.0,
                          "by": "plain sum", "ways": {"own kernel": 7.0, "plain sum": 14.0}, "rounds": 3}],
                "gemm": [{"shape": "c_fc", "m": 64, "n": 1024, "k": 256, "flops_per_s": 95.0,
                          "by": "LibTorch by columns", "ways": {"LibTorch": 90.0, "LibTorch by columns": 95.0},
                          "rounds": 3}]})"));
}
