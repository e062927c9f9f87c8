#include "harness/measure/run_journal.h"

#include <fmt/format.h>

#include "harness/measure/repetitions.h"
#include "harness/measure/sample_json.h"
#include "harness/measure/time_limit.h"

namespace kvproof {
namespace {

constexpr const char* kName = "kvproof-run-journal";
constexpr int64_t kVersion = 1;

std::vector<std::string> texts(const View& list) {
  std::vector<std::string> all;
  for (const View& item : list.items()) all.push_back(item.text());
  return all;
}

/// What a path gave, for comparison: the tokens of each row.
Json tokens_json(const PathMeasurement& path) {
  Json rows = Json::array();
  for (const TokenStream& stream : path.streams) rows.push_back(stream.tokens);
  return rows;
}

bool is_journal(const Json& line) {
  return line.is_object() && line.value("journal", Json()).is_object() &&
         line["journal"].value("name", Json()) == kName;
}

void expect_same(const std::filesystem::path& file, const char* what, const std::string& before,
                 const std::string& now) {
  if (before == now) return;
  throw RecordError(file.string(),
                    fmt::format("cannot be gone on with: expected the {} that it was begun with, {}; found {}. Run the "
                                "config anew, under another --out or after removing this file",
                                what, before, now));
}

/// Two builds of one dirty checkout differ in nothing else. Null where the system does not show the file.
Json executable_hash() {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error || !std::filesystem::is_regular_file(file, error)) return nullptr;
  return xxh128_of_file(file);
}

JudgedGroup group_of(const View& json) {
  JudgedGroup group;
  for (const View& one : json.at("cases").items()) group.cases.push_back(one.json());
  if (!json.at("verification").is_null()) group.verification = json.at("verification").json();
  for (const View& warning : json.at("warnings").items())
    group.warnings.emplace_back(warning.at("case").text(), warning.at("text").text());
  group.code = static_cast<ExitCode>(json.at("code").integer());
  return group;
}

std::vector<std::string> ids_of(const JudgedGroup& group) {
  std::vector<std::string> ids;
  for (const Json& one : group.cases) ids.push_back(View(one).at("id").text());
  return ids;
}

}  // namespace

/// A case's lines.
class RunJournal::Log final : public CaseLog {
 public:
  Log(RunJournal& run, std::string id, Json subject) : run_(run), id_(std::move(id)), subject_(std::move(subject)) {}

  EarlierRounds begin(const CaseMeasurement& m) override {
    const Json tokens = {{"naive", tokens_json(m.naive)}, {"engine", tokens_json(m.engine)}};
    const auto earlier = run_.cases_.find(id_);
    if (earlier == run_.cases_.end()) {
      write({{"first_calls", tokens}, {"subject", subject_}});
      return {};
    }
    expect_same(run_.file(), "engine and threads", earlier->second.subject.dump(), subject_.dump());
    if (earlier->second.tokens != tokens) {
      throw RecordError(run_.file().string(),
                        fmt::format("cannot be gone on with: {} gives other tokens than it gave before the run was cut "
                                    "off, so its times are of other work; run the config anew",
                                    id_));
    }
    return earlier->second.rounds;
  }

  void decided(const CaseMeasurement& m, int64_t repetitions) override {
    write({{"repetitions", repetitions},
           {"steady", m.steady},
           {"warmup", {{"naive", samples_json(m.naive.warmup)}, {"engine", samples_json(m.engine.warmup)}}}});
  }

  void round(const Sample& naive, const Sample& engine) override {
    write({{"round", naive.repetition}, {"naive", sample_json(naive)}, {"engine", sample_json(engine)}});
  }

 private:
  void write(const Json& fields) {
    Json line = {{"case", id_}};
    line.update(fields);
    run_.append(line);
  }

  RunJournal& run_;
  std::string id_;
  Json subject_;
};

