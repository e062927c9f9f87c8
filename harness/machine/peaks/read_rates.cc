// Reading: the own kernels' matrix-vector product against a plain sum, over the same bytes.
#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "engine/kernels/matmul.h"
#include "engine/kernels/thread_team.h"
#include "harness/machine/peaks/measure_peaks.h"

namespace kvproof {
namespace {

using kernels::Member;
using kernels::Range;
using kernels::ThreadTeam;

constexpr int64_t kTimedBytes = int64_t{64} << 20;  // at least, so that waking the threads does not count
constexpr int64_t kRowElements = 1024;              // of W: the vector stays in the innermost cache

/// Where sums go, so that no compiler leaves them out.
std::atomic<float> sink;

template <class W>
Contender own_kernel(const WorkingSet& set, const ReadMemory& memory, ThreadTeam& team, int64_t passes) {
  using X = std::conditional_t<std::is_same_v<W, double>, double, float>;
  const int64_t rows = set.bytes / (kRowElements * static_cast<int64_t>(sizeof(W)));
  auto x = std::make_shared<std::vector<X>>(kRowElements, X{1});
  auto y = std::make_shared<std::vector<X>>(rows);
  const kernels::Matmul<W, X> product{
      static_cast<const W*>(memory.data()), kRowElements, x->data(), kRowElements, y->data(), rows, 1, kRowElements};
  // product points into x and y.
  return {"own kernel", [product, x, y, rows, passes, &team] {
            team.run([&](Member& member) {
              const Range part = member.share(rows, 8);
              for (int64_t pass = 0; pass < passes; ++pass) kernels::matmul(product, part);
            });
          }};
}

Contender plain_sum(const WorkingSet& set, const ReadMemory& memory, ThreadTeam& team, int64_t passes) {
  const auto* p = static_cast<const float*>(memory.data());
  return {"plain sum", [=, &team] {
            team.run([&](Member& member) {
              const Range part = member.share(set.bytes / 4, 128);
              for (int64_t pass = 0; pass < passes; ++pass)
                sink.store(sum_of(p + part.begin, part.size()), std::memory_order_relaxed);
            });
          }};
}

}  // namespace

Rates read_rates(const WorkingSet& wanted, const std::string& dtype, int threads, const ReadMemory& memory,
                 const ContestPolicy& policy, const Clock& clock) {
  if (wanted.bytes > memory.bytes()) throw std::invalid_argument("less memory than the working set " + wanted.name);
  // Whole rows of every dtype, so that both ways read the same bytes.
  constexpr int64_t kRowBytes = kRowElements * 8;
  const WorkingSet set{wanted.name, std::max(kRowBytes, wanted.bytes / kRowBytes * kRowBytes)};
  const int64_t passes = (kTimedBytes + set.bytes - 1) / set.bytes;
  ThreadTeam team(threads);
  std::vector<Contender> contenders;
  if (dtype == "float32") contenders.push_back(own_kernel<float>(set, memory, team, passes));
  if (dtype == "bfloat16") contenders.push_back(own_kernel<kernels::Bfloat16>(set, memory, team, passes));
  if (dtype == "float64") contenders.push_back(own_kernel<double>(set, memory, team, passes));
  contenders.push_back(plain_sum(set, memory, team, passes));
  return contest(static_cast<double>(set.bytes * passes), contenders, policy, clock);
}

}  // namespace kvproof
