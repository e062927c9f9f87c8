// Faults planted into a small model are found where they are, and the wrong numbers are recognised.
#include "harness/verify/scenarios/evidence.h"

#include <ATen/ATen.h>

#include <functional>

#include "engine/model/model.h"
#include "harness/verify/localise.h"
#include "harness/verify/scenarios/drive.h"
#include "harness/verify/scenarios/scenario.h"
#include "tests/harness/verify/scenarios/each_kind.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

using Operation = CacheOperation::Kind;

/// A fault: what it does to cached forwards' plans, or to a cache after an operation.
struct Planted {
  std::string name;
  std::function<void(StepPlan&)> plan;
  std::function<void(KVCache&, const CacheOperation&)> cache;
  Suspect suspect;
  std::string stage;
  int64_t layer = kNowhere;
  std::string operation;  // begins with
  std::string evidence;   // contains
};

Planted in_plan(std::string name, std::function<void(StepPlan&)> plan, Suspect suspect, std::string stage,
                int64_t layer, std::string operation, std::string evidence = "") {
  return {std::move(name),      std::move(plan),    {}, suspect, std::move(stage), layer,
          std::move(operation), std::move(evidence)};
}
Planted in_cache(std::string name, std::function<void(KVCache&, const CacheOperation&)> cache, Suspect suspect,
                 std::string stage, int64_t layer, std::string operation, std::string evidence = "") {
  return {std::move(name),  {},    std::move(cache),     suspect,
          std::move(stage), layer, std::move(operation), std::move(evidence)};
}

bool is_decode(const StepPlan& plan) { return plan.length == 1; }
bool is_later_chunk(const StepPlan& plan) { return plan.length > 1 && plan.rows[0].position > 0; }
at::Tensor slots(at::Tensor& all, int64_t first, int64_t count) { return all.narrow(3, first, count); }
void each_layer(StepPlan& plan, const std::function<void(LayerPlan&)>& change) {
  for (LayerPlan& layer : plan.layers) change(layer);
}

