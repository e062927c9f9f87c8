// Scenarios that run on any model: nothing is staged but by forced tokens.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "harness/verify/behaviour/nanochat_draw.h"
#include "harness/verify/behaviour/scenario.h"
#include "harness/verify/gates.h"
#include "harness/verify/metrics.h"
#include "harness/verify/teacher_force.h"

namespace kvproof {

int64_t BehaviourScenario::number(int64_t i, const char* what, int64_t low, int64_t high) const {
  const int64_t value = numbers_.at(i);
  if (value < low || value > high)
    throw BadScenario{fmt::format("{}: {} must be in [{}, {}], got {}", name_, what, low, high, value)};
  return value;
}

uint64_t BehaviourScenario::seed(int64_t salt) const {
  uint64_t state = seed_ * 6364136223846793005ULL + static_cast<uint64_t>(salt) * 1442695040888963407ULL + 1;
  state ^= state >> 29;
  return state * 0xD6E8FEB86659FD93 ^ state >> 31;
}

std::vector<TokenId> BehaviourScenario::some_tokens(int64_t n, int64_t salt) const {
  const int64_t ordinary = std::max<int64_t>(1, target.specials ? target.vocab_size - 9 : target.vocab_size);
  uint64_t state = seed(1000 + salt);
  std::vector<TokenId> tokens;
  while (static_cast<int64_t>(tokens.size()) < n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto token = static_cast<TokenId>((state >> 33) % static_cast<uint64_t>(ordinary));
    if (tokens.empty() || tokens.back() != token || ordinary == 1) tokens.push_back(token);
  }
  return tokens;
}

GenerationRequest BehaviourScenario::request(int64_t rows, int64_t prompt, int64_t tokens) const {
  GenerationRequest request;
  request.prompt = some_tokens(prompt);
  request.max_tokens = tokens;
  request.num_samples = rows;
  request.sampler.seed = seed();
  request.stop = request.tools = false;
  return request;
}

void BehaviourScenario::check_both(const GenerationRequest& request) {
  judge.check(Path::naive, request);
  judge.check(Path::engine, request);
}

namespace {

constexpr Path kPaths[] = {Path::naive, Path::engine};

// Some tokens with stop off or with finishing rows; all that the observer saw, the prompt not.
std::vector<TokenStream> streams_of(const Recorded& recorded, int64_t rows) {
  std::vector<TokenStream> streams(rows);
  for (const GenerationStep& step : recorded.steps) {
    for (std::size_t i = 0; i < step.rows.size(); ++i) {
      streams.at(step.rows[i]).tokens.push_back(step.tokens.at(i));
      streams.at(step.rows[i]).masks.push_back(step.masks.at(i));
    }
  }
  return streams;
}

void run_greedy(BehaviourScenario& s) {
  const int64_t P = s.prompt(0), n = s.tokens(1, P);
  GenerationRequest request = s.request(1, P, n);
  request.sampler.temperature = 0;
  AgreementRequest judged;
  judged.prompt = request.prompt;
  judged.sampler = request.sampler;
  judged.naive = streams_of(s.judge.check(Path::naive, request), 1);
  judged.engine = streams_of(s.judge.check(Path::engine, request), 1);
  const Agreement agreement = check_agreement(judged, s.target.subject, s.target.exact);
  const bool agrees = agreement.verdict != Verdict::disagree;
  s.judge.outcome().level(Level::tokens).add_fact(agrees);
  if (agrees) return;
  Finding finding;
  finding.level = Level::tokens;
  finding.place.operation = generate_operation(Path::engine);
  finding.place.stage = "tokens";
  if (agreement.first_divergence) {
    finding.place.step = agreement.first_divergence->step;
    finding.place.row = agreement.first_divergence->row;
    finding.error = agreement.first_divergence->margin.value_or(0);
    finding.allowed = agreement.first_divergence->allowed.value_or(0);
  }
  finding.message = "greedy tokens of naive and engine: " + agreement.explanation;
  s.judge.outcome().note(std::move(finding));
}

/// What the subject's own loop generated, token by token against the best of the exact logits behind its own tokens.
void run_own(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), P = s.prompt(1), n = s.tokens(2, P);
  const std::vector<TokenId> prompt = s.some_tokens(P);
  const auto streams = s.target.subject.own_generation(prompt, rows, n);
  if (!streams) throw BadScenario{"own needs a subject that answers generate, and this one does not"};
  const Gate gate{s.target.subject.info().dtype};
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<TokenId>& stream = streams->at(row);
    ScenarioOutcome& outcome = s.judge.outcome();
    std::vector<TokenId> history = prompt;
    bool right = static_cast<int64_t>(stream.size()) == n;
    std::string message = fmt::format("expected {} tokens in row {}, found {}", n, row, stream.size());
    Finding finding;
    for (std::size_t step = 0; right && step < stream.size(); ++step) {
      const std::vector<double> logits = s.judge.logits(history);
      const TokenId best = static_cast<TokenId>(argmax(logits)), found = stream[step];
      // Each of the two may err by what the gate allows.
      finding.allowed = 2 * gate.allowed(0, max_magnitude(logits));
      finding.error = found >= 0 && found < s.target.vocab_size ? logits[best] - logits[found] : HUGE_VAL;
      finding.place.step = static_cast<int64_t>(step);
      right = finding.error <= finding.allowed;
      message = fmt::format("expected token {} at step {} of row {}, found {}", best, step, row, found);
      history.push_back(found);
    }
    outcome.level(Level::tokens).add_fact(right);
    if (right) continue;
    finding.level = Level::tokens;
    finding.place.operation = "the subject's own generate";
    finding.place.row = row;
    finding.place.stage = "tokens";
    finding.message = message;
    outcome.note(std::move(finding));
  }
}

