// Children that say what a test wrote down, whatever they are asked.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <string>

#include "harness/subject/child_subject.h"
#include "tests/harness/subject/memory_stream.h"
#include "tests/support/catch.h"

namespace kvproof::testing {

/// Answers lie in a file that the child copies to its stdout at once; they are read one by one as requests are made. A
/// new child starts from the first again. The file goes with this object.
class ScriptedChild {
 public:
  explicit ScriptedChild(const std::string& answers, const std::string& then = "exit 0") : then_(then) {
    path_ = (std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "/tmp") + std::string("/kvproof-child-XXXXXX");
    const int fd = mkstemp(path_.data());
    REQUIRE(fd >= 0);
    close(fd);
    std::ofstream(path_, std::ios::binary) << answers;
  }
  ~ScriptedChild() { std::remove(path_.c_str()); }
  ScriptedChild(const ScriptedChild&) = delete;
  ScriptedChild& operator=(const ScriptedChild&) = delete;

  std::string command() const { return "cat " + path_ + "; " + then_; }
  ChildOptions options() const {
    ChildOptions options;
    options.command = command();
    options.start_seconds = options.answer_seconds = 10;
    return options;
  }

 private:
  std::string path_, then_;
};

/// The header of a sound answer to hello: two layers of 4 heads over 2 kv heads of 2 numbers, a vocabulary of 3.
inline nlohmann::json small_hello() {
  return {{"id", 1},
          {"protocol", "kvproof-subject/1"},
          {"name", "small 1"},
          {"dtype", "float32"},
          {"device", "cpu"},
          {"model", {{"vocab_size", 3}, {"n_layer", 2}, {"n_head", 4}, {"n_kv_head", 2}, {"head_dim", 2}}},
          {"can", {"uncached", "read_slots"}}};
}

/// Headers as messages, one after the other.
inline std::string answers(std::initializer_list<nlohmann::json> headers) {
  std::string bytes;
  for (const auto& header : headers) bytes += bytes_of({header});
  return bytes;
}

}  // namespace kvproof::testing
