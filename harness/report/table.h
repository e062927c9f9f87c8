// A record as text for people at a terminal. Other formats can stand beside it: each a function of the record alone.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// What ran; is it right; how fast is it; what came out; warnings; the verdict.
///
/// record  a run's record, as results/README.md has it
/// colour  whether ANSI colours may be used; without them the text is the same
/// width   columns of the terminal, 80 … ; lines are made to fit, wide characters counted as two
/// returns UTF-8, every line ended; control characters of prompts and outputs are escaped
/// throws  RecordError naming the field that is missing or of another type
std::string render_table(const Json& record, bool colour, int width);

}  // namespace kvproof
