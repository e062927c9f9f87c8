#include "harness/config/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/config/settings.h"

namespace kvproof::config {
namespace {

Field text(std::string name, std::string doc) {
  return {.name = std::move(name), .type = Type::string, .doc = std::move(doc)};
}

Field integer(std::string name, int64_t low, int64_t high, std::string doc) {
  return {.name = std::move(name), .type = Type::integer, .doc = std::move(doc), .low = low, .high = high};
}

Field word(std::string name, std::vector<std::string> words, std::string doc) {
  return {.name = std::move(name), .type = Type::word, .doc = std::move(doc), .words = std::move(words)};
}

Field map_of(std::string name, std::vector<Field> children, std::string doc) {
  return {.name = std::move(name), .type = Type::map, .doc = std::move(doc), .children = std::move(children)};
}

Field list_of(std::string name, Field item, std::string doc) {
  return {.name = std::move(name), .type = Type::list, .doc = std::move(doc), .children = {std::move(item)}};
}

Field optional(std::string absent, Field field) {
  field.absent = std::move(absent);
  return field;
}

Field with_fallback(Json fallback, Field field) {
  field.fallback = std::move(fallback);
  return field;
}

/// Names a section's settings for the schema and takes their fallbacks from the structs' own.
Field section(std::string name, std::vector<Field> children, std::string doc) {
  for (Field& child : children) {
    child.shared = join(name, child.name);
    child.fallback = to_json(Settings{}, child.shared);
    if (child.fallback.is_null() && !child.absent.empty() && child.absent != "null") child.fallback = child.absent;
  }
  Field field = map_of(name, std::move(children), std::move(doc));
  field.shared = name;
  return field;
}

std::vector<std::string> timed_words() {
  return {"naive_prefill", "naive_decode", "naive_e2e", "engine_prefill", "engine_decode", "engine_e2e"};
}
std::vector<std::string> fail_words() { return {"disagree", "regressed", "missing", "error", "inconclusive"}; }
std::vector<std::string> accept_words() { return {"kv_cache_bytes", "token_forwards", "tokens", "agreement", "cases"}; }

std::vector<Field> sections() {
  Field sampler = section(
      "sampler",
      {
          {.name = "temperature", .type = Type::number, .doc = "0: the most likely token", .low = 0, .high = 100},
          optional("null", integer("top_k", 0, 1'048'576, "draw among the k most likely tokens; 0 or null: among all")),
          integer("seed", 0, INT64_MAX, "of the draws; rows and steps get their own"),
          integer("max_tokens", 1, 1'048'576, "tokens to generate, at most"),
          integer("num_samples", 1, 4096, "rows that share one prompt"),
          word("stop", {"auto", "on", "off"},
               "end a row at its terminal token; auto: on for chat, text and file, else off"),
          word("mode", {"per_row", "nanochat"},
               "per_row: one draw for naive and engine; nanochat: the original's draws"),
          {.name = "tools", .type = Type::boolean, .doc = "run the calculator the model calls"},
      },
      "what is generated, and how tokens are drawn");
  Field run = section(
      "run",
      {
          word("backend", {"auto", "native", "aten"}, "the code that runs the model: our own kernels, or LibTorch's; auto: native where it can"),
          word("dtype", {"auto", "float32", "bfloat16", "float16", "float64"}, "auto: float32 on a CPU"),
          word("device", {"auto", "cpu", "cuda", "mps"}, "where the model runs"),
          optional("auto", integer("threads", 1, 1024, "of the CPU; auto: chosen for the machine")),
          {.name = "pin", .type = Type::boolean, .doc = "bind the native backend's threads to CPUs"},
          optional("auto", integer("repetitions", 1, 10'000, "measured rounds; auto: as many as the timing needs")),
          word("verify", {"quick", "full", "off"},
               "how thoroughly the cache is verified; quick: in a tenth of the time that measuring takes; off: not"),
          {.name = "peaks",
           .type = Type::boolean,
           .doc = "measure how fast the machine reads and multiplies, beside the cases: mbu and mfu are shares of it"},
      },
      "how the model runs and how often");
  Field naive = section(
      "naive",
      {
          word("logits", {"all", "last"}, "positions whose logits full recompute computes; all is what nanochat does"),
      },
      "the path without a cache");
  return {std::move(sampler), std::move(run), std::move(naive)};
}

Field checkpoints() {
  std::vector<Field> architecture;
  for (const char* name : {"generation", "rope_base", "qk_scale", "window_pattern", "short_window", "softcap",
                           "ve_gate_scale", "rope_table_dtype", "norm_eps"}) {
    architecture.push_back({.name = name, .type = Type::scalar, .doc = "instead of what the checkpoint's keys imply"});
  }
  Field entry =
      map_of("",
             {
                 text("name", "in the cases' names; else made from base_dir or synthetic"),
                 text("base_dir", "nanochat's base directory, relative to this file"),
                 text("synthetic", "random weights of a shape instead: d12, or d4,vocab_size=2048"),
                 text("subject",
                      "the command of an engine that speaks the adapter protocol; alone, or beside the "
                      "checkpoint that it runs"),
                 word("reference", {"own", "engine", "both"},
                      "what a subject is held against; both where there is a checkpoint"),
                 word("source", {"base", "mid", "sft", "rl"}, "else the only one there, else sft, rl, mid, base"),
                 text("tag", "the folder of the source, as d4; else the largest"),
                 optional("null", integer("step", 0, 999'999'999, "else the last")),
                 map_of("architecture", std::move(architecture), "what the checkpoint cannot say, or says wrongly"),
             },
             "a model");
  entry.exactly_one = {"base_dir", "synthetic"};
  entry.instead = "subject";
  return list_of("checkpoints", std::move(entry), "the models");
}

Field length() { return integer("length", 1, 1'048'576, "prompt tokens, bos included"); }

Field depth() {
  return integer("depth", 0, 1'048'576, "tokens before them that the engine has in its cache when the clock starts");
}

Field seed() { return integer("seed", 0, INT64_MAX, "of the tokens"); }

Field prompts() {
  Field entry =
      map_of("",
             {
                 text("name", "in the cases' names; else the kind and a number"),
                 text("chat", "one user turn, for the assistant to answer"),
                 text("text", "text to go on with"),
                 list_of("tokens", integer("", 0, INT32_MAX, "a token id"), "token ids, as they are"),
                 text("file", "a text file to go on with, relative to this file"),
                 map_of("synthetic", {length(), with_fallback(0, depth()), with_fallback(1, seed())},
                        "random tokens"),
             },
             "a prompt");
  entry.exactly_one = {"chat", "text", "tokens", "file", "synthetic"};
  for (Field& own : sections()) entry.children.push_back(std::move(own));
  return list_of("prompts", std::move(entry),
                 "what the models are asked; each may have its own sampler, run and naive");
}

Field sweep() {
  Field sweep = map_of("sweep", {}, "settings to try: lists, or ranges such as 64-1024*2 and 1-8+1; a grid");
  for (Field& section : sections()) {
    for (Field& setting : section.children) {
      sweep.children.push_back({.name = setting.shared, .type = Type::axis, .doc = setting.doc, .children = {setting}});
    }
  }
  for (const auto& [key, setting] : {std::pair{"prompt.length", length()}, std::pair{"prompt.depth", depth()}, std::pair{"prompt.seed", seed()}})
    sweep.children.push_back({.name = key, .type = Type::axis, .doc = "of synthetic prompts", .children = {setting}});
  Field key = word("", names_of(sweep.children), "a swept key");
  Field group = list_of("", std::move(key), "keys that advance together");
  sweep.children.push_back(list_of("zip", std::move(group), "groups of keys that advance together, not as a grid"));
  return sweep;
}

Field comparison() {
  const CompareSpec spec;
  return map_of("compare",
                {
                    with_fallback(spec.blocks, integer("blocks", 6, 1000, "fresh pairs of processes: the sample's size")),
                    with_fallback(spec.rounds, integer("rounds", 1, 1000, "turns A B B A in each")),
                    with_fallback(spec.epoch_ms, integer("epoch_ms", 1, 60'000, "how long a turn measures, at least")),
                    with_fallback(spec.warm_up_ms, integer("warm_up_ms", 0, 60'000,
                                                           "how long each timed path may warm up, beside one generation")),
                    with_fallback(spec.time, list_of("time", word("", timed_words(), "part of a path"), "what is timed")),
                },
                "how kvproof compare times two programs on these cases");
}

Field ci() {
  const CiSpec spec;
  std::vector<Field> floors;
  for (const char* name : {"speedup_prefill", "speedup_decode", "speedup_e2e"})
    floors.push_back({.name = name, .type = Type::number, .doc = "naive / engine, in every case", .low = 0, .high = 1'000'000});
  Field fail_on = list_of("fail_on", word("", fail_words(), ""), "what ends kvproof ci with a failure");
  Field accept = list_of("accept", word("", accept_words(), ""), "exact metrics whose change is meant");
  fail_on.may_be_empty = accept.may_be_empty = true;
  return map_of("ci",
                {
                    with_fallback(spec.fail_on, std::move(fail_on)),
                    with_fallback(spec.accept, std::move(accept)),
                    text("baseline", "what exact metrics are held against: a name that kvproof baseline list shows, or a path"),
                    map_of("floors", std::move(floors), "least speed-ups of the cache"),
                },
                "what kvproof ci holds a change against");
}

}  // namespace

const Field& config_field() {
  static const Field root = [] {
    Field all = map_of("", {checkpoints(), prompts()}, "");
    for (Field& section : sections()) all.children.push_back(std::move(section));
    all.children.push_back(sweep());
    all.children.push_back(comparison());
    all.children.push_back(ci());
    all.required = {"checkpoints", "prompts"};
    return all;
  }();
  return root;
}

const Field* find_setting(const std::string& dotted) {
  for (const Field& section : config_field().children) {
    for (const Field& setting : section.children) {
      if (!setting.shared.empty() && setting.shared == dotted) return &setting;
    }
  }
  return nullptr;
}

std::vector<std::string> names_of(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

std::string spell(const Field& field, const Json& value) {
  if (value.is_null()) return field.absent;
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump();
}

}  // namespace kvproof::config
