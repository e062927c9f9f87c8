// The machines of several records: those of one fingerprint as one, others kept apart.
#pragma once

#include <cstddef>
#include <vector>

#include "harness/record/record.h"
#include "harness/record/view.h"

namespace kvproof {

class MergedMachines {
 public:
  /// records  in their order, each with one machine. throws RecordError: a damaged one
  explicit MergedMachines(const std::vector<View>& records);

  bool several() const { return machines_.size() > 1; }
  /// On which of them the part-th record was made, from 0 on.
  std::size_t index_of(std::size_t part) const { return index_of_[part]; }
  /// A record's `machines`. Of parts made on machines of one fingerprint: load_before of the first that began, load_after
  /// of the last that ended, what was stolen and slowed down in all together, the larger of their peaks.
  Json all() const { return machines_; }
  /// A record's `machine`: of several, what they have in common, null where they differ; its fingerprint is one of which
  /// case ran on which of them, so that only records of the same say so of their times.
  /// cases  of the merged record
  Json common(const Json& cases) const;

 private:
  std::vector<Json> machines_;
  std::vector<std::size_t> index_of_;
};

}  // namespace kvproof
