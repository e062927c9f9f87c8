// Messages of the protocol kvproof-subject/1 (harness/adapters/PROTOCOL.md) as bytes; kvproof-measure/1 has the same.
// Knows no process and no engine.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace kvproof {

inline constexpr const char* kProtocol = "kvproof-subject/1";

/// Numbers of one dtype in row-major order, as they travel: little-endian.
struct WireTensor {
  std::string name;
  std::string dtype;  // float64 float32 float16 bfloat16 int64 int32 uint8
  std::vector<int64_t> shape;
  std::vector<char> bytes;

  int64_t numbers() const;                 // product of the shape
  std::vector<double> as_doubles() const;  // throws SubjectError: a dtype it does not know
};

/// As few bytes as hold our own engine's numbers exactly: float64 where that is its dtype, float32 for all others.
WireTensor tensor_of(std::string name, const std::string& dtype, std::vector<int64_t> shape,
                     std::span<const double> numbers);

struct WireMessage {
  nlohmann::json header;  // an object, without "tensors"
  std::vector<WireTensor> tensors = {};

  /// throws SubjectError: no tensor of that name
  const WireTensor& tensor(const std::string& name) const;
  /// throws SubjectError: no tensor of that name, or of another shape
  const WireTensor& tensor(const std::string& name, const std::vector<int64_t>& shape) const;
};

/// A stream of bytes in both directions.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Waits for the next byte. returns whether the stream ended instead. throws SubjectError: nothing came in time
  virtual bool at_end() = 0;
  /// Exactly n bytes. throws SubjectError: the stream ended, or nothing came in time
  virtual void read(char* to, std::size_t n) = 0;
  virtual void write(const char* from, std::size_t n) = 0;
  /// At most n bytes that are there already, or come at once: to show what came instead of a message.
  virtual std::string read_available(std::size_t n) = 0;
};

/// The first characters of something, in quotes: what cannot be printed as a point, cut after 60.
std::string in_quotes(const std::string& bytes);

/// protocol  whose messages are awaited, for the error
/// throws SubjectError, with an empty place unless the stream gives one: no message begins here (what does is quoted), a
///        header that is no JSON object or is longer than 16 MiB, tensors of unknown dtype, negative or more than 4 GiB
WireMessage read_message(ByteStream& stream, const char* protocol = kProtocol);
void write_message(ByteStream& stream, const WireMessage& message);

}  // namespace kvproof
