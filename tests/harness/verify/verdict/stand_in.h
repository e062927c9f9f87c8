// Somebody else's engine without a process: a subject that can and shows no more than one behind the protocol does.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/error.h"
#include "harness/subject/driven_generation.h"
#include "harness/verify/faults/plant.h"
#include "tests/harness/verify/verdict/bed.h"

namespace kvproof::testing {

struct StandInOptions {
  Abilities can = Abilities::all();
  Abilities generate_uses = Abilities::all();
  bool keys_rotated = true;
  int64_t forgets_before = 0;  // positions back that slots are shown of; 0: all
  /// Called before each cached forward; may throw.
  std::function<void(const SubjectCache& cache, const TokenBatch& tokens)> before_forward = {};
  /// Called with the logits of each cached forward.
  std::function<void(std::vector<LogitRows>& logits)> after_forward = {};
  /// Called with what a cache shows, and the position of the first of it.
  std::function<void(CacheSlots& slots, int64_t layer, int64_t first)> on_slots = {};
};

/// Whatever lies outside `can` is an error here: verification must not ask for it.
class StandInCache final : public SubjectCache {
 public:
  StandInCache(std::unique_ptr<SubjectCache> inner, const StandInOptions& options)
      : inner_(std::move(inner)), options_(options) {
    require(batch() == 1 || options_.can.has(Ability::batch), "batch");
  }

  int64_t batch() const override { return inner_->batch(); }
  int64_t length(int64_t row) const override { return inner_->length(row); }
  int64_t capacity() const override { return inner_->capacity(); }
  int64_t bytes() const override { return inner_->bytes(); }
  std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at, StageSink*) override {
    require(at == LogitsAt::last || options_.can.has(Ability::all_logits), "all_logits");
    for (int64_t row = 0; row < batch(); ++row) {
      require(length(row) == 0 || tokens.row_length(row) == 1 || options_.can.has(Ability::chunks), "chunks");
      require((length(row) == length(0) && tokens.row_length(row) == tokens.row_length(0)) ||
                  options_.can.has(Ability::uneven),
              "uneven");
    }
    if (options_.before_forward) options_.before_forward(*this, tokens);
    auto logits = inner_->forward(tokens, at);
    if (options_.after_forward) options_.after_forward(logits);
    return logits;
  }
  std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> rows, int64_t capacity) const override {
    require(options_.can.has(batch() == 1 ? Ability::clone : Ability::gather), "clone");
    return std::make_unique<StandInCache>(inner_->clone_rows(rows, capacity), options_);
  }
  void truncate(int64_t row, int64_t length) override {
    require(options_.can.has(batch() == 1 ? Ability::truncate : Ability::truncate_row), "truncate");
    inner_->truncate(row, length);
  }
  void reset() override {
    require(options_.can.has(Ability::reset), "reset");
    inner_->reset();
  }
  bool reserve(int64_t capacity) override { return options_.can.has(Ability::reserve) && inner_->reserve(capacity); }
  bool retain_rows(std::span<const int64_t> rows) override {
    return options_.can.has(Ability::retain) && inner_->retain_rows(rows);
  }
  std::optional<CacheSlots> contents(int64_t row, int64_t layer, int64_t first, int64_t count) const override {
    if (!options_.can.has(Ability::read_slots)) return std::nullopt;
    auto slots = inner_->contents(row, layer, first, count);
    if (slots && options_.forgets_before > 0) {
      slots->present.resize(static_cast<std::size_t>(count));
      for (int64_t i = 0; i < count; ++i) slots->present[i] = first + i >= length(row) - options_.forgets_before;
      const auto width = static_cast<std::size_t>(slots->kv_heads * slots->head_dim);
      for (std::size_t i = 0; i < slots->keys.size(); ++i)
        if (!slots->present[i / width]) slots->keys[i] = slots->values[i] = 0;
    }
    if (slots && options_.on_slots) options_.on_slots(*slots, layer, first);
    return slots;
  }
  bool poison_tail() override { return options_.can.has(Ability::poison) && inner_->poison_tail(); }
  bool perturb(int64_t row, int64_t layer, int64_t position, bool keys, double delta) override {
    return options_.can.has(Ability::perturb) && inner_->perturb(row, layer, position, keys, delta);
  }

 private:
  static void require(bool can, const std::string& word) {
    if (!can) throw SubjectError("the stand-in", "was asked for " + word + ", which it cannot");
  }

  std::unique_ptr<SubjectCache> inner_;
  const StandInOptions& options_;
};

class StandIn final : public Subject {
 public:
  StandIn(std::unique_ptr<Subject> inner, StandInOptions options)
      : inner_(std::move(inner)), options_(std::move(options)) {}

