// Verification again and again, with a log that survives being cut short.
#include "harness/verify/verdict/sweeps.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "engine/model/model.h"
#include "harness/verify/verdict/own_engine.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Bench {
  Checkpoint checkpoint = small_checkpoint();
  std::unique_ptr<Model> model = make_model(checkpoint, {"auto", "float64", "cpu"});
  OwnEngine engine{checkpoint, *model, nullptr, {{"short_window", "5"}}};
  VerifyOptions options{.depth = Depth::quick, .seed = 5, .seconds = 0.05, .vectors = false, .behaviour = false};
  std::filesystem::path file = std::filesystem::temp_directory_path() / "kvproof_sweeps_test.jsonl";

  Bench() { std::filesystem::remove(file); }
  ~Bench() { std::filesystem::remove(file); }
  Json run(int64_t count) { return run_sweeps(engine.target(), options, count, "small", file); }
};

}  // namespace

TEST_CASE("each sweep leaves a line, and a second call runs only what is missing", "[verdict][sweeps]") {
  Bench bench;
  const Json first = bench.run(2);
  CHECK(first["sweeps"] == 2);
  CHECK(first["pass"] == 2);
  const std::string two = read(bench.file);
  CHECK(std::count(two.begin(), two.end(), '\n') == 2);
  const Json line = Json::parse(two.substr(0, two.find('\n')));
  CHECK(line["seed"] == 5);
  CHECK(line["verdict"] == "PASS");
  CHECK(line["worst"]["L2"].get<double>() < 1e-3);  // float64's rounding, in units of its gate; worst seen 2.1e-5

  bench.run(3);
  const std::string three = read(bench.file);
  CHECK(three.substr(0, two.size()) == two);
  CHECK(std::count(three.begin(), three.end(), '\n') == 3);
}

TEST_CASE("a line that a kill cut short is dropped and its sweep done again", "[verdict][sweeps]") {
  Bench bench;
  bench.run(2);
  const std::string whole = read(bench.file);
  std::filesystem::resize_file(bench.file, whole.size() - 20);
  CHECK(bench.run(2)["pass"] == 2);
  CHECK(read(bench.file) == whole);
}

TEST_CASE("sweeps of another dtype or depth in the same log do not count", "[verdict][sweeps]") {
  Bench bench;
  bench.run(1);
  std::string text = read(bench.file);
  text.replace(text.find("float64"), 7, "float32");
  std::ofstream(bench.file, std::ios::binary) << text;
  bench.run(1);
  const std::string after = read(bench.file);
  CHECK(std::count(after.begin(), after.end(), '\n') == 2);
}

TEST_CASE("a log that is something else is refused and kept", "[verdict][sweeps]") {
  Bench bench;
  std::ofstream(bench.file) << "not JSON\n";
  CHECK_THROWS_WITH(bench.run(1), Catch::Matchers::Contains("line 1 is not JSON; move the file away or mend it"));
  CHECK(read(bench.file) == "not JSON\n");
}

TEST_CASE("the share of alarms that so many quiet sweeps allow is Clopper and Pearson's", "[verdict][sweeps]") {
  CHECK(share_at_most(0, 300) == Approx(0.0099362).epsilon(1e-4));  // 1 - 0.05^(1/300)
  CHECK(share_at_most(1, 60) == Approx(0.0766399).epsilon(1e-4));   // the Beta(2, 59) distribution's 95th percentile
  CHECK(share_at_most(0, 0) == 1);
  CHECK(share_at_most(4, 4) == 1);
}
