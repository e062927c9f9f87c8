#include "harness/cli/generation_output.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "harness/machine/machine.h"

namespace kvproof::cli {
namespace {

nlohmann::ordered_json or_null(const std::optional<int64_t>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

}  // namespace

std::string TextStream::push(TokenId token) {
  if (tokenizer_ == nullptr) return std::exchange(first_, false) ? fmt::format("{}", token) : fmt::format(" {}", token);
  return tokenizer_->is_special(token) ? "" : bytes_.push(tokenizer_->token_bytes(token));
}

TimingObserver::TimingObserver(StepCallback on_step) : on_step_(std::move(on_step)), mark_ns_(now_ns()) {}

void TimingObserver::on_forward(int64_t) {
  if (!prefill_ns_) prefill_ns_ = now_ns() - mark_ns_;
}

bool TimingObserver::on_step(const GenerationStep& step) {
  const int64_t elapsed = now_ns() - mark_ns_;
  if (ttft_ns_) {
    itl_ns_.push_back(elapsed);
  } else {
    ttft_ns_ = elapsed;
  }
  const bool go_on = on_step_(step);
  mark_ns_ = now_ns();
  return go_on;
}

nlohmann::ordered_json TimingObserver::document(int64_t load_ns) const {
  return {
      {"load_ns", load_ns}, {"ttft_ns", or_null(ttft_ns_)}, {"prefill_ns", or_null(prefill_ns_)}, {"itl_ns", itl_ns_}};
}

std::string TimingObserver::summary() const {
  constexpr double kNsPerMs = 1e6;
  if (!ttft_ns_) return "no token";
  auto text = fmt::format("ttft {:.1f} ms", *ttft_ns_ / kNsPerMs);
  if (!itl_ns_.empty()) {
    const auto total = std::accumulate(itl_ns_.begin(), itl_ns_.end(), int64_t{0});
    text += fmt::format(", {:.2f} ms per token", total / kNsPerMs / static_cast<double>(itl_ns_.size()));
  }
  return text;
}

std::vector<TokenId> sampled_tokens(const std::vector<TokenId>& tokens, const std::vector<int>& mask) {
  std::vector<TokenId> sampled;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (mask[i] == 1) sampled.push_back(tokens[i]);
  }
  return sampled;
}

nlohmann::ordered_json text_or_null(const Tokenizer* tokenizer, const std::vector<TokenId>& tokens) {
  return tokenizer ? nlohmann::ordered_json(tokenizer->decode(tokens)) : nlohmann::ordered_json();
}

}  // namespace kvproof::cli
