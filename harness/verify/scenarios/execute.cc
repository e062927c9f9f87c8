#include "harness/verify/scenarios/execute.h"

#include <algorithm>

#include "engine/error.h"

namespace kvproof {
namespace {

/// Rows of different lengths are padded with their last token.
TokenBatch batch_of(const std::vector<Tokens>& rows) {
  TokenBatch batch;
  batch.batch = static_cast<int64_t>(rows.size());
  for (const Tokens& row : rows) batch.length = std::max(batch.length, static_cast<int64_t>(row.size()));
  for (const Tokens& row : rows) {
    batch.lengths.push_back(static_cast<int64_t>(row.size()));
    batch.ids.insert(batch.ids.end(), row.begin(), row.end());
    batch.ids.resize(batch.ids.size() + batch.length - row.size(), row.empty() ? 0 : row.back());
  }
  return batch;
}

Executed forward(const CacheStep& step, const Abilities& can, SubjectCache& cache, StageSink* sink) {
  const TokenBatch batch = batch_of(step.tokens);
  const LogitsAt at = can.has(Ability::all_logits) ? step.at : LogitsAt::last;
  if (!step.refused) return {cache.forward(batch, at, sink), false};
  try {
    cache.forward(batch, at);
  } catch (const CapacityError&) {
    return {{}, true};
  }
  return {};
}

}  // namespace

Executed execute(const CacheStep& step, Subject& subject, const Abilities& can, Caches& caches, StageSink* sink) {
  if (static_cast<std::size_t>(step.cache) >= caches.size()) caches.resize(step.cache + 1);
  std::unique_ptr<SubjectCache>& target = caches[step.cache];
  switch (step.kind) {
    case CacheStep::Kind::create:
      target = subject.new_cache(step.amount, step.capacity);
      break;
    case CacheStep::Kind::clone:
      target = caches[step.source]->clone_rows(step.rows, step.capacity);
      break;
    case CacheStep::Kind::truncate:
      target->truncate(step.rows.front(), step.amount);
      break;
    case CacheStep::Kind::reset:
      target->reset();
      break;
    case CacheStep::Kind::reserve:
      target->reserve(step.capacity);
      break;
    case CacheStep::Kind::retain:
      target->retain_rows(step.rows);
      break;
    case CacheStep::Kind::poison:
      target->poison_tail();
      break;
    case CacheStep::Kind::forward:
      return forward(step, can, *target, sink);
  }
  return {};
}

}  // namespace kvproof
