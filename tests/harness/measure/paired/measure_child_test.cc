// Bases that cannot be compared, and children that break: one error each, with what was asked and what came.
#include "harness/measure/paired/measure_child.h"

#include "harness/measure/paired/incomparable.h"
#include "tests/harness/measure/paired/fake_child.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Header = nlohmann::json;  // of a message

namespace {

/// Answers one op with this, the id included unless it says another.
FakeProgram answering(const std::string& op, Header answer) {
  FakeProgram program;
  program.instead = [op, answer](const Header& request) -> std::optional<Header> {
    if (request.at("op") != op) return std::nullopt;
    Header with_id = answer;
    if (with_id.is_object() && !with_id.contains("id")) with_id["id"] = request.at("id");
    return with_id;
  };
  return program;
}

Header error(const std::string& kind, const std::string& message) {
  return {{"error", {{"kind", kind}, {"message", message}}}};
}

struct Hello {
  std::vector<std::string> log;
  MeasureChild of(Side side, const FakeProgram& program) {
    return {side, {std::make_unique<FakeChild>(program, "CMD", log), "CMD"}};
  }
};

}  // namespace

TEST_CASE("a base that does not say hello in our protocol is incomparable, a candidate has failed", "[paired]") {
  Header other = header_of(small_hello("base"));
  other["protocol"] = "kvproof-measure/2";
  struct Case {
    FakeProgram program;
    std::string message;  // behind the side
  };
  for (const Case& one :
       {Case{answering("hello", Header()), "hello: ended with exit status 2; its last words: no such flag"},
        {answering("hello", error("unsupported", "\"kvproof-measure/1\" is not spoken here")),
         "hello: the child answered with an error, unsupported: \"kvproof-measure/1\" is not spoken here"},
        {answering("hello", other),
         "hello: protocol: expected one of kvproof-measure/1, found \"\"kvproof-measure/2\"\""},
        {answering("hello", {{"protocol", kMeasureProtocol}}),
         "hello: program: expected an object, found no such field"}}) {
    Hello hello;
    CHECK_THROWS_WITH(hello.of(Side::candidate, one.program), "CMD: candidate, " + one.message);
    CHECK_THROWS_AS(hello.of(Side::candidate, one.program), SubjectError);
    CHECK_THROWS_AS(hello.of(Side::base, one.program), IncomparableError);
    CHECK_THROWS_WITH(
        hello.of(Side::base, one.program),
        "CMD: base, " + one.message +
            "; the base must know kvproof subject --config and speak kvproof-measure/1: a commit before both "
            "is no base; build a newer one");
  }
}

TEST_CASE("a base that rejects the config is incomparable", "[paired]") {
  const FakeProgram program = answering("hello", error("config", "c.yaml:2:1: unknown key \"sweap\""));
  Hello hello;
  CHECK_THROWS_AS(hello.of(Side::base, program), IncomparableError);
  CHECK_THROWS_WITH(
      hello.of(Side::base, program),
      "CMD: base, hello: it rejects the config: c.yaml:2:1: unknown key \"sweap\"; take a config that both "
      "programs read, or a newer base");
  CHECK_THROWS_AS(hello.of(Side::candidate, program), SubjectError);
}

TEST_CASE("a base that reads another config is incomparable", "[paired]") {
  FakeSession fake;
  fake.programs[Side::base].hello.config_hash = "1234";
  CHECK_THROWS_AS(measure_paired(fake.spec), IncomparableError);
  CHECK_THROWS_WITH(
      measure_paired(fake.spec),
      "base: the base reads another config than the candidate: its hash is 1234, the candidate's aaaa; a key "
      "or a default changed between the two programs; write the settings in question into the config, or "
      "take a newer base");
  CHECK(fake.requests("open").empty());
  FakeSession cases;
  cases.programs[Side::base].hello.cases.pop_back();
  CHECK_THROWS_AS(measure_paired(cases.spec), IncomparableError);
  CHECK_THROWS_WITH(measure_paired(cases.spec),
                    "base: the base makes other cases of the config than the candidate, 1 "
                    "against 2, or of other sizes; take a newer base");
}

TEST_CASE("an answer that is not what was asked for is told with its field", "[paired]") {
  struct Case {
    std::string op;
    Header patch;
    std::string message;
  };
  const std::string epoch = "epoch of demo/a, naive_decode, 3 calls: ";
  for (const Case& one : std::vector<Case>{
           {"open", {{"case", "demo/b"}}, "open demo/a: expected the facts of demo/a, found those of demo/b"},
           {"open", {{"threads", 0}}, "open demo/a: threads: expected an integer of at least 1, found \"0\""},
           {"open",
            {{"naive", {{"steps", 5}}}},
            "open demo/a: naive.steps: expected 4, the length of the longest row, found \"5\""},
           {"open", {{"steady", 1}}, "open demo/a: steady: expected true or false, found \"1\""},
           {"open", {{"id", 9}}, "open demo/a: expected the answer to request 2, found one to 9"},
           {"epoch", {{"wall_ns", 0}}, epoch + "wall_ns: expected an integer of at least 1, found \"0\""},
           {"epoch", {{"calls", 2}}, epoch + "expected 3 calls, found 2"},
           {"epoch",
            {{"cpu_ns", nullptr}},
            epoch + "cpu_ns: expected an integer of at least 0, found no such field"}}) {
    const FakeProgram usual;
    FakeProgram program;
    program.instead = [&](const Header& request) -> std::optional<Header> {
      if (request.at("op") != one.op) return std::nullopt;
      Header answer = usual.answer(request);
      answer["id"] = request.at("id");
      answer.merge_patch(one.patch);
      return answer;
    };
    Hello hello;
    MeasureChild child = hello.of(Side::candidate, program);
    const auto ask = [&] {
      child.open("demo/a", {});
      child.epoch("demo/a", {Path::naive, Part::decode}, {3, 0});
    };
    CHECK_THROWS_WITH(ask(), "CMD: candidate, " + one.message);
  }
  FakeProgram slow;
  slow.instead = [&](const Header& request) -> std::optional<Header> {
    if (request.at("op") != "epoch") return std::nullopt;
    Header answer = header_of(EpochTimes{1, 1, 5, 5, true});
    answer["id"] = request.at("id");
    return answer;
  };
  Hello hello;
  MeasureChild child = hello.of(Side::base, slow);
  CHECK_THROWS_WITH(child.epoch("demo/a", {}, {std::nullopt, 6}),
                    "CMD: base, epoch of demo/a, engine_e2e, at least 6 ns: expected at least 6 ns, found 5");
}

TEST_CASE("each request has its own deadline", "[paired]") {
  std::vector<std::string> log;
  std::vector<double> deadlines;
  MeasureChild child(Side::base,
                     {std::make_unique<FakeChild>(FakeProgram{}, "CMD", log), "CMD",
                      [&](double seconds) { deadlines.push_back(seconds); }},
                     {1, 2, 3});
  child.open("demo/a", {5, 7});
  child.epoch("demo/a", {}, {1, 0});
  child.close("demo/a");
  CHECK(deadlines == std::vector<double>{1, 2, 3, 3});
  CHECK(log.back() == "CMD: close demo/a");
}

TEST_CASE("the command of a child is one that a shell reads back", "[paired]") {
  CHECK(measure_command("/opt/kv proof", "c.yaml", {"run.threads=1", "prompts.0.text='a b'"}) ==
        "'/opt/kv proof' subject --config c.yaml --set run.threads=1 --set \"prompts.0.text='a b'\"");
}