std::vector<Planted> planted_in_plans() {
  return {
      in_plan(
          "decode stands one position too far",
          [](StepPlan& p) {
            if (is_decode(p))
              for (RowPlan& row : p.rows) ++row.position;
          },
          Suspect::position, "query", 0, "decode", "turned by 1 position too many"),
      in_plan(
          "positions begin anew in each chunk",
          [](StepPlan& p) {
            if (is_later_chunk(p))
              for (RowPlan& row : p.rows) row.position = 0;
          },
          Suspect::position, "query", 0, "chunk of 7 tokens",
          "turned by 1 position too few, as for position 0, counted from"),
      in_plan(
          "all positions are three too high",
          [](StepPlan& p) {
            for (RowPlan& row : p.rows) row.position += 3;
          },
          Suspect::position, "query", 0, "decode", "turned by 3 positions too many, as for position 3"),
      in_plan(
          "a later row stands where the first one does",
          [](StepPlan& p) {
            for (RowPlan& row : p.rows) row.position = p.rows[0].position;
          },
          Suspect::position, "query", 0, "decode", "too few"),
      in_plan(
          "a window of one key more",
          [](StepPlan& p) {
            each_layer(p, [](LayerPlan& l) {
              if (l.window == 5) {
                ++l.window;
                for (auto& b : l.key_begin) b = std::max<int64_t>(0, b - 1);
              }
            });
          },
          Suspect::window, "attention", 0, "chunk of 9", "a window of 6 instead of 5"),
      in_plan(
          "a window of two keys fewer",
          [](StepPlan& p) {
            each_layer(p, [](LayerPlan& l) {
              if (l.window == 5) l.window -= 2;
            });
          },
          Suspect::window, "attention", 0, "chunk of 9", "a window of 3 instead of 5"),
      in_plan(
          "the window is forgotten in decode",
          [](StepPlan& p) {
            if (is_decode(p))
              each_layer(p, [](LayerPlan& l) {
                l.window = kUnlimited;
                l.key_begin.assign(l.key_begin.size(), 0);
              });
          },
          Suspect::window, "attention", 0, "decode", "a window of 6 instead of 5"),
      in_plan(
          "one layer has the window of another",
          [](StepPlan& p) {
            p.layers[2].window = kUnlimited;
            p.layers[2].key_begin.assign(p.batch, 0);
          },
          Suspect::window, "attention", 2, "chunk of 9"),
      in_plan(
          "tokens of a chunk see all of it",
          [](StepPlan& p) { each_layer(p, [&](LayerPlan& l) { l.diagonal = p.length; }); }, Suspect::mask, "attention",
          0, "chunk of 9", "sees later tokens"),
      in_plan(
          "the mask of a later chunk is aligned at its first key",
          [](StepPlan& p) {
            if (is_later_chunk(p)) each_layer(p, [&](LayerPlan& l) { l.diagonal = -p.rows[0].write_at; });
          },
          Suspect::mask, "attention", 0, "chunk of", "a mask that starts anew"),
      in_plan(
          "a later chunk does not see itself",
          [](StepPlan& p) {
            if (is_later_chunk(p)) each_layer(p, [&](LayerPlan& l) { l.diagonal = -1; });
          },
          Suspect::mask, "attention", 0, "chunk of", "the output"),
      in_plan(
          "a later chunk sees only itself",
          [](StepPlan& p) {
            if (is_later_chunk(p))
              each_layer(p, [&](LayerPlan& l) { l.key_begin.assign(p.batch, p.rows[0].write_at); });
          },
          Suspect::mask, "attention", 0, "chunk of", "a mask that starts anew"),
      in_plan(
          "query heads read kv heads in turn",
          [](StepPlan& p) {
            for (std::size_t h = 0; h < p.kv_head.size(); ++h) p.kv_head[h] = static_cast<int64_t>(h) % 2;
          },
          Suspect::head_map, "attention", 0, "decode", "kv heads 0, 1, 0, 1 instead of 0, 0, 1, 1"),
      in_plan(
          "scores are not divided by the root of the head size",
          [](StepPlan& p) {
            if (is_decode(p)) each_layer(p, [](LayerPlan& l) { l.attention_scale = 1; });
          },
          Suspect::attention, "attention", 0, "decode", "scores scaled by 1 "),
      in_plan(
          "scores are a tenth too small",
          [](StepPlan& p) { each_layer(p, [](LayerPlan& l) { l.attention_scale *= 0.9; }); }, Suspect::attention,
          "attention", 0, "", "scores scaled by 0.225"),
      in_plan(
          "decode reads one slot too few",
          [](StepPlan& p) {
            if (is_decode(p))
              each_layer(p, [](LayerPlan& l) {
                for (auto& e : l.key_end) e = std::max<int64_t>(1, e - 1);
              });
          },
          Suspect::key_range, "attention", 0, "decode", "keys of positions 0 to 0 instead of 0 to 1"),
      in_plan(
          "the first key is never read again",
          [](StepPlan& p) {
            if (is_decode(p) && p.rows[0].position > 0)
              each_layer(p, [](LayerPlan& l) {
                for (auto& b : l.key_begin) b = std::max<int64_t>(b, 1);
              });
          },
          Suspect::key_range, "attention", 0, "decode"),
      in_plan(
          "keys carry no scale in decode",
          [](StepPlan& p) {
            if (is_decode(p)) each_layer(p, [](LayerPlan& l) { l.k_scale = 1; });
          },
          Suspect::qk_scale, "key", 0, "decode", "stretched by 0.83"),
      in_plan(
          "queries carry no scale", [](StepPlan& p) { each_layer(p, [](LayerPlan& l) { l.q_scale = 1; }); },
          Suspect::qk_scale, "query", 0, "", "stretched by 0.83"),
      in_plan(
          "smear is dropped at the start of a chunk",
          [](StepPlan& p) {
            if (is_later_chunk(p))
              for (RowPlan& row : p.rows) row.previous_token = kNoToken;
          },
          Suspect::smear, "smear", kNowhere, "chunk of",
          "nothing is taken from the previous token; the first token of a chunk"),
      in_plan(
          "smear is dropped in decode",
          [](StepPlan& p) {
            if (is_decode(p))
              for (RowPlan& row : p.rows) row.previous_token = kNoToken;
          },
          Suspect::smear, "smear", kNowhere, "decode", "nothing is taken"),
      in_plan(
          "later rows smear from the first row's token",
          [](StepPlan& p) {
            for (RowPlan& row : p.rows)
              if (row.previous_token != kNoToken) row.previous_token = p.rows[0].previous_token;
          },
          Suspect::smear, "smear", kNowhere, "decode", "of another row: row 0"),
      in_plan(
          "decode writes over the slot before",
          [](StepPlan& p) {
            if (is_decode(p))
              for (RowPlan& row : p.rows) row.write_at = std::max<int64_t>(0, row.write_at - 1);
          },
          Suspect::cache_write, "cache", 0, "decode"),
      in_plan(
          "lengths move by one whatever was appended",
          [](StepPlan& p) {
            for (RowPlan& row : p.rows) row.advance = 1;
          },
          Suspect::state, "state", kNowhere, "chunk of 9"),
      in_plan(
          "two rows of a batch share a cache row",
          [](StepPlan& p) {
            if (p.cached && p.batch > 1) p.rows[1].cache_row = 0;
          },
          Suspect::row, "state", kNowhere, "chunk of 5"),
  };
}

