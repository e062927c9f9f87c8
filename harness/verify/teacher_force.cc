#include "harness/verify/teacher_force.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "harness/verify/gates.h"

namespace kvproof {
namespace {

int64_t length_of(const TokenStream& stream) { return static_cast<int64_t>(stream.tokens.size()); }

/// Some positions' logits of one row, compact.
class KeptLogits {
 public:
  KeptLogits() = default;
  /// Keeps `positions` (ascending) out of what one uncached forward over `tokens` gives.
  KeptLogits(Subject& subject, const std::vector<TokenId>& tokens, std::vector<int64_t> positions)
      : positions_(std::move(positions)) {
    const LogitRows all = subject.uncached_logits(tokens, positions_.front());
    vocab_ = all.vocab;
    values_.reserve(positions_.size() * vocab_);
    for (const int64_t position : positions_) {
      const auto row = all.at(position);
      values_.insert(values_.end(), row.begin(), row.end());
    }
  }

  std::span<const double> at(int64_t position) const {
    const auto found = std::lower_bound(positions_.begin(), positions_.end(), position);
    if (found == positions_.end() || *found != position) return {};
    return {values_.data() + (found - positions_.begin()) * vocab_, static_cast<std::size_t>(vocab_)};
  }

 private:
  std::vector<int64_t> positions_;
  int64_t vocab_ = 0;
  std::vector<double> values_;
};

/// The uncached side of one row, by absolute position.
struct RowTruth {
  KeptLogits naive, reference;
};

/// What both free-running paths chose by at one row's first divergence.
struct Taken {
  int64_t row, step;
  std::vector<double> naive, engine;  // (V)
};

/// The engine's run over given tokens: prefill at batch 1, replicate, one token a step; rows that end leave the batch.
class CachedReplay {
 public:
  CachedReplay(Subject& subject, const std::vector<TokenId>& prompt, const std::vector<TokenStream>& streams,
               LogitsAt prefill_at)
      : streams_(streams), capacity_(static_cast<int64_t>(prompt.size())), rows_(streams.size()) {
    for (const TokenStream& stream : streams) {
      capacity_ = std::max(capacity_, static_cast<int64_t>(prompt.size()) + length_of(stream));
    }
    std::iota(rows_.begin(), rows_.end(), 0);
    cache_ = subject.new_cache(1, streams.size() == 1 ? capacity_ : static_cast<int64_t>(prompt.size()));
    prefill_ = cache_->forward(TokenBatch::single(prompt), prefill_at).front();
  }

  const LogitRows& prefill() const { return prefill_; }

  /// Goes on to the logits that choose step `step`; step 0 is the prefill's last position. Steps must be taken in order.
  /// returns the rows that have this step, ascending
  const std::vector<int64_t>& advance(int64_t step) {
    std::vector<int64_t> kept, sources;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (step >= length_of(streams_[rows_[i]])) continue;
      kept.push_back(rows_[i]);
      sources.push_back(step <= 1 ? 0 : static_cast<int64_t>(i));  // before step 1 the cache holds the prompt's one row
    }
    const bool replicate = step == 1 && streams_.size() > 1;
    const bool shrink = step > 1 && kept.size() < rows_.size();
    rows_ = std::move(kept);
    if (step == 0 || rows_.empty()) return rows_;
    if (replicate || shrink) cache_ = cache_->clone_rows(sources, capacity_);
    std::vector<TokenId> tokens;
    for (const int64_t row : rows_) tokens.push_back(streams_[row].tokens[step - 1]);
    decoded_ = cache_->forward(TokenBatch::column(tokens), LogitsAt::last);
    return rows_;
  }

  /// Logits of the i-th running row at an absolute position: the one that `advance` reached.
  std::span<const double> logits(std::size_t i, int64_t position) const {
    return decoded_.empty() ? prefill_.at(position) : decoded_[i].at(position);
  }

