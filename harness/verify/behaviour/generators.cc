#include "harness/verify/behaviour/generators.h"

#include <fmt/format.h>

#include "engine/checkpoint/byte_tokenizer.h"
#include "harness/verify/behaviour/scenario.h"
#include "harness/verify/behaviour/scripted_model.h"

namespace kvproof {
namespace {

std::unique_ptr<Tokenizer> byte_tokenizer(int64_t vocab_size) {
  const std::string bytes = pickle_encoding(byte_encoding(vocab_size));
  return std::make_unique<Tokenizer>(Tokenizer::from_bytes(bytes, "the scripted model's tokenizer"));
}

}  // namespace

GeneratorBench::GeneratorBench()
    : model_(std::make_unique<ScriptedModel>()), tokenizer_(byte_tokenizer(ScriptedModel::kVocabulary)),
      subject_(make_in_process_subject(*model_, tokenizer_.get())),
      exact_(make_in_process_subject(*model_, tokenizer_.get(), LogitsAt::last)) {}
GeneratorBench::~GeneratorBench() = default;

Model& GeneratorBench::model() { return *model_; }

std::unique_ptr<Subject> GeneratorBench::fresh_subject() { return make_in_process_subject(*model_, tokenizer_.get()); }

BehaviourTarget GeneratorBench::target(Subject* subject) {
  const GptConfig& config = model_->config();
  BehaviourTarget target{subject ? *subject : *subject_, *exact_, config.vocab_size, config.rotary_len()};
  target.specials = &tokenizer_->special();
  target.tokenizer = tokenizer_.get();
  target.kv_bytes_per_token = 2 * config.n_layer * config.n_kv_head * config.head_dim() * 8;  // K and V in float64
  target.script = model_.get();
  return target;
}

std::vector<std::string> generators() {
  std::vector<std::string> names = {"greedy[1,6]",
                                    "greedy[7,12]",
                                    "samples[1,3,12]",
                                    "samples[5,4,9]",
                                    "samples[17,2,3]",
                                    "top_k[1,3,3,4]",
                                    "top_k[2,4,3,6]",
                                    "top_k[5,6,3,6]",
                                    "top_k[50,4,3,6]",
                                    "top_k[0,2,3,4]",
                                    "top_k[299,4,3,5]",
                                    "top_k[300,2,3,4]",
                                    "top_k[301,2,3,4]",
                                    "temperature[0,3,5]",
                                    "temperature[5,3,5]",
                                    "temperature[60,3,6]",
                                    "temperature[400,3,6]",
                                    "max_tokens[1,0]",
                                    "max_tokens[1,1]",
                                    "max_tokens[1,2]",
                                    "max_tokens[4,0]",
                                    "max_tokens[4,1]",
                                    "max_tokens[4,2]",
                                    "stop[3,5,0]",
                                    "stop[3,5,0,1,4,9]",
                                    "stop[2,6,9,2,5,0,2]",
                                    "stop[3,4,3,3,3]",
                                    "stop[1,5,2,1,0]",
                                    "forced[1,0,0,1,3,5]",
                                    "forced[3,1,2,1,3,6]",
                                    "forced[4,2,1,3,3,6]",
                                    "forced[2,0,4,5,3,5]",
                                    "tools[5,12]",
                                    "seeds[3,5]",
                                    "prefix[3,0,2]",
                                    "prefix[3,4,3]",
                                    "rows[6,3,3,5]",
                                    "abandon[3,3,6,0]",
                                    "abandon[2,3,6,3]",
                                    "abandon[2,3,6,5]",
                                    "limit[3,2]",
                                    "limit[278,3]",
                                    "limit[280,1]",
                                    "observer[3,4,6]",
                                    "nanochat[1,3,6,0]",
                                    "nanochat[4,3,6,0]",
                                    "nanochat[4,3,6,5]",
                                    "nanochat[3,3,6,400]",
                                    "errors[4]",
                                    "script_stop[12,100,0]",
                                    "script_stop[3,0,0]",
                                    "script_stop[6,150,1]",
                                    "script_ties[0,0,2]",
                                    "script_ties[100,3,4]",
                                    "script_ties[100,1,2]",
                                    "script_ties[100,8,4]",
                                    "script_ties[100,0,2]",
                                    "script_bare[4]",
                                    "calculator[]",
                                    "script_edges[0,0]",
                                    "script_edges[100,0]",
                                    "script_edges[100,3]",
                                    "script_border[1]",
                                    "script_border[2]",
                                    "script_border[7]",
                                    "script_border[298]",
                                    "script_border[299]",
                                    "script_border[300]",
                                    "chat[0]",
                                    "chat[2]",
                                    "chat[5]"};
  for (int64_t one = 0; one < script_tool_cases(); ++one) names.push_back(fmt::format("script_tools[{}]", one));
  for (std::string& name : names) name += "/float64";
  return names;
}

std::vector<ScenarioOutcome> run_generators(uint64_t seed, GeneratorBench& bench, Subject* subject) {
  std::vector<ScenarioOutcome> outcomes;
  const BehaviourTarget target = bench.target(subject);
  for (const std::string& name : generators()) outcomes.push_back(run_behaviour(name, seed, target));
  return outcomes;
}

}  // namespace kvproof
