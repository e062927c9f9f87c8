// Scenarios on the scripted model: what a model would have to say for them is staged.
#include <fmt/format.h>

#include <algorithm>

#include "engine/generate/calculator.h"
#include "engine/generate/chat_session.h"
#include "harness/verify/behaviour/python_results.h"
#include "harness/verify/behaviour/scenario.h"
#include "harness/verify/behaviour/scripted_model.h"

namespace kvproof {
namespace {

using Ids = std::vector<TokenId>;
using Favoured = std::vector<ScriptedModel::Said>;

Favoured all_of(const Ids& ids) { return {ids.begin(), ids.end()}; }

/// Stages a script for as long as it lives.
class Staged {
 public:
  Staged(const BehaviourScenario& s, ScriptedModel::Script script) : model_(*s.target.script) {
    model_.set_script(std::move(script));
  }
  ~Staged() { model_.set_script({}); }

 private:
  ScriptedModel& model_;
};

/// Rows choose among five first tokens; each of them ends the row after another number of steps, one at once, one never.
void run_script_stop(BehaviourScenario& s) {
  const int64_t rows = s.rows(0), P = 4, n = 7;
  const SpecialTokens& special = *s.target.specials;
  const Ids first = {40, 41, 42, 43, special.assistant_end};
  const Staged staged(s, [=](std::span<const int32_t> history) -> Favoured {
    const auto step = static_cast<int64_t>(history.size()) - P;
    if (step == 0) return all_of(first);
    const int64_t chosen = std::find(first.begin(), first.end(), history[P]) - first.begin();
    const bool ends = chosen < 3 && step == (n - 1) * chosen / 2 + (chosen == 0 ? 1 : 0);  // after 1, 3 and 6 more
    if (!ends) return {};
    return {chosen == 1 ? special.bos : special.assistant_end};
  });
  GenerationRequest request = s.request(rows, P, n);
  request.sampler.temperature = static_cast<double>(s.number(1, "temperature, in percent,", 0, 100000)) / 100;
  for (const bool stop : {true, false}) {
    request.stop = stop;
    s.check_both(request);
  }
  request.stop = true;
  request.max_tokens.reset();  // the last row goes on to the rotary limit
  if (s.number(2, "1 to go to the limit", 0, 1) == 1) s.check_both(request);
}

/// Exactly equal logits: the lowest ids are the candidates, and the greedy choice. Then logits that float32 cannot tell
/// apart, which must be told apart.
void run_script_ties(BehaviourScenario& s) {
  const int64_t k = s.number(1, "top_k", 0, ScriptedModel::kVocabulary), rows = s.rows(2);
  const Ids tied = s.some_tokens(6, 7);
  GenerationRequest request = s.request(rows, 3, 5);
  request.sampler.temperature = static_cast<double>(s.number(0, "temperature, in percent,", 0, 100000)) / 100;
  request.sampler.top_k = k;
  for (const double apart : {0.0, 1e-12}) {
    const Staged staged(s, [&](std::span<const int32_t>) {
      Favoured favoured;
      for (const TokenId token : tied) favoured.push_back({token, ScriptedModel::kFavoured + apart * token});
      return favoured;
    });
    s.check_both(request);
    GenerationRequest cold = request;
    cold.sampler.temperature = 1e-30;  // the coldest there is: no noise is left, ties of logits are ties of scores
    if (apart == 0) s.check_both(cold);
  }
}

/// The first and the last token of the vocabulary, alone and tied, greedy or sampled.
void run_script_edges(BehaviourScenario& s) {
  const TokenId last = ScriptedModel::kVocabulary - 1;
  const int64_t P = 3;
  const Staged staged(s, [=](std::span<const int32_t> history) -> Favoured {
    switch ((history.size() - P) % 4) {
      case 0:
        return {0};
      case 1:
        return {last};
      case 2:
        return {0, last};
      default:
        return {};
    }
  });
  GenerationRequest request = s.request(3, P, 8);
  request.sampler.temperature = static_cast<double>(s.number(0, "temperature, in percent,", 0, 100000)) / 100;
  request.sampler.top_k = s.number(1, "top_k", 0, ScriptedModel::kVocabulary);
  s.check_both(request);
}

/// The border of top_k: the token with the most noise is by turns the last one let in, the first one kept out, and the
/// worst of the vocabulary.
void run_script_border(BehaviourScenario& s) {
  const int64_t k = s.number(0, "top_k", 1, ScriptedModel::kVocabulary), P = 2;
  GenerationRequest request = s.request(1, P, 6);
  request.sampler.top_k = k;
  request.sampler.temperature = 1000;  // logits hardly count
  const Staged staged(s, [&](std::span<const int32_t> history) -> Favoured {
    const auto step = static_cast<int64_t>(history.size()) - P;
    if (step < 0) return {};  // inside the prompt
    TokenId luckiest = 0;
    for (TokenId token = 0; token < ScriptedModel::kVocabulary; ++token)
      if (expected_noise(request.sampler.seed, 0, step, token) >
          expected_noise(request.sampler.seed, 0, step, luckiest))
        luckiest = token;
    if (step % 3 == 2) return {{luckiest, -50}};
    // Equal logits rank by id: those below, as many as are needed, come first.
    Favoured favoured = {luckiest};
    const int64_t others = step % 3 == 0 ? k - 1 : k;
    for (TokenId token = 0; token < luckiest && static_cast<int64_t>(favoured.size()) <= others; ++token)
      favoured.push_back(token);
    return favoured;
  });
  s.check_both(request);
}

// ---- tools ---------------------------------------------------------------------------------------------------------

/// Said by the model: { python_start, } python_end, ~ assistant_end, ^ user_start, _ whatever it likes; else text.
struct Piece {
  const char* text;
  const char* answer = nullptr;  // what the calculator forces next: as many steps pass
};

struct ToolCase {
  const char* what;
  std::vector<Piece> pieces;
  int64_t cut = 0;  // steps fewer than said
  int64_t rows = 1;
  bool tools = true, forced = false;
};

const std::vector<ToolCase>& tool_cases() {
  static const std::vector<ToolCase> kCases = {
      {"an answer of two digits", {{"a{12*7}", "84"}, {"b__"}}},
      {"an end without a start", {{"7*6}_{7*6}", "42"}, {"__"}}},
      {"nothing between start and end", {{"{}_{}{7*6}", "42"}, {"__"}}},
      {"a start inside an expression", {{"{1+{12*7}", "84"}, {"__"}}},
      {"no result, then one", {{"{2**3}_{7*6}", "42"}, {"__"}}},
      {"an end after an end", {{"{2**3}7*6}____"}}},
      {"an expression of one token", {{"{5}", "5"}, {"__"}}},
      {"two calls, nothing left of the first", {{"{12*7}", "84"}, {"{10/2}", "5.0"}, {"_7*6}__"}}},
      {"an answer cut by max_tokens", {{"x{1,234,567 + 1}", "1234568"}}, 3},
      {"an answer cut before its end", {{"{7*6}", "42"}}, 1},
      {"a row that ends inside an expression", {{"{7*~6}__"}}},
      {"a special token inside an expression", {{"{7^*6}_{7*6}", "42"}, {"_~"}}},
      {"rows that call at different steps", {{"{12*7}", "84"}, {"_~"}}, 0, 6},
      {"tools off", {{"{12*7}"}, {"b____"}}, 0, 1, false},
      {"a replayed stream has its answers already", {{"{12*7}"}, {"b____"}}, 0, 2, true, true},
  };
  return kCases;
}

/// The script's tokens, kNoToken where the model is free.
Ids said_by(const ToolCase& one, const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  Ids said;
  for (const Piece& piece : one.pieces) {
    for (const char* c = piece.text; *c; ++c) {
      switch (*c) {
        case '{':
          said.push_back(special.python_start);
          break;
        case '}':
          said.push_back(special.python_end);
          break;
        case '~':
          said.push_back(special.assistant_end);
          break;
        case '^':
          said.push_back(special.user_start);
          break;
        case '_':
          said.push_back(kNoToken);
          break;
        default:
          said.push_back(tokenizer.encode(std::string(1, *c)).at(0));
      }
    }
    if (piece.answer) said.insert(said.end(), tokenizer.encode(piece.answer).size() + 2, kNoToken);
  }
  return said;
}

void run_script_tools(BehaviourScenario& s) {
  const ToolCase& one = tool_cases()[s.number(0, "the case", 0, static_cast<int64_t>(tool_cases().size()) - 1)];
  const Ids said = said_by(one, *s.target.tokenizer);
  const int64_t P = 3, delays = one.rows > 1 ? 3 : 1;
  const Ids first = {50, 51, 52};  // rows that begin with the i-th of them are i steps late
  const Staged staged(s, [&](std::span<const int32_t> history) -> Favoured {
    int64_t step = static_cast<int64_t>(history.size()) - P;
    if (delays > 1) {
      if (step == 0) return all_of(first);
      step -= 1 + (std::find(first.begin(), first.end(), history[P]) - first.begin());
    }
    if (step < 0 || step >= static_cast<int64_t>(said.size()) || said[step] == kNoToken) return {};
    return {said[step]};
  });
  GenerationRequest request =
      s.request(one.rows, P, static_cast<int64_t>(said.size()) + (delays > 1 ? delays : 0) - one.cut);
  request.stop = true;
  request.tools = one.tools;
  if (one.forced) {
    request.forced.resize(one.rows);
    for (ForcedTokens& row : request.forced) row[0] = first[0];
  }
  s.check_both(request);
}

/// Where there is no tokenizer, nothing stops and nothing calculates, and asking for it is refused.
void run_script_bare(BehaviourScenario& s) {
  const auto bare = make_in_process_subject(*s.target.script, nullptr);
  BehaviourTarget target{*bare, s.target.exact, s.target.vocab_size, s.target.rotary_len};
  target.kv_bytes_per_token = s.target.kv_bytes_per_token;
  target.script = s.target.script;
  BehaviourScenario without("script_bare", s.numbers(), s.seed(), target, s.judge.outcome());
  run_errors(without);
  without.check_both(without.request(2, s.prompt(0), 4));
}

/// The calculator itself, against Python's own results.
void run_calculator(BehaviourScenario& s) {
  const auto check = [&](const std::string& expression, const std::optional<std::string>& wanted) {
    const std::optional<std::string> found = evaluate_calculator(expression);
    s.judge.fact(found == wanted, Path::engine, kNowhere, kNowhere,
                 fmt::format("the calculator: expected {} of \"{}\", found {}", wanted.value_or("nothing"),
                             expression.substr(0, 60), found.value_or("nothing")));
  };
  for (const PythonResult& one : python_results()) check(std::string(one.expression), one.text());
  const auto nested = [](int depth) { return std::string(depth, '(') + "7" + std::string(depth, ')'); };
  check(nested(200), "7");
  check(nested(201), std::nullopt);  // CPython's limit
  const auto padded = [](std::size_t length) { return std::string(length - 1, ' ') + "7"; };
  check(padded(kMaxCalculatorLength), "7");
  check(padded(kMaxCalculatorLength + 1), std::nullopt);
}

// ---- chat ----------------------------------------------------------------------------------------------------------

class StopsAt : public GenerationObserver {
 public:
  explicit StopsAt(int64_t step) : step_(step) {}
  bool on_step(const GenerationStep& step) override { return step.step != step_; }

