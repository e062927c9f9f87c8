#include "harness/measure/run_peaks.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <tuple>

namespace kvproof {
namespace {

constexpr double kSlower = 0.8;  // of the rate before: less is no noise of a hundred milliseconds' best
constexpr int64_t kPromptTokens = 256;              // of the MLP's products
constexpr int64_t kContestNs = 100'000'000;         // each: six of them stay well below a second
constexpr int64_t kMostMultiplied = 4'000'000'000;  // FLOPs of one product, so that slow machines stay there too

GemmShape over_prompt(const char* name, int64_t n, int64_t k) {
  return {name, std::clamp<int64_t>(kMostMultiplied / (2 * n * k), 1, kPromptTokens), n, k};
}

bool same(const PeakRequest& a, const PeakRequest& b) {
  const auto same_set = [](const WorkingSet& x, const WorkingSet& y) {
    return std::tie(x.name, x.bytes) == std::tie(y.name, y.bytes);
  };
  const auto same_shape = [](const GemmShape& x, const GemmShape& y) {
    return std::tie(x.name, x.m, x.n, x.k) == std::tie(y.name, y.m, y.n, y.k);
  };
  return a.threads == b.threads && a.dtype == b.dtype &&
         std::equal(a.read.begin(), a.read.end(), b.read.begin(), b.read.end(), same_set) &&
         std::equal(a.gemm.begin(), a.gemm.end(), b.gemm.begin(), b.gemm.end(), same_shape);
}

Rates rates_of(const View& entry) {
  Rates rates;
  for (const auto& [by, rate] : entry.at("ways").json().items()) rates.ways.push_back({by, View(rate).number()});
  rates.rounds = entry.at("rounds").integer();
  return rates;
}

}  // namespace

PeakRequest peak_request(const MachineFacts& facts, const Fact<int64_t>& free_memory, const SubjectInfo& info,
                         const GptConfig& config, const ElementBytes& bytes) {
  PeakRequest request;
  request.threads = info.threads;
  request.dtype = info.dtype;
  const WorkingSet far = out_of_cache_set(facts, free_memory);
  request.read = {in_cache_set(facts, info.threads), far};
  const int64_t weights = weight_bytes_read(config, bytes, 1);
  if (weights < far.bytes) request.read.insert(request.read.begin() + 1, WorkingSet{kWeights, weights});
  request.gemm = {square_shape(), over_prompt("c_fc", config.mlp_width(), config.n_embd),
                  over_prompt("mlp_c_proj", config.n_embd, config.mlp_width())};
  request.contest.budget_ns = kContestNs;
  return request;
}

std::string why_no_peaks(const SubjectInfo& info) {
  if (info.device != "cpu") return "peaks are those of the CPU, this ran on " + info.device;
  if (info.threads < 1) return "the subject does not say with how many threads it runs";
  return has_peaks(info.dtype) ? "" : "there are no peaks of " + info.dtype;
}

bool measures_peaks(const LoadedConfig& config, const CaseGroup& group, const GroupEngine& engine,
                    const SubjectInfo& info) {
  const auto wants = [&](std::size_t index) { return config.cases[index].run.peaks; };
  const bool any = std::any_of(group.cases.begin(), group.cases.end(), wants);
  return any && engine.knows_costs() && why_no_peaks(info).empty();
}

void RunPeaks::measure(const PeakRequest& request) {
  if (fresh_ && same(newest_, request)) return;
  try {
    const Peaks peaks = measure_(request);
    add(peaks);
    note_slowdown(request, peaks);
    newest_ = request;
    fresh_ = true;
  } catch (const std::bad_alloc&) {
    failure_ = "the memory to measure the peaks in could not be had";
  } catch (const std::system_error&) {
    failure_ = "the threads to measure the peaks with could not be had";
  }
}

void RunPeaks::add(const Peaks& peaks) {
  const auto known = std::find_if(all_.begin(), all_.end(), [&](const Peaks& each) {
    return each.threads == peaks.threads && each.dtype == peaks.dtype;
  });
  if (known == all_.end()) {
    all_.push_back(peaks);
  } else {
    *known = larger(*known, peaks);
  }
}

void RunPeaks::take(const View& entry) {
  Peaks peaks{entry.at("threads").integer(), entry.at("dtype").text(), {}, {}};
  for (const View& read : entry.at("read").items()) {
    std::optional<bool> out_of_cache;
    if (!read.at("out_of_cache").is_null()) out_of_cache = read.at("out_of_cache").boolean();
    peaks.read.push_back(
        {{read.at("working_set").text(), read.at("bytes").integer()}, out_of_cache, rates_of(read)});
  }
  for (const View& gemm : entry.at("gemm").items()) {
    peaks.gemm.push_back(
        {{gemm.at("shape").text(), gemm.at("m").integer(), gemm.at("n").integer(), gemm.at("k").integer()}, rates_of(gemm)});
  }
  add(peaks);
}

void RunPeaks::note_slowdown(const PeakRequest& request, const Peaks& peaks) {
  const GemmPeak* best = gemm_peak_of(peaks);
  const double now = best ? best->rates.best()->per_s : 0, before = newest_flops_per_s_;
  newest_flops_per_s_ = now;
  if (!same(newest_, request) || now == 0 || now >= kSlower * before) return;
  slowdowns_.push_back(
      fmt::format("the machine became slower: with {} threads in {} it multiplied {:.0f} GFLOP/s before some cases, {:.0f} "
                  "behind them (throttling, or other programs); let it cool and rest, and repeat",
                  request.threads, request.dtype, before / 1e9, now / 1e9));
}

Fact<Peaks> RunPeaks::of(int64_t threads, const std::string& dtype) const {
  for (const Peaks& each : all_)
    if (each.threads == threads && each.dtype == dtype) return Fact<Peaks>::known(each);
  return Fact<Peaks>::unknown(failure_.empty() ? "no peaks were measured" : failure_);
}

}  // namespace kvproof
