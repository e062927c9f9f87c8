// kvproof chat: a conversation whose history stays in the cache.
#include <fmt/format.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "engine/error.h"
#include "engine/generate/chat_session.h"
#include "harness/cli/command.h"
#include "harness/cli/generation_output.h"
#include "harness/cli/interrupt.h"
#include "harness/cli/model_flags.h"
#include "harness/cli/sampler_flags.h"

namespace kvproof::cli {
namespace {

using Json = nlohmann::ordered_json;

const SamplerSettings kChatDefaults = {.temperature = 0.6, .top_k = 50};  // nanochat's chat_cli
constexpr int64_t kMostAnswerTokens = 256;

void declare_chat(CLI::App& app) {
  add_value(app, "--max-tokens", "N",
            fmt::format("At most so many new tokens per answer; default {}", kMostAnswerTokens));
  add_sampler_flags(app, kChatDefaults);
  add_toggle(app, "--no-tools", "Leave calculator calls unanswered");
  add_model_flags(app);
}

/// Without the ASCII white space at both ends.
std::string without_space(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const auto begin = text.find_first_not_of(kSpace);
  return begin == text.npos ? "" : std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Reads lines from the keyboard or a pipe.
class LineReader {
 public:
  enum class Event { line, end, interrupted };

  Event read(std::string* line) {
    char* buffer = nullptr;
    std::size_t size = 0;
    errno = 0;
    const auto length = getline(&buffer, &size, stdin);
    const std::unique_ptr<char, decltype(&std::free)> owner(buffer, std::free);
    if (length < 0) {
      const bool interrupted = errno == EINTR && InterruptGuard::raised();
      if (interrupted) std::clearerr(stdin);
      return interrupted ? Event::interrupted : Event::end;
    }
    *line = without_space({buffer, static_cast<std::size_t>(length)});  // as nanochat's chat does
    return Event::line;
  }
};

class Chat {
 public:
  Chat(const Session& session, const TurnSettings& settings, Console& console)
      : session_(session), tokenizer_(*session.tokenizer), settings_(settings), console_(console),
        chat_(*session.model, *session.tokenizer), first_seed_(settings.sampler.seed) {}

  void converse() {
    const InterruptGuard guard(/*second_ends=*/false);
    if (Console::interactive()) console_.text("/clear forgets the conversation, /quit ends; Ctrl-C ends an answer.\n");
    for (;;) {
      if (Console::interactive()) console_.text("\nUser: ");
      std::string line;
      const auto event = reader_.read(&line);
      const std::string word = lower_case(line);
      if (event == LineReader::Event::end || word == "/quit" || word == "quit" || word == "/exit" || word == "exit")
        break;
      if (event == LineReader::Event::interrupted) {
        InterruptGuard::rearm();
        console_.note("(/quit or the end of the input ends the chat)");
      } else if (word == "/clear" || word == "clear") {
        clear();
      } else if (!line.empty()) {
        answer(line);
      }
    }
    if (Console::interactive()) console_.text("\n");
  }

  Json document() const { return {{"turns", turns_}, {"load_ns", session_.load_ns}}; }
  /// The first failure of a turn, if there was one.
  ExitCode code() const { return code_; }

 private:
  void clear() {
    chat_.clear();
    cleared_ = true;
    console_.note("the conversation is forgotten");
  }

  void answer(const std::string& user_text) {
    InterruptGuard::rearm();
    if (Console::interactive()) console_.text("Assistant: ");
    TextStream stream(&tokenizer_);
    TimingObserver observer([&](const GenerationStep& step) {
      console_.text(stream.push(step.tokens.front()));
      return !InterruptGuard::raised();
    });
    auto settings = settings_;
    settings.sampler.seed = first_seed_ + turns_.size();
    try {
      check_utf8(user_text, "user text");
      const auto turn = chat_.turn(user_text, settings, &observer);
      console_.text(stream.finish() + "\n");
      report(user_text, turn, observer);
    } catch (const Error& error) {
      // The conversation stands as before: say what was wrong and go on.
      console_.complaint(error);
      turns_.push_back({{"user", user_text},
                        {"error", error_json(error.kind(), error.place(), error.message(), exit_code_of(error))}});
      code_ = worse(code_, exit_code_of(error));
    }
  }

  void report(const std::string& user_text, const ChatTurn& turn, const TimingObserver& observer) {
    console_.note(
        fmt::format("[{} tokens, finish {}; {}; {} token-forwards: {} prefilled, {} decoded; {} tokens of history]",
                    turn.tokens.size(), to_string(turn.finish), observer.summary(), turn.token_forwards, turn.prefilled,
                    turn.token_forwards - turn.prefilled, turn.history));
    auto timing = observer.document(0);
    timing.erase("load_ns");
    turns_.push_back({{"user", user_text},
                      {"cleared_before", std::exchange(cleared_, false)},
                      {"tokens", turn.tokens},
                      {"mask", turn.mask},
                      {"text", tokenizer_.decode(turn.tokens)},
                      {"completion", tokenizer_.decode(sampled_tokens(turn.tokens, turn.mask))},
                      {"finish", to_string(turn.finish)},
                      {"prefilled", turn.prefilled},
                      {"token_forwards", turn.token_forwards},
                      {"history", turn.history},
                      {"timing", timing}});
  }

  const Session& session_;
  const Tokenizer& tokenizer_;
  TurnSettings settings_;
  Console& console_;
  ChatSession chat_;
  LineReader reader_;
  uint64_t first_seed_;
  bool cleared_ = false;
  Json turns_ = Json::array();
  ExitCode code_ = ExitCode::ok;
};

ExitCode run_chat(Call& call) {
  TurnSettings settings;
  settings.max_tokens = call.arguments.integer("--max-tokens", 1, kMostTokens).value_or(kMostAnswerTokens);
  settings.sampler = read_sampler_flags(call.arguments, kChatDefaults);
  settings.tools = !call.arguments.given("--no-tools");
  const auto flags = read_model_flags(call.arguments);
  const auto session = open_session(flags, call.console);
  require_tokenizer(session, "chat", "kvproof generate --prompt-tokens works without");
  Chat chat(session, settings, call.console);
  chat.converse();
  call.console.document(chat.document());
  return chat.code();
}

}  // namespace

Command chat_command() {
  return {
      "chat",
      "Talk to a chat model; only what is new since the last turn goes through the model",
      {"Lines from stdin are user turns; /clear forgets the conversation, /quit or the end of the input ends it, "
       "Ctrl-C",
       "ends an answer. Turn i draws with seed + i. An answer that is cut is closed in the history as if it had ended.",
       "A turn that fails leaves the conversation as it was; the exit code tells. JSON: {\"turns\": [...], "
       "\"load_ns\"}"},
      {ExitCode::failed},
      declare_chat,
      run_chat};
}

}  // namespace kvproof::cli
