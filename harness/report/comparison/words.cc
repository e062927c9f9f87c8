#include "harness/report/comparison/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/report/numbers.h"
#include "harness/report/text.h"

namespace kvproof::comparison {
namespace {

constexpr int kMostColumns = 120;  // of a value; a commit's are below
constexpr std::size_t kCommitDigits = 7;

void write_out(std::string& text, std::string_view from, std::string_view instead) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + 1))
    text.replace(at, from.size(), instead);
}

const char* kind_text(const std::string& kind) {
  if (kind == "binary") return "program";
  if (kind == "ref") return "git ref";
  return kind == "baseline" ? "baseline" : "record";
}

const char* meaning_of(int64_t exit_code) {
  switch (exit_code) {
    case 0:
      return "nothing that is gated got worse";
    case 1:
      return "the candidate is slower, or does not do the same";
    case 2:
      return "the command line or the config is wrong";
    case 3:
      return "nobody can tell yet, which is no pass";
    case 4:
      return "something cannot be compared, which is no pass";
    case 5:
      return "other tokens came out, or naive and engine disagree";
    case 6:
      return "a case, or a measurement, failed";
    case 70:
      return "a bug in kvproof: please report it";
    case 130:
      return "interrupted";
    default:
      return "unknown to this version of kvproof";
  }
}

}  // namespace

std::string told(std::string_view text) {
  std::string safe = visible(text);
  write_out(safe, "::", ":\\x3a");
  write_out(safe, "##[", "#\\x23[");
  if (safe.starts_with(':')) safe.replace(0, 1, "\\x3a");  // one of ours may stand before it
  return safe;
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "none";
  const std::string text =
      value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return cut(told(text), kMostColumns);
}

std::string side_text(const Side& side) {
  std::string text = fmt::format("{} {}", kind_text(side.kind), told(side.name));
  if (side.version) text += ", kvproof " + told(*side.version);
  if (side.commit) text += ", commit " + told(side.commit->substr(0, kCommitDigits));
  if (side.dirty.value_or(false)) text += " with uncommitted changes";
  if (side.started) text += ", of " + told(*side.started);
  return text;
}

std::string machine_text(const Side& side) {
  const std::string model = side.cpu_model ? told(*side.cpu_model) : "a CPU that is not known";
  return model + (side.fingerprint ? ", fingerprint " + told(*side.fingerprint) : "");
}

bool same_machine(const Comparison& all) {
  return all.base.fingerprint.has_value() && all.base.fingerprint == all.candidate.fingerprint;
}

std::string place_text(const Change& change) {
  return told(change.field) + (change.place.empty() ? "" : ", " + told(change.place));
}

std::string change_text(const Change& change) {
  return fmt::format("{}: {} in the base, {} in the candidate{}", place_text(change), value_text(change.base),
                     value_text(change.candidate), change.accepted ? " (accepted by ci.accept)" : "");
}

std::string missing_text(const Case& one) {
  return std::string("the base has it, the candidate does not") + (one.accepted ? " (accepted by ci.accept)" : "");
}

std::string ratio_text(double ratio) {
  const int digits = std::abs(ratio) >= 99.995 ? 1 : std::abs(ratio) >= 9.9995 ? 2 : 3;
  return fmt::format("{:.{}f}x", ratio, digits);
}

const char* direction(double ratio) {
  if (ratio_text(ratio) == ratio_text(1)) return "same";
  return ratio > 1 ? "slower" : "faster";
}

std::string interval_text(const Ratio& ratio) {
  if (!ratio.low) return kNone;
  const auto bare = [](double end) {
    const std::string text = ratio_text(end);
    return text.substr(0, text.size() - 1);
  };
  return fmt::format("[{}, {}]", bare(*ratio.low), bare(*ratio.high));
}

std::string ratio_sentence(const Ratio& ratio) {
  const std::string text = fmt::format("{} {}", ratio_text(ratio.value), direction(ratio.value));
  return ratio.low ? text + " " + interval_text(ratio) : text;
}

std::string share_text(std::optional<double> share) {
  if (!share) return kNone;
  return fmt::format("{:.{}f} %", 100 * *share, std::abs(*share) < 0.0995 ? 1 : 0);
}

std::string times_text(const Metric& metric) {
  if (!metric.base_ns || !metric.candidate_ns) return "";
  return milliseconds(metric.base_ns) + " → " + milliseconds(metric.candidate_ns);
}