 private:
  const std::vector<TokenStream>& streams_;
  int64_t capacity_;
  std::vector<int64_t> rows_;  // original numbers of the rows that still run
  std::unique_ptr<SubjectCache> cache_;
  LogitRows prefill_;
  std::vector<LogitRows> decoded_;  // one per running row, of the newest step
};

std::vector<TokenId> prefix(const AgreementRequest& request, int64_t row, int64_t step) {
  std::vector<TokenId> tokens = request.prompt;
  const auto& generated = request.naive[row].tokens;
  tokens.insert(tokens.end(), generated.begin(), generated.begin() + step);
  return tokens;
}

std::vector<RowTruth> uncached_truths(const AgreementRequest& request, const std::vector<std::vector<int64_t>>& steps,
                                      Subject& subject, Subject& reference) {
  const int64_t last = static_cast<int64_t>(request.prompt.size()) - 1;
  std::vector<RowTruth> truths(steps.size());
  for (std::size_t row = 0; row < steps.size(); ++row) {
    if (steps[row].empty()) continue;
    const auto tokens = prefix(request, static_cast<int64_t>(row), steps[row].back());
    std::vector<int64_t> positions;
    for (const int64_t step : steps[row]) positions.push_back(last + step);
    truths[row].naive = KeptLogits(subject, tokens, positions);
    truths[row].reference = KeptLogits(reference, tokens, positions);
  }
  return truths;
}

/// The naive path's step over the rows that had not ended, as it ran. returns (V), of `row`
std::vector<double> naive_taken(const AgreementRequest& request, int64_t row, int64_t step, Subject& subject) {
  std::vector<std::vector<TokenId>> rows;
  std::size_t place = 0;
  for (int64_t other = 0; other < static_cast<int64_t>(request.naive.size()); ++other) {
    if (step >= length_of(request.naive[other])) continue;
    if (other == row) place = rows.size();
    rows.push_back(prefix(request, other, step));
  }
  return subject.naive_step(rows)[place].values;
}

/// Both paths once more as they ran freely: what rounding does depends on how many rows and positions are computed
/// together, and neither the naive path over a whole row nor the engine over the naive rows has to have the same.
std::vector<Taken> taken_at(const std::vector<Flip>& divergences, const AgreementRequest& request, Subject& subject) {
  std::vector<Taken> taken;
  int64_t longest = 0;
  for (const Flip& flip : divergences) {
    if (!flip.naive_token || !flip.engine_token) continue;  // no two choices to explain
    taken.push_back({flip.row, flip.step, naive_taken(request, flip.row, flip.step, subject), {}});
    longest = std::max(longest, flip.step + 1);
  }
  if (taken.empty()) return taken;
  CachedReplay engine(subject, request.prompt, request.engine, LogitsAt::last);
  const int64_t last = static_cast<int64_t>(request.prompt.size()) - 1;
  for (int64_t step = 0; step < longest; ++step) {
    const auto& rows = engine.advance(step);
    for (Taken& t : taken) {
      if (t.step != step) continue;
      const auto logits = engine.logits(std::find(rows.begin(), rows.end(), t.row) - rows.begin(), last + step);
      t.engine.assign(logits.begin(), logits.end());
    }
  }
  return taken;
}

/// The positions inside the prompt, which chose nothing but filled the cache.
int64_t judge_prompt(const AgreementRequest& request, const CachedReplay& cached, const CachedReplay* logic,
                     Subject& subject, Subject& reference, AgreementJudge& judge) {
  const auto inside = static_cast<int64_t>(request.prompt.size()) - 1;
  if (inside == 0) return 0;
  const int64_t most = std::max<int64_t>(64, kJudgedLogits / subject.info().vocab_size);
  std::vector<int64_t> positions;
  for (int64_t position = 0; position < inside; position += (inside + most - 1) / most) positions.push_back(position);
  const KeptLogits naive(subject, request.prompt, positions), truth(reference, request.prompt, positions);
  for (const int64_t position : positions) {
    JudgedPosition judged;
    judged.naive = naive.at(position);
    judged.engine = cached.prefill().at(position);
    judged.reference = truth.at(position);
    if (logic) judged.logic_engine = logic->prefill().at(position);
    judge.add(judged);
  }
  return inside;
}

void judge_steps(const AgreementRequest& request, const std::vector<std::vector<int64_t>>& steps,
                 const std::vector<RowTruth>& truths, const std::vector<Taken>& taken, CachedReplay& cached,
                 CachedReplay* logic, AgreementJudge& judge) {
  const int64_t last = static_cast<int64_t>(request.prompt.size()) - 1;
  int64_t longest = 0;
  for (const auto& row : steps) longest = std::max(longest, row.empty() ? 0 : row.back() + 1);
  for (int64_t step = 0; step < longest; ++step) {
    const auto& rows = cached.advance(step);
    if (logic) logic->advance(step);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const int64_t row = rows[i], position = last + step;
      if (!std::binary_search(steps[row].begin(), steps[row].end(), step)) continue;
      JudgedPosition judged;
      judged.row = row;
      judged.step = step;
      judged.naive = truths[row].naive.at(position);
      judged.engine = cached.logits(i, position);
      judged.reference = truths[row].reference.at(position);
      for (const Taken& t : taken) {
        if (t.row != row || t.step != step) continue;
        judged.naive_taken = t.naive;
        judged.engine_taken = t.engine;
      }
      if (logic) judged.logic_engine = logic->logits(i, position);
      judge.add(judged);
    }
  }
}

}  // namespace

