// "Model wrong", second half: the user's own checkpoint, naive forward against oracle.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "harness/subject/subject.h"
#include "harness/verify/finding.h"
#include "harness/verify/oracle.h"

namespace kvproof {

/// A checkpoint as the oracle sees it: sizes and weights as stored, the generation as classified, what its config.json states
/// (if it has one), the user's overrides.
/// The tensors are shared.
OracleModel oracle_model_of(const Checkpoint& checkpoint, const ArchitectureOverrides& overrides);

/// Every generation's architecture as the engine resolves it, over window patterns, depths and lengths that no vector
/// has, against the oracle's constants. Needs no weights. Appends to both.
void check_architectures(LevelTally* tally, std::vector<Finding>* findings);

/// How far RoPE's tables may be from correctly rounded ones, in float32's last bits (see oracle_rotary_bounds): a pow that
/// errs in its last bit, and two operations that round its result. Worst seen 1.4, over nine head sizes from 16 to 256,
/// both bases, float32, bfloat16 and float16 tables, and all of 20480 positions.
inline constexpr double kRotaryLastBits = 3;

struct ModelReport {
  LevelTally constants;  // the architecture's, one by one, and RoPE's tables
  LevelTally logits;     // one comparison per position
  LevelTally stages;     // of the longest sequence: what enters layer 0; per layer keys, values, heads, residual stream
  double worst = 0;      // naive against oracle; largest distance of a logit
  double allowed = 0;    // kFloat64Gate * max(1, max|logit|)
  int64_t tokens = 0;    // of the longest sequence
  int64_t positions = 0;
  std::vector<Finding> findings;
  std::vector<std::string> not_covered;  // sentences without full stop
};

/// Holds what the engine resolved for a checkpoint against the oracle's constants, and the naive forward's logits against
/// the oracle's.
///
/// Stages inside the forward are compared too, where the subject shows them; the first that differs is a finding, since
/// what follows differs because of it.
///
/// Logits: 8 tokens, and for each window of w keys w + 2 tokens, at the positions beside its edge. The oracle turns by the
/// engine's RoPE tables once these are found to be within kRotaryLastBits of its own: LibTorch's float32 functions err in
/// the last bit, and nothing else may differ by more than double's rounding. So the gate is float64's own. Worst seen
/// 2.4e-14, head sizes 16 to 256 and all tables; where a norm_eps of 1.3e-7 for 1.19e-7 is already beyond the gate.
///
/// exact         the naive path under test in float64 on the CPU, of the same checkpoint
/// seed          of the token ids
/// flops_budget  what the oracle may spend, oracle_flops(); windows that do not fit are named in not_covered. Two tokens
///               are run in any case
/// throws        ArgumentError: exact is not in float64; what exact and the oracle throw
ModelReport check_model(const Checkpoint& checkpoint, const ArchitectureOverrides& overrides, Subject& exact,
                        uint64_t seed, double flops_budget);

}  // namespace kvproof
