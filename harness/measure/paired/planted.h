// What proofs of a comparison plant into a program that measures: work that makes it slower, or a fault that changes what it
// generates. Nothing here is called unless that was asked for.
#pragma once

#include <cstdint>
#include <string>

#include "harness/measure/group_engine.h"

namespace kvproof {

/// Products of a matrix (64, 256) and a vector, done in every forward: work, not sleep, some microseconds each.
struct PlantedWork {
  int64_t prefill = 0;  // in a forward of several tokens a row
  int64_t decode = 0;   // of one
};

/// "PREFILL,DECODE". throws ArgumentError (place "--plant-work"): not two numbers from 0 to 1,000,000
PlantedWork planted_work_of(const std::string& text);

/// For every model that is opened: the work, and the fault of this name (verify --list-faults lists them; "": none), as far as
/// it lies in plans and caches.
/// throws ArgumentError (place "--plant-fault"): no such fault. The hook throws it too: the model cannot show it
ModelHook planted(const PlantedWork& work, const std::string& fault);

}  // namespace kvproof
