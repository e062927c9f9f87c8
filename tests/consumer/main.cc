#include <cstring>

#include "engine/error.h"

int main() {
  try {
    throw kvproof::CapacityError("cache", "expected at most 8 positions, got 9");
  } catch (const kvproof::Error& e) {
    return std::strcmp(e.what(), "cache: expected at most 8 positions, got 9");
  }
}
