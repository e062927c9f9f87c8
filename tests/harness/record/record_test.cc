#include "harness/record/record.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <stdexcept>

#include "harness/error.h"
#include "harness/record/view.h"
#include "tests/harness/record/support.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using namespace kvproof::testing;
namespace fs = std::filesystem;

namespace {

Json small_record() {
  return {{"schema", record_schema()},
          {"started", "2026-11-22T10:15:00Z"},
          {"config", {{"file", "configs/demo.yaml"}, {"hash", "a1b2c3d4e5f60718"}}}};
}

}  // namespace

TEST_CASE("a run's file is named after its start, its config and the config's hash", "[record]") {
  CHECK(run_name("2026-11-22T10:15:00Z", "demo", "a1b2c3d4e5f60718") == "20261122T101500Z-demo-a1b2c3");
  CHECK(run_name("2026-11-22T10:15:00Z", "my run/é:2", "abc") == "20261122T101500Z-my-run-é-2-abc");
}

TEST_CASE("a run is written whole, into a folder made for it, and read back equal", "[record]") {
  const TempDir folder;
  const Json record = small_record();
  const fs::path file = folder / "results/runs/20261122T101500Z-demo-a1b2c3.json";
  write_json(file, record);
  CHECK(folder.names("results/runs") == std::vector<std::string>{"20261122T101500Z-demo-a1b2c3.json"});  // no part left
  CHECK(read_record(file) == record);
  CHECK(read_file(file).starts_with(
      "{\n \"schema\": {\n  \"name\": \"kvproof-run\",\n  \"version\": 1\n },\n \"started\""));
  CHECK(read_file(file).ends_with("}\n"));
}

TEST_CASE("a document replaces its predecessor in one step and keeps nothing beside it", "[record]") {
  const TempDir folder;
  const fs::path file = folder.write("one.json", std::string(100000, 'x'));
  const fs::path old_name = folder / "old.json";
  fs::create_hard_link(file, old_name);
  write_json(file, {{"a", 1}});
  CHECK(read_file(file) == "{\n \"a\": 1\n}\n");
  CHECK(read_file(old_name).size() == 100000);  // the old content was not written into: who had it open still reads it
  CHECK(folder.names() == std::vector<std::string>{"old.json", "one.json"});
}

TEST_CASE("a document that cannot be written is an error and leaves nothing behind", "[record]") {
  const TempDir folder;
  const fs::path file = folder.write("file", "");
  CHECK(error_of([&] { write_json(file / "below.json", {}); }) ==
        (file / "below.json").string() + ": its folder cannot be made: Not a directory; nothing was written");
  fs::create_directories(folder / "taken.json/full");
  CHECK(error_of([&] { write_json(folder / "taken.json", {}); }) ==
        (folder / "taken.json").string() + ": cannot be put in place: Is a directory; nothing was written");
  CHECK(folder.names() == std::vector<std::string>{"file", "taken.json"});
}

TEST_CASE("a full disk is an error and leaves nothing behind", "[record]") {
  if (access("/dev/full", W_OK) != 0) {
    WARN("skipped: there is no /dev/full here");
    return;
  }
  const TempDir folder;
  // The part file's name is known, so it can be made to lead to a device that is always full.
  fs::create_symlink("/dev/full", folder / (".one.json." + std::to_string(getpid()) + ".part"));
  CHECK(error_of([&] { write_json(folder / "one.json", {}); }) ==
        (folder / "one.json").string() + ": cannot be written: No space left on device; nothing was written");
  CHECK(folder.names().empty());
}

TEST_CASE("NaN and Infinity in a record are a bug, named by their place", "[record]") {
  const TempDir folder;
  Json record = small_record();
  record["cases"] = Json::array({{{"x", 1.0}}, {{"x", std::numeric_limits<double>::quiet_NaN()}}});
  CHECK_THROWS_WITH(write_json(folder / "one.json", record), "a record must not hold NaN or Infinity, found at /cases/1/x");
  record["cases"][1]["x"] = -std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(write_json(folder / "one.json", record), std::logic_error);
  CHECK(folder.names().empty());
}

TEST_CASE("bytes that are not UTF-8 become replacement characters", "[record]") {
  const TempDir folder;
  write_json(folder / "one.json", {{"text", "a\xff\xc3"}});
  CHECK(read_file(folder / "one.json") == "{\n \"text\": \"a\xEF\xBF\xBD\xEF\xBF\xBD\"\n}\n");
}

