// What a pattern of failed comparisons is taken to mean. Outcomes are written by hand; planted faults are tried where
// scenarios are driven.
#include "harness/verify/localise.h"

#include "harness/verify/clue.h"
#include "tests/support/catch.h"

using namespace kvproof;

namespace {

struct At {
  int64_t step = 1;
  std::string operation = "decode";
  std::string stage = "key";
  int64_t layer = 0, row = 0, position = 4;
  std::string evidence = {}, message = "is off", tensor = {};
};

Finding finding(const At& at) {
  Finding f;
  f.level = at.stage == "state" ? Level::invariants : at.stage == "tokens" ? Level::behaviour : Level::side_state;
  f.place.step = at.step;
  f.place.operation = at.operation;
  f.place.stage = at.stage;
  f.place.layer = at.layer;
  f.place.row = at.row;
  f.place.position = at.position;
  f.place.tensor = at.tensor;
  f.evidence = at.evidence;
  f.message = at.message;
  return f;
}

ScenarioOutcome passed(const std::string& name) {
  ScenarioOutcome outcome;
  outcome.name = name;
  outcome.seed = 7;
  return outcome;
}
ScenarioOutcome failed(const std::string& name, const std::vector<At>& all) {
  ScenarioOutcome outcome = passed(name);
  for (const At& at : all) {
    outcome.note(finding(at));
    outcome.level(outcome.findings.back().level).add_fact(false);
  }
  return outcome;
}
ScenarioOutcome broken(const std::string& name, const std::string& error) {
  ScenarioOutcome outcome = passed(name);
  outcome.broke_off = error;
  return outcome;
}

std::string suspect(const std::vector<ScenarioOutcome>& outcomes) {
  const auto divergence = localise(outcomes);
  REQUIRE(divergence);
  return to_string(divergence->suspect);
}

}  // namespace

TEST_CASE("where nothing failed there is nothing to localise", "[localise]") {
  CHECK_FALSE(localise({}));
  ScenarioOutcome skipped = passed("threads[2,3,3]/float64");
  skipped.skipped = "the number of threads cannot be changed here";
  CHECK_FALSE(localise({passed("prefill[3]/float64"), skipped}));
}

TEST_CASE("the first divergence is the earliest by step, layer and stage, not the first noted", "[localise]") {
  const auto divergence = localise({passed("prefill[1]/float64"),
                                    failed("decode[3,3]/float64", {{.step = 2, .stage = "embed", .layer = kNowhere},
                                                                   {.stage = "logits", .layer = kNowhere},
                                                                   {.stage = "attention", .layer = 1},
                                                                   {.stage = "cache", .layer = 1, .tensor = "V"},
                                                                   {.stage = "value", .layer = 2}}),
                                    failed("chunks[3,3]/float64", {{.step = 0}})});
  REQUIRE(divergence);
  CHECK(divergence->scenario == "decode[3,3]/float64");
  CHECK(divergence->seed == 7);
  CHECK(divergence->finding.place.stage == "cache");
  CHECK(divergence->finding.place.layer == 1);
  CHECK(divergence->suspect == Suspect::cache_write);
  CHECK_THAT(divergence->evidence, Catch::Contains("decode, chunks fail, prefill passes"));
}

TEST_CASE("which of queries, keys and values differ says which part is wrong", "[localise]") {
  struct Case {
    std::vector<std::string> stages;
    std::string suspect, pattern;
  };
  const auto c = GENERATE(values<Case>({
      {{"key"}, "position", "K differs but V matches"},
      {{"query", "key"}, "position", "and so do queries"},
      {{"query"}, "position", "queries differ but K and V match"},
      {{"query", "key", "value"}, "projection", "what enters it matches"},
      {{"value"}, "value embedding", "V differs but K matches"},
      {{"cache", "attention"}, "cache write", "the slots do not"},
      {{"attention"}, "attention", "queries, keys, values and slots match"},
      {{"layer"}, "layer", "the attention stage matches"},
      {{"logits"}, "head", "all layers match"},
      {{"smear"}, "smear", "the embedding itself matches"},
      {{"embed", "smear"}, "embedding", ""},
  }));
  std::vector<At> all;
  for (const std::string& stage : c.stages) all.push_back({.stage = stage});
  const auto divergence = localise({failed("decode[3,3]/float64", all)});
  REQUIRE(divergence);
  CHECK(to_string(divergence->suspect) == c.suspect);
  CHECK_THAT(divergence->evidence, Catch::Contains(c.pattern));
}

