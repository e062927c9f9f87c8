#include "harness/verify/localise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>

#include "harness/verify/clue.h"

namespace kvproof {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
bool begins(const std::string& text, const std::string& part) { return text.compare(0, part.size(), part) == 0; }

std::string kind_of(const std::string& scenario) { return scenario.substr(0, scenario.find('[')); }
std::string dtype_of(const std::string& scenario) {
  const auto slash = scenario.rfind('/');
  return slash == std::string::npos ? "" : scenario.substr(slash + 1);
}

// --- the earliest divergence of a scenario ------------------------------------------------------------------------------

int64_t stage_order(const std::string& stage) {
  static constexpr std::array kOrder = {"state", "embed",     "smear", "query",  "key",   "value",
                                        "cache", "attention", "layer", "logits", "tokens"};
  const auto found = std::find(kOrder.begin(), kOrder.end(), stage);
  return found == kOrder.end() ? 0 : found - kOrder.begin();
}

bool is_twin(const Finding& finding) { return contains(finding.place.operation, ", done again"); }
bool is_forward(const Finding& finding) {
  const std::string& operation = finding.place.operation;
  return (begins(operation, "decode") || begins(operation, "chunk") || begins(operation, "prefill")) &&
         !contains(operation, ", to be refused");
}
bool is_generation(const Finding& finding) {
  return begins(finding.place.operation, "generate") || finding.place.stage == "tokens";  // its own loop's too
}
/// What was done to the cache before the forward; empty: nothing but forwards.
std::string change_before(const Finding& finding) {
  const std::string after = " after ";
  const auto at = finding.place.operation.find(after);
  return is_forward(finding) && at != std::string::npos ? finding.place.operation.substr(at + after.size()) : "";
}

auto sort_key(const Finding& finding) {
  const Place& at = finding.place;
  const int64_t stage = stage_order(at.stage);
  // Behind the last layer come the logits, behind them the tokens.
  const int64_t layer = stage >= stage_order("logits") ? std::numeric_limits<int64_t>::max() : at.layer;
  return std::tuple(is_twin(finding), at.step, layer, stage, static_cast<int>(finding.level), at.tensor != "K",
                    at.position, at.row);
}

const Finding* earliest(const ScenarioOutcome& outcome) {
  const auto found = std::min_element(outcome.findings.begin(), outcome.findings.end(),
                                      [](const Finding& a, const Finding& b) { return sort_key(a) < sort_key(b); });
  return found == outcome.findings.end() ? nullptr : &*found;
}

/// An outcome that failed, and where it first did. What broke off before anything was compared has a finding of its own.
struct Failure {
  const ScenarioOutcome* outcome;
  Finding finding;
  std::string kind, dtype;
};

Failure failure_of(const ScenarioOutcome& outcome) {
  const Finding* first = earliest(outcome);
  Finding finding;
  if (first) {
    finding = *first;
  } else {  // the driver of caches notes what broke it off: this was a generation
    finding.place.operation = "generate";
    finding.place.stage = "tokens";
    finding.message = outcome.broke_off.empty() ? "failed without a word" : "ended in an error: " + outcome.broke_off;
  }
  return {&outcome, finding, kind_of(outcome.name), dtype_of(outcome.name)};
}

/// All failures, the one that tells most first: float64 before what rounds, forwards on an untouched cache before what
/// follows other operations, caches before generations; else in the suite's order.
std::vector<Failure> failures_of(const std::vector<ScenarioOutcome>& outcomes) {
  std::vector<Failure> failures;
  for (const ScenarioOutcome& outcome : outcomes)
    if (outcome.failed()) failures.push_back(failure_of(outcome));
  const auto rank = [](const Failure& f) {
    const bool plain = is_forward(f.finding) && change_before(f.finding).empty() && !is_twin(f.finding);
    return std::tuple(f.dtype != "float64", is_generation(f.finding), f.outcome->findings.empty(), is_twin(f.finding),
                      !plain);
  };
  std::stable_sort(failures.begin(), failures.end(),
                   [&](const Failure& a, const Failure& b) { return rank(a) < rank(b); });
  return failures;
}

// --- what the pattern means ---------------------------------------------------------------------------------------------

struct Meaning {
  Suspect suspect = Suspect::unknown;
  std::string hint, pattern;
};

class Judgement {
 public:
  Judgement(const std::vector<ScenarioOutcome>& outcomes, const std::vector<Failure>& failures,
            const LocaliseFacts& facts)
      : outcomes_(outcomes), failures_(failures), facts_(facts), first_(failures.front()), finding_(first_.finding),
        at_(finding_.place) {}

