#include "harness/measure/group_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "harness/measure/case_record.h"
#include "harness/measure/fresh_engine.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/own_cost.h"
#include "harness/measure/probe.h"
#include "harness/measure/repetitions.h"
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
  CaseOnce once = {};
  std::optional<CaseUse> use = {};  // absent: the weights are not known
};

/// Weights of a checkpoint in a model of this dtype.
ElementBytes element_bytes(const Checkpoint& checkpoint, const std::string& dtype) {
  const int64_t bytes = bytes_of(dtype);
  return {bytes, checkpoint.tensors.at("transformer.wte.weight").element_size(), bytes};
}

class GroupRun {
 public:
  GroupRun(RunContext& run, const CheckpointSession& session, const CaseGroup& group)
      : run_(run), session_(session), group_(group) {
    run_.threads.use(group.run.threads);
    const int64_t begin = probe().now_ns();
    engine_ = open_engine();
    load_ns_ = session.open_ns + probe().now_ns() - begin;
    judged_.cases.resize(group.cases.size());
  }

  JudgedGroup run() {
    std::vector<Measured> measured;
    try {
      measure_all(measured);
      judge(measured);
    } catch (const Interrupted&) {
      judged_.interrupted = true;
      for (Measured& m : measured) keep_unjudged(m);
    }
    return std::move(judged_);
  }

 private:
  const CheckpointSpec& spec_of(const Case& cell) const { return run_.config.config.checkpoints[cell.checkpoint]; }
  const CheckpointSpec& spec() const { return spec_of(run_.config.cases[group_.cases.front()]); }

  std::unique_ptr<GroupEngine> open_engine() const {
    if (run_.hooks.open_engine) return run_.hooks.open_engine(session_, group_.run);
    return open_group_engine(spec(), session_, group_.run, run_.hooks.on_model);
  }

  Probe& probe() {
    if (run_.hooks.probe) return *run_.hooks.probe;
    return spec().subject ? static_cast<Probe&>(elsewhere_) : machine_;
  }

  Subject& subject_of(GroupEngine& engine, const Case& cell) const {
    return engine.subject(cell.naive.logits == "last" ? LogitsAt::last : LogitsAt::all);
  }

  void measure_all(std::vector<Measured>& measured) {
    measure_peaks_beside();
    for (const std::size_t index : group_.cases) {
      run_.teller.begin_case();
      try {
        Measured m = measure(index);
        const CaseMeasurement& found = m.measurement;
        const bool interrupted = found.interrupted, any = !found.naive.samples.empty();
        if (any) measured.push_back(std::move(m));
        if (interrupted) throw Interrupted();
      } catch (const Interrupted&) {
        throw;
      } catch (...) {
        fail(index);
      }
    }
    run_.peaks.cases_ran();
    if (!measured.empty()) measure_peaks_beside();
    compare_with_fresh(measured);
    for (Measured& m : measured) hold_against_peaks(m);
  }

  void measure_peaks_beside() {
    const auto wants = [&](std::size_t index) { return run_.config.cases[index].run.peaks; };
    const SubjectInfo info = engine_->subject(LogitsAt::all).info();
    if (!engine_->knows_costs() || std::none_of(group_.cases.begin(), group_.cases.end(), wants) ||
        !why_no_peaks(info).empty())
      return;
    run_.teller.tell(group_.cases.front(), std::min(run_.teller.begun() + 1, run_.config.cases.size()), "peaks");
    const ElementBytes bytes = element_bytes(*session_.checkpoint, info.dtype);
    run_.peaks.measure(peak_request(run_.machine, run_.free_memory, info, engine_->config(), bytes));
    if (const auto peaks = run_.peaks.of(info.threads, info.dtype); run_.life.journal && peaks.has_value())
      run_.life.journal->add_peaks(peaks_json(*peaks));
  }

  void hold_against_peaks(Measured& m) {
    if (!engine_->knows_costs()) return;
    const Case& cell = run_.config.cases[m.index];
    const SubjectInfo info = m.subject->info();
    std::string why_none = why_no_peaks(info);
    if (!cell.run.peaks) why_none = "run.peaks is off";
    const CaseShape shape{engine_->config(), element_bytes(*session_.checkpoint, info.dtype), cell.naive.logits == "all",
                          m.prompt.size(), m.prompt.depth};
    m.use = case_use(shape, m.measurement,
                     why_none.empty() ? run_.peaks.of(info.threads, info.dtype) : Fact<Peaks>::unknown(why_none),
                     last_level_cache(run_.machine));
    for (const std::string& fault : use_faults(*m.use)) m.measurement.invalid.push_back(fault);
  }