TEST_CASE("what the numbers look like decides between parts of attention", "[localise]") {
  const auto [phrase, expected] = GENERATE(table<std::string, std::string>({{clue::kWindow, "window"},
                                                                            {clue::kHeadMap, "head map"},
                                                                            {clue::kScale, "attention"},
                                                                            {clue::kLaterTokens, "mask"},
                                                                            {clue::kChunkMask, "mask"},
                                                                            {clue::kKeyRange, "key range"},
                                                                            {clue::kPastTheEnd, "key range"},
                                                                            {clue::kRounded, "precision"}}));
  CHECK(suspect({failed("decode[3,3]/float64",
                        {{.stage = "attention", .evidence = "the output " + phrase + " that"}})}) == expected);
}

TEST_CASE("what only follows an operation is laid at its door", "[localise]") {
  const auto [operation, expected] = GENERATE(table<std::string, std::string>({{"clone to 3 rows", "clone"},
                                                                               {"retain 2 rows", "retain"},
                                                                               {"truncate to 4", "rollback"},
                                                                               {"reset", "reset"},
                                                                               {"grow to 9", "growth"}}));
  const auto in_it = failed("some[3]/float64", {{.operation = operation, .stage = "cache"}});
  const auto after_it = failed("some[3]/float64", {{.operation = "decode after " + operation, .stage = "smear"}});
  CHECK(suspect({passed("decode[3,3]/float64"), in_it}) == expected);
  CHECK(suspect({passed("decode[3,3]/float64"), after_it}) == expected);
  // A forward on an untouched cache that fails in the same way is nearer to the cause, wherever it stands.
  CHECK(suspect({after_it, failed("decode[3,3]/float64", {{.stage = "smear"}})}) == "smear");
}

TEST_CASE("rows are suspected where only rows above the first, or only batches, differ", "[localise]") {
  const At later{.stage = "layer", .row = 1}, first{.stage = "layer", .row = 0};
  CHECK(suspect({passed("decode[3,3]/float64"), failed("batch[2,3,3]/float64", {later})}) == "row");
  CHECK(suspect({passed("decode[3,3]/float64"), failed("ragged[2,3]/float64", {first, later})}) == "row");
  CHECK(suspect({failed("batch[2,3,3]/float64", {first, later})}) == "layer");
}

TEST_CASE("a refusal that does not come is a matter of capacity", "[localise]") {
  const At missing{
      .operation = "decode, to be refused", .stage = "state", .message = "1 tokens … taken without a word"};
  CHECK(suspect({failed("capacity[6]/float64", {missing})}) == "capacity");
  const At refused{.stage = "state", .message = "ended in an error: KV cache: row 0 holds 3 positions"};
  const auto divergence = localise({failed("decode[3,3]/float64", {refused})});
  REQUIRE(divergence);
  CHECK(divergence->suspect == Suspect::capacity);
  CHECK_THAT(divergence->evidence, Catch::Contains("row 0 holds 3 positions"));
}

TEST_CASE("relations to the bit name what they vary", "[localise]") {
  const At again{.operation = "decode, done again", .stage = "logits"};
  CHECK(suspect({failed("row_independence[3,5,2]/float64", {again})}) == "row");
  CHECK(suspect({failed("causality[3,5]/float64", {again})}) == "mask");
  CHECK(suspect({failed("replay[3,5,2]/float64", {again})}) == "state");
}

TEST_CASE("float64 is looked at first, and its passing means rounding", "[localise]") {
  const auto coarse = failed("decode[3,3]/bfloat16", {{.stage = "key"}});
  CHECK(suspect({coarse, passed("decode[3,3]/float64")}) == "precision");
  CHECK(suspect({coarse}) == "position");
  const auto divergence = localise({coarse, failed("decode[3,3]/float64", {{.stage = "value"}})});
  REQUIRE(divergence);
  CHECK(divergence->scenario == "decode[3,3]/float64");
}

