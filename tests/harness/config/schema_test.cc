// The JSON Schema says what load_config does.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "harness/config/settings.h"
#include "tests/harness/config/config_file.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Json = nlohmann::ordered_json;

namespace {

const Json& schema() {
  static const Json parsed = Json::parse(config_json_schema());
  return parsed;
}

/// The keys that the schema knows at a JSON pointer, as the loader lists them.
std::string keys_at(const std::string& pointer) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : schema().at(Json::json_pointer(pointer + "/properties")).items()) keys.push_back(key);
  return fmt::format("(known: {})", fmt::join(keys, ", "));
}

}  // namespace

TEST_CASE("the schema knows the keys that load_config knows, and allows no others", "[config]") {
  const auto [pointer, yaml] = GENERATE(table<std::string, std::string>({
      {"", kTop + "zzzzzzzz: 1\n"},
      {"/properties/checkpoints/items", "checkpoints: [{zzzzzzzz: 1}]\n"},
      {"/properties/checkpoints/items/properties/architecture", "checkpoints: [{architecture: {zzzzzzzz: 1}}]\n"},
      {"/properties/prompts/items", "prompts: [{zzzzzzzz: 1}]\n"},
      {"/properties/prompts/items/properties/synthetic", "prompts: [{synthetic: {zzzzzzzz: 1}}]\n"},
      {"/$defs/sampler", "sampler: {zzzzzzzz: 1}\n"},
      {"/$defs/run", "run: {zzzzzzzz: 1}\n"},
      {"/$defs/naive", "naive: {zzzzzzzz: 1}\n"},
      {"/properties/sweep", "sweep: {zzzzzzzz: 1}\n"},
  }));
  CAPTURE(pointer);
  CHECK_THAT(fault_of(yaml), Catch::Matchers::EndsWith("zzzzzzzz: unknown key " + keys_at(pointer)));
  CHECK(schema().at(Json::json_pointer(pointer))["additionalProperties"] == false);
}

TEST_CASE("the schema's ranges and words are load_config's", "[config]") {
  int checked = 0;
  for (const auto& [key, setting] : schema()["$defs"].items()) {
    if (key.find('.') == std::string::npos) continue;
    CAPTURE(key);
    const std::string dotted = key;
    const auto fault = [&](const Json& value) { return fault_of(kTop, {dotted + "=" + value.dump()}); };
    const Json& values = setting.contains("anyOf") ? setting["anyOf"][0] : setting;
    for (const Json& word : values.value("enum", Json::array())) CHECK(fault(word) == "loaded");
    if (values.contains("enum")) CHECK(fault("zzzzzzzz") != "loaded");
    if (values.contains("minimum")) {
      CHECK(fault(values["minimum"]) == "loaded");
      CHECK(fault(values["maximum"]) == "loaded");
      CHECK(fault(values["minimum"].get<int64_t>() - 1) != "loaded");
      CHECK(fault(static_cast<uint64_t>(values["maximum"].get<int64_t>()) + 1) != "loaded");
    }
    if (setting.contains("anyOf")) {
      for (const Json& word : setting["anyOf"][1]["enum"]) CHECK(fault(word) == "loaded");
    }
    CHECK((fault(nullptr) == "loaded") == setting.contains("anyOf"));
    ++checked;
  }
  int settings = 0;
  const config::Settings defaults;
  config::for_each_setting(defaults, [&](const char*, const auto&) { ++settings; });
  CHECK(checked == settings);
}

TEST_CASE("the schema's defaults are load_config's", "[config]") {
  const Json resolved = Json::parse(load_text(kTop).resolved_json);
  for (const char* section : {"sampler", "run", "naive"}) {
    for (const auto& [key, value] : resolved["prompts"][0][section].items()) {
      CAPTURE(section, key);
      const Json& setting = schema()["$defs"][std::string(section) + "." + key];
      const Json stated = setting.value("default", Json());
      CHECK((stated == value || (stated == "auto" && value.is_null())));
    }
  }
}

TEST_CASE("configs/config.schema.json is the schema of this version", "[config]") {
  std::ifstream stream(source_path("configs/config.schema.json"));
  const std::string committed(std::istreambuf_iterator<char>(stream), {});
  INFO("write it anew: print config_json_schema() into configs/config.schema.json");
  CHECK((committed == config_json_schema()));
}
