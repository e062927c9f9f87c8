// Faults planted around a subject's generate: each is found, in its place, and recognised for what it is.
#include <algorithm>
#include <functional>

#include "harness/verify/behaviour/generators.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;

namespace {

/// Passes everything on but what `fault` does to a generation.
class FaultySubject : public Subject {
 public:
  using Fault = std::function<GenerationResult(Subject&, Path, GenerationRequest, GenerationObserver*)>;
  FaultySubject(Subject& inner, Fault fault) : inner_(inner), fault_(std::move(fault)) {}
  SubjectInfo info() const override { return inner_.info(); }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first, StageSink* sink) override {
    return inner_.uncached_logits(tokens, first, sink);
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return inner_.new_cache(batch, capacity);
  }
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return path == Path::naive ? inner_.generate(path, request, observer) : fault_(inner_, path, request, observer);
  }

 private:
  Subject& inner_;
  Fault fault_;
};

/// Runs all rows as single rows: what `change` makes of the request for row r. Steps are put together afterwards.
GenerationResult row_by_row(Subject& inner, Path path, const GenerationRequest& request, GenerationObserver* observer,
                            const std::function<void(GenerationRequest&, int64_t row)>& change) {
  struct Keep : GenerationObserver {
    std::vector<std::pair<TokenId, int>> stream;
    std::vector<int64_t> forwards;
    void on_forward(int64_t positions) override { forwards.push_back(positions); }
    bool on_step(const GenerationStep& step) override {
      stream.emplace_back(step.tokens.back(), step.masks.back());
      return true;
    }
  };
  const auto rows = request.num_samples;
  GenerationResult all;
  std::vector<Keep> kept(rows);
  for (int64_t row = 0; row < rows; ++row) {
    GenerationRequest one = request;
    one.num_samples = 1;
    if (!request.forced.empty()) one.forced = {request.forced[row]};
    change(one, row);
    const GenerationResult result = inner.generate(path, one, &kept[row]);
    all.rows.push_back(result.rows.back());
    all.steps = std::max(all.steps, result.steps);
    all.token_forwards += result.token_forwards -
                          (row > 0 && result.token_forwards > 0 ? static_cast<int64_t>(request.prompt.size()) : 0);
    all.kv_cache_bytes += result.kv_cache_bytes;
  }
  if (!observer) return all;
  for (int64_t step = 0; step < all.steps; ++step) {
    GenerationStep together{step, {}, {}, {}};
    for (int64_t row = 0; row < rows; ++row) {
      if (step >= static_cast<int64_t>(kept[row].stream.size())) continue;
      together.rows.push_back(row);
      together.tokens.push_back(kept[row].stream[step].first);
      together.masks.push_back(kept[row].stream[step].second);
    }
    observer->on_forward(step == 0 ? static_cast<int64_t>(request.prompt.size())
                                   : static_cast<int64_t>(together.rows.size()));
    if (!observer->on_step(together)) break;
  }
  return all;
}

/// Passes steps on with all masks 1.
class AllSampled : public GenerationObserver {
 public:
  explicit AllSampled(GenerationObserver* observer) : observer_(observer) {}
  void on_forward(int64_t positions) override {
    if (observer_) observer_->on_forward(positions);
  }
  bool on_step(const GenerationStep& step) override {
    GenerationStep changed = step;
    changed.masks.assign(step.masks.size(), 1);
    return !observer_ || observer_->on_step(changed);
  }

 private:
  GenerationObserver* observer_;
};

/// With another request than asked for.
FaultySubject::Fault with_request(std::function<void(GenerationRequest&)> change) {
  return [change](Subject& inner, Path path, GenerationRequest request, GenerationObserver* observer) {
    change(request);
    return inner.generate(path, request, observer);
  };
}

/// With another result than there was.
FaultySubject::Fault with_result(std::function<void(GenerationResult&, const GenerationRequest&)> change) {
  return [change](Subject& inner, Path path, GenerationRequest request, GenerationObserver* observer) {
    GenerationResult result = inner.generate(path, request, observer);
    change(result, request);
    return result;
  };
}

