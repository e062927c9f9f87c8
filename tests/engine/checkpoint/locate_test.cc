#include "engine/checkpoint/locate.h"

#include <chrono>
#include <cstdlib>

#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;
using testing::fault_of;
using testing::TempDir;
using testing::write_bytes;

void put(const TempDir& base, const std::string& source, const std::string& tag, int64_t step, bool meta = true) {
  const auto digits = std::to_string(step);
  const auto padded = std::string(6 - std::min<size_t>(6, digits.size()), '0') + digits;
  const auto folder = base / (source + "_checkpoints") / tag;
  write_bytes(folder / ("model_" + padded + ".pt"), "model");
  if (meta) write_bytes(folder / ("meta_" + padded + ".json"), "{}");
}

// Sets an environment variable and puts the old value back.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~Environment() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST_CASE("the only checkpoint is found, and what was guessed is said", "[engine][locate]") {
  const TempDir base;
  put(base, "base", "d4", 50);
  const auto found = locate_checkpoint({base.path(), {}, {}, {}});
  CHECK(found.model_file == base / "base_checkpoints" / "d4" / "model_000050.pt");
  CHECK(found.meta_file == base / "base_checkpoints" / "d4" / "meta_000050.json");
  CHECK(found.tokenizer_dir.empty());
  CHECK(found.guesses ==
        std::vector<std::string>{"source base: the only one present", "tag d4: the only one", "step 50: the only one"});
  fs::create_directory(base / "tokenizer");
  CHECK(locate_checkpoint({base.path(), {}, {}, {}}).tokenizer_dir == base / "tokenizer");
  CHECK(locate_checkpoint({base.path(), "base", "d4", 50}).guesses.empty());
}

TEST_CASE("of several sources the most trained is taken", "[engine][locate]") {
  const TempDir base;
  put(base, "base", "d4", 50);
  put(base, "mid", "d4", 60);
  CHECK(locate_checkpoint({base.path(), {}, {}, {}}).guesses[0] == "source mid: the first of mid, base");
  put(base, "chatrl", "d4", 70);
  CHECK(locate_checkpoint({base.path(), {}, {}, {}}).source == "rl");
  put(base, "chatsft", "d4", 80);
  CHECK(locate_checkpoint({base.path(), {}, {}, {}}).guesses[0] == "source sft: the first of sft, rl, mid, base");
  CHECK(locate_checkpoint({base.path(), "base", {}, {}}).step == 50);
  // A tag or step that is given leaves only the sources that have it.
  CHECK(locate_checkpoint({base.path(), {}, {}, 60}).source == "mid");
}

TEST_CASE("of several tags the largest d<number> is taken, of equals the last by name", "[engine][locate]") {
  const TempDir base;
  for (const auto* tag : {"d4", "d12", "d9", "zebra", "d", "e20", "x-d40"}) put(base, "base", tag, 1);
  auto found = locate_checkpoint({base.path(), {}, {}, {}});
  CHECK(found.tag == "d12");
  CHECK(found.guesses[1] == "tag d12: the largest d<number> of d, d12, d4, d9, e20, x-d40, zebra");
  put(base, "base", "d12-b", 1);
  put(base, "base", "d012-a", 1);
  CHECK(locate_checkpoint({base.path(), {}, {}, {}}).tag == "d12-b");
  put(base, "base", "d99999999999999999999999999", 1);  // beyond 64 bits
  CHECK(locate_checkpoint({base.path(), {}, {}, {}}).tag == "d99999999999999999999999999");
}

TEST_CASE("without a d<number> the folder modified last is taken", "[engine][locate]") {
  const TempDir base;
  const auto now = fs::file_time_type::clock::now();
  for (const auto* tag : {"alpha", "beta", "gamma"}) put(base, "base", tag, 1);
  for (const auto* tag : {"alpha", "gamma"})
    fs::last_write_time(base / "base_checkpoints" / tag, now - std::chrono::hours(2));
  fs::last_write_time(base / "base_checkpoints" / "beta", now - std::chrono::hours(1));
  const auto found = locate_checkpoint({base.path(), {}, {}, {}});
  CHECK(found.tag == "beta");
  CHECK(found.guesses[1] == "tag beta: modified last of alpha, beta, gamma");
}

TEST_CASE("half-written checkpoints, optimizer shards and foreign names are passed over", "[engine][locate]") {
  const TempDir base;
  put(base, "base", "d4", 50);
  put(base, "base", "d4", 100);
  put(base, "base", "d4", 150, false);  // killed before the meta file
  put(base, "base", "d20", 10, false);
  const auto folder = base / "base_checkpoints" / "d4";
  for (const auto* name :
       {"optim_000200.pt", "optim_000200_rank0.pt", "model_000300.pt.tmp", "model_final.pt", "model_50.pt", "model_.pt",
        "model_99999999999999999999.pt", "meta_000400.json", "notes.txt"}) {
    write_bytes(folder / name, "x");
  }
  write_bytes(folder / "model_000500.pt", "");  // a full disk
  write_bytes(folder / "meta_000500.json", "{}");
  write_bytes(base / "base_checkpoints" / "d30", "a file, no folder");
  fs::create_directories(base / "chatsft_checkpoints" / "d4");
  fs::create_directories(base / "eval_bundle");
  fs::create_directory_symlink("/nonexistent", base / "base_checkpoints" / "d40");
  const auto found = locate_checkpoint({base.path(), {}, {}, {}});
  CHECK(found.source == "base");
  CHECK(found.step == 100);
  CHECK(found.guesses == std::vector<std::string>{"source base: the only one present",
                                                  "tag d4: the only one; without a fitting checkpoint: d20",
                                                  "step 100: the largest of 2"});
}

