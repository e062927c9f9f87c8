// The record's `kvproof`: the program and the libraries it was built with.
#pragma once

#include "harness/record/record.h"

namespace kvproof {

Json build_json();

}  // namespace kvproof
