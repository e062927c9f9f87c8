#include "engine/checkpoint/pickle.h"

#include <limits>
#include <map>

#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

using namespace std::string_literals;
using testing::data_path;
using testing::fault_of;
using testing::read_bytes;

bool no_globals(std::string_view) { return false; }
bool any_global(std::string_view) { return true; }

PickleRef read(std::string_view bytes) { return read_pickle(bytes, "x.pkl", no_globals); }

// A pickle of protocol 4 without a frame.
std::string p4(std::string_view opcodes) { return "\x80\x04" + std::string(opcodes); }

template <size_t N>
std::string bytes(const char (&literal)[N]) {  // keeps the zeros
  return std::string(literal, N - 1);
}

const std::vector<PickleRef>& items(const PickleRef& value) {
  if (const auto* list = value->get<PickleList>()) return list->items;
  REQUIRE(value->get<PickleTuple>());
  return value->get<PickleTuple>()->items;
}

std::map<std::string, PickleRef> by_name(const PickleRef& value) {
  REQUIRE(value->get<PickleDict>());
  std::map<std::string, PickleRef> named;
  for (const auto& [key, item] : value->get<PickleDict>()->items) {
    if (const auto* name = key->get<std::string>()) named[*name] = item;
  }
  return named;
}

TEST_CASE("plain data pickled by Python in protocols 2 to 5 is read", "[engine][pickle]") {
  const auto protocol = GENERATE("2", "3", "4", "5");  // 2 has no bytes, 5 has frames
  CAPTURE(protocol);
  const auto root = read(read_bytes(data_path(std::string("plain_protocol") + protocol + ".pkl")));
  REQUIRE(root->get<PickleDict>()->items.size() == 10 + 1);
  auto plain = by_name(root);
  CHECK(plain["none"]->get<PickleNone>());
  CHECK(*plain["true"]->get<bool>());
  CHECK_FALSE(*plain["false"]->get<bool>());

  std::vector<int64_t> ints;
  for (const auto& item : items(plain["ints"])) ints.push_back(*item->get<int64_t>());
  CHECK(ints == std::vector<int64_t>{0, 255, 256, 65535, 65536, -1, 2147483647, -2147483648, 2147483648,
                                     std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()});
  std::vector<double> floats;
  for (const auto& item : items(plain["floats"])) floats.push_back(*item->get<double>());
  CHECK(floats == std::vector<double>{0.0, -1.5, 1e300, std::numeric_limits<double>::infinity()});
  std::vector<std::string> texts;
  for (const auto& item : items(plain["text"])) texts.push_back(*item->get<std::string>());
  CHECK(texts == std::vector<std::string>{"", "ascii", "é中😀", std::string(300, 'x')});
  std::vector<std::string> byte_strings;
  for (const auto& item : items(plain["bytes"])) byte_strings.push_back(item->get<PickleBytes>()->data);
  CHECK(byte_strings == std::vector<std::string>{"", bytes("\x00\xff\x80"), std::string(300, 'y')});

  const auto& tuples = items(plain["tuples"]);
  REQUIRE(tuples.size() == 5);
  for (size_t i = 0; i < tuples.size(); ++i) {
    REQUIRE(tuples[i]->get<PickleTuple>());
    REQUIRE(items(tuples[i]).size() == i);
    for (size_t j = 0; j < i; ++j) CHECK(*items(tuples[i])[j]->get<int64_t>() == static_cast<int64_t>(j + 1));
  }
  const auto& shared = items(plain["shared"]);
  CHECK(shared[0] == shared[1]);  // one list, held twice
  const auto inner = by_name(by_name(plain["nested"])["a"])["b"];
  CHECK(*items(items(items(inner)[1])[1])[0]->get<int64_t>() == 3);
}

TEST_CASE("a value outlives the rest of its pickle", "[engine][pickle]") {
  PickleRef inner;
  {
    const auto root = read(p4("]](K\1K\2ea."));
    inner = items(root)[0];
  }
  CHECK(*items(inner)[1]->get<int64_t>() == 2);
}

TEST_CASE("objects keep what would have been called, set and built", "[engine][pickle]") {
  const auto root = read_pickle(
      "\x80\x02"
      "ccollections\nOrderedDict\n)R(X\1\0\0\0aK\1X\1\0\0\0bK\2u}X\1\0\0\0mNsb."s,
      "x.pkl", any_global);
  const auto* object = root->get<PickleObject>();
  REQUIRE(object);
  CHECK(object->callable == "collections.OrderedDict");
  CHECK(object->arguments.empty());
  REQUIRE(object->items.size() == 2);
  CHECK(*object->items[1].first->get<std::string>() == "b");
  REQUIRE(object->state);
  CHECK(object->state->get<PickleDict>()->items.size() == 1);
  CHECK(root->type_name() == "object collections.OrderedDict");
}

