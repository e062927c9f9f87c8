#include "harness/report/verification.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"

namespace kvproof {
namespace {

constexpr int kLabel = 14;

Ink ink_of_outcome(const std::string& verdict) {
  return verdict == "PASS" ? Ink::good : verdict == "INCONCLUSIVE" ? Ink::doubtful : Ink::bad;
}

std::string label(const std::string& text) { return "  " + left(text, kLabel); }

void heading(Page& page, const std::string& text) {
  page.line();
  page.line(page.painted(text, Ink::bold));
  page.line();
}

// Beyond int64 too.
std::string seed_of(const View& of) {
  of.at("seed").integer();  // or an error
  return of.at("seed").json().dump();
}

std::string dtype_of(const std::string& scenario) {
  const auto slash = scenario.rfind('/');
  return slash == std::string::npos ? "" : scenario.substr(slash + 1);
}

// --- what was checked ---------------------------------------------------------------------------------------------------

std::string comparison(int64_t failures, int64_t checks) {
  return failures == 0 ? "equal" : fmt::format("DIFFERENT in {} of {} comparisons", failures, checks);
}

void write_model(const View& model, Page& page) {
  if (const View v = model.at("vectors"); !v.is_null()) {
    page.wrapped(label("Python"),
                 fmt::format("{}: logits at {} positions and {} token streams of nanochat's own code, {} generations; "
                             "worst logit {}, {} is allowed",
                             comparison(v.at("failures").integer(), v.at("checks").integer()),
                             v.at("positions").integer(), v.at("streams").integer(), v.at("generations").integer(),
                             small_number(v.at("worst").number_or_null()), small_number(v.at("allowed").number())));
  }
  if (const View o = model.at("oracle"); !o.is_null()) {
    const int64_t failures = o.at("constants").at("failures").integer() + o.at("logits").at("failures").integer();
    page.wrapped(
        label("oracle"),
        fmt::format("{}: {} constants and the logits of {} positions, {} tokens at most; worst {}, {} is allowed",
                    failures == 0 ? "equal" : "DIFFERENT", o.at("constants").at("checks").integer(),
                    o.at("positions").integer(), o.at("tokens").integer(), small_number(o.at("worst").number_or_null()),
                    small_number(o.at("allowed").number_or_null())));
  }
  if (const View o = model.at("against_ours"); !o.is_null()) {
    const View logits = o.at("logits");
    page.wrapped(
        label("model"),
        fmt::format("{}: its uncached logits against our engine's at {} positions, {} tokens at most; worst "
                    "{}, {} is allowed",
                    comparison(logits.at("failures").integer(), logits.at("checks").integer()),
                    o.at("positions").integer(), o.at("tokens").integer(), small_number(o.at("worst").number_or_null()),
                    small_number(o.at("allowed").number_or_null())));
  }
  for (const char* part : {"vectors", "oracle", "against_ours"}) {
    if (model.at(part).is_null()) continue;
    const auto findings = model.at(part).at("findings").items();
    for (std::size_t i = 0; i < std::min<std::size_t>(3, findings.size()); ++i) {
      const bool placed = findings[i].has("operation") && !findings[i].at("operation").is_null();
      page.wrapped(label(""),
                   (placed ? shown(findings[i].at("operation")) + ": " : "") + shown(findings[i].at("message")),
                   Ink::bad);
    }
  }
  if (!model.at("broke_off").is_null()) page.wrapped(label(""), shown(model.at("broke_off")), Ink::bad);
}

struct Sum {
  int64_t checks = 0, failures = 0;
  double worst = 0;
  bool known = true;
};

// Faults err by billions of what is allowed: that many digits would break the column.
std::string ratio_text(double ratio) { return ratio >= 1e6 ? fmt::format("{:.1e}", ratio) : small_number(ratio); }

// Levels down, dtypes across: two of them fill 80 columns.
void write_levels(const View& document, Page& page) {
  std::vector<std::string> dtypes;
  std::map<std::pair<std::string, std::string>, Sum> sums;
  for (const View& outcome : document.at("outcomes").items()) {
    const std::string dtype = dtype_of(outcome.at("name").text());
    if (std::find(dtypes.begin(), dtypes.end(), dtype) == dtypes.end()) dtypes.push_back(dtype);
    for (const auto& [level, tally] : outcome.at("levels").json().items()) {
      Sum& sum = sums[{dtype, level}];
      sum.checks += tally.at("checks").get<int64_t>();
      sum.failures += tally.at("failures").get<int64_t>();
      if (tally.at("worst_ratio").is_null())
        sum.known = false;
      else
        sum.worst = std::max(sum.worst, tally.at("worst_ratio").get<double>());
    }
  }
  std::string head = "  " + left("level", 20);
  for (const std::string& dtype : dtypes) head += right(dtype, 12) + right("failed", 8) + right("worst", 9);
  page.line(page.painted(head, Ink::dim));
  for (const auto& [code, level] : document.at("levels").json().items()) {
    std::string line = "  " + left(code + " " + visible(level.at("name").get<std::string>()), 20);
    bool failed = false;
    for (const std::string& dtype : dtypes) {
      const Sum sum = sums[{dtype, code}];
      failed |= sum.failures > 0;
      line += right(sum.checks == 0 ? kNone : std::to_string(sum.checks), 12) +
              right(sum.checks == 0 ? kNone : std::to_string(sum.failures), 8) +
              right(sum.checks == 0 || !sum.known || sum.worst == 0 ? kNone : ratio_text(sum.worst), 9);
    }
    page.line(page.painted(line, failed ? Ink::bad : Ink::plain));
  }
  page.wrapped("  ", "Checks made; worst: the largest error in units of what is allowed.", Ink::dim);
}

std::string microseconds(int64_t ns) { return fmt::format("{:.1f}", 1e-3 * static_cast<double>(ns)); }

// How two neighbours stand to each other, right order or not. Null: no finite number.
std::string compared(std::optional<double> value, std::optional<double> next) {
  const double a = value.value_or(HUGE_VAL), b = next.value_or(HUGE_VAL);
  return a < b ? "<" : a > b ? ">" : "=";
}

// How far rounding carries the engine, all positions of all cache scenarios together.
void write_metrics(const View& document, Page& page) {
  if (document.at("metrics").at("positions").integer() == 0) return;
  const View m = document.at("metrics");
  page.line();
  const auto number = [&](const char* key) { return small_number(m.at(key).number_or_null()); };
  page.wrapped(label("logits"),
               fmt::format("{} against the reference at {}: max abs {}, NMSE {}, KL mean {}, p99 {}, max {} nats, same "
                           "top-1 {:.4g} %, error per position {}",
                           shown(document.at("subject").at("dtype")), counted(m.at("positions").integer(), "position"),
                           number("max_abs"), number("nmse"), number("kl_mean"), number("kl_p99"), number("kl_max"),
                           100 * m.at("same_top1").number_or_null().value_or(0), number("slope_per_position")));
}

void write_calibration(const View& document, Page& page) {
  const View all = document.at("calibration");
  for (const auto& [dtype, unused] : all.json().items()) {
    const View c = all.at(dtype);
    const std::string unit = c.at("unit").text() == "R" ? "R " : "";
    const auto benign = c.at("worst_benign").number_or_null(), gate = c.at("gate").number_or_null();
    std::string line = fmt::format("worst harmless change {}{} {} gate {}{}", unit, small_number(benign),
                                   compared(benign, gate), unit, small_number(gate));
    if (c.at("smallest_negative_name").is_null()) {
      line += "; no harm was tried";
    } else {
      const auto harm = c.at("smallest_negative").number_or_null();
      line += fmt::format(" {} smallest harm {}{} ({})", compared(gate, harm), unit, small_number(harm),
                          shown(c.at("smallest_negative_name")));
    }
    page.wrapped(label(dtype), line);
    for (const View& doubt : c.at("doubts").items()) page.wrapped(label(""), shown(doubt), Ink::doubtful);
  }
}

std::string where(const View& d) {
  std::vector<std::string> parts;
  const auto add = [&](const char* key, const std::string& name) {
    if (const auto value = d.at(key).integer_or_null()) parts.push_back(fmt::format("{} {}", name, *value));
  };
  if (!d.at("operation").is_null()) {
    const auto step = d.at("step").integer_or_null();
    parts.push_back(shown(d.at("operation")) + (step ? fmt::format(" (step {})", *step) : ""));
  }
  add("row", "row");
  add("layer", "layer");
  if (!d.at("stage").is_null()) parts.push_back("stage " + shown(d.at("stage")));
  if (!d.at("tensor").is_null()) parts.push_back(shown(d.at("tensor")));
  add("head", "head");
  add("position", "position");
  return fmt::format("{}", fmt::join(parts, ", "));
}

void write_divergence(const View& d, const std::string& title, const View& failures, const View& document, Page& page) {
  heading(page, title);
  page.wrapped(label("scenario"), fmt::format("{}, seed {}", shown(d.at("scenario")), seed_of(d)));
  page.wrapped(label("where"), where(d));
  page.wrapped(label("what"), shown(d.at("message")));
  page.wrapped(label("suspect"), shown(d.at("suspect")) + ": " + shown(d.at("hint")), Ink::bold);
  if (!d.at("evidence").is_null() && !d.at("evidence").text().empty())
    page.wrapped(label("evidence"), shown(d.at("evidence")));
  if (document.has("reproduce") && !document.at("reproduce").is_null() &&
      document.at("first_divergence").at("scenario").text() == d.at("scenario").text())
    page.line(label("again") + visible(document.at("reproduce").text()));  // whole: it is to be copied
  std::vector<std::string> failed;
  for (const View& name : failures.at("scenarios").items()) {
    if (failed.size() == 8) break;
    failed.push_back(shown(name));
  }
  const int64_t count = failures.at("failures").integer();
  if (count > 8) failed.push_back("…");
  page.wrapped(label("failed"), fmt::format("{} of {} scenarios: {}", count, document.at("scenarios").integer(),
                                            fmt::join(failed, ", ")));
}

void write_divergences(const View& document, Page& page) {
  const View latent = document.at("latent");
  if (document.at("in_use").at("failures").integer() > 0)
    write_divergence(document.at("first_divergence"),
                     latent.at("failures").integer() > 0 ? "First divergence, in use" : "First divergence",
                     document.at("in_use"), document, page);
  const bool alike =
      document.at("in_use").at("failures").integer() > 0 && !latent.at("first_divergence").is_null() &&
      latent.at("first_divergence").at("suspect").text() == document.at("first_divergence").at("suspect").text();
  if (alike)
    page.wrapped(label("latent"), fmt::format("of what its own generate never reaches, {} failed likewise",
                                              counted(latent.at("failures").integer(), "scenario")));
  else if (!latent.at("first_divergence").is_null())
    write_divergence(latent.at("first_divergence"), "Latent: not reached by the subject's own generate", latent,
                     document, page);
}

void write_protocol(const View& document, Page& page) {
  if (!document.has("protocol") || document.at("protocol").is_null()) return;
  const View p = document.at("protocol");
  std::string line;
  if (const auto call = p.at("call_ns").integer_or_null()) {
    line = fmt::format("{} us a call, {} us with a row of logits ({} bytes)", microseconds(*call),
                       microseconds(*p.at("step_ns").integer_or_null()), p.at("payload_bytes").integer());
    if (const auto decode = p.at("decode_ns").integer_or_null())
      line += fmt::format("; {} us of a decode step are not in its own clock", microseconds(*decode));
  } else {
    line = "its cost is unknown: " + (p.at("error").is_null() ? "no ping was answered" : shown(p.at("error")));
  }
  if (const int64_t restarts = p.at("restarts").integer(); restarts > 0)
    line += fmt::format("; a new child had to be started {}", counted(restarts, "time"));
  page.wrapped(label("protocol"), line, p.at("restarts").integer() > 0 ? Ink::doubtful : Ink::plain);
}

}  // namespace

std::string render_verification(const Json& json, bool colour, int width) {
  const View document(json);
  Page page(colour, std::max(width, 80));
  const View subject = document.at("subject");
  const bool named = document.has("checkpoint") && !document.at("checkpoint").is_null();
  const std::string name = named ? shown(document.at("checkpoint")) : shown(subject.at("name"));
  page.line(page.painted("kvproof verify " + name, Ink::bold));
  page.line();
  page.wrapped(label("subject"),
               fmt::format("{}, {}, {}, {}; {}, seed {}", shown(subject.at("name")), shown(subject.at("dtype")),
                           shown(subject.at("device")), threads_text(subject.at("threads").integer()),
                           shown(document.at("depth")), seed_of(document)));
  write_protocol(document, page);
  write_model(document.at("model"), page);
  page.wrapped(label("cache"), fmt::format("{}, up to {}", counted(document.at("scenarios").integer(), "scenario"),
                                           counted(document.at("longest_sequence").integer(), "position")));
  page.line();
  write_levels(document, page);
  write_metrics(document, page);
  if (!document.at("calibration").json().empty()) {
    heading(page, "Could it have failed?");
    write_calibration(document, page);
  }
  if (const auto parts = document.at("not_covered").items(); !parts.empty()) {
    heading(page, "Not covered");
    for (const View& part : parts) page.wrapped("  - ", shown(part));
  }
  write_divergences(document, page);
  page.line();
  const std::string verdict = shown(document.at("verdict"));
  page.wrapped(verdict + ": ", shown(document.at("explanation")), Ink::plain, ink_of_outcome(verdict));
  return page.text();
}

std::string render_faults(const Json& json, bool colour, int width) {
  const View document(json);
  Page page(colour, std::max(width, 80));
  std::string of_class;
  for (const View& fault : document.at("faults").items()) {
    if (fault.at("class").text() != of_class) {
      if (!of_class.empty()) page.line();
      of_class = fault.at("class").text();
      page.line(page.painted(shown(fault.at("class")), Ink::bold));
    }
    const bool applicable = fault.at("applicable").boolean();
    page.wrapped("  " + left(shown(fault.at("name")), 40) + "  ",
                 shown(fault.at("summary")) + (applicable ? "" : "; not applicable: " + shown(fault.at("reason"))),
                 applicable ? Ink::plain : Ink::dim);
  }
  return page.text();
}

std::string render_self_test(const Json& json, bool colour, int width) {
  const View document(json);
  Page page(colour, std::max(width, 80));
  page.line(page.painted("kvproof verify --self-test", Ink::bold));
  page.line();
  page.line(
      page.painted("  " + left("fault", 42) + left("killed by", 20) + left("cheapest", 10) + "localised as", Ink::dim));
  for (const View& row : document.at("matrix").items()) {
    std::vector<std::string> levels;
    for (const View& level : row.at("levels").items()) levels.push_back(shown(level));
    const bool killed = row.at("killed").boolean(), localised = row.at("localised").boolean();
    const std::string suspect = row.at("suspect").is_null() ? kNone : shown(row.at("suspect"));
    page.line(page.painted("  " + left(shown(row.at("name")), 42) +
                               left(killed ? fmt::format("{}", fmt::join(levels, " ")) : "SURVIVED", 20) +
                               left(row.at("cheapest").is_null() ? kNone : shown(row.at("cheapest")), 10) + suspect +
                               (localised ? "" : "  WRONG PLACE"),
                           !killed     ? Ink::bad
                           : localised ? Ink::plain
                                       : Ink::doubtful));
  }
  page.line();
  page.wrapped("  ", fmt::format("{} faults: {} killed, {} localised. {} harmless runs: {} false alarms.",
                                 document.at("faults").integer(), document.at("killed").integer(),
                                 document.at("localised").integer(), document.at("benign_runs").integer(),
                                 document.at("false_alarms").integer()));
  for (const View& alarm : document.at("alarms").items()) page.wrapped("  - ", shown(alarm), Ink::bad);
  const bool passed = document.at("passed").boolean();
  page.line(page.painted(passed ? "PASS" : "FAIL", passed ? Ink::good : Ink::bad));
  return page.text();
}

}  // namespace kvproof
