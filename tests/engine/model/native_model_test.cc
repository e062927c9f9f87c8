// The native backend against the aten one, which shares nothing with it but weights and plans.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <new>

#include "engine/model/model.h"
#include "tests/engine/model/tensors.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {
std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};
}  // namespace

// Of this test program: all that C++ allocates passes here.
void* operator new(std::size_t size) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
// Not inlined: the compiler would see free() beside a new that it does not see through, and warn.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

// Logic is judged in float64. Worst seen 4e-14.
constexpr double kBackendsTolerance = 1e-11;

struct Both {
  Checkpoint checkpoint;
  std::unique_ptr<Model> native, aten;

  explicit Both(const Checkpoint& c, const std::string& dtype = "float64")
      : checkpoint(c), native(make_model(checkpoint, {.backend = "native", .dtype = dtype, .device = "cpu"})),
        aten(make_model(checkpoint, {.backend = "aten", .dtype = dtype, .device = "cpu"})) {}
};

// B rows of these lengths, padded to the longest.
TokenBatch batch_of(const std::vector<int64_t>& lengths, int64_t vocab_size, uint64_t seed) {
  TokenBatch batch{
      static_cast<int64_t>(lengths.size()), *std::max_element(lengths.begin(), lengths.end()), {}, lengths};
  const auto ids = some_tokens(batch.batch * batch.length, vocab_size, seed);
  batch.ids.assign(ids.begin(), ids.end());
  return batch;
}

// The logits that count: padding holds anything.
double max_abs_of(const TokenBatch& batch, const at::Tensor& a, const at::Tensor& b, LogitsAt at) {
  if (at == LogitsAt::last) return max_abs(a, b);
  double worst = 0;
  for (int64_t row = 0; row < batch.batch; ++row)
    worst = std::max(worst,
                     max_abs(a[row].narrow(0, 0, batch.row_length(row)), b[row].narrow(0, 0, batch.row_length(row))));
  return worst;
}

class Threads {
 public:
  explicit Threads(int threads) : before_(set_threads(0)) { set_threads(threads); }
  ~Threads() { set_threads(before_); }

 private:
  int before_;
};

}  // namespace

TEST_CASE("native and aten are one function, with and without a cache, whatever the batch", "[native]") {
  const auto spec =
      GENERATE(as<std::string>{}, "", "n_kv_head=1", "n_layer=3,n_embd=96,n_head=6,n_kv_head=2", "n_head=1,n_kv_head=1",
               "n_layer=1,window_pattern=S", "generation=2025-10", "generation=2026-01,window_pattern=none",
               "generation=2026-02", "generation=2026-03a", "dtype=bfloat16", "n_embd=160,n_head=2,n_kv_head=2");
  const auto threads = GENERATE(1, 2, 3, 5);
  const bool windowed = spec.find("2025") == std::string::npos && spec.find("none") == std::string::npos;
  const Threads scope(threads);
  const Both both(
      small_checkpoint(spec, windowed ? ArchitectureOverrides{{"short_window", "5"}} : ArchitectureOverrides{}));
  // Up to 16 rows of tokens are few, more are many: two ways of multiplying matrices.
  const std::vector<std::vector<int64_t>> batches = {{1},       {16},      {17},          {70},
                                                     {1, 1, 1}, {3, 1, 5}, {9, 20, 1, 4}, std::vector<int64_t>(20, 1)};
  for (const auto& lengths : batches) {
    for (const LogitsAt at : {LogitsAt::last, LogitsAt::all}) {
      CAPTURE(spec, threads, lengths, at == LogitsAt::all);
      const TokenBatch first = batch_of(lengths, 97, 1), then = batch_of(lengths, 97, 2);
      CHECK(max_abs_of(first, both.native->forward(first, at), both.aten->forward(first, at), at) <=
            kBackendsTolerance);
      KVCache ours = both.native->new_cache(first.batch, 150), theirs = both.aten->new_cache(first.batch, 150);
      for (const TokenBatch& step : {first, then}) {
        const at::Tensor a = both.native->forward(step, ours, at), b = both.aten->forward(step, theirs, at);
        CHECK(max_abs_of(step, a, b, at) <= kBackendsTolerance);
      }
      for (int64_t layer = 0; layer < both.native->config().n_layer; ++layer)
        for (int64_t row = 0; row < first.batch; ++row) {
          CHECK(max_abs(ours.keys(layer)[row].narrow(1, 0, ours.length(row)),
                        theirs.keys(layer)[row].narrow(1, 0, ours.length(row))) <= kBackendsTolerance);
          CHECK(max_abs(ours.values(layer)[row].narrow(1, 0, ours.length(row)),
                        theirs.values(layer)[row].narrow(1, 0, ours.length(row))) <= kBackendsTolerance);
        }
    }
  }
}

