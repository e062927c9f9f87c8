#include "harness/subject/ability.h"

namespace kvproof {

const std::vector<AbilityWord>& ability_words() {
  static const std::vector<AbilityWord> kWords = {
      {Ability::uncached, "uncached", "logits of whole sequences without a cache"},
      {Ability::all_logits, "all_logits", "logits of every new position"},
      {Ability::batch, "batch", "caches of several rows"},
      {Ability::uneven, "uneven", "rows at different positions"},
      {Ability::chunks, "chunks", "several tokens at once behind others"},
      {Ability::clone, "clone", "a cache of one row copied to rows"},
      {Ability::gather, "gather", "a cache made of any rows of another"},
      {Ability::truncate, "truncate", "all rows back to a length"},
      {Ability::truncate_row, "truncate_row", "one row of several back to a length"},
      {Ability::reset, "reset", "a cache emptied and used again"},
      {Ability::reserve, "reserve", "the capacity raised"},
      {Ability::retain, "retain", "rows leaving a batch"},
      {Ability::caches, "caches", "several caches in turns"},
      {Ability::capacity_limit, "capacity_limit", "more tokens than the capacity refused"},
      {Ability::position_limit, "position_limit", "more positions than there are refused"},
      {Ability::poison, "poison", "slots that are not held filled with NaN"},
      {Ability::read_slots, "read_slots", "keys and values shown"},
      {Ability::perturb, "perturb", "a cached key or value moved"},
      {Ability::threads, "threads", "another number of threads"},
      {Ability::generate, "generate", "its own greedy generation"},
  };
  return kWords;
}

const AbilityWord& word_of(Ability ability) { return ability_words().at(static_cast<std::size_t>(ability)); }

Abilities Abilities::all() {
  Abilities every;
  for (const AbilityWord& word : ability_words()) every.add(word.ability);
  return every;
}

std::vector<Ability> Abilities::missing(Abilities others) const {
  std::vector<Ability> list;
  for (const AbilityWord& word : ability_words())
    if (others.has(word.ability) && !has(word.ability)) list.push_back(word.ability);
  return list;
}

}  // namespace kvproof
