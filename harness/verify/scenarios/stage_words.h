// The stages of a forward in words: in places and reports, and as what a sentence is about.
#pragma once

#include <array>

#include "engine/model/stage.h"

namespace kvproof {

struct StageWords {
  Stage stage;
  const char* word;  // Place::stage
  const char* noun;
};
/// In the order of the enumeration.
inline constexpr std::array kStageWords = {
    StageWords{Stage::embed, "embed", "embedding"},
    StageWords{Stage::smear, "smear", "smeared embedding"},
    StageWords{Stage::query, "query", "query"},
    StageWords{Stage::key, "key", "key"},
    StageWords{Stage::value, "value", "value"},
    StageWords{Stage::attention, "attention", "attention output"},
    StageWords{Stage::layer, "layer", "residual stream"},
};
inline const StageWords& words_of_stage(Stage stage) { return kStageWords[static_cast<std::size_t>(stage)]; }

}  // namespace kvproof
