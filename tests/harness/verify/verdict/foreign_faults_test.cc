// Faults of other people's engines: found by what these show, told as latent where their own generation never meets them.

#include <cmath>

#include "harness/verify/scenarios/scenario.h"
#include "tests/harness/verify/verdict/foreign.h"

using namespace kvproof;
using namespace kvproof::testing;

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
