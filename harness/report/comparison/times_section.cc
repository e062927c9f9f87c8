// Times: a row for each case and metric, the word for it in front, what the word stands on behind it.
#include <fmt/format.h>

#include <algorithm>

#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/sections.h"
#include "harness/report/comparison/words.h"
#include "harness/report/numbers.h"
#include "harness/report/text.h"

namespace kvproof::comparison {
namespace {

// Columns: 4 + verdict + 1 + metric + 1 + ratio + 1 + direction + 1 + interval + 2 + δ + 2 + MDE.
constexpr int kIndent = 4, kRatio = 7, kDirection = 6, kInterval = 14, kShare = 6, kTime = 9;
constexpr int kWithoutMetric =
    kIndent + kVerdictWidth + 1 + 1 + kRatio + 1 + kDirection + 1 + kInterval + 2 + 5 + 2 + kShare;
constexpr int kTimes = 2 + kTime + 2 + kTime;
constexpr int kShortestMetric = 17;  // "engine_decode cpu"
constexpr int kWide = kWithoutMetric + kShortestMetric + kTimes;

/// One row of any of the tables: times against their base, controls, times of two runs.
struct TimesRow {
  std::string verdict, metric;
  Ratio ratio;
  std::string margin, detectable, base, candidate;
};

class Rows {
 public:
  Rows(const Timing& timing, Page& page) : page_(page), wide_(page.width() >= kWide) {
    int longest = kShortestMetric;
    for (const Metric& metric : timing.metrics) longest = std::max(longest, display_width(told(metric.name)));
    const int room = page.width() - kWithoutMetric - (wide_ ? kTimes : 0);
    metric_ = std::min(longest, std::max(room, kShortestMetric));
  }

  bool wide() const { return wide_; }

  void heading(const char* margin, const char* detectable) {
    std::string text = left("", kIndent + kVerdictWidth + 1 + metric_ + 1) + right("ratio", kRatio) +
                       left("", 1 + kDirection + 1) + right("interval", kInterval) + "  " + right(margin, 5) + "  " +
                       right(detectable, kShare);
    if (wide_) text += "  " + right("base", kTime) + "  " + right("candidate", kTime);
    page_.line(page_.painted(text.substr(0, text.find_last_not_of(' ') + 1), Ink::dim));
  }

  /// The case's name where it is not that of the row before.
  void name(const std::string& case_id) {
    if (case_id == last_) return;
    last_ = case_id;
    page_.wrapped("  ", told(case_id), Ink::bold);
  }

  void row(const TimesRow& row) {
    std::string text = verdict_label(row.verdict, kIndent, page_) + " ";
    if (display_width(row.metric) > metric_) {
      page_.wrapped(text, row.metric);
      text = left("", kIndent + kVerdictWidth + 1 + metric_);
    } else {
      text += left(row.metric, metric_);
    }
    text += fmt::format(" {} {} {}  {}  {}", right(ratio_text(row.ratio.value), kRatio),
                        left(direction(row.ratio.value), kDirection), right(interval_text(row.ratio), kInterval),
                        right(row.margin, 5), right(row.detectable, kShare));
    if (wide_) text += "  " + right(row.base, kTime) + "  " + right(row.candidate, kTime);
    page_.line(text);
  }

  void remark(const std::string& text) { page_.wrapped(left("", kIndent + kVerdictWidth + 1), text); }

