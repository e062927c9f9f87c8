#include "harness/report/export/gbench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "harness/analysis/crossover.h"
#include "harness/record/view.h"
#include "harness/report/page.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

// One benchmark: a phase of one path of a case.
struct Series {
  std::string name;
  std::vector<double> times_ns;            // of the whole phase, one for each repetition
  std::vector<int64_t> iterations;         // into which that time is divided
  std::vector<std::optional<double>> cpu;  // ns; absent: not known
  std::optional<double> fastest;           // tokens a second, of the repetition that took least
  Json counters = Json::object();          // of all repetitions together, so the same in each of their rows
};

Json cache_json(const char* type, int level, const View& bytes) {
  return {{"type", type}, {"level", level}, {"size", bytes.integer()}, {"num_sharing", 0}};  // 0: not known
}

Json caches_of(const View& machine) {
  struct Level {
    const char *key, *type;
    int level;
  };
  constexpr std::array<Level, 3> kLevels = {
      {{"l1d_bytes", "Data", 1}, {"l2_bytes", "Unified", 2}, {"l3_bytes", "Unified", 3}}};
  Json caches = Json::array();
  for (const Level& level : kLevels) {
    const View bytes = machine.at("caches").at(level.key);
    if (!bytes.is_null()) caches.push_back(cache_json(level.type, level.level, bytes));
  }
  return caches;
}

Json loads_of(const View& load) {
  Json loads = Json::array();
  if (load.is_null()) return loads;
  for (const View& average : load.items()) loads.push_back(average.number());
  return loads;
}

/// Asserts are compiled into everything but these of CMake's build types.
const char* build_type_of(const std::string& build_type) {
  const bool release = build_type == "Release" || build_type == "RelWithDebInfo" || build_type == "MinSizeRel";
  return release ? "release" : "debug";
}

Json context_of(const View& record) {
  const View machine = record.at("machine"), program = record.at("kvproof");
  const auto command = record.at("command").items();
  const auto governor = machine.at("governor").text_or_null();
  return {{"date", record.at("started").text()},
          {"host_name", ""},  // a record does not say where it was made
          {"executable", command.empty() ? "kvproof" : command.front().text()},
          {"num_cpus", machine.at("cores").integer_or_null().value_or(0)},  // null: of several machines
          {"mhz_per_cpu", 0},  // nor at what clock rate
          {"cpu_scaling_enabled", governor && *governor != "performance"},
          {"caches", caches_of(machine)},
          {"load_avg", loads_of(machine.at("load_before"))},
          {"library_build_type", build_type_of(program.at("build_type").text())},
          {"kvproof_version", program.at("version").text()},
          {"kvproof_commit", program.at("commit").text()},
          {"machine_fingerprint", machine.at("fingerprint").text()},
          {"kvproof_partial", record.has("partial") && record.at("partial").boolean()},
          {"kvproof_exit_code", record.at("exit_code").integer()}};
}

/// The metric's rate in the fastest repetition; every other one's follows from its time.
std::optional<double> fastest_rate(const View& path, const char* metric) {
  const View rate = path.at("metrics").at(metric);
  return rate.is_null() ? std::nullopt : std::optional(rate.at("max").number());
}

/// Those of the figures that exist: a counter is a number.
Json counters_of(const Json& figures) {
  Json counters = Json::object();
  for (const auto& [name, value] : figures.items())
    if (value.is_number()) counters[name] = value;
  return counters;
}

/// figures  of the case, as figures_of() has them
std::vector<Series> series_of(const std::string& prefix, const View& path, const char* name, const Json& figures) {
  Series prefill{prefix + "/prefill", {}, {}, {}, fastest_rate(path, "prefill_tok_per_s")};
  Series decode{prefix + "/decode", {}, {}, {}, fastest_rate(path, "decode_tok_per_s"), counters_of(figures.at(name))};
  Series e2e{prefix + "/e2e", {}, {}, {}, fastest_rate(path, "output_tok_per_s")};
  if (name == std::string("engine")) e2e.counters = counters_of(figures);
  for (const View& sample : path.at("samples").items()) {
    prefill.times_ns.push_back(sample.at("prefill_ns").number());
    prefill.iterations.push_back(1);
    prefill.cpu.push_back(std::nullopt);
    e2e.times_ns.push_back(sample.at("e2e_ns").number());
    e2e.iterations.push_back(1);
    e2e.cpu.push_back(sample.at("cpu_ns").number_or_null());
    const auto gaps = sample.at("itl_ns").items();
    if (gaps.empty()) continue;  // one token has no decode
    decode.times_ns.push_back(
        std::accumulate(gaps.begin(), gaps.end(), 0.0, [](double sum, const View& gap) { return sum + gap.number(); }));
    decode.iterations.push_back(static_cast<int64_t>(gaps.size()));
    decode.cpu.push_back(std::nullopt);
  }
  return {prefill, decode, e2e};
}

/// What all rows have, in Google Benchmark's order; a case that could not run has these alone.
Json row_of(const std::string& name, int64_t family, std::size_t repetitions, std::size_t index, int64_t threads) {
  return {{"name", name},
          {"family_index", family},
          {"per_family_instance_index", 0},
          {"run_name", name},
          {"run_type", "iteration"},
          {"repetitions", repetitions},
          {"repetition_index", index},
          {"threads", threads}};
}

void put_error(Json& row, const std::string& message) {
  row["error_occurred"] = true;
  row["error_message"] = message;
}

void put_times(Json& row, int64_t iterations, double real_ns, double cpu_ns) {
  row["iterations"] = iterations;
  row["real_time"] = real_ns;
  row["cpu_time"] = cpu_ns;
  row["time_unit"] = "ns";
}

void add_series(Json& rows, const Series& series, int64_t family, const View& one) {
  const auto faults = faults_of(one);
  const std::string label = fmt::format("{}, {}", shape_of(one), verdict_of(one));
  const int64_t threads = one.at("settings").at("run").at("threads").integer();
  const auto& times = series.times_ns;
  for (std::size_t i = 0; i < times.size(); ++i) {
    Json row = row_of(series.name, family, times.size(), i, threads);
    if (!faults.empty()) put_error(row, fmt::format("INVALID: {}", fmt::join(faults, "; ")));
    const auto iterations = static_cast<double>(series.iterations[i]);
    put_times(row, series.iterations[i], times[i] / iterations, series.cpu[i].value_or(0) / iterations);
    if (series.fastest && times[i] > 0)
      row["tok_per_s"] = *series.fastest * *std::min_element(times.begin(), times.end()) / times[i];
    row.update(series.counters);
    row["label"] = label;
    rows.push_back(row);
  }
}

void add_case(Json& rows, const View& one, int64_t& family) {
  const std::string id = one.at("id").text();
  if (one.at("status").text() != "ok") {
    Json row = row_of(id, family++, 1, 0, 1);
    put_error(row, error_text(one.at("error")));
    put_times(row, 0, 0, 0);
    rows.push_back(row);
    return;
  }
  const Json figures = figures_of(crossover(one));
  for (const char* path : {"naive", "engine"}) {
    for (const Series& series : series_of(id + "/" + path, one.at("paths").at(path), path, figures)) {
      if (series.times_ns.empty()) continue;
      add_series(rows, series, family++, one);
    }
  }
}

}  // namespace

std::string render_gbench(const Json& json) {
  const View record(json);
  Json rows = Json::array();
  int64_t family = 0;
  for (const View& one : record.at("cases").items()) add_case(rows, one, family);
  const Json document = {{"context", context_of(record)}, {"benchmarks", rows}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace kvproof
