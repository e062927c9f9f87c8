#include "engine/checkpoint/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

using nlohmann::json;

// Python's json writes NaN, Infinity and -Infinity, which JSON does not have. Each becomes null, outside of strings.
struct StrictJson {
  std::string text;
  std::vector<size_t> grown;  // where `text` gained a byte: NaN is shorter than null
};

StrictJson without_infinities(std::string_view text) {
  static constexpr std::array<std::string_view, 3> kWords = {"-Infinity", "Infinity", "NaN"};
  StrictJson out;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto rest = text.substr(i);
    const auto word = std::find_if(kWords.begin(), kWords.end(), [&](auto w) { return rest.substr(0, w.size()) == w; });
    if (!in_string && word != kWords.end()) {
      out.text += "null";
      if (word->size() < 4) out.grown.push_back(out.text.size());
      out.text.append(word->size() > 4 ? word->size() - 4 : 0, ' ');  // later bytes keep their offsets
      i += word->size() - 1;
      continue;
    }
    if (in_string && text[i] == '\\' && i + 1 < text.size())
      out.text += text[i++];
    else if (text[i] == '"')
      in_string = !in_string;
    out.text += text[i];
  }
  return out;
}

// Throws where an object names something twice; nlohmann would keep the last and say nothing.
class NoNameTwice {
 public:
  explicit NoNameTwice(const std::string& place) : place_(place) {}

  bool operator()(json::parse_event_t event, const json& value) {
    if (event == json::parse_event_t::object_start) names_.emplace_back();
    if (event == json::parse_event_t::object_end) names_.pop_back();
    if (event == json::parse_event_t::key && !names_.back().insert(value.get<std::string>()).second) {
      throw CheckpointError(
          place_, fmt::format("{} occurs twice; copy or save the file again", quote(value.get<std::string>())));
    }
    return true;
  }

 private:
  const std::string& place_;
  std::vector<std::set<std::string>> names_;  // of the objects that are open, outermost first
};

}  // namespace

json parse_json(std::string_view text, const std::string& place) {
  const auto strict = without_infinities(text);
  try {
    NoNameTwice check(place);
    return json::parse(strict.text, [&](int, json::parse_event_t event, json& value) { return check(event, value); });
  } catch (const json::parse_error& error) {
    size_t at = std::min(error.byte > 0 ? error.byte - 1 : 0, strict.text.size());  // nlohmann counts from one
    at -=
        static_cast<size_t>(std::count_if(strict.grown.begin(), strict.grown.end(), [&](size_t g) { return g <= at; }));
    const auto before = text.substr(0, at);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const auto column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    const auto found = at < text.size() ? quote(text.substr(at, 1)) : std::string("the end of the file");
    throw CheckpointError(fmt::format("{}:{}:{}", place, line, column),
                          fmt::format("not valid JSON: unexpected {}; copy the file again", found));
  } catch (const json::exception& error) {  // numbers out of range
    throw CheckpointError(place, fmt::format("not valid JSON: {}", error.what()));
  }
}

std::string shown(const json& value) {
  constexpr size_t kMost = 40;
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= kMost ? text : text.substr(0, kMost) + "…";
}

}  // namespace kvproof
