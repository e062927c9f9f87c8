// kvproof tokenize, kvproof detokenize: text to ids and back, with nothing but the tokenizer.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/error.h"
#include "harness/cli/command.h"
#include "harness/cli/model_flags.h"

namespace kvproof::cli {
namespace {

constexpr auto kModelFlagsNote =
    "Of the flags that say which model, only --base-dir matters: the tokenizer is DIR/tokenizer, and no checkpoint is "
    "needed.";

void declare_tokenize(CLI::App& app) {
  add_value(app, "--text", "TEXT", "What to tokenize; may be empty");
  add_value(app, "--text-file", "FILE", "A file with it");
  add_toggle(app, "--bos", "Put <|bos|> first");
  add_model_flags(app);
}

std::string read_text_file(const std::string& path) {
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, ignored)) {
    throw ArgumentError("--text-file " + path, "expected a file that can be read");
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string read_text(const Arguments& arguments) {
  if (arguments.given("--text") && arguments.given("--text-file")) {
    throw ArgumentError("--text-file", "cannot be combined with --text; give one of them");
  }
  if (arguments.given("--text-file")) {
    const auto path = arguments.required("--text-file", "the path of a file");
    const auto text = read_text_file(path);
    check_utf8(text, "--text-file " + path);
    return text;
  }
  const auto text = arguments.text("--text");
  if (!text) throw ArgumentError("", "no text was given; give --text or --text-file");
  check_utf8(*text, "--text");
  return *text;
}

ExitCode run_tokenize(Call& call) {
  const auto text = read_text(call.arguments);
  const auto tokenizer = open_tokenizer_alone(read_model_flags(call.arguments));
  auto ids = tokenizer.encode(text);
  if (call.arguments.given("--bos")) ids.insert(ids.begin(), tokenizer.special().bos);
  call.console.document({{"ids", ids}});
  call.console.text(fmt::format("{}\n", fmt::join(ids, ",")));
  return ExitCode::ok;
}

void declare_detokenize(CLI::App& app) {
  add_value(app, "--tokens", "1,2,3", "The ids");
  add_model_flags(app);
}

ExitCode run_detokenize(Call& call) {
  const auto ids = call.arguments.token_ids("--tokens");
  const auto tokenizer = open_tokenizer_alone(read_model_flags(call.arguments));
  check_token_ids(ids, tokenizer.vocab_size(), "--tokens");
  const auto text = tokenizer.decode(ids);
  call.console.document({{"text", text}});
  call.console.text(text + "\n");
  return ExitCode::ok;
}

}  // namespace

Command tokenize_command() {
  return {"tokenize",
          "Turn text into token ids; special tokens never come out of text",
          {"Text: ids separated by commas, as --prompt-tokens takes them. JSON: {\"ids\": [...]}", kModelFlagsNote},
          {ExitCode::failed},
          declare_tokenize,
          run_tokenize};
}

Command detokenize_command() {
  return {"detokenize",
          "Turn token ids into text; bytes that are not UTF-8 become U+FFFD",
          {"JSON: {\"text\": \"...\"}", kModelFlagsNote},
          {ExitCode::failed},
          declare_detokenize,
          run_detokenize};
}

}  // namespace kvproof::cli