  Divergence run() {
    Meaning meaning = judge();
    std::vector<std::string> evidence;
    for (const std::string& part : {meaning.pattern, numbers(), where(), contrast()})
      if (!part.empty()) evidence.push_back(part);
    return {first_.outcome->name, first_.outcome->seed,    finding_,
            meaning.suspect,      std::move(meaning.hint), fmt::format("{}", fmt::join(evidence, "; "))};
  }

 private:
  Meaning judge() const {
    if (is_generation(finding_)) return judge_generation();
    if (rounding_only() && !first_.outcome->broke_off.empty())
      return {Suspect::unknown,
              fmt::format("in {} the engine ends in an error: {}", first_.dtype, first_.outcome->broke_off),
              fmt::format("{} in float64 passes", first_.kind)};
    if (rounding_only())
      return {Suspect::precision,
              fmt::format("the logic is right, but {} rounds more than the same dtype does in full recompute",
                          first_.dtype),
              fmt::format("{} in float64 passes", first_.kind)};
    if (is_twin(finding_)) return judge_twin();
    if (contains(at_.operation, ", to be refused")) return judge_refusal();
    if (!is_forward(finding_)) return judge_operation(at_.operation);
    if (const Meaning clear = judge_clue(); clear.suspect != Suspect::unknown) return clear;
    if (const std::string change = change_before(finding_); !change.empty()) return judge_after(change);
    if (rows_matter()) return judge_rows();
    return facts_.stages_shown || at_.stage == "state" ? judge_stage() : judge_hidden();
  }

  // --- by the kind of failure ----------------------------------------------------------------------------------------

  /// Everything that ran in float64 passes, this kind of scenario among it.
  bool rounding_only() const {
    if (first_.dtype == "float64" || first_.dtype.empty()) return false;
    bool sibling = false;
    for (const ScenarioOutcome& outcome : outcomes_) {
      if (dtype_of(outcome.name) != "float64" || !outcome.skipped.empty()) continue;
      if (outcome.failed()) return false;
      sibling |= kind_of(outcome.name) == first_.kind;
    }
    return sibling;
  }

  Meaning judge_generation() const {
    const bool naive = contains(at_.operation, "naive");
    const std::string path = naive ? "the naive generator" : "the engine's generator";
    const std::string all = finding_.message + " " + finding_.evidence;
    static constexpr std::array kOfDraws = {"noise", "seed", "top_k", "temperature", "draw", "multinomial"};
    static constexpr std::array kOfDrawing = {"samples", "top_k", "temperature", "seeds", "nanochat"};
    const auto says = [&](const char* word) { return contains(all, word); };
    const bool draws = std::any_of(kOfDraws.begin(), kOfDraws.end(), says);
    const bool known = !finding_.evidence.empty() || !begins(finding_.message, "expected token");
    const bool drawing = std::count(kOfDrawing.begin(), kOfDrawing.end(), first_.kind) > 0;
    const std::string pattern = cache_fails() ? "" : "no comparison of logits or caches fails";
    if (draws || (!known && drawing))
      return {Suspect::sampling,
              path + " chooses other tokens than the sampler's settings ask for, out of right logits", pattern};
    return {Suspect::generation, path + " goes wrong in its loop: which tokens are fed, forced, kept, counted or ended",
            pattern};
  }
  bool cache_fails() const {
    return std::any_of(failures_.begin(), failures_.end(), [](const Failure& f) { return !is_generation(f.finding); });
  }

