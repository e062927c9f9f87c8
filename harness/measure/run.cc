#include "harness/measure/run.h"

#include <ATen/Version.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/model/model.h"
#include "harness/build_info.h"
#include "harness/measure/case_record.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/grouping.h"
#include "harness/measure/probe.h"
#include "harness/measure/repetitions.h"
#include "harness/measure/threads.h"
#include "harness/measure/warnings.h"
#include "harness/verify/teacher_force.h"

namespace kvproof {
namespace {

#ifdef NDEBUG
constexpr bool kAsserts = false;
#else
constexpr bool kAsserts = true;
#endif

/// A case between its measurement and its verification.
struct Measured {
  std::size_t index = 0, number = 0;  // in the config; in the order of the run
  Prompt prompt;
  GenerationRequest request;
  std::unique_ptr<Subject> subject;
  CaseMeasurement measurement;
};

/// The name of the BLAS that LibTorch was built with, out of its own description.
Fact<std::string> blas_name() {
  const std::string text = at::show_config(), key = "BLAS_INFO=";
  const auto at = text.find(key);
  if (at == std::string::npos) return Fact<std::string>::unknown("LibTorch's configuration does not name one");
  const auto from = at + key.size();
  return Fact<std::string>::known(text.substr(from, text.find_first_of(",\n ", from) - from));
}

Json build_json() {
  const BuildInfo& b = build_info();
  Json out = {{"version", b.version},       {"commit", b.commit},
              {"dirty", b.dirty},           {"build_type", b.build_type},
              {"compiler", b.compiler},     {"compiler_flags", b.compiler_flags},
              {"sanitizers", b.sanitizers}, {"torch_version", b.torch_version}};
  put(out, "blas", blas_name());
  return out;
}

class ConfigRun {
 public:
  ConfigRun(const LoadedConfig& config, Progress* progress)
      : config_(config), progress_(progress), start_ns_(now_ns()), cases_(config.cases.size()) {}

  void run() {
    for (const std::size_t checkpoint : used_checkpoints(config_)) run_checkpoint(checkpoint);
  }

  Json cases() const { return cases_; }
  Json checkpoints() const { return checkpoints_; }
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
    const auto unclear = checkpoint_warnings(spec.name, session->checkpoint.inference);
    checkpoint_warnings_.insert(checkpoint_warnings_.end(), unclear.begin(), unclear.end());
    for (const CaseGroup& group : groups) run_group(*session, group);
  }

  void run_group(const CheckpointSession& session, const CaseGroup& group) {
    std::unique_ptr<Model> model;
    try {
      const ModelOptions options = model_options(group.run);
      threads_.use(group.run.threads);
      model = make_model(session.checkpoint, options);
    } catch (...) {
      return fail_all(group.cases);
    }
    std::vector<Measured> measured;
    for (const std::size_t index : group.cases) {
      ++begun_;
      try {
        measured.push_back(measure(session, *model, index));
      } catch (...) {
        fail(index);
      }
    }
    verify(session, *model, measured);
  }

  Measured measure(const CheckpointSession& session, const Model& model, std::size_t index) {
    const Case& cell = config_.cases[index];
    const Tokenizer* tokenizer = session.tokenizer_or_null();
    Measured m;
    m.index = index;
    m.number = begun_;
    m.prompt = resolve_prompt(config_.config.prompts[cell.prompt], tokenizer, model.config().vocab_size);
    m.request = request_of(cell, m.prompt, tokenizer);
    m.subject = make_in_process_subject(model, tokenizer, cell.naive.logits == "last" ? LogitsAt::last : LogitsAt::all);
    RepetitionPolicy policy;
    policy.repetitions = cell.run.repetitions;
    MachineProbe probe;
    m.measurement =
        measure_repetitions(*m.subject, m.request, policy, probe,
                            [&](const std::string& stage, int64_t done, int64_t total, std::optional<double> left) {
                              tell(index, begun_, stage, done, total, left);
                            });
    case_warnings_.add(cell.id,
                       case_warnings(m.measurement, static_cast<int64_t>(m.prompt.tokens.size()), model.config()));
    return m;
  }

