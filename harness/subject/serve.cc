#include "harness/subject/serve.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/error.h"
#include "harness/machine/machine.h"
#include "harness/subject/hello.h"
#include "harness/subject/json_fields.h"

namespace kvproof {
namespace {

using Json = nlohmann::json;

/// What an error answer of kind "unsupported" is made of.
struct Unsupported {
  std::string message;
};

class Server {
 public:
  explicit Server(const ServeOptions& options) : options_(options) {}

  WireMessage answer(const WireMessage& request) {
    const auto id = request.header.find("id");
    WireMessage answer;
    try {
      const JsonFields fields(request.header);
      fields.integer("id", std::numeric_limits<int64_t>::min());
      answer = dispatch(fields.text("op"), fields);
    } catch (const Unsupported& refused) {
      answer = error("unsupported", refused.message);
    } catch (const Error& fault) {
      const bool named = fault.kind() == "capacity" || fault.kind() == "argument";
      answer = error(named ? fault.kind() : "failed", fault.what());
    } catch (const std::bad_alloc&) {
      answer = error("capacity", "not enough memory");
    } catch (const std::exception& fault) {
      answer = error("failed", fault.what());
    }
    answer.header["id"] = id == request.header.end() ? Json() : *id;
    return answer;
  }

 private:
  static WireMessage error(const std::string& kind, const std::string& message) {
    return {Json{{"error", {{"kind", kind}, {"message", message}}}}};
  }

  WireMessage dispatch(const std::string& op, const JsonFields& fields) {
    using Handler = WireMessage (Server::*)(const JsonFields&);
    static const std::map<std::string, Handler> kHandlers = {
        {"hello", &Server::hello},     {"uncached", &Server::uncached}, {"new", &Server::make_cache},
        {"forward", &Server::forward}, {"clone", &Server::clone},       {"truncate", &Server::truncate},
        {"reset", &Server::reset},     {"retain", &Server::retain},     {"reserve", &Server::reserve},
        {"poison", &Server::poison},   {"free", &Server::free_cache},   {"read_slots", &Server::read_slots},
        {"perturb", &Server::perturb}, {"threads", &Server::threads},   {"generate", &Server::generate},
        {"ping", &Server::ping},       {"state", &Server::state}};
    const auto handler = kHandlers.find(op);
    if (handler == kHandlers.end())
      throw Unsupported{fmt::format("there is no request {} in {}", in_quotes(op), kProtocol)};
    if (subject_ == nullptr && op != "hello") throw ArgumentError("op", "the first request must be hello");
    return (this->*handler->second)(fields);
  }

  WireMessage hello(const JsonFields& fields) {
    fields.text("protocol", {kProtocol});
    const std::string dtype = fields.has("dtype") ? fields.text("dtype", options_.dtypes) : "";
    caches_.clear();
    subject_ = &options_.make(dtype);
    Hello hello{subject_->info(), options_.dtypes};
    hello.info.name = options_.name;
    if (options_.generate_uses) hello.info.generate_uses = *options_.generate_uses;
    dtype_ = hello.info.dtype;
    heads_ = {hello.info.n_kv_head, hello.info.head_dim};
    layers_ = hello.info.n_layer;
    return {hello_header(hello)};
  }

  // --- forwards ----------------------------------------------------------------------------------------------------

  /// Runs a forward by the clock. Logits are on the host when it returns, so that nothing is left queued.
  template <class Run>
  auto timed(Run&& run) {
    const int64_t begin = now_ns();
    auto result = run();
    elapsed_ns_ = subject_->own_forward_ns().value_or(now_ns() - begin);
    return result;
  }

  WireMessage uncached(const JsonFields& fields) {
    const auto tokens = fields.tokens("tokens");
    const int64_t first = fields.integer("first", 0);
    const LogitRows logits = timed([&] { return subject_->uncached_logits(tokens, first); });
    return {Json{{"elapsed_ns", elapsed_ns_}},
            {tensor_of("logits", dtype_, {logits.rows, logits.vocab}, logits.values)}};
  }

