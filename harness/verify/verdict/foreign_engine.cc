#include "harness/verify/verdict/foreign_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/error.h"

namespace kvproof {
namespace {

constexpr const char* kPlace = "--reference";

/// A second child in float64, where it offers that and does not run in it anyway.
std::unique_ptr<ChildSubject> float64_twin(const ChildSubject& tested, ChildOptions options) {
  const auto& dtypes = tested.dtypes();
  if (tested.info().dtype == "float64" || std::find(dtypes.begin(), dtypes.end(), "float64") == dtypes.end())
    return nullptr;
  options.dtype = "float64";
  return std::make_unique<ChildSubject>(std::move(options));
}

void check_same_model(const SubjectInfo& theirs, const ModelDims& ours) {
  const auto check = [](const char* what, int64_t found, int64_t expected) {
    if (found != expected)
      throw ArgumentError("--subject",
                          fmt::format("its {} is {}, the checkpoint's {}; give the checkpoint that it runs, or no "
                                      "model flags",
                                      what, found, expected));
  };
  check("vocabulary", theirs.vocab_size, ours.vocab_size);
  check("number of layers", theirs.n_layer, ours.n_layer);
  check("number of kv heads", theirs.n_kv_head, ours.n_kv_head);
}

}  // namespace

ForeignEngine::ForeignEngine(const ChildOptions& child, const Checkpoint* checkpoint, ArchitectureOverrides overrides,
                             Reference reference)
    : checkpoint_(checkpoint), overrides_(std::move(overrides)) {
  if (!checkpoint && reference == Reference::engine)
    throw ArgumentError(kPlace,
                        "engine needs the checkpoint that the subject runs; give its model flags (--base-dir …)");
  tested_ = std::make_unique<ChildSubject>(child);
  if (checkpoint) check_same_model(tested_->info(), checkpoint->dims);
  const bool uncached = tested_->info().can.has(Ability::uncached);
  if (!uncached && (!checkpoint || reference == Reference::own))
    throw ArgumentError(kPlace,
                        "the subject has no uncached path to hold its cache against (\"uncached\" in can); give the "
                        "checkpoint that it runs (--base-dir …), so that our engine is the reference");
  against_ours_ = reference == Reference::engine || !uncached;
  if (!against_ours_) logic_ = float64_twin(*tested_, child);
  if (!checkpoint || reference == Reference::own) {
    checkpoint_ = nullptr;
    return;
  }
  const std::string dtype = tested_->info().dtype == "float64" ? "float32" : tested_->info().dtype;
  naive_model_ = make_model(*checkpoint, {"auto", dtype, "cpu"});
  exact_model_ = make_model(*checkpoint, {"auto", "float64", "cpu"});
  naive_ = make_in_process_subject(*naive_model_, nullptr);
  exact_ = make_in_process_subject(*exact_model_, nullptr);
}

VerifyTarget ForeignEngine::target() {
  VerifyTarget target{*tested_, logic_.get(), nullptr};
  target.checkpoint = checkpoint_;
  target.overrides = overrides_;
  target.own_engine = false;
  if (exact_) target.ours.emplace(OurEngine{*naive_, *exact_});
  target.cache_against_ours = against_ours_;
  if (tested_->info().can.has(Ability::threads)) {
    target.use_threads = [this](int threads) {
      tested_->use_threads(threads);
      if (logic_) logic_->use_threads(threads);
    };
  }
  return target;
}

int64_t ForeignEngine::restarts() const { return tested_->restarts() + (logic_ ? logic_->restarts() : 0); }

}  // namespace kvproof
