#include "engine/kernels/thread_team.h"

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "engine/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::kernels;

TEST_CASE("every member works once per run, the caller as member 0") {
  const int threads = GENERATE(1, 2, 3, 8);
  ThreadTeam team(threads);
  REQUIRE(team.size() == threads);
  const auto caller = std::this_thread::get_id();
  for (int run = 0; run < 200; ++run) {
    std::vector<int> calls(threads, 0);
    bool caller_is_first = false;
    team.run([&](Member& member) {
      ++calls[member.index()];
      if (member.index() == 0) caller_is_first = std::this_thread::get_id() == caller && member.size() == threads;
    });
    REQUIRE(calls == std::vector<int>(threads, 1));
    REQUIRE(caller_is_first);
  }
}

TEST_CASE("what members wrote before a barrier all read after it") {
  const int threads = GENERATE(1, 2, 5);
  ThreadTeam team(threads);
  std::vector<int64_t> slots(threads, 0), sums(threads, 0);
  constexpr int kRounds = 500;
  team.run([&](Member& member) {
    for (int round = 1; round <= kRounds; ++round) {
      slots[member.index()] = round * (member.index() + 1);
      member.barrier();
      sums[member.index()] += std::accumulate(slots.begin(), slots.end(), int64_t{0});
      member.barrier();
    }
  });
  const int64_t expected = int64_t{kRounds} * (kRounds + 1) / 2 * threads * (threads + 1) / 2;
  CHECK(sums == std::vector<int64_t>(threads, expected));
}

TEST_CASE("barriers and runs work with members that are late enough for the others to sleep") {
  ThreadTeam team(3);
  for (int late = 0; late < 3; ++late) {
    int written = 0, seen = 0;
    team.run([&](Member& member) {
      if (member.index() == late) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        written = 42;
      }
      member.barrier();
      if (member.index() == (late + 1) % 3) seen = written;
    });
    CHECK(seen == 42);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // between runs the threads sleep too
  }
}

TEST_CASE("shares cover a range once, in whole grains") {
  const auto [n, grain] =
      GENERATE(table<int64_t, int64_t>({{0, 1}, {1, 1}, {7, 1}, {7, 4}, {64, 4}, {65, 16}, {3, 8}}));
  const int threads = GENERATE(1, 2, 3, 5);
  CAPTURE(n, grain, threads);
  ThreadTeam team(threads);
  std::vector<Range> parts(threads);
  team.run([&](Member& member) { parts[member.index()] = member.share(n, grain); });
  int64_t at = 0;
  for (const Range& part : parts) {
    CHECK(part.begin == at);
    CHECK(part.size() >= 0);
    CHECK((part.begin % grain == 0 || part.begin == n));
    at = part.end;
  }
  CHECK(at == n);
}

TEST_CASE("the first exception reaches the caller, and the others do not wait for ever at a barrier") {
  const int threads = GENERATE(1, 2, 4);
  const int thrower = GENERATE(0, 1, 3);
  if (thrower >= threads) return;
  ThreadTeam team(threads);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> past_barrier{0};
    CHECK_THROWS_WITH(team.run([&](Member& member) {
      member.barrier();
      if (member.index() == thrower) throw std::runtime_error("out of luck");
      member.barrier();
      ++past_barrier;
    }),
                      "out of luck");
    CHECK(past_barrier == 0);
    int sum = 0;  // the team is as good as new
    team.run([&](Member& member) {
      member.barrier();
      if (member.index() == 0) sum = 1;
      member.barrier();
    });
    CHECK(sum == 1);
  }
}

TEST_CASE("a run inside a run, and a team of nobody, are refused") {
  ThreadTeam team(2);
  CHECK_THROWS_AS(team.run([&](Member& member) {
    if (member.index() == 0) team.run([](Member&) {});
  }),
                  std::logic_error);
  CHECK_THROWS_WITH(ThreadTeam(0), "threads: must be at least 1, got 0");
}

#if defined(__linux__)
namespace {

// Moves the calling thread to a CPU; it may use all others again afterwards.
void go_to(int cpu) {
  cpu_set_t all, one;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0);
}

}  // namespace

// Where both were, and which CPUs the thread could use, in one run of a team of two.
struct Placed {
  int before = -1, caller = -1, thread = -1;  // CPUs: the caller's before the run and in it, the thread's
  cpu_set_t allowed{};                        // to the thread
  bool caller_stayed() const { return before == caller; }
};

Placed run_once(ThreadTeam& team) {
  Placed placed;
  placed.before = sched_getcpu();
  team.run([&](Member& member) {
    (member.index() == 0 ? placed.caller : placed.thread) = sched_getcpu();
    if (member.index() == 1) sched_getaffinity(0, sizeof placed.allowed, &placed.allowed);
  });
  return placed;
}

// On a busy machine the scheduler may move the caller at any moment, so only what the team decides is judged.
TEST_CASE("a thread may not use the CPU from which the team is run, whichever that is") {
  cpu_set_t all;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  if (CPU_COUNT(&all) < 2) return;  // nowhere to go
  ThreadTeam team(2);
  int judged = 0;
  for (int run = 0; run < 200 && judged < 10; ++run) {
    const Placed placed = run_once(team);
    go_to(placed.thread);
    if (!placed.caller_stayed()) continue;
    ++judged;
    CAPTURE(run, placed.caller, placed.thread);
    CHECK_FALSE(CPU_ISSET(placed.caller, &placed.allowed));
    CHECK(CPU_COUNT(&placed.allowed) == CPU_COUNT(&all) - 1);
  }
  CHECK(judged == 10);
}

TEST_CASE("a pinned thread has a CPU of its own, and the caller goes to another") {
  cpu_set_t all;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  if (CPU_COUNT(&all) < 2) return;  // nowhere to go
  ThreadTeam team(2, /*pin=*/true);
  int apart = 0;
  for (int run = 0; run < 200 && apart < 10; ++run) {
    const Placed placed = run_once(team);
    CHECK(CPU_COUNT(&placed.allowed) == 1);
    CHECK(CPU_ISSET(placed.thread, &placed.allowed));
    apart += placed.caller != placed.thread;
    go_to(placed.thread);  // where the next run must not leave it
  }
  CHECK(apart == 10);
}

TEST_CASE("more threads than CPUs run where they can") {
  cpu_set_t all, one;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  ThreadTeam team(3, /*pin=*/GENERATE(false, true));
  std::atomic<int> calls{0};
  team.run([&](Member& member) {
    member.barrier();
    ++calls;
  });
  CHECK(calls == 3);
  REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0);
}
#endif
