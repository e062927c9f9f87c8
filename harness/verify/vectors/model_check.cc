#include "harness/verify/vectors/model_check.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/error.h"
#include "engine/model/gpt_config.h"
#include "engine/model/rotary.h"
#include "engine/splitmix.h"
#include "harness/verify/gates.h"

namespace kvproof {
namespace {

constexpr int64_t kShortSequence = 8, kShortestSequence = 2;

std::vector<double> doubles_of(const at::Tensor& tensor) {
  const at::Tensor t = tensor.to(at::kDouble).contiguous();
  return {t.const_data_ptr<double>(), t.const_data_ptr<double>() + t.numel()};
}

// --- constants ----------------------------------------------------------------------------------------------------

// Notes each constant that the engine resolved otherwise than the oracle.
class ConstantCheck {
 public:
  ConstantCheck(std::string operation, LevelTally* tally, std::vector<Finding>* findings)
      : operation_(std::move(operation)), tally_(tally), findings_(findings) {}

  template <class T>
  void same(const std::string& key, const T& found, const T& expected, int64_t layer = kNowhere) {
    tally_->add_fact(found == expected);
    if (found == expected) return;
    Finding f;
    f.level = Level::invariants;
    f.place.operation = operation_;
    f.place.stage = key;
    f.place.layer = layer;
    const std::string where = layer == kNowhere ? "" : fmt::format(" of layer {}", layer);
    f.message = fmt::format("{}{}: expected {}, the oracle's, found {}", key, where, expected, found);
    findings_->push_back(std::move(f));
  }

  void all(const GptConfig& config, const OracleModel& model, const OracleConstants& c);

