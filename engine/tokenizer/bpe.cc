#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace kvproof {
namespace {

constexpr TokenId kNoToken = -1;
constexpr std::greater<> kLeastFirst;

uint64_t heap_entry(TokenId rank, uint32_t begin) { return static_cast<uint64_t>(rank) << 32 | begin; }

uint64_t pair_of(TokenId left, TokenId right) { return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right); }

}  // namespace

Bpe::Bpe(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
  ids_.reserve(tokens_.size());
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    ids_.emplace(tokens_[id], static_cast<TokenId>(id));
    longest_ = std::max(longest_, tokens_[id].size());
  }
}

Bpe::Bpe(std::vector<std::string> tokens, const std::vector<bool>& is_special, const std::vector<Merge>& merges,
         bool whole_pieces)
    : tokens_(std::move(tokens)), whole_pieces_(whole_pieces), merges_are_listed_(true) {
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    if (is_special[id]) continue;
    ids_.emplace(tokens_[id], static_cast<TokenId>(id));
    longest_ = std::max(longest_, tokens_[id].size());
  }
  merges_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    merges_.insert_or_assign(pair_of(merge.left, merge.right), Ranked{static_cast<TokenId>(rank), merge.merged});
  }
}

TokenId Bpe::find(std::string_view bytes) const {
  if (bytes.size() > longest_) return kNoToken;  // also bounds what a hash costs
  const auto found = ids_.find(bytes);
  return found == ids_.end() ? kNoToken : found->second;
}

/// Looks up what the part at begin and the next one make together; notes it in the part and as the heap's last entry.
void Bpe::offer(std::string_view piece, uint32_t begin, Workspace& workspace) const {
  auto& part = workspace.parts[begin];
  part.merged = kNoToken;
  if (part.end == piece.size()) return;
  const auto& next = workspace.parts[part.end];
  if (merges_are_listed_) {
    if (const auto found = merges_.find(pair_of(part.id, next.id)); found != merges_.end()) {
      part.rank = found->second.rank;
      part.merged = found->second.merged;
    }
  } else {
    part.rank = part.merged = find(piece.substr(begin, next.end - begin));
  }
  if (part.merged != kNoToken) workspace.heap.push_back(heap_entry(part.rank, begin));
}

void Bpe::encode(std::string_view piece, Workspace& workspace, std::vector<TokenId>& ids) const {
  if (piece.empty()) return;
  if (whole_pieces_) {
    if (const TokenId whole = find(piece); whole != kNoToken) {
      ids.push_back(whole);
      return;
    }
  }
  auto& [parts, heap] = workspace;
  const auto size = static_cast<uint32_t>(piece.size());
  parts.clear();
  heap.clear();
  for (uint32_t i = 0; i < size; ++i) parts.push_back({i - 1, i + 1, find(piece.substr(i, 1)), kNoToken, kNoToken});
  for (uint32_t i = 0; i < size; ++i) offer(piece, i, workspace);
  std::make_heap(heap.begin(), heap.end(), kLeastFirst);

  const auto offer_and_sift = [&](uint32_t begin) {
    const std::size_t before = heap.size();
    offer(piece, begin, workspace);
    if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), kLeastFirst);
  };
  while (!heap.empty()) {
    const uint64_t least = heap.front();
    std::pop_heap(heap.begin(), heap.end(), kLeastFirst);
    heap.pop_back();
    const auto begin = static_cast<uint32_t>(least);
    auto& part = parts[begin];
    if (part.merged == kNoToken || heap_entry(part.rank, begin) != least) continue;  // one of the two is another by now

    const uint32_t right = part.end;
    part.id = part.merged;
    part.end = parts[right].end;
    parts[right].merged = kNoToken;
    if (part.end < size) parts[part.end].prev = begin;
    offer_and_sift(begin);
    if (begin > 0) offer_and_sift(part.prev);
  }
  for (uint32_t i = 0; i < size; i = parts[i].end) ids.push_back(parts[i].id);
}

}  // namespace kvproof