  Meaning judge_twin() const {
    if (first_.kind == "row_independence")
      return {Suspect::row, "what one row holds changes another row's results",
              "only another row's tokens were changed"};
    if (first_.kind == "causality")
      return {Suspect::mask, "later tokens of a chunk change the results of earlier ones",
              "only later tokens were changed"};
    return {Suspect::state, "the same operations done twice give other results",
            "all comparisons with recomputation pass"};
  }

  Meaning judge_refusal() const {
    if (contains(finding_.message, "without a word"))
      return {Suspect::capacity, "the engine takes more tokens than fit instead of refusing them", ""};
    return {Suspect::capacity, "a refusal of what does not fit leaves the cache changed or is no clean refusal", ""};
  }

  struct OperationRule {
    const char* word;
    Suspect suspect;
    const char* itself;  // the operation leaves wrong things behind
    const char* later;   // it seems right, and what follows is not
  };
  static const OperationRule* rule_of(const std::string& operation) {
    static constexpr std::array kRules = {
        OperationRule{"clone", Suspect::clone, "cloning does not make rows of their own that equal their source",
                      "after cloning, a forward does not see what the cloned rows should hold"},
        OperationRule{"retain", Suspect::retain, "letting rows leave a batch mixes up or loses what the others hold",
                      "after rows have left a batch, a forward does not see what the others should hold"},
        OperationRule{"truncate", Suspect::rollback, "rolling back does not leave the cache as it was at that length",
                      "after rolling back, a forward still sees something of what was forgotten, or not what was kept"},
        OperationRule{"reset", Suspect::reset, "a reset does not leave the cache empty",
                      "after a reset, a forward still sees something of the earlier use"},
        OperationRule{"grow", Suspect::growth, "growing loses or moves what the cache holds",
                      "after growing, a forward does not see what the cache should hold"},
        OperationRule{"refus", Suspect::capacity, "a refusal of what does not fit leaves the cache changed",
                      "after a refusal, which should change nothing, a forward goes wrong"},
        OperationRule{"NaN", Suspect::key_range, "slots that nothing holds are read",
                      "slots that nothing holds are read"},
        OperationRule{"new cache", Suspect::state, "a new cache is not empty, or not of its own storage",
                      "a new cache is not empty"},
    };
    for (const OperationRule& rule : kRules)
      if (contains(operation, rule.word)) return &rule;
    return operation == "being cloned" ? kRules.begin() : nullptr;
  }
  Meaning judge_operation(const std::string& operation) const {
    const OperationRule* rule = rule_of(operation);
    if (!rule) return {Suspect::unknown, "the scenario could not be carried out: " + finding_.message, ""};
    const std::string hint = rule->itself;
    return {rule->suspect, hint, fmt::format("the divergence is there right after \"{}\"", operation)};
  }
  Meaning judge_after(const std::string& change) const {
    const OperationRule* rule = rule_of(change);
    if (!rule) return judge_stage();
    if (is_error()) return {rule->suspect, rule->later, finding_.message};
    return {
        rule->suspect, rule->later,
        fmt::format("forwards on caches without \"{}\" pass, the one after it has a wrong {}", change, stage_word())};
  }
  bool is_error() const { return contains(finding_.message, "ended in an error"); }
  std::string stage_word() const { return at_.stage == "state" ? "length or memory of tokens" : at_.stage; }

  // --- by evidence that leaves no doubt ------------------------------------------------------------------------------

  bool clue(const char* phrase) const { return contains(finding_.evidence, phrase); }

