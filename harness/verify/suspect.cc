#include "harness/verify/suspect.h"

namespace kvproof {

std::string to_string(Suspect suspect) {
  switch (suspect) {
    case Suspect::embedding:
      return "embedding";
    case Suspect::smear:
      return "smear";
    case Suspect::position:
      return "position";
    case Suspect::qk_scale:
      return "QK-norm or scale";
    case Suspect::value_embedding:
      return "value embedding";
    case Suspect::projection:
      return "projection";
    case Suspect::cache_write:
      return "cache write";
    case Suspect::mask:
      return "mask";
    case Suspect::window:
      return "window";
    case Suspect::head_map:
      return "head map";
    case Suspect::key_range:
      return "key range";
    case Suspect::attention:
      return "attention";
    case Suspect::layer:
      return "layer";
    case Suspect::head:
      return "head";
    case Suspect::clone:
      return "clone";
    case Suspect::retain:
      return "retain";
    case Suspect::rollback:
      return "rollback";
    case Suspect::reset:
      return "reset";
    case Suspect::growth:
      return "growth";
    case Suspect::capacity:
      return "capacity";
    case Suspect::row:
      return "row";
    case Suspect::state:
      return "state";
    case Suspect::generation:
      return "generation";
    case Suspect::sampling:
      return "sampling";
    case Suspect::precision:
      return "precision";
    case Suspect::subject:
      return "subject";
    case Suspect::unknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace kvproof
