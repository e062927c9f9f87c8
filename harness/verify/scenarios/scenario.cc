#include "harness/verify/scenarios/scenario.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>

#include "engine/error.h"
#include "engine/splitmix.h"

namespace kvproof {
namespace {

constexpr const char* kPlace = "--only";

[[noreturn]] void fail(const std::string& message) { throw ArgumentError(kPlace, message); }

using Kind = CacheStep::Kind;

/// Writes a script down operation by operation, with tokens of its own for every row.
class Builder {
 public:
  Builder(const SubjectInfo& info, uint64_t seed) : info_(info), seed_(seed) {}

  Builder& create(int cache, int64_t rows, int64_t capacity) {
    add({.kind = Kind::create, .cache = cache, .amount = rows, .capacity = capacity});
    next_.resize(std::max(next_.size(), static_cast<std::size_t>(cache) + 1));
    next_[cache] = std::vector<Stream>(rows);
    for (int64_t row = 0; row < rows; ++row) next_[cache][row] = fresh_stream();
    return *this;
  }
  /// The next `counts[row]` tokens of each row.
  Builder& forward(int cache, const std::vector<int64_t>& counts, LogitsAt at = LogitsAt::all) {
    CacheStep step{.kind = Kind::forward, .cache = cache, .at = at};
    for (std::size_t row = 0; row < counts.size(); ++row) step.tokens.push_back(draw(next_[cache][row], counts[row]));
    return add(std::move(step));
  }
  Builder& prefill(int cache, int64_t count, LogitsAt at = LogitsAt::all) {
    return forward(cache, std::vector<int64_t>(rows(cache), count), at);
  }
  Builder& decode(int cache, int64_t steps) {
    for (int64_t i = 0; i < steps; ++i) prefill(cache, 1, i % 2 == 0 ? LogitsAt::last : LogitsAt::all);
    return *this;
  }
  /// A forward that must be refused and leave everything as it was.
  Builder& refuse(int cache, int64_t count) {
    CacheStep step{.kind = Kind::forward, .cache = cache, .refused = true};
    for (int64_t row = 0; row < rows(cache); ++row)
      step.tokens.push_back(distinct_tokens(seed_, 7777, count, info_.vocab_size));
    return add(std::move(step));
  }
  /// Each row of the copy goes on with tokens of its own.
  Builder& clone(int cache, int source, std::vector<int64_t> sources, int64_t capacity) {
    next_.resize(std::max(next_.size(), static_cast<std::size_t>(cache) + 1));
    next_[cache].clear();
    for (std::size_t i = 0; i < sources.size(); ++i) next_[cache].push_back(fresh_stream());
    return add(
        {.kind = Kind::clone, .cache = cache, .source = source, .rows = std::move(sources), .capacity = capacity});
  }
  Builder& truncate(int cache, int64_t row, int64_t length) {
    next_[cache][row] = fresh_stream();  // and goes on differently
    return add({.kind = Kind::truncate, .cache = cache, .rows = {row}, .amount = length});
  }
  Builder& reset(int cache) {
    for (Stream& stream : next_[cache]) stream = fresh_stream();
    return add({.kind = Kind::reset, .cache = cache});
  }
  Builder& reserve(int cache, int64_t capacity) {
    return add({.kind = Kind::reserve, .cache = cache, .capacity = capacity});
  }
  Builder& retain(int cache, const std::vector<int64_t>& kept) {
    std::vector<Stream> streams;
    for (const int64_t row : kept) streams.push_back(next_[cache][row]);
    next_[cache] = std::move(streams);
    return add({.kind = Kind::retain, .cache = cache, .rows = kept});
  }
  Builder& poison(int cache) { return add({.kind = Kind::poison, .cache = cache}); }

  int64_t rows(int cache) const { return static_cast<int64_t>(next_[cache].size()); }
  Script script;

