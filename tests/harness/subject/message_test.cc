// Messages as bytes, by hand, and damaged ones.
#include <cmath>
#include <limits>

#include "tests/harness/subject/memory_stream.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using namespace std::string_literals;
using Json = nlohmann::json;

namespace {

WireMessage read(const std::string& bytes) {
  MemoryStream stream(bytes);
  return read_message(stream);
}

WireTensor tensor(const std::string& dtype, std::vector<int64_t> shape, const std::string& bytes) {
  return {"t", dtype, std::move(shape), {bytes.begin(), bytes.end()}};
}

}  // namespace

TEST_CASE("a message is KVP1, the header's length, the header, then the tensors' bytes") {
  const WireMessage message{Json{{"id", 7}}, {{"a", "float32", {1, 2}, {0, 0, -128, 63, 0, 0, 0, -64}}}};
  const std::string header = R"({"id":7,"tensors":[{"dtype":"float32","name":"a","shape":[1,2]}]})";
  CHECK(header.size() == 65);
  CHECK(bytes_of(message) == "KVP1\x41\0\0\0"s + header + "\0\0\x80\x3f\0\0\0\xc0"s);
  CHECK(bytes_of({Json{{"id", 1}}}) == "KVP1\x08\0\0\0{\"id\":1}"s);
}

TEST_CASE("what is written is what is read, whatever the size") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{100'000}, std::size_t{3'000'000}}) {
    WireMessage message{Json{{"id", 1}, {"text", "ü"}}, {}};
    message.tensors.push_back({"bytes", "uint8", {static_cast<int64_t>(size)}, std::vector<char>(size, 'x')});
    message.tensors.push_back({"more", "int32", {1, 1}, {1, 0, 0, 0}});
    const WireMessage back = read(bytes_of(message));
    CHECK(back.header == message.header);
    REQUIRE(back.tensors.size() == 2);
    CHECK(back.tensors[0].bytes == message.tensors[0].bytes);
    CHECK(back.tensor("more", {1, 1}).as_doubles() == std::vector<double>{1});
  }
}

TEST_CASE("numbers of every dtype become doubles") {
  CHECK(tensor("float32", {2}, "\0\0\x80\x3f\0\0\0\xc0"s).as_doubles() == std::vector<double>{1, -2});
  CHECK(tensor("float64", {1}, "\0\0\0\0\0\0\xf8\x3f"s).as_doubles() == std::vector<double>{1.5});
  CHECK(tensor("bfloat16", {2}, "\x80\x3f\x49\xc0"s).as_doubles() == std::vector<double>{1, -3.140625});
  CHECK(tensor("float16", {3}, "\x00\x3c\x01\x00\x48\xc2"s).as_doubles() == std::vector<double>{1, 0x1p-24, -3.140625});
  CHECK(tensor("int64", {1}, "\xfe\xff\xff\xff\xff\xff\xff\xff"s).as_doubles() == std::vector<double>{-2});
  CHECK(tensor("int32", {1}, "\x00\x01\x00\x00"s).as_doubles() == std::vector<double>{256});
  CHECK(tensor("uint8", {2}, "\x00\xff"s).as_doubles() == std::vector<double>{0, 255});
  CHECK(std::isnan(tensor("bfloat16", {1}, "\xc0\x7f"s).as_doubles().front()));
  CHECK(tensor("float16", {1}, "\x00\xfc"s).as_doubles().front() == -std::numeric_limits<double>::infinity());
  CHECK(tensor("float32", {2, 3, 4}, "").numbers() == 24);
}

TEST_CASE("our numbers travel in as few bytes as hold them exactly") {
  const std::vector<double> numbers = {0.1, -2};
  CHECK(tensor_of("t", "float64", {2}, numbers).as_doubles() == numbers);
  for (const auto* dtype : {"float32", "bfloat16", "float16"}) {
    const WireTensor narrow = tensor_of("t", dtype, {2}, numbers);
    CHECK(narrow.dtype == "float32");
    CHECK(narrow.bytes.size() == 8);
    CHECK(narrow.as_doubles() == std::vector<double>{static_cast<double>(0.1f), -2});
  }
}