TEST_CASE("more threads than heads share out the keys of a decode step, and a row's bits do not depend on other rows",
          "[native]") {
  const auto spec = GENERATE(as<std::string>{}, "n_head=1,n_kv_head=1", "n_head=4,n_kv_head=2",
                             "n_head=1,n_kv_head=1,window_pattern=L");
  const Both both(small_checkpoint(spec, {{"short_window", "270"}}));
  const Threads scope(GENERATE(2, 3, 5));
  const TokenBatch prompt = batch_of({600}, 97, 9), step = TokenBatch::single({5});
  KVCache ours = both.native->new_cache(1, 640), theirs = both.aten->new_cache(1, 640);
  both.native->forward(prompt, ours, LogitsAt::last);
  both.aten->forward(prompt, theirs, LogitsAt::last);
  KVCache rows = ours.clone_rows(std::vector<int64_t>(3, 0), 640);
  for (int64_t t = 0; t < 3; ++t) {
    const at::Tensor alone = both.native->forward(step, ours, LogitsAt::last);
    CAPTURE(spec, t);
    CHECK(max_abs(alone, both.aten->forward(step, theirs, LogitsAt::last)) <= kBackendsTolerance);
    const at::Tensor together = both.native->forward(TokenBatch::column({5, 5, 5}), rows, LogitsAt::last);
    for (int64_t row = 0; row < 3; ++row) CHECK(together[row].equal(alone[0]));
  }
}

TEST_CASE("whatever a plan says, native executes as aten does", "[native]") {
  const Both both(small_checkpoint("", {{"short_window", "5"}}));
  const std::map<std::string, Model::PlanFilter> filters = {
      {"window",
       [](StepPlan p) {
         for (auto& l : p.layers) l.window = 2;
         return p;
       }},
      {"diagonal",
       [](StepPlan p) {
         for (auto& l : p.layers) l.diagonal = -1;
         return p;
       }},
      {"scales",
       [](StepPlan p) {
         for (auto& l : p.layers) {
           l.q_scale *= 1.1;
           l.k_scale *= 0.9;
           l.attention_scale *= 2;
         }
         return p;
       }},
      {"kv heads in turns",
       [](StepPlan p) {
         for (std::size_t h = 0; h < p.kv_head.size(); ++h) p.kv_head[h] = static_cast<int64_t>(h) % 2;
         return p;
       }},
      {"key ranges",
       [](StepPlan p) {
         for (auto& l : p.layers)
           for (auto& begin : l.key_begin) begin = std::min<int64_t>(begin + 1, 2);
         return p;
       }},
      {"positions",
       [](StepPlan p) {
         for (auto& r : p.rows) r.position += 3;
         return p;
       }},
      {"predecessors",
       [](StepPlan p) {
         for (auto& r : p.rows) r.previous_token = 7;
         return p;
       }},
      {"blocks of 3 keys",
       [](StepPlan p) {
         for (auto& l : p.layers) l.key_block = 3;
         return p;
       }},
      {"a block of 100 keys",
       [](StepPlan p) {
         for (auto& l : p.layers) l.key_block = 100;
         return p;
       }},
  };
  for (const auto& [name, filter] : filters) {
    for (const auto& lengths : std::vector<std::vector<int64_t>>{{6}, {30}, {2, 4, 1}}) {
      CAPTURE(name, lengths);
      const TokenBatch first = batch_of(lengths, 97, 3),
                       then = batch_of(std::vector<int64_t>(lengths.size(), 1), 97, 4);
      KVCache ours = both.native->new_cache(first.batch, 40), theirs = both.aten->new_cache(first.batch, 40);
      const at::Tensor plain = both.native->forward(first, LogitsAt::last).clone();
      both.native->set_plan_filter(filter);
      both.aten->set_plan_filter(filter);
      if (name.find("block") == std::string::npos)
        CHECK(max_abs(both.native->forward(first, LogitsAt::last), plain) > 1e-8);
      for (const TokenBatch& step : {first, then})
        CHECK(max_abs(both.native->forward(step, ours, LogitsAt::last),
                      both.aten->forward(step, theirs, LogitsAt::last)) <= kBackendsTolerance);
      both.native->set_plan_filter({});
      both.aten->set_plan_filter({});
    }
  }
}

TEST_CASE("native shows the stages that aten shows", "[native]") {
  const Threads scope(GENERATE(1, 2));
  const Both both(small_checkpoint());
  for (const TokenBatch& batch : {batch_of({5, 5}, 97, 5), batch_of({40}, 97, 5)}) {
    std::map<std::pair<Stage, int64_t>, at::Tensor> seen;
    both.aten->set_stage_tap([&](Stage stage, int64_t layer, const at::Tensor& values) {
      seen[{stage, layer}] = values.clone();
    });
    both.aten->forward(batch, LogitsAt::all);
    std::size_t shown = 0;
    both.native->set_stage_tap([&](Stage stage, int64_t layer, const at::Tensor& values) {
      CAPTURE(static_cast<int>(stage), layer);
      REQUIRE(seen.count({stage, layer}) == 1);
      CHECK(max_abs(values, seen[{stage, layer}]) <= kBackendsTolerance);
      ++shown;
    });
    both.native->forward(batch, LogitsAt::all);
    CHECK(shown == seen.size());
  }
}

