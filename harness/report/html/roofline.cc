// Where prefill and decode of both paths stand under the roofs that the machine's peaks make.
#include <algorithm>
#include <optional>
#include <vector>

#include "harness/record/machines.h"
#include "harness/report/html/plot_data.h"
#include "harness/analysis/step_curve.h"
#include "harness/report/page.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

std::optional<double> element_bytes(const std::string& dtype) {
  if (dtype == "float64") return 8;
  if (dtype == "float32") return 4;
  if (dtype == "bfloat16" || dtype == "float16") return 2;
  return std::nullopt;
}

/// Of a path's `utilization`: absent where that, or the phase, is null.
std::optional<View> use_of(const View& path, const char* phase) {
  if (!path.has("utilization") || path.at("utilization").is_null()) return std::nullopt;
  const View use = path.at("utilization").at(phase);
  return use.is_null() ? std::nullopt : std::optional(use);
}

/// Query heads for each head of keys and values; absent: the checkpoint's dimensions are not in the record.
std::optional<double> heads_per_kv_head(const View& record, const View& one) {
  for (const View& checkpoint : record.at("checkpoints").items()) {
    if (checkpoint.at("name").text() != one.at("checkpoint").text()) continue;
    const View dims = checkpoint.at("dims");
    if (dims.is_null() || !dims.has("n_head") || !dims.has("n_kv_head")) return std::nullopt;
    const double kv_heads = dims.at("n_kv_head").number();
    if (kv_heads <= 0) return std::nullopt;
    return dims.at("n_head").number() / kv_heads;
  }
  return std::nullopt;
}

std::size_t decode_steps(const View& path) {
  const auto samples = path.at("samples").items();
  return samples.empty() ? 0 : samples.front().at("itl_ns").items().size();
}

/// FLOPs of one decode step of the engine, a mean: two for each weight and row, and for each number of the cache two for
/// each query head that sees it. The bytes read say how many of both there are.
std::optional<double> engine_step_flops(const View& record, const View& one) {
  const View path = one.at("paths").at("engine");
  const auto use = use_of(path, "decode");
  const auto bytes = element_bytes(one.at("settings").at("run").at("dtype").text());
  const auto heads = heads_per_kv_head(record, one);
  const auto steps = static_cast<double>(decode_steps(path));
  if (!use || !bytes || !heads || steps == 0) return std::nullopt;
  const auto decoded = path.at("token_forwards").number() - one.at("shape").at("P").number();
  const double rows = std::max(1.0, decoded / steps);
  return 2 * (rows * use->at("weight_bytes_read").number() + *heads * use->at("kv_bytes_read").number()) / *bytes;
}

/// The same of naive: `ceiling` says how many times the engine's FLOPs it computes over the whole run.
std::optional<double> naive_step_flops(const View& one, double engine_step) {
  const View paths = one.at("paths");
  const auto ceiling = one.at("work").at("ceiling").number_or_null();
  const auto naive = use_of(paths.at("naive"), "prefill"), engine = use_of(paths.at("engine"), "prefill");
  const auto naive_steps = static_cast<double>(decode_steps(paths.at("naive"))),
             engine_steps = static_cast<double>(decode_steps(paths.at("engine")));
  if (!ceiling || !naive || !engine || naive_steps == 0) return std::nullopt;
  const double all = *ceiling * (engine->at("flops").number() + engine_steps * engine_step);
  const double decode = all - naive->at("flops").number();
  if (decode <= 0) return std::nullopt;
  return decode / naive_steps;
}

Json point(const char* path, const char* phase, double flops, double bytes, double flops_per_s, const View& share) {
  return {{"path", path},
          {"phase", phase},
          {"intensity", flops / bytes},
          {"flops_per_s", flops_per_s},
          {"share", share.is_null() ? Json(nullptr) : Json(share.at("median").number())}};
}

/// Of a prompt behind tokens that are in the cache the engine reads these tokens' keys and values as well.
void add_prefill(const View& one, const char* name, Json& points) {
  const auto use = use_of(one.at("paths").at(name), "prefill");
  const View work = one.at("work");
  const auto weights = work.at("weight_bytes_read").number_or_null(),
             kv = work.at("kv_bytes_per_token").number_or_null();
  if (!use || !weights || *weights <= 0) return;
  const bool cached = name == std::string("engine");
  const double bytes = *weights + (cached ? static_cast<double>(depth_of(one)) * kv.value_or(0) : 0);
  points.push_back(point(name, "prefill", use->at("flops").number(), bytes,
                         use->at("flops_per_s").at("median").number(), use->at("mfu")));
}

void add_decode(const View& one, const char* name, std::optional<double> flops, Json& points) {
  const auto use = use_of(one.at("paths").at(name), "decode");
  if (!use || !flops) return;
  const double bytes = use->at("weight_bytes_read").number() + use->at("kv_bytes_read").number();
  if (bytes <= 0) return;
  points.push_back(point(name, "decode", *flops, bytes, *flops / bytes * use->at("bytes_per_s").at("median").number(),
                         use->at("mbu")));
}

/// The machine's entry for the case's threads and dtype.
std::optional<View> peaks_of(const View& record, const View& one) {
  const View machine = machine_of(record, one), run = one.at("settings").at("run");
  if (!machine.has("peaks")) return std::nullopt;  // before they were measured
  for (const View& peaks : machine.at("peaks").items()) {
    if (peaks.at("threads").integer() == run.at("threads").integer() &&
        peaks.at("dtype").text() == run.at("dtype").text())
      return peaks;
  }
  return std::nullopt;
}

std::optional<double> fastest_gemm(const View& peaks) {
  std::optional<double> most;
  for (const View& gemm : peaks.at("gemm").items()) {
    const auto rate = gemm.at("flops_per_s").number_or_null();
    if (rate && (!most || *rate > *most)) most = rate;
  }
  return most;
}

Json reads_of(const View& peaks) {
  Json reads = Json::array();
  for (const View& read : peaks.at("read").items()) {
    const auto rate = read.at("bytes_per_s").number_or_null();
    if (rate && *rate > 0) reads.push_back({{"name", shown(read.at("working_set"))}, {"bytes_per_s", *rate}});
  }
  return reads;
}

}  // namespace

Json roofline(const View& record, const View& one) {
  const auto peaks = peaks_of(record, one);
  if (!peaks) return no_plot("The machine's peaks were not measured for this case.");
  const auto most = fastest_gemm(*peaks);
  const Json reads = reads_of(*peaks);
  if (!most || reads.empty()) return no_plot("The machine's peaks could not be measured.");
  const auto engine_step = engine_step_flops(record, one);
  Json points = Json::array();
  for (const char* path : {"naive", "engine"}) add_prefill(one, path, points);
  if (engine_step) {
    add_decode(one, "naive", naive_step_flops(one, *engine_step), points);
    add_decode(one, "engine", engine_step, points);
  }
  if (points.empty()) return no_plot("The FLOPs and bytes of this model are not known here.");
  return {{"points", points}, {"flops_per_s", *most}, {"reads", reads}};
}

}  // namespace kvproof
