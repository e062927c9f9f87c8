// Engines of others: verified by what they can and show, which is less than ours; what they cannot is named, not passed.
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "harness/verify/scenarios/scenario.h"
#include "tests/harness/verify/verdict/stand_in.h"

using namespace kvproof;
using namespace kvproof::testing;
using Words = std::vector<std::string>;

namespace {

bool says(const Words& sentences, const std::string& part) {
  for (const std::string& sentence : sentences)
    if (sentence.find(part) != std::string::npos) return true;
  return false;
}

int64_t times_said(const Words& sentences, const std::string& part) {
  return std::count_if(sentences.begin(), sentences.end(),
                       [&](const std::string& sentence) { return sentence.find(part) != std::string::npos; });
}

Abilities without(std::initializer_list<Ability> which, Abilities of = Abilities::all()) {
  Abilities rest;
  for (const Ability ability : of.list())
    if (std::find(which.begin(), which.end(), ability) == which.end()) rest.add(ability);
  return rest;
}

std::set<std::string> kinds_run(const VerifyReport& report) {
  std::set<std::string> kinds;
  for (const ScenarioOutcome& outcome : report.outcomes)
    if (outcome.skipped.empty()) kinds.insert(outcome.name.substr(0, outcome.name.find_first_of("[/")));
  return kinds;
}

StandInOptions that_can(Abilities can) {
  StandInOptions options;
  options.can = options.generate_uses = can;
  return options;
}

/// Without tokens of its own loop and threads: nothing but caches, and cheap.
const VerifyOptions kCaches = {.depth = Depth::quick, .seconds = 1, .vectors = false, .behaviour = false};

}  // namespace

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

// --- what is wrong ------------------------------------------------------------------------------------------------------

namespace {

struct PlantedCase {
  const char* fault;
  std::vector<Suspect> suspects;  // empty: found, and no more is asked
  bool coarse = false;            // tried in float32 alone too
};

const std::vector<PlantedCase>& planted_cases() {
  static const std::vector<PlantedCase> kCases = {
      {"position-zero-in-decode", {Suspect::position}, true},
      {"position-restarts-per-chunk", {Suspect::position}},
      {"window-one-narrower", {Suspect::window}, true},
      {"window-ignored-in-decode", {Suspect::window}},
      {"chunk-not-causal", {Suspect::mask, Suspect::attention}},
      {"chunk-mask-top-left", {Suspect::mask, Suspect::attention}},
      {"smear-dropped-at-chunk-start", {Suspect::smear, Suspect::mask}},
      {"kv-heads-tiled", {}},
      {"values-copied-in-part", {}},
      {"clone-fills-row-0-only", {Suspect::clone}},
      {"clone-misses-the-last-layer", {Suspect::clone}, true},
      {"growth-loses-the-last-slot", {Suspect::growth}},
      {"retained-rows-out-of-order", {Suspect::retain, Suspect::row}},
      {"stale-keys-after-reset", {Suspect::reset, Suspect::cache_write}, true},
      {"position-left-after-reset", {Suspect::reset, Suspect::position}},
      {"length-left-after-reset", {Suspect::reset, Suspect::state}},
      {"truncate-one-too-far", {Suspect::rollback, Suspect::state}, true},
      {"rows-rotated-in-decode", {Suspect::row, Suspect::state}},
      {"overflow-silently-dropped", {Suspect::capacity}},
      {"keys-kept-in-8-bits", {}, true},
  };
  return kCases;
}

}  // namespace