RunJournal RunJournal::begin(const std::filesystem::path& file, const std::string& started, const LoadedConfig& config,
                             const std::vector<std::string>& sets, const std::vector<std::string>& command,
                             const std::filesystem::path& record, const std::optional<Shard>& shard) {
  RunJournal run(Journal::create(file));
  run.header_ = {{"journal", {{"name", kName}, {"version", kVersion}}},
                 {"started", started},
                 {"command", command},
                 {"config", {{"file", std::filesystem::absolute(config.config.file).string()},
                   {"given", config.config.file.string()}, {"sets", sets}, {"hash", config.hash}}},
                 {"record", std::filesystem::absolute(record).string()},
                 {"max_time", config.time_limit ? time_limit_json(*config.time_limit) : Json(nullptr)},
                 {"shard", shard ? shard_json(*shard) : Json(nullptr)}};
  run.journal_.append(run.header_);
  return run;
}

RunJournal RunJournal::resume(const std::filesystem::path& file) {
  RunJournal run(Journal::open(file));
  run.resumed_ = true;
  const std::vector<Json>& lines = run.journal_.lines();
  if (lines.empty() || !is_journal(lines.front()))
    throw RecordError(file.string(), "expected the .jsonl file of a run that was cut off, found something else");
  run.header_ = lines.front();
  if (const int64_t version = View(run.header_).at("journal").at("version").integer(); version != kVersion) {
    throw RecordError(file.string(), fmt::format("expected a journal of version {}, found {}; go on with the kvproof that "
                                                 "began it",
                                                 kVersion, version));
  }
  for (std::size_t i = 1; i < lines.size(); ++i) {
    try {
      run.take(View(lines[i]));
    } catch (const RecordError& error) {
      throw RecordError(fmt::format("{}:{}#{}", file.string(), i + 1, error.place()), error.message());
    }
  }
  return run;
}

RunJournal::Kind RunJournal::kind_of(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error) || (std::filesystem::file_size(file, error) == 0 && !error)) return Kind::none;
  try {
    const std::vector<Json> lines = Journal::read(file);
    if (lines.empty() || !is_journal(lines.front())) return Kind::other;
    return lines.back().contains("finished") ? Kind::finished : Kind::unfinished;
  } catch (const RecordError&) {
    return Kind::other;
  }
}

void RunJournal::take(const View& line) {
  if (line.has("case")) return take_case(line);
  if (line.has("session")) {
    sessions_.push_back(line.at("session").text());
    if (first_machine_.is_null()) first_machine_ = line.at("machine").json();
    if (!header_.contains("program")) {
      header_["program"] = line.at("program").json();
      header_["executable"] = line.at("executable").json();
      header_["fingerprint"] = line.at("fingerprint").json();
    }
  } else if (line.has("checkpoint")) {
    checkpoints_[line.at("checkpoint").text()] = {line.at("entry").json(), texts(line.at("warnings"))};
  } else if (line.has("peaks")) {
    peaks_.push_back(line.at("peaks").json());
  } else if (line.has("judged")) {
    JudgedGroup group = group_of(line.at("judged"));
    std::vector<std::string> ids = ids_of(group);
    groups_[std::move(ids)] = std::move(group);
  } else if (line.has("finished")) {
    // A record that was removed is made again out of what was judged.
    if (std::error_code error; std::filesystem::exists(record(), error))
      throw RecordError("/finished", "the run is finished; its record is " + record().string());
  }
}

void RunJournal::take_case(const View& line) {
  Earlier& earlier = cases_[line.at("case").text()];
  EarlierRounds& rounds = earlier.rounds;
  if (line.has("first_calls")) {
    earlier.tokens = line.at("first_calls").json();
    earlier.subject = line.at("subject").json();
  }
  if (line.has("repetitions")) {
    rounds.repetitions = line.at("repetitions").integer();
    rounds.steady = line.at("steady").boolean();
    rounds.naive_warmup = samples_of(line.at("warmup").at("naive"));
    rounds.engine_warmup = samples_of(line.at("warmup").at("engine"));
  }
  if (line.has("round")) {
    if (line.at("round").integer() != static_cast<int64_t>(rounds.naive.size()))
      throw RecordError(line.pointer() + "/round", fmt::format("expected {}, the next one; two processes wrote this file",
                                                              rounds.naive.size()));
    rounds.naive.push_back(sample_of(line.at("naive")));
    rounds.engine.push_back(sample_of(line.at("engine")));
  }
}