std::vector<Planted> planted_in_caches() {
  const auto after = [](Operation kind, std::function<void(KVCache&, const CacheOperation&)> change) {
    return [kind, change](KVCache& cache, const CacheOperation& operation) {
      if (operation.kind == kind) change(cache, operation);
    };
  };
  return {
      in_cache("new keys are written over the values",
               after(Operation::append,
                     [](KVCache& c, const CacheOperation& o) {
                       const int64_t first = o.lengths[0], count = c.length(0) - first;
                       slots(c.raw().values, first, count).copy_(slots(c.raw().keys, first, count));
                     }),
               Suspect::cache_write, "cache", 0, "decode", "slot 0 holds the key of position 0"),
      in_cache("keys are kept in bfloat16",
               after(Operation::append,
                     [](KVCache& c, const CacheOperation&) {
                       auto& k = c.raw().keys;
                       k.copy_(k.to(at::kBFloat16));
                     }),
               Suspect::precision, "cache", 0, "", "rounded to bfloat16"),
      in_cache("values are stored with their heads swapped",
               after(Operation::append,
                     [](KVCache& c, const CacheOperation& o) {
                       const int64_t first = o.lengths[0], count = c.length(0) - first;
                       at::Tensor v = slots(c.raw().values, first, count);
                       v.copy_(v.roll(1, 2));
                     }),
               Suspect::cache_write, "cache", 0, "", "heads 1, 0 where 0, 1 belong"),
      in_cache("only half of the channels are stored",
               after(Operation::append,
                     [](KVCache& c, const CacheOperation& o) {
                       slots(c.raw().keys, o.lengths[0], c.length(0) - o.lengths[0]).narrow(4, 8, 8).zero_();
                     }),
               Suspect::cache_write, "cache", 0, "", "channels 8 to 15 of 16 are zero"),
      in_cache("the cache remembers one wrong token",
               after(Operation::append, [](KVCache& c, const CacheOperation&) { c.raw().tokens[0].back() ^= 1; }),
               Suspect::state, "state", kNowhere, ""),
      in_cache("a clone fills its first row only",
               after(Operation::clone,
                     [](KVCache& c, const CacheOperation&) {
                       for (at::Tensor* t : {&c.raw().keys, &c.raw().values})
                         if (c.batch() > 1) t->narrow(1, 1, c.batch() - 1).zero_();
                     }),
               Suspect::clone, "cache", 0, "clone to 3 rows", "all zeros"),
      in_cache("a clone lacks the last position",
               after(Operation::clone,
                     [](KVCache& c, const CacheOperation&) { slots(c.raw().keys, c.length(0) - 1, 1).zero_(); }),
               Suspect::clone, "cache", 0, "clone to 3 rows"),
      in_cache("a clone's last value is its last key",
               after(Operation::clone,
                     [](KVCache& c, const CacheOperation&) {
                       const int64_t last = c.length(0) - 1;
                       slots(c.raw().values, last, 1).copy_(slots(c.raw().keys, last, 1));
                     }),
               Suspect::clone, "cache", 0, "clone to 3 rows", "slot 6 holds the key of position 6"),
      in_cache("the rows of a clone lie in one place",
               after(Operation::clone,
                     [](KVCache& c, const CacheOperation&) {
                       for (at::Tensor* t : {&c.raw().keys, &c.raw().values})
                         *t = t->narrow(1, 0, 1).expand(t->sizes());
                     }),
               Suspect::clone, "state", kNowhere, "clone to 3 rows"),
      in_cache("a clone forgets its tokens' ids",
               after(Operation::clone,
                     [](KVCache& c, const CacheOperation&) {
                       for (auto& row : c.raw().tokens) row.back() = 0;
                     }),
               Suspect::clone, "state", kNowhere, "clone to 3 rows"),
      in_cache("growth loses the last row",
               after(Operation::reserve,
                     [](KVCache& c, const CacheOperation&) { c.raw().keys.select(1, c.batch() - 1).zero_(); }),
               Suspect::growth, "cache", 0, "grow to 5"),
      in_cache("growth shifts what is held",
               after(Operation::reserve,
                     [](KVCache& c, const CacheOperation&) {
                       auto& v = c.raw().values;
                       v.copy_(v.roll(1, 3));
                     }),
               Suspect::growth, "cache", 0, "grow to 5"),
      in_cache("rolling back leaves the forgotten token",
               after(Operation::truncate,
                     [](KVCache& c, const CacheOperation& o) {
                       auto& t = c.raw().tokens[o.rows[0]];
                       if (!t.empty()) t.back() = (t.back() + 7) % 97;
                     }),
               Suspect::rollback, "state", kNowhere, "truncate to 4"),
      in_cache("rolling back loses one position more",
               after(Operation::truncate,
                     [](KVCache& c, const CacheOperation& o) {
                       auto& t = c.raw().tokens[o.rows[0]];
                       if (!t.empty()) t.pop_back();
                     }),
               Suspect::rollback, "state", kNowhere, "truncate to 4"),
      in_cache("a reset leaves the position",
               after(Operation::reset,
                     [](KVCache& c, const CacheOperation& o) { c.raw().tokens[0].assign(o.lengths[0], 0); }),
               Suspect::reset, "state", kNowhere, "reset"),
      in_cache("rows that stay get each other's keys",
               after(Operation::retain,
                     [](KVCache& c, const CacheOperation&) {
                       auto& k = c.raw().keys;
                       k.copy_(k.roll(1, 1));
                     }),
               Suspect::retain, "cache", 0, "retain 3 rows"),
      in_cache("an append spoils the slot before",
               after(Operation::append,
                     [](KVCache& c, const CacheOperation& o) {
                       if (o.lengths[0] > 0) slots(c.raw().keys, o.lengths[0] - 1, 1).add_(0.5);
                     }),
               Suspect::cache_write, "cache", 0, "decode"),
  };
}