TEST_CASE("a broken or hostile pickle is an error with file, byte and next step", "[engine][pickle]") {
  const std::string truncated = "copy the file again", damaged = "the file is damaged";
  struct Case {
    std::string hard_case, pickle, message;
  };
  const std::vector<Case> cases = {
      {"nothing at all", "", "x.pkl at byte 0: truncated: the pickle is empty; " + truncated},
      {"text instead", "hello",
       "x.pkl at byte 0: expected a Python pickle of protocol 2 to 5, which begins with 0x80, found 0x68"},
      {"protocol 1 claimed", bytes("\x80\x01N."), "x.pkl at byte 0: expected pickle protocol 2 to 5, found 1"},
      {"protocol 6 claimed", bytes("\x80\x06N."), "x.pkl at byte 0: expected pickle protocol 2 to 5, found 6"},
      {"no STOP", p4("N"), "x.pkl at byte 3: truncated: the pickle ends without STOP; " + truncated},
      {"half an int", p4("J\1\2"), "x.pkl at byte 2: truncated: 4 more bytes expected, 2 left; " + truncated},
      {"a str of 4 GB",
       p4("X\xff\xff\xff\xff"
          "abc"),
       "x.pkl at byte 2: truncated: 4294967295 more bytes expected, 3 left; " + truncated},
      {"bytes of 2^64 - 1",
       p4("\x8e\xff\xff\xff\xff\xff\xff\xff\xff"
          "a"),
       "x.pkl at byte 2: truncated: 18446744073709551615 more bytes expected, 1 left; " + truncated},
      {"a frame beyond the end", p4(bytes("\x95\x09\0\0\0\0\0\0\0N.")),
       "x.pkl at byte 2: truncated: a frame of 9 bytes, 2 left; " + truncated},
      {"a name without its end", p4("cos"), "x.pkl at byte 2: truncated: a name without its end; " + truncated},
      {"an int of 72 bits",
       p4("\x8a\x09"
          "123456789."),
       "x.pkl at byte 2: an integer of 9 bytes does not fit 64 bits"},
      {"an int of negative length", p4("\x8b\xff\xff\xff\xff."),
       "x.pkl at byte 2: an integer of 4294967295 bytes does not fit 64 bits"},
      {"broken UTF-8",
       p4("\x8c\x03"
          "a\xff"
          "b."),
       "x.pkl at byte 2: a str that is no UTF-8 from its byte 1 on: 'a\\xffb'"},
      {"a surrogate", p4("\x8c\x03\xed\xa0\x80."),
       "x.pkl at byte 2: a str that is no UTF-8 from its byte 0 on: '\\xed\\xa0\\x80'"},
      {"a call of os.system", p4("cos\nsystem\n\x8c\x02ls\x85R."),
       "x.pkl at byte 2: the global 'os.system' has no place in this kind of file; nothing was run. Use a file you "
       "trust, with plain data only"},
      {"the same by STACK_GLOBAL",
       p4("\x8c\x08"
          "builtins\x8c\x04"
          "eval\x93."),
       "x.pkl at byte 18: the global 'builtins.eval' has no place in this kind of file; nothing was run. Use a file "
       "you trust, with plain data only"},
      {"a terminal escape in a name", p4("c\x1b[2J\nx\n."),
       "x.pkl at byte 2: the global '\\x1b[2J.x' has no place in this kind of file; nothing was run. Use a file you "
       "trust, with plain data only"},
      {"bytes() of something else",
       p4("c_codecs\nencode\n\x8c\x01"
          "a\x8c\x05utf-8\x86R."),
       "x.pkl at byte 29: _codecs.encode is supported only as Python writes bytes with it"},
      {"a str beyond latin1 as bytes", p4("c_codecs\nencode\n\x8c\x02\xc4\x80\x8c\x06latin1\x86R."),
       "x.pkl at byte 31: a str beyond latin1 cannot be bytes"},
      {"INT of protocol 0", p4("I1\n."),
       "x.pkl at byte 2: opcode 0x49 is not what Python writes for plain data in protocols 2 to 5; the file is "
       "damaged, or was written with another protocol"},
      {"a set", p4("\x8f."),
       "x.pkl at byte 2: a set is not supported; only None, bool, int, float, str, bytes, tuple, list and dict are"},
      {"STOP with nothing", p4("."), "x.pkl at byte 2: stack fault: STOP needs exactly one value; " + damaged},
      {"STOP with two values", p4("NN."), "x.pkl at byte 4: stack fault: STOP needs exactly one value; " + damaged},
      {"STOP inside a MARK", p4("(N."), "x.pkl at byte 4: stack fault: STOP needs exactly one value; " + damaged},
      {"bytes after STOP", p4("N.N."), "x.pkl at byte 3: 2 bytes follow STOP; " + damaged},
      {"POP of nothing", p4("0."),
       "x.pkl at byte 2: stack fault: the opcode needs a value that is not there; " + damaged},
      {"APPENDS without MARK", p4("]e."),
       "x.pkl at byte 3: stack fault: the opcode needs a MARK that is not there; " + damaged},
      {"a TUPLE3 that would eat a MARK", p4("N(NN\x87."),
       "x.pkl at byte 6: stack fault: the opcode needs a value that is not there; " + damaged},
      {"APPEND to a dict", p4("}Na."), "x.pkl at byte 4: APPEND needs a list, found dict; " + damaged},
      {"SETITEM of a list", p4("]NNs."), "x.pkl at byte 5: SETITEM needs a dict, found list; " + damaged},
      {"a key without value", p4("}(Nu."), "x.pkl at byte 5: SETITEMS with a key that has no value; " + damaged},
      {"a memo entry that is not there", p4("h\7."),
       "x.pkl at byte 2: memo fault: nothing was stored as 7; " + damaged},
      {"REDUCE of an int", p4("K\1)R."), "x.pkl at byte 5: REDUCE needs a global, found int; " + damaged},
      {"BUILD of a list", p4("]}b."), "x.pkl at byte 4: BUILD needs an object, found list; " + damaged},
      {"a list that holds itself", p4("]\x94h\0a."s),
       "x.pkl at byte 7: a value holds itself; a checkpoint or tokenizer never does"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.hard_case);
    CHECK(fault_of([&] { read(c.pickle); }) == "checkpoint| " + c.message);
  }
}

