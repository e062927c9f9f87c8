// JSON as checkpoints bring it, with the place of what is wrong.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace kvproof {

/// Parses a document. NaN, Infinity and -Infinity, which Python's json writes, become null.
///
/// place   the file's name, for messages
/// throws  CheckpointError: not JSON, with place "file:line:column"; a name that an object holds twice, where only its last
///         value would count (place)
nlohmann::json parse_json(std::string_view text, const std::string& place);

/// A value as a message shows it: JSON, at most 40 bytes of it.
std::string shown(const nlohmann::json& value);

}  // namespace kvproof
