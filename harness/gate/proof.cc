#include "harness/gate/proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "harness/gate/comparison.h"
#include "harness/gate/programs.h"
#include "harness/gate/timing_gate.h"
#include "harness/machine/machine.h"
#include "harness/measure/paired/planted.h"
#include "harness/measure/probe.h"
#include "harness/record/journal.h"
#include "harness/shell_word.h"

namespace kvproof {
namespace {

constexpr int64_t kCalibrationWork = 200, kCalibrationBlocks = 2;  // products; times as many blocks as a session
constexpr const char* kFault = "decode-overwrites-the-last-slot";

/// A core that computes for as long as this lives.
class BusyCore {
 public:
  explicit BusyCore(bool busy) {
    if (busy)
      thread_ = std::jthread([](const std::stop_token& stop) {
        std::vector<double> values(1 << 16, 1.0);
        while (!stop.stop_requested()) {
          for (double& value : values) value = value * 1.0000001 + 1e-9;
        }
      });
  }

 private:
  std::jthread thread_;
};

Json cost_json(const PhaseCost& cost) { return {{"overhead", cost.overhead}, {"product", cost.product}}; }

struct WorkScale {
  PhaseCost prefill, decode;

  PlantedWork work(const ProofPlan& plan) const {
    return {prefill.products(plan.prefill), decode.products(plan.decode)};
  }
  Json json() const { return {{"prefill", cost_json(prefill)}, {"decode", cost_json(decode)}}; }
};

PhaseCost phase_cost(const View& of, const std::string& place) {
  return usable({of.at("overhead").number(), of.at("product").number()}, place);
}

/// The candidate is this program with something planted, the base this program, the control its copy.
class Bench {
 public:
  Bench(const LoadedConfig& config, const ProofOptions& options)
      : config_(config), options_(options), copy_(options.program) {
    spec_.cases = cases_to_time(config);
    spec_.compare = config.config.compare;
  }

  WorkScale calibrate() {
    const auto [prefill_1, decode_1] = slowed_by(1);
    const auto [prefill_n, decode_n] = slowed_by(kCalibrationWork);
    const auto cost = [](double with_one, double with_many) {
      const double product = (with_many - with_one) / (kCalibrationWork - 1);
      return PhaseCost{with_one - 1 - product, product};
    };
    return {usable(cost(prefill_1, prefill_n), "calibration of prefill"),
            usable(cost(decode_1, decode_n), "calibration of decode")};
  }

  TimingOutcome session(const ProofPlan& plan, const WorkScale& calibration,
                        const std::vector<compare::AaEffect>& recorded) {
    TimingSpec spec = spec_;
    spec.recorded = recorded;
    spec.start = starter(calibration.work(plan), plan.fault);
    const BusyCore busy(plan.busy);
    TimingOutcome outcome = run_timing_gate(spec, nullptr, listener(plan.name));
    require_whole(outcome);
    return outcome;
  }

  /// Thrown where the listener ended a session.
  struct Ended {};

 private:
  /// Both phases' times over the base's, with so many products in each forward.
  std::pair<double, double> slowed_by(int64_t products) {
    TimingSpec spec = spec_;
    spec.start = starter({products, products}, "");
    spec.compare.time = {"engine_prefill", "engine_decode"};
    spec.compare.blocks *= kCalibrationBlocks;
    const TimingOutcome outcome = run_timing_gate(spec, nullptr, listener("calibration"));
    require_whole(outcome);
    const auto ratio = [&](const std::string& metric) {
      for (const TimedVerdict& each : outcome.verdicts) {
        if (each.judged.metric == metric) return each.judged.effect.ratio();
      }
      throw ArgumentError("CONFIG", "its case has no decode to slow down; take one that generates several tokens");
    };
    return {ratio("engine_prefill cpu"), ratio("engine_decode cpu")};
  }

  static void require_whole(const TimingOutcome& outcome) {
    if (outcome.interrupted) throw Ended();
  }

  PairedListener listener(const std::string& what) const {
    return [this, what](const PairedProgress& at) {
      return options_.listener(fmt::format("{}, block {}/{}", what, at.block + 1, at.blocks));
    };
  }

