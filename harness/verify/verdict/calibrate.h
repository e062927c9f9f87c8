// Could this check have failed? What harmless changes do to the numbers, and what the smallest harm does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/gates.h"

namespace kvproof {

/// A built-in change of the cache and how far it moves the logits of the next step.
struct Control {
  std::string name;   // "one cached key + 1e-3, layer 2"
  double effect = 0;  // max |logits - reference|, over R's denominator outside float64
};

struct Calibration {
  std::string dtype;
  double gate = 0;          // what the verdict allows: a distance (float64) or R
  double worst_benign = 0;  // in the same unit
  std::vector<Control> benign, negative;
  std::vector<std::string> doubts;  // why the answer cannot be PASS; empty: it can

  const Control* smallest_negative() const;
};

struct CalibrationTarget {
  Subject& tested;
  Subject* exact = nullptr;  // float64 on the CPU; null where `tested`, or `naive`, is its own reference
  /// Has attention summed over blocks of so many keys from now on, 0 as before; empty: cannot.
  std::function<void(int64_t keys)> use_key_blocks = {};
  Subject* naive = nullptr;     // whose uncached path is compared with; null: tested's
  std::string gate_dtype = "";  // whose gate is used; empty: the subject's dtype
  bool alone = false;           // nobody judges the same code's logic in float64: doubts are raised in every dtype
};

/// Runs, over one short sequence: the benign variations (the engine as it is, decoded, in a batch, in other chunks, over
/// key blocks), and the negative controls: one token of the history exchanged, one left out, and where the subject lets
/// its cache be changed, one cached key and one cached value moved in every layer: by 1e-3 in float64, by 0.1 where
/// it is judged alone in float32; in bfloat16 and float16 that drowns. What the subject does not do is left out.
///
/// Doubts (INCONCLUSIVE): a layer whose cached keys or values do not move the logits; a gate that does not lie between
/// the worst benign value and the smallest negative one; these less than 10 times apart (float64, float32). bfloat16 and
/// float16 have no gate of their own: theirs is twice the worst benign value, three times where a subject is judged alone
/// and then at most R's gate, for its cache could be wrong in what is taken to be harmless.
Calibration calibrate(const CalibrationTarget& target, uint64_t seed);

}  // namespace kvproof
