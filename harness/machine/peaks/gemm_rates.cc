// Multiplying: LibTorch with threads of its own against LibTorch in the members of a team.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <stdexcept>

#include "engine/kernels/thread_team.h"
#include "harness/machine/peaks/measure_peaks.h"

namespace kvproof {
namespace {

using kernels::Member;
using kernels::Range;
using kernels::ThreadTeam;

/// LibTorch's thread count is the calling thread's and the process's: whoever changes it puts it back.
class TorchThreads {
 public:
  TorchThreads() : before_(at::get_num_threads()) {}
  ~TorchThreads() { at::set_num_threads(before_); }
  TorchThreads(const TorchThreads&) = delete;
  TorchThreads& operator=(const TorchThreads&) = delete;

 private:
  int before_;
};

at::ScalarType scalar_type_of(const std::string& dtype) {
  if (dtype == "float64") return at::kDouble;
  if (dtype == "bfloat16") return at::kBFloat16;
  if (dtype == "float16") return at::kHalf;
  return at::kFloat;
}

/// Some numbers of either sign; what they are does not matter, that they are no zeros might.
at::Tensor matrix(int64_t rows, int64_t columns, at::ScalarType dtype) {
  return at::linspace(-1, 1, rows * columns, at::kFloat).view({rows, columns}).to(dtype);  // (rows, columns)
}

}  // namespace

Rates gemm_rates(const GemmShape& shape, const std::string& dtype, int threads, const ContestPolicy& policy,
                 const Clock& clock) {
  if (shape.m < 1 || shape.n < 1 || shape.k < 1) throw std::invalid_argument("an empty product: " + shape.name);
  const TorchThreads restore;
  const at::ScalarType type = scalar_type_of(dtype);
  const at::Tensor x = matrix(shape.m, shape.k, type), w = matrix(shape.n, shape.k, type);  // (m, k), (n, k)
  at::Tensor y = at::empty({shape.m, shape.n}, type);                                       // (m, n)
  ThreadTeam team(threads);
  std::vector<at::Tensor> w_of(threads), y_of(threads);  // a member's rows of W, and its columns of y
  team.run([&](Member& member) {
    const Range part = member.share(shape.n, 16);
    w_of[member.index()] = w.narrow(0, part.begin, part.size()).t();  // (k, part)
    y_of[member.index()] = at::empty({shape.m, part.size()}, type);   // (m, part)
  });

  std::vector<Contender> contenders = {{"LibTorch", [&] {
                                          at::set_num_threads(threads);
                                          at::mm_out(y, x, w.t());
                                        }}};
  if (threads > 1) {
    contenders.push_back({"LibTorch by columns", [&] {
                            team.run([&](Member& member) {
                              at::set_num_threads(1);
                              at::Tensor& out = y_of[member.index()];
                              if (out.numel() > 0) at::mm_out(out, x, w_of[member.index()]);
                            });
                          }});
  }
  return contest(shape.flops(), contenders, policy, clock);
}

}  // namespace kvproof
