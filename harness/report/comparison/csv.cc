#include "harness/report/comparison/csv.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "harness/report/comparison/comparison.h"
#include "harness/report/comparison/words.h"
#include "harness/report/export/escape.h"
#include "harness/report/text.h"

namespace kvproof {
namespace comparison {
namespace {

constexpr std::array<const char*, 45> kColumns = {
    "tier",
    "case",
    "shape",
    "field",
    "place",
    "metric",
    "verdict",
    "gated",
    "accepted",
    "base",
    "candidate",
    "ratio",
    "low",
    "high",
    "base_ns",
    "candidate_ns",
    "blocks",
    "margin",
    "noise_floor",
    "recorded",
    "minimum_detectable",
    "alarm_from",
    "p",
    "blocks_to_settle",
    "confirmed",
    "confirmation_ratio",
    "confirmation_low",
    "confirmation_high",
    "confirmation_verdict",
    "floor",
    "reason",
    "started",
    "config_file",
    "config_hash",
    "base_kind",
    "base_name",
    "base_commit",
    "base_dirty",
    "base_fingerprint",
    "candidate_kind",
    "candidate_name",
    "candidate_commit",
    "candidate_dirty",
    "candidate_fingerprint",
    "exit_code",
};

/// Cells by the names of their columns; those that are not set stay empty.
class CsvRow {
 public:
  CsvRow& text(const char* column, const std::string& value) { return put(column, csv_text(told(value))); }
  CsvRow& text(const char* column, const std::optional<std::string>& value) {
    return value ? text(column, *value) : *this;
  }
  CsvRow& number(const char* column, std::optional<double> value) {
    return value ? put(column, Json(*value).dump()) : *this;
  }
  /// A number as the document has it, a text, and what JSON has for all else.
  CsvRow& value(const char* column, const Json& value) {
    if (value.is_null()) return *this;
    if (value.is_string()) return text(column, value.get<std::string>());
    const std::string json = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return value.is_number() ? put(column, json) : text(column, json);
  }
  CsvRow& count(const char* column, std::optional<int64_t> value) {
    return value ? put(column, std::to_string(*value)) : *this;
  }
  CsvRow& flag(const char* column, std::optional<bool> value) {
    return value ? put(column, *value ? "true" : "false") : *this;
  }
  CsvRow& ratio(const Ratio& ratio, const std::string& prefix = "") {
    return number((prefix + "ratio").c_str(), ratio.value)
        .number((prefix + "low").c_str(), ratio.low)
        .number((prefix + "high").c_str(), ratio.high);
  }

  std::string line() const {
    std::string text;
    for (const char* column : kColumns) {
      if (column != kColumns.front()) text += ',';
      if (const auto cell = cells_.find(column); cell != cells_.end()) text += cell->second;
    }
    return text + "\r\n";
  }

 private:
  CsvRow& put(std::string_view column, std::string cell) {
    const auto is = [&](const char* name) { return column == name; };
    if (std::none_of(kColumns.begin(), kColumns.end(), is)) throw std::logic_error("no column " + std::string(column));
    cells_[std::string(column)] = std::move(cell);
    return *this;
  }

  std::map<std::string, std::string> cells_;
};

void put_side(CsvRow& row, const std::string& name, const Side& side) {
  row.text((name + "_kind").c_str(), side.kind)
      .text((name + "_name").c_str(), side.name)
      .text((name + "_commit").c_str(), side.commit)
      .flag((name + "_dirty").c_str(), side.dirty)
      .text((name + "_fingerprint").c_str(), side.fingerprint);
}

/// What every row has.
CsvRow row_of(const Comparison& all, const char* tier, const std::string& case_id, const std::string& verdict) {
  CsvRow row;
  row.text("tier", std::string(tier)).text("case", case_id).text("verdict", verdict).text("started", all.started);
  row.text("config_file", all.config_file).text("config_hash", all.config_hash).count("exit_code", all.exit_code);
  put_side(row, "base", all.base);
  put_side(row, "candidate", all.candidate);
  return row;
}

std::string lines_of(const Comparison& all, const Case& one) {
  CsvRow row = row_of(all, "exact", one.id, one.verdict);
  row.text("shape", one.shape).text("reason", one.reason);
  if (one.verdict == "MISSING") row.flag("accepted", one.accepted);
  if (one.changes.empty()) return row.line();
  std::string lines;
  for (const Change& change : one.changes) {
    CsvRow each = row;
    each.text("field", change.field).text("place", change.place).flag("accepted", change.accepted);
    for (const auto& [column, value] : {std::pair{"base", change.base}, std::pair{"candidate", change.candidate}}) {
      each.value(column, value);
    }
    lines += each.line();
  }
  return lines;
}

std::string line_of(const Comparison& all, const Metric& metric) {
  CsvRow row = row_of(all, "time", metric.case_id, metric.verdict);
  row.text("metric", metric.name).flag("gated", metric.gated).ratio(metric.ratio);
  row.number("base_ns", metric.base_ns).number("candidate_ns", metric.candidate_ns).count("blocks", metric.blocks);
  if (metric.verdict.empty()) return row.line();
  row.number("margin", metric.margin).number("noise_floor", metric.noise_floor).count("recorded", metric.recorded);
  row.number("minimum_detectable", metric.minimum_detectable).number("alarm_from", metric.alarm_from);
  row.number("p", metric.p).count("blocks_to_settle", metric.blocks_to_settle).text("reason", metric.reason);
  if (metric.verdict == "REGRESSED" || metric.confirmation) row.flag("confirmed", metric.confirmed);
  if (const auto& second = metric.confirmation)
    row.ratio(second->ratio, "confirmation_").text("confirmation_verdict", second->verdict);
  return row.line();
}

}  // namespace
}  // namespace comparison

std::vector<std::string> comparison_csv_columns() { return {comparison::kColumns.begin(), comparison::kColumns.end()}; }

std::string render_comparison_csv(const Json& document) {
  using namespace comparison;
  const Comparison all = read_comparison(document);
  std::string text = joined(comparison_csv_columns(), ",") + "\r\n";
  for (const Case& one : all.cases) text += lines_of(all, one);
  if (all.timing) {
    for (const Metric& metric : all.timing->metrics) text += line_of(all, metric);
    for (const Control& control : all.timing->controls)
      text += row_of(all, "control", control.case_id, control.verdict)
                  .text("metric", control.metric)
                  .ratio(control.ratio)
                  .number("minimum_detectable", control.minimum_detectable)
                  .line();
  }
  for (const Floor& floor : all.floors)
    text += row_of(all, "floor", floor.case_id, floor.verdict)
                .text("metric", floor.metric)
                .ratio(floor.value)
                .number("floor", floor.floor)
                .line();
  return text;
}

}  // namespace kvproof
