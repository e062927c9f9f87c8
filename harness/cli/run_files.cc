#include "harness/cli/run_files.h"

#include <fmt/format.h>

#include <filesystem>

#include "harness/cli/output_file.h"
#include "harness/machine/machine.h"
#include "harness/shell_word.h"

namespace kvproof::cli {
namespace {

namespace fs = std::filesystem;

/// Beside --out: out.json has out.jsonl, anything else has .jsonl behind it.
fs::path journal_beside(const fs::path& record) {
  return record.extension() == ".json" ? fs::path(record).replace_extension(".jsonl") : fs::path(record.string() + ".jsonl");
}

void make_way(const fs::path& journal) {
  switch (RunJournal::kind_of(journal)) {
    case RunJournal::Kind::none:
    case RunJournal::Kind::finished:
      fs::remove(journal);
      return;
    case RunJournal::Kind::unfinished:
      throw RecordError(journal.string(), fmt::format("holds a run that goes on or was cut off: kvproof run --resume {} goes on "
                                                      "with it once it ended; to measure anew, remove the file or give "
                                                      "another --out",
                                                      shell_quoted(journal.string())));
    case RunJournal::Kind::other:
      throw RecordError(journal.string(), "would be this run's journal, but holds something else; give another --out");
  }
}

/// Under the first pair of names that nobody has, or takes meanwhile.
RunJournal begin_unnamed(const std::string& started, const LoadedConfig& config, const std::vector<std::string>& sets,
                         const std::vector<std::string>& command, const std::optional<Shard>& shard) {
  std::string name = run_name(started, config.config.file.stem().string(), config.hash);
  if (shard) name += fmt::format("-shard{}of{}", shard->index, shard->count);
  for (int number = 1;; ++number) {
    const fs::path record = fs::path(kRunFolder) / (name + (number > 1 ? fmt::format("-{}", number) : "") + ".json");
    const fs::path journal = fs::path(record).replace_extension(".jsonl");
    if (fs::exists(record) || fs::exists(journal)) continue;
    prepare_output_file(record);
    try {
      return RunJournal::begin(journal, started, config, sets, command, record, shard);
    } catch (const RecordError&) {
      if (!fs::exists(journal)) throw;
    }
  }
}

}  // namespace

RunJournal begin_run(const std::optional<std::string>& out, const LoadedConfig& config,
                     const std::vector<std::string>& sets, const std::vector<std::string>& command,
                     const std::optional<Shard>& shard) {
  const std::string started = utc_now();
  if (!out) return begin_unnamed(started, config, sets, command, shard);
  const fs::path record(*out);
  if (out->empty()) throw ArgumentError("--out", "is empty; give a file or leave the flag out");
  if (record.extension() == ".jsonl")
    throw ArgumentError("--out", "a record is no .jsonl file, the journal beside it is; give a name that ends in .json");
  if (std::error_code error; fs::equivalent(record, config.config.file, error))
    throw ArgumentError("--out", "is the config itself, which the record would replace; give another file");
  prepare_output_file(record);
  const fs::path journal = journal_beside(record);
  make_way(journal);
  return RunJournal::begin(journal, started, config, sets, command, record, shard);
}

}  // namespace kvproof::cli
