#include "harness/track/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/compare/exact.h"
#include "harness/error.h"
#include "harness/record/machines.h"
#include "harness/record/text_file.h"
#include "harness/record/view.h"
#include "harness/track/locked_file.h"

namespace kvproof::track {
namespace {

using Key = std::pair<std::string, std::string>;  // record, case

std::string identity_of(const Json& record) {
  const std::string text =
      nlohmann::json(record).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);  // keys sorted
  return xxh128_of(text.data(), text.size());
}

std::string build_of(const View& program) {
  const std::string type = program.at("build_type").text(), sanitizers = program.at("sanitizers").text();
  return sanitizers.empty() ? type : fmt::format("{}, sanitizers {}", type, sanitizers);
}

std::string shape_of(const View& one_case) {
  const View shape = one_case.at("shape");
  const int64_t rows = shape.at("rows").integer();
  return shape.at("label").text() + (rows > 1 ? fmt::format(" x{}", rows) : "");
}

// The part of a line that a case has that ran. `kept` is the same case of the record's baseline.
void put_results(const View& one_case, const Json& kept, Json& line) {
  const bool ran = one_case.at("status").text() == "ok";
  if (!ran) line["error_kind"] = one_case.at("error").at("kind").text();
  line["shape"] = ran ? Json(shape_of(one_case)) : Json();
  line["workload"] = ran ? kept["workload"]["hash"] : Json();
  for (const char* name : {"backend", "dtype", "threads"})
    line[name] = ran ? one_case.at("settings").at("run").at(name).json() : Json();
  line["agreement"] = ran ? kept["exact"]["agreement"] : Json();
  line["validity"] = ran ? one_case.at("validity").at("verdict").json() : Json();
  for (const char* count : {"token_forwards", "kv_cache_bytes"}) {
    line[count] = nullptr;
    if (!ran) continue;
    for (const char* path : {"naive", "engine"}) line[count][path] = kept["exact"][path][count];
  }
  line["times"] = ran ? kept["times"] : Json();
}

std::string text_of(const std::vector<HistoryLine>& lines) {
  std::string text;
  for (const HistoryLine& line : lines) text += line.json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return text;
}

struct Parsed {
  std::vector<HistoryLine> lines;  // as they stand
  std::optional<int64_t> unfinished;
  std::size_t end = 0;  // of what is whole
};

// Whether the last line has an end or not says nothing: editors leave it out. Half a line is no JSON.
Parsed parsed(const std::string& text, const std::string& file) {
  Parsed result;
  int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t found = text.find('\n', begin), end = std::min(found, text.size());
    const std::string place = fmt::format("{}:{}", file, ++number);
    Json json;
    try {
      json = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                         text.begin() + static_cast<std::ptrdiff_t>(end));
    } catch (const Json::parse_error&) {
      if (found == std::string::npos) {
        result.unfinished = number;
        return result;
      }
      throw RecordError(place,
                        "expected the JSON of one line of a history, found something else; mend the line, or make "
                        "the file anew: kvproof history rebuild FILE RECORD...");
    }
    try {
      result.lines.push_back(line_of(json));
    } catch (const RecordError& error) {
      throw RecordError(place + "#" + error.place(), error.message());
    }
    result.end = begin = std::min(end + 1, text.size());
  }
  return result;
}

// One line a record and case, in order of time.
std::vector<HistoryLine> in_order(std::vector<HistoryLine> lines) {
  std::map<Key, std::size_t> at;
  std::vector<HistoryLine> kept;
  for (HistoryLine& line : lines) {
    const auto [known, is_new] = at.emplace(Key(line.record, line.case_id), kept.size());
    if (is_new) {
      kept.push_back(std::move(line));
    } else {
      kept[known->second] = std::move(line);
    }
  }
  std::stable_sort(kept.begin(), kept.end(), [](const HistoryLine& a, const HistoryLine& b) {
    return std::tie(a.started, a.record) < std::tie(b.started, b.record);
  });
  return kept;
}

