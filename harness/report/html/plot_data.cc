#include "harness/report/html/plot_data.h"

#include <algorithm>
#include <map>
#include <vector>

#include "harness/analysis/step_curve.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"
#include "harness/stats/stats.h"

namespace kvproof {
namespace {

constexpr std::size_t kMostPoints = 1024;  // of a list: more are closer together than pixels
constexpr std::size_t kMostRatios = 256;   // each costs a sort over the repetitions
constexpr const char* kPaths[] = {"naive", "engine"};

std::optional<Json> steps_of(const View& one, const char* path) {
  const StepCurve curve = step_curve(one, path);
  if (curve.size() == 0) return std::nullopt;
  Json depth = Json::array(), ns = Json::array();
  for (const std::size_t i : kept_places(curve.size(), kMostPoints)) {
    depth.push_back(static_cast<int64_t>(curve.depth[i]));
    ns.push_back(curve.ns[i]);
  }
  Json out = {{"depth", depth}, {"ns", ns}, {"count", curve.size()}, {"slope", nullptr}, {"intercept", nullptr}};
  if (const auto line = line_through(curve)) {
    out["slope"] = line->slope;
    out["intercept"] = line->intercept;
  }
  return out;
}

Json steps(const View& one) {
  Json out = Json::object();
  for (const char* path : kPaths) {
    const auto curve = steps_of(one, path);
    if (!curve) return no_plot("One token was generated: there is no step after the first.");
    out[path] = *curve;
  }
  return out;
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

// When each token was in hand, from the start of the call on: by repetition.
std::map<int64_t, std::vector<double>> arrivals(const View& path) {
  std::map<int64_t, std::vector<double>> by_repetition;
  for (const View& sample : path.at("samples").items()) {
    std::vector<double> times = {sample.at("ttft_ns").number()};
    for (const View& gap : sample.at("itl_ns").items()) times.push_back(times.back() + gap.number());
    by_repetition[sample.at("repetition").integer()] = std::move(times);
  }
  return by_repetition;
}

// Pairs of arrival times of one token, a pair for each repetition that both paths have.
struct Pairs {
  std::vector<double> naive, engine;
};

Pairs pairs_at(const std::map<int64_t, std::vector<double>>& naive,
               const std::map<int64_t, std::vector<double>>& engine, std::size_t token) {
  Pairs pairs;
  for (const auto& [repetition, times] : naive) {
    const auto other = engine.find(repetition);
    if (other == engine.end() || times[token] <= 0 || other->second[token] <= 0) continue;
    pairs.naive.push_back(times[token]);
    pairs.engine.push_back(other->second[token]);
  }
  return pairs;
}

std::size_t shortest(const std::map<int64_t, std::vector<double>>& runs) {
  std::size_t tokens = runs.empty() ? 0 : runs.begin()->second.size();
  for (const auto& [repetition, times] : runs) tokens = std::min(tokens, times.size());
  return tokens;
}

Json or_null(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

// naive / engine, whole runs, had both stopped at that token.
Json speedup(const View& one) {
  const View given = one.at("speedup");
  if (const auto reason = given.at("withheld").text_or_null()) return no_plot("Withheld: " + visible(*reason) + ".");
  const auto naive = arrivals(one.at("paths").at("naive")), engine = arrivals(one.at("paths").at("engine"));
  const int64_t prompt = one.at("shape").at("P").integer();
  Json out = {{"length", Json::array()}, {"ratio", Json::array()}, {"low", Json::array()}, {"high", Json::array()}};
  for (const std::size_t token : kept_places(std::min(shortest(naive), shortest(engine)), kMostRatios)) {
    const Pairs pairs = pairs_at(naive, engine, token);
    const auto ratio = paired_ratio(pairs.naive, pairs.engine);
    if (!ratio) continue;
    out["length"].push_back(prompt + static_cast<int64_t>(token) + 1);
    out["ratio"].push_back(ratio->ratio);
    out["low"].push_back(or_null(ratio->low));
    out["high"].push_back(or_null(ratio->high));
  }
  if (out["length"].empty()) return no_plot("No repetition was measured on both paths.");
  out["verified"] = given.at("verified").boolean();
  return out;
}

// Cases of one key differ in prompt and length alone.
std::string group_key(const View& one) {
  const View run = one.at("settings").at("run");
  return Json::array({one.at("checkpoint").json(), run.at("backend").json(), run.at("dtype").json(),
                      run.at("device").json(), run.at("threads").json(), one.at("shape").at("rows").json(),
                      one.at("settings").at("naive").json()})
      .dump();
}

// The whole run's speed-up at the length the case ended with; null where there is none.
Json end_of(const View& one, std::size_t index) {
  const View speedup = one.at("speedup"), ratio = speedup.at("e2e");
  if (!speedup.at("withheld").is_null() || ratio.is_null()) return nullptr;
  const View shape = one.at("shape");
  return {{"case", index},
          {"length", shape.at("P").integer() + shape.at("N").integer()},
          {"ratio", ratio.at("ratio").number()},
          {"low", or_null(ratio.at("low").number_or_null())},
          {"high", or_null(ratio.at("high").number_or_null())},
          {"verified", speedup.at("verified").boolean()}};
}

Json case_json(const View& record, const View& one, std::size_t group) {
  return {{"id", shown(one.at("id"))},
          {"label", shape_of(one)},
          {"verdict", verdict_of(one)},
          {"group", group},
          {"steps", steps(one)},
          {"gaps", gaps(one)},
          {"runs", runs(one)},
          {"speedup", speedup(one)},
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
