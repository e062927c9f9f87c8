#include "harness/verify/behaviour/judge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/generate/calculator.h"
#include "harness/verify/behaviour/python_results.h"
#include "harness/verify/behaviour/recognise.h"

namespace kvproof {
namespace {

constexpr std::size_t kKnownSequences = 12;
constexpr double kFloat64Tie = 1e-9;  // scores; benign differences are about 1e-14

class Recorder : public GenerationObserver {
 public:
  Recorder(Recorded& into, std::optional<int64_t> abandon_at) : into_(into), abandon_at_(abandon_at) {}
  void on_forward(int64_t positions) override { into_.forwards.push_back(positions); }
  bool on_step(const GenerationStep& step) override {
    into_.steps.push_back(step);
    return abandon_at_ != step.step;
  }

 private:
  Recorded& into_;
  std::optional<int64_t> abandon_at_;
};

std::vector<TokenId> generated(const std::vector<TokenId>& tokens, std::size_t prompt) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(std::min(prompt, tokens.size())), tokens.end()};
}

std::string number(const std::vector<TokenId>& tokens, int64_t at) {
  return at < static_cast<int64_t>(tokens.size()) ? std::to_string(tokens[at]) : "no more";
}

int64_t first_difference(const std::vector<TokenId>& a, const std::vector<TokenId>& b) {
  const auto n = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first - a.begin();
}

double largest_difference(std::span<const double> a, std::span<const double> b) {
  double worst = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

}  // namespace

std::string generate_operation(Path path) { return path == Path::naive ? "generate (naive)" : "generate (engine)"; }

Recorded record_generation(Subject& subject, Path path, const GenerationRequest& request,
                           std::optional<int64_t> abandon_at) {
  Recorded recorded;
  Recorder recorder(recorded, abandon_at);
  recorded.result = subject.generate(path, request, &recorder);
  return recorded;
}

// ---- exact logits --------------------------------------------------------------------------------------------------

void ExactLogits::hint(const std::vector<TokenId>& history, int64_t first) {
  if (static_cast<int64_t>(history.size()) <= first + 1) return;
  for (const Known& known : known_) {
    if (known.logits.first_position <= first && known.tokens.size() >= history.size() &&
        std::equal(history.begin(), history.end(), known.tokens.begin()))
      return;
  }
  const SubjectInfo info = exact_.info();
  if (static_cast<int64_t>(history.size()) > info.rotary_len) return;
  for (const TokenId id : history)
    if (id < 0 || id >= info.vocab_size) return;
  if (known_.size() == kKnownSequences) known_.erase(known_.begin());
  known_.push_back({history, exact_.uncached_logits(history, first)});
}

std::vector<double> ExactLogits::operator()(const std::vector<TokenId>& history) {
  const auto length = static_cast<int64_t>(history.size());
  for (auto known = known_.rbegin(); known != known_.rend(); ++known) {
    if (known->logits.first_position >= length || known->tokens.size() < history.size() ||
        !std::equal(history.begin(), history.end(), known->tokens.begin()))
      continue;
    const auto row = known->logits.at(length - 1);
    return {row.begin(), row.end()};
  }
  return exact_.uncached_logits(history, length - 1).values;
}

// ---- judging -------------------------------------------------------------------------------------------------------

struct BehaviourJudge::Comparison {
  Path path;
  const GenerationRequest& request;
  const ExpectationRules& rules;
  const Expected& expected;
  const Recorded& actual;
  LogitFunction logits;
  std::vector<std::vector<TokenId>> wanted_streams, actual_streams;  // terminal tokens included
  std::vector<std::vector<int>> actual_masks;
  std::vector<std::vector<TokenId>> wanted_tokens, actual_tokens;  // of the results, prompts not included
};

ExpectationRules BehaviourJudge::rules() const {
  ExpectationRules rules;
  rules.special = target_.specials;
  rules.rotary_len = target_.rotary_len;
  if (target_.tokenizer) {
    const Tokenizer& tokenizer = *target_.tokenizer;
    rules.tools.decode = [&tokenizer](const std::vector<TokenId>& ids) { return tokenizer.decode(ids); };
    rules.tools.encode = [&tokenizer](const std::string& text) { return tokenizer.encode(text); };
    rules.tools.calculate = [](const std::string& expression) {
      const PythonResult* saved = find_python_result(expression);
      return saved ? saved->text() : evaluate_calculator(expression);
    };
  }
  return rules;
}

void BehaviourJudge::fact(bool holds, Path path, int64_t step, int64_t row, const std::string& message,
                          const std::string& evidence) {
  outcome_.level(Level::behaviour).add_fact(holds);
  if (holds) return;
  Finding finding;
  finding.level = Level::behaviour;
  finding.place.step = step;
  finding.place.operation = generate_operation(path);
  finding.place.row = row;
  finding.place.stage = "tokens";
  finding.message = message;
  finding.evidence = evidence;
  outcome_.note(std::move(finding));
}

