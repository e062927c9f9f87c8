#include "engine/model/kv_cache.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"

namespace kvproof {
KVCache::KVCache(const GptConfig& config, int64_t batch, int64_t capacity, at::ScalarType dtype, at::Device device)
    : capacity_(capacity) {
  if (batch < 1 || capacity < 1)
    throw ArgumentError("KV cache", fmt::format("batch and capacity must be at least 1, got {} and {}", batch, capacity));
  const c10::InferenceMode guard;
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const std::vector<int64_t> shape = {config.n_layer, batch, config.n_kv_head, capacity, config.head_dim()};
  try {
    keys_ = at::empty(shape, options);    // (L, B, G, capacity, D)
    values_ = at::empty(shape, options);  // (L, B, G, capacity, D)
  } catch (const std::exception&) {  // c10::Error, std::bad_alloc
    throw CapacityError("KV cache", fmt::format("cannot allocate {} rows of {} positions; lower max_tokens or num_samples",
                                                batch, capacity));
  }
  tokens_.resize(batch);
  for (auto& row : tokens_) row.reserve(capacity);  // a decode step allocates nothing
}

int64_t KVCache::bytes() const { return 2 * keys_.numel() * static_cast<int64_t>(keys_.element_size()); }

at::Tensor KVCache::keys(int64_t layer) const { return keys_.select(0, layer); }
at::Tensor KVCache::values(int64_t layer) const { return values_.select(0, layer); }

KVCache::Storage KVCache::storage() {
  TORCH_CHECK(keys_.strides() == values_.strides() && keys_.stride(4) == 1, "KV cache: keys and values lie differently");
  return {keys_.data_ptr(), values_.data_ptr(), keys_.stride(0), keys_.stride(1), keys_.stride(2), keys_.stride(3)};
}

void KVCache::check_slots(const StepPlan& plan) const {
  for (const RowPlan& row : plan.rows) {
    if (row.cache_row < 0 || row.cache_row >= batch() || row.write_at < 0 || row.write_at + row.length > capacity_)
      throw CapacityError("KV cache", fmt::format("slots [{}, {}) of row {} lie outside {} rows of {}", row.write_at,
                                                  row.write_at + row.length, row.cache_row, batch(), capacity_));
  }
}

void KVCache::write(int64_t layer, const at::Tensor& keys, const at::Tensor& values, const StepPlan& plan) {
  check_slots(plan);  // copying into an empty slice would silently write nothing
  const int64_t at = plan.rows[0].write_at;
  bool together = plan.batch == batch();  // every row's slots are the same: one copy serves all
  for (int64_t b = 0; b < plan.batch; ++b) {
    const RowPlan& row = plan.rows[b];
    together &= row.cache_row == b && row.write_at == at && row.length == plan.length;
  }
  const at::Tensor all_keys = this->keys(layer), all_values = this->values(layer);  // (B, G, capacity, D)
  if (together) {
    all_keys.narrow(2, at, plan.length).copy_(keys);
    all_values.narrow(2, at, plan.length).copy_(values);
    return;
  }
  for (int64_t b = 0; b < plan.batch; ++b) {
    const RowPlan& row = plan.rows[b];
    all_keys[row.cache_row].narrow(1, row.write_at, row.length).copy_(keys[b].narrow(1, 0, row.length));
    all_values[row.cache_row].narrow(1, row.write_at, row.length).copy_(values[b].narrow(1, 0, row.length));
  }
}

std::vector<int64_t> KVCache::lengths_if_hooked() const {
  std::vector<int64_t> lengths;
  for (int64_t b = 0; hook_ && b < batch(); ++b) lengths.push_back(length(b));
  return lengths;
}

void KVCache::advance(const StepPlan& plan, const TokenBatch& tokens) {
  const std::vector<int64_t> before = lengths_if_hooked();
  for (int64_t b = 0; b < plan.batch; ++b) {
    const auto new_tokens = tokens.row(b).first(plan.rows[b].advance);
    std::vector<int32_t>& held = tokens_[plan.rows[b].cache_row];
    held.insert(held.end(), new_tokens.begin(), new_tokens.end());
  }
  done({.kind = CacheOperation::Kind::append, .rows = {}, .lengths = before});
}

namespace {

// Copies the first `length` positions of one row of all layers.
void copy_row(const at::Tensor& from, int64_t from_row, at::Tensor& to, int64_t to_row, int64_t length) {
  if (length == 0) return;
  to.select(1, to_row).narrow(2, 0, length).copy_(from.select(1, from_row).narrow(2, 0, length));  // (L, G, length, D)
}

at::Tensor empty_with(const at::Tensor& like, int64_t batch, int64_t capacity) {
  std::vector<int64_t> shape = like.sizes().vec();
  shape[1] = batch;
  shape[3] = capacity;
  return at::empty(shape, like.options());
}

}  // namespace

void KVCache::reserve(int64_t capacity) {
  if (capacity <= capacity_) return;
  const c10::InferenceMode guard;
  at::Tensor keys = empty_with(keys_, batch(), capacity), values = empty_with(values_, batch(), capacity);
  for (int64_t b = 0; b < batch(); ++b) {
    copy_row(keys_, b, keys, b, length(b));
    copy_row(values_, b, values, b, length(b));
  }
  keys_ = std::move(keys);
  values_ = std::move(values);
  for (auto& row : tokens_) row.reserve(capacity);
  capacity_ = capacity;
  done({.kind = CacheOperation::Kind::reserve, .rows = {}, .lengths = {}});
}

void KVCache::reset() {
  const std::vector<int64_t> before = lengths_if_hooked();
  for (auto& row : tokens_) row.clear();
  done({.kind = CacheOperation::Kind::reset, .rows = {}, .lengths = before});
}

void KVCache::truncate(int64_t row, int64_t length) {
  if (row < 0 || row >= batch()) throw ArgumentError("KV cache", fmt::format("row {} of {}", row, batch()));
  if (length < 0 || length > this->length(row))
    throw ArgumentError("KV cache", fmt::format("cannot truncate row {} to {}: it holds {} positions", row, length, this->length(row)));
  const std::vector<int64_t> before = lengths_if_hooked();
  tokens_[row].resize(length);
  done({.kind = CacheOperation::Kind::truncate, .rows = {&row, 1}, .lengths = before});
}

KVCache KVCache::clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const {
  if (source_rows.empty()) throw ArgumentError("KV cache", "cannot clone to no rows");
  for (const int64_t source : source_rows) {
    if (source < 0 || source >= batch()) throw ArgumentError("KV cache", fmt::format("row {} of {}", source, batch()));
    if (length(source) > capacity)
      throw CapacityError("KV cache", fmt::format("cannot clone row {} of {} positions into a capacity of {}", source,
                                                  length(source), capacity));
  }
  const c10::InferenceMode guard;
  const auto rows = static_cast<int64_t>(source_rows.size());
  KVCache clone;
  clone.capacity_ = capacity;
  clone.keys_ = empty_with(keys_, rows, capacity);
  clone.values_ = empty_with(values_, rows, capacity);
  for (int64_t i = 0; i < rows; ++i) {
    copy_row(keys_, source_rows[i], clone.keys_, i, length(source_rows[i]));
    copy_row(values_, source_rows[i], clone.values_, i, length(source_rows[i]));
    clone.tokens_.emplace_back().reserve(capacity);
    clone.tokens_.back() = tokens_[source_rows[i]];
  }
  clone.hook_ = hook_;
  clone.done({.kind = CacheOperation::Kind::clone, .rows = source_rows, .lengths = {}, .source = this});
  return clone;
}

void KVCache::retain_rows(std::span<const int64_t> rows) {
  if (rows.empty() || !std::is_sorted(rows.begin(), rows.end(), std::less_equal<>()) || rows.front() < 0 || rows.back() >= batch())
    throw ArgumentError("KV cache", fmt::format("rows to retain must be ascending, distinct and below {}", batch()));
  if (static_cast<int64_t>(rows.size()) == batch()) return;
  const c10::InferenceMode guard;
  for (std::size_t i = 0; i < rows.size(); ++i) {  // ascending, so a row is read before it is written over
    const int64_t source = rows[i], target = static_cast<int64_t>(i);
    if (source == target) continue;
    copy_row(keys_, source, keys_, target, length(source));
    copy_row(values_, source, values_, target, length(source));
    tokens_[target] = std::move(tokens_[source]);
  }
  tokens_.resize(rows.size());
  keys_ = keys_.narrow(1, 0, static_cast<int64_t>(rows.size()));
  values_ = values_.narrow(1, 0, static_cast<int64_t>(rows.size()));
  done({.kind = CacheOperation::Kind::retain, .rows = rows, .lengths = {}});
}

}  // namespace kvproof
