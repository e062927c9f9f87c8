#include "harness/report/html/plot_data.h"

#include <algorithm>
#include <map>
#include <vector>

#include "harness/analysis/crossover.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"
#include "harness/stats/stats.h"

namespace kvproof {
namespace {

constexpr std::size_t kMostPoints = 1024;  // of a list: more are closer together than pixels
constexpr const char* kPaths[] = {"naive", "engine"};

Json points_of(const StepCurve& curve) {
  Json depth = Json::array(), ns = Json::array();
  for (const std::size_t i : kept_places(curve.size(), kMostPoints)) {
    depth.push_back(static_cast<int64_t>(curve.depth[i]));
    ns.push_back(curve.ns[i]);
  }
  return {{"depth", depth}, {"ns", ns}, {"count", curve.size()}};
}

Json steps(const Crossover& cross) {
  if (cross.naive_steps.size() == 0 || cross.engine_steps.size() == 0)
    return no_plot("One token was generated: there is no step after the first.");
  return {{"naive", points_of(cross.naive_steps)}, {"engine", points_of(cross.engine_steps)}};
}

Json gaps(const View& one) {
  Json out = Json::object();
  for (const char* path : kPaths) {
    std::vector<int64_t> all;
    for (const View& sample : one.at("paths").at(path).at("samples").items())
      for (const View& gap : sample.at("itl_ns").items()) all.push_back(gap.integer());
    if (all.empty()) return no_plot("One token was generated: there are no gaps between tokens.");
    std::sort(all.begin(), all.end());
    Json ns = Json::array(), share = Json::array();
    for (const std::size_t i : kept_places(all.size(), kMostPoints)) {
      ns.push_back(all[i]);
      share.push_back(static_cast<double>(i + 1) / static_cast<double>(all.size()));
    }
    out[path] = {{"ns", ns}, {"share", share}, {"count", all.size()}};
  }
  return out;
}

Json run_json(const char* kind, std::size_t number, const View& sample) {
  return {{"kind", kind},
          {"number", number},
          {"order", sample.at("order").integer()},
          {"e2e_ns", sample.at("e2e_ns").integer()}};
}

// In the order they ran in: the first call, warm-up, what was measured.
Json runs(const View& one) {
  Json out = Json::object();
  for (const char* name : kPaths) {
    const View path = one.at("paths").at(name);
    Json list = Json::array();
    if (const View first = path.at("first_call"); !first.is_null()) list.push_back(run_json("first call", 1, first));
    for (const auto& [kind, key] : {std::pair{"warm-up", "warmup"}, std::pair{"repetition", "samples"}}) {
      std::size_t number = 0;
      for (const View& sample : path.at(key).items()) list.push_back(run_json(kind, ++number, sample));
    }
    if (list.empty()) return no_plot("Nothing was repeated.");
    const auto median = median_of(path.at("metrics"), "e2e_ns");
    out[name] = {{"runs", list}, {"median_ns", median ? Json(*median) : Json(nullptr)}};
  }
  return out;
}

// Cases of one key differ in prompt and length alone, and ran on one machine. What the engine had in its cache beforehand cost it nothing, so that
// a case with and one without are not on one curve.
std::string group_key(const View& one) {
  const View run = one.at("settings").at("run");
  return Json::array({one.at("checkpoint").json(), run.at("backend").json(), run.at("dtype").json(),
                      run.at("device").json(), run.at("threads").json(), one.at("shape").at("rows").json(),
                      one.at("settings").at("naive").json(), depth_of(one) > 0,
                      one.has("machine") ? one.at("machine").json() : Json(nullptr)})
      .dump();
}

// The whole run's speed-up at the length the case ended with; null where there is none.
Json end_of(const View& one, std::size_t index) {
  const View speedup = one.at("speedup"), ratio = speedup.at("e2e");
  if (!speedup.at("withheld").is_null() || ratio.is_null()) return nullptr;
  return {{"case", index},
          {"length", tokens_before(one) + one.at("shape").at("N").integer()},
          {"ratio", ratio.at("ratio").number()},
          {"low", ratio.at("low").number_or_null() ? ratio.at("low").json() : Json(nullptr)},
          {"high", ratio.at("high").number_or_null() ? ratio.at("high").json() : Json(nullptr)},
          {"verified", speedup.at("verified").boolean()}};
}

Json growth(const View& one, const Crossover& cross) {
  Json out = figures_of(cross);
  out["curve"] = cross.has_curve();
  out["withheld"] = cross.withheld;
  out["before"] = tokens_before(one);
  return out;
}

Json case_json(const View& record, const View& one, std::size_t group) {
  const Crossover cross = crossover(one);
  return {{"id", shown(one.at("id"))},
          {"label", shape_of(one)},
          {"verdict", verdict_of(one)},
          {"group", group},
          {"repetitions", one.at("paths").at("engine").at("samples").items().size()},
          {"growth", growth(one, cross)},
          {"steps", steps(cross)},
          {"gaps", gaps(one)},
          {"runs", runs(one)},
          {"speedup", speedup_by_length(one)},
          {"error", error_by_position(record, one)},
          {"roofline", roofline(record, one)}};
}

}  // namespace

Json no_plot(const std::string& why) { return {{"none", why}}; }

std::vector<std::size_t> kept_places(std::size_t size, std::size_t most) {
  std::vector<std::size_t> places;
  const std::size_t kept = std::min(size, most);
  for (std::size_t i = 0; i < kept; ++i) places.push_back(kept == 1 ? 0 : i * (size - 1) / (kept - 1));
  return places;
}

Json plot_data(const View& record) {
  Json cases = Json::array(), groups = Json::array();
  std::map<std::string, std::size_t> group_of;
  for (const View& one : record.at("cases").items()) {
    if (one.at("status").text() != "ok") continue;
    const std::size_t group = group_of.try_emplace(group_key(one), groups.size()).first->second;
    if (group == groups.size()) groups.push_back({{"ends", Json::array()}});
    if (Json end = end_of(one, cases.size()); !end.is_null()) groups[group]["ends"].push_back(std::move(end));
    cases.push_back(case_json(record, one, group));
  }
  return {{"cases", cases}, {"groups", groups}};
}

}  // namespace kvproof
