#include "harness/measure/merge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "harness/error.h"
#include "harness/measure/merge_machines.h"
#include "harness/measure/shard.h"
#include "harness/record/view.h"
#include "harness/shell_word.h"

namespace kvproof {
namespace {

/// A part whose shard was read.
struct ReadPart {
  std::string file;
  View record;
  Shard shard;

  std::string name() const { return fmt::format("shard {}/{}", shard.index, shard.count); }
};

[[noreturn]] void refuse(const ReadPart& part, const std::string& why) { throw RecordError(part.file, why); }

std::string joined(const std::vector<std::string>& parts, const char* between) {
  return fmt::format("{}", fmt::join(parts, between));
}

// --- what every part must be

Shard shard_of_part(const ShardRecord& part) {
  const View record(part.record);
  if (record.has("merged_from"))
    throw RecordError(part.file, "is merged already; give the records of the shards themselves, all in one command");
  if (!record.has("shard"))
    throw RecordError(part.file,
                      "is the record of a whole run, which needs no merging: kvproof report reads it as it is. What is "
                      "merged are the records of kvproof run --shard K/N");
  return shard_from(record.at("shard"));
}

std::vector<std::string> ids_of(const View& record) {
  std::vector<std::string> ids;
  for (const View& one : record.at("cases").items()) ids.push_back(one.at("id").text());
  return ids;
}

std::vector<std::string> own_cases(const Shard& shard) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < shard.cases.size(); ++i)
    if (shard.of[i] == shard.index) ids.push_back(shard.cases[i]);
  return ids;
}

void check_whole(const ReadPart& part) {
  if (part.record.at("partial").boolean()) {
    refuse(part,
           fmt::format("{} was interrupted; kvproof run --resume with its journal, the .jsonl file beside it, goes on "
                       "with it",
                       part.name()));
  }
  const auto expected = own_cases(part.shard), found = ids_of(part.record);
  if (expected != found) {
    refuse(part, fmt::format("expected the cases of {}, {}; found {}; the record is damaged", part.name(),
                             Json(expected).dump(), Json(found).dump()));
  }
}

// --- what all parts must have in common

/// One thing that two parts say differently.
[[noreturn]] void refuse_different(const ReadPart& first, const ReadPart& other, const std::string& what,
                                   const std::string& there, const std::string& here, const std::string& remedy) {
  refuse(other, fmt::format("{} is of another {} than {} ({}): {} here, {} there; {}", other.name(), what, first.name(),
                            first.file, here, there, remedy));
}

/// The first case that two parts put into different shards.
void check_same_split(const ReadPart& first, const ReadPart& other) {
  if (first.shard.cases == other.shard.cases && first.shard.of == other.shard.of) return;
  std::string difference = "the lists of cases differ";
  const std::size_t cases = std::min(first.shard.of.size(), other.shard.of.size());
  for (std::size_t i = cases; i-- > 0;) {
    if (first.shard.cases[i] == other.shard.cases[i] && first.shard.of[i] != other.shard.of[i])
      difference = fmt::format("{} is in shard {} here, in shard {} there", first.shard.cases[i], other.shard.of[i],
                               first.shard.of[i]);
  }
  refuse(other,
         fmt::format("{} was split otherwise than {} ({}): {}. A checkpoint or a prompt's file was another there; "
                     "run all shards with the same files",
                     other.name(), first.name(), first.file, difference));
}

/// LibTorch's description without the line on the CPU that it found itself on.
std::string without_cpu(const std::string& torch_config) {
  std::istringstream lines(torch_config);
  std::string kept;
  for (std::string line; std::getline(lines, line);)
    if (line.find("CPU capability usage") == std::string::npos) kept += line + "\n";
  return kept;
}

std::string program_value(const View& program, const std::string& key) {
  if (!program.has(key)) return "nothing";
  const View value = program.at(key);
  return key == "torch_config" ? Json(without_cpu(value.text())).dump() : value.json().dump();
}

void check_same_program(const ReadPart& first, const ReadPart& other) {
  const View there = first.record.at("kvproof"), here = other.record.at("kvproof");
  std::set<std::string> keys;
  for (const View* program : {&there, &here})
    for (const auto& [key, unused] : program->json().items()) keys.insert(key);
  for (const std::string& key : keys) {
    const std::string a = program_value(there, key), b = program_value(here, key);
    if (a != b) refuse_different(first, other, fmt::format("kvproof ({})", key), a, b, "run all shards with one build");
  }
}

/// Without where its files lie.
Json without_paths(Json checkpoint) {
  checkpoint.erase("path");
  if (checkpoint.contains("shards"))
    for (Json& shard : checkpoint["shards"]) shard.erase("path");
  return checkpoint;
}

