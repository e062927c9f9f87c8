// Cases of a config, one at a time, ready to be timed: the model loaded, the prompt in tokens, generations to be had
// again and again.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/config/config.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/clocked_call.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/threads.h"

namespace kvproof {

/// How far a generation goes; it asks for as much memory either way.
enum class Extent { first_token, whole };

/// What a generation did: times of unequal work cannot be averaged.
struct CallWork {
  int64_t prefill_positions = 0;  // pushed through the model by the first forward
  int64_t tokens = 0;             // of all rows, terminal ones included
  int64_t decoded = 0;            // those of them that are no row's first
  int64_t gaps = 0;               // between steps
  bool operator==(const CallWork&) const = default;
};
CallWork work_of(const ClockedCall& call);

class OpenCase {
 public:
  /// Resolves the prompt and runs the engine's generation once, not timed: the naive path is given the tokens that
  /// tools forced in it, as in a run.
  ///
  /// config, session, engine  must outlive it
  /// throws                   as resolve_prompt, and what the engine throws
  OpenCase(const LoadedConfig& config, const Case& cell, const CheckpointSession& session, GroupEngine& engine);
  OpenCase(const OpenCase&) = delete;
  OpenCase& operator=(const OpenCase&) = delete;

  /// "pp6 tg64", with " @ d512" behind a depth and " x4" where there are several rows; tg is the engine's longest row.
  const std::string& label() const { return label_; }

  /// What each call of this kind does: known from one that is not timed, which is made unless the latest call was of
  /// this kind.
  const CallWork& settle(Path path, Extent extent);

  /// One generation under the clock. at_first_token is called when the first token is in hand, and may be empty.
  ClockedCall call(Path path, Extent extent, const std::function<void()>& at_first_token = {});

 private:
  Subject& subject_;
  MachineProbe here_;
  OtherProcessProbe elsewhere_;
  Probe& probe_;
  GenerationRequest requests_[2];  // naive, engine
  std::string label_;
  std::optional<std::pair<Path, Extent>> settled_;
  CallWork work_;
};

/// All cases of a config, of which one is open. A model is opened when the first of its cases is asked for, and freed
/// before the next one's is opened; threads are those of the case.
class OpenCases {
 public:
  /// config  must outlive it
  explicit OpenCases(const LoadedConfig& config);

  /// Indices into LoadedConfig::cases in the order in which a run takes them: those that share a model together.
  std::vector<std::size_t> in_order() const;

  /// Opens a case, and its model where another one is open. What is returned lives until another case is opened.
  ///
  /// throws  what open_session, open_group_engine and OpenCase throw; a model that could not be opened throws the same
  ///         for all its cases, without another try
  OpenCase& open(std::size_t index);

 private:
  struct Group {
    std::size_t checkpoint;
    RunSpec run;
    std::vector<std::size_t> cases;  // ascending
  };

  std::size_t group_of(std::size_t index) const;
  void open_group(std::size_t group);

  const LoadedConfig& config_;
  std::vector<Group> groups_;
  ThreadScope threads_;
  // Those below need what is above them.
  std::optional<std::size_t> checkpoint_, group_, case_index_;  // which are open
  std::exception_ptr failure_;                                  // why the group is not
  std::optional<CheckpointSession> session_;
  std::unique_ptr<GroupEngine> engine_;
  std::optional<OpenCase> case_;
};

}  // namespace kvproof
