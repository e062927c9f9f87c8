// The end that is asked: which requests are answered, and how those that cannot be are refused.
#include "harness/measure/paired/serve_measure.h"

#include "harness/error.h"
#include "tests/harness/measure/paired/fake_child.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Header = nlohmann::json;  // of a message

namespace {

class FakeSource final : public EpochSource {
 public:
  explicit FakeSource(std::vector<std::string>& log) : log_(log) {}

  MeasureHello hello() override { return small_hello("served"); }
  CaseFacts open(const std::string& id, const WarmUp& warm_up) override {
    log_.push_back("open " + id + " " + std::to_string(warm_up.rounds) + " " + std::to_string(warm_up.most_ns));
    if (id == "demo/large") throw CapacityError("demo/large", "does not fit");
    if (id == "demo/odd") throw std::runtime_error("odd\nwith a trace");
    return small_facts(id);
  }
  EpochTimes epoch(const Timed& timed, const EpochLength& length) override {
    log_.push_back(word_of(timed) + " " + std::to_string(length.calls.value_or(-1)) + " " +
                   std::to_string(length.at_least_ns));
    return {2, 6, 100, 90, false};
  }
  void close() override { log_.push_back("close"); }

 private:
  std::vector<std::string>& log_;
};

struct Served {
  std::vector<Header> answers;
  std::vector<std::string> log;
};

/// Requests get the ids 1, 2, …
Served serve(std::vector<Header> requests) {
  Served served;
  std::string bytes;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i]["id"] = i + 1;
    bytes += bytes_of({requests[i]});
  }
  MemoryStream stream(bytes);
  serve_measure(stream, [&] { return std::make_unique<FakeSource>(served.log); });
  MemoryStream written(stream.written());
  while (!written.at_end()) served.answers.push_back(read_message(written).header);
  REQUIRE(served.answers.size() == requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) CHECK(served.answers[i]["id"] == i + 1);
  return served;
}

const Header kHello = {{"op", "hello"}, {"protocol", kMeasureProtocol}};
Header request(const std::string& op, const std::string& id, const Header& more = Header::object()) {
  Header request = {{"op", op}, {"case", id}};
  request.update(more);
  return request;
}
std::string error_of(const Header& answer) {
  return answer.at("error").at("kind").get<std::string>() + ": " + answer.at("error").at("message").get<std::string>();
}

}  // namespace

TEST_CASE("hello, open, epoch and close are answered with what they say", "[paired]") {
  const Served served = serve(
      {kHello, request("open", "demo/a"), request("epoch", "demo/a", {{"what", "naive_decode"}, {"at_least_ns", 50}}),
       request("epoch", "demo/a", {{"what", "engine_e2e"}, {"calls", 4}}), request("close", "demo/a"),
       request("open", "demo/b", {{"warm_up_rounds", 1}, {"warm_up_ns", 9}})});
  CHECK(hello_of(served.answers[0]) == small_hello("served"));
  CHECK(served.answers[0]["cases"][1]["prompt_tokens"].is_null());
  const CaseFacts facts = facts_of(served.answers[1]);
  CHECK(facts.naive == small_facts("demo/a").naive);
  CHECK(facts.engine == small_facts("demo/a").engine);
  CHECK(times_of(served.answers[2]) == EpochTimes{2, 6, 100, 90, false});
  CHECK(served.log == std::vector<std::string>{"open demo/a 2 3000000000", "naive_decode -1 50", "engine_e2e 4 0",
                                               "close", "open demo/b 1 9"});
}

TEST_CASE("what cannot be answered is refused, and life goes on", "[paired]") {
  const Served served = serve({request("open", "demo/a"),
                               {{"op", "hello"}, {"protocol", "kvproof-subject/1"}},
                               kHello,
                               {{"op", "uncached"}},
                               request("epoch", "demo/a", {{"what", "naive_e2e"}, {"calls", 1}}),
                               request("open", "demo/large"),
                               request("open", "demo/odd"),
                               request("open", "demo/a"),
                               request("epoch", "demo/b", {{"what", "naive_e2e"}, {"calls", 1}}),
                               request("epoch", "demo/a", {{"what", "naive"}, {"calls", 1}}),
                               request("epoch", "demo/a", {{"what", "naive_e2e"}}),
                               request("epoch", "demo/a", {{"what", "naive_e2e"}, {"calls", 0}}),
                               request("close", "demo/a"),
                               request("close", "demo/a")});
  const std::map<std::size_t, std::string> expected = {
      {0, "argument: op: the first request must be hello"},
      {1, "unsupported: \"kvproof-subject/1\" is not spoken here, only kvproof-measure/1"},
      {3, "unsupported: there is no request \"uncached\" in kvproof-measure/1"},
      {4, "argument: case: demo/a is not open; none is"},
      {5, "capacity: demo/large: does not fit"},
      {6, "failed: odd"},
      {8, "argument: case: demo/b is not open; demo/a is"},
      {9,
       "argument: what: expected one of naive_prefill, naive_decode, naive_e2e, engine_prefill, engine_decode, "
       "engine_e2e, found naive"},
      {10, "argument: at_least_ns: expected an integer of at least 0, found no such field"},
      {11, "argument: calls: expected an integer of at least 1, found \"0\""},
      {13, "argument: case: demo/a is not open; none is"}};
  for (std::size_t i = 0; i < served.answers.size(); ++i) {
    CAPTURE(i);
    const auto error = expected.find(i);
    CHECK(served.answers[i].contains("error") == (error != expected.end()));
    if (error != expected.end()) CHECK(error_of(served.answers[i]) == error->second);
  }
}

TEST_CASE("after an open that failed no case is open", "[paired]") {
  const Header epoch = request("epoch", "demo/a", {{"what", "naive_e2e"}, {"calls", 1}});
  const Served served = serve({kHello, request("open", "demo/a"), epoch, request("open", "demo/large"), epoch});
  CHECK_FALSE(served.answers[2].contains("error"));
  CHECK(error_of(served.answers[4]) == "argument: case: demo/a is not open; none is");
}

TEST_CASE("a config that cannot be used is answered, and ends the child", "[paired]") {
  Header hello = kHello;
  hello["id"] = 1;
  MemoryStream stream(bytes_of({hello}) + bytes_of({hello}));
  CHECK_THROWS_AS(
      serve_measure(stream, []() -> std::unique_ptr<EpochSource> { throw ConfigError("c.yaml:1:1", "no"); }),
      ConfigError);
  MemoryStream written(stream.written());
  CHECK(error_of(read_message(written).header) == "config: c.yaml:1:1: no");
  CHECK(written.at_end());
}

TEST_CASE("what is no message of the protocol is told with its name", "[paired]") {
  MemoryStream stream("hello?");
  CHECK_THROWS_WITH(serve_measure(stream, {}),
                    "expected a message of kvproof-measure/1, found \"hello?\"; nothing but "
                    "messages may stand there: print to stderr");
}
