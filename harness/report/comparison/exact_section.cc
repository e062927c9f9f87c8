// What must be the same to the digit. Cases of which nothing changed are one line, all others a line of their own.
#include <fmt/format.h>

#include "harness/report/comparison/sections.h"
#include "harness/report/comparison/words.h"
#include "harness/report/numbers.h"
#include "harness/report/text.h"

namespace kvproof::comparison {
namespace {

constexpr const char* kFields = "agreement, tokens, token_forwards, kv_cache_bytes";

void write_case(const Case& one, Page& page) {
  const std::string name = told(one.id) + (one.shape ? "  " + told(*one.shape) : "");
  const std::string inset = left("", 2 + kVerdictWidth + 2);
  const auto parts = wrap(name, page.width() - static_cast<int>(inset.size()));
  for (std::size_t i = 0; i < parts.size(); ++i)
    page.line((i == 0 ? verdict_label(one.verdict, 2, page) + "  " : inset) + page.painted(parts[i], Ink::bold));
  if (one.verdict == "MISSING") page.wrapped(inset, missing_text(one));
  if (one.verdict == "ADDED") page.wrapped(inset, "only the candidate has it: there is nothing to hold it against yet");
  if (one.reason) page.wrapped(inset, told(*one.reason));
  for (const Change& change : one.changes)
    page.wrapped(inset, change_text(change), change.accepted ? Ink::dim : Ink::plain);
}

}  // namespace

void write_exact(const Comparison& all, Page& page) {
  page.line();
  page.line(page.painted("Is it the same work, with the same outcome?", Ink::bold));
  page.wrapped("", "Compared to the digit: tokens and counts have no noise.", Ink::dim);
  page.line();
  int64_t identical = 0;
  for (const Case& one : all.cases) identical += one.verdict == "IDENTICAL";
  if (identical > 0)
    page.line(verdict_label("IDENTICAL", 2, page) + fmt::format("  {}: {}", counted(identical, "case"), kFields));
  for (const Case& one : all.cases)
    if (one.verdict != "IDENTICAL") write_case(one, page);
  if (all.cases.empty()) page.line("  no case");
}

}  // namespace kvproof::comparison