 private:
  std::string operation_;
  LevelTally* tally_;
  std::vector<Finding>* findings_;
};

std::string window_text(std::optional<int64_t> window) { return window ? std::to_string(*window) : "unlimited"; }

void ConstantCheck::all(const GptConfig& config, const OracleModel& model, const OracleConstants& c) {
  same("rope_base", config.rope_base, c.rope_base);
  same("rope_table_dtype", config.rope_table_dtype == "compute" ? model.compute_dtype : config.rope_table_dtype,
       c.rope_table_dtype);
  same("qk_scale", config.qk_scale, c.qk_scale);
  same("softcap", config.softcap, c.softcap);
  same("norm_eps", config.norm_eps, c.norm_eps);
  same("lambdas", config.has_lambdas, c.has_lambdas);
  same("smear", config.has_smear, c.smear_channels > 0);
  same("backout", config.has_backout, c.has_backout);
  if (c.has_backout) same("backout_layer", config.backout_layer(), c.backout_layer);
  same("value_embeds", config.has_value_embeds, c.ve_gate_channels > 0);
  same("ve_gate_channels", config.ve_gate_channels, c.ve_gate_channels);
  same("ve_gate_scale", config.ve_gate_scale, c.ve_gate_scale);
  for (int64_t layer = 0; layer < model.n_layer; ++layer) {
    const int64_t window = config.window(layer);
    same("window", window_text(window == kUnlimited ? std::nullopt : std::optional(window)),
         window_text(c.windows[static_cast<std::size_t>(layer)]), layer);
  }
}

// Sizes without weights.
OracleModel oracle_sizes(const ModelDims& dims, const std::string& generation) {
  OracleModel model;
  model.generation = generation;
  model.sequence_len = dims.sequence_len;
  model.vocab_size = dims.vocab_size;
  model.n_layer = dims.n_layer;
  model.n_head = dims.n_head;
  model.n_kv_head = dims.n_kv_head;
  model.n_embd = dims.n_embd;
  model.n_inner = dims.n_inner;
  model.window_pattern = dims.window_pattern;
  return model;
}

// --- RoPE's tables ------------------------------------------------------------------------------------------------

// Rows of one table, positions first … first + count - 1, held against their bounds.
struct TableRows {
  const char* name;  // cosine or sine
  const double* found;
  const std::vector<double>&lowest, &highest;
};

bool check_rows(const TableRows& rows, int64_t first_position, int64_t half, ModelReport* report) {
  for (std::size_t i = 0; i < rows.lowest.size(); ++i) {
    if (rows.found[i] >= rows.lowest[i] && rows.found[i] <= rows.highest[i]) continue;  // NaN is in no bounds
    Finding f;
    f.level = Level::invariants;
    f.place.operation = "making RoPE's tables";
    f.place.stage = "rope";
    f.place.position = first_position + static_cast<int64_t>(i) / half;
    f.error = std::max(rows.lowest[i] - rows.found[i], rows.found[i] - rows.highest[i]);
    f.message =
        fmt::format("the {} of channel {} at position {}: expected {:.9g} to {:.9g}, found {:.9g}", rows.name,
                    static_cast<int64_t>(i) % half, f.place.position, rows.lowest[i], rows.highest[i], rows.found[i]);
    report->findings.push_back(std::move(f));
    return false;
  }
  return true;
}

// All of the first `tokens` positions and a sample of the others. Returns the engine's tables, or none where they are
// wrong.
std::optional<OracleRotary> check_tables(const GptConfig& config, const OracleConstants& c, int64_t tokens,
                                         ModelReport* report) {
  constexpr int64_t kMostSampled = 1024;
  const RotaryTables tables = make_rotary_tables(config, at::kDouble, at::kCPU);  // (R, D/2)
  const int64_t half = config.head_dim() / 2, last = config.rotary_len() - 1;
  const double *cosine = tables.cos.const_data_ptr<double>(), *sine = tables.sin.const_data_ptr<double>();
  bool right = true;
  const auto check = [&](int64_t first, int64_t count) {
    const auto bounds = oracle_rotary_bounds(c, first, count, config.head_dim(), kRotaryLastBits);
    const auto& [low, high] = bounds;
    right = right && check_rows({"cosine", cosine + first * half, low.cosine, high.cosine}, first, half, report) &&
            check_rows({"sine", sine + first * half, low.sine, high.sine}, first, half, report);
  };
  check(0, tokens);
  const int64_t stride = std::max<int64_t>(1, (last - tokens) / kMostSampled);
  for (int64_t t = tokens; t < last && right; t += stride) check(t, 1);
  if (right) check(last, 1);
  report->constants.add_fact(right);
  if (!right) return std::nullopt;
  return OracleRotary{half, {cosine, cosine + tokens * half}, {sine, sine + tokens * half}};
}

// --- logits -------------------------------------------------------------------------------------------------------

// Sequences of growing length: one that is short, and one across each window. All are prefixes of the longest.
struct SequencePlan {
  struct Run {
    int64_t tokens, first_position;  // logits are compared from there on
  };
  std::vector<Run> runs;
  std::vector<int64_t> windows;    // that the runs cross
  std::vector<int64_t> positions;  // of all runs, ascending
  int64_t tokens() const { return runs.back().tokens; }
};

SequencePlan plan_of(const std::vector<int64_t>& windows, int64_t shortest) {
  SequencePlan plan{.runs = {{shortest, 0}}, .windows = windows, .positions = {}};
  std::set<int64_t> positions;
  for (const int64_t w : windows)  // position w is the last that sees all keys, w + 1 the first that does not
    plan.runs.push_back({w + 2, std::max<int64_t>(0, w - 1)});
  std::sort(plan.runs.begin(), plan.runs.end(), [](const auto& a, const auto& b) { return a.tokens < b.tokens; });
  for (const auto& run : plan.runs)
    for (int64_t t = run.first_position; t < run.tokens; ++t) positions.insert(t);
  plan.positions.assign(positions.begin(), positions.end());
  return plan;
}

double cost_of(const OracleModel& model, const SequencePlan& plan) {
  return oracle_flops(model, plan.tokens(), static_cast<int64_t>(plan.positions.size()));
}

// The most that the budget allows, and what that leaves out.
SequencePlan affordable_plan(const OracleModel& model, const OracleConstants& c, double budget, ModelReport* report) {
  const int64_t longest = 10 * model.sequence_len;  // what RoPE's tables cover
  std::set<int64_t> windows;
  for (const auto& window : c.windows)
    if (window && *window + 2 <= longest) windows.insert(*window);

  SequencePlan plan = plan_of({}, std::min(kShortSequence, longest));
  while (plan.tokens() > kShortestSequence && cost_of(model, plan) > budget) plan = plan_of({}, plan.tokens() - 1);
  for (const int64_t w : windows) {  // ascending: a window that is too long leaves no shorter one
    std::vector<int64_t> more = plan.windows;
    more.push_back(w);
    const SequencePlan wider = plan_of(more, plan.runs.front().tokens);
    const double cost = cost_of(model, wider);
    if (cost <= budget) {
      plan = wider;
      continue;
    }
    report->not_covered.push_back(fmt::format(
        "the oracle's logits past the window of {} keys: {} tokens would take {:.1e} floating-point operations, {:.1e} "
        "are allowed",
        w, w + 2, cost, budget));
  }
  return plan;
}

// Ids that differ from their neighbours, the same for a seed on every machine.
std::vector<TokenId> tokens_of(uint64_t seed, int64_t count, int64_t vocab_size) {
  std::vector<TokenId> ids;
  uint64_t state = seed;
  while (static_cast<int64_t>(ids.size()) < count) {
    const auto id = static_cast<TokenId>(next_random(state) % static_cast<uint64_t>(vocab_size));
    if (vocab_size == 1 || ids.empty() || ids.back() != id) ids.push_back(id);
  }
  return ids;
}

double distance(std::span<const double> a, const std::vector<double>& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double apart = std::abs(a[i] - b[i]);
    worst = std::isnan(apart) ? HUGE_VAL : std::max(worst, apart);
  }
  return worst;
}

std::string hint_of(int64_t first, const SequencePlan& plan) {
  if (first == 0) return "; position 0 sees itself alone: no window, RoPE or qk_scale shows there";
  for (const int64_t w : plan.windows) {
    if (first == w + 1)
      return fmt::format("; {} is the first that a window of {} keys keeps from position 0", first, w);
    if (first == w) return fmt::format("; {} is the last that a window of {} keys lets see position 0", first, w);
  }
  return first == 1 ? "; position 1 is the first that has another to look at" : "";
}

// Holds the stages of one forward against a trace. Only the first that differs is a finding.
class StageCheck : public StageSink {
 public:
  StageCheck(const OracleModel& model, const OracleTrace& trace, ModelReport* report)
      : head_dim_(model.n_embd / model.n_head), trace_(trace), report_(report) {}

