#include "harness/report/export/junit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <pugixml.hpp>
#include <sstream>
#include <vector>

#include "harness/analysis/crossover.h"
#include "harness/record/machines.h"
#include "harness/record/view.h"
#include "harness/report/export/escape.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

constexpr double kNsPerSecond = 1e9;

void set(pugi::xml_node node, const char* attribute, const std::string& value) {
  node.append_attribute(attribute).set_value(xml_text(value).c_str());
}

std::string seconds_text(double ns) { return fmt::format("{:.6f}", ns / kNsPerSecond); }

/// "2026-11-22T10:15:00": the schemas of JUnit know no zone.
std::string without_zone(const std::string& moment) {
  return moment.ends_with('Z') ? moment.substr(0, moment.size() - 1) : moment;
}

// How a test came out: nothing, or an element of this name.
struct Outcome {
  const char* element = nullptr;  // "failure", "error", "skipped"; null: passed
  std::string type, message, details;
};

struct Counts {
  int64_t tests = 0, failures = 0, errors = 0, skipped = 0;
  double ns = 0;

  void add(const Counts& more) {
    tests += more.tests;
    failures += more.failures;
    errors += more.errors;
    skipped += more.skipped;
    ns += more.ns;
  }
  void add(const Outcome& outcome) {
    const std::string element = outcome.element == nullptr ? "" : outcome.element;
    ++tests;
    failures += element == "failure";
    errors += element == "error";
    skipped += element == "skipped";
  }
};

void write_counts(pugi::xml_node node, const Counts& counts, const std::string& started) {
  set(node, "tests", std::to_string(counts.tests));
  set(node, "failures", std::to_string(counts.failures));
  set(node, "errors", std::to_string(counts.errors));
  set(node, "skipped", std::to_string(counts.skipped));
  set(node, "time", seconds_text(counts.ns));
  set(node, "timestamp", without_zone(started));
}

void write_outcome(pugi::xml_node test, const Outcome& outcome) {
  if (outcome.element == nullptr) return;
  pugi::xml_node node = test.append_child(outcome.element);
  if (!outcome.type.empty()) set(node, "type", outcome.type);
  set(node, "message", outcome.message);
  if (!outcome.details.empty()) node.text().set(xml_text(outcome.details).c_str());
}

// --- properties

/// A value of the record as text: a string itself, null as "", all else as JSON has it.
std::string value_text(const View& value) {
  if (value.is_null()) return "";
  return value.json().is_string() ? value.text() : value.json().dump(-1, ' ', false, Json::error_handler_t::replace);
}

class Properties {
 public:
  explicit Properties(pugi::xml_node owner) : node_(owner.append_child("properties")) {}

  void add(const std::string& name, const std::string& value) {
    pugi::xml_node property = node_.append_child("property");
    set(property, "name", name);
    set(property, "value", value);
  }
  void add(const std::string& name, const View& value) { add(name, value_text(value)); }

 private:
  pugi::xml_node node_;
};

void add_run_machine_and_build(Properties& properties, const View& record) {
  const View program = record.at("kvproof");
  properties.add("config", record.at("config").at("file"));
  properties.add("config_hash", record.at("config").at("hash"));
  properties.add("exit_code", record.at("exit_code"));
  if (record.has("partial")) properties.add("partial", record.at("partial"));
  if (record.has("sessions")) properties.add("sessions", std::to_string(record.at("sessions").items().size()));
  const auto machines = machines_of(record);
  for (std::size_t i = 0; i < machines.size(); ++i) {
    const std::string name = machines.size() == 1 ? "machine" : machine_name(static_cast<int64_t>(i));
    for (const char* key : {"cpu_model", "cores", "memory_bytes", "os", "fingerprint"})
      properties.add(name + "." + key, machines[i].at(key));
  }
  for (const char* key :
       {"version", "commit", "dirty", "build_type", "compiler", "compiler_flags", "sanitizers", "torch_version"})
    properties.add(std::string("kvproof.") + key, program.at(key));
}

