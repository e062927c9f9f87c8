#include "harness/measure/utilization.h"

#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

// C 64, H 4, G 2, D 16, MLP 256, V 97, two layers, no windows, no value embeddings:
// a layer's matrices 64·64 (c_q) + 2·64·32 (c_k, c_v) + 64·64 (c_proj) + 2·64·256 (MLP) = 45056 elements, lm_head 97·64.
GptConfig plain_config() {
  ModelDims dims{64, 97, 2, 4, 2, 64, {}};
  return {dims, architecture_of("2025-10", dims)};
}

constexpr int64_t kMatmul = 2 * 45056 + 97 * 64;
constexpr int64_t kRow = 64;              // of the one embedding
constexpr int64_t kKey = 2 * 2 * 2 * 16;  // elements of a position's keys and values: 2 layers, K and V, G, D
const ElementBytes kBytes{4, 2, 4};       // float32 on embeddings stored in bfloat16
const Fact<int64_t> kCache = Fact<int64_t>::known(90'000);  // a step of 390 kB is out of it four times over
const Fact<int64_t> kLargeCache = Fact<int64_t>::known(1 << 20);

Peaks peaks_of_rates(double read_near, double read_far, double flops) {
  return {1,
          "float32",
          {{{kWeights, 385'408}, false, {{{"plain sum", read_near}}, 1}},
           {{kOutOfCache, 4 << 20}, true, {{{"plain sum", read_far}}, 1}}},
          {{square_shape(), {{{"LibTorch", flops}}, 1}}}};
}

CaseMeasurement measured(ScriptedSubject& subject, ManualProbe& probe, int64_t rows) {
  RepetitionPolicy policy;
  policy.repetitions = 2;
  return measure_repetitions(subject, request_of_rows(rows), policy, probe);
}

CaseUse standard_use(const Fact<Peaks>& peaks, const Fact<int64_t>& cache) {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const GptConfig config = plain_config();
  return case_use({config, kBytes, true, 10}, measured(subject, probe, 1), peaks, cache);
}

}  // namespace

TEST_CASE("weights stored are all, weights read one row of each embedding", "[utilization]") {
  const GptConfig config = plain_config();
  CHECK(weight_bytes_stored(config, kBytes) == 4 * kMatmul + 2 * 97 * kRow);
  CHECK(weight_bytes_read(config, kBytes, 1) == 4 * kMatmul + 2 * kRow);
  CHECK(weight_bytes_read(config, kBytes, 5) == 4 * kMatmul + 5 * 2 * kRow);
  const ModelDims dims{64, 97, 2, 4, 2, 64, {}};
  const GptConfig head(dims, architecture_of("head", dims));  // value embeddings on one layer of two: G·D more
  CHECK(weight_bytes_read(head, {4, 2, 4}, 3) - weight_bytes_read(head, {4, 2, 4}, 2) == 2 * (64 + 32));
}

TEST_CASE("mbu of decode is bytes of weights, keys and values over the forwards' time over the peak", "[utilization]") {
  const CaseUse use = standard_use(Fact<Peaks>::known(peaks_of_rates(16e12, 8e12, 1e13)), kCache);
  CHECK(use.weight_bytes_stored == 4 * kMatmul + 2 * 97 * kRow);
  const DecodeUse& engine = *use.engine.decode;
  CHECK(engine.weight_bytes_read == 4 * kMatmul + 2 * kRow);
  CHECK(engine.kv_bytes_read == 4 * kKey * (11 + 12) / 2.0);  // the tokens at 10 and 11 see 11 and 12 keys
  CHECK(engine.out_of_cache == true);
  const double bytes = 2 * (4 * kMatmul + 2 * kRow) + 4 * kKey * 23;
  CHECK(engine.bytes_per_s.median == Approx(bytes / 200e-9));  // two steps of 100 ns, sampling's 7 left out
  CHECK(*engine.peak_bytes_per_s == 8e12);
  CHECK(engine.mbu->median == Approx(bytes / 200e-9 / 8e12));
  CHECK(engine.mbu->n == 2);
  const DecodeUse& naive = *use.naive.decode;
  CHECK(naive.kv_bytes_read == 0);
  CHECK(naive.weight_bytes_read == 4 * kMatmul + 2 * kRow * (11 + 12) / 2.0);  // the whole text again
  CHECK(naive.mbu->median == Approx((2 * 4 * kMatmul + 2 * kRow * 23) / 2200e-9 / 8e12));
  CHECK(use_faults(use).empty());
}

TEST_CASE("what comes out of a cache is held against reading as much of it", "[utilization]") {
  const CaseUse use = standard_use(Fact<Peaks>::known(peaks_of_rates(16e12, 8e12, 1e13)), kLargeCache);
  CHECK(use.engine.decode->out_of_cache == false);
  CHECK(*use.engine.decode->peak_bytes_per_s == 16e12);
}

TEST_CASE("mfu of prefill is the path's FLOPs over its time over the peak", "[utilization]") {
  const CaseUse use = standard_use(Fact<Peaks>::known(peaks_of_rates(16e12, 8e12, 1e13)), kCache);
  // Ten tokens' matrices, 1 + … + 10 keys of 2 layers and 64 channels, logits once or ten times.
  const double body = 2.0 * 10 * 2 * 45056 + 4.0 * 55 * 2 * 64, logits = 2.0 * 97 * 64;
  CHECK(use.engine.prefill->flops == body + logits);
  CHECK(use.naive.prefill->flops == body + 10 * logits);
  CHECK(use.engine.prefill->flops_per_s.median == Approx((body + logits) / 600e-9));
  CHECK(use.engine.prefill->mfu->median == Approx((body + logits) / 600e-9 / 1e13));
  CHECK(use.naive.prefill->mfu->median == Approx((body + 10 * logits) / 1000e-9 / 1e13));
}

TEST_CASE("rows share the prompt and the weights, and read keys of their own while they run", "[utilization]") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  subject.naive = {{{1}, {1, 2, 3}, {1, 2}}, {}, 1000, 1100, 0, 0, 0};
  subject.engine = {{{1}, {1, 2, 3}, {1, 2}}, {}, 600, 100, 0, 0, 0};
  const GptConfig config = plain_config();
  const CaseUse use = case_use({config, kBytes, false, 10}, measured(subject, probe, 3),
                               Fact<Peaks>::known(peaks_of_rates(1, 1, 1)), kCache);
  CHECK(use.engine.decode->weight_bytes_read == (2 * 4 * kMatmul + 2 * kRow * (2 + 1)) / 2.0);
  CHECK(use.engine.decode->kv_bytes_read == 4 * kKey * (2 * 11 + 12) / 2.0);
  CHECK(use.naive.prefill->flops == Approx(3 * use.engine.prefill->flops));
}

TEST_CASE("reading faster than memory can is a fault, but not where a cache may have helped", "[utilization]") {
  const auto faults = [](double far, const Fact<int64_t>& cache) {
    return use_faults(standard_use(Fact<Peaks>::known(peaks_of_rates(1e12, far, 1e13)), cache));
  };
  CHECK(faults(4e12, kCache).empty());  // the engine reads at 3.91e12
  CHECK(
      faults(3e12, kCache) ==
      std::vector<std::string>{
          "decoding, engine read weights, keys and values at 3913.0 GB/s, 1.30 of the peak measured beside it (3000.0 "
          "GB/s), though they fit into no cache: the times or that peak are wrong; repeat on a quieter machine"});
  CHECK(faults(3e12, kLargeCache).empty());
  CHECK(faults(3e12, Fact<int64_t>::unknown("hidden")).empty());
  CHECK(faults(3e11, kCache).size() == 2);  // naive reads at 3.5e11
}

TEST_CASE("without peaks the bytes and FLOPs stand, and the shares say why there are none", "[utilization]") {
  const CaseUse use = standard_use(Fact<Peaks>::unknown("run.peaks is off"), kCache);
  CHECK(use.engine.decode->bytes_per_s.median > 0);
  CHECK(use.engine.decode->mbu.reason == "run.peaks is off");
  CHECK(use.engine.decode->peak_bytes_per_s.reason == "run.peaks is off");
  CHECK(use.engine.prefill->mfu.reason == "run.peaks is off");
  CHECK(use_faults(use).empty());
  CHECK(standard_use(Fact<Peaks>::known(Peaks{}), kCache).engine.decode->mbu.reason == "no peak was measured");
}

TEST_CASE("one token has no decode, and a clock that stands still no rate", "[utilization]") {
  ManualProbe probe;
  ScriptedSubject one(probe), still(probe);
  one.naive = one.engine = {{{1}}, {}, 600, 0, 7, 0, 0};
  still.naive = still.engine = {{{1, 2}}, {}, 0, 0, 0, 0, 0};
  const GptConfig config = plain_config();
  const auto peaks = Fact<Peaks>::known(peaks_of_rates(1, 1, 1));
  const CaseUse short_use = case_use({config, kBytes, true, 10}, measured(one, probe, 1), peaks, kCache);
  CHECK(short_use.engine.decode.reason == "one token was generated: there is nothing to decode");
  CHECK(short_use.engine.prefill.has_value());
  const CaseUse still_use = case_use({config, kBytes, true, 10}, measured(still, probe, 1), peaks, kCache);
  CHECK(still_use.engine.decode.reason == "the clock did not advance in one of the repetitions");
  CHECK(still_use.naive.prefill.reason == "the clock did not advance in one of the repetitions");
}
