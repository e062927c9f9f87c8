// kvproof generate: tokens out of a prompt, by either path.
#include <fmt/format.h>

#include "engine/error.h"
#include "engine/generate/generator.h"
#include "harness/cli/command.h"
#include "harness/cli/generation_output.h"
#include "harness/cli/interrupt.h"
#include "harness/cli/model_flags.h"
#include "harness/cli/sampler_flags.h"
#include "harness/workload/workload.h"

namespace kvproof::cli {
namespace {

using Json = nlohmann::ordered_json;

const SamplerSettings kDefaults = {};  // GPT.generate's and Engine.generate's
constexpr int64_t kDefaultMaxTokens = 256;

struct GenerateFlags {
  ModelFlags model;
  PromptSpec prompt;  // its place is the flag
  bool engine = true;
  GenerationRequest request;  // all but the prompt, stop and tools
  std::optional<bool> stop;   // as given
  bool no_tools = false;
};

void declare_generate(CLI::App& app) {
  add_value(app, "--prompt", "TEXT", "Continue a text: <|bos|>, then the text");
  add_value(app, "--chat", "TEXT", "Answer a user: <|bos|>, one user turn, <|assistant_start|>");
  add_value(app, "--prompt-tokens", "1,2,3", "Continue these ids, as they are");
  add_value(app, "--path", "engine|naive",
            "engine (default): one prefill, then the KV cache; naive: full recompute at every step");
  add_value(app, "--max-tokens", "N", fmt::format("At most so many new tokens per row; default {}", kDefaultMaxTokens));
  add_value(app, "--num-samples", "N", "Rows that share the prompt; default 1");
  add_sampler_flags(app, kDefaults);
  add_value(app, "--stop", "on|off",
            "Whether <|assistant_end|> and <|bos|> end a row; default on for engine, off for naive");
  add_toggle(app, "--no-tools", "Leave calculator calls unanswered");
  add_model_flags(app);
}

PromptSpec read_prompt_flags(const Arguments& arguments) {
  constexpr auto kChoices = "one of --prompt, --chat and --prompt-tokens";
  PromptSpec spec;
  for (const auto& [flag, kind] : {std::pair("--prompt", PromptKind::text), std::pair("--chat", PromptKind::chat),
                                   std::pair("--prompt-tokens", PromptKind::tokens)}) {
    if (!arguments.given(flag)) continue;
    if (!spec.place.empty()) {
      throw ArgumentError(flag, fmt::format("cannot be combined with {}; give {}", spec.place, kChoices));
    }
    spec.name = spec.place = flag;
    spec.kind = kind;
  }
  if (spec.place.empty()) throw ArgumentError("", fmt::format("no prompt was given; give {}", kChoices));
  if (spec.kind == PromptKind::tokens) {
    spec.tokens = arguments.token_ids(spec.place);
  } else {
    spec.text = arguments.required(spec.place, "a text that is not empty");
    check_utf8(spec.text, spec.place);
  }
  return spec;
}

GenerateFlags read_generate_flags(const Arguments& arguments) {
  GenerateFlags flags;
  flags.prompt = read_prompt_flags(arguments);
  flags.engine = arguments.word("--path", {"engine", "naive"}).value_or("engine") == "engine";
  flags.request.max_tokens = arguments.integer("--max-tokens", 0, kMostTokens).value_or(kDefaultMaxTokens);
  flags.request.num_samples = arguments.integer("--num-samples", 1, kMostSamples).value_or(1);
  flags.request.sampler = read_sampler_flags(arguments, kDefaults);
  if (const auto stop = arguments.word("--stop", {"on", "off"})) flags.stop = *stop == "on";
  flags.no_tools = arguments.given("--no-tools");
  flags.model = read_model_flags(arguments);
  return flags;
}

/// Decides what the flags left open, and says on stderr what follows from it.
GenerationRequest complete_request(const GenerateFlags& flags, const Session& session, Console& console) {
  GenerationRequest request = flags.request;
  const Tokenizer* tokenizer = session.tokenizer_or_null();
  const auto& dims = session.checkpoint.dims;
  if (flags.prompt.kind == PromptKind::tokens) {
    check_token_ids(flags.prompt.tokens, dims.vocab_size, flags.prompt.place);
  } else {
    require_tokenizer(session, flags.prompt.place, "give ids with --prompt-tokens");
  }
  request.prompt = resolve_prompt(flags.prompt, tokenizer, dims.vocab_size).tokens;
  if (flags.stop == true) require_tokenizer(session, "--stop on", "leave it out, rows then go on to --max-tokens");
  request.stop = flags.stop.value_or(flags.engine) && tokenizer != nullptr;
  request.tools = flags.engine && !flags.no_tools && tokenizer != nullptr;
  if (tokenizer == nullptr) {
    console.note("no tokenizer: token ids only, stop and tools are off");
  } else if (!flags.engine && !flags.no_tools) {
    console.note("the naive path has no tools: a calculator call stays without its result");
  }
  const auto positions = static_cast<int64_t>(request.prompt.size()) + *request.max_tokens;
  if (positions > dims.sequence_len && positions <= session.model->config().rotary_len()) {
    console.warn(
        fmt::format("{} prompt tokens and up to {} new ones go past sequence_len {}, which the model was trained for",
                    request.prompt.size(), *request.max_tokens, dims.sequence_len));
  }
  return request;
}

/// Prints tokens as they come: one row bare, several rows each as a whole when it has ended.
class RowPrinter {
 public:
  RowPrinter(const Tokenizer* tokenizer, int64_t rows, Console& console)
      : console_(console), streams_(rows, TextStream(tokenizer)), texts_(rows), running_(rows, true) {}

