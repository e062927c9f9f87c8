#include "harness/measure/merge.h"

#include <fstream>
#include <functional>

#include "harness/error.h"
#include "harness/measure/shard.h"
#include "harness/record/machines.h"
#include "tests/support/catch.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using Numbers = std::vector<int64_t>;

namespace {

Json parsed(const std::string& relative) { return Json::parse(std::ifstream(testing::source_path(relative))); }

/// The sample as a run of today leaves it.
Json whole() {
  Json record = parsed("tests/data/record/sample.json");
  record["partial"] = false;
  record["sessions"] = {record["started"]};
  record["max_time_s"] = nullptr;
  record["machine"]["throttles"] = 2;
  return record;
}

/// What a run of one shard of it would have left.
Json part_of(const Json& all, const Numbers& of, int64_t index, int64_t count) {
  Json part = all;
  Shard shard{index, count, {}, of};
  part["cases"] = Json::array();
  for (std::size_t i = 0; i < of.size(); ++i) {
    shard.cases.push_back(all["cases"][i]["id"]);
    if (of[i] == index) part["cases"].push_back(all["cases"][i]);
  }
  const auto used = [&](const Json& checkpoint) {
    for (const Json& one : part["cases"])
      if (one["checkpoint"] == checkpoint["name"]) return true;
    return false;
  };
  part["checkpoints"] = Json::array();
  for (const Json& each : all["checkpoints"])
    if (used(each)) part["checkpoints"].push_back(each);
  bool verified = false;
  for (const Json& one : part["cases"])
    verified = verified || (one.contains("verification") && !one["verification"]["index"].is_null());
  if (!verified) part["verifications"] = Json::array();
  part["command"] = {
      "kvproof", "run",      "configs/a b.yaml", "--shard", std::to_string(index) + "/" + std::to_string(count),
      "--out",   "part.json"};
  part["shard"] = shard_json(shard);
  part["exit_code"] = index == 1 ? 5 : 0;
  return part;
}

const Numbers kOf = {1, 2, 1, 2, 3, 3};  // the fifth case is of the second checkpoint, the sixth failed

std::vector<ShardRecord> parts_of(const Json& all, const Numbers& of = kOf, int64_t count = 3) {
  std::vector<ShardRecord> parts;
  for (int64_t index = 1; index <= count; ++index)
    parts.push_back({std::to_string(index) + ".json", part_of(all, of, index, count)});
  return parts;
}

std::string fault_of(const std::vector<ShardRecord>& parts) {
  try {
    merge(parts, {});
    return "merged";
  } catch (const RecordError& error) {
    return error.what();
  }
}

/// What is said after one of the three parts was changed.
std::string fault_after(std::size_t part, const std::function<void(Json&)>& change) {
  auto parts = parts_of(whole());
  change(parts[part].record);
  return fault_of(parts);
}

}  // namespace

TEST_CASE("the shards' records make the record of the whole, in whatever order they are given", "[merge]") {
  const Json all = whole();
  auto parts = parts_of(all);
  std::swap(parts[0], parts[2]);
  const Json merged = merge(parts, {"kvproof", "merge", "3.json"});
  REQUIRE(merged["cases"].size() == all["cases"].size());
  for (std::size_t i = 0; i < all["cases"].size(); ++i) {
    Json one = merged["cases"][i], expected = all["cases"][i];
    if (expected.contains("verification") && !expected["verification"]["index"].is_null())
      expected["verification"]["index"] = kOf[i] - 1;
    CHECK(one == expected);
  }
  for (const char* key : {"schema", "kvproof", "config", "checkpoints", "started", "finished", "partial", "max_time_s"})
    CHECK(merged[key] == all[key]);
  CHECK(merged["exit_code"] == 5);
  CHECK(merged["command"] == Json{"kvproof", "merge", "3.json"});
  CHECK(merged["warnings"] == all["warnings"]);  // all three say them
  REQUIRE(merged["verifications"].size() == 2);
  CHECK(merged["verifications"][0]["shard"] == 1);
  CHECK(merged["verifications"][1]["shard"] == 2);
  CHECK_FALSE(merged.contains("machines"));
  CHECK_FALSE(merged.contains("shard"));
  REQUIRE(merged["merged_from"].size() == 3);
  CHECK(merged["merged_from"][1]["shard"] == 2);
  CHECK(merged["merged_from"][1]["command"] == parts[1].record["command"]);
}

