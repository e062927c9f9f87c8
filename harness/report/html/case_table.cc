// The cases as a table. A number is written as people read it, with the record's value beside it in <data>.
#include <fmt/format.h>

#include <vector>

#include "harness/report/html/markup.h"
#include "harness/report/html/sections.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

constexpr int kNumberColumns = 5;  // whole run, first token, per token, prefill, decode

std::string number_cell(const View& value, const std::string& text) {
  return fmt::format("<td><data value=\"{}\">{}</data></td>", html_text(value.json().dump()), html_text(text));
}

std::string empty_cell() { return fmt::format("<td>{}</td>", kNone); }

std::string time_cell(const View& metrics, const char* name) {
  if (!median_of(metrics, name)) return empty_cell();
  return number_cell(metrics.at(name).at("median"), milliseconds(median_of(metrics, name)));
}

std::string rate_cell(const View& path, const char* name, const char* phase, const char* share) {
  const View metrics = path.at("metrics");
  if (!median_of(metrics, name)) return empty_cell();
  return number_cell(metrics.at(name).at("median"), rate_text(median_of(metrics, name), share_of(path, phase, share)));
}

std::string path_row(const View& one, const std::string& name) {
  const View path = one.at("paths").at(name), metrics = path.at("metrics");
  std::string html = fmt::format("<th scope=\"row\" class=\"{0}\">{0}</th>", name);
  for (const char* time : {"e2e_ns", "ttft_ns", "tpot_ns"}) html += time_cell(metrics, time);
  html += rate_cell(path, "prefill_tok_per_s", "prefill", "mfu");
  html += rate_cell(path, "decode_tok_per_s", "decode", "mbu");
  return html + "</tr>\n";
}

std::string ratio_cell(const View& one, const char* name) {
  const View speedup = one.at("speedup"), ratio = speedup.at(name);
  if (ratio.is_null()) return empty_cell();
  std::string html = fmt::format("<td><data value=\"{}\">{}</data>", html_text(ratio.at("ratio").json().dump()),
                                 times(ratio.at("ratio").number()));
  if (!speedup.at("verified").boolean())
    html += fmt::format("<abbr title=\"{}\">?</abbr>", html_text(why_unverified(one)));
  if (const std::string interval = interval_of(ratio); !interval.empty())
    html += fmt::format(" <span class=\"interval\" data-low=\"{}\" data-high=\"{}\">{}</span>",
                        html_text(ratio.at("low").json().dump()), html_text(ratio.at("high").json().dump()), interval);
  return html + "</td>";
}

std::string speedup_row(const View& one) {
  std::string html = "<tr class=\"speedup\"><th scope=\"row\">speed-up</th>";
  if (const auto reason = one.at("speedup").at("withheld").text_or_null())
    return html + fmt::format("<td colspan=\"{}\" class=\"words bad\">withheld: {}</td></tr>\n", kNumberColumns,
                              html_text(visible(*reason)));
  return html + ratio_cell(one, "e2e") + empty_cell() + empty_cell() + ratio_cell(one, "prefill") +
         ratio_cell(one, "decode") + "</tr>\n";
}

std::string verdict_cell(const std::string& verdict, int rows) {
  return fmt::format("<td rowspan=\"{}\" class=\"words {}\">{}</td>", rows, class_of(verdict), html_text(verdict));
}

// What the verdicts in a case's rows do not say themselves.
std::vector<std::string> notes_of(const View& one) {
  std::vector<std::string> notes;
  const View agreement = one.at("agreement");
  if (verdict_of(one) != "AGREE") notes.push_back(shown(agreement.at("explanation")));
  if (const auto faults = faults_of(one); !faults.empty())
    notes.push_back(fmt::format("INVALID: {}", fmt::join(faults, "; ")));
  if (one.at("speedup").at("withheld").is_null() && !one.at("speedup").at("verified").boolean())
    notes.push_back("? " + why_unverified(one));
  return notes;
}

std::string failed_rows(const View& one) {
  return fmt::format(
      "<tbody><tr><th scope=\"rowgroup\">{}</th><td class=\"words bad\">{}</td>"
      "<td colspan=\"{}\" class=\"words\">{}</td></tr></tbody>\n",
      html_text(shown(one.at("id"))), verdict_of(one), kNumberColumns + 2, html_text(error_text(one.at("error"))));
}

std::string case_rows(const View& one) {
  if (one.at("status").text() != "ok") return failed_rows(one);
  const auto notes = notes_of(one);
  const int rows = notes.empty() ? 3 : 4;
  const int64_t repetitions = one.at("settings").at("run").at("repetitions").integer();
  std::string html =
      fmt::format("<tbody><tr><th scope=\"rowgroup\" rowspan=\"{}\">{}<small>{}, {}</small></th>", rows,
                  html_text(shown(one.at("id"))), html_text(shape_of(one)), counted(repetitions, "repetition"));
  html += verdict_cell(verdict_of(one), rows) + verdict_cell(one.has("verification") ? verification_of(one) : kNone, rows);
  html += path_row(one, "naive") + "<tr>" + path_row(one, "engine") + speedup_row(one);
  if (!notes.empty())
    html += fmt::format("<tr><td colspan=\"{}\" class=\"words note\">{}</td></tr>\n", kNumberColumns + 1,
                        html_text(fmt::format("{}", fmt::join(notes, ". "))));
  return html + "</tbody>\n";
}

}  // namespace

std::string case_table(const View& record) {
  std::string html =
      "<table>\n<thead><tr><th scope=\"col\">case</th><th scope=\"col\">agreement</th><th "
      "scope=\"col\">verification</th>"
      "<th scope=\"col\">path</th><th scope=\"col\">whole run</th><th scope=\"col\">first token (ttft)</th>"
      "<th scope=\"col\">per token (tpot)</th><th scope=\"col\">prefill tok/s (mfu)</th>"
      "<th scope=\"col\">decode tok/s (mbu)</th></tr></thead>\n";
  for (const View& one : record.at("cases").items()) html += case_rows(one);
  return html + "</table>\n";
}

}  // namespace kvproof
