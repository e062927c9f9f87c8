#include "harness/verify/behaviour/expected_generation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace kvproof {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ---- noise: a chain of splitmix64 finalisers over seed, row, step, and the token beside them -----------------------

constexpr uint64_t kStride = 11400714819323198485ULL;  // 2^64 / golden ratio, odd

uint64_t scramble(uint64_t z) {
  z ^= z >> 30;
  z *= 13787848793156543929ULL;
  z ^= z >> 27;
  z *= 10723151780598845931ULL;
  z ^= z >> 31;
  return z;
}

// ---- candidates ----------------------------------------------------------------------------------------------------

/// The ids that may be drawn, best logit first, and after them one more: the first that may not (if there is one).
std::vector<TokenId> ranked(std::span<const double> logits, int64_t count) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto better = [&](TokenId a, TokenId b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
  const auto end = ids.begin() + std::min<int64_t>(count, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), better);
  return {ids.begin(), end};
}

/// top_k where it limits anything, else 0.
int64_t limit_of(const SamplerSettings& settings, std::span<const double> logits) {
  if (settings.temperature == 0 || !settings.top_k) return 0;
  return *settings.top_k < static_cast<int64_t>(logits.size()) ? *settings.top_k : 0;
}

double score_of(const SamplerSettings& settings, std::span<const double> logits, int64_t row, int64_t step,
                TokenId id) {
  if (settings.temperature == 0) return logits[id];
  return logits[id] / settings.temperature + expected_noise(settings.seed, row, step, id);
}

// ---- rows ----------------------------------------------------------------------------------------------------------

/// One row on its way: what it said, and what the calculator has it say next.
struct Row {
  ExpectedRow out;
  std::vector<TokenId> history;
  std::vector<TokenId> queue;  // forced tokens of the calculator, next one first
  std::vector<TokenId> expression;
  bool recording = false;
  bool ended = false;
};

void follow_tools(Row& row, TokenId token, const SpecialTokens& special, const ToolFunctions& tools) {
  if (token == special.python_start) {
    row.recording = true;
    row.expression = {};
    return;
  }
  if (!row.recording) return;
  if (token != special.python_end) {
    row.expression.push_back(token);
    return;
  }
  row.recording = false;
  if (row.expression.empty()) return;
  const std::optional<std::string> answer = tools.calculate(tools.decode(row.expression));
  if (!answer) return;
  row.queue = {special.output_start};
  for (const TokenId id : tools.encode(*answer)) row.queue.push_back(id);
  row.queue.push_back(special.output_end);
}

/// Puts one step's token into a row: replayed before forced before sampled.
void put(Row& row, const GenerationRequest& request, int64_t number, int64_t step, Choice sampled,
         const ExpectationRules& rules, bool tools) {
  ExpectedToken taken{sampled.token, 1, sampled.margin, sampled.token};
  const bool replays = !request.forced.empty() && request.forced[number].count(step) > 0;
  if (replays) {
    taken.token = request.forced[number].at(step);
    taken.mask = 0;
  } else if (!row.queue.empty()) {
    taken.token = row.queue.front();
    taken.mask = 0;
    row.queue.erase(row.queue.begin());
  }
  row.out.stream.push_back(taken);
  if (request.stop && rules.special &&
      (taken.token == rules.special->assistant_end || taken.token == rules.special->bos)) {
    row.ended = true;
    row.out.row.finish = Finish::stop;
    return;
  }
  row.history.push_back(taken.token);
  row.out.row.tokens.push_back(taken.token);
  row.out.row.mask.push_back(taken.mask);
  if (tools) follow_tools(row, taken.token, *rules.special, rules.tools);
}

int64_t still_running(const std::vector<Row>& rows) {
  return std::count_if(rows.begin(), rows.end(), [](const Row& row) { return !row.ended; });
}

}  // namespace

double expected_noise(uint64_t seed, int64_t row, int64_t step, TokenId token) {
  uint64_t state = scramble(seed + kStride);
  state = scramble(state + kStride * static_cast<uint64_t>(row));
  state = scramble(state + kStride * static_cast<uint64_t>(step + 1));
  const uint64_t bits = scramble(state ^ scramble(kStride * (static_cast<uint64_t>(token) + 1)));
  const double u = std::ldexp(static_cast<double>(bits / 4096) + 0.5, -52);  // the upper 52 bits, in the open interval
  return -std::log(-std::log(u));
}