TEST_CASE("generations come last, and their evidence tells draws from the loop", "[localise]") {
  const auto generated = [](const std::string& kind, const std::string& evidence) {
    return failed(kind + "[3,3,3]/float64", {{.operation = "generate (engine)",
                                              .stage = "tokens",
                                              .layer = kNowhere,
                                              .evidence = evidence,
                                              .message = "expected token 4 at step 1 of row 0, found 9"}});
  };
  CHECK(suspect({generated("samples", "as if drawn with row 0's noise")}) == "sampling");
  CHECK(suspect({generated("top_k", "as if top_k were 4")}) == "sampling");
  CHECK(suspect({generated("samples", "")}) == "sampling");
  CHECK(suspect({generated("stop", "the stop token was kept")}) == "generation");
  CHECK(suspect({generated("forced", "")}) == "generation");
  CHECK(suspect({broken("limit[3,2]/float64", "rotary tables: too short"),
                 generated("max_tokens", "one token too many")}) == "generation");
  CHECK(suspect({broken("limit[3,2]/float64", "rotary tables: too short")}) == "generation");
  CHECK(suspect({generated("samples", "as if drawn with row 0's noise"), failed("decode[3,3]/float64", {{}})}) ==
        "position");
}

namespace {

const LocaliseFacts kHidden{.stages_shown = false, .windows = {5, 64}};

Divergence hidden(const std::vector<ScenarioOutcome>& outcomes) {
  const auto divergence = localise(outcomes, kHidden);
  REQUIRE(divergence);
  return *divergence;
}

At slot(const std::string& tensor, int64_t layer, const std::string& operation = "decode",
        const std::string& evidence = "") {
  return {.operation = operation, .stage = "cache", .layer = layer, .evidence = evidence, .tensor = tensor};
}
At logits_at(int64_t position, const std::string& operation = "decode", const std::string& evidence = "") {
  return {
      .operation = operation, .stage = "logits", .layer = kNowhere, .position = position, .evidence = evidence};
}

}  // namespace

TEST_CASE("without stages, keys turned by a wrong position are a matter of position", "[localise]") {
  const std::string turned = std::string("the key is ") + clue::kTurned + " one position too many";
  const Divergence d = hidden({failed("decode[3,3]/float64", {slot("K", 0, "decode", turned), logits_at(4)})});
  CHECK(d.suspect == Suspect::position);
  CHECK_THAT(d.evidence, Catch::Contains("K differs but V matches in layer 0"));
  CHECK(hidden({failed("decode[3,3]/float64", {slot("K", 0)})}).suspect == Suspect::cache_write);
}

TEST_CASE("without stages, logits that go wrong where a window begins to matter point to the window", "[localise]") {
  for (const int64_t first : {5, 6}) {
    const Divergence d = hidden({failed("decode[3,9]/float64", {logits_at(first)}), passed("decode[3,1]/float64")});
    CHECK(d.suspect == Suspect::window);
    CHECK_THAT(d.evidence, Catch::Contains("logits are right up to position " + std::to_string(first - 1) +
                                           ", where the window of 5 begins to matter"));
  }
  for (const int64_t first : {4, 7})
    CHECK(hidden({failed("decode[3,9]/float64", {logits_at(first)})}).suspect == Suspect::attention);
  // Another scenario goes wrong before the window: it is not the window.
  CHECK(hidden({failed("decode[3,9]/float64", {logits_at(5)}), failed("decode[1,4]/float64", {logits_at(2)})})
            .suspect == Suspect::attention);
  // Unless its numbers follow another operation, or are of another dtype.
  CHECK(hidden({failed("decode[3,9]/float64", {logits_at(5)}),
                failed("truncate[6,2,1]/float64", {logits_at(2, "decode after truncate to 2")}),
                failed("decode[1,4]/float32", {logits_at(2)})})
            .suspect == Suspect::window);
}

