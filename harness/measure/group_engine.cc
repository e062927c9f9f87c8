#include "harness/measure/group_engine.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "engine/error.h"
#include "engine/model/model.h"
#include "harness/measure/pace.h"
#include "harness/verify/verdict/foreign_engine.h"
#include "harness/verify/verdict/own_engine.h"

namespace kvproof {
namespace {

class OwnGroup final : public GroupEngine {
 public:
  OwnGroup(const CheckpointSpec& spec, const CheckpointSession& session, const RunSpec& run, ModelHook on_model)
      : spec_(spec), session_(session), on_model_(std::move(on_model)),
        model_(make_model(*session.checkpoint, model_options(run))) {
    show(*model_);
    const Tokenizer* tokenizer = session.tokenizer_or_null();
    all_ = make_in_process_subject(*model_, tokenizer, LogitsAt::all);
    last_ = make_in_process_subject(*model_, tokenizer, LogitsAt::last);
  }

  Subject& subject(LogitsAt naive_logits) override { return naive_logits == LogitsAt::last ? *last_ : *all_; }
  const GptConfig& config() const override { return model_->config(); }
  bool knows_costs() const override { return true; }
  bool has_tools() const override { return true; }

  VerifyTarget target() override {
    if (!engine_) {
      engine_.emplace(*session_.checkpoint, *model_, session_.tokenizer_or_null(), spec_.architecture);
      if (engine_->logic()) show(*engine_->logic());
      reference_ = make_in_process_subject(engine_->exact(), session_.tokenizer_or_null());
    }
    return engine_->target();
  }
  Subject& reference() override { return *reference_; }

 private:
  void show(Model& model) const {
    if (on_model_) on_model_(model);
  }

  const CheckpointSpec& spec_;
  const CheckpointSession& session_;
  ModelHook on_model_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Subject> all_, last_;
  std::optional<OwnEngine> engine_;
  std::unique_ptr<Subject> reference_;
};

/// The nearest thing to a child's architecture that our cost model knows: its sizes alone are true.
GptConfig config_like(const SubjectInfo& info) {
  ModelDims dims;
  dims.sequence_len = info.sequence_len;
  dims.vocab_size = info.vocab_size;
  dims.n_layer = info.n_layer;
  dims.n_head = info.n_head;
  dims.n_kv_head = info.n_kv_head;
  dims.n_embd = info.n_head * info.head_dim;
  return GptConfig(dims, architecture_of("2025-10", dims));
}

Reference reference_of(const CheckpointSpec& spec) {
  if (spec.reference == "engine") return Reference::engine;
  return spec.reference == "own" || !spec.has_checkpoint() ? Reference::own : Reference::both;
}

class ForeignGroup final : public GroupEngine {
 public:
  ForeignGroup(const CheckpointSpec& spec, const CheckpointSession& session, const RunSpec& run)
      : engine_(options_of(spec, session, run), session.checkpoint ? &*session.checkpoint : nullptr, spec.architecture,
                reference_of(spec)),
        config_(session.checkpoint ? GptConfig(session.checkpoint->dims, session.checkpoint->architecture)
                                   : config_like(engine_.tested().info())),
        knows_costs_(session.checkpoint.has_value()) {
    if (run.threads && !engine_.tested().use_threads(static_cast<int>(*run.threads)))
      throw ArgumentError("run.threads", "this subject does not change its number of threads; remove the setting");
    for (const auto& [key, value] : {std::pair("run.device", run.device), std::pair("run.backend", run.backend)}) {
      if (value != "auto")
        throw ArgumentError(key, fmt::format("expected auto, found {}: that is the subject's own business; put it into "
                                             "its command",
                                             value));
    }
  }

  Subject& subject(LogitsAt) override { return engine_.tested(); }
  const GptConfig& config() const override { return config_; }
  bool knows_costs() const override { return knows_costs_; }
  bool has_tools() const override { return false; }
  VerifyTarget target() override {
    target_.emplace(engine_.target());
    if (slowness_ == 0) slowness_ = slowness_of(engine_.tested());
    target_->slowness = slowness_;
    return *target_;
  }
  Subject& reference() override {
    if (target_->logic) return *target_->logic;
    return target_->cache_against_ours ? target_->ours->exact : target_->tested;
  }

 private:
  static ChildOptions options_of(const CheckpointSpec& spec, const CheckpointSession& session, const RunSpec& run) {
    ChildOptions options;
    options.command = *spec.subject;
    if (run.dtype != "auto") options.dtype = run.dtype;
    if (session.tokenizer) options.specials = &session.tokenizer->special();
    return options;
  }

  ForeignEngine engine_;
  GptConfig config_;
  bool knows_costs_;
  std::optional<VerifyTarget> target_;
  double slowness_ = 0;
};

}  // namespace

Subject& subject_of(GroupEngine& engine, const Case& cell) {
  return engine.subject(cell.naive.logits == "last" ? LogitsAt::last : LogitsAt::all);
}

std::unique_ptr<GroupEngine> open_group_engine(const CheckpointSpec& spec, const CheckpointSession& session,
                                               const RunSpec& run, const ModelHook& on_model) {
  if (spec.subject) return std::make_unique<ForeignGroup>(spec, session, run);
  return std::make_unique<OwnGroup>(spec, session, run, on_model);
}

}  // namespace kvproof
