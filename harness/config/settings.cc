#include "harness/config/settings.h"

namespace kvproof::config {
namespace {

template <class T>
Json value_of(const T& value) {
  return value;
}
Json value_of(const std::optional<int64_t>& value) { return value ? Json(*value) : Json(); }
Json value_of(Stop stop) { return stop == Stop::on ? "on" : stop == Stop::off ? "off" : "auto"; }

template <class T>
void assign(T& to, const Json& value) {
  to = value.get<T>();
}
void assign(std::optional<int64_t>& to, const Json& value) {
  to = value.is_null() ? std::nullopt : std::optional(value.get<int64_t>());
}
void assign(Stop& to, const Json& value) {
  to = value == "on" ? Stop::on : value == "off" ? Stop::off : Stop::automatic;
}

}  // namespace

Json to_json(const Settings& settings, const std::string& key) {
  Json found;
  for_each_setting(settings, [&](const char* name, const auto& value) {
    if (key == name) found = value_of(value);
  });
  return found;
}

void store(Settings& settings, const std::string& key, const Json& value) {
  bool stored = false;
  for_each_setting(settings, [&](const char* name, auto& to) {
    if (key != name) return;
    assign(to, value);
    stored = true;
  });
  if (!stored) throw std::logic_error("the setting " + key + " is in the table of keys but not in Settings");
}

void overlay(Settings& settings, const Json& given) {
  for (const char* section : {"sampler", "run", "naive"}) {
    if (!given.contains(section)) continue;
    for (const auto& [key, value] : given[section].items()) store(settings, join(section, key), value);
  }
}

}  // namespace kvproof::config