TEST_CASE("steps beyond six digits are found", "[engine][locate]") {
  const TempDir base;
  put(base, "base", "d4", 999999);
  put(base, "base", "d4", 1000000);
  CHECK(locate_checkpoint({base.path(), {}, {}, {}}).model_file.filename() == "model_1000000.pt");
}

TEST_CASE("the base directory comes from the environment where none is given", "[engine][locate]") {
  const TempDir base, home;
  put(base, "base", "d4", 50);
  const Environment named("NANOCHAT_BASE_DIR", base.path().c_str()), home_variable("HOME", home.path().c_str());
  CHECK(locate_checkpoint({}).base_dir == base.path());
  const std::string next =
      "; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir, or set "
      "NANOCHAT_BASE_DIR";
  {
    const Environment gone("NANOCHAT_BASE_DIR", "/nonexistent");
    CHECK(fault_of([] { locate_checkpoint({}); }) ==
          "checkpoint| /nonexistent (from $NANOCHAT_BASE_DIR): no such folder" + next);
  }
  const Environment unnamed("NANOCHAT_BASE_DIR", nullptr);
  CHECK(fault_of([] { locate_checkpoint({}); }, home.path()) ==
        "checkpoint| .cache/nanochat (nanochat's default): no such folder" + next);
  fs::create_directories(home / ".cache");
  fs::create_directory_symlink(base.path(), home / ".cache" / "nanochat");
  CHECK(locate_checkpoint({}).step == 50);
  const Environment homeless("HOME", nullptr);
  CHECK(fault_of([] { locate_checkpoint({}); }) ==
        "checkpoint| no base directory: neither $NANOCHAT_BASE_DIR nor $HOME is set; pass --base-dir");
}

TEST_CASE("a checkpoint that is not there is an error that says what is", "[engine][locate]") {
  const TempDir base;
  const auto fault = [&](const CheckpointRequest& request) {
    auto with_base = request;
    if (with_base.base_dir.empty()) with_base.base_dir = base.path();
    return fault_of([&] { locate_checkpoint(with_base); }, base.path().parent_path());
  };
  const std::string name = base.path().filename().string();
  const std::string at = "checkpoint| " + name + ": ";
  const std::string nowhere =
      "searched chatsft_checkpoints (missing), chatrl_checkpoints (missing), mid_checkpoints (missing), "
      "base_checkpoints";
  const std::string pass = "; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir";
  CHECK(fault({}) == at + "no checkpoint: " + nowhere + " (missing); the folder holds nothing" + pass);
  fs::create_directory(base / "pictures");
  CHECK(fault({{}, "sft", {}, {}}) ==
        at + "no checkpoint with source sft: searched chatsft_checkpoints (missing); the folder holds pictures" + pass);
  put(base, "base", "d4", 7, false);
  CHECK(fault({}) == at + "no checkpoint: " + nowhere +
                         "; incomplete: base_checkpoints/d4/model_000007.pt without meta_000007.json; the folder holds "
                         "base_checkpoints, pictures" +
                         pass);
  put(base, "base", "d4", 50);
  CHECK(fault({{}, "sft", "d9\n", 3}) ==
        at +
            "no checkpoint with source sft, tag 'd9\\x0a', step 3: searched chatsft_checkpoints (missing); incomplete: "
            "base_checkpoints/d4/model_000007.pt without meta_000007.json; complete: base/d4 step 50; "
            "try --source base --tag d4 --step 50");
  CHECK(fault({{}, "chat", {}, {}}) == "argument| source: expected base, mid, sft or rl, found 'chat'");
  CHECK(fault({{}, {}, {}, -1}) == "argument| step: expected at least 0, found -1");
  const std::string all_missing = nowhere + " (missing); the folder holds ";
  CHECK(fault({base / "base_checkpoints", {}, {}, {}}) ==
        "checkpoint| " + name + "/base_checkpoints: no checkpoint: " + all_missing +
            "d4; the base directory is further up: try --base-dir " + name);
  CHECK(fault({base / "base_checkpoints/d4/", {}, {}, {}}) ==
        "checkpoint| " + name + "/base_checkpoints/d4/: no checkpoint: " + all_missing +
            "meta_000050.json, model_000007.pt, model_000050.pt; the base directory is further up: try --base-dir " +
            name);
}

}  // namespace
}  // namespace kvproof
