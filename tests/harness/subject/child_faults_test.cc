// Children that break the protocol: one error each, with what was asked, what was expected and what came; then life goes on.
#include <cmath>
#include <limits>

#include "harness/subject/child_connection.h"
#include "tests/harness/subject/scripted_child.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Json = nlohmann::json;

namespace {

std::string logits_message(Json header, std::vector<int64_t> shape, const std::vector<double>& numbers) {
  return bytes_of({std::move(header), {tensor_of("logits", "float32", std::move(shape), numbers)}});
}

const Json kNew = {{"id", 2}, {"cache", 2}, {"lengths", {0}}};

}  // namespace

TEST_CASE("a hello that contradicts itself is told with the field") {
  struct Bad {
    Json patch;
    std::string message;
  };
  const std::vector<Bad> table = {
      {{{"protocol", "kvproof-subject/2"}},
       "protocol: expected one of kvproof-subject/1, found \"\"kvproof-subject/2\"\""},
      {{{"name", nullptr}}, "name: expected a text, found no such field"},
      {{{"dtype", "int8"}}, "dtype: expected one of float64, float32, float16, bfloat16, found \"\"int8\"\""},
      {{{"dtypes", {"float64"}}},
       "dtypes: expected a list with float32 in it, the dtype that runs, found \"[\"float64\"]\""},
      {{{"threads", 0}}, "threads: expected an integer from 1 to 1048576, found \"0\""},
      {{{"model", {{"n_kv_head", 3}}}}, "model.n_kv_head: expected a divisor of n_head, which is 4, found \"3\""},
      {{{"model", {{"vocab_size", 2.5}}}}, "model.vocab_size: expected an integer from 1 to 1073741824, found \"2.5\""},
      {{{"model", {{"n_layer", nullptr}}}},
       "model.n_layer: expected an integer from 1 to 1073741824, found no such field"},
      {{{"model", {{"windows", {3}}}}}, "model.windows: expected 2 entries, one per layer, found \"[3]\""},
      {{{"model", {{"windows", {3, -1}}}}},
       "model.windows: expected integers of at least 0, or null, found \"[3,-1]\""},
      {{{"model", {{"max_positions", 0}}}}, "model.max_positions: expected an integer of at least 1, found \"0\""},
      {{{"generate_uses", {"clone"}}},
       "generate_uses: expected words that stand in \"can\" too, where clone does not, found "
       "\"[\"clone\"]\""},
      {{{"keys", "both"}}, "keys: expected one of rotated, unrotated, found \"\"both\"\""},
  };
  for (const Bad& bad : table) {
    Json hello = small_hello();
    hello.merge_patch(bad.patch);
    const ScriptedChild child(answers({hello}));
    CHECK_THROWS_WITH(ChildSubject(child.options()), child.command() + ": hello: " + bad.message);
  }
  Json hello = small_hello();
  hello["can"] = {"uncached", "fork"};
  const ScriptedChild child(answers({hello}));
  CHECK_THROWS_WITH(
      ChildSubject(child.options()),
      Catch::Matchers::Contains("hello: can: expected words of kvproof-subject/1, found \"fork\"; there are "
                                "uncached, all_logits, batch, "));
}

TEST_CASE("what a hello leaves out has a default") {
  Json hello = small_hello();
  hello["can"].push_back("position_limit");
  const ScriptedChild child(answers({hello}));
  const ChildSubject subject(child.options());
  const SubjectInfo info = subject.info();
  CHECK(info.rotary_len == 1 << 20);
  CHECK(info.can == Abilities{Ability::uncached, Ability::read_slots});  // no end, so none that could be refused
  CHECK(info.generate_uses == info.can);
  CHECK(info.n_embd == 8);
  CHECK(info.sequence_len == 1024);
  CHECK(info.windows == std::vector<int64_t>{kUnlimited, kUnlimited});
  CHECK(info.keys_rotated);
  CHECK(info.threads == 0);
  CHECK(subject.dtypes() == std::vector<std::string>{"float32"});
}

