// How does the time of a token grow with the tokens before it?
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/analysis/crossover.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"

namespace kvproof {
namespace {

constexpr int kGrowthLabelWidth = 22, kGrowthCellWidth = 9;

struct Curves {
  View one_case;
  Crossover cross;
};

std::vector<Curves> curves_of(const View& record) {
  std::vector<Curves> found;
  for (const View& one : record.at("cases").items()) {
    if (one.at("status").text() != "ok") continue;
    Curves curves{one, crossover(one)};
    if (curves.cross.has_curve()) found.push_back(std::move(curves));
  }
  return found;
}

/// A character for each value, as high as its share of `top`.
std::string bars(const std::vector<double>& values, double top) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string text;
  for (const double value : values) text += kBars[std::clamp(static_cast<int>(value / top * 8), 0, 7)];
  return text;
}

std::string row(const std::string& label, const std::vector<std::string>& cells, const std::string& end) {
  std::string line = left("    " + label, kGrowthLabelWidth);
  for (const std::string& cell : cells) line += right(cell, kGrowthCellWidth);
  return end.empty() ? line : line + "  " + end;
}

std::vector<std::string> cells_of(const std::vector<double>& values, const char* format, double unit) {
  std::vector<std::string> cells;
  for (const double value : values) cells.push_back(fmt::format(fmt::runtime(format), value / unit));
  return cells;
}

std::string slope_text(const std::optional<Growth>& growth) { return plain_number(growth->line.slope / 1e3) + " µs"; }

std::string exponent_text(const std::optional<Growth>& growth) {
  return growth->exponent ? fmt::format("{:.2f}", *growth->exponent) : kNone;
}

/// "engine ahead from token 2 on; 24 % of the speed-up that FLOPs allow".
std::string payoff_text(const Crossover& crossover) {
  std::string text = crossover.break_even ? fmt::format("engine ahead from token {} on", *crossover.break_even)
                                          : "engine not ahead by the last token";
  if (crossover.of_ceiling)
    text += fmt::format("; {:.0f} % of the speed-up that FLOPs allow", 100 * *crossover.of_ceiling);
  return text;
}

/// What reading one more position's keys and values takes at the rate the case's peak was measured at; "" where unknown.
std::string reading_text(const View& one) {
  const View path = one.at("paths").at("engine");
  if (!path.has("utilization") || path.at("utilization").is_null()) return "";
  const View decode = path.at("utilization").at("decode");
  if (decode.is_null()) return "";
  const auto peak = decode.at("peak_bytes_per_s").number_or_null();
  const auto bytes = one.at("work").at("kv_bytes_per_token").number_or_null();
  if (!peak || !bytes) return "";
  const auto rows = static_cast<double>(one.at("shape").at("rows").integer());
  return fmt::format(", of which reading its keys and values takes up to {} µs",
                     plain_number(rows * *bytes / *peak * 1e6));
}

void write_curves(const Curves& curves, Page& page) {
  const int64_t parts = (page.width() - kGrowthLabelWidth - 2) / (kGrowthCellWidth + 1);
  const Crossover& cross = curves.cross;
  const StepCurve naive = in_parts(cross.naive_steps, parts), engine = in_parts(cross.engine_steps, parts);
  const double top = std::max(*std::max_element(naive.ns.begin(), naive.ns.end()),
                              *std::max_element(engine.ns.begin(), engine.ns.end()));
  page.line();
  page.line("  " + cut(shown(curves.one_case.at("id")), page.width() - 2));
  page.line(page.painted(row("tokens before it", cells_of(naive.depth, "{:.0f}", 1), ""), Ink::dim));
  page.line(row("naive, ms", cells_of(naive.ns, "{:.3f}", 1e6), bars(naive.ns, top)));
  page.line(row("engine, ms", cells_of(engine.ns, "{:.3f}", 1e6), bars(engine.ns, top)));
  page.wrapped(left("    one more costs", kGrowthLabelWidth),
               fmt::format("naive {}, engine {}{}", slope_text(cross.naive), slope_text(cross.engine),
                           reading_text(curves.one_case)));
  page.wrapped(left("    grows with power", kGrowthLabelWidth),
               fmt::format("naive {}, engine {}", exponent_text(cross.naive), exponent_text(cross.engine)));
  if (cross.withheld) return;
  const bool verified = curves.one_case.at("speedup").at("verified").boolean();
  page.wrapped(left("    pays", kGrowthLabelWidth), payoff_text(cross) + (verified ? "" : " (?: not verified)"));
}

}  // namespace

void write_growth(const View& record, Page& page) {
  const std::vector<Curves> all = curves_of(record);
  if (all.empty()) return;
  page.line();
  page.line(page.painted("How does the time of a token grow?", Ink::bold));
  page.wrapped(
      "",
      "Medians of a step, all rows together, by how many tokens stand before the one that it computes; bars of both "
      "paths on one scale. one more costs: the slope of a robust line through all steps; grows with power: a, where "
      "time ~ tokens^a.",
      Ink::dim);
  for (const Curves& curves : all) write_curves(curves, page);
}

}  // namespace kvproof
