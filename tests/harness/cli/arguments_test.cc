#include "harness/cli/arguments.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>

#include "engine/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::cli;

namespace {

/// A command line with one flag of each kind.
struct CommandLine {
  CLI::App app;
  explicit CommandLine(std::vector<std::string> words) {
    add_value(app, "--value", "X", "");
    add_list(app, "--list", "X", "");
    add_toggle(app, "--toggle", "");
    add_positional(app, "FILE", "");
    std::reverse(words.begin(), words.end());
    app.parse(words);
  }
  Arguments arguments() const { return Arguments(app); }
};

/// The message of the ArgumentError that f throws.
template <class F>
std::string complaint(F&& f) {
  try {
    f();
  } catch (const ArgumentError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

Arguments with_value(const std::string& value) {
  static std::vector<std::unique_ptr<CommandLine>> kept;
  kept.push_back(std::make_unique<CommandLine>(std::vector<std::string>{"--value", value}));
  return kept.back()->arguments();
}

}  // namespace

TEST_CASE("what was not given is absent", "[harness][cli]") {
  const CommandLine line({});
  const auto arguments = line.arguments();
  CHECK_FALSE(arguments.given("--toggle"));
  CHECK_FALSE(arguments.text("--value"));
  CHECK_FALSE(arguments.text("FILE"));
  CHECK_FALSE(arguments.integer("--value", 0, 9));
  CHECK(arguments.texts("--list").empty());
  CHECK(complaint([&] { arguments.required("FILE", "a file"); }) == "FILE: is missing; give a file");
}

TEST_CASE("values, lists, toggles and positionals are told apart", "[harness][cli]") {
  const CommandLine line({"--list", "a", "name", "--toggle", "--list", "b", "--value", "--toggle"});
  const auto arguments = line.arguments();
  CHECK(arguments.given("--toggle"));
  CHECK(arguments.texts("--list") == std::vector<std::string>{"a", "b"});
  CHECK(arguments.text("FILE") == "name");
  CHECK(arguments.text("--value") == "--toggle");  // a value may look like a flag
}

TEST_CASE("a flag given twice is an error, not the last one wins", "[harness][cli]") {
  const CommandLine line({"--value", "1", "--value", "2"});
  CHECK(complaint([&] { line.arguments().integer("--value", 0, 9); }) == "--value: was given 2 times; give it once");
}

TEST_CASE("integers are whole words in a range", "[harness][cli]") {
  CHECK(with_value("7").integer("--value", 0, 9) == 7);
  CHECK(with_value("-3").integer("--value", -5, 9) == -3);
  for (const std::string bad : {"", "10", "-1", "1.0", "1e3", " 1", "1 ", "+1", "0x1", "one", "99999999999999999999"}) {
    CHECK(complaint([&] { with_value(bad).integer("--value", 0, 9); }) ==
          "--value: must be an integer from 0 to 9, got \"" + bad + "\"");
  }
  CHECK(with_value("18446744073709551615").unsigned_integer("--value") == 18446744073709551615u);
  CHECK(complaint([&] { with_value("-1").unsigned_integer("--value"); }) ==
        "--value: must be an integer from 0 to 18446744073709551615, got \"-1\"");
}

TEST_CASE("numbers are finite and not too small", "[harness][cli]") {
  CHECK(with_value("0.5").number("--value", 0) == 0.5);
  CHECK(with_value("1e-3").number("--value", 0) == 1e-3);
  for (const std::string bad : {"", "-0.1", "nan", "inf", "0,5", "1x", "1e999"}) {
    CHECK(complaint([&] { with_value(bad).number("--value", 0); }) ==
          "--value: must be a number of at least 0, got \"" + bad + "\"");
  }
}

TEST_CASE("a word is one of a few, or a near one is proposed", "[harness][cli]") {
  CHECK(with_value("naive").word("--value", {"engine", "naive"}) == "naive");
  CHECK(complaint([&] {
          with_value("nave").word("--value", {"engine", "naive"});
        }) == "--value: unknown value \"nave\", did you mean \"naive\"?");
  CHECK(complaint([&] {
          with_value("slow").word("--value", {"engine", "naive"});
        }) == "--value: unknown value \"slow\"; one of engine, naive");
}

TEST_CASE("token ids are separated by commas, spaces around them are fine", "[harness][cli]") {
  CHECK(with_value("1,2,3").token_ids("--value") == std::vector<int32_t>{1, 2, 3});
  CHECK(with_value(" 0 , 2147483647 ").token_ids("--value") == std::vector<int32_t>{0, 2147483647});
  CHECK(complaint([&] { with_value("").token_ids("--value"); }) ==
        "--value: is empty; give integers separated by commas, such as 1,2,3");
  CHECK(complaint([&] { with_value("1,,3").token_ids("--value"); }) ==
        "--value: item 2 must be an integer from 0 to 2147483647, got \"\"; write 1,2,3");
  CHECK(complaint([&] { with_value("1 2").token_ids("--value"); }) ==
        "--value: item 1 must be an integer from 0 to 2147483647, got \"1 2\"; write 1,2,3");
  CHECK(complaint([&] { with_value("4294967296").token_ids("--value"); }) ==
        "--value: item 1 must be an integer from 0 to 2147483647, got \"4294967296\"; write 1,2,3");
  CHECK(complaint([] {
          check_token_ids({0, 9, 10}, 10, "--ids");
        }) == "--ids: token id 10 at item 3 is outside the vocabulary; ids go from 0 to 9");
}

TEST_CASE("pairs come from every occurrence", "[harness][cli]") {
  const CommandLine line({"--list", "a=1,b=2", "--list", "c=x=y"});
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(line.arguments().pairs("--list") == Pairs{{"a", "1"}, {"b", "2"}, {"c", "x=y"}});
  for (const std::string bad : {"", "a", "=1", "a=", "a=1,"}) {
    const CommandLine wrong({"--list", bad});
    CHECK_THAT(complaint([&] { wrong.arguments().pairs("--list"); }),
               Catch::Matchers::Contains("--list: expected key=value, got \""));
  }
}

TEST_CASE("text that is not UTF-8 is told with its offset", "[harness][cli]") {
  CHECK_NOTHROW(check_utf8("Zürich", "--text"));
  CHECK(complaint([] { check_utf8("ab\xff", "--text"); }) == "--text: is not UTF-8: byte 2 is invalid");
}