TEST_CASE("planted faults are found although no stage is shown", "[verdict][foreign]") {
  for (const char* dtype : {"float64", "float32"}) {
    for (const PlantedCase& one : planted_cases()) {
      if (std::string(dtype) == "float32" && !one.coarse) continue;
      CAPTURE(dtype, one.fault);
      ForeignBed bed(dtype, {}, one.fault);
      const VerifyReport report = bed.verify(kCaches);
      CHECK(report.verdict == VerifyVerdict::fail);
      CHECK(report.wrong == Words{"cache"});
      REQUIRE(report.first_divergence.has_value());
      CHECK_FALSE(report.latent_divergence.has_value());
      const Divergence& d = *report.first_divergence;
      CAPTURE(d.scenario, to_string(d.suspect), d.hint, d.evidence, d.finding.message);
      if (!one.suspects.empty())
        CHECK(std::find(one.suspects.begin(), one.suspects.end(), d.suspect) != one.suspects.end());
    }
  }
}

TEST_CASE("planted faults are found although nothing but logits is shown", "[verdict][foreign]") {
  for (const PlantedCase& one : planted_cases()) {
    if (one.suspects.empty()) continue;
    CAPTURE(one.fault);
    ForeignBed bed("float64", that_can(without({Ability::read_slots, Ability::perturb})), one.fault);
    const VerifyReport report = bed.verify(kCaches);
    CHECK(report.verdict == VerifyVerdict::fail);
    CHECK(report.level(Level::keys_values).checks == 0);
    CHECK(report.first_divergence.has_value());
  }
}

TEST_CASE("coarse faults are found in bfloat16 alone", "[verdict][foreign]") {
  for (const char* fault : {"position-zero-in-decode", "clone-fills-row-0-only", "stale-keys-after-reset"}) {
    CAPTURE(fault);
    ForeignBed bed("bfloat16", {}, fault);
    VerifyOptions few = kCaches;
    few.seconds = 0.12;
    CHECK(bed.verify(few).verdict == VerifyVerdict::fail);
  }
}

// --- latent -------------------------------------------------------------------------------------------------------------

TEST_CASE("what the engine's own generation never does is latent where it fails, and a failure", "[verdict][foreign]") {
  StandInOptions options;
  options.generate_uses = {Ability::clone, Ability::batch};
  ForeignBed bed("float64", options, "chunk-blind-to-the-past");
  const VerifyReport report = bed.verify();
  CHECK(report.verdict == VerifyVerdict::fail);
  CHECK(report.wrong == Words{"cache"});
  CHECK_FALSE(report.first_divergence.has_value());
  REQUIRE(report.latent_divergence.has_value());
  CHECK(report.latent_divergence->suspect == Suspect::mask);
  CHECK(report.explanation.rfind("latent: not reached by the subject's own generate: cache wrong: ", 0) == 0);
  CHECK(report.failed(false).empty());
  CHECK_FALSE(report.failed(true).empty());
  for (const std::string& name : report.failed(true)) {
    CAPTURE(name);
    const ScenarioName parsed = parse_scenario(name);
    const SubjectInfo info = bed.target().tested.info();
    CHECK(needs(make_script(parsed, info, 1), info.rotary_len).has(Ability::chunks));
  }

  options.generate_uses = {Ability::clone, Ability::batch, Ability::chunks};
  ForeignBed in_use("float64", options, "chunk-blind-to-the-past");
  const VerifyReport used = in_use.verify();
  REQUIRE(used.first_divergence.has_value());
  CHECK(used.explanation.rfind("cache wrong: ", 0) == 0);
  CHECK_FALSE(used.failed(false).empty());
}

TEST_CASE("failures in use and latent ones are told side by side", "[verdict][foreign]") {
  StandInOptions options;
  options.generate_uses = {Ability::clone, Ability::batch};
  options.before_forward = [](const SubjectCache& cache, const TokenBatch& tokens) {
    if (cache.length(0) > 0 && tokens.length > 1) throw SubjectError("the stand-in", "no chunks today");
  };
  ForeignBed bed("float64", options, "clone-fills-row-0-only");
  const VerifyReport report = bed.verify();
  CHECK(report.wrong == Words{"cache", "subject"});
  REQUIRE(report.first_divergence.has_value());
  CHECK(report.first_divergence->suspect == Suspect::clone);
  REQUIRE(report.latent_divergence.has_value());
  CHECK(report.latent_divergence->finding.message.find("no chunks today") != std::string::npos);
  CHECK(report.explanation.rfind("cache wrong: ", 0) == 0);
  CHECK(report.explanation.find("; latent: not reached by the subject's own generate: subject wrong: the subject broke "
                                "off: no chunks today") != std::string::npos);
}