std::vector<std::string> remarks_on(const Metric& metric) {
  std::vector<std::string> parts;
  const bool regressed = metric.verdict == "REGRESSED";
  if (regressed && metric.p) parts.push_back("p = " + small_number(metric.p));
  if (!metric.reason.empty()) parts.push_back(told(metric.reason));
  const char* unconfirmed = metric.reason.empty() ? "not confirmed by a second session" : "second session";
  if (const auto& second = metric.confirmation)
    parts.push_back(fmt::format("{}: {}, {}", metric.confirmed ? "confirmed by a second session" : unconfirmed,
                                ratio_sentence(second->ratio), second->verdict));
  else if (regressed && metric.gated)
    parts.push_back(metric.confirmed ? "confirmed by a second session" : "not confirmed: no second session was run");
  if (metric.blocks_to_settle)
    parts.push_back(
        fmt::format("about {} blocks would settle it, {} were run", *metric.blocks_to_settle, metric.blocks));
  if (metric.verdict == "INCONCLUSIVE" && metric.alarm_from)
    parts.push_back(fmt::format("{} find a slow-down of {}, 4 times of 5", counted(metric.blocks, "block"),
                                share_text(metric.alarm_from)));
  return parts;
}

std::vector<MarginText> margins_of(const Timing& timing) {
  std::vector<MarginText> all;
  for (const Metric& metric : timing.metrics) {
    if (!metric.margin) continue;
    MarginText one{
        share_text(metric.margin), {told(metric.name)}, "no noise floor: nothing is recorded on this machine"};
    if (metric.noise_floor)
      one.source = fmt::format("noise floor {}, of {} of identical code recorded on this machine",
                               share_text(metric.noise_floor), counted(metric.recorded, "time"));
    const auto same = [&](const MarginText& other) { return other.margin == one.margin && other.source == one.source; };
    const auto found = std::find_if(all.begin(), all.end(), same);
    if (found == all.end())
      all.push_back(one);
    else if (auto& names = found->metrics; std::find(names.begin(), names.end(), one.metrics[0]) == names.end())
      names.push_back(one.metrics[0]);
  }
  return all;
}

std::string seconds_text(double seconds) { return fmt::format("{:.{}f} s", seconds, seconds < 99.95 ? 1 : 0); }

std::string session_text(const Session& session) {
  return fmt::format("{} of {}, each turn {} ms or more, {} in all; {} {} gated{}", counted(session.blocks, "block"),
                     counted(session.rounds, "round"), fmt::format("{:.0f}", session.epoch_ns / 1e6),
                     seconds_text(session.seconds), counted(session.tests, "time"), session.tests == 1 ? "is" : "are",
                     session.cases_joined ? ", the cases of each joined" : "");
}

std::string floor_text(const Floor& floor) {
  const auto bare = [](const Ratio& ratio) { return ratio.low ? " " + interval_text(ratio) : ""; };
  return fmt::format("{}{}, floor {}", ratio_text(floor.value.value), bare(floor.value), ratio_text(floor.floor));
}

std::vector<Explanation> legend(const Timing& timing) {
  const char* ratio = "candidate's time over base's: above 1 is slower";
  if (!timing.paired) return {{"ratio", ratio}, {"[…]", "how far the two runs' own intervals let it lie"}};
  std::vector<Explanation> all = {{"ratio", ratio},
                                  {"[…]", "the interval that holds the true ratio in 95 of 100 sessions"}};
  const std::vector<Explanation> judged = {
      {"δ", "how large a change must be to count: 2 %, more where identical code has differed by more on this machine"},
      {"MDE", "minimum detectable effect: the least true change that such a session tells from none, 4 times of 5"},
      {"REGRESSED", "slower: the interval lies above 1 and the ratio above 1 + δ"},
      {"IMPROVED", "faster, by the same rule turned round; no second session"},
      {"EQUIVALENT", "any difference is smaller than δ: the interval lies within 1 ± δ"},
      {"INCONCLUSIVE", "too noisy to say one of these"},
      {"control", "base against its own copy: where these differ, no verdict of that time is believed"}};
  all.insert(all.end(), judged.begin(), judged.end());
  return all;
}

std::string comparer_text(const Comparison& all) {
  return fmt::format("by kvproof {}, commit {}{}, {}{}", told(all.version), told(all.commit.substr(0, kCommitDigits)),
                     all.dirty ? " with uncommitted changes" : "", told(all.build_type),
                     all.seconds ? fmt::format("; in {}", seconds_text(*all.seconds)) : "");
}

std::string title_text(const Comparison& all) {
  return all.config_file ? fmt::format("kvproof compare {}", told(*all.config_file)) : "kvproof compare";
}

std::string closing_text(const Comparison& all) {
  std::string times = "not compared";
  if (all.timing && all.timing->verdict)
    times = *all.timing->verdict;
  else if (all.timing)
    times = "shown, not judged";
  return fmt::format("Exact values: {}. Times: {}. Exit code {}: {}.", all.exact, times, all.exit_code,
                     meaning_of(all.exit_code));
}

Ink ink_of_word(const std::string& verdict) {
  if (verdict == "IDENTICAL" || verdict == "EQUIVALENT" || verdict == "IMPROVED") return Ink::good;
  if (verdict == "INCONCLUSIVE" || verdict == "INCOMPARABLE") return Ink::doubtful;
  return verdict == "ADDED" || verdict.empty() ? Ink::plain : Ink::bad;
}

}  // namespace kvproof::comparison
