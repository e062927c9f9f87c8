#include "harness/measure/run.h"

#include <algorithm>
#include <utility>

#include "harness/build_info.h"
#include "harness/measure/build_record.h"
#include "harness/measure/case_record.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/group_run.h"
#include "harness/measure/run_journal.h"
#include "harness/measure/run_peaks.h"
#include "harness/measure/time_limit.h"
#include "harness/measure/warnings.h"
#include "harness/shell_word.h"

namespace kvproof {
namespace {

class ConfigRun {
 public:
  ConfigRun(const LoadedConfig& config, const MachineFacts& machine, Progress* progress, const RunHooks& hooks,
            const RunLife& life)
      : context_{config, machine, hooks, life, RunTeller(config, progress, life),
                 RunPeaks(hooks.measure_peaks ? hooks.measure_peaks
                                              : [&machine](const PeakRequest& request) { return measure_peaks(request, machine); }),
                 available_memory_bytes()},
        config_(config), life_(life), cases_(config.cases.size()) {}

  void run() {
    try {
      for (const std::size_t checkpoint : used_checkpoints(config_)) run_checkpoint(checkpoint);
    } catch (const Interrupted&) {
      partial_ = true;
      for (std::size_t i = 0; i < cases_.size(); ++i) {
        if (cases_[i].is_null()) cases_[i] = interrupted_case(i);
      }
      code_ = ExitCode::interrupted;
    }
  }

  bool partial() const { return partial_; }

  Json cases() const { return cases_; }
  Json checkpoints() const { return checkpoints_; }
  Json verifications() const { return verifications_; }
  Json peaks() const {
    Json list = Json::array();
    for (const Peaks& peaks : context_.peaks.all()) list.push_back(peaks_json(peaks));
    if (!life_.journal) return list;
    for (const Json& earlier : life_.journal->peaks()) {
      const auto same = [&](const Json& one) {
        return one.at("threads") == earlier.at("threads") && one.at("dtype") == earlier.at("dtype");
      };
      if (std::none_of(list.begin(), list.end(), same)) list.push_back(earlier);
    }
    return list;
  }
  std::vector<std::string> warnings() const {
    std::vector<std::string> all = checkpoint_warnings_;
    all.insert(all.end(), context_.peaks.slowdowns().begin(), context_.peaks.slowdowns().end());
    for (const std::string& line : case_warnings_.lines()) all.push_back(line);
    return all;
  }
  ExitCode code() const { return code_; }

 private:
  std::vector<std::string> ids_of(const CaseGroup& group) const {
    std::vector<std::string> ids;
    for (const std::size_t index : group.cases) ids.push_back(config_.cases[index].id);
    return ids;
  }

  const JudgedGroup* judged_before(const CaseGroup& group) const {
    return life_.journal ? life_.journal->judged(ids_of(group)) : nullptr;
  }

  void run_checkpoint(std::size_t checkpoint) {
    const auto groups = group_cases(config_, checkpoint);
    const CheckpointSpec& spec = config_.config.checkpoints[checkpoint];
    const OpenedCheckpoint* known = life_.journal ? life_.journal->checkpoint(spec.name) : nullptr;
    const auto judged = [&](const CaseGroup& group) { return judged_before(group) != nullptr; };
    if (known && std::all_of(groups.begin(), groups.end(), judged)) {
      add_checkpoint(*known);
      for (const CaseGroup& group : groups) pass(group);
      return;
    }
    context_.teller.tell(groups.front().cases.front(), context_.teller.begun() + 1, "load");
    std::optional<CheckpointSession> session;
    OpenedCheckpoint opened;
    try {
      session.emplace(open_session(spec));
      opened.entry = checkpoint_json(spec, *session);
    } catch (...) {
      for (const CaseGroup& group : groups) fail_all(group);
      return;
    }
    if (session->checkpoint) opened.warnings = checkpoint_warnings(spec.name, session->checkpoint->inference);
    add_checkpoint(opened);
    if (life_.journal) life_.journal->add_checkpoint(spec.name, opened);
    for (const CaseGroup& group : groups) {
      if (judged(group)) {
        pass(group);
      } else {
        run(*session, group);
      }
    }
  }

  void run(const CheckpointSession& session, const CaseGroup& group) {
    JudgedGroup judged;
    try {
      judged = run_group(context_, session, group);
    } catch (...) {
      return fail_all(group);
    }
    if (judged.interrupted) {
      accept(group, judged);
      throw Interrupted();
    }
    if (life_.journal) life_.journal->add_judged(judged);
    accept(group, judged);
  }

