#include "harness/track/trend.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "harness/compare/history.h"
#include "harness/config/fields.h"
#include "harness/error.h"

namespace kvproof::track {
namespace {

constexpr std::size_t kFewestForStep = 2 * compare::kLeastPoints;
constexpr double kMaxP = 0.01;  // of one look at a release

struct Point {
  const HistoryLine* line;
  double ns = 0;
  Json low, high;
};

struct Series {
  std::string case_id, metric, workload, fingerprint, build;
  std::vector<Point> points;  // never empty

  const HistoryLine& newest() const { return *points.back().line; }
  std::vector<double> values() const {
    std::vector<double> ns;
    for (const Point& point : points) ns.push_back(point.ns);
    return ns;
  }
};

double geometric_mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

// "engine.tpot_ns" of a line; null where it has none.
Json time_of(const HistoryLine& line, const std::string& metric) {
  if (line.times.is_null()) return nullptr;
  const std::size_t dot = metric.find('.');
  return line.times[metric.substr(0, dot)][metric.substr(dot + 1)];
}

// Of one case and metric, the one with the newest point first.
std::vector<Series> series_of(const History& history, const std::string& case_id, const std::string& metric) {
  std::vector<Series> all;
  for (const HistoryLine& line : history.lines) {
    if (line.case_id != case_id || line.validity != "VALID") continue;
    const Json time = time_of(line, metric);
    if (time.is_null()) continue;
    auto at = std::find_if(all.begin(), all.end(), [&](const Series& s) {
      return std::tie(s.workload, s.fingerprint, s.build) == std::tie(line.workload, line.fingerprint, line.build);
    });
    if (at == all.end()) at = all.insert(at, {case_id, metric, line.workload, line.fingerprint, line.build, {}});
    at->points.push_back({&line, time["median"].get<double>(), time["low"], time["high"]});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Series& a, const Series& b) { return a.newest().started > b.newest().started; });
  return all;
}

// The newest record of the series' config on its machine. A config that was edited since still is that config where the
// records have a case in common.
const HistoryLine& newest_record(const History& history, const Series& series) {
  const HistoryLine& last = series.newest();
  std::set<std::string> cases;  // of the series' own newest record
  for (const HistoryLine& line : history.lines) {
    if (line.record == last.record) cases.insert(line.case_id);
  }
  for (auto line = history.lines.rbegin(); line != history.lines.rend(); ++line) {
    if (line->fingerprint == series.fingerprint && (line->config == last.config || cases.contains(line->case_id)))
      return *line;
  }
  return last;
}

// Why the series' points say nothing of now; null where the newest record has a point of it, or of its case in another
// series. Records of one config and commit count as one: shards are added one by one.
Json outdated(const History& history, const Series& series) {
  const HistoryLine& newest = newest_record(history, series);
  const HistoryLine* now = nullptr;
  for (const HistoryLine& line : history.lines) {
    if (line.case_id == series.case_id && line.fingerprint == newest.fingerprint &&
        std::tie(line.config, line.commit, line.dirty) == std::tie(newest.config, newest.commit, newest.dirty))
      now = &line;
  }
  const auto told = [](const char* what, const HistoryLine& line) -> Json {
    return fmt::format("{} the newest record of this machine, of {}: what is here says nothing of now", what,
                       line.started);
  };
  if (!now) return told("the case is not in", newest);
  if (now->status != "ok") return told("the case failed in", *now);
  if (now->validity != "VALID") return told(("the case is " + now->validity + " in").c_str(), *now);
  return time_of(*now, series.metric).is_null() ? told("the case has no such time in", *now) : Json();
}

Json points_json(const Series& series) {
  Json points = Json::array();
  for (const Point& point : series.points) {
    const HistoryLine& line = *point.line;
    points.push_back({{"started", line.started},
                      {"commit", line.commit},
                      {"dirty", line.dirty},
                      {"version", line.version},
                      {"release", line.release ? Json(*line.release) : Json()},
                      {"ns", point.ns},
                      {"low", point.low},
                      {"high", point.high}});
  }
  return points;
}

Json steps_json(const Series& series, const std::vector<compare::ChangePoint>& steps) {
  const auto run = [&](std::size_t at) -> Json {
    return {{"commit", series.points[at].line->commit}, {"started", series.points[at].line->started}};
  };
  Json out = Json::array();
  for (const compare::ChangePoint& step : steps) {
    out.push_back({{"at", step.at},
                   {"before", run(step.at - 1)},
                   {"after", run(step.at)},
                   {"before_ns", step.before},
                   {"after_ns", step.after},
                   {"ratio", step.ratio()},
                   {"p", step.p}});
  }
  return out;
}

Json stretches_json(const Series& series, const std::vector<compare::ChangePoint>& steps) {
  const std::vector<double> values = series.values();
  Json out = Json::array();
  std::size_t from = 0;
  for (std::size_t i = 0; i <= steps.size(); ++i) {
    const std::size_t end = i < steps.size() ? steps[i].at : values.size();
    const std::vector<double> stretch(values.begin() + static_cast<std::ptrdiff_t>(from),
                                      values.begin() + static_cast<std::ptrdiff_t>(end));
    out.push_back({{"from", from}, {"to", end - 1}, {"ns", geometric_mean(stretch)}});
    from = end;
  }
  return out;
}

// --- against a release

// Records of the release, and commits that it was.
struct Pinned {
  std::string tag;
  std::set<std::string> commits;