std::vector<HistoryLine> lines_of_source(const Source& source, const std::optional<std::string>& release) {
  try {
    return lines_of(source.record, release);
  } catch (const RecordError& error) {
    throw RecordError(source.file + "#" + error.place(), error.message());
  }
}

struct NewRecord {
  std::string file;
  std::vector<HistoryLine> lines;

  std::string record() const { return lines.empty() ? "" : lines.front().record; }
};

// In the order they began, each once.
std::vector<NewRecord> new_records(const std::vector<Source>& sources, const std::optional<std::string>& release) {
  std::vector<NewRecord> records;
  for (const Source& source : sources) records.push_back({source.file, lines_of_source(source, release)});
  std::erase_if(records, [](const NewRecord& each) { return each.lines.empty(); });
  std::stable_sort(records.begin(), records.end(), [](const NewRecord& a, const NewRecord& b) {
    return std::tie(a.lines.front().started, a.lines.front().record) <
           std::tie(b.lines.front().started, b.lines.front().record);
  });
  return records;
}

// What a history has of a record. A writer that was killed may have left some of its cases.
struct Known {
  std::optional<std::string> release;
  std::size_t cases = 0;
};
using KnownRecords = std::map<std::string, Known>;

KnownRecords records_in(const std::vector<HistoryLine>& lines) {
  KnownRecords known;
  for (const HistoryLine& line : in_order(lines)) {
    Known& record = known[line.record];
    record.release = line.release;
    ++record.cases;
  }
  return known;
}

// What can be read of a history that may be damaged.
KnownRecords readable_records(const std::string& text) {
  std::vector<HistoryLine> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    try {
      lines.push_back(line_of(Json::parse(text.substr(begin, end - begin))));
    } catch (const Json::exception&) {
    } catch (const RecordError&) {
    }
    begin = end + 1;
  }
  return records_in(lines);
}

}  // namespace

HistoryLine line_of(const Json& json) {
  const View view(json), schema = view.at("schema");
  if (const std::string name = schema.at("name").text(); name != kHistorySchema)
    throw RecordError(
        "/schema/name",
        fmt::format("expected \"{}\", found \"{}\"; name a file that kvproof history wrote", kHistorySchema, name));
  if (const int64_t version = schema.at("version").integer(); version != kHistoryVersion)
    throw RecordError("/schema/version",
                      fmt::format("expected {}, found {}; another kvproof wrote this", kHistoryVersion, version));
  const auto text = [&](const char* key) { return view.at(key).text(); };
  const auto text_or_empty = [&](const char* key) { return view.at(key).text_or_null().value_or(""); };
  HistoryLine line{text("record"),
                   text("started"),
                   text("commit"),
                   text("version"),
                   text("build"),
                   text("config"),
                   text("case"),
                   text("status"),
                   text_or_empty("shape"),
                   text_or_empty("workload"),
                   text("fingerprint"),
                   text_or_empty("cpu_model"),
                   text_or_empty("validity"),
                   view.at("dirty").boolean(),
                   view.at("release").text_or_null(),
                   view.at("times").json(),
                   json};
  if (line.times.is_null()) return line;
  for (const char* path : {"naive", "engine"}) {
    for (const char* name : {"e2e_ns", "ttft_ns", "prefill_ns", "tpot_ns"}) {
      const View time = view.at("times").at(path).at(name);
      if (time.is_null()) continue;
      if (time.at("median").number() <= 0)
        throw RecordError(time.pointer() + "/median",
                          "expected a positive time, found " + time.at("median").json().dump());
      for (const char* end : {"low", "high"}) time.at(end).number_or_null();
    }
  }
  return line;
}

