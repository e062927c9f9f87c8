// Our own engine behind the protocol is our own engine, to the bit.
#include <cmath>
#include <cstring>

#include "engine/model/model.h"
#include "harness/error.h"
#include "harness/subject/child_subject.h"
#include "tests/support/catch.h"

using namespace kvproof;
using kvproof::testing::source_path;

namespace {

const char* const kHead = "harness/verify/vectors/generations/head";

std::string command() { return std::string(KVPROOF_PROGRAM) + " subject --threads 1 --base-dir " + source_path(kHead); }

ChildOptions served(std::optional<std::string> dtype = {}) {
  ChildOptions options;
  options.command = command();
  options.dtype = std::move(dtype);
  return options;
}

/// The same model twice: in this process and in a child.
struct Both {
  explicit Both(const std::string& dtype = "float32")
      : model(make_model(checkpoint, {"auto", dtype, "cpu"})), ours(make_in_process_subject(*model, nullptr)),
        child(served(dtype)) {}

  Checkpoint checkpoint = load_checkpoint({source_path(kHead), {}, {}, {}});
  std::unique_ptr<Model> model;
  std::unique_ptr<Subject> ours;
  ChildSubject child;
};

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

void check_same(const LogitRows& a, const LogitRows& b) {
  CHECK(a.first_position == b.first_position);
  CHECK(a.rows == b.rows);
  CHECK(a.vocab == b.vocab);
  CHECK(same_bits(a.values, b.values));
}

/// A cache of each, led through the same operations.
class TwoCaches {
 public:
  TwoCaches(std::unique_ptr<SubjectCache> ours, std::unique_ptr<SubjectCache> child)
      : ours_(std::move(ours)), child_(std::move(child)) {
    compare();
  }
  TwoCaches(Both& both, int64_t rows, int64_t capacity)
      : TwoCaches(both.ours->new_cache(rows, capacity), both.child.new_cache(rows, capacity)) {}

  SubjectCache& ours() { return *ours_; }
  SubjectCache& child() { return *child_; }

  template <class Operation>
  void both(Operation&& operation) {
    operation(*ours_);
    operation(*child_);
    compare();
  }

  void forward(const TokenBatch& tokens, LogitsAt at) {
    const auto expected = ours_->forward(tokens, at), found = child_->forward(tokens, at);
    REQUIRE(expected.size() == found.size());
    for (std::size_t row = 0; row < found.size(); ++row) check_same(expected[row], found[row]);
    compare();
  }

  TwoCaches clone(const std::vector<int64_t>& rows, int64_t capacity) {
    return {ours_->clone_rows(rows, capacity), child_->clone_rows(rows, capacity)};
  }

 private:
  void compare() {
    REQUIRE(child_->batch() == ours_->batch());
    CHECK(child_->capacity() == ours_->capacity());
    CHECK(child_->bytes() == ours_->bytes());
    for (int64_t row = 0; row < ours_->batch(); ++row) {
      const int64_t held = ours_->length(row);
      REQUIRE(child_->length(row) == held);
      for (const int64_t layer : {0, 1}) {
        const auto expected = ours_->contents(row, layer, 0, held), found = child_->contents(row, layer, 0, held);
        REQUIRE(found);
        CHECK(found->present.empty());
        CHECK(same_bits(found->keys, expected->keys));
        CHECK(same_bits(found->values, expected->values));
      }
    }
  }

  std::unique_ptr<SubjectCache> ours_, child_;
};

}  // namespace

