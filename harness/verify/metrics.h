// Distances between two distributions over the vocabulary, gathered position by position.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kvproof {

struct LogitSummary {
  int64_t positions = 0;
  double max_abs = 0;
  double nmse = 0;                             // Σ error² / Σ reference²
  double kl_mean = 0, kl_max = 0, kl_p99 = 0;  // KL(reference || engine), nats; p99: the smallest value not below 99 %
  double same_top1 = 0;                        // share of positions, 0 … 1
  int64_t divergent_tokens = 0;                // positions whose argmax differs
  int64_t first_divergent = -1;                // the lowest of them; -1: none
  double slope = 0;                            // least squares of max abs error against position, per position
};

class LogitMetrics {
 public:
  /// reference, engine  (V) logits of one position
  void add(int64_t position, std::span<const double> reference, std::span<const double> engine);
  LogitSummary summary() const;

 private:
  std::vector<double> kl_, errors_, positions_;
  double squared_error_ = 0, squared_reference_ = 0, max_abs_ = 0;
  int64_t same_ = 0, first_divergent_ = -1;
};

/// KL(softmax(p) || softmax(q)), nats; rounding below zero is cut.
double kl_divergence(std::span<const double> p, std::span<const double> q);
/// The first of the largest.
int64_t argmax(std::span<const double> values);

}  // namespace kvproof
