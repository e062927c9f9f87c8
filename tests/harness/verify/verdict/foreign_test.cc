// Engines of others: verified by what they can and show, which is less than ours; what they cannot is named, not passed.
#include <fmt/format.h>

#include "harness/verify/scenarios/scenario.h"
#include "tests/harness/verify/verdict/foreign.h"

using namespace kvproof;
using namespace kvproof::testing;

// --- nothing is wrong ---------------------------------------------------------------------------------------------------

TEST_CASE("a sound engine that is its own reference passes in every dtype, alone", "[verdict][foreign]") {
  for (const char* dtype : {"float64", "float32", "bfloat16"}) {
    CAPTURE(dtype);
    // In bfloat16 alone one moved key may drown in rounding, and that is said: the next test.
    const bool half = std::string(dtype) == "bfloat16";
    ForeignBed bed(dtype, half ? that_can(without({Ability::perturb})) : StandInOptions());
    const VerifyReport report = bed.verify();
    CAPTURE(report.explanation, report.not_covered);
    CHECK(report.verdict == VerifyVerdict::pass);
    CHECK(report.wrong.empty());
    CHECK(report.failed(false).empty());
    CHECK(report.failed(true).empty());
    REQUIRE(report.calibrations.size() == 1);
    CHECK(report.calibrations.front().dtype == dtype);
    CHECK(report.subject.name == "stand-in");
    for (const Level level : {Level::invariants, Level::tokens, Level::logits, Level::keys_values}) {
      CAPTURE(level_name(level));
      CHECK(report.level(level).checks > 0);
    }
    CHECK(report.level(Level::side_state).checks == 0);  // it shows neither stages nor tokens
    CHECK(says(report.not_covered, "what flows between the operations (L4) and who shares storage (L0)"));
    CHECK(says(report.not_covered, "whether the subject's model is the right one: no checkpoint was given"));
    CHECK_FALSE(report.model.has_value());
    CHECK_FALSE(report.vectors.has_value());
    CHECK(says(report.not_covered,
               "structure: in bfloat16 rounding hides small faults, and the subject does not run "
               "in float64 or float32") == half);
  }
}

TEST_CASE("in bfloat16 alone what a subject lets one move makes no difference to a sound engine's verdict",
          "[verdict][foreign]") {
  ForeignBed bed("bfloat16");
  const VerifyReport report = bed.verify();
  CAPTURE(report.explanation);
  CHECK(report.verdict == VerifyVerdict::pass);
  CHECK(report.wrong.empty());
  REQUIRE(report.calibrations.size() == 1);
  CHECK(report.calibrations[0].gate <= 8);  // whatever was taken to be harmless
  CHECK(report.calibrations[0].gate >= 3);
}

TEST_CASE("a twin in float64 judges the logic, the dtype asked for its rounding", "[verdict][foreign]") {
  for (const char* dtype : {"float32", "bfloat16"}) {
    CAPTURE(dtype);
    ForeignBed bed(dtype, {}, "", true);
    const VerifyReport report = bed.verify();
    CAPTURE(report.explanation);
    CHECK(report.verdict == VerifyVerdict::pass);
    REQUIRE(report.calibrations.size() == 2);
    CHECK(report.calibrations.front().dtype == "float64");
    CHECK(report.calibrations.back().dtype == dtype);
    CHECK_FALSE(says(report.not_covered, "and the subject does not run in float64"));

    ForeignBed faulty(dtype, {}, "value-halved-in-decode", true);
    const VerifyReport found = faulty.verify(kCaches);
    CHECK(found.verdict == VerifyVerdict::fail);
    REQUIRE(found.first_divergence.has_value());
    CHECK(found.first_divergence->scenario.find("/float64") != std::string::npos);
  }
}

TEST_CASE("thirty seeds of three shapes alone raise no alarm", "[verdict][foreign]") {
  for (const char* dtype : {"float32", "bfloat16"}) {
    const bool half = std::string(dtype) == "bfloat16";
    const StandInOptions options = half ? that_can(without({Ability::perturb})) : StandInOptions();
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      CAPTURE(dtype, seed);
      ForeignBed bed(dtype, options, "", false, make_shape(shapes().at(1 + seed % 3), seed));
      VerifyOptions few = quick(seed);
      few.seconds = 0.12;
      few.behaviour = seed % 5 == 0;
      const VerifyReport report = bed.verify(few);
      CAPTURE(report.explanation, report.failed(false), report.failed(true));
      CHECK(report.verdict == VerifyVerdict::pass);
    }
  }
}

// --- what it cannot -----------------------------------------------------------------------------------------------------

