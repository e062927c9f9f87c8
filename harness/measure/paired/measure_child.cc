#include "harness/measure/paired/measure_child.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "harness/error.h"
#include "harness/measure/paired/incomparable.h"
#include "harness/shell_word.h"
#include "harness/subject/child_process.h"

namespace kvproof {
namespace {

std::string epoch_words(const std::string& id, const Timed& timed, const EpochLength& length) {
  return length.calls ? fmt::format("epoch of {}, {}, {} calls", id, word_of(timed), *length.calls)
                      : fmt::format("epoch of {}, {}, at least {} ns", id, word_of(timed), length.at_least_ns);
}

}  // namespace

const char* word_of(Side side) {
  return side == Side::base ? "base" : side == Side::candidate ? "candidate" : "control";
}

StartedChild start_process(const std::string& command) {
  auto process = std::make_unique<ChildProcess>(command);
  ChildProcess* const raw = process.get();
  return {std::move(process), command, [raw](double seconds) { raw->set_deadline(seconds); }};
}

std::string measure_command(const std::string& program, const std::string& config,
                            const std::vector<std::string>& sets) {
  std::string command = fmt::format("{} subject --config {}", shell_quoted(program), shell_quoted(config));
  for (const std::string& set : sets) command += " --set " + shell_quoted(set);
  return command;
}

std::function<StartedChild(Side)> starter_of(std::string base, std::string candidate, std::string control) {
  return [base = std::move(base), candidate = std::move(candidate), control = std::move(control)](Side side) {
    return start_process(side == Side::candidate ? candidate : side == Side::base ? base : control);
  };
}

MeasureChild::MeasureChild(Side side, StartedChild child, const MeasureDeadlines& deadlines)
    : side_(side), child_(std::move(child)), deadlines_(deadlines) {
  try {
    say_hello();
  } catch (const SubjectError& error) {
    if (side_ != Side::base) throw;
    throw IncomparableError(
        error.place(),
        fmt::format(
            "{}; the base must know kvproof subject --config and speak {}: a commit before both is no base; build "
            "a newer one",
            error.message(), kMeasureProtocol));
  }
}

void MeasureChild::fail(const std::string& what, const std::string& message) const {
  throw SubjectError(child_.command, fmt::format("{}, {}: {}", word_of(side_), what, message));
}

template <class Look>
auto MeasureChild::interpret(const std::string& what, Look&& look) const {
  try {
    return look();
  } catch (const Error& error) {
    if (error.place() == child_.command) throw;
    fail(what, error.what());
  }
}

void MeasureChild::say_hello() {
  const nlohmann::json answer = ask({{"op", "hello"}, {"protocol", kMeasureProtocol}}, "hello", deadlines_.hello_s);
  hello_ = interpret("hello", [&] { return hello_of(answer); });
}

nlohmann::json MeasureChild::ask(nlohmann::json request, const std::string& what, double seconds) {
  const int64_t id = next_id_++;
  request["id"] = id;
  nlohmann::json answer;
  std::string kind, message;
  try {
    if (child_.set_deadline) child_.set_deadline(seconds);
    write_message(*child_.stream, {std::move(request)});
    answer = read_message(*child_.stream, kMeasureProtocol).header;
    const JsonFields fields(answer);
    if (const int64_t found = fields.integer("id", std::numeric_limits<int64_t>::min()); found != id)
      throw SubjectError("", fmt::format("expected the answer to request {}, found one to {}", id, found));
    if (fields.has("error")) {
      const JsonFields error = fields.object("error");
      kind = error.text("kind");
      message = error.text("message");
    }
  } catch (const Error& error) {
    fail(what, error.place() == child_.command ? error.message() : error.what());
  }
  if (kind.empty()) return answer;
  if (what == "hello" && side_ == Side::base && kind == "config")
    throw IncomparableError(
        child_.command,
        fmt::format("base, hello: it rejects the config: {}; take a config that both programs read, or a newer base",
                    message));
  fail(what, fmt::format("the child answered with an error, {}: {}", kind, message));
}

CaseFacts MeasureChild::open(const std::string& id, const WarmUp& warm_up) {
  const std::string what = "open " + id;
  nlohmann::json paths = nlohmann::json::array();
  for (const Path path : warm_up.paths) paths.push_back(word_of(path));
  const nlohmann::json answer = ask({{"op", "open"},
                                     {"case", id},
                                     {"warm_up_rounds", warm_up.rounds},
                                     {"warm_up_ns", warm_up.most_ns},
                                     {"warm_up_paths", paths}},
                                    what, deadlines_.open_s);
  CaseFacts facts = interpret(what, [&] { return facts_of(answer); });
  if (facts.id != id) fail(what, fmt::format("expected the facts of {}, found those of {}", id, facts.id));
  return facts;
}

EpochTimes MeasureChild::epoch(const std::string& id, const Timed& timed, const EpochLength& length) {
  const std::string what = epoch_words(id, timed, length);
  nlohmann::json request = {{"op", "epoch"}, {"case", id}, {"what", word_of(timed)}};
  if (length.calls) {
    request["calls"] = *length.calls;
  } else {
    request["at_least_ns"] = length.at_least_ns;
  }
  const nlohmann::json answer = ask(std::move(request), what, deadlines_.epoch_s);
  const EpochTimes times = interpret(what, [&] { return times_of(answer); });
  if (length.calls && times.calls != *length.calls)
    fail(what, fmt::format("expected {} calls, found {}", *length.calls, times.calls));
  if (!length.calls && times.wall_ns < length.at_least_ns)
    fail(what, fmt::format("expected at least {} ns, found {}", length.at_least_ns, times.wall_ns));
  return times;
}

void MeasureChild::close(const std::string& id) {
  ask({{"op", "close"}, {"case", id}}, "close " + id, deadlines_.epoch_s);
}

void require_comparable(const MeasureChild& base, const MeasureChild& candidate) {
  const MeasureHello &a = base.hello(), &b = candidate.hello();
  if (a.config_hash != b.config_hash)
    throw IncomparableError(
        base.command(),
        fmt::format(
            "the base reads another config than the candidate: its hash is {}, the candidate's {}; a key or a "
            "default changed between the two programs; write the settings in question into the config, or take a "
            "newer base",
            a.config_hash, b.config_hash));
  if (a.build_type != b.build_type)
    throw IncomparableError(base.command(), fmt::format("the base is a {} build, the candidate a {} one: compile both alike",
                                                        a.build_type, b.build_type));
  if (a.cases != b.cases)
    throw IncomparableError(base.command(),
                            fmt::format("the base makes other cases of the config than the candidate, {} "
                                        "against {}, or of other sizes; take a newer base",
                                        a.cases.size(), b.cases.size()));
}

}  // namespace kvproof
