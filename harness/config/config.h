// What a YAML config says, after defaults < file < --set. Strict: whatever is not known is an error with its place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kvproof {

struct CheckpointSpec {
  std::string name;
  std::string place;                     // file:line:column, for errors seen later
  std::optional<std::string> subject;    // the command of somebody else's engine
  std::optional<std::string> reference;  // own | engine | both; only with subject
  std::optional<std::string> synthetic;  // "d12" or "d4,vocab_size=2048": then nothing below but architecture
  std::filesystem::path base_dir;        // absolute; relative paths in a file are relative to that file
  std::optional<std::string> source, tag;
  std::optional<int64_t> step;
  std::map<std::string, std::string> architecture;

  /// Whether there are weights for our engine; a subject may stand alone.
  bool has_checkpoint() const { return synthetic || !base_dir.empty(); }
};

enum class PromptKind { chat, text, tokens, file, synthetic };

struct PromptSpec {
  std::string name;
  std::string place;
  PromptKind kind = PromptKind::text;
  std::string text;             // chat: the user's message; text: the text; file: the path as resolved
  std::vector<int32_t> tokens;  // tokens: as given
  int64_t length = 0;           // synthetic: exactly so many tokens
  int64_t depth = 0;            // synthetic: behind so many others, which the engine has in its cache
  uint64_t seed = 1;
};

enum class Stop { automatic, on, off };  // automatic: on for text, chat and file; off for synthetic and tokens

struct SamplerSpec {
  double temperature = 0;
  std::optional<int64_t> top_k;
  uint64_t seed = 42;
  int64_t max_tokens = 64;  // 1 … 1048576
  int64_t num_samples = 1;  // 1 … 4096
  Stop stop = Stop::automatic;
  std::string mode = "per_row";  // per_row | nanochat
  bool tools = true;
};

struct RunSpec {
  std::string backend = "auto";        // auto | native | aten
  std::string dtype = "auto";          // auto | float32 | bfloat16 | float16 | float64
  std::string device = "auto";         // auto | cpu | cuda | mps
  std::optional<int64_t> threads;      // absent: auto
  bool pin = false;                    // bind the native backend's threads to CPUs
  std::optional<int64_t> repetitions;  // absent: auto
  std::string verify = "quick";        // quick | full | off
  bool peaks = true;                   // measure the machine's peaks beside the cases
};

struct NaiveSpec {
  std::string logits = "all";  // all | last
};

/// How `kvproof compare` times two programs on the cases. Says nothing of what is run, so it is not part of the hash.
struct CompareSpec {
  int64_t blocks = 12;     // fresh pairs of processes
  int64_t rounds = 8;      // A B B A in each
  int64_t epoch_ms = 5;    // of one turn, at least
  int64_t warm_up_ms = 300;  // of each path that is timed, at most, beside one round
  std::vector<std::string> time = {"engine_prefill", "engine_decode"};
};

/// What `kvproof ci` fails on. Not part of the hash either.
struct CiSpec {
  std::vector<std::string> fail_on = {"disagree", "regressed", "missing", "error"};
  std::vector<std::string> accept;      // exact metrics whose change is meant: "kv_cache_bytes"
  std::optional<std::string> baseline;  // a name, or a path: relative ones begin at the file's folder
  std::map<std::string, double> floors;  // "speedup_e2e" → 2.5
};

struct Config {
  std::filesystem::path file;
  std::vector<CheckpointSpec> checkpoints;
  std::vector<PromptSpec> prompts;
  SamplerSpec sampler;  // defaults of every prompt; a prompt may override with its own `sampler: {…}` and `run: {…}`
  RunSpec run;
  NaiveSpec naive;
  CompareSpec compare;
  CiSpec ci;
};

/// One cell: a checkpoint, a prompt and every setting, after the sweep.
struct Case {
  std::string id;                          // "demo/tool", with the swept keys appended: "demo/tool/run.dtype=bfloat16"
  std::size_t checkpoint = 0, prompt = 0;  // indices into LoadedConfig::checkpoints, prompts
  SamplerSpec sampler;
  RunSpec run;
  NaiveSpec naive;
};

/// What `--max-time` put in place of `repetitions: auto`.
struct TimeLimit {
  struct Choice {
    std::string id;               // of the case
    int64_t repetitions = 0;      // the case's now
    int64_t auto_repetitions = 0;  // that auto would have taken, as was estimated
  };
  double max_time_s = 0, estimated_s = 0;
  std::vector<Choice> choices;  // of the cases whose repetitions were auto, in the config's order
};

struct LoadedConfig {
  Config config;
  std::vector<Case> cases;    // checkpoints × prompts × sweep, in file order; ids are unique
  std::string resolved_json;  // all that decides what is run, keys in a fixed order; no absolute path of the machine
  std::string hash;           // FNV-1a (64 bits) of resolved_json: 16 hex digits
  std::optional<TimeLimit> time_limit = {};  // in `cases` already; not in resolved_json. load_config leaves it absent
};

/// Reads, checks and expands a config. Later wins: defaults, the file's sampler, run and naive, a prompt's own, the sweep.
///
/// file  the YAML; relative paths in it begin at its folder, "~/" at home
/// sets  "a.b=value" pairs of --set, in order; value is YAML. A number is an index ("prompts.0.text=…"). A setting wins over
///       the file and over what prompts say of their own; of a key that the file sweeps it is an error, and
///       "sweep.run.dtype=[…]" is what helps. Relative paths begin at the file's folder here too
/// A sweep is a grid, its first key slowest; `zip: [[keys], …]` in it makes keys advance together. Values are lists or ranges
/// (64-1024*2, 1-8+1, 1-8). With prompt.length, prompt.depth or prompt.seed in it, which only synthetic
/// prompts have, config.prompts holds one prompt for each of their values.
/// throws ConfigError: unreadable file, YAML syntax, unknown key (with "did you mean"), wrong type, out of range, nothing
///        to run, a name twice, more than 10,000 cases; place file:line:column, or "--set a.b"
LoadedConfig load_config(const std::filesystem::path& file, const std::vector<std::string>& sets = {});

/// A config to start from, with comments; load_config accepts it.
std::string starter_config();

/// The JSON Schema of config files, for editors.
std::string config_json_schema();

}  // namespace kvproof