void run_samples(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), P = s.prompt(1);
  s.check_both(s.request(rows, P, s.tokens(2, P)));
}

void run_top_k(BehaviourScenario& s) {
  const int64_t rows = s.rows(1), P = s.prompt(2);
  GenerationRequest request = s.request(rows, P, s.tokens(3, P));
  request.sampler.top_k = s.number(0, "top_k", 0, std::numeric_limits<int32_t>::max());
  // Hot enough for the last of the candidates to be drawn as often as the first.
  request.sampler.temperature = 8;
  s.check_both(request);
}

void run_temperature(BehaviourScenario& s) {
  const int64_t P = s.prompt(1);
  GenerationRequest request = s.request(2, P, s.tokens(2, P));
  request.sampler.temperature = static_cast<double>(s.number(0, "temperature, in percent,", 0, 100000)) / 100;
  s.check_both(request);
}

void run_max_tokens(BehaviourScenario& s) {
  const int64_t P = s.prompt(0), n = s.tokens(1, P);
  for (const int64_t rows : {1, 2}) s.check_both(s.request(rows, P, n));
}

/// Rows that end at chosen steps, by forced terminal tokens: in rows with even numbers one of them, in odd ones the other.
void run_stop(BehaviourScenario& s) {
  if (!s.target.specials) throw BadScenario{"stop needs a tokenizer's terminal tokens, and there is no tokenizer"};
  const int64_t P = s.prompt(0), n = s.tokens(1, P), rows = s.count() - 2;
  GenerationRequest request = s.request(rows, P, n);
  request.stop = true;
  request.forced.resize(rows);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = s.number(2 + row, "a step", 0, std::numeric_limits<int32_t>::max());
    request.forced[row][at] = row % 2 == 0 ? s.target.specials->assistant_end : s.target.specials->bos;
  }
  s.check_both(request);
  request.stop = false;  // now they are ordinary tokens
  s.check_both(request);
}

/// Tokens forced in one row only, which stand in its history from then on.
void run_forced(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), row = s.number(1, "the row", 0, rows - 1), P = s.prompt(4), n = s.tokens(5, P);
  const int64_t first = s.number(2, "the first step", 0, 1 << 20), count = s.number(3, "forced tokens", 1, 1 << 20);
  GenerationRequest request = s.request(rows, P, n);
  request.forced.resize(rows);
  const std::vector<TokenId> forced = s.some_tokens(count, 1);
  for (int64_t i = 0; i < count; ++i) request.forced[row][first + i] = forced[i];
  s.check_both(request);
}

/// All switches on, nothing staged: what a user gets.
void run_tools(BehaviourScenario& s) {
  if (!s.target.tokenizer) throw BadScenario{"tools need a tokenizer, and there is none"};
  const int64_t P = s.prompt(0);
  GenerationRequest request = s.request(2, P, s.tokens(1, P));
  request.stop = request.tools = true;
  const SpecialTokens& special = *s.target.specials;
  request.prompt.back() = P > 1 ? special.assistant_start : special.bos;
  s.check_both(request);
}

void run_seeds(BehaviourScenario& s) {
  const int64_t P = s.prompt(0);
  GenerationRequest request = s.request(2, P, s.tokens(1, P));
  for (const uint64_t seed : {uint64_t{0}, s.seed(), s.seed() + 1, std::numeric_limits<uint64_t>::max()}) {
    request.sampler.seed = seed;
    s.check_both(request);
  }
}