Choice expected_choice(const SamplerSettings& settings, std::span<const double> logits, int64_t row, int64_t step) {
  const int64_t limit = limit_of(settings, logits);
  std::vector<TokenId> ids;
  if (limit > 0) {
    ids = ranked(logits, limit);
    std::sort(ids.begin(), ids.end());
  } else {
    ids.resize(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
  }
  TokenId best = -1;
  double first = -kInfinity, second = -kInfinity;
  for (const TokenId id : ids) {
    const double score = score_of(settings, logits, row, step, id);
    if (best < 0 || score > first) {
      second = first;
      first = score;
      best = id;
    } else if (score > second) {
      second = score;
    }
  }
  return {best, first - second};
}

double flip_distance(const SamplerSettings& settings, std::span<const double> logits, int64_t row, int64_t step,
                     TokenId chosen, TokenId actual) {
  if (actual < 0 || actual >= static_cast<TokenId>(logits.size())) return kInfinity;
  const double by_score = score_of(settings, logits, row, step, chosen) - score_of(settings, logits, row, step, actual);
  const int64_t limit = limit_of(settings, logits);
  if (limit == 0) return by_score;
  const std::vector<TokenId> ids = ranked(logits, limit + 1);  // limit < V: there is one more
  const double last_in = logits[ids[limit - 1]], first_out = logits[ids[limit]];
  const bool is_in = std::find(ids.begin(), ids.end() - 1, actual) != ids.end() - 1;
  // Either the actual token climbs in and wins, or the chosen one drops out: for the actual one, if that was not in.
  const double climbs = is_in ? by_score : std::max((last_in - logits[actual]) / settings.temperature, by_score);
  const double drops = (logits[chosen] - (is_in ? first_out : logits[actual])) / settings.temperature;
  return std::min(climbs, drops);
}

Expected expect_generation(const GenerationRequest& request, Path path, const LogitFunction& logits,
                           const ExpectationRules& rules) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t most = request.max_tokens.value_or(rules.rotary_len - prompt + 1);  // the last token needs no position
  // Replayed streams hold the answers already; the naive path has no tools.
  const bool tools =
      path == Path::engine && request.tools && request.forced.empty() && rules.special && rules.tools.calculate;
  Finish unfinished = request.max_tokens ? Finish::length : Finish::limit;

  std::vector<Row> rows(request.num_samples);
  for (Row& row : rows) {
    row.history = row.out.row.tokens = request.prompt;
    row.out.row.mask.assign(request.prompt.size(), 0);
  }
  Expected expected;
  while (expected.steps < most && still_running(rows) > 0) {
    const int64_t step = expected.steps, running = still_running(rows);
    const int64_t decoded = step == 0 ? prompt : running;
    expected.forwards.push_back(path == Path::naive ? running * (prompt + step) : decoded);
    std::vector<int64_t> live;
    std::vector<std::vector<double>> of_live;
    std::vector<Choice> choices;
    for (int64_t r = 0; r < request.num_samples; ++r) {
      if (rows[r].ended) continue;
      live.push_back(r);
      std::vector<double> row_logits = logits(rows[r].history);
      if (rules.draw) {
        of_live.push_back(std::move(row_logits));
      } else {
        choices.push_back(expected_choice(request.sampler, row_logits, r, step));
      }
    }
    if (rules.draw) {
      for (const TokenId token : rules.draw(live, of_live)) choices.push_back({token, kInfinity});
    }
    for (std::size_t i = 0; i < live.size(); ++i) put(rows[live[i]], request, live[i], step, choices[i], rules, tools);
    ++expected.steps;
    if (rules.abandon_at == step) {
      unfinished = Finish::abandoned;
      break;
    }
  }
  for (Row& row : rows) {
    if (!row.ended) row.out.row.finish = unfinished;
    expected.rows.push_back(std::move(row.out));
  }
  expected.token_forwards = std::accumulate(expected.forwards.begin(), expected.forwards.end(), int64_t{0});
  return expected;
}

}  // namespace kvproof
