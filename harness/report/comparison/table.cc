#include "harness/report/comparison/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/sections.h"
#include "harness/report/comparison/words.h"
#include "harness/report/text.h"

namespace kvproof {
namespace comparison {

std::string verdict_label(const std::string& verdict, int indent, const Page& page) {
  return left("", indent) + page.painted(left(verdict, kVerdictWidth), ink_of_word(verdict));
}

void write_sides(const Comparison& all, Page& page) {
  const std::string title = title_text(all), when = told(all.started);
  const int gap = page.width() - display_width(title) - display_width(when);
  if (gap >= 2) {
    page.line(page.painted(title, Ink::bold) + left("", gap) + page.painted(when, Ink::dim));
  } else {
    page.wrapped("", title, Ink::bold);
    page.wrapped("", when, Ink::dim);
  }
  page.line();
  page.wrapped("  base       ", side_text(all.base));
  page.wrapped("  candidate  ", side_text(all.candidate));
  if (same_machine(all)) {
    page.wrapped("  machine    ", machine_text(all.candidate) + ", the same for both");
  } else {
    page.wrapped("  machines   ", machine_text(all.base) + " (base)");
    page.wrapped("             ", machine_text(all.candidate) + " (candidate)");
  }
  page.wrapped("  compared   ", comparer_text(all));
}

namespace {

constexpr std::size_t kMostReasons = 10;  // what is last on the screen must stay there

void write_notes(const Comparison& all, Page& page) {
  std::vector<std::string> notes;
  if (all.timing && all.timing->session && !all.timing->session->note.empty())
    notes.push_back(told(all.timing->session->note));
  for (const std::string& name : all.accept_unused)
    notes.push_back(told(name) + ": ci.accept names it, and it did not change: remove it there");
  for (const std::string& warning : all.warnings) notes.push_back(told(warning));
  if (notes.empty()) return;
  page.line();
  page.line(page.painted("Notes and warnings", Ink::bold));
  page.line();
  for (const std::string& note : notes) page.wrapped("  - ", note);
}

void write_closing(const Comparison& all, Page& page) {
  const Ink ink = all.exit_code == 0 ? Ink::good : all.exit_code == 3 || all.exit_code == 4 ? Ink::doubtful : Ink::bad;
  page.line();
  page.wrapped("", closing_text(all), ink);
  const std::size_t told_here = std::min(all.reasons.size(), kMostReasons);
  for (std::size_t i = 0; i < told_here; ++i) page.wrapped("  - ", told(all.reasons[i]), ink);
  if (told_here < all.reasons.size())
    page.line(fmt::format("  - and {} more, as told above", all.reasons.size() - told_here));
}

}  // namespace
}  // namespace comparison

std::string render_comparison(const Json& document, bool colour, int width) {
  const comparison::Comparison all = comparison::read_comparison(document);
  Page page(colour, std::max(width, 80));
  comparison::write_sides(all, page);
  comparison::write_exact(all, page);
  comparison::write_times(all, page);
  comparison::write_notes(all, page);
  comparison::write_closing(all, page);
  return page.text();
}

}  // namespace kvproof
