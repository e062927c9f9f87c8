#include "engine/kernels/attention.h"

#include <cstring>

#include "tests/engine/kernels/support.h"

using namespace kvproof::kernels;
using namespace kvproof::kernels::testing;

namespace {

template <typename KV, typename X>
struct AttentionProblem {
  AttentionProblem(int64_t n, int64_t slots, int64_t D, std::vector<Range> ranges)
      : D(D), q(n, D, 4), out(n, D, 5), k(slots, D, 6), v(slots, D, 7), ranges(std::move(ranges)) {}
  Attention<KV, X> args() {
    return {q.data(),   q.stride(), k.data(),     k.stride(),    v.data(),
            v.stride(), out.data(), out.stride(), ranges.data(), static_cast<int64_t>(ranges.size()),
            D,          scale,      nullptr};
  }
  // All of one query's weights at once.
  std::vector<long double> expected(int64_t i) const {
    std::vector<long double> scores, sum(D, 0);
    for (int64_t j = ranges[i].begin; j < ranges[i].end; ++j) {
      long double dot = 0;
      for (int64_t c = 0; c < D; ++c) dot += static_cast<long double>(q.at(i, c)) * k.at(j, c);
      scores.push_back(dot * scale);
    }
    const long double top = *std::max_element(scores.begin(), scores.end());
    long double total = 0;
    for (long double& score : scores) total += score = std::exp(score - top);
    for (int64_t j = ranges[i].begin; j < ranges[i].end; ++j)
      for (int64_t c = 0; c < D; ++c) sum[c] += scores[j - ranges[i].begin] / total * v.at(j, c);
    return sum;
  }
  void see(Worst& worst) const {
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const auto sum = expected(i);
      for (int64_t c = 0; c < D; ++c) worst.see(out.at(i, c), static_cast<double>(sum[c]));
    }
  }

  int64_t D;
  Rows<X> q, out;
  Rows<KV> k, v;
  std::vector<Range> ranges;
  X scale = static_cast<X>(1.7);  // sharp enough for weights to differ
};

template <typename KV, typename X>
double worst_attention() {
  Worst worst;
  on_every_target([&] {
    for (const int64_t D : {8, 24, 64, 72, 128, 5})
      for (const int64_t group : {1, 2, 4, 5})  // query heads that share the kv head
        for (const Range range :
             {Range{0, 1}, Range{0, 64}, Range{0, 65}, Range{3, 20}, Range{60, 200}, Range{130, 131}}) {
          AttentionProblem<KV, X> p(group, 200, D, std::vector<Range>(group, range));
          for (int64_t j = 0; j < 200; ++j)  // what lies outside the window must not be read
            for (int64_t c = 0; c < D; ++c)
              if (j < range.begin || j >= range.end)
                p.k.row(j)[c] = p.v.row(j)[c] = from_double<KV>(std::numeric_limits<double>::quiet_NaN());
          attend(p.args());
          p.see(worst);
        }
  });
  return worst.value();
}

// A chunk of T tokens of `group` heads each, the first in `slot`, that see `window` slots back.
std::vector<Range> causal(int64_t T, int64_t group, int64_t slot, int64_t window) {
  std::vector<Range> ranges;
  for (int64_t t = 0; t < T; ++t)
    for (int64_t h = 0; h < group; ++h) ranges.push_back({std::max<int64_t>(0, slot + t - window), slot + t + 1});
  return ranges;
}

}  // namespace

TEST_CASE(
    "attention is a softmax over the slots of its range, for any head size, group and window; NaN outside is not "
    "read") {
  CHECK(worst_attention<float, float>() <= 2.5e-6);     // worst seen 2.1e-6, without vectors
  CHECK(worst_attention<Bfloat16, float>() <= 2.5e-6);  // worst seen 1.7e-6
  CHECK(worst_attention<double, double>() <= 6e-15);    // worst seen 4.9e-15
}

