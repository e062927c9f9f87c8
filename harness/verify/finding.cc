#include "harness/verify/finding.h"

#include <stdexcept>

namespace kvproof {

std::string level_code(Level level) { return "L" + std::to_string(static_cast<int>(level)); }

std::string level_name(Level level) {
  switch (level) {
    case Level::invariants:
      return "invariants";
    case Level::tokens:
      return "tokens";
    case Level::logits:
      return "logits";
    case Level::keys_values:
      return "keys and values";
    case Level::side_state:
      return "side state";
    case Level::behaviour:
      return "behaviour";
  }
  throw std::logic_error("a level without a name");
}

}  // namespace kvproof
