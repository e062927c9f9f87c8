// The words users write for element types.
#pragma once

#include <c10/core/ScalarType.h>

#include <string>

namespace kvproof {

/// "float64", "float32", "bfloat16" or "float16". throws ArgumentError: another word (place "dtype")
at::ScalarType parse_dtype(const std::string& word);
std::string dtype_word(at::ScalarType dtype);

}  // namespace kvproof
