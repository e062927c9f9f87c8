// How well a check could see: harmless changes below the gate, harm above it, and doubts where it is not so.
#include "harness/verify/verdict/calibrate.h"

#include "tests/harness/verify/verdict/bed.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

Calibration calibration_of(Bed& bed, bool logic) {
  const VerifyTarget target = bed.engine.target();
  if (logic) return calibrate({target.logic ? *target.logic : target.tested, nullptr, target.use_key_blocks}, 1);
  return calibrate({target.tested, target.logic, target.use_key_blocks}, 1);
}

const Control* control_named(const Calibration& c, const std::string& name) {
  for (const Control& control : c.negative)
    if (control.name == name) return &control;
  return nullptr;
}

}  // namespace

TEST_CASE("the gate lies between every harmless change and every harm", "[verdict][calibrate]") {
  for (const char* dtype : {"float64", "float32"}) {
    CAPTURE(dtype);
    Bed bed(dtype);
    const Calibration c = calibration_of(bed, std::string(dtype) == "float64");
    CHECK(c.dtype == dtype);
    CHECK(c.doubts.empty());
    REQUIRE(c.smallest_negative() != nullptr);
    CAPTURE(c.worst_benign, c.gate, c.smallest_negative()->name, c.smallest_negative()->effect);
    for (const Control& benign : c.benign) CHECK(benign.effect <= c.worst_benign);
    for (const Control& negative : c.negative) CHECK(negative.effect > c.gate);
    CHECK(c.worst_benign < c.gate);
    CHECK(c.smallest_negative()->effect >= 10 * c.worst_benign);
  }
}

TEST_CASE("every kind of harmless change and of harm is tried", "[verdict][calibrate]") {
  Bed bed;
  const Calibration c = calibration_of(bed, true);
  std::vector<std::string> benign;
  for (const Control& control : c.benign) benign.push_back(control.name);
  CHECK(benign == std::vector<std::string>{"decoded after one prefill", "decoded token by token",
                                           "prefilled in three chunks", "in a batch of three",
                                           "recomputed with one more token behind", "attention over blocks of 3 keys",
                                           "recomputed over blocks of 3 keys", "attention over blocks of 5 keys",
                                           "recomputed over blocks of 5 keys"});
  CHECK(c.negative.size() == 2 + 2 * 4);  // a token exchanged, one missing, a key and a value in each of 4 layers
  // Summed over blocks, attention is not the same to the bit: the variation is real.
  CHECK(c.worst_benign > 0);
  CHECK(c.worst_benign < 1e-12);  // worst seen 5e-14
}

TEST_CASE("attention that was summed over blocks is as it was after calibration", "[verdict][calibrate]") {
  Bed bed;
  const auto tokens = some_tokens(12, 97);
  const VerifyTarget target = bed.engine.target();
  const auto before = target.tested.uncached_logits(tokens, 0).values;
  calibrate({target.tested, nullptr, target.use_key_blocks}, 1);
  CHECK(target.tested.uncached_logits(tokens, 0).values == before);
}

TEST_CASE("in bfloat16 and float16 the gate is twice the worst harmless change and raises no doubt",
          "[verdict][calibrate]") {
  for (const char* dtype : {"bfloat16", "float16"}) {
    CAPTURE(dtype);
    Bed bed(dtype, without_projection(small_checkpoint()));
    const Calibration c = calibration_of(bed, false);
    CHECK(c.gate == 2 * std::max(1.0, c.worst_benign));
    CHECK(c.doubts.empty());  // the logic is judged in float64: there they are raised
  }
}

TEST_CASE("a layer whose cache does not move the logits is named", "[verdict][calibrate]") {
  Bed bed("float64", without_projection(small_checkpoint(), 2));
  const Calibration c = calibration_of(bed, true);
  for (int64_t layer = 0; layer < 4; ++layer) {
    for (const char* what : {"key", "value"}) {
      const Control* control =
          control_named(c, "one cached " + std::string(what) + " + 0.001, layer " + std::to_string(layer));
      CAPTURE(layer, what);
      REQUIRE(control != nullptr);
      CHECK((control->effect > c.gate) == (layer != 2));
    }
  }
  REQUIRE(c.doubts.size() == 1);
  CHECK(c.doubts[0] ==
        "2 of 10 negative controls do not show in the logits (one cached key + 0.001, layer 2, …): with these weights "
        "a broken cache could pass");
}

TEST_CASE("where all layers are dead even another token does not show", "[verdict][calibrate]") {
  Bed bed("float64", without_projection(small_checkpoint()));
  const Calibration c = calibration_of(bed, true);
  REQUIRE(c.doubts.size() == 1);
  CHECK(c.smallest_negative()->effect <= c.gate);
  CHECK(control_named(c, "one cached token is another one")->effect <= c.gate);
}