  void on_stage(const StageValues& values) override {
    const auto [name, expected] = of(values.stage, values.layer);
    if (!expected) return;  // the oracle keeps no trace of it
    double largest = 1;
    for (const double value : *expected) largest = std::max(largest, std::abs(value));
    const double allowed = kFloat64Gate * largest, worst = distance(values.values, *expected);
    report_->stages.add(worst, allowed);
    if (worst <= allowed || found_) return;
    found_ = true;
    note(values, name, *expected, worst, allowed);
  }

 private:
  // The stage's name, and the oracle's values of it.
  std::pair<std::string, const std::vector<double>*> of(Stage stage, int64_t layer) const {
    if (stage == Stage::smear) return {"embedding", &trace_.embedded};
    if (stage == Stage::embed || stage == Stage::query) return {};
    const OracleLayer& at = trace_.layers.at(static_cast<std::size_t>(layer));
    if (stage == Stage::key) return {"key", &at.k};
    if (stage == Stage::value) return {"value", &at.v};
    if (stage == Stage::attention) return {"attention", &at.attention};
    return {"layer", &at.residual};
  }

  void note(const StageValues& values, const std::string& name, const std::vector<double>& expected, double worst,
            double allowed) {
    const bool has_heads = name == "key" || name == "value" || name == "attention";
    Finding f;
    f.level = name == "key" || name == "value" ? Level::keys_values : Level::side_state;
    f.place.operation = fmt::format("full recompute of {} tokens in float64", values.count);
    f.place.stage = name;
    f.place.tensor = name == "key" ? "K" : name == "value" ? "V" : "";
    if (name != "embedding") f.place.layer = values.layer;
    f.error = worst;
    f.allowed = allowed;
    std::string where;
    for (std::size_t i = 0; i < std::min(expected.size(), values.values.size()); ++i) {
      if (std::abs(values.values[i] - expected[i]) <= allowed) continue;
      f.place.position = static_cast<int64_t>(i) / values.width;
      if (has_heads) f.place.head = static_cast<int64_t>(i) % values.width / head_dim_;
      where = fmt::format(", first at position {}", f.place.position);
      if (has_heads) where += fmt::format(" in head {}", f.place.head);
      break;
    }
    const std::string what = name == "embedding" ? "what enters layer 0"
                             : name == "layer"   ? fmt::format("the residual stream behind layer {}", values.layer)
                                                 : fmt::format("the {} of layer {}", name, values.layer);
    f.message =
        fmt::format("{}: expected the oracle's within {:.1e}, found it {:.1e} away{}", what, allowed, worst, where);
    if (name != "embedding") f.evidence = "every stage before it agrees";
    report_->findings.push_back(std::move(f));
  }

