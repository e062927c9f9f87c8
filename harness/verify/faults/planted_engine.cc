#include "harness/verify/faults/planted_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"

namespace kvproof {

const Fault& fault_named(const std::string& name) {
  if (const Fault* fault = find_fault(name)) return *fault;
  throw ArgumentError("--plant",
                      fmt::format("unknown fault \"{}\"; kvproof verify --list-faults [model flags] lists them", name));
}

PlantedEngine::PlantedEngine(const Fault& fault, OwnEngine& engine, const FaultContext& context)
    : tested_(fault, engine.tested(), context) {
  if (const std::string reason = fault.not_applicable(context); !reason.empty())
    throw ArgumentError("--plant", fmt::format("{} cannot show on this model: {}", fault.name, reason));
  if (engine.logic()) logic_.emplace(fault, *engine.logic(), context);
  engine.decorate([&](std::unique_ptr<Subject> subject) { return tested_.wrap(std::move(subject)); });
}

Json fault_place_json(const FaultPlace& place) {
  Json suspects = Json::array();
  for (const Suspect suspect : place.suspects) suspects.push_back(to_string(suspect));
  const auto words = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{"suspects", suspects},
          {"stage", words(place.stage)},
          {"tensor", words(place.tensor)},
          {"layer", place.layer ? Json(*place.layer) : Json(nullptr)},
          {"operation", words(place.first_operation)}};
}

Json faults_json(const FaultContext& context) {
  Json all = Json::array();
  for (const Fault& fault : faults()) {
    const std::string reason = fault.not_applicable(context);
    Json one = {{"name", fault.name}, {"class", fault.class_}, {"summary", fault.summary}};
    one["seen"] = fault.seen.empty() ? Json(nullptr) : Json(fault.seen);
    one["place"] = reason.empty() ? fault_place_json(fault.place(context)) : Json(nullptr);
    one["applicable"] = reason.empty();
    one["reason"] = reason.empty() ? Json(nullptr) : Json(reason);
    all.push_back(std::move(one));
  }
  return {{"faults", std::move(all)}};
}

bool points_at(const FaultPlace& place, const Divergence& d) {
  const Place& found = d.finding.place;
  const bool suspect = std::find(place.suspects.begin(), place.suspects.end(), d.suspect) != place.suspects.end();
  return suspect && (place.stage.empty() || place.stage == found.stage) &&
         (place.tensor.empty() || place.tensor == found.tensor) && (!place.layer || *place.layer == found.layer) &&
         found.operation.rfind(place.first_operation, 0) == 0;
}

}  // namespace kvproof