TEMPLATE_TEST_CASE("a chunk's tokens see what they would see alone, to the bit", "", float, Bfloat16, double) {
  using X = std::conditional_t<std::is_same_v<TestType, double>, double, float>;
  on_every_target([&] {
    for (const int64_t group : {1, 2, 4})
      for (const int64_t window : {5, 70, 1000}) {
        const auto ranges = causal(40, group, 50, window);  // more queries than fit one pass
        AttentionProblem<TestType, X> together(40 * group, 90, 32, ranges), alone(40 * group, 90, 32, ranges);
        attend(together.args());
        Attention<TestType, X> one = alone.args();
        one.n = 1;
        for (std::size_t i = 0; i < ranges.size();
             ++i, one.q += one.q_stride, one.out += one.out_stride, ++one.ranges) {
          attend(one);
          REQUIRE(std::memcmp(together.out.row(i), alone.out.row(i), 32 * sizeof(X)) == 0);
        }
        Worst worst;
        together.see(worst);
        CHECK(worst.value() <= (sizeof(X) == 8 ? 2e-15 : 1.2e-6));  // worst seen 1.5e-15 and 9.5e-7
      }
  });
}

TEMPLATE_TEST_CASE("parts of the slots, weighed by their lse, make the whole; a query that sees none gets zeros", "", float,
                   Bfloat16, double) {
  using X = std::conditional_t<std::is_same_v<TestType, double>, double, float>;
  on_every_target([&] {
    const std::vector<Range> all = {{0, 150}, {20, 90}, {10, 10}, {100, 150}}, first = {{0, 77}, {20, 77}, {10, 10}, {0, 0}},
                             second = {{77, 150}, {77, 90}, {10, 10}, {100, 150}};
    const auto attended = [&](const std::vector<Range>& ranges, std::vector<X>& lse) {
      AttentionProblem<TestType, X> p(4, 150, 40, ranges);
      Attention<TestType, X> a = p.args();
      lse.resize(4);
      a.lse = lse.data();
      attend(a);
      return p;
    };
    std::vector<X> whole_lse, first_lse, second_lse;
    const auto whole = attended(all, whole_lse), left = attended(first, first_lse), right = attended(second, second_lse);
    const double tolerance = sizeof(X) == 8 ? 1e-14 : 3e-6;
    for (const int64_t i : {0, 1, 3}) {
      const double a = std::exp(first_lse[i] - whole_lse[i]), b = std::exp(second_lse[i] - whole_lse[i]);
      REQUIRE(std::abs(a + b - 1) <= tolerance);
      for (int64_t c = 0; c < 40; ++c)
        REQUIRE(std::abs(a * left.out.at(i, c) + b * right.out.at(i, c) - whole.out.at(i, c)) <= tolerance);
    }
    for (int64_t c = 0; c < 40; ++c) REQUIRE(whole.out.at(2, c) == 0);
    REQUIRE(whole_lse[2] == -std::numeric_limits<X>::infinity());
  });
}

TEST_CASE("scores far apart and far from zero neither overflow nor vanish") {
  on_every_target([&] {
    AttentionProblem<float, float> p(1, 150, 16, {{0, 150}});
    p.scale = 500;
    attend(p.args());
    Worst worst;
    p.see(worst);
    CHECK(worst.value() <= 1e-3);  // float scores of some thousands: 2e-4 between neighbours
    for (int64_t j = 0; j < 150; ++j) std::copy_n(p.k.row(0), 16, p.k.row(j));  // all alike: the mean
    attend(p.args());
    Worst mean;
    p.see(mean);
    CHECK(mean.value() <= 1e-7);  // worst seen 2.2e-8
  });
}

TEST_CASE("NaN in a visible key or value reaches the queries that see it, and no others") {
  on_every_target([&] {
    const bool in_key = GENERATE(true, false);
    AttentionProblem<float, float> p(3, 200, 16, {{0, 10}, {0, 200}, {11, 200}});
    (in_key ? p.k : p.v).row(10)[3] = std::numeric_limits<float>::quiet_NaN();
    attend(p.args());
    CHECK_FALSE(std::isnan(p.out.at(0, 3)));
    CHECK(std::isnan(p.out.at(1, 3)));
    CHECK_FALSE(std::isnan(p.out.at(2, 3)));
    if (in_key) CHECK(std::isnan(p.out.at(1, 0)));
  });
}