  /// What the numbers themselves say about attention or dtypes, whatever was done to the cache before.
  Meaning judge_clue() const {
    if (clue(clue::kRounded))
      return {Suspect::precision, fmt::format("the {} loses bits: right numbers, kept in fewer of them", noun()), ""};
    if (at_.stage == "query" || at_.stage == "key") {
      if (clue(clue::kStretched))
        return {Suspect::qk_scale, fmt::format("QK-norm or its scale is wrong for the {}", noun()),
                key_value_pattern()};
      return {};
    }
    if (at_.stage != "attention") return {};
    if (clue(clue::kWindow))
      return {Suspect::window, "attention keeps to another window than the layer's", "queries, keys and values match"};
    if (clue(clue::kHeadMap))
      return {Suspect::head_map, "query heads read other kv heads than theirs", "queries, keys and values match"};
    if (clue(clue::kScale))
      return {Suspect::attention, "attention scores carry another scale", "queries, keys and values match"};
    if (rows_matter()) return {};
    if (clue(clue::kChunkMask) || clue(clue::kLaterTokens) || clue(clue::kWithoutItself))
      return {Suspect::mask, "the mask inside a chunk is wrong: tokens see others than those up to themselves",
              "queries, keys and values match"};
    return {};
  }

  std::string noun() const {
    if (at_.stage == "cache") return at_.tensor == "K" ? "cache of keys" : "cache of values";
    return at_.stage;
  }

  // --- by rows -------------------------------------------------------------------------------------------------------

  /// Whether the place is the same in many rows but never in the first, or only batches fail.
  bool rows_matter() const {
    if (clue(clue::kTurned) || at_.stage == "embed" || at_.stage == "smear") return false;  // these name themselves
    if (clue(clue::kOtherRow) || only_rows_above_zero()) return true;
    return (at_.stage != "cache" || !facts_.stages_shown) && only_batches_fail();
  }
  bool only_batches_fail() const { return is_batch(first_.kind) && single_rows_pass(); }
  static bool is_batch(const std::string& kind) {
    static constexpr std::array kBatches = {"batch", "ragged", "row_independence", "replay", "threads"};
    return std::count(kBatches.begin(), kBatches.end(), kind) > 0;
  }
  bool single_rows_pass() const {
    bool any = false;
    for (const ScenarioOutcome& outcome : outcomes_) {
      if (dtype_of(outcome.name) != first_.dtype || is_batch(kind_of(outcome.name))) continue;
      static constexpr std::array kSingle = {"prefill", "decode", "chunks", "ones"};
      if (std::count(kSingle.begin(), kSingle.end(), kind_of(outcome.name)) == 0) continue;
      if (outcome.failed()) return false;
      any = true;
    }
    return any;
  }
  bool only_rows_above_zero() const {
    if (at_.row <= 0) return false;
    for (const Finding& other : first_.outcome->findings)
      if (other.place.step == at_.step && other.place.stage == at_.stage && other.place.row <= 0) return false;
    return true;
  }
  Meaning judge_rows() const {
    const std::string pattern =
        only_rows_above_zero() ? "only rows above 0 differ" : "a single row passes, a batch does not";
    return {Suspect::row, "rows of a batch get mixed up, or a later row is treated as the first is", pattern};
  }

  // --- by stage ------------------------------------------------------------------------------------------------------

  /// Whether another stage differs at the same step and layer.
  bool also(const std::string& stage) const {
    const auto& all = first_.outcome->findings;
    return std::any_of(all.begin(), all.end(), [&](const Finding& other) {
      return other.place.step == at_.step && other.place.layer == at_.layer && other.place.stage == stage;
    });
  }
  std::string key_value_pattern() const {
    const bool query = also("query"), key = also("key"), value = also("value");
    if (key && !value)
      return fmt::format("K differs but V matches in layer {}{}", at_.layer, query ? ", and so do queries" : "");
    if (query && !key && !value) return fmt::format("queries differ but K and V match in layer {}", at_.layer);
    if (value && !key && !query) return fmt::format("V differs but K matches in layer {}", at_.layer);
    return fmt::format("queries, K and V differ in layer {}, what enters it matches", at_.layer);
  }

