#include "harness/verify/verdict/sweeps.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <map>
#include <utility>

#include "harness/error.h"

namespace kvproof {
namespace {

const char* depth_word(Depth depth) { return depth == Depth::full ? "full" : "quick"; }

Json line_of(const VerifyReport& report, const std::string& checkpoint, uint64_t seed) {
  Json worst = Json::object();
  for (const Level level : kLevels) worst[level_code(level)] = report.level(level).worst_ratio;
  return {{"checkpoint", checkpoint},
          {"dtype", report.subject.dtype},
          {"depth", depth_word(report.options.depth)},
          {"seed", seed},
          {"verdict", to_string(report.verdict)},
          {"scenarios", report.outcomes.size()},
          {"worst", worst},
          {"explanation", report.explanation}};
}

/// The whole lines of a file; what a kill cut short is cut off.
std::vector<Json> read_lines(const std::filesystem::path& file) {
  std::vector<Json> lines;
  std::ifstream in(file, std::ios::binary);
  std::string text;
  std::uintmax_t whole = 0;
  while (std::getline(in, text)) {
    if (in.eof()) break;  // no newline behind it
    whole += text.size() + 1;
    Json line = Json::parse(text, nullptr, false);
    if (line.is_discarded())
      throw RecordError(file.string(),
                        fmt::format("line {} is not JSON; move the file away or mend it", lines.size() + 1));
    lines.push_back(std::move(line));
  }
  in.close();
  std::error_code error;
  if (std::filesystem::exists(file) && std::filesystem::file_size(file) > whole)
    std::filesystem::resize_file(file, whole, error);
  if (error) throw RecordError(file.string(), "cannot be cut to its last whole line: " + error.message());
  return lines;
}

void append(const std::filesystem::path& file, const Json& line) {
  std::ofstream out(file, std::ios::binary | std::ios::app);
  out << line.dump() << '\n' << std::flush;
  if (!out) throw RecordError(file.string(), "cannot be written; choose another file or make room");
}

}  // namespace

double share_at_most(int64_t k, int64_t n) {
  if (n == 0 || k >= n) return 1;
  // The share p at which k or fewer of n have a chance of 5 %, by bisection.
  const auto chance = [&](double p) {
    double sum = 0;
    for (int64_t i = 0; i <= k; ++i) {
      const double ways = std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(static_cast<double>(n - i) + 1.0);
      sum += std::exp(ways + static_cast<double>(i) * std::log(p) + static_cast<double>(n - i) * std::log1p(-p));
    }
    return sum;
  };
  double low = 0, high = 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (middle > 0 && chance(middle) > 0.05 ? low : high) = middle;
  }
  return high;
}

Json run_sweeps(const VerifyTarget& target, const VerifyOptions& options, int64_t count, const std::string& checkpoint,
                const std::filesystem::path& file) {
  const std::string dtype = target.tested.info().dtype;
  std::map<uint64_t, std::string> verdicts;  // by seed
  for (const Json& line : read_lines(file)) {
    if (line.value("checkpoint", "") == checkpoint && line.value("dtype", "") == dtype &&
        line.value("depth", "") == depth_word(options.depth))
      verdicts[line.value("seed", uint64_t{0})] = line.value("verdict", "");
  }
  std::map<std::string, int64_t> counts;
  for (uint64_t seed = options.seed; seed < options.seed + static_cast<uint64_t>(count); ++seed) {
    if (!verdicts.count(seed)) {
      VerifyOptions of_seed = options;
      of_seed.seed = seed;
      if (options.progress) {
        const int64_t done = static_cast<int64_t>(seed - options.seed);
        options.progress("sweeps", done + 1, count);
        of_seed.progress = {};
      }
      const VerifyReport report = verify(target, of_seed);
      append(file, line_of(report, checkpoint, seed));
      verdicts[seed] = to_string(report.verdict);
    }
    ++counts[verdicts[seed]];
  }
  return {{"sweeps", count},
          {"pass", counts["PASS"]},
          {"fail", counts["FAIL"]},
          {"inconclusive", counts["INCONCLUSIVE"]},
          {"alarm_rate_at_most", share_at_most(count - counts["PASS"], count)}};
}

}  // namespace kvproof
