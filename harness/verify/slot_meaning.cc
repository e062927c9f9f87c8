#include <fmt/format.h>

#include "harness/verify/meaning.h"

namespace kvproof {
namespace {

Meaning meaning_of_wrong_slots(const Pattern& p) {
  const bool key = p.slots_wrong("K"), value = p.slots_wrong("V");
  const std::string pattern = fmt::format("{} in layer {}",
                                          key && value ? "K and V differ"
                                          : key        ? "K differs but V matches"
                                                       : "V differs but K matches",
                                          p.at().layer);
  if (p.clue(clue::kTurned)) return {Suspect::position, "keys are turned by the wrong position", pattern};
  // Smear is part of what enters the first layer; behind attention the first token of a chunk may be wrong by its mask.
  if (key && value && p.at().layer == 0 && p.clue(clue::kFirstOfChunk))
    return {Suspect::smear, "the first token of a chunk loses what it takes from the token before it", pattern};
  if (key && value && p.at().layer > 0)
    return {p.passes("ones") ? Suspect::mask : Suspect::attention,
            fmt::format("layer {} gives another output from right keys and values: its mask, the slots it reads, or "
                        "its block",
                        p.at().layer - 1),
            pattern + ", and those of the layers before match"};
  return {Suspect::cache_write, "what is stored is not what one prefill stores", pattern};
}

}  // namespace

Meaning meaning_of_slots(const Pattern& p) {
  if (p.clue(clue::kNotANumber))
    return {Suspect::attention, "what comes out is no number: something is read that nobody wrote, or divided by 0",
            ""};
  if (const int64_t window = p.window_at_fault(); window != kNowhere)
    return {Suspect::window, "attention keeps to another window than the layer's",
            fmt::format("logits are right up to position {}, where the window of {} begins to matter",
                        p.first_wrong_position() - 1, window)};
  if (p.stage() == "cache") return meaning_of_wrong_slots(p);
  if (p.passes("ones"))
    return {Suspect::mask, "the mask inside a chunk is wrong, or what its tokens take from each other",
            "token by token all is right"};
  return {
      Suspect::attention,
      p.slots_compared()
          ? "what is read from the cache is wrong (mask, window, head map, length), or the end of the forward is"
          : "positions, what is stored, or what is read of it is wrong; where, only the slots can tell (read_slots)",
      p.slots_compared() ? "the slots are those of one prefill, the logits are not those of recomputation" : ""};
}

}  // namespace kvproof
