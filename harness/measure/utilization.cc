#include "harness/measure/utilization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/model/cost_model.h"

namespace kvproof {
namespace {

constexpr const char* kStill = "the clock did not advance in one of the repetitions";

/// Bytes of all decode steps of a path together.
struct DecodeBytes {
  double weights = 0, kv = 0;
  int64_t steps = 0;
};

DecodeBytes decode_bytes(const CaseShape& s, const std::vector<TokenStream>& streams, bool cached) {
  DecodeBytes sum;
  for (int64_t step = 1;; ++step) {
    const int64_t rows = std::count_if(streams.begin(), streams.end(), [&](const TokenStream& stream) {
      return static_cast<int64_t>(stream.tokens.size()) > step;
    });
    if (rows == 0) return sum;
    const int64_t tokens = cached ? rows : rows * (s.prompt + step);
    sum.weights += static_cast<double>(weight_bytes_read(s.config, s.bytes, tokens));
    if (cached) sum.kv += static_cast<double>(rows * kv_bytes_read(s.config, s.bytes.kv, s.prompt + step - 1));
    ++sum.steps;
  }
}

/// amount / time of each sample. Absent: a time of nothing.
std::optional<Summary> rates_of(const std::vector<Sample>& samples, double amount,
                                const std::function<int64_t(const Sample&)>& time_ns) {
  std::vector<double> rates;
  for (const Sample& sample : samples) {
    if (time_ns(sample) <= 0) return std::nullopt;
    rates.push_back(1e9 * amount / static_cast<double>(time_ns(sample)));
  }
  return summarize(rates);
}

Fact<Summary> share_of(const Summary& rates, const Fact<double>& peak) {
  if (!peak.has_value()) return Fact<Summary>::unknown(peak.reason);
  return Fact<Summary>::known({rates.median / *peak, rates.min / *peak, rates.max / *peak, rates.n});
}

template <class Peak>
Fact<double> rate_of(const Peak* peak) {
  return peak ? Fact<double>::known(peak->rates.best()->per_s) : Fact<double>::unknown("no peak was measured");
}

Fact<DecodeUse> decode_use(const CaseShape& s, const PathMeasurement& m, bool cached, const Fact<Peaks>& peaks,
                           const Fact<int64_t>& last_level) {
  const DecodeBytes bytes = decode_bytes(s, m.streams, cached);
  if (bytes.steps == 0) return Fact<DecodeUse>::unknown("one token was generated: there is nothing to decode");
  const auto rates = rates_of(m.samples, bytes.weights + bytes.kv,
                              [](const Sample& sample) { return sample.decode_ns() - sample.decode_sampling_ns(); });
  if (!rates) return Fact<DecodeUse>::unknown(kStill);
  const auto steps = static_cast<double>(bytes.steps);
  DecodeUse use{bytes.weights / steps, bytes.kv / steps, {}, *rates, {}, {}};
  const int64_t step = std::llround(use.weight_bytes_read + use.kv_bytes_read);
  use.out_of_cache = is_out_of_cache(step, last_level);
  use.peak_bytes_per_s =
      peaks.has_value() ? rate_of(read_peak_for(*peaks, step, use.out_of_cache)) : Fact<double>::unknown(peaks.reason);
  use.mbu = share_of(*rates, use.peak_bytes_per_s);
  return Fact<DecodeUse>::known(use);
}

Fact<PrefillUse> prefill_use(const CaseShape& s, const PathMeasurement& m, bool cached, const Fact<Peaks>& peaks) {
  if (m.prefill_positions == 0) return Fact<PrefillUse>::unknown("no prompt was pushed through the model");
  // The engine's rows share one prefill; naive has one for each.
  const int64_t first = cached ? s.kept : 0, count = s.prompt - first;
  const double prompts = static_cast<double>(m.prefill_positions) / static_cast<double>(count);
  PrefillUse use;
  use.flops = prompts * flops_of_forward(s.config, first, count, !cached && s.naive_logits_at_all);
  const auto rates = rates_of(m.samples, use.flops, [](const Sample& sample) { return sample.prefill_ns; });
  if (!rates) return Fact<PrefillUse>::unknown(kStill);
  use.flops_per_s = *rates;
  use.peak_flops_per_s = peaks.has_value() ? rate_of(gemm_peak_of(*peaks)) : Fact<double>::unknown(peaks.reason);
  use.mfu = share_of(*rates, use.peak_flops_per_s);
  return Fact<PrefillUse>::known(use);
}

void add_fault(const char* path, const PathUse& use, std::vector<std::string>& faults) {
  if (!use.decode.has_value()) return;
  const DecodeUse& decode = *use.decode;
  if (decode.out_of_cache != true || !decode.mbu.has_value() || decode.mbu->median <= 1) return;
  faults.push_back(fmt::format(
      "decoding, {} read weights, keys and values at {:.1f} GB/s, {:.2f} of the peak measured beside it ({:.1f} GB/s), "
      "though they fit into no cache: the times or that peak are wrong; repeat on a quieter machine",
      path, decode.bytes_per_s.median / 1e9, decode.mbu->median, *decode.peak_bytes_per_s / 1e9));
}

}  // namespace

int64_t weight_bytes_stored(const GptConfig& config, const ElementBytes& bytes) {
  const ParameterCount count = count_parameters(config);
  return bytes.matmul * (count.matmul + count.scalar) + bytes.embedding * count.embedding;
}

int64_t weight_bytes_read(const GptConfig& config, const ElementBytes& bytes, int64_t tokens) {
  return weight_bytes_read(config, bytes.matmul, 0) +
         tokens * bytes.embedding * (count_parameters(config).embedding / config.vocab_size);
}

CaseUse case_use(const CaseShape& shape, const CaseMeasurement& m, const Fact<Peaks>& peaks,
                 const Fact<int64_t>& last_level) {
  return {weight_bytes_stored(shape.config, shape.bytes),
          {decode_use(shape, m.naive, false, peaks, last_level), prefill_use(shape, m.naive, false, peaks)},
          {decode_use(shape, m.engine, true, peaks, last_level), prefill_use(shape, m.engine, true, peaks)}};
}

std::vector<std::string> use_faults(const CaseUse& use) {
  std::vector<std::string> faults;
  add_fault("naive", use.naive, faults);
  add_fault("engine", use.engine, faults);
  return faults;
}

}  // namespace kvproof
