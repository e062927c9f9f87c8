#include "harness/verify/metrics.h"

#include <algorithm>
#include <cmath>

#include "harness/verify/gates.h"

namespace kvproof {
namespace {

double log_sum_exp(std::span<const double> logits) {
  const double top = logits[argmax(logits)];
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - top);
  return top + std::log(sum);
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace

int64_t argmax(std::span<const double> values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

double kl_divergence(std::span<const double> p, std::span<const double> q) {
  const double log_p = log_sum_exp(p), log_q = log_sum_exp(q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i] - log_p) * ((p[i] - log_p) - (q[i] - log_q));
  return std::max(sum, 0.0);
}

void LogitMetrics::add(int64_t position, std::span<const double> reference, std::span<const double> engine) {
  const double error = max_distance(reference, engine);
  max_abs_ = std::max(max_abs_, error);
  if (!std::isfinite(error)) return;  // no distribution to compare; max_abs says so
  for (std::size_t i = 0; i < reference.size(); ++i) {
    squared_error_ += (engine[i] - reference[i]) * (engine[i] - reference[i]);
    squared_reference_ += reference[i] * reference[i];
  }
  kl_.push_back(kl_divergence(reference, engine));
  errors_.push_back(error);
  positions_.push_back(static_cast<double>(position));
  if (argmax(reference) == argmax(engine)) {
    ++same_;
  } else if (first_divergent_ < 0 || position < first_divergent_) {
    first_divergent_ = position;
  }
}

LogitSummary LogitMetrics::summary() const {
  LogitSummary s;
  s.positions = static_cast<int64_t>(kl_.size());
  s.max_abs = max_abs_;
  if (kl_.empty()) return s;
  s.nmse = squared_reference_ > 0 ? squared_error_ / squared_reference_ : 0;
  std::vector<double> sorted = kl_;
  std::sort(sorted.begin(), sorted.end());
  s.kl_mean = mean(sorted);
  s.kl_max = sorted.back();
  s.kl_p99 = sorted[static_cast<std::size_t>(std::ceil(0.99 * static_cast<double>(sorted.size()))) - 1];
  s.same_top1 = static_cast<double>(same_) / static_cast<double>(s.positions);
  s.divergent_tokens = s.positions - same_;
  s.first_divergent = first_divergent_;
  const double mean_position = mean(positions_), mean_error = mean(errors_);
  double covariance = 0, variance = 0;
  for (std::size_t i = 0; i < errors_.size(); ++i) {
    covariance += (positions_[i] - mean_position) * (errors_[i] - mean_error);
    variance += (positions_[i] - mean_position) * (positions_[i] - mean_position);
  }
  s.slope = variance > 0 ? covariance / variance : 0;
  return s;
}

}  // namespace kvproof
