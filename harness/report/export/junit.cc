#include "harness/report/export/junit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "harness/analysis/crossover.h"
#include "harness/record/machines.h"
#include "harness/record/view.h"
#include "harness/report/export/junit_document.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

using junit::Outcome;
using junit::Suite;
using junit::Test;

// --- properties

/// A value of the record as text: a string itself, null as "", all else as JSON has it.
std::string value_text(const View& value) {
  if (value.is_null()) return "";
  return value.json().is_string() ? value.text() : value.json().dump(-1, ' ', false, Json::error_handler_t::replace);
}

class Properties {
 public:
  void add(const std::string& name, const std::string& value) { list_.emplace_back(name, value); }
  void add(const std::string& name, const View& value) { add(name, value_text(value)); }
  const junit::Properties& list() const { return list_; }

 private:
  junit::Properties list_;
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

std::string class_of_checkpoint(const View& one) { return "kvproof." + one.at("checkpoint").text(); }

Test test_of_case(const View& one) {
  Test test{class_of_checkpoint(one), one.at("id").text(), outcome_of_case(one), {}, std::nullopt};
  if (one.at("status").text() != "ok") return test;
  Properties properties;
  add_settings(properties, one);
  add_figures(properties, one);
  test.properties = properties.list();
  test.ns = measured_ns(one);
  return test;
}

Test test_of_verification(const View& one, const std::vector<View>& all) {
  Properties properties;
  for (const char* key : {"backend", "dtype", "device", "threads", "depth", "scenarios", "longest_sequence"})
    properties.add(key, one.at(key));
  if (const std::string parts = lines_of(one.at("not_covered")); !parts.empty()) properties.add("not_covered", parts);
  return {class_of_checkpoint(one), "verification " + verification_name(one, all), outcome_of_verification(one),
          properties.list(), std::nullopt};
}

/// The checkpoints' names, in the order in which they are first used; one that could not be loaded has cases, too.
std::vector<std::string> checkpoints_of(const View& record) {
  std::vector<std::string> names;
  const auto add = [&](const View& one) {
    const std::string name = one.at("checkpoint").text();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const View& one : record.at("cases").items()) add(one);
  for (const View& one : verifications_of(record)) add(one);
  return names;
}

Suite suite_of(const std::string& checkpoint, const View& record) {
  Properties properties;
  add_run_machine_and_build(properties, record);
  Suite suite{checkpoint, properties.list(), {}};
  for (const View& one : record.at("cases").items())
    if (one.at("checkpoint").text() == checkpoint) suite.tests.push_back(test_of_case(one));
  const auto verifications = verifications_of(record);
  for (const View& one : verifications)
    if (one.at("checkpoint").text() == checkpoint) suite.tests.push_back(test_of_verification(one, verifications));
  return suite;
}

}  // namespace

std::string render_junit(const Json& json) {
  const View record(json);
  std::vector<Suite> suites;
  for (const std::string& checkpoint : checkpoints_of(record)) suites.push_back(suite_of(checkpoint, record));
  return junit::document_text("kvproof run " + record.at("config").at("file").text(), record.at("started").text(),
                              suites, junit::Times::summed);
}

}  // namespace kvproof
