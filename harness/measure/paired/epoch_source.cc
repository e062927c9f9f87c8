#include "harness/measure/paired/epoch_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "harness/build_info.h"
#include "harness/error.h"
#include "harness/measure/forced_tokens.h"
#include "harness/measure/open_groups.h"
#include "harness/measure/paired/epoch_clock.h"
#include "harness/measure/repetitions.h"
#include "harness/workload/workload.h"

namespace kvproof {
namespace {

int64_t longest(const std::vector<TokenStream>& streams) {
  std::size_t steps = 0;
  for (const TokenStream& stream : streams) steps = std::max(steps, stream.tokens.size());
  return static_cast<int64_t>(steps);
}

PathFacts facts_of_path(const PathMeasurement& measured) {
  PathFacts facts;
  for (const TokenStream& stream : measured.streams) facts.tokens.push_back(stream.tokens);
  facts.token_forwards = measured.result.token_forwards;
  facts.kv_cache_bytes = measured.result.kv_cache_bytes;
  facts.prefill_positions = measured.prefill_positions;
  facts.steps = longest(measured.streams);
  facts.first_logits = measured.first_call.first_logits;
  return facts;
}

constexpr int64_t kRefillNs = 10'000'000;
constexpr int64_t kSameTurnNs = 2'000'000;  // no other process measures between two epochs this near to each other
constexpr int64_t kLongCallNs = 50'000'000;  // what caches hold is a small part of what such calls read and write

/// A case on its model: what it gave, and what it is asked again.
class WarmCase {
 public:
  WarmCase(const Case& cell, const PromptSpec& spec, const OpenGroup& group, const WarmUp& warm_up)
      : subject_(group.engine.subject(cell.naive.logits == "last" ? LogitsAt::last : LogitsAt::all)) {
    const Tokenizer* tokenizer = group.session.tokenizer_or_null();
    const SubjectInfo info = subject_.info();
    const Prompt prompt = resolve_prompt(spec, tokenizer, info.vocab_size);
    const GenerationRequest request = request_of(cell, prompt, tokenizer && group.engine.has_tools());
    RepetitionPolicy policy;  // the cold calls only
    policy.repetitions = policy.warmup_rounds = policy.warmup_most = 0;
    CaseMeasurement measured = measure_repetitions(subject_, request, policy, probe_);
    int64_t forced = 0;
    GenerationRequest replayed = request;
    replayed.forced = forced_tokens(measured.engine.streams, &forced);
    naive_ = expected(std::move(replayed), measured.naive);
    engine_ = expected(request, measured.engine);
    naive_ns_ = measured.naive.first_call.e2e_ns;
    engine_ns_ = measured.engine.first_call.e2e_ns;
    bool steady = true;
    for (const Path path : warm_up.paths) steady &= settles(path, warm_up, policy.steady);
    facts_ = {cell.id,
              shape_label(prompt, engine_.steps),
              info.backend,
              info.dtype,
              info.device,
              info.threads,
              facts_of_path(measured.naive),
              facts_of_path(measured.engine),
              steady,
              measured.invalid};
  }

  const CaseFacts& facts() const { return facts_; }

  EpochTimes epoch(const Timed& timed, const EpochLength& length) {
    if (probe_.now_ns() - turn_end_ns_ > kSameTurnNs) refill_caches(timed);
    EpochTimes times = time_epoch(subject_, timed, expected_of(timed.path), length, probe_);
    times.quiet = wait_until_quiet(probe_);
    turn_end_ns_ = probe_.now_ns();
    return times;
  }

 private:
  static ExpectedCalls expected(GenerationRequest request, const PathMeasurement& measured) {
    return {std::move(request), measured.result, measured.prefill_positions, longest(measured.streams)};
  }

  /// Another process had the CPU's caches meanwhile, and it takes some passes over the weights until they are back: the first
  /// prefill of 32 tokens behind a change of turns took 57 % longer than the tenth, the fourth 13 % (d4, 21 MB of weights).
  void refill_caches(const Timed& timed) {
    if ((timed.path == Path::naive ? naive_ns_ : engine_ns_) < kLongCallNs)
      time_epoch(subject_, timed, expected_of(timed.path), {std::nullopt, kRefillNs}, probe_);
  }