void run_prefix(BehaviourScenario& s) {
  const int64_t P = s.prompt(0), k = s.tokens(1, P), m = s.number(2, "more tokens", 1, s.target.rotary_len - P + 1 - k);
  for (const Path path : kPaths) {
    const Recorded shorter = s.judge.check(path, s.request(2, P, k)),
                   longer = s.judge.check(path, s.request(2, P, k + m));
    if (s.target.subject.info().dtype != "float64")
      continue;  // elsewhere rounding may part them, and the checks above judge
    for (std::size_t row = 0; row < std::min(shorter.result.rows.size(), longer.result.rows.size()); ++row) {
      const auto &a = shorter.result.rows[row].tokens, &b = longer.result.rows[row].tokens;
      const bool is_prefix = a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
      s.judge.fact(is_prefix, path, kNowhere, static_cast<int64_t>(row),
                   fmt::format("a run of {} tokens is not the beginning of a run of {} in row {}", k, k + m, row));
    }
  }
}

/// A row's tokens are its own, however many rows there are.
void run_rows(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), fewer = s.number(1, "fewer rows", 1, rows), P = s.prompt(2), n = s.tokens(3, P);
  for (const int64_t count : {rows, fewer, int64_t{1}}) s.check_both(s.request(count, P, n));
}

/// What was said so far stays said: the rows hold exactly that, and a new generation goes on from there.
void run_abandon(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), P = s.prompt(1), n = s.tokens(2, P), at = s.number(3, "the step", 0, n - 1);
  GenerationRequest request = s.request(rows, P, n);
  for (const Path path : kPaths) {
    const Recorded cut = s.judge.check(path, request, at);
    s.judge.check(path, request);
    if (cut.result.rows.empty() || static_cast<int64_t>(cut.result.rows[0].tokens.size()) != P + at + 1) continue;
    GenerationRequest rest = request;
    rest.prompt = cut.result.rows[0].tokens;
    rest.max_tokens = n - at - 1;
    s.judge.check(path, rest);
  }
}

/// Without max_tokens until the rotary tables end.
void run_limit(BehaviourScenario& s) {
  const int64_t P = s.prompt(0), rows = s.rows(1);
  GenerationRequest request = s.request(rows, P, 0);
  request.max_tokens.reset();
  for (const Path path : kPaths) {
    const Recorded open = s.judge.check(path, request);
    const int64_t positions = P + std::max<int64_t>(open.result.steps - 1, 0);
    if (path == Path::engine)
      s.judge.fact(open.result.kv_cache_bytes >= rows * positions * s.target.kv_bytes_per_token, path, kNowhere,
                   kNowhere,
                   fmt::format("kv_cache_bytes {} cannot hold {} positions", open.result.kv_cache_bytes, positions));
  }
  request.max_tokens = s.target.rotary_len - P + 1;  // as far, but asked for
  s.check_both(request);
}

void run_observer(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), P = s.prompt(1);
  const GenerationRequest request = s.request(rows, P, s.tokens(2, P));
  for (const Path path : kPaths) {
    const Recorded observed = s.judge.check(path, request);
    const GenerationResult alone = s.target.subject.generate(path, request, nullptr);
    for (std::size_t row = 0; row < std::min(alone.rows.size(), observed.result.rows.size()); ++row)
      s.judge.fact(alone.rows[row].tokens == observed.result.rows[row].tokens, path, kNowhere,
                   static_cast<int64_t>(row), fmt::format("row {} is another one when nobody observes", row));
    s.judge.fact(alone.token_forwards == observed.result.token_forwards && alone.steps == observed.result.steps, path,
                 kNowhere, kNowhere, "steps or token_forwards are others when nobody observes");
  }
}

// ---- nanochat's own sampling ---------------------------------------------------------------------------------------

/// Every token is one that top_k lets through. Rounding may let in one that is as good as the last.
void check_top_k(BehaviourScenario& s, Path path, const GenerationRequest& request, const Recorded& recorded) {
  const auto k = request.sampler.top_k.value_or(0);
  if (k == 0 || k >= s.target.vocab_size) return;
  const auto streams = streams_of(recorded, request.num_samples);
  for (int64_t row = 0; row < request.num_samples; ++row) {
    std::vector<TokenId> history = request.prompt;
    for (std::size_t step = 0; step < streams[row].tokens.size(); ++step) {
      const TokenId token = streams[row].tokens[step];
      const std::vector<double> logits = s.judge.logits(history);
      std::vector<double> sorted = logits;
      std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
      const double below = sorted[k - 1] - logits.at(token);
      const double allowed = s.target.subject.info().dtype == "float64" ? 1e-5 : 0.05 * (1 + std::abs(sorted[k - 1]));
      s.judge.fact(below <= allowed, path, static_cast<int64_t>(step), row,
                   fmt::format("token {} of row {} is none of the {} best: its logit is {:.3g} below the last of them",
                               token, row, k, below));
      history.push_back(token);
    }
  }
}

