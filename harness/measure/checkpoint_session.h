// A checkpoint of the config, opened: weights mapped, tokenizer read, prompts made into tokens, models built on demand.
#pragma once

#include <memory>
#include <optional>

#include "engine/checkpoint/checkpoint.h"
#include "engine/generate/generator.h"
#include "engine/model/model.h"
#include "engine/tokenizer/tokenizer.h"
#include "harness/record/record.h"
#include "harness/workload/workload.h"

namespace kvproof {

struct CheckpointSession {
  std::optional<Checkpoint> checkpoint;  // absent: a subject alone
  std::optional<Tokenizer> tokenizer;    // absent: there is no base directory, or it has none
  int64_t open_ns = 0;                   // that opening took

  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }
};

/// The tokenizer beside a checkpoint; absent: its base directory has none.
/// throws TokenizerError: broken, or another size than the model's vocabulary
std::optional<Tokenizer> open_tokenizer(const Checkpoint& checkpoint);

/// Opens what a config names.
/// throws CheckpointError; TokenizerError (broken, or another size than the model's vocabulary); ConfigError where the
///        spec or an architecture key is at fault, at its place in the file
CheckpointSession open_session(const CheckpointSpec& spec);

/// The options of a case's model, nothing "auto". throws ArgumentError
ModelOptions model_options(const RunSpec& run);

/// What both paths are asked in a case: prompt, sampler, stop rule, tools where they work.
GenerationRequest request_of(const Case& cell, const Prompt& prompt, bool tools);

/// The record's entry of an opened checkpoint.
/// throws RecordError: a file can no longer be read
Json checkpoint_json(const CheckpointSpec& spec, const CheckpointSession& session);

}  // namespace kvproof
