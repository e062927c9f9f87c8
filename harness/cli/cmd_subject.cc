// kvproof subject: our own engine as a child process that speaks kvproof-subject/1, for other programs and for its test.
#include <fmt/format.h>
#include <unistd.h>

#include "engine/error.h"
#include "harness/build_info.h"
#include "harness/cli/command.h"
#include "harness/cli/model_flags.h"
#include "harness/error.h"
#include "harness/subject/fd_stream.h"
#include "harness/subject/serve.h"

namespace kvproof::cli {
namespace {

/// The model as hello asks for it.
class OwnEngine {
 public:
  OwnEngine(const ModelFlags& flags, Console& console)
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

ExitCode run(Call& call) {
  const auto flags = read_model_flags(call.arguments);
  if (isatty(STDIN_FILENO) != 0)
    throw ArgumentError("stdin",
                        "is a terminal, and kvproof subject is for programs, which talk to it there; type "
                        "kvproof verify --subject \"kvproof subject --base-dir …\"");
  OwnEngine engine(flags, call.console);
  if (call.console.json())
    throw ArgumentError("--format", "stdout holds the protocol's messages, in one format; leave the flag out");
  FdStream stream(STDIN_FILENO, take_stdout());
  const ServeOptions options{.name = "kvproof " + engine.backend() + " " + build_info().version,
                             .dtypes = engine.dtypes(),
                             .make = [&](const std::string& dtype) -> Subject& { return engine.make(dtype); },
                             .generate_uses = Abilities{Ability::batch, Ability::clone, Ability::retain}};
  try {
    serve_subject(stream, options);
  } catch (const SubjectError& error) {
    throw SubjectError(error.place().empty() ? "stdin" : error.place(), error.message());
  }
  return ExitCode::ok;
}

}  // namespace

Command subject_command() {
  return {
      "subject",
      "Serve this engine to another program, by the protocol kvproof-subject/1",
      {"Reads requests from stdin until it ends and writes answers to stdout; harness/adapters/PROTOCOL.md says how."},
      {ExitCode::failed},
      add_model_flags,
      run};
}

}  // namespace kvproof::cli
