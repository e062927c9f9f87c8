#include "harness/measure/fresh_engine.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvproof {
namespace {

/// The first row and step at which tokens differ, for the words; nothing where none do. As many rows in both.
std::optional<std::string> token_difference(const std::vector<TokenStream>& a, const std::vector<TokenStream>& b) {
  for (std::size_t row = 0; row < a.size(); ++row) {
    if (const auto step = first_difference(a[row], b[row])) return fmt::format("row {}, step {} differs from the first call's", row, *step);
  }
  return std::nullopt;
}

/// What the first forward shows: how much went through it, and what came out.
void compare_first_forward(const PathMeasurement& first, const ClockedCall& call, const std::string& who,
                           std::vector<std::string>& found) {
  if (call.prefill_positions != first.prefill_positions) {
    found.push_back(fmt::format("{}'s first forward took {} positions, that of the first call {}", who,
                                call.prefill_positions, first.prefill_positions));
  }
  if (call.sample.first_logits != first.first_call.first_logits) {
    found.push_back(fmt::format("{}'s first logits are not, to the bit, those of the first call: something was left over "
                                "from call to call, or the engine is not deterministic",
                                who));
  }
}

}  // namespace

std::vector<std::string> differences(const PathMeasurement& first, const ClockedCall& call, const std::string& who) {
  std::vector<std::string> found;
  if (const auto where = token_difference(first.streams, call.streams))
    return {fmt::format("{} is not deterministic: {}", who, *where)};  // counters then differ as they must
  compare_first_forward(first, call, who, found);
  if (call.result.token_forwards != first.result.token_forwards ||
      call.result.kv_cache_bytes != first.result.kv_cache_bytes) {
    found.push_back(fmt::format("{} did not do the work of the first call: {} and {} positions, {} and {} bytes of cache",
                                who, call.result.token_forwards, first.result.token_forwards, call.result.kv_cache_bytes,
                                first.result.kv_cache_bytes));
  }
  return found;
}

std::vector<std::string> fresh_engine_faults(Subject& fresh, const GenerationRequest& request,
                                             const CaseMeasurement& measured, Probe& probe) {
  std::vector<std::string> found =
      differences(measured.engine, clocked_call(fresh, Path::engine, request, probe), "a fresh engine");
  GenerationRequest first_token = request;
  first_token.max_tokens = std::min<int64_t>(1, request.max_tokens.value_or(1));
  first_token.tools = false;
  compare_first_forward(measured.naive, clocked_call(fresh, Path::naive, first_token, probe), "a fresh naive path", found);
  return found;
}

}  // namespace kvproof
