#include "harness/measure/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "engine/model/cost_model.h"

namespace kvproof {
namespace {

constexpr double kNsPerSecond = 1e9;

struct Produced {
  int64_t tokens = 0, first_step = 0, steps = 0;  // steps: of the longest row
  explicit Produced(const std::vector<TokenStream>& streams) {
    for (const TokenStream& stream : streams) {
      const auto n = static_cast<int64_t>(stream.tokens.size());
      tokens += n;
      first_step += n > 0;
      steps = std::max(steps, n);
    }
  }
};

/// One number per repetition, summarized.
Fact<Summary> over(const std::vector<Sample>& samples, const std::function<double(const Sample&)>& value) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(value(sample));
  return Fact<Summary>::known(*summarize(values));
}

/// amount / time, per second.
Fact<Summary> rate(const std::vector<Sample>& samples, int64_t amount,
                   const std::function<int64_t(const Sample&)>& time_ns) {
  for (const Sample& sample : samples) {
    if (time_ns(sample) <= 0) return Fact<Summary>::unknown("the clock did not advance in one of the repetitions");
  }
  return over(samples, [&](const Sample& s) {
    return kNsPerSecond * static_cast<double>(amount) / static_cast<double>(time_ns(s));
  });
}

Fact<Interval> ratio(const CaseMeasurement& m, const std::function<int64_t(const Sample&)>& time_ns) {
  std::vector<double> naive, engine;
  for (std::size_t i = 0; i < m.naive.samples.size(); ++i) {
    naive.push_back(static_cast<double>(time_ns(m.naive.samples[i])));
    engine.push_back(static_cast<double>(time_ns(m.engine.samples[i])));
    if (naive.back() <= 0 || engine.back() <= 0) {
      return Fact<Interval>::unknown("the clock did not advance in one of the repetitions");
    }
  }
  return Fact<Interval>::known(*paired_ratio(naive, engine));
}

std::optional<std::string> reason_to_withhold(const CaseMeasurement& m, const Agreement& agreement,
                                              const CaseVerification& verification) {
  const auto faults = output_faults(agreement, verification);
  if (!faults.empty()) return faults.front();
  if (!m.invalid.empty()) return "the measurement is invalid: " + m.invalid.front();
  for (std::size_t row = 0; row < m.naive.streams.size(); ++row) {
    const std::size_t naive = m.naive.streams[row].tokens.size(), engine = m.engine.streams[row].tokens.size();
    if (naive == engine) continue;
    return fmt::format(
        "row {}: naive produced {} tokens, the engine {}: unequal work; `sampler.stop: off` makes it equal", row, naive,
        engine);
  }
  return std::nullopt;
}

void put_own_clocks(const std::vector<Sample>& samples, int64_t steps, PathMetrics& metrics) {
  const bool known = std::all_of(samples.begin(), samples.end(), [](const Sample& s) { return s.own_prefill_ns; });
  metrics.own_prefill_ns = metrics.own_tpot_ns = Fact<Summary>::unknown("the engine has no clock of its own");
  if (!known) return;
  metrics.own_prefill_ns = over(samples, [](const Sample& s) { return *s.own_prefill_ns; });
  if (steps < 2) return;
  const auto gaps = static_cast<double>(steps - 1);
  metrics.own_tpot_ns = over(samples, [&](const Sample& s) { return static_cast<double>(*s.own_decode_ns) / gaps; });
}

}  // namespace

