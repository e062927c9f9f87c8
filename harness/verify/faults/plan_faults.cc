// Faults of the plan: positions, masks, windows, heads, scales, rows, and what smear reads.
#include <algorithm>
#include <cmath>

#include "harness/verify/faults/parts.h"

namespace kvproof::planting {
namespace {

// Moves a row's position by so much where the rotary tables allow it.
void shift_position(RowPlan& row, const StepPlan& plan, int64_t by, const Context& c) {
  if (row.position + by >= 0 && row.position + by + plan.length <= c.config.rotary_len()) row.position += by;
}

Planting change_layers(bool (*when)(const StepPlan&),
                       std::function<void(StepPlan&, LayerPlan&, const Context&)> change) {
  return change_plan([when, change = std::move(change)](StepPlan& plan, const Context& c) {
    if (!when(plan)) return;
    for (LayerPlan& layer : plan.layers) change(plan, layer, c);
  });
}

bool any_plan(const StepPlan&) { return true; }
bool is_long(const StepPlan& plan) { return plan.length > 1; }

Planting change_windows(bool (*when)(const StepPlan&),
                        std::function<int64_t(const StepPlan&, int64_t layer, const Context&)> window) {
  return change_plan([when, window = std::move(window)](StepPlan& plan, const Context& c) {
    if (!when(plan)) return;
    std::vector<int64_t> windows;
    for (int64_t i = 0; i < c.config.n_layer; ++i) windows.push_back(window(plan, i, c));
    for (int64_t i = 0; i < c.config.n_layer; ++i) set_window(plan, i, windows[i]);
  });
}

// --- positions --------------------------------------------------------------------------------------------------------

// Slots that a cache of limited room would keep: the smallest window's.
int64_t kept_slots(const Context& c) {
  int64_t kept = 8;
  for (int64_t i = 0; i < c.config.n_layer; ++i) kept = std::min(kept, std::max<int64_t>(1, c.config.window(i)));
  return kept;
}

void add_positions(std::vector<Fault>& all) {
  const Where turned = at({.suspects = {Suspect::position}, .layer = 0, .first_operation = "decode"});
  all.push_back({"position-zero-in-decode", "position", "decode turns every new token by position 0", "mlx-lm#1024",
                 any_model, turned,
                 change_decode_rows([](RowPlan& row, const StepPlan&, const Context&) { row.position = 0; })});
  all.push_back({"position-plus-one-in-decode", "position", "decode turns by one position too many",
                 "transformers#46190", any_model, turned,
                 change_decode_rows(
                     [](RowPlan& row, const StepPlan& plan, const Context& c) { shift_position(row, plan, 1, c); })});
  all.push_back({"position-minus-one-in-decode", "position", "decode turns by one position too few", "", any_model,
                 turned, change_decode_rows([](RowPlan& row, const StepPlan& plan, const Context& c) {
                   shift_position(row, plan, -1, c);
                 })});
  all.push_back({"position-shifted-everywhere", "position",
                 "every cached forward turns by one position too many, which logits cannot show", "", any_model,
                 at({.suspects = {Suspect::position}, .layer = 0}), change_plan([](StepPlan& plan, const Context& c) {
                   for (RowPlan& row : plan.rows) shift_position(row, plan, 1, c);
                 })});
  all.push_back({"position-restarts-per-chunk", "position", "a chunk's first token is turned by position 0",
                 "hipfire#391", any_model,
                 at({.suspects = {Suspect::position}, .layer = 0, .first_operation = "chunk"}),
                 change_chunk_rows([](RowPlan& row, const StepPlan&, const Context&) { row.position = 0; })});
  all.push_back({"position-advances-by-one-per-chunk", "position",
                 "after a forward of several tokens the length has moved by one", "", any_model,
                 at({.suspects = {Suspect::state}, .first_operation = "chunk"}),
                 change_plan([](StepPlan& plan, const Context&) {
                   for (RowPlan& row : plan.rows) row.advance = 1;
                 })});
  all.push_back({"position-counts-kept-slots", "position",
                 "past a limit the position is the number of slots kept, no longer absolute", "mlx-lm#1024", any_model,
                 turned, change_decode_rows([](RowPlan& row, const StepPlan&, const Context& c) {
                   row.position = std::min(row.position, kept_slots(c));
                 })});
}

// --- masks ------------------------------------------------------------------------------------------------------------

void add_masks(std::vector<Fault>& all) {
  const Where in_chunk =
      at({.suspects = {Suspect::mask}, .stage = "attention", .layer = 0, .first_operation = "chunk"});
  all.push_back({"chunk-mask-top-left", "mask",
                 "a chunk's causal mask is aligned with the first key instead of the last", "pytorch#108108", any_model,
                 in_chunk, change_plan([](StepPlan& plan, const Context&) {
                   if (!is_chunk(plan)) return;
                   int64_t held = plan.rows[0].write_at;
                   for (const RowPlan& row : plan.rows) held = std::min(held, row.write_at);
                   for (int64_t i = 0; i < static_cast<int64_t>(plan.layers.size()); ++i) {
                     set_window(plan, i, plan.layers[i].window + held);
                     plan.layers[i].diagonal = -held;
                   }
                 })});
  all.push_back({"chunk-not-causal", "mask", "a token sees the tokens after it in its chunk", "TinyLLM#17", any_model,
                 in_chunk, change_layers(is_chunk, [](StepPlan& plan, LayerPlan& layer, const Context&) {
                   layer.diagonal = plan.length;
                 })});
  all.push_back({"causal-mask-off-by-one", "mask", "a token sees the one after it", "TinyLLM#17", any_model, in_chunk,
                 change_layers(is_long, [](StepPlan&, LayerPlan& layer, const Context&) { layer.diagonal = 1; })});
  all.push_back({"own-key-hidden-in-decode", "mask", "a decoded token does not see itself", "", any_model,
                 at({.suspects = {Suspect::mask, Suspect::key_range},
                     .stage = "attention",
                     .layer = 0,
                     .first_operation = "decode"}),
                 change_layers(is_decode, [](StepPlan&, LayerPlan& layer, const Context&) {
                   if (layer.window > 0) layer.diagonal = -1;
                 })});
  all.push_back({"chunk-blind-to-the-past", "mask", "a chunk sees its own tokens only", "nanochat#756", any_model,
                 at({.suspects = {Suspect::mask, Suspect::key_range},
                     .stage = "attention",
                     .layer = 0,
                     .first_operation = "chunk"}),
                 change_layers(is_chunk, [](StepPlan& plan, LayerPlan& layer, const Context&) {
                   for (int64_t b = 0; b < plan.batch; ++b) layer.key_begin[b] = plan.rows[b].write_at;
                 })});
}

// --- windows ----------------------------------------------------------------------------------------------------------

// The layer's window if it has one; else what it has, so that a fault of windows leaves unlimited layers alone.
bool limited(const Context& c, int64_t layer) { return c.config.window(layer) < c.config.rotary_len(); }

void add_windows(std::vector<Fault>& all) {
  const auto shown = [](const char* operation) {
    return in_windowed_layer({.suspects = {Suspect::window}, .stage = "attention", .first_operation = operation});
  };
  const auto unlimited = [](const StepPlan&, int64_t, const Context&) { return kUnlimited; };
  const auto by = [](int64_t more) {
    return [more](const StepPlan&, int64_t layer, const Context& c) {
      const int64_t window = c.config.window(layer);
      return limited(c, layer) ? std::max<int64_t>(0, window + more) : window;
    };
  };
  all.push_back({"window-ignored-in-decode", "window", "decode sees all keys", "nanochat 3ba42e8", needs_window,
                 shown("decode"), change_windows(is_decode, unlimited)});
  all.push_back({"window-ignored-in-chunk", "window", "a chunk behind others sees all keys", "mlx-lm#843", needs_window,
                 shown("chunk"), change_windows(is_chunk, unlimited)});
  all.push_back({"window-one-wider", "window", "a cached forward sees one key too many", "transformers#37574",
                 needs_window, shown(""), change_windows(any_plan, by(1))});
  all.push_back({"window-one-narrower", "window", "a cached forward sees one key too few", "transformers#37574",
                 needs_window, shown(""), change_windows(any_plan, by(-1))});
  all.push_back({"window-counted-from-chunk-start", "window",
                 "a chunk's queries are numbered from its start, keys from the cache's", "mlx-lm#1093", needs_window,
                 shown("chunk"), change_windows(is_chunk, [](const StepPlan& plan, int64_t layer, const Context& c) {
                   const int64_t window = c.config.window(layer);
                   return limited(c, layer) ? window + plan.rows[0].write_at : window;
                 })});
  // The first layer that gets another layer's window.
  const auto moved = [](auto other) {
    return Where([other](const Context& c) {
      FaultPlace place{.suspects = {Suspect::window}, .stage = "attention"};
      int64_t i = 0;
      while (i + 1 < c.config.n_layer && c.config.window(i) == c.config.window(other(i, c))) ++i;
      place.layer = i;
      return place;
    });
  };
  const auto next = [](int64_t layer, const Context& c) { return (layer + 1) % c.config.n_layer; };
  all.push_back({"window-pattern-shifted", "window", "each layer has the next one's window", "mlx-lm#1093",
                 needs_two_windows, moved(next),
                 change_windows(any_plan, [next](const StepPlan&, int64_t layer, const Context& c) {
                   return c.config.window(next(layer, c));
                 })});
  const auto mirrored = [](int64_t layer, const Context& c) { return c.config.n_layer - 1 - layer; };
  all.push_back({"window-pattern-reversed-in-decode", "window", "decode counts the pattern from the last layer", "",
                 [mirrored](const Context& c) -> std::string {
                   if (c.windowed_layer() < 0) return "the model has no sliding window";
                   for (int64_t i = 0; i < c.config.n_layer; ++i)
                     if (c.config.window(i) != c.config.window(mirrored(i, c))) return "";
                   return "the window pattern is the same from both ends";
                 },
                 moved(mirrored),
                 change_windows(is_decode, [mirrored](const StepPlan&, int64_t layer, const Context& c) {
                   return c.config.window(mirrored(layer, c));
                 })});
}

// --- heads and scales ---------------------------------------------------------------------------------------------------

void add_heads(std::vector<Fault>& all) {
  const Where mapped = at({.suspects = {Suspect::head_map}, .stage = "attention", .layer = 0});
  using Heads = std::function<int64_t(int64_t head, const Context& c)>;
  const auto heads = [](bool (*when)(const StepPlan&), Heads of) {
    return change_plan([when, of = std::move(of)](StepPlan& plan, const Context& c) {
      if (!when(plan)) return;
      for (int64_t h = 0; h < static_cast<int64_t>(plan.kv_head.size()); ++h) plan.kv_head[h] = of(h, c);
    });
  };
  all.push_back({"kv-heads-tiled", "gqa", "query head h reads kv head h modulo their number", "candle-vllm#52",
                 needs_grouped_heads, mapped,
                 heads(any_plan, [](int64_t h, const Context& c) { return h % c.config.n_kv_head; })});
  all.push_back({"kv-heads-reversed-in-decode", "gqa", "decode counts kv heads from the last", "", needs_kv_heads,
                 at({.suspects = {Suspect::head_map}, .stage = "attention", .layer = 0, .first_operation = "decode"}),
                 heads(is_decode, [](int64_t h, const Context& c) {
                   return c.config.n_kv_head - 1 - h * c.config.n_kv_head / c.config.n_head;
                 })});
  all.push_back({"first-kv-head-for-all", "gqa", "every query head reads the first kv head", "", needs_kv_heads, mapped,
                 heads(any_plan, [](int64_t, const Context&) { return int64_t{0}; })});
}

double to_bfloat16(double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);  // 8 significant bits are kept
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

void add_scales(std::vector<Fault>& all) {
  all.push_back({"key-scale-missing-in-decode", "scale", "decode stores keys that are normed but not scaled", "",
                 needs_qk_scale,
                 at({.suspects = {Suspect::qk_scale}, .tensor = "K", .layer = 0, .first_operation = "decode"}),
                 change_layers(is_decode, [](StepPlan&, LayerPlan& layer, const Context&) { layer.k_scale = 1; })});
  all.push_back(
      {"key-scale-twice-in-chunk", "scale", "a chunk's keys are scaled twice", "", needs_qk_scale,
       at({.suspects = {Suspect::qk_scale}, .tensor = "K", .layer = 0, .first_operation = "chunk"}),
       change_layers(is_chunk, [](StepPlan&, LayerPlan& layer, const Context&) { layer.k_scale *= layer.k_scale; })});
  all.push_back({"query-scale-missing-in-decode", "scale", "decode's queries are normed but not scaled", "",
                 needs_qk_scale,
                 at({.suspects = {Suspect::qk_scale}, .stage = "query", .layer = 0, .first_operation = "decode"}),
                 change_layers(is_decode, [](StepPlan&, LayerPlan& layer, const Context&) { layer.q_scale = 1; })});
  all.push_back(
      {"attention-scale-of-another-head-size", "scale", "decode divides scores by the root of twice the head size", "",
       any_model, at({.suspects = {Suspect::attention}, .stage = "attention", .layer = 0, .first_operation = "decode"}),
       change_layers(is_decode,
                     [](StepPlan&, LayerPlan& layer, const Context&) { layer.attention_scale /= std::sqrt(2.0); })});
  all.push_back({"key-scale-rounded-to-bfloat16", "dtype", "keys are scaled by a factor that was rounded to bfloat16",
                 "nanochat ca366eb",
                 [](const Context& c) -> std::string {
                   if (to_bfloat16(c.config.qk_scale) == c.config.qk_scale) return "the scale is a bfloat16 number";
                   return c.dtype == "bfloat16" || c.dtype == "float16" ? "the model computes in " + c.dtype : "";
                 },
                 at({.suspects = {Suspect::qk_scale}, .tensor = "K", .layer = 0}),
                 change_layers(any_plan, [](StepPlan&, LayerPlan& layer, const Context&) {
                   layer.k_scale = to_bfloat16(layer.k_scale);
                 })});
}

// --- rows -------------------------------------------------------------------------------------------------------------

// Lets every row's key range begin where its window does after slots were changed.
void follow_slots(StepPlan& plan) {
  for (int64_t i = 0; i < static_cast<int64_t>(plan.layers.size()); ++i) set_window(plan, i, plan.layers[i].window);
}

void add_rows(std::vector<Fault>& all) {
  all.push_back({"rows-turned-by-row-0", "rows", "all rows are turned by row 0's position", "", any_model,
                 at({.suspects = {Suspect::position, Suspect::row}, .layer = 0}),
                 change_plan([](StepPlan& plan, const Context&) {
                   for (RowPlan& row : plan.rows) row.position = plan.rows[0].position;
                 })});
  all.push_back({"rows-turned-by-the-longest", "rows",
                 "padding counts: all rows are turned by the longest row's position", "", any_model,
                 at({.suspects = {Suspect::position, Suspect::row}, .layer = 0}),
                 change_plan([](StepPlan& plan, const Context&) {
                   int64_t longest = 0;
                   for (const RowPlan& row : plan.rows) longest = std::max(longest, row.position);
                   for (RowPlan& row : plan.rows) row.position = longest;
                 })});
  all.push_back({"rows-rotated-in-decode", "rows", "decode reads and writes the next row's cache", "", any_model,
                 at({.suspects = {Suspect::row, Suspect::state}, .first_operation = "decode"}),
                 change_plan([](StepPlan& plan, const Context&) {
                   if (!is_decode(plan)) return;
                   for (RowPlan& row : plan.rows) row.cache_row = (row.cache_row + 1) % plan.batch;
                 })});
  all.push_back({"key-range-of-row-0", "rows", "all rows read the slots that row 0 reads", "", any_model,
                 at({.suspects = {Suspect::row, Suspect::key_range}, .stage = "attention", .layer = 0}),
                 change_plan([](StepPlan& plan, const Context&) {
                   for (LayerPlan& layer : plan.layers)
                     for (int64_t b = 1; b < plan.batch; ++b) {
                       // Never empty, or attention would divide by zero: at least the row's first slot is read.
                       layer.key_begin[b] = std::min(layer.key_begin[0], plan.rows[b].write_at);
                       layer.key_end[b] =
                           std::max(layer.key_begin[b] + 1, std::min(layer.key_end[0], layer.key_end[b]));
                     }
                 })});
}

// --- slots ------------------------------------------------------------------------------------------------------------

void add_slots(std::vector<Fault>& all) {
  all.push_back({"ring-too-small", "storage", "slots wrap around a ring that is smaller than the longest window",
                 "mlx-lm#1093", any_model,
                 at({.suspects = {Suspect::cache_write, Suspect::key_range}, .first_operation = "decode"}),
                 change_plan([](StepPlan& plan, const Context& c) {
                   if (!is_decode(plan)) return;
                   for (RowPlan& row : plan.rows) row.write_at %= kept_slots(c) + 1;
                   follow_slots(plan);
                 })});
  all.push_back({"decode-overwrites-the-last-slot", "storage", "decode writes one slot too early",
                 "flash-attention#772", any_model,
                 at({.suspects = {Suspect::cache_write}, .first_operation = "decode"}),
                 change_plan([](StepPlan& plan, const Context&) {
                   if (!is_decode(plan)) return;
                   for (RowPlan& row : plan.rows) row.write_at = std::max<int64_t>(0, row.write_at - 1);
                   follow_slots(plan);
                 })});
  all.push_back({"first-key-lost-in-decode", "storage", "decode reads from the second slot on", "", any_model,
                 at({.suspects = {Suspect::key_range}, .stage = "attention", .layer = 0, .first_operation = "decode"}),
                 change_layers(is_decode, [](StepPlan&, LayerPlan& layer, const Context&) {
                   for (int64_t& begin : layer.key_begin) begin = std::max<int64_t>(begin, 1);
                 })});
}

// --- what smear reads ---------------------------------------------------------------------------------------------------

void add_smears(std::vector<Fault>& all) {
  const auto smear = [](const char* operation) {
    return at({.suspects = {Suspect::smear}, .stage = "smear", .first_operation = operation});
  };
  const auto forget = [](RowPlan& row, const StepPlan&, const Context&) { row.previous_token = kNoToken; };
  all.push_back({"smear-dropped-at-chunk-start", "side-state", "a chunk's first token has no predecessor",
                 "nanochat#756", needs_smear, smear("chunk"), change_chunk_rows(forget)});
  all.push_back({"smear-dropped-in-decode", "side-state", "a decoded token has no predecessor", "llama.cpp#11445",
                 needs_smear, smear("decode"), change_decode_rows(forget)});
  all.push_back({"smear-of-row-0", "side-state", "every row is smeared with row 0's predecessor", "", needs_smear,
                 smear(""), change_plan([](StepPlan& plan, const Context&) {
                   for (RowPlan& row : plan.rows) row.previous_token = plan.rows[0].previous_token;
                 })});
  all.push_back({"smear-before-the-first-token", "side-state", "the first token is smeared with a token that never was",
                 "nanochat", needs_smear, smear(""), change_plan([](StepPlan& plan, const Context&) {
                   for (RowPlan& row : plan.rows)
                     if (row.previous_token == kNoToken) row.previous_token = 0;
                 })});
}

}  // namespace

std::vector<Fault> plan_faults() {
  std::vector<Fault> all;
  add_positions(all);
  add_masks(all);
  add_windows(all);
  add_heads(all);
  add_scales(all);
  add_rows(all);
  add_slots(all);
  add_smears(all);
  return all;
}

}  // namespace kvproof::planting
