// kvproof merge: the records of a config's shards to the record of the whole.
#include "harness/measure/merge.h"

#include <fmt/format.h>

#include <filesystem>

#include "harness/cli/command.h"
#include "harness/cli/output_file.h"
#include "harness/report/table.h"

namespace kvproof::cli {
namespace {

void declare_merge(CLI::App& app) {
  add_positionals(app, "RECORD", "The records of kvproof run --shard K/N, in any order, all N");
  add_value(app, "--out", "FILE", "Where to write the record of the whole config; a file there is replaced");
}

std::vector<ShardRecord> read_parts(const std::vector<std::string>& files) {
  std::vector<ShardRecord> parts;
  for (const std::string& file : files) parts.push_back({file, read_record(file)});
  return parts;
}

ExitCode run_merge(Call& call) {
  const auto files = call.arguments.texts("RECORD");
  if (files.empty()) throw ArgumentError("RECORD", "is missing; give the records that kvproof run --shard K/N wrote");
  const auto out = call.arguments.required("--out", "the file to write the record of the whole config to");
  for (const std::string& file : files) {
    if (std::error_code error; std::filesystem::equivalent(out, file, error))
      throw ArgumentError("--out", fmt::format("is the record {}, which would be lost; give another file", file));
  }
  const Json record = merge(read_parts(files), call.words);
  const std::string table = render_table(record, Console::colour_on_stdout(), Console::width());
  prepare_output_file(out);
  write_json(out, record);
  call.console.note("record " + out);
  call.console.document(record);
  call.console.text(table);
  return static_cast<ExitCode>(record.at("exit_code").get<int>());
}

}  // namespace

Command merge_command() {
  return {
      "merge",
      "Join the records of all shards of a config to the record of the whole",
      {"kvproof run CONFIG --shard 1/4 --out 1.json, the same with 2/4, 3/4 and 4/4, perhaps on four machines; then",
       "kvproof merge 1.json 2.json 3.json 4.json --out all.json. Records that do not belong together are refused.",
       "Cases stand as they were measured; where machines differ, each says on which it ran. JSON: the record.",
       "The exit code is the worst of the shards', as that of a run of the whole config would be; 6 also where nothing "
       "is merged."},
      {ExitCode::disagree, ExitCode::failed},
      declare_merge,
      run_merge};
}

}  // namespace kvproof::cli
