// The dtypes a checkpoint may hold, under the names that Python's files use.
#pragma once

#include <c10/core/ScalarType.h>

#include <array>

namespace kvproof {

struct StoredDtype {
  const char* storage;  // "FloatStorage", after "torch."
  const char* name;     // "float32"
  c10::ScalarType type;
};

inline constexpr std::array<StoredDtype, 10> kStoredDtypes = {{
    {"FloatStorage", "float32", c10::ScalarType::Float},
    {"BFloat16Storage", "bfloat16", c10::ScalarType::BFloat16},
    {"HalfStorage", "float16", c10::ScalarType::Half},
    {"DoubleStorage", "float64", c10::ScalarType::Double},
    {"LongStorage", "int64", c10::ScalarType::Long},
    {"IntStorage", "int32", c10::ScalarType::Int},
    {"ShortStorage", "int16", c10::ScalarType::Short},
    {"CharStorage", "int8", c10::ScalarType::Char},
    {"ByteStorage", "uint8", c10::ScalarType::Byte},
    {"BoolStorage", "bool", c10::ScalarType::Bool},
}};

/// "float32" and so on; LibTorch's own name for a dtype that is not in the table.
inline const char* dtype_name(c10::ScalarType type) {
  for (const auto& dtype : kStoredDtypes) {
    if (dtype.type == type) return dtype.name;
  }
  return c10::toString(type);
}

}  // namespace kvproof
