// The samples of a session: as lines of a journal, and as what statistics take.
#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "harness/measure/paired/paired.h"

namespace kvproof {
namespace {

Json epochs_json(const std::array<EpochTimes, 2>& epochs) {
  return Json::array({Json(header_of(epochs[0])), Json(header_of(epochs[1]))});
}

double log_time(const std::array<EpochTimes, 2>& epochs, ClockKind clock, const std::string& what) {
  const int64_t EpochTimes::*time = clock == ClockKind::wall ? &EpochTimes::wall_ns : &EpochTimes::cpu_ns;
  const int64_t sum = epochs[0].*time + epochs[1].*time;
  if (sum <= 0)
    throw std::domain_error(fmt::format("{}: two epochs took no {} time; longer epochs would", what,
                                        clock == ClockKind::wall ? "wall" : "CPU"));
  return std::log(static_cast<double>(sum));
}

}  // namespace

Json block_json(int64_t block, const std::vector<Rounds>& rounds) {
  Json samples = Json::array();
  for (const Rounds& run : rounds) {
    Json list = Json::array();
    for (const Round& round : run.rounds)
      list.push_back({{"base", epochs_json(round.base)}, {"other", epochs_json(round.other)}});
    samples.push_back({{"case", run.id},
                       {"what", word_of(run.timed)},
                       {"against", word_of(run.against)},
                       {"rounds", std::move(list)}});
  }
  return {{"kind", "block"}, {"block", block}, {"samples", std::move(samples)}};
}

std::vector<std::vector<double>> log_ratios(const std::vector<std::vector<Rounds>>& blocks, const std::string& id,
                                            const Timed& timed, Side against, ClockKind clock) {
  std::vector<std::vector<double>> y;
  const std::string what = fmt::format("{}, {}", id, word_of(timed));
  for (const std::vector<Rounds>& block : blocks) {
    for (const Rounds& run : block) {
      if (run.id != id || run.timed != timed || run.against != against || run.rounds.empty()) continue;
      std::vector<double>& ratios = y.emplace_back();
      for (const Round& round : run.rounds)
        ratios.push_back(log_time(round.other, clock, what) - log_time(round.base, clock, what));
    }
  }
  return y;
}

}  // namespace kvproof