  int64_t head_dim_;
  const OracleTrace& trace_;
  ModelReport* report_;
  bool found_ = false;
};

void check_logits(const SequencePlan& plan, const OracleTrace& trace, const std::vector<TokenId>& ids, Subject& exact,
                  StageSink* sink, ModelReport* report) {
  double largest = 1;
  for (const auto& row : trace.logits)
    for (const double logit : row) largest = std::max(largest, std::abs(logit));
  report->allowed = kFloat64Gate * largest;

  std::vector<int64_t> beyond;
  int64_t compared = 0, worst_at = 0;
  for (const auto& run : plan.runs) {
    const bool longest = &run == &plan.runs.back();
    const LogitRows rows =
        exact.uncached_logits({ids.begin(), ids.begin() + run.tokens}, run.first_position, longest ? sink : nullptr);
    for (int64_t t = run.first_position; t < run.tokens; ++t, ++compared) {
      const auto at = std::lower_bound(plan.positions.begin(), plan.positions.end(), t) - plan.positions.begin();
      const double error = distance(rows.at(t), trace.logits[static_cast<std::size_t>(at)]);
      report->logits.add(error, report->allowed);
      if (error > report->worst) report->worst = error, worst_at = t;
      if (error > report->allowed) beyond.push_back(t);
    }
  }
  if (beyond.empty()) return;
  Finding f;
  f.level = Level::logits;
  f.place.operation = fmt::format("full recompute of {} tokens in float64", plan.tokens());
  f.place.stage = "logits";
  f.place.position = *std::min_element(beyond.begin(), beyond.end());
  f.error = report->worst;
  f.allowed = report->allowed;
  f.message = fmt::format("expected the oracle's logits within {:.1e}, found them {:.1e} away at position {}",
                          report->allowed, report->worst, worst_at);
  f.evidence = fmt::format("{} of {} compared are beyond, the first is position {}{}", beyond.size(), compared,
                           f.place.position, hint_of(f.place.position, plan));
  report->findings.push_back(std::move(f));
}

// Where nothing but logits is to be seen. A freshly initialised nanochat adds nothing in any layer.
void note_blind_spots(const Checkpoint& checkpoint, ModelReport* report) {
  report->not_covered.push_back("keys, values and the residual stream of every layer: this engine does not show them");
  for (const auto& [part, what] : {std::pair{"attn.c_proj", "attention"}, std::pair{"mlp.c_proj", "the MLP"}}) {
    bool any = false;
    for (int64_t layer = 0; layer < checkpoint.dims.n_layer; ++layer)
      any = any || checkpoint.tensors.at(fmt::format("transformer.h.{}.{}.weight", layer, part)).any().item<bool>();
    if (!any) {
      report->not_covered.push_back(
          fmt::format("{}: {} is zero in every layer, so that logits do not depend on it", what, part));
    }
  }
}

}  // namespace

