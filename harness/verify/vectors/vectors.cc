#include "harness/verify/vectors/vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/error.h"
#include "harness/verify/oracle.h"
#include "harness/verify/vectors/model_check.h"
#include "harness/verify/vectors/vector_case.h"

namespace kvproof {
namespace {

ArchitectureOverrides overrides_of(const nlohmann::json& outputs) {
  ArchitectureOverrides overrides;
  if (!outputs.contains("architecture")) return overrides;
  for (const auto& [key, value] : outputs["architecture"].items())
    overrides[key] = value.is_string() ? value.get<std::string>() : value.dump();
  return overrides;
}

void check_recompute(const VectorCase& c, const Model& model, VectorNotes* notes) {
  for (std::size_t i = 0; i < c.outputs["prompt_tokens"].size(); ++i) {
    const at::Tensor logits = model.forward(TokenBatch::single(c.prompt(i)), LogitsAt::all)[0];  // (T, V)
    notes->logits(fmt::format("full recompute of prompt {}", i), values_of(logits),
                  c.tensors.at("logits." + std::to_string(i)), 0);
  }
  auto ids = c.outputs["long"]["prompt_tokens"].get<std::vector<TokenId>>();
  for (const TokenId id : c.outputs["long"]["forced_tokens"]) ids.push_back(id);
  const int64_t first = c.outputs["long"]["first_position"];
  const auto total = static_cast<int64_t>(ids.size());
  const at::Tensor logits = model.forward(TokenBatch::single(ids), LogitsAt::all)[0];  // (T, V)
  notes->logits(fmt::format("full recompute of {} tokens", total), values_of(logits.narrow(0, first, total - first)),
                c.tensors.at("long.logits"), first);
}

void check_cache(const VectorCase& c, const Model& model, VectorNotes* notes) {
  const auto prompt = c.prompt(0);
  const auto forced = c.outputs["kv_forced_tokens"].get<std::vector<TokenId>>();
  const auto prompt_len = static_cast<int64_t>(prompt.size()), total = prompt_len + static_cast<int64_t>(forced.size());
  KVCache cache = model.new_cache(1, total);
  std::vector<double> logits = values_of(model.forward(TokenBatch::single(prompt), cache, LogitsAt::last));
  for (const TokenId id : forced) {
    const auto row = values_of(model.forward(TokenBatch::single({id}), cache, LogitsAt::last));
    logits.insert(logits.end(), row.begin(), row.end());
  }
  notes->logits("prompt 0 through a cache", logits, c.tensors.at("kv.decode_logits"), prompt_len - 1);
  for (int64_t layer = 0; layer < model.config().n_layer; ++layer) {  // Python's: (L, 1, T, G, D)
    notes->cached(layer, "K", cache.keys(layer)[0].narrow(1, 0, total).transpose(0, 1), c.tensors.at("kv.k")[layer][0]);
    notes->cached(layer, "V", cache.values(layer)[0].narrow(1, 0, total).transpose(0, 1),
                  c.tensors.at("kv.v")[layer][0]);
  }
}

// So that the oracle itself is known to be right, on this machine and in this build.
void check_oracle(const VectorCase& c, VectorNotes* notes) {
  const auto ids = c.prompt(0);
  std::vector<int64_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  const OracleTrace trace = run_oracle(oracle_model_of(c.checkpoint, c.overrides), ids, positions);
  std::vector<double> logits;
  for (const auto& row : trace.logits) logits.insert(logits.end(), row.begin(), row.end());
  notes->logits("the oracle on prompt 0", logits, c.tensors.at("logits.0"), 0);
}

double distance(const double* a, const double* b, int64_t n) {
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double apart = std::abs(a[i] - b[i]);
    worst = std::isnan(apart) ? HUGE_VAL : std::max(worst, apart);
  }
  return worst;
}

// Distances by position, and what they come to.
struct Distances {
  double worst = 0;
  std::size_t worst_at = 0, first_beyond = 0, beyond = 0;  // positions, counted from the first compared
};

Distances distances_of(const std::vector<double>& found, const std::vector<double>& expected, std::size_t positions) {
  Distances d;
  const auto width = static_cast<int64_t>(expected.size() / positions);
  for (std::size_t t = 0; t < positions; ++t) {
    const auto at = t * static_cast<std::size_t>(width);
    const double error = distance(&found[at], &expected[at], width);
    if (error > kVectorTolerance && d.beyond++ == 0) d.first_beyond = t;
    if (error > d.worst) d.worst = error, d.worst_at = t;
  }
  return d;
}

}  // namespace

std::vector<double> values_of(const at::Tensor& tensor) {
  const at::Tensor t = tensor.to(at::kCPU, at::kDouble).contiguous();
  return {t.const_data_ptr<double>(), t.const_data_ptr<double>() + t.numel()};
}

VectorCase::VectorCase(const EmbeddedGeneration& files)
    : name(files.name), outputs(nlohmann::json::parse(files.outputs)),
      tensors(load_state_dict(MappedFile::of_static(files.tensors), files.name + ": golden.pt")),
      overrides(overrides_of(outputs)),
      checkpoint(load_checkpoint_bytes({files.name, files.model, files.meta}, overrides)),
      tokenizer(Tokenizer::from_bytes(files.tokenizer, files.name + ": tokenizer.pkl")) {}

