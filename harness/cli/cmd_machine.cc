// kvproof machine: how fast this machine reads and multiplies at best, which is what runs are held against.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"
#include "harness/build_info.h"
#include "harness/cli/command.h"
#include "harness/cli/progress_line.h"
#include "harness/machine/peaks/measure_peaks.h"
#include "harness/measure/warnings.h"
#include "harness/record/record.h"
#include "harness/report/numbers.h"
#include "harness/report/text.h"

namespace kvproof::cli {
namespace {

constexpr double kSeconds = 4;
constexpr int kPasses = 2;                           // over everything, so that a busy moment spoils no entry alone
constexpr int64_t kMostElements = int64_t{1} << 28;  // of a shape's three matrices: some GiB in all

const std::vector<std::string> kDtypes = {"float32", "bfloat16", "float16", "float64"};

void declare_machine(CLI::App& app) {
  add_value(app, "--threads", "N[,N...]", "Numbers of threads; default 1 and all cores");
  add_value(app, "--dtype", "D[,D...]", "float32, bfloat16, float16, float64; default float32,bfloat16");
  add_value(app, "--shape", "M,N,K", "Multiply this too: a linear layer of N outputs and K inputs over M tokens");
  add_value(
      app, "--seconds", "S",
      fmt::format("Time to take, about; default {:g}. Reading out of cache needs a round, however long", kSeconds));
}

std::vector<std::string> dtypes_of(const Arguments& arguments) {
  const auto given = arguments.text("--dtype");
  if (!given) return {"float32", "bfloat16"};
  std::vector<std::string> dtypes;
  for (std::size_t begin = 0; begin <= given->size();) {
    const std::size_t end = std::min(given->find(',', begin), given->size());
    const std::string word = given->substr(begin, end - begin);
    if (!has_peaks(word)) {
      const auto known = fmt::format("give some of {}", fmt::join(kDtypes, ", "));
      throw ArgumentError("--dtype", fmt::format("\"{}\" has no peaks{}", word, suggestion(word, kDtypes, known)));
    }
    if (std::find(dtypes.begin(), dtypes.end(), word) == dtypes.end()) dtypes.push_back(word);
    begin = end + 1;
  }
  return dtypes;
}

std::vector<int64_t> threads_of(const Arguments& arguments, const MachineFacts& facts) {
  std::vector<int64_t> threads = arguments.given("--threads") ? arguments.integers("--threads", 1, 1024)
                                                              : std::vector<int64_t>{1, std::max(1, facts.cores)};
  std::vector<int64_t> once;
  for (const int64_t n : threads)
    if (std::find(once.begin(), once.end(), n) == once.end()) once.push_back(n);
  return once;
}

std::vector<GemmShape> shapes_of(const Arguments& arguments) {
  std::vector<GemmShape> shapes = {square_shape()};
  if (!arguments.given("--shape")) return shapes;
  const auto sizes = arguments.integers("--shape", 1, int64_t{1} << 20);
  if (sizes.size() != 3)
    throw ArgumentError("--shape", fmt::format("needs three sizes, as 512,3072,768, got {}", sizes.size()));
  const GemmShape shape{"given", sizes[0], sizes[1], sizes[2]};
  const int64_t elements = shape.m * shape.k + shape.n * shape.k + shape.m * shape.n;
  if (elements > kMostElements) {
    throw ArgumentError(
        "--shape", fmt::format("its matrices may have {} elements in all, these have {}", kMostElements, elements));
  }
  shapes.push_back(shape);
  return shapes;
}

std::vector<Peaks> measure_all(const Arguments& arguments, const MachineFacts& facts) {
  PeakRequest request;
  const auto threads = threads_of(arguments, facts);
  const auto dtypes = dtypes_of(arguments);
  request.gemm = shapes_of(arguments);
  const double seconds = arguments.number("--seconds", 0).value_or(kSeconds);
  const std::size_t contests = kPasses * threads.size() * dtypes.size() * (2 + request.gemm.size());
  request.contest.budget_ns = static_cast<int64_t>(1e9 * std::min(seconds, 86400.0) / static_cast<double>(contests));

  const WorkingSet far = out_of_cache_set(facts, available_memory_bytes());
  int64_t most = far.bytes;
  for (const int64_t n : threads) most = std::max(most, in_cache_set(facts, n).bytes);
  const ReadMemory memory(most);
  std::vector<Peaks> all;
  ProgressLine progress;
  for (int pass = 0; pass < kPasses; ++pass) {
    std::size_t at = 0;
    for (const int64_t n : threads) {
      for (const std::string& dtype : dtypes) {
        progress.show(fmt::format("[{}/{}] {}, {}", pass + 1, kPasses, counted(n, "thread"), dtype));
        request.threads = n;
        request.dtype = dtype;
        request.read = {in_cache_set(facts, n), far};
        const Peaks peaks = measure_peaks(request, facts, memory, now_ns);
        if (pass == 0) {
          all.push_back(peaks);
        } else {
          all[at] = larger(all[at], peaks);
        }
        ++at;
      }
    }
  }
  return all;
}

std::string optional_bytes(const Fact<int64_t>& fact) {
  return fact.has_value() ? bytes_text(*fact) : std::string("unknown");
}

std::string machine_text(const MachineFacts& facts) {
  return fmt::format("machine  {}, {}, {}\ncaches   L1d {}, L2 {}, L3 {}\nmemory   {}\n",
                     facts.cpu_model.value.value_or("CPU unknown"), facts.architecture, counted(facts.cores, "core"),
                     optional_bytes(facts.l1d_bytes), optional_bytes(facts.l2_bytes), optional_bytes(facts.l3_bytes),
                     optional_bytes(facts.memory_bytes));
}

/// "163.5 LibTorch": a rate in billions, and what reached it.
std::string cell_of(const Rates& rates) {
  const auto best = rates.best();
  if (!best) return right(kNone, 8) + left("", 12);
  const std::string by = best->by == "LibTorch by columns" ? "by columns" : best->by;
  return fmt::format("{:>8.1f} {:<11}", best->per_s / 1e9, by);
}

std::string heading_of(const GemmShape& shape) {
  return shape.m == shape.n && shape.n == shape.k ? fmt::format("{} {}", shape.name, shape.n)
                                                  : fmt::format("{} x {} x {}", shape.m, shape.n, shape.k);
}

void add_line(std::string& text, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  text += line + "\n";
}

std::string table_of(const std::vector<Peaks>& all) {
  const auto head = [](const std::string& words) { return fmt::format("{:<20}", "  " + words); };
  std::string text, names = "threads  dtype   " + head("in cache") + head("out of cache");
  for (const GemmPeak& peak : all.front().gemm) names += head(heading_of(peak.shape));
  add_line(text, fmt::format("{:<17}", "") + fmt::format("{:<40}", "  reads GB/s") + "  multiplies GFLOP/s");
  add_line(text, names);
  for (const Peaks& peaks : all) {
    std::string line = fmt::format("{:>7}  {:<8}", peaks.threads, peaks.dtype);
    for (const ReadPeak& peak : peaks.read) line += cell_of(peak.rates);
    for (const GemmPeak& peak : peaks.gemm) line += cell_of(peak.rates);
    add_line(text, line);
  }
  return text;
}

/// What the columns mean, and whether the caches that are reported leave doubt.
std::string notes_of(const std::vector<Peaks>& all, const MachineFacts& facts) {
  const ReadPeak& far = all.front().read.back();
  std::string text = fmt::format(
      "The best rate of two passes, and the way that reached it. In cache: half of each core's L2. Out of cache: {}",
      bytes_text(far.set.bytes));
  const Fact<int64_t> last = last_level_cache(facts);
  if (!far.out_of_cache) {
    text += "; the machine does not say how large its caches are.";
  } else if (*far.out_of_cache) {
    text += fmt::format(", four times the last-level cache ({}) or more.", optional_bytes(last));
  } else {
    text += fmt::format(
        ", not four times the last-level cache that is reported ({}): some may have come out of it. Virtual machines "
        "report caches that they share with many others.",
        optional_bytes(last));
  }
  std::string lines;
  for (const std::string& line : wrap(text, std::clamp(Console::width(), 80, 120))) lines += line + "\n";
  return lines;
}

ExitCode run_machine(Call& call) {
  const MachineFacts facts = machine_facts();
  const LoadSnapshot before = load_snapshot();
  const std::vector<Peaks> all = measure_all(call.arguments, facts);
  const auto warnings = environment_warnings(build_info(), kAsserts, facts, before);
  for (const std::string& warning : warnings) call.console.warn(warning);
  Json machine = machine_json(facts, before, load_snapshot());
  machine["peaks"] = Json::array();
  for (const Peaks& peaks : all) machine["peaks"].push_back(peaks_json(peaks));
  call.console.document(Json{{"machine", machine}, {"warnings", warnings}});
  call.console.text(machine_text(facts) + "\n" + table_of(all) + "\n" + notes_of(all, facts));
  return ExitCode::ok;
}

}  // namespace

Command machine_command() {
  return {
      "machine",
      "Measure how fast this machine reads and multiplies: the peaks that runs are held against",
      {"Ways take turns, the best round counts: reading by the own kernel's matrix-vector product and by a plain sum;",
       "multiplying by LibTorch, and by LibTorch for some columns in each thread.",
       "JSON: {\"machine\": as in a run's record, \"warnings\": [...]}"},
      {ExitCode::failed},
      declare_machine,
      run_machine};
}

}  // namespace kvproof::cli