TEST_CASE("a child says of itself what the engine in this process says") {
  const Both both("float64");
  const SubjectInfo ours = both.ours->info(), child = both.child.info();
  CHECK(child.name.rfind("kvproof native ", 0) == 0);
  CHECK(child.backend == "native");
  CHECK(child.dtype == "float64");
  CHECK(child.device == "cpu");
  CHECK(child.threads == 1);
  CHECK(child.can == Abilities::all());
  CHECK(child.generate_uses == Abilities{Ability::batch, Ability::clone, Ability::retain});
  CHECK(child.keys_rotated);
  CHECK(both.child.dtypes() == std::vector<std::string>{"float32", "float64"});
  for (const auto field :
       {&SubjectInfo::vocab_size, &SubjectInfo::rotary_len, &SubjectInfo::n_layer, &SubjectInfo::n_head,
        &SubjectInfo::n_kv_head, &SubjectInfo::head_dim, &SubjectInfo::n_embd, &SubjectInfo::sequence_len})
    CHECK(child.*field == ours.*field);
  CHECK(child.windows == ours.windows);
}

TEST_CASE("uncached logits of a child are those of this process", "[child]") {
  for (const auto* dtype : {"float64", "float32", "bfloat16"}) {
    CAPTURE(dtype);
    const Checkpoint checkpoint = load_checkpoint({source_path(kHead), {}, {}, {}});
    const auto model = make_model(checkpoint, {"auto", dtype, "cpu"});
    const auto ours = make_in_process_subject(*model, nullptr);
    ChildOptions options = served();
    options.command += std::string(" --dtype ") + dtype;
    ChildSubject child(options);
    const std::vector<TokenId> tokens = {5, 9, 2, 7, 11, 3};
    CHECK_FALSE(child.own_forward_ns());
    for (const int64_t first : {0, 3, 5})
      check_same(ours->uncached_logits(tokens, first), child.uncached_logits(tokens, first));
    REQUIRE(child.own_forward_ns());
    CHECK(*child.own_forward_ns() > 0);
    CHECK_THROWS_WITH(child.uncached_logits({5, 9}, 2), "first_position: must be in [0, 1], got 2");
    CHECK_THROWS_WITH(
        child.uncached_logits({5, 4000}, 1),
        Catch::Matchers::Contains("uncached logits of positions 1 to 1: the child answered with an error, "
                                  "argument: tokens: id 4000"));
    check_same(ours->uncached_logits(tokens, 0), child.uncached_logits(tokens, 0));
    CHECK(child.restarts() == 0);
  }
}

TEST_CASE("every operation on a cache does in a child what it does in this process", "[child]") {
  for (const auto* dtype : {"float64", "float32"}) {
    CAPTURE(dtype);
    Both both(dtype);
    TwoCaches one(both, 1, 8);
    one.forward(TokenBatch::single({5, 9, 2, 7}), LogitsAt::all);
    one.forward(TokenBatch::single({11}), LogitsAt::last);
    TwoCaches three = one.clone({0, 0, 0}, 12);
    three.forward({3, 3, {7, 11, 4, 8, 0, 0, 6, 5, 0}, {3, 1, 2}}, LogitsAt::all);  // ragged
    three.forward(TokenBatch::column({1, 2, 3}), LogitsAt::last);
    TwoCaches gathered = three.clone({2, 0}, 20);
    three.both([](SubjectCache& cache) { cache.truncate(1, 4); });
    three.both([](SubjectCache& cache) { cache.poison_tail(); });
    three.forward(TokenBatch::column({4, 5, 6}), LogitsAt::all);  // a poisoned slot that is read gives NaN
    three.both([](SubjectCache& cache) { CHECK(cache.reserve(40)); });
    three.both([](SubjectCache& cache) { CHECK(cache.retain_rows(std::vector<int64_t>{0, 2})); });
    three.both([](SubjectCache& cache) { CHECK(cache.perturb(1, 1, 3, true, 0.25)); });
    three.both([](SubjectCache& cache) { CHECK(cache.perturb(0, 0, 2, false, -1)); });
    three.forward({2, 2, {1, 2, 3, 4}, {}}, LogitsAt::last);
    gathered.forward(TokenBatch::column({9, 10}), LogitsAt::all);
    gathered.both([](SubjectCache& cache) { cache.reset(); });
    gathered.forward({2, 2, {1, 2, 3, 4}, {}}, LogitsAt::all);
    one.both([](SubjectCache& cache) { cache.truncate(0, 0); });
  }
}