void check_same_checkpoint(const ReadPart& first, const View& before, const ReadPart& other, const View& now) {
  const Json there = without_paths(before.json()), here = without_paths(now.json());
  if (there == here) return;
  const Json a = there.flatten(), b = here.flatten();
  for (const auto& [pointer, value] : a.items()) {
    const Json found = b.value(pointer, Json());
    if (found != value)
      refuse_different(first, other,
                       fmt::format("checkpoint {} ({})", shell_quoted(now.at("name").text()), pointer.substr(1)),
                       value.dump(), found.dump(), "run all shards with the same files");
  }
  refuse(other, fmt::format("says more of checkpoint {} than {} does; run all shards with one build",
                            now.at("name").text(), first.file));
}

void check_same_checkpoints(const std::vector<ReadPart>& parts) {
  std::map<std::string, std::pair<const ReadPart*, View>> known;
  for (const ReadPart& part : parts) {
    for (const View& checkpoint : part.record.at("checkpoints").items()) {
      const auto [place, is_new] = known.try_emplace(checkpoint.at("name").text(), &part, checkpoint);
      if (!is_new) check_same_checkpoint(*place->second.first, place->second.second, part, checkpoint);
    }
  }
}

void check_same_run(const ReadPart& first, const ReadPart& other) {
  const auto hash = [](const ReadPart& part) { return part.record.at("config").at("hash").text(); };
  if (hash(first) != hash(other))
    refuse_different(first, other, "config", hash(first), hash(other),
                     "give the shards of one config, run with the same --set");
  if (first.shard.count != other.shard.count)
    refuse(other, fmt::format("is shard {} of {}, and {} is shard {} of {}; give the shards of one split",
                              other.shard.index, other.shard.count, first.file, first.shard.index, first.shard.count));
  check_same_split(first, other);
  check_same_program(first, other);
}

// --- whether all are there

/// The command of a part, for another shard of its config.
std::string command_for(const ReadPart& part, int64_t index) {
  const std::string wanted = fmt::format("{}/{}", index, part.shard.count);
  std::vector<std::string> words;
  bool is_shard = false, is_out = false;
  for (const View& view : part.record.at("command").items()) {
    const std::string word = view.text();
    if (is_shard)
      words.push_back(wanted);
    else if (word.starts_with("--shard="))
      words.push_back("--shard=" + wanted);
    else if (!is_out && word != "--out" && !word.starts_with("--out="))
      words.push_back(shell_quoted(word));
    is_shard = word == "--shard";
    is_out = word == "--out";
  }
  return joined(words, " ");
}

void check_complete(const std::vector<ReadPart>& parts) {
  std::map<int64_t, const ReadPart*> given;
  for (const ReadPart& part : parts) {
    const auto [place, is_new] = given.try_emplace(part.shard.index, &part);
    if (!is_new) refuse(part, fmt::format("is {}, as {} is; give each shard once", part.name(), place->second->file));
  }
  const ReadPart& first = parts.front();
  std::vector<std::string> names, commands;
  for (int64_t index = 1; index <= first.shard.count; ++index) {
    if (given.count(index) > 0) continue;
    names.push_back(fmt::format("{}/{}", index, first.shard.count));
    commands.push_back("\n  " + command_for(first, index));
  }
  if (names.empty()) return;
  constexpr std::size_t kShown = 8;
  if (const std::size_t more = commands.size(); more > kShown) {
    commands.resize(kShown);
    commands.push_back(fmt::format("\n  and {} more", more - kShown));
  }
  throw RecordError("shards",
                    fmt::format("{} {} missing; give {} record{} too, or make {}:{}", joined(names, ", "),
                                names.size() == 1 ? "is" : "are", names.size() == 1 ? "its" : "their",
                                names.size() == 1 ? "" : "s", names.size() == 1 ? "it" : "them", joined(commands, "")));
}

// --- the record

class Merged {
 public:
  explicit Merged(const std::vector<ReadPart>& parts) : parts_(parts), machines_(part_machines(parts)) {}

  Json record(const std::vector<std::string>& command) const {
    const ReadPart& first = parts_.front();
    Json record = {{"schema", record_schema()}, {"kvproof", first.record.at("kvproof").json()}};
    record["started"] = extreme("started", std::less<>());
    record["finished"] = extreme("finished", std::greater<>());
    record["command"] = command;
    record["config"] = first.record.at("config").json();
    const Json cases = merged_cases();
    record["machine"] = machines_.common(cases);
    if (machines_.several()) record["machines"] = machines_.all();
    record["checkpoints"] = checkpoints(cases);
    record["cases"] = cases;
    record["verifications"] = verifications();
    record["warnings"] = warnings();
    record["max_time_s"] = same_max_time() ? first.record.at("max_time_s").json() : Json(nullptr);
    record["partial"] = false;
    record["sessions"] = sessions();
    record["merged_from"] = sources();
    record["exit_code"] = static_cast<int>(exit_code());
    return record;
  }

 private:
  static MergedMachines part_machines(const std::vector<ReadPart>& parts) {
    std::vector<View> records;
    for (const ReadPart& part : parts) records.push_back(part.record);
    return MergedMachines(records);
  }

