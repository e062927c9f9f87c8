// What came out?
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/analysis/step_curve.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"

namespace kvproof {
namespace {

constexpr std::size_t kRowsShown = 4;
constexpr int kLinesOfText = 3;  // of one row's output
constexpr int kIdsShown = 40;

struct Output {
  std::string text;             // quoted, or the ids where there is no text
  std::vector<int64_t> tokens;  // generated ones
};

std::string quoted(const std::string& text) { return fmt::format("\"{}\"", visible(text)); }

std::string ids_text(const std::vector<int64_t>& ids) {
  const std::size_t count = std::min<std::size_t>(ids.size(), kIdsShown);
  const std::string list =
      fmt::format("{}", fmt::join(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), " "));
  const std::string more = count < ids.size() ? fmt::format(" … ({} in all)", ids.size()) : "";
  return (ids.empty() ? "no tokens" : ids.size() == 1 ? "id " : "ids ") + list + more;
}

std::vector<int64_t> integers(const View& list) {
  std::vector<int64_t> values;
  for (const View& value : list.items()) values.push_back(value.integer());
  return values;
}

Output output_of(const View& row, int64_t prompt) {
  Output output;
  const std::vector<int64_t> tokens = integers(row.at("tokens"));
  output.tokens.assign(tokens.begin() + std::min<std::ptrdiff_t>(prompt, std::ssize(tokens)), tokens.end());
  const auto completion = row.at("completion").text_or_null();
  output.text = completion ? quoted(*completion) : ids_text(output.tokens);
  return output;
}

bool same(const Output& a, const Output& b) { return a.tokens == b.tokens; }

std::size_t first_difference(const Output& a, const Output& b) {
  const auto [at, other] = std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end());
  return static_cast<std::size_t>(at - a.tokens.begin());
}

// Both texts around the place where they part, and a mark below it.
void write_parting(const std::string& label, const Output& naive, const Output& engine, Page& page) {
  const int indent = display_width(label) + 8, room = page.width() - indent;
  const int common = common_width(naive.text, engine.text);
  const int from = common > room / 2 ? common - room / 4 : 0;
  const std::string above = cut(cut_front(naive.text, from), room), below = cut(cut_front(engine.text, from), room);
  const std::string blanks = left("", display_width(label));
  page.line(label + "naive   " + above);
  page.line(blanks + "engine  " + below);
  const std::string step = fmt::format("step {}", first_difference(naive, engine));
  if (naive.text == engine.text) {
    return page.line(blanks + "        " +
                     page.painted("the same text, but other tokens from " + step + " on", Ink::doubtful));
  }
  // Half of the room at most is before the mark: the words fit.
  page.line(left("", indent + common_width(above, below)) + page.painted("^ they part at " + step, Ink::doubtful));
}

void write_row(const std::string& label, const Output& naive, const Output& engine, Page& page) {
  if (!same(naive, engine)) return write_parting(label, naive, engine, page);
  std::string begin = label + "both    ";
  const int indent = display_width(begin);
  for (const std::string& part : fold(naive.text, page.width() - indent, kLinesOfText)) {
    page.line(begin + part);
    begin = left("", indent);
  }
}

// Rows that differ come first into the selection; what is shown keeps the rows' order.
std::vector<std::size_t> rows_to_show(const std::vector<Output>& naive, const std::vector<Output>& engine) {
  std::vector<std::size_t> chosen;
  for (const bool wanted_same : {false, true}) {
    for (std::size_t row = 0; row < naive.size() && chosen.size() < kRowsShown; ++row) {
      if (same(naive[row], engine[row]) == wanted_same) chosen.push_back(row);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::string sampler_text(const View& one) {
  const View sampler = one.at("settings").at("sampler");
  std::string text = "greedy";
  if (sampler.at("temperature").number() > 0) {
    text = fmt::format("temperature {:g}", sampler.at("temperature").number());
    if (const auto top_k = sampler.at("top_k").integer_or_null()) text += fmt::format(", top_k {}", *top_k);
    text += ", seed " + sampler.at("seed").json().dump();
    if (sampler.at("mode").text() == "nanochat") text += ", nanochat's own sampling";
  }
  if (const int64_t rows = one.at("shape").at("rows").integer(); rows > 1) text += ", " + counted(rows, "row");
  return text + (sampler.at("stop").boolean() ? "" : ", does not stop early");
}

std::string prompt_text(const View& prompt) {
  const auto text = prompt.at("text").text_or_null();
  const std::string kind = shown(prompt.at("kind"));
  if (text) return quoted(*text) + (kind == "chat" ? " (chat)" : "");
  return kind == "synthetic"
             ? counted(static_cast<int64_t>(prompt.at("tokens").items().size()), "token") + " drawn from a seed"
             : ids_text(integers(prompt.at("tokens")));
}

void write_case(const View& one, Page& page) {
  page.line();
  const std::string id = shown(one.at("id")), sampler = sampler_text(one);
  if (2 + display_width(id) + 2 + display_width(sampler) <= page.width()) {
    page.line("  " + id + "  " + page.painted(sampler, Ink::dim));
  } else {
    page.wrapped("  ", id);
    page.wrapped("    ", sampler, Ink::dim);
  }
  const int64_t before = tokens_before(one);
  std::vector<Output> naive, engine;
  for (const View& row : one.at("paths").at("naive").at("rows").items()) naive.push_back(output_of(row, before));
  for (const View& row : one.at("paths").at("engine").at("rows").items()) engine.push_back(output_of(row, before));
  const std::size_t rows = std::min(naive.size(), engine.size());
  naive.resize(rows);
  engine.resize(rows);
  const int label_width = rows > 1 ? 4 + static_cast<int>(std::to_string(rows - 1).size()) + 2 : 0;
  page.line(cut("    " + left("", label_width) + "prompt  " + prompt_text(one.at("prompt")), page.width()));
  const auto chosen = rows_to_show(naive, engine);
  for (const std::size_t row : chosen) {
    write_row("    " + left(rows > 1 ? fmt::format("row {}", row) : "", label_width), naive[row], engine[row], page);
  }
  const std::string indent(static_cast<std::size_t>(4 + label_width + 8), ' ');
  if (chosen.size() < rows)
    page.line(indent + page.painted(counted(static_cast<int64_t>(rows - chosen.size()), "more row") + " in the record",
                                    Ink::dim));
  if (const int64_t forced = one.at("agreement").at("replayed_forced_tokens").integer(); forced > 0) {
    page.wrapped(
        indent, fmt::format("The calculator put in {}, not shown; naive was given the same.", counted(forced, "token")),
        Ink::dim);
  }
}

}  // namespace

void write_outputs(const View& record, Page& page) {
  bool any = false;
  for (const View& one : record.at("cases").items()) {
    if (one.at("status").text() != "ok") continue;
    if (!any) {
      page.line();
      page.line(page.painted("What came out?", Ink::bold));
    }
    any = true;
    write_case(one, page);
  }
}

}  // namespace kvproof