std::vector<HistoryLine> lines_of(const Json& document, const std::optional<std::string>& release) {
  const View record(document);
  if (record.has("partial") && record.at("partial").boolean()) {
    throw RecordError("/partial",
                      "the run was interrupted, and would be a second run of the same once it is finished; finish it "
                      "with kvproof run --resume and the .jsonl file beside the record");
  }
  const Json baseline = compare::baseline_of(document);
  const View program = record.at("kvproof");
  const std::string identity = identity_of(document);
  std::vector<HistoryLine> lines;
  for (const View& one : record.at("cases").items()) {
    const View machine = machine_of(record, one);
    Json line = {{"schema", {{"name", kHistorySchema}, {"version", kHistoryVersion}}},
                 {"record", identity},
                 {"started", record.at("started").text()},
                 {"release", release ? Json(*release) : Json()}};
    for (const char* key : {"commit", "dirty", "version"}) line[key] = program.at(key).json();
    line["build"] = build_of(program);
    line["config"] = record.at("config").at("hash").text();
    line["case"] = one.at("id").text();
    line["status"] = one.at("status").text();
    for (const char* key : {"fingerprint", "cpu_model"}) line[key] = machine.at(key).json();
    put_results(one, baseline["cases"][lines.size()], line);
    lines.push_back(line_of(line));
  }
  return lines;
}

History read_history(const std::filesystem::path& file) {
  if (std::error_code error; !std::filesystem::exists(file, error))
    throw RecordError(file.string(), "no such history; kvproof history add FILE RECORD... begins one");
  Parsed all = parsed(read_text_file(file), file.string());
  return {in_order(std::move(all.lines)), all.unfinished};
}

Addition add_to_history(const std::filesystem::path& file, std::vector<Source> sources,
                        const std::optional<std::string>& release) {
  const std::vector<NewRecord> records = new_records(sources, release);
  LockedFile locked(file, LockedFile::When::make);
  const std::string text = locked.text();
  const Parsed old = parsed(text, file.string());
  KnownRecords known = records_in(old.lines);
  Addition addition{{}, old.unfinished.has_value()};
  std::string more;
  for (const NewRecord& each : records) {
    const auto there = known.find(each.record());
    const bool whole = there != known.end() && there->second.cases == each.lines.size();
    const bool as_it_is = whole && (!release || there->second.release == release);
    using How = AddedRecord::How;
    addition.records.push_back({each.file,
                                !whole     ? How::added
                                : as_it_is ? How::there
                                           : How::tagged,
                                static_cast<int64_t>(each.lines.size())});
    if (as_it_is) continue;
    more += text_of(each.lines);
    known[each.record()] = {release, each.lines.size()};
  }
  if (!more.empty() && old.end > 0 && text[old.end - 1] != '\n') more = "\n" + more;
  if (!more.empty()) locked.append(more, old.end);
  return addition;
}

std::vector<AddedRecord> rebuild_history(const std::filesystem::path& file, std::vector<Source> sources, bool replace) {
  std::vector<NewRecord> records = new_records(sources, std::nullopt);
  const LockedFile locked(file, LockedFile::When::there);
  const std::string text = locked.text();
  KnownRecords lost = readable_records(text);
  if (!text.empty() && lost.empty())
    throw RecordError(file.string(), "has no line of a history, and would be lost; give another name, or remove it");
  std::vector<HistoryLine> lines;
  std::vector<AddedRecord> result;
  std::set<std::string> taken;
  for (NewRecord& each : records) {
    const bool again = !taken.insert(each.record()).second;
    result.push_back({each.file, again ? AddedRecord::How::there : AddedRecord::How::added,
                      static_cast<int64_t>(each.lines.size())});
    if (again) continue;
    const auto old = lost.find(each.record());
    for (HistoryLine& line : each.lines) {
      if (old != lost.end() && old->second.release) line.json["release"] = *old->second.release;
      lines.push_back(std::move(line));
    }
    if (old != lost.end()) lost.erase(old);
  }
  if (!lost.empty() && !replace) {
    throw ArgumentError(
        "--replace",
        fmt::format("is missing: {} has {} record{} that {} not among those given, whose points would be "
                    "lost; name their files too, or add --replace",
                    file.string(), lost.size(), lost.size() == 1 ? "" : "s", lost.size() == 1 ? "is" : "are"));
  }
  write_text(file, text_of(lines));
  return result;
}

}  // namespace kvproof::track