  const ExpectedCalls& expected_of(Path path) const { return path == Path::naive ? naive_ : engine_; }

  /// Generates until times have settled. returns whether they did
  bool settles(Path path, const WarmUp& warm_up, double tolerance) {
    constexpr int64_t kMost = 12;
    if (expected_of(path).steps < 1) return true;
    std::vector<Sample> rounds;
    const int64_t start = probe_.now_ns();
    for (int64_t round = 0; round < std::max(kMost, warm_up.rounds); ++round) {
      if (round >= warm_up.rounds && (is_steady(rounds, tolerance) || probe_.now_ns() - start >= warm_up.most_ns)) break;
      rounds.emplace_back().e2e_ns = time_epoch(subject_, {path, Part::e2e}, expected_of(path), {1, 0}, probe_).wall_ns;
    }
    return is_steady(rounds, tolerance);
  }

  Subject& subject_;
  MachineProbe probe_;
  ExpectedCalls naive_, engine_;
  int64_t naive_ns_ = 0, engine_ns_ = 0;  // of a whole generation, the cold one
  int64_t turn_end_ns_ = 0;
  CaseFacts facts_;
};

class ConfigEpochs final : public EpochSource {
 public:
  ConfigEpochs(LoadedConfig config, ModelHook on_model)
      : config_(std::move(config)), groups_(config_, std::move(on_model)) {}

  MeasureHello hello() override {
    const BuildInfo& build = build_info();
    MeasureHello hello{
        build.version, build.commit, build.build_type, build.dirty, config_.hash, machine_facts().fingerprint, {}};
    for (const std::size_t index : groups_.in_order()) hello.cases.push_back(outline(config_.cases[index]));
    return hello;
  }

  CaseFacts open(const std::string& id, const WarmUp& warm_up) override {
    const auto cell =
        std::find_if(config_.cases.begin(), config_.cases.end(), [&](const Case& c) { return c.id == id; });
    if (cell == config_.cases.end()) throw ArgumentError("case", fmt::format("the config has no case {}", id));
    case_.reset();  // it uses the model, which may have to go
    const OpenGroup group = groups_.open(static_cast<std::size_t>(cell - config_.cases.begin()));
    case_.emplace(*cell, config_.config.prompts[cell->prompt], group, warm_up);
    return case_->facts();
  }

  EpochTimes epoch(const Timed& timed, const EpochLength& length) override {
    if (!case_) throw ArgumentError("case", "none is open");
    return case_->epoch(timed, length);
  }

  void close() override {
    case_.reset();
    groups_.close();
  }

 private:
  CaseOutline outline(const Case& cell) const {
    const PromptSpec& prompt = config_.config.prompts[cell.prompt];
    CaseOutline outline{cell.id, {}, cell.sampler.max_tokens, cell.sampler.num_samples};
    if (prompt.kind == PromptKind::synthetic) outline.prompt_tokens = prompt.depth + prompt.length;
    if (prompt.kind == PromptKind::tokens) outline.prompt_tokens = static_cast<int64_t>(prompt.tokens.size());
    return outline;
  }

  LoadedConfig config_;
  OpenGroups groups_;             // needs config_
  std::optional<WarmCase> case_;  // needs groups_
};

}  // namespace

std::unique_ptr<EpochSource> make_epoch_source(LoadedConfig config, ModelHook on_model) {
  for (const Case& cell : config.cases) {
    const CheckpointSpec& spec = config.config.checkpoints[cell.checkpoint];
    if (spec.subject)
      throw ConfigError(spec.place,
                        fmt::format("checkpoint {} has a subject: that engine is in a process of its own, whose "
                                    "CPU time is not to be seen from here; take a checkpoint for kvproof's "
                                    "own engine",
                                    spec.name));
  }
  return std::make_unique<ConfigEpochs>(std::move(config), std::move(on_model));
}

}  // namespace kvproof
