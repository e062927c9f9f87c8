// Faults of what lies in a cache: written slots, dtypes, copies, growth, rows that leave.
#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "harness/verify/faults/parts.h"
#include "harness/verify/faults/planted_subject.h"

namespace kvproof::planting {
namespace {

using at::Tensor;
using Kind = CacheOperation::Kind;
using Raw = KVCache::Raw;

constexpr const char* kEverySlot = "";

// --- written slots ------------------------------------------------------------------------------------------------------

Where stored(const char* tensor, const char* operation) {
  return in_one_layer(
      {.suspects = {Suspect::cache_write}, .stage = "cache", .tensor = tensor, .first_operation = operation});
}

void add_written_slots(std::vector<Fault>& all) {
  all.push_back(
      {"keys-stored-as-values", "storage", "one layer stores its keys as values, too", "deepsparse#1447", any_model,
       stored("V", kEverySlot),
       change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
         slots(raw.values, c.one_layer(), row, begin, end).copy_(slots(raw.keys, c.one_layer(), row, begin, end));
       })});
  all.push_back({"keys-and-values-swapped-in-decode", "storage", "decode stores keys as values and values as keys", "",
                 any_model, stored("", "decode"),
                 change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
                   if (begin == 0 || end - begin > 1) return;
                   const Tensor keys = slots(raw.keys, c.one_layer(), row, begin, end);
                   const Tensor values = slots(raw.values, c.one_layer(), row, begin, end), kept = keys.clone();
                   keys.copy_(values);
                   values.copy_(kept);
                 })});
  all.push_back({"values-copied-in-part", "storage", "of a chunk's values the last token's are not stored", "",
                 any_model, stored("V", "chunk"),
                 change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
                   if (end - begin > 1) slots(raw.values, c.one_layer(), row, end - 1, end).zero_();
                 })});
  all.push_back({"half-of-each-value-stored", "storage", "the second half of a decoded value is not stored", "",
                 any_model, stored("V", "decode"),
                 change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
                   if (begin == 0 || end - begin > 1) return;
                   const int64_t half = c.config.head_dim() / 2;
                   slots(raw.values, c.one_layer(), row, begin, end).narrow(2, half, half).zero_();
                 })});
  all.push_back({"decode-key-not-stored", "storage", "one layer does not store a decoded token's key", "", any_model,
                 stored("K", "decode"),
                 change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
                   if (begin > 0 && end - begin == 1) slots(raw.keys, c.one_layer(), row, begin, end).zero_();
                 })});
  all.push_back(
      {"append-spoils-the-slot-before", "storage", "decode writes its key over the slot before its own, too",
       "gpt-fast#233", any_model, stored("K", "decode"),
       change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
         if (begin == 0 || end - begin > 1) return;
         slots(raw.keys, c.one_layer(), row, begin - 1, begin).copy_(slots(raw.keys, c.one_layer(), row, begin, end));
       })});
  all.push_back({"kv-heads-swapped-in-storage", "storage", "decode stores kv heads in the opposite order", "",
                 needs_kv_heads, stored("K", "decode"),
                 change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
                   if (begin == 0 || end - begin > 1) return;
                   const Tensor keys = slots(raw.keys, c.one_layer(), row, begin, end);
                   keys.copy_(keys.flip({0}));
                 })});
  all.push_back({"chunk-stored-in-reverse", "storage", "a chunk's keys are stored last first", "", any_model,
                 stored("K", "chunk"),
                 change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
                   const Tensor keys = slots(raw.keys, c.one_layer(), row, begin, end);
                   if (end - begin > 1) keys.copy_(keys.flip({1}));
                 })});
  all.push_back({"layer-stores-its-neighbours-keys", "storage", "one layer's keys are those of the layer before it", "",
                 needs_two_layers, stored("K", kEverySlot),
                 change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
                   const int64_t layer = c.one_layer();
                   slots(raw.keys, layer, row, begin, end).copy_(slots(raw.keys, layer - 1, row, begin, end));
                 })});
  all.push_back(
      {"later-layers-write-one-slot-late", "storage",
       "the length moves in the first layer, so that all others write one slot late", "nanochat", needs_two_layers,
       at({.suspects = {Suspect::cache_write}, .stage = "cache", .layer = 1, .first_operation = "decode"}),
       change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
         if (begin == 0 || end - begin > 1) return;
         const bool room = end < raw.keys.size(3);
         for (Tensor* all : {&raw.keys, &raw.values}) {
           const Tensor rest = all->narrow(0, 1, all->size(0) - 1), here = slots_of_layers(rest, row, begin, end);
           if (room) slots_of_layers(rest, row, end, end + 1).copy_(here);
           here.zero_();
         }
       })});
  all.push_back({"overflow-silently-dropped", "storage", "tokens beyond the capacity are computed and not stored",
                 "nanochat", any_model, at({.suspects = {Suspect::capacity}}), [](const Context&) {
                   return Plant{
                       .wrap = [](std::unique_ptr<Subject> subject) { return drop_overflow(std::move(subject)); }};
                 }});
}

