#include "harness/report/comparison/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "harness/error.h"
#include "harness/record/view.h"
#include "harness/report/text.h"

namespace kvproof::comparison {
namespace {

const std::initializer_list<const char*> kOfCases = {"IDENTICAL", "CHANGED", "MISSING", "ADDED", "INCOMPARABLE"};
const std::initializer_list<const char*> kOfTimes = {"REGRESSED", "IMPROVED", "EQUIVALENT", "INCONCLUSIVE",
                                                     "INCOMPARABLE"};
const std::initializer_list<const char*> kOfFloors = {"REGRESSED", "EQUIVALENT"};
const std::initializer_list<const char*> kExact = {"IDENTICAL", "CHANGED", "INCOMPARABLE"};
const std::initializer_list<const char*> kSides = {"binary", "ref", "baseline", "record"};
const std::initializer_list<const char*> kTimings = {"paired", "advisory"};

/// One of these words: reports decide by them, and print them as they are.
std::string word_of(const View& value, std::initializer_list<const char*> words) {
  const std::string found = value.text();
  if (std::find(words.begin(), words.end(), found) != words.end()) return found;
  std::string list;
  for (const char* word : words) list += (list.empty() ? "\"" : ", \"") + std::string(word) + "\"";
  throw RecordError(value.pointer(),
                    fmt::format("expected one of {}, found \"{}\"; the document is damaged, or a newer "
                                "kvproof wrote it",
                                list, visible(found)));
}

/// Absent where there is no such field, too.
std::optional<View> field(const View& of, const char* key) {
  if (!of.has(key) || of.at(key).is_null()) return std::nullopt;
  return of.at(key);
}

std::optional<std::string> text_at(const View& of, const char* key) {
  const auto value = field(of, key);
  return value ? std::optional(value->text()) : std::nullopt;
}

std::vector<std::string> texts(const View& list) {
  std::vector<std::string> all;
  for (const View& one : list.items()) all.push_back(one.text());
  return all;
}

Side side_of(const View& side) {
  Side made;
  made.kind = word_of(side.at("kind"), kSides);
  made.name = side.at("name").text();
  made.version = side.at("version").text_or_null();
  made.commit = side.at("commit").text_or_null();
  if (const View dirty = side.at("dirty"); !dirty.is_null()) made.dirty = dirty.boolean();
  made.fingerprint = side.at("fingerprint").text_or_null();
  made.cpu_model = side.at("cpu_model").text_or_null();
  made.started = side.at("started").text_or_null();
  return made;
}

Ratio ratio_of(const View& of, const char* name) {
  const Ratio ratio{of.at(name).number(), of.at("low").number_or_null(), of.at("high").number_or_null()};
  if (ratio.low.has_value() != ratio.high.has_value())
    throw RecordError(of.pointer() + (ratio.low ? "/high" : "/low"),
                      "expected a number, for the interval's other end is one, found null; the document is damaged");
  return ratio;
}

Case case_of(const View& one) {
  Case made;
  made.id = one.at("id").text();
  made.shape = one.at("shape").text_or_null();
  made.verdict = word_of(one.at("verdict"), kOfCases);
  made.reason = one.at("reason").text_or_null();
  made.accepted = one.at("accepted").boolean();
  for (const View& change : one.at("changes").items())
    made.changes.push_back({change.at("field").text(), change.at("place").text(), change.at("base").json(),
                            change.at("candidate").json(), change.at("accepted").boolean()});
  return made;
}

void read_judgement(const View& metric, Metric& made) {
  made.verdict = word_of(metric.at("verdict"), kOfTimes);
  made.margin = metric.at("margin").number();
  made.noise_floor = metric.at("noise_floor").number_or_null();
  made.recorded = metric.at("recorded").integer();
  made.minimum_detectable = metric.at("minimum_detectable").number_or_null();
  made.alarm_from = metric.at("alarm_from").number_or_null();
  made.p = metric.at("p").number_or_null();
  made.blocks_to_settle = metric.at("blocks_to_settle").integer_or_null();
  made.reason = metric.at("reason").text();
  if (const auto confirmed = field(metric, "confirmed")) made.confirmed = confirmed->boolean();
  if (const auto second = field(metric, "confirmation"))
    made.confirmation = Confirmation{ratio_of(*second, "ratio"), word_of(second->at("verdict"), kOfTimes)};
}

Metric metric_of(const View& metric, bool paired) {
  Metric made;
  made.case_id = metric.at("case").text();
  made.name = metric.at("metric").text();
  made.gated = metric.at("gated").boolean() && paired;
  made.ratio = ratio_of(metric, "ratio");
  made.base_ns = metric.at("base_ns").number_or_null();
  made.candidate_ns = metric.at("candidate_ns").number_or_null();
  made.blocks = metric.at("blocks").integer();
  if (paired) read_judgement(metric, made);
  return made;
}

Control control_of(const View& control) {
  return {control.at("case").text(), control.at("metric").text(), word_of(control.at("verdict"), kOfTimes),
          ratio_of(control, "ratio"), control.at("minimum_detectable").number_or_null()};
}

Session session_of(const View& session) {
  Session made;
  made.blocks = session.at("blocks").integer();
  made.rounds = session.at("rounds").integer();
  made.epoch_ns = session.at("epoch_ns").number();
  made.seconds = session.at("seconds").number();
  made.tests = session.at("tests").integer();
  made.cases_joined = session.at("cases_joined").boolean();
  made.note = session.at("note").text();
  made.journal = text_at(session, "journal");
  return made;
}

Timing timing_of(const View& timing) {
  Timing made;
  made.paired = word_of(timing.at("kind"), kTimings) == "paired";
  if (const auto verdict = field(timing, "verdict")) made.verdict = word_of(*verdict, kOfTimes);
  made.reason = text_at(timing, "reason");
  if (const auto session = field(timing, "session")) made.session = session_of(*session);
  for (const View& metric : timing.at("metrics").items()) made.metrics.push_back(metric_of(metric, made.paired));
  if (const auto controls = field(timing, "controls"))
    for (const View& control : controls->items()) made.controls.push_back(control_of(control));
  return made;
}

Floor floor_of(const View& floor) {
  return {floor.at("case").text(), floor.at("metric").text(), word_of(floor.at("verdict"), kOfFloors),
          floor.at("floor").number(), ratio_of(floor, "value")};
}

void check_schema(const View& document) {
  const View schema = document.at("schema"), name = schema.at("name"), version = schema.at("version");
  if (name.text() != kComparisonSchema)
    throw RecordError(name.pointer(),
                      fmt::format("expected \"{}\", found \"{}\"; is this a document of kvproof compare?",
                                  kComparisonSchema, visible(name.text())));
  const int64_t found = version.integer();
  if (found == kComparisonVersion) return;
  throw RecordError(version.pointer(),
                    fmt::format("expected {}, found {}; {}", kComparisonVersion, found,
                                found > kComparisonVersion ? "a newer kvproof wrote this: read it with that one"
                                                           : "no kvproof wrote this: compare again"));
}

}  // namespace

bool is_comparison(const Json& document) {
  if (!document.is_object() || !document.contains("schema") || !document["schema"].is_object()) return false;
  return document["schema"].value("name", Json()) == kComparisonSchema;
}

Comparison read_comparison(const Json& json) {
  const View document(json);
  check_schema(document);
  const View program = document.at("kvproof"), accept = document.at("accept"), verdict = document.at("verdict");
  Comparison made;
  made.version = program.at("version").text();
  made.commit = program.at("commit").text();
  made.dirty = program.at("dirty").boolean();
  made.build_type = program.at("build_type").text();
  made.started = document.at("started").text();
  made.seconds = document.at("seconds").number_or_null();
  if (const View config = document.at("config"); !config.is_null()) {
    made.config_file = config.at("file").text();
    made.config_hash = config.at("hash").text();
  }
  made.base = side_of(document.at("base"));
  made.candidate = side_of(document.at("candidate"));
  for (const View& one : document.at("cases").items()) made.cases.push_back(case_of(one));
  if (const View timing = document.at("timing"); !timing.is_null()) made.timing = timing_of(timing);
  for (const View& floor : document.at("floors").items()) made.floors.push_back(floor_of(floor));
  made.accept_given = texts(accept.at("given"));
  made.accept_unused = texts(accept.at("unused"));
  made.warnings = texts(document.at("warnings"));
  made.exact = word_of(verdict.at("exact"), kExact);
  made.exit_code = verdict.at("exit_code").integer();
  made.reasons = texts(verdict.at("reasons"));
  return made;
}

}  // namespace kvproof::comparison
