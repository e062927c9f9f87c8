// The models of a config, of which one is open: for those who take cases one at a time.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "harness/config/config.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/threads.h"

namespace kvproof {

/// What a case runs on.
struct OpenGroup {
  const CheckpointSession& session;
  GroupEngine& engine;
};

/// A model is opened when the first of its cases is asked for, and freed before the next one's is opened; threads are
/// those of the case.
class OpenGroups {
 public:
  /// config    must outlive it
  /// on_model  is shown each model of ours as it is opened
  explicit OpenGroups(const LoadedConfig& config, ModelHook on_model = {});

  /// Indices into LoadedConfig::cases in the order in which a run takes them: those that share a model together.
  std::vector<std::size_t> in_order() const;

  /// Whether a case's model is the one that is open.
  bool holds(std::size_t index) const { return group_ == group_of(index); }

  /// Opens a case's model, unless it is open. What is returned lives until another model is opened, or close.
  ///
  /// throws  what open_session and open_group_engine throw; a model that could not be opened throws the same for all its
  ///         cases, without another try
  OpenGroup open(std::size_t index);

  /// Frees the model and its checkpoint.
  void close();

 private:
  struct Group {
    std::size_t checkpoint;
    RunSpec run;
    std::vector<std::size_t> cases;  // ascending
  };

  std::size_t group_of(std::size_t index) const;
  void open_group(std::size_t group);

  const LoadedConfig& config_;
  const ModelHook on_model_;
  std::vector<Group> groups_;
  ThreadScope threads_;
  // Those below need what is above them.
  std::optional<std::size_t> checkpoint_, group_;  // which are open
  std::exception_ptr failure_;                     // why the group is not
  std::optional<CheckpointSession> session_;
  std::unique_ptr<GroupEngine> engine_;
};

}  // namespace kvproof
