#include "engine/kernels/matmul.h"

#include <cstring>

#include "tests/engine/kernels/support.h"

using namespace kvproof::kernels;
using namespace kvproof::kernels::testing;

namespace {

template <typename W, typename X>
struct MatmulProblem {
  MatmulProblem(int64_t n, int64_t K, int64_t N) : n(n), K(K), N(N), w(N, K, 1), x(n, K, 2), y(n, N, 3) {}
  Matmul<W, X> args() { return {w.data(), w.stride(), x.data(), x.stride(), y.data(), y.stride(), n, K}; }
  double expected(int64_t i, int64_t j) const {
    long double sum = 0;
    for (int64_t k = 0; k < K; ++k) sum += static_cast<long double>(x.at(i, k)) * w.at(j, k);
    return static_cast<double>(sum);
  }

  int64_t n, K, N;
  Rows<W> w;
  Rows<X> x, y;
};

// The worst error in units of sqrt(K) over all shapes and instruction sets.
template <typename W, typename X>
double worst_matmul() {
  Worst worst;
  on_every_target([&] {
    for (const int64_t K : {1, 7, 16, 31, 64, 100, 257})
      for (const int64_t N : {1, 3, 4, 8, 21})
        for (const int64_t n : {1, 2, 3, 4, 5, 7, 8, 15, 16, 19}) {
          MatmulProblem<W, X> p(n, K, N);
          matmul(p.args(), {0, N});
          for (int64_t i = 0; i < n; ++i) {
            for (int64_t j = 0; j < N; ++j) worst.see(p.y.at(i, j), p.expected(i, j), std::sqrt(K));
            REQUIRE(std::isnan(p.y.at(i, N)));  // nothing is written behind a row
          }
        }
  });
  return worst.value();
}

template <typename T>
bool same_bits(const T* a, const T* b, int64_t n) {
  return std::memcmp(a, b, n * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE("a product is the sum it says, for any shape, on every instruction set; NaN behind the rows is not read") {
  CHECK(worst_matmul<float, float>() <= 6e-7);     // worst seen 4.7e-7, without vectors
  CHECK(worst_matmul<Bfloat16, float>() <= 6e-7);  // worst seen 4.2e-7
  CHECK(worst_matmul<double, double>() <= 8e-16);  // worst seen 6.7e-16
}

TEMPLATE_TEST_CASE("a sum's bits depend neither on the range of columns nor on the rows beside it", "", float, Bfloat16,
                   double) {
  using X = std::conditional_t<std::is_same_v<TestType, double>, double, float>;
  on_every_target([&] {
    constexpr int64_t K = 203, N = 29;
    MatmulProblem<TestType, X> all(16, K, N), parts(16, K, N), alone(16, K, N);
    matmul(all.args(), {0, N});
    for (const Range range : {Range{0, 1}, Range{1, 6}, Range{6, 6}, Range{6, 19}, Range{19, N}})
      matmul(parts.args(), range);
    Matmul<TestType, X> one = alone.args();
    one.n = 1;
    for (int64_t i = 0; i < 16; ++i, one.x += one.x_stride, one.y += one.y_stride) matmul(one, {0, N});
    for (int64_t i = 0; i < 16; ++i) {
      REQUIRE(same_bits(parts.y.row(i), all.y.row(i), N));
      REQUIRE(same_bits(alone.y.row(i), all.y.row(i), N));
    }
  });
}

TEST_CASE("only the range's columns are written, and only its weights are read") {
  on_every_target([&] {
    const int64_t n = GENERATE(1, 5);
    MatmulProblem<float, float> p(n, 40, 20);
    const MatmulProblem<float, float> before = p;
    for (const int64_t j : {0, 1, 2, 12, 13, 19})
      for (int64_t k = 0; k < p.K; ++k) p.w.row(j)[k] = std::numeric_limits<float>::quiet_NaN();
    matmul(p.args(), {3, 12});
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < 20; ++j) {
        if (j >= 3 && j < 12)
          CHECK(std::abs(p.y.at(i, j) - before.expected(i, j)) <= 1e-5);
        else
          CHECK(p.y.at(i, j) == before.y.at(i, j));
      }
  });
}
