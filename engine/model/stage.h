// Points inside a forward that verification can look at.
#pragma once

namespace kvproof {

/// In the order in which a forward reaches them. embed and smear come once, the others in every layer.
enum class Stage {
  embed,      // (B, T, C) token embeddings, normed
  smear,      // (B, T, C) what enters layer 0: each embedding with its predecessor's share
  query,      // (B, H, T, D) after RoPE, norm and scale
  key,        // (B, G, T, D) the new positions', as they go into the cache
  value,      // (B, G, T, D) likewise, with value embeddings
  attention,  // (B, H, T, D) the heads' outputs, before c_proj
  layer,      // (B, T, C) the residual stream behind the layer
};

}  // namespace kvproof
