// A sample as the record and a run's journal hold it, and back.
#pragma once

#include <vector>

#include "harness/measure/clocked_call.h"
#include "harness/record/view.h"

namespace kvproof {

Json sample_json(const Sample& sample);
Json samples_json(const std::vector<Sample>& samples);

/// throws RecordError: a field is missing or odd
Sample sample_of(const View& json);
std::vector<Sample> samples_of(const View& json);

}  // namespace kvproof
