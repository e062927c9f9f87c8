#include "harness/subject/child_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "harness/error.h"

namespace kvproof {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMostShown = 1 << 24;  // numbers kept of one cache: 128 MiB

std::string counted(int64_t n, const char* thing) { return fmt::format("{} {}{}", n, thing, n == 1 ? "" : "s"); }

/// "3 tokens", "1 to 3 tokens for each of 2 rows"
std::string tokens_in_words(const TokenBatch& tokens) {
  if (tokens.batch == 1) return counted(tokens.row_length(0), "token");
  int64_t fewest = tokens.length, most = 0;
  for (int64_t row = 0; row < tokens.batch; ++row) {
    fewest = std::min(fewest, tokens.row_length(row));
    most = std::max(most, tokens.row_length(row));
  }
  const auto each = fewest == most ? counted(most, "token") : fmt::format("{} to {} tokens", fewest, most);
  return fmt::format("{} for each of {} rows", each, tokens.batch);
}

}  // namespace

ChildCache::ChildCache(std::shared_ptr<ChildConnection> connection, const WireMessage& answer, const std::string& what,
                       int64_t rows, int64_t capacity)
    : connection_(std::move(connection)), generation_(connection_->generation()), asked_capacity_(capacity) {
  number_ = connection_->interpret(
      what, [&] { return JsonFields(answer.header).integer("cache", std::numeric_limits<int64_t>::min()); });
  take_state(answer, what, rows);
}

ChildCache::~ChildCache() {
  if (!connection_->alive() || connection_->generation() != generation_) return;
  try {
    connection_->call({{"op", "free"}, {"cache", number_}}, in_words("free"));
  } catch (const Error&) {
    // A destructor has nobody to tell; a child that broke here is seen by the next request.
  }
}

std::string ChildCache::in_words(const std::string& what) const { return fmt::format("{} of cache {}", what, number_); }

int64_t ChildCache::capacity() const {
  if (capacity_) return *capacity_;
  return std::max(asked_capacity_, *std::max_element(lengths_.begin(), lengths_.end()));
}

WireMessage ChildCache::call(Json request, const std::string& what) const {
  if (!connection_->alive() || connection_->generation() != generation_)
    connection_->fail(what, "the child that held this cache is gone: it broke in an earlier request");
  request["cache"] = number_;
  return connection_->call(std::move(request), what);
}

void ChildCache::take_state(const WireMessage& answer, const std::string& what, int64_t rows) {
  connection_->interpret(what, [&] {
    const JsonFields fields(answer.header);
    const auto lengths = fields.integers("lengths", 0);
    if (static_cast<int64_t>(lengths.size()) != rows)
      fields.fail("lengths", fmt::format("{}, one per row", counted(rows, "number")));
    capacity_ = fields.optional_integer("capacity", 0);
    bytes_ = fields.optional_integer("bytes", 0).value_or(0);
    lengths_ = lengths;
  });
}

void ChildCache::change(Json request, const std::string& what) {
  take_state(call(std::move(request), what), what, batch());
}

std::vector<LogitRows> ChildCache::forward(const TokenBatch& tokens, LogitsAt at, StageSink*) {
  const auto what = fmt::format("forward of {} into cache {}", tokens_in_words(tokens), number_);
  if (tokens.batch != batch())
    throw ArgumentError("tokens", fmt::format("expected {} rows, one per cache row, got {}", batch(), tokens.batch));
  const bool all = at == LogitsAt::all && tokens.length > 1;  // of one token the last is all
  if (all) connection_->require(Ability::all_logits, what);
  Json lists = Json::array();
  int64_t total = 0;
  for (int64_t row = 0; row < tokens.batch; ++row) {
    const auto ids = tokens.row(row);
    lists.push_back(std::vector<TokenId>(ids.begin(), ids.end()));
    total += static_cast<int64_t>(ids.size());
  }
  const std::vector<int64_t> before = lengths_;
  const Json request = {{"op", "forward"}, {"tokens", std::move(lists)}, {"logits", all ? "all" : "last"}};
  WireMessage answer;
  try {
    answer = call(request, what);
  } catch (const CapacityError&) {
    change({{"op", "state"}}, in_words("state"));  // a refusal that changed something must show
    throw;
  }
  take_state(answer, what, batch());
  const int64_t V = connection_->hello().info.vocab_size;
  const auto logits = connection_->interpret(what, [&] {
    return logits_of(answer.tensor("logits", {all ? total : tokens.batch, V}), connection_->hello().info.dtype);
  });
  std::vector<LogitRows> rows;
  auto next = logits.begin();
  for (int64_t row = 0; row < tokens.batch; ++row) {
    const int64_t count = all ? tokens.row_length(row) : 1;
    const int64_t first = before[static_cast<std::size_t>(row)] + tokens.row_length(row) - count;
    rows.push_back({first, count, V, {next, next + count * V}});
    next += count * V;
  }
  return rows;
}

std::unique_ptr<SubjectCache> ChildCache::clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const {
  const auto rows = static_cast<int64_t>(source_rows.size());
  const auto what = fmt::format("clone of {} of cache {}", counted(rows, "row"), number_);
  const bool plain = batch() == 1 && connection_->can(Ability::clone);
  if (!plain) connection_->require(batch() == 1 ? Ability::clone : Ability::gather, what);
  const WireMessage answer = call(
      {{"op", "clone"}, {"rows", std::vector<int64_t>(source_rows.begin(), source_rows.end())}, {"capacity", capacity}},
      what);
  return std::make_unique<ChildCache>(connection_, answer, what, rows, capacity);
}