// --- dtype --------------------------------------------------------------------------------------------------------------

Needs wider_than_half() {
  return [](const Context& c) -> std::string {
    return c.dtype == "bfloat16" || c.dtype == "float16" ? "the model computes in " + c.dtype : "";
  };
}

Fault kept_in(const char* name, bool keys, at::ScalarType dtype, const char* word) {
  return {name,
          "dtype",
          std::string(keys ? "keys" : "values") + " are kept in " + word,
          "nanochat ca366eb",
          wider_than_half(),
          at({.suspects = {Suspect::precision, Suspect::cache_write},
              .stage = "cache",
              .tensor = keys ? "K" : "V",
              .layer = 0}),
          change_new_slots([keys, dtype](Raw raw, int64_t row, int64_t begin, int64_t end, const Context&) {
            const Tensor written = slots_of_layers(keys ? raw.keys : raw.values, row, begin, end);
            written.copy_(written.to(dtype));
          })};
}

void add_dtypes(std::vector<Fault>& all) {
  all.push_back(kept_in("keys-kept-in-bfloat16", true, at::kBFloat16, "bfloat16"));
  all.push_back(kept_in("values-kept-in-bfloat16", false, at::kBFloat16, "bfloat16"));
  all.push_back(kept_in("keys-kept-in-float16", true, at::kHalf, "float16"));
  all.push_back(kept_in("values-kept-in-float16", false, at::kHalf, "float16"));
  all.push_back(
      {"keys-kept-in-8-bits", "dtype", "keys are rounded to 255 steps of their largest number", "", any_model,
       at({.suspects = {Suspect::precision, Suspect::cache_write}, .stage = "cache", .tensor = "K", .layer = 0}),
       change_new_slots([](Raw raw, int64_t row, int64_t begin, int64_t end, const Context&) {
         const Tensor keys = slots_of_layers(raw.keys, row, begin, end);  // (L, G, T, D)
         const Tensor step = keys.abs().amax({3}, true).clamp_min(1e-30) / 127;
         keys.copy_((keys / step).round() * step);
       })});
}

// --- clone --------------------------------------------------------------------------------------------------------------

// Lets row 0 of a copy and the last row of its source lie in the same memory.
void alias_source(KVCache& clone, const CacheOperation& operation) {
  auto& source = const_cast<KVCache&>(*operation.source);
  if (operation.rows[0] != source.batch() - 1) return;
  const auto join = [](Tensor& of_source, Tensor& of_clone) {
    std::vector<int64_t> shape = of_source.sizes().vec();
    const int64_t sources = shape[1], clones = of_clone.size(1);
    shape[1] = sources + clones - 1;
    shape[3] = std::max(of_source.size(3), of_clone.size(3));
    const Tensor both = at::zeros(shape, of_source.options());
    const Tensor first = both.narrow(1, 0, sources).narrow(3, 0, of_source.size(3));
    const Tensor second = both.narrow(1, sources - 1, clones).narrow(3, 0, of_clone.size(3));
    second.copy_(of_clone);
    first.copy_(of_source);  // the shared row's held slots are equal in both
    of_source = first;
    of_clone = second;
  };
  join(source.raw().keys, clone.raw().keys);
  join(source.raw().values, clone.raw().values);
}