  Meaning judge_stage() const {
    if (at_.stage == "state") return judge_state();
    if (at_.stage == "embed") return {Suspect::embedding, "the embedding of the token itself is wrong", ""};
    if (at_.stage == "smear")
      return {Suspect::smear,
              clue(clue::kOtherRow) ? "smear takes its share from another row's token"
                                    : "what is taken from the previous token (smear) is wrong",
              only_rows_above_zero() ? "the embedding itself matches; only rows above 0 differ"
                                     : "the embedding itself matches"};
    if (at_.stage == "query" || at_.stage == "key") return judge_key_stage();
    if (at_.stage == "value" && clue(clue::kStretchedLittle))
      return {Suspect::layer,
              "the residual stream that enters the layer has another length: lambdas, x0 or the block before",
              "V differs and K, whose norm hides lengths, matches"};
    if (at_.stage == "value")
      return {Suspect::value_embedding, "values are wrong where keys are right: value embedding, its gate or c_v",
              key_value_pattern()};
    if (at_.stage == "cache")
      return {Suspect::cache_write,
              fmt::format("right keys and values are computed, but not what is stored{}",
                          finding_.level == Level::invariants ? ": slots are written that belong to others" : ""),
              fmt::format("the {} stage matches, the slots do not{}", at_.tensor == "K" ? "key" : "value",
                          only_batches_fail() ? "; a single row passes, a batch does not" : "")};
    if (at_.stage == "attention") return judge_attention();
    if (at_.stage == "layer")
      return {Suspect::layer, "the block behind attention is wrong: c_proj, MLP, residual stream or lambdas",
              "the attention stage matches"};
    if (at_.stage == "logits")
      return {Suspect::head,
              "the end of the forward is wrong: final norm, backout, lm_head, softcap, or whose logits are returned",
              "all layers match"};
    return {Suspect::unknown, "no known pattern: " + finding_.message, ""};
  }

  // --- by slots and logits alone -------------------------------------------------------------------------------------

  /// Whether K, or V, is wrong in the slots of the same step and layer.
  bool slots_wrong(const char* tensor) const {
    const auto& all = first_.outcome->findings;
    return std::any_of(all.begin(), all.end(), [&](const Finding& other) {
      return other.place.step == at_.step && other.place.layer == at_.layer && other.place.stage == "cache" &&
             other.place.tensor == tensor;
    });
  }
  /// The first position with wrong logits, in any failed scenario of this dtype that only went forward.
  int64_t first_wrong_position() const {
    int64_t first = std::numeric_limits<int64_t>::max();
    for (const Failure& failure : failures_) {
      if (failure.dtype != first_.dtype) continue;
      for (const Finding& f : failure.outcome->findings)
        if (f.place.stage == "logits" && is_forward(f) && change_before(f).empty())
          first = std::min(first, f.place.position);
    }
    return first;
  }
  /// The window at whose edge logits begin to be wrong; kNowhere: none.
  int64_t window_at_fault() const {
    const int64_t first = first_wrong_position();
    for (const int64_t window : facts_.windows)
      if (window > 0 && (first == window || first == window + 1)) return window;
    return kNowhere;
  }
  /// Whether a scenario of this kind ran in this dtype and passed.
  bool passes(const std::string& kind) const {
    bool any = false;
    for (const ScenarioOutcome& outcome : outcomes_) {
      if (dtype_of(outcome.name) != first_.dtype || kind_of(outcome.name) != kind) continue;
      if (outcome.failed()) return false;
      any = true;
    }
    return any;
  }

