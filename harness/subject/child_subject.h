// Somebody's engine in a child process, seen as any other subject: the protocol kvproof-subject/1.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "harness/subject/subject.h"

namespace kvproof {

struct ChildOptions {
  std::string command;                    // for /bin/sh -c
  std::optional<std::string> dtype = {};  // asked for in hello; absent: the child's own choice
  double start_seconds = 300;             // for hello: it loads a model
  double answer_seconds = 30;             // for every other request
  bool show_stderr = false;
  const SpecialTokens* specials = nullptr;  // that end rows of a generation driven from here; must outlive the subject
};

/// What the protocol itself costs, in nanoseconds: medians of many round trips.
struct ProtocolCost {
  int64_t call_ns = 0;        // a request and an answer without tensors
  int64_t step_ns = 0;        // with a row of logits
  int64_t payload_bytes = 0;  // of that row
  std::optional<int64_t> decode_ns;  // of a decode step, what the child's own clock does not see; absent: it has none
};

class ChildConnection;
struct KeptCache;

class ChildSubject : public Subject {
 public:
  /// Starts the child and asks it who it is.
  /// throws SubjectError: it cannot be started, speaks another protocol, contradicts itself (a head count that does not
  ///        divide, a word in `can` that there is not, …): each with what was expected, what came, and what to do
  explicit ChildSubject(ChildOptions options);
  ~ChildSubject() override;

  SubjectInfo info() const override;
  const std::vector<std::string>& dtypes() const;  // it can run in
  /// tokens of one row. Where the child gives the last position's logits alone, earlier ones cost a request each.
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position,
                            StageSink* sink = nullptr) override;
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override;
  /// Drives the child's forwards and caches from here, with our sampler: driven_generation.h. It knows no special tokens:
  /// a request with `stop` is an ArgumentError.
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override;

  /// The child's own loop: greedy, without stop tokens. Nothing where it has none.
  std::optional<std::vector<std::vector<TokenId>>> own_generation(const std::vector<TokenId>& prompt, int64_t rows,
                                                                  int64_t max_tokens) override;
  bool use_threads(int threads) override;
  std::optional<int64_t> own_forward_ns() const override;
  /// Some 400 requests with a millisecond between them, as steps have: half a second. throws SubjectError
  ProtocolCost measure_protocol();

  /// After a child died, hung or broke the protocol: how often a new one had to be started.
  int64_t restarts() const;

 private:
  std::optional<int64_t> median_unseen_ns();

  std::shared_ptr<ChildConnection> connection_;  // caches keep it alive
  std::unique_ptr<KeptCache> kept_;              // of generate
};

}  // namespace kvproof