Recorded BehaviourJudge::check(Path path, const GenerationRequest& request, std::optional<int64_t> abandon_at,
                               const StepDraw& draw) {
  if (target_.script) exact_.forget();  // another script, other logits
  Recorded actual = record_generation(target_.subject, path, request, abandon_at);
  const auto rows = static_cast<std::size_t>(request.num_samples);
  std::vector<std::vector<TokenId>> streams(rows), tokens(rows);
  std::vector<std::vector<int>> masks(rows);
  for (const GenerationStep& step : actual.steps) {
    for (std::size_t i = 0; i < std::min(step.rows.size(), step.tokens.size()); ++i) {
      if (step.rows[i] < 0 || step.rows[i] >= request.num_samples) continue;
      streams[step.rows[i]].push_back(step.tokens[i]);
      masks[step.rows[i]].push_back(i < step.masks.size() ? step.masks[i] : -1);
    }
  }
  fact(actual.result.rows.size() == rows, path, 0, kNowhere,
       fmt::format("expected {} rows, found {}", rows, actual.result.rows.size()));
  if (actual.result.rows.size() != rows) return actual;
  for (std::size_t r = 0; r < rows; ++r) {
    tokens[r] = generated(actual.result.rows[r].tokens, request.prompt.size());
    std::vector<TokenId> history = request.prompt;
    if (!streams[r].empty()) history.insert(history.end(), streams[r].begin(), streams[r].end() - 1);
    exact_.hint(history, static_cast<int64_t>(request.prompt.size()) - 1);
  }
  ExpectationRules rules = this->rules();
  rules.abandon_at = abandon_at;
  rules.draw = draw;
  const LogitFunction logits = [this](const std::vector<TokenId>& history) { return exact_(history); };
  const Expected expected = expect_generation(request, path, logits, rules);
  Comparison c{path, request, rules, expected, actual, logits, {}, streams, masks, {}, tokens};
  for (const ExpectedRow& row : expected.rows) {
    c.wanted_streams.emplace_back();
    for (const ExpectedToken& token : row.stream) c.wanted_streams.back().push_back(token.token);
    c.wanted_tokens.push_back(generated(row.row.tokens, request.prompt.size()));
  }
  tied_ = false;
  for (int64_t row = 0; row < request.num_samples; ++row) {
    if (compare_stream(c, row)) compare_row(c, row);
  }
  if (!tied_) compare_totals(c);
  return actual;
}

bool BehaviourJudge::compare_stream(const Comparison& c, int64_t row) {
  const auto &wanted = c.wanted_streams[row], &actual = c.actual_streams[row];
  const int64_t step = first_difference(wanted, actual);
  LevelTally& tally = outcome_.level(Level::behaviour);
  if (wanted == actual) {
    tally.add_fact(true);
    return true;
  }
  Finding finding;
  finding.level = Level::behaviour;
  finding.place.step = step;
  finding.place.operation = generate_operation(c.path);
  finding.place.row = row;
  finding.place.stage = "tokens";
  const bool both = step < static_cast<int64_t>(std::min(wanted.size(), actual.size()));
  if (both && is_tie(c, row, step, actual[step], finding)) {
    tally.add_fact(true);
    tied_ = true;
    return false;
  }
  tally.add_fact(false);
  finding.message = fmt::format("expected token {} at step {} of row {}, found {}", number(wanted, step), step, row,
                                number(actual, step));
  finding.evidence =
      recognise_tokens({c.request, c.rules, c.expected, c.actual_streams, c.wanted_streams, row, step, c.logits});
  outcome_.note(std::move(finding));
  return false;
}

bool BehaviourJudge::is_tie(const Comparison& c, int64_t row, int64_t step, TokenId actual, Finding& finding) {
  const ExpectedToken& expected = c.expected.rows[row].stream[step];
  if (expected.mask == 0 || c.rules.draw || target_.script) return false;
  std::vector<TokenId> history = c.request.prompt;
  for (int64_t s = 0; s < step; ++s) history.push_back(c.wanted_streams[row][s]);
  finding.error = flip_distance(c.request.sampler, c.logits(history), row, step, expected.token, actual);
  const double unit = c.request.sampler.temperature > 0 ? c.request.sampler.temperature : 1;
  const bool is_double = target_.subject.info().dtype == "float64";
  finding.allowed = is_double ? kFloat64Tie : rounding(c, history) / unit;
  return finding.error <= finding.allowed;
}