  /// After all cases of the group were timed, so that the reference's weights are in nobody's peak memory.
  void verify(const CheckpointSession& session, const Model& model, std::vector<Measured>& measured) {
    const bool wanted = std::any_of(measured.begin(), measured.end(), [&](const Measured& m) { return verifies(m); });
    const bool own = model.dtype() == at::kDouble && model.device().is_cpu();  // then the model is its own reference
    std::unique_ptr<Model> reference;
    std::exception_ptr no_reference;
    try {
      if (wanted && !own) reference = make_model(session.checkpoint, {"auto", "float64", "cpu"});
    } catch (...) {
      no_reference = std::current_exception();
    }
    for (Measured& m : measured) {
      try {
        if (verifies(m) && no_reference) std::rethrow_exception(no_reference);
        finish(session, model, own ? &model : reference.get(), m);
      } catch (...) {
        fail(m.index);
      }
    }
  }

  bool verifies(const Measured& m) const { return config_.cases[m.index].run.verify != "off"; }

  Agreement agreement_of(const Model& reference, const Measured& m, const Tokenizer* tokenizer) {
    const CaseMeasurement& measurement = m.measurement;
    const auto subject = make_in_process_subject(reference, tokenizer);
    const std::string& level = config_.cases[m.index].run.verify;
    return check_agreement(
        {m.request.prompt, m.request.sampler, measurement.naive.streams, measurement.engine.streams,
         measurement.replayed_forced_tokens, level == "full" ? VerifyLevel::full : VerifyLevel::quick},
        *m.subject, *subject);
  }

  void finish(const CheckpointSession& session, const Model& model, const Model* reference, const Measured& m) {
    const Case& cell = config_.cases[m.index];
    const SubjectInfo info = m.subject->info();
    const Tokenizer* tokenizer = session.tokenizer_or_null();
    tell(m.index, m.number, "agreement");
    Agreement agreement;
    if (verifies(m)) {
      agreement = agreement_of(*reference, m, tokenizer);
    } else {
      agreement =
          AgreementJudge({m.request.sampler, info.dtype}, m.measurement.naive.streams, m.measurement.engine.streams)
              .verdict();
      agreement.replayed_forced_tokens = m.measurement.replayed_forced_tokens;
    }
    cases_[m.index] = case_json(
        {cell, spec_of(cell).name, m.prompt, m.request, model.config(), tokenizer, info, m.measurement, agreement});
    code_ = worse(code_, code_of_case(m.measurement, agreement));
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
    const bool timed = case_left || stage == "agreement";  // the newest case is as good as known
    const std::size_t known = timed || begun_ == 0 ? begun_ : begun_ - 1;
    ProgressEvent event{config_.cases[index].id, number, cases_.size(), stage, done, total, {}};
    if (known > 0) {  // the cases to come are taken to cost what those before did
      const double mean = (elapsed + case_left.value_or(0)) / static_cast<double>(known);
      event.seconds_left = case_left.value_or(0) + mean * static_cast<double>(cases_.size() - known);
    }
    progress_->on_event(event);
  }

  const LoadedConfig& config_;
  Progress* progress_;
  ThreadScope threads_;
  int64_t start_ns_;
  std::vector<Json> cases_;  // in the config's order
  Json checkpoints_ = Json::array();
  std::vector<std::string> checkpoint_warnings_;
  CaseWarnings case_warnings_;
  ExitCode code_ = ExitCode::ok;
  std::size_t begun_ = 0;  // cases whose measurement has begun
};

}  // namespace

RunOutcome run_config(const LoadedConfig& config, const std::vector<std::string>& command, Progress* progress) {
  const MachineFacts facts = machine_facts();
  const LoadSnapshot before = load_snapshot();
  Json record = {{"schema", record_schema()}, {"kvproof", build_json()}, {"started", utc_now()}};
  ConfigRun run(config, progress);
  run.run();
  record["finished"] = utc_now();
  record["command"] = command;
  record["config"] = {
      {"file", config.config.file.string()}, {"hash", config.hash}, {"resolved", Json::parse(config.resolved_json)}};
  record["machine"] = machine_json(facts, before, load_snapshot());
  record["checkpoints"] = run.checkpoints();
  record["cases"] = run.cases();
  record["warnings"] = environment_warnings(build_info(), kAsserts, facts, before);
  for (const std::string& warning : run.warnings()) record["warnings"].push_back(warning);
  record["exit_code"] = static_cast<int>(run.code());
  return {std::move(record), run.code()};
}

}  // namespace kvproof