  template <class Before>
  std::string extreme(const char* key, Before before) const {
    std::string found = parts_.front().record.at(key).text();
    for (const ReadPart& part : parts_) found = std::min(found, part.record.at(key).text(), before);
    return found;
  }

  /// In the config's order.
  Json merged_cases() const {
    std::map<std::string, Json> by_id;
    std::size_t verifications = 0;
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      for (const View& one : parts_[p].record.at("cases").items()) {
        Json merged = one.json();
        if (one.has("verification") && !one.at("verification").at("index").is_null())
          merged["verification"]["index"] =
              one.at("verification").at("index").integer() + static_cast<int64_t>(verifications);
        if (machines_.several()) merged["machine"] = machines_.index_of(p);
        by_id[one.at("id").text()] = std::move(merged);
      }
      verifications += parts_[p].record.at("verifications").items().size();
    }
    Json cases = Json::array();
    for (const std::string& id : parts_.front().shard.cases)
      if (const auto found = by_id.find(id); found != by_id.end()) cases.push_back(std::move(found->second));
    return cases;
  }

  /// By first use, as a run of the whole config would have opened them.
  Json checkpoints(const Json& cases) const {
    std::map<std::string, Json> by_name;
    for (const ReadPart& part : parts_)
      for (const View& each : part.record.at("checkpoints").items())
        by_name.try_emplace(each.at("name").text(), each.json());
    Json list = Json::array();
    for (const Json& one : cases) {
      const auto found = by_name.find(one.at("checkpoint").get<std::string>());
      if (found == by_name.end()) continue;  // could not be loaded, or is in the list
      list.push_back(found->second);
      by_name.erase(found);
    }
    return list;
  }

  Json verifications() const {
    Json list = Json::array();
    for (const ReadPart& part : parts_) {
      for (const View& each : part.record.at("verifications").items()) {
        list.push_back(each.json());
        list.back()["shard"] = part.shard.index;
      }
    }
    return list;
  }

  /// What all say, once; else with the shard that says it.
  Json warnings() const {
    std::map<std::string, std::size_t> said;
    for (const ReadPart& part : parts_) {
      std::set<std::string> once;
      for (const View& warning : part.record.at("warnings").items()) once.insert(warning.text());
      for (const std::string& warning : once) ++said[warning];
    }
    Json list = Json::array();
    for (const ReadPart& part : parts_) {
      for (const View& warning : part.record.at("warnings").items()) {
        const bool by_all = said.at(warning.text()) == parts_.size();
        if (by_all && &part != &parts_.front()) continue;
        list.push_back(by_all ? warning.text() : fmt::format("{}: {}", part.name(), warning.text()));
      }
    }
    return list;
  }

  bool same_max_time() const {
    return std::all_of(parts_.begin(), parts_.end(), [&](const ReadPart& part) {
      return part.record.at("max_time_s").json() == parts_.front().record.at("max_time_s").json();
    });
  }

  Json sessions() const {
    std::vector<std::string> all;
    for (const ReadPart& part : parts_)
      for (const View& session : part.record.at("sessions").items()) all.push_back(session.text());
    std::sort(all.begin(), all.end());
    return all;
  }

  Json sources() const {
    Json list = Json::array();
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      Json source = {{"shard", parts_[p].shard.index}, {"machine", machines_.index_of(p)}};
      for (const char* key : {"started", "finished", "command", "sessions", "max_time_s", "exit_code"})
        source[key] = parts_[p].record.at(key).json();
      list.push_back(std::move(source));
    }
    return list;
  }

  ExitCode exit_code() const {
    ExitCode code = ExitCode::ok;
    for (const ReadPart& part : parts_)
      code = worse(code, static_cast<ExitCode>(part.record.at("exit_code").integer()));
    return code;
  }

  const std::vector<ReadPart>& parts_;
  MergedMachines machines_;
};

/// Every field that is compared or merged is looked at here, alone: a damaged one is told with the file it stands in.
ReadPart read_part(const ShardRecord& part) {
  try {
    const std::vector<ReadPart> alone = {{part.file, View(part.record), shard_of_part(part)}};
    check_whole(alone.front());
    check_same_run(alone.front(), alone.front());
    check_same_checkpoints(alone);
    Merged(alone).record({});
    return alone.front();
  } catch (const RecordError& error) {
    if (error.place() == part.file) throw;
    throw RecordError(part.file + "#" + error.place(), error.message());
  }
}

}  // namespace

Json merge(const std::vector<ShardRecord>& parts, const std::vector<std::string>& command) {
  std::vector<ReadPart> read;
  for (const ShardRecord& part : parts) read.push_back(read_part(part));
  for (const ReadPart& part : read) check_same_run(read.front(), part);
  check_same_checkpoints(read);
  check_complete(read);
  std::sort(read.begin(), read.end(),
            [](const ReadPart& a, const ReadPart& b) { return a.shard.index < b.shard.index; });
  return Merged(read).record(command);
}

}  // namespace kvproof
