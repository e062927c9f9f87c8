// How fast this machine reads and multiplies at best, and what of that a measurement is held against. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/machine/machine.h"
#include "harness/machine/peaks/contest.h"

namespace kvproof {

inline constexpr const char* kInCache = "in_cache";
inline constexpr const char* kOutOfCache = "out_of_cache";
inline constexpr const char* kWeights = "weights";  // as many bytes as a model's decode step reads of its weights

/// So many bytes, read again and again by all threads together.
struct WorkingSet {
  std::string name;  // one of the three above
  int64_t bytes = 0;
};

/// A linear layer's product: y (m, n) = x (m, k) Wᵀ, W (n, k).
struct GemmShape {
  std::string name;  // "square", "c_fc", "lm_head", …
  int64_t m = 0, n = 0, k = 0;

  double flops() const { return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k); }
};

struct ReadPeak {
  WorkingSet set;
  std::optional<bool> out_of_cache;  // is_out_of_cache of set.bytes
  Rates rates;                       // bytes per second
};

struct GemmPeak {
  GemmShape shape;
  Rates rates;  // FLOPs per second
};

/// What one number of threads reached in one dtype.
struct Peaks {
  int64_t threads = 0;
  std::string dtype;
  std::vector<ReadPeak> read;
  std::vector<GemmPeak> gemm;
};

/// The cache that reads pass last: L3, else L2. Unknown with the reason.
Fact<int64_t> last_level_cache(const MachineFacts& facts);

/// Whether so many bytes cannot come out of a cache: at least four times the last level. Absent where that is unknown.
std::optional<bool> is_out_of_cache(int64_t bytes, const Fact<int64_t>& last_level);

/// Half of each core's L2, for as many cores as threads can have; 512 KiB for a core whose L2 is unknown.
WorkingSet in_cache_set(const MachineFacts& facts, int64_t threads);

/// Four times the last-level cache, but no less than 64 MiB and no more than 1 GiB or an eighth of `free_memory`: virtual
/// machines report caches that they share with many others. is_out_of_cache says whether what came of it is enough.
WorkingSet out_of_cache_set(const MachineFacts& facts, const Fact<int64_t>& free_memory);

/// A large square, 1024 each way: enough for the full rate, and some ten milliseconds.
GemmShape square_shape();

/// Of two measurements of one number of threads and one dtype, the larger counts: by working set and size, by shape.
Peaks larger(const Peaks& a, const Peaks& b);

/// The peak that reading so many bytes again and again is held against: out of cache that set's, else the working set
/// nearest in size. Absent: no read peak, or none with a rate.
const ReadPeak* read_peak_for(const Peaks& peaks, int64_t bytes, std::optional<bool> out_of_cache);

/// The shape that reached most. Absent as above.
const GemmPeak* gemm_peak_of(const Peaks& peaks);

/// An entry of the record's machine.peaks: results/README.md.
nlohmann::ordered_json peaks_json(const Peaks& peaks);

}  // namespace kvproof
