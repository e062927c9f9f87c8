// kvproof plan: what a config will run, before it runs.
#include "harness/measure/plan.h"

#include <fmt/format.h>

#include "harness/cli/config_flags.h"
#include "harness/duration.h"
#include "harness/measure/shard.h"
#include "harness/measure/time_limit.h"

namespace kvproof::cli {
namespace {

nlohmann::ordered_json case_json(const PlannedCase& planned) {
  nlohmann::ordered_json json = {{"id", planned.id},
                                 {"shape", planned.shape},
                                 {"prompt_tokens", planned.prompt_tokens},
                                 {"max_tokens", planned.max_tokens},
                                 {"rows", planned.rows},
                                 {"naive_token_forwards", planned.naive_token_forwards},
                                 {"engine_token_forwards", planned.engine_token_forwards},
                                 {"repetitions", planned.repetitions},
                                 {"auto_repetitions", nullptr},
                                 {"estimated_s", planned.estimated_s}};
  if (planned.auto_repetitions) json["auto_repetitions"] = *planned.auto_repetitions;
  return json;
}

/// "12", or "4 of 12" where auto would take more.
std::string repetitions_text(const PlannedCase& planned) {
  if (planned.repetitions >= planned.auto_repetitions.value_or(0)) return std::to_string(planned.repetitions);
  return fmt::format("{} of {}", planned.repetitions, *planned.auto_repetitions);
}

std::string table_of(const Plan& plan) {
  static constexpr char kRow[] = "{:<{}}  {:<{}}  {:>4}  {:>15}  {:>15}  {:>11}  {:>12}\n";
  std::size_t ids = 4, shapes = 5;  // their widths
  for (const auto& each : plan.cases) {
    ids = std::max(ids, each.id.size());
    shapes = std::max(shapes, each.shape.size());
  }
  auto text = fmt::format(kRow, "case", ids, "shape", shapes, "rows", "naive positions", "with the cache",
                          "repetitions", "about");
  for (const auto& each : plan.cases) {
    text += fmt::format(kRow, each.id, ids, each.shape, shapes, each.rows, each.naive_token_forwards,
                        each.engine_token_forwards, repetitions_text(each), duration_text(each.estimated_s));
  }
  return text + fmt::format("{} case{}, about {}; positions of one repetition, rows may stop earlier\n",
                            plan.cases.size(), plan.cases.size() == 1 ? "" : "s", duration_text(plan.estimated_s()));
}

void declare_plan(CLI::App& app) {
  add_config_flags(app);
  add_max_time(app);
  add_shard(app);
}

ExitCode run_plan(Call& call) {
  const auto max_time_s = read_max_time(call.arguments);
  const auto number = read_shard(call.arguments);
  auto config = read_config_flags(call.arguments);
  std::optional<Shard> shard;
  if (number) shard = shard_of(config, number->index, number->count);
  if (shard) select(config, *shard);
  Plan plan = plan_config(config);
  if (max_time_s) plan = fit_into(plan, *max_time_s);
  auto list = nlohmann::ordered_json::array();
  for (const auto& each : plan.cases) list.push_back(case_json(each));
  nlohmann::ordered_json document = {{"config", {{"file", config.config.file.string()}, {"hash", config.hash}}},
                                     {"cases", list},
                                     {"estimated_s", plan.estimated_s()},
                                     {"max_time_s", nullptr},
                                     {"shard", shard ? shard_json(*shard) : Json(nullptr)}};
  if (max_time_s) document["max_time_s"] = *max_time_s;
  call.console.document(document);
  call.console.text(table_of(plan));
  if (shard) call.console.text(shard_text(*shard) + "; kvproof run --shard runs these\n");
  if (max_time_s) call.console.text(time_limit_text(time_limit_of(plan, *max_time_s)) + "\n");
  return ExitCode::ok;
}

}  // namespace

Command plan_command() {
  return {"plan",
          "Check a config and say what it will run and about how long that takes",
          {"Opens every checkpoint and times a few forwards. JSON: {\"config\", \"cases\": [...], \"estimated_s\", \"max_time_s\", \"shard\"}",
           "With --shard it lists the cases of that shard; the split itself is by the cost model, and the same on every machine.",
           "With --max-time it says what kvproof run would choose; where even the fewest repetitions do not fit, it fails."},
          {ExitCode::failed},
          declare_plan,
          run_plan};
}

}  // namespace kvproof::cli