struct PlantedFault {
  const char* what;
  const char* scenario;  // the one whose first finding is looked at
  const char* evidence;  // of it; part of evidence or message
  int64_t step, row;
  FaultySubject::Fault plant;
};

void pop_row(GeneratedRow& row) {
  row.tokens.pop_back();
  row.mask.pop_back();
}

std::vector<PlantedFault> planted_faults() {
  std::vector<PlantedFault> faults = {
      {"rows share row 0's random numbers", "samples[5,4,9]/float64", "row 1 repeats row 0's tokens", 0, 1,
       [](Subject& inner, Path path, GenerationRequest request, GenerationObserver* observer) {
         return row_by_row(inner, path, request, observer, [](GenerationRequest&, int64_t) {});
       }},
      {"the first token is broadcast to all rows", "samples[5,4,9]/float64", "it is row 0's token of this step", 0, 1,
       [](Subject& inner, Path path, GenerationRequest request, GenerationObserver* observer) {
         if (request.num_samples == 1 || request.max_tokens.value_or(1) == 0 || !request.forced.empty())
           return inner.generate(path, request, observer);
         GenerationRequest first = request;
         first.max_tokens = first.num_samples = 1;
         const TokenId token = inner.generate(path, first, nullptr).rows.at(0).tokens.back();
         request.forced.assign(request.num_samples, {{0, token}});
         AllSampled masks(observer);
         GenerationResult result = inner.generate(path, request, &masks);
         for (GeneratedRow& row : result.rows) row.mask.at(request.prompt.size()) = 1;
         return result;
       }},
      {"max_tokens + 1", "max_tokens[4,2]/float64", "one token too many", 2, 0, with_request([](GenerationRequest& r) {
         if (r.max_tokens.value_or(0) > 0) ++*r.max_tokens;
       })},
      {"max_tokens - 1", "max_tokens[4,2]/float64", "one token too few", 1, 0, with_request([](GenerationRequest& r) {
         if (r.max_tokens.value_or(0) > 0) --*r.max_tokens;
       })},
      {"top_k keeps k - 1", "top_k[5,6,3,6]/float64", "as if top_k were 4", -2, -2,
       with_request([](GenerationRequest& r) {
         if (r.sampler.top_k.value_or(0) > 1) --*r.sampler.top_k;
       })},
      {"top_k is not there", "top_k[2,4,3,6]/float64", "as if top_k were not there", 0, -2,
       with_request([](GenerationRequest& r) { r.sampler.top_k.reset(); })},
      {"temperature is ignored", "temperature[400,3,6]/float64", "as if temperature were 1", -2, -2,
       with_request([](GenerationRequest& r) {
         if (r.sampler.temperature > 0) r.sampler.temperature = 1;
       })},
      {"the next seed", "seeds[3,5]/float64", "as if drawn with the next seed", 0, 0,
       with_request([](GenerationRequest& r) { ++r.sampler.seed; })},
      {"greedy although a temperature is asked for", "samples[1,3,12]/float64", "as if temperature were 0", -2, 0,
       with_request([](GenerationRequest& r) { r.sampler.temperature = 0; })},
      {"forced tokens are lost", "forced[3,1,2,1,3,6]/float64", "the sampled token stands where a forced one belongs",
       2, 1, with_request([](GenerationRequest& r) { r.forced.clear(); })},
      {"forced tokens go to the next row", "forced[3,1,2,1,3,6]/float64",
       "the sampled token stands where a forced one belongs", 2, 1, with_request([](GenerationRequest& r) {
         if (!r.forced.empty()) std::rotate(r.forced.begin(), r.forced.end() - 1, r.forced.end());
       })},
      {"forced tokens come one step late", "forced[3,1,2,1,3,6]/float64",
       "the sampled token stands where a forced one belongs", 2, 1, with_request([](GenerationRequest& r) {
         for (ForcedTokens& row : r.forced) {
           ForcedTokens late;
           for (const auto& [step, token] : row) late[step + 1] = token;
           row = late;
         }
       })},
      {"rows do not stop", "stop[3,5,0,1,4,9]/float64", "the row went on past its stop token", 1, 0,
       with_request([](GenerationRequest& r) { r.stop = false; })},
      {"rows stop although stop is off", "stop[3,5,0,1,4,9]/float64", "too few", 1, 0,
       with_request([](GenerationRequest& r) { r.stop = true; })},
      {"tools are off", "script_tools[0]/float64", "the sampled token stands where a forced one belongs", 7, 0,
       with_request([](GenerationRequest& r) { r.tools = false; })},
      {"the stop token is kept", "stop[3,5,0,1,4,9]/float64", "the stop token was kept", 0, 0,
       [](Subject& inner, Path path, GenerationRequest request, GenerationObserver* observer) {
         GenerationResult result = inner.generate(path, request, observer);
         for (std::size_t r = 0; r < result.rows.size(); ++r) {
           if (result.rows[r].finish != Finish::stop || request.forced.empty() || request.forced[r].empty()) continue;
           result.rows[r].tokens.push_back(request.forced[r].rbegin()->second);
           result.rows[r].mask.push_back(0);
         }
         return result;
       }},
      {"the token before the stop token is lost", "stop[3,5,0,1,4,9]/float64", "one token too few", 0, 1,
       with_result([](GenerationResult& result, const GenerationRequest& request) {
         for (GeneratedRow& row : result.rows)
           if (row.finish == Finish::stop && row.tokens.size() > request.prompt.size()) pop_row(row);
       })},
      {"a finished row ends the others", "stop[2,6,9,2,5,0,2]/float64", "the row ended where another one did", 1, 0,
       with_result([](GenerationResult& result, const GenerationRequest& request) {
         std::size_t shortest = SIZE_MAX;
         for (const GeneratedRow& row : result.rows)
           if (row.finish == Finish::stop) shortest = std::min(shortest, row.tokens.size());
         for (GeneratedRow& row : result.rows)
           while (row.tokens.size() > std::max(shortest, request.prompt.size()) + 1) pop_row(row);
       })},
      {"forced tokens count as sampled", "forced[3,1,2,1,3,6]/float64", "expected mask 0 at step 2 of row 1, found 1",
       2, 1, with_result([](GenerationResult& result, const GenerationRequest& request) {
         for (GeneratedRow& row : result.rows)
           std::fill(row.mask.begin() + static_cast<int64_t>(request.prompt.size()), row.mask.end(), 1);
       })},
      {"the prompt counts as sampled", "samples[1,3,12]/float64", "a prompt token counts as sampled", 0, 0,
       with_result([](GenerationResult& result, const GenerationRequest&) {
         for (GeneratedRow& row : result.rows) row.mask.at(0) = 1;
       })},
      {"token_forwards counts one too many", "samples[1,3,12]/float64", "off by +1", -1, -1,
       with_result([](GenerationResult& result, const GenerationRequest&) { ++result.token_forwards; })},
      {"kv_cache_bytes counts one row", "samples[5,4,9]/float64", "kv_cache_bytes", -1, -1,
       with_result(
           [](GenerationResult& result, const GenerationRequest& r) { result.kv_cache_bytes /= r.num_samples; })},
      {"two rows are swapped", "samples[5,4,9]/float64", "it is row 1's token of this step", 0, 0,
       with_result([](GenerationResult& result, const GenerationRequest&) {
         if (result.rows.size() > 1) std::swap(result.rows[0], result.rows[1]);
       })},
      {"abandoning loses the last token", "abandon[2,3,6,3]/float64", "one token too few", 3, 0,
       with_result([](GenerationResult& result, const GenerationRequest&) {
         for (GeneratedRow& row : result.rows)
           if (row.finish == Finish::abandoned) pop_row(row);
       })},
      {"an empty prompt becomes <|bos|>", "errors[4]/float64", "a request with an empty prompt must be refused", -1, -1,
       with_request([](GenerationRequest& r) {
         if (r.prompt.empty()) r.prompt = {0};
       })},
      {"the limit passes for a length", "limit[278,3]/float64", "expected row 0 to end by limit, found length", 3, 0,
       with_result([](GenerationResult& result, const GenerationRequest&) {
         for (GeneratedRow& row : result.rows)
           if (row.finish == Finish::limit) row.finish = Finish::length;
       })},
  };
  return faults;
}

}  // namespace

