#include "harness/record/machines.h"

#include <fmt/format.h>

#include "harness/error.h"

namespace kvproof {

bool has_several_machines(const View& record) { return record.has("machines"); }

std::vector<View> machines_of(const View& record) {
  if (!has_several_machines(record)) return {record.at("machine")};
  return record.at("machines").items();
}

View machine_of(const View& record, const View& one_case) {
  if (!has_several_machines(record)) return record.at("machine");
  const std::vector<View> all = machines_of(record);
  const View which = one_case.at("machine");
  const int64_t index = which.integer();
  if (index < 0 || index >= static_cast<int64_t>(all.size()))
    throw RecordError(which.pointer(), fmt::format("expected a machine from 0 to {}, found {}; the record is damaged",
                                                   static_cast<int64_t>(all.size()) - 1, index));
  return all[static_cast<std::size_t>(index)];
}

}  // namespace kvproof
