#include "harness/machine/peaks/peaks.h"

#include <algorithm>
#include <cmath>

namespace kvproof {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kTimesCache = 4;

bool same(const WorkingSet& a, const WorkingSet& b) { return a.name == b.name && a.bytes == b.bytes; }
bool same(const GemmShape& a, const GemmShape& b) { return a.name == b.name && a.m == b.m && a.n == b.n && a.k == b.k; }

const WorkingSet& subject_of(const ReadPeak& peak) { return peak.set; }
const GemmShape& subject_of(const GemmPeak& peak) { return peak.shape; }

template <class Peak>
void merge(std::vector<Peak>& into, const std::vector<Peak>& from) {
  for (const Peak& peak : from) {
    const auto known = std::find_if(into.begin(), into.end(),
                                    [&](const Peak& each) { return same(subject_of(each), subject_of(peak)); });
    if (known == into.end()) {
      into.push_back(peak);
    } else {
      known->rates = larger(known->rates, peak.rates);
    }
  }
}

void put_rates(nlohmann::ordered_json& json, const char* key, const Rates& rates) {
  if (const auto best = rates.best()) {
    json[key] = best->per_s;
    json["by"] = best->by;
  } else {
    json[key] = nullptr;
    json[std::string(key) + "_reason"] = "the clock did not advance";
    json["by"] = nullptr;
  }
  json["ways"] = nlohmann::ordered_json::object();
  for (const NamedRate& way : rates.ways) json["ways"][way.by] = way.per_s;
  json["rounds"] = rates.rounds;
}

}  // namespace

Fact<int64_t> last_level_cache(const MachineFacts& facts) {
  if (facts.l3_bytes.has_value()) return facts.l3_bytes;
  return facts.l2_bytes.has_value() ? facts.l2_bytes : Fact<int64_t>::unknown(facts.l3_bytes.reason);
}

std::optional<bool> is_out_of_cache(int64_t bytes, const Fact<int64_t>& last_level) {
  if (!last_level.has_value()) return std::nullopt;
  return bytes >= kTimesCache * *last_level;
}

WorkingSet in_cache_set(const MachineFacts& facts, int64_t threads) {
  const int64_t half = facts.l2_bytes.has_value() ? *facts.l2_bytes / 2 : kMiB / 2;
  const int64_t cores = std::clamp<int64_t>(threads, 1, std::max(1, facts.cores));
  return {kInCache, std::clamp(half * cores, kMiB / 8, 64 * kMiB)};
}

WorkingSet out_of_cache_set(const MachineFacts& facts, const Fact<int64_t>& free_memory) {
  const Fact<int64_t> last = last_level_cache(facts);
  int64_t most = 1024 * kMiB;
  if (free_memory.has_value()) most = std::min(most, *free_memory / 8);
  const int64_t wanted = last.has_value() ? std::max(64 * kMiB, kTimesCache * *last) : most;
  return {kOutOfCache, std::max(kMiB, std::min(wanted, most))};
}

GemmShape square_shape() { return {"square", 1024, 1024, 1024}; }

Peaks larger(const Peaks& a, const Peaks& b) {
  Peaks both = a;
  merge(both.read, b.read);
  merge(both.gemm, b.gemm);
  return both;
}

const ReadPeak* read_peak_for(const Peaks& peaks, int64_t bytes, std::optional<bool> out_of_cache) {
  const ReadPeak* nearest = nullptr;
  const auto distance = [&](const ReadPeak& peak) {
    return std::abs(std::log(static_cast<double>(peak.set.bytes) / static_cast<double>(std::max<int64_t>(bytes, 1))));
  };
  for (const ReadPeak& peak : peaks.read) {
    if (!peak.rates.best()) continue;
    if (peak.set.name == kOutOfCache && (out_of_cache == true || bytes >= peak.set.bytes)) return &peak;
    if (!nearest || distance(peak) < distance(*nearest)) nearest = &peak;
  }
  return nearest;
}

const GemmPeak* gemm_peak_of(const Peaks& peaks) {
  const GemmPeak* fastest = nullptr;
  for (const GemmPeak& peak : peaks.gemm) {
    if (!peak.rates.best()) continue;
    if (!fastest || peak.rates.best()->per_s > fastest->rates.best()->per_s) fastest = &peak;
  }
  return fastest;
}

nlohmann::ordered_json peaks_json(const Peaks& peaks) {
  using Json = nlohmann::ordered_json;
  Json read = Json::array(), gemm = Json::array();
  for (const ReadPeak& peak : peaks.read) {
    Json& entry = read.emplace_back(Json{{"working_set", peak.set.name}, {"bytes", peak.set.bytes}});
    entry["out_of_cache"] = peak.out_of_cache ? Json(*peak.out_of_cache) : Json();
    put_rates(entry, "bytes_per_s", peak.rates);
  }
  for (const GemmPeak& peak : peaks.gemm) {
    const GemmShape& shape = peak.shape;
    Json& entry = gemm.emplace_back(Json{{"shape", shape.name}, {"m", shape.m}, {"n", shape.n}, {"k", shape.k}});
    put_rates(entry, "flops_per_s", peak.rates);
  }
  return {{"threads", peaks.threads}, {"dtype", peaks.dtype}, {"read", read}, {"gemm", gemm}};
}

}  // namespace kvproof
