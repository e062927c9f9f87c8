#include "harness/measure/run.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/model/model.h"
#include "harness/build_info.h"
#include "harness/measure/build_record.h"
#include "harness/measure/case_record.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/grouping.h"
#include "harness/measure/probe.h"
#include "harness/measure/repetitions.h"
#include "harness/measure/run_peaks.h"
#include "harness/measure/threads.h"
#include "harness/measure/verification.h"
#include "harness/measure/warnings.h"
#include "harness/verify/teacher_force.h"

namespace kvproof {
namespace {

/// A case between its measurement and its verification.
struct Measured {
  std::size_t index = 0, number = 0;  // in the config; in the order of the run
  Prompt prompt;
  GenerationRequest request;
  Subject* subject = nullptr;
  CaseMeasurement measurement;
  double seconds = 0;          // that measuring took, warm-up included
  std::optional<CaseUse> use;  // absent: the weights are not known
};

/// Weights of a checkpoint in a model of this dtype.
ElementBytes element_bytes(const Checkpoint& checkpoint, const std::string& dtype) {
  const int64_t bytes = bytes_of(dtype);
  return {bytes, checkpoint.tensors.at("transformer.wte.weight").element_size(), bytes};
}

class ConfigRun {
 public:
  ConfigRun(const LoadedConfig& config, const MachineFacts& machine, Progress* progress, const RunHooks& hooks)
      : config_(config), machine_(machine), progress_(progress), hooks_(hooks), start_ns_(now_ns()),
        cases_(config.cases.size()), free_memory_(available_memory_bytes()),
        peaks_(hooks.measure_peaks ? hooks.measure_peaks
                                   : [this](const PeakRequest& request) { return measure_peaks(request, machine_); }) {}

  void run() {
    for (const std::size_t checkpoint : used_checkpoints(config_)) run_checkpoint(checkpoint);
  }

  Json cases() const { return cases_; }
  Json checkpoints() const { return checkpoints_; }
  Json verifications() const { return verifications_; }
  Json peaks() const {
    Json list = Json::array();
    for (const Peaks& peaks : peaks_.all()) list.push_back(peaks_json(peaks));
    return list;
  }
  std::vector<std::string> warnings() const {
    std::vector<std::string> all = checkpoint_warnings_;
    for (const std::string& line : case_warnings_.lines()) all.push_back(line);
    return all;
  }
  ExitCode code() const { return code_; }

 private:
  const CheckpointSpec& spec_of(const Case& cell) const { return config_.config.checkpoints[cell.checkpoint]; }

  void run_checkpoint(std::size_t checkpoint) {
    const auto groups = group_cases(config_, checkpoint);
    const CheckpointSpec& spec = config_.config.checkpoints[checkpoint];
    tell(groups.front().cases.front(), begun_ + 1, "load");
    std::optional<CheckpointSession> session;
    try {
      session.emplace(open_session(spec));
      checkpoints_.push_back(checkpoint_json(spec, *session));
    } catch (...) {
      for (const CaseGroup& group : groups) fail_all(group.cases);
      return;
    }
    if (session->checkpoint) {
      const auto unclear = checkpoint_warnings(spec.name, session->checkpoint->inference);
      checkpoint_warnings_.insert(checkpoint_warnings_.end(), unclear.begin(), unclear.end());
    }
    for (const CaseGroup& group : groups) run_group(*session, group);
  }

  void run_group(const CheckpointSession& session, const CaseGroup& group) {
    std::unique_ptr<GroupEngine> engine;
    try {
      threads_.use(group.run.threads);
      engine = open_group_engine(spec_of(config_.cases[group.cases.front()]), session, group.run, hooks_.on_model);
    } catch (...) {
      return fail_all(group.cases);
    }
    std::vector<Measured> measured;
    measure_peaks_beside(session, *engine, group);
    for (const std::size_t index : group.cases) {
      ++begun_;
      try {
        measured.push_back(measure(session, *engine, index));
      } catch (...) {
        fail(index);
      }
    }
    peaks_.cases_ran();
    if (!measured.empty()) measure_peaks_beside(session, *engine, group);
    for (Measured& m : measured) hold_against_peaks(session, *engine, m);
    judge(session, group, *engine, measured);
  }

  void measure_peaks_beside(const CheckpointSession& session, GroupEngine& engine, const CaseGroup& group) {
    const auto wants = [&](std::size_t index) { return config_.cases[index].run.peaks; };
    const SubjectInfo info = engine.subject(LogitsAt::all).info();
    if (!engine.knows_costs() || std::none_of(group.cases.begin(), group.cases.end(), wants) ||
        !why_no_peaks(info).empty())
      return;
    tell(group.cases.front(), std::min(begun_ + 1, cases_.size()), "peaks");
    const ElementBytes bytes = element_bytes(*session.checkpoint, info.dtype);
    peaks_.measure(peak_request(machine_, free_memory_, info, engine.config(), bytes));
  }

