// Whole generations of nanochat's own code: naive and engine, greedy and sampled, with tools and masks.
#include "engine/generate/generator.h"
#include "engine/model/model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

using Ids = std::vector<int32_t>;
const ModelOptions kFloat32 = {.dtype = "float32", .device = "cpu"};

// at::multinomial draws what Python's torch draws only with the same LibTorch on x86.
bool draws_like_python() {
#if defined(__x86_64__)
  return true;
#else
  WARN("skipped: sampled goldens were drawn on x86-64, whose random streams other machines do not share");
  return false;
#endif
}

struct Golden {
  explicit Golden(const std::string& name)
      : json(read_json(golden_path(name) + "/golden.json")), checkpoint(golden_checkpoint(name)),
        tokenizer(Tokenizer::load(golden_path(name) + "/tokenizer")), model(make_model(checkpoint, kFloat32)) {}
  Ids prompt(std::size_t i) const { return json["prompt_tokens"][i].get<Ids>(); }

  nlohmann::json json;
  Checkpoint checkpoint;
  Tokenizer tokenizer;
  std::unique_ptr<Model> model;
};

SamplerSettings sampler_of(const nlohmann::json& run) {
  SamplerSettings settings{.temperature = run["temperature"], .seed = run["seed"], .mode = SamplerMode::nanochat};
  if (!run["top_k"].is_null()) settings.top_k = run["top_k"].get<int64_t>();
  return settings;
}

Ids generated(const GeneratedRow& row, const GenerationRequest& request) {
  return {row.tokens.begin() + static_cast<std::ptrdiff_t>(request.prompt.size()), row.tokens.end()};
}

void check_rows(const GenerationResult& result, const nlohmann::json& tokens, const nlohmann::json& masks) {
  REQUIRE(result.rows.size() == tokens.size());
  for (std::size_t r = 0; r < tokens.size(); ++r) {
    CAPTURE(r);
    CHECK(result.rows[r].tokens == tokens[r].get<Ids>());
    CHECK(result.rows[r].mask == masks[r].get<std::vector<int>>());
  }
}

}  // namespace

TEST_CASE("greedy full recompute gives the tokens of GPT.generate, in every generation", "[golden]") {
  const Golden golden(GENERATE(from_range(golden_generations())));
  const auto naive = make_naive_generator(*golden.model, nullptr, LogitsAt::last);
  for (std::size_t i = 0; i < golden.json["naive_greedy"].size(); ++i) {
    const auto expected = golden.json["naive_greedy"][i].get<Ids>();
    GenerationRequest request{.prompt = golden.prompt(i), .max_tokens = static_cast<int64_t>(expected.size()), .num_samples = 1,
                              .sampler = {.temperature = 0}, .stop = false, .tools = false};
    CAPTURE(i);
    CHECK(generated(naive->generate(request).rows[0], request) == expected);
  }
}

TEST_CASE("greedy decoding gives the tokens and masks of Engine.generate_batch, in every generation", "[golden]") {
  const std::string name = GENERATE(from_range(golden_generations()));
  const Golden golden(name);
  const auto engine = make_cached_engine(*golden.model, &golden.tokenizer);
  for (std::size_t i = 0; i < golden.json["engine_greedy"].size(); ++i) {
    const GenerationRequest request{.prompt = golden.prompt(i), .max_tokens = 180, .num_samples = 1, .sampler = {.temperature = 0},
                                    .stop = true, .tools = true};
    CAPTURE(name, i);
    check_rows(engine->generate(request), golden.json["engine_greedy"][i]["tokens"], golden.json["engine_greedy"][i]["masks"]);
  }
}

TEST_CASE("sampled rows are those Python's Engine draws from the same seed", "[golden]") {
  if (!draws_like_python()) return;
  const std::string name = GENERATE(from_range(golden_generations()));
  const Golden golden(name);
  const auto engine = make_cached_engine(*golden.model, &golden.tokenizer);
  for (const auto& run : golden.json["sampled"]) {
    CAPTURE(name, run["prompt"].dump(), run["num_samples"].dump(), run["top_k"].dump());
    const GenerationRequest request{.prompt = golden.prompt(run["prompt"]), .max_tokens = run["max_tokens"].get<int64_t>(),
                                    .num_samples = run["num_samples"], .sampler = sampler_of(run), .stop = true, .tools = true};
    check_rows(engine->generate(request), run["tokens"], run["masks"]);
  }
}

TEST_CASE("sampled full recompute draws what GPT.generate draws", "[golden]") {
  if (!draws_like_python()) return;
  const std::string name = GENERATE(from_range(golden_generations()));
  const Golden golden(name);
  const auto naive = make_naive_generator(*golden.model, nullptr, LogitsAt::last);
  for (const auto& run : golden.json["naive_sampled"]) {
    CAPTURE(name, run["prompt"].dump(), run["top_k"].dump());
    const GenerationRequest request{.prompt = golden.prompt(run["prompt"]), .max_tokens = run["max_tokens"].get<int64_t>(),
                                    .num_samples = 1, .sampler = sampler_of(run), .stop = false, .tools = false};
    CHECK(generated(naive->generate(request).rows[0], request) == run["tokens"].get<Ids>());
  }
}

TEST_CASE("the trained model says what it says in Python, calculator included", "[golden]") {
  const auto golden = read_json(source_path("tests/golden/demo-d4.json"));
  const Checkpoint checkpoint = demo_checkpoint();
  const Tokenizer tokenizer = Tokenizer::load(checkpoint.location.tokenizer_dir);
  const auto model = make_model(checkpoint, kFloat32);
  const auto naive = make_naive_generator(*model, &tokenizer.special(), LogitsAt::last);
  const auto engine = make_cached_engine(*model, &tokenizer);
  for (const auto& c : golden["cases"]) {
    CAPTURE(c["text"].get<std::string>());
    GenerationRequest request{.prompt = c["tokens"].get<Ids>(), .max_tokens = 64, .num_samples = 1, .sampler = {.temperature = 0},
                              .stop = false, .tools = false};
    CHECK(generated(naive->generate(request).rows[0], request) == c["naive_greedy"].get<Ids>());

    request.stop = request.tools = true;
    const GeneratedRow row = engine->generate(request).rows[0];
    CHECK(row.tokens == c["engine_greedy"]["tokens"].get<Ids>());
    CHECK(row.mask == c["engine_greedy"]["mask"].get<std::vector<int>>());
    CHECK(tokenizer.decode(generated(row, request)) == c["engine_greedy"]["text"].get<std::string>());

    if (!draws_like_python()) continue;
    for (const auto& run : c["engine_sampled"]) {
      CAPTURE(run["num_samples"].dump(), run["top_k"].dump(), run["temperature"].dump());
      request.num_samples = run["num_samples"];
      request.max_tokens = run["max_tokens"].get<int64_t>();
      request.sampler = sampler_of(run);
      check_rows(engine->generate(request), run["tokens"], run["masks"]);
    }
    request.num_samples = 1;
  }
}