// --- against our engine -------------------------------------------------------------------------------------------------

TEST_CASE("a model with another constant is wrong, and its cache is not", "[verdict][foreign]") {
  const Checkpoint ours = small_checkpoint("", {{"short_window", "5"}, {"softcap", "3"}});
  for (const char* dtype : {"float64", "float32", "bfloat16"}) {
    CAPTURE(dtype);
    ForeignBed bed(dtype);
    bed.overrides["softcap"] = "3";
    bed.hold_against(ours, false);
    const VerifyReport report = bed.verify(kCaches);
    CHECK(report.verdict == VerifyVerdict::fail);
    CHECK(report.wrong == Words{"model"});
    CHECK_FALSE(report.first_divergence.has_value());
    REQUIRE(report.model.has_value());  // ours against the oracle: right
    CHECK(report.model->constants.failures + report.model->logits.failures == 0);
    REQUIRE(report.against_ours.has_value());
    CHECK(report.against_ours->logits.failures > 0);
    CHECK(report.explanation.rfind("model wrong: what the subject computes is not what our engine does on the same "
                                   "checkpoint (full recompute of 8 tokens: expected our engine's logits within ",
                                   0) == 0);
  }
}

TEST_CASE("the right model held against ours passes, in every dtype", "[verdict][foreign]") {
  const Checkpoint ours = small_checkpoint();
  for (const char* dtype : {"float64", "float32", "bfloat16"}) {
    for (const bool cache_too : {false, true}) {
      CAPTURE(dtype, cache_too);
      ForeignBed bed(dtype, that_can(without({Ability::perturb})));
      bed.hold_against(ours, cache_too);
      const VerifyReport report = bed.verify(kCaches);
      CAPTURE(report.explanation);
      CHECK(report.verdict == VerifyVerdict::pass);
      REQUIRE(report.against_ours.has_value());
      CHECK(report.against_ours->logits.checks > 0);
      CHECK(report.calibrations.front().dtype == dtype);
    }
  }
}

TEST_CASE("a cache held against ours shows a wrong cache, and a wrong model too", "[verdict][foreign]") {
  const Checkpoint same = small_checkpoint(), other = small_checkpoint("", {{"short_window", "5"}, {"softcap", "3"}});
  {
    ForeignBed bed("float32", {}, "position-zero-in-decode");
    bed.hold_against(same, true);
    const VerifyReport report = bed.verify();
    CHECK(report.wrong == Words{"cache"});
    REQUIRE(report.first_divergence.has_value());
    CHECK(report.first_divergence->suspect == Suspect::position);
  }
  ForeignBed bed("float32");
  bed.overrides["softcap"] = "3";
  bed.hold_against(other, true);
  CHECK(bed.verify().wrong == Words{"model", "cache"});
}

TEST_CASE("keys before their rotation are not held against ours, values are", "[verdict][foreign]") {
  const Checkpoint ours = small_checkpoint();
  StandInOptions options;
  options.keys_rotated = false;
  options.on_slots = [](CacheSlots& slots, int64_t, int64_t) {  // as if nobody had turned them
    for (double& number : slots.keys) number = 2 - number;
  };
  {
    ForeignBed bed("float32", options);
    bed.hold_against(ours, true);
    const VerifyReport report = bed.verify(kCaches);
    CAPTURE(report.explanation);
    CHECK(report.verdict == VerifyVerdict::pass);
    CHECK(report.level(Level::keys_values).checks > 0);
  }
  ForeignBed faulty("float32", options, "value-halved-in-decode");
  faulty.hold_against(ours, true);
  CHECK(faulty.verify(kCaches).level(Level::keys_values).failures > 0);

  options.keys_rotated = true;
  ForeignBed lying("float32", options);
  lying.hold_against(ours, true);
  CHECK(lying.verify(kCaches).verdict == VerifyVerdict::fail);

  // Held against its own prefill they are compared, whatever they are.
  options.keys_rotated = false;
  ForeignBed alone("float32", options, "decode-key-not-stored");
  const VerifyReport report = alone.verify(only({"decode[6,2]/float32"}));
  CHECK(report.level(Level::keys_values).failures > 0);
}

