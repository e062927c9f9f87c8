// How much faster the engine would have been, had both paths stopped at that token: the ratio over the length of the text,
// and beside it the ratio of the positions that both had pushed through the model by then.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "harness/report/html/plot_data.h"
#include "harness/analysis/step_curve.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/stats/stats.h"

namespace kvproof {
namespace {

constexpr std::size_t kMostRatios = 256;  // each costs a sort over the repetitions

// When each token was in hand, from the start of the call on: by repetition.
std::map<int64_t, std::vector<double>> arrivals(const View& path) {
  std::map<int64_t, std::vector<double>> by_repetition;
  for (const View& sample : path.at("samples").items()) {
    std::vector<double> times = {sample.at("ttft_ns").number()};
    for (const View& gap : sample.at("itl_ns").items()) times.push_back(times.back() + gap.number());
    by_repetition[sample.at("repetition").integer()] = std::move(times);
  }
  return by_repetition;
}

// Pairs of arrival times of one token, a pair for each repetition that both paths have.
struct Pairs {
  std::vector<double> naive, engine;
};

Pairs pairs_at(const std::map<int64_t, std::vector<double>>& naive,
               const std::map<int64_t, std::vector<double>>& engine, std::size_t token) {
  Pairs pairs;
  for (const auto& [repetition, times] : naive) {
    const auto other = engine.find(repetition);
    if (other == engine.end() || times[token] <= 0 || other->second[token] <= 0) continue;
    pairs.naive.push_back(times[token]);
    pairs.engine.push_back(other->second[token]);
  }
  return pairs;
}

std::size_t shortest(const std::map<int64_t, std::vector<double>>& runs) {
  std::size_t tokens = runs.empty() ? 0 : runs.begin()->second.size();
  for (const auto& [repetition, times] : runs) tokens = std::min(tokens, times.size());
  return tokens;
}

Json or_null(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

// How many forwards each row ran in: its tokens, and one that ended it and was dropped.
std::vector<int64_t> forwards_of_rows(const View& path, int64_t before) {
  std::vector<int64_t> forwards;
  for (const View& row : path.at("rows").items()) {
    const auto tokens = static_cast<int64_t>(row.at("tokens").items().size()) - before;
    forwards.push_back(tokens + (row.at("finish").text() == "stop" ? 1 : 0));
  }
  return forwards;
}

// Positions pushed through the model until each of these rows had `tokens` of its tokens, or its end.
double naive_positions(const std::vector<int64_t>& rows, int64_t before, int64_t tokens) {
  double sum = 0;
  for (const int64_t all : rows) {
    const auto n = static_cast<double>(std::min(all, tokens));
    sum += n * static_cast<double>(before) + n * (n - 1) / 2;
  }
  return sum;
}

double engine_positions(const std::vector<int64_t>& rows, int64_t prompt, int64_t tokens) {
  auto sum = static_cast<double>(prompt);
  for (const int64_t all : rows) sum += static_cast<double>(std::min(all, tokens) - 1);
  return sum;
}

// naive / engine after each of the numbers of tokens; null where counting does not end at what the record counted.
Json positions_ratio(const View& one, const std::vector<std::size_t>& tokens) {
  const View naive = one.at("paths").at("naive"), engine = one.at("paths").at("engine");
  const int64_t prompt = one.at("shape").at("P").integer(), before = tokens_before(one);
  const auto naive_rows = forwards_of_rows(naive, before), engine_rows = forwards_of_rows(engine, before);
  constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
  if (naive_positions(naive_rows, before, kAll) != naive.at("token_forwards").number() ||
      engine_positions(engine_rows, prompt, kAll) != engine.at("token_forwards").number())
    return nullptr;
  Json ratios = Json::array();
  for (const std::size_t count : tokens) {
    const auto n = static_cast<int64_t>(count);
    ratios.push_back(naive_positions(naive_rows, before, n) / engine_positions(engine_rows, prompt, n));
  }
  return ratios;
}

}  // namespace

Json speedup_by_length(const View& one) {
  const View given = one.at("speedup");
  if (const auto reason = given.at("withheld").text_or_null()) return no_plot("Withheld: " + visible(*reason) + ".");
  const auto naive = arrivals(one.at("paths").at("naive")), engine = arrivals(one.at("paths").at("engine"));
  const int64_t before = tokens_before(one);
  std::vector<std::size_t> tokens;
  Json out = {{"length", Json::array()}, {"ratio", Json::array()}, {"low", Json::array()}, {"high", Json::array()}};
  for (const std::size_t token : kept_places(std::min(shortest(naive), shortest(engine)), kMostRatios)) {
    const Pairs pairs = pairs_at(naive, engine, token);
    const auto ratio = paired_ratio(pairs.naive, pairs.engine);
    if (!ratio) continue;
    tokens.push_back(token + 1);
    out["length"].push_back(before + static_cast<int64_t>(token) + 1);
    out["ratio"].push_back(ratio->ratio);
    out["low"].push_back(or_null(ratio->low));
    out["high"].push_back(or_null(ratio->high));
  }
  if (out["length"].empty()) return no_plot("No repetition was measured on both paths.");
  out["verified"] = given.at("verified").boolean();
  out["positions"] = positions_ratio(one, tokens);
  out["ceiling"] = or_null(one.at("work").at("ceiling").number_or_null());
  return out;
}

}  // namespace kvproof
