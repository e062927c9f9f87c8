// Numbers as people read them. "–" stands for a value that does not exist.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kvproof {

inline constexpr const char* kNone = "–";

/// "3.451 ms", "41.27 ms", "402.1 ms", "12345 ms".
std::string milliseconds(std::optional<double> ns);

/// Four significant digits, no exponent: "0.9123", "17.32", "1795", "123456".
std::string plain_number(std::optional<double> value);

/// "0.98x", "9.74x", "34.8x", "348x".
std::string times(std::optional<double> ratio);

/// "1.4e-06"; from 0.001 on without an exponent: "0.208".
std::string small_number(std::optional<double> value);

/// "512 B", "48 KiB", "2.5 MiB", "23.5 GiB".
std::string bytes_text(std::optional<int64_t> bytes);

/// "800", "5.2 k", "5.2 M", "1.8 G".
std::string count_text(int64_t count);

/// "1 thread", "2 threads", "threads unknown" for 0: a subject need not say.
std::string threads_text(int64_t threads);

/// "1 token", "2 tokens".
std::string counted(int64_t count, const std::string& noun);

}  // namespace kvproof
