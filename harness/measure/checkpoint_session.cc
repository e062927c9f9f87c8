#include "harness/measure/checkpoint_session.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "engine/checkpoint/safetensors.h"
#include "engine/model/cost_model.h"
#include "harness/error.h"

namespace kvproof {
namespace {

Checkpoint open_checkpoint(const CheckpointSpec& spec) {
  try {
    if (spec.synthetic) return synthesize_checkpoint(*spec.synthetic, spec.architecture);
    return load_checkpoint({spec.base_dir, spec.source, spec.tag, spec.step}, spec.architecture);
  } catch (const ArgumentError& error) {  // a value that the file's own checks could not judge
    throw ConfigError(spec.place, error.what());
  }
}

Json dims_json(const ModelDims& dims) {
  Json out = {{"sequence_len", dims.sequence_len}, {"vocab_size", dims.vocab_size},
              {"n_layer", dims.n_layer},           {"n_head", dims.n_head},
              {"n_kv_head", dims.n_kv_head},       {"n_embd", dims.n_embd}};
  out["window_pattern"] = dims.window_pattern ? Json(*dims.window_pattern) : Json(nullptr);
  if (dims.n_inner != 0) out["n_inner"] = dims.n_inner;  // a width that nanochat does not have
  return out;
}

}  // namespace

std::optional<Tokenizer> open_tokenizer(const Checkpoint& checkpoint) {
  const auto& dir = checkpoint.location.tokenizer_dir;
  if (dir.empty()) return std::nullopt;
  Tokenizer tokenizer = Tokenizer::load(dir);
  if (tokenizer.vocab_size() != checkpoint.dims.vocab_size) {
    const bool is_file = checkpoint.location.layout == CheckpointLayout::huggingface;
    throw TokenizerError((is_file ? Tokenizer::file_in(dir) : dir).string(),
                         fmt::format("holds {} tokens, the checkpoint's vocab_size is {}; put the tokenizer it was "
                                     "trained with beside it, or move this {} away to run on token ids",
                                     tokenizer.vocab_size(), checkpoint.dims.vocab_size, is_file ? "file" : "folder"));
  }
  return tokenizer;
}

CheckpointSession open_session(const CheckpointSpec& spec) {
  CheckpointSession session;
  if (!spec.has_checkpoint()) return session;
  const int64_t begin = now_ns();
  session.checkpoint = open_checkpoint(spec);
  session.tokenizer = open_tokenizer(*session.checkpoint);
  session.open_ns = now_ns() - begin;
  return session;
}

ModelOptions model_options(const RunSpec& run) { return resolve_model_options({.backend = run.backend, .dtype = run.dtype, .device = run.device, .pin = run.pin}); }

GenerationRequest request_of(const Case& cell, const Prompt& prompt, bool tools) {
  GenerationRequest request;
  request.prompt = prompt.tokens;
  request.kept_prefix = prompt.depth;
  request.max_tokens = cell.sampler.max_tokens;
  request.num_samples = cell.sampler.num_samples;
  request.sampler = {cell.sampler.temperature, cell.sampler.top_k, cell.sampler.seed,
                     cell.sampler.mode == "nanochat" ? SamplerMode::nanochat : SamplerMode::per_row};
  request.stop = stops(cell.sampler, prompt.kind);
  request.tools = cell.sampler.tools && tools;
  return request;
}

namespace {

/// A subject alone: nothing is known of its weights.
Json unknown_checkpoint(const CheckpointSpec& spec) {
  Json out = {{"name", spec.name}, {"subject", *spec.subject}};
  for (const char* key : {"path", "source", "tag", "step", "val_bpb", "generation", "reason"}) out[key] = nullptr;
  out["ambiguities"] = out["guesses"] = Json::array();
  for (const char* key : {"xxh128", "tokenizer_xxh128", "dims", "parameters"}) out[key] = nullptr;
  return out;
}

}  // namespace

Json checkpoint_json(const CheckpointSpec& spec, const CheckpointSession& session) {
  if (!session.checkpoint) return unknown_checkpoint(spec);
  const Checkpoint& c = *session.checkpoint;
  Json out = {{"name", spec.name}, {"subject", spec.subject ? Json(*spec.subject) : Json(nullptr)}};
  if (spec.synthetic) {
    for (const char* key : {"path", "source"}) out[key] = nullptr;
    out["tag"] = *spec.synthetic;
    out["step"] = nullptr;
  } else if (c.location.layout == CheckpointLayout::huggingface) {
    out["path"] = c.location.model_file.string();
    out["source"] = out["tag"] = out["step"] = nullptr;
  } else {
    out["path"] = c.location.model_file.string();
    out["source"] = c.location.source;
    out["tag"] = c.location.tag;
    out["step"] = c.location.step;
  }
  out["val_bpb"] = nullptr;
  if (c.val_bpb && std::isfinite(*c.val_bpb)) out["val_bpb"] = *c.val_bpb;
  out["generation"] = c.architecture.generation;
  out["reason"] = c.inference.reason;
  out["ambiguities"] = c.inference.ambiguities;
  out["guesses"] = c.location.guesses;
  out["xxh128"] = out["tokenizer_xxh128"] = nullptr;
  if (!spec.synthetic) out["xxh128"] = xxh128_of_file(c.location.model_file);
  if (c.location.is_sharded()) {  // an index has no weights in it
    out["shards"] = Json::array();
    for (const auto& shard : shards_of(c.location.model_file))
      out["shards"].push_back({{"path", shard.string()}, {"xxh128", xxh128_of_file(shard)}});
  }
  if (session.tokenizer) out["tokenizer_xxh128"] = xxh128_of_file(Tokenizer::file_in(c.location.tokenizer_dir));
  out["dims"] = dims_json(c.dims);
  out["parameters"] = count_parameters(GptConfig(c.dims, c.architecture)).total;
  return out;
}

}  // namespace kvproof