/// What rounding may move two logits of a position by, together: twice the worst error of either path there.
double BehaviourJudge::rounding(const Comparison& c, const std::vector<TokenId>& history) const {
  const auto P = static_cast<int64_t>(c.request.prompt.size()), length = static_cast<int64_t>(history.size());
  const std::vector<double> exact = c.logits(history);
  const auto live = std::count_if(c.wanted_streams.begin(), c.wanted_streams.end(), [&](const auto& stream) {
    return static_cast<int64_t>(stream.size()) > length - P;
  });
  // As many rows as the path had, for the same shapes.
  double worst = 0;
  for (const LogitRows& row : target_.subject.naive_step(std::vector<std::vector<TokenId>>(live, history)))
    worst = std::max(worst, largest_difference(row.at(length - 1), exact));
  auto cache = target_.subject.new_cache(1, length);
  std::vector<LogitRows> cached = cache->forward(TokenBatch::single(c.request.prompt), LogitsAt::last);
  if (length > P && c.request.num_samples > 1)
    cache = cache->clone_rows(std::vector<int64_t>(c.request.num_samples, 0), length);
  for (int64_t p = P; p < length; ++p)
    cached = cache->forward(TokenBatch::column(std::vector<TokenId>(cache->batch(), history[p])), LogitsAt::last);
  for (const LogitRows& row : cached) worst = std::max(worst, largest_difference(row.at(length - 1), exact));
  return 2 * worst;
}

void BehaviourJudge::compare_row(const Comparison& c, int64_t row) {
  const GeneratedRow& wanted = c.expected.rows[row].row;
  const GeneratedRow& actual = c.actual.result.rows[row];
  const auto &wanted_tokens = c.wanted_tokens[row], &actual_tokens = c.actual_tokens[row];
  const int64_t step = first_difference(wanted_tokens, actual_tokens);
  const bool same = wanted.tokens == actual.tokens;
  std::string evidence;
  if (!same)
    evidence =
        wanted_tokens == actual_tokens
            ? "the prompt ahead of the row's tokens is not the request's"
            : recognise_tokens({c.request, c.rules, c.expected, c.actual_tokens, c.wanted_tokens, row, step, c.logits});
  fact(same, c.path, step, row,
       fmt::format("expected token {} at step {} of row {} in the result, found {}", number(wanted_tokens, step), step,
                   row, number(actual_tokens, step)),
       evidence);
  if (!same) return;
  const auto P = static_cast<int64_t>(c.request.prompt.size());
  const auto n = std::min(wanted.mask.size(), actual.mask.size());
  const int64_t at =
      std::mismatch(wanted.mask.begin(), wanted.mask.begin() + static_cast<std::ptrdiff_t>(n), actual.mask.begin())
          .first -
      wanted.mask.begin();
  const auto mask_word = [&](const std::vector<int>& mask) {
    return at < static_cast<int64_t>(mask.size()) ? std::to_string(mask[at]) : "no more";
  };
  fact(wanted.mask == actual.mask, c.path, std::max<int64_t>(at - P, 0), row,
       fmt::format("expected mask {} at {} of row {}, found {}", mask_word(wanted.mask),
                   at < P ? fmt::format("the prompt's position {}", at) : fmt::format("step {}", at - P), row,
                   mask_word(actual.mask)),
       at < P ? "a prompt token counts as sampled" : "");
  std::vector<int> wanted_masks;
  for (const ExpectedToken& token : c.expected.rows[row].stream) wanted_masks.push_back(token.mask);
  fact(wanted_masks == c.actual_masks[row], c.path, 0, row,
       fmt::format("the masks that the observer saw in row {} are not the expected ones", row));
  fact(wanted.finish == actual.finish, c.path, static_cast<int64_t>(wanted_tokens.size()), row,
       fmt::format("expected row {} to end by {}, found {}", row, to_string(wanted.finish), to_string(actual.finish)));
}

void BehaviourJudge::compare_totals(const Comparison& c) {
  const GenerationResult& result = c.actual.result;
  const auto count = [&](const char* what, int64_t wanted, int64_t found) {
    fact(wanted == found, c.path, kNowhere, kNowhere, fmt::format("expected {} of {}, found {}", what, wanted, found),
         wanted == found ? "" : fmt::format("off by {:+}", found - wanted));
  };
  count("steps", c.expected.steps, result.steps);
  count("token_forwards", c.expected.token_forwards, result.token_forwards);
  int64_t in_order = 0;
  for (const GenerationStep& step : c.actual.steps) {
    if (step.step == in_order && std::is_sorted(step.rows.begin(), step.rows.end(), std::less_equal<>())) ++in_order;
  }
  count("observed steps, numbered from 0 with ascending rows,", c.expected.steps, in_order);
  fact(c.expected.forwards == c.actual.forwards, c.path, kNowhere, kNowhere,
       fmt::format("the observer saw {} forwards, expected {} of these sizes: {}", c.actual.forwards.size(),
                   c.expected.forwards.size(), fmt::join(c.expected.forwards, ", ")));
  if (c.path == Path::naive) {
    count("kv_cache_bytes", 0, result.kv_cache_bytes);
  } else if (target_.kv_bytes_per_token > 0 && c.request.max_tokens) {
    const int64_t positions =
        *c.request.max_tokens == 0 ? 0 : static_cast<int64_t>(c.request.prompt.size()) + *c.request.max_tokens - 1;
    count("kv_cache_bytes", c.request.num_samples * positions * target_.kv_bytes_per_token, result.kv_cache_bytes);
  }
}

}  // namespace kvproof
