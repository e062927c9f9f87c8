#include "harness/subject/child_subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "harness/error.h"
#include "harness/machine/machine.h"
#include "harness/subject/child_cache.h"
#include "harness/subject/child_connection.h"
#include "harness/subject/driven_generation.h"

namespace kvproof {
namespace {

constexpr int kPings = 200, kWarmUp = 20;
// Between the steps of a decode a process sleeps. One that has just been awake answers several times as fast.
constexpr std::chrono::milliseconds kPause(1);

int64_t number_bytes(const std::string& dtype) { return dtype == "float64" ? 8 : 4; }

int64_t median_ping_ns(ChildConnection& connection, int64_t bytes) {
  const auto what = fmt::format("ping of {} bytes", bytes);
  std::vector<int64_t> taken;
  for (int i = 0; i < kWarmUp + kPings; ++i) {
    std::this_thread::sleep_for(kPause);
    const int64_t begin = now_ns();
    const WireMessage answer = connection.call({{"op", "ping"}, {"bytes", bytes}}, what);
    const int64_t end = now_ns();
    connection.interpret(what, [&] { return answer.tensor("bytes", {bytes}).numbers(); });
    if (i >= kWarmUp) taken.push_back(end - begin);
  }
  std::nth_element(taken.begin(), taken.begin() + kPings / 2, taken.end());
  return taken[kPings / 2];
}

/// Logits of positions first … n - 1 by one request.
LogitRows ask_uncached(ChildConnection& connection, const std::vector<TokenId>& tokens, int64_t first) {
  const auto n = static_cast<int64_t>(tokens.size());
  const int64_t V = connection.hello().info.vocab_size;
  const auto what = fmt::format("uncached logits of positions {} to {}", first, n - 1);
  const WireMessage answer = connection.call({{"op", "uncached"}, {"tokens", tokens}, {"first", first}}, what);
  return {first, n - first, V, connection.interpret(what, [&] {
            return logits_of(answer.tensor("logits", {n - first, V}), connection.hello().info.dtype);
          })};
}

}  // namespace

ChildSubject::ChildSubject(ChildOptions options)
    : connection_(std::make_shared<ChildConnection>(std::move(options))), kept_(std::make_unique<KeptCache>()) {}
ChildSubject::~ChildSubject() = default;

SubjectInfo ChildSubject::info() const { return connection_->hello().info; }
const std::vector<std::string>& ChildSubject::dtypes() const { return connection_->hello().dtypes; }
int64_t ChildSubject::restarts() const { return connection_->restarts(); }
std::optional<int64_t> ChildSubject::own_forward_ns() const { return connection_->elapsed_ns; }

LogitRows ChildSubject::uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position, StageSink*) {
  const auto n = static_cast<int64_t>(tokens.size());
  if (first_position < 0 || first_position >= std::max<int64_t>(n, 1))
    throw ArgumentError("first_position", fmt::format("must be in [0, {}], got {}", n - 1, first_position));
  connection_->revive();
  connection_->require(Ability::uncached, "uncached logits");
  if (first_position == n - 1 || connection_->can(Ability::all_logits))
    return ask_uncached(*connection_, tokens, first_position);
  LogitRows all{first_position, 0, connection_->hello().info.vocab_size, {}};
  std::optional<int64_t> elapsed = 0;
  for (int64_t end = first_position + 1; end <= n; ++end) {
    const LogitRows one = ask_uncached(*connection_, {tokens.begin(), tokens.begin() + end}, end - 1);
    all.values.insert(all.values.end(), one.values.begin(), one.values.end());
    ++all.rows;
    elapsed = elapsed && connection_->elapsed_ns ? std::optional(*elapsed + *connection_->elapsed_ns) : std::nullopt;
  }
  connection_->elapsed_ns = elapsed;
  return all;
}

std::unique_ptr<SubjectCache> ChildSubject::new_cache(int64_t batch, int64_t capacity) {
  connection_->revive();
  const auto what = fmt::format("new cache of {} x {} positions", batch, capacity);
  if (batch > 1) connection_->require(Ability::batch, what);
  const WireMessage answer = connection_->call({{"op", "new"}, {"rows", batch}, {"capacity", capacity}}, what);
  return std::make_unique<ChildCache>(connection_, answer, what, batch, capacity);
}

GenerationResult ChildSubject::generate(Path path, const GenerationRequest& request, GenerationObserver* observer) {
  try {
    return drive_generation(*this, path, request, connection_->options().specials, observer, kept_.get());
  } catch (...) {
    *kept_ = {};  // the child that held it may be gone
    throw;
  }
}

std::optional<std::vector<std::vector<TokenId>>> ChildSubject::own_generation(const std::vector<TokenId>& prompt,
                                                                              int64_t rows, int64_t max_tokens) {
  connection_->revive();
  if (!connection_->can(Ability::generate)) return std::nullopt;
  const auto what = fmt::format("generation of {} tokens in {} rows", max_tokens, rows);
  const WireMessage answer =
      connection_->call({{"op", "generate"}, {"tokens", prompt}, {"rows", rows}, {"max_tokens", max_tokens}}, what);
  return connection_->interpret(what, [&] {
    const JsonFields fields(answer.header);
    auto generated = fields.token_lists("tokens");
    bool fits = static_cast<int64_t>(generated.size()) == rows;
    for (const auto& row : generated) fits &= static_cast<int64_t>(row.size()) <= max_tokens;
    if (!fits) fields.fail("tokens", fmt::format("{} lists of at most {} ids", rows, max_tokens));
    return generated;
  });
}

bool ChildSubject::use_threads(int threads) {
  connection_->revive();
  if (!connection_->can(Ability::threads)) return false;
  connection_->set_threads(threads);
  return true;
}

std::optional<int64_t> ChildSubject::median_unseen_ns() {
  constexpr int64_t kSteps = 31;
  const auto cache = new_cache(1, kSteps + 1);
  std::vector<int64_t> unseen;
  for (int64_t step = 0; step <= kSteps; ++step) {
    const int64_t begin = now_ns();
    cache->forward(TokenBatch::column({0}), LogitsAt::last);
    const int64_t all = now_ns() - begin;
    if (!own_forward_ns()) return std::nullopt;
    if (step > 0) unseen.push_back(all - *own_forward_ns());  // the first warms up
  }
  std::nth_element(unseen.begin(), unseen.begin() + kSteps / 2, unseen.end());
  return unseen[kSteps / 2];
}

ProtocolCost ChildSubject::measure_protocol() {
  connection_->revive();
  const SubjectInfo& info = connection_->hello().info;
  ProtocolCost cost;
  cost.payload_bytes = info.vocab_size * number_bytes(info.dtype);
  cost.call_ns = median_ping_ns(*connection_, 0);
  cost.step_ns = median_ping_ns(*connection_, cost.payload_bytes);
  cost.decode_ns = median_unseen_ns();
  return cost;
}

}  // namespace kvproof
