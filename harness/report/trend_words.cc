#include "harness/report/trend_words.h"

#include <fmt/format.h>

#include <cmath>

#include "harness/error.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"

namespace kvproof {
namespace {

constexpr std::size_t kCommitDigits = 8, kDateDigits = 10;

std::string date_text(const View& moment) { return visible(moment.text().substr(0, kDateDigits)); }

std::string run_text(const View& run) { return commit_text(run.at("commit")) + " of " + date_text(run.at("started")); }

std::string beside_release(const View& release, const std::string& tag) {
  return fmt::format("{} than release {} ({} then, {} over the newest {}), p = {}",
                     change_text(release.at("ratio").number()), tag, milliseconds(release.at("ns").number()),
                     milliseconds(release.at("latest_ns").number()),
                     counted(static_cast<int64_t>(release.at("latest").items().size()), "point"),
                     small_number(release.at("p").number()));
}

}  // namespace

std::string commit_text(const View& commit, bool dirty) {
  const std::string text = commit.text();
  if (text.empty()) return "unknown commit";
  return visible(text.substr(0, kCommitDigits)) + (dirty ? "+" : "");
}

std::string change_text(double ratio) {
  const double percent = 100 * (ratio - 1);
  if (std::abs(percent) < 0.05) return "as fast";
  return fmt::format("{:.1f} % {}", std::abs(percent), percent > 0 ? "slower" : "faster");
}

std::string step_text(const View& step) {
  return fmt::format("{} near commit {} (the run before was {}): {} before, {} since, p = {}",
                     change_text(step.at("ratio").number()), run_text(step.at("after")), run_text(step.at("before")),
                     milliseconds(step.at("before_ns").number()), milliseconds(step.at("after_ns").number()),
                     small_number(step.at("p").number()));
}

std::string standing_text(const View& series, const View& against) {
  const std::string verdict = shown(series.at("verdict"));
  const auto reason = series.at("reason").text_or_null();
  if (reason) return verdict + ": " + visible(*reason);
  if (const auto tag = against.text_or_null())
    return verdict + ": " + beside_release(series.at("release"), visible(*tag));
  const auto ratio = series.at("ratio").number_or_null();
  if (!ratio)
    return fmt::format("{}: no step in {}", verdict,
                       counted(static_cast<int64_t>(series.at("points").items().size()), "point"));
  return fmt::format("{}: {} since the last step", verdict, change_text(*ratio));
}

std::string trend_held(const View& trend) {
  const View against = trend.at("against");
  return against.is_null() ? "the newest stretch of points against the one before its last step"
                           : "the newest points against those of release " + shown(against);
}

std::string left_out_text(const View& trend) {
  const View left_out = trend.at("left_out");
  const int64_t failed = left_out.at("failed").integer(), invalid = left_out.at("invalid").integer();
  std::vector<std::string> parts;
  if (failed > 0) parts.push_back(fmt::format("{} of cases that failed", counted(failed, "line")));
  if (invalid > 0) parts.push_back(fmt::format("{} of cases that were INVALID", counted(invalid, "line")));
  std::string text;
  if (!parts.empty()) text = "Without points: " + joined(parts, ", ") + ".";
  if (const auto line = trend.at("unfinished").integer_or_null())
    text += fmt::format("{}Line {} is half a line, whose writer was ended: it is passed over.", text.empty() ? "" : " ",
                        *line);
  return text;
}

std::string trend_closing(const View& trend) {
  int64_t slower = 0, faster = 0, level = 0, few = 0;
  for (const View& series : trend.at("series").items()) {
    if (!series.at("current").boolean()) continue;
    const std::string verdict = series.at("verdict").text();
    ++(verdict == "SLOWER" ? slower : verdict == "FASTER" ? faster : verdict == "LEVEL" ? level : few);
  }
  std::vector<std::string> parts;
  const std::pair<int64_t, const char*> tallies[] = {
      {slower, "SLOWER"}, {faster, "FASTER"}, {level, "LEVEL"}, {few, "TOO FEW points"}};
  for (const auto& [count, word] : tallies)
    if (count > 0) parts.push_back(fmt::format("{} {}", count, word));
  const std::string tally = parts.empty() ? "no points" : joined(parts, ", ");
  return tally +
         ". A history says where to look: runs of different days share nothing that could be paired. kvproof compare "
         "measures two programs side by side.";
}

std::string trend_class(const std::string& verdict) {
  if (verdict == "SLOWER") return "bad";
  return verdict == "TOO FEW" ? "doubtful" : "good";
}

}  // namespace kvproof
