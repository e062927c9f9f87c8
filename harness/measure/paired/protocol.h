// What travels in kvproof-measure/1 (harness/adapters/MEASURE.md), as values and as headers of messages: who measures,
// what a case gives every time, and the times of one epoch. Knows no engine and no clock.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/subject/json_fields.h"
#include "harness/subject/subject.h"

namespace kvproof {

inline constexpr const char* kMeasureProtocol = "kvproof-measure/1";

enum class Part { prefill, decode, e2e };

/// What one epoch times: a part of the generations of one path. The meanings are those of Sample, see EpochTimes.
struct Timed {
  Path path = Path::engine;
  Part part = Part::e2e;
  bool operator==(const Timed&) const = default;
};

/// All six: naive before engine, prefill, decode, e2e.
const std::array<Timed, 6>& all_timed();
/// "engine_decode"
std::string word_of(const Timed& timed);
/// throws ArgumentError (place "what"): no such word
Timed timed_of(const std::string& word);

/// A case as the config has it, before anything is opened.
struct CaseOutline {
  std::string id;
  std::optional<int64_t> prompt_tokens;  // absent: a text, which only the tokenizer can count
  int64_t max_tokens = 0, rows = 0;
  bool operator==(const CaseOutline&) const = default;
};

/// Who measures, and what it was asked to.
struct MeasureHello {
  std::string version, commit, build_type;  // as BuildInfo
  bool dirty = false;
  std::string config_hash, fingerprint;  // of the config; of the machine
  std::vector<CaseOutline> cases;        // in the order that opens each model once
  bool operator==(const MeasureHello&) const = default;
};

nlohmann::json header_of(const MeasureHello& hello);
/// throws ArgumentError: a field is missing, out of range or of another type (place: the field). So do all below
MeasureHello hello_of(const nlohmann::json& header);

/// How much is run before a case is timed, of each path that is.
struct WarmUp {
  int64_t rounds = 2;               // generations after the cold one; at least so many
  int64_t most_ns = 3'000'000'000;  // no new one after the least ones once this is spent
  std::vector<Path> paths = {Path::naive, Path::engine};
};
/// "naive"
const char* word_of(Path path);
/// throws ArgumentError (place "warm_up_paths"): no such word
std::vector<Path> paths_of(const std::vector<std::string>& words);

/// What one path gives every time.
struct PathFacts {
  std::vector<std::vector<int32_t>> tokens;  // generated, by row, terminal ones included
  int64_t token_forwards = 0, kv_cache_bytes = 0;
  int64_t prefill_positions = 0;  // of token_forwards, by the first forward
  int64_t steps = 0;              // of the longest row; decode has one less
  std::string first_logits;       // XXH3's 128 bits over the logits behind the prompt, in hex
  bool operator==(const PathFacts&) const = default;
};

/// A case that is open and warm.
struct CaseFacts {
  std::string id, shape;  // "pp512 tg64"
  std::string backend, dtype, device;
  int64_t threads = 0;
  PathFacts naive, engine;
  bool steady = true;                // the warm-up ended because times had settled
  std::vector<std::string> invalid;  // why times of it would mean nothing; empty: they are good

  const PathFacts& of(Path path) const { return path == Path::naive ? naive : engine; }
};

nlohmann::json header_of(const CaseFacts& facts);
CaseFacts facts_of(const nlohmann::json& header);

/// How long an epoch goes on: so many generations, or until their times reach a sum.
struct EpochLength {
  std::optional<int64_t> calls;  // >= 1
  int64_t at_least_ns = 0;       // counts where `calls` is absent
};

/// Whole generations, one after the other, or of `prefill` their beginnings.
///
/// calls    so many generations
/// units    prefill: prefills, e2e: generations, decode: steps after the first token, `steps - 1` each
/// wall_ns  summed over the calls: prefill from the call, the cache empty, to the end of the first forward; decode from the
///          first token in hand to the last; e2e from the call to the last token. The return of memory is in none
/// cpu_ns   of all threads of the process, between the same moments
/// quiet    no thread was awake any more when the answer was given
struct EpochTimes {
  int64_t calls = 0, units = 0, wall_ns = 0, cpu_ns = 0;
  bool quiet = true;
  bool operator==(const EpochTimes&) const = default;
};

nlohmann::json header_of(const EpochTimes& times);
EpochTimes times_of(const nlohmann::json& header);

}  // namespace kvproof
