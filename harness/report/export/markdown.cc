#include "harness/report/export/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "harness/analysis/crossover.h"
#include "harness/record/machines.h"
#include "harness/record/view.h"
#include "harness/report/export/escape.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

bool ran(const View& one) { return one.at("status").text() == "ok"; }

// --- the verdict

std::string verdict_line(const View& record) {
  const std::string counts = validity_tally(record);
  const std::string measured = counts.empty() ? "" : fmt::format(" Measurements: {}.", counts);
  return fmt::format("**kvproof: {}{}**\n", markdown_prose(closing_text(record)), measured);
}

// --- the table

constexpr const char* kTableHead =
    "| case | shape | agreement | verification | | whole run | first token | per token | prefill tok/s (mfu) | "
    "decode tok/s (mbu) |\n"
    "|---|---|---|---|---|--:|--:|--:|--:|--:|\n";

/// A bad word in bold.
std::string verdict_cell(const std::string& verdict) {
  if (verdict.empty()) return kNone;
  const bool bad = verdict == "DISAGREE" || verdict == "FAILED" || verdict == "INTERRUPTED" || verdict == "FAIL";
  const std::string text = markdown_prose(verdict);
  return bad ? "**" + text + "**" : text;
}

/// "6.66x [6.63, 6.70]", with a question mark where nobody checked the output; "–" where there is none.
std::string ratio_text(const View& speedup, const char* phase) {
  const View ratio = speedup.at(phase);
  if (ratio.is_null()) return kNone;
  const std::string interval = interval_of(ratio);
  return times(ratio.at("ratio").number()) + (speedup.at("verified").boolean() ? "" : "?") +
         (interval.empty() ? "" : " " + interval);
}

/// The figures of both paths, and below them the speed-up where this figure has one.
struct Figures {
  std::string naive, engine, speedup;

  std::string cell() const { return naive + "<br>" + engine + (speedup.empty() ? "" : "<br>" + speedup); }
};

std::string row_of(const View& one) {
  const std::string verdict = verdict_of(one);
  if (!ran(one))
    return fmt::format("| {} | {} | {} | {} | | | | | | |\n", markdown_code(one.at("id").text()), kNone,
                       verdict_cell(verdict), kNone);
  const View paths = one.at("paths"), naive = paths.at("naive"), engine = paths.at("engine");
  const View speedup = one.at("speedup");
  const bool withheld = !speedup.at("withheld").text_or_null().value_or("").empty();
  const auto time = [&](const char* metric, const char* phase) {
    return Figures{milliseconds(median_of(naive.at("metrics"), metric)),
                   milliseconds(median_of(engine.at("metrics"), metric)),
                   phase == nullptr || withheld ? "" : ratio_text(speedup, phase)}
        .cell();
  };
  const auto rate = [&](const char* phase, const char* share) {
    const std::string metric = fmt::format("{}_tok_per_s", phase);
    const auto text = [&](const View& path) {
      return rate_text(median_of(path.at("metrics"), metric.c_str()), share_of(path, phase, share));
    };
    return Figures{text(naive), text(engine), withheld ? "" : ratio_text(speedup, phase)}.cell();
  };
  std::string validity;
  if (!faults_of(one).empty()) validity = "<br>**INVALID**";
  return fmt::format("| {} | {} | {}{} | {} | naive<br>engine<br>speed-up{} | {} | {} | {} | {} | {} |\n",
                     markdown_code(one.at("id").text()), markdown_prose(shape_of(one)), verdict_cell(verdict), validity,
                     verdict_cell(verification_of(one)), withheld ? " withheld" : "", time("e2e_ns", "e2e"),
                     time("ttft_ns", nullptr), time("tpot_ns", nullptr), rate("prefill", "mfu"), rate("decode", "mbu"));
}

constexpr const char* kLegend =
    "pp6 tg64 x4: 6 prompt tokens, 64 generated, in 4 rows; @ d512: behind 512 tokens that the engine has in its cache "
    "when the clock starts. Medians. speed-up: naive / engine, in brackets its interval (6 repetitions or more). (%): "
    "share of what this machine reaches at best.\n";

std::string table_of(const View& record) {
  std::string text = kTableHead;
  for (const View& one : record.at("cases").items()) text += row_of(one);
  return text + "\n" + kLegend;
}

// --- growth

constexpr const char* kGrowthHead =
    "\n### How does the time of a token grow?\n\n"
    "| case | tokens before it | | fitted at 0 tokens | each token more | grows with power | engine ahead from | "
    "of the speed-up that FLOPs allow |\n"
    "|---|---|---|--:|--:|--:|--:|--:|\n";
