#include <fmt/format.h>

#include "harness/verify/meaning.h"

namespace kvproof {
namespace {

std::string noun(const Pattern& p) {
  if (p.stage() == "cache") return p.at().tensor == "K" ? "cache of keys" : "cache of values";
  return p.stage();
}

Meaning meaning_of_state(const Pattern& p) {
  if (p.is_error() && contains(p.finding().message, "KV cache"))
    return {Suspect::capacity, "the engine refuses tokens that fit", p.finding().message};
  if (p.is_error()) return {Suspect::unknown, "the engine breaks off where it should go on", p.finding().message};
  if (contains(p.finding().message, "storage")) return {Suspect::row, "rows or caches lie in the same memory", ""};
  if (contains(p.finding().message, "remembers"))
    return {Suspect::state, "the cache remembers other tokens than it was given", ""};
  return {Suspect::state, "the cache's length does not move as many positions as it was given tokens", ""};
}

Meaning meaning_of_key_stage(const Pattern& p) {
  const std::string pattern = p.key_value_pattern();
  if (p.clue(clue::kTurned)) {
    const std::string whose = p.stage() == "key" ? "keys" : p.also("key") ? "queries and keys" : "queries";
    return {Suspect::position, whose + " are turned by the wrong position", pattern};
  }
  if (p.also("value"))
    return {Suspect::projection, "queries, keys and values all come out wrong of a right residual stream", pattern};
  return {Suspect::position, "RoPE, QK-norm or the position is wrong", pattern};
}

Meaning meaning_of_attention(const Pattern& p) {
  const std::string pattern = "queries, keys, values and slots match";
  if (p.clue(clue::kKeyRange) || p.clue(clue::kPastTheEnd) || p.clue(clue::kNoKey))
    return {Suspect::key_range, "attention reads other slots than those the row holds", pattern};
  return {Suspect::attention, "attention gives another output from right queries, keys and values", pattern};
}

}  // namespace

Meaning meaning_of_clue(const Pattern& p) {
  if (p.clue(clue::kRounded))
    return {Suspect::precision, fmt::format("the {} loses bits: right numbers, kept in fewer of them", noun(p)), ""};
  if (p.stage() == "query" || p.stage() == "key") {
    if (p.clue(clue::kStretched))
      return {Suspect::qk_scale, fmt::format("QK-norm or its scale is wrong for the {}", noun(p)),
              p.key_value_pattern()};
    return {};
  }
  if (p.stage() != "attention") return {};
  if (p.clue(clue::kWindow))
    return {Suspect::window, "attention keeps to another window than the layer's", "queries, keys and values match"};
  if (p.clue(clue::kHeadMap))
    return {Suspect::head_map, "query heads read other kv heads than theirs", "queries, keys and values match"};
  if (p.clue(clue::kScale))
    return {Suspect::attention, "attention scores carry another scale", "queries, keys and values match"};
  if (p.rows_matter()) return {};
  if (p.clue(clue::kChunkMask) || p.clue(clue::kLaterTokens) || p.clue(clue::kWithoutItself))
    return {Suspect::mask, "the mask inside a chunk is wrong: tokens see others than those up to themselves",
            "queries, keys and values match"};
  return {};
}

Meaning meaning_of_rows(const Pattern& p) {
  const std::string pattern =
      p.only_rows_above_zero() ? "only rows above 0 differ" : "a single row passes, a batch does not";
  return {Suspect::row, "rows of a batch get mixed up, or a later row is treated as the first is", pattern};
}

Meaning meaning_of_stage(const Pattern& p) {
  if (p.stage() == "state") return meaning_of_state(p);
  if (p.stage() == "embed") return {Suspect::embedding, "the embedding of the token itself is wrong", ""};
  if (p.stage() == "smear")
    return {Suspect::smear,
            p.clue(clue::kOtherRow) ? "smear takes its share from another row's token"
                                    : "what is taken from the previous token (smear) is wrong",
            p.only_rows_above_zero() ? "the embedding itself matches; only rows above 0 differ"
                                     : "the embedding itself matches"};
  if (p.stage() == "query" || p.stage() == "key") return meaning_of_key_stage(p);
  if (p.stage() == "value" && p.clue(clue::kStretchedLittle))
    return {Suspect::layer,
            "the residual stream that enters the layer has another length: lambdas, x0 or the block before",
            "V differs and K, whose norm hides lengths, matches"};
  if (p.stage() == "value")
    return {Suspect::value_embedding, "values are wrong where keys are right: value embedding, its gate or c_v",
            p.key_value_pattern()};
  if (p.stage() == "cache")
    return {Suspect::cache_write,
            fmt::format("right keys and values are computed, but not what is stored{}",
                        p.finding().level == Level::invariants ? ": slots are written that belong to others" : ""),
            fmt::format("the {} stage matches, the slots do not{}", p.at().tensor == "K" ? "key" : "value",
                        p.only_batches_fail() ? "; a single row passes, a batch does not" : "")};
  if (p.stage() == "attention") return meaning_of_attention(p);
  if (p.stage() == "layer")
    return {Suspect::layer, "the block behind attention is wrong: c_proj, MLP, residual stream or lambdas",
            "the attention stage matches"};
  if (p.stage() == "logits")
    return {Suspect::head,
            "the end of the forward is wrong: final norm, backout, lm_head, softcap, or whose logits are returned",
            "all layers match"};
  return {Suspect::unknown, "no known pattern: " + p.finding().message, ""};
}

}  // namespace kvproof
