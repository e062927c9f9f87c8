// kvproof subject: our own engine as a child process, for other programs and for its test. It speaks kvproof-subject/1, or
// with --config kvproof-measure/1, by which kvproof compare times it.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "engine/error.h"
#include "harness/build_info.h"
#include "harness/cli/command.h"
#include "harness/cli/model_flags.h"
#include "harness/config/config.h"
#include "harness/error.h"
#include "harness/measure/paired/planted.h"
#include "harness/measure/paired/serve_measure.h"
#include "harness/subject/fd_stream.h"
#include "harness/subject/serve.h"

namespace kvproof::cli {
namespace {

/// The model as hello asks for it.
class AskedEngine {
 public:
  AskedEngine(const ModelFlags& flags, Console& console)
      : options_(resolve_model_options(flags.options)), checkpoint_(open_checkpoint(flags, console)) {
    if (flags.threads > 0) set_threads(flags.threads);
  }

  /// mps has no float64.
  std::vector<std::string> dtypes() const {
    if (options_.dtype == "float64" || options_.device == "mps") return {options_.dtype};
    return {options_.dtype, "float64"};
  }

  const std::string& backend() const { return options_.backend; }

  Subject& make(const std::string& dtype) {
    ModelOptions options = options_;
    if (!dtype.empty()) options.dtype = dtype;
    subject_.reset();
    model_.reset();  // two models at a time need twice the memory
    model_ = make_model(checkpoint_, options);
    subject_ = make_in_process_subject(*model_, nullptr);
    return *subject_;
  }

 private:
  ModelOptions options_;
  Checkpoint checkpoint_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Subject> subject_;
};

/// Whatever a library may print goes to stderr from now on. returns where messages go
int take_stdout() {
  const int messages = dup(STDOUT_FILENO);
  if (messages < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    throw RecordError("stdout", "cannot be written to; leave it and stderr open");
  return messages;
}

void require_program_on_stdin() {
  if (isatty(STDIN_FILENO) != 0)
    throw ArgumentError("stdin",
                        "is a terminal, and kvproof subject is for programs, which talk to it there; type "
                        "kvproof verify --subject \"kvproof subject --base-dir …\"");
}

void require_own_format(const Call& call) {
  if (call.console.json())
    throw ArgumentError("--format", "stdout holds the protocol's messages, in one format; leave the flag out");
}

/// A stream that breaks off is told with its end.
template <class Serve>
void serve(Serve&& serve_until_the_end) {
  try {
    serve_until_the_end();
  } catch (const SubjectError& error) {
    throw SubjectError(error.place().empty() ? "stdin" : error.place(), error.message());
  }
}

ExitCode serve_engine(Call& call) {
  const auto flags = read_model_flags(call.arguments);
  require_program_on_stdin();
  AskedEngine engine(flags, call.console);
  require_own_format(call);
  FdStream stream(STDIN_FILENO, take_stdout());
  const ServeOptions options{.name = "kvproof " + engine.backend() + " " + build_info().version,
                             .dtypes = engine.dtypes(),
                             .make = [&](const std::string& dtype) -> Subject& { return engine.make(dtype); },
                             .generate_uses = Abilities{Ability::batch, Ability::clone, Ability::retain}};
  serve([&] { serve_subject(stream, options); });
  return ExitCode::ok;
}

/// The config is read when hello comes, so that who asked is told what is wrong with it.
ExitCode serve_config(Call& call) {
  for (const std::string& name : call.arguments.flag_names()) {
    static const std::set<std::string> kItsOwn = {"--config", "--set", "--format", "--plant-work", "--plant-fault"};
    if (!kItsOwn.contains(name) && call.arguments.given(name))
      throw ArgumentError("--config",
                          fmt::format("cannot be combined with {}; the config says what runs, and --set changes it", name));
  }
  const std::string file = call.arguments.required("--config", "the YAML file of what to measure");
  const auto sets = call.arguments.texts("--set");
  const ModelHook on_model = planted(planted_work_of(call.arguments.text("--plant-work").value_or("0,0")),
                                     call.arguments.text("--plant-fault").value_or(""));
  require_program_on_stdin();
  require_own_format(call);
  FdStream stream(STDIN_FILENO, take_stdout());
  serve([&] { serve_measure(stream, [&] { return make_epoch_source(load_config(file, sets), on_model); }); });
  std::_Exit(0);  // nothing is left to write, and libraries take 70 ms to go; a comparison starts some forty of these
}

ExitCode run_subject(Call& call) {
  if (call.arguments.given("--config")) return serve_config(call);
  for (const char* flag : {"--set", "--plant-work", "--plant-fault"}) {
    if (call.arguments.given(flag)) throw ArgumentError(flag, "is about the cases of a config; give --config too");
  }
  return serve_engine(call);
}

void declare_subject(CLI::App& app) {
  add_model_flags(app);
  add_value(app, "--config", "CONFIG", "Serve this config's cases to be timed, by the protocol kvproof-measure/1");
  add_list(app, "--set", "A.B=VALUE", "With --config: overrides one value of it");
  add_value(app, "--plant-work", "PREFILL,DECODE",
            "With --config, for proofs of kvproof compare: so many small matrix products in each forward");
  add_value(app, "--plant-fault", "NAME", "With --config, for such proofs: one of verify --list-faults");
}

}  // namespace

Command subject_command() {
  return {
      "subject",
      "Serve this engine to another program, by the protocol kvproof-subject/1",
      {"Reads requests from stdin until it ends and writes answers to stdout; harness/adapters/PROTOCOL.md says how, and "
       "MEASURE.md beside it what --config is for."},
      {ExitCode::failed},
      declare_subject,
      run_subject};
}

}  // namespace kvproof::cli