TEST_CASE("a file that is no record of this version is refused with what to do", "[record]") {
  struct Row {
    std::string text, message;
  };
  const auto row = GENERATE(values<Row>({
      {"", "ends after 0 bytes in the middle of a JSON document; the file is cut off"},
      {"{\"schema\": {\"name\": \"kvpro", "ends after 26 bytes in the middle of a JSON document; the file is cut off"},
      {"{\"a\": 1,}", "byte 9 does not continue a JSON document; is this a record of kvproof run?"},
      {"{\"a\": NaN}", "byte 7 does not continue a JSON document; is this a record of kvproof run?"},
      {"PK\x03\x04", "byte 1 does not continue a JSON document; is this a record of kvproof run?"},
      {"[1]", "has no schema.name; expected \"kvproof-run\"; is this a record of kvproof run?"},
      {"{\"schema\": 1}", "has no schema.name; expected \"kvproof-run\"; is this a record of kvproof run?"},
      {"{\"schema\": {\"name\": \"other\", \"version\": 1}}",
       "schema.name: expected \"kvproof-run\", found \"other\"; is this a record of kvproof run?"},
      {"{\"schema\": {\"name\": \"kvproof-run\", \"version\": 2}}",
       "schema.version: expected 1, found 2; a newer kvproof wrote this record: read it with that one"},
      {"{\"schema\": {\"name\": \"kvproof-run\", \"version\": 0}}",
       "schema.version: expected 1, found 0; no kvproof wrote this: repeat the run"},
      {"{\"schema\": {\"name\": \"kvproof-run\"}}",
       "schema.version: expected 1, found null; no kvproof wrote this: repeat the run"},
  }));
  const TempDir folder;
  const fs::path file = folder.write("bad.json", row.text);
  CHECK(error_of([&] { read_record(file); }) == file.string() + ": " + row.message);
}

TEST_CASE("a record that is not there or a folder is refused with what to do", "[record]") {
  const TempDir folder;
  CHECK(error_of([&] { read_record(folder / "none.json"); }) ==
        (folder / "none.json").string() + ": no such file; kvproof run CONFIG.yaml writes records to results/runs");
  fs::create_directory(folder / "runs");
  CHECK(error_of([&] { read_record(folder / "runs"); }) ==
        (folder / "runs").string() + ": is a folder; name one of the .json files in it");
}

TEST_CASE("a null stands beside its reason", "[record]") {
  Json object;
  put(object, "known", Fact<int64_t>::known(3));
  put(object, "missing", Fact<int64_t>::unknown("nobody counts"));
  put_null(object, "more", "because");
  CHECK(object.dump() ==
        R"({"known":3,"missing":null,"missing_reason":"nobody counts","more":null,"more_reason":"because"})");
}

TEST_CASE("a file's hash is XXH3 with 128 bits, as xxh128sum prints it", "[record]") {
  const TempDir folder;
  // Both from xxh128sum 0.8.1.
  CHECK(xxh128_of_file(folder.write("empty", "")) == "99aa06d3014798d86001c324468d497f");
  std::string large;  // more than one block, and not a whole number of them
  for (int i = 0; i < 400000; ++i) large += std::to_string(i);
  CHECK(xxh128_of_file(folder.write("large", large)) == "b221c916460e80b9f332735aa7f1147a");
  large[1 << 20] ^= 1;
  CHECK(xxh128_of_file(folder.write("other", large)) != "b221c916460e80b9f332735aa7f1147a");
  CHECK(error_of([&] { xxh128_of_file(folder / "none"); }) ==
        (folder / "none").string() + ": cannot be read to hash it; check that it is a file and its permissions");
  CHECK(error_of([&] { xxh128_of_file(folder / ""); }) ==
        (folder / "").string() + ": cannot be read to hash it; check that it is a file and its permissions");
}

TEST_CASE("the machine's part of a record obeys the schema, whatever is unknown", "[record]") {
  const Json schema = Json::parse(read_file(testing::source_path("results/record.schema.json")));
  const testing::JsonSchema machine_schema(Json::object({{"$ref", "#/$defs/machine"}, {"$defs", schema.at("$defs")}}));
  MachineFacts facts = machine_facts();
  LoadSnapshot before = load_snapshot(), after = load_snapshot();
  before.steal_ns = Fact<int64_t>::known(1000);
  after.steal_ns = Fact<int64_t>::known(4500);
  SECTION("as this machine is") { CHECK(machine_json(facts, before, after).at("steal_ns") == 3500); }
  SECTION("with nothing known") {
    facts = MachineFacts{};
    facts.cores = 1;
    facts.cpu_model = facts.cpu_id = facts.governor = facts.affinity = Fact<std::string>::unknown("hidden");
    facts.l1d_bytes = facts.l2_bytes = facts.l3_bytes = facts.memory_bytes = before.steal_ns =
        Fact<int64_t>::unknown("hidden");
    before.load = after.load = Fact<std::vector<double>>::unknown("hidden");
    const Json machine = machine_json(facts, before, after);
    CHECK(machine.at("steal_ns").is_null());
    CHECK(machine.at("steal_ns_reason") == "hidden");
    CHECK(machine.at("caches").at("l2_bytes_reason") == "hidden");
  }
  CHECK(machine_schema.errors(machine_json(facts, before, after)) == std::vector<std::string>{});
}