  Measured measure(std::size_t index) {
    const Case& cell = run_.config.cases[index];
    const Tokenizer* tokenizer = session_.tokenizer_or_null();
    Measured m;
    m.index = index;
    m.number = run_.teller.begun();
    m.subject = &subject_of(*engine_, cell);
    const int64_t before = probe().now_ns();
    m.prompt = resolve_prompt(run_.config.config.prompts[cell.prompt], tokenizer, m.subject->info().vocab_size);
    const int64_t begin = probe().now_ns();
    m.once.load_ns = load_ns_;
    m.once.tokenize_ns = begin - before;
    m.request = request_of(cell, m.prompt, tokenizer && engine_->has_tools());
    RepetitionPolicy policy;
    policy.repetitions = cell.run.repetitions;
    const auto log = run_.life.journal ? run_.life.journal->log_of(cell.id) : nullptr;
    m.measurement = measure_repetitions(
        *m.subject, m.request, policy, probe(),
        [&](const std::string& stage, int64_t done, int64_t total, std::optional<double> left) {
          return run_.teller.show(index, run_.teller.begun(), stage, done, total, left);
        },
        log.get());
    m.seconds = 1e-9 * static_cast<double>(probe().now_ns() - begin);
    m.once.harness_step_ns = own_step_ns(m.request.num_samples, probe());
    const bool exact = !m.request.stop || m.prompt.kind == PromptKind::synthetic;
    warn(cell.id, case_warnings(m.measurement, m.request, exact, engine_->config(), m.once.harness_step_ns));
    return m;
  }

  /// After all cases of the group were timed, so that two models are in nobody's peak memory.
  void compare_with_fresh(std::vector<Measured>& measured) {
    if (measured.empty()) return;
    run_.teller.tell(measured.front().index, measured.front().number, "fresh engine");
    std::unique_ptr<GroupEngine> fresh;
    for (Measured& m : measured) {
      Subject* subject = nullptr;
      try {
        if (!fresh) fresh = open_engine();
        subject = &subject_of(*fresh, run_.config.cases[m.index]);
        const auto faults = fresh_engine_faults(*subject, m.request, m.measurement, probe());
        m.measurement.invalid.insert(m.measurement.invalid.end(), faults.begin(), faults.end());
        m.once.equals_fresh = Fact<bool>::known(faults.empty());
      } catch (...) {
        const std::string why = error_json(std::current_exception()).at("message").get<std::string>();
        m.once.equals_fresh = Fact<bool>::unknown("a fresh engine failed: " + why);
        warn(run_.config.cases[m.index].id, {fresh_warning(why)});
      }
    }
  }

  int64_t detokenize_ns(const Measured& m) {
    const Tokenizer* tokenizer = session_.tokenizer_or_null();
    if (!tokenizer) return 0;
    const int64_t begin = probe().now_ns();
    for (const TokenStream& stream : m.measurement.engine.streams) tokenizer->decode(stream.tokens);
    return probe().now_ns() - begin;
  }

  /// After all cases of the group were timed, so that the float64 twin's weights are in nobody's peak memory.
  void judge(std::vector<Measured>& measured) {
    CaseVerification verification;
    std::exception_ptr broken;
    try {
      std::vector<const Case*> cases;
      for (const Measured& m : measured) cases.push_back(&run_.config.cases[m.index]);
      if (const auto depth = deepest(cases)) verification = verify_group(measured, *depth);
    } catch (const Interrupted&) {
      throw;
    } catch (...) {
      broken = std::current_exception();
    }
    for (Measured& m : measured) {
      try {
        if (verifies(m) && broken) std::rethrow_exception(broken);
        place_of(m.index) = finish(m, verifies(m) ? verification : CaseVerification{});
      } catch (const Interrupted&) {
        throw;
      } catch (...) {
        fail(m.index);
      }
    }
  }

