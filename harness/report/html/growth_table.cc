// How the time of a token grows, as a table of the cases that have a curve. Numbers as people read them, with their
// unrounded values beside them in <data>.
#include <fmt/format.h>

#include "harness/analysis/crossover.h"
#include "harness/report/html/markup.h"
#include "harness/report/html/sections.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"

namespace kvproof {
namespace {

/// Spanning both rows where it is the case's, not a path's.
std::string cell(const Json& value, const std::string& text, bool of_case = false) {
  const char* span = of_case ? " rowspan=\"2\"" : "";
  if (value.is_null()) return fmt::format("<td{}>{}</td>", span, html_text(text));
  return fmt::format("<td{}><data value=\"{}\">{}</data></td>", span, value.dump(), html_text(text));
}

std::string path_cells(const char* path, const Json& figures) {
  const auto of = [&](const char* name) { return figures.at(path).at(name); };
  const Json zero = of("step_ns_at_zero"), slope = of("step_ns_per_token"), power = of("growth_exponent");
  return fmt::format("<th scope=\"row\" class=\"{0}\">{0}</th>", path) + cell(zero, milliseconds(zero.get<double>())) +
         cell(slope, plain_number(slope.get<double>() / 1e3) + " µs") +
         cell(power, power.is_null() ? kNone : fmt::format("{:.2f}", power.get<double>()));
}

std::string case_cells(const View& one, const Crossover& cross, const Json& figures) {
  const char* mark = one.at("speedup").at("verified").boolean() ? "" : "?";
  const Json &ahead = figures.at("break_even_tokens"), &share = figures.at("of_ceiling");
  const std::string none = cross.withheld ? "withheld" : "not within the case";
  return cell(ahead, ahead.is_null() ? none : fmt::format("token {}{}", ahead.get<int64_t>(), mark), true) +
         cell(share, share.is_null() ? kNone : fmt::format("{:.0f} %{}", 100 * share.get<double>(), mark), true);
}

std::string rows_of(const View& one, const Crossover& cross) {
  const Json figures = figures_of(cross);
  return fmt::format(
      "<tbody><tr><th scope=\"rowgroup\" rowspan=\"2\">{}<small>{}</small></th><td rowspan=\"2\">{:.0f} … "
      "{:.0f}</td>{}{}"
      "</tr>\n<tr>{}</tr></tbody>\n",
      html_text(shown(one.at("id"))), html_text(shape_of(one)), cross.naive_steps.depth.front(),
      cross.naive_steps.depth.back(), path_cells("naive", figures), case_cells(one, cross, figures),
      path_cells("engine", figures));
}

constexpr const char* kHead =
    "<section id=\"growth\">\n<h2>How does the time of a token grow?</h2>\n<div class=\"scroll\" tabindex=\"0\">\n"
    "<table>\n<thead><tr><th scope=\"col\">case</th><th scope=\"col\">tokens before it</th><th scope=\"col\">path</th>"
    "<th scope=\"col\">fitted at 0 tokens</th><th scope=\"col\">each token more</th><th scope=\"col\">grows with "
    "power</th>"
    "<th scope=\"col\">engine ahead from</th><th scope=\"col\">of what FLOPs allow</th></tr></thead>\n";
constexpr const char* kLegend =
    "</table>\n</div>\n<p class=\"legend\">A robust line (Theil and Sen) through the medians of all decode steps, all "
    "rows together, over the tokens before the one that a step computes: its value at 0, which nobody measured, and "
    "its slope. Power: a, where time ~ tokens<sup>a</sup>. Engine ahead from: the generated token from which on the "
    "engine has taken less time in all, its prefill included.</p>\n</section>\n";

}  // namespace

std::string growth_section(const View& record) {
  std::string rows;
  for (const View& one : record.at("cases").items()) {
    if (one.at("status").text() != "ok") continue;
    const Crossover cross = crossover(one);
    if (cross.has_curve()) rows += rows_of(one, cross);
  }
  return rows.empty() ? "" : kHead + rows + kLegend;
}

}  // namespace kvproof
