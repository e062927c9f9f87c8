// A trend to report, as harness/track/trend.h has it.
#pragma once

#include <fmt/format.h>

#include "harness/record/record.h"

namespace kvproof::testing {

/// Two series of one case: engine.tpot_ns of twelve runs with a step of 5 % at the ninth, the first three of release v1.0;
/// the same of a machine that is no longer used, of two runs.
inline Json sample_trend() {
  Json points = Json::array();
  for (int i = 0; i < 12; ++i) {
    const int ns = (i < 8 ? 1000000 : 1050000) + i % 3 * 1000;
    points.push_back({{"started", fmt::format("2026-11-{:02}T10:00:00Z", i + 1)},
                      {"commit", fmt::format("{:02}", i) + std::string(38, 'c')},
                      {"dirty", i == 11},
                      {"version", "0.1.0"},
                      {"release", i < 3 ? Json("v1.0") : Json()},
                      {"ns", ns},
                      {"low", i == 5 ? Json() : Json(ns - 5000)},
                      {"high", i == 5 ? Json() : Json(ns + 5000)}});
  }
  Json now = {{"case", "demo/tool"},
              {"shape", "pp14 tg15"},
              {"metric", "engine.tpot_ns"},
              {"workload", "aa"},
              {"fingerprint", "f17ce5b7a363c97f"},
              {"cpu_model", "Intel(R) Xeon(R) Platinum 8488C"},
              {"build", "Release"},
              {"current", true},
              {"verdict", "SLOWER"},
              {"reason", nullptr},
              {"ratio", 1.0497},
              {"points", points},
              {"stretches", Json::array({{{"from", 0}, {"to", 7}, {"ns", 1000875.0}},
                                         {{"from", 8}, {"to", 11}, {"ns", 1050999.0}}})},
              {"steps", Json::array({{{"at", 8},
                                      {"before", {{"commit", points[7]["commit"]}, {"started", points[7]["started"]}}},
                                      {"after", {{"commit", points[8]["commit"]}, {"started", points[8]["started"]}}},
                                      {"before_ns", 1000875.0},
                                      {"after_ns", 1050999.0},
                                      {"ratio", 1.0501},
                                      {"p", 2.5e-12}}})},
              {"release", nullptr}};
  Json past = now;
  past["fingerprint"] = "0123456789abcdef";
  past["current"] = false;
  past["verdict"] = "TOO FEW";
  past["reason"] = "2 of the 6 points that a step needs";
  past["ratio"] = nullptr;
  past["points"] = Json::array({points[0], points[1]});
  past["stretches"] = Json::array({{{"from", 0}, {"to", 1}, {"ns", 1000500.0}}});
  past["steps"] = Json::array();
  return {{"schema", {{"name", "kvproof-trend"}, {"version", 1}}},
          {"history", "results/history.jsonl"},
          {"against", nullptr},
          {"margin", 0.02},
          {"records", 14},
          {"lines", 28},
          {"left_out", {{"failed", 1}, {"invalid", 2}}},
          {"unfinished", nullptr},
          {"series", Json::array({now, past})},
          {"verdict", "SLOWER"}};
}

/// The same, its newest points held against release v1.0.
inline Json sample_trend_against() {
  Json trend = sample_trend();
  trend["against"] = "v1.0";
  for (Json& series : trend["series"]) {
    series["release"] = {{"points", {0, 1}}, {"ns", 1000500.0}, {"latest", Json::array()}, {"latest_ns", nullptr},
                         {"ratio", nullptr}, {"p", nullptr},    {"slower", nullptr}};
  }
  trend["series"][0]["release"] = {{"points", {0, 1, 2}},    {"ns", 1001000.0}, {"latest", {8, 9, 10, 11}},
                                   {"latest_ns", 1050999.0}, {"ratio", 1.0499}, {"p", 3.1e-7},
                                   {"slower", true}};
  trend["series"][1]["reason"] = "2 of 3 points of release v1.0: run its commit again";
  return trend;
}

}  // namespace kvproof::testing