std::filesystem::path RunJournal::config_file() const { return View(header_).at("config").at("file").text(); }
std::filesystem::path RunJournal::config_given() const { return View(header_).at("config").at("given").text(); }
std::vector<std::string> RunJournal::sets() const { return texts(View(header_).at("config").at("sets")); }
std::vector<std::string> RunJournal::command() const { return texts(View(header_).at("command")); }
std::filesystem::path RunJournal::record() const { return View(header_).at("record").text(); }
std::string RunJournal::started() const { return View(header_).at("started").text(); }

std::optional<TimeLimit> RunJournal::time_limit() const {
  const View header(header_);
  if (!header.has("max_time") || header.at("max_time").is_null()) return std::nullopt;
  return time_limit_from(header.at("max_time"));
}

std::optional<Shard> RunJournal::shard() const {
  const View header(header_);
  if (!header.has("shard") || header.at("shard").is_null()) return std::nullopt;
  return shard_from(header.at("shard"));
}

void RunJournal::open_session(const LoadedConfig& config, const Json& program, const MachineFacts& machine,
                              const Json& machine_record) {
  const std::string print = fingerprint(machine);
  const Json executable = executable_hash();
  expect_same(file(), "config", View(header_).at("config").at("hash").text(), config.hash);
  if (header_.contains("program")) {
    for (const auto& [key, value] : program.items())
      expect_same(file(), ("program (" + key + ")").c_str(), header_["program"].value(key, Json()).dump(), value.dump());
    expect_same(file(), "executable", header_["executable"].dump(), executable.dump());
    expect_same(file(), "machine", View(header_).at("fingerprint").text(), print);
  }
  if (first_machine_.is_null()) first_machine_ = machine_record;
  sessions_.push_back(utc_now());
  journal_.append(
      {{"session", sessions_.back()}, {"program", program}, {"executable", executable}, {"fingerprint", print}, {"machine", machine_record}});
}

const OpenedCheckpoint* RunJournal::checkpoint(const std::string& name) const {
  const auto found = checkpoints_.find(name);
  return found == checkpoints_.end() ? nullptr : &found->second;
}

void RunJournal::add_checkpoint(const std::string& name, const OpenedCheckpoint& opened) {
  append({{"checkpoint", name}, {"entry", opened.entry}, {"warnings", opened.warnings}});
}

const JudgedGroup* RunJournal::judged(const std::vector<std::string>& ids) const {
  const auto found = groups_.find(ids);
  return found == groups_.end() ? nullptr : &found->second;
}

void RunJournal::add_judged(const JudgedGroup& group) {
  Json warnings = Json::array();
  for (const auto& [id, text] : group.warnings) warnings.push_back({{"case", id}, {"text", text}});
  append({{"judged",
           {{"cases", group.cases},
            {"verification", group.verification.value_or(Json())},
            {"warnings", warnings},
            {"code", static_cast<int>(group.code)}}}});
}

std::unique_ptr<CaseLog> RunJournal::log_of(const std::string& case_id, const SubjectInfo& subject) {
  return std::make_unique<Log>(*this, case_id,
                               Json{{"backend", subject.backend},
                                    {"dtype", subject.dtype},
                                    {"device", subject.device},
                                    {"threads", subject.threads}});
}

void RunJournal::add_peaks(const Json& peaks) { append({{"peaks", peaks}}); }

void RunJournal::finish() { append({{"finished", utc_now()}}); }

void RunJournal::append(const Json& line) {
  if (!broken_.empty()) return;
  try {
    journal_.append(line);
  } catch (const RecordError& error) {
    broken_ = error.what();
  }
}

}  // namespace kvproof
