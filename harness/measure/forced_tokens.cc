#include "harness/measure/forced_tokens.h"

namespace kvproof {

std::vector<ForcedTokens> forced_tokens(const std::vector<TokenStream>& streams, int64_t* count) {
  std::vector<ForcedTokens> forced(streams.size());
  *count = 0;
  for (std::size_t row = 0; row < streams.size(); ++row) {
    for (std::size_t step = 0; step < streams[row].tokens.size(); ++step) {
      if (streams[row].masks[step] != 0) continue;
      forced[row][static_cast<int64_t>(step)] = streams[row].tokens[step];
      ++*count;
    }
  }
  if (*count == 0) forced.clear();
  return forced;
}

}  // namespace kvproof