TEST_CASE("a merged record obeys the schema, of one machine and of several, and so does a shard's", "[merge][schema]") {
  const testing::JsonSchema schema(parsed("results/record.schema.json"));
  using Errors = std::vector<std::string>;
  auto parts = parts_of(whole());
  CHECK(schema.errors(parts[1].record) == Errors{});
  CHECK(schema.errors(merge(parts, {"kvproof"})) == Errors{});
  parts[1].record["machine"]["fingerprint"] = "0123456789abcdef";
  parts[1].record["machine"]["cores"] = 96;
  parts[1].record["machine"]["isa"] = {"neon"};
  parts[1].record["machine"]["architecture"] = "aarch64";
  parts[1].record["machine"]["os"] = "Linux 6";
  CHECK(schema.errors(merge(parts, {"kvproof"})) == Errors{});
}

TEST_CASE("what one machine went through in several shards is put together", "[merge]") {
  auto parts = parts_of(whole());
  for (std::size_t i = 0; i < 3; ++i) {
    Json& record = parts[i].record;
    record["started"] = "2026-11-22T1" + std::to_string(3 - i) + ":00:00Z";
    record["finished"] = "2026-11-22T1" + std::to_string(3 - i) + ":30:00Z";
    record["sessions"] = {record["started"]};
    record["machine"]["load_before"] = {i, i, i};
    record["machine"]["load_after"] = {10 + i, 10 + i, 10 + i};
    record["machine"]["steal_ns"] = 100 * (i + 1);
    record["machine"]["peaks"][0]["gemm"][0]["ways"] = {{"LibTorch", 1e9 * static_cast<double>(i + 1)}};
    record["machine"]["peaks"][0]["gemm"][0]["flops_per_s"] = 1e9 * static_cast<double>(i + 1);
  }
  const Json merged = merge(parts, {});
  CHECK(merged["started"] == "2026-11-22T11:00:00Z");
  CHECK(merged["finished"] == "2026-11-22T13:30:00Z");
  CHECK(merged["sessions"] == Json{"2026-11-22T11:00:00Z", "2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z"});
  const Json& machine = merged["machine"];
  CHECK(machine["load_before"] == Json{2, 2, 2});    // of the third, which began first
  CHECK(machine["load_after"] == Json{10, 10, 10});  // of the first, which ended last
  CHECK(machine["steal_ns"] == 600);
  CHECK(machine["throttles"] == 6);
  CHECK(machine["peaks"].size() == whole()["machine"]["peaks"].size());
  CHECK(machine["peaks"][0]["gemm"][0]["flops_per_s"] == 3e9);
}

TEST_CASE("a count that one shard does not know is not known of all", "[merge]") {
  auto parts = parts_of(whole());
  parts[1].record["machine"]["steal_ns"] = nullptr;
  parts[1].record["machine"]["steal_ns_reason"] = "no /proc/stat";
  const Json merged = merge(parts, {});
  CHECK(merged["machine"]["steal_ns"].is_null());
  CHECK(merged["machine"]["steal_ns_reason"] == "no /proc/stat");
}

