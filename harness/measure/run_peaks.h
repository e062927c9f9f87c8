// The machine's peaks over a run: measured beside the cases that are held against them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/model/gpt_config.h"
#include "harness/machine/peaks/measure_peaks.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/grouping.h"
#include "harness/measure/utilization.h"
#include "harness/record/view.h"
#include "harness/subject/subject.h"

namespace kvproof {

/// What measuring one request takes, about.
inline constexpr double kPeaksSeconds = 1;

/// What a model's cases are held against: reading in cache, out of it, and as many bytes as a decode step reads of the
/// weights; multiplying a square and the MLP's products over a prompt. cost: kPeaksSeconds, to measure
PeakRequest peak_request(const MachineFacts& facts, const Fact<int64_t>& free_memory, const SubjectInfo& info,
                         const GptConfig& config, const ElementBytes& bytes);

/// Why a subject has no peaks: it runs on no CPU, with no known number of threads, in a dtype without peaks. Empty: it has.
std::string why_no_peaks(const SubjectInfo& info);

/// Whether a group's cases are held against peaks: one of them asks for it, and there are some of its engine.
/// info  of the engine's subject
bool measures_peaks(const LoadedConfig& config, const CaseGroup& group, const GroupEngine& engine,
                    const SubjectInfo& info);

class RunPeaks {
 public:
  using Measure = std::function<Peaks(const PeakRequest&)>;

  explicit RunPeaks(Measure measure) : measure_(std::move(measure)) {}

  /// Measures, unless the newest measurement was of the same and nothing ran since. Where memory or threads cannot be
  /// had, that is the reason for there being no peaks.
  void measure(const PeakRequest& request);
  /// Takes what an earlier process measured: an entry of the record's machine.peaks. throws RecordError: it is none
  void take(const View& entry);
  /// Cases ran: the next measurement is another one.
  void cases_ran() { fresh_ = false; }

  /// The larger counts, of all that was measured so far. Unknown with the reason.
  Fact<Peaks> of(int64_t threads, const std::string& dtype) const;
  const std::vector<Peaks>& all() const { return all_; }
  /// Sentences, each with its remedy: where the machine multiplied slower behind some cases than before them.
  const std::vector<std::string>& slowdowns() const { return slowdowns_; }

 private:
  void add(const Peaks& peaks);
  void note_slowdown(const PeakRequest& request, const Peaks& peaks);

  Measure measure_;
  std::vector<Peaks> all_;  // by threads and dtype, in the order in which they came
  PeakRequest newest_;
  double newest_flops_per_s_ = 0;  // of the fastest shape
  std::vector<std::string> slowdowns_;
  bool fresh_ = false;
  std::string failure_;
};

}  // namespace kvproof
