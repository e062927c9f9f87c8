// `kvproof verify`: all checks of one model, and a verdict with evidence.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "harness/subject/subject.h"
#include "harness/verify/finding.h"
#include "harness/verify/localise.h"
#include "harness/verify/metrics.h"
#include "harness/verify/vectors/model_check.h"
#include "harness/verify/vectors/vectors.h"
#include "harness/verify/verdict/calibrate.h"
#include "harness/verify/verdict/suite.h"

namespace kvproof {

/// Our engine on the checkpoint of a subject that is somebody else's.
struct OurEngine {
  Subject& naive;  // in the subject's dtype, float32 where that is float64: what rounding does
  Subject& exact;  // float64
};

/// What is verified. The subjects must outlive the call.
struct VerifyTarget {
  Subject& tested;           // backend, device and dtype as the user runs them
  Subject* logic = nullptr;  // the same code in float64; null where `tested` is that, or where there is none
  Subject* exact = nullptr;  // float64 on the CPU; null where `logic` (or `tested`, without one) is that
  const Checkpoint* checkpoint = nullptr;  // for the oracle; null: model against oracle is not covered
  ArchitectureOverrides overrides = {};    // that the checkpoint was opened with
  const Tokenizer* tokenizer = nullptr;    // for stop tokens and tools; may be null
  bool own_engine = true;  // its generators are checked on a scripted model and against Python's results
  /// Has attention of tested and logic summed over key blocks (0: as before); empty: that variation is left out.
  std::function<void(int64_t keys)> use_key_blocks = {};
  std::function<void(int threads)> use_threads = {};
  std::optional<OurEngine> ours = {};  // with own_engine off: the subject's model is held against it
  bool cache_against_ours = false;     // and its cache too, not against its own uncached path
  double slowness = 1;                 // its forwards' time over what the estimate says of ours
};

/// What scenarios of caches may take by the estimate, where the caller sets no other time.
inline constexpr double kQuickSeconds = 2.2, kFullSeconds = 55;
/// The same for engines behind the protocol, which are slower more often than not.
inline constexpr double kQuickForeignSeconds = 15, kFullForeignSeconds = 120;

struct VerifyOptions {
  Depth depth = Depth::full;
  uint64_t seed = 1;
  std::vector<std::string> only = {};  // scenario names: nothing else is run
  double seconds = 0;                  // that the scenarios may take by the estimate; 0: the depth's own, 2.2 or 55
  bool vectors = true;                 // our own code against Python's results: the same whatever the checkpoint
  bool behaviour = true;               // the generators
  /// Called before each part with a few words; empty: nobody listens.
  std::function<void(const std::string& stage, int64_t done, int64_t total)> progress = {};
};

enum class VerifyVerdict { pass, fail, inconclusive };
std::string to_string(VerifyVerdict verdict);  // "PASS"

struct VerifyReport {
  VerifyVerdict verdict = VerifyVerdict::pass;
  std::string explanation;         // one sentence
  std::vector<std::string> wrong;  // "model", "cache", "generation": what failed
  SubjectInfo subject;
  VerifyOptions options;
  std::optional<VectorReport> vectors;  // absent: not run
  std::optional<ModelReport> model;
  std::optional<ModelReport> against_ours;  // somebody else's engine: its uncached logits against our exact ones
  std::string model_error;                  // why the model check broke off; empty: it did not
  std::vector<ScenarioOutcome> outcomes;
  std::vector<Calibration> calibrations;        // float64's first
  std::optional<Divergence> first_divergence;   // in what the subject's own generation does
  std::optional<Divergence> latent_divergence;  // in what it never does
  LogitSummary logits;                          // engine against reference, in the dtype under test
  std::vector<std::string> not_covered;
  int64_t longest = 0;  // positions of the longest scenario

  LevelTally level(Level level) const;
  /// The first divergence in use, or else the first latent one.
  const std::optional<Divergence>& divergence() const {
    return first_divergence ? first_divergence : latent_divergence;
  }
  /// The names of the scenarios that failed, latent ones or the others.
  std::vector<std::string> failed(bool latent) const;
};

/// throws ArgumentError: a name in `only` that is no scenario. What the subjects throw becomes part of the report
VerifyReport verify(const VerifyTarget& target, const VerifyOptions& options);

}  // namespace kvproof