TEST_CASE("native's bfloat16 is nearer to float64 than aten's", "[native]") {
  const Checkpoint checkpoint = small_checkpoint();
  const Both both(checkpoint, "bfloat16");
  const auto exact = make_model(checkpoint, {.dtype = "float64", .device = "cpu"});
  for (const int64_t n : {7, 60}) {
    const TokenBatch batch = batch_of({n}, 97, 6);
    const auto error = [&](const Model& model) {
      return (model.forward(batch, LogitsAt::all).to(at::kDouble) - exact->forward(batch, LogitsAt::all))
          .pow(2)
          .mean()
          .item<double>();
    };
    CAPTURE(n);
    CHECK(error(*both.native) < error(*both.aten));
    CHECK(error(*both.native) > 0);  // weights of 8 bits
  }
}

TEST_CASE("a decode step allocates nothing and calls no operator of LibTorch", "[native]") {
  const auto dtype = GENERATE(as<std::string>{}, "float32", "bfloat16", "float64");
  const auto rows = GENERATE(1, 8, 16);
  const Threads scope(GENERATE(1, 2, 3));
  const auto model = make_model(small_checkpoint(), {.backend = "native", .dtype = dtype, .device = "cpu"});
  KVCache cache = model->new_cache(rows, 20);
  const TokenBatch step = TokenBatch::column(std::vector<int32_t>(rows, 3));
  static std::atomic<int64_t> operators{0};
  const at::CallbackHandle handle = at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction&) {
    ++operators;
    return std::unique_ptr<at::ObserverContext>();
  }));
  at::Tensor held;  // as a generation holds one step's logits while it computes the next
  int64_t warm_operators = 0;
  for (int64_t t = 0; t < 10; ++t) {
    const bool warm = t >= 3;
    operators = allocations = 0;
    counting = warm;
    held = model->forward(step, cache, LogitsAt::last);
    counting = false;
    if (!warm) warm_operators += operators;
    if (warm) {
      CHECK(allocations == 0);
      CHECK(operators == 0);
    }
  }
  CHECK(warm_operators > 0);  // so the counter counts: the first steps make room for logits
  at::removeCallback(handle);
}

TEST_CASE("logits that somebody holds are not written over", "[native]") {
  const auto model = make_model(small_checkpoint(), {.backend = "native", .dtype = "float32", .device = "cpu"});
  KVCache cache = model->new_cache(1, 20);
  std::vector<at::Tensor> held, views, copies;
  for (int32_t t = 0; t < 8; ++t) {
    const at::Tensor logits = model->forward(TokenBatch::single({t}), cache, LogitsAt::last);
    copies.push_back(logits.clone());
    (t % 2 == 0 ? held : views).push_back(t % 2 == 0 ? logits : logits[0]);
  }
  for (std::size_t i = 0; i < copies.size(); ++i)
    CHECK((i % 2 == 0 ? held[i / 2] : views[i / 2].unsqueeze(0)).equal(copies[i]));
}

TEST_CASE("while a native model lives LibTorch has one thread, and the number asked for is native's", "[native]") {
  const Threads scope(3);
  CHECK(at::get_num_threads() == 3);
  {
    const auto model =
        make_model(small_checkpoint(), {.backend = "native", .dtype = "float32", .device = "cpu", .pin = true});
    CHECK(at::get_num_threads() == 1);
    CHECK(set_threads(0) == 3);
    const at::Tensor three = model->forward(batch_of({30}, 97, 8), LogitsAt::last);
    set_threads(2);
    CHECK(at::get_num_threads() == 1);
    CHECK(max_abs(model->forward(batch_of({30}, 97, 8), LogitsAt::last), three) <= 1e-5);
  }
  CHECK(at::get_num_threads() == 2);
}

TEST_CASE("a plan that reads or writes outside the cache is refused before anything is written", "[native]") {
  const auto model = make_model(small_checkpoint(), {.backend = "native", .dtype = "float32", .device = "cpu"});
  KVCache cache = model->new_cache(1, 4);
  model->forward(TokenBatch::single({1, 2}), cache, LogitsAt::last);
  const at::Tensor before = cache.keys(0).clone();
  const auto refused = [&](Model::PlanFilter filter) {
    model->set_plan_filter(std::move(filter));
    CHECK_THROWS(model->forward(TokenBatch::single({3}), cache, LogitsAt::last));
    model->set_plan_filter({});
    CHECK(cache.length(0) == 2);
    CHECK(cache.keys(0).equal(before));
  };
  refused([](StepPlan p) {
    p.rows[0].write_at = 4;
    return p;
  });
  refused([](StepPlan p) {
    p.rows[0].cache_row = 1;
    return p;
  });
  refused([](StepPlan p) {
    p.layers[1].key_end[0] = 5;
    return p;
  });
  refused([](StepPlan p) {
    p.rows[0].position = 1 << 20;
    return p;
  });
}