void add_clones(std::vector<Fault>& all) {
  const auto copied = [](const char* tensor) {
    return at({.suspects = {Suspect::clone}, .stage = "cache", .tensor = tensor, .first_operation = "clone"});
  };
  all.push_back({"clone-copies-one-position-less", "clone", "a copy lacks the last position", "mlx-lm#1699", any_model,
                 copied(""), change_cache(Kind::clone, [](KVCache& cache, const CacheOperation&, const Context&) {
                   for (int64_t row = 0; row < cache.batch(); ++row) {
                     if (cache.length(row) == 0) continue;
                     slots_of_layers(cache.raw().keys, row, cache.length(row) - 1, cache.length(row)).zero_();
                     slots_of_layers(cache.raw().values, row, cache.length(row) - 1, cache.length(row)).zero_();
                   }
                 })});
  all.push_back({"clone-fills-row-0-only", "clone", "of a copy's rows only the first is filled", "", any_model,
                 copied(""), change_cache(Kind::clone, [](KVCache& cache, const CacheOperation&, const Context&) {
                   cache.raw().keys.narrow(1, 1, cache.batch() - 1).zero_();
                   cache.raw().values.narrow(1, 1, cache.batch() - 1).zero_();
                 })});
  all.push_back({"clone-last-value-from-key", "clone", "a copy's last value is a key", "MemOS#2301", any_model,
                 copied("V"), change_cache(Kind::clone, [](KVCache& cache, const CacheOperation&, const Context&) {
                   for (int64_t row = 0; row < cache.batch(); ++row) {
                     const int64_t end = cache.length(row), begin = end - 1;
                     if (end > 0)
                       slots_of_layers(cache.raw().values, row, begin, end)
                           .copy_(slots_of_layers(cache.raw().keys, row, begin, end));
                   }
                 })});
  all.push_back(
      {"clone-misses-the-last-layer", "clone", "the last layer is not copied", "", any_model,
       [](const Context& c) {
         return FaultPlace{
             .suspects = {Suspect::clone}, .stage = "cache", .layer = c.config.n_layer - 1, .first_operation = "clone"};
       },
       change_cache(Kind::clone, [](KVCache& cache, const CacheOperation&, const Context& c) {
         cache.raw().keys.select(0, c.config.n_layer - 1).zero_();
         cache.raw().values.select(0, c.config.n_layer - 1).zero_();
       })});
  all.push_back(
      {"clone-ignores-the-order-of-rows", "clone", "row i is copied from row i, whatever was asked for", "", any_model,
       copied(""), change_cache(Kind::clone, [](KVCache& cache, const CacheOperation& operation, const Context&) {
         auto& source = const_cast<KVCache&>(*operation.source);
         for (int64_t row = 0; row < cache.batch(); ++row) {
           const int64_t from = row % source.batch(), count = std::min(cache.length(row), source.capacity());
           slots_of_layers(cache.raw().keys, row, 0, count).copy_(slots_of_layers(source.raw().keys, from, 0, count));
           slots_of_layers(cache.raw().values, row, 0, count)
               .copy_(slots_of_layers(source.raw().values, from, 0, count));
         }
       })});
  all.push_back({"clone-shares-memory-with-its-source", "clone", "a copy's first row is its source", "mlx-lm#1699",
                 any_model, at({.suspects = {Suspect::clone}, .first_operation = "clone"}),
                 change_cache(Kind::clone, [](KVCache& cache, const CacheOperation& operation, const Context&) {
                   alias_source(cache, operation);
                 })});
  all.push_back({"clone-rows-overlap-in-memory", "clone", "a row begins one head behind the row before it, not one row",
                 "", needs_kv_heads, at({.suspects = {Suspect::clone}, .first_operation = "clone"}),
                 change_cache(Kind::clone, [](KVCache& cache, const CacheOperation&, const Context&) {
                   for (Tensor* all : {&cache.raw().keys, &cache.raw().values}) {
                     std::vector<int64_t> strides = all->strides().vec();
                     strides[1] = strides[2];
                     *all = all->as_strided(all->sizes(), strides);
                   }
                 })});
  all.push_back({"clone-rows-write-to-each-other", "clone",
                 "what a copied batch appends ends up as the last row's in all rows", "", any_model,
                 at({.suspects = {Suspect::clone, Suspect::row}, .first_operation = "decode"}), [](const Context&) {
                   auto copies = std::make_shared<std::set<const void*>>();
                   return Plant{.hook = [copies](KVCache& cache, const CacheOperation& operation) {
                     const void* place = cache.raw().keys.data_ptr();
                     if (operation.kind == Kind::clone) copies->insert(place);
                     if (operation.kind == Kind::reserve) copies->erase(place);  // memory of its own again
                     if (operation.kind != Kind::append || !copies->contains(place)) return;
                     if (operation.lengths[0] == 0) {  // a new cache where a copy once was
                       copies->erase(place);
                       return;
                     }
                     const int64_t last = cache.batch() - 1;
                     for (int64_t row = 0; row < last; ++row) {
                       const int64_t begin = operation.lengths[row], end = cache.length(row);
                       if (cache.length(last) < end) continue;
                       for (Tensor* all : {&cache.raw().keys, &cache.raw().values})
                         slots_of_layers(*all, row, begin, end).copy_(slots_of_layers(*all, last, begin, end));
                     }
                   }};
                 }});
}