  WireMessage forward(const JsonFields& fields) {
    SubjectCache& cache = named_cache(fields);
    const auto lists = fields.token_lists("tokens");
    const bool all = fields.text("logits", {"last", "all"}) == "all";
    TokenBatch tokens{static_cast<int64_t>(lists.size()), 0, {}, {}};
    for (const auto& row : lists) tokens.length = std::max(tokens.length, static_cast<int64_t>(row.size()));
    for (const auto& row : lists) {
      tokens.lengths.push_back(static_cast<int64_t>(row.size()));
      tokens.ids.insert(tokens.ids.end(), row.begin(), row.end());
      tokens.ids.resize(tokens.ids.size() + static_cast<std::size_t>(tokens.length) - row.size());  // padded with id 0
    }
    auto rows = timed([&] { return cache.forward(tokens, all ? LogitsAt::all : LogitsAt::last); });
    int64_t count = 0;
    for (const LogitRows& row : rows) count += row.rows;
    const int64_t vocab = rows.empty() ? 0 : rows.front().vocab;
    std::vector<double> joined = rows.size() == 1 ? std::move(rows.front().values) : std::vector<double>();
    for (const LogitRows& row : rows) joined.insert(joined.end(), row.values.begin(), row.values.end());
    WireMessage answer = state_of(cache);
    answer.header["elapsed_ns"] = elapsed_ns_;
    answer.tensors.push_back(tensor_of("logits", dtype_, {count, vocab}, joined));
    return answer;
  }

  WireMessage generate(const JsonFields& fields) {
    GenerationRequest request;
    request.prompt = fields.tokens("tokens");
    request.num_samples = fields.integer("rows", 1);
    request.max_tokens = fields.integer("max_tokens", 0);
    request.sampler.temperature = 0;
    request.stop = request.tools = false;
    if (const auto own = subject_->own_generation(request.prompt, request.num_samples, *request.max_tokens))
      return {Json{{"tokens", *own}}};
    Json rows = Json::array();
    for (const GeneratedRow& row : subject_->generate(Path::engine, request, nullptr).rows)
      rows.push_back(std::vector<TokenId>(row.tokens.begin() + static_cast<std::ptrdiff_t>(request.prompt.size()),
                                          row.tokens.end()));
    return {Json{{"tokens", std::move(rows)}}};
  }

  // --- caches ------------------------------------------------------------------------------------------------------

  SubjectCache& named_cache(const JsonFields& fields) {
    const int64_t number = fields.integer("cache", 0);
    const auto found = caches_.find(number);
    if (found == caches_.end()) throw ArgumentError("cache", fmt::format("there is no cache {}", number));
    return *found->second;
  }

  WireMessage state_of(const SubjectCache& cache) {
    Json lengths = Json::array();
    for (int64_t row = 0; row < cache.batch(); ++row) lengths.push_back(cache.length(row));
    WireMessage state{Json{{"lengths", std::move(lengths)}, {"capacity", cache.capacity()}}};
    if (cache.bytes() > 0) state.header["bytes"] = cache.bytes();
    return state;
  }

  WireMessage state(const JsonFields& fields) { return state_of(named_cache(fields)); }

  WireMessage add_cache(std::unique_ptr<SubjectCache> cache) {
    WireMessage answer = state_of(*cache);
    answer.header["cache"] = next_cache_;
    caches_[next_cache_++] = std::move(cache);
    return answer;
  }

  WireMessage make_cache(const JsonFields& fields) {
    return add_cache(subject_->new_cache(fields.integer("rows", 1), fields.integer("capacity", 1)));
  }
  WireMessage clone(const JsonFields& fields) {
    const auto rows = fields.integers("rows", 0);
    return add_cache(named_cache(fields).clone_rows(rows, fields.integer("capacity", 1)));
  }
  WireMessage free_cache(const JsonFields& fields) {
    named_cache(fields);
    caches_.erase(fields.integer("cache", 0));
    return {Json::object()};
  }

