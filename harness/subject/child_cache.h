// A cache that a child holds.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/subject/child_connection.h"

namespace kvproof {

class ChildCache : public SubjectCache {
 public:
  /// answer  to `new` or `clone`: its number and state. throws SubjectError
  ChildCache(std::shared_ptr<ChildConnection> connection, const WireMessage& answer, const std::string& what,
             int64_t rows, int64_t capacity);
  ~ChildCache() override;  // asks the child to free it

  int64_t batch() const override { return static_cast<int64_t>(lengths_.size()); }
  int64_t length(int64_t row) const override { return lengths_.at(static_cast<std::size_t>(row)); }
  /// Where the child names none: what was asked for, or the longest row.
  int64_t capacity() const override;
  int64_t bytes() const override { return bytes_; }

  std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at, StageSink* sink) override;
  std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const override;
  void truncate(int64_t row, int64_t length) override;
  void reset() override;
  bool reserve(int64_t capacity) override;
  bool retain_rows(std::span<const int64_t> rows) override;
  std::optional<CacheSlots> contents(int64_t row, int64_t layer, int64_t first, int64_t count) const override;
  bool poison_tail() override;
  bool perturb(int64_t row, int64_t layer, int64_t position, bool keys, double delta) override;

 private:
  /// All held positions of a row and layer that the child shows.
  struct Shown {
    std::vector<int64_t> positions;    // (n) ascending
    std::vector<double> keys, values;  // (n, G, D)
  };
  WireMessage call(nlohmann::json request, const std::string& what) const;
  /// Sends a request that is answered by a state alone.
  void change(nlohmann::json request, const std::string& what);
  /// rows  how many the cache has from now on
  void take_state(const WireMessage& answer, const std::string& what, int64_t rows);
  const Shown& shown(int64_t row, int64_t layer) const;
  std::string in_words(const std::string& what) const;  // "truncation of cache 2"

  std::shared_ptr<ChildConnection> connection_;
  int64_t generation_;  // of the child it lives in
  int64_t number_ = 0, asked_capacity_;
  std::vector<int64_t> lengths_;
  std::optional<int64_t> capacity_;
  int64_t bytes_ = 0;
  // Asked once per row and layer, until something may have changed any cache: one that spoils its neighbour must show.
  mutable std::map<std::pair<int64_t, int64_t>, Shown> shown_;
  mutable int64_t shown_at_ = -1, shown_numbers_ = 0;
};

}  // namespace kvproof
