// Children of every kind: what they say, how they end, what is left of them.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "harness/error.h"
#include "harness/subject/child_process.h"
#include "tests/support/catch.h"

using namespace kvproof;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::string read(ChildProcess& child, std::size_t n) {
  std::string bytes(n, '\0');
  child.set_deadline(20);
  child.read(bytes.data(), n);
  return bytes;
}

/// Whether nobody of a process group is left, within two seconds; what is dead and not yet collected does not count.
bool group_is_gone(pid_t group) {
  for (int i = 0; i < 200; ++i) {
    if (kill(-group, 0) != 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

int open_descriptors() {
  int open = 0;
  for (int fd = 0; fd < 1024; ++fd) open += fcntl(fd, F_GETFD) >= 0;
  return open;
}

}  // namespace

TEST_CASE("what is written comes back from a child that repeats it, megabytes in both directions at once") {
  ChildProcess child("exec cat");
  for (const std::size_t n : {std::size_t{1}, std::size_t{70'000}, std::size_t{9'000'000}}) {
    std::string sent(n, 'a');
    for (std::size_t i = 0; i < n; i += 97) sent[i] = static_cast<char>('a' + i % 26);
    child.set_deadline(20);
    child.write(sent.data(), n);
    CHECK(read(child, n) == sent);
  }
  CHECK(child.running());
}

TEST_CASE("a child that ends is told with its exit status and its last words") {
  struct Ended {
    std::string command, message;
  };
  const std::vector<Ended> table = {
      {"exit 0", "exit 0: ended with exit status 0"},
      {"echo a >&2; echo b >&2; echo c >&2; echo d >&2; exit 1",
       "echo a >&2; echo b >&2; echo c >&2; echo d >&2; exit 1: ended with exit status 1; its last words: b | c | d"},
      {"kill -SEGV $$", "kill -SEGV $$: was ended by a signal (signal 11, Segmentation fault)"},
  };
  for (const Ended& ended : table) {
    ChildProcess child(ended.command);
    CHECK_THROWS_WITH(read(child, 4), ended.message);
    CHECK_FALSE(child.running());
  }
  ChildProcess shell("sh -c 'kill -9 $$'; exit $?");
  CHECK_THROWS_WITH(read(shell, 4), Catch::Matchers::Contains("ended with exit status 137 (signal 9, Killed)"));
  ChildProcess missing("no-such-engine --flag");
  CHECK_THROWS_WITH(read(missing, 4), Catch::Matchers::Contains("ended with exit status 127; its last words: ") &&
                                          Catch::Matchers::Contains("no-such-engine"));
}

TEST_CASE("a child that closes its stdout and lives on is told so") {
  ChildProcess child("exec >&-; exec sleep 30");
  const auto begin = Clock::now();
  CHECK_THROWS_WITH(read(child, 1), "exec >&-; exec sleep 30: closed its stdout, and is still running");
  CHECK(seconds_since(begin) < 5);
  child.kill();
}

TEST_CASE("a child that says nothing is given up when the time is over") {
  ChildProcess child("echo 'still loading' >&2; exec sleep 30");
  child.set_deadline(0.3);
  char byte = 0;
  const auto begin = Clock::now();
  CHECK_THROWS_WITH(child.read(&byte, 1),
                    Catch::Matchers::Contains("nothing came for 0.3 s, and it is still running; its "
                                              "last words: still loading"));
  CHECK(seconds_since(begin) >= 0.3);
  CHECK(seconds_since(begin) < 3);
  child.kill();
}

TEST_CASE("a child that does not listen is given up too, and one that has left is no signal to us") {
  const std::string much(4 << 20, 'x');
  ChildProcess deaf("exec sleep 30");
  deaf.set_deadline(0.3);
  CHECK_THROWS_WITH(deaf.write(much.data(), much.size()), Catch::Matchers::Contains("nothing came for 0.3 s"));
  deaf.kill();

  ChildProcess gone("exit 5");
  while (gone.running()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  gone.set_deadline(5);
  CHECK_NOTHROW(gone.write(much.data(), much.size()));  // SIGPIPE would have ended this test
  CHECK_THROWS_WITH(read(gone, 1), "exit 5: ended with exit status 5");
}

TEST_CASE("what a child printed instead of a message can be quoted, all of it") {
  ChildProcess child("printf Hel; sleep 0.01; printf 'lo\\n'; exec sleep 30");
  CHECK(read(child, 1) == "H");
  CHECK(child.read_available(60) == "ello\n");
  child.kill();
}

TEST_CASE("a child that floods its stderr is not blocked, and the end of it is kept") {
  ChildProcess child("head -c 3000000 /dev/zero | tr '\\0' 'e' >&2; echo >&2; echo last >&2; printf done; exit 4");
  CHECK(read(child, 4) == "done");
  CHECK_THAT(child.describe_end(),
             Catch::Matchers::Contains("exit status 4; its last words: …") && Catch::Matchers::Contains("eee | last"));
}

TEST_CASE("a child that talks before it listens is heard") {
  // It fills its stdout beyond any pipe before it reads a byte of its stdin.
  ChildProcess child("head -c 3000000 /dev/zero; head -c 3000000 | wc -c");
  const std::string much(3'000'000, 'x');
  child.set_deadline(20);
  child.write(much.data(), much.size());
  CHECK(read(child, 3'000'000) == std::string(3'000'000, '\0'));
  CHECK_THAT(read(child, 7), Catch::Matchers::Contains("3000000"));
}

TEST_CASE("destruction lets a child finish, kills one that does not, and leaves nothing open or behind") {
  const int before = open_descriptors();
  {
    ChildProcess polite("cat > /dev/null; exit 0");
    CHECK(polite.running());
  }
  pid_t group = 0;
  const auto begin = Clock::now();
  {
    ChildProcess stubborn("trap '' TERM INT HUP; sleep 60 & echo $$; while true; do sleep 60; done");
    std::string line;
    for (char c = 0; c != '\n'; line += c) c = read(stubborn, 1)[0];
    group = std::atoi(line.c_str());
    CHECK(kill(-group, 0) == 0);
  }
  CHECK(seconds_since(begin) >= 1.9);
  CHECK(seconds_since(begin) < 6);
  CHECK(group_is_gone(group));
  CHECK(open_descriptors() == before);
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);  // no children at all: none is a zombie
}

TEST_CASE("a child inherits no pipe of another") {
  const auto descriptors = [] {
    ChildProcess child("exec ls /proc/self/fd 2> /dev/null");
    child.set_deadline(20);
    std::string text;
    while (!child.at_end()) text += child.read_available(1);
    return text;
  };
  const std::string alone = descriptors();  // what this test was started with may be among them
  ChildProcess other("exec cat");
  CHECK(descriptors() == alone);
}

TEST_CASE("should we be killed, no child is left") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t parent = fork();
  if (parent == 0) {
    ChildProcess child("trap '' PIPE HUP INT TERM; echo $$; while true; do sleep 60; done");
    char line[32] = {};
    child.set_deadline(10);
    for (char* c = line; c == line || c[-1] != '\n'; ++c) child.read(c, 1);
    (void)!write(ends[1], line, sizeof line);
    pause();
    _exit(0);
  }
  char line[32] = {};
  REQUIRE(::read(ends[0], line, sizeof line) == static_cast<ssize_t>(sizeof line));
  const pid_t group = std::atoi(line);
  CHECK(kill(-group, 0) == 0);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  CHECK(group_is_gone(group));
  close(ends[0]);
  close(ends[1]);
}
