#include "harness/compare/exact.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "harness/error.h"
#include "harness/stats/stats.h"

namespace kvproof::compare {
namespace {

// --- making a baseline

Json checkpoint_json(const View& record, const std::string& name) {
  for (const View& checkpoint : record.at("checkpoints").items()) {
    if (checkpoint.at("name").text() != name) continue;
    if (const auto hash = checkpoint.at("xxh128").text_or_null()) return {{"xxh128", *hash}};
    if (checkpoint.has("shards")) {
      Json shards = Json::array();
      for (const View& shard : checkpoint.at("shards").items()) shards.push_back(shard.at("xxh128").text());
      return {{"shards", shards}};
    }
    return {{"synthetic", checkpoint.at("tag").text()}};
  }
  throw RecordError("/checkpoints", "expected \"" + name + "\", which a case names; the record is damaged");
}

Json workload_json(const View& record, const View& one_case) {
  Json settings = one_case.at("settings").json();
  if (settings.contains("run")) settings["run"].erase("repetitions");
  const std::string ids = one_case.at("prompt").at("tokens").json().dump();
  const View shape = one_case.at("shape");
  Json workload = {{"settings", settings},
                   {"prompt",
                    {{"tokens", one_case.at("prompt").at("tokens").items().size()},
                     {"depth", shape.has("depth") ? shape.at("depth").integer() : 0},  // older records have none
                     {"xxh128", xxh128_of(ids.data(), ids.size())}}},
                   {"checkpoint", checkpoint_json(record, one_case.at("checkpoint").text())}};
  const std::string all = nlohmann::json(workload).dump();  // keys sorted: their order in the record says nothing
  workload["hash"] = xxh128_of(all.data(), all.size());
  return workload;
}

Json path_json(const View& path, std::size_t prompt) {
  Json tokens = Json::array();
  for (const View& row : path.at("rows").items()) {
    const std::vector<View> ids = row.at("tokens").items();
    if (ids.size() < prompt) {
      throw RecordError(row.pointer() + "/tokens",
                        fmt::format("expected the prompt's {} tokens first, found {} in all; the record is damaged",
                                    prompt, ids.size()));
    }
    std::string text;
    for (std::size_t i = prompt; i < ids.size(); ++i) {
      if (i > prompt) text += ' ';
      text += std::to_string(ids[i].integer());
    }
    tokens.push_back(text);
  }
  const auto bytes = path.at("kv_cache_bytes").integer_or_null();
  return {{"token_forwards", path.at("token_forwards").integer()},
          {"kv_cache_bytes", bytes ? Json(*bytes) : Json()},
          {"tokens", tokens}};
}

double tpot_of(const View& sample) {
  const auto gaps = static_cast<double>(sample.at("itl_ns").items().size());
  if (gaps == 0)
    throw RecordError(sample.pointer() + "/itl_ns", "expected gaps, as the case has tpot_ns; the record is damaged");
  return (sample.at("e2e_ns").number() - sample.at("ttft_ns").number()) / gaps;
}

// One time over the repetitions; `value` of a sample.
template <class Value>
Json time_json(const View& metric, const std::vector<View>& samples, Value value) {
  if (metric.is_null()) return nullptr;
  std::vector<double> values;
  for (const View& sample : samples) values.push_back(value(sample));
  const auto interval = median_interval(values);
  return {{"median", std::llround(metric.at("median").number())},
          {"low", interval ? Json(std::llround(interval->first)) : Json()},
          {"high", interval ? Json(std::llround(interval->second)) : Json()},
          {"n", values.size()}};
}

Json path_times(const View& path) {
  const View metrics = path.at("metrics");
  const std::vector<View> samples = path.at("samples").items();
  Json times;
  for (const std::string name : {"e2e_ns", "ttft_ns", "prefill_ns"})
    times[name] = time_json(metrics.at(name), samples, [&](const View& sample) { return sample.at(name).number(); });
  times["tpot_ns"] = time_json(metrics.at("tpot_ns"), samples, tpot_of);
  return times;
}

// Of a measurement that is of no use nobody shall be reminded.
Json times_json(const View& one_case) {
  if (one_case.at("validity").at("verdict").text() != "VALID") return nullptr;
  const View paths = one_case.at("paths");
  return {{"naive", path_times(paths.at("naive"))}, {"engine", path_times(paths.at("engine"))}};
}

Json case_json(const View& record, const View& one_case, Times times) {
  const std::string status = one_case.at("status").text();
  Json out = {{"id", one_case.at("id").text()}, {"status", status}};
  if (status != "ok") {
    out["error_kind"] = one_case.at("error").at("kind").text();
    return out;
  }
  const std::size_t prompt = one_case.at("prompt").at("tokens").items().size();
  out["workload"] = workload_json(record, one_case);
  out["exact"] = {{"agreement", one_case.at("agreement").at("verdict").text()},
                  {"naive", path_json(one_case.at("paths").at("naive"), prompt)},
                  {"engine", path_json(one_case.at("paths").at("engine"), prompt)}};
  if (times == Times::keep) out["times"] = times_json(one_case);
  return out;
}

void check_version(const View& schema, int64_t expected) {
  const int64_t found = schema.at("version").integer();
  if (found == expected) return;
  throw RecordError(schema.pointer() + "/version",
                    fmt::format("expected {}, found {}; {}", expected, found,
                                found > expected ? "a newer kvproof wrote this: read it with that one"
                                                 : "no kvproof wrote this: make it anew"));
}

Json without_times(Json baseline) {
  View(baseline).at("cases").items();
  for (Json& one_case : baseline["cases"]) {
    if (one_case.is_object()) one_case.erase("times");
  }
  return baseline;
}

// --- comparing two

std::string dotted(const std::string& pointer) {
  std::string name = pointer.substr(1);
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

// The first value that is not the same, by its place, and what it is in each; of two whose hashes differ.
std::string first_difference(const Json& base, const Json& candidate) {
  const Json before = base.flatten(), after = candidate.flatten();
  const auto shown = [](const Json& values, const std::string& pointer) {
    return values.contains(pointer) ? values[pointer].dump() : "nothing";
  };
  for (const Json* values : {&before, &after}) {
    for (const auto& [pointer, value] : values->items()) {
      const std::string a = shown(before, pointer), b = shown(after, pointer);
      if (a != b && pointer != "/hash") {
        return fmt::format("{}: {} in the base, {} in the candidate", dotted(pointer), a, b);
      }
    }
  }
  return "hash: differs, and nothing else does; make the baseline anew";
}

std::vector<int64_t> ids_of(const View& row) {
  std::istringstream in(row.text());
  std::vector<int64_t> ids;
  for (int64_t id = 0; in >> id;) ids.push_back(id);
  if (!in.eof())
    throw RecordError(row.pointer(),
                      "expected token ids with spaces between, found \"" + row.text() + "\"; the baseline is damaged");
  return ids;
}

std::optional<ExactChange> tokens_change(const View& base, const View& candidate) {
  const std::vector<View> before = base.items(), after = candidate.items();
  if (before.size() != after.size()) return ExactChange{"", "", "rows", before.size(), after.size()};
  for (std::size_t row = 0; row < before.size(); ++row) {
    const std::vector<int64_t> a = ids_of(before[row]), b = ids_of(after[row]);
    const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    if (x == a.end() && y == b.end()) continue;
    return ExactChange{"", "", fmt::format("row {}, token {}", row, x - a.begin()), x == a.end() ? Json() : Json(*x),
                       y == b.end() ? Json() : Json(*y)};
  }
  return std::nullopt;
}

std::vector<ExactChange> changes(const std::string& id, const View& base, const View& candidate) {
  std::vector<ExactChange> found;
  const auto hold = [&](const std::string& field, const Json& a, const Json& b) {
    if (a != b) found.push_back({id, field, "", a, b});
  };
  hold("agreement", base.at("agreement").json(), candidate.at("agreement").json());
  for (const std::string path : {"naive", "engine"}) {
    const View a = base.at(path), b = candidate.at(path);
    if (auto change = tokens_change(a.at("tokens"), b.at("tokens"))) {
      change->case_id = id;
      change->field = path + ".tokens";
      found.push_back(*change);
    }
    for (const std::string count : {"token_forwards", "kv_cache_bytes"})
      hold(path + "." + count, a.at(count).json(), b.at(count).json());
  }
  return found;
}

std::string status_of(const View& one_case) {
  const std::string status = one_case.at("status").text();
  return status == "ok" ? status : status + " (" + one_case.at("error_kind").text() + ")";
}

void compare_case(const std::string& id, const View& base, const View& candidate, ExactComparison& result) {
  const bool failed_before = base.at("status").text() != "ok", failed_now = candidate.at("status").text() != "ok";
  if (failed_before && failed_now) {
    result.incomparable.push_back({id, "failed in both: " + status_of(candidate)});
    return;
  }
  if (failed_before || failed_now) {
    result.changed.push_back({id, "status", "", status_of(base), status_of(candidate)});
    return;
  }
  const View work_before = base.at("workload"), work_now = candidate.at("workload");
  if (work_before.at("hash").text() != work_now.at("hash").text()) {
    result.incomparable.push_back({id, first_difference(work_before.json(), work_now.json())});
    return;
  }
  const std::vector<ExactChange> found = changes(id, base.at("exact"), candidate.at("exact"));
  if (found.empty()) result.identical.push_back(id);
  result.changed.insert(result.changed.end(), found.begin(), found.end());
}

std::map<std::string, View> cases_by_id(const View& document) {
  std::map<std::string, View> cases;
  for (const View& one_case : document.at("cases").items()) {
    const std::string id = one_case.at("id").text();
    if (!cases.emplace(id, one_case).second)
      throw RecordError(one_case.pointer() + "/id", "a second case named \"" + id + "\"; the document is damaged");
  }
  return cases;
}

std::optional<std::string> other_machine(const View& base, const View& candidate) {
  const std::string before = base.at("fingerprint").text(), now = candidate.at("fingerprint").text();
  if (before == now) return std::nullopt;
  const auto name = [](const View& machine) { return machine.at("cpu_model").text_or_null().value_or("unknown CPU"); };
  return fmt::format("machine {} ({}) in the base, {} ({}) in the candidate", before, name(base), now, name(candidate));
}

}  // namespace

Json baseline_of(const Json& document, Times times) {
  const View record(document);
  const View schema = record.at("schema");
  const std::string name = schema.at("name").text();
  if (name == kBaselineSchema) {
    check_version(schema, kBaselineVersion);
    return times == Times::keep ? document : without_times(document);
  }
  if (name != kRecordSchema) {
    throw RecordError(
        "/schema/name",
        fmt::format("expected \"{}\" or \"{}\", found \"{}\"; name a record of kvproof run, or a baseline made of one",
                    kRecordSchema, kBaselineSchema, name));
  }
  check_version(schema, kRecordVersion);
  const View program = record.at("kvproof"), machine = record.at("machine");
  Json baseline = {{"schema", {{"name", kBaselineSchema}, {"version", kBaselineVersion}}}};
  for (const std::string key : {"version", "commit", "dirty"}) baseline["kvproof"][key] = program.at(key).json();
  for (const std::string key : {"fingerprint", "cpu_model"}) baseline["machine"][key] = machine.at(key).json();
  baseline["started"] = record.at("started").text();
  baseline["cases"] = Json::array();
  for (const View& one_case : record.at("cases").items())
    baseline["cases"].push_back(case_json(record, one_case, times));
  return baseline;
}

ExactComparison compare_exact(const Json& base, const Json& candidate) {
  const Json before = baseline_of(base, Times::leave_out), now = baseline_of(candidate, Times::leave_out);
  const auto old_cases = cases_by_id(View(before)), new_cases = cases_by_id(View(now));
  ExactComparison result;
  result.other_machine = other_machine(View(before).at("machine"), View(now).at("machine"));
  for (const View& one_case : View(before).at("cases").items()) {  // in the base's order
    const std::string id = one_case.at("id").text();
    const auto found = new_cases.find(id);
    if (found == new_cases.end()) {
      result.missing.push_back(id);
    } else {
      compare_case(id, one_case, found->second, result);
    }
  }
  for (const View& one_case : View(now).at("cases").items()) {
    const std::string id = one_case.at("id").text();
    if (!old_cases.contains(id)) result.added.push_back(id);
  }
  return result;
}

}  // namespace kvproof::compare