void ChildCache::truncate(int64_t row, int64_t length) {
  const auto what = fmt::format("truncation of row {} of cache {} to {}", row, number_, length);
  const bool whole = batch() == 1 && connection_->can(Ability::truncate);
  if (!whole) connection_->require(Ability::truncate_row, what);
  change({{"op", "truncate"}, {"row", whole ? Json() : Json(row)}, {"length", length}}, what);
}

void ChildCache::reset() {
  const auto what = in_words("reset");
  connection_->require(Ability::reset, what);
  change({{"op", "reset"}}, what);
}

bool ChildCache::reserve(int64_t capacity) {
  if (!connection_->can(Ability::reserve)) return false;
  change({{"op", "reserve"}, {"capacity", capacity}}, fmt::format("reserve of {} in cache {}", capacity, number_));
  asked_capacity_ = std::max(asked_capacity_, capacity);
  return true;
}

bool ChildCache::retain_rows(std::span<const int64_t> rows) {
  if (!connection_->can(Ability::retain)) return false;
  const auto kept = static_cast<int64_t>(rows.size());
  const auto what = fmt::format("retaining {} of cache {}", counted(kept, "row"), number_);
  const WireMessage answer = call({{"op", "retain"}, {"rows", std::vector<int64_t>(rows.begin(), rows.end())}}, what);
  take_state(answer, what, kept);
  return true;
}

bool ChildCache::poison_tail() {
  if (!connection_->can(Ability::poison)) return false;
  change({{"op", "poison"}}, in_words("poison"));
  return true;
}

bool ChildCache::perturb(int64_t row, int64_t layer, int64_t position, bool keys, double delta) {
  if (!connection_->can(Ability::perturb)) return false;
  call({{"op", "perturb"},
        {"row", row},
        {"layer", layer},
        {"position", position},
        {"tensor", keys ? "keys" : "values"},
        {"delta", delta}},
       fmt::format("perturb of position {} of row {}, layer {}, in cache {}", position, row, layer, number_));
  return true;
}

const ChildCache::Shown& ChildCache::shown(int64_t row, int64_t layer) const {
  if (shown_at_ != connection_->changes() || shown_numbers_ > kMostShown) {
    shown_.clear();
    shown_numbers_ = 0;
  }
  if (const auto known = shown_.find({row, layer}); known != shown_.end()) return known->second;
  const auto what = fmt::format("read_slots of row {}, layer {}, of cache {}", row, layer, number_);
  const WireMessage answer = call({{"op", "read_slots"}, {"row", row}, {"layer", layer}}, what);
  Shown found = connection_->interpret(what, [&] {
    const SubjectInfo& info = connection_->hello().info;
    const WireTensor& keys = answer.tensor("keys");
    const int64_t n = keys.shape.empty() ? 0 : keys.shape.front(), held = length(row);
    const std::vector<int64_t> shape = {n, info.n_kv_head, info.head_dim};
    Shown slots{{}, answer.tensor("keys", shape).as_doubles(), answer.tensor("values", shape).as_doubles()};
    const JsonFields fields(answer.header);
    if (fields.has("positions")) {
      slots.positions = fields.integers("positions", 0, std::max<int64_t>(held - 1, 0));
    } else {
      slots.positions.resize(static_cast<std::size_t>(n));
      std::iota(slots.positions.begin(), slots.positions.end(), 0);
    }
    const auto& positions = slots.positions;
    if (static_cast<int64_t>(positions.size()) != n || n > held ||
        !std::is_sorted(positions.begin(), positions.end(), std::less_equal<>()))
      throw SubjectError("", fmt::format("expected keys and values of {} positions at most, each position once and "
                                         "ascending, found {} of them and {} positions",
                                         held, n, positions.size()));
    return slots;
  });
  shown_at_ = connection_->changes();
  shown_numbers_ += static_cast<int64_t>(2 * found.keys.size());
  return shown_[{row, layer}] = std::move(found);
}

std::optional<CacheSlots> ChildCache::contents(int64_t row, int64_t layer, int64_t first, int64_t count) const {
  if (!connection_->can(Ability::read_slots)) return std::nullopt;
  const Shown& all = shown(row, layer);
  const SubjectInfo& info = connection_->hello().info;
  const auto width = static_cast<std::size_t>(info.n_kv_head * info.head_dim), n = static_cast<std::size_t>(count);
  CacheSlots slots{count, info.n_kv_head, info.head_dim, std::vector<double>(n * width),
                   std::vector<double>(n * width)};
  std::vector<bool> present(n, false);
  const auto begin = std::lower_bound(all.positions.begin(), all.positions.end(), first);
  for (auto it = begin; it != all.positions.end() && *it < first + count; ++it) {
    const auto from = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(it - all.positions.begin()) * width);
    const auto to = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(*it - first) * width);
    std::copy_n(all.keys.begin() + from, width, slots.keys.begin() + to);
    std::copy_n(all.values.begin() + from, width, slots.values.begin() + to);
    present[static_cast<std::size_t>(*it - first)] = true;
  }
  if (std::find(present.begin(), present.end(), false) != present.end()) slots.present = std::move(present);
  return slots;
}

}  // namespace kvproof