  std::function<StartedChild(Side)> starter(const PlantedWork& work, const std::string& fault) const {
    const auto command = [this](const std::filesystem::path& program) {
      return measure_command(program.string(), std::filesystem::absolute(config_.config.file).string(), options_.sets);
    };
    std::string candidate = command(options_.program);
    if (work.prefill > 0 || work.decode > 0) candidate += fmt::format(" --plant-work {},{}", work.prefill, work.decode);
    if (!fault.empty()) candidate += " --plant-fault " + shell_quoted(fault);
    return starter_of(command(options_.program), std::move(candidate), command(copy_.file()));
  }

  const LoadedConfig& config_;
  const ProofOptions& options_;
  const ProgramCopy copy_;
  TimingSpec spec_;
};

// --- the log

Json effects_json(const std::vector<double>& d) {
  Json rounded = Json::array();
  for (const double one : d) rounded.push_back(std::round(one * 1e5) / 1e5);
  return rounded;
}

std::vector<double> effects_of(const PairedSession& session, const std::string& id, const std::string& metric,
                               Side against) {
  for (const Timed& timed : all_timed()) {
    if (metric != metric_name(timed, ClockKind::cpu)) continue;
    return compare::block_effects(log_ratios(session.blocks, id, timed, against, ClockKind::cpu));
  }
  return {};
}

Json session_json(const ProofPlan& plan, int64_t number, const TimingOutcome& outcome, const std::string& started,
                  double seconds, const LoadedConfig& config) {
  Json document =
      compare_programs({"binary", "base"}, {"binary", plan.name}, config, outcome, started, seconds, "", {});
  const ExitCode code = compare::conclude(document);
  Json metrics = Json::array(), controls = Json::array();
  for (const TimedVerdict& each : outcome.verdicts) {
    const compare::Judged& judged = each.judged;
    if (!judged.gated) continue;
    Json one = compare::metric_json(judged, each.second, {}, {}, outcome.family.tests);
    for (const char* key :
         {"gated", "base_ns", "candidate_ns", "recorded", "minimum_detectable", "alarm_from", "blocks_to_settle"})
      one.erase(key);
    one["d"] = effects_json(effects_of(outcome.first, judged.case_id, judged.metric, Side::candidate));
    metrics.push_back(std::move(one));
  }
  for (const compare::Judged& control : outcome.controls) {
    if (!control.gated) continue;
    controls.push_back(
        {{"metric", control.metric},
         {"verdict", compare::word(control.verdict)},
         {"d", effects_json(effects_of(outcome.first, control.case_id, control.metric, Side::control))}});
  }
  return {{"kind", "session"},
          {"plan", plan.name},
          {"number", number},
          {"started", started},
          {"seconds", std::round(seconds * 10) / 10},
          {"commit", outcome.first.candidate.commit},
          {"exact", document.at("verdict").at("exact")},
          {"timing", document.at("verdict").at("timing")},
          {"exit_code", static_cast<int>(code)},
          {"metrics", std::move(metrics)},
          {"controls", std::move(controls)}};
}

/// What the controls of earlier sessions showed: the noise floor, as compare keeps it.
std::vector<compare::AaEffect> recorded_in(const std::vector<Json>& lines, const std::string& fingerprint) {
  std::vector<compare::AaEffect> recorded;
  for (const Json& line : lines) {
    if (line.value("kind", "") != "session") continue;
    for (const View& control : View(line).at("controls").items()) {
      std::vector<double> d;
      for (const View& one : control.at("d").items()) d.push_back(one.number());
      if (!d.empty()) recorded.push_back({fingerprint, control.at("metric").text(), compare::effect_of(d).log_ratio});
    }
  }
  return recorded;
}

struct Log {
  Journal journal;
  std::vector<Json> lines;

  void append(Json line) {
    journal.append(line);
    lines.push_back(std::move(line));
  }
};

Log open_log(const std::filesystem::path& file) {
  Journal journal = std::filesystem::exists(file) ? Journal::open(file) : Journal::create(file);
  std::vector<Json> lines = journal.lines();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].is_object())
      throw RecordError(fmt::format("{}:{}", file.string(), i + 1),
                        "expected a line of a proof, an object; give another --log");
  }
  return {std::move(journal), std::move(lines)};
}