constexpr const char* kGrowthLegend =
    "\nA robust line (Theil and Sen) through the medians of all decode steps, all rows together, over the tokens "
    "before the one that a step computes: its value at 0, its slope; power: a, where time ~ tokens^a. Engine ahead "
    "from: the generated token from which on the engine has taken less time in all, its prefill included.\n";

/// With a question mark where nobody checked the output.
std::string doubted(const View& one, const std::string& text) {
  return one.at("speedup").at("verified").boolean() ? text : text + "?";
}

std::string share_text(const View& one, const Crossover& cross) {
  return cross.of_ceiling ? doubted(one, fmt::format("{:.0f} %", 100 * *cross.of_ceiling)) : kNone;
}

std::string ahead_text(const View& one, const Crossover& cross) {
  if (cross.withheld) return "withheld";
  return cross.break_even ? doubted(one, fmt::format("token {}", *cross.break_even)) : "not within the case";
}

std::string growth_row(const View& one, const Crossover& cross) {
  const auto both = [&](const auto& text) { return text(*cross.naive) + "<br>" + text(*cross.engine); };
  return fmt::format(
      "| {} | {:.0f} … {:.0f} | naive<br>engine | {} | {} | {} | {} | {} |\n", markdown_code(one.at("id").text()),
      cross.naive_steps.depth.front(), cross.naive_steps.depth.back(),
      both([](const Growth& growth) { return milliseconds(growth.line.intercept); }),
      both([](const Growth& growth) { return plain_number(growth.line.slope / 1e3) + " µs"; }),
      both([](const Growth& growth) { return growth.exponent ? fmt::format("{:.2f}", *growth.exponent) : kNone; }),
      ahead_text(one, cross), share_text(one, cross));
}

/// Of the cases that have a curve; nothing without any.
std::string growth_of(const View& record) {
  std::string rows;
  for (const View& one : record.at("cases").items()) {
    if (!ran(one)) continue;
    const Crossover cross = crossover(one);
    if (cross.has_curve()) rows += growth_row(one, cross);
  }
  return rows.empty() ? "" : kGrowthHead + rows + kGrowthLegend;
}

// --- lists

/// A heading and an entry for each text; nothing without any.
std::string list_of(const char* heading, const std::vector<std::string>& entries) {
  if (entries.empty()) return "";
  std::string text = fmt::format("\n### {}\n\n", heading);
  for (const std::string& entry : entries) text += "- " + entry + "\n";
  return text;
}

std::string place_of(const View& agreement) {
  if (agreement.at("tokens").is_null() || agreement.at("tokens").at("first_divergence").is_null()) return "";
  const View first = agreement.at("tokens").at("first_divergence");
  const auto token = [&](const char* key) {
    const auto id = first.at(key).integer_or_null();
    return id ? fmt::format("token {}", *id) : std::string("has ended");
  };
  return fmt::format(" First divergence: row {}, step {}; naive: {}, engine: {}.", first.at("row").integer(),
                     first.at("step").integer(), token("naive_token"), token("engine_token"));
}

std::vector<std::string> failures_of_cases(const View& record) {
  std::vector<std::string> entries;
  for (const View& one : record.at("cases").items()) {
    const std::string id = markdown_code(one.at("id").text());
    if (!ran(one)) {
      entries.push_back(fmt::format("**{}** {}: {}", verdict_of(one), id, markdown_prose(error_text(one.at("error")))));
      continue;
    }
    const View agreement = one.at("agreement");
    if (agreement.at("verdict").text() == "DISAGREE")
      entries.push_back(fmt::format("**DISAGREE** {}: {}.{}", id, markdown_prose(shown(agreement.at("explanation"))),
                                    place_of(agreement)));
    if (const auto faults = faults_of(one); !faults.empty())
      entries.push_back(fmt::format("**INVALID** {}: {}", id, markdown_prose(joined(faults, "; "))));
  }
  return entries;
}

std::vector<std::string> failures_of_verifications(const View& record) {
  std::vector<std::string> entries;
  const auto all = verifications_of(record);
  for (const View& one : all) {
    if (one.at("verdict").text() != "FAIL") continue;
    std::string entry = fmt::format("**FAIL** verification of {}: {}", markdown_code(verification_name(one, all)),
                                    markdown_prose(verification_text(one)));
    const View first = one.at("first_divergence");
    if (!first.is_null())
      entry += fmt::format("; first {}: {}", markdown_code(first.at("scenario").text()),
                           markdown_prose(shown(first.at("message"))));
    if (const auto again = one.at("reproduce").text_or_null())
      entry += fmt::format("; to see it again: {}", markdown_code(*again));
    entries.push_back(entry);
  }
  return entries;
}

