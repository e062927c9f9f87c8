#include "harness/subject/hello.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"
#include "harness/subject/json_fields.h"
#include "harness/subject/message.h"

namespace kvproof {
namespace {

using Json = nlohmann::json;

const std::vector<std::string> kDtypes = {"float64", "float32", "float16", "bfloat16"};
// Of a subject that knows no end: more than any scenario asks for, and sums of them stay far from overflow.
constexpr int64_t kNoEnd = 1 << 20;
constexpr int64_t kSequenceLen = 1024;

Json model_header(const SubjectInfo& info) {
  Json windows = Json::array();
  for (const int64_t window : info.windows) windows.push_back(window >= kUnlimited ? Json() : Json(window));
  return {{"vocab_size", info.vocab_size},    {"n_layer", info.n_layer},           {"n_head", info.n_head},
          {"n_kv_head", info.n_kv_head},      {"head_dim", info.head_dim},         {"n_embd", info.n_embd},
          {"max_positions", info.rotary_len}, {"sequence_len", info.sequence_len}, {"windows", std::move(windows)}};
}

Abilities abilities(const JsonFields& fields, const std::string& name) {
  Abilities found;
  for (const std::string& word : fields.texts(name)) {
    const auto& known = ability_words();
    const auto it =
        std::find_if(known.begin(), known.end(), [&](const AbilityWord& each) { return each.word == word; });
    if (it == known.end())
      throw ArgumentError(name, fmt::format("expected words of {}, found {}; there are {}", kProtocol, in_quotes(word),
                                            fmt::join(words_of(Abilities::all()), ", ")));
    found.add(it->ability);
  }
  return found;
}

std::vector<int64_t> windows(const JsonFields& model, int64_t n_layer) {
  if (!model.has("windows")) return std::vector<int64_t>(static_cast<std::size_t>(n_layer), kUnlimited);
  const Json& listed = model.list("windows");
  if (static_cast<int64_t>(listed.size()) != n_layer)
    model.fail("windows", fmt::format("{} entries, one per layer", n_layer));
  std::vector<int64_t> found;
  for (const Json& entry : listed) {
    if (!entry.is_null() && !(entry.is_number_integer() && entry.get<int64_t>() >= 0))
      model.fail("windows", "integers of at least 0, or null");
    found.push_back(entry.is_null() ? kUnlimited : std::min(entry.get<int64_t>(), kUnlimited));
  }
  return found;
}

void read_model(const JsonFields& model, SubjectInfo& info) {
  constexpr int64_t kMost = 1 << 30;  // products of two of these fit into 64 bits
  info.vocab_size = model.integer("vocab_size", 1, kMost);
  info.n_layer = model.integer("n_layer", 1, kMost);
  info.n_head = model.integer("n_head", 1, kMost);
  info.n_kv_head = model.integer("n_kv_head", 1, kMost);
  if (info.n_head % info.n_kv_head != 0)
    model.fail("n_kv_head", fmt::format("a divisor of n_head, which is {}", info.n_head));
  info.head_dim = model.integer("head_dim", 1, kMost);
  info.n_embd = model.optional_integer("n_embd", 1).value_or(info.n_head * info.head_dim);
  const auto end = model.optional_integer("max_positions", 1);
  info.rotary_len = end.value_or(kNoEnd);
  // Scenarios take it as the length of ordinary texts: all positions where there are few, else 1024.
  info.sequence_len = model.optional_integer("sequence_len", 1).value_or(end.value_or(kSequenceLen));
  info.windows = windows(model, info.n_layer);
}

}  // namespace

std::vector<std::string> words_of(Abilities abilities) {
  std::vector<std::string> words;
  for (const Ability ability : abilities.list()) words.push_back(word_of(ability).word);
  return words;
}

Json hello_header(const Hello& hello) {
  const SubjectInfo& info = hello.info;
  Json header = {{"protocol", kProtocol},
                 {"name", info.name},
                 {"backend", info.backend},
                 {"dtype", info.dtype},
                 {"device", info.device},
                 {"dtypes", hello.dtypes},
                 {"model", model_header(info)},
                 {"can", words_of(info.can)},
                 {"generate_uses", words_of(info.generate_uses)},
                 {"keys", info.keys_rotated ? "rotated" : "unrotated"}};
  if (info.threads > 0) header["threads"] = info.threads;
  return header;
}

Hello parse_hello(const Json& header) {
  const JsonFields fields(header);
  fields.text("protocol", {kProtocol});
  Hello hello;
  SubjectInfo& info = hello.info;
  info.name = fields.text("name");
  info.backend = fields.has("backend") ? fields.text("backend") : "child process";
  info.dtype = fields.text("dtype", kDtypes);
  info.device = fields.text("device");
  info.threads = static_cast<int>(fields.has("threads") ? fields.integer("threads", 1, 1 << 20) : 0);
  hello.dtypes = fields.has("dtypes") ? fields.texts("dtypes") : std::vector{info.dtype};
  for (const std::string& dtype : hello.dtypes)
    if (std::find(kDtypes.begin(), kDtypes.end(), dtype) == kDtypes.end())
      fields.fail("dtypes", fmt::format("words among {}", fmt::join(kDtypes, ", ")));
  if (std::find(hello.dtypes.begin(), hello.dtypes.end(), info.dtype) == hello.dtypes.end())
    fields.fail("dtypes", fmt::format("a list with {} in it, the dtype that runs", info.dtype));
  read_model(fields.object("model"), info);
  info.can = abilities(fields, "can");
  if (!fields.object("model").has("max_positions")) {
    Abilities limited;
    for (const Ability ability : info.can.list())
      if (ability != Ability::position_limit) limited.add(ability);
    info.can = limited;
  }
  info.generate_uses = fields.has("generate_uses") ? abilities(fields, "generate_uses") : info.can;
  if (const auto missing = info.can.missing(info.generate_uses); !missing.empty())
    fields.fail("generate_uses",
                fmt::format("words that stand in \"can\" too, where {} does not", word_of(missing.front()).word));
  info.keys_rotated = !fields.has("keys") || fields.text("keys", {"rotated", "unrotated"}) == "rotated";
  return hello;
}

}  // namespace kvproof
