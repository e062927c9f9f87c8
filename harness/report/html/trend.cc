#include "harness/report/html/trend.h"

#include <fmt/format.h>

#include <optional>

#include "harness/error.h"
#include "harness/report/html/embedded.h"
#include "harness/report/html/frame.h"
#include "harness/report/html/markup.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/trend_words.h"

namespace kvproof {
namespace {

std::string text(const std::string& shown) { return html_text(shown); }

// --- what the plots are drawn from

Json indices(const View& list, std::size_t size) {
  Json out = Json::array();
  for (const View& each : list.items()) {
    const int64_t index = each.integer();
    if (index < 0 || index >= static_cast<int64_t>(size))
      throw RecordError(
          each.pointer(),
          fmt::format("expected the index of one of {} points, found {}; make the trend anew", size, index));
    out.push_back(index);
  }
  return out;
}

Json points_data(const View& series) {
  Json points = Json::array();
  for (const View& point : series.at("points").items()) {
    const auto release = point.at("release").text_or_null();
    const auto low = point.at("low").number_or_null(), high = point.at("high").number_or_null();
    points.push_back({{"ns", point.at("ns").number()},
                      {"low", low ? Json(*low) : Json()},
                      {"high", high ? Json(*high) : Json()},
                      {"commit", commit_text(point.at("commit"), point.at("dirty").boolean())},
                      {"started", shown(point.at("started"))},
                      {"release", release ? Json(visible(*release)) : Json()}});
  }
  if (points.empty())
    throw RecordError(series.pointer() + "/points", "expected points, found none; make the trend anew");
  return points;
}

Json release_data(const View& release, const View& against, std::size_t points) {
  if (release.is_null()) return nullptr;
  const auto ns = release.at("ns").number_or_null();
  return {{"tag", shown(against)}, {"ns", ns ? Json(*ns) : Json()}, {"points", indices(release.at("points"), points)}};
}

Json series_data(const View& series, const View& against) {
  const std::string metric = shown(series.at("metric"));
  Json points = points_data(series), stretches = Json::array(), steps = Json::array();
  for (const View& stretch : series.at("stretches").items()) {
    stretches.push_back({{"from", stretch.at("from").integer()},
                         {"to", stretch.at("to").integer()},
                         {"ns", stretch.at("ns").number()}});
  }
  for (const View& step : series.at("steps").items()) steps.push_back(step.at("at").integer());
  const std::size_t size = points.size();
  return {{"metric", metric},
          {"path", metric.starts_with("naive") ? "naive" : "engine"},
          {"points", std::move(points)},
          {"stretches", std::move(stretches)},
          {"steps", std::move(steps)},
          {"release", release_data(series.at("release"), against, size)}};
}

// --- what is said in words

std::string caption(const View& series) {
  std::string where = "machine " + shown(series.at("fingerprint"));
  if (const auto cpu = series.at("cpu_model").text_or_null(); cpu && !cpu->empty()) where += " (" + visible(*cpu) + ")";
  if (const std::string build = shown(series.at("build")); build != "Release") where += ", build " + build;
  if (!series.at("current").boolean()) where += "; past: newer points are of another machine, workload or build";
  return fmt::format("{}, {}", shown(series.at("metric")), where);
}

std::string figure(const View& series, const View& against, std::size_t index) {
  std::string steps;
  for (const View& step : series.at("steps").items()) steps += fmt::format("<li>{}</li>\n", text(step_text(step)));
  if (!steps.empty()) steps = "<ul class=\"problems\">\n" + steps + "</ul>\n";
  return fmt::format(
      "<figure id=\"series-{}\"><figcaption>{}</figcaption><div class=\"plot\"></div>\n<p class=\"{}\">{}</p>\n{}<p "
      "class=\"note\"></p></figure>\n",
      index, text(caption(series)), trend_class(series.at("verdict").text()), text(standing_text(series, against)),
      steps);
}

std::string sections(const View& trend) {
  std::string html;
  std::optional<std::string> open;
  std::size_t index = 0;
  for (const View& series : trend.at("series").items()) {
    const std::string id = shown(series.at("case"));
    if (id != open) {
      if (open) html += "</div>\n</section>\n";
      html += fmt::format("<section>\n<h2>{} <small>{}</small></h2>\n<div class=\"figures\">\n", text(id),
                          text(shown(series.at("shape"))));
      open = id;
    }
    html += figure(series, trend.at("against"), index++);
  }
  return open ? html + "</div>\n</section>\n" : "<p>No case has points: there is nothing to draw.</p>\n";
}

std::string verdict(const View& trend) {
  const std::string left_out = left_out_text(trend);
  return fmt::format("<section id=\"verdict\" class=\"{}\">\n<p class=\"closing\">{}</p>\n{}</section>",
                     trend_class(trend.at("verdict").text()), text(trend_closing(trend)),
                     left_out.empty() ? "" : "<p>" + text(left_out) + "</p>\n");
}

}  // namespace

std::string render_trend_html(const Json& document) {
  const View trend(document);
  const TrendFiles files = trend_files();
  Json data = {{"series", Json::array()}};
  for (const View& series : trend.at("series").items())
    data["series"].push_back(series_data(series, trend.at("against")));
  const std::string main = filled(files.html, {{"verdict", verdict(trend)},
                                               {"held", text(trend_held(trend))},
                                               {"margin", fmt::format("{:.0f} %", 100 * trend.at("margin").number())},
                                               {"series", sections(trend)}});
  return framed({"kvproof history " + shown(trend.at("history")),
                 fmt::format("{} of {}", counted(trend.at("lines").integer(), "line"),
                             counted(trend.at("records").integer(), "record")),
                 main,
                 data,
                 {files.script}});
}

}  // namespace kvproof
