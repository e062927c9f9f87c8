// A whole config: every case measured, verified and written down as one record.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/config/config.h"
#include "harness/error.h"
#include "harness/machine/peaks/measure_peaks.h"
#include "harness/record/record.h"

namespace kvproof {

class GroupEngine;
class Model;
class Probe;
struct CheckpointSession;

/// Where a run is.
struct ProgressEvent {
  std::string case_id;
  std::size_t number = 1, cases = 1;   // this is the number-th of so many cases, in the order in which they run
  std::string stage;  // "load", "peaks", "first call", "warm-up", "repetition", "fresh engine", "verification", "agreement"
  int64_t done = 0, total = 0;         // of the stage; 0 of 0 where it has no steps
  std::optional<double> seconds_left;  // of the whole run, as far as can be told; absent until something was timed
};

/// Told before every step; on_event must be quick, for it runs between the measurements.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void on_event(const ProgressEvent& event) = 0;
};

struct RunOutcome {
  Json record;  // complete: results/README.md
  /// The worst of all cases: ok, disagree (5: outputs, or the verification), failed (6: a case failed, or its
  /// measurement is invalid), usage (2), bug (70).
  ExitCode code;
};

class RunJournal;

/// What makes a run outlive its process, or end before its end.
struct RunLife {
  /// Where to write down what was measured and judged, and what an earlier process did. Null: nowhere.
  RunJournal* journal = nullptr;
  /// Asked between generations. Once true, the run ends with what there is: `partial` is true in its record, cases that
  /// have whole rounds are in it, and the others failed with an error that says how to go on.
  std::function<bool()> interrupted = {};
};

/// Seams for tests; no command line reaches them.
struct RunHooks {
  /// Shown each model under test, and its float64 twin, as soon as it is made. Empty: nobody looks.
  std::function<void(Model&)> on_model = {};
  /// Instead of opening a group's engine; asked once more for a fresh one, after the group's cases were timed.
  std::function<std::unique_ptr<GroupEngine>(const CheckpointSession&, const RunSpec&)> open_engine = {};
  /// Instead of the machine's clock and counters.
  Probe* probe = nullptr;
  /// Instead of looking at the machine.
  std::optional<MachineFacts> machine = {};
  /// Instead of looking how busy it is.
  std::function<LoadSnapshot()> load = {};
  /// Instead of measuring its peaks.
  std::function<Peaks(const PeakRequest&)> measure_peaks = {};
};

/// Runs all cases of a config. A case that fails does not stop the others.
///
/// Cases of one checkpoint, backend, dtype, device and number of threads run together on one model, which is freed
/// before the next; then, after all of them were timed, that model's cache is verified once, as deeply as the deepest
/// run.verify among them asks, and each case's own tokens are compared. Only then its float64 twin exists. A case whose
/// comparison or verification fails is INVALID and has no speed-up. The record has the config's order. Before and after a
/// group's cases, where one of them says run.peaks, the machine's peaks are measured: what a case reached is held
/// against the largest that were measured of its threads and dtype by then.
/// command   the words of the command line, for the record
/// progress  may be null
/// life      a journal of an earlier process: groups that it judged are taken as they are; of the others the rounds that
///           it measured are kept, and their cold calls and verification made again
/// throws    RecordError: the journal cannot be written or gone on with
/// cost      the thread count of LibTorch is changed and put back
RunOutcome run_config(const LoadedConfig& config, const std::vector<std::string>& command, Progress* progress = nullptr,
                      const RunHooks& hooks = {}, const RunLife& life = {});

}  // namespace kvproof
