// Epochs by a clock that says what a test wants: numbers by hand.
#include "harness/measure/paired/epoch_clock.h"

#include "engine/error.h"
#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

/// standard_subject with what its two paths gave.
struct Warm {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);

  ExpectedCalls expected(Path path, int64_t steps = 3) {
    GenerationObserver nobody;
    return {request_of_rows(1), subject.generate(path, request_of_rows(1), &nobody), 10, steps};
  }
};

EpochTimes times(int64_t calls, int64_t units, int64_t wall_ns) { return {calls, units, wall_ns, 2 * wall_ns, true}; }

}  // namespace

TEST_CASE("an epoch sums the parts of its calls, by both clocks", "[paired]") {
  struct Case {
    Timed timed;
    EpochTimes times;
  };
  // naive: 1000 + 7 | 1100 + 7 | 1100 + 7; engine: 600 + 7 | 100 + 7 | 100 + 7; what comes behind is in neither
  for (const Case& one : {Case{{Path::naive, Part::prefill}, times(2, 2, 2000)},
                          {{Path::naive, Part::decode}, times(2, 4, 2 * 2214)},
                          {{Path::naive, Part::e2e}, times(2, 2, 2 * 3221)},
                          {{Path::engine, Part::prefill}, times(2, 2, 1200)},
                          {{Path::engine, Part::decode}, times(2, 4, 2 * 214)},
                          {{Path::engine, Part::e2e}, times(2, 2, 2 * 821)}}) {
    CAPTURE(word_of(one.timed));
    Warm warm;
    const ExpectedCalls expected = warm.expected(one.timed.path);
    const EpochTimes found = time_epoch(warm.subject, one.timed, expected, {2, 0}, warm.probe);
    CHECK(found == one.times);
  }
}

TEST_CASE("an epoch goes on with whole generations until its part took long enough", "[paired]") {
  Warm warm;
  const ExpectedCalls expected = warm.expected(Path::engine);
  const Timed decode{Path::engine, Part::decode};
  CHECK(time_epoch(warm.subject, decode, expected, {std::nullopt, 1000}, warm.probe) == times(5, 10, 1070));
  CHECK(time_epoch(warm.subject, decode, expected, {std::nullopt, 214}, warm.probe) == times(1, 2, 214));
  CHECK(time_epoch(warm.subject, decode, expected, {std::nullopt, 0}, warm.probe) == times(1, 2, 214));
}

TEST_CASE("one token has an end to end and no decode", "[paired]") {
  Warm warm;
  warm.subject.engine.rows = {{1}};
  const ExpectedCalls expected = warm.expected(Path::engine, 1);
  CHECK(time_epoch(warm.subject, {Path::engine, Part::e2e}, expected, {1, 0}, warm.probe) == times(1, 1, 607));
  CHECK_THROWS_WITH(time_epoch(warm.subject, {Path::engine, Part::decode}, expected, {1, 0}, warm.probe),
                    "what: engine_decode has nothing to time where one token was generated");
}

TEST_CASE("a call that does other work than the first ends the epoch", "[paired]") {
  struct Case {
    std::function<void(Script&)> change;
    Part part;
    std::string why;
  };
  for (const Case& one : {Case{[](Script& s) {
                                 s.rows = {{1, 2, 4}};
                               },
                               Part::e2e, "its tokens are not those of the first call"},
                          {[](Script& s) {
                             s.rows = {{1, 2}};
                           },
                           Part::decode, "its tokens are not those of the first call"},
                          {[](Script& s) { s.prefill_extra = 1; }, Part::prefill,
                           "its first forward took 11 positions, that of the first call 10"},
                          {[](Script& s) { s.extra_forwards = 3; }, Part::e2e,
                           "it pushed 15 positions through the model, the first call 12"}}) {
    Warm warm;
    const ExpectedCalls expected = warm.expected(Path::engine);
    warm.subject.before = [&](Path, int64_t call) {
      if (call == 3) one.change(warm.subject.engine);
    };
    CHECK_THROWS_WITH(time_epoch(warm.subject, {Path::engine, one.part}, expected, {5, 0}, warm.probe),
                      "a generation did not do the work of the first call: " + one.why + "; kvproof run says more");
    CHECK(warm.subject.calls.size() == 4);
  }
}

TEST_CASE("a process is quiet once its CPU clock stands", "[paired]") {
  class BusyProbe final : public ManualProbe {
   public:
    int64_t busy_looks = 0;
    int64_t now_ns() override { return time_ns += 1'000'000; }
    int64_t cpu_ns() override { return busy_looks-- > 0 ? cpu_ += 1'000'000 : cpu_; }

   private:
    int64_t cpu_ = 0;
  };
  BusyProbe probe;
  probe.busy_looks = 7;
  CHECK(wait_until_quiet(probe));
  CHECK(probe.busy_looks <= 0);
  probe.busy_looks = 1 << 20;
  CHECK_FALSE(wait_until_quiet(probe));
}
