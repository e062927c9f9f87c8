// Faults outside the model: a subject that does something else around the one it wraps.
#pragma once

#include <functional>
#include <memory>

#include "harness/subject/subject.h"

namespace kvproof {

/// What the cached path does instead of the subject's own generation. The naive path stays the subject's.
using EngineGeneration =
    std::function<GenerationResult(Subject& inner, const GenerationRequest& request, GenerationObserver* observer)>;
std::unique_ptr<Subject> change_generation(std::unique_ptr<Subject> subject, EngineGeneration generate);

/// Caches of the subject take tokens beyond their capacity: logits come, nothing is stored, the length stays.
std::unique_ptr<Subject> drop_overflow(std::unique_ptr<Subject> subject);

}  // namespace kvproof
