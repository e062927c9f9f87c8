// A small model made ready to be verified, healthy or with a fault in it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "harness/verify/faults/planted_engine.h"
#include "harness/verify/faults/shapes.h"
#include "harness/verify/verdict/own_engine.h"
#include "harness/verify/verdict/verify.h"
#include "tests/support/golden.h"

namespace kvproof::testing {

/// A checkpoint as small_checkpoint makes it, its model in one dtype, a byte tokenizer where the vocabulary is large enough, and the engine around them.
struct Bed {
  Checkpoint checkpoint;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Model> model;
  OwnEngine engine;
  std::optional<PlantedEngine> planted;

  explicit Bed(const std::string& dtype = "float64", Checkpoint made = small_checkpoint(),
               const std::string& fault = "")
      : checkpoint(std::move(made)), tokenizer(tokenizer_of_size(checkpoint.dims.vocab_size)),
        model(make_model(checkpoint, {"auto", dtype, "cpu"})),
        engine(checkpoint, *model, tokenizer.get(), {{"short_window", "5"}}) {
    if (!fault.empty()) planted.emplace(fault_named(fault), engine, fault_context(*model, tokenizer != nullptr));
  }

  VerifyReport verify(VerifyOptions options = {}) { return kvproof::verify(engine.target(), options); }
};

/// Quick, without Python's vectors: they are the same whatever the model, and tested on their own.
inline VerifyOptions quick(uint64_t seed = 1) { return {.depth = Depth::quick, .seed = seed, .vectors = false}; }
inline VerifyOptions only(std::vector<std::string> names, uint64_t seed = 1) {
  return {.seed = seed, .only = std::move(names)};
}

/// The checkpoint with attention's output projection zero, in one layer or (-1) in all: as nanochat initialises it.
inline Checkpoint without_projection(Checkpoint checkpoint, int64_t layer = -1) {
  for (int64_t i = 0; i < checkpoint.dims.n_layer; ++i) {
    at::Tensor& weight = checkpoint.tensors.at("transformer.h." + std::to_string(i) + ".attn.c_proj.weight");
    if (layer < 0 || layer == i) weight = weight.clone().zero_();
  }
  return checkpoint;
}

}  // namespace kvproof::testing