std::string failures_of(const View& record) {
  auto entries = failures_of_cases(record);
  const bool partial = record.has("partial") && record.at("partial").boolean();  // its command would be refused
  if (!entries.empty() && !partial) {
    for (const std::string& command : commands_of(record))
      entries.push_back("to see the cases again: " + markdown_code(command));
  }
  const auto verified = failures_of_verifications(record);
  entries.insert(entries.end(), verified.begin(), verified.end());
  return list_of("Failures", entries);
}

/// Speed-ups that are not there, or not to be relied upon, and rows that differ and are right.
std::string notes_of(const View& record) {
  std::vector<std::string> entries;
  for (const View& one : record.at("cases").items()) {
    if (!ran(one)) continue;
    const std::string id = markdown_code(one.at("id").text());
    const View agreement = one.at("agreement"), speedup = one.at("speedup");
    const std::string verdict = agreement.at("verdict").text();
    if (verdict == "TIE" || verdict == "UNVERIFIED")
      entries.push_back(
          fmt::format("{} {}: {}", markdown_prose(verdict), id, markdown_prose(shown(agreement.at("explanation")))));
    if (const auto why = speedup.at("withheld").text_or_null())
      entries.push_back(fmt::format("speed-up of {} withheld: {}", id, markdown_prose(visible(*why))));
    else if (!speedup.at("verified").boolean())
      entries.push_back(
          fmt::format("speed-up of {} with a question mark: {}", id, markdown_prose(why_unverified(one))));
  }
  const auto all = verifications_of(record);
  for (const View& one : all) {
    if (one.at("verdict").text() == "FAIL") continue;
    entries.push_back(fmt::format("verification of {}: {}, {}", markdown_code(verification_name(one, all)),
                                  markdown_prose(shown(one.at("verdict"))), markdown_prose(verification_text(one))));
  }
  return list_of("Notes", entries);
}

std::string warnings_of(const View& record) {
  std::vector<std::string> entries;
  for (const View& warning : record.at("warnings").items()) entries.push_back(markdown_prose(shown(warning)));
  return list_of("Warnings", entries);
}

std::string machine_and_build_of(const View& record) {
  const View config = record.at("config");
  std::vector<std::string> entries = {
      fmt::format("config {}, hash {}; started {}", markdown_code(config.at("file").text()),
                  markdown_code(config.at("hash").text()), markdown_code(record.at("started").text()))};
  if (record.has("merged_from"))
    entries.push_back(fmt::format("merged of {}", counted(static_cast<int64_t>(record.at("merged_from").items().size()), "shard")));
  for (const Sessions& sessions : sessions_of(record)) {
    std::vector<std::string> begins;
    for (const std::string& begin : sessions.begins) begins.push_back(markdown_code(begin));
    entries.push_back(sessions.of + "cut off and gone on with; its processes began " + joined(begins, ", "));
  }
  for (const View& checkpoint : record.at("checkpoints").items()) {
    std::vector<std::string> parts = {checkpoint_text(checkpoint)};
    for (const char* list : {"ambiguities", "guesses"})
      for (const View& note : checkpoint.at(list).items()) parts.push_back(shown(note));
    entries.push_back(fmt::format("checkpoint {}: {}", markdown_code(checkpoint.at("name").text()),
                                  markdown_prose(joined(parts, "; "))));
  }
  entries.push_back("run: " + markdown_prose(settings_text(record)));
  const auto machines = machines_of(record);
  for (std::size_t i = 0; i < machines.size(); ++i) {
    const View& machine = machines[i];
    entries.push_back(fmt::format("{}: {}; fingerprint {}",
                                  machines.size() == 1 ? "machine" : machine_name(static_cast<int64_t>(i)),
                                  markdown_prose(machine_text(machine)), markdown_code(machine.at("fingerprint").text())));
    if (!machine.has("peaks")) continue;  // records of before they were measured have none
    for (const View& peaks : machine.at("peaks").items())
      entries.push_back("peaks: " + markdown_prose(peaks_text(peaks)));
  }
  entries.push_back(markdown_prose("kvproof " + program_text(record.at("kvproof"))));
  std::string text = "\n<details><summary>Machine and build</summary>\n\n";
  for (const std::string& entry : entries) text += "- " + entry + "\n";
  return text + "\n</details>\n";
}

}  // namespace

std::string render_markdown(const Json& json) {
  const View record(json);
  return verdict_line(record) + "\n" + table_of(record) + growth_of(record) + failures_of(record) + notes_of(record) +
         warnings_of(record) + machine_and_build_of(record);
}

}  // namespace kvproof
