#include "engine/generate/generator.h"
#include "engine/model/model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

TEST_CASE("greedy tokens are those of transformers' generate", "[golden][huggingface]") {
  const std::string folder = source_path(GENERATE("tests/golden/huggingface", "tests/golden/huggingface/inner-50"));
  const auto model = make_model(load_checkpoint({folder, {}, {}, {}}), {.dtype = "float32", .device = "cpu"});
  const auto naive = make_naive_generator(*model, nullptr, LogitsAt::last);
  const auto engine = make_cached_engine(*model, nullptr);
  for (const auto& run : read_json(folder + "/golden.json")["continuations"]) {  // margins of 0.0137 and more
    auto expected = run["ids"].get<std::vector<int32_t>>();
    const auto tokens = run["tokens"].get<std::vector<int32_t>>();
    const GenerationRequest request{.prompt = expected,
                                    .max_tokens = static_cast<int64_t>(tokens.size()),
                                    .num_samples = 1,
                                    .sampler = {.temperature = 0},
                                    .stop = false,
                                    .tools = false};
    expected.insert(expected.end(), tokens.begin(), tokens.end());
    CHECK(naive->generate(request).rows[0].tokens == expected);
    CHECK(engine->generate(request).rows[0].tokens == expected);
  }
}
