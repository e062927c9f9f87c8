// Is it right?
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/analysis/step_curve.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

constexpr int kVerdictWidth = 12, kTokensWidth = 11, kRowsWidth = 12, kLogitsWidth = 14;
constexpr const char* kIndent = "              ";  // under the case's id

int64_t produced(const View& path, int64_t before) {
  int64_t tokens = 0;
  for (const View& row : path.at("rows").items())
    tokens += static_cast<int64_t>(row.at("tokens").items().size()) - before;
  return tokens;
}

// Widths that depend on the record; each with the gap behind it.
struct AgreementLayout {
  int id, shape;
};

AgreementLayout layout_of(const std::vector<View>& cases, int page_width) {
  AgreementLayout layout{6, 7};
  for (const View& one : cases) {
    layout.id = std::max(layout.id, display_width(shown(one.at("id"))) + 2);
    if (one.at("status").text() == "ok") layout.shape = std::max(layout.shape, display_width(shape_of(one)) + 2);
  }
  const int others = 2 + kVerdictWidth + layout.shape + kTokensWidth + kRowsWidth + kLogitsWidth;
  layout.id = std::min(layout.id, std::max(page_width - others, 6));
  return layout;
}

std::string columns(const AgreementLayout& layout, const std::string& shape, const std::string& tokens,
                    const std::string& rows, const std::string& logits) {
  return left(shape, layout.shape) + right(tokens, kTokensWidth) + right(rows, kRowsWidth) +
         right(logits, kLogitsWidth);
}

std::string numbers_of(const View& one, const AgreementLayout& layout) {
  const View agreement = one.at("agreement"), tokens = agreement.at("tokens"), logits = agreement.at("logits");
  const int64_t naive = produced(one.at("paths").at("naive"), tokens_before(one)),
                engine = produced(one.at("paths").at("engine"), tokens_before(one));
  const std::string rows =
      tokens.is_null() ? kNone
                       : fmt::format("{} of {}", tokens.at("identical_rows").integer(), tokens.at("rows").integer());
  return columns(layout, shape_of(one), naive == engine ? std::to_string(naive) : fmt::format("{} / {}", naive, engine),
                 rows, small_number(logits.is_null() ? std::nullopt : std::optional(logits.at("max_abs").number())));
}

}  // namespace

std::string error_text(const View& error) {
  const std::string place = shown(error.at("place"));
  return fmt::format("{} error: {}{}{}", shown(error.at("kind")), place, place.empty() ? "" : ": ",
                     shown(error.at("message")));
}

namespace {

bool rows_differ(const View& agreement) {
  if (agreement.at("tokens").is_null()) return false;
  return agreement.at("tokens").at("identical_rows").integer() < agreement.at("tokens").at("rows").integer();
}

void write_verdict(const View& one, const AgreementLayout& layout, Page& page) {
  const std::string verdict = verdict_of(one), id = shown(one.at("id"));
  const std::string begin = "  " + left(verdict, kVerdictWidth);
  const bool failed = one.at("status").text() != "ok", fits = display_width(id) <= layout.id - 2;
  if (failed || !fits) page.wrapped(begin, id, Ink::plain, ink_of(verdict));
  if (failed) return page.wrapped(kIndent, error_text(one.at("error")));
  page.line((fits ? page.painted(begin, ink_of(verdict)) + left(id, layout.id) : kIndent + left("", layout.id)) +
            numbers_of(one, layout));
  // Rows may differ and be right: then the reason belongs on the page.
  if (verdict != "AGREE" || rows_differ(one.at("agreement")))
    page.wrapped(kIndent, shown(one.at("agreement").at("explanation")));
}

}  // namespace

void write_agreement(const View& record, Page& page) {
  const auto cases = record.at("cases").items();
  const AgreementLayout layout = layout_of(cases, page.width());
  page.line();
  page.line(page.painted("Is it right?", Ink::bold));
  page.wrapped("",
               "naive computes the whole text again for every token; engine keeps keys and values in a cache and "
               "computes only the new token.",
               Ink::dim);
  page.line();
  page.line(page.painted("  " + left("", kVerdictWidth) + left("case", layout.id) +
                             columns(layout, "shape", "tokens", "equal rows", "logits apart"),
                         Ink::dim));
  for (const View& one : cases) write_verdict(one, layout, page);
  page.line();
  page.wrapped("  ",
               "pp6 tg64 x4: 6 prompt tokens, 64 generated, in 4 rows. tokens: those kept, over all rows. logits "
               "apart: the largest difference.",
               Ink::dim);
  write_verifications(record, page);
}

}  // namespace kvproof