TEST_CASE("an object made with keyword arguments is refused", "[engine][pickle]") {
  CHECK(fault_of([] { read_pickle(p4("ca\nb\n)}K\1K\2s\x92."), "x.pkl", any_global); }) ==
        "checkpoint| x.pkl at byte 14: an object made with keyword arguments is not supported");
}

TEST_CASE("a million nested lists neither overflow the stack nor leak", "[engine][pickle]") {
  const std::string open(1000000, ']'), close(999999, 'a');
  CHECK(fault_of([&] { read(p4(open + close + ".")); }) ==
        "checkpoint| x.pkl at byte 2000001: values nest more than 100 deep");
  // The same, hidden in values that are thrown away, or cut off before the end.
  CHECK(fault_of([&] { read(p4(open + close + "0N.")); }) == "no error");
  CHECK(fault_of([&] { read(p4(open + close)); }) ==
        "checkpoint| x.pkl at byte 2000001: truncated: the pickle ends without STOP; copy the file again");
  CHECK(fault_of([&] { read(p4(std::string(100, ']') + std::string(99, 'a') + ".")); }) == "no error");
}

TEST_CASE("a small pickle cannot fill the memory", "[engine][pickle]") {
  // 5 million opcodes; and 20 bytes of opcodes repeated, each copying a tuple of 60 000 arguments.
  const std::string limit = "more than 4194304 opcodes; no tokenizer or index of tensors needs so many";
  CHECK(fault_of([&] { read(p4(std::string(5000000, '}'))); }) == "checkpoint| x.pkl at byte 4194305: " + limit);
  std::string bomb = "ca\nb\n\x94(" + std::string(60000, 'N') + "t\x94";
  for (int i = 0; i < 100000; ++i) bomb += bytes("h\0h\1R");
  const auto fault = fault_of([&] { read_pickle(p4(bomb), "x.pkl", any_global); });
  CHECK_THAT(fault, Catch::Matchers::Contains(limit));
  // Doubling by sharing: 60 levels would be 2^60 leaves, if anything walked them one by one.
  std::string doubling = "N";
  for (int i = 0; i < 60; ++i) doubling += "2\x86";
  CHECK(fault_of([&] { read(p4(doubling + ".")); }) == "no error");
}

}  // namespace
}  // namespace kvproof