  WireMessage truncate(const JsonFields& fields) {
    SubjectCache& cache = named_cache(fields);
    const int64_t length = fields.integer("length", 0);
    const bool one = fields.has("row");
    const int64_t begin = one ? row_of(fields, cache) : 0, end = one ? begin + 1 : cache.batch();
    for (int64_t row = begin; row < end; ++row) {  // first looked at, for a refusal changes nothing
      if (length > cache.length(row))
        throw ArgumentError("length", fmt::format("row {} holds {} positions, not {}", row, cache.length(row), length));
    }
    for (int64_t row = begin; row < end; ++row) cache.truncate(row, length);
    return state_of(cache);
  }
  WireMessage reset(const JsonFields& fields) {
    SubjectCache& cache = named_cache(fields);
    cache.reset();
    return state_of(cache);
  }
  WireMessage retain(const JsonFields& fields) {
    SubjectCache& cache = named_cache(fields);
    if (!cache.retain_rows(fields.integers("rows", 0))) throw Unsupported{"rows cannot leave a cache"};
    return state_of(cache);
  }
  WireMessage reserve(const JsonFields& fields) {
    SubjectCache& cache = named_cache(fields);
    if (!cache.reserve(fields.integer("capacity", 1))) throw Unsupported{"the capacity is fixed"};
    return state_of(cache);
  }
  WireMessage poison(const JsonFields& fields) {
    SubjectCache& cache = named_cache(fields);
    if (!cache.poison_tail()) throw Unsupported{"slots cannot be poisoned"};
    return state_of(cache);
  }

  static int64_t row_of(const JsonFields& fields, const SubjectCache& cache) {
    return fields.integer("row", 0, cache.batch() - 1);
  }

  WireMessage read_slots(const JsonFields& fields) {
    const SubjectCache& cache = named_cache(fields);
    const int64_t row = row_of(fields, cache), layer = fields.integer("layer", 0, layers_ - 1);
    const int64_t held = cache.length(row);
    const auto slots = cache.contents(row, layer, 0, held);
    if (!slots) throw Unsupported{"slots cannot be read"};
    WireMessage answer{Json::object()};
    std::vector<int64_t> positions;
    for (int64_t i = 0; i < held; ++i)
      if (slots->has(i)) positions.push_back(i);
    const auto n = static_cast<int64_t>(positions.size()), width = heads_[0] * heads_[1];
    for (const bool keys : {true, false}) {
      const std::vector<double>& all = keys ? slots->keys : slots->values;
      std::vector<double> shown;
      for (const int64_t i : positions)
        shown.insert(shown.end(), all.begin() + i * width, all.begin() + (i + 1) * width);
      answer.tensors.push_back(tensor_of(keys ? "keys" : "values", dtype_, {n, heads_[0], heads_[1]}, shown));
    }
    if (n < held) answer.header["positions"] = positions;
    return answer;
  }

  WireMessage perturb(const JsonFields& fields) {
    SubjectCache& cache = named_cache(fields);
    const int64_t row = row_of(fields, cache);
    const bool keys = fields.text("tensor", {"keys", "values"}) == "keys";
    if (!cache.perturb(row, fields.integer("layer", 0, layers_ - 1),
                       fields.integer("position", 0, cache.length(row) - 1), keys, fields.number("delta")))
      throw Unsupported{"what is cached cannot be changed"};
    return {Json::object()};
  }

  // --- the rest ----------------------------------------------------------------------------------------------------

  WireMessage threads(const JsonFields& fields) {
    if (!subject_->use_threads(static_cast<int>(fields.integer("threads", 1, 1024))))
      throw Unsupported{"the number of threads cannot be changed"};
    return {Json::object()};
  }

  WireMessage ping(const JsonFields& fields) {
    const int64_t bytes = fields.integer("bytes", 0, int64_t{1} << 30);
    return {Json::object(), {{"bytes", "uint8", {bytes}, std::vector<char>(static_cast<std::size_t>(bytes))}}};
  }

  const ServeOptions& options_;
  Subject* subject_ = nullptr;  // until hello
  std::string dtype_;
  std::vector<int64_t> heads_;  // G, D
  int64_t layers_ = 0, next_cache_ = 0, elapsed_ns_ = 0;
  std::map<int64_t, std::unique_ptr<SubjectCache>> caches_;
};

}  // namespace

void serve_subject(ByteStream& stream, const ServeOptions& options) {
  Server server(options);
  while (!stream.at_end()) write_message(stream, server.answer(read_message(stream)));
}

}  // namespace kvproof