std::vector<std::vector<int64_t>> choose_steps(const std::vector<int64_t>& lengths,
                                               const std::vector<Flip>& divergences, int64_t vocab, VerifyLevel level) {
  const auto rows = static_cast<int64_t>(lengths.size());
  const int64_t judged_rows = level == VerifyLevel::full ? rows : std::min(rows, kQuickRows);
  const int64_t total = std::accumulate(lengths.begin(), lengths.begin() + judged_rows, int64_t{0});
  const int64_t most = std::max<int64_t>(64, kJudgedLogits / vocab);
  const int64_t stride = std::max<int64_t>(1, (total + most - 1) / most);
  std::vector<std::set<int64_t>> chosen(rows);
  for (int64_t row = 0; row < judged_rows; ++row) {
    for (int64_t step = 0; step < lengths[row]; step += stride) chosen[row].insert(step);
    if (lengths[row] > 0) chosen[row].insert(lengths[row] - 1);  // the deepest position
  }
  for (const Flip& flip : divergences) {
    if (flip.step < lengths[flip.row]) chosen[flip.row].insert(flip.step);
  }
  std::vector<std::vector<int64_t>> steps;
  for (const auto& row : chosen) steps.emplace_back(row.begin(), row.end());
  return steps;
}

Agreement check_agreement(const AgreementRequest& request, Subject& subject, Subject& reference) {
  const SubjectInfo info = subject.info();
  AgreementJudge judge({request.sampler, info.dtype}, request.naive, request.engine);
  std::vector<int64_t> lengths;
  for (const TokenStream& stream : request.naive) lengths.push_back(length_of(stream));
  const auto steps = choose_steps(lengths, judge.divergences(), info.vocab_size, request.level);
  const auto truths = uncached_truths(request, steps, subject, reference);
  const auto taken = judge.scored() ? taken_at(judge.divergences(), request, subject) : std::vector<Taken>{};

  const bool full = request.level == VerifyLevel::full;
  const LogitsAt prefill_at = full ? LogitsAt::all : LogitsAt::last;
  const bool half = is_half(info.dtype) && reference.info().dtype == "float64";
  CachedReplay cached(subject, request.prompt, request.naive, prefill_at);
  std::optional<CachedReplay> logic;
  if (half) logic.emplace(reference, request.prompt, request.naive, prefill_at);

  int64_t all = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  if (full) all += judge_prompt(request, cached, logic ? &*logic : nullptr, subject, reference, judge);
  judge_steps(request, steps, truths, taken, cached, logic ? &*logic : nullptr, judge);

  Agreement agreement = judge.verdict();
  agreement.replayed_forced_tokens = request.replayed_forced_tokens;
  if (agreement.logits && agreement.logits->positions < all) {
    agreement.explanation += fmt::format("; logits compared at {} of {} positions", agreement.logits->positions, all);
  }
  return agreement;
}

}  // namespace kvproof
