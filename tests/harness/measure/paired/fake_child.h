// Children that measure without a model: what they answer is written down, and what they were asked can be looked at.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/error.h"
#include "harness/measure/paired/paired.h"
#include "tests/harness/subject/memory_stream.h"

namespace kvproof::testing {

inline MeasureHello small_hello(const std::string& commit) {
  return {"0.1.0", commit, "Release", false, "aaaa", "bbbb", {{"demo/a", 3, 4, 1}, {"demo/b", std::nullopt, 4, 1}}};
}

/// One row of these tokens on both paths, after a prompt of 3.
inline CaseFacts small_facts(const std::string& id, std::vector<int32_t> tokens = {7, 8, 9, 7}) {
  const auto n = static_cast<int64_t>(tokens.size());
  const PathFacts naive{{tokens}, 3 * n + n * (n - 1) / 2, 0, 3, n, "cc"},
      engine{{tokens}, 3 + n - 1, 4096, 3, n, "cc"};
  return {id, "pp3 tg4", "native", "float32", "cpu", 1, naive, engine, true, {}};
}

/// A program as its children show it.
struct FakeProgram {
  MeasureHello hello = small_hello("base");
  std::map<std::string, CaseFacts> cases = {{"demo/a", small_facts("demo/a")}, {"demo/b", small_facts("demo/b")}};
  int64_t wall_ns = 10'000'000, cpu_ns = 8'000'000;  // of a call
  /// Instead of the usual answer, its id included; may throw what a stream throws. Nothing: the usual one.
  std::function<std::optional<nlohmann::json>(const nlohmann::json& request)> instead = {};

  nlohmann::json answer(const nlohmann::json& request) const {
    const std::string op = request.at("op");
    if (op == "hello") return header_of(hello);
    if (op == "open") return header_of(cases.at(request.at("case")));
    if (op == "close") return nlohmann::json::object();
    const Timed timed = timed_of(request.at("what"));
    const int64_t calls =
        request.contains("calls")
            ? request.at("calls").get<int64_t>()
            : std::max<int64_t>(1, (request.at("at_least_ns").get<int64_t>() + wall_ns - 1) / wall_ns);
    const int64_t steps = cases.at(request.at("case")).of(timed.path).steps;
    return header_of(EpochTimes{calls, timed.part == Part::decode ? calls * (steps - 1) : calls, calls * wall_ns,
                                calls * cpu_ns, true});
  }
};

/// What a request was, in a few words: "open demo/a", "epoch demo/a engine_e2e 25000000 ns".
inline std::string words_of_request(const nlohmann::json& request) {
  std::string words = request.at("op").get<std::string>();
  if (request.contains("case")) words += " " + request.at("case").get<std::string>();
  if (request.contains("what")) words += " " + request.at("what").get<std::string>();
  if (request.contains("calls")) words += " x" + std::to_string(request.at("calls").get<int64_t>());
  if (request.contains("at_least_ns")) words += " " + std::to_string(request.at("at_least_ns").get<int64_t>()) + " ns";
  return words;
}

class FakeChild final : public ByteStream {
 public:
  /// log  gets "base: open demo/a" for each request, and "base: gone"
  FakeChild(FakeProgram program, std::string name, std::vector<std::string>& log)
      : program_(std::move(program)), name_(std::move(name)), log_(log) {}
  ~FakeChild() override { log_.push_back(name_ + ": gone"); }

  bool at_end() override { return answers_.empty(); }
  void read(char* to, std::size_t n) override {
    if (n > answers_.size()) throw SubjectError(name_, "ended with exit status 2; its last words: no such flag");
    std::memcpy(to, answers_.data(), n);
    answers_.erase(0, n);
  }
  void write(const char* from, std::size_t n) override {
    MemoryStream sent(std::string(from, n));
    const nlohmann::json request = read_message(sent).header;
    log_.push_back(name_ + ": " + words_of_request(request));
    if (program_.instead) {
      if (const auto other = program_.instead(request)) {
        if (!other->is_null()) answers_ += bytes_of({*other});
        return;
      }
    }
    nlohmann::json answer = program_.answer(request);
    answer["id"] = request.at("id");
    answers_ += bytes_of({std::move(answer)});
  }
  std::string read_available(std::size_t n) override { return std::exchange(answers_, {}).substr(0, n); }

 private:
  FakeProgram program_;
  std::string name_, answers_;
  std::vector<std::string>& log_;
};

/// A session of programs that can be changed from block to block.
struct FakeSession {
  std::map<Side, FakeProgram> programs = {
      {Side::base, {}}, {Side::candidate, {small_hello("new")}}, {Side::control, {}}};
  std::function<void(int64_t child)> before_start = {};  // counts the children from 0
  std::vector<std::string> log;
  PairedSpec spec;

  FakeSession() {
    spec.blocks = spec.rounds = 1;
    spec.cases = {{"demo/a", {{Path::engine, Part::e2e}}, false}};
    spec.start = [this, child = int64_t{0}](Side side) mutable {
      if (before_start) before_start(child);
      ++child;
      return StartedChild{std::make_unique<FakeChild>(programs.at(side), word_of(side), log), word_of(side)};
    };
  }

  /// Requests of the log that begin with a word ("epoch").
  std::vector<std::string> requests(const std::string& op) const {
    std::vector<std::string> found;
    for (const std::string& line : log) {
      if (line.find(": " + op) != std::string::npos) found.push_back(line);
    }
    return found;
  }
};

}  // namespace kvproof::testing