// --- growth and rows that leave -------------------------------------------------------------------------------------------

// Held slots as they lie one behind the other where the storage was merely made longer.
void scramble(Tensor& all, int64_t held) {
  const Tensor packed = all.narrow(3, 0, held).contiguous().flatten();
  all.view(-1).narrow(0, 0, packed.numel()).copy_(packed);
}

int64_t longest(const KVCache& cache) {
  const Lengths lengths = lengths_of(cache);
  return *std::max_element(lengths.begin(), lengths.end());
}

void add_growth(std::vector<Fault>& all) {
  const auto grown = [](const char* tensor) {
    return at({.suspects = {Suspect::growth}, .stage = "cache", .tensor = tensor, .first_operation = "grow"});
  };
  all.push_back({"growth-scrambles", "growth", "storage is made longer in place: slots are no longer where they were",
                 "nanochat b062b42", any_model, grown(""),
                 change_cache(Kind::reserve, [](KVCache& cache, const CacheOperation&, const Context&) {
                   scramble(cache.raw().keys, longest(cache));
                   scramble(cache.raw().values, longest(cache));
                 })});
  all.push_back({"growth-loses-the-last-slot", "growth", "growth keeps all positions but the last", "", any_model,
                 grown(""), change_cache(Kind::reserve, [](KVCache& cache, const CacheOperation&, const Context&) {
                   for (int64_t row = 0; row < cache.batch(); ++row) {
                     const int64_t end = cache.length(row);
                     if (end == 0) continue;
                     slots_of_layers(cache.raw().keys, row, end - 1, end).zero_();
                     slots_of_layers(cache.raw().values, row, end - 1, end).zero_();
                   }
                 })});
  all.push_back({"growth-drops-the-last-row", "growth", "growth keeps all rows but the last", "nanochat b062b42",
                 any_model, grown(""),
                 change_cache(Kind::reserve, [](KVCache& cache, const CacheOperation&, const Context&) {
                   if (cache.batch() == 1) return;
                   cache.raw().keys.select(1, cache.batch() - 1).zero_();
                   cache.raw().values.select(1, cache.batch() - 1).zero_();
                 })});
  all.push_back({"growth-copies-half-of-the-values", "growth", "growth keeps the first half of the values",
                 "nanochat b062b42", any_model, grown("V"),
                 change_cache(Kind::reserve, [](KVCache& cache, const CacheOperation&, const Context&) {
                   for (int64_t row = 0; row < cache.batch(); ++row)
                     slots_of_layers(cache.raw().values, row, cache.length(row) / 2, cache.length(row)).zero_();
                 })});
}

