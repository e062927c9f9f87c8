#include "engine/checkpoint/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>

#include "engine/checkpoint/pickle_heap.h"
#include "engine/checkpoint/pickle_opcodes.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

// Real files need a few opcodes per tensor or token: 600 000 for a vocabulary of 200 000. A hostile one spends at most
// this many, each worth some 200 bytes.
constexpr size_t kMaxOpcodes = size_t{1} << 22;
constexpr size_t kMaxGlobal = 200;  // bytes of a global's name; each object made by it holds a copy

// What Python's protocol 2 makes bytes with; plain data, so always allowed.
bool makes_bytes(std::string_view global) {
  return global == "_codecs.encode" || global == "__builtin__.bytes" || global == "builtins.bytes";
}

class Unpickler {
 public:
  Unpickler(std::string_view bytes, const std::string& place, const std::function<bool(std::string_view)>& allowed)
      : bytes_(bytes), place_(place), allowed_(allowed) {}

  PickleRef run() {
    check_protocol();
    while (true) {
      at_ = next_;
      spend(1);
      if (next_ == bytes_.size()) fail("truncated: the pickle ends without STOP; copy the file again");
      const uint8_t opcode = static_cast<uint8_t>(bytes_[next_++]);
      if (opcode == kStop) return stop();
      if (!scalar(opcode) && !text(opcode) && !container(opcode) && !stack_or_memo(opcode) && !object(opcode)) {
        unknown(opcode);
      }
    }
  }

 private:
  // --- faults and bytes -----------------------------------------------------------------------------------------

  [[noreturn]] void fail(const std::string& message) const {
    throw CheckpointError(fmt::format("{} at byte {}", place_, at_), message);
  }

  [[noreturn]] void unknown(uint8_t opcode) const {
    if (opcode == kEmptySet || opcode == kAddItems || opcode == kFrozenSet) {
      fail("a set is not supported; only None, bool, int, float, str, bytes, tuple, list and dict are");
    }
    fail(fmt::format(
        "opcode 0x{:02x} is not what Python writes for plain data in protocols 2 to 5; the file is damaged, "
        "or was written with another protocol",
        opcode));
  }

  // Bounds what a small file can make of itself by sharing.
  void spend(size_t opcodes) {
    opcodes_ += opcodes;
    if (opcodes_ > kMaxOpcodes)
      fail(fmt::format("more than {} opcodes; no tokenizer or index of tensors needs so many", kMaxOpcodes));
  }

  void check_protocol() {
    if (bytes_.empty()) fail("truncated: the pickle is empty; copy the file again");
    if (static_cast<uint8_t>(bytes_[0]) != kProto) {
      fail(fmt::format("expected a Python pickle of protocol 2 to 5, which begins with 0x80, found 0x{:02x}",
                       static_cast<uint8_t>(bytes_[0])));
    }
  }

  std::string_view take(uint64_t n) {
    const size_t left = bytes_.size() - next_;
    if (n > left) fail(fmt::format("truncated: {} more bytes expected, {} left; copy the file again", n, left));
    const auto taken = bytes_.substr(next_, n);
    next_ += n;
    return taken;
  }

  uint64_t little_endian(size_t n) {
    const auto raw = take(n);
    uint64_t value = 0;
    for (size_t i = 0; i < n; ++i) value |= uint64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
    return value;
  }

  std::string_view line() {
    const size_t end = bytes_.find('\n', next_);
    if (end == std::string_view::npos) fail("truncated: a name without its end; copy the file again");
    const auto taken = bytes_.substr(next_, end - next_);
    next_ = end + 1;
    return taken;
  }

  // --- stack ----------------------------------------------------------------------------------------------------

  template <class T>
  void push(T value) {
    stack_.push_back(heap_.add(PickleValue{std::move(value)}));
  }

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  const PickleRef& top() {
    if (stack_.size() <= floor()) fail("stack fault: the opcode needs a value that is not there; the file is damaged");
    return stack_.back();
  }