  void hold_against_peaks(const CheckpointSession& session, GroupEngine& engine, Measured& m) {
    if (!engine.knows_costs()) return;
    const Case& cell = config_.cases[m.index];
    const SubjectInfo info = m.subject->info();
    std::string why_none = why_no_peaks(info);
    if (!cell.run.peaks) why_none = "run.peaks is off";
    const CaseShape shape{engine.config(), element_bytes(*session.checkpoint, info.dtype), cell.naive.logits == "all",
                          static_cast<int64_t>(m.prompt.tokens.size())};
    m.use = case_use(shape, m.measurement,
                     why_none.empty() ? peaks_.of(info.threads, info.dtype) : Fact<Peaks>::unknown(why_none),
                     last_level_cache(machine_));
    for (const std::string& fault : use_faults(*m.use)) m.measurement.invalid.push_back(fault);
  }

  Measured measure(const CheckpointSession& session, GroupEngine& engine, std::size_t index) {
    const Case& cell = config_.cases[index];
    const Tokenizer* tokenizer = session.tokenizer_or_null();
    Measured m;
    m.index = index;
    m.number = begun_;
    m.subject = &engine.subject(cell.naive.logits == "last" ? LogitsAt::last : LogitsAt::all);
    m.prompt = resolve_prompt(config_.config.prompts[cell.prompt], tokenizer, m.subject->info().vocab_size);
    m.request = request_of(cell, m.prompt, tokenizer && engine.has_tools());
    RepetitionPolicy policy;
    policy.repetitions = cell.run.repetitions;
    MachineProbe machine;
    OtherProcessProbe elsewhere;
    Probe& probe = spec_of(cell).subject ? static_cast<Probe&>(elsewhere) : machine;
    const int64_t begin = now_ns();
    m.measurement =
        measure_repetitions(*m.subject, m.request, policy, probe,
                            [&](const std::string& stage, int64_t done, int64_t total, std::optional<double> left) {
                              tell(index, begun_, stage, done, total, left);
                            });
    m.seconds = 1e-9 * static_cast<double>(now_ns() - begin);
    case_warnings_.add(cell.id,
                       case_warnings(m.measurement, static_cast<int64_t>(m.prompt.tokens.size()), engine.config()));
    return m;
  }

  /// After all cases of the group were timed, so that the float64 twin's weights are in nobody's peak memory.
  void judge(const CheckpointSession& session, const CaseGroup& group, GroupEngine& engine,
             std::vector<Measured>& measured) {
    CaseVerification verification;
    std::exception_ptr broken;
    try {
      std::vector<const Case*> cases;
      for (const Measured& m : measured) cases.push_back(&config_.cases[m.index]);
      if (const auto depth = deepest(cases)) verification = verify_group(session, group, engine, measured, *depth);
    } catch (...) {
      broken = std::current_exception();
    }
    for (Measured& m : measured) {
      try {
        if (verifies(m) && broken) std::rethrow_exception(broken);
        finish(session, engine, m, verifies(m) ? verification : CaseVerification{});
      } catch (...) {
        fail(m.index);
      }
    }
  }

  CaseVerification verify_group(const CheckpointSession& session, const CaseGroup& group, GroupEngine& engine,
                                const std::vector<Measured>& measured, Depth depth) {
    double seconds = 0;
    for (const Measured& m : measured) seconds += m.seconds;
    VerifyOptions options = verify_options(depth, seconds, !vectors_passed_);
    options.progress = [&](const std::string&, int64_t done, int64_t total) {
      tell(measured.front().index, measured.front().number, "verification", std::max<int64_t>(0, done - 1), total);
    };
    const VerifyReport report = kvproof::verify(engine.target(), options);
    if (report.vectors && report.vectors->tally.failures == 0) vectors_passed_ = true;
    const CheckpointSpec& spec = spec_of(config_.cases[measured.front().index]);
    const auto& first = report.divergence();
    std::string again;
    if (report.verdict == VerifyVerdict::fail)
      again = verify_command(spec, session, group.run, report.subject.dtype, first ? first->scenario : "");
    verifications_.push_back(verification_json(spec.name, report, again));
    const bool latent_only = report.latent_divergence && !report.first_divergence &&
                             std::find(report.wrong.begin(), report.wrong.end(), "model") == report.wrong.end();
    return {report.verdict, verifications_.size() - 1, report.explanation, latent_only};
  }

  bool verifies(const Measured& m) const { return config_.cases[m.index].run.verify != "off"; }

  Agreement agreement_of(Subject& reference, const Measured& m) {
    const CaseMeasurement& measurement = m.measurement;
    const std::string& level = config_.cases[m.index].run.verify;
    return check_agreement(
        {m.request.prompt, m.request.sampler, measurement.naive.streams, measurement.engine.streams,
         measurement.replayed_forced_tokens, level == "full" ? VerifyLevel::full : VerifyLevel::quick},
        *m.subject, reference);
  }