TEST_CASE("every planted fault is found in its place and recognised", "[behaviour]") {
  GeneratorBench bench;
  const auto faults = planted_faults();
  const auto& fault = faults[GENERATE_COPY(range(std::size_t{0}, faults.size()))];
  CAPTURE(fault.what, fault.scenario);
  FaultySubject faulty(bench.own(), fault.plant);
  const ScenarioOutcome outcome = run_behaviour(fault.scenario, 1, bench.target(&faulty));
  CAPTURE(outcome.broke_off);
  CHECK(outcome.failed());
  REQUIRE_FALSE(outcome.findings.empty());
  const Finding& first = outcome.findings.front();
  CAPTURE(first.message, first.evidence);
  CHECK(first.level == Level::behaviour);
  CHECK(first.place.operation == "generate (engine)");
  CHECK(first.place.stage == "tokens");
  if (fault.step != -2) CHECK(first.place.step == fault.step);  // -2: wherever the noise shows it
  if (fault.row != -2) CHECK(first.place.row == fault.row);
  CHECK_THAT(first.message + "; " + first.evidence, Contains(fault.evidence));
}

TEST_CASE("a fault in the naive path is named as the naive path's", "[behaviour]") {
  struct NaiveFault : FaultySubject {
    using FaultySubject::FaultySubject;
    GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
      GenerationRequest changed = request;
      if (path == Path::naive) ++changed.sampler.seed;
      return FaultySubject::generate(Path::naive, changed, observer);
    }
  };
  GeneratorBench bench;
  NaiveFault faulty(bench.own(), {});
  const ScenarioOutcome outcome = run_behaviour("samples[1,3,12]/float64", 1, bench.target(&faulty));
  REQUIRE_FALSE(outcome.findings.empty());
  CHECK(outcome.findings.front().place.operation == "generate (naive)");
}

