// What the tables of faults are written with.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <utility>
#include <vector>

#include "harness/verify/faults/table.h"

namespace kvproof::planting {

using Context = FaultContext;
using Needs = std::function<std::string(const Context&)>;
using Where = std::function<FaultPlace(const Context&)>;

// --- which models -----------------------------------------------------------------------------------------------------

inline std::string any_model(const Context&) { return ""; }
std::string needs_window(const Context& c);
std::string needs_two_windows(const Context& c);
std::string needs_two_layers(const Context& c);
std::string needs_smear(const Context& c);
std::string needs_value_embed(const Context& c);
std::string needs_grouped_heads(const Context& c);  // 1 < kv heads < heads
std::string needs_kv_heads(const Context& c);       // more than one kv head
std::string needs_qk_scale(const Context& c);       // other than 1
std::string needs_tokenizer(const Context& c);
/// Both.
Needs both(Needs a, Needs b);

// --- where ------------------------------------------------------------------------------------------------------------

inline Where at(FaultPlace place) {
  return [place = std::move(place)](const Context&) { return place; };
}
/// In the layer that is chosen for faults of one layer.
Where in_one_layer(FaultPlace place);
Where in_windowed_layer(FaultPlace place);
Where in_value_embed_layer(FaultPlace place);

// --- how --------------------------------------------------------------------------------------------------------------

using PlanChange = std::function<void(StepPlan&, const Context&)>;
using CacheChange = std::function<void(KVCache&, const CacheOperation&, const Context&)>;
using Planting = std::function<Plant(const Context&)>;

/// Changes plans of cached forwards.
Planting change_plan(PlanChange change);
/// Changes rows of cached plans that continue a cache: by one token (decode), or by several (chunk).
using RowChange = std::function<void(RowPlan&, const StepPlan&, const Context&)>;
Planting change_decode_rows(RowChange change);
Planting change_chunk_rows(RowChange change);
/// Changes a cache behind one kind of operation.
Planting change_cache(CacheOperation::Kind kind, CacheChange change);
/// Changes what an append has just written: rows' slots [begin, end), of all rows that got any.
using SlotChange = std::function<void(KVCache::Raw, int64_t row, int64_t begin, int64_t end, const Context&)>;
Planting change_new_slots(SlotChange change);

/// Whether a plan continues a cache with one token per row, or with several.
bool is_decode(const StepPlan& plan);
bool is_chunk(const StepPlan& plan);

/// A layer's window, and the key ranges that follow from it.
void set_window(StepPlan& plan, int64_t layer, int64_t window);
/// Slots of one row in one layer, (G, end - begin, D), or in all, (L, G, end - begin, D); views.
at::Tensor slots(const at::Tensor& all, int64_t layer, int64_t row, int64_t begin, int64_t end);
at::Tensor slots_of_layers(const at::Tensor& all, int64_t row, int64_t begin, int64_t end);

/// The rows' lengths: by these a plan and the cache that it continues find each other.
using Lengths = std::vector<int64_t>;
Lengths lengths_of(const KVCache& cache);
Lengths lengths_of(const StepPlan& plan);

// --- the tables ---------------------------------------------------------------------------------------------------------

std::vector<Fault> plan_faults();        // positions, masks, windows, heads, scales, rows, side state
std::vector<Fault> storage_faults();     // storage, dtype, clone, growth, rows, value embedding
std::vector<Fault> memory_faults();      // what a cache remembers wrongly: reset, rollback, clone, side state
std::vector<Fault> generation_faults();  // the loop around the model

}  // namespace kvproof::planting
