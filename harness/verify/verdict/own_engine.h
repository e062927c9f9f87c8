// Our own engine made ready to be verified: the model as the user runs it, and the same code in float64.
#pragma once

#include <memory>

#include "engine/checkpoint/checkpoint.h"
#include "engine/model/model.h"
#include "engine/tokenizer/tokenizer.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

class OwnEngine {
 public:
  /// checkpoint, tokenizer (may be null)  must outlive this
  /// tested     the model under test, made of the checkpoint
  /// overrides  that the checkpoint was opened with
  /// throws     ArgumentError, CheckpointError; std::bad_alloc or CapacityError where float64 weights do not fit
  OwnEngine(const Checkpoint& checkpoint, Model& tested, const Tokenizer* tokenizer,
            ArchitectureOverrides overrides = {});

  /// Valid as long as this.
  VerifyTarget target();

  Model& tested() { return tested_; }
  /// The float64 twin whose cached path is judged; null where the model under test is float64.
  Model* logic() { return logic_.get(); }
  /// The same weights in float64 on the CPU: one of the models above where that is one.
  Model& exact() { return exact_ ? *exact_ : logic_ ? *logic_ : tested_; }

  /// Puts other subjects in the place of ours, for a check of the check: decorated ones.
  void decorate(const std::function<std::unique_ptr<Subject>(std::unique_ptr<Subject>)>& wrap);

 private:
  const Checkpoint& checkpoint_;
  Model& tested_;
  const Tokenizer* tokenizer_;
  ArchitectureOverrides overrides_;
  std::unique_ptr<Model> logic_, exact_;
  std::unique_ptr<Subject> tested_subject_, logic_subject_, exact_subject_;
};

/// While it lives, a model sums attention over blocks of so many keys, the last block first.
class KeyBlocks {
 public:
  KeyBlocks(Model& model, int64_t keys);
  ~KeyBlocks();
  KeyBlocks(const KeyBlocks&) = delete;
  KeyBlocks& operator=(const KeyBlocks&) = delete;

 private:
  Model& model_;
  Model::PlanFilter before_;
};

}  // namespace kvproof