TEST_CASE("what is said is kept") {
  Json hello = small_hello();
  hello["model"].update({{"max_positions", 64}, {"windows", {3, nullptr}}, {"n_embd", 5}});
  hello.update(
      {{"dtypes", {"float32", "float64"}}, {"threads", 3}, {"keys", "unrotated"}, {"can", {"position_limit"}}});
  const ScriptedChild child(answers({hello}));
  ChildSubject subject(child.options());
  const SubjectInfo info = subject.info();
  CHECK(info.rotary_len == 64);
  CHECK(info.sequence_len == 64);
  CHECK(info.n_embd == 5);
  CHECK(info.windows == std::vector<int64_t>{3, kUnlimited});
  CHECK(info.threads == 3);
  CHECK_FALSE(info.keys_rotated);
  CHECK(info.can == Abilities{Ability::position_limit});
  CHECK_THROWS_WITH(
      subject.uncached_logits({1}, 0),
      child.command() + ": uncached logits: needs \"uncached\", which is not among the words of its \"can\"");
  CHECK_THROWS_WITH(subject.new_cache(2, 4), child.command() +
                                                 ": new cache of 2 x 4 positions: needs \"batch\", which is not "
                                                 "among the words of its \"can\"");
  CHECK_FALSE(subject.own_generation({1}, 1, 1));
  CHECK_FALSE(subject.use_threads(2));
}

TEST_CASE("a child that starts with a text, or not at all, is told with it") {
  const ScriptedChild greeting("Hello! I am an engine.\n");
  CHECK_THROWS_WITH(ChildSubject(greeting.options()),
                    greeting.command() +
                        ": hello: expected a message of kvproof-subject/1, found \"Hello! I am an engine..\"; "
                        "nothing but messages may stand there: print to stderr");
  const ScriptedChild dying("", "echo 'cannot open model.bin' >&2; exit 3");
  CHECK_THROWS_WITH(ChildSubject(dying.options()),
                    dying.command() + ": hello: ended with exit status 3; its last words: cannot open model.bin");
}

TEST_CASE("each broken answer to a forward is one error that names the request") {
  struct Bad {
    std::string answer, message;
    bool restarts;  // whether the stream cannot be trusted any more
  };
  const Json state = {{"id", 3}, {"lengths", {3}}};
  const auto with = [&](const Json& patch) {
    Json header = state;
    header.merge_patch(patch);
    return header;
  };
  const std::string right = logits_message(state, {1, 3}, {1, 2, 3});
  const std::vector<Bad> table = {
      {logits_message(state, {3, 1}, {1, 2, 3}), "tensor \"logits\": expected the shape (1, 3), found (3, 1)", false},
      {bytes_of({state}), "expected a tensor \"logits\", found none", false},
      {logits_message(with({{"lengths", {3, 3}}}), {1, 3}, {1, 2, 3}),
       "lengths: expected 1 number, one per row, found \"[3,3]\"", false},
      {logits_message(with({{"lengths", nullptr}}), {1, 3}, {1, 2, 3}),
       "lengths: expected a list of integers of at least 0, found no such field", false},
      {logits_message(with({{"id", 9}}), {1, 3}, {1, 2, 3}),
       "expected the answer to request 3, found one to 9; each request gets exactly one answer, in order", true},
      {right.substr(0, right.size() - 5), "", true},
      {framed("{\"id\":"),
       "expected a header that is one JSON object, found \"{\"id\":\"; its length counts bytes, not characters", true},
      {framed(R"({"id":3,"lengths":[3],"tensors":[{"name":"logits","dtype":"float33","shape":[1,3]}]})"),
       "tensor \"logits\": expected a dtype of float64, float32, float16, bfloat16, int64, int32 or uint8, found "
       "\"float33\"",
       true},
      {"step 3\n",
       "expected a message of kvproof-subject/1, found \"step 3.\"; nothing but messages may stand there: print to "
       "stderr",
       true},
      {answers({{{"id", 3}, {"error", {{"kind", "argument"}, {"message", "no such cache: 2"}}}}}),
       "the child answered with an error, argument: no such cache: 2", false},
      {answers({{{"id", 3}, {"error", {{"kind", "sorry"}, {"message", "x"}}}}}),
       "error.kind: expected one of capacity, unsupported, argument, failed, found \"\"sorry\"\"", false},
  };
  for (const Bad& bad : table) {
    const ScriptedChild child(answers({small_hello(), kNew}) + bad.answer, "exit 4");
    CAPTURE(bad.answer);
    ChildSubject subject(child.options());
    const auto cache = subject.new_cache(1, 4);
    const std::string place = child.command() + ": forward of 3 tokens into cache 2: ";
    const std::string message =
        bad.message.empty() ? "ended with exit status 4; the 12 bytes of tensor \"logits\" (1, 3) had not all come"
                            : bad.message;
    CHECK_THROWS_WITH(cache->forward(TokenBatch::single({0, 1, 2}), LogitsAt::last), place + message);
    if (!bad.restarts) continue;
    CHECK_THROWS_WITH(cache->reset(), Catch::Matchers::Contains("reset"));
    CHECK(subject.new_cache(1, 4)->capacity() == 4);
    CHECK(subject.restarts() == 1);
    CHECK_THROWS_WITH(cache->forward(TokenBatch::single({0}), LogitsAt::last),
                      child.command() +
                          ": forward of 1 token into cache 2: the child that held this cache is gone: it broke "
                          "in an earlier request");
  }
}

