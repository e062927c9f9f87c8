// What a generation shows while it runs, and what is kept of its times.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/generate/generator.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/utf8_stream.h"

namespace kvproof::cli {

/// The text of tokens as they come: whole characters, special tokens left out. Without a tokenizer: ids.
class TextStream {
 public:
  /// tokenizer may be null; it must outlive this
  explicit TextStream(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  std::string push(TokenId token);
  std::string finish() { return bytes_.finish(); }

 private:
  const Tokenizer* tokenizer_;
  Utf8Stream bytes_;
  bool first_ = true;
};

/// Takes the times of one generation. What is done with a step's tokens, printing above all, is not in them.
class TimingObserver : public GenerationObserver {
 public:
  using StepCallback = std::function<bool(const GenerationStep&)>;

  /// on_step  what to do with each step's tokens; false abandons the generation
  explicit TimingObserver(StepCallback on_step);

  void on_forward(int64_t positions) override;
  bool on_step(const GenerationStep& step) override;

  std::optional<int64_t> ttft_ns() const { return ttft_ns_; }
  /// Gaps between consecutive steps.
  const std::vector<int64_t>& itl_ns() const { return itl_ns_; }
  /// {"load_ns", "ttft_ns", "prefill_ns", "itl_ns"}; null where no token was generated
  nlohmann::ordered_json document(int64_t load_ns) const;
  /// "ttft 12.3 ms, 1.02 ms per token"
  std::string summary() const;

 private:
  StepCallback on_step_;
  int64_t mark_ns_;  // when the time now running began
  std::optional<int64_t> ttft_ns_, prefill_ns_;
  std::vector<int64_t> itl_ns_;
};

/// Tokens of a row that the model chose: mask 1.
std::vector<TokenId> sampled_tokens(const std::vector<TokenId>& tokens, const std::vector<int>& mask);

/// The decoded text, or null without a tokenizer.
nlohmann::ordered_json text_or_null(const Tokenizer* tokenizer, const std::vector<TokenId>& tokens);

}  // namespace kvproof::cli
