#include "harness/measure/paired/serve_measure.h"

#include <fmt/format.h>

#include <exception>
#include <limits>
#include <new>
#include <utility>

#include "harness/error.h"

namespace kvproof {
namespace {

/// What an error answer of kind "unsupported" is made of.
struct Unsupported {
  std::string message;
};

class Server {
 public:
  explicit Server(const std::function<std::unique_ptr<EpochSource>()>& make) : make_(make) {}

  WireMessage answer(const WireMessage& request) {
    nlohmann::json answer;
    try {
      const JsonFields fields(request.header);
      fields.integer("id", std::numeric_limits<int64_t>::min());
      answer = dispatch(fields.text("op"), fields);
    } catch (const Unsupported& refused) {
      answer = error("unsupported", refused.message);
    } catch (const Error& fault) {
      answer = error(fault.kind(), fault.what());
    } catch (const std::bad_alloc&) {
      answer = error("capacity", "not enough memory");
    } catch (const std::exception& fault) {
      answer = error("failed", words_of(fault));
    }
    const auto id = request.header.find("id");
    answer["id"] = id == request.header.end() ? nlohmann::json() : *id;
    return {std::move(answer)};
  }

  /// Set once no source could be made.
  std::exception_ptr broken() const { return broken_; }

 private:
  static nlohmann::json error(const std::string& kind, const std::string& message) {
    return {{"error", {{"kind", kind}, {"message", message}}}};
  }

  nlohmann::json dispatch(const std::string& op, const JsonFields& fields) {
    if (op == "hello") return hello(fields);
    if (op != "open" && op != "epoch" && op != "close")
      throw Unsupported{fmt::format("there is no request {} in {}", in_quotes(op), kMeasureProtocol)};
    if (!source_) throw ArgumentError("op", "the first request must be hello");
    const std::string id = fields.text("case");
    if (op == "open") return open(id, fields);
    if (id != open_)
      throw ArgumentError("case", fmt::format("{} is not open; {}", id, open_.empty() ? "none is" : open_ + " is"));
    if (op == "epoch") return epoch(fields);
    open_.clear();
    source_->close();
    return nlohmann::json::object();
  }

  nlohmann::json hello(const JsonFields& fields) {
    if (const std::string asked = fields.text("protocol"); asked != kMeasureProtocol)
      throw Unsupported{fmt::format("{} is not spoken here, only {}", in_quotes(asked), kMeasureProtocol)};
    if (!source_) {
      try {
        source_ = make_();
      } catch (...) {
        broken_ = std::current_exception();
        throw;
      }
    }
    return header_of(source_->hello());
  }

  nlohmann::json open(const std::string& id, const JsonFields& fields) {
    WarmUp warm_up;
    warm_up.rounds = fields.optional_integer("warm_up_rounds", 1).value_or(warm_up.rounds);
    warm_up.most_ns = fields.optional_integer("warm_up_ns", 0).value_or(warm_up.most_ns);
    if (fields.has("warm_up_paths")) warm_up.paths = paths_of(fields.texts("warm_up_paths"));
    open_.clear();
    const CaseFacts facts = source_->open(id, warm_up);
    open_ = id;
    return header_of(facts);
  }

  nlohmann::json epoch(const JsonFields& fields) {
    const Timed timed = timed_of(fields.text("what"));
    const auto calls = fields.optional_integer("calls", 1);
    return header_of(source_->epoch(timed, {calls, calls ? 0 : fields.integer("at_least_ns", 0)}));
  }

  const std::function<std::unique_ptr<EpochSource>()>& make_;
  std::unique_ptr<EpochSource> source_;
  std::string open_;  // a case; empty: none
  std::exception_ptr broken_;
};

}  // namespace

void serve_measure(ByteStream& stream, const std::function<std::unique_ptr<EpochSource>()>& make) {
  Server server(make);
  while (!stream.at_end()) {
    write_message(stream, server.answer(read_message(stream, kMeasureProtocol)));
    if (server.broken()) std::rethrow_exception(server.broken());
  }
}

}  // namespace kvproof