void add_settings(Properties& properties, const View& one) {
  const View settings = one.at("settings");
  for (const char* key : {"backend", "dtype", "device", "threads", "repetitions"})
    properties.add(std::string("run.") + key, settings.at("run").at(key));
  for (const char* key : {"temperature", "top_k", "seed", "max_tokens", "num_samples", "stop", "mode", "tools"})
    properties.add(std::string("sampler.") + key, settings.at("sampler").at(key));
  properties.add("naive.logits", settings.at("naive").at("logits"));
  if (one.has("machine")) properties.add("machine", machine_name(one.at("machine").integer()));
}

/// Those that there are.
void add_growth(Properties& properties, const View& one) {
  const Json figures = figures_of(crossover(one));
  const View all(figures);
  const auto add = [&](const std::string& name, const View& value) {
    if (!value.is_null()) properties.add(name, value);
  };
  for (const char* path : {"naive", "engine"})
    for (const char* figure : {"step_ns_at_zero", "step_ns_per_token", "growth_exponent"})
      add(fmt::format("{}.{}", path, figure), all.at(path).at(figure));
  for (const char* figure : {"break_even_tokens", "of_ceiling"}) add(figure, all.at(figure));
}

void add_figures(Properties& properties, const View& one) {
  properties.add("shape", shape_of(one));
  properties.add("agreement", one.at("agreement").at("verdict"));
  if (one.has("verification")) properties.add("verification", one.at("verification").at("verdict"));
  properties.add("validity", one.at("validity").at("verdict"));
  for (const char* path : {"naive", "engine"}) {
    const View metrics = one.at("paths").at(path).at("metrics");
    for (const char* metric : {"ttft_ns", "tpot_ns", "prefill_tok_per_s", "decode_tok_per_s"})
      if (!metrics.at(metric).is_null())
        properties.add(fmt::format("{}.{}_median", path, metric), metrics.at(metric).at("median"));
  }
  add_growth(properties, one);
  const View speedup = one.at("speedup");
  if (const auto why = speedup.at("withheld").text_or_null()) return properties.add("speedup.withheld", *why);
  properties.add("speedup.verified", speedup.at("verified"));
  for (const char* phase : {"e2e", "prefill", "decode"}) {
    const View ratio = speedup.at(phase);
    if (!ratio.is_null()) properties.add(fmt::format("speedup.{}", phase), ratio.at("ratio"));
  }
}

// --- outcomes

std::string lines_of(const View& texts) {
  std::vector<std::string> lines;
  for (const View& text : texts.items()) lines.push_back(text.text());
  return joined(lines, "\n");
}

/// "row 0, step 5: naive token 1858, engine token 468"; a path that had ended has no token there.
std::optional<std::string> divergence_of(const View& agreement) {
  if (agreement.at("tokens").is_null() || agreement.at("tokens").at("first_divergence").is_null()) return std::nullopt;
  const View first = agreement.at("tokens").at("first_divergence");
  const auto token = [&](const char* key) {
    const auto id = first.at(key).integer_or_null();
    return id ? std::to_string(*id) : std::string("none");
  };
  return fmt::format("row {}, step {}: naive token {}, engine token {}", first.at("row").integer(),
                     first.at("step").integer(), token("naive_token"), token("engine_token"));
}

Outcome outcome_of_case(const View& one) {
  if (one.at("status").text() != "ok") {
    const View error = one.at("error");
    const std::string place = error.at("place").text();
    return {"error", error.at("kind").text(), (place.empty() ? "" : place + ": ") + error.at("message").text(), ""};
  }
  const View agreement = one.at("agreement"), validity = one.at("validity");
  const std::string verdict = agreement.at("verdict").text(), explanation = agreement.at("explanation").text();
  const std::string verification = verification_of(one);
  const std::string reasons = lines_of(validity.at("reasons"));
  if (verdict == "DISAGREE") {
    const auto where = divergence_of(agreement);
    return {"failure", "DISAGREE", explanation, (where ? *where + "\n" : "") + reasons};
  }
  if (verification == "FAIL") return {"failure", "FAIL", "the engine's cache failed verification", reasons};
  if (validity.at("verdict").text() != "VALID") return {"failure", "INVALID", reasons, ""};
  if (verdict == "UNVERIFIED") return {"skipped", "", "UNVERIFIED: " + explanation, ""};
  if (verification == "OFF") return {"skipped", "", "OFF: the cache was not verified", ""};
  if (verification == "INCONCLUSIVE") return {"skipped", "", "INCONCLUSIVE: " + why_unverified(one), ""};
  return {};
}

