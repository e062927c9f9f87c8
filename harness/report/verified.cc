// Is the cache right beyond the cases' own tokens? A line per verification of a run.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

std::string extent_of(const View& one) {
  std::string text = fmt::format("{} up to {}", counted(one.at("scenarios").integer(), "scenario"),
                                 counted(one.at("longest_sequence").integer(), "position"));
  if (const auto budget = one.at("budget_seconds").number_or_null())
    text += fmt::format(" (quick, {:.2g} s allowed)", *budget);
  if (one.at("logits").has("float64")) {
    const auto worst = one.at("logits").at("float64").at("worst_error").number_or_null();
    if (worst) text += fmt::format(", float64 logits within {}", small_number(worst));
  }
  return text;
}

std::string uncovered_of(const View& one) {
  const auto parts = static_cast<int64_t>(one.at("not_covered").items().size());
  if (parts == 0) return "";
  return fmt::format("; not covered: {} (kvproof verify says which)", counted(parts, "thing"));
}

void write_failure(const View& one, const std::string& indent, Page& page) {
  const View divergence = one.at("first_divergence");
  if (!divergence.is_null()) {
    page.wrapped(indent + "first  ",
                 fmt::format("{}: {}", shown(divergence.at("scenario")), shown(divergence.at("message"))));
  }
  if (const auto again = one.at("reproduce").text_or_null()) page.wrapped(indent + "again  ", visible(*again));
}

}  // namespace

std::vector<View> verifications_of(const View& record) {
  return record.has("verifications") ? record.at("verifications").items() : std::vector<View>();
}

std::string verification_of(const View& one_case) {
  return one_case.has("verification") ? shown(one_case.at("verification").at("verdict")) : "";
}

std::string validity_tally(const View& record) {
  int64_t valid = 0, invalid = 0;
  for (const View& one : record.at("cases").items()) {
    if (one.at("status").text() != "ok") continue;
    ++(one.at("validity").at("verdict").text() == "VALID" ? valid : invalid);
  }
  std::vector<std::string> counts;
  if (valid > 0) counts.push_back(fmt::format("{} VALID", valid));
  if (invalid > 0) counts.push_back(fmt::format("{} INVALID", invalid));
  return joined(counts, ", ");
}

std::string verification_name(const View& one, const std::vector<View>& all) {
  const auto short_name = [](const View& v) { return shown(v.at("checkpoint")) + " " + shown(v.at("dtype")); };
  const std::string name = short_name(one);
  const auto alike = std::count_if(all.begin(), all.end(), [&](const View& v) { return short_name(v) == name; });
  if (alike < 2) return name;
  const bool pinned = one.has("pin") && one.at("pin").boolean();  // older records do not say
  const std::string shard = one.has("shard") ? fmt::format(", shard {}", one.at("shard").integer()) : "";
  return fmt::format("{}, {}, {}{}{}", name, shown(one.at("device")), counted(one.at("threads").integer(), "thread"),
                     pinned ? " pinned" : "", shard);
}

std::string verification_text(const View& one) {
  return shown(one.at("verdict")) == "PASS" ? extent_of(one) + uncovered_of(one) : shown(one.at("explanation"));
}

void write_verifications(const View& record, Page& page) {
  const auto all = verifications_of(record);
  if (all.empty()) return;
  page.line();
  for (const View& one : all) {
    const std::string verdict = shown(one.at("verdict")), begin = "  verification  " + verdict + "  ";
    page.wrapped(begin, verification_name(one, all) + ": " + verification_text(one), Ink::plain, ink_of(verdict));
    if (verdict == "FAIL") write_failure(one, left("", display_width(begin)), page);
  }
}

}  // namespace kvproof