 private:
  struct Stream {
    uint64_t id = 0;
    int64_t taken = 0;
  };
  Stream fresh_stream() { return {streams_++, 0}; }
  Tokens draw(Stream& stream, int64_t count) {
    const Tokens all = distinct_tokens(seed_, stream.id, stream.taken + count, info_.vocab_size);
    Tokens drawn(all.begin() + stream.taken, all.end());
    stream.taken += count;
    return drawn;
  }
  Builder& add(CacheStep step) {
    script.steps.push_back(std::move(step));
    return *this;
  }

  const SubjectInfo& info_;
  uint64_t seed_, streams_ = 0;
  std::vector<std::vector<Stream>> next_;  // by cache, by row
};

using Parameters = std::vector<int64_t>;

int64_t sum(const Parameters& p) { return std::accumulate(p.begin(), p.end(), int64_t{0}); }

std::vector<int64_t> counting(int64_t n) {
  std::vector<int64_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// --- the kinds ----------------------------------------------------------------------------------------------------------

void prefill(Builder& b, const Parameters& p) { b.create(0, 1, p[0]).prefill(0, p[0]); }

void decode(Builder& b, const Parameters& p) {
  b.create(0, 1, p[0] + p[1]).prefill(0, p[0], LogitsAt::last).decode(0, p[1]);
}

void chunks(Builder& b, const Parameters& p) {
  b.create(0, 1, sum(p));
  for (const int64_t n : p) b.prefill(0, n);
}

void ones(Builder& b, const Parameters& p) { b.create(0, 1, p[0]).decode(0, p[0]); }

void batch(Builder& b, const Parameters& p) { b.create(0, p[0], p[1] + p[2]).prefill(0, p[1]).decode(0, p[2]); }

// Rows of given lengths in one padded batch, then one token each.
void ragged(Builder& b, const Parameters& p) {
  const auto rows = static_cast<int64_t>(p.size());
  const int64_t longest = *std::max_element(p.begin(), p.end());
  b.create(0, rows, longest + 6).forward(0, p).decode(0, 2);
  Parameters uneven;
  for (int64_t row = 0; row < rows; ++row) uneven.push_back(1 + row % 3);
  b.forward(0, uneven).forward(0, std::vector<int64_t>(rows, 1), LogitsAt::last);
}

void clone(Builder& b, const Parameters& p) {
  b.create(0, 1, p[1]).prefill(0, p[1]).clone(1, 0, std::vector<int64_t>(p[0], 0), p[1] + p[2]).decode(1, p[2]);
}

// Source and clones take turns, so that neither may see what the other wrote.
void diverge(Builder& b, const Parameters& p) {
  b.create(0, 1, p[1] + 4).prefill(0, p[1]).clone(1, 0, std::vector<int64_t>(p[0], 0), p[1] + 4);
  b.decode(1, 1).decode(0, 1).decode(1, 1).decode(0, 2).decode(1, 1);
}

// A clone out of a batch of different rows: permuted, one twice.
void shuffle(Builder& b, const Parameters& p) {
  Parameters sources;
  for (int64_t row = p[0] - 1; row >= 0; --row) sources.push_back(row);
  sources.push_back(0);
  b.create(0, p[0], p[1] + 2).prefill(0, p[1]).clone(1, 0, sources, p[1] + p[2]).decode(1, p[2]).decode(0, 2);
}

// Rows end one after the other: first the middle one, then the first, until the last is alone.
void retain(Builder& b, const Parameters& p) {
  b.create(0, p[0], p[1] + p[0] + 1).prefill(0, p[1]).decode(0, 1);
  for (int64_t left = p[0]; left > 1; --left) {
    Parameters kept = counting(left);
    kept.erase(kept.begin() + (left == p[0] ? left / 2 : 0));
    b.retain(0, kept).decode(0, 1);
  }
}

void truncate(Builder& b, const Parameters& p) {
  b.create(0, 1, std::max(p[0], p[1] + p[2] + 1)).prefill(0, p[0]).truncate(0, 0, p[1]).decode(0, p[2]);
}

// One row of a batch goes back, the others go on: rows stand at different positions from then on.
void truncate_row(Builder& b, const Parameters& p) {
  b.create(0, p[0], p[1] + p[2] + 3).prefill(0, p[1]).truncate(0, p[0] / 2, p[1] / 2).decode(0, p[2]).prefill(0, 3);
}

void reset(Builder& b, const Parameters& p) {
  b.create(0, 1, std::max(p[0], p[1]) + 3).prefill(0, p[0]).decode(0, 1).reset(0).prefill(0, p[1]).decode(0, 2);
}

// All rows of a batch are emptied, not the first alone.
void reset_batch(Builder& b, const Parameters& p) {
  b.create(0, p[0], std::max(p[1], p[2]) + 2).prefill(0, p[1]).reset(0).prefill(0, p[2]).decode(0, 2);
}

void grow(Builder& b, const Parameters& p) {
  b.create(0, 2, p[0]).prefill(0, p[0] - 1).decode(0, 1);
  b.reserve(0, p[0] + 1).decode(0, 1).reserve(0, 2 * p[0] + 1 + p[1]).decode(0, p[1]);
}

void capacity(Builder& b, const Parameters& p) {
  b.create(0, 1, p[0]);
  if (p[0] > 1) b.prefill(0, p[0] - 1).refuse(0, 2);
  b.decode(0, 1).refuse(0, 1).reserve(0, p[0] + 2).decode(0, 2).refuse(0, 1);
}

// The same where capacities cannot be raised.
void overflow(Builder& b, const Parameters& p) { b.create(0, 1, p[0]).prefill(0, p[0]).refuse(0, 1); }

// Several tokens of which some would fit: none of them is taken.
void overflow_chunk(Builder& b, const Parameters& p) {
  b.create(0, 1, p[0]).prefill(0, p[0] - 2).refuse(0, 3).decode(0, 1).refuse(0, 2).decode(0, 1);
}

// One row has room and the other has none: neither takes anything.
void overflow_rows(Builder& b, const Parameters& p) { b.create(0, 2, p[0]).forward(0, {p[0] - 2, p[0]}).refuse(0, 1); }

void poison(Builder& b, const Parameters& p) {
  b.create(0, 2, p[0] + p[1] + 7).poison(0).prefill(0, p[0]).poison(0).decode(0, p[1]);
  b.truncate(0, 1, p[0] / 2 + 1).poison(0).decode(0, 2);
}

// Two caches in turns.
void interleave(Builder& b, const Parameters& p) {
  b.create(0, 1, p[0] + p[1]).create(1, 1, p[0] + p[1] + 1).prefill(0, p[0]).prefill(1, p[0] + 1);
  for (int64_t i = 0; i < p[1]; ++i) b.decode(0, 1).decode(1, 1);
}

void over_allocated(Builder& b, const Parameters& p) {
  b.create(0, 1, 3 * (p[0] + p[1])).prefill(0, p[0]).reserve(0, p[0]).decode(0, p[1]);
}

void threads(Builder& b, const Parameters& p) {
  b.script.threads = static_cast<int>(p[0]);
  b.create(0, 2, p[1] + p[2]).prefill(0, p[1]).decode(0, p[2]);
}

// The rotary tables' last position is taken; one more is not, whatever the capacity.
void rotary(Builder& b, const Parameters& p) { b.create(0, 1, p[0] + 1).refuse(0, p[0] + 1); }

void rotary_end(Builder& b, const Parameters& p) {
  b.create(0, 1, p[0] + 1).prefill(0, p[0] - 1, LogitsAt::last).decode(0, 1).refuse(0, 1);
}

// --- relations to the bit -----------------------------------------------------------------------------------------------

constexpr int64_t kEverywhere = INT64_MAX;

void replay(Builder& b, const Parameters& p) {
  batch(b, p);
  b.script.twins.push_back({b.script.steps, counting(p[0]), kEverywhere});
}

// Another row's tokens must not matter.
void row_independence(Builder& b, const Parameters& p) {
  batch(b, p);
  const int64_t changed = p[0] / 2;
  Twin twin{b.script.steps, counting(p[0]), kEverywhere};
  twin.rows.erase(twin.rows.begin() + changed);
  for (CacheStep& step : twin.steps) {
    if (step.kind == Kind::forward) std::reverse(step.tokens[changed].begin(), step.tokens[changed].end());
    if (step.kind == Kind::forward && step.tokens[changed].size() == 1)
      step.tokens[changed] = step.tokens[(changed + 1) % p[0]];
  }
  b.script.twins.push_back(std::move(twin));
}

// What comes later must not matter.
void causality(Builder& b, const Parameters& p) {
  b.create(0, 1, p[0] + p[1]).prefill(0, p[0]).prefill(0, p[1]);
  Twin twin{b.script.steps, {0}, p[0] + p[1] / 2};
  Tokens& last = twin.steps.back().tokens[0];
  std::rotate(last.begin() + p[1] / 2, last.begin() + p[1] / 2 + 1, last.end());
  b.script.twins.push_back(std::move(twin));
}

// Rows of unequal lengths through every operation, one of them back at position 0.
void uneven(Builder& b, const Parameters& p) {
  const int64_t rows = p[0], P = p[1];
  Parameters lengths, more;
  for (int64_t row = 0; row < rows; ++row) {
    lengths.push_back(row == 0 ? P : P + 1 + row % 2);
    more.push_back(1 + row % 3);
  }
  b.create(0, rows, P + 16).forward(0, lengths, LogitsAt::last).truncate(0, 1, 0).forward(0, more, LogitsAt::last);
  b.reserve(0, P + 18).decode(0, 1).clone(1, 0, {1, rows - 1, 0}, P + 9).decode(1, 2);
  Parameters kept = counting(rows);
  kept.erase(kept.begin());
  b.truncate(0, 0, 1).retain(0, kept).decode(0, 1).clone(2, 0, {rows - 2, 0}, P + 9).decode(2, 1);
  b.reserve(0, P + 24).forward(0, Parameters(more.begin() + 1, more.end())).decode(0, 1);
}

// A batch in chunks, logits of the last position of each but one.
void batch_chunks(Builder& b, const Parameters& p) {
  b.create(0, p[0], p[1] + 2 * p[2] + 1)
      .prefill(0, p[1], LogitsAt::last)
      .prefill(0, p[2], LogitsAt::last)
      .prefill(0, p[2])
      .decode(0, 1);
}

struct KindRule {
  ScenarioKind kind;
  std::size_t least, most;        // parameters
  std::vector<int64_t> smallest;  // of each; the last one serves all further
  void (*build)(Builder&, const Parameters&);
};

constexpr std::size_t kAny = 4096;

const std::vector<KindRule>& rules() {
  static const std::vector<KindRule> kRules = {
      {{"prefill", "tokens", "one forward from an empty cache, capacity exact"}, 1, 1, {1}, prefill},
      {{"decode", "prompt, steps", "a prompt, then one token a step"}, 2, 2, {1, 1}, decode},
      {{"chunks", "tokens, …", "a prompt in chunks of given lengths"}, 1, kAny, {1}, chunks},
      {{"ones", "tokens", "a prompt token by token from an empty cache"}, 1, 1, {1}, ones},
      {{"batch", "rows, prompt, steps", "rows of different tokens side by side"}, 3, 3, {1, 1, 1}, batch},
      {{"ragged", "tokens of row 0, of row 1, …", "rows of different lengths in one padded batch"}, 2, 64, {1}, ragged},
      {{"clone", "rows, prompt, steps", "one prefill copied to rows that go on differently"}, 3, 3, {1, 1, 1}, clone},
      {{"diverge", "rows, prompt", "a source and its clones go on in turns"}, 2, 2, {1, 1}, diverge},
      {{"shuffle", "rows, prompt, steps", "clones out of a batch: permuted, one twice"}, 3, 3, {2, 1, 1}, shuffle},
      {{"retain", "rows, prompt", "rows leave a batch one after the other"}, 2, 2, {2, 1}, retain},
      {{"truncate", "prompt, kept, steps", "rolled back, then on with other tokens"}, 3, 3, {1, 0, 1}, truncate},
      {{"truncate_row", "rows, prompt, steps", "one row of a batch rolled back"}, 3, 3, {2, 2, 1}, truncate_row},
      {{"uneven", "rows, prompt", "rows of unequal lengths through every operation"}, 2, 2, {3, 2}, uneven},
      {{"batch_chunks", "rows, first, second", "a batch in chunks"}, 3, 3, {2, 1, 1}, batch_chunks},
      {{"reset", "first prompt, second prompt", "a cache emptied and used again"}, 2, 2, {1, 1}, reset},
      {{"reset_batch", "rows, first prompt, second prompt", "all rows of a batch emptied and used again"},
       3,
       3,
       {2, 1, 1},
       reset_batch},
      {{"grow", "capacity, steps", "capacity reached, then grown twice"}, 2, 2, {2, 1}, grow},
      {{"capacity", "capacity", "one token more than fits is refused and changes nothing"}, 1, 1, {1}, capacity},
      {{"overflow", "capacity", "one token behind a full cache is refused and changes nothing"}, 1, 1, {1}, overflow},
      {{"overflow_chunk", "capacity", "a chunk of which some tokens would fit is refused, and what fits goes on"},
       1,
       1,
       {3},
       overflow_chunk},
      {{"overflow_rows", "capacity", "a step that fits in one row and not in the other is refused"},
       1,
       1,
       {3},
       overflow_rows},
      {{"poison", "prompt, steps", "NaN in every slot that is not held"}, 2, 2, {1, 1}, poison},
      {{"interleave", "prompt, steps", "two caches in turns"}, 2, 2, {1, 1}, interleave},
      {{"over_allocated", "prompt, steps", "three times the capacity that is needed; asked for less, it stays"},
       2,
       2,
       {1, 1},
       over_allocated},
      {{"threads", "threads, prompt, steps", "a batch of two on so many threads"}, 3, 3, {1, 1, 1}, threads},
      {{"rotary", "rotary length", "one position more than the rotary tables hold is refused"}, 1, 1, {1}, rotary},
      {{"rotary_end", "rotary length", "the last position of the rotary tables is right, the next refused"},
       1,
       1,
       {2},
       rotary_end},
      {{"replay", "rows, prompt, steps", "done twice, equal to the bit"}, 3, 3, {1, 1, 1}, replay},
      {{"row_independence", "rows, prompt, steps", "another row's tokens change no bit"},
       3,
       3,
       {2, 1, 1},
       row_independence},
      {{"causality", "first chunk, second chunk", "later tokens change no bit of what came before"},
       2,
       2,
       {1, 2},
       causality},
  };
  return kRules;
}

const KindRule& rule_of(const std::string& kind) {
  for (const KindRule& rule : rules())
    if (rule.kind.name == kind) return rule;
  std::vector<std::string> names;
  for (const KindRule& rule : rules()) names.push_back(rule.kind.name);
  fail(fmt::format("unknown scenario \"{}\"; of caches there are {}", kind, fmt::join(names, ", ")));
}

void check_parameters(const ScenarioName& name, const KindRule& rule) {
  const auto& p = name.parameters;
  if (p.size() < rule.least || p.size() > rule.most)
    fail(fmt::format("{}: expected [{}], got {} numbers", name.text(), rule.kind.parameters, p.size()));
  for (std::size_t i = 0; i < p.size(); ++i) {
    const int64_t least = rule.smallest[std::min(i, rule.smallest.size() - 1)];
    if (p[i] < least)
      fail(fmt::format("{}: number {} must be at least {} ({})", name.text(), i + 1, least, rule.kind.parameters));
    if (p[i] > 1'000'000) fail(fmt::format("{}: number {} is out of all proportion", name.text(), i + 1));
  }
  if (name.kind == "truncate" && p[1] > p[0]) fail(fmt::format("{}: cannot keep more than the prompt", name.text()));
}

// Every row must stay within the rotary tables.
void check_positions(const ScenarioName& name, const Script& script, const SubjectInfo& info) {
  std::vector<ExpectedCache> caches;
  for (const CacheStep& step : script.steps) {
    apply(step, caches);
    for (const Tokens& row : caches[step.cache].rows) {
      if (static_cast<int64_t>(row.size()) > info.rotary_len)
        fail(fmt::format("{}: needs {} positions, the model's rotary tables cover {}", name.text(), row.size(),
                         info.rotary_len));
    }
  }
}

}  // namespace

std::string ScenarioName::text() const { return fmt::format("{}[{}]/{}", kind, fmt::join(parameters, ","), dtype); }

ScenarioName parse_scenario(const std::string& text) {
  ScenarioName name;
  const auto open = text.find('['), close = text.find("]/");
  if (open == std::string::npos || close == std::string::npos || close < open || open == 0 || close + 2 == text.size())
    fail(fmt::format("expected kind[numbers]/dtype, as in chunks[1,299]/float64, got \"{}\"", text));
  name.kind = text.substr(0, open);
  name.dtype = text.substr(close + 2);
  const char *at = text.data() + open + 1, *end = text.data() + close;
  while (at < end) {
    int64_t number = 0;
    const auto [stop, error] = std::from_chars(at, end, number);
    const bool more = stop != end && *stop == ',' && stop + 1 != end;
    if (error != std::errc() || (stop != end && !more))
      fail(fmt::format("expected whole numbers between the brackets, got \"{}\"", text));
    name.parameters.push_back(number);
    at = stop == end ? end : stop + 1;
  }
  return name;
}

const std::vector<ScenarioKind>& scenario_kinds() {
  static const std::vector<ScenarioKind> kKinds = [] {
    std::vector<ScenarioKind> kinds;
    for (const KindRule& rule : rules()) kinds.push_back(rule.kind);
    return kinds;
  }();
  return kKinds;
}

bool is_cache_scenario(const std::string& kind) {
  const auto& all = rules();
  return std::any_of(all.begin(), all.end(), [&](const KindRule& rule) { return rule.kind.name == kind; });
}

Script make_script(const ScenarioName& name, const SubjectInfo& info, uint64_t seed) {
  const KindRule& rule = rule_of(name.kind);
  check_parameters(name, rule);
  Builder builder(info, seed);
  rule.build(builder, name.parameters);
  check_positions(name, builder.script, info);
  return std::move(builder.script);
}

Tokens distinct_tokens(uint64_t seed, uint64_t stream, int64_t n, int64_t vocab_size) {
  // A shuffled vocabulary, again and again, made as far as it is needed.
  Tokens ids;
  uint64_t state = mix_bits(seed * kGoldenGamma + mix_bits(stream + 1));
  std::vector<int32_t> deck;
  while (static_cast<int64_t>(ids.size()) < n) {
    const int64_t dealt = static_cast<int64_t>(ids.size()) % vocab_size;
    if (dealt == 0) {
      deck.resize(vocab_size);
      std::iota(deck.begin(), deck.end(), 0);
    }
    state = mix_bits(state + kGoldenGamma);
    std::swap(deck[dealt], deck[dealt + static_cast<int64_t>(state % static_cast<uint64_t>(vocab_size - dealt))]);
    if (stream == 0 && ids.size() < 2) {  // the vocabulary's ends, early and always: the last id, then the first
      const auto end = static_cast<int32_t>(ids.empty() ? vocab_size - 1 : 0);
      std::swap(deck[dealt], *std::find(deck.begin() + dealt, deck.end(), end));
    }
    ids.push_back(deck[dealt]);
  }
  return ids;
}

}  // namespace kvproof
