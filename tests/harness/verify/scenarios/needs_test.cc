// What a subject must be able to do for each kind of scenario: by the operations in it, not by its name.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "harness/verify/scenarios/scenario.h"
#include "harness/verify/scenarios/script.h"
#include "tests/support/catch.h"

using namespace kvproof;

namespace {

constexpr int64_t kPositions = 64;

SubjectInfo some_info() {
  SubjectInfo info;
  info.dtype = "float64";
  info.vocab_size = 31;
  info.rotary_len = kPositions;
  info.n_layer = info.n_head = info.n_kv_head = 2;
  info.head_dim = 8;
  info.n_embd = 16;
  info.sequence_len = 16;
  return info;
}

std::string words(Abilities abilities) {
  std::vector<std::string> all;
  for (const Ability ability : abilities.list()) all.push_back(word_of(ability).word);
  return fmt::format("{}", fmt::join(all, " "));
}

std::string needs_of(const std::string& name) {
  return words(needs(make_script(parse_scenario(name + "/float64"), some_info(), 1), kPositions));
}

}  // namespace

TEST_CASE("every kind of scenario asks for the words of the operations in it", "[scenarios][needs]") {
  struct Case {
    const char *scenario, *words;  // in the protocol's order
  };
  const std::vector<Case> cases = {
      {"prefill[9]", ""},
      {"decode[7,3]", ""},
      {"ones[8]", ""},
      {"chunks[9]", ""},      // one chunk is a prefill
      {"chunks[3,1,1]", ""},  // and chunks of one token are decode
      {"chunks[3,1,4]", "chunks"},
      {"batch[1,5,3]", ""},  // a batch of one
      {"batch[3,5,3]", "batch"},
      {"ragged[1,4,9]", "batch uneven chunks"},
      {"clone[1,7,3]", "clone"},
      {"clone[3,7,3]", "batch clone"},
      {"diverge[1,6]", "clone caches"},
      {"diverge[2,6]", "batch clone caches"},
      {"shuffle[3,6,2]", "batch gather caches"},
      {"retain[4,6]", "batch retain"},
      {"truncate[9,4,4]", "truncate"},
      {"truncate_row[3,8,2]", "batch uneven chunks truncate_row"},
      {"uneven[3,4]", "batch uneven chunks gather truncate_row reserve retain caches"},
      {"batch_chunks[2,4,3]", "batch chunks"},
      {"batch_chunks[2,4,1]", "batch"},
      {"reset[9,3]", "reset"},
      {"reset_batch[3,6,2]", "batch reset"},
      {"grow[4,3]", "batch reserve"},
      {"capacity[1]", "reserve capacity_limit"},
      {"capacity[6]", "chunks reserve capacity_limit"},
      {"overflow[7]", "capacity_limit"},
      {"overflow_chunk[5]", "chunks capacity_limit"},
      {"overflow_rows[6]", "batch uneven capacity_limit"},
      {"overflow_chunk[5]", "chunks capacity_limit"},
      {"overflow_rows[6]", "batch uneven capacity_limit"},
      {"poison[4,4]", "batch uneven truncate_row poison"},
      {"interleave[5,3]", "caches"},
      {"over_allocated[5,3]", "reserve"},
      {"threads[2,3,3]", "batch threads"},
      {"rotary[64]", "position_limit"},
      {"rotary_end[64]", "position_limit"},
      {"replay[1,5,2]", "caches"},
      {"replay[3,5,2]", "batch caches"},
      {"row_independence[3,5,2]", "batch caches"},
      {"causality[4,6]", "chunks caches"},
  };
  std::set<std::string> kinds;
  for (const Case& one : cases) {
    CAPTURE(one.scenario);
    kinds.insert(parse_scenario(std::string(one.scenario) + "/float64").kind);
    CHECK(needs_of(one.scenario) == one.words);
  }
  for (const ScenarioKind& kind : scenario_kinds()) {
    CAPTURE(kind.name);
    CHECK(kinds.count(kind.name) == 1);  // none is missing above
  }
}

TEST_CASE("what does not fit is a matter of the capacity, unless positions end before it", "[scenarios][needs]") {
  const Tokens three = {1, 2, 3}, one = {4};
  const auto script_with = [&](int64_t capacity, const Tokens& refused) {
    Script script;
    script.steps.push_back({.kind = CacheStep::Kind::create, .cache = 0, .amount = 1, .capacity = capacity});
    script.steps.push_back({.kind = CacheStep::Kind::forward, .cache = 0, .tokens = {three}});
    script.steps.push_back({.kind = CacheStep::Kind::forward, .cache = 0, .tokens = {refused}, .refused = true});
    return script;
  };
  CHECK(words(needs(script_with(3, one), 4)) == "capacity_limit");  // a fourth position there is
  CHECK(words(needs(script_with(9, one), 3)) == "position_limit");  // there is none, whatever the capacity
  CHECK(words(needs(script_with(3, one), 3)) == "position_limit");
  CHECK(words(needs(script_with(3, three), 6)) == "chunks capacity_limit");
  CHECK(words(needs(script_with(3, three), 5)) == "chunks position_limit");
}

TEST_CASE("two caches are at work only where one is used after the other was made", "[scenarios][needs]") {
  using Kind = CacheStep::Kind;
  Script script;
  script.steps.push_back({.kind = Kind::create, .cache = 0, .amount = 1, .capacity = 8});
  script.steps.push_back({.kind = Kind::forward, .cache = 0, .tokens = {{1, 2}}});
  script.steps.push_back({.kind = Kind::clone, .cache = 1, .source = 0, .rows = {0}, .capacity = 8});
  script.steps.push_back({.kind = Kind::forward, .cache = 1, .tokens = {{3}}});
  CHECK(words(needs(script, kPositions)) == "clone");  // the source may be given away
  script.steps.push_back({.kind = Kind::forward, .cache = 0, .tokens = {{4}}});
  CHECK(words(needs(script, kPositions)) == "clone caches");
}
