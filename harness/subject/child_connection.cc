#include "harness/subject/child_connection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <new>
#include <string_view>

#include "harness/error.h"

namespace kvproof {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMostInARow = 8;
constexpr std::array<std::string_view, 4> kLooking = {"hello", "uncached", "read_slots", "ping"};

}  // namespace

ChildConnection::ChildConnection(ChildOptions options) : options_(std::move(options)) { start(); }

void ChildConnection::fail(const std::string& what, const std::string& message) const {
  throw SubjectError(options_.command, fmt::format("{}: {}", what, message));
}

void ChildConnection::require(Ability ability, const std::string& what) const {
  if (!can(ability))
    fail(what, fmt::format("needs \"{}\", which is not among the words of its \"can\"", word_of(ability).word));
}

void ChildConnection::start() {
  ++generation_;
  next_id_ = 1;
  process_ = std::make_unique<ChildProcess>(options_.command, options_.show_stderr);
  Json request = {{"op", "hello"}, {"protocol", kProtocol}};
  if (options_.dtype) request["dtype"] = *options_.dtype;
  try {
    const WireMessage answer = exchange(request, "hello", options_.start_seconds);
    hello_ = interpret("hello", [&] { return parse_hello(answer.header); });
    if (options_.dtype && hello_.info.dtype != *options_.dtype)
      fail("hello", fmt::format("dtype: {} was asked for, and {} runs; it offers {}", *options_.dtype,
                                hello_.info.dtype, fmt::join(hello_.dtypes, ", ")));
  } catch (const Error&) {
    give_up();
    throw;
  }
  if (threads_) set_threads(*threads_);
}

/// Whatever else it may still say belongs to no request.
void ChildConnection::give_up() {
  if (process_) process_->kill();
  process_.reset();
}

void ChildConnection::revive() {
  if (process_) return;
  if (in_a_row_ == kMostInARow)
    fail("a new start", fmt::format("{} children broke one after the other before they had computed anything; this is "
                                    "given up",
                                    kMostInARow));
  ++restarts_;
  ++in_a_row_;
  start();
}

void ChildConnection::set_threads(int threads) {
  call({{"op", "threads"}, {"threads", threads}}, fmt::format("threads {}", threads));
  threads_ = threads;
  hello_.info.threads = threads;
}

WireMessage ChildConnection::call(Json request, const std::string& what) {
  if (!process_) fail(what, "the child that held this is gone: it broke in an earlier request");
  const auto& op = request["op"].get_ref<const std::string&>();
  const bool computes = op == "forward" || op == "uncached";
  if (std::find(kLooking.begin(), kLooking.end(), op) == kLooking.end()) ++changes_;
  WireMessage answer = exchange(request, what, options_.answer_seconds);
  if (computes) {
    in_a_row_ = 0;
    note_elapsed(answer, what);
  }
  return answer;
}

WireMessage ChildConnection::exchange(const Json& request, const std::string& what, double seconds) {
  const int64_t id = next_id_++;
  WireMessage answer;
  try {
    process_->set_deadline(seconds);
    WireMessage message{request};
    message.header["id"] = id;
    write_message(*process_, message);
    answer = read_message(*process_);
    const JsonFields fields(answer.header);
    if (const int64_t found = fields.integer("id", std::numeric_limits<int64_t>::min()); found != id)
      throw SubjectError("",
                         fmt::format("expected the answer to request {}, found one to {}; each request gets exactly "
                                     "one answer, in order",
                                     id, found));
  } catch (const Error& error) {
    give_up();
    fail(what, error.place() == options_.command ? error.message() : error.what());
  } catch (const std::bad_alloc&) {
    give_up();
    fail(what, "the answer needs more memory than there is; ask for fewer positions at a time");
  }
  check_error(answer, what);
  return answer;
}

void ChildConnection::check_error(const WireMessage& answer, const std::string& what) {
  const JsonFields fields(answer.header);
  if (!fields.has("error")) return;
  const auto [kind, message] = interpret(what, [&] {
    const JsonFields error = fields.object("error");
    return std::pair{error.text("kind", {"capacity", "unsupported", "argument", "failed"}), error.text("message")};
  });
  if (kind == "capacity") throw CapacityError(options_.command, fmt::format("{}: refused: {}", what, message));
  fail(what, fmt::format("the child answered with an error, {}: {}", kind, message));
}

void ChildConnection::note_elapsed(const WireMessage& answer, const std::string& what) {
  elapsed_ns = interpret(what, [&] { return JsonFields(answer.header).optional_integer("elapsed_ns", 0); });
}

std::vector<double> logits_of(const WireTensor& tensor, const std::string& dtype) {
  const auto bits = [](const std::string& name) {
    return name == "float64" ? 64 : name == "float32" ? 32 : name == "bfloat16" || name == "float16" ? 16 : 0;
  };
  if (bits(tensor.dtype) < bits(dtype))
    throw SubjectError("",
                       fmt::format("logits: expected {}, which hello says, found {}; send them as they were computed, "
                                   "or say the dtype that runs",
                                   dtype, tensor.dtype));
  return tensor.as_doubles();
}

}  // namespace kvproof
