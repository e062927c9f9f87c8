// Faults that verification must find: each a class of bug that KV caches really had, planted from outside.
//
// A fault changes plans of cached forwards, what a cache holds after an operation, or what a subject does around its model;
// uncached forwards stay right. Nothing here is called unless a fault is planted.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/gpt_config.h"
#include "engine/model/kv_cache.h"
#include "engine/model/model.h"
#include "harness/subject/subject.h"
#include "harness/verify/localise.h"

namespace kvproof {

/// What decides which faults a model can show, and where.
struct FaultContext {
  GptConfig config;
  std::string dtype;           // of the model under test
  bool has_tokenizer = false;  // rows may stop

  /// The layer that faults of one layer are planted in.
  int64_t one_layer() const { return config.n_layer > 1 ? 1 : 0; }
  /// The first layer with a window that ends within the rotary tables; -1: none
  int64_t windowed_layer() const;
  /// The last layer with value embeddings; -1: none
  int64_t value_embed_layer() const;
};
FaultContext fault_context(const Model& model, bool has_tokenizer);

/// Where a localiser must point.
struct FaultPlace {
  std::vector<Suspect> suspects;      // any of them is right
  std::string stage = {};             // as Place::stage; empty: any
  std::string tensor = {};            // "K", "V"; empty: any
  std::optional<int64_t> layer = {};  // absent: any
  std::string first_operation = {};   // Place::operation begins with it; empty: any
};

/// A fault made ready for one model, with a state of its own. Each part may be empty.
struct Plant {
  Model::PlanFilter filter = {};
  CacheHook hook = {};
  std::function<std::unique_ptr<Subject>(std::unique_ptr<Subject>)> wrap = {};
};

struct Fault {
  std::string name;     // "position-plus-one-in-decode"
  std::string class_;   // position, mask, window, gqa, scale, storage, dtype, clone, growth, rows, reset, rollback,
                        // side-state, value-embedding, generation
  std::string summary;  // one sentence without full stop
  std::string seen;     // where, in the wild: "nanochat b062b42"; may be empty
  /// Why a model cannot show it ("the model has no sliding window"); empty: it can
  std::function<std::string(const FaultContext&)> not_applicable;
  std::function<FaultPlace(const FaultContext&)> place;
  std::function<Plant(const FaultContext&)> plant;
};

/// All faults, class by class, in an order that never changes between runs.
const std::vector<Fault>& faults();
/// Null where there is no fault of this name.
const Fault* find_fault(const std::string& name);

}  // namespace kvproof
