#include "engine/kernels/vector_ops.h"

#include <bit>
#include <type_traits>

#include "tests/engine/kernels/support.h"

using namespace kvproof::kernels;
using namespace kvproof::kernels::testing;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const std::vector<int64_t> kLengths = {1, 2, 7, 8, 16, 33, 64, 100, 257};

// One bound per type, in units of the last place of 1.
template <typename X>
double ulps(double count) {
  return count * std::numeric_limits<X>::epsilon();
}

template <typename X>
double worst_norm() {
  Worst worst;
  on_every_target([&] {
    for (const int64_t n : kLengths) {
      Rows<X> x(1, n, 8);
      Rows<X> y = x;
      const X eps = static_cast<X>(1.1920929e-7);
      rms_norm(x.data(), y.data(), n, eps);
      double squares = 0;
      for (int64_t i = 0; i < n; ++i) squares += x.at(0, i) * x.at(0, i);
      for (int64_t i = 0; i < n; ++i) worst.see(y.at(0, i), x.at(0, i) / std::sqrt(squares / n + double{eps}));
      REQUIRE(std::isnan(y.at(0, n)));
      rms_norm(x.data(), x.data(), n, eps);  // in place
      for (int64_t i = 0; i < n; ++i) REQUIRE(x.at(0, i) == y.at(0, i));
    }
  });
  return worst.value();
}

template <typename X>
double worst_rotation() {
  Worst worst;
  on_every_target([&] {
    for (const int64_t dim : {2, 8, 24, 64, 66, 128}) {
      const int64_t half = dim / 2;
      const Rows<X> x(1, dim, 9), cos(1, half, 10), sin(1, half, 11);
      Rows<X> rotated = x, normed = x, in_place = x;
      const X eps = static_cast<X>(1e-6), scale = static_cast<X>(1.2);
      rotate(x.data(), cos.data(), sin.data(), rotated.data(), dim);
      rotate_norm(x.data(), cos.data(), sin.data(), normed.data(), dim, eps, scale);
      rotate_norm(in_place.data(), cos.data(), sin.data(), in_place.data(), dim, eps, scale);
      std::vector<double> expected(dim);
      double squares = 0;
      for (int64_t i = 0; i < half; ++i) {
        expected[i] = x.at(0, i) * cos.at(0, i) + x.at(0, half + i) * sin.at(0, i);
        expected[half + i] = x.at(0, half + i) * cos.at(0, i) - x.at(0, i) * sin.at(0, i);
      }
      for (const double e : expected) squares += e * e;
      for (int64_t i = 0; i < dim; ++i) {
        worst.see(rotated.at(0, i), expected[i]);
        worst.see(normed.at(0, i), 1.2 * expected[i] / std::sqrt(squares / dim + 1e-6));
        REQUIRE(in_place.at(0, i) == normed.at(0, i));
      }
      REQUIRE(std::isnan(normed.at(0, dim)));
    }
  });
  return worst.value();
}

// The worst relative error of y = kernel(x) over many x, some of them large.
template <typename X, typename Kernel, typename Exact>
double worst_of(Kernel kernel, Exact exact) {
  Worst worst;
  on_every_target([&] {
    for (const int64_t n : kLengths)
      for (const double spread : {1e-4, 1.0, 10.0, 200.0}) {
        Rows<X> x(1, n, 12);
        for (int64_t i = 0; i < n; ++i) x.row(0)[i] *= static_cast<X>(spread);
        Rows<X> y = x;
        kernel(x.data(), y.data(), n);
        for (int64_t i = 0; i < n; ++i) {
          const double expected = exact(x.at(0, i));
          worst.see(y.at(0, i), expected, std::abs(expected) + 1e-30);
        }
        REQUIRE(std::isnan(y.at(0, n)));
        x.row(0)[n / 2] = static_cast<X>(kNaN);
        kernel(x.data(), y.data(), n);
        REQUIRE(std::isnan(y.at(0, n / 2)));
      }
  });
  return worst.value();
}

}  // namespace

TEST_CASE("rms_norm divides by the root of the mean square") {
  CHECK(worst_norm<float>() <= ulps<float>(3));    // worst seen 1.6
  CHECK(worst_norm<double>() <= ulps<double>(5));  // worst seen 4.0
}

TEST_CASE("a head is rotated by halves, then normed and scaled") {
  CHECK(worst_rotation<float>() <= ulps<float>(5));    // worst seen 3.8
  CHECK(worst_rotation<double>() <= ulps<double>(5));  // worst seen 4.0
}