TEST_CASE("greedy tokens that differ between the paths are a finding of level tokens", "[behaviour]") {
  GeneratorBench bench;
  FaultySubject faulty(bench.own(), with_request([](GenerationRequest& r) {
                         if (r.forced.empty() && r.max_tokens.value_or(0) > 3) r.forced.assign(r.num_samples, {{3, 7}});
                       }));
  const ScenarioOutcome outcome = run_behaviour("greedy[7,12]/float64", 1, bench.target(&faulty));
  CHECK(outcome.level(Level::tokens).failures == 1);
  const auto found = std::find_if(outcome.findings.begin(), outcome.findings.end(),
                                  [](const Finding& f) { return f.level == Level::tokens; });
  REQUIRE(found != outcome.findings.end());
  CHECK(found->place.step == 3);
  CHECK(found->place.row == 0);
}

TEST_CASE("what a subject throws ends the scenario and counts as a failure", "[behaviour]") {
  GeneratorBench bench;
  FaultySubject faulty(bench.own(), [](Subject&, Path, GenerationRequest, GenerationObserver*) -> GenerationResult {
    throw std::runtime_error("out of luck");
  });
  const ScenarioOutcome outcome = run_behaviour("samples[1,3,12]/float64", 1, bench.target(&faulty));
  CHECK(outcome.failed());
  CHECK(outcome.broke_off == "out of luck");
}
