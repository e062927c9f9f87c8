// Cases of a config, one at a time, ready to be timed: the model loaded, the prompt in tokens, generations to be had
// again and again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/config/config.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/clocked_call.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/open_groups.h"

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

/// All cases of a config, of which one is open; models as OpenGroups has them.
class OpenCases {
 public:
  /// config  must outlive it
  explicit OpenCases(const LoadedConfig& config) : config_(config), groups_(config) {}

  /// As OpenGroups::in_order.
  std::vector<std::size_t> in_order() const { return groups_.in_order(); }

  /// Opens a case, and its model where another one is open. What is returned lives until another case is opened.
  ///
  /// throws  what OpenGroups::open and OpenCase throw
  OpenCase& open(std::size_t index);

 private:
  const LoadedConfig& config_;
  OpenGroups groups_;
  std::optional<std::size_t> case_index_;  // which is open
  std::optional<OpenCase> case_;
};

}  // namespace kvproof