TEST_CASE("what a child refuses for lack of room is a CapacityError, and its state is asked for again") {
  for (const int64_t left : {0, 2}) {  // 2: a refusal that moved the length after all
    const ScriptedChild child(answers({small_hello(),
                                       kNew,
                                       {{"id", 3}, {"error", {{"kind", "capacity"}, {"message", "full"}}}},
                                       {{"id", 4}, {"lengths", {left}}, {"capacity", 4}}}));
    ChildSubject subject(child.options());
    const auto cache = subject.new_cache(1, 4);
    CHECK_THROWS_AS(cache->forward(TokenBatch::single({0, 1}), LogitsAt::last), CapacityError);
    CHECK(cache->length(0) == left);
    CHECK(subject.restarts() == 0);
  }
}

TEST_CASE("logits in fewer bits than hello says are told, not judged") {
  const auto of = [](const char* found, std::size_t bytes, const char* said) {
    return logits_of({"logits", found, {1}, std::vector<char>(bytes)}, said);
  };
  CHECK_THROWS_WITH(of("float32", 4, "float64"),
                    Catch::Matchers::Contains("expected float64, which hello says, found float32"));
  CHECK_THROWS_WITH(of("int64", 8, "bfloat16"),
                    Catch::Matchers::Contains("expected bfloat16, which hello says, found int64"));
  CHECK(of("float32", 4, "float16") == std::vector<double>{0});
}

TEST_CASE("a child that hangs is ended, and the next one is asked") {
  const ScriptedChild child(answers({small_hello(), kNew}), "exec sleep 30");
  ChildOptions options = child.options();
  options.answer_seconds = 0.3;
  ChildSubject subject(options);
  const auto cache = subject.new_cache(1, 4);
  CHECK_THROWS_WITH(
      cache->forward(TokenBatch::single({0}), LogitsAt::last),
      child.command() + ": forward of 1 token into cache 2: nothing came for 0.3 s, and it is still running");
  CHECK(subject.new_cache(1, 9)->capacity() == 9);
  CHECK(subject.restarts() == 1);
}

TEST_CASE("NaN and infinities are passed on: they are the verdict's to judge") {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
  const ScriptedChild child(answers({small_hello()}) + logits_message({{"id", 2}}, {1, 3}, {kNaN, kInfinity, 1}));
  ChildSubject subject(child.options());
  const LogitRows logits = subject.uncached_logits({1, 2}, 1);
  CHECK(std::isnan(logits.values[0]));
  CHECK(logits.values[1] == kInfinity);
  CHECK(logits.first_position == 1);
}