std::vector<ScenarioOutcome> run_suite(Subject& subject, const std::vector<std::string>& names) {
  std::vector<ScenarioOutcome> outcomes;
  TraceBank bank(subject, nullptr, {"float64", kErrorRatioGate});
  const SubjectInfo info = subject.info();
  for (const std::string& name : names) {
    const ScenarioName parsed = parse_scenario(name + "/float64");
    outcomes.push_back(drive(make_script(parsed, info, 1), parsed.text(), 1, subject, bank, {}));
  }
  return outcomes;
}

void plant(Model& model, const Planted& fault) {
  if (fault.plan)
    model.set_plan_filter([change = fault.plan](StepPlan plan) {
      if (plan.cached) change(plan);
      return plan;
    });
  if (fault.cache) model.set_cache_hook(fault.cache);
}

void check_localised(const Planted& fault) {
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {"auto", "float64", "cpu"});
  plant(*model, fault);
  const auto subject = make_in_process_subject(*model, nullptr);
  const auto divergence = localise(run_suite(*subject, kOneOfEachKind));
  CAPTURE(fault.name);
  REQUIRE(divergence);
  const Place& at = divergence->finding.place;
  CAPTURE(divergence->scenario, at.operation, at.stage, at.layer, at.position, at.row, divergence->finding.message,
          divergence->hint, divergence->evidence);
  CHECK(to_string(divergence->suspect) == to_string(fault.suspect));
  CHECK(at.stage == fault.stage);
  CHECK(at.layer == fault.layer);
  CHECK(at.operation.find(fault.operation) == 0);
  CHECK(divergence->evidence.find(fault.evidence) != std::string::npos);
}

}  // namespace

TEST_CASE("a fault in the plan of a forward is found in its place and called by its name", "[localise]") {
  for (const Planted& fault : planted_in_plans()) check_localised(fault);
}

TEST_CASE("a fault in what a cache holds is found at the operation that did it", "[localise]") {
  for (const Planted& fault : planted_in_caches()) check_localised(fault);
}