/// One stream of random numbers for all rows. With exact logits the draws are known, else what must hold of any draws.
void run_nanochat(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), P = s.prompt(1), n = s.tokens(2, P);
  GenerationRequest request = s.request(rows, P, n);
  request.sampler.mode = SamplerMode::nanochat;
  request.sampler.temperature = s.target.script ? 1.7 : 8;
  if (const int64_t k = s.number(3, "top_k", 0, std::numeric_limits<int32_t>::max())) request.sampler.top_k = k;
  for (const Path path : kPaths) {
    if (s.target.script) {
      s.judge.check(path, request, {}, nanochat_draw(request.sampler, path, rows));
      GenerationRequest ending =
          request;  // the first row and the last end early; the others' draws are the same as before
      ending.stop = true;
      ending.forced.resize(rows);
      ending.forced.back()[2] = s.target.specials->bos;
      ending.forced.front()[1] = s.target.specials->assistant_end;
      s.judge.check(path, ending, {}, nanochat_draw(request.sampler, path, rows));
      GenerationRequest greedy = request;
      greedy.sampler.temperature = 0;
      s.judge.check(path, greedy);
      continue;
    }
    const Recorded first = record_generation(s.target.subject, path, request);
    check_top_k(s, path, request, first);
    const auto streams = streams_of(first, rows);
    std::size_t next = 0;
    s.judge.check(path, request, {},
                  [&](const std::vector<int64_t>& live, const auto&) {  // the same seed, the same draws
                    std::vector<TokenId> again;
                    for (const int64_t row : live)
                      again.push_back(next < streams.at(row).tokens.size() ? streams[row].tokens[next] : TokenId{-1});
                    ++next;
                    return again;
                  });
    GenerationRequest other = request;
    other.sampler.seed += 1;
    bool differs = rows * n < 4 || request.sampler.top_k == 1, rows_differ = differs || rows == 1;
    const auto others = streams_of(record_generation(s.target.subject, path, other), rows);
    for (int64_t row = 0; row < rows; ++row) {
      differs |= others[row].tokens != streams[row].tokens;
      rows_differ |= streams[row].tokens != streams[0].tokens;
    }
    s.judge.fact(differs, path, 0, kNowhere, "two seeds give the same tokens in all rows");
    s.judge.fact(rows_differ, path, 0, kNowhere, "all rows draw the same tokens");
  }
}

// ---- refused requests ----------------------------------------------------------------------------------------------

struct BadRequest {
  const char* what;
  const char* kind;
  const char* place;  // where our own engine sees it
  bool engine_only = false;
  void (*change)(GenerationRequest& request, const BehaviourTarget& target);
};

const BadRequest kBadRequests[] = {
    {"an empty prompt", "argument", "prompt", false, [](auto& r, auto&) { r.prompt.clear(); }},
    {"a negative id", "argument", "prompt", false, [](auto& r, auto&) { r.prompt.back() = -1; }},
    {"an id past the vocabulary", "argument", "prompt", false,
     [](auto& r, auto& t) { r.prompt.front() = static_cast<TokenId>(t.vocab_size); }},
    {"no rows", "argument", "num_samples", false, [](auto& r, auto&) { r.num_samples = 0; }},
    {"negative max_tokens", "argument", "max_tokens", false, [](auto& r, auto&) { r.max_tokens = -1; }},
    {"forced tokens for too few rows", "argument", "forced", false,
     [](auto& r, auto&) { r.forced.resize(r.num_samples - 1); }},
    {"forced tokens for too many rows", "argument", "forced", false,
     [](auto& r, auto&) { r.forced.resize(r.num_samples + 1); }},
    {"a forced id past the vocabulary", "argument", "forced", false,
     [](auto& r, auto& t) {
       r.forced.resize(r.num_samples);
       r.forced.back()[1] = static_cast<TokenId>(t.vocab_size);
     }},
    {"a negative forced id", "argument", "forced", false,
     [](auto& r, auto&) {
       r.forced.resize(r.num_samples);
       r.forced.front()[0] = -1;
     }},
    {"a negative temperature", "argument", "sampler.temperature", false,
     [](auto& r, auto&) { r.sampler.temperature = -1; }},
    {"a temperature that is not a number", "argument", "sampler.temperature", false,
     [](auto& r, auto&) { r.sampler.temperature = std::numeric_limits<double>::quiet_NaN(); }},
    {"an infinite temperature", "argument", "sampler.temperature", false,
     [](auto& r, auto&) { r.sampler.temperature = std::numeric_limits<double>::infinity(); }},
    {"a temperature below 1e-30", "argument", "sampler.temperature", false,
     [](auto& r, auto&) { r.sampler.temperature = 9e-31; }},
    {"negative top_k", "argument", "sampler.top_k", false, [](auto& r, auto&) { r.sampler.top_k = -1; }},
    {"one token more than the rotary tables allow", "capacity", "rotary tables", false,
     [](auto& r, auto& t) { r.max_tokens = t.rotary_len - static_cast<int64_t>(r.prompt.size()) + 2; }},
    {"a prompt longer than the rotary tables", "capacity", "rotary tables", false,
     [](auto& r, auto& t) {
       r.prompt.resize(t.rotary_len + 1, r.prompt.front());
       r.max_tokens = 0;
     }},
};

