#include "harness/track/history.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <functional>
#include <random>
#include <thread>

#include "harness/compare/exact.h"
#include "harness/error.h"
#include "tests/harness/track/samples.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using namespace kvproof::track;
using Catch::Matchers::Contains;
using testing::read_file;
using testing::run_of_day;
using testing::TempDir;
using How = AddedRecord::How;

namespace {

Source of_day(int day) { return {fmt::format("day{}.json", day), run_of_day(day, testing::wobble(day))}; }

std::vector<Json> jsons(const History& history) {
  std::vector<Json> lines;
  for (const HistoryLine& line : history.lines) lines.push_back(line.json);
  return lines;
}

std::string message_of(const std::filesystem::path& file) {
  try {
    read_history(file);
  } catch (const RecordError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a record's lines say what its baseline says, and when and of what program", "[track][history]") {
  const Json record = testing::sample(), baseline = compare::baseline_of(record);
  const std::vector<HistoryLine> lines = lines_of(record, "v1");
  REQUIRE(lines.size() == 6);
  const testing::JsonSchema schema(Json::parse(read_file(testing::source_path("results/history.schema.json"))));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Json& line = lines[i].json;
    CHECK(schema.errors(line) == std::vector<std::string>{});
    CHECK(line["case"] == record["cases"][i]["id"]);
    CHECK(line["started"] == "2026-11-22T10:15:00Z");
    CHECK(line["commit"] == record["kvproof"]["commit"]);
    CHECK(line["dirty"] == true);
    CHECK(line["release"] == "v1");
    CHECK(line["fingerprint"] == "f17ce5b7a363c97f");
    if (line["status"] != "ok") continue;
    CHECK(line["workload"] == baseline["cases"][i]["workload"]["hash"]);
    CHECK(line["times"] == baseline["cases"][i]["times"]);
    CHECK(line["token_forwards"]["naive"] == baseline["cases"][i]["exact"]["naive"]["token_forwards"]);
    CHECK(line["kv_cache_bytes"]["engine"] == baseline["cases"][i]["exact"]["engine"]["kv_cache_bytes"]);
  }
  CHECK(lines[0].json["threads"] == 2);
  CHECK(lines[0].json["dtype"] == "float32");
  CHECK(lines[2].shape == "pp10 tg5 x4");
  CHECK(lines[3].validity == "INVALID");
  CHECK(lines[5].status == "failed");
  CHECK(lines[5].json["error_kind"] == "capacity");
  CHECK(lines[5].json["times"].is_null());
}

TEST_CASE("a record is the same whatever the layout of its file, and another one by any value", "[track][history]") {
  Json record = testing::fit_record(), turned = Json::object();
  for (auto it = record.rbegin(); it != record.rend(); ++it) turned[it.key()] = it.value();
  CHECK(lines_of(turned)[0].record == lines_of(record)[0].record);
  turned["cases"][1]["paths"]["engine"]["samples"][0]["e2e_ns"] = 1;
  CHECK(lines_of(turned)[0].record != lines_of(record)[0].record);
}

TEST_CASE("each case has the machine that it ran on", "[track][history]") {
  Json record = testing::fit_record();
  record["machines"] = Json::array({record["machine"], record["machine"]});
  record["machines"][1]["fingerprint"] = "0123456789abcdef";
  record["cases"][0]["machine"] = 0;
  record["cases"][1]["machine"] = 1;
  CHECK(lines_of(record)[0].fingerprint == "f17ce5b7a363c97f");
  CHECK(lines_of(record)[1].fingerprint == "0123456789abcdef");
  record["cases"][1]["machine"] = 2;
  CHECK_THROWS_WITH(lines_of(record), Contains("/cases/1/machine: expected a machine from 0 to 1, found 2"));
}

TEST_CASE("an interrupted run is not taken, nor is a damaged record, and nothing is written", "[track][history]") {
  const TempDir dir;
  Json partial = run_of_day(1), damaged = run_of_day(2);
  partial["partial"] = true;
  damaged["cases"][0].erase("workload");
  damaged["cases"][0].erase("settings");
  CHECK_THROWS_WITH(add_to_history(dir / "h.jsonl", {of_day(0), {"p.json", partial}}, {}),
                    Contains("p.json#/partial: the run was interrupted"));
  CHECK_THROWS_WITH(add_to_history(dir / "h.jsonl", {of_day(0), {"d.json", damaged}}, {}),
                    Contains("d.json#/cases/0/settings"));
  CHECK_FALSE(std::filesystem::exists(dir / "h.jsonl"));
}

TEST_CASE("records are added once, in the order they began, and a release can come later", "[track][history]") {
  const TempDir dir;
  const auto file = dir / "new" / "h.jsonl";
  const Addition first = add_to_history(file, {of_day(3), of_day(1)}, {});
  REQUIRE(first.records.size() == 2);
  CHECK(first.records[0].file == "day1.json");
  CHECK(first.records[0].how == How::added);
  CHECK(first.records[0].cases == 2);
  const std::string two = read_file(file);
  CHECK(std::count(two.begin(), two.end(), '\n') == 4);

  CHECK(add_to_history(file, {of_day(1)}, {}).records[0].how == How::there);
  CHECK(read_file(file) == two);

  CHECK(add_to_history(file, {of_day(1)}, "v1").records[0].how == How::tagged);
  CHECK(read_file(file).starts_with(two));  // it only grows
  CHECK(add_to_history(file, {of_day(1)}, "v1").records[0].how == How::there);
  CHECK(add_to_history(file, {of_day(1)}, {}).records[0].how == How::there);
  const History history = read_history(file);
  REQUIRE(history.lines.size() == 4);
  CHECK(history.lines[0].release == "v1");
  CHECK(history.lines[0].case_id == "demo/france");
  CHECK(history.lines[1].release == "v1");
  CHECK_FALSE(history.lines[2].release.has_value());
}

TEST_CASE("the order of adding does not matter, and rebuilding gives the same", "[track][history]") {
  const TempDir dir;
  std::mt19937 shuffle(GENERATE(1, 2, 3, 4));
  std::vector<Source> records;
  for (int day = 0; day < 12; ++day) records.push_back(of_day(day));
  add_to_history(dir / "sorted.jsonl", records, {});
  std::shuffle(records.begin(), records.end(), shuffle);
  for (std::size_t i = 0; i < records.size();) {  // by ones, twos and threes, some again
    const std::size_t n = std::min<std::size_t>(1 + shuffle() % 3, records.size() - i);
    add_to_history(dir / "any.jsonl",
                   {records.begin() + static_cast<long>(i), records.begin() + static_cast<long>(i + n)}, {});
    i += 1 + shuffle() % n;
  }
  CHECK(jsons(read_history(dir / "any.jsonl")) == jsons(read_history(dir / "sorted.jsonl")));

  // A release is in no record: rebuilding takes it over.
  add_to_history(dir / "any.jsonl", {of_day(5)}, "v1");
  const std::vector<Json> before = jsons(read_history(dir / "any.jsonl"));
  rebuild_history(dir / "any.jsonl", records, false);
  CHECK(jsons(read_history(dir / "any.jsonl")) == before);
  rebuild_history(dir / "fresh.jsonl", records, false);
  CHECK(read_file(dir / "fresh.jsonl") == read_file(dir / "sorted.jsonl"));
}

TEST_CASE("rebuilding mends a damaged history, and loses no record without being told to", "[track][history]") {
  const TempDir dir;
  const auto file = dir / "h.jsonl";
  add_to_history(file, {of_day(0), of_day(1)}, "v1");
  write_text(file, "junk\n" + read_file(file));
  CHECK_THROWS_WITH(rebuild_history(file, {of_day(0)}, false), Contains("has 1 record that is not among those given"));
  CHECK(read_file(file).starts_with("junk\n"));
  rebuild_history(file, {of_day(0), of_day(1), of_day(1)}, false);
  CHECK(read_history(file).lines.size() == 4);
  CHECK(read_history(file).lines[0].release == "v1");
  CHECK(rebuild_history(file, {of_day(0), of_day(0)}, true)[1].how == How::there);
  CHECK(read_history(file).lines.size() == 2);
}

TEST_CASE("rebuilding replaces no file that is something else", "[track][history]") {
  const TempDir dir;
  write_text(dir / "run.json", testing::fit_record().dump(1));
  CHECK_THROWS_WITH(rebuild_history(dir / "run.json", {of_day(0)}, true), Contains("has no line of a history"));
  CHECK(read_record(dir / "run.json") == testing::fit_record());
}

TEST_CASE("half a last line is passed over and told, and cut off by the next writer", "[track][history]") {
  const TempDir dir;
  const auto file = dir / "h.jsonl";
  add_to_history(file, {of_day(0), of_day(1)}, {});
  const std::string whole = read_file(file);
  const std::size_t cut = GENERATE(1, 7, 500);
  write_text(file, whole.substr(0, whole.size() - 1 - cut));
  const History history = read_history(file);
  CHECK(history.unfinished == 4);
  CHECK(history.lines.size() == 3);
  // The record lost one of its cases, so it is added again; nothing counts twice.
  const Addition again = add_to_history(file, {of_day(1)}, {});
  CHECK(again.cut);
  CHECK(again.records[0].how == How::added);
  CHECK_FALSE(read_history(file).unfinished.has_value());
  write_text(dir / "whole.jsonl", whole);
  CHECK(jsons(read_history(file)) == jsons(read_history(dir / "whole.jsonl")));
}

TEST_CASE("a last line without its end is whole, as editors leave it", "[track][history]") {
  const TempDir dir;
  const auto file = dir / "h.jsonl";
  add_to_history(file, {of_day(0)}, {});
  const std::string text = read_file(file);
  write_text(file, text.substr(0, text.size() - 1));
  CHECK_FALSE(read_history(file).unfinished.has_value());
  CHECK(read_history(file).lines.size() == 2);
  add_to_history(file, {of_day(1)}, {});
  CHECK(read_history(file).lines.size() == 4);
  CHECK(read_file(file).starts_with(text));
}

TEST_CASE("a damaged line is named by its number and field", "[track][history]") {
  const TempDir dir;
  const auto file = dir / "h.jsonl";
  add_to_history(file, {of_day(0), of_day(1)}, {});
  std::vector<Json> lines = jsons(read_history(file));
  const auto with = [&](const std::function<void(std::vector<std::string>&)>& change) {
    std::vector<std::string> texts;
    for (const Json& line : lines) texts.push_back(line.dump());
    change(texts);
    std::string all;
    for (const std::string& text : texts) all += text + "\n";
    write_text(file, all);
    return message_of(file);
  };
  const auto changed = [&](const std::function<void(Json&)>& change) {
    return with([&](std::vector<std::string>& texts) {
      Json line = lines[2];
      change(line);
      texts[2] = line.dump();
    });
  };
  CHECK(with([](auto&) {}) == "");
  CHECK_THAT(with([](auto& texts) { texts[1] = texts[1].substr(9); }),
             Contains("h.jsonl:2: expected the JSON of one line"));
  CHECK_THAT(with([](auto& texts) { texts[3] = "<<<<<<< HEAD"; }), Contains("h.jsonl:4: "));
  CHECK_THAT(changed([](Json& l) { l.erase("fingerprint"); }), Contains("h.jsonl:3#/fingerprint: "));
  CHECK_THAT(changed([](Json& l) { l["times"]["engine"]["tpot_ns"]["median"] = "1"; }),
             Contains("h.jsonl:3#/times/engine/tpot_ns/median: expected a number, found string"));
  CHECK_THAT(changed([](Json& l) { l["times"]["naive"]["e2e_ns"]["median"] = 0; }),
             Contains("expected a positive time, found 0"));
  CHECK_THAT(changed([](Json& l) { l["schema"]["version"] = 2; }),
             Contains("h.jsonl:3#/schema/version: expected 1, found 2"));
  CHECK_THAT(changed([](Json& l) { l["schema"]["name"] = "kvproof-run"; }), Contains("found \"kvproof-run\""));
  CHECK_THAT(message_of(dir / "none.jsonl"), Contains("no such history; kvproof history add"));
}

TEST_CASE("only an ordinary file is added to", "[track][history]") {
  const TempDir dir;
  for (const std::filesystem::path& file : {dir / ".", std::filesystem::path("/dev/full")})
    CHECK_THROWS_WITH(add_to_history(file, {of_day(0)}, {}), Contains("is a folder, a device or a pipe"));
}

TEST_CASE("a writer waits for another one", "[track][history]") {
  const TempDir dir;
  const auto file = dir / "h.jsonl";
  add_to_history(file, {of_day(0)}, {});
  const int held = open(file.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(flock(held, LOCK_EX) == 0);
  std::thread writer([&] { add_to_history(file, {of_day(1)}, {}); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(read_history(file).lines.size() == 2);
  close(held);
  writer.join();
  CHECK(read_history(file).lines.size() == 4);
}
