#include "harness/report/comparison/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/words.h"
#include "harness/report/export/escape.h"
#include "harness/report/numbers.h"
#include "harness/report/text.h"

namespace kvproof {
namespace comparison {
namespace {

/// A list or a table: what may be shortened. Nothing of it is written without rows.
struct Block {
  int rank;  // the lowest gets its rows first
  std::string before;
  std::vector<std::string> rows;
  std::string after;
};

std::string cells(const std::vector<std::string>& texts) { return "| " + joined(texts, " | ") + " |\n"; }

std::string prose(const std::string& safe) { return markdown_prose(safe); }

/// Code, of a text of the document: as told() where that says something else.
std::string code(const std::string& text) {
  return told(text) == visible(text) ? markdown_code(text) : "<code>" + prose(told(text)) + "</code>";
}

std::string word(const std::string& verdict, bool fails) {
  return fails ? "**" + prose(verdict) + "**" : prose(verdict);
}

std::string left_out(std::size_t rows) {
  return fmt::format("{} {} left out: the text would be longer than it may be. The document has all.", rows,
                     rows == 1 ? "row" : "rows");
}

// --- lists

Block list_of(const Comparison& all, Level level, int rank, const char* heading) {
  Block block{rank, fmt::format("\n### {}\n\n", heading), {}, ""};
  for (const Finding& one : findings_of(all)) {
    if (one.level != level) continue;
    const std::string where = one.where.empty() ? "" : " <code>" + prose(one.where) + "</code>";
    block.rows.push_back(
        fmt::format("- {}{}: {}\n", word(one.verdict, level == Level::failure), where, prose(one.what)));
  }
  return block;
}

std::string accepted_cell(bool accepted) { return accepted ? "yes" : "**no**"; }

Block changes_of(const Comparison& all) {
  Block block{
      3, "\n### Exact values\n\n| case | | what | base | candidate | accepted |\n|---|---|---|---|---|---|\n", {}, ""};
  for (const Case& one : all.cases) {
    if (one.verdict == "IDENTICAL") continue;
    const bool missing = one.verdict == "MISSING";
    if (one.changes.empty())
      block.rows.push_back(cells({code(one.id), word(one.verdict, fails(one)), prose(told(one.reason.value_or(""))), "",
                                  "", missing ? accepted_cell(one.accepted) : ""}));
    for (const Change& change : one.changes)
      block.rows.push_back(
          cells({code(one.id), word(one.verdict, fails(one)), prose(place_text(change)), prose(value_text(change.base)),
                 prose(value_text(change.candidate)), accepted_cell(change.accepted)}));
  }
  return block;
}

std::string metric_row(const Metric& metric) {
  const bool judged = !metric.verdict.empty();
  return cells({code(metric.case_id), prose(told(metric.name)), milliseconds(metric.base_ns),
                milliseconds(metric.candidate_ns),
                fmt::format("{} {}", ratio_text(metric.ratio.value), direction(metric.ratio.value)),
                prose(interval_text(metric.ratio)), judged ? share_text(metric.margin) : "",
                judged ? share_text(metric.minimum_detectable) : "",
                judged ? word(metric.verdict, fails(metric)) : "not judged", prose(joined(remarks_on(metric), "; "))});
}

constexpr const char* kTimesHead =
    "| case | time | base | candidate | ratio | interval | δ | MDE | | |\n|---|---|--:|--:|--:|--:|--:|--:|---|---|\n";

Block metrics_of(const Timing& timing, bool gated, int rank, const std::string& before, const char* after) {
  Block block{rank, before + kTimesHead, {}, after};
  for (const Metric& metric : timing.metrics)
    if (metric.gated == gated) block.rows.push_back(metric_row(metric));
  return block;
}

constexpr const char* kEndOfFold = "\n</details>\n";

std::string fold(const std::string& summary) { return "\n<details><summary>" + summary + "</summary>\n\n"; }

Block controls_of(const Timing& timing) {
  Block block{6,
              fold("Controls: base against its own copy") +
                  "| case | time | ratio | interval | MDE | |\n|---|---|--:|--:|--:|---|\n",
              {},
              kEndOfFold};
  for (const Control& control : timing.controls)
    block.rows.push_back(
        cells({code(control.case_id), prose(told(control.metric)),
               fmt::format("{} {}", ratio_text(control.ratio.value), direction(control.ratio.value)),
               prose(interval_text(control.ratio)), share_text(control.minimum_detectable), prose(control.verdict)}));
  return block;
}

Block floors_of(const Comparison& all) {
  Block block{4, "\n### Floors\n\n| case | ratio | | |\n|---|---|---|---|\n", {}, ""};
  for (const Floor& floor : all.floors)
    block.rows.push_back(cells(
        {code(floor.case_id), prose(told(floor.metric)), prose(floor_text(floor)), word(floor.verdict, fails(floor))}));
  return block;
}

std::string line(const std::string& text) { return "- " + text + "\n"; }

Block words_of_times(const Timing& timing) {
  Block block{7, fold("How to read the times"), {}, kEndOfFold};
  if (timing.session) block.rows.push_back(line("session: " + prose(session_text(*timing.session))));
  for (const MarginText& margin : margins_of(timing))
    block.rows.push_back(
        line(prose(fmt::format("δ {} of {}: {}", margin.margin, joined(margin.metrics, ", "), margin.source))));
  for (const Explanation& one : legend(timing))
    block.rows.push_back(line(fmt::format("{}: {}", prose(one.word), prose(one.text))));
  return block;
}

Block sides_of(const Comparison& all) {
  Block block{8, fold("Who, where, with what"), {}, kEndOfFold};
  block.rows.push_back(line("base: " + prose(side_text(all.base)) + "; " + prose(machine_text(all.base))));
  block.rows.push_back(
      line("candidate: " + prose(side_text(all.candidate)) + "; " + prose(machine_text(all.candidate))));
  if (all.config_file)
    block.rows.push_back(
        line(fmt::format("config {}, hash {}", code(*all.config_file), code(all.config_hash.value_or("")))));
  block.rows.push_back(line(prose(fmt::format("compared {}; began {}", comparer_text(all), told(all.started)))));
  if (all.timing && all.timing->session && all.timing->session->journal)
    block.rows.push_back(line("journal: " + code(*all.timing->session->journal)));
  return block;
}

std::string head_of(const Comparison& all) {
  std::string text = fmt::format("**kvproof compare: {}**\n", prose(closing_text(all)));
  int64_t identical = 0;
  for (const Case& one : all.cases) identical += one.verdict == "IDENTICAL";
  if (identical > 0)
    text += fmt::format("\n{} IDENTICAL: agreement, tokens, token\\_forwards, kv\\_cache\\_bytes.\n",
                        counted(identical, "case"));
  return text;
}

std::vector<Block> blocks_of(const Comparison& all) {
  Block reasons{0, "\n", {}, ""};
  const auto findings = findings_of(all);
  const auto says_why = [](const Finding& one) {
    return one.level != Level::note && one.verdict != "WARNING" && one.verdict != "ACCEPT";
  };
  if (std::none_of(findings.begin(), findings.end(), says_why))  // else the lists below say it, by case
    for (const std::string& reason : all.reasons) reasons.rows.push_back(line(prose(told(reason))));
  std::vector<Block> blocks = {reasons, list_of(all, Level::failure, 1, "What failed"),
                               list_of(all, Level::doubt, 2, "What is not known, or not as it should be"),
                               changes_of(all)};
  if (all.timing) {
    const bool paired = all.timing->paired;
    blocks.push_back(metrics_of(*all.timing, true, 4, "\n### Times that gate\n\n", ""));
    blocks.push_back(floors_of(all));
    blocks.push_back(metrics_of(*all.timing, false, 5,
                                fold(paired ? "Times that never fail: report only" : "Times of two runs: never judged"),
                                kEndOfFold));
    blocks.push_back(controls_of(*all.timing));
    if (!all.timing->metrics.empty()) blocks.push_back(words_of_times(*all.timing));
  } else {
    blocks.push_back(floors_of(all));
  }
  blocks.push_back(list_of(all, Level::note, 9, "Notes"));
  blocks.push_back(sides_of(all));
  blocks.erase(std::remove_if(blocks.begin(), blocks.end(), [](const Block& block) { return block.rows.empty(); }),
               blocks.end());
  return blocks;
}

/// How many rows of each block fit: the first ones of the lowest rank first. What stands around them is always there.
std::vector<std::size_t> fitting(const std::vector<Block>& blocks, std::size_t fixed, std::size_t most_bytes) {
  std::vector<std::size_t> order(blocks.size()), kept(blocks.size(), 0);
  std::size_t used = fixed;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    order[i] = i;
    used += blocks[i].before.size() + blocks[i].after.size() + left_out(SIZE_MAX).size() + 2;
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return blocks[a].rank < blocks[b].rank; });
  for (const std::size_t i : order)
    for (const std::string& row : blocks[i].rows) {
      if (used + row.size() > most_bytes) break;
      used += row.size();
      ++kept[i];
    }
  return kept;
}

}  // namespace
}  // namespace comparison

std::string render_comparison_markdown(const Json& document, std::size_t most_bytes) {
  const comparison::Comparison all = comparison::read_comparison(document);
  const auto blocks = comparison::blocks_of(all);
  std::string text = comparison::head_of(all);
  const auto kept = comparison::fitting(blocks, text.size(), most_bytes);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    text += blocks[i].before;
    for (std::size_t row = 0; row < kept[i]; ++row) text += blocks[i].rows[row];
    if (kept[i] < blocks[i].rows.size())
      text += fmt::format("\n{}\n", comparison::left_out(blocks[i].rows.size() - kept[i]));
    text += blocks[i].after;
  }
  return text;
}

}  // namespace kvproof