  PickleRef pop() {
    PickleRef value = top();
    stack_.pop_back();
    return value;
  }

  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) fail("stack fault: the opcode needs a MARK that is not there; the file is damaged");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleRef> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return values;
  }

  template <class T>
  T& expect(const PickleRef& value, const char* opcode, const char* expected) {
    T* held = std::get_if<T>(&value->data);
    if (!held) fail(fmt::format("{} needs {}, found {}; the file is damaged", opcode, expected, value->type_name()));
    return *held;
  }

  // --- opcodes; each function says whether the opcode is one of its own ------------------------------------------

  bool scalar(uint8_t opcode) {
    switch (opcode) {
      case kPushNone:
        push(PickleNone{});
        return true;
      case kNewTrue:
        push(true);
        return true;
      case kNewFalse:
        push(false);
        return true;
      case kBinInt:
        push(int64_t{static_cast<int32_t>(little_endian(4))});
        return true;
      case kBinInt1:
        push(static_cast<int64_t>(little_endian(1)));
        return true;
      case kBinInt2:
        push(static_cast<int64_t>(little_endian(2)));
        return true;
      case kLong1:
        push(long_integer(little_endian(1)));
        return true;
      case kLong4:
        push(long_integer(little_endian(4)));
        return true;
      case kBinFloat: {
        uint64_t bits = 0;  // big endian, the only such number in a pickle
        for (const char c : take(8)) bits = bits << 8 | static_cast<uint8_t>(c);
        push(std::bit_cast<double>(bits));
        return true;
      }
      default:
        return false;
    }
  }

  // Two's complement, little endian, as short as it gets.
  int64_t long_integer(uint64_t n) {
    if (n > 8) fail(fmt::format("an integer of {} bytes does not fit 64 bits", n));
    if (n == 0) return 0;
    const auto shift = 64 - 8 * n;
    return static_cast<int64_t>(little_endian(n) << shift) >> shift;
  }

  bool text(uint8_t opcode) {
    switch (opcode) {
      case kShortBinUnicode:
      case kShortBinString:
        push_text(take(little_endian(1)));
        return true;
      case kBinUnicode:
      case kBinString:
        push_text(take(little_endian(4)));
        return true;
      case kBinUnicode8:
        push_text(take(little_endian(8)));
        return true;
      case kShortBinBytes:
        push(PickleBytes{std::string(take(little_endian(1)))});
        return true;
      case kBinBytes:
        push(PickleBytes{std::string(take(little_endian(4)))});
        return true;
      case kBinBytes8:
      case kByteArray8:
        push(PickleBytes{std::string(take(little_endian(8)))});
        return true;
      default:
        return false;
    }
  }

  void push_text(std::string_view text) {
    check_utf8(text);
    push(std::string(text));
  }

  void check_utf8(std::string_view text) const {
    const size_t valid = valid_utf8_prefix(text);
    if (valid != text.size()) fail(fmt::format("a str that is no UTF-8 from its byte {} on: {}", valid, quote(text)));
  }

  bool container(uint8_t opcode) {
    switch (opcode) {
      case kEmptyTuple:
        push(PickleTuple{});
        return true;
      case kEmptyList:
        push(PickleList{});
        return true;
      case kEmptyDict:
        push(PickleDict{});
        return true;
      case kTuple1:
      case kTuple2:
      case kTuple3: {
        PickleTuple tuple{std::vector<PickleRef>(opcode - kTuple1 + size_t{1})};
        for (size_t i = tuple.items.size(); i-- > 0;) tuple.items[i] = pop();
        push(std::move(tuple));
        return true;
      }
      case kTuple:
        push(PickleTuple{pop_to_mark()});
        return true;
      case kList:
        push(PickleList{pop_to_mark()});
        return true;
      case kDict: {
        auto items = pop_to_mark();
        push(PickleDict{});
        set_items(std::move(items), "DICT");
        return true;
      }
      case kAppend:
        append({pop()}, "APPEND");
        return true;
      case kAppends:
        append(pop_to_mark(), "APPENDS");
        return true;
      case kSetItem: {
        auto value = pop();
        auto key = pop();
        set_items({std::move(key), std::move(value)}, "SETITEM");
        return true;
      }
      case kSetItems:
        set_items(pop_to_mark(), "SETITEMS");
        return true;
      default:
        return false;
    }
  }

  void append(std::vector<PickleRef> values, const char* opcode) {
    auto& items = expect<PickleList>(top(), opcode, "a list").items;
    items.insert(items.end(), values.begin(), values.end());
  }

  void set_items(std::vector<PickleRef> values, const char* opcode) {
    if (values.size() % 2 != 0) fail(fmt::format("{} with a key that has no value; the file is damaged", opcode));
    auto* object = std::get_if<PickleObject>(&top()->data);
    auto& items = object ? object->items : expect<PickleDict>(top(), opcode, "a dict").items;
    for (size_t i = 0; i < values.size(); i += 2) items.emplace_back(std::move(values[i]), std::move(values[i + 1]));
  }

  bool stack_or_memo(uint8_t opcode) {
    switch (opcode) {
      case kMark:
        marks_.push_back(stack_.size());
        return true;
      case kPop:
        if (!marks_.empty() && stack_.size() == marks_.back())
          marks_.pop_back();
        else
          pop();
        return true;
      case kPopMark:
        pop_to_mark();
        return true;
      case kDup:
        stack_.push_back(PickleRef(top()));
        return true;
      case kBinGet:
        get(little_endian(1));
        return true;
      case kLongBinGet:
        get(little_endian(4));
        return true;
      case kBinPut:
        memo_[little_endian(1)] = top();
        return true;
      case kLongBinPut:
        memo_[little_endian(4)] = top();
        return true;
      case kMemoize:
        memo_[memo_.size()] = PickleRef(top());
        return true;
      default:
        return false;
    }
  }

  void get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail(fmt::format("memo fault: nothing was stored as {}; the file is damaged", index));
    stack_.push_back(found->second);
  }

  bool object(uint8_t opcode) {
    switch (opcode) {
      case kProto:
        if (const auto version = little_endian(1); version < 2 || version > 5) {
          fail(fmt::format("expected pickle protocol 2 to 5, found {}", version));
        }
        return true;
      case kFrame:
        if (const auto length = little_endian(8); length > bytes_.size() - next_) {
          fail(fmt::format("truncated: a frame of {} bytes, {} left; copy the file again", length,
                           bytes_.size() - next_));
        }
        return true;
      case kGlobal: {
        const auto module = line();
        const auto name = line();
        global(fmt::format("{}.{}", module, name));
        return true;
      }
      case kStackGlobal: {
        const auto name = pop(), module = pop();
        global(fmt::format("{}.{}", expect<std::string>(module, "STACK_GLOBAL", "a str"),
                           expect<std::string>(name, "STACK_GLOBAL", "a str")));
        return true;
      }
      case kReduce:
        call("REDUCE");
        return true;
      case kNewObj:
        call("NEWOBJ");
        return true;
      case kNewObjEx:
        if (const auto keywords = pop(); !expect<PickleDict>(keywords, "NEWOBJ_EX", "a dict").items.empty()) {
          fail("an object made with keyword arguments is not supported");
        }
        call("NEWOBJ_EX");
        return true;
      case kBuild: {
        const auto state = pop();
        expect<PickleObject>(top(), "BUILD", "an object").state = state;
        return true;
      }
      case kBinPersId:
        push(PicklePersistentId{pop()});
        return true;
      default:
        return false;
    }
  }

  void global(const std::string& name) {
    check_utf8(name);
    if (name.size() > kMaxGlobal || (!makes_bytes(name) && !allowed_(name))) {
      fail(
          fmt::format("the global {} has no place in this kind of file; nothing was run. Use a file you trust, with "
                      "plain data only",
                      quote(name)));
    }
    push(PickleGlobal{name});
  }

  void call(const char* opcode) {
    const auto arguments = pop(), callable = pop();
    const auto& items = expect<PickleTuple>(arguments, opcode, "a tuple").items;
    const auto& name = expect<PickleGlobal>(callable, opcode, "a global").name;
    spend(items.size());  // copied below
    if (makes_bytes(name))
      push(latin1_bytes(name, items));
    else
      push(PickleObject{name, items, {}, nullptr});
  }

  // Protocol 2 has no bytes: Python writes bytes() or _codecs.encode(str, "latin1").
  PickleBytes latin1_bytes(const std::string& name, const std::vector<PickleRef>& arguments) {
    if (arguments.empty() && name != "_codecs.encode") return {};
    const auto* text = arguments.size() == 2 ? arguments[0]->get<std::string>() : nullptr;
    const auto* codec = arguments.size() == 2 ? arguments[1]->get<std::string>() : nullptr;
    if (name != "_codecs.encode" || !text || !codec || *codec != "latin1") {
      fail(fmt::format("{} is supported only as Python writes bytes with it", name));
    }
    spend(text->size() / 16);
    auto bytes = latin1_of_utf8(*text);
    if (!bytes) fail("a str beyond latin1 cannot be bytes");
    return {std::move(*bytes)};
  }

  // --- the end --------------------------------------------------------------------------------------------------

  PickleRef stop() {
    if (!marks_.empty() || stack_.size() != 1) fail("stack fault: STOP needs exactly one value; the file is damaged");
    if (next_ != bytes_.size()) fail(fmt::format("{} bytes follow STOP; the file is damaged", bytes_.size() - next_));
    if (const auto fault = heap_.release(stack_.back()); !fault.empty()) fail(fault);
    return stack_.back();
  }

  std::string_view bytes_;
  const std::string& place_;
  const std::function<bool(std::string_view)>& allowed_;
  size_t at_ = 0;    // of the opcode being read, for messages
  size_t next_ = 0;  // first byte not read
  size_t opcodes_ = 0;
  PickleHeap heap_;  // first: it outlives those that point into it
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;  // stack sizes
  std::unordered_map<uint64_t, PickleRef> memo_;
};

}  // namespace

std::string PickleValue::type_name() const {
  static constexpr std::array<const char*, 12> kNames = {
      "None", "bool", "int", "float", "str", "bytes", "tuple", "list", "dict", "global ", "object ", "persistent id"};
  static_assert(kNames.size() == std::variant_size_v<decltype(data)>);
  std::string name = kNames[data.index()];
  if (const auto* global = get<PickleGlobal>()) name += global->name;
  if (const auto* object = get<PickleObject>()) name += object->callable;
  return name;
}

PickleRef read_pickle(std::string_view bytes, const std::string& place,
                      const std::function<bool(std::string_view)>& allowed) {
  return Unpickler(bytes, place, allowed).run();
}

}  // namespace kvproof
