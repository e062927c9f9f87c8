#include "harness/verify/vectors/embedded.h"

#include <array>

// What embedded_files.S defines: where each file begins and ends.
#define FILE_OF(symbol) extern "C" const char symbol[], symbol##_end[];
#define GENERATION(symbol, folder) \
  FILE_OF(symbol##_model)          \
  FILE_OF(symbol##_meta)           \
  FILE_OF(symbol##_tokenizer)      \
  FILE_OF(symbol##_outputs)        \
  FILE_OF(symbol##_tensors)
#include "harness/verify/vectors/generations.inc"
#undef GENERATION
#undef FILE_OF

namespace kvproof {
namespace {

std::string_view between(const char* begin, const char* end) { return {begin, static_cast<std::size_t>(end - begin)}; }

}  // namespace

std::span<const EmbeddedGeneration> embedded_generations() {
#define FILE_OF(symbol) between(symbol, symbol##_end)
#define GENERATION(symbol, folder)                \
  EmbeddedGeneration{folder,                      \
                     FILE_OF(symbol##_model),     \
                     FILE_OF(symbol##_meta),      \
                     FILE_OF(symbol##_tokenizer), \
                     FILE_OF(symbol##_outputs),   \
                     FILE_OF(symbol##_tensors)},
  static const std::array kAll = {
#include "harness/verify/vectors/generations.inc"
  };
#undef GENERATION
#undef FILE_OF
  return kAll;
}

}  // namespace kvproof
