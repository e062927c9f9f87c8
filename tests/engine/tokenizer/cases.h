// tests/data/tokenizer/cases.json: what tiktoken and CPython make of hard texts.
#pragma once

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/tokenizer.h"
#include "tests/support/catch.h"

namespace kvproof::testing {

inline nlohmann::json read_source_json(const std::string& relative) {
  std::ifstream in(source_path(relative));
  return nlohmann::json::parse(in);
}

inline const nlohmann::json& tokenizer_cases() {
  static const auto kCases = read_source_json("tests/data/tokenizer/cases.json");
  return kCases;
}

inline std::string demo_tokenizer_dir() { return source_path("configs/checkpoints/demo-d4/tokenizer"); }

inline const Tokenizer& demo() {
  static const Tokenizer kTokenizer = Tokenizer::load(demo_tokenizer_dir());
  return kTokenizer;
}

/// text again and again, up to at least size bytes.
inline std::string repeated(const std::string& text, std::size_t size) {
  std::string result;
  while (result.size() < size) result += text;
  return result;
}

}  // namespace kvproof::testing