TEST_CASE("machines that differ are kept apart, and every case says on which it ran", "[merge]") {
  auto parts = parts_of(whole());
  Json& other = parts[1].record["machine"];
  other["fingerprint"] = "0123456789abcdef";
  other["cpu_model"] = "another";
  other["cores"] = 96;
  const Json merged = merge(parts, {});
  const View view(merged);
  CHECK(has_several_machines(view));
  REQUIRE(machines_of(view).size() == 2);
  CHECK(merged["machines"][0]["fingerprint"] == whole()["machine"]["fingerprint"]);
  for (const char* key : {"fingerprint", "cpu_model", "cores", "load_after", "steal_ns", "throttles", "peaks"})
    CHECK(merged["machines"][1][key] == other[key]);
  const std::vector<std::size_t> ran_on = {0, 1, 0, 1, 0, 0};
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(merged["cases"][i]["machine"] == ran_on[i]);
    CHECK(machine_of(view, view.at("cases").items()[i]).at("cores").integer() ==
          merged["machines"][ran_on[i]]["cores"]);
  }
  CHECK(merged["merged_from"][1]["machine"] == 1);
  // In common is what is the same; nothing of it could be taken for one of the two.
  const Json& common = merged["machine"];
  CHECK(common["cpu_model"].is_null());
  CHECK(common["cores"].is_null());
  CHECK(common["cores_reason"] == "of several machines: see machines");
  CHECK(common["architecture"] == whole()["machine"]["architecture"]);
  CHECK(common["steal_ns"].is_null());
  CHECK(common["peaks"] == Json::array());
  CHECK(common["fingerprint"].get<std::string>().size() == 16);
  for (const Json& machine : merged["machines"]) CHECK(common["fingerprint"] != machine["fingerprint"]);

  // Only where each case ran on the machine that it ran on before is it the same.
  CHECK(merge(parts, {})["machine"]["fingerprint"] == common["fingerprint"]);
  auto elsewhere = parts_of(whole(), {1, 2, 1, 1, 3, 3});
  elsewhere[1].record["machine"] = other;
  CHECK(merge(elsewhere, {})["machine"]["fingerprint"] != common["fingerprint"]);
}

TEST_CASE("a shard without cases is merged like any other", "[merge]") {
  const Json all = whole();
  const Json merged = merge(parts_of(all, {1, 1, 2, 2, 2, 2}, 3), {});
  CHECK(merged["cases"].size() == 6);
  CHECK(merged["merged_from"].size() == 3);
  CHECK(merge(parts_of(all, {1, 1, 1, 1, 1, 1}, 1), {})["cases"].size() == 6);
}

TEST_CASE("warnings say which shard they are of, unless all say them", "[merge]") {
  auto parts = parts_of(whole());
  parts[2].record["warnings"].push_back("the governor is powersave");
  const Json warnings = merge(parts, {})["warnings"];
  REQUIRE(warnings.size() == 3);
  CHECK(warnings[2] == "shard 3/3: the governor is powersave");
}

TEST_CASE("a time limit is the merged record's where all shards had it", "[merge]") {
  auto parts = parts_of(whole());
  for (ShardRecord& part : parts) part.record["max_time_s"] = 60.0;
  CHECK(merge(parts, {})["max_time_s"] == 60.0);
  parts[1].record["max_time_s"] = 90.0;
  const Json merged = merge(parts, {});
  CHECK(merged["max_time_s"].is_null());
  CHECK(merged["merged_from"][1]["max_time_s"] == 90.0);
}