TEST_CASE("what a child refuses is a CapacityError that changes nothing", "[child]") {
  Both both;
  TwoCaches cache(both, 1, 4);
  cache.forward(TokenBatch::single({5, 9, 2}), LogitsAt::last);
  CHECK_THROWS_AS(cache.child().forward(TokenBatch::single({1, 2}), LogitsAt::last), CapacityError);
  CHECK_THROWS_WITH(cache.child().forward(TokenBatch::single({1, 2}), LogitsAt::last),
                    command() +
                        ": forward of 2 tokens into cache 0: refused: KV cache: row 0 holds 3 positions and 2 more "
                        "were given, capacity is 4; reserve first");
  CHECK_THROWS_AS(cache.child().clone_rows(std::vector<int64_t>{0}, 2), CapacityError);
  CHECK_THROWS_WITH(cache.child().truncate(0, 4), command() +
                                                      ": truncation of row 0 of cache 0 to 4: the child answered with "
                                                      "an error, argument: length: row 0 holds 3 positions, not 4");
  CHECK_THROWS_WITH(cache.child().forward(TokenBatch::column({1, 2}), LogitsAt::last),
                    "tokens: expected 1 rows, one per cache row, got 2");
  cache.forward(TokenBatch::single({7}), LogitsAt::last);
}

TEST_CASE("slots beyond those held are not shown, and read as zeros", "[child]") {
  Both both;
  const auto cache = both.child.new_cache(1, 6);
  cache->forward(TokenBatch::single({5, 9, 2}), LogitsAt::last);
  const auto slots = cache->contents(0, 1, 1, 5);
  REQUIRE(slots);
  CHECK(slots->count == 5);
  CHECK(slots->present == std::vector<bool>{true, true, false, false, false});
  const auto width = static_cast<std::size_t>(slots->kv_heads * slots->head_dim);
  CHECK(slots->keys.size() == 5 * width);
  const auto all = cache->contents(0, 1, 0, 3);
  CHECK(std::equal(slots->keys.begin(), slots->keys.begin() + 2 * width, all->keys.begin() + width));
  for (std::size_t i = 2 * width; i < 5 * width; ++i) CHECK((slots->keys[i] == 0 && slots->values[i] == 0));
}

TEST_CASE("generation, threads and the cost of the protocol can be asked for", "[child]") {
  Both both("float64");
  GenerationRequest request{.prompt = {5, 9, 2}, .max_tokens = 6, .num_samples = 2};
  request.sampler.temperature = 0;
  request.stop = request.tools = false;
  const GenerationResult expected = both.ours->generate(Path::engine, request, nullptr);
  const auto own = both.child.own_generation(request.prompt, 2, 6);
  REQUIRE(own);
  REQUIRE(own->size() == 2);
  for (const auto& row : *own)
    CHECK(std::equal(row.begin(), row.end(), expected.rows[0].tokens.begin() + 3, expected.rows[0].tokens.end()));
  for (const Path path : {Path::engine, Path::naive})
    CHECK(both.child.generate(path, request, nullptr).rows[1].tokens == expected.rows[1].tokens);
  request.stop = true;
  CHECK_THROWS_AS(both.child.generate(Path::engine, request, nullptr), ArgumentError);

  CHECK(both.child.use_threads(2));
  CHECK(both.child.info().threads == 2);
  const ProtocolCost cost = both.child.measure_protocol();
  CHECK(cost.call_ns > 0);
  CHECK(cost.step_ns > 0);
  CHECK(cost.payload_bytes == 331 * 8);
}

TEST_CASE("a dtype that a child does not offer is refused when it starts", "[child]") {
  CHECK_THROWS_WITH(ChildSubject(served("float16")),
                    command() +
                        ": hello: the child answered with an error, argument: dtype: expected one of float32, float64, "
                        "found \"\"float16\"\"");
}