  void add_checkpoint(const OpenedCheckpoint& opened) {
    checkpoints_.push_back(opened.entry);
    checkpoint_warnings_.insert(checkpoint_warnings_.end(), opened.warnings.begin(), opened.warnings.end());
  }

  /// Takes what was judged of a group, now or before this process, into the run.
  void accept(const CaseGroup& group, const JudgedGroup& judged) {
    if (judged.verification) verifications_.push_back(*judged.verification);
    for (std::size_t i = 0; i < group.cases.size(); ++i) {
      Json& one = cases_[group.cases[i]] = judged.cases[i];
      if (one.is_null()) continue;  // interrupted before it had a round
      if (one.contains("verification") && !one["verification"]["index"].is_null())
        one["verification"]["index"] = verifications_.size() - 1;
    }
    for (const auto& [id, text] : judged.warnings) case_warnings_.add(id, {text});
    code_ = worse(code_, judged.code);
  }

  void pass(const CaseGroup& group) {
    accept(group, *judged_before(group));
    context_.teller.pass(group.cases.size());
  }

  /// By the exception in flight: for a group that could not even begin. It is no part of the journal, so that it is tried again.
  void fail_all(const CaseGroup& group) {
    for (const std::size_t index : group.cases) cases_[index] = failed_case(config_, index, code_);
    context_.teller.pass(group.cases.size());
  }

  Json interrupted_case(std::size_t index) const {
    std::string message = "the run was interrupted before this case had a round";
    if (life_.journal) message += "; kvproof run --resume " + shell_quoted(life_.journal->file().string()) + " goes on with it";
    const Json error = {{"kind", "interrupted"}, {"message", message}, {"place", ""}, {"exit_code", static_cast<int>(ExitCode::interrupted)}};
    return failed_case_json(config_.cases[index], config_.config.checkpoints[config_.cases[index].checkpoint].name, error);
  }

  RunContext context_;
  const LoadedConfig& config_;
  const RunLife& life_;
  std::vector<Json> cases_;  // in the config's order
  Json checkpoints_ = Json::array(), verifications_ = Json::array();
  std::vector<std::string> checkpoint_warnings_;
  CaseWarnings case_warnings_;
  ExitCode code_ = ExitCode::ok;
  bool partial_ = false;
};

}  // namespace

RunOutcome run_config(const LoadedConfig& config, const std::vector<std::string>& command, Progress* progress,
                      const RunHooks& hooks, const RunLife& life) {
  const MachineFacts facts = hooks.machine ? *hooks.machine : machine_facts();
  const auto load = hooks.load ? hooks.load : load_snapshot;
  const LoadSnapshot before = load();
  const int64_t begin = now_ns();
  const RunJournal* journal = life.journal;
  Json record = {{"schema", record_schema()}, {"kvproof", build_json()}};
  if (journal) life.journal->open_session(config, record["kvproof"], facts, machine_json(facts, before, before));
  record["started"] = journal ? journal->started() : utc_now();
  ConfigRun run(config, facts, progress, hooks, life);
  run.run();
  const LoadSnapshot after = load();
  record["finished"] = utc_now();
  record["command"] = journal ? journal->command() : command;
  record["config"] = {
      {"file", config.config.file.string()}, {"hash", config.hash}, {"resolved", Json::parse(config.resolved_json)}};
  record["machine"] = machine_json(facts, before, after);
  if (journal) record["machine"]["load_before"] = journal->first_machine().at("load_before");
  record["machine"]["peaks"] = run.peaks();
  record["checkpoints"] = run.checkpoints();
  record["cases"] = run.cases();
  record["verifications"] = run.verifications();
  record["warnings"] = environment_warnings(build_info(), kAsserts, facts, before);
  const double seconds = 1e-9 * static_cast<double>(now_ns() - begin);
  for (const std::string& warning : disturbance_warnings(facts, before, after, seconds)) record["warnings"].push_back(warning);
  for (const std::string& warning : run.warnings()) record["warnings"].push_back(warning);
  record_time_limit(config, record);
  record["partial"] = run.partial();
  record["sessions"] = journal ? Json(journal->sessions()) : Json::array({record["started"]});
  record["exit_code"] = static_cast<int>(run.code());
  return {std::move(record), run.code()};
}

}  // namespace kvproof
