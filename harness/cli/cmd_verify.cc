// kvproof verify: is the cached output right? PASS, FAIL or INCONCLUSIVE, with evidence; and can this check be trusted?
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <functional>

#include "engine/error.h"
#include "harness/cli/command.h"
#include "harness/cli/model_flags.h"
#include "harness/cli/progress_line.h"
#include "harness/measure/pace.h"
#include "harness/report/verification.h"
#include "harness/shell_word.h"
#include "harness/subject/message.h"
#include "harness/verify/faults/planted_engine.h"
#include "harness/verify/faults/self_test.h"
#include "harness/verify/scenarios/scenario.h"
#include "harness/verify/verdict/foreign_engine.h"
#include "harness/verify/verdict/own_engine.h"
#include "harness/verify/verdict/sweeps.h"
#include "harness/verify/verdict/verify_json.h"

namespace kvproof::cli {
namespace {

void declare_verify(CLI::App& app) {
  add_toggle(app, "--quick", "Fewer and shorter scenarios: a few seconds");
  add_list(app, "--only", "SCENARIO",
           "Run this scenario alone, by the name a report gives it: 'chunks[1,299]/float64'");
  add_value(app, "--seed", "N", "Chooses all tokens; default 1");
  add_value(app, "--max-time", "SECONDS",
            "What the scenarios of caches may take, by a rough estimate; default 55, quick 2.2");
  add_value(app, "--plant", "FAULT", "Plant a fault and verify as ever: it must be found");
  add_toggle(app, "--list-faults", "List the faults, and whether this model can show them");
  add_value(app, "--sweeps", "N", "Verify N times on consecutive seeds and count the alarms; needs --log");
  add_value(app, "--log", "FILE", "Where --sweeps appends a line after each; a run cut short goes on where it was");
  add_value(
      app, "--subject", "COMMAND",
      "Verify the engine that this command runs as a child process: harness/adapters/PROTOCOL.md. Model flags then "
      "name the checkpoint that it runs");
  add_value(
      app, "--reference", "own|engine|both",
      "What a subject is held against: its own uncached path, our engine, or both, which is the default with model "
      "flags");
  add_value(app, "--subject-timeout", "SECONDS",
            "How long a subject may take for one answer, and ten times that to start; default 30");
  add_toggle(app, "--subject-stderr", "Show what a subject writes to its stderr");
  add_toggle(app, "--self-test",
             "Plant every fault in made-up models and count what was found; no model flag but --backend and --threads");
  add_model_flags(app);
}

VerifyOptions read_options(const Arguments& arguments) {
  VerifyOptions options;
  options.depth = arguments.given("--quick") ? Depth::quick : Depth::full;
  options.seed = arguments.unsigned_integer("--seed").value_or(1);
  options.seconds = arguments.number("--max-time", 0.1).value_or(0);
  options.only = arguments.texts("--only");
  for (const std::string& name : options.only) parse_scenario(name);  // before anything is opened
  if (arguments.given("--quick") && !options.only.empty())
    throw ArgumentError("--quick", "cannot be combined with --only, which names what is run");
  return options;
}

ExitCode code_of(VerifyVerdict verdict) {
  switch (verdict) {
    case VerifyVerdict::pass:
      return ExitCode::ok;
    case VerifyVerdict::fail:
      return ExitCode::disagree;
    case VerifyVerdict::inconclusive:
      return ExitCode::inconclusive;
  }
  return ExitCode::bug;
}

/// The command that runs a scenario of this call alone; all of the call where what failed is no scenario.
std::string again(const Call& call, const std::string& scenario) {
  const bool alone = scenario.find('[') != std::string::npos;
  std::string words = "kvproof verify";
  bool seen = false;  // the command's own name: flags for all commands may stand before it
  for (std::size_t i = 1; i < call.words.size(); ++i) {
    const std::string& word = call.words[i];
    if (word.rfind("--only=", 0) == 0 || word.rfind("--format=", 0) == 0 || (alone && word == "--quick")) continue;
    if (word == "--only" || word == "--format") {
      ++i;
    } else if (!seen && word == "verify") {
      seen = true;
    } else {
      words += " " + shell_quoted(word);
    }
  }
  return alone ? words + " --only " + shell_quoted(scenario) : words;
}

/// throws ArgumentError: no such fault
const Fault& fault_meant(const std::string& name) {
  if (const Fault* fault = find_fault(name)) return *fault;
  std::vector<std::string> known;
  for (const Fault& fault : faults()) known.push_back(fault.name);
  throw ArgumentError("--plant",
                      fmt::format("unknown fault \"{}\"{}", name,
                                  suggestion(name, known, "kvproof verify --list-faults [model flags] lists them")));
}

/// Runs it, prints it, and adds what only the command line knows.
ExitCode verify_and_report(Call& call, const VerifyTarget& target, const VerifyOptions& options,
                           const std::function<Json()>& more) {
  ProgressLine progress;
  VerifyOptions told = options;
  told.progress = [&](const std::string& stage, int64_t done, int64_t total) {
    progress.show(total > 0 ? fmt::format("[{}/{}] {}", done, total, stage) : stage);
  };
  VerifyReport report = verify(target, told);
  progress.clear();

  Json document = verify_json(report);
  document.update(more());
  const ExitCode code = code_of(report.verdict);
  document["exit_code"] = static_cast<int>(code);
  const auto& first = report.divergence();
  document["reproduce"] = first ? Json(again(call, first->scenario)) : Json(nullptr);
  call.console.document(document);
  call.console.text(render_verification(document, Console::colour_on_stdout(), Console::width()));
  return code;
}

ExitCode verify_model(Call& call, const VerifyOptions& options) {
  const auto planted = call.arguments.text("--plant");
  const Fault* fault = planted ? &fault_meant(*planted) : nullptr;
  const auto flags = read_model_flags(call.arguments);
  const auto session = open_session(flags, call.console);
  OwnEngine engine(session.checkpoint, *session.model, session.tokenizer_or_null(), flags.overrides);
  std::optional<PlantedEngine> plant;
  if (fault) plant.emplace(*fault, engine, fault_context(*session.model, session.tokenizer.has_value()));

  return verify_and_report(call, engine.target(), options, [&] {
    return Json{{"checkpoint", session.checkpoint.name},
                {"planted", planted ? Json(*planted) : Json(nullptr)},
                {"command", nullptr},
                {"protocol", nullptr}};
  });
}

// --- somebody else's engine -----------------------------------------------------------------------------------------------

bool names_a_model(const Arguments& arguments) {
  for (const char* flag : {"--base-dir", "--source", "--tag", "--step", "--synthetic"})
    if (arguments.given(flag)) return true;
  return false;
}

Reference read_reference(const Arguments& arguments, bool has_model) {
  const auto word = arguments.word("--reference", {"own", "engine", "both"});
  if (!word) return has_model ? Reference::both : Reference::own;
  if (!has_model && word != "own")
    throw ArgumentError("--reference",
                        *word + " needs the checkpoint that the subject runs; give its model flags (--base-dir …)");
  return word == "own" ? Reference::own : word == "engine" ? Reference::engine : Reference::both;
}

/// What the protocol costs; nulls where the subject does not answer ping.
Json protocol_json(ForeignEngine& engine) {
  Json out = {{"name", kProtocol},        {"call_ns", nullptr},   {"step_ns", nullptr},
              {"payload_bytes", nullptr}, {"decode_ns", nullptr}, {"error", nullptr}};
  try {
    const ProtocolCost cost = engine.tested().measure_protocol();
    out.update({{"call_ns", cost.call_ns}, {"step_ns", cost.step_ns}, {"payload_bytes", cost.payload_bytes}});
    if (cost.decode_ns) out["decode_ns"] = *cost.decode_ns;
  } catch (const SubjectError& error) {  // what it fails in is verification's to find
    out["error"] = error.message();
  }
  return out;
}

ExitCode verify_subject(Call& call, const VerifyOptions& options) {
  const Arguments& arguments = call.arguments;
  const bool has_model = names_a_model(arguments);
  const Reference reference = read_reference(arguments, has_model);
  const ModelFlags flags = read_model_flags(arguments);
  ChildOptions child;
  child.command = arguments.required("--subject", "a command");
  child.answer_seconds = arguments.number("--subject-timeout", 0.1).value_or(child.answer_seconds);
  child.start_seconds = 10 * child.answer_seconds;
  child.show_stderr = arguments.given("--subject-stderr");
  if (arguments.given("--dtype") && flags.options.dtype != "auto") child.dtype = flags.options.dtype;
  std::optional<Checkpoint> checkpoint;
  if (has_model) checkpoint = open_checkpoint(flags, call.console);

  ForeignEngine engine(child, checkpoint ? &*checkpoint : nullptr, flags.overrides, reference);
  if (flags.threads > 0 && !engine.tested().use_threads(flags.threads))
    throw ArgumentError("--threads", "this subject does not change its number of threads; leave the flag out");
  VerifyTarget target = engine.target();
  target.slowness = slowness_of(engine.tested());
  Json protocol = protocol_json(engine);
  return verify_and_report(call, target, options, [&] {
    protocol["restarts"] = engine.restarts();
    return Json{{"checkpoint", checkpoint ? Json(checkpoint->name) : Json(nullptr)},
                {"planted", nullptr},
                {"command", child.command},
                {"protocol", protocol}};
  });
}

constexpr int64_t kMostSweeps = 1'000'000;

ExitCode sweep(Call& call, const VerifyOptions& options) {
  const int64_t count = *call.arguments.integer("--sweeps", 1, kMostSweeps);
  const std::string log = call.arguments.required("--log", "the file that a line is appended to after each sweep");
  const auto flags = read_model_flags(call.arguments);
  const auto session = open_session(flags, call.console);
  OwnEngine engine(session.checkpoint, *session.model, session.tokenizer_or_null(), flags.overrides);
  ProgressLine progress;
  VerifyOptions told = options;
  told.progress = [&](const std::string& stage, int64_t done, int64_t total) {
    progress.show(fmt::format("[{}/{}] {}", done, total, stage));
  };
  Json document = run_sweeps(engine.target(), told, count, session.checkpoint.name, log);
  progress.clear();
  const auto of = [&](const char* verdict) { return document.at(verdict).get<int64_t>(); };
  const ExitCode code = of("fail") > 0           ? ExitCode::disagree
                        : of("inconclusive") > 0 ? ExitCode::inconclusive
                                                 : ExitCode::ok;
  call.console.document(document);
  call.console.text(fmt::format(
      "{} sweeps: {} PASS, {} FAIL, {} INCONCLUSIVE; an alarm where nothing is wrong comes in at most {:.2g} % (95 "
      "%)\n",
      count, of("pass"), of("fail"), of("inconclusive"), 100 * document.at("alarm_rate_at_most").get<double>()));
  return code;
}

ExitCode list_faults(Call& call) {
  const auto flags = read_model_flags(call.arguments);
  const auto session = open_session(flags, call.console);
  const Json document = faults_json(fault_context(*session.model, session.tokenizer.has_value()));
  call.console.document(document);
  call.console.text(render_faults(document, Console::colour_on_stdout(), Console::width()));
  return ExitCode::ok;
}

ExitCode self_test(Call& call) {
  const int threads = read_threads(call.arguments);
  set_threads(threads > 0 ? threads : 1);  // its models are tiny: more threads wait for each other
  ProgressLine progress;
  const std::string backend = read_backend(call.arguments) == "aten" ? "aten" : "native";
  const Json document = run_self_test({.backend = backend,
                                       .seed = call.arguments.unsigned_integer("--seed").value_or(1),
                                       .progress = [&](const std::string& stage) { progress.show(stage); }});
  progress.clear();
  call.console.document(document);
  call.console.text(render_self_test(document, Console::colour_on_stdout(), Console::width()));
  return document.at("passed").get<bool>() ? ExitCode::ok : ExitCode::disagree;
}

void refuse_together(const Arguments& arguments, const std::string& flag, const std::vector<std::string>& others,
                     const std::string& why) {
  for (const std::string& other : others)
    if (arguments.given(flag) && arguments.given(other))
      throw ArgumentError(flag, fmt::format("cannot be combined with {}: {}", other, why));
}

ExitCode run_verify(Call& call) {
  const Arguments& arguments = call.arguments;
  refuse_together(arguments, "--self-test",
                  {"--quick", "--only", "--max-time", "--plant", "--list-faults", "--sweeps", "--log", "--base-dir",
                   "--source", "--tag", "--step", "--synthetic", "--arch", "--dtype", "--device", "--pin"},
                  "the self-test brings its own models");
  refuse_together(arguments, "--list-faults", {"--quick", "--only", "--max-time", "--plant", "--seed", "--sweeps"},
                  "a list runs nothing");
  refuse_together(arguments, "--sweeps", {"--only", "--plant"}, "sweeps are whole verifications of what is there");
  refuse_together(arguments, "--subject", {"--plant", "--list-faults", "--sweeps", "--self-test", "--device"},
                  "that is for our own engine");
  for (const char* flag : {"--reference", "--subject-timeout", "--subject-stderr"})
    if (arguments.given(flag) && !arguments.given("--subject")) throw ArgumentError(flag, "is for --subject");
  if (arguments.given("--log") && !arguments.given("--sweeps"))
    throw ArgumentError("--log", "is for --sweeps; redirect --format json to keep a report");
  if (arguments.given("--self-test")) return self_test(call);
  if (arguments.given("--list-faults")) return list_faults(call);
  if (arguments.given("--sweeps")) return sweep(call, read_options(arguments));
  const VerifyOptions options = read_options(arguments);
  return arguments.given("--subject") ? verify_subject(call, options) : verify_model(call, options);
}

}  // namespace

Command verify_command() {
  return {
      "verify",
      "Prove a KV cache right, or show where it goes wrong",
      {"The model against Python's vectors and an oracle, the cache against recomputation, the generators against an",
       "expectation of their own; logic in float64, rounding in the dtype asked for. JSON: results/README.md."},
      {ExitCode::disagree, ExitCode::inconclusive, ExitCode::failed},
      declare_verify,
      run_verify};
}

}  // namespace kvproof::cli
