// What a group of cases runs on: our engine on a checkpoint, or somebody else's in a child process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/model/gpt_config.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/subject/subject.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

class GroupEngine {
 public:
  virtual ~GroupEngine() = default;
  /// What is timed. naive_logits  where our naive path computes logits; a child decides that itself
  virtual Subject& subject(LogitsAt naive_logits) = 0;
  /// Sizes: the checkpoint's, or made of what a child says of itself.
  virtual const GptConfig& config() const = 0;
  /// Whether costs may be derived from config(): not from what a child says of itself.
  virtual bool knows_costs() const = 0;
  /// Everything that verification needs. Twins in float64 exist from the first call on: not while cases are timed.
  virtual VerifyTarget target() = 0;
  /// What a case's own tokens are judged by, after target().
  virtual Subject& reference() = 0;
  /// Whether tools work: not in an engine whose loop is driven from here.
  virtual bool has_tools() const = 0;
};

/// What a case is timed on.
Subject& subject_of(GroupEngine& engine, const Case& cell);

/// Seams for tests, see RunHooks.
using ModelHook = std::function<void(Model&)>;

/// spec, session  must outlive it
/// throws         ArgumentError, CheckpointError (our engine); SubjectError, ArgumentError (a child)
std::unique_ptr<GroupEngine> open_group_engine(const CheckpointSpec& spec, const CheckpointSession& session,
                                               const RunSpec& run, const ModelHook& on_model);

}  // namespace kvproof