TEST_CASE("what is no message is told with what came instead") {
  struct Damaged {
    std::string bytes, message;
  };
  const std::string one = R"({"id":1,"tensors":[{"name":"a","dtype":"float32","shape":[2]}]})";
  const auto with = [](const std::string& entry) { return framed(R"({"tensors":[)" + entry + "]}"); };
  const std::vector<Damaged> table = {
      {"Loading weights\n",
       "expected a message of kvproof-subject/1, found \"Loading weights.\"; nothing but messages may "
       "stand there: print to stderr"},
      {"KVP2....",
       "expected a message of kvproof-subject/1, found \"KVP2....\"; nothing but messages may stand there: print "
       "to stderr"},
      {std::string(99, 'a'), "expected a message of kvproof-subject/1, found \"" + std::string(60, 'a') +
                                 "\" …; nothing but messages may stand there: print to stderr"},
      {"KVP1\0\0\0\x08"s,
       "expected a header of at most 16777216 bytes, found a length of 134217728; is it little-endian?"},
      {"KVP1\x05\0"s, "memory: ended; the length of a header had not all come"},
      {"KVP1\x05\0\0\0{}"s, "memory: ended; a header of 5 bytes had not all come"},
      {framed("{\"id\": 1"),
       "expected a header that is one JSON object, found \"{\"id\": 1\"; its length counts bytes, not "
       "characters"},
      {framed("[1]"),
       "expected a header that is one JSON object, found \"[1]\"; its length counts bytes, not characters"},
      {framed("{\"a\":\"\xff\"}"),
       "expected a header that is one JSON object, found \"{\"a\":\".\"}\"; its length counts "
       "bytes, not characters"},
      {framed(one, "1234567"), "memory: ended; the 8 bytes of tensor \"a\" (2) had not all come"},
      {framed(R"({"tensors":{}})"), "expected a list in \"tensors\", found \"{}\""},
      {with("3"), "expected {\"name\", \"dtype\", \"shape\"} for each of the tensors, found \"3\""},
      {with(R"({"name":"a","dtype":"float32"})"),
       "expected {\"name\", \"dtype\", \"shape\"} for each of the tensors, found "
       "\"{\"dtype\":\"float32\",\"name\":\"a\"}\""},
      {with(R"({"name":"a","dtype":"float32","shape":[1.5]})"),
       "expected {\"name\", \"dtype\", \"shape\"} for each of the tensors, found "
       "\"{\"dtype\":\"float32\",\"name\":\"a\",\"shape\":[1.5]}\""},
      {with(R"({"name":"a","dtype":"complex64","shape":[1]})"),
       "tensor \"a\": expected a dtype of float64, float32, float16, bfloat16, int64, int32 or uint8, found "
       "\"complex64\""},
      {with(R"({"name":"a","dtype":"float32","shape":[-1]})"),
       "tensor \"a\": expected a shape of at most 4294967296 bytes, found [-1]"},
      {with(R"({"name":"a","dtype":"float32","shape":[65536,65536]})"),
       "tensor \"a\": expected a shape of at most 4294967296 bytes, found [65536,65536]"},
      {with(R"({"name":"a","dtype":"float32","shape":[18446744073709551615,0]})"),
       "tensor \"a\": expected a shape of at most 4294967296 bytes, found [18446744073709551615,0]"},
  };
  for (const Damaged& damaged : table) {
    CAPTURE(damaged.bytes);
    CHECK_THROWS_WITH(read(damaged.bytes), damaged.message);
  }
}

TEST_CASE("a header of deep brackets is refused or read, not a crash") {
  CHECK_THROWS_AS(read(framed(std::string(1 << 20, '['))), SubjectError);
  CHECK_NOTHROW(read(framed("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}")));
}

TEST_CASE("a tensor that is missing or of another shape is told with what there is") {
  const WireMessage message{Json::object(), {{"keys", "float32", {1, 2}, {}}, {"values", "float32", {}, {}}}};
  CHECK_THROWS_WITH(message.tensor("logits"), "expected a tensor \"logits\", found \"keys\", \"values\"");
  CHECK_THROWS_WITH(WireMessage{}.tensor("logits"), "expected a tensor \"logits\", found none");
  CHECK_THROWS_WITH(message.tensor("keys", {2, 1}), "tensor \"keys\": expected the shape (2, 1), found (1, 2)");
}
