// nanochat's sampling once more: one generator, one torch.multinomial over all rows of the batch at each step.
#pragma once

#include "harness/verify/behaviour/expected_generation.h"

namespace kvproof {

/// The draws of one generation, to be asked for in order of steps. rows: of the whole batch.
StepDraw nanochat_draw(const SamplerSettings& settings, Path path, int64_t rows);

}  // namespace kvproof
