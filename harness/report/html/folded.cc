// What a reader unfolds: everything about the run that is neither a verdict nor a time.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/record/machines.h"
#include "harness/report/html/markup.h"
#include "harness/report/html/sections.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {
namespace {

std::string folded(const std::string& title, const std::string& html, bool open = false) {
  return fmt::format("<details{}><summary>{}</summary>\n{}</details>\n", open ? " open" : "", title, html);
}

std::string paragraph(const std::string& text) { return "<p>" + html_text(text) + "</p>\n"; }

std::string bullets(const std::vector<View>& sentences) {
  std::string html = "<ul>\n";
  for (const View& one : sentences) html += "<li>" + html_text(shown(one)) + "</li>\n";
  return html + "</ul>\n";
}

// A value of the record on one line: a null as its reason, a list as its values, an object as its fields.
std::string value_text(const Json& value) {
  if (value.is_null()) return kNone;
  if (value.is_string()) return visible(value.get<std::string>());
  if (!value.is_structured()) return value.dump();
  std::vector<std::string> parts;
  for (const auto& [key, part] : value.items())
    parts.push_back((value.is_object() ? visible(key) + " " : "") + value_text(part));
  return fmt::format("{}", fmt::join(parts, value.is_object() ? ", " : " "));
}

/// The fields of an object, each with its value; those in `without` are shown elsewhere.
std::string fields(const View& object, const std::vector<std::string>& without = {}) {
  std::string html = "<dl>\n";
  for (const auto& [key, value] : object.json().items()) {
    if (std::find(without.begin(), without.end(), key) != without.end()) continue;
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(visible(key)), html_text(value_text(value)));
  }
  return html + "</dl>\n";
}

std::string warnings_html(const View& record) {
  const auto warnings = record.at("warnings").items();
  return warnings.empty() ? paragraph("None.") : bullets(warnings);
}

std::string levels_table(const View& levels) {
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">level</th><th scope=\"col\">checks</th>"
      "<th scope=\"col\">failed</th><th scope=\"col\">worst, of what is allowed</th></tr></thead><tbody>\n";
  for (const auto& [code, unused] : levels.json().items()) {
    const View level = levels.at(code);
    const int64_t checks = level.at("checks").integer(), failures = level.at("failures").integer();
    html +=
        fmt::format("<tr{}><th scope=\"row\">{} {}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    failures > 0 ? " class=\"bad\"" : "", html_text(visible(code)), html_text(shown(level.at("name"))),
                    checks, failures, checks == 0 ? kNone : small_number(level.at("worst_ratio").number_or_null()));
  }
  return html + "</tbody></table></div>\n";
}

std::string verification_html(const View& record) {
  if (!record.has("verifications") || record.at("verifications").items().empty())
    return paragraph("No case was verified beyond its own tokens.");
  const auto all = record.at("verifications").items();
  std::string html;
  for (const View& one : all) {
    const std::string verdict = shown(one.at("verdict"));
    html += fmt::format("<p><strong class=\"{}\">{}</strong> {}: {}</p>\n", class_of(verdict), html_text(verdict),
                        html_text(verification_name(one, all)), html_text(verification_text(one)));
    html += levels_table(one.at("levels"));
    if (const auto parts = one.at("not_covered").items(); !parts.empty())
      html += "<p>Not covered:</p>\n" + bullets(parts);
  }
  return html;
}

std::string checkpoints_html(const View& record) {
  std::string html = "<dl>\n";
  for (const View& one : record.at("checkpoints").items()) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(shown(one.at("name"))), html_text(checkpoint_text(one)));
    for (const char* list : {"ambiguities", "guesses"})
      for (const View& note : one.at(list).items()) html += "<dd>" + html_text(shown(note)) + "</dd>\n";
  }
  return html + "</dl>\n";
}

std::string machine_html(const View& machine) {
  std::string html = paragraph(machine_text(machine));
  if (machine.has("peaks"))  // records of before they were measured have none
    for (const View& peaks : machine.at("peaks").items()) html += paragraph("Peaks, " + peaks_text(peaks));
  return html + fields(machine, {"peaks"});
}

std::string machines_html(const View& record) {
  const auto machines = machines_of(record);
  if (machines.size() == 1) return machine_html(machines.front());
  std::string html = paragraph("The shards ran on machines of different kinds: no time of one is held against another's.");
  for (std::size_t i = 0; i < machines.size(); ++i)
    html += fmt::format("<h3>{}</h3>\n", machine_name(static_cast<int64_t>(i))) + machine_html(machines[i]);
  return html;
}

std::string settings_html(const View& record) {
  const View config = record.at("config");
  return paragraph(settings_text(record)) + fields(config, {"resolved"}) + "<pre>" +
         html_text(config.at("resolved").json().dump(2, ' ', false, Json::error_handler_t::replace)) + "</pre>\n";
}

std::string command_html(const View& record) {
  const auto times_of = [](const View& run) {
    return fmt::format("<p><code>{}</code></p>\n<p>{} to {}</p>\n", html_text(command_text(run.at("command"))),
                       html_text(shown(run.at("started"))), html_text(shown(run.at("finished"))));
  };
  std::string html = times_of(record);
  if (record.has("merged_from"))
    for (const View& source : record.at("merged_from").items())
      html += paragraph(fmt::format("Shard {}:", source.at("shard").integer())) + times_of(source);
  for (const Sessions& sessions : sessions_of(record)) {
    html += paragraph(sessions.of + "The run was cut off and gone on with. Its processes began:") + "<ul>\n";
    for (const std::string& begin : sessions.begins) html += "<li>" + html_text(begin) + "</li>\n";
    html += "</ul>\n";
  }
  return html;
}

std::string fact(const char* name, const std::string& text) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, html_text(text));
}

}  // namespace

std::string facts_list(const View& record) {
  std::string html = "<dl>\n";
  const char* name = "model";
  for (const View& one : record.at("checkpoints").items()) {
    html += fact(name, shown(one.at("name")) + ": " + checkpoint_text(one));
    name = "";
  }
  html += fact("run", settings_text(record));
  name = "machine";
  for (const View& machine : machines_of(record)) {
    html += fact(name, machine_text(machine));
    name = "";
  }
  return html + "</dl>\n";
}

std::string folded_sections(const View& record) {
  const auto warnings = record.at("warnings").items().size();
  return folded(fmt::format("Warnings ({})", warnings), warnings_html(record), warnings > 0) +
         folded("Verification", verification_html(record)) + folded("Checkpoints", checkpoints_html(record)) +
         folded("Machine", machines_html(record)) +
         folded("Build", paragraph(program_text(record.at("kvproof"))) + fields(record.at("kvproof"))) +
         folded("Settings", settings_html(record)) + folded("Command", command_html(record));
}

}  // namespace kvproof