PathMetrics path_metrics(const PathMeasurement& m) {
  const Produced produced(m.streams);
  const auto& samples = m.samples;
  PathMetrics metrics;
  metrics.e2e_ns = over(samples, [](const Sample& s) { return s.e2e_ns; });
  metrics.ttft_ns = over(samples, [](const Sample& s) { return s.ttft_ns; });
  metrics.prefill_ns = over(samples, [](const Sample& s) { return s.prefill_ns; });
  metrics.prefill_tok_per_s = rate(samples, m.prefill_positions, [](const Sample& s) { return s.prefill_ns; });
  metrics.output_tok_per_s = rate(samples, produced.tokens, [](const Sample& s) { return s.e2e_ns; });
  if (produced.steps < 2) {
    const std::string reason = "one token was generated: there is no gap between tokens";
    metrics.tpot_ns = metrics.decode_tok_per_s = metrics.decode_tok_per_s_without_sampling =
        Fact<Summary>::unknown(reason);
  } else {
    const int64_t decoded = produced.tokens - produced.first_step;
    const auto gaps = static_cast<double>(produced.steps - 1);
    metrics.tpot_ns = over(samples, [&](const Sample& s) { return static_cast<double>(s.e2e_ns - s.ttft_ns) / gaps; });
    metrics.decode_tok_per_s = rate(samples, decoded, [](const Sample& s) { return s.decode_ns(); });
    metrics.decode_tok_per_s_without_sampling =
        rate(samples, decoded, [](const Sample& s) { return s.decode_ns() - s.decode_sampling_ns(); });
  }
  put_own_clocks(samples, produced.steps, metrics);
  for (const Sample& sample : samples)
    metrics.itl_ns.insert(metrics.itl_ns.end(), sample.itl_ns.begin(), sample.itl_ns.end());
  return metrics;
}

std::vector<std::string> output_faults(const Agreement& agreement, const CaseVerification& verification) {
  std::vector<std::string> faults;
  if (agreement.verdict == Verdict::disagree) faults.push_back("the outputs disagree: " + agreement.explanation);
  if (verification.is(VerifyVerdict::fail) && !verification.latent_only)
    faults.push_back("verification failed: " + verification.explanation);
  return faults;
}

Speedup speedup(const CaseMeasurement& m, const Agreement& agreement, const CaseVerification& verification) {
  Speedup result;
  result.withheld = reason_to_withhold(m, agreement, verification);
  if (result.withheld) return result;
  result.e2e = ratio(m, [](const Sample& s) { return s.e2e_ns; });
  result.prefill = ratio(m, [](const Sample& s) { return s.prefill_ns; });
  result.decode = Produced(m.engine.streams).steps < 2
                      ? Fact<Interval>::unknown("one token was generated: there is nothing to decode")
                      : ratio(m, [](const Sample& s) { return s.decode_ns(); });
  const bool agrees = agreement.verdict == Verdict::agree || agreement.verdict == Verdict::tie;
  result.verified = agrees && (verification.is(VerifyVerdict::pass) || verification.latent_only);
  return result;
}

PathFlops path_flops(const GptConfig& config, bool naive_logits_at_all, int64_t prompt, int64_t kept,
                     const std::vector<int64_t>& lengths) {
  const int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  const double logits = flops_per_token(config, 0, true) - flops_per_token(config, 0, false);
  std::vector<double> upto = {0};  // upto[t]: positions 0 … t - 1 without logits
  for (int64_t t = 0; t < prompt + longest; ++t) upto.push_back(upto.back() + flops_per_token(config, t, false));
  PathFlops flops;
  flops.engine = upto[prompt] - upto[kept] + logits;  // the rows share the prompt
  for (const int64_t n : lengths) {
    for (int64_t i = 0; i < n; ++i) {
      flops.naive += upto[prompt + i] + logits * (naive_logits_at_all ? static_cast<double>(prompt + i) : 1.0);
    }
    if (n > 0) flops.engine += upto[prompt + n - 1] - upto[prompt] + logits * static_cast<double>(n - 1);
  }
  return flops;
}

double work_ratio(const CaseMeasurement& m) {
  return static_cast<double>(m.naive.result.token_forwards) / static_cast<double>(m.engine.result.token_forwards);
}

Work work_of(const GptConfig& config, const ElementBytes& bytes, bool naive_logits_at_all, int64_t prompt, int64_t kept,
             const CaseMeasurement& m) {
  std::vector<int64_t> lengths;
  for (const TokenStream& stream : m.engine.streams) lengths.push_back(static_cast<int64_t>(stream.tokens.size()));
  const PathFlops flops = path_flops(config, naive_logits_at_all, prompt, kept, lengths);
  Work work;
  work.work_ratio = work_ratio(m);
  work.ceiling = flops.naive / flops.engine;
  work.weight_bytes_stored = weight_bytes_stored(config, bytes);
  work.weight_bytes_read = weight_bytes_read(config, bytes, static_cast<int64_t>(lengths.size()));
  work.kv_bytes_per_token = kv_bytes_per_token(config, bytes.kv);
  return work;
}

}  // namespace kvproof
