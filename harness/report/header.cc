// What ran, and at the end what was said about it.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "harness/record/machines.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"
#include "harness/shell_word.h"

namespace kvproof {
namespace {

void add_once(std::vector<std::string>& list, const std::string& text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

/// Whether somebody else's engine runs it; records of before there were any have no such field.
bool is_subject(const View& checkpoint) { return checkpoint.has("subject") && !checkpoint.at("subject").is_null(); }

}  // namespace

std::string checkpoint_text(const View& checkpoint) {
  std::vector<std::string> parts;
  if (is_subject(checkpoint)) {
    parts.push_back("subject: " + shown(checkpoint.at("subject")));
    if (checkpoint.at("parameters").is_null()) return parts.front() + "; its weights are not known here";
  }
  if (checkpoint.at("path").is_null()) {
    parts.push_back("synthetic " + shown(checkpoint.at("tag")));
  } else {
    parts.push_back(shown(checkpoint.at("path")));
    std::string which = checkpoint.at("tag").is_null() ? "" : shown(checkpoint.at("tag"));
    if (!checkpoint.at("source").is_null()) which = shown(checkpoint.at("source")) + " " + which;
    if (const auto step = checkpoint.at("step").integer_or_null()) which += fmt::format(" step {}", *step);
    if (!which.empty()) parts.push_back(which);  // a Hugging Face folder has neither
    if (const auto bpb = checkpoint.at("val_bpb").number_or_null()) parts.push_back("val_bpb " + plain_number(bpb));
  }
  parts.push_back("generation " + shown(checkpoint.at("generation")));
  parts.push_back(count_text(checkpoint.at("parameters").integer()) + " parameters");
  return joined(parts, ", ");
}

std::string settings_text(const View& record) {
  std::set<std::string> subjects;
  for (const View& checkpoint : record.at("checkpoints").items())
    if (is_subject(checkpoint)) subjects.insert(shown(checkpoint.at("name")));
  std::vector<std::string> runs, logits;
  for (const View& one : record.at("cases").items()) {
    if (one.at("status").text() != "ok") continue;
    const View run = one.at("settings").at("run");
    add_once(runs, fmt::format("{}, {}, {}, {}", shown(run.at("backend")), shown(run.at("dtype")),
                               shown(run.at("device")), threads_text(run.at("threads").integer())));
    if (subjects.count(shown(one.at("checkpoint"))) > 0) continue;  // it decides that itself
    const bool all = one.at("settings").at("naive").at("logits").text() == "all";
    add_once(logits, all ? "of all positions, as nanochat does" : "of the last position only");
  }
  if (runs.empty()) return "no case ran";
  const std::string text = joined(runs, " | ");
  return logits.empty() ? text : text + "; naive computes logits " + joined(logits, " | ");
}

std::string machine_text(const View& machine) {
  std::string text =
      machine.at("cpu_model").is_null() ? shown(machine.at("architecture")) : shown(machine.at("cpu_model"));
  text += ", " + counted(machine.at("cores").integer(), "core");
  const View caches = machine.at("caches");
  for (const auto& [name, key] : {std::pair{"L3", "l3_bytes"}, std::pair{"L2", "l2_bytes"}}) {
    const auto bytes = caches.at(key).integer_or_null();
    if (!bytes) continue;
    text += fmt::format(", {} {}", name, bytes_text(bytes));
    break;
  }
  if (const auto memory = machine.at("memory_bytes").integer_or_null()) text += ", memory " + bytes_text(memory);
  return text + "; " + shown(machine.at("os"));
}

std::string machine_name(int64_t index) { return fmt::format("machine {}", index + 1); }

namespace {

bool is_merged(const View& record) { return record.has("merged_from"); }

std::string command_of(const View& words) {
  std::vector<std::string> quoted;
  for (const View& word : words.items()) quoted.push_back(shell_quoted(word.text()));
  return joined(quoted, " ");
}

void add_sessions(const std::string& of, const View& run, std::vector<Sessions>& all) {
  if (!run.has("sessions") || run.at("sessions").items().size() < 2) return;  // older records have none
  all.push_back({of, {}});
  for (const View& session : run.at("sessions").items()) all.back().begins.push_back(shown(session));
}

}  // namespace

std::string title_text(const View& record) {
  std::string title = "kvproof run " + shown(record.at("config").at("file"));
  if (record.has("shard")) {
    const View shard = record.at("shard");
    title += fmt::format(", shard {} of {}", shard.at("index").integer(), shard.at("count").integer());
  }
  if (is_merged(record))
    title += ", merged of " + counted(static_cast<int64_t>(record.at("merged_from").items().size()), "shard");
  return title;
}

std::vector<std::string> commands_of(const View& record) {
  if (!is_merged(record)) return {command_of(record.at("command"))};
  std::vector<std::string> failed, all;
  for (const View& source : record.at("merged_from").items()) {
    all.push_back(command_of(source.at("command")));
    if (source.at("exit_code").integer() != 0) failed.push_back(all.back());
  }
  return failed.empty() ? all : failed;
}

std::vector<Sessions> sessions_of(const View& record) {
  std::vector<Sessions> all;
  if (!is_merged(record)) {
    add_sessions("", record, all);
    return all;
  }
  for (const View& source : record.at("merged_from").items())
    add_sessions(fmt::format("shard {}: ", source.at("shard").integer()), source, all);
  return all;
}

namespace {

/// "out of it 16.0 GB/s": what reading a working set reached; nothing where the clock did not advance.
std::optional<std::string> read_text(const View& peaks, const char* set, const char* words) {
  for (const View& read : peaks.at("read").items()) {
    if (read.at("working_set").text() != set) continue;
    if (const auto rate = read.at("bytes_per_s").number_or_null())
      return fmt::format("{} {:.1f} GB/s", words, *rate / 1e9);
  }
  return std::nullopt;
}

}  // namespace

std::string peaks_text(const View& peaks) {
  std::vector<std::string> reads;
  for (const auto& [set, words] : {std::pair{"in_cache", "in cache"}, std::pair{"out_of_cache", "out of it"}})
    if (const auto text = read_text(peaks, set, words)) reads.push_back(*text);
  std::optional<double> most;
  for (const View& gemm : peaks.at("gemm").items()) {
    const auto rate = gemm.at("flops_per_s").number_or_null();
    if (rate && (!most || *rate > *most)) most = rate;
  }
  std::vector<std::string> parts;
  if (!reads.empty()) parts.push_back("reads " + joined(reads, ", "));
  if (most) parts.push_back(fmt::format("multiplies at {} GFLOP/s", plain_number(*most / 1e9)));
  return fmt::format("{}, {}: {}", threads_text(peaks.at("threads").integer()), shown(peaks.at("dtype")),
                     parts.empty() ? kNone : joined(parts, "; "));
}

std::string program_text(const View& program) {
  std::string text =
      fmt::format("{}, commit {}", shown(program.at("version")), cut(shown(program.at("commit")), 40).substr(0, 7));
  if (program.at("dirty").boolean()) text += " with uncommitted changes";
  text += fmt::format(", {}, {}, LibTorch {}", shown(program.at("build_type")), shown(program.at("compiler")),
                      shown(program.at("torch_version")));
  const std::string sanitizers = shown(program.at("sanitizers"));
  return sanitizers.empty() ? text : text + ", sanitizers: " + sanitizers;
}

namespace {

// How many there are of each, in this order: "2 AGREE, 1 TIE".
std::string tally(const std::vector<std::string>& verdicts, const std::vector<std::string>& order) {
  std::vector<std::string> parts;
  for (const std::string& verdict : order) {
    const auto count = std::count(verdicts.begin(), verdicts.end(), verdict);
    if (count > 0) parts.push_back(fmt::format("{} {}", count, verdict));
  }
  return joined(parts, ", ");
}

const char* meaning_of(int64_t exit_code, bool outputs_disagree) {
  switch (exit_code) {
    case 0:
      return "fine";
    case 1:
      return "a regression is confirmed";
    case 2:
      return "the command line or the config is wrong";
    case 3:
      return "inconclusive";
    case 4:
      return "there is nothing to compare with";
    case 5:
      return outputs_disagree ? "the outputs of naive and engine disagree" : "verification failed: the engine is wrong";
    case 6:
      return "a measurement or its data failed";
    case 70:
      return "a bug in kvproof: please report it";
    case 130:
      return "interrupted; what was measured by then is here";
    default:
      return "unknown to this version of kvproof";
  }
}

}  // namespace

std::string closing_text(const View& record) {
  std::vector<std::string> verdicts, verifications;
  const auto cases = record.at("cases").items();
  for (const View& one : cases) verdicts.push_back(verdict_of(one));
  if (record.has("verifications"))
    for (const View& one : record.at("verifications").items()) verifications.push_back(shown(one.at("verdict")));
  std::string counts = tally(verdicts, {"AGREE", "TIE", "UNVERIFIED", "DISAGREE", "FAILED", "INTERRUPTED"});
  if (!verifications.empty()) counts += "; verification: " + tally(verifications, {"PASS", "INCONCLUSIVE", "FAIL"});
  const bool disagree = std::find(verdicts.begin(), verdicts.end(), "DISAGREE") != verdicts.end();
  const int64_t code = record.at("exit_code").integer();
  return fmt::format("{}{}{}. Exit code {}: {}.", counted(static_cast<int64_t>(cases.size()), "case"),
                     counts.empty() ? "" : ": ", counts, code, meaning_of(code, disagree));
}

namespace {

void write_machine(const View& machine, const std::string& name, int label, Page& page) {
  page.wrapped("  " + left(name, label), machine_text(machine));
  if (!machine.has("peaks")) return;  // records of before they were measured have none
  const char* peaks_name = "peaks";
  for (const View& peaks : machine.at("peaks").items()) {
    page.wrapped("  " + left(peaks_name, label), peaks_text(peaks));
    peaks_name = "";
  }
}

}  // namespace

void write_header(const View& record, Page& page) {
  const std::string title = title_text(record), when = shown(record.at("started"));
  const int gap = page.width() - display_width(title) - display_width(when);
  if (gap >= 2) {
    page.line(page.painted(title, Ink::bold) + left("", gap) + page.painted(when, Ink::dim));
  } else {
    page.wrapped("", title, Ink::bold);
    page.wrapped("", when, Ink::dim);
  }
  page.line();
  const auto machines = machines_of(record);
  int label = machines.size() == 1 ? 7 : display_width(machine_name(static_cast<int64_t>(machines.size()) - 1));
  for (const View& checkpoint : record.at("checkpoints").items())
    label = std::max(label, display_width(shown(checkpoint.at("name"))));
  label = std::min(label, 24) + 2;
  for (const View& checkpoint : record.at("checkpoints").items()) {
    page.wrapped("  " + left(cut(shown(checkpoint.at("name")), label - 2), label), checkpoint_text(checkpoint));
    for (const char* list : {"ambiguities", "guesses"}) {
      for (const View& note : checkpoint.at(list).items()) page.wrapped("  " + left("", label), shown(note), Ink::dim);
    }
  }
  page.wrapped("  " + left("run", label), settings_text(record));
  for (std::size_t i = 0; i < machines.size(); ++i)
    write_machine(machines[i], machines.size() == 1 ? "machine" : machine_name(static_cast<int64_t>(i)), label, page);
  page.wrapped("  " + left("kvproof", label), program_text(record.at("kvproof")));
}

void write_closing(const View& record, Page& page) {
  const auto warnings = record.at("warnings").items();
  if (!warnings.empty()) {
    page.line();
    page.line(page.painted("Warnings", Ink::bold));
    page.line();
    for (const View& warning : warnings) page.wrapped("  - ", shown(warning));
  }
  page.line();
  page.wrapped("", closing_text(record), record.at("exit_code").integer() == 0 ? Ink::good : Ink::bad);
}

}  // namespace kvproof