  void show(const GenerationStep& step) {
    std::vector<bool> here(streams_.size(), false);
    for (std::size_t i = 0; i < step.rows.size(); ++i) {
      here[step.rows[i]] = true;
      const auto text = streams_[step.rows[i]].push(step.tokens[i]);
      if (streams_.size() == 1) {
        console_.text(text);
      } else {
        texts_[step.rows[i]] += text;
      }
    }
    for (std::size_t row = 0; row < here.size(); ++row) {
      if (!here[row]) end(row);
    }
  }

  void finish() {
    for (std::size_t row = 0; row < streams_.size(); ++row) end(row);
  }

 private:
  void end(std::size_t row) {
    if (!running_[row]) return;
    running_[row] = false;
    const auto label = streams_.size() == 1 ? "" : fmt::format("[row {}] {}", row, texts_[row]);
    console_.text(label + streams_[row].finish() + "\n");
  }

  Console& console_;
  std::vector<TextStream> streams_;
  std::vector<std::string> texts_;
  std::vector<bool> running_;
};

Json document_of(const GenerationRequest& request, const GenerationResult& result, const Tokenizer* tokenizer,
                 const Json& timing) {
  Json rows = Json::array();
  for (const auto& row : result.rows) {
    rows.push_back({{"tokens", row.tokens},
                    {"mask", row.mask},
                    {"text", text_or_null(tokenizer, row.tokens)},
                    {"completion", text_or_null(tokenizer, sampled_tokens(row.tokens, row.mask))},
                    {"finish", to_string(row.finish)}});
  }
  return {
      {"prompt_tokens", request.prompt}, {"rows", rows}, {"token_forwards", result.token_forwards}, {"timing", timing}};
}

ExitCode run_generate(Call& call) {
  const auto flags = read_generate_flags(call.arguments);
  const auto session = open_session(flags.model, call.console);
  const auto request = complete_request(flags, session, call.console);
  const Tokenizer* tokenizer = session.tokenizer_or_null();
  const auto generator = flags.engine
                             ? make_cached_engine(*session.model, tokenizer)
                             : make_naive_generator(*session.model, tokenizer ? &tokenizer->special() : nullptr);

  const InterruptGuard guard(/*second_ends=*/true);
  RowPrinter printer(tokenizer, request.num_samples, call.console);
  TimingObserver observer([&](const GenerationStep& step) {
    printer.show(step);
    return !InterruptGuard::raised();
  });
  const auto result = generator->generate(request, &observer);
  printer.finish();

  std::string finishes;
  for (const auto& row : result.rows) finishes += (finishes.empty() ? "" : ", ") + to_string(row.finish);
  call.console.note(fmt::format("{} steps, finish {}; {}; {} token-forwards", result.steps, finishes,
                                observer.summary(), result.token_forwards));
  call.console.document(document_of(request, result, tokenizer, observer.document(session.load_ns)));
  return InterruptGuard::raised() ? ExitCode::interrupted : ExitCode::ok;
}

}  // namespace

Command generate_command() {
  return {
      "generate",
      "Generate from a prompt, by the KV-cached engine or by full recompute",
      {"Text streams to stdout as it comes, without the prompt and without special tokens; with several rows each is",
       "printed when it has ended. Without tokenizer/ it is token ids. Times leave out tokenization and printing.",
       "JSON: {\"prompt_tokens\", \"rows\": [{\"tokens\", \"mask\", \"text\", \"completion\", \"finish\"}], "
       "\"token_forwards\", \"timing\"}"},
      {ExitCode::failed, ExitCode::interrupted},
      declare_generate,
      run_generate};
}

}  // namespace kvproof::cli
