// What an engine can be asked to do, so that what it cannot is left out and said, never counted as right.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace kvproof {

/// Beyond a prompt into a cache of one row, and one token a step after it. The words are the protocol's.
enum class Ability : uint32_t {
  uncached,        // logits of whole sequences without a cache
  all_logits,      // of every new position, not of the last one only
  batch,           // caches of several rows
  uneven,          // rows that stand at different positions, or take different numbers of tokens in one forward
  chunks,          // several tokens at once behind others
  clone,           // a cache of one row copied to rows
  gather,          // a cache made of any rows of another
  truncate,        // all rows back to a length
  truncate_row,    // one row of several back to a length
  reset,           // emptied and used again
  reserve,         // the capacity raised
  retain,          // rows leave a batch
  caches,          // several caches in turns
  capacity_limit,  // the capacity is fixed; more is refused and changes nothing
  position_limit,  // positions are limited; more are refused and change nothing
  poison,          // slots that are not held filled with NaN
  read_slots,      // keys and values shown
  perturb,         // a cached key or value moved
  threads,         // another number of threads
  generate,        // its own loop around the model, greedy
};

class Abilities {
 public:
  constexpr Abilities() = default;
  constexpr Abilities(std::initializer_list<Ability> which) {
    for (const Ability a : which) bits_ |= bit(a);
  }
  static Abilities all();

  constexpr bool has(Ability a) const { return (bits_ & bit(a)) != 0; }
  void add(Ability a) { bits_ |= bit(a); }
  bool contains(Abilities others) const { return (others.bits_ & ~bits_) == 0; }
  /// Those of `others` that are not here, in the order of the enumeration.
  std::vector<Ability> missing(Abilities others) const;
  std::vector<Ability> list() const { return Abilities().missing(*this); }
  bool operator==(const Abilities&) const = default;

 private:
  static constexpr uint32_t bit(Ability a) { return uint32_t{1} << static_cast<uint32_t>(a); }
  uint32_t bits_ = 0;
};

struct AbilityWord {
  Ability ability;
  const char* word;     // of the protocol: "truncate_row"
  const char* meaning;  // "one row of several back to a length"
};
/// In the order of the enumeration.
const std::vector<AbilityWord>& ability_words();
const AbilityWord& word_of(Ability ability);

}  // namespace kvproof
