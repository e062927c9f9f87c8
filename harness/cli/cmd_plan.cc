// kvproof plan: what a config will run, before it runs.
#include "harness/measure/plan.h"

#include <fmt/format.h>

#include "harness/cli/config_flags.h"

namespace kvproof::cli {
namespace {

nlohmann::ordered_json case_json(const PlannedCase& planned) {
  return {{"id", planned.id},
          {"shape", planned.shape},
          {"prompt_tokens", planned.prompt_tokens},
          {"max_tokens", planned.max_tokens},
          {"rows", planned.rows},
          {"naive_token_forwards", planned.naive_token_forwards},
          {"engine_token_forwards", planned.engine_token_forwards},
          {"estimated_s", planned.estimated_s}};
}

std::string table_of(const std::vector<PlannedCase>& cases) {
  std::size_t width = 4;  // of the ids
  for (const auto& each : cases) width = std::max(width, each.id.size());
  auto text = fmt::format("{:<{}}  {:<16}  {:>4}  {:>15}  {:>15}  {:>12}\n", "case", width, "shape", "rows",
                          "naive positions", "with the cache", "about");
  double total_s = 0;
  for (const auto& each : cases) {
    total_s += each.estimated_s;
    text += fmt::format("{:<{}}  {:<16}  {:>4}  {:>15}  {:>15}  {:>12}\n", each.id, width, each.shape, each.rows,
                        each.naive_token_forwards, each.engine_token_forwards, duration_text(each.estimated_s));
  }
  return text + fmt::format("{} case{}, about {}; positions of one repetition, rows may stop earlier\n", cases.size(),
                            cases.size() == 1 ? "" : "s", duration_text(total_s));
}

ExitCode run(Call& call) {
  const auto config = read_config_flags(call.arguments);
  const auto cases = plan_config(config);
  auto list = nlohmann::ordered_json::array();
  double total_s = 0;
  for (const auto& each : cases) {
    list.push_back(case_json(each));
    total_s += each.estimated_s;
  }
  call.console.document({{"config", {{"file", config.config.file.string()}, {"hash", config.hash}}},
                         {"cases", list},
                         {"estimated_s", total_s}});
  call.console.text(table_of(cases));
  return ExitCode::ok;
}

}  // namespace

Command plan_command() {
  return {"plan",
          "Check a config and say what it will run and about how long that takes",
          {"Opens every checkpoint and times a few forwards. JSON: {\"config\", \"cases\": [...], \"estimated_s\"}"},
          {ExitCode::failed},
          add_config_flags,
          run};
}

}  // namespace kvproof::cli
