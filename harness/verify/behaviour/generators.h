// Our own generators on the scripted model: a fixed list of scenarios, independent of any weights, below a second.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "harness/verify/behaviour/behaviour.h"

namespace kvproof {

/// A scripted model, a byte-level tokenizer for it, and our generators over both.
class GeneratorBench {
 public:
  GeneratorBench();
  ~GeneratorBench();

  /// What scenarios run on; valid as long as the bench. subject  null: our own; else one that decorates own()
  BehaviourTarget target(Subject* subject = nullptr);
  Subject& own() { return *subject_; }
  /// The scripted model, for faults to be planted in; and one more subject of it.
  Model& model();
  std::unique_ptr<Subject> fresh_subject();

 private:
  std::unique_ptr<ScriptedModel> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Subject> subject_, exact_;
};

/// The list's names, all in float64.
std::vector<std::string> generators();

/// Runs the list. subject  as GeneratorBench::target has it
std::vector<ScenarioOutcome> run_generators(uint64_t seed, GeneratorBench& bench, Subject* subject = nullptr);

}  // namespace kvproof
