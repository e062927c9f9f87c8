// What the sessions of a proof come to.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "harness/compare/session.h"
#include "harness/gate/proof.h"
#include "harness/record/view.h"
#include "harness/stats/stats.h"

namespace kvproof {
namespace {

using compare::Count;

constexpr const char* kAsCounted = "as counted";  // needed of a claim that any count bears out

struct Claim {
  std::string text, plan;
  bool (*counts)(const View& session);
  int64_t least, most;  // of a whole plan's sessions, for the claim to hold
  std::string needed;
};

bool says(const View& session, const std::string& metric, const std::string& verdict) {
  for (const View& one : session.at("metrics").items()) {
    if (one.at("metric").text() == metric && one.at("verdict").text() == verdict) return true;
  }
  return false;
}
bool is_timing(const View& session, const std::string& verdict) {
  return !session.at("timing").is_null() && session.at("timing").text() == verdict;
}
bool alarms(const View& session) { return is_timing(session, "REGRESSED"); }
bool improves(const View& session) { return is_timing(session, "IMPROVED"); }
bool any_is_equivalent(const View& session) {
  const auto metrics = session.at("metrics").items();
  return std::any_of(metrics.begin(), metrics.end(),
                     [](const View& one) { return one.at("verdict").text() == "EQUIVALENT"; });
}
bool decode_fires(const View& session) { return says(session, "engine_decode cpu", "REGRESSED"); }
bool prefill_fires(const View& session) { return says(session, "engine_prefill cpu", "REGRESSED"); }
bool prefill_is_equivalent(const View& session) { return says(session, "engine_prefill cpu", "EQUIVALENT"); }
bool disagrees(const View& session) { return session.at("exit_code").integer() == 5; }

const std::vector<Claim>& claims() {
  static const std::vector<Claim> all = {
      {"identical code, an alarm", "aa", alarms, 0, 0, "0"},
      {"identical code beside a busy core, an alarm", "aa-busy", alarms, 0, 0, "0"},
      {"identical code, called IMPROVED", "aa", improves, 0, 30, kAsCounted},
      {"identical code beside a busy core, called IMPROVED", "aa-busy", improves, 0, 30, kAsCounted},
      {"5 % slower, found and confirmed", "slow-5", alarms, 57, 60, "57 or more"},
      {"5 % slower, a phase called EQUIVALENT", "slow-5", any_is_equivalent, 0, 0, "0"},
      {"10 % slower, found and confirmed", "slow-10", alarms, 20, 20, "20"},
      {"10 % slower in decode alone, found in decode", "decode-10", decode_fires, 20, 20, "20"},
      {"10 % slower in decode alone, blamed on prefill", "decode-10", prefill_fires, 0, 0, "0"},
      {"10 % slower in decode alone, prefill EQUIVALENT", "decode-10", prefill_is_equivalent, 0, 20, kAsCounted},
      {"another output, exit code 5", "output", disagrees, 5, 5, "5"},
  };
  return all;
}

int64_t sessions_of(const std::string& plan) {
  for (const ProofPlan& one : proof_plans()) {
    if (one.name == plan) return one.sessions;
  }
  return 0;
}

/// Of the plan's first so many sessions.
Json claim_json(const Claim& claim, const std::vector<View>& sessions) {
  Count count;
  const int64_t planned = sessions_of(claim.plan);
  for (const View& session : sessions) {
    if (session.at("plan").text() != claim.plan || count.of == planned) continue;
    ++count.of;
    count.count += claim.counts(session);
  }
  Json out = {{"claim", claim.text}, {"plan", claim.plan},     {"count", count.count},
              {"of", count.of},      {"low", nullptr},         {"high", nullptr},
              {"planned", planned},  {"needed", claim.needed}, {"holds", nullptr}};
  if (count.of > 0) std::tie(out["low"], out["high"]) = compare::between(count);
  if (count.of == planned) out["holds"] = claim.least <= count.count && count.count <= claim.most;
  return out;
}

std::vector<double> numbers(const View& list) {
  std::vector<double> values;
  for (const View& one : list.items()) values.push_back(one.number());
  return values;
}

/// d of all that compared a program with itself, by metric: A/A sessions and everybody's controls.
std::map<std::string, std::vector<std::vector<double>>> identical(const std::vector<View>& sessions) {
  std::map<std::string, std::vector<std::vector<double>>> found;
  for (const View& session : sessions) {
    std::vector<View> lists = session.at("controls").items();
    if (session.at("plan").text().starts_with("aa")) {
      for (const View& metric : session.at("metrics").items()) lists.push_back(metric);
    }
    for (const View& one : lists) {
      if (auto d = numbers(one.at("d")); !d.empty()) found[one.at("metric").text()].push_back(std::move(d));
    }
  }
  return found;
}

Json noise_json(const std::string& metric, const std::vector<std::vector<double>>& sessions, compare::Margin& margin) {
  std::vector<compare::AaEffect> effects;
  for (const auto& d : sessions) effects.push_back({"", metric, compare::effect_of(d).log_ratio});
  margin = compare::margin_of(effects, "", metric);
  return {{"floor", margin.noise_floor ? Json(*margin.noise_floor) : Json()},
          {"margin", margin.share},
          {"recorded", margin.recorded}};
}

Json power_json(const std::vector<std::vector<double>>& sessions, const compare::Margin& margin) {
  constexpr std::array<double, 10> kSlowDowns = {0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.15};
  Json curve = Json::array();
  for (const compare::PowerPoint& point : compare::power_curve(sessions, kSlowDowns, margin)) {
    curve.push_back({{"slow_down", point.slow_down},
                     {"regressed", point.regressed.count},
                     {"equivalent", point.equivalent.count},
                     {"inconclusive", point.inconclusive.count},
                     {"of", point.regressed.of}});
  }
  return curve;
}

/// What was planted, as measured: the median over a plan's sessions of each metric's ratio.
Json planted_json(const std::vector<View>& sessions) {
  std::map<std::string, std::map<std::string, std::vector<double>>> ratios;
  for (const View& session : sessions) {
    for (const View& metric : session.at("metrics").items())
      ratios[session.at("plan").text()][metric.at("metric").text()].push_back(metric.at("ratio").number());
  }
  Json out = Json::object();
  for (const auto& [plan, metrics] : ratios) {
    for (const auto& [metric, values] : metrics) out[plan][metric] = *median(values);
  }
  return out;
}

}  // namespace

Json summarize_proof(const std::vector<Json>& lines) {
  std::vector<View> sessions;
  double seconds = 0;
  for (const Json& line : lines) {
    if (View(line).at("kind").text() != "session") continue;
    sessions.emplace_back(line);
    seconds = std::max(seconds, sessions.back().at("seconds").number());
  }
  Json summary = {{"sessions", sessions.size()},
                  {"longest_s", seconds},
                  {"complete", true},
                  {"holds", true},
                  {"claims", Json::array()},
                  {"measured", planted_json(sessions)},
                  {"noise", Json::object()},
                  {"power", Json::object()}};
  for (const Claim& claim : claims()) {
    Json one = claim_json(claim, sessions);
    if (one["holds"].is_null()) summary["complete"] = false;
    if (one["holds"] == false) summary["holds"] = false;
    summary["claims"].push_back(std::move(one));
  }
  for (const auto& [metric, same] : identical(sessions)) {
    compare::Margin margin;
    summary["noise"][metric] = noise_json(metric, same, margin);
    summary["power"][metric] = power_json(same, margin);
  }
  return summary;
}

std::string proof_text(const Json& summary) {
  std::string text = fmt::format("{} sessions, the longest {:.0f} s\n\n{:<52}{:>10}  {:<17}{:<12}{}\n",
                                 summary.at("sessions").get<int64_t>(), summary.at("longest_s").get<double>(), "",
                                 "count", "95 % interval", "needed", "");
  for (const Json& one : summary.at("claims")) {
    const std::string interval =
        one.at("low").is_null()
            ? ""
            : fmt::format("[{:.1f}, {:.1f}] %", 100 * one.at("low").get<double>(), 100 * one.at("high").get<double>());
    const std::string holds = one.at("holds").is_null() ? fmt::format("{} of {} sessions", one.at("of").get<int64_t>(),
                                                                      one.at("planned").get<int64_t>())
                              : one.at("needed") == kAsCounted ? ""
                              : one.at("holds").get<bool>()    ? "holds"
                                                               : "DOES NOT HOLD";
    text += fmt::format("{:<52}{:>10}  {:<17}{:<12}{}\n", one.at("claim").get<std::string>(),
                        fmt::format("{} of {}", one.at("count").get<int64_t>(), one.at("of").get<int64_t>()), interval,
                        one.at("needed").get<std::string>(), holds);
  }
  text += "\nMedian ratios, candidate / base:";
  for (const auto& [plan, metrics] : summary.at("measured").items()) {
    text += fmt::format("\n  {:<12}", plan);
    for (const auto& [metric, ratio] : metrics.items()) text += fmt::format("{} {:.3f}  ", metric, ratio.get<double>());
  }
  text += '\n';
  for (const auto& [metric, curve] : summary.at("power").items()) {
    const Json& noise = summary.at("noise").at(metric);
    text += fmt::format("\n{}: identical code {} times; noise floor {:.1f} %, margin {:.1f} %. Made slower by\n",
                        metric, noise.at("recorded").get<int64_t>(),
                        noise.at("floor").is_null() ? 0 : 100 * noise.at("floor").get<double>(),
                        100 * noise.at("margin").get<double>());
    std::string slow, found;
    for (const Json& point : curve) {
      slow += fmt::format("{:>7.0f} %", 100 * point.at("slow_down").get<double>());
      found += fmt::format("{:>7.0f} %", 100.0 * point.at("regressed").get<double>() /
                                             std::max<double>(1, point.at("of").get<double>()));
    }
    text += fmt::format("{:<10}{}\n{:<10}{}\n", "", slow, "REGRESSED", found);
  }
  return text;
}

}  // namespace kvproof
