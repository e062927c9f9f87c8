#include "harness/record/record.h"

#include <xxhash.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <vector>

#include "harness/error.h"
#include "harness/record/text_file.h"

namespace kvproof {
namespace {

constexpr const char* kNotOurs = "is this a record of kvproof run?";

Json parse(const std::string& text, const std::string& place) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    if (error.byte > text.size()) {
      throw RecordError(place, "ends after " + std::to_string(text.size()) +
                                   " bytes in the middle of a JSON document; the file is cut off");
    }
    throw RecordError(place, "byte " + std::to_string(error.byte) + " does not continue a JSON document; " + kNotOurs);
  }
}

Fact<int64_t> difference(const Fact<int64_t>& before, const Fact<int64_t>& after) {
  const Fact<int64_t>& missing = before.has_value() ? after : before;
  return missing.has_value() ? Fact<int64_t>::known(*after - *before) : missing;
}

std::string hex_of(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  std::string hex;
  for (const unsigned char byte : canonical.digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

}  // namespace

Json record_schema() { return {{"name", kRecordSchema}, {"version", kRecordVersion}}; }

void put_null(Json& object, const std::string& key, const std::string& reason) {
  object[key] = nullptr;
  object[key + "_reason"] = reason;
}

Json machine_json(const MachineFacts& facts, const LoadSnapshot& before, const LoadSnapshot& after) {
  Json machine = Json::object();
  put(machine, "cpu_model", facts.cpu_model);
  put(machine, "cpu_id", facts.cpu_id);
  machine["architecture"] = facts.architecture;
  machine["cores"] = facts.cores;
  Json& caches = machine["caches"] = Json::object();
  put(caches, "l1d_bytes", facts.l1d_bytes);
  put(caches, "l2_bytes", facts.l2_bytes);
  put(caches, "l3_bytes", facts.l3_bytes);
  machine["isa"] = facts.isa;
  put(machine, "memory_bytes", facts.memory_bytes);
  put(machine, "governor", facts.governor);
  put(machine, "affinity", facts.affinity);
  put(machine, "load_before", before.load);
  put(machine, "load_after", after.load);
  put(machine, "steal_ns", difference(before.steal_ns, after.steal_ns));
  put(machine, "throttles", difference(before.throttles, after.throttles));
  machine["os"] = facts.os;
  machine["fingerprint"] = facts.fingerprint;
  return machine;
}

std::string xxh128_of_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream || std::filesystem::is_directory(file)) {
    throw RecordError(file.string(), "cannot be read to hash it; check that it is a file and its permissions");
  }
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> block(1 << 20);
  do {
    stream.read(block.data(), static_cast<std::streamsize>(block.size()));
    XXH3_128bits_update(state.get(), block.data(), static_cast<std::size_t>(stream.gcount()));
  } while (stream);
  if (stream.bad()) throw RecordError(file.string(), "reading failed halfway; check the disk");
  return hex_of(XXH3_128bits_digest(state.get()));
}

std::string xxh128_of(const void* bytes, std::size_t size) { return hex_of(XXH3_128bits(bytes, size)); }

Json read_json(const std::filesystem::path& file) { return parse(read_text_file(file), file.string()); }

void check_record(const Json& record, const std::string& place) {
  const Json* schema = record.is_object() && record.contains("schema") ? &record["schema"] : nullptr;
  const bool named = schema && schema->is_object() && schema->contains("name") && (*schema)["name"].is_string();
  if (!named)
    throw RecordError(place, std::string("has no schema.name; expected \"") + kRecordSchema + "\"; " + kNotOurs);
  if (const auto& name = (*schema)["name"].get_ref<const std::string&>(); name != kRecordSchema) {
    throw RecordError(
        place, std::string("schema.name: expected \"") + kRecordSchema + "\", found \"" + name + "\"; " + kNotOurs);
  }
  const Json version = schema->value("version", Json());
  if (version == kRecordVersion) return;
  const std::string expected =
      "schema.version: expected " + std::to_string(kRecordVersion) + ", found " + version.dump();
  if (version.is_number_integer() && version > kRecordVersion) {
    throw RecordError(place, expected + "; a newer kvproof wrote this record: read it with that one");
  }
  throw RecordError(place, expected + "; no kvproof wrote this: repeat the run");
}

Json read_record(const std::filesystem::path& file) {
  Json record = read_json(file);
  check_record(record, file.string());
  return record;
}

}  // namespace kvproof
