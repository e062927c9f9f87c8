#include <iostream>

#include "engine/checkpoint/checkpoint.h"
#include "engine/generate/generator.h"
#include "engine/model/model.h"

int main(int argc, char** argv) {
  using namespace kvproof;
  const Checkpoint checkpoint = load_checkpoint({.base_dir = argv[1]});
  const Tokenizer tokenizer = Tokenizer::load(checkpoint.location.tokenizer_dir);
  const auto model = make_model(checkpoint);
  GenerationRequest request{.prompt = {tokenizer.special().bos}, .max_tokens = 8, .sampler = {.temperature = 0}};
  for (const TokenId id : tokenizer.encode("The capital of France is")) request.prompt.push_back(id);
  const GenerationResult result = make_cached_engine(*model, &tokenizer)->generate(request);
  std::cout << tokenizer.decode(result.rows[0].tokens) << '\n';
}
