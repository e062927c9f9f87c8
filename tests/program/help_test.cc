// Help, version, and where words go.
#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;

namespace {

const std::vector<std::string> kCommands = {"run",  "plan",     "init",       "verify", "report",  "generate",
                                            "chat", "tokenize", "detokenize", "logits", "inspect", "machine",
                                            "synthesize", "subject", "merge", "baseline", "history"};

}  // namespace

TEST_CASE("every command says what it takes and what its exit codes mean", "[program]") {
  const auto top = run_kvproof({"--help"});
  CHECK(top.code == 0);
  for (const auto& command : kCommands) {
    CAPTURE(command);
    CHECK_THAT(top.out, Catch::Matchers::Contains("\n  " + command + " "));
    const auto help = run_kvproof({command, "--help"});
    CHECK(help.code == 0);
    CHECK(help.err.empty());
    for (const auto* said : {"--format", "Exit codes:", "\n  0    fine",
                             "\n  2    the command line or the config is wrong", "\n  70   a bug of kvproof"}) {
      CHECK_THAT(help.out, Catch::Matchers::Contains(said));
    }
    CHECK(run_kvproof({command, "--help", "--format", "json"}).json()["help"] == help.out);
  }
  CHECK_THAT(run_kvproof({"run", "--help"}).out, Catch::Matchers::Contains("\n  5    naive and engine disagree"));
}

TEST_CASE("the version says what was built, with what, and what it runs on", "[program]") {
  const auto run = run_kvproof({"--version", "--format", "json"});
  CHECK(run.code == 0);
  const auto document = run.json();
  for (const auto* key : {"version", "commit", "build_type", "compiler", "torch_version", "cpu_capability"}) {
    CHECK_FALSE(document[key].get<std::string>().empty());
  }
  CHECK(document["cpu_targets"].size() >= 1);
  const auto text = run_kvproof({"--version"});
  CHECK(text.out.rfind("kvproof " + document["version"].get<std::string>() + "\n", 0) == 0);
  CHECK_THAT(text.out, Catch::Matchers::Contains("LibTorch   " + document["torch_version"].get<std::string>()));
}

TEST_CASE("no command at all is a fault of usage", "[program]") {
  const auto run = run_kvproof({});
  CHECK(run.code == 2);
  CHECK(run.out.empty());
  CHECK(run.err == "error: no command was given; kvproof --help lists what there is\n");
}

TEST_CASE("an output that cannot be written is a failure", "[program]") {
  if (!std::filesystem::exists("/dev/full")) return;
  const TempDir temp;
  const std::string command = std::string(KVPROOF_PROGRAM) + " --version > /dev/full 2> " + temp / "err";
  CHECK(std::system(command.c_str()) / 256 == 6);
  CHECK(read_file(temp / "err") == "error: stdout: the output could not be written: No space left on device\n");
}
