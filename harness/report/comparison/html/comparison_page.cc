#include "harness/report/comparison/html/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "harness/report/comparison/comparison.h"
#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/words.h"
#include "harness/report/html/frame.h"
#include "harness/report/html/markup.h"
#include "harness/report/numbers.h"
#include "harness/report/text.h"

// What embedded_files.S defines: where each file begins and ends.
#define FILE_OF(symbol) extern "C" const char symbol[], symbol##_end[];
FILE_OF(kvproof_comparison_html)
FILE_OF(kvproof_comparison_script)
#undef FILE_OF

namespace kvproof {
namespace comparison {
namespace {

constexpr int kLabelColumns = 36;                // of a case in a plot
constexpr double kRowRem = 1.9, kAroundRem = 8;  // a row of a plot; its axis and legend

std::string_view between(const char* begin, const char* end) { return {begin, static_cast<std::size_t>(end - begin)}; }

/// A text of ours or of the document, as told() has it.
std::string text(const std::string& safe) { return html_text(safe); }

std::string class_of(Ink ink) {
  if (ink == Ink::plain) return "plain";
  return ink == Ink::good ? "good" : ink == Ink::doubtful ? "doubtful" : "bad";
}

std::string word(const std::string& verdict) {
  return fmt::format("<strong class=\"{}\">{}</strong>", class_of(ink_of_word(verdict)), text(verdict));
}

std::string cell(const std::string& content, bool words = false) {
  return fmt::format("<td{}>{}</td>", words ? " class=\"words\"" : "", content);
}

/// With its unrounded value.
std::string number_cell(std::optional<double> value, const std::string& shown) {
  if (!value) return cell(kNone);
  return cell(fmt::format("<data value=\"{}\">{}</data>", Json(*value).dump(), text(shown)));
}

struct Column {
  const char* name;
  bool words = false;  // else numbers, which stand at the right
};

std::string head(const std::vector<Column>& columns) {
  std::string cells;
  for (const Column& column : columns)
    cells += fmt::format("<th scope=\"col\"{}>{}</th>", column.words ? " class=\"words\"" : "", column.name);
  return "<div class=\"scroll\" tabindex=\"0\">\n<table>\n<thead><tr>" + cells + "</tr></thead>\n<tbody>\n";
}

constexpr const char* kEndOfTable = "</tbody>\n</table>\n</div>\n";

std::string row(const std::string& case_id, const std::string& cells) {
  return fmt::format("<tr><th scope=\"row\">{}</th>{}</tr>\n", text(told(case_id)), cells);
}

// --- verdict and facts

std::string verdict_section(const Comparison& all) {
  const bool open = all.exit_code == 3 || all.exit_code == 4;
  std::string items;
  for (const Finding& one : findings_of(all)) {
    if (one.level == Level::note) continue;
    const std::string where = one.where.empty() ? "" : " <b>" + text(one.where) + "</b>";
    items += fmt::format("<li><strong class=\"{}\">{}</strong>{}: {}</li>\n",
                         one.level == Level::failure ? "bad" : "doubtful", text(one.verdict), where, text(one.what));
  }
  return fmt::format("<section id=\"verdict\" class=\"{}\">\n<p class=\"closing\">{}</p>\n{}</section>\n",
                     all.exit_code == 0 ? "good"
                     : open             ? "doubtful"
                                        : "bad",
                     text(closing_text(all)), items.empty() ? "" : "<ul class=\"problems\">\n" + items + "</ul>\n");
}

std::string facts_list(const Comparison& all) {
  std::string list;
  const auto add = [&](const char* name, const std::string& fact) {
    list += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, text(fact));
  };
  add("base", side_text(all.base) + "; " + machine_text(all.base));
  add("candidate", side_text(all.candidate) + "; " + machine_text(all.candidate));
  if (all.timing && all.timing->session) {
    add("session", session_text(*all.timing->session));
    if (all.timing->session->journal) add("journal", told(*all.timing->session->journal));
  }
  add("compared", comparer_text(all));
  return "<dl>\n" + list + "</dl>\n";
}

// --- tables

std::string exact_section(const Comparison& all) {
  std::string rows;
  int64_t identical = 0;
  for (const Case& one : all.cases) {
    identical += one.verdict == "IDENTICAL";
    if (one.verdict == "IDENTICAL") continue;
    const std::string why = one.verdict == "MISSING" ? missing_text(one) : told(one.reason.value_or(""));
    if (one.changes.empty())
      rows += row(one.id, cell(word(one.verdict), true) + cell(text(why), true) + "<td></td><td></td><td></td>");
    for (const Change& change : one.changes)
      rows += row(one.id, cell(word(one.verdict), true) + cell(text(place_text(change)), true) +
                              cell(text(value_text(change.base))) + cell(text(value_text(change.candidate))) +
                              cell(change.accepted ? "yes" : "<strong class=\"bad\">no</strong>"));
  }
  std::string html = fmt::format("<p>{} IDENTICAL: agreement, tokens, token_forwards, kv_cache_bytes.</p>\n",
                                 counted(identical, "case"));
  if (!rows.empty())
    html += head({{"case"}, {"", true}, {"what", true}, {"base"}, {"candidate"}, {"accepted"}}) + rows + kEndOfTable;
  return html;
}

std::string metric_row(const Metric& metric) {
  const std::string verdict = metric.verdict.empty() ? "not judged" : word(metric.verdict);
  const std::string ratio = fmt::format("{} {}", ratio_text(metric.ratio.value), direction(metric.ratio.value));
  std::string remarks = joined(remarks_on(metric), "; ");
  if (!remarks.empty())
    remarks = fmt::format("<tr><td></td><td class=\"words note\" colspan=\"8\">{}</td></tr>\n", text(remarks));
  return row(metric.case_id,
             cell(text(told(metric.name)), true) + number_cell(metric.base_ns, milliseconds(metric.base_ns)) +
                 number_cell(metric.candidate_ns, milliseconds(metric.candidate_ns)) +
                 number_cell(metric.ratio.value, ratio) + cell(text(interval_text(metric.ratio))) +
                 number_cell(metric.margin, share_text(metric.margin)) +
                 number_cell(metric.minimum_detectable, share_text(metric.minimum_detectable)) + cell(verdict, true)) +
         remarks;
}

std::string metric_table(const Timing& timing, bool gated, const char* title) {
  std::string rows;
  for (const Metric& metric : timing.metrics)
    if (metric.gated == gated) rows += metric_row(metric);
  if (rows.empty()) return "";
  return fmt::format("<h3>{}</h3>\n", title) +
         head({{"case"}, {"time", true}, {"base"}, {"candidate"}, {"ratio"}, {"interval"}, {"δ"}, {"MDE"}, {""}}) +
         rows + kEndOfTable;
}

std::string control_table(const Timing& timing) {
  std::string rows;
  for (const Control& control : timing.controls)
    rows += row(control.case_id,
                cell(text(told(control.metric)), true) +
                    number_cell(control.ratio.value,
                                fmt::format("{} {}", ratio_text(control.ratio.value), direction(control.ratio.value))) +
                    cell(text(interval_text(control.ratio))) +
                    number_cell(control.minimum_detectable, share_text(control.minimum_detectable)) +
                    cell(word(control.verdict), true));
  if (rows.empty()) return "";
  return "<h3>Control: base against its own copy</h3>\n" +
         head({{"case"}, {"time", true}, {"ratio"}, {"interval"}, {"MDE"}, {""}}) + rows + kEndOfTable;
}

std::string floor_section(const Comparison& all) {
  std::string rows;
  for (const Floor& floor : all.floors)
    rows += row(floor.case_id,
                cell(text(told(floor.metric)), true) + cell(text(floor_text(floor))) + cell(word(floor.verdict), true));
  if (rows.empty()) return "";
  return "<section>\n<h2>Floors</h2>\n" + head({{"case"}, {"speed-up, naive / engine", true}, {""}, {""}}) + rows +
         kEndOfTable + "</section>\n";
}

// --- plots

/// The names of the times, in their order.
std::vector<std::string> names_of(const Timing& timing) {
  std::vector<std::string> names;
  for (const Metric& metric : timing.metrics)
    if (std::find(names.begin(), names.end(), metric.name) == names.end()) names.push_back(metric.name);
  return names;
}

Json or_null(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

Json ratio_data(const Ratio& ratio) {
  return {{"ratio", ratio.value}, {"low", or_null(ratio.low)}, {"high", or_null(ratio.high)}};
}

/// {metrics[]: rows[] {label, verdict, ratio, low, high, margin, control (ratio, low, high; null)}}: what the script draws.
Json plot_data(const Timing& timing) {
  Json plots = Json::array();
  for (const std::string& name : names_of(timing)) {
    Json rows = Json::array();
    for (const Metric& metric : timing.metrics) {
      if (metric.name != name) continue;
      Json one = ratio_data(metric.ratio);
      one["label"] = cut(told(metric.case_id), kLabelColumns);
      one["verdict"] = metric.verdict.empty() ? "not judged" : metric.verdict;
      one["margin"] = or_null(metric.margin);
      one["control"] = nullptr;
      for (const Control& control : timing.controls)
        if (control.metric == name && control.case_id == metric.case_id) one["control"] = ratio_data(control.ratio);
      rows.push_back(std::move(one));
    }
    plots.push_back({{"rows", std::move(rows)}});
  }
  return {{"metrics", std::move(plots)}};
}

std::string figures(const Timing& timing) {
  std::string html;
  const auto names = names_of(timing);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto of = [&](const Metric& metric) { return metric.name == names[i]; };
    const auto rows = std::count_if(timing.metrics.begin(), timing.metrics.end(), of);
    html += fmt::format(
        "<figure id=\"metric-{}\"><figcaption>{}</figcaption><div class=\"plot\" style=\"height: {:.1f}rem\"></div><p "
        "class=\"note\"></p></figure>\n",
        i, text(told(names[i])), kAroundRem + kRowRem * static_cast<double>(rows));
  }
  return "<div class=\"figures\">\n" + html + "</div>\n";
}

std::string legend_list(const Timing& timing) {
  std::string list;
  for (const MarginText& margin : margins_of(timing))
    list += fmt::format("<dt>δ {}</dt><dd>of {}: {}</dd>\n", text(margin.margin), text(joined(margin.metrics, ", ")),
                        text(margin.source));
  for (const Explanation& one : legend(timing))
    list += fmt::format("<dt>{}</dt><dd>{}</dd>\n", text(one.word), text(one.text));
  return "<details open><summary>How to read the times</summary>\n<dl>\n" + list + "</dl>\n</details>\n";
}

std::string times_section(const Comparison& all) {
  if (!all.timing) return "";
  const Timing& timing = *all.timing;
  std::string html = "<section id=\"times\">\n<h2>Is it as fast?</h2>\n";
  html += timing.paired
              ? "<p>Base and candidate took turns (A B B A) in fresh processes; a block is one pair of them.</p>\n"
              : "<p>Times of two runs, one after the other: the machine's own ups and downs are in them, so "
                "they are shown and never judged.</p>\n";
  if (timing.reason) html += "<p>" + text(told(*timing.reason)) + "</p>\n";
  if (timing.metrics.empty()) return html + "</section>\n";
  html +=
      "<noscript><p>The plots are drawn by a script, which is switched off here. The tables need "
      "none.</p></noscript>\n";
  return html + figures(timing) + metric_table(timing, true, "These gate: a confirmed REGRESSED fails") +
         metric_table(timing, false, "Report only: these never fail") + control_table(timing) + legend_list(timing) +
         "</section>\n";
}

std::string notes_section(const Comparison& all) {
  std::string items;
  for (const Finding& one : findings_of(all))
    if (one.level == Level::note)
      items += fmt::format("<li>{} <b>{}</b>: {}</li>\n", text(one.verdict), text(one.where), text(one.what));
  return items.empty() ? "" : "<section>\n<h2>Notes</h2>\n<ul>\n" + items + "</ul>\n</section>\n";
}

}  // namespace
}  // namespace comparison

std::string render_comparison_html(const Json& document) {
  using namespace comparison;
  const Comparison all = read_comparison(document);
  const std::string_view page = between(kvproof_comparison_html, kvproof_comparison_html_end);
  const std::string_view script = between(kvproof_comparison_script, kvproof_comparison_script_end);
  const std::string main = filled(page, {{"verdict", verdict_section(all)},
                                         {"facts", facts_list(all)},
                                         {"exact", exact_section(all)},
                                         {"times", times_section(all)},
                                         {"floors", floor_section(all)},
                                         {"notes", notes_section(all)}});
  return framed({title_text(all), told(all.started), main, plot_data(all.timing.value_or(Timing())), {script}});
}

}  // namespace kvproof