 private:
  Page& page_;
  bool wide_;
  int metric_ = kShortestMetric;
  std::string last_;
};

void write_metric(const Metric& metric, Rows& rows) {
  rows.name(metric.case_id);
  const bool judged = !metric.verdict.empty();
  rows.row({metric.verdict, told(metric.name), metric.ratio, judged ? share_text(metric.margin) : "",
            judged ? share_text(metric.minimum_detectable) : "", milliseconds(metric.base_ns),
            milliseconds(metric.candidate_ns)});
  std::vector<std::string> remarks = remarks_on(metric);
  const std::string times = times_text(metric);
  const bool settled = metric.verdict == "EQUIVALENT";
  if (!rows.wide() && !settled && !times.empty()) remarks.insert(remarks.begin(), times);
  if (!remarks.empty()) rows.remark(joined(remarks, "; "));
}

void write_metrics(const Timing& timing, bool gated, const char* title, Page& page) {
  const auto chosen = [&](const Metric& metric) { return metric.gated == gated; };
  if (std::none_of(timing.metrics.begin(), timing.metrics.end(), chosen)) return;
  page.line();
  page.wrapped("  ", title);
  Rows rows(timing, page);
  rows.heading(timing.paired ? "δ" : "", timing.paired ? "MDE" : "");
  for (const Metric& metric : timing.metrics)
    if (chosen(metric)) write_metric(metric, rows);
}

void write_controls(const Timing& timing, Page& page) {
  if (timing.controls.empty()) return;
  page.line();
  page.wrapped("  ", "Control: base against its own copy, in the same session");
  Rows rows(timing, page);
  rows.heading("", "MDE");
  for (const Control& control : timing.controls) {
    rows.name(control.case_id);
    rows.row(
        {control.verdict, told(control.metric), control.ratio, "", share_text(control.minimum_detectable), "", ""});
    if (is_off(control)) rows.remark("identical code came out as different: no verdict of this time is believed");
  }
}

void write_floors(const Comparison& all, Page& page) {
  if (all.floors.empty()) return;
  page.line();
  page.line(page.painted("Floors", Ink::bold));
  page.wrapped("", "Speed-ups of the candidate (naive / engine) against the least that is committed.", Ink::dim);
  page.line();
  for (const Floor& floor : all.floors) {
    const std::string inset = left("", 2 + kVerdictWidth + 2);
    const auto parts = wrap(fmt::format("{}  {}  {}{}", told(floor.case_id), told(floor.metric), floor_text(floor),
                                        fails(floor) ? ": below" : ""),
                            page.width() - static_cast<int>(inset.size()));
    for (std::size_t i = 0; i < parts.size(); ++i)
      page.line((i == 0 ? verdict_label(floor.verdict, 2, page) + "  " : inset) + parts[i]);
  }
}

void write_legend(const Timing& timing, Page& page) {
  page.line();
  for (const MarginText& margin : margins_of(timing))
    page.wrapped("  " + left("δ " + margin.margin, kVerdictWidth) + "  ",
                 fmt::format("of {}: {}", joined(margin.metrics, ", "), margin.source), Ink::dim, Ink::dim);
  for (const Explanation& one : legend(timing))
    page.wrapped("  " + left(one.word, kVerdictWidth) + "  ", one.text, Ink::dim, Ink::dim);
}

void write_times_of(const Timing& timing, Page& page) {
  if (timing.reason) page.wrapped("  " + left(timing.verdict.value_or(""), kVerdictWidth) + "  ", told(*timing.reason));
  if (timing.session) page.wrapped("  session       ", session_text(*timing.session));
  if (timing.metrics.empty()) return;
  write_metrics(timing, true, "These gate: a confirmed REGRESSED fails", page);
  write_metrics(timing, false, "Report only: these never fail", page);
  write_controls(timing, page);
  write_legend(timing, page);
}

}  // namespace

void write_times(const Comparison& all, Page& page) {
  if (all.timing) {
    page.line();
    page.line(page.painted("Is it as fast?", Ink::bold));
    page.wrapped("",
                 all.timing->paired
                     ? "Base and candidate took turns (A B B A) in fresh processes; a block is one pair of processes."
                     : "Times of two runs, one after the other: the machine's own ups and downs are in them, so they "
                       "are shown and never judged.",
                 Ink::dim);
    if (all.timing->reason || all.timing->session) page.line();
    write_times_of(*all.timing, page);
  }
  write_floors(all, page);
}

}  // namespace kvproof::comparison
