#include "harness/gate/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/machine/machine.h"
#include "harness/measure/build_record.h"
#include "harness/record/view.h"

namespace kvproof {
namespace {

using compare::word;

Json document_of(const std::string& started) {
  const Json build = build_json();
  Json who;
  for (const char* key : {"version", "commit", "dirty", "build_type"}) who[key] = build.at(key);
  return {{"schema", {{"name", compare::kComparisonSchema}, {"version", compare::kComparisonVersion}}},
          {"kvproof", who},
          {"started", started},
          {"seconds", nullptr},
          {"config", nullptr},
          {"base", nullptr},
          {"candidate", nullptr},
          {"cases", Json::array()},
          {"timing", nullptr},
          {"floors", Json::array()},
          {"accept", nullptr},
          {"warnings", Json::array()}};
}

// --- of two documents

Json party_json(const Party& party, const Json& baseline) {
  const View document(baseline);
  const View program = document.at("kvproof"), machine = document.at("machine");
  return {{"kind", party.kind},
          {"name", party.name},
          {"version", program.at("version").text()},
          {"commit", program.at("commit").text()},
          {"dirty", program.at("dirty").boolean()},
          {"fingerprint", machine.at("fingerprint").text()},
          {"cpu_model", machine.at("cpu_model").json()},
          {"started", document.at("started").text()}};
}

std::vector<std::string> ids_of(const Json& baseline) {
  std::vector<std::string> ids;
  for (const View& one : View(baseline).at("cases").items()) ids.push_back(one.at("id").text());
  return ids;
}

std::map<std::string, std::string> shapes_of(const Json& record) {
  std::map<std::string, std::string> shapes;
  for (const View& one : View(record).at("cases").items()) {
    if (one.has("shape") && one.at("shape").json().contains("label"))
      shapes[one.at("id").text()] = one.at("shape").at("label").text();
  }
  return shapes;
}

const View* find_case(const std::vector<View>& cases, const std::string& id) {
  for (const View& one : cases) {
    if (one.at("id").text() == id) return &one;
  }
  return nullptr;
}

std::optional<View> times_of(const View& one_case, const std::string& path) {
  if (!one_case.has("times") || one_case.at("times").is_null()) return std::nullopt;
  return one_case.at("times").at(path);
}

/// A time of two runs beside each other.
Json advisory_json(const std::string& id, const std::string& metric, const View& base, const View& candidate) {
  const double before = base.at("median").number(), now = candidate.at("median").number();
  const auto low_before = base.at("low").number_or_null(), high_before = base.at("high").number_or_null();
  const auto low_now = candidate.at("low").number_or_null(), high_now = candidate.at("high").number_or_null();
  const bool has_range = low_before && high_before && low_now && high_now;
  return {{"case", id},
          {"metric", metric},
          {"gated", false},
          {"verdict", nullptr},
          {"ratio", now / before},
          {"low", has_range ? Json(*low_now / *high_before) : Json()},  // of the two intervals' ends
          {"high", has_range ? Json(*high_now / *low_before) : Json()},
          {"base_ns", before},
          {"candidate_ns", now},
          {"blocks", std::min(base.at("n").integer(), candidate.at("n").integer())}};
}

/// Null where one side keeps no times at all: nobody asked for them.
Json advisory_times(const compare::ExactComparison& exact, const Json& base, const Json& candidate) {
  const auto keeps_times = [](const Json& baseline) {
    const Json& cases = baseline.at("cases");
    return std::any_of(cases.begin(), cases.end(), [](const Json& one) { return one.contains("times"); });
  };
  if (!keeps_times(base) || !keeps_times(candidate)) return nullptr;
  Json timing = {{"kind", "advisory"},
                 {"verdict", nullptr},
                 {"reason", nullptr},
                 {"metrics", Json::array()},
                 {"controls", Json::array()}};
  if (exact.other_machine) {
    timing["verdict"] = word(compare::Verdict::incomparable);
    timing["reason"] = *exact.other_machine;
    return timing;
  }
  const std::vector<View> before = View(base).at("cases").items(), now = View(candidate).at("cases").items();
  for (const View& one : before) {
    const std::string id = one.at("id").text();
    const View* same = find_case(now, id);
    const auto is_same_work = [&](const compare::Incomparable& each) { return each.case_id == id; };
    if (!same || std::any_of(exact.incomparable.begin(), exact.incomparable.end(), is_same_work)) continue;
    for (const std::string path : {"naive", "engine"}) {
      const auto a = times_of(one, path), b = times_of(*same, path);
      if (!a || !b) continue;
      for (const std::string name : {"prefill", "tpot", "e2e"}) {
        const View x = a->at(name + "_ns"), y = b->at(name + "_ns");
        if (!x.is_null() && !y.is_null())
          timing["metrics"].push_back(advisory_json(id, path + "_" + name + " wall", x, y));
      }
    }
  }
  if (!timing["metrics"].empty()) return timing;
  timing["verdict"] = word(compare::Verdict::incomparable);
  timing["reason"] = "no case has times of the same work on both sides";
  return timing;
}

// --- of two programs

Json party_json(const Party& party, const MeasureHello& hello, const MachineFacts& machine) {
  const bool here = hello.fingerprint == machine.fingerprint;
  return {{"kind", party.kind},
          {"name", party.name},
          {"version", hello.version},
          {"commit", hello.commit},
          {"dirty", hello.dirty},
          {"fingerprint", hello.fingerprint},
          {"cpu_model", here && machine.cpu_model.has_value() ? Json(*machine.cpu_model) : Json()},
          {"started", nullptr}};
}

std::string words_of(const std::vector<int32_t>& tokens) { return fmt::format("{}", fmt::join(tokens, " ")); }

Json exact_path(const PathFacts& facts) {
  Json tokens = Json::array();
  for (const auto& row : facts.tokens) tokens.push_back(words_of(row));
  return {{"token_forwards", facts.token_forwards}, {"kv_cache_bytes", facts.kv_cache_bytes}, {"tokens", tokens}};
}

/// What a side gave, as a baseline: both sides read the same config, which their hashes said.
Json baseline_of(const PairedSession& session, Side side) {
  const MeasureHello& hello = side == Side::base ? session.base : session.candidate;
  Json baseline = {{"schema", {{"name", compare::kBaselineSchema}, {"version", compare::kBaselineVersion}}},
                   {"kvproof", {{"version", hello.version}, {"commit", hello.commit}, {"dirty", hello.dirty}}},
                   {"machine", {{"fingerprint", hello.fingerprint}, {"cpu_model", nullptr}}},
                   {"started", ""},
                   {"cases", Json::array()}};
  for (const PairedFacts& each : session.cases) {
    if (each.sides.empty()) continue;  // interrupted before
    const CaseFacts& facts = each.sides.at(side);
    const bool same = facts.naive.tokens == facts.engine.tokens;
    baseline["cases"].push_back(
        {{"id", facts.id},
         {"status", "ok"},
         {"workload", {{"hash", hello.config_hash}}},
         {"exact",
          {{"agreement", same ? "the engine's tokens are naive's" : "the engine's tokens are not naive's"},
           {"naive", exact_path(facts.naive)},
           {"engine", exact_path(facts.engine)}}}});
  }
  return baseline;
}

std::string sentence_of(const TimingOutcome& outcome) {
  if (outcome.verdicts.empty()) {
    for (const PairedFacts& each : outcome.first.cases) {
      if (!each.untimed.empty()) return each.untimed;
    }
    return "nothing could be timed";
  }
  const bool gated = std::any_of(outcome.verdicts.begin(), outcome.verdicts.end(),
                                 [](const TimedVerdict& each) { return each.judged.gated; });
  return gated ? "" : "nothing of it gates: only CPU time of one thread does; set run.threads: 1";
}

/// Of gated times that this machine cannot tell a slow-down of a few per cent of.
std::vector<std::string> margin_warnings(const TimingOutcome& outcome) {
  std::map<std::string, double> wide;
  for (const TimedVerdict& each : outcome.verdicts) {
    if (each.judged.gated && each.judged.margin.share > compare::kWideMargin)
      wide[each.judged.metric] = each.judged.margin.share;
  }
  std::vector<std::string> warnings;
  for (const auto& [metric, share] : wide) {
    warnings.push_back(
        fmt::format("{}: identical programs have differed by so much on this machine that only changes above {:.1f} % "
                    "count; use a quieter one, or remove the noise file if it has become quieter",
                    metric, 100 * share));
  }
  return warnings;
}

/// "" unless both are of one commit, as it is there.
std::string same_commit_warning(const PairedSession& session) {
  const MeasureHello &base = session.base, &candidate = session.candidate;
  if (base.commit == "unknown" || base.commit != candidate.commit || base.dirty || candidate.dirty) return "";
  return fmt::format(
      "base and candidate are both built from commit {}, with nothing changed: only how they were built or started, "
      "and "
      "noise, can differ; if a change was meant, build it, or name another base",
      base.commit);
}

Json untimed_json(const PairedSession& session) {
  Json list = Json::array();
  for (const PairedFacts& each : session.cases) {
    if (each.untimed.empty()) continue;
    const auto at_fault = [&](Side side) {
      const auto found = each.sides.find(side);
      return found != each.sides.end() && !found->second.invalid.empty();
    };
    Json side;
    if (at_fault(Side::base) || at_fault(Side::control)) side = word_of(Side::base);
    if (at_fault(Side::candidate)) side = word_of(Side::candidate);
    list.push_back({{"case", each.sides.at(Side::base).id}, {"side", side}, {"reason", each.untimed}});
  }
  return list;
}

Json paired_times(const TimingOutcome& outcome, const CompareSpec& spec, double seconds,
                  const std::filesystem::path& journal) {
  const compare::Verdict verdict = outcome.verdict();
  const std::string reason = sentence_of(outcome);
  Json timing = {{"kind", "paired"},
                 {"verdict", word(verdict)},
                 {"reason", reason.empty() ? Json() : Json(reason)},
                 {"session",
                  {{"blocks", outcome.family.blocks},
                   {"rounds", spec.rounds},
                   {"epoch_ns", spec.epoch_ms * 1'000'000},
                   {"seconds", seconds},
                   {"tests", outcome.family.tests},
                   {"cases_joined", outcome.family.cases_joined},
                   {"note", outcome.family.note},
                   {"journal", journal.string()}}},
                 {"untimed", untimed_json(outcome.first)},
                 {"metrics", Json::array()},
                 {"controls", Json::array()}};
  for (const TimedVerdict& each : outcome.verdicts) {
    const auto of = [&](double UnitTimes::*side) {
      return each.times ? std::optional((*each.times).*side) : std::nullopt;
    };
    timing["metrics"].push_back(compare::metric_json(each.judged, each.second, of(&UnitTimes::base_ns),
                                                     of(&UnitTimes::candidate_ns), outcome.family.tests));
  }
  for (const compare::Judged& control : outcome.controls) timing["controls"].push_back(compare::control_json(control));
  return timing;
}

}  // namespace

Json compare_documents(const Party& base_party, const Json& base, const Party& candidate_party, const Json& candidate,
                       const std::vector<std::string>& accept) {
  Json document = document_of(utc_now());
  const compare::ExactComparison exact = compare::compare_exact(base, candidate);
  const Json before = compare::baseline_of(base), now = compare::baseline_of(candidate);
  document["base"] = party_json(base_party, before);
  document["candidate"] = party_json(candidate_party, now);
  compare::Accepted accepted(accept);
  std::map<std::string, std::string> shapes = shapes_of(base);
  shapes.merge(shapes_of(candidate));
  document["cases"] = compare::cases_json(exact, ids_of(before), ids_of(now), shapes, accepted);
  document["timing"] = advisory_times(exact, before, now);
  document["accept"] = accepted.json();
  if (exact.other_machine) document["warnings"].push_back("another machine: " + *exact.other_machine);
  return document;
}

Json compare_programs(const Party& base_party, const Party& candidate_party, const LoadedConfig& config,
                      const TimingOutcome& outcome, const std::string& started, double seconds,
                      const std::filesystem::path& journal, const std::vector<std::string>& accept) {
  Json document = document_of(started);
  const MachineFacts machine = machine_facts();
  document["seconds"] = seconds;
  document["config"] = {{"file", config.config.file.string()}, {"hash", config.hash}};
  document["base"] = party_json(base_party, outcome.first.base, machine);
  document["candidate"] = party_json(candidate_party, outcome.first.candidate, machine);
  const Json before = baseline_of(outcome.first, Side::base), now = baseline_of(outcome.first, Side::candidate);
  std::map<std::string, std::string> shapes;
  for (const PairedFacts& each : outcome.first.cases) {
    if (!each.sides.empty()) shapes[each.sides.at(Side::base).id] = each.sides.at(Side::base).shape;
    if (!each.untimed.empty())
      document["warnings"].push_back(each.sides.at(Side::base).id + " was not timed: " + each.untimed);
  }
  for (const std::string& warning : margin_warnings(outcome)) document["warnings"].push_back(warning);
  if (const std::string warning = same_commit_warning(outcome.first); !warning.empty())
    document["warnings"].push_back(warning);
  compare::Accepted accepted(accept);
  document["cases"] =
      compare::cases_json(compare::compare_exact(before, now), ids_of(before), ids_of(now), shapes, accepted);
  document["timing"] = paired_times(outcome, config.config.compare, seconds, journal);
  document["accept"] = accepted.json();
  // Both are: measure_paired refuses two that were compiled differently.
  if (const std::string& built = outcome.first.base.build_type; built != "Release" && built != "RelWithDebInfo")
    document["warnings"].push_back(fmt::format("both are {} builds: their times say nothing of a release's", built));
  return document;
}

Json floors_json(const Json& record, const std::map<std::string, double>& floors) {
  Json found = Json::array();
  for (const View& one : View(record).at("cases").items()) {
    if (one.at("status").text() != "ok") continue;
    for (const auto& [name, floor] : floors) {
      const View speedup = one.at("speedup");
      const std::string part = name.substr(name.find('_') + 1);
      if (!speedup.has(part) || speedup.at(part).is_null()) continue;
      const View ratio = speedup.at(part);
      const auto high = ratio.at("high").number_or_null();
      const bool below = high.value_or(ratio.at("ratio").number()) < floor;
      found.push_back({{"case", one.at("id").text()},
                       {"metric", name},
                       {"floor", floor},
                       {"value", ratio.at("ratio").number()},
                       {"low", ratio.at("low").json()},
                       {"high", ratio.at("high").json()},
                       {"verdict", below ? "REGRESSED" : "EQUIVALENT"}});
    }
  }
  return found;
}

std::vector<compare::Finding> unchecked_floors(const Json& record, const std::map<std::string, double>& floors) {
  std::vector<compare::Finding> found;
  if (floors.empty()) return found;
  for (const View& one : View(record).at("cases").items()) {
    if (one.at("status").text() != "ok") continue;  // a finding of its own
    if (const auto withheld = one.at("speedup").at("withheld").text_or_null())
      found.push_back(
          {"incomparable", ExitCode::no_baseline,
           fmt::format("{}: its floors cannot be held: the speed-up is withheld: {}", one.at("id").text(), *withheld)});
  }
  const Json held = floors_json(record, floors);
  for (const auto& [name, floor] : floors) {
    const bool any =
        std::any_of(held.begin(), held.end(), [&, &name = name](const Json& one) { return one.at("metric") == name; });
    if (!any)
      found.push_back({"incomparable", ExitCode::no_baseline,
                       fmt::format("ci.floors: no case has a {} to hold against {:.2f}", name, floor)});
  }
  return found;
}

}  // namespace kvproof
