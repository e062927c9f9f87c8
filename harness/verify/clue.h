// Phrases that evidence about wrong numbers and the localiser that reads it have in common.
#pragma once

namespace kvproof::clue {

// Each stands in a sentence of evidence exactly as here.
inline constexpr const char* kTurned = "turned by";                   // a key or query, by positions
inline constexpr const char* kStretched = "stretched by";             // direction right, length wrong
inline constexpr const char* kStretchedLittle = "stretched by 1 ";    // by so little that a norm's eps explains it
inline constexpr const char* kRounded = "rounded to";                 // the right numbers in fewer bits
inline constexpr const char* kWindow = "a window of";                 // another one than the layer's
inline constexpr const char* kLaterTokens = "sees later tokens";      // of its own chunk
inline constexpr const char* kChunkMask = "a mask that starts anew";  // in each chunk
inline constexpr const char* kWithoutItself = "without its own position";
inline constexpr const char* kPastTheEnd = "slots past the last";  // read although nothing holds them
inline constexpr const char* kKeyRange = "keys of positions";      // a range that no mask or window explains
inline constexpr const char* kNoKey = "no key at all";
inline constexpr const char* kHeadMap = "kv head";  // other ones than h / (H / G)
inline constexpr const char* kScale = "scores scaled by";
inline constexpr const char* kFirstOfChunk = "the first token of a chunk";
inline constexpr const char* kOtherRow = "of another row";
inline constexpr const char* kNotANumber = "not a number";

}  // namespace kvproof::clue