  CaseVerification verify_group(const std::vector<Measured>& measured, Depth depth) {
    double seconds = 0;
    for (const Measured& m : measured) seconds += m.seconds;
    VerifyOptions options = verify_options(depth, seconds, !run_.vectors_passed);
    options.progress = [&](const std::string&, int64_t done, int64_t total) {
      run_.teller.tell(measured.front().index, measured.front().number, "verification", std::max<int64_t>(0, done - 1), total);
    };
    const VerifyReport report = kvproof::verify(engine_->target(), options);
    if (report.vectors && report.vectors->tally.failures == 0) run_.vectors_passed = true;
    const CheckpointSpec& spec = spec_of(run_.config.cases[measured.front().index]);
    const auto& first = report.divergence();
    std::string again;
    if (report.verdict == VerifyVerdict::fail)
      again = verify_command(spec, session_, group_.run, report.subject.dtype, first ? first->scenario : "");
    judged_.verification = verification_json(spec.name, report, again);
    const bool latent_only = report.latent_divergence && !report.first_divergence &&
                             std::find(report.wrong.begin(), report.wrong.end(), "model") == report.wrong.end();
    return {report.verdict, 0, report.explanation, latent_only};  // accept() knows which of the run it is
  }

  bool verifies(const Measured& m) const { return run_.config.cases[m.index].run.verify != "off"; }

  Agreement agreement_of(Subject& reference, const Measured& m) {
    const CaseMeasurement& measurement = m.measurement;
    const std::string& level = run_.config.cases[m.index].run.verify;
    return check_agreement(
        {m.request.prompt, m.request.sampler, measurement.naive.streams, measurement.engine.streams,
         measurement.replayed_forced_tokens, level == "full" ? VerifyLevel::full : VerifyLevel::quick},
        *m.subject, reference);
  }

  Agreement unjudged(const Measured& m, const std::string& why) const {
    const CaseMeasurement& measurement = m.measurement;
    Agreement agreement = AgreementJudge({m.request.sampler, m.subject->info().dtype}, measurement.naive.streams,
                                         measurement.engine.streams)
                              .verdict(why);
    agreement.replayed_forced_tokens = measurement.replayed_forced_tokens;
    return agreement;
  }

  /// returns the case's entry of the record
  Json finish(Measured& m, const CaseVerification& verification) {
    run_.teller.tell(m.index, m.number, "agreement");
    return entry_of(m, verification,
                    verifies(m) ? agreement_of(engine_->reference(), m) : unjudged(m, "run.verify is off"));
  }

  /// What there is of a case when the run ends before it was judged.
  void keep_unjudged(Measured& m) {
    if (!place_of(m.index).is_null()) return;
    if (!m.use) hold_against_peaks(m);
    place_of(m.index) = entry_of(m, {}, unjudged(m, "the run was interrupted"));
  }

  Json entry_of(Measured& m, const CaseVerification& verification, const Agreement& agreement) {
    const Case& cell = run_.config.cases[m.index];
    const SubjectInfo info = m.subject->info();
    m.once.detokenize_ns = detokenize_ns(m);
    const GptConfig* costs = engine_->knows_costs() ? &engine_->config() : nullptr;
    const ElementBytes bytes = costs ? element_bytes(*session_.checkpoint, info.dtype) : ElementBytes{};
    Json json = case_json({cell, spec_of(cell).name, m.prompt, m.request, costs, session_.tokenizer_or_null(), info,
                           m.measurement, agreement, verification, bytes, m.use ? &*m.use : nullptr, m.once});
    if (verification.latent_only) warn(cell.id, {latent_warning(verification.explanation)});
    if (verification.is(VerifyVerdict::inconclusive))
      warn(cell.id, {inconclusive_warning(verification.explanation)});
    judged_.code = worse(judged_.code, code_of_case(m.measurement, agreement, verification));
    return json;
  }

  void warn(const std::string& id, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) judged_.warnings.emplace_back(id, text);
  }

  Json& place_of(std::size_t index) {
    const auto at = std::find(group_.cases.begin(), group_.cases.end(), index);
    return judged_.cases[static_cast<std::size_t>(at - group_.cases.begin())];
  }

  void fail(std::size_t index) { place_of(index) = failed_case(run_.config, index, judged_.code); }

  RunContext& run_;
  const CheckpointSession& session_;
  const CaseGroup& group_;
  MachineProbe machine_;
  OtherProcessProbe elsewhere_;
  std::unique_ptr<GroupEngine> engine_;
  int64_t load_ns_ = 0;
  JudgedGroup judged_;
};

}  // namespace

Json failed_case(const LoadedConfig& config, std::size_t index, ExitCode& code) {
  const Json error = error_json(std::current_exception());
  code = worse(code, static_cast<ExitCode>(error.at("exit_code").get<int>()));
  const Case& cell = config.cases[index];
  return failed_case_json(cell, config.config.checkpoints[cell.checkpoint].name, error);
}

JudgedGroup run_group(RunContext& run, const CheckpointSession& session, const CaseGroup& group) {
  return GroupRun(run, session, group).run();
}

}  // namespace kvproof
