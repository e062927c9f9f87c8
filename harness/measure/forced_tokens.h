// What the engine's tools did, for the path that has no tools.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/generate/generator.h"
#include "harness/verify/agreement.h"

namespace kvproof {

/// The tokens that tools forced, as a request that replays them; empty where there are none.
/// streams  one per row, terminal tokens included
/// count    becomes how many they are
std::vector<ForcedTokens> forced_tokens(const std::vector<TokenStream>& streams, int64_t* count);

}  // namespace kvproof