class Untouched : public GenerationObserver {
 public:
  bool touched = false;
  void on_forward(int64_t) override { touched = true; }
  bool on_step(const GenerationStep&) override {
    touched = true;
    return false;
  }
};

void check_refused(BehaviourScenario& s, Path path, const BadRequest& bad) {
  GenerationRequest request = s.request(2, s.prompt(0), 2);
  bad.change(request, s.target);
  Untouched observer;
  std::string found = "was accepted";
  try {
    s.target.subject.generate(path, request, &observer);
  } catch (const Error& error) {
    const bool named = error.kind() == bad.kind && (!s.target.script || error.place() == bad.place);
    found = named ? "" : fmt::format("got the {} error \"{}\"", error.kind(), error.what());
  } catch (const std::exception& error) {
    found = fmt::format("failed with \"{}\"", error.what());
  }
  s.judge.fact(found.empty(), path, kNowhere, kNowhere,
               fmt::format("a request with {} must be refused with an {} error of \"{}\", but {}", bad.what, bad.kind,
                           bad.place, found));
  s.judge.fact(!observer.touched, path, kNowhere, kNowhere,
               fmt::format("a request with {} was refused only after work had begun", bad.what));
}

}  // namespace

void run_errors(BehaviourScenario& s) {
  std::vector<BadRequest> refused(std::begin(kBadRequests), std::end(kBadRequests));
  if (!s.target.specials)
    refused.push_back({"stop but no tokenizer", "argument", "stop", false, [](auto& r, auto&) { r.stop = true; }});
  if (!s.target.tokenizer)
    refused.push_back({"tools but no tokenizer", "argument", "tools", true, [](auto& r, auto&) { r.tools = true; }});
  GenerationRequest request = s.request(1, s.prompt(0), 2);
  for (const Path path : kPaths) {
    for (const BadRequest& bad : refused)
      if (!bad.engine_only || path == Path::engine) check_refused(s, path, bad);
    s.judge.check(path, request);  // nothing of them is left
  }
}

const std::vector<BehaviourKind>& plain_kinds() {
  static const std::vector<BehaviourKind> kKinds = {
      {"greedy", "prompt,tokens", 2, 2, false, run_greedy},
      {"own", "rows,prompt,tokens", 3, 3, false, run_own},
      {"samples", "rows,prompt,tokens", 3, 3, false, run_samples},
      {"top_k", "k,rows,prompt,tokens", 4, 4, false, run_top_k},
      {"temperature", "percent,prompt,tokens", 3, 3, false, run_temperature},
      {"max_tokens", "prompt,tokens", 2, 2, false, run_max_tokens},
      {"stop", "prompt,tokens,step of row 0,step of row 1,...", 3, 66, false, run_stop},
      {"forced", "rows,row,first step,forced tokens,prompt,tokens", 6, 6, false, run_forced},
      {"tools", "prompt,tokens", 2, 2, false, run_tools},
      {"seeds", "prompt,tokens", 2, 2, false, run_seeds},
      {"prefix", "prompt,tokens,more tokens", 3, 3, false, run_prefix},
      {"rows", "rows,fewer rows,prompt,tokens", 4, 4, false, run_rows},
      {"abandon", "rows,prompt,tokens,step", 4, 4, false, run_abandon},
      {"limit", "prompt,rows", 2, 2, false, run_limit},
      {"observer", "rows,prompt,tokens", 3, 3, false, run_observer},
      {"nanochat", "rows,prompt,tokens,top_k", 4, 4, false, run_nanochat},
      {"errors", "prompt", 1, 1, false, run_errors},
  };
  return kKinds;
}

}  // namespace kvproof
