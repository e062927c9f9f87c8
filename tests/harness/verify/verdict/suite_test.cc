// Which scenarios a model is put through: every kind, every window, nothing twice, and what was left out is told.
#include "harness/verify/verdict/suite.h"

#include <algorithm>
#include <set>

#include "harness/verify/scenarios/scenario.h"
#include "tests/support/catch.h"

using namespace kvproof;

namespace {

constexpr double kPlenty = 1e9;  // seconds: everything fits

/// Sizes of a small model with windows of 5 and of 64 keys.
SubjectInfo small_info(std::vector<int64_t> windows = {5, 5, 5, 64}, int64_t sequence_len = 64) {
  SubjectInfo info;
  info.dtype = "float64";
  info.vocab_size = 97;
  info.n_layer = 4;
  info.n_head = 4;
  info.n_kv_head = 2;
  info.head_dim = 16;
  info.n_embd = 64;
  info.sequence_len = sequence_len;
  info.rotary_len = 10 * sequence_len;
  info.windows = std::move(windows);
  return info;
}

int64_t longest(const std::string& name, const SubjectInfo& info) {
  int64_t most = 0;
  for (const Tokens& history : histories(make_script(parse_scenario(name), info, 0)))
    most = std::max<int64_t>(most, history.size());
  return most;
}

bool says(const Suite& suite, const std::string& part) {
  return std::any_of(suite.not_covered.begin(), suite.not_covered.end(),
                     [&](const std::string& sentence) { return sentence.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("a full suite has every kind of scenario there is", "[verdict][suite]") {
  const Suite suite = cache_suite(small_info(), Depth::full, kPlenty, false);
  std::set<std::string> kinds;
  for (const std::string& name : suite.scenarios) kinds.insert(parse_scenario(name).kind);
  for (const ScenarioKind& kind : scenario_kinds()) {
    CAPTURE(kind.name);
    CHECK(kinds.count(kind.name) == 1);
  }
  CHECK(suite.not_covered.empty());
}

TEST_CASE("no scenario is run twice", "[verdict][suite]") {
  for (const std::vector<int64_t>& windows : {std::vector<int64_t>{5, 5, 5, 64}, {3, 64}, {1, 2, 3, 9}, {64, 64}}) {
    for (const Depth depth : {Depth::quick, Depth::full}) {
      for (const bool numerics : {false, true}) {
        const Suite suite = cache_suite(small_info(windows), depth, kPlenty, numerics);
        std::set<std::string> seen;
        for (const std::string& name : suite.scenarios) {
          CAPTURE(name, windows, numerics);
          CHECK(seen.insert(name).second);
        }
      }
    }
  }
}

TEST_CASE("every finite window is crossed by decode, chunks, clones and rollback, and in full token by token",
          "[verdict][suite]") {
  for (const int64_t w : {1, 2, 3, 5, 20, 64, 128}) {
    for (const Depth depth : {Depth::quick, Depth::full}) {
      const SubjectInfo info = small_info({w, w, 2 * w, 64}, 64);
      const Suite suite = cache_suite(info, depth, kPlenty, false);
      for (const int64_t window : {w, 2 * w}) {
        std::set<std::string> crossing, at_the_edge;
        for (const std::string& name : suite.scenarios) {
          const int64_t length = longest(name, info);
          if (length > window + 1) crossing.insert(parse_scenario(name).kind);
        }
        CAPTURE(w, window);
        for (const char* kind : {"decode", "chunks", "clone", "truncate", "batch"}) CHECK(crossing.count(kind) == 1);
        if (depth == Depth::quick) continue;
        for (const char* kind : {"prefill", "ones", "ragged", "grow", "reset"}) CHECK(crossing.count(kind) == 1);
        for (const int64_t n : {window, window + 1, window + 2})
          CHECK(std::count(suite.scenarios.begin(), suite.scenarios.end(),
                           "prefill[" + std::to_string(n) + "]/float64") == 1);
      }
    }
  }
}

TEST_CASE("attention without a window has none to cross", "[verdict][suite]") {
  const Suite suite = cache_suite(small_info({kUnlimited, kUnlimited}), Depth::full, kPlenty, false);
  CHECK_FALSE(says(suite, "window"));
  for (const std::string& name : suite.scenarios) CHECK(longest(name, small_info()) <= 640);
}

TEST_CASE("a full suite reaches sequence_len and the last position of the rotary tables", "[verdict][suite]") {
  const Suite suite = cache_suite(small_info(), Depth::full, kPlenty, false);
  CHECK(suite.longest == 640);
  const auto has = [&](const char* name) {
    return std::count(suite.scenarios.begin(), suite.scenarios.end(), name) == 1;
  };
  CHECK(has("decode[63,3]/float64"));
  CHECK(has("rotary[640]/float64"));
  CHECK(has("rotary_end[640]/float64"));
}

TEST_CASE("a suite takes no more than it may, beyond the least, and names what it leaves out", "[verdict][suite]") {
  const double least = cache_suite(small_info(), Depth::full, 0, false).seconds;
  double before = 0;
  std::size_t scenarios = 0;
  for (const double seconds : {0.0, 0.1, 0.3, 1.0, 3.0}) {
    const Suite suite = cache_suite(small_info(), Depth::full, seconds, false);
    CAPTURE(seconds, suite.seconds);
    CHECK(suite.seconds <= std::max(least, seconds));
    CHECK(suite.seconds >= before);
    CHECK(suite.scenarios.size() >= scenarios);
    before = suite.seconds;
    scenarios = suite.scenarios.size();
  }
  const Suite none = cache_suite(small_info(), Depth::full, 0, false);
  CHECK(says(none, "sequences past the window of 5 keys (chunks[4,3,1,4]): about 1 s more than this check may take"));
  CHECK(says(none, "sequences past sequence_len, 64 tokens (decode[63,3])"));
  CHECK(says(none, "the last of the 640 positions of the rotary tables (rotary_end[640])"));
  CHECK(says(none, "short scenarios, left out for time: prefill[1], prefill[9], "));
}

TEST_CASE("every scenario of a suite can be run on its model", "[verdict][suite]") {
  for (const int64_t sequence_len : {1, 2, 4, 16, 64}) {
    const SubjectInfo info = small_info({5, 128, kUnlimited}, sequence_len);
    for (const bool numerics : {false, true}) {
      const Suite suite = cache_suite(info, Depth::full, kPlenty, numerics);
      CAPTURE(sequence_len, numerics);
      CHECK_FALSE(suite.scenarios.empty());
      for (const std::string& name : suite.scenarios) CHECK_NOTHROW(make_script(parse_scenario(name), info, 1));
    }
  }
}

TEST_CASE("longer scripts and larger models are estimated to take longer", "[verdict][suite]") {
  const SubjectInfo small = small_info();
  SubjectInfo large = small;
  large.n_embd = 2048;
  large.head_dim = 128;
  large.n_layer = 24;
  const auto seconds = [](const char* name, const SubjectInfo& info) {
    return estimated_seconds(make_script(parse_scenario(name), info, 1), info);
  };
  CHECK(seconds("decode[6,2]/float64", small) < seconds("decode[6,20]/float64", small));
  CHECK(seconds("prefill[6]/float64", small) < seconds("prefill[600]/float64", small));
  CHECK(seconds("decode[6,2]/float64", small) < seconds("decode[6,2]/float64", large));
  SubjectInfo wide = small;
  wide.n_inner = 4 * small.n_embd;  // as wide as one is taken to be that does not say
  CHECK(seconds("decode[6,2]/float64", wide) == seconds("decode[6,2]/float64", small));
  wide.n_inner = 100 * small.n_embd;
  CHECK(seconds("decode[6,2]/float64", wide) > 1.5 * seconds("decode[6,2]/float64", small));
}
