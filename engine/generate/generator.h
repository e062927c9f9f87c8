// The contract both ways of generating obey: the same request gives the same tokens, at very different cost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/generate/sampler.h"
#include "engine/model/step_plan.h"
#include "engine/tokenizer/tokenizer.h"

namespace kvproof {

class Model;

/// Tokens that are not sampled but taken as given: step (0 = first generated) -> token, for one row.
using ForcedTokens = std::map<int64_t, TokenId>;

struct GenerationRequest {
  std::vector<TokenId> prompt = {};      // at least one id
  std::optional<int64_t> max_tokens = {};  // >= 0; absent: until all rows stop or the rotary limit is reached
  int64_t num_samples = 1;               // >= 1
  SamplerSettings sampler = {};
  bool stop = true;                      // rows end at <|assistant_end|> or <|bos|>; off: these are ordinary tokens
  bool tools = true;                     // the calculator; needs a tokenizer, and is the cached engine's alone
  std::vector<ForcedTokens> forced = {};  // empty, or one per row: replayed by either path, mask 0
  /// Of so many first tokens of the prompt the cached engine keeps keys and values from call to call, and computes what
  /// follows alone. The first call fills them, in its time, but in no count of positions. Fewer than the prompt has.
  int64_t kept_prefix = 0;
};

/// One step's tokens: only rows that are still running, ascending.
struct GenerationStep {
  int64_t step = 0;
  std::vector<int64_t> rows;
  std::vector<TokenId> tokens;
  std::vector<int> masks;  // 1 sampled, 0 forced
};

/// Moments of a generation, for clocks and counters; the engine itself reads no clock.
class GenerationObserver {
 public:
  virtual ~GenerationObserver() = default;
  /// A forward has finished (the device is synchronised). positions: how many were pushed through the model.
  virtual void on_forward(int64_t positions) {}
  /// The logits behind the prompt, right after the first on_forward: (B, V), or (1, V) for all rows alike, on the device.
  virtual void on_first_logits(const at::Tensor& logits) {}
  /// A step's tokens are in hand. Return false to abandon the generation.
  virtual bool on_step(const GenerationStep& step) { return true; }
};

enum class Finish { stop, length, limit, abandoned };  // limit: the rotary tables ended
std::string to_string(Finish finish);

struct GeneratedRow {
  std::vector<TokenId> tokens;  // prompt included; the terminal token dropped when stopped
  std::vector<int> mask;        // as long as tokens; 0 for the prompt and forced tokens
  Finish finish = Finish::length;
};

struct GenerationResult {
  std::vector<GeneratedRow> rows;
  int64_t token_forwards = 0;   // positions really pushed through the model
  int64_t steps = 0;            // tokens per row that ran longest, terminal tokens counted
  int64_t kv_cache_bytes = 0;   // at its largest; 0 for the naive path
};

class Generator {
 public:
  virtual ~Generator() = default;
  /// throws ArgumentError (empty prompt, ids, ranges), CapacityError (prompt + max_tokens beyond the rotary tables), before any work
  virtual GenerationResult generate(const GenerationRequest& request, GenerationObserver* observer = nullptr) = 0;
};

/// Full recompute at every step, as GPT.generate: no cache exists. Rows advance together in one batch.
/// `tools` is ignored: forced tokens come only from the request.
/// special  terminal tokens for `stop`; null where there is no tokenizer: stop is then an ArgumentError
std::unique_ptr<Generator> make_naive_generator(const Model& model, const SpecialTokens* special, LogitsAt logits = LogitsAt::all);

/// One step of the naive path: logits (B, V), float32, behind each of these sequences, which are equally long. A batch
/// may be rounded differently than its rows one by one.
at::Tensor naive_logits(const Model& model, const std::vector<std::vector<TokenId>>& sequences, LogitsAt at);

/// One prefill, the cache replicated to all rows, then one token per row and step, as Engine.generate.
/// tokenizer  for tools and stop; null: a request with tools or stop on is an ArgumentError
std::unique_ptr<Generator> make_cached_engine(const Model& model, const Tokenizer* tokenizer);

}  // namespace kvproof