 private:
  int64_t step_;
};

/// A conversation as it must be: all of its tokens, and how many of them the cache holds.
struct Conversation {
  Ids history;
  int64_t cached = 0;
};

void check_turn(BehaviourScenario& s, ChatSession& chat, Conversation& talk, const std::string& text,
                const TurnSettings& settings, std::optional<int64_t> abandon_at) {
  const SpecialTokens& special = *s.target.specials;
  GenerationRequest request;
  request.prompt = talk.history.empty() ? Ids{special.bos} : talk.history;
  request.prompt.push_back(special.user_start);
  for (const TokenId id : s.target.tokenizer->encode(text)) request.prompt.push_back(id);
  request.prompt.insert(request.prompt.end(), {special.user_end, special.assistant_start});
  request.max_tokens = settings.max_tokens;
  request.sampler = settings.sampler;
  ExpectationRules rules = s.judge.rules();
  rules.abandon_at = abandon_at;
  const LogitFunction logits = [&](const Ids& history) { return s.judge.logits(history); };
  const Expected expected = expect_generation(request, Path::engine, logits, rules);
  StopsAt observer(abandon_at.value_or(-1));
  const ChatTurn turn = chat.turn(text, settings, &observer);

  const GeneratedRow& row = expected.rows[0].row;
  const auto P = static_cast<std::ptrdiff_t>(request.prompt.size());
  const Ids answer(row.tokens.begin() + P, row.tokens.end());
  const auto step =
      std::mismatch(answer.begin(), answer.end(), turn.tokens.begin(), turn.tokens.end()).first - answer.begin();
  s.judge.fact(turn.tokens == answer, Path::engine, step, 0,
               fmt::format("the answer to \"{}\" in a chat is not the expected one from step {} on", text, step),
               talk.history.empty() ? "" : "the conversation so far and the cache may not agree");
  s.judge.fact(turn.mask == std::vector<int>(row.mask.begin() + P, row.mask.end()) && turn.finish == row.finish,
               Path::engine, kNowhere, 0, "the answer in a chat has another mask or end than expected");
  talk.history = row.tokens;
  talk.history.push_back(special.assistant_end);
  const int64_t prefilled = P - talk.cached, decoded = expected.token_forwards - P;
  talk.cached = P + decoded;
  s.judge.fact(
      turn.prefilled == prefilled && turn.token_forwards == prefilled + decoded &&
          turn.history == static_cast<int64_t>(talk.history.size()),
      Path::engine, kNowhere, 0,
      fmt::format("a chat's turn must prefill {}, decode {} and leave {} tokens, found {}, {} and {}", prefilled,
                  decoded, talk.history.size(), turn.prefilled, turn.token_forwards - turn.prefilled, turn.history));
}

class ThrowsAt : public GenerationObserver {
 public:
  struct Thrown {};
  bool on_step(const GenerationStep& step) override { return step.step < 2 ? true : throw Thrown{}; }
};

/// A turn that breaks off by an exception leaves the conversation, and the cache with it, as before.
void break_turn(ChatSession& chat, const TurnSettings& settings) {
  ThrowsAt observer;
  try {
    chat.turn("never said", settings, &observer);
  } catch (const ThrowsAt::Thrown&) {
  }
}

/// Turns, one of them abandoned: the token list and the cache stay in agreement.
void run_chat(BehaviourScenario& s) {
  const int64_t abandoned = s.number(0, "the step to abandon at", 0, 5);
  ScriptedModel& model = *s.target.script;
  const SpecialTokens& special = *s.target.specials;
  const Ids call = said_by({"", {{"{7*6}"}}, 0, 1}, *s.target.tokenizer);
  // Each answer calls the calculator, the second one also ends by itself.
  const Staged staged(s, [&, special](std::span<const int32_t> history) -> Favoured {
    const auto from = std::find(history.rbegin(), history.rend(), special.assistant_start).base() - history.begin();
    const auto step = static_cast<int64_t>(history.size()) - from;
    if (step < static_cast<int64_t>(call.size())) return {call[step]};
    if (step == 11) return {special.assistant_end};
    return {};
  });
  TurnSettings settings;
  settings.max_tokens = 7;
  settings.sampler.seed = s.seed();
  for (int talks = 0; talks < 2; ++talks) {
    ChatSession chat(model, *s.target.tokenizer);
    Conversation talk;
    check_turn(s, chat, talk, "one", settings, abandoned);
    settings.max_tokens = 14;
    check_turn(s, chat, talk, "two", settings, {});
    break_turn(chat, settings);
    settings.sampler.temperature = 0;
    check_turn(s, chat, talk, "three", settings, {});
    chat.clear();
    talk = {};
    check_turn(s, chat, talk, "four", settings, {});
  }
}

}  // namespace

const std::vector<BehaviourKind>& staged_kinds() {
  static const std::vector<BehaviourKind> kKinds = {
      {"script_stop", "rows,percent,to the limit", 3, 3, true, run_script_stop},
      {"script_ties", "percent,k,rows", 3, 3, true, run_script_ties},
      {"script_edges", "percent,k", 2, 2, true, run_script_edges},
      {"script_border", "k", 1, 1, true, run_script_border},
      {"script_tools", "case", 1, 1, true, run_script_tools},
      {"script_bare", "prompt", 1, 1, true, run_script_bare},
      {"calculator", "", 0, 0, true, run_calculator},
      {"chat", "step", 1, 1, true, run_chat},
  };
  return kKinds;
}

int64_t script_tool_cases() { return static_cast<int64_t>(tool_cases().size()); }

}  // namespace kvproof
