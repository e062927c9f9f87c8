#include "harness/subject/message.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <utility>

#include "harness/error.h"

namespace kvproof {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "payloads travel as they lie in memory");

constexpr char kMagic[4] = {'K', 'V', 'P', '1'};
constexpr uint32_t kMostHeader = 16u << 20;
constexpr int64_t kMostPayload = int64_t{4} << 30;
constexpr std::size_t kMostQuoted = 60;
// What is shorter is copied into one buffer: a second write would wake the reader twice.
constexpr std::size_t kOneWrite = 512u << 10;

[[noreturn]] void fail(std::string message) { throw SubjectError("", std::move(message)); }

/// Bytes of one number; 0: there is no such dtype.
int64_t width_of(const std::string& dtype) {
  if (dtype == "float32" || dtype == "int32") return 4;
  if (dtype == "float64" || dtype == "int64") return 8;
  if (dtype == "float16" || dtype == "bfloat16") return 2;
  return dtype == "uint8" ? 1 : 0;
}

std::string text_of(const std::vector<int64_t>& shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

template <class T>
std::vector<double> converted(const std::vector<char>& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    T number;
    std::memcpy(&number, bytes.data() + i * sizeof(T), sizeof(T));
    numbers[i] = static_cast<double>(number);
  }
  return numbers;
}

template <class T>
std::vector<char> bytes_of(std::span<const double> numbers) {
  std::vector<char> bytes(numbers.size() * sizeof(T));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const T number = static_cast<T>(numbers[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &number, sizeof(T));
  }
  return bytes;
}

/// What a stream throws, with what was still to come.
template <class Read>
void read_rest(const std::string& awaited, Read&& read) {
  try {
    read();
  } catch (const SubjectError& error) {
    throw SubjectError(error.place(), fmt::format("{}; {} had not all come", error.message(), awaited));
  }
}

void expect_magic(ByteStream& stream, const char* protocol) {
  // Byte by byte: a short text is told at once, and not waited for until it is as long as a message.
  std::string seen;
  for (const char expected : kMagic) {
    char byte = 0;
    stream.read(&byte, 1);
    seen += byte;
    if (byte == expected) continue;
    seen += stream.read_available(kMostQuoted + 1 - seen.size());
    fail(fmt::format("expected a message of {}, found {}; nothing but messages may stand there: print to stderr",
                     protocol, in_quotes(seen)));
  }
}

Json read_header(ByteStream& stream) {
  uint32_t length = 0;
  read_rest("the length of a header", [&] { stream.read(reinterpret_cast<char*>(&length), sizeof length); });
  if (length > kMostHeader)
    fail(fmt::format("expected a header of at most {} bytes, found a length of {}; is it little-endian?", kMostHeader,
                     length));
  std::string text(length, '\0');
  read_rest(fmt::format("a header of {} bytes", length), [&] { stream.read(text.data(), length); });
  Json header = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object())
    fail(fmt::format("expected a header that is one JSON object, found {}; its length counts bytes, not characters",
                     in_quotes(text)));
  return header;
}

/// One entry of the header's list. throws SubjectError
WireTensor declared_tensor(const Json& entry) {
  const auto field = [&](const char* name) {
    const auto found = entry.is_object() ? entry.find(name) : entry.end();
    return found == entry.end() ? Json() : *found;
  };
  const Json name = field("name"), dtype = field("dtype"), shape = field("shape");
  bool sound = name.is_string() && dtype.is_string() && shape.is_array();
  if (sound)
    for (const Json& size : shape) sound &= size.is_number_integer();
  if (!sound)
    fail(fmt::format("expected {{\"name\", \"dtype\", \"shape\"}} for each of the tensors, found {}",
                     in_quotes(entry.dump(-1, ' ', false, Json::error_handler_t::replace))));
  WireTensor tensor{name, dtype, {}, {}};
  const int64_t width = width_of(tensor.dtype);
  if (width == 0)
    fail(
        fmt::format("tensor {}: expected a dtype of float64, float32, float16, bfloat16, int64, int32 or uint8, found "
                    "{}",
                    in_quotes(tensor.name), in_quotes(tensor.dtype)));
  int64_t bytes = width;
  for (const Json& size : shape) {
    const auto count = size.is_number_unsigned() && size.get<uint64_t>() > static_cast<uint64_t>(kMostPayload)
                           ? kMostPayload + 1
                           : size.get<int64_t>();
    tensor.shape.push_back(count);
    // Divided, for the product may not fit.
    const bool fits = count >= 0 && (count == 0 || bytes <= kMostPayload / count);
    if (!fits)
      fail(fmt::format("tensor {}: expected a shape of at most {} bytes, found {}", in_quotes(tensor.name),
                       kMostPayload, shape.dump()));
    bytes *= count;
  }
  tensor.bytes.resize(static_cast<std::size_t>(bytes));
  return tensor;
}

}  // namespace

