// The table of keys as a JSON Schema, and a config to start from.
#include <nlohmann/json.hpp>

#include "harness/config/config.h"
#include "harness/config/fields.h"

namespace kvproof {
namespace config {
namespace {

class SchemaWriter {
 public:
  Json document() {
    Json root = body(config_field());
    Json document = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "A config of kvproof"}};
    document.update(root);
    document["$defs"] = defs_;
    return document;
  }

 private:
  /// What occurs more than once is written once, under $defs.
  Json schema(const Field& field) {
    if (field.shared.empty()) return body(field);
    if (!defs_.contains(field.shared)) {
      defs_[field.shared] = nullptr;  // keeps its place before what it refers to
      Json written = body(field);
      defs_[field.shared] = std::move(written);
    }
    return {{"$ref", "#/$defs/" + field.shared}};
  }

  Json body(const Field& field) {
    Json json = field.absent.empty() ? value(field) : with_absent(field);
    if (!field.doc.empty()) json["description"] = field.doc;
    if (!field.fallback.is_null()) json["default"] = field.fallback;
    return json;
  }

  Json with_absent(const Field& field) {
    Json words = Json::array({nullptr});
    if (field.absent != "null") words.push_back(field.absent);
    return {{"anyOf", Json::array({value(field), {{"enum", words}}})}};
  }

  Json value(const Field& field) {
    switch (field.type) {
      case Type::integer:
      case Type::number:
        return {{"type", field.type == Type::integer ? "integer" : "number"},
                {"minimum", field.low},
                {"maximum", field.high}};
      case Type::boolean:
        return {{"enum", {true, false, "on", "off"}}};
      case Type::word:
        return word(field);
      case Type::string:
        return {{"type", "string"}, {"minLength", 1}};
      case Type::scalar:
        return {{"type", {"string", "number", "boolean"}}};
      case Type::list:
        return {{"type", "array"}, {"items", schema(field.children[0])}, {"minItems", field.may_be_empty ? 0 : 1}};
      case Type::axis:
        return axis(field);
      case Type::map:
        break;
    }
    return map(field);
  }

  static Json word(const Field& field) {
    Json words = field.words;
    for (const std::string& name : field.words) {
      if (name == "on") words.push_back(true);  // YAML 1.1 readers make booleans of them
      if (name == "off") words.push_back(false);
    }
    return {{"enum", words}};
  }

  Json axis(const Field& field) {
    const Json item = schema(field.children[0]);
    if (field.children[0].type != Type::integer) return {{"type", "array"}, {"items", item}, {"minItems", 1}};
    const Json range = {{"type", "string"}, {"pattern", "^[0-9]+-[0-9]+([*+][0-9]+)?$"}};
    const Json items = {{"anyOf", Json::array({item, range})}};
    return {{"anyOf", Json::array({range, {{"type", "array"}, {"items", items}, {"minItems", 1}}})}};
  }

  Json map(const Field& field) {
    Json properties = Json::object();
    for (const Field& child : field.children) properties[child.name] = schema(child);
    const bool may_be_empty = field.required.empty() && field.exactly_one.empty();
    Json json = {{"type", may_be_empty ? Json{"object", "null"} : Json("object")},
                 {"properties", properties},
                 {"additionalProperties", false}};
    if (!field.required.empty()) json["required"] = field.required;
    Json any = Json::array();
    for (const std::string& key : field.exactly_one) any.push_back({{"required", Json::array({key})}});
    if (!any.empty()) json["oneOf"] = any;
    if (!field.instead.empty())
      json["oneOf"].push_back({{"required", Json::array({field.instead})}, {"not", {{"anyOf", any}}}});
    return json;
  }

  Json defs_ = Json::object();
};

}  // namespace
}  // namespace config

std::string config_json_schema() { return config::SchemaWriter().document().dump(2) + "\n"; }

std::string starter_config() {
  return R"(# A config of kvproof: which models, which prompts, how to run them.
# `kvproof plan FILE` checks it and lists the cases; `kvproof run FILE` runs them. An unknown key is an error.

checkpoints:
  - {name: random, synthetic: "d4,vocab_size=2048"}     # random weights of a shape: speed and agreement without a download
  # - {name: mine, base_dir: ~/.cache/nanochat, source: sft}   # a trained one; tag: d12 and step: 650 where there are several

prompts:
  - {name: short, synthetic: {length: 32, seed: 1}}     # 32 random tokens
  - {name: long, synthetic: {length: 256, seed: 1}, sampler: {max_tokens: 16}}   # a prompt may have settings of its own
  # - {name: question, chat: "What is the capital of France?"}  # text needs a trained checkpoint; also: text, file, tokens

sampler:
  temperature: 0          # 0: the most likely token
  top_k: null             # draw among the k most likely; null: among all
  seed: 42
  max_tokens: 64
  num_samples: 1          # rows that share one prompt
  stop: auto              # end a row at its terminal token; auto: on for chat, text and file
  mode: per_row           # nanochat: the original's random draws
  tools: true             # run the calculator the model calls

run:
  backend: auto
  dtype: auto             # float32, bfloat16, float16, float64
  device: auto            # cpu, cuda, mps
  threads: 1              # auto: as many as LibTorch takes; small models gain nothing from a second
  repetitions: auto
  verify: quick           # a tenth of the time that measuring takes; full; off: speed-ups stay unverified
  peaks: on               # measure how fast the machine reads and multiplies: a second before and after; off: no mbu, no mfu

naive:
  logits: all             # full recompute computes the logits of all positions, as nanochat does; or only the last

# compare:                # how `kvproof compare` times two programs on these cases
#   blocks: 12            # fresh pairs of processes
#   time: [engine_prefill, engine_decode]
# ci:                     # what `kvproof ci` holds a change against
#   baseline: main        # as kvproof baseline save made it
#   fail_on: [disagree, regressed, missing, error]
#   accept: []            # exact metrics whose change is meant: kv_cache_bytes, token_forwards, tokens, agreement, cases
#   floors: {speedup_e2e: 2}
# sweep:                  # every combination of these; they win over everything above
#   run.dtype: [float32, bfloat16]
#   prompt.length: 64-1024*2              # 64, 128, …, 1024; synthetic prompts only
#   prompt.depth: [0, 512]                # behind so many tokens in the cache; synthetic prompts only
#   sampler.max_tokens: [64, 32, 16, 8, 4]
#   zip: [[prompt.length, sampler.max_tokens]]   # these advance together
)";
}

}  // namespace kvproof
