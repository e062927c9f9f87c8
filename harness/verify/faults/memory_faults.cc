// Faults of memory: what stays of a cache's past after reset, truncate or clone, and reading past what it holds.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "harness/verify/faults/parts.h"

namespace kvproof::planting {
namespace {

using at::Tensor;
using Kind = CacheOperation::Kind;
using Tokens = std::vector<int32_t>;

// What a cache was like behind its latest operation. A plan has no cache: it is found by the lengths it continues from,
// the latest of equal ones.
struct Held {
  int64_t capacity = 0;
  Tokens first, last, before_last;  // (B), kNoToken where there is none
};

// Keys that ought to have been overwritten.
struct Stale {
  int64_t row = 0, begin = 0, end = 0;
  Tensor keys;  // (L, G, end - begin, D)
};

struct Memory {
  std::map<Lengths, Held> held;
  std::map<Lengths, Lengths> old_lengths;           // of caches that were cut or emptied and have not gone on yet
  std::map<Lengths, Tokens> old_tokens;             // their last tokens; kNoToken: to be forgotten
  std::map<const void*, std::vector<Stale>> stale;  // by storage

  void note(const KVCache& cache) {
    Held& now = held[lengths_of(cache)];
    now = {cache.capacity(), {}, {}, {}};
    for (int64_t row = 0; row < cache.batch(); ++row) {
      const Tokens& tokens = cache.tokens(row);
      const std::size_t n = tokens.size();
      now.first.push_back(n > 0 ? tokens.front() : kNoToken);
      now.last.push_back(n > 0 ? tokens.back() : kNoToken);
      now.before_last.push_back(n > 1 ? tokens[n - 2] : kNoToken);
    }
  }
  const Held* find(const Lengths& lengths) const {
    const auto found = held.find(lengths);
    return found == held.end() ? nullptr : &found->second;
  }
};

template <class Map>
std::optional<typename Map::mapped_type> take(Map& map, const typename Map::key_type& key) {
  auto node = map.extract(key);
  if (node.empty()) return std::nullopt;
  return std::move(node.mapped());
}

using Look = std::function<void(KVCache&, const CacheOperation&, Memory&)>;
using Use = std::function<void(StepPlan&, Memory&, const Context&)>;

// look sees each operation before the memory notes what the cache has become; use changes plans by the memory.
Planting with_memory(Look look, Use use) {
  return [look = std::move(look), use = std::move(use)](const Context& c) {
    auto memory = std::make_shared<Memory>();
    Plant plant;
    plant.hook = [look, memory](KVCache& cache, const CacheOperation& operation) {
      if (look) look(cache, operation, *memory);
      memory->note(cache);
    };
    if (use) {
      plant.filter = [use, memory, c](StepPlan plan) {
        if (plan.cached) use(plan, *memory, c);
        return plan;
      };
    }
    return plant;
  };
}

Planting in_memory_of(Kind kind, Look look, Use use = {}) {
  return with_memory(
      [kind, look = std::move(look)](KVCache& cache, const CacheOperation& operation, Memory& memory) {
        if (operation.kind == kind) look(cache, operation, memory);
      },
      std::move(use));
}

// --- the pieces ---------------------------------------------------------------------------------------------------------

void keep_old_lengths(KVCache& cache, const CacheOperation& operation, Memory& memory) {
  memory.old_lengths[lengths_of(cache)] = Lengths(operation.lengths.begin(), operation.lengths.end());
}

void turn_by_old_lengths(StepPlan& plan, Memory& memory, const Context& c) {
  const auto old = take(memory.old_lengths, lengths_of(plan));
  for (int64_t b = 0; old && b < plan.batch; ++b)
    plan.rows[b].position = std::min((*old)[b], c.config.rotary_len() - plan.length);
}

void keep_old_tokens(KVCache& cache, const CacheOperation& operation, Memory& memory) {
  const Held* before = memory.find(Lengths(operation.lengths.begin(), operation.lengths.end()));
  if (before) memory.old_tokens[lengths_of(cache)] = before->last;
}

void smear_with_old_tokens(StepPlan& plan, Memory& memory, const Context&) {
  const auto old = take(memory.old_tokens, lengths_of(plan));
  for (int64_t b = 0; old && b < plan.batch; ++b) plan.rows[b].previous_token = (*old)[b];
}

void keep_stale_slots(KVCache& cache, const CacheOperation& operation, Memory& memory) {
  auto& stale = memory.stale[cache.raw().keys.data_ptr()];
  stale.clear();
  for (int64_t row = 0; row < cache.batch(); ++row) {
    const int64_t begin = cache.length(row), end = operation.lengths[row];
    if (begin < end) stale.push_back({row, begin, end, slots_of_layers(cache.raw().keys, row, begin, end).clone()});
  }
}

void put_stale_slots_back(KVCache& cache, const CacheOperation& operation, Memory& memory) {
  for (const Stale& old : take(memory.stale, cache.raw().keys.data_ptr()).value_or(std::vector<Stale>{})) {
    // Another length: a new cache where the one that was cut had been.
    if (old.row >= cache.batch() || operation.lengths[old.row] != old.begin) continue;
    const int64_t end = std::min(old.end, cache.length(old.row));
    slots_of_layers(cache.raw().keys, old.row, old.begin, end).copy_(old.keys.narrow(2, 0, end - old.begin));
  }
}

// The first append behind an operation of this kind leaves keys as they were.
Planting stale_slots_behind(Kind kind) {
  return with_memory(
      [kind](KVCache& cache, const CacheOperation& operation, Memory& memory) {
        if (operation.kind == kind) keep_stale_slots(cache, operation, memory);
        if (operation.kind == Kind::append) put_stale_slots_back(cache, operation, memory);
      },
      {});
}

// --- the tables ---------------------------------------------------------------------------------------------------------

void add_resets(std::vector<Fault>& all) {
  all.push_back({"position-left-after-reset", "reset", "the first tokens after a reset are turned by the old length on",
                 "", any_model, at({.suspects = {Suspect::reset, Suspect::position}, .layer = 0}),
                 in_memory_of(Kind::reset, keep_old_lengths, turn_by_old_lengths)});
  all.push_back({"smear-left-after-reset", "reset",
                 "the first token after a reset is smeared with the last one before it", "nanochat", needs_smear,
                 at({.suspects = {Suspect::reset, Suspect::smear}, .stage = "smear"}),
                 in_memory_of(Kind::reset, keep_old_tokens, smear_with_old_tokens)});
  all.push_back({"length-left-after-reset", "reset", "a reset leaves one position", "", any_model,
                 at({.suspects = {Suspect::reset, Suspect::state}, .stage = "state", .first_operation = "reset"}),
                 in_memory_of(Kind::reset, [](KVCache& cache, const CacheOperation& operation, Memory&) {
                   for (int64_t row = 0; row < cache.batch(); ++row)
                     if (operation.lengths[row] > 0) cache.raw().tokens[row].assign(1, 0);
                 })});
  all.push_back({"stale-keys-after-reset", "reset",
                 "the first forward after a reset leaves the old keys where they were", "", any_model,
                 at({.suspects = {Suspect::reset, Suspect::cache_write}, .stage = "cache", .tensor = "K", .layer = 0}),
                 stale_slots_behind(Kind::reset)});
}

void add_rollbacks(std::vector<Fault>& all) {
  all.push_back(
      {"stale-keys-after-truncate", "rollback",
       "the first forward after a truncate leaves the old keys where they were", "mlx-lm#1109", any_model,
       at({.suspects = {Suspect::rollback, Suspect::cache_write}, .stage = "cache", .tensor = "K", .layer = 0}),
       stale_slots_behind(Kind::truncate)});
  all.push_back({"smear-stale-after-truncate", "rollback",
                 "the first token after a truncate is smeared with one that was cut off", "mlx-lm#1109", needs_smear,
                 at({.suspects = {Suspect::rollback, Suspect::smear}, .stage = "smear"}),
                 in_memory_of(Kind::truncate, keep_old_tokens, smear_with_old_tokens)});
  all.push_back({"position-left-after-truncate", "rollback",
                 "the first token after a truncate is turned by the old length", "", any_model,
                 at({.suspects = {Suspect::rollback, Suspect::position}, .layer = 0}),
                 in_memory_of(Kind::truncate, keep_old_lengths, turn_by_old_lengths)});
  all.push_back({"truncate-one-too-far", "rollback", "one position too many is cut off", "", any_model,
                 at({.suspects = {Suspect::rollback, Suspect::state}, .stage = "state", .first_operation = "truncate"}),
                 in_memory_of(Kind::truncate, [](KVCache& cache, const CacheOperation& operation, Memory&) {
                   Tokens& row = cache.raw().tokens[operation.rows[0]];
                   if (!row.empty()) row.pop_back();
                 })});
  all.push_back({"truncate-cuts-every-row", "rollback", "all rows are cut to the length that one was given", "",
                 any_model, at({.suspects = {Suspect::rollback}, .stage = "state", .first_operation = "truncate"}),
                 in_memory_of(Kind::truncate, [](KVCache& cache, const CacheOperation& operation, Memory&) {
                   const auto length = static_cast<std::size_t>(cache.length(operation.rows[0]));
                   for (Tokens& row : cache.raw().tokens) row.resize(std::min(row.size(), length));
                 })});
  all.push_back({"truncate-clears-the-last-slot", "rollback", "the last position that stays is wiped", "", any_model,
                 at({.suspects = {Suspect::rollback}, .stage = "cache", .layer = 0, .first_operation = "truncate"}),
                 in_memory_of(Kind::truncate, [](KVCache& cache, const CacheOperation& operation, Memory&) {
                   const int64_t row = operation.rows[0], end = cache.length(row);
                   if (end == 0) return;
                   slots_of_layers(cache.raw().keys, row, end - 1, end).zero_();
                   slots_of_layers(cache.raw().values, row, end - 1, end).zero_();
                 })});
}

void add_side_state(std::vector<Fault>& all) {
  const Where smeared = at({.suspects = {Suspect::smear}, .stage = "smear"});
  const auto smear_with = [](Tokens Held::*which) {
    return with_memory({}, [which](StepPlan& plan, Memory& memory, const Context&) {
      const Held* held = memory.find(lengths_of(plan));
      for (int64_t b = 0; held && b < plan.batch; ++b)
        if (plan.rows[b].write_at > 0) plan.rows[b].previous_token = (held->*which)[b];
    });
  };
  all.push_back({"smear-two-tokens-back", "side-state",
                 "a forward's first token is smeared with the last but one before it", "transformers#46741",
                 needs_smear, smeared, smear_with(&Held::before_last)});
  all.push_back({"smear-of-the-first-token", "side-state", "a forward's first token is smeared with the row's first",
                 "", needs_smear, smeared, smear_with(&Held::first)});
  all.push_back({"smear-lost-on-clone", "side-state", "a copy's first token has no predecessor", "", needs_smear,
                 at({.suspects = {Suspect::clone, Suspect::smear}, .stage = "smear"}),
                 in_memory_of(
                     Kind::clone,
                     [](KVCache& cache, const CacheOperation&, Memory& memory) {
                       memory.old_tokens[lengths_of(cache)] = Tokens(cache.batch(), kNoToken);
                     },
                     smear_with_old_tokens)});
  all.push_back({"clone-remembers-the-first-token-as-last", "clone", "a copy's last token is its first", "", any_model,
                 at({.suspects = {Suspect::clone, Suspect::state}, .stage = "state", .first_operation = "clone"}),
                 in_memory_of(Kind::clone, [](KVCache& cache, const CacheOperation&, Memory&) {
                   for (Tokens& row : cache.raw().tokens)
                     if (!row.empty()) row.back() = row.front();
                 })});
  all.push_back({"retained-tokens-out-of-order", "rows", "rows that stay remember each other's tokens", "", any_model,
                 at({.suspects = {Suspect::retain, Suspect::state}, .stage = "state", .first_operation = "retain"}),
                 in_memory_of(Kind::retain, [](KVCache& cache, const CacheOperation&, Memory&) {
                   auto& rows = cache.raw().tokens;
                   std::rotate(rows.begin(), rows.begin() + 1, rows.end());
                 })});
}

// Lets decode read so many slots behind the newest, as far as the storage goes.
Planting read_further(int64_t slots) {
  return with_memory({}, [slots](StepPlan& plan, Memory& memory, const Context&) {
    const Held* held = is_decode(plan) ? memory.find(lengths_of(plan)) : nullptr;
    if (!held) return;
    for (LayerPlan& layer : plan.layers) {
      layer.diagonal = slots;
      for (int64_t& end : layer.key_end) end = std::min(end + slots, held->capacity);
    }
  });
}

void add_long_reads(std::vector<Fault>& all) {
  const Where read =
      at({.suspects = {Suspect::key_range}, .stage = "attention", .layer = 0, .first_operation = "decode"});
  all.push_back({"one-slot-too-many-read", "storage", "decode reads the slot behind the newest, too",
                 "flash-attention#772", any_model, read, read_further(1)});
  all.push_back({"whole-buffer-read", "storage", "decode reads all slots there are", "gpt-fast#233", any_model, read,
                 read_further(int64_t{1} << 40)});
}

}  // namespace

std::vector<Fault> memory_faults() {
  std::vector<Fault> all;
  add_resets(all);
  add_rollbacks(all);
  add_side_state(all);
  add_long_reads(all);
  return all;
}

}  // namespace kvproof::planting