TEST_CASE("records that do not belong together are refused, with what differs", "[merge]") {
  CHECK(fault_of({{"run.json", whole()}}) ==
        "run.json: is the record of a whole run, which needs no merging: kvproof report reads it as it is. What is "
        "merged "
        "are the records of kvproof run --shard K/N");
  CHECK(fault_of({{"all.json", merge(parts_of(whole()), {})}}) ==
        "all.json: is merged already; give the records of the shards themselves, all in one command");
  CHECK(fault_after(1, [](Json& part) { part["config"]["hash"] = "0000000000000000"; }) ==
        "2.json: shard 2/3 is of another config than shard 1/3 (1.json): 0000000000000000 here, " +
            whole()["config"]["hash"].get<std::string>() +
            " there; give the shards of one config, run with the same --set");
  CHECK(fault_after(2, [](Json& part) {
          part = part_of(whole(), {1, 2, 1, 2, 3, 4}, 3, 4);
        }) == "3.json: is shard 3 of 4, and 1.json is shard 1 of 3; give the shards of one split");
  CHECK(fault_after(2,
                    [](Json& part) {
                      part = part_of(whole(), {1, 2, 1, 3, 3, 3}, 3, 3);
                    }) ==
        "3.json: shard 3/3 was split otherwise than shard 1/3 (1.json): demo/italy is in shard 3 here, in shard 2 "
        "there. A "
        "checkpoint or a prompt's file was another there; run all shards with the same files");
  CHECK(fault_after(1, [](Json& part) { part["kvproof"]["commit"] = "abc"; }) ==
        "2.json: shard 2/3 is of another kvproof (commit) than shard 1/3 (1.json): \"abc\" here, " +
            whole()["kvproof"]["commit"].dump() + " there; run all shards with one build");
  CHECK(fault_after(1, [](Json& part) { part["kvproof"]["torch_config"] = "other"; }) ==
        "2.json: shard 2/3 is of another kvproof (torch_config) than shard 1/3 (1.json): \"other\\n\" here, nothing "
        "there; "
        "run all shards with one build");
  CHECK(fault_after(1, [](Json& part) { part["checkpoints"][0]["xxh128"] = "00"; }) ==
        "2.json: shard 2/3 is of another checkpoint demo (xxh128) than shard 1/3 (1.json): \"00\" here, " +
            whole()["checkpoints"][0]["xxh128"].dump() + " there; run all shards with the same files");
  CHECK(fault_after(1, [](Json& part) { part["partial"] = true; }) ==
        "2.json: shard 2/3 was interrupted; kvproof run --resume with its journal, the .jsonl file beside it, goes on "
        "with "
        "it");
  CHECK_THAT(
      fault_after(1, [](Json& part) { part["cases"].erase(0); }),
      Contains("2.json: expected the cases of shard 2/3, [\"demo/tool\",\"demo/italy\"]; found [\"demo/italy\"]; the "
               "record is damaged"));
  CHECK_THAT(fault_after(1, [](Json& part) { part["cases"].push_back(part["cases"][0]); }),
             Contains("the record is damaged"));
  CHECK(fault_after(1, [](Json& part) { part["warnings"] = "none"; }) ==
        "2.json#/warnings: expected an array, found string; the record is damaged");
  CHECK(fault_after(1, [](Json& part) { part["machine"]["fingerprint"] = nullptr; }) ==
        "2.json#/machine/fingerprint: expected a string, found null; the record is damaged");
}

TEST_CASE("what lies elsewhere, or was found on another CPU, is no difference", "[merge]") {
  auto parts = parts_of(whole());
  parts[1].record["checkpoints"][0]["path"] = "/elsewhere/model.pt";
  for (std::size_t i = 0; i < 3; ++i)
    parts[i].record["kvproof"]["torch_config"] =
        "PyTorch\n  - CPU capability usage: " + std::to_string(i) + "\n  - BLAS\n";
  CHECK(fault_of(parts) == "merged");
}

TEST_CASE("a shard that is not there is named with the command that runs it, one given twice with both files",
          "[merge]") {
  auto parts = parts_of(whole());
  parts.erase(parts.begin() + 1);
  CHECK(fault_of(parts) ==
        "shards: 2/3 is missing; give its record too, or make it:\n  kvproof run 'configs/a b.yaml' --shard 2/3");
  parts.erase(parts.begin());
  CHECK(fault_of(parts) ==
        "shards: 1/3, 2/3 are missing; give their records too, or make them:\n"
        "  kvproof run 'configs/a b.yaml' --shard 1/3\n  kvproof run 'configs/a b.yaml' --shard 2/3");
  auto twice = parts_of(whole());
  twice.push_back({"again.json", twice[1].record});
  CHECK(fault_of(twice) == "again.json: is shard 2/3, as 2.json is; give each shard once");
}
