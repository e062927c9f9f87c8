#include "engine/checkpoint/byte_tokenizer.h"

#include <algorithm>
#include <numeric>

#include "engine/checkpoint/pickle_writer.h"

namespace kvproof {
namespace {

constexpr const char* kPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kSpecials[] = {"<|bos|>",           "<|user_start|>",   "<|user_end|>",   "<|assistant_start|>",
                                     "<|assistant_end|>", "<|python_start|>", "<|python_end|>", "<|output_start|>",
                                     "<|output_end|>"};

constexpr size_t kBatch = 1000;  // items per SETITEMS, as Python's pickler

// Opcodes with the memo that Python's pickler keeps: every str, bytes, dict, global and object is remembered once.
class MemoPickle {
 public:
  void memoize() { writer.op(kMemoize); }
  void text(std::string_view value) { writer.short_text(value), memoize(); }
  void bytes(std::string_view value) { writer.short_bytes(value), memoize(); }
  void empty_dict() { writer.op(kEmptyDict), memoize(); }

  // SETITEMS of n items, each pushed by push(i).
  template <class F>
  void set_items(size_t n, const F& push) {
    for (size_t begin = 0; begin < n; begin += kBatch) {
      const size_t end = std::min(n, begin + kBatch);
      if (end - begin > 1) writer.op(kMark);
      for (size_t i = begin; i < end; ++i) push(i);
      writer.op(end - begin > 1 ? kSetItems : kSetItem);
    }
  }

  PickleWriter writer{4};
};

}  // namespace

EncodingData byte_encoding(int64_t vocab_size) {
  EncodingData encoding{"rustbpe", kPattern, {}, {}};
  const auto n = static_cast<size_t>(vocab_size) - std::size(kSpecials);
  for (int byte = 0; byte < 256; ++byte) encoding.ranks.emplace_back(1, static_cast<char>(byte));
  // Letters first, so that small vocabularies merge what occurs in text.
  std::string order = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  for (int byte = 0; byte < 256; ++byte) {
    if (order.find(static_cast<char>(byte)) == std::string::npos) order += static_cast<char>(byte);
  }
  for (size_t first = 0; encoding.ranks.size() < n; ++first) {  // first: the token that one more byte is appended to
    const std::string prefix = first < 256 ? std::string(1, order[first]) : encoding.ranks[first];
    for (size_t i = 0; i < 256 && encoding.ranks.size() < n; ++i) encoding.ranks.push_back(prefix + order[i]);
  }
  for (const char* special : kSpecials) {
    encoding.specials.emplace_back(special, static_cast<int64_t>(n + encoding.specials.size()));
  }
  return encoding;
}

std::string pickle_encoding(const EncodingData& encoding) {
  MemoPickle p;
  p.text("tiktoken.core"), p.text("Encoding");
  p.writer.op(kStackGlobal), p.memoize();
  p.writer.op(kEmptyTuple).op(kNewObj), p.memoize();
  p.empty_dict();
  p.writer.op(kMark);
  p.text("name"), p.text(encoding.name);
  p.text("pat_str"), p.text(encoding.pattern);
  p.text("mergeable_ranks"), p.empty_dict();
  p.set_items(encoding.ranks.size(),
              [&](size_t i) { p.bytes(encoding.ranks[i]), p.writer.integer(static_cast<int64_t>(i)); });
  p.text("special_tokens"), p.empty_dict();
  p.set_items(encoding.specials.size(),
              [&](size_t i) { p.text(encoding.specials[i].first), p.writer.integer(encoding.specials[i].second); });
  p.writer.op(kSetItems).op(kBuild).op(kStop);

  // Python frames what follows the protocol; one frame may be of any size.
  PickleWriter framed(4);
  const std::string body = p.writer.bytes().substr(2);
  framed.op(kFrame).raw(body.size(), 8);
  return framed.bytes() + body;
}

}  // namespace kvproof