Finding VectorNotes::finding(Level level, const std::string& who) const {
  Finding finding;
  finding.level = level;
  finding.place.operation = fmt::format("{}: {}", case_.name, who);
  return finding;
}

void VectorNotes::logits(const std::string& who, const std::vector<double>& found, const at::Tensor& expected,
                         int64_t first_position) {
  const auto wanted = values_of(expected);
  const int64_t positions = expected.size(0);
  report_->positions += positions;
  if (found.size() != wanted.size()) {
    fact(false, who, fmt::format("expected {} logits, as Python gives, found {}", wanted.size(), found.size()));
    return;
  }
  const Distances d = distances_of(found, wanted, static_cast<std::size_t>(positions));
  report_->worst = std::max(report_->worst, d.worst);
  report_->tally.add(d.worst, kVectorTolerance);
  if (d.beyond == 0) return;
  Finding f = finding(Level::logits, who);
  f.place.stage = "logits";
  f.place.position = first_position + static_cast<int64_t>(d.first_beyond);
  f.error = d.worst;
  f.allowed = kVectorTolerance;
  f.message = fmt::format("expected Python's logits within {:.0e}, found them {:.1e} away at position {}",
                          kVectorTolerance, d.worst, first_position + static_cast<int64_t>(d.worst_at));
  f.evidence = fmt::format("{} of {} positions are beyond, the first is {}", d.beyond, positions, f.place.position);
  report_->findings.push_back(std::move(f));
}

void VectorNotes::cached(int64_t layer, const std::string& tensor, const at::Tensor& found,
                         const at::Tensor& expected) {
  const std::string who = "prompt 0 through a cache";
  if (found.sizes() != expected.sizes()) {
    fact(false, who, fmt::format("layer {}: {} is not of the shape of Python's", layer, tensor));
    return;
  }
  const auto wanted = values_of(expected);
  const Distances d = distances_of(values_of(found), wanted, static_cast<std::size_t>(expected.size(0)));
  report_->worst = std::max(report_->worst, d.worst);
  report_->tally.add(d.worst, kVectorTolerance);
  if (d.beyond == 0) return;
  Finding f = finding(Level::keys_values, who);
  f.place.stage = "cache";
  f.place.tensor = tensor;
  f.place.layer = layer;
  f.place.position = static_cast<int64_t>(d.first_beyond);
  f.error = d.worst;
  f.allowed = kVectorTolerance;
  f.message = fmt::format("expected Python's {} of layer {} within {:.0e}, found it {:.1e} away at position {}", tensor,
                          layer, kVectorTolerance, d.worst, d.worst_at);
  f.evidence =
      fmt::format("{} of {} positions are beyond, the first is {}", d.beyond, expected.size(0), d.first_beyond);
  report_->findings.push_back(std::move(f));
}

void VectorNotes::stream(const std::string& who, int64_t row, const Stream& found, const Stream& expected) {
  ++report_->streams;
  const bool same_masks = expected.masks.empty() || found.masks == expected.masks;
  const bool holds = found.tokens == expected.tokens && same_masks;
  report_->tally.add_fact(holds);
  if (holds) return;
  const auto at = static_cast<std::size_t>(
      std::mismatch(found.tokens.begin(), found.tokens.end(), expected.tokens.begin(), expected.tokens.end()).first -
      found.tokens.begin());
  const auto token = [&](const std::vector<TokenId>& tokens) {
    return at < tokens.size() ? fmt::format("token {}", tokens[at]) : std::string("the row's end");
  };
  Finding f = finding(Level::tokens, who);
  f.place.stage = "tokens";
  f.place.row = row;
  if (found.tokens == expected.tokens) {
    f.level = Level::behaviour;
    f.message = "expected Python's tokens and masks, found its tokens with other masks";
  } else {
    f.place.step = static_cast<int64_t>(at);
    f.message =
        fmt::format("expected Python's {} at step {}, found {}", token(expected.tokens), at, token(found.tokens));
  }
  report_->findings.push_back(std::move(f));
}

void VectorNotes::fact(bool holds, const std::string& who, const std::string& what) {
  report_->tally.add_fact(holds);
  if (holds) return;
  Finding f = finding(Level::behaviour, who);
  f.message = what;
  report_->findings.push_back(std::move(f));
}

VectorReport check_vectors(const VectorOptions& options) {
  // A word that is wrong is the caller's fault, and no finding.
  const ModelOptions model_options =
      resolve_model_options({.backend = options.backend, .dtype = "float32", .device = options.device});
  VectorReport report;
  check_architectures(&report.tally, &report.findings);
  for (const EmbeddedGeneration& files : embedded_generations()) {
    ++report.generations;
    const VectorCase c(files);
    VectorNotes notes(c, &report);
    try {
      const auto model = make_model(c.checkpoint, model_options);
      check_recompute(c, *model, &notes);
      check_cache(c, *model, &notes);
      check_oracle(c, &notes);
      const bool newest = files.name == embedded_generations().back().name;
      check_generators(c, *model, newest ? options.longest_generation : (options.longest_generation + 2) / 3, &notes);
    } catch (const std::exception& error) {
      notes.fact(false, "all of it", fmt::format("expected to end, broke off: {}", error.what()));
    }
  }
  return report;
}

}  // namespace kvproof
