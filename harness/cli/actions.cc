#include "harness/cli/actions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"

namespace kvproof::cli {
namespace {

bool takes(const Action& action, const std::string& name) {
  return std::find(action.takes.begin(), action.takes.end(), name) != action.takes.end();
}

/// Of everything that some action takes, what this one does not.
void refuse_others(const Call& call, const Action& chosen, const std::vector<Action>& actions) {
  for (const Action& other : actions) {
    for (const std::string& name : other.takes) {
      if (takes(chosen, name) || !call.arguments.given(name)) continue;
      std::vector<std::string> takers;
      for (const Action& each : actions) {
        if (takes(each, name)) takers.push_back(each.name);
      }
      throw ArgumentError(
          name, fmt::format("is not for {}, but for {}; leave it out", chosen.name, fmt::join(takers, " and ")));
    }
  }
}

}  // namespace

void add_action(CLI::App& app, const std::string& help) { add_positional(app, "ACTION", help); }

ExitCode run_action(Call& call, const std::vector<Action>& actions) {
  std::vector<std::string> names;
  for (const Action& action : actions) names.push_back(action.name);
  const auto word = call.arguments.word("ACTION", names);
  if (!word) throw ArgumentError("ACTION", fmt::format("is missing; give one of {}", fmt::join(names, ", ")));
  const Action& chosen =
      *std::find_if(actions.begin(), actions.end(), [&](const Action& a) { return a.name == *word; });
  refuse_others(call, chosen, actions);
  return chosen.run(call);
}

}  // namespace kvproof::cli