  bool has(const HistoryLine& line) const {
    return line.release == tag || (!line.dirty && !line.commit.empty() && commits.contains(line.commit));
  }
};

Pinned pinned_of(const History& history, const std::string& tag) {
  Pinned pinned{tag, {}};
  bool found = false;
  std::set<std::string> tags;
  for (const HistoryLine& line : history.lines) {
    if (line.release) tags.insert(*line.release);
    if (line.release != tag) continue;
    found = true;
    if (!line.dirty) pinned.commits.insert(line.commit);
  }
  if (found) return pinned;
  const std::string remedy = fmt::format("kvproof history add HISTORY RECORD... --release {} makes one", tag);
  if (tags.empty()) throw NoBaselineError(tag, "no release of that name, the history has none; " + remedy);
  const std::vector<std::string> names(tags.begin(), tags.end());
  const std::string meant = config::did_you_mean(tag, names);
  throw NoBaselineError(tag, fmt::format("no release of that name{}; the history has {}; {}",
                                         meant.empty() ? "" : fmt::format(", did you mean \"{}\"?", meant),
                                         fmt::join(names, ", "), remedy));
}

// The newest points of the newest stretch, none of them the release's own or older than it.
std::vector<std::size_t> latest_points(const Series& series, const std::vector<std::size_t>& release,
                                       std::size_t newest_stretch) {
  std::size_t from = newest_stretch;
  if (!release.empty()) from = std::max(from, release.back() + 1);
  const std::size_t size = series.points.size();
  if (size > kLatestPoints) from = std::max(from, size - kLatestPoints);
  std::vector<std::size_t> latest(size - std::min(from, size));
  std::iota(latest.begin(), latest.end(), from);
  return latest;
}

std::vector<double> values_at(const Series& series, const std::vector<std::size_t>& places) {
  std::vector<double> values;
  for (const std::size_t at : places) values.push_back(series.points[at].ns);
  return values;
}

Json release_json(const Series& series, const Pinned& pinned, std::size_t newest_stretch) {
  std::vector<std::size_t> then;
  for (std::size_t i = 0; i < series.points.size(); ++i) {
    if (pinned.has(*series.points[i].line)) then.push_back(i);
  }
  const std::vector<std::size_t> now = latest_points(series, then, newest_stretch);
  const std::vector<double> before = values_at(series, then), latest = values_at(series, now);
  const auto creep = compare::creep(before, latest, kTrendMargin, kMaxP);
  return {{"points", then},
          {"ns", before.empty() ? Json() : Json(geometric_mean(before))},
          {"latest", now},
          {"latest_ns", latest.empty() ? Json() : Json(geometric_mean(latest))},
          {"ratio", creep ? Json(creep->ratio) : Json()},
          {"p", creep ? Json(creep->p) : Json()},
          {"slower", creep ? Json(creep->slower) : Json()}};
}

// --- verdicts

struct Standing {
  std::string verdict;
  Json ratio, reason;
};

std::string word_of(double ratio) {
  return ratio > 1 + kTrendMargin ? "SLOWER" : ratio < 1 / (1 + kTrendMargin) ? "FASTER" : "LEVEL";
}

Standing beside_stretch(const Series& series, const std::vector<compare::ChangePoint>& steps) {
  if (series.points.size() < kFewestForStep) {
    return {"TOO FEW", nullptr,
            fmt::format("{} of the {} points that a step needs", series.points.size(), kFewestForStep)};
  }
  if (steps.empty()) return {"LEVEL", nullptr, nullptr};
  return {word_of(steps.back().ratio()), steps.back().ratio(), nullptr};
}

Standing beside_release(const Json& release, const std::string& tag) {
  if (!release["ratio"].is_null()) {
    const double ratio = release["ratio"].get<double>(), p = release["p"].get<double>();
    const std::string word = release["slower"].get<bool>()              ? "SLOWER"
                             : p <= kMaxP && word_of(ratio) == "FASTER" ? "FASTER"
                                                                        : "LEVEL";
    return {word, ratio, nullptr};
  }
  if (release["points"].size() < static_cast<std::size_t>(compare::kLeastPoints)) {
    return {"TOO FEW", nullptr,
            fmt::format("{} of {} points of release {}: run its commit again and add the records with --release {}",
                        release["points"].size(), compare::kLeastPoints, tag, tag)};
  }
  return {"TOO FEW", nullptr,
          fmt::format("{} of {} points since release {}", release["latest"].size(), compare::kLeastPoints, tag)};
}

// old  why its points say nothing of now, or null
Json series_json(const Series& series, bool current, const Json& old, const std::optional<Pinned>& pinned) {
  const auto steps = compare::change_points(series.values());
  const HistoryLine& newest = series.newest();
  const Json release = pinned ? release_json(series, *pinned, steps.empty() ? 0 : steps.back().at) : Json();
  const Standing standing = !old.is_null() ? Standing{"TOO FEW", nullptr, old}
                            : pinned       ? beside_release(release, pinned->tag)
                                           : beside_stretch(series, steps);
  return {{"case", series.case_id},
          {"shape", newest.shape},
          {"metric", series.metric},
          {"workload", series.workload},
          {"fingerprint", series.fingerprint},
          {"cpu_model", newest.cpu_model},
          {"build", series.build},
          {"current", current},
          {"verdict", standing.verdict},
          {"reason", standing.reason},
          {"ratio", standing.ratio},
          {"points", points_json(series)},
          {"stretches", stretches_json(series, steps)},
          {"steps", steps_json(series, steps)},
          {"release", release}};
}

std::string verdict_of(const Json& all) {
  bool any = false, open = false;
  for (const Json& one : all) {
    if (!one["current"].get<bool>()) continue;
    any = true;
    if (one["verdict"] == "SLOWER") return "SLOWER";
    open = open || one["verdict"] == "TOO FEW";
  }
  return any && !open ? "LEVEL" : "TOO FEW";
}

}  // namespace

