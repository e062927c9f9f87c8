// Other people's engines on our checkpoint: a wrong model is told from a wrong cache.

#include "tests/harness/verify/verdict/foreign.h"

using namespace kvproof;
using namespace kvproof::testing;

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
