// Generation by driving a subject's forwards from here: the loop of GPT.generate and of Engine.generate around any engine.
#pragma once

#include "harness/subject/subject.h"

namespace kvproof {

/// A cache that outlives a generation: the first tokens of one row, and behind them what the last generation left.
struct KeptCache {
  std::vector<TokenId> tokens;
  std::unique_ptr<SubjectCache> cache;
  int64_t capacity = 0;  // that was asked for; it may have more
};

/// naive: one uncached forward per row and step, last position's logits. engine: one prefill of one row, cloned to all rows
/// (each row prefilled where the subject cannot clone), then one token a row and step; rows that ended leave where the
/// subject can retain rows, else they are fed on and their tokens ignored (counted in token_forwards).
/// Sampling, stop tokens, forced tokens, masks, max_tokens and the observer as Generator promises; tools are ignored.
/// specials  for request.stop; null: a request with stop is an ArgumentError
/// kept      where request.kept_prefix is held from call to call; null: a request with one is an ArgumentError, and so it is
///           where the subject cannot truncate, or several rows cannot be cloned
/// throws    as Generator::generate, and what the subject throws
GenerationResult drive_generation(Subject& subject, Path path, const GenerationRequest& request,
                                  const SpecialTokens* specials, GenerationObserver* observer,
                                  KeptCache* kept = nullptr);

}  // namespace kvproof