void add_leaving_rows(std::vector<Fault>& all) {
  const auto left = [](const char* tensor) {
    return at(
        {.suspects = {Suspect::retain, Suspect::row}, .stage = "cache", .tensor = tensor, .first_operation = "retain"});
  };
  all.push_back({"retained-rows-out-of-order", "rows", "rows that stay change places", "", any_model, left(""),
                 change_cache(Kind::retain, [](KVCache& cache, const CacheOperation&, const Context&) {
                   cache.raw().keys.copy_(cache.raw().keys.flip({1}));
                   cache.raw().values.copy_(cache.raw().values.flip({1}));
                 })});
  all.push_back({"retained-values-stay-behind", "rows", "rows that stay move up with their keys, their values do not",
                 "", any_model, left("V"),
                 change_cache(Kind::retain, [](KVCache& cache, const CacheOperation&, const Context&) {
                   cache.raw().values.copy_(cache.raw().values.roll({1}, {1}));
                 })});
  all.push_back({"retained-rows-one-slot-short", "rows", "rows that move up lose their last slot", "", any_model,
                 left(""),
                 change_cache(Kind::retain, [](KVCache& cache, const CacheOperation& operation, const Context&) {
                   for (int64_t row = 0; row < cache.batch(); ++row) {
                     const int64_t end = cache.length(row);
                     if (operation.rows[row] == row || end == 0) continue;
                     slots_of_layers(cache.raw().keys, row, end - 1, end).zero_();
                     slots_of_layers(cache.raw().values, row, end - 1, end).zero_();
                   }
                 })});
}

// --- value embedding ------------------------------------------------------------------------------------------------------

void add_value_embeddings(std::vector<Fault>& all) {
  // The right value was computed; what is stored is another.
  const auto stored_by = [](std::vector<Suspect> suspects) {
    return in_value_embed_layer(
        {.suspects = std::move(suspects), .stage = "cache", .tensor = "V", .first_operation = "decode"});
  };
  const Where shown = stored_by({Suspect::cache_write, Suspect::value_embedding});
  const auto decoded = [](auto change) {
    return change_new_slots([change](Raw raw, int64_t row, int64_t begin, int64_t end, const Context& c) {
      if (begin > 0 && end - begin == 1) change(raw, c.value_embed_layer(), row, begin);
    });
  };
  all.push_back({"value-heads-rolled-in-decode", "value-embedding", "a decoded value's heads are rolled by one", "",
                 both(needs_value_embed, needs_kv_heads), shown,
                 decoded([](Raw raw, int64_t layer, int64_t row, int64_t slot) {
                   const Tensor value = slots(raw.values, layer, row, slot, slot + 1);
                   value.copy_(value.roll({1}, {0}));
                 })});
  all.push_back({"value-stale-in-decode", "value-embedding", "a decoded value is that of the token before", "",
                 needs_value_embed, shown, decoded([](Raw raw, int64_t layer, int64_t row, int64_t slot) {
                   slots(raw.values, layer, row, slot, slot + 1).copy_(slots(raw.values, layer, row, slot - 1, slot));
                 })});
  all.push_back({"value-halved-in-decode", "value-embedding", "a decoded value is half as long as it should be", "",
                 needs_value_embed, shown, decoded([](Raw raw, int64_t layer, int64_t row, int64_t slot) {
                   slots(raw.values, layer, row, slot, slot + 1).mul_(0.5);
                 })});
  all.push_back({"value-of-row-0-in-decode", "value-embedding", "every row stores row 0's decoded value", "",
                 needs_value_embed, stored_by({Suspect::row, Suspect::cache_write}),
                 decoded([](Raw raw, int64_t layer, int64_t row, int64_t slot) {
                   slots(raw.values, layer, row, slot, slot + 1).copy_(slots(raw.values, layer, 0, slot, slot + 1));
                 })});
}

}  // namespace

std::vector<Fault> storage_faults() {
  std::vector<Fault> all;
  add_written_slots(all);
  add_dtypes(all);
  add_clones(all);
  add_growth(all);
  add_leaving_rows(all);
  add_value_embeddings(all);
  return all;
}

}  // namespace kvproof::planting
