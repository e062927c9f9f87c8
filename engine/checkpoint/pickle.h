// A restricted reader of Python pickles (protocols 2 to 5): it builds data and runs nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kvproof {

struct PickleValue;
using PickleRef = std::shared_ptr<PickleValue>;  // shared, because a pickle's memo shares

struct PickleNone {};
struct PickleBytes {
  std::string data;
};
struct PickleTuple {
  std::vector<PickleRef> items;
};
struct PickleList {
  std::vector<PickleRef> items;
};
struct PickleDict {
  std::vector<std::pair<PickleRef, PickleRef>> items;
};  // in file order
/// A global that the caller allowed, e.g. "collections.OrderedDict". Never imported or called.
struct PickleGlobal {
  std::string name;
};
/// What REDUCE or NEWOBJ would have made: the callable's name, its arguments, and what BUILD would set.
/// An OrderedDict's SETITEMS land in `items`.
struct PickleObject {
  std::string callable;
  std::vector<PickleRef> arguments;
  std::vector<std::pair<PickleRef, PickleRef>> items;
  PickleRef state;  // null if no BUILD followed
};
/// A BINPERSID: torch.save's reference to a storage.
struct PicklePersistentId {
  PickleRef id;
};

struct PickleValue {
  std::variant<PickleNone, bool, int64_t, double, std::string, PickleBytes, PickleTuple, PickleList, PickleDict,
               PickleGlobal, PickleObject, PicklePersistentId>
      data;

  template <class T>
  const T* get() const {
    return std::get_if<T>(&data);
  }
  /// "int", "str", "tuple", "object collections.OrderedDict", …: for messages.
  std::string type_name() const;
};

/// Reads one pickle.
///
/// bytes    the whole pickle, up to and including STOP
/// place    the file's name, for messages; the byte offset of a fault is added
/// allowed  says whether a global ("module.name") may occur; others are an error that names it
/// returns  the value on the stack at STOP
/// throws   CheckpointError: truncated data, an unknown opcode, a global that is not allowed, integers beyond 64 bits,
///          a stack or memo fault, nesting or sizes beyond what the bytes can hold
PickleRef read_pickle(std::string_view bytes, const std::string& place,
                      const std::function<bool(std::string_view)>& allowed);

}  // namespace kvproof