const std::vector<std::string>& trend_metrics() {
  static const std::vector<std::string> kAll = {"engine.prefill_ns", "engine.tpot_ns",   "engine.ttft_ns",
                                                "engine.e2e_ns",     "naive.prefill_ns", "naive.tpot_ns",
                                                "naive.ttft_ns",     "naive.e2e_ns"};
  return kAll;
}

const std::vector<std::string>& default_trend_metrics() {
  static const std::vector<std::string> kDefault = {"engine.prefill_ns", "engine.tpot_ns"};
  return kDefault;
}

Json trend_of(const History& history, const TrendRequest& request) {
  std::optional<Pinned> pinned;
  if (request.against) pinned = pinned_of(history, *request.against);
  std::vector<std::string> ids;  // of cases, in their order
  std::set<std::string> seen, records;
  int64_t failed = 0, invalid = 0;
  for (const HistoryLine& line : history.lines) {
    records.insert(line.record);
    if (seen.insert(line.case_id).second) ids.push_back(line.case_id);
    if (line.status != "ok") {
      ++failed;
    } else if (line.validity != "VALID") {
      ++invalid;
    }
  }
  Json all = Json::array();
  for (const std::string& id : ids) {
    for (const std::string& metric : request.metrics) {
      bool current = true;
      for (const Series& series : series_of(history, id, metric)) {
        all.push_back(series_json(series, current, current ? outdated(history, series) : Json(), pinned));
        current = false;
      }
    }
  }
  return {{"schema", {{"name", kTrendSchema}, {"version", kTrendVersion}}},
          {"history", request.name},
          {"against", request.against ? Json(*request.against) : Json()},
          {"margin", kTrendMargin},
          {"records", records.size()},
          {"lines", history.lines.size()},
          {"left_out", {{"failed", failed}, {"invalid", invalid}}},
          {"unfinished", history.unfinished ? Json(*history.unfinished) : Json()},
          {"series", all},
          {"verdict", verdict_of(all)}};
}

}  // namespace kvproof::track
