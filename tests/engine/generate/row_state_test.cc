#include "engine/generate/row_state.h"

#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

using Ids = std::vector<int32_t>;

const Tokenizer& tokenizer() {
  static const Tokenizer kTokenizer = Tokenizer::load(source_path("configs/checkpoints/demo-d4/tokenizer"));
  return kTokenizer;
}

// Text with special tokens between bars, as ids.
Ids script(const std::vector<std::string>& parts) {
  Ids ids;
  for (const std::string& part : parts) {
    if (part.rfind("<|", 0) == 0) {
      ids.push_back(tokenizer().encode_special(part));
    } else {
      for (const TokenId id : tokenizer().encode(part)) ids.push_back(id);
    }
  }
  return ids;
}

// Says these tokens, then samples "z" six times; what was forced meanwhile, as text.
std::string forced_after(const std::vector<std::string>& said, const Ids& prompt = {0}) {
  const RowRules rules{.special = &tokenizer().special(), .tools = &tokenizer()};
  RowState row(prompt, {});
  Ids forced;
  int64_t step = 0;
  Ids sampled = script(said);
  for (int i = 0; i < 6; ++i) sampled.push_back(script({"z"})[0]);
  for (const TokenId token : sampled) {
    const auto taken = row.take(token, step++, rules);
    if (taken.mask == 0) forced.push_back(taken.token);
  }
  return tokenizer().decode(forced);
}

}  // namespace

TEST_CASE("the calculator's answer is forced after <|python_end|>") {
  CHECK(forced_after({"<|python_start|>", "10/2", "<|python_end|>"}) == "<|output_start|>5.0<|output_end|>");
}

TEST_CASE("<|python_start|> inside an expression starts it anew") {
  CHECK(forced_after({"<|python_start|>", "1+", "<|python_start|>", "2*3", "<|python_end|>"}) == "<|output_start|>6<|output_end|>");
}

TEST_CASE("an empty expression, a failed one and a lone <|python_end|> force nothing") {
  CHECK(forced_after({"<|python_start|>", "<|python_end|>"}).empty());
  CHECK(forced_after({"<|python_start|>", "1/0", "<|python_end|>"}).empty());
  CHECK(forced_after({"1+1", "<|python_end|>"}).empty());
}

TEST_CASE("after an empty or failed expression the next one works") {
  CHECK(forced_after({"<|python_start|>", "<|python_end|>", "<|python_start|>", "3-5", "<|python_end|>"}) ==
        "<|output_start|>-2<|output_end|>");
  CHECK(forced_after({"<|python_start|>", "1//0", "<|python_end|>", "<|python_start|>", "9//2", "<|python_end|>"}) ==
        "<|output_start|>4<|output_end|>");
}

TEST_CASE("any other token inside belongs to the expression, special ones too") {
  CHECK(forced_after({"<|python_start|>", "1", "<|user_start|>", "+1", "<|python_end|>"}).empty());
  CHECK(forced_after({"<|python_start|>", "'strawberry'.count('r')", "<|python_end|>"}) == "<|output_start|>3<|output_end|>");
}

TEST_CASE("a prompt that ends inside an expression does not open one") {
  CHECK(forced_after({"6*7", "<|python_end|>"}, script({"<|bos|>", "<|python_start|>"})).empty());
}

TEST_CASE("forced tokens pass through the same state machine") {
  // The answer's own tokens lie outside an expression, so a second one may follow at once.
  const RowRules rules{.special = &tokenizer().special(), .tools = &tokenizer()};
  RowState row({0}, {});
  const Ids block = script({"<|python_start|>", "2*3", "<|python_end|>"});
  Ids out;
  int64_t step = 0;
  for (int round = 0; round < 2; ++round) {
    for (const TokenId token : block) out.push_back(row.take(token, step++, rules).token);
    for (int i = 0; i < 3; ++i) out.push_back(row.take(0, step++, rules).token);
  }
  CHECK(tokenizer().decode(out) == "<|python_start|>2*3<|python_end|><|output_start|>6<|output_end|>"
                                   "<|python_start|>2*3<|python_end|><|output_start|>6<|output_end|>");
}

TEST_CASE("a terminal token ends a row and is not kept; a replayed one too") {
  const RowRules rules{.special = &tokenizer().special()};
  const TokenId end = GENERATE(tokenizer().special().assistant_end, tokenizer().special().bos);
  RowState row({5}, {});
  row.take(7, 0, rules);
  CHECK_FALSE(row.finished());
  CHECK(row.take(end, 1, rules).token == end);
  CHECK(row.finished());
  CHECK(row.result(Finish::length).tokens == Ids{5, 7});
  CHECK(row.result(Finish::length).finish == Finish::stop);

  RowState replayed({5}, {{1, end}});
  replayed.take(7, 0, rules);
  const auto taken = replayed.take(8, 1, rules);
  CHECK(taken.token == end);
  CHECK(taken.mask == 0);
  CHECK(replayed.finished());
}