  /// Queries, attention and the residual stream are not to be seen: what the slots and the onset tell.
  Meaning judge_hidden() const {
    if (clue(clue::kNotANumber))
      return {Suspect::attention, "what comes out is no number: something is read that nobody wrote, or divided by 0",
              ""};
    if (const int64_t window = window_at_fault(); window != kNowhere)
      return {Suspect::window, "attention keeps to another window than the layer's",
              fmt::format("logits are right up to position {}, where the window of {} begins to matter",
                          first_wrong_position() - 1, window)};
    if (at_.stage == "cache") return judge_hidden_slots();
    if (passes("ones"))
      return {Suspect::mask, "the mask inside a chunk is wrong, or what its tokens take from each other",
              "token by token all is right"};
    return {Suspect::attention,
            "what is read from the cache is wrong (mask, window, head map, length), or the end of the forward is",
            slots_compared() ? "the slots are those of one prefill, the logits are not those of recomputation"
                             : "the slots are not shown"};
  }
  bool slots_compared() const { return first_.outcome->level(Level::keys_values).checks > 0; }

  Meaning judge_hidden_slots() const {
    const bool key = slots_wrong("K"), value = slots_wrong("V");
    const std::string pattern = fmt::format("{} in layer {}",
                                            key && value ? "K and V differ"
                                            : key        ? "K differs but V matches"
                                                         : "V differs but K matches",
                                            at_.layer);
    if (clue(clue::kTurned)) return {Suspect::position, "keys are turned by the wrong position", pattern};
    // Smear is part of what enters the first layer; behind attention the first token of a chunk may be wrong by its mask.
    if (key && value && at_.layer == 0 && clue(clue::kFirstOfChunk))
      return {Suspect::smear, "the first token of a chunk loses what it takes from the token before it", pattern};
    if (key && value && at_.layer > 0)
      return {passes("ones") ? Suspect::mask : Suspect::attention,
              fmt::format("layer {} gives another output from right keys and values: its mask, the slots it reads, or "
                          "its block",
                          at_.layer - 1),
              pattern + ", and those of the layers before match"};
    return {Suspect::cache_write, "what is stored is not what one prefill stores", pattern};
  }

  Meaning judge_state() const {
    if (is_error() && contains(finding_.message, "KV cache"))
      return {Suspect::capacity, "the engine refuses tokens that fit", finding_.message};
    if (is_error()) return {Suspect::unknown, "the engine breaks off where it should go on", finding_.message};
    if (contains(finding_.message, "storage")) return {Suspect::row, "rows or caches lie in the same memory", ""};
    if (contains(finding_.message, "remembers"))
      return {Suspect::state, "the cache remembers other tokens than it was given", ""};
    return {Suspect::state, "the cache's length does not move as many positions as it was given tokens", ""};
  }

  Meaning judge_key_stage() const {
    const std::string pattern = key_value_pattern();
    if (clue(clue::kTurned)) {
      const std::string whose = at_.stage == "key" ? "keys" : also("key") ? "queries and keys" : "queries";
      return {Suspect::position, whose + " are turned by the wrong position", pattern};
    }
    if (also("value"))
      return {Suspect::projection, "queries, keys and values all come out wrong of a right residual stream", pattern};
    return {Suspect::position, "RoPE, QK-norm or the position is wrong", pattern};
  }

  Meaning judge_attention() const {
    const std::string pattern = "queries, keys, values and slots match";
    if (clue(clue::kKeyRange) || clue(clue::kPastTheEnd) || clue(clue::kNoKey))
      return {Suspect::key_range, "attention reads other slots than those the row holds", pattern};
    return {Suspect::attention, "attention gives another output from right queries, keys and values", pattern};
  }

  // --- words ---------------------------------------------------------------------------------------------------------

