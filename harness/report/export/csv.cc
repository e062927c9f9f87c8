#include "harness/report/export/csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "harness/analysis/crossover.h"
#include "harness/record/machines.h"
#include "harness/record/view.h"
#include "harness/report/export/escape.h"

namespace kvproof {
namespace {

// Where a column's field lies: in the record itself, in the machine that the case ran on, in the checkpoint of its name, in
// the case, in a case that ran, in one of its paths; in what was found out about its growth, all of it or the path's.
enum class In { record, machine, checkpoint, one_case, case_that_ran, path, growth, growth_of_path };
enum class Kind { text, number, boolean, texts, count };  // count: how many a list has

struct Column {
  std::string name;
  In in;
  Kind kind;
  std::string field;  // keys with '/' between them; '?' behind one that older records, or some cases, lack
};

const std::vector<Column> kRunAndCase = {
    {"started", In::record, Kind::text, "started"},
    {"commit", In::record, Kind::text, "kvproof/commit"},
    {"dirty", In::record, Kind::boolean, "kvproof/dirty"},
    {"kvproof_version", In::record, Kind::text, "kvproof/version"},
    {"build_type", In::record, Kind::text, "kvproof/build_type"},
    {"compiler", In::record, Kind::text, "kvproof/compiler"},
    {"compiler_flags", In::record, Kind::text, "kvproof/compiler_flags"},
    {"sanitizers", In::record, Kind::text, "kvproof/sanitizers"},
    {"torch_version", In::record, Kind::text, "kvproof/torch_version"},
    {"machine_fingerprint", In::machine, Kind::text, "fingerprint"},
    {"cpu_model", In::machine, Kind::text, "cpu_model"},
    {"cores", In::machine, Kind::number, "cores"},
    {"config_file", In::record, Kind::text, "config/file"},
    {"config_hash", In::record, Kind::text, "config/hash"},
    {"exit_code", In::record, Kind::number, "exit_code"},
    {"partial", In::record, Kind::boolean, "partial?"},
    {"sessions", In::record, Kind::count, "sessions?"},
    {"checkpoint", In::one_case, Kind::text, "checkpoint"},
    {"checkpoint_step", In::checkpoint, Kind::number, "step"},
    {"checkpoint_xxh128", In::checkpoint, Kind::text, "xxh128"},
    {"generation", In::checkpoint, Kind::text, "generation"},
    {"parameters", In::checkpoint, Kind::number, "parameters"},
    {"case", In::one_case, Kind::text, "id"},
    {"path", In::path, Kind::text, ""},  // "naive" or "engine"; no field: the name of the path itself
    {"status", In::one_case, Kind::text, "status"},
    {"error_kind", In::one_case, Kind::text, "error?/kind"},
    {"error_place", In::one_case, Kind::text, "error?/place"},
    {"error_message", In::one_case, Kind::text, "error?/message"},
    {"prompt", In::case_that_ran, Kind::text, "prompt/name"},
    {"prompt_kind", In::case_that_ran, Kind::text, "prompt/kind"},
    {"prompt_tokens", In::case_that_ran, Kind::number, "shape/P"},
    {"depth_tokens", In::case_that_ran, Kind::number, "shape/depth?"},
    {"generated_tokens", In::case_that_ran, Kind::number, "shape/N"},
    {"rows", In::case_that_ran, Kind::number, "shape/rows"},
    {"backend", In::case_that_ran, Kind::text, "settings/run/backend"},
    {"dtype", In::case_that_ran, Kind::text, "settings/run/dtype"},
    {"device", In::case_that_ran, Kind::text, "settings/run/device"},
    {"threads", In::case_that_ran, Kind::number, "settings/run/threads"},
    {"repetitions", In::case_that_ran, Kind::number, "settings/run/repetitions"},
    {"temperature", In::case_that_ran, Kind::number, "settings/sampler/temperature"},
    {"top_k", In::case_that_ran, Kind::number, "settings/sampler/top_k"},
    {"seed", In::case_that_ran, Kind::number, "settings/sampler/seed"},
    {"max_tokens", In::case_that_ran, Kind::number, "settings/sampler/max_tokens"},
    {"num_samples", In::case_that_ran, Kind::number, "settings/sampler/num_samples"},
    {"stop", In::case_that_ran, Kind::boolean, "settings/sampler/stop"},
    {"sampler_mode", In::case_that_ran, Kind::text, "settings/sampler/mode"},
    {"tools", In::case_that_ran, Kind::boolean, "settings/sampler/tools"},
    {"naive_logits", In::case_that_ran, Kind::text, "settings/naive/logits"},
    {"agreement", In::case_that_ran, Kind::text, "agreement/verdict"},
    {"agreement_explanation", In::case_that_ran, Kind::text, "agreement/explanation"},
    {"identical_rows", In::case_that_ran, Kind::number, "agreement/tokens/identical_rows"},
    {"logits_max_abs", In::case_that_ran, Kind::number, "agreement/logits/max_abs"},
    {"verification", In::case_that_ran, Kind::text, "verification?/verdict"},
    {"validity", In::case_that_ran, Kind::text, "validity/verdict"},
    {"validity_reasons", In::case_that_ran, Kind::texts, "validity/reasons"},
    {"speedup_withheld", In::case_that_ran, Kind::text, "speedup/withheld"},
    {"speedup_verified", In::case_that_ran, Kind::boolean, "speedup/verified"},
};

const std::vector<Column> kWork = {
    {"work_ratio", In::case_that_ran, Kind::number, "work/work_ratio"},
    {"ceiling", In::case_that_ran, Kind::number, "work/ceiling"},
    {"of_ceiling", In::growth, Kind::number, "of_ceiling"},
    {"break_even_tokens", In::growth, Kind::number, "break_even_tokens"},
    {"weight_bytes_stored", In::case_that_ran, Kind::number, "work/weight_bytes_stored?"},
    {"kv_bytes_per_token", In::case_that_ran, Kind::number, "work/kv_bytes_per_token"},
    {"token_forwards", In::path, Kind::number, "token_forwards"},
    {"kv_cache_bytes", In::path, Kind::number, "kv_cache_bytes"},
    {"peak_rss_bytes", In::path, Kind::number, "peak_rss_bytes"},
    {"samples", In::path, Kind::number, "metrics/e2e_ns/n"},
    {"first_call_ns", In::path, Kind::number, "first_call/e2e_ns"},
};

const std::vector<Column> kUse = {
    {"weight_bytes_read", In::path, Kind::number, "utilization?/decode/weight_bytes_read"},
    {"kv_bytes_read", In::path, Kind::number, "utilization?/decode/kv_bytes_read"},
    {"peak_bytes_per_s", In::path, Kind::number, "utilization?/decode/peak_bytes_per_s"},
    {"prefill_flops", In::path, Kind::number, "utilization?/prefill/flops"},
    {"peak_flops_per_s", In::path, Kind::number, "utilization?/prefill/peak_flops_per_s"},
};

void add_statistics(std::vector<Column>& list, const std::string& metric, const std::string& field) {
  for (const char* which : {"median", "min", "max"})
    list.push_back({fmt::format("{}_{}", metric, which), In::path, Kind::number, fmt::format("{}/{}", field, which)});
}

std::vector<Column> made_columns() {
  std::vector<Column> list = kRunAndCase;
  for (const char* phase : {"e2e", "prefill", "decode"}) {
    for (const auto& [end, key] : {std::pair{"", "ratio"}, std::pair{"_low", "low"}, std::pair{"_high", "high"}})
      list.push_back({fmt::format("speedup_{}{}", phase, end), In::case_that_ran, Kind::number,
                      fmt::format("speedup/{}/{}", phase, key)});
  }
  list.insert(list.end(), kWork.begin(), kWork.end());
  for (const char* metric : {"e2e_ns", "ttft_ns", "prefill_ns", "tpot_ns", "prefill_tok_per_s", "decode_tok_per_s",
                             "decode_tok_per_s_without_sampling", "output_tok_per_s"})
    add_statistics(list, metric, fmt::format("metrics/{}", metric));
  for (const char* metric : {"own_prefill_ns", "own_tpot_ns"})
    add_statistics(list, metric, fmt::format("metrics/{}?", metric));
  for (const char* percentile : {"p50", "p90", "p95", "p99"})
    list.push_back(
        {fmt::format("itl_ns_{}", percentile), In::path, Kind::number, fmt::format("metrics/itl_ns/{}", percentile)});
  for (const char* figure : {"step_ns_at_zero", "step_ns_per_token", "growth_exponent"})
    list.push_back({figure, In::growth_of_path, Kind::number, figure});
  add_statistics(list, "mfu", "utilization?/prefill/mfu");
  add_statistics(list, "mbu", "utilization?/decode/mbu");
  list.insert(list.end(), kUse.begin(), kUse.end());
  return list;
}

const std::vector<Column>& columns() {
  static const std::vector<Column> all = made_columns();
  return all;
}

/// The value that stands there; absent where it, or something on the way to it, is null or may be missing and is.
std::optional<View> value_at(View view, std::string_view field) {
  while (!field.empty()) {
    std::string_view key = field.substr(0, field.find('/'));
    field.remove_prefix(std::min(key.size() + 1, field.size()));
    const bool may_lack = key.ends_with('?');
    if (may_lack) key.remove_suffix(1);
    if (view.is_null() || (may_lack && !view.has(std::string(key)))) return std::nullopt;
    view = view.at(std::string(key));
  }
  return view.is_null() ? std::nullopt : std::optional(view);
}

std::string cell_of(const View& value, Kind kind) {
  if (kind == Kind::boolean) return value.boolean() ? "true" : "false";
  if (kind == Kind::text) return csv_text(value.text());
  if (kind == Kind::number) {
    value.number();  // or it throws
    return value.json().dump();
  }
  if (kind == Kind::count) return std::to_string(value.items().size());
  std::string joined;
  for (const View& item : value.items()) joined += (joined.empty() ? "" : "; ") + item.text();
  return csv_text(joined);
}

struct Row {
  View record, one_case;
  std::optional<View> checkpoint;
  const char* path;     // null: the case failed
  const Json& figures;  // of its growth; null then, too
};

std::optional<View> base_of(const Row& row, In in) {
  if (in == In::record) return row.record;
  if (in == In::machine) return machine_of(row.record, row.one_case);
  if (in == In::one_case) return row.one_case;
  if (in == In::checkpoint) return row.checkpoint;
  if (row.path == nullptr) return std::nullopt;
  if (in == In::growth) return View(row.figures);
  if (in == In::growth_of_path) return View(row.figures).at(row.path);
  return in == In::path ? row.one_case.at("paths").at(row.path) : row.one_case;
}

std::string line_of(const Row& row) {
  std::string line;
  for (const Column& column : columns()) {
    if (&column != &columns().front()) line += ',';
    const auto base = base_of(row, column.in);
    if (!base) continue;
    if (column.field.empty()) {
      line += row.path;
    } else if (const auto value = value_at(*base, column.field)) {
      line += cell_of(*value, column.kind);
    }
  }
  return line + "\r\n";
}

std::optional<View> checkpoint_of(const View& record, const View& one_case) {
  for (const View& checkpoint : record.at("checkpoints").items())
    if (checkpoint.at("name").text() == one_case.at("checkpoint").text()) return checkpoint;
  return std::nullopt;  // one that could not be loaded
}

}  // namespace

std::vector<std::string> csv_columns() {
  std::vector<std::string> names;
  for (const Column& column : columns()) names.push_back(column.name);
  return names;
}

std::string render_csv(const Json& record) {
  const View view(record);
  std::string text = fmt::format("{}\r\n", fmt::join(csv_columns(), ","));
  for (const View& one : view.at("cases").items()) {
    const auto checkpoint = checkpoint_of(view, one);
    if (one.at("status").text() != "ok") {
      text += line_of({view, one, checkpoint, nullptr, Json()});
      continue;
    }
    const Json figures = figures_of(crossover(one));
    for (const char* path : {"naive", "engine"}) text += line_of({view, one, checkpoint, path, figures});
  }
  return text;
}

}  // namespace kvproof
