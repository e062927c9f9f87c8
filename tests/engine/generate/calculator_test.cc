#include "engine/generate/calculator.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/catch.h"

namespace kvproof {
namespace {

// The result's text; "nothing" where there is none (no result reads so).
std::string result(const std::string& expression) { return evaluate_calculator(expression).value_or("nothing"); }

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST_CASE("the calculator gives what Python gives on every saved expression", "[engine][calculator][golden]") {
  std::ifstream file(testing::source_path("tests/data/calculator/cases.json"));
  const auto saved = nlohmann::json::parse(file);
  REQUIRE(saved["cases"].size() >= 300);
  for (const auto& one : saved["cases"]) {
    const auto expression = one[0].get<std::string>();
    CAPTURE(expression);
    CHECK(result(expression) == (one[1].is_null() ? "nothing" : one[1].get<std::string>()));
  }
}

TEST_CASE("arithmetic follows Python's rules for ints and floats", "[engine][calculator]") {
  CHECK(result("7*6") == "42");
  CHECK(result("10/2") == "5.0");  // true division gives a float
  CHECK(result("-7//2") == "-4");  // floors
  CHECK(result("-7.5//2") == "-4.0");
  CHECK(result("1//.1") == "9.0");      // 0.1 is a little more than a tenth
  CHECK(result("93//7.49") == "12.0");  // 93 less the remainder, over 7.49, comes out just below 12
  CHECK(result("2+3*4-1") == "13");
  CHECK(result("2/4/5*10") == "1.0");  // from the left
  CHECK(result("1,234,567+1") == "1234568");
  CHECK(result("99999999999999999999*99999999999999999999") == "9999999999999999999800000000000000000001");
  CHECK(result("- -+-5") == "-5");
  CHECK(result("0*-1.") == "-0.0");
}

TEST_CASE("floats print as Python prints them", "[engine][calculator]") {
  CHECK(result("0.1+0.2") == "0.30000000000000004");
  CHECK(result("1/10000") == "0.0001");
  CHECK(result("1/100000") == "1e-05");
  CHECK(result("9999999999999998.") == "9999999999999998.0");
  CHECK(result("10000000000000000.") == "1e+16");
  CHECK(result(std::string(200, '9') + "." + "*" + std::string(200, '9')) == "inf");
  CHECK(result(std::string(400, '9') + ".*0") == "nan");
}

TEST_CASE("what Python refuses or fails on has no result", "[engine][calculator]") {
  const std::string expression =
      GENERATE("", " ", "007", "2**3", "2* *3", "1 2", "1.2.3", "5 .", "*1", "1+", "(1", "1)", "2(3)", "1/0", "1//0",
               "1./0.", "1e5", "5%2", "0x10", "abs(1)", "1\n", "\t1", "1+\xC3\xA9");
  CAPTURE(expression);
  CHECK(result(expression) == "nothing");
}

TEST_CASE("values of Python that are no numbers have no result", "[engine][calculator]") {
  const std::string expression =
      GENERATE("()", "()*2", "...", "(...)", "'.count('", "().count('a')", "r'abc'.count('a')");
  CAPTURE(expression);
  CHECK(result(expression) == "nothing");
}

TEST_CASE("division of large ints is rounded once and overflows as Python's", "[engine][calculator]") {
  CHECK(result("9007199254740993/1") == "9007199254740992.0");  // 2^53 + 1: a tie goes to the even neighbour
  CHECK(result("9007199254740995/1") == "9007199254740996.0");
  const std::string nines(400, '9');
  CHECK(result(nines + "/1") == "nothing");   // OverflowError
  CHECK(result(nines + "*1.") == "nothing");  // int too large to convert to float
  CHECK(result(nines + ".") == "inf");        // a literal is no conversion
  CHECK(result("1/" + nines) == "0.0");
  CHECK(result(nines + "/" + nines) == "1.0");
}

TEST_CASE("letters are counted in quoted literals", "[engine][calculator]") {
  CHECK(result("'strawberry'.count('r')") == "3");
  CHECK(result("(\"Strawberry\").lower().count('s')") == "1");
  CHECK(result("'aaaa'.count('aa')") == "2");  // places do not overlap
  CHECK(result("'abc'.count('')") == "4");
  CHECK(result("''.count('')") == "1");
  CHECK(result("'a,b,c'.count(',')") == "4");  // commas vanish inside quotes too: 'abc'.count('')
  CHECK(result("'''it's'''.count(\"'\")") == "1");
  CHECK(result("'ab'.lower.count('a')") == "nothing");
  CHECK(result("'abc'.find('a')") == "nothing");
  CHECK(result("'a'.count('a')+1") == "nothing");
}

TEST_CASE("blocked words give no result, inside quotes and in any case", "[engine][calculator]") {
  const std::string word =
      GENERATE("__", "import", "exec", "eval", "compile", "open", "file", "input", "raw_input", "globals", "locals",
               "vars", "dir", "getattr", "setattr", "delattr", "hasattr", "EvaL", "profiler");
  CAPTURE(word);
  CHECK(result("'" + word + "'.count('e')") == "nothing");
  const std::string harmless = word.substr(0, word.size() - 1);
  if (word != "profiler" && word != "raw_input") CHECK(result("'" + harmless + "'.count('z')") == "0");
}

TEST_CASE("deep nesting and long chains neither crash nor recurse without bound", "[engine][calculator]") {
  CHECK(result(repeated("(", 200) + "1" + repeated(")", 200)) == "1");
  CHECK(result(repeated("(", 201) + "1" + repeated(")", 201)) == "nothing");  // CPython: too many nested parentheses
  CHECK(result(repeated("(", 4096)) == "nothing");
  CHECK(result(repeated("-", 4095) + "1") == "-1");
  CHECK(result(repeated("(", 201) + "'a'" + repeated(")", 201) + ".count('a')") == "nothing");
  CHECK(result(repeated("'a'.count(", 300)) == "nothing");
  CHECK(result(repeated("1+", 2047) + "1") == "2048");
}

TEST_CASE("an expression of more than 4096 bytes has no result", "[engine][calculator]") {
  CHECK(result(std::string(4096, '1')) == std::string(4096, '1'));
  CHECK(result(std::string(4097, '1')) == "nothing");
  CHECK(result(std::string(4096, ',') + "1") == "nothing");  // counted before commas go
}

}  // namespace
}  // namespace kvproof
