#include "harness/measure/merge_machines.h"

#include <algorithm>
#include <string>

#include "harness/measure/run_peaks.h"

namespace kvproof {
namespace {

constexpr const char* kDiffers = "of several machines: see machines";

/// The one of these records with the least, or largest, text under key.
template <class Before>
const View& extreme(const std::vector<View>& records, const char* key, Before before) {
  return *std::min_element(records.begin(), records.end(),
                           [&](const View& a, const View& b) { return before(a.at(key).text(), b.at(key).text()); });
}

void copy(const View& machine, const std::string& key, Json& into) {
  for (const std::string& each : {key, key + "_reason"}) {
    into.erase(each);
    if (machine.has(each)) into[each] = machine.at(each).json();
  }
}

/// Counted up over all records; null where it is in one.
void add_up(const std::vector<View>& records, const std::string& key, Json& into) {
  int64_t sum = 0;
  for (const View& record : records) {
    const auto value = record.at("machine").at(key).integer_or_null();
    if (!value) return copy(record.at("machine"), key, into);
    sum += *value;
  }
  into[key] = sum;
}

/// What records that were made on machines of one fingerprint say of it.
Json one_machine(const std::vector<View>& records) {
  Json machine = records.front().at("machine").json();
  copy(extreme(records, "started", std::less<>()).at("machine"), "load_before", machine);
  copy(extreme(records, "finished", std::greater<>()).at("machine"), "load_after", machine);
  for (const char* key : {"steal_ns", "throttles"}) add_up(records, key, machine);
  RunPeaks peaks({});
  for (const View& record : records)
    for (const View& entry : record.at("machine").at("peaks").items()) peaks.take(entry);
  machine["peaks"] = Json::array();
  for (const Peaks& each : peaks.all()) machine["peaks"].push_back(peaks_json(each));
  return machine;
}

/// Values that are the same in all; of objects, their fields.
Json common_of(const std::vector<Json>& all) {
  const Json& first = all.front();
  Json common = Json::object();
  for (const auto& [key, value] : first.items()) {
    if (key.ends_with("_reason")) continue;
    std::vector<Json> values;
    for (const Json& each : all) values.push_back(each.value(key, Json()));
    const bool same = std::all_of(values.begin(), values.end(), [&](const Json& each) { return each == value; });
    const bool objects = std::all_of(values.begin(), values.end(), [](const Json& each) { return each.is_object(); });
    if (objects) {
      common[key] = common_of(values);
    } else if (same && !value.is_null()) {
      common[key] = value;
    } else {
      put_null(common, key, same ? first.value(key + "_reason", kDiffers) : kDiffers);
    }
  }
  return common;
}

}  // namespace

MergedMachines::MergedMachines(const std::vector<View>& records) {
  std::vector<std::string> prints;
  std::vector<std::vector<View>> made_on;
  for (const View& record : records) {
    const std::string print = record.at("machine").at("fingerprint").text();
    const auto place = static_cast<std::size_t>(std::find(prints.begin(), prints.end(), print) - prints.begin());
    if (place == prints.size()) {
      prints.push_back(print);
      made_on.emplace_back();
    }
    made_on[place].push_back(record);
    index_of_.push_back(place);
  }
  for (const std::vector<View>& each : made_on) machines_.push_back(one_machine(each));
}

Json MergedMachines::common(const Json& cases) const {
  if (!several()) return machines_.front();
  Json common = common_of(machines_);
  for (const char* key : {"load_before", "load_after", "steal_ns", "throttles"}) put_null(common, key, kDiffers);
  std::string ran;
  for (const Json& one : cases)
    ran +=
        one.at("id").dump() + machines_.at(one.at("machine").get<std::size_t>()).at("fingerprint").get<std::string>();
  common["fingerprint"] = xxh128_of(ran.data(), ran.size()).substr(0, 16);
  common["peaks"] = Json::array();
  return common;
}

}  // namespace kvproof