std::string in_quotes(const std::string& bytes) {
  std::string text;
  for (const char c : bytes.substr(0, kMostQuoted)) text += c >= ' ' && c <= '~' ? c : '.';
  return fmt::format("\"{}\"{}", text, bytes.size() > kMostQuoted ? " …" : "");
}

int64_t WireTensor::numbers() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

std::vector<double> WireTensor::as_doubles() const {
  if (dtype == "float32") return converted<float>(bytes);
  if (dtype == "float64") return converted<double>(bytes);
  if (dtype == "bfloat16") return converted<c10::BFloat16>(bytes);
  if (dtype == "float16") return converted<c10::Half>(bytes);
  if (dtype == "int64") return converted<int64_t>(bytes);
  if (dtype == "int32") return converted<int32_t>(bytes);
  if (dtype == "uint8") return converted<uint8_t>(bytes);
  fail(fmt::format("tensor {}: unknown dtype {}", in_quotes(name), in_quotes(dtype)));
}

WireTensor tensor_of(std::string name, const std::string& dtype, std::vector<int64_t> shape,
                     std::span<const double> numbers) {
  const bool wide = dtype == "float64";
  return {std::move(name), wide ? "float64" : "float32", std::move(shape),
          wide ? bytes_of<double>(numbers) : bytes_of<float>(numbers)};
}

const WireTensor& WireMessage::tensor(const std::string& name) const {
  std::string there;
  for (const WireTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
    there += (there.empty() ? "" : ", ") + in_quotes(tensor.name);
  }
  fail(fmt::format("expected a tensor \"{}\", found {}", name, there.empty() ? "none" : there));
}

const WireTensor& WireMessage::tensor(const std::string& name, const std::vector<int64_t>& shape) const {
  const WireTensor& found = tensor(name);
  if (found.shape != shape)
    fail(fmt::format("tensor \"{}\": expected the shape {}, found {}", name, text_of(shape), text_of(found.shape)));
  return found;
}

WireMessage read_message(ByteStream& stream, const char* protocol) {
  expect_magic(stream, protocol);
  WireMessage message{read_header(stream)};
  const auto listed = message.header.find("tensors");
  if (listed == message.header.end()) return message;
  if (!listed->is_array())
    fail(fmt::format("expected a list in \"tensors\", found {}",
                     in_quotes(listed->dump(-1, ' ', false, Json::error_handler_t::replace))));
  int64_t room = kMostPayload;
  for (const Json& entry : *listed) {
    WireTensor tensor = declared_tensor(entry);
    room -= static_cast<int64_t>(tensor.bytes.size());
    if (room < 0) fail(fmt::format("expected tensors of at most {} bytes altogether, found more", kMostPayload));
    message.tensors.push_back(std::move(tensor));
  }
  for (WireTensor& tensor : message.tensors) {
    const auto awaited =
        fmt::format("the {} bytes of tensor {} {}", tensor.bytes.size(), in_quotes(tensor.name), text_of(tensor.shape));
    read_rest(awaited, [&] { stream.read(tensor.bytes.data(), tensor.bytes.size()); });
  }
  message.header.erase(listed);
  return message;
}

void write_message(ByteStream& stream, const WireMessage& message) {
  Json header = message.header;
  std::size_t payload = 0;
  if (!message.tensors.empty()) {
    Json& listed = header["tensors"] = Json::array();
    for (const WireTensor& tensor : message.tensors) {
      listed.push_back({{"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", tensor.shape}});
      payload += tensor.bytes.size();
    }
  }
  // Messages of errors may quote paths that are no UTF-8.
  const std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto length = static_cast<uint32_t>(text.size());
  std::string bytes(kMagic, sizeof kMagic);
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length).append(text);
  const bool together = bytes.size() + payload <= kOneWrite;
  if (together)
    for (const WireTensor& tensor : message.tensors) bytes.append(tensor.bytes.data(), tensor.bytes.size());
  stream.write(bytes.data(), bytes.size());
  if (together) return;
  for (const WireTensor& tensor : message.tensors) stream.write(tensor.bytes.data(), tensor.bytes.size());
}

}  // namespace kvproof
