#include "harness/analysis/step_curve.h"

#include <algorithm>
#include <stdexcept>

namespace kvproof {
namespace {

double median_of(std::span<const double> values) { return *median(values); }

}  // namespace

int64_t depth_of(const View& one_case) {
  const View shape = one_case.at("shape");
  return shape.has("depth") ? shape.at("depth").integer() : 0;
}

int64_t tokens_before(const View& one_case) { return depth_of(one_case) + one_case.at("shape").at("P").integer(); }

StepCurve step_curve(const View& one_case, const std::string& path) {
  std::vector<std::vector<double>> samples;
  for (const View& sample : one_case.at("paths").at(path).at("samples").items()) {
    auto& times = samples.emplace_back();
    for (const View& gap : sample.at("itl_ns").items()) times.push_back(gap.number());
  }
  StepCurve curve;
  if (samples.empty()) return curve;
  const auto before = static_cast<double>(tokens_before(one_case));
  const auto shorter = [](const auto& a, const auto& b) { return a.size() < b.size(); };
  const std::size_t steps = std::min_element(samples.begin(), samples.end(), shorter)->size();
  for (std::size_t i = 0; i < steps; ++i) {
    std::vector<double> times;
    for (const auto& sample : samples) times.push_back(sample[i]);
    curve.depth.push_back(before + static_cast<double>(i));
    curve.ns.push_back(median_of(times));
  }
  return curve;
}

StepCurve in_parts(const StepCurve& curve, int64_t parts) {
  if (parts < 1) throw std::invalid_argument("in_parts: expected at least one part, got " + std::to_string(parts));
  const std::size_t n = std::min(static_cast<std::size_t>(parts), curve.size());
  StepCurve result;
  for (std::size_t part = 0; part < n; ++part) {
    const std::size_t begin = curve.size() * part / n, end = curve.size() * (part + 1) / n;
    result.depth.push_back(median_of(std::span(curve.depth).subspan(begin, end - begin)));
    result.ns.push_back(median_of(std::span(curve.ns).subspan(begin, end - begin)));
  }
  return result;
}

std::optional<Line> line_through(const StepCurve& curve) { return robust_line(curve.depth, curve.ns); }

}  // namespace kvproof