  /// What the wrong numbers look like, here or, where the finding has none, in the same layer of the same step.
  std::string numbers() const {
    if (!finding_.evidence.empty() || is_twin(finding_)) return finding_.evidence;
    for (const Finding& other : first_.outcome->findings) {
      if (is_twin(other) || other.place.step != at_.step || other.place.layer != at_.layer || other.evidence.empty())
        continue;
      return fmt::format("at position {} {}", other.place.position, other.evidence);
    }
    return "";
  }
  std::string where() const {
    if (!is_forward(finding_)) return "";
    const bool decode = begins(at_.operation, "decode");
    bool other = false;  // the other way of calling fails as well
    for (const Failure& f : failures_)
      if (f.dtype == first_.dtype && is_forward(f.finding))
        other |= begins(f.finding.place.operation, "decode") != decode;
    if (other) return "";
    return decode ? "first seen in steps of one token, never in longer ones"
                  : "first seen in chunks of several tokens, never in steps of one";
  }

  /// Which kinds of scenarios fail and which pass.
  std::string contrast() const {
    std::vector<std::string> passing, failing;
    const auto add = [](std::vector<std::string>& kinds, const std::string& kind) {
      if (std::count(kinds.begin(), kinds.end(), kind) == 0) kinds.push_back(kind);
    };
    for (const ScenarioOutcome& outcome : outcomes_) {
      if (dtype_of(outcome.name) != first_.dtype || !outcome.skipped.empty()) continue;
      add(outcome.failed() ? failing : passing, kind_of(outcome.name));
    }
    std::erase_if(passing,
                  [&](const std::string& kind) { return std::count(failing.begin(), failing.end(), kind) > 0; });
    if (passing.empty()) return "";
    const auto some = [](std::vector<std::string> kinds) {
      constexpr std::size_t kMost = 6;
      const std::size_t more = kinds.size() > kMost ? kinds.size() - kMost : 0;
      kinds.resize(kinds.size() - more);
      return fmt::format("{}{}", fmt::join(kinds, ", "), more ? fmt::format(" and {} more", more) : "");
    };
    return fmt::format("of the kinds of scenarios {} {}, {} {}", some(failing), failing.size() == 1 ? "fails" : "fail",
                       some(passing), passing.size() == 1 ? "passes" : "pass");
  }

  const std::vector<ScenarioOutcome>& outcomes_;
  const std::vector<Failure>& failures_;
  const LocaliseFacts& facts_;
  const Failure& first_;
  const Finding& finding_;
  const Place& at_;
};

}  // namespace

std::string to_string(Suspect suspect) {
  switch (suspect) {
    case Suspect::embedding:
      return "embedding";
    case Suspect::smear:
      return "smear";
    case Suspect::position:
      return "position";
    case Suspect::qk_scale:
      return "QK-norm or scale";
    case Suspect::value_embedding:
      return "value embedding";
    case Suspect::projection:
      return "projection";
    case Suspect::cache_write:
      return "cache write";
    case Suspect::mask:
      return "mask";
    case Suspect::window:
      return "window";
    case Suspect::head_map:
      return "head map";
    case Suspect::key_range:
      return "key range";
    case Suspect::attention:
      return "attention";
    case Suspect::layer:
      return "layer";
    case Suspect::head:
      return "head";
    case Suspect::clone:
      return "clone";
    case Suspect::retain:
      return "retain";
    case Suspect::rollback:
      return "rollback";
    case Suspect::reset:
      return "reset";
    case Suspect::growth:
      return "growth";
    case Suspect::capacity:
      return "capacity";
    case Suspect::row:
      return "row";
    case Suspect::state:
      return "state";
    case Suspect::generation:
      return "generation";
    case Suspect::sampling:
      return "sampling";
    case Suspect::precision:
      return "precision";
    case Suspect::unknown:
      return "unknown";
  }
  return "unknown";
}

std::optional<Divergence> localise(const std::vector<ScenarioOutcome>& outcomes, const LocaliseFacts& facts) {
  const std::vector<Failure> failures = failures_of(outcomes);
  if (failures.empty()) return std::nullopt;
  return Judgement(outcomes, failures, facts).run();
}

}  // namespace kvproof
