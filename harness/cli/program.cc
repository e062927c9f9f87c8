#include "harness/cli/program.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <new>
#include <stdexcept>

#include "harness/cli/command.h"
#include "harness/cli/version.h"

namespace kvproof::cli {
namespace {

constexpr int kHelpColumn = 34;

std::string meaning(ExitCode code) {
  switch (code) {
    case ExitCode::ok:
      return "fine";
    case ExitCode::regression:
      return "a regression was confirmed";
    case ExitCode::usage:
      return "the command line or the config is wrong";
    case ExitCode::inconclusive:
      return "inconclusive";
    case ExitCode::no_baseline:
      return "no baseline, or one that cannot be compared";
    case ExitCode::disagree:
      return "naive and engine disagree";
    case ExitCode::failed:
      return "a checkpoint, tokenizer, file, size limit or measurement failed";
    case ExitCode::bug:
      return "a bug of kvproof";
    case ExitCode::interrupted:
      return "interrupted";
  }
  throw std::logic_error("an exit code without a meaning");
}

/// The block at the end of a command's help.
std::string help_footer(const Command& command) {
  std::string footer;
  for (const auto& note : command.notes) footer += note + "\n";
  if (!footer.empty()) footer += "\n";
  auto codes = command.exit_codes;
  codes.insert(codes.end(), {ExitCode::ok, ExitCode::usage, ExitCode::bug});
  std::sort(codes.begin(), codes.end());
  footer += "Exit codes:";
  for (const auto code : codes) footer += fmt::format("\n  {:<5}{}", static_cast<int>(code), meaning(code));
  return footer;
}

void declare_everywhere(CLI::App& app) {
  app.set_help_flag("-h,--help", "Print this and exit");
  add_value(app, "--format", "text|json", "What stdout holds: text, or exactly one JSON document, on failure too");
  app.get_formatter()->column_width(kHelpColumn);
}

void declare(CLI::App& app) {
  app.name("kvproof");
  app.description("kvproof: is what a KV cache generates right, and how much faster is it?");
  app.require_subcommand(1);
  declare_everywhere(app);
  add_toggle(app, "--version", "Print the version, how this was built and what it runs on, and exit");
  app.footer("kvproof COMMAND --help says more about each.");
  for (const auto& command : commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->formatter(std::make_shared<CLI::Formatter>());
    declare_everywhere(*sub);
    command.declare(*sub);
    sub->footer(help_footer(command));
  }
}

/// Whether JSON was asked for, before the command line is known to be sound: a complaint about it is a document too.
bool wants_json(const std::vector<std::string>& words) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--format=json") return true;
    if (words[i] == "--format" && i + 1 < words.size() && words[i + 1] == "json") return true;
  }
  return false;
}

/// The words after the program's name, last first, as CLI11 wants them.
std::vector<std::string> reversed_words(const std::vector<std::string>& words) {
  std::vector<std::string> reversed;
  for (std::size_t i = words.size(); i-- > 1;) {
    const auto& word = words[i];
    if (word.size() > 3 && word.rfind("--", 0) == 0 && word.find('=') == word.size() - 1) {
      // CLI11 takes "--flag=" for a flag whose value comes next.
      reversed.emplace_back();
      reversed.push_back(word.substr(0, word.size() - 1));
    } else {
      reversed.push_back(word);
    }
  }
  return reversed;
}

const CLI::App* parsed_command(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? nullptr : parsed.front();
}

/// Says what is wrong with the words that CLI11 could not place.
ArgumentError complaint_about(const CLI::App& app, const CLI::ParseError& fault) {
  const CLI::App* command = parsed_command(app);
  const auto help = fmt::format("kvproof {}--help lists what there is", command ? command->get_name() + " " : "");
  const auto left = app.remaining(true);
  if (!left.empty()) {
    const auto word = left.front().substr(0, left.front().find('='));
    if (word.size() > 1 && word.front() == '-') {
      return {word, "unknown flag" + suggestion(word, Arguments(command ? *command : app).flag_names(), help)};
    }
    if (command != nullptr) return {left.front(), "unexpected word after the command's arguments; " + help};
    std::vector<std::string> known;
    for (const auto& each : commands()) known.push_back(each.name);
    return {left.front(), "unknown command" + suggestion(left.front(), known, help)};
  }
  if (command == nullptr) return {"", "no command was given; " + help};
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&fault) != nullptr) {
    const std::string text = fault.what();
    return {text.substr(0, text.find(':')), "needs a value; " + help};
  }
  return {"", fault.what() + ("; " + help)};
}

/// Where the error was thrown from is of use to whoever mends a bug, and to nobody else.
std::string without_backtrace(const std::exception& fault) {
  const auto* torch_fault = dynamic_cast<const c10::Error*>(&fault);
  return torch_fault ? torch_fault->what_without_backtrace() : fault.what();
}

ExitCode run_parsed(const CLI::App& app, Console& console, const std::vector<std::string>& words) {
  const Arguments top(app);
  if (top.given("--version")) {
    top.word("--format", {"text", "json"});
    console.text(version_text());
    console.document(version_document());
    return ExitCode::ok;
  }
  const CLI::App* parsed = parsed_command(app);
  const Arguments arguments(*parsed);
  const auto format = arguments.word("--format", {"text", "json"});
  console.set_json(format.value_or(top.word("--format", {"text", "json"}).value_or("text")) == "json");
  for (const auto& command : commands()) {
    if (command.name != parsed->get_name()) continue;
    Call call{arguments, console, words};
    return command.run(call);
  }
  throw std::logic_error("a command was parsed that is not in the list");
}

ExitCode parse_and_run(Console& console, const std::vector<std::string>& words) {
  CLI::App app;
  declare(app);
  try {
    auto left = reversed_words(words);
    app.parse(left);
  } catch (const CLI::CallForHelp&) {
    const auto* command = parsed_command(app);
    const auto help = app.help();
    console.text(help);
    console.document({{"command", command ? command->get_name() : ""}, {"help", help}});
    return ExitCode::ok;
  } catch (const CLI::ParseError& fault) {
    if (!Arguments(app).given("--version")) throw complaint_about(app, fault);
  }
  return run_parsed(app, console, words);
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {run_command(), plan_command(), init_command(), verify_command(),
                                           compare_command(), ci_command(), report_command(), baseline_command(),
                                           history_command(), merge_command(), generate_command(), chat_command(),
                                           tokenize_command(), detokenize_command(), logits_command(),
                                           inspect_command(), machine_command(), synthesize_command(),
                                           subject_command()};
  return all;
}

int run_program(int argc, const char* const* argv) {
  std::vector<std::string> words(argv, argv + argc);
  if (words.empty()) words.emplace_back("kvproof");
  Console console(wants_json(words));
  ExitCode code = ExitCode::bug;
  try {
    code = parse_and_run(console, words);
    console.finish();
  } catch (const Error& error) {
    code = exit_code_of(error);
    console.failure(error.kind(), error.place(), error.message(), code);
  } catch (const std::bad_alloc&) {
    code = ExitCode::failed;
    console.failure("capacity", "", "not enough memory: a smaller model, fewer rows or fewer tokens need less", code);
  } catch (const std::exception& fault) {
    code = ExitCode::bug;
    console.failure("bug", "", without_backtrace(fault), code);
  } catch (...) {
    code = ExitCode::bug;
    console.failure("bug", "", "something was thrown that is no exception", code);
  }
  return static_cast<int>(code);
}

}  // namespace kvproof::cli
