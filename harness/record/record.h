// The JSON document of a run: written whole or not at all, read with errors that say what to do. results/README.md has
// its fields.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "harness/machine/machine.h"

namespace kvproof {

using Json = nlohmann::ordered_json;

inline constexpr const char* kRecordSchema = "kvproof-run";
inline constexpr int64_t kRecordVersion = 1;

/// {"name": "kvproof-run", "version": 1}
Json record_schema();

/// object[key] = null and object[key + "_reason"] = reason.
void put_null(Json& object, const std::string& key, const std::string& reason);

/// object[key] = the fact's value, or null with its reason beside it.
template <class T>
void put(Json& object, const std::string& key, const Fact<T>& fact) {
  if (fact.has_value()) {
    object[key] = *fact;
  } else {
    put_null(object, key, fact.reason);
  }
}

/// The record's `machine`: the facts, the load before and after the run, and between the two what was stolen and how often
/// CPUs were slowed down.
Json machine_json(const MachineFacts& facts, const LoadSnapshot& before, const LoadSnapshot& after);

/// XXH3's 128-bit hash of a file's content, 32 hex digits as `xxh128sum` prints them. Not a defence against forgery.
/// throws RecordError: the file cannot be read
/// cost   one pass at the speed of the disk
std::string xxh128_of_file(const std::filesystem::path& file);

/// Of bytes in memory, likewise.
std::string xxh128_of(const void* bytes, std::size_t size);

/// "20261122T101500Z-demo-a1b2c3".
/// started      "2026-11-22T10:15:00Z"
/// config_stem  the config's file name without its extension; characters that file names do not take become '-'
/// config_hash  hex; the first 6 digits are used
std::string run_name(std::string_view started, std::string_view config_stem, std::string_view config_hash);

/// Writes one JSON document, replacing the file in one step: a reader sees the old or the new content, never a part.
/// Makes the folder. Indented by 1, UTF-8, one line end at the end; bytes that are not UTF-8 become U+FFFD.
/// throws RecordError: the folder or the file cannot be written (nothing is left behind); std::logic_error: a number in
///        the document is NaN or infinite
void write_json(const std::filesystem::path& file, const Json& document);

/// Writes a text likewise: as it is, replacing the file in one step.
void write_text(const std::filesystem::path& file, const std::string& text);

/// Reads a run's record of this version.
///
/// throws RecordError: no such file, a folder, unreadable; not JSON, with the byte; another schema or version
Json read_record(const std::filesystem::path& file);

}  // namespace kvproof