Outcome outcome_of_verification(const View& one) {
  const std::string verdict = one.at("verdict").text(), explanation = one.at("explanation").text();
  if (verdict == "PASS") return {};
  if (verdict != "FAIL") return {"skipped", "", verdict + ": " + explanation, ""};
  std::vector<std::string> details;
  const View first = one.at("first_divergence");
  if (!first.is_null()) details.push_back(first.at("scenario").text() + ": " + first.at("message").text());
  if (const auto again = one.at("reproduce").text_or_null()) details.push_back("again: " + *again);
  return {"failure", "FAIL", explanation, joined(details, "\n")};
}

double measured_ns(const View& one) {
  double ns = 0;
  for (const char* path : {"naive", "engine"})
    for (const View& sample : one.at("paths").at(path).at("samples").items()) ns += sample.at("e2e_ns").number();
  return ns;
}

// --- the document

pugi::xml_node add_test(pugi::xml_node suite, const std::string& checkpoint, const std::string& name) {
  pugi::xml_node test = suite.append_child("testcase");
  set(test, "classname", "kvproof." + checkpoint);
  set(test, "name", name);
  return test;
}

void write_case(pugi::xml_node suite, const View& one, Counts& counts) {
  const Outcome outcome = outcome_of_case(one);
  pugi::xml_node test = add_test(suite, one.at("checkpoint").text(), one.at("id").text());
  counts.add(outcome);
  if (one.at("status").text() == "ok") {
    const double ns = measured_ns(one);
    counts.ns += ns;
    set(test, "time", seconds_text(ns));
    Properties properties(test);
    add_settings(properties, one);
    add_figures(properties, one);
  }
  write_outcome(test, outcome);
}

void write_verification(pugi::xml_node suite, const View& one, const std::vector<View>& all, Counts& counts) {
  const Outcome outcome = outcome_of_verification(one);
  pugi::xml_node test = add_test(suite, one.at("checkpoint").text(), "verification " + verification_name(one, all));
  counts.add(outcome);
  Properties properties(test);
  for (const char* key : {"backend", "dtype", "device", "threads", "depth", "scenarios", "longest_sequence"})
    properties.add(key, one.at(key));
  if (const std::string parts = lines_of(one.at("not_covered")); !parts.empty()) properties.add("not_covered", parts);
  write_outcome(test, outcome);
}

/// The checkpoints' names, in the order in which they are first used; one that could not be loaded has cases, too.
std::vector<std::string> suites_of(const View& record) {
  std::vector<std::string> names;
  const auto add = [&](const View& one) {
    const std::string name = one.at("checkpoint").text();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const View& one : record.at("cases").items()) add(one);
  for (const View& one : verifications_of(record)) add(one);
  return names;
}

Counts write_suite(pugi::xml_node suite, const std::string& name, const View& record) {
  Counts counts;
  Properties properties(suite);
  add_run_machine_and_build(properties, record);
  for (const View& one : record.at("cases").items())
    if (one.at("checkpoint").text() == name) write_case(suite, one, counts);
  const auto verifications = verifications_of(record);
  for (const View& one : verifications)
    if (one.at("checkpoint").text() == name) write_verification(suite, one, verifications, counts);
  set(suite, "name", name);
  write_counts(suite, counts, record.at("started").text());
  return counts;
}

}  // namespace

std::string render_junit(const Json& json) {
  const View record(json);
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node root = document.append_child("testsuites");
  Counts counts;
  for (const std::string& name : suites_of(record))
    counts.add(write_suite(root.append_child("testsuite"), name, record));
  set(root, "name", "kvproof run " + record.at("config").at("file").text());
  write_counts(root, counts, record.at("started").text());
  std::ostringstream text;
  document.save(text, " ", pugi::format_indent, pugi::encoding_utf8);
  return text.str();
}

}  // namespace kvproof