TEMPLATE_TEST_CASE("axpby mixes two rows, also into one of them", "", float, double) {
  on_every_target([&] {
    for (const int64_t n : kLengths) {
      const Rows<TestType> x(1, n, 13), y(1, n, 14);
      Rows<TestType> z = x, into_y = y;
      const auto a = static_cast<TestType>(0.75), b = static_cast<TestType>(-1.5);
      axpby(a, x.data(), b, y.data(), z.data(), n);
      axpby(a, x.data(), b, into_y.data(), into_y.data(), n);
      for (int64_t i = 0; i < n; ++i) {
        REQUIRE(std::abs(z.at(0, i) - (0.75 * x.at(0, i) - 1.5 * y.at(0, i))) <= ulps<TestType>(2));
        REQUIRE(into_y.at(0, i) == z.at(0, i));
      }
      REQUIRE(std::isnan(z.at(0, n)));
    }
  });
}

TEMPLATE_TEST_CASE("gates, activations and the softcap are accurate to their type, and keep NaN", "", float, double) {
  using X = TestType;
  CHECK(worst_of<X>([](const X* x, X* y, int64_t n) { sigmoid(x, y, n, X{3}); },
                    [](double x) { return 3 / (1 + std::exp(-std::clamp(x, -88.0, 88.0))); }) <=
        ulps<X>(2));  // worst seen 1.4
  CHECK(worst_of<X>([](const X* x, X* y, int64_t n) { relu_squared(x, y, n); },
                    [](double x) { return x > 0 ? x * x : 0; }) <= ulps<X>(1));
  CHECK(worst_of<X>([](const X* x, X* y, int64_t n) { softcap(x, y, n, X{15}); },
                    [](double x) { return 15 * std::tanh(x / 15); }) <= ulps<X>(3));  // worst seen 2.0
}

TEMPLATE_TEST_CASE("a row is added to another, widened where it is narrower", "", float, Bfloat16, double) {
  using X = std::conditional_t<std::is_same_v<TestType, double>, double, float>;
  on_every_target([&] {
    for (const int64_t n : kLengths) {
      const Rows<TestType> y(1, n, 15);
      Rows<X> x(1, n, 16);
      const Rows<X> before = x;
      add(y.data(), x.data(), n);
      for (int64_t i = 0; i < n; ++i) REQUIRE(x.row(0)[i] == static_cast<X>(before.row(0)[i] + static_cast<X>(y.at(0, i))));
      REQUIRE(std::isnan(x.at(0, n)));
    }
  });
}

TEST_CASE("bfloat16 is squared above zero as float is, and rounded once") {
  on_every_target([&] {
    for (const int64_t n : kLengths) {
      Rows<Bfloat16> x(1, n, 17);
      x.row(0)[n / 2] = from_double<Bfloat16>(kNaN);
      Rows<Bfloat16> y = x;
      relu_squared(y.data(), y.data(), n);  // in place
      for (int64_t i = 0; i < n; ++i) {
        const float v = to_float(x.row(0)[i]);
        if (std::isnan(v)) REQUIRE(std::isnan(y.at(0, i)));
        else REQUIRE(y.row(0)[i].bits == to_bfloat16(v > 0 ? v * v : 0).bits);
      }
    }
  });
}

TEST_CASE("sigmoid saturates without overflow") {
  on_every_target([&] {
    const double inf = std::numeric_limits<double>::infinity();
    const std::vector<float> x = {-1e30f, 1e30f, static_cast<float>(-inf), static_cast<float>(inf), 0.f};
    std::vector<float> y(5);
    sigmoid(x.data(), y.data(), 5, 2.f);
    CHECK(std::abs(y[0]) <= 1e-37f);
    CHECK(y[1] == 2.f);
    CHECK(std::abs(y[2]) <= 1e-37f);
    CHECK(y[3] == 2.f);
    CHECK(y[4] == 1.f);
  });
}

TEST_CASE("float to bfloat16 rounds to nearest even, and back is exact") {
  on_every_target([&] {
    // Every bfloat16, and between it and the next: a quarter, exactly half, three quarters of the way.
    std::vector<float> x, expected;
    for (uint32_t upper = 0; upper < 0x10000; ++upper)
      for (const uint32_t lower : {0u, 0x4000u, 0x8000u, 0xc000u}) {
        x.push_back(std::bit_cast<float>(upper << 16 | lower));
        const uint32_t up = lower > 0x8000u || (lower == 0x8000u && upper % 2 == 1) ? 1 : 0;
        expected.push_back(std::bit_cast<float>((upper + up) << 16));
      }
    const auto n = static_cast<int64_t>(x.size()) - 1;  // not a multiple of a vector
    std::vector<Bfloat16> narrow(n);
    std::vector<float> back(n);
    convert(x.data(), narrow.data(), n);
    convert(narrow.data(), back.data(), n);
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; ++i) {
      wrong += narrow[i].bits != to_bfloat16(x[i]).bits;  // the scalar definition
      wrong += std::isnan(x[i]) ? !std::isnan(back[i]) : back[i] != expected[i];
    }
    CHECK(wrong == 0);
  });
}
