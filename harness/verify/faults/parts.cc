#include "harness/verify/faults/parts.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace kvproof::planting {

std::string needs_window(const Context& c) { return c.windowed_layer() < 0 ? "the model has no sliding window" : ""; }

std::string needs_two_windows(const Context& c) {
  if (c.windowed_layer() < 0) return "the model has no sliding window";
  for (int64_t i = 1; i < c.config.n_layer; ++i)
    if (c.config.window(i) != c.config.window(0)) return "";
  return "all layers have the same window";
}

std::string needs_two_layers(const Context& c) { return c.config.n_layer < 2 ? "the model has one layer" : ""; }
std::string needs_smear(const Context& c) { return c.config.has_smear ? "" : "the model has no smear"; }
std::string needs_value_embed(const Context& c) {
  return c.value_embed_layer() < 0 ? "the model has no value embeddings" : "";
}
std::string needs_grouped_heads(const Context& c) {
  if (c.config.n_kv_head == c.config.n_head) return "every query head has a kv head of its own";
  return c.config.n_kv_head == 1 ? "all query heads share one kv head" : "";
}
std::string needs_kv_heads(const Context& c) { return c.config.n_kv_head == 1 ? "the model has one kv head" : ""; }
std::string needs_qk_scale(const Context& c) {
  return c.config.qk_scale == 1 ? "the model does not scale queries and keys" : "";
}
std::string needs_tokenizer(const Context& c) { return c.has_tokenizer ? "" : "no row stops without a tokenizer"; }

Needs both(Needs a, Needs b) {
  return [a = std::move(a), b = std::move(b)](const Context& c) {
    std::string reason = a(c);
    return reason.empty() ? b(c) : reason;
  };
}

namespace {

Where in_layer(FaultPlace place, std::function<int64_t(const Context&)> layer) {
  return [place = std::move(place), layer = std::move(layer)](const Context& c) {
    FaultPlace there = place;
    there.layer = layer(c);
    return there;
  };
}

}  // namespace

Where in_one_layer(FaultPlace place) {
  return in_layer(std::move(place), [](const Context& c) { return c.one_layer(); });
}
Where in_windowed_layer(FaultPlace place) {
  return in_layer(std::move(place), [](const Context& c) { return c.windowed_layer(); });
}
Where in_value_embed_layer(FaultPlace place) {
  return in_layer(std::move(place), [](const Context& c) { return c.value_embed_layer(); });
}

bool is_decode(const StepPlan& plan) { return plan.cached && plan.length == 1 && plan.rows[0].write_at > 0; }
bool is_chunk(const StepPlan& plan) { return plan.cached && plan.length > 1 && plan.rows[0].write_at > 0; }

Planting change_plan(PlanChange change) {
  return [change = std::move(change)](const Context& c) {
    return Plant{.filter = [change, c](StepPlan plan) {
      if (plan.cached) change(plan, c);
      return plan;
    }};
  };
}

namespace {

Planting change_rows(bool decode, RowChange change) {
  return change_plan([decode, change = std::move(change)](StepPlan& plan, const Context& c) {
    if ((plan.length == 1) != decode) return;
    const StepPlan right = plan;
    for (RowPlan& row : plan.rows)
      if (row.write_at > 0) change(row, right, c);
  });
}

}  // namespace

Planting change_decode_rows(RowChange change) { return change_rows(true, std::move(change)); }
Planting change_chunk_rows(RowChange change) { return change_rows(false, std::move(change)); }

Planting change_cache(CacheOperation::Kind kind, CacheChange change) {
  return [kind, change = std::move(change)](const Context& c) {
    return Plant{.hook = [kind, change, c](KVCache& cache, const CacheOperation& operation) {
      if (operation.kind == kind) change(cache, operation, c);
    }};
  };
}

Planting change_new_slots(SlotChange change) {
  return change_cache(CacheOperation::Kind::append,
                      [change = std::move(change)](KVCache& cache, const CacheOperation& operation, const Context& c) {
                        for (int64_t row = 0; row < cache.batch(); ++row) {
                          const int64_t begin = operation.lengths[row], end = cache.length(row);
                          if (begin < end) change(cache.raw(), row, begin, end, c);
                        }
                      });
}

void set_window(StepPlan& plan, int64_t layer, int64_t window) {
  LayerPlan& of = plan.layers[layer];
  of.window = window;
  for (int64_t b = 0; b < plan.batch; ++b) of.key_begin[b] = std::max<int64_t>(0, plan.rows[b].write_at - window);
}

at::Tensor slots(const at::Tensor& all, int64_t layer, int64_t row, int64_t begin, int64_t end) {
  return all.select(0, layer).select(0, row).narrow(1, begin, end - begin);
}

at::Tensor slots_of_layers(const at::Tensor& all, int64_t row, int64_t begin, int64_t end) {
  return all.select(1, row).narrow(2, begin, end - begin);
}

Lengths lengths_of(const KVCache& cache) {
  Lengths lengths;
  for (int64_t row = 0; row < cache.batch(); ++row) lengths.push_back(cache.length(row));
  return lengths;
}

Lengths lengths_of(const StepPlan& plan) {
  Lengths lengths;
  for (const RowPlan& row : plan.rows) lengths.push_back(row.write_at);
  return lengths;
}

}  // namespace kvproof::planting
