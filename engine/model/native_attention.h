// Attention of many queries by LibTorch, which multiplies in bfloat16 where the CPU does.
#pragma once

#include "engine/kernels/thread_team.h"

namespace kvproof::native {

/// `count` queries of one row for `heads` heads side by side, over slots [begin, end).
template <typename W>
struct AttentionTile {
  const W* q;  // element (t, h, d) at q[t * q_stride + h * D + d]
  int64_t q_stride;
  const W *k, *v;          // element (h, s, d) at k[h * kv_head_stride + s * slot_stride + d], s from slot 0 on
  int64_t kv_head_stride;  // 0: all heads read one
  int64_t slot_stride;
  W* out;  // as q
  int64_t out_stride;
  const kernels::Range* seen;  // (count): the slots that each query sees, within [begin, end); empty: none
  int64_t begin, end;
  int64_t heads, count, dim;
  double scale;
};

/// out = softmax(q kᵀ · scale) v. Holds scores of one block at a time, and a mask of (count, end - begin).
template <typename W>
void attend(const AttentionTile<W>& tile);

}  // namespace kvproof::native