/// The first line: made when the log begins, and held against config and machine later on.
WorkScale begin_or_go_on(Log& log, Bench& bench, const LoadedConfig& config) {
  const std::string fingerprint = machine_facts().fingerprint;
  if (log.lines.empty()) {
    const WorkScale calibration = bench.calibrate();
    log.append({{"kind", "proof"},
                {"started", utc_now()},
                {"config_hash", config.hash},
                {"fingerprint", fingerprint},
                {"blocks", config.config.compare.blocks},
                {"calibration", calibration.json()}});
    return calibration;
  }
  const View head(log.lines.front());
  const std::pair<const char*, Json> held[] = {
      {"config_hash", config.hash}, {"fingerprint", fingerprint}, {"blocks", config.config.compare.blocks}};
  for (const auto& [key, now] : held) {
    if (const Json& was = head.at(key).json(); was != now)
      throw RecordError(
          log.journal.file().string() + ":1",
          fmt::format("{} is {} there and {} here: a proof is of one config on one machine; give another --log", key,
                      was.dump(), now.dump()));
  }
  const View calibration = head.at("calibration");
  const std::string place = log.journal.file().string() + ":1: calibration of ";
  return {phase_cost(calibration.at("prefill"), place + "prefill"),
          phase_cost(calibration.at("decode"), place + "decode")};
}

std::vector<int64_t> done_in(const std::vector<Json>& lines) {
  std::vector<int64_t> done;
  for (const ProofPlan& plan : proof_plans())
    done.push_back(std::count_if(lines.begin(), lines.end(),
                                 [&](const Json& line) { return line.value("plan", "") == plan.name; }));
  return done;
}

}  // namespace

int64_t PhaseCost::products(double share) const {
  return share <= 0 ? 0 : std::max<int64_t>(1, std::llround((share - overhead) / product));
}

PhaseCost usable(PhaseCost cost, const std::string& place) {
  if (cost.product > 0 && std::isfinite(cost.product) && std::isfinite(cost.overhead)) return cost;
  throw RecordError(
      place, fmt::format("expected that a planted product takes time, found {:.3g} of the phase's own: noise hides it; "
                         "repeat on a quieter machine, with another --log",
                         cost.product));
}

const std::vector<ProofPlan>& proof_plans() {
  static const std::vector<ProofPlan> all = {
      {"aa", 0, 0, "", false, 30},           {"aa-busy", 0, 0, "", true, 30},
      {"slow-5", 0.05, 0.05, "", false, 60}, {"slow-10", 0.10, 0.10, "", false, 20},
      {"decode-10", 0, 0.10, "", false, 20}, {"output", 0, 0, kFault, false, 5}};
  return all;
}

int next_plan(const std::vector<int64_t>& done) {
  int next = -1;
  double least = 1;
  for (std::size_t i = 0; i < done.size(); ++i) {
    const double share = static_cast<double>(done[i]) / static_cast<double>(proof_plans()[i].sessions);
    if (share < least) {
      least = share;
      next = static_cast<int>(i);
    }
  }
  return next;
}

bool prove_comparison(const LoadedConfig& config, const ProofOptions& options) {
  Log log = open_log(options.log);
  Bench bench(config, options);
  MachineProbe probe;
  try {
    const WorkScale calibration = begin_or_go_on(log, bench, config);
    for (int64_t session = 0;; ++session) {
      const std::vector<int64_t> done = done_in(log.lines);
      const int next = next_plan(done);
      if (next < 0) return true;
      if (session == options.most_sessions) return false;
      const ProofPlan& plan = proof_plans()[static_cast<std::size_t>(next)];
      const std::string started = utc_now();
      const int64_t begin = probe.now_ns();
      const TimingOutcome outcome =
          bench.session(plan, calibration, recorded_in(log.lines, machine_facts().fingerprint));
      const double seconds = 1e-9 * static_cast<double>(probe.now_ns() - begin);
      log.append(session_json(plan, done[static_cast<std::size_t>(next)] + 1, outcome, started, seconds, config));
    }
  } catch (const Bench::Ended&) {
    return false;
  }
}

}  // namespace kvproof