OracleModel oracle_model_of(const Checkpoint& checkpoint, const ArchitectureOverrides& overrides) {
  OracleModel model = oracle_sizes(checkpoint.dims, checkpoint.architecture.generation);
  model.overrides = overrides;
  model.overrides.insert(checkpoint.stated.begin(), checkpoint.stated.end());  // does not replace what is there
  model.tensor = [tensors = checkpoint.tensors](const std::string& name) {
    const at::Tensor& tensor = tensors.at(name);
    return OracleTensor{tensor.sizes().vec(), doubles_of(tensor)};
  };
  return model;
}

void check_architectures(LevelTally* tally, std::vector<Finding>* findings) {
  for (const std::string generation : {kHuggingFace, "2025-10", "2025-12", "2026-01", "2026-02", "2026-03a", "head"}) {
    const bool has_windows = generation >= "2026-01" && generation != kHuggingFace;
    for (const char* pattern : {"", "L", "S", "SL", "ssl", "SSSL"}) {
      if (*pattern != 0 && !has_windows) continue;
      for (const int64_t sequence_len : {63, 500, 512, 2048, 3000}) {
        for (int64_t n_layer = 1; n_layer <= 7; ++n_layer) {
          ModelDims dims{sequence_len, 331, n_layer, 2, 1, 64, std::nullopt};
          if (*pattern != 0) dims.window_pattern = pattern;
          const OracleModel model = oracle_sizes(dims, generation);
          ConstantCheck check(fmt::format("resolving {} with {} layers, {} positions and window_pattern {}", generation,
                                          n_layer, sequence_len, *pattern ? pattern : "absent"),
                              tally, findings);
          check.all(GptConfig(dims, architecture_of(generation, dims)), model, oracle_constants(model));
        }
      }
    }
  }
}

ModelReport check_model(const Checkpoint& checkpoint, const ArchitectureOverrides& overrides, Subject& exact,
                        uint64_t seed, double flops_budget) {
  if (exact.info().dtype != "float64")
    throw ArgumentError("exact", fmt::format("expected a subject in float64, found {}", exact.info().dtype));
  ModelReport report;
  const GptConfig config(checkpoint.dims, checkpoint.architecture);
  const OracleModel model = oracle_model_of(checkpoint, overrides);
  OracleConstants constants = oracle_constants(model);
  ConstantCheck check("resolving the architecture", &report.constants, &report.findings);
  check.all(config, model, constants);
  for (int64_t layer = 0; layer < model.n_layer; ++layer) {  // the checkpoint itself says which layers have one
    check.same("value_embed", config.has_value_embed(layer),
               checkpoint.tensors.count(fmt::format("value_embeds.{}.weight", layer)) > 0, layer);
  }

  const SequencePlan plan = affordable_plan(model, constants, flops_budget, &report);
  report.tokens = plan.tokens();
  report.positions = static_cast<int64_t>(plan.positions.size());
  constants.rotary = check_tables(config, constants, plan.tokens(), &report);
  const auto ids = tokens_of(seed, plan.tokens(), model.vocab_size);
  const OracleTrace trace = run_oracle(model, constants, ids, plan.positions);
  StageCheck stages(model, trace, &report);
  check_logits(plan, trace, ids, exact, &stages, &report);
  if (report.stages.checks == 0) note_blind_spots(checkpoint, &report);
  return report;
}

}  // namespace kvproof