  void finish(const CheckpointSession& session, GroupEngine& engine, const Measured& m,
              const CaseVerification& verification) {
    const Case& cell = config_.cases[m.index];
    const SubjectInfo info = m.subject->info();
    const Tokenizer* tokenizer = session.tokenizer_or_null();
    tell(m.index, m.number, "agreement");
    Agreement agreement;
    if (verifies(m)) {
      agreement = agreement_of(engine.reference(), m);
    } else {
      agreement =
          AgreementJudge({m.request.sampler, info.dtype}, m.measurement.naive.streams, m.measurement.engine.streams)
              .verdict();
      agreement.replayed_forced_tokens = m.measurement.replayed_forced_tokens;
    }
    const GptConfig* costs = engine.knows_costs() ? &engine.config() : nullptr;
    const ElementBytes bytes = costs ? element_bytes(*session.checkpoint, info.dtype) : ElementBytes{};
    cases_[m.index] = case_json({cell, spec_of(cell).name, m.prompt, m.request, costs, tokenizer, info, m.measurement,
                                 agreement, verification, bytes, m.use ? &*m.use : nullptr});
    if (verification.latent_only) case_warnings_.add(cell.id, {latent_warning(verification.explanation)});
    if (verification.is(VerifyVerdict::inconclusive))
      case_warnings_.add(cell.id, {inconclusive_warning(verification.explanation)});
    code_ = worse(code_, code_of_case(m.measurement, agreement, verification));
  }

  /// Writes the exception in flight down as the outcome of a case.
  void fail(std::size_t index) {
    const Json error = error_json(std::current_exception());
    cases_[index] = failed_case_json(config_.cases[index], spec_of(config_.cases[index]).name, error);
    code_ = worse(code_, static_cast<ExitCode>(error.at("exit_code").get<int>()));
  }

  /// The same for cases that could not even begin.
  void fail_all(const std::vector<std::size_t>& indices) {
    for (const std::size_t index : indices) fail(index);
    begun_ += indices.size();
  }

  void tell(std::size_t index, std::size_t number, const std::string& stage, int64_t done = 0, int64_t total = 0,
            std::optional<double> case_left = {}) {
    if (!progress_) return;
    const double elapsed = 1e-9 * static_cast<double>(now_ns() - start_ns_);
    const bool judged = stage == "verification" || stage == "agreement" || stage == "peaks";
    const bool timed = case_left || judged;  // the newest case is as good as known
    const std::size_t known = timed || begun_ == 0 ? begun_ : begun_ - 1;
    ProgressEvent event{config_.cases[index].id, number, cases_.size(), stage, done, total, {}};
    if (known > 0) {  // the cases to come are taken to cost what those before did
      const double mean = (elapsed + case_left.value_or(0)) / static_cast<double>(known);
      event.seconds_left = case_left.value_or(0) + mean * static_cast<double>(cases_.size() - known);
    }
    progress_->on_event(event);
  }

  const LoadedConfig& config_;
  const MachineFacts& machine_;
  Progress* progress_;
  const RunHooks& hooks_;
  ThreadScope threads_;
  int64_t start_ns_;
  std::vector<Json> cases_;  // in the config's order
  Fact<int64_t> free_memory_;
  RunPeaks peaks_;
  Json checkpoints_ = Json::array(), verifications_ = Json::array();
  bool vectors_passed_ = false;  // they are the same for every group
  std::vector<std::string> checkpoint_warnings_;
  CaseWarnings case_warnings_;
  ExitCode code_ = ExitCode::ok;
  std::size_t begun_ = 0;  // cases whose measurement has begun
};

}  // namespace

RunOutcome run_config(const LoadedConfig& config, const std::vector<std::string>& command, Progress* progress,
                      const RunHooks& hooks) {
  const MachineFacts facts = hooks.machine ? *hooks.machine : machine_facts();
  const LoadSnapshot before = load_snapshot();
  Json record = {{"schema", record_schema()}, {"kvproof", build_json()}, {"started", utc_now()}};
  ConfigRun run(config, facts, progress, hooks);
  run.run();
  record["finished"] = utc_now();
  record["command"] = command;
  record["config"] = {
      {"file", config.config.file.string()}, {"hash", config.hash}, {"resolved", Json::parse(config.resolved_json)}};
  record["machine"] = machine_json(facts, before, load_snapshot());
  record["machine"]["peaks"] = run.peaks();
  record["checkpoints"] = run.checkpoints();
  record["cases"] = run.cases();
  record["verifications"] = run.verifications();
  record["warnings"] = environment_warnings(build_info(), kAsserts, facts, before);
  for (const std::string& warning : run.warnings()) record["warnings"].push_back(warning);
  record["exit_code"] = static_cast<int>(run.code());
  return {std::move(record), run.code()};
}

}  // namespace kvproof
