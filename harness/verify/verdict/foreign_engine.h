// Somebody else's engine made ready to be verified: its child process, its float64 twin where it has one, and ours on the same
// checkpoint where there is one.
#pragma once

#include <memory>

#include "engine/checkpoint/checkpoint.h"
#include "engine/model/model.h"
#include "harness/subject/child_subject.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

/// What a foreign cache is held against.
enum class Reference {
  own,     // its own uncached path: "cache wrong"
  engine,  // our engine on the same checkpoint: "cache wrong or model wrong"
  both,    // its cache against its own uncached path, and that against ours: which of them is wrong
};

class ForeignEngine {
 public:
  /// checkpoint  that the child runs too; null: only `own`. It must outlive this
  /// overrides   that it was opened with
  /// throws      SubjectError (as ChildSubject); ArgumentError (place "--reference"): nothing to hold it against
  ForeignEngine(const ChildOptions& child, const Checkpoint* checkpoint, ArchitectureOverrides overrides,
                Reference reference);

  /// Valid as long as this. slowness is 1: who may read clocks sets it.
  VerifyTarget target();
  ChildSubject& tested() { return *tested_; }
  /// New processes that had to be started, of both twins.
  int64_t restarts() const;

 private:
  const Checkpoint* checkpoint_;
  ArchitectureOverrides overrides_;
  bool against_ours_ = false;
  std::unique_ptr<ChildSubject> tested_, logic_;
  std::unique_ptr<Model> naive_model_, exact_model_;
  std::unique_ptr<Subject> naive_, exact_;
};

}  // namespace kvproof
