// What a run must give every time, compared to the digit: was it the same work, and did anything of it change? Pure
// functions on documents.
//
// A baseline is the exact part of a record, small enough to be committed:
//   schema   {"name": "kvproof-baseline", "version": 1}
//   kvproof  version, commit, dirty;  machine  fingerprint, cpu_model;  started
//   cases[]  id; status; error_kind (of a failed one, which has nothing else); workload; exact; times (where kept)
//   workload     settings (as in the record, without run.repetitions), prompt {tokens (how many), depth, xxh128 (of
//                the ids)}, checkpoint (xxh128; of several files shards[]; of a synthetic one its spec), hash (over all of this)
//   exact        agreement (the verdict); naive and engine: token_forwards, kv_cache_bytes (null: not known), tokens (what
//                was generated, for each row the ids in one text)
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/record/view.h"

namespace kvproof::compare {

inline constexpr const char* kBaselineSchema = "kvproof-baseline";
inline constexpr int64_t kBaselineVersion = 1;

/// Whether a baseline keeps times. Without, two runs of the same program give the same cases to the byte, so that the diff of
/// a committed baseline shows what was meant to change.
enum class Times { keep, leave_out };

/// The baseline of a record; a baseline as it is, but for times that are left out.
///
/// returns keys in the order above, so that write_json gives equal baselines the same bytes
/// throws  RecordError: neither of the two, a version that is not known, a damaged record
Json baseline_of(const Json& document, Times times = Times::keep);

/// One exact value that is not what it was.
struct ExactChange {
  std::string case_id;
  std::string field;  // "status", "agreement", "engine.token_forwards", "naive.tokens"
  std::string place;  // of tokens: "row 0, token 17" (the first that differs, of those generated, from 0); else empty
  Json base, candidate;  // of tokens: the ids there; null where a row has ended, or the value is not known
};

/// A case that both documents have and that cannot be compared.
struct Incomparable {
  std::string case_id, reason;  // "settings.run.threads: 2 in the base, 4 in the candidate"
};

struct ExactComparison {
  std::vector<ExactChange> changed;
  std::vector<std::string> identical;       // ids of cases of which nothing changed
  std::vector<std::string> missing, added;  // ids: only in the base, only in the candidate
  std::vector<Incomparable> incomparable;
  /// Why no time of one may be held against a time of the other: two machines. Absent: one and the same. Exact values are
  /// compared all the same: counts and bytes depend on no machine. Tokens may, where another instruction set rounds two
  /// nearly equal logits the other way.
  std::optional<std::string> other_machine;
};

/// Base against candidate, each a record or a baseline. Cases are matched by id and compared where their workloads are the
/// same; a case that failed in both is incomparable, one that failed in either has changed its status.
///
/// throws RecordError: as baseline_of; two cases of one id
ExactComparison compare_exact(const Json& base, const Json& candidate);

}  // namespace kvproof::compare
