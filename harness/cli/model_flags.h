// The flags that say which model, and how it is opened: the same for every command that needs one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "engine/model/model.h"
#include "engine/tokenizer/tokenizer.h"
#include "harness/cli/command.h"

namespace kvproof::cli {

struct ModelFlags {
  CheckpointRequest request;
  std::optional<std::string> synthetic;  // then nothing in request
  ArchitectureOverrides overrides;
  ModelOptions options;
  int threads = 0;  // 0: LibTorch's own choice
};

/// Declares --base-dir --source --tag --step --synthetic --arch --backend --dtype --device --threads --pin.
void add_model_flags(CLI::App& app);
/// --threads alone; 0: auto. throws ArgumentError
int read_threads(const Arguments& arguments);
/// --backend alone: auto, native or aten. throws ArgumentError
std::string read_backend(const Arguments& arguments);
/// throws ArgumentError with the flag as its place
ModelFlags read_model_flags(const Arguments& arguments);

/// Finds or synthesizes the checkpoint and names it on stderr: path, tag, step, val_bpb, what was guessed, what is ambiguous.
/// throws CheckpointError, ArgumentError
Checkpoint open_checkpoint(const ModelFlags& flags, Console& console);

/// A model that is ready to run, and what it came from.
struct Session {
  Checkpoint checkpoint;
  std::optional<Tokenizer> tokenizer;
  std::unique_ptr<Model> model;
  int64_t load_ns = 0;  // all of it, from the files to the model

  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }
};
Session open_session(const ModelFlags& flags, Console& console);

/// Demands a tokenizer for a flag that needs one. throws ArgumentError(flag) where there is none; advice: what to do then
void require_tokenizer(const Session& session, const std::string& flag, const std::string& advice);

/// The tokenizer for commands that need nothing else: <base directory>/tokenizer, else <base directory>/tokenizer.json. throws ArgumentError, TokenizerError
Tokenizer open_tokenizer_alone(const ModelFlags& flags);

}  // namespace kvproof::cli