// --- slots that are no longer kept ----------------------------------------------------------------------------------------

TEST_CASE("positions that a sliding cache has forgotten are no fault", "[verdict][foreign]") {
  for (const char* dtype : {"float64", "float32"}) {
    StandInOptions options = that_can(without({Ability::truncate, Ability::truncate_row, Ability::perturb}));
    options.forgets_before = 6;  // what a window of 5 keys needs, and the token itself
    ForeignBed bed(dtype, options);
    const VerifyReport report = bed.verify();
    CAPTURE(dtype, report.explanation, report.failed(false));
    CHECK(report.verdict == VerifyVerdict::pass);
    CHECK(report.level(Level::keys_values).checks > 0);
  }
}

TEST_CASE("a key that is still kept and wrong is found beside forgotten ones", "[verdict][foreign]") {
  StandInOptions options;
  options.forgets_before = 6;
  ForeignBed bed("float64", options, "decode-key-not-stored");
  const VerifyReport report = bed.verify(only({"decode[12,4]/float64"}));
  CHECK(report.verdict == VerifyVerdict::fail);
  REQUIRE(report.level(Level::keys_values).failures > 0);
  REQUIRE(report.first_divergence.has_value());
  CHECK(report.first_divergence->finding.place.stage == "cache");
  CHECK(report.first_divergence->finding.place.tensor == "K");
  CHECK(report.first_divergence->finding.place.position == 12);  // the first that a step stored
}

// --- engines that break ---------------------------------------------------------------------------------------------------

TEST_CASE("logits that are no numbers fail, and say so", "[verdict][foreign]") {
  StandInOptions options;
  options.after_forward = [](std::vector<LogitRows>& logits) {
    for (LogitRows& row : logits) row.values.front() = NAN;
  };
  for (const char* dtype : {"float64", "float32"}) {
    ForeignBed bed(dtype, options);
    const VerifyReport report = bed.verify();
    CAPTURE(dtype);
    CHECK(report.verdict == VerifyVerdict::fail);
    REQUIRE(report.first_divergence.has_value());
    CHECK(report.first_divergence->hint.find("no number") != std::string::npos);
  }
  options.after_forward = [](std::vector<LogitRows>& logits) {
    for (LogitRows& row : logits) std::fill(row.values.begin(), row.values.end(), NAN);
  };
  ForeignBed everywhere("float32", options);
  CHECK(everywhere.verify().verdict == VerifyVerdict::fail);
}

TEST_CASE("an engine that breaks in some forwards is judged in the others", "[verdict][foreign]") {
  StandInOptions options;
  options.before_forward = [](const SubjectCache& cache, const TokenBatch&) {
    if (cache.batch() == 3) throw SubjectError("the stand-in", "died in a batch of three");
  };
  ForeignBed bed("float64", options);
  const VerifyReport report = bed.verify();
  CHECK(report.verdict == VerifyVerdict::fail);
  int64_t broke = 0, passed = 0;
  for (const ScenarioOutcome& outcome : report.outcomes) {
    if (outcome.broke_off.empty()) {
      CAPTURE(outcome.name);
      CHECK_FALSE(outcome.failed());
      ++passed;
    } else {
      CHECK(outcome.broke_off.find("died in a batch of three") != std::string::npos);
      ++broke;
    }
  }
  CHECK(broke > 5);
  CHECK(passed > 20);
  REQUIRE(report.first_divergence.has_value());
  CHECK(report.first_divergence->finding.message == "ended in an error: died in a batch of three");
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