  SubjectInfo info() const override {
    SubjectInfo info = inner_->info();
    info.name = "stand-in";
    info.can = options_.can;
    info.generate_uses = options_.generate_uses;
    info.keys_rotated = options_.keys_rotated;
    return info;
  }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position, StageSink*) override {
    if (!options_.can.has(Ability::uncached))
      throw SubjectError("the stand-in", "was asked for uncached, which it cannot");
    return inner_->uncached_logits(tokens, first_position);
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return std::make_unique<StandInCache>(inner_->new_cache(batch, capacity), options_);
  }
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return drive_generation(*this, path, request, nullptr, observer);
  }
  std::optional<std::vector<std::vector<TokenId>>> own_generation(const std::vector<TokenId>& prompt, int64_t rows,
                                                                  int64_t max_tokens) override {
    if (!options_.can.has(Ability::generate)) return std::nullopt;
    GenerationRequest request;
    request.prompt = prompt;
    request.num_samples = rows;
    request.max_tokens = max_tokens;
    request.sampler.temperature = 0;
    request.stop = request.tools = false;
    const GenerationResult result = inner_->generate(Path::engine, request, nullptr);
    std::vector<std::vector<TokenId>> streams;
    for (const GeneratedRow& row : result.rows)
      streams.emplace_back(row.tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()), row.tokens.end());
    return streams;
  }
  bool use_threads(int) override { return options_.can.has(Ability::threads); }

 private:
  std::unique_ptr<Subject> inner_;
  StandInOptions options_;
};

/// A model as somebody else's engine, with a twin in float64 or alone, healthy or with a fault planted in it.
class ForeignBed {
 public:
  explicit ForeignBed(const std::string& dtype = "float64", StandInOptions options = {}, const std::string& fault = "",
                      bool twin = false, Checkpoint made = small_checkpoint())
      : checkpoint_(std::move(made)), model_(make_model(checkpoint_, {"auto", dtype, "cpu"})),
        twin_(twin ? make_model(checkpoint_, {"auto", "float64", "cpu"}) : nullptr) {
    const FaultContext context = fault_context(*model_, false);
    if (!fault.empty()) {
      const Fault& planted = fault_named(fault);
      REQUIRE(planted.not_applicable(context).empty());
      planted_.push_back(std::make_unique<PlantedFault>(planted, *model_, context));
      if (twin_) planted_.push_back(std::make_unique<PlantedFault>(planted, *twin_, context));
    }
    tested_ = stand_in(*model_, options);
    if (twin_) logic_ = stand_in(*twin_, options);
  }

  /// Our engine on a checkpoint, which need not be the subject's; it must outlive this.
  void hold_against(const Checkpoint& checkpoint, bool cache_too) {
    ours_ = &checkpoint;
    const std::string dtype = tested_->info().dtype == "float64" ? "float32" : tested_->info().dtype;
    our_naive_ = make_model(checkpoint, {"auto", dtype, "cpu"});
    our_exact_ = make_model(checkpoint, {"auto", "float64", "cpu"});
    naive_ = make_in_process_subject(*our_naive_, nullptr);
    exact_ = make_in_process_subject(*our_exact_, nullptr);
    cache_against_ours_ = cache_too;
  }

  const Checkpoint& checkpoint() const { return checkpoint_; }

  VerifyTarget target() {
    VerifyTarget target{*tested_, logic_.get()};
    target.own_engine = false;
    if (ours_) {
      target.checkpoint = ours_;
      target.overrides = overrides;
      target.ours.emplace(OurEngine{*naive_, *exact_});
      target.cache_against_ours = cache_against_ours_;
    }
    return target;
  }
  VerifyReport verify(VerifyOptions options = quick()) { return kvproof::verify(target(), options); }

  ArchitectureOverrides overrides = {{"short_window", "5"}};  // that our checkpoint was opened with

 private:
  std::unique_ptr<Subject> stand_in(Model& model, const StandInOptions& options) {
    std::unique_ptr<Subject> subject = make_in_process_subject(model, nullptr);
    if (!planted_.empty()) subject = planted_.front()->wrap(std::move(subject));
    return std::make_unique<StandIn>(std::move(subject), options);
  }

  Checkpoint checkpoint_;
  std::unique_ptr<Model> model_, twin_;
  std::vector<std::unique_ptr<PlantedFault>> planted_;
  std::unique_ptr<Subject> tested_, logic_;
  const Checkpoint* ours_ = nullptr;
  std::unique_ptr<Model> our_naive_, our_exact_;
  std::unique_ptr<Subject> naive_, exact_;
  bool cache_against_ours_ = false;
};

}  // namespace kvproof::testing