TEST_CASE("without stages, what the first token of a chunk loses is smear in the first layer alone", "[localise]") {
  const auto first_of_chunk = [](int64_t layer) {
    const std::string evidence = std::string(clue::kFirstOfChunk) + " that begins at position 4";
    return failed("chunks[4,3]/float64",
                  {slot("K", layer, "chunk of 3 tokens", evidence), slot("V", layer, "chunk of 3 tokens", evidence)});
  };
  CHECK(hidden({first_of_chunk(0), passed("ones[8]/float64")}).suspect == Suspect::smear);
  CHECK(hidden({first_of_chunk(1), passed("ones[8]/float64")}).suspect == Suspect::mask);
  CHECK(hidden({first_of_chunk(1)}).suspect == Suspect::attention);  // nobody went token by token
}

TEST_CASE("without stages, what only chunks get wrong is their mask", "[localise]") {
  const auto chunks = failed("chunks[2,2]/float64", {logits_at(2, "chunk of 2 tokens")});
  const Divergence d = hidden({passed("ones[8]/float64"), chunks});
  CHECK(d.suspect == Suspect::mask);
  CHECK_THAT(d.evidence, Catch::Contains("token by token all is right"));
  const auto ones = failed("ones[8]/float64", {logits_at(3)});
  CHECK(hidden({ones, chunks}).suspect == Suspect::attention);
  // The same in a later layer's slots: the layer before gave another output.
  const auto slots = failed("chunks[2,2]/float64",
                            {slot("K", 2, "chunk of 2 tokens"), slot("V", 2, "chunk of 2 tokens")});
  const Divergence of_slots = hidden({passed("ones[8]/float64"), slots});
  CHECK(of_slots.suspect == Suspect::mask);
  CHECK_THAT(of_slots.hint, Catch::Contains("layer 1 gives another output from right keys and values"));
  CHECK_THAT(of_slots.evidence, Catch::Contains("K and V differ in layer 2, and those of the layers before match"));
}

TEST_CASE("without stages, wrong logits alone are attention's, with slots that match or are not shown", "[localise]") {
  auto outcome = failed("decode[3,3]/float64", {logits_at(4)});
  CHECK(hidden({outcome}).suspect == Suspect::attention);
  CHECK_THAT(hidden({outcome}).hint, Catch::Contains("where, only the slots can tell (read_slots)"));
  outcome.level(Level::keys_values).add(0, 1e-9);
  CHECK_THAT(hidden({outcome}).evidence, Catch::Contains("the slots are those of one prefill"));
  const std::string nan = std::string("is ") + clue::kNotANumber;
  CHECK_THAT(hidden({failed("decode[3,3]/float64", {logits_at(4, "decode", nan)})}).hint,
             Catch::Contains("what comes out is no number"));
}

TEST_CASE("without stages, slots that only batches get wrong are rows mixed up", "[localise]") {
  const auto batch = failed("batch[2,3,3]/float64", {slot("K", 0), slot("V", 0)});
  CHECK(hidden({passed("decode[3,3]/float64"), batch}).suspect == Suspect::row);
  CHECK(hidden({batch}).suspect == Suspect::cache_write);  // no single row was tried
  CHECK(suspect({passed("decode[3,3]/float64"), batch}) == "cache write");  // with stages the slots are known to differ
}

TEST_CASE("an engine's own loop is a generation like any other", "[localise]") {
  const auto own = failed("own[1,7,12]/float64", {{.operation = "the subject's own generate",
                                                   .stage = "tokens",
                                                   .layer = kNowhere,
                                                   .message = "expected token 4 at step 1 of row 0, found 9"}});
  const Divergence alone = hidden({passed("decode[3,3]/float64"), own});
  CHECK(alone.suspect == Suspect::generation);
  CHECK_THAT(alone.evidence, Catch::Contains("no comparison of logits or caches fails"));
  // A cache that is wrong as well comes first, wherever it stands.
  CHECK(hidden({own, failed("truncate[6,2,1]/float64", {slot("K", 0, "truncate to 2")})}).suspect ==
        Suspect::rollback);
}