TEST_CASE("a word that is missing leaves its scenarios out, and is named once with how many", "[verdict][foreign]") {
  for (const Ability missing : without({Ability::uncached, Ability::threads}).list()) {
    const std::string word = word_of(missing).word;
    CAPTURE(word);
    ForeignBed bed("float64", that_can(without({missing})));
    const VerifyReport report = missing == Ability::generate ? bed.verify() : bed.verify(kCaches);
    CAPTURE(report.explanation, report.not_covered);
    CHECK(report.verdict == VerifyVerdict::pass);
    const SubjectInfo info = bed.target().tested.info();
    for (const ScenarioOutcome& outcome : report.outcomes) {
      const ScenarioName name = parse_scenario(outcome.name);
      if (!is_cache_scenario(name.kind)) continue;
      CAPTURE(outcome.name);
      CHECK(info.can.contains(needs(make_script(name, info, 1), info.rotary_len)));
    }

    Suite all = cache_suite(ForeignBed().target().tested.info(), Depth::quick, 15, false);
    int64_t left_out = 0;
    for (const std::string& name : all.scenarios)
      left_out += needs(make_script(parse_scenario(name), info, 1), info.rotary_len).has(missing);
    if (left_out > 0) {
      CHECK(times_said(report.not_covered, "(" + word + "): the subject does not do that") == 1);
      CHECK(
          says(report.not_covered, fmt::format("float64: {} ({}): the subject does not do that; {} scenarios left out",
                                               word_of(missing).meaning, word, left_out)));
    } else if (missing == Ability::read_slots) {
      CHECK(report.level(Level::keys_values).checks == 0);
      CHECK(says(report.not_covered, "keys and values (L3): the subject does not show its slots (read_slots)"));
    } else if (missing == Ability::generate) {
      CHECK(kinds_run(report).count("own") == 0);
      CHECK(says(report.not_covered, "the subject's own generation: it does not answer generate"));
    } else {
      CHECK((missing == Ability::all_logits || missing == Ability::perturb));
      // Logits of one position a request are dearer: fewer scenarios fit.
      CHECK(report.outcomes.size() + (missing == Ability::all_logits ? 10 : 0) >= all.scenarios.size());
    }
  }
}

TEST_CASE("a prompt and then one token at a time against recompute is already a verdict", "[verdict][foreign]") {
  for (const char* dtype : {"float64", "float32"}) {
    ForeignBed bed(dtype, that_can({Ability::uncached}));
    const VerifyReport report = bed.verify();
    CAPTURE(dtype, report.explanation, report.not_covered);
    CHECK(report.verdict == VerifyVerdict::pass);
    CHECK(kinds_run(report) == std::set<std::string>{"prefill", "decode", "ones", "greedy"});
    for (const char* word : {"batch", "uneven", "chunks", "clone", "truncate", "reset", "caches", "capacity_limit"})
      CHECK(times_said(report.not_covered, fmt::format("({}): the subject does not do that", word)) == 1);
  }
}

TEST_CASE("an engine that only copies a prompt to rows is verified in that", "[verdict][foreign]") {
  const Abilities can = {Ability::batch, Ability::clone};
  const Checkpoint checkpoint = small_checkpoint();
  {
    ForeignBed bed("float64", that_can(can));
    bed.hold_against(checkpoint, true);
    const VerifyReport report = bed.verify();
    CAPTURE(report.explanation, report.not_covered);
    CHECK(report.verdict == VerifyVerdict::pass);
    CHECK(kinds_run(report).count("clone") == 1);
    CHECK(kinds_run(report).count("batch") == 1);
    CHECK(kinds_run(report).count("chunks") == 0);
    CHECK_FALSE(report.against_ours.has_value());
    CHECK(says(report.not_covered, "the subject's model by itself: it has no uncached path"));
  }
  ForeignBed faulty("float64", that_can(can), "clone-misses-the-last-layer");
  faulty.hold_against(checkpoint, true);
  const VerifyReport report = faulty.verify();
  CHECK(report.verdict == VerifyVerdict::fail);
  REQUIRE(report.first_divergence.has_value());
  CHECK(report.first_divergence->suspect == Suspect::clone);
}

// --- doubts ---------------------------------------------------------------------------------------------------------------

TEST_CASE("where attention writes nothing, an engine alone is no PASS in any dtype", "[verdict][foreign]") {
  for (const char* dtype : {"float64", "float32", "bfloat16"}) {
    CAPTURE(dtype);
    ForeignBed bed(dtype, {}, "", false, without_projection(small_checkpoint()));
    const VerifyReport report = bed.verify(kCaches);
    CAPTURE(report.explanation);
    CHECK(report.verdict == VerifyVerdict::inconclusive);
    CHECK(report.explanation.rfind(std::string(dtype) + ": ", 0) == 0);
    CHECK(report.explanation.find("negative controls do not show in the logits") != std::string::npos);
  }
}

TEST_CASE("without a way to move cached numbers, a left-out token must still be felt", "[verdict][foreign]") {
  ForeignBed bed("float64", that_can({Ability::uncached}), "", false, without_projection(small_checkpoint()));
  CHECK(bed.verify().verdict == VerifyVerdict::inconclusive);
}

TEST_CASE("a scenario by name that the engine cannot do is refused by word", "[verdict][foreign]") {
  ForeignBed bed("float64", that_can(without({Ability::chunks})));
  CHECK(bed.verify(only({"decode[5,3]/float64"})).verdict == VerifyVerdict::pass);
  CHECK_THROWS_WITH(bed.verify(only({"chunks[3,1,4]/float64"})),
                    "--only: chunks[3,1,4]/float64: this subject does not do chunks (several tokens at once behind "
                    "others)");
}

// --- its own loop -----------------------------------------------------------------------------------------------------------

TEST_CASE("an engine's own generation is held against the logits it should have followed", "[verdict][foreign]") {
  ForeignBed bed("float64", {}, "first-token-broadcast");
  const VerifyReport healthy = ForeignBed().verify(only({"own[1,7,12]/float64", "own[3,5,8]/float64"}));
  CHECK(healthy.verdict == VerifyVerdict::pass);
  CHECK(healthy.level(Level::tokens).checks == 4);  // a row each
  ForeignBed faulty("float64", {}, "max-tokens-plus-one");
  const VerifyReport report = faulty.verify();
  CHECK(report.verdict == VerifyVerdict::fail);
  CHECK(report.wrong == Words{"generation"});
  REQUIRE(report.first_divergence.has_value());
  CHECK(report.first_divergence->suspect == Suspect::generation);
  CHECK(report.first_divergence->evidence.find("no comparison of logits or caches fails") != std::string::npos);
}
