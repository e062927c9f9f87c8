// How fast is it?
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {

std::optional<double> median_of(const View& metrics, const char* name) {
  const View metric = metrics.at(name);
  return metric.is_null() ? std::nullopt : std::optional(metric.at("median").number());
}

std::optional<double> share_of(const View& path, const char* phase, const char* share) {
  if (!path.has("utilization") || path.at("utilization").is_null()) return std::nullopt;
  const View use = path.at("utilization").at(phase);
  return use.is_null() ? std::nullopt : median_of(use, share);
}

std::string rate_text(std::optional<double> rate, std::optional<double> share) {
  if (!rate || !share) return plain_number(rate);
  const std::string percent = *share < 0.005 ? "<1" : fmt::format("{:.0f}", 100 * *share);
  return fmt::format("{} ({} %)", plain_number(rate), percent);
}

std::string interval_of(const View& ratio) {
  const auto low = ratio.at("low").number_or_null(), high = ratio.at("high").number_or_null();
  if (!low || !high) return "";
  std::string from = times(low), to = times(high);
  from.pop_back();
  to.pop_back();
  return fmt::format("[{}, {}]", from, to);
}

std::vector<std::string> faults_of(const View& one) {
  std::vector<std::string> reasons;
  if (one.at("validity").at("verdict").text() == "VALID") return reasons;
  for (const View& reason : one.at("validity").at("reasons").items()) reasons.push_back(shown(reason));
  return reasons;
}

std::string why_unverified(const View& one) {
  // Records of before runs verified have no such field.
  const bool undecided = one.has("verification") && one.at("verification").at("verdict").text() == "INCONCLUSIVE";
  return undecided ? "not verified: with this model a broken cache might not have shown"
                   : "not verified: nobody knows whether the engine's output is right";
}

namespace {

// Five columns: end to end, first token, prefill, decode, positions. On a wide page intervals stand beside their ratio.
constexpr int kLabelWidth = 14;
using Cells = std::array<std::string, 5>;

struct SpeedLayout {
  bool beside;
  std::array<int, 5> widths;
};

SpeedLayout layout_of(const Page& page) {
  if (page.width() >= 100) return {true, {20, 13, 20, 20, 12}};
  return {false, {14, 13, 15, 14, 10}};
}

std::string row(const SpeedLayout& layout, const std::string& label, const Cells& cells) {
  std::string line = left(label, kLabelWidth);
  for (std::size_t i = 0; i < cells.size(); ++i) line += right(cells[i], layout.widths[i]);
  return line;
}

Cells path_cells(const View& path) {
  const View metrics = path.at("metrics");
  return {milliseconds(median_of(metrics, "e2e_ns")), milliseconds(median_of(metrics, "ttft_ns")),
          rate_text(median_of(metrics, "prefill_tok_per_s"), share_of(path, "prefill", "mfu")),
          rate_text(median_of(metrics, "decode_tok_per_s"), share_of(path, "decode", "mbu")),
          std::to_string(path.at("token_forwards").integer())};
}

bool has_shares(const View& one) {
  for (const char* name : {"naive", "engine"}) {
    const View path = one.at("paths").at(name);
    if (share_of(path, "prefill", "mfu") || share_of(path, "decode", "mbu")) return true;
  }
  return false;
}

void write_ratios(const View& one, const SpeedLayout& layout, Page& page) {
  const View speedup = one.at("speedup");
  if (const auto reason = speedup.at("withheld").text_or_null()) {
    const std::string why = visible(*reason);
    const auto faults = faults_of(one);
    const bool below = std::find(faults.begin(), faults.end(), why) != faults.end();
    const std::string text = below ? "withheld" : "withheld: " + why;
    return page.wrapped(left("    speed-up", kLabelWidth) + "  ", text, Ink::bad);
  }
  const char* mark = speedup.at("verified").boolean() ? "" : "?";
  Cells ratios, intervals;
  bool any_interval = false;
  for (const auto& [column, name] : {std::pair{0, "e2e"}, std::pair{2, "prefill"}, std::pair{3, "decode"}}) {
    const View ratio = speedup.at(name);
    if (ratio.is_null()) {
      ratios[column] = kNone;
      continue;
    }
    ratios[column] = times(ratio.at("ratio").number()) + mark;
    intervals[column] = interval_of(ratio);
    any_interval = any_interval || !intervals[column].empty();
    if (layout.beside && !intervals[column].empty()) ratios[column] += " " + intervals[column];
  }
  ratios[4] = times(one.at("work").at("work_ratio").number_or_null());
  page.line(page.painted(row(layout, "    speed-up", ratios), Ink::bold));
  if (!layout.beside && any_interval) page.line(row(layout, "", intervals));
}

std::string heading_of(const View& one) {
  const int64_t repetitions = one.at("settings").at("run").at("repetitions").integer();
  std::vector<std::string> parts = {shape_of(one), counted(repetitions, "repetition")};
  if (const auto bytes = one.at("paths").at("engine").at("kv_cache_bytes").integer_or_null())
    parts.push_back("cache " + bytes_text(bytes));
  if (const auto ceiling = one.at("work").at("ceiling").number_or_null())
    parts.push_back("FLOPs allow " + times(ceiling));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// What the engine's own clock says, where it runs behind the protocol and has one.
void write_own_clock(const View& paths, Page& page) {
  const View metrics = paths.at("engine").at("metrics");
  if (!metrics.has("own_prefill_ns") || metrics.at("own_prefill_ns").is_null()) return;
  std::string text = "prefill " + milliseconds(median_of(metrics, "own_prefill_ns"));
  if (const auto step = median_of(metrics, "own_tpot_ns")) text += ", a decode step " + milliseconds(step);
  if (const auto step = median_of(metrics, "tpot_ns"))
    text += fmt::format("; seen from here, sampling and protocol included, {}", milliseconds(step));
  page.wrapped(left("    own clock", kLabelWidth) + "  ", text, Ink::dim);
}

/// What comes before the repetitions that count: opening, the cold calls, the warm-up.
void write_before(const View& one, Page& page) {
  if (!one.has("phases")) return;  // older records
  const auto cold = [&](const char* path) {
    return milliseconds(static_cast<double>(one.at("paths").at(path).at("first_call").at("e2e_ns").integer()));
  };
  const View phases = one.at("phases");
  page.wrapped(left("    before", kLabelWidth) + "  ",
               fmt::format("load {}, tokenize {}; first call naive {}, engine {}; {} of warm-up",
                           milliseconds(static_cast<double>(phases.at("load_ns").integer())),
                           milliseconds(static_cast<double>(phases.at("tokenize_ns").integer())), cold("naive"),
                           cold("engine"),
                           counted(static_cast<int64_t>(one.at("paths").at("engine").at("warmup").items().size()), "round")),
               Ink::dim);
}

/// The largest share of an engine's decode step that measuring took; absent: no case says.
std::optional<double> own_share(const std::vector<View>& cases) {
  std::optional<double> most;
  for (const View& one : cases) {
    const auto step = median_of(one.at("paths").at("engine").at("metrics"), "tpot_ns");
    if (!one.has("phases") || !step || *step <= 0) continue;
    most = std::max(most.value_or(0), one.at("phases").at("harness_step_ns").number() / *step);
  }
  return most;
}

void write_case(const View& one, const SpeedLayout& layout, Page& page) {
  page.line();
  const std::string id = shown(one.at("id")), heading = heading_of(one);
  if (2 + display_width(id) + 2 + display_width(heading) <= page.width()) {
    page.line("  " + id + "  " + page.painted(heading, Ink::dim));
  } else {
    page.wrapped("  ", id);
    page.wrapped("    ", heading, Ink::dim);
  }
  const View paths = one.at("paths");
  page.line(row(layout, "    naive", path_cells(paths.at("naive"))));
  page.line(row(layout, "    engine", path_cells(paths.at("engine"))));
  write_ratios(one, layout, page);
  write_own_clock(paths, page);
  write_before(one, page);
  if (one.at("speedup").at("withheld").is_null() && !one.at("speedup").at("verified").boolean()) {
    page.wrapped("    ? ", why_unverified(one), Ink::doubtful);
  }
  const auto faults = faults_of(one);
  if (!faults.empty()) page.wrapped("    ", fmt::format("INVALID: {}", fmt::join(faults, "; ")), Ink::bad);
}

std::optional<double> confidence_of(const std::vector<View>& cases) {
  for (const View& one : cases) {
    const View ratio = one.at("speedup").at("e2e");
    if (!ratio.is_null()) return ratio.at("confidence").number();
  }
  return std::nullopt;
}

}  // namespace

void write_speed(const View& record, Page& page) {
  std::vector<View> cases;
  for (const View& one : record.at("cases").items()) {
    if (one.at("status").text() == "ok") cases.push_back(one);
  }
  if (cases.empty()) return;
  const SpeedLayout layout = layout_of(page);
  std::string how = "Medians. speed-up: naive / engine";
  if (const auto confidence = confidence_of(cases))
    how += fmt::format(", in brackets its {:g} % interval (6 repetitions or more)", *confidence * 100);
  how += ". positions: pushed through the model. FLOPs allow: the speed-up if arithmetic were all that took time.";
  if (std::any_of(cases.begin(), cases.end(), has_shares)) {
    how +=
        " (%): share of what this machine reaches at best, multiplying in prefill (mfu), reading weights, keys and "
        "values in decode (mbu).";
  }
  page.line();
  page.line(page.painted("How fast is it?", Ink::bold));
  page.wrapped("", how, Ink::dim);
  page.line();
  page.line(page.painted(row(layout, "", {"whole run", "first token", "prefill tok/s", "decode tok/s", "positions"}),
                         Ink::dim));
  for (const View& one : cases) write_case(one, layout, page);
  if (const auto share = own_share(cases)) {
    page.line();
    page.wrapped("  ", fmt::format("Measuring itself takes {:.2g} % of a decode step at most.", 100 * *share), Ink::dim);
  }
}

}  // namespace kvproof