TEST_CASE("without all_logits each position is a request of its own") {
  const ScriptedChild child(answers({small_hello()}) +
                            logits_message({{"id", 2}, {"elapsed_ns", 5}}, {1, 3}, {1, 2, 3}) +
                            logits_message({{"id", 3}, {"elapsed_ns", 7}}, {1, 3}, {4, 5, 6}));
  ChildSubject subject(child.options());
  const LogitRows logits = subject.uncached_logits({1, 2, 0}, 1);
  CHECK(logits.rows == 2);
  CHECK(logits.values == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(subject.own_forward_ns() == 12);
}

TEST_CASE("a child that shows some positions only leaves the others out, and is asked once") {
  Json slots = {{"id", 4}, {"positions", {0, 2}}};
  std::vector<double> keys, values;
  for (int i = 0; i < 8; ++i) keys.push_back(i + 1), values.push_back(-i);
  const WireMessage shown{
      slots, {tensor_of("keys", "float32", {2, 2, 2}, keys), tensor_of("values", "float32", {2, 2, 2}, values)}};
  const ScriptedChild child(answers({small_hello(), kNew}) +
                            logits_message({{"id", 3}, {"lengths", {3}}}, {1, 3}, {1, 2, 3}) + bytes_of(shown));
  ChildSubject subject(child.options());
  const auto cache = subject.new_cache(1, 2);
  CHECK(cache->capacity() == 2);
  cache->forward(TokenBatch::single({0, 1, 2}), LogitsAt::last);
  CHECK(cache->capacity() == 3);             // it named none, and holds more than was asked for
  for (int again = 0; again < 2; ++again) {  // the script holds one answer
    const auto found = cache->contents(0, 1, 1, 2);
    REQUIRE(found);
    CHECK(found->present == std::vector<bool>{false, true});
    CHECK(found->keys == std::vector<double>{0, 0, 0, 0, 5, 6, 7, 8});
    CHECK(found->values == std::vector<double>{0, 0, 0, 0, -4, -5, -6, -7});
  }
  CHECK_THROWS_WITH(cache->reset(), child.command() +
                                        ": reset of cache 2: needs \"reset\", which is not among the words of its "
                                        "\"can\"");
  CHECK_FALSE(cache->reserve(9));
  CHECK_FALSE(cache->poison_tail());
  CHECK_FALSE(cache->perturb(0, 0, 0, true, 1));
  CHECK_FALSE(cache->retain_rows(std::vector<int64_t>{0}));
}

TEST_CASE("slots of the wrong shape, or at impossible positions, are refused") {
  const auto shown = [](const Json& positions, std::vector<int64_t> shape) {
    Json header = {{"id", 4}};
    if (!positions.is_null()) header["positions"] = positions;
    std::vector<double> numbers(8);
    return bytes_of(
        {header, {tensor_of("keys", "float32", shape, numbers), tensor_of("values", "float32", shape, numbers)}});
  };
  const std::vector<std::pair<std::string, std::string>> table = {
      {shown(nullptr, {2, 4, 1}), "tensor \"keys\": expected the shape (2, 2, 2), found (2, 4, 1)"},
      {shown({0, 7}, {2, 2, 2}), "positions: expected a list of integers from 0 to 0, found \"[0,7]\""},
      {shown(nullptr, {2, 2, 2}),
       "expected keys and values of 1 positions at most, each position once and ascending, found 2 "
       "of them and 2 positions"},
  };
  for (const auto& [answer, message] : table) {
    const ScriptedChild child(answers({small_hello(), kNew}) +
                              logits_message({{"id", 3}, {"lengths", {1}}}, {1, 3}, {1, 2, 3}) + answer);
    ChildSubject subject(child.options());
    const auto cache = subject.new_cache(1, 2);
    cache->forward(TokenBatch::single({0}), LogitsAt::last);
    CHECK_THROWS_WITH(cache->contents(0, 1, 0, 1),
                      child.command() + ": read_slots of row 0, layer 1, of cache 2: " + message);
  }
}

TEST_CASE("eight children that break in a row are enough") {
  const ScriptedChild child(answers({small_hello()}), "exit 1");
  ChildSubject subject(child.options());
  for (int i = 0; i <= 8; ++i)
    CHECK_THROWS_WITH(subject.new_cache(1, 4), Catch::Matchers::Contains("ended with exit status 1"));
  CHECK(subject.restarts() == 8);
  CHECK_THROWS_WITH(subject.new_cache(1, 4),
                    Catch::Matchers::Contains("8 children broke one after the other before they had "
                                              "computed anything; this is given up"));
  CHECK(subject.restarts() == 8);
}
