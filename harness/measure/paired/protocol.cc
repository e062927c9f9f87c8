#include "harness/measure/paired/protocol.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"

namespace kvproof {
namespace {

/// fields  of the same object, for the error
bool flag(const nlohmann::json& object, const JsonFields& fields, const std::string& name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_boolean()) fields.fail(name, "true or false");
  return found->get<bool>();
}

nlohmann::json path_header(const PathFacts& facts) {
  return {{"tokens", facts.tokens},
          {"token_forwards", facts.token_forwards},
          {"kv_cache_bytes", facts.kv_cache_bytes},
          {"prefill_positions", facts.prefill_positions},
          {"steps", facts.steps},
          {"first_logits", facts.first_logits.empty() ? nlohmann::json() : nlohmann::json(facts.first_logits)}};
}

PathFacts path_facts(const JsonFields& fields) {
  PathFacts facts;
  facts.tokens = fields.token_lists("tokens");
  facts.token_forwards = fields.integer("token_forwards", 0);
  facts.kv_cache_bytes = fields.integer("kv_cache_bytes", 0);
  facts.prefill_positions = fields.integer("prefill_positions", 0);
  std::size_t longest = 0;
  for (const auto& row : facts.tokens) longest = std::max(longest, row.size());
  facts.steps = fields.integer("steps", 0);
  if (facts.steps != static_cast<int64_t>(longest))
    fields.fail("steps", fmt::format("{}, the length of the longest row", longest));
  if (fields.has("first_logits")) facts.first_logits = fields.text("first_logits");
  return facts;
}

}  // namespace

const char* word_of(Path path) { return path == Path::naive ? "naive" : "engine"; }

std::vector<Path> paths_of(const std::vector<std::string>& words) {
  std::vector<Path> paths;
  for (const std::string& word : words) {
    if (word != "naive" && word != "engine") throw ArgumentError("warm_up_paths", "expected naive or engine, found " + word);
    paths.push_back(word == "naive" ? Path::naive : Path::engine);
  }
  return paths;
}

const std::array<Timed, 6>& all_timed() {
  static const std::array<Timed, 6> kAll = {{{Path::naive, Part::prefill},
                                             {Path::naive, Part::decode},
                                             {Path::naive, Part::e2e},
                                             {Path::engine, Part::prefill},
                                             {Path::engine, Part::decode},
                                             {Path::engine, Part::e2e}}};
  return kAll;
}

std::string word_of(const Timed& timed) {
  const char* part = timed.part == Part::prefill ? "prefill" : timed.part == Part::decode ? "decode" : "e2e";
  return fmt::format("{}_{}", word_of(timed.path), part);
}

Timed timed_of(const std::string& word) {
  std::vector<std::string> words;
  for (const Timed& timed : all_timed()) {
    words.push_back(word_of(timed));
    if (words.back() == word) return timed;
  }
  throw ArgumentError("what", fmt::format("expected one of {}, found {}", fmt::join(words, ", "), word));
}

nlohmann::json header_of(const MeasureHello& hello) {
  nlohmann::json cases = nlohmann::json::array();
  for (const CaseOutline& one : hello.cases) {
    cases.push_back({{"id", one.id},
                     {"prompt_tokens", one.prompt_tokens ? nlohmann::json(*one.prompt_tokens) : nlohmann::json()},
                     {"max_tokens", one.max_tokens},
                     {"rows", one.rows}});
  }
  return {{"protocol", kMeasureProtocol},
          {"program",
           {{"version", hello.version},
            {"commit", hello.commit},
            {"dirty", hello.dirty},
            {"build_type", hello.build_type}}},
          {"config_hash", hello.config_hash},
          {"fingerprint", hello.fingerprint},
          {"cases", std::move(cases)}};
}

MeasureHello hello_of(const nlohmann::json& header) {
  const JsonFields fields(header);
  fields.text("protocol", {kMeasureProtocol});
  const JsonFields program = fields.object("program");
  MeasureHello hello;
  hello.version = program.text("version");
  hello.commit = program.text("commit");
  hello.dirty = flag(header["program"], program, "dirty");
  hello.build_type = program.text("build_type");
  hello.config_hash = fields.text("config_hash");
  hello.fingerprint = fields.text("fingerprint");
  for (const nlohmann::json& entry : fields.list("cases")) {
    if (!entry.is_object()) fields.fail("cases", "a list of objects");
    const JsonFields one(entry, "cases.");
    hello.cases.push_back({one.text("id"), one.optional_integer("prompt_tokens", 1), one.integer("max_tokens", 0),
                           one.integer("rows", 1)});
  }
  return hello;
}

nlohmann::json header_of(const CaseFacts& facts) {
  return {{"case", facts.id},
          {"shape", facts.shape},
          {"backend", facts.backend},
          {"dtype", facts.dtype},
          {"device", facts.device},
          {"threads", facts.threads},
          {"naive", path_header(facts.naive)},
          {"engine", path_header(facts.engine)},
          {"steady", facts.steady},
          {"invalid", facts.invalid}};
}

CaseFacts facts_of(const nlohmann::json& header) {
  const JsonFields fields(header);
  CaseFacts facts;
  facts.id = fields.text("case");
  facts.shape = fields.text("shape");
  facts.backend = fields.text("backend");
  facts.dtype = fields.text("dtype");
  facts.device = fields.text("device");
  facts.threads = fields.integer("threads", 1);
  facts.naive = path_facts(fields.object("naive"));
  facts.engine = path_facts(fields.object("engine"));
  facts.steady = flag(header, fields, "steady");
  facts.invalid = fields.texts("invalid");
  return facts;
}

nlohmann::json header_of(const EpochTimes& times) {
  return {{"calls", times.calls},
          {"units", times.units},
          {"wall_ns", times.wall_ns},
          {"cpu_ns", times.cpu_ns},
          {"quiet", times.quiet}};
}

EpochTimes times_of(const nlohmann::json& header) {
  const JsonFields fields(header);
  return {fields.integer("calls", 1), fields.integer("units", 1), fields.integer("wall_ns", 1),
          fields.integer("cpu_ns", 0), flag(header, fields, "quiet")};
}

}  // namespace kvproof
