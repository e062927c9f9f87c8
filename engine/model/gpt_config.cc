#include "engine/model/gpt_config.h"

namespace kvproof {

int64_t GptConfig::window(int64_t layer) const {
  const std::string& pattern = Architecture::window_pattern;
  if (pattern.empty()) return kUnlimited;
  const bool is_last = layer == n_layer - 1;  // always long, whatever the pattern says
  const bool is_short = pattern[static_cast<std::size_t>(layer) % pattern.size()] == 'S';
  return is_short && !is_last ? short_window : long_window;
}

}  // namespace kvproof
