// The parts of an engine that a pattern of failures can point to.
#pragma once

#include <string>

namespace kvproof {

/// The part of an engine that the pattern points to.
enum class Suspect {
  embedding,        // embed differs
  smear,            // what is taken from the previous token
  position,         // RoPE or the position given to it
  qk_scale,         // QK-norm or scale: keys or queries are the right ones, stretched
  value_embedding,  // V differs where K does not
  projection,       // K and V both differ, on equal inputs
  cache_write,      // right keys and values computed, wrong ones stored
  mask,             // attention inside a chunk: what a token may see of its own chunk
  window,           // attention past the window
  head_map,         // which kv head a query head reads
  key_range,        // which slots are read: length, stale tail, capacity
  attention,        // attention, no narrower
  layer,            // c_proj, mlp, residual stream, lambdas
  head,             // final norm, backout, lm_head, softcap: the layers are right, the logits wrong
  clone,            // replication to rows
  retain,           // rows that leave a batch
  rollback,         // truncate
  reset,            // reuse
  growth,           // reserve
  capacity,         // refusal of what does not fit
  row,              // rows of a batch mixed up
  state,            // positions or tokens the cache remembers
  generation,       // the loop around the model: stop, forced tokens, masks, counts
  sampling,         // choice of a token from right logits
  precision,        // logic right, rounding larger than the dtype explains
  subject,          // it died, hung or broke the protocol: nothing is known of its cache
  unknown,
};
std::string to_string(Suspect suspect);  // "cache write"

}  // namespace kvproof
