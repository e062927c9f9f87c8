#include "harness/report/trend_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "harness/error.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/trend_words.h"

namespace kvproof {
namespace {

constexpr std::size_t kMostBars = 60;

Ink ink_for(const std::string& verdict) {
  const std::string name = trend_class(verdict);
  return name == "bad" ? Ink::bad : name == "doubtful" ? Ink::doubtful : Ink::good;
}

/// The newest points, each as high as it lies between the least and the largest of them; flat where all are alike.
std::string bars(const std::vector<View>& points) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::size_t from = points.size() > kMostBars ? points.size() - kMostBars : 0;
  std::vector<double> values;
  for (std::size_t i = from; i < points.size(); ++i) values.push_back(points[i].at("ns").number());
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  std::string text;
  for (const double value : values)
    text += kBars[*most > *least ? std::clamp(static_cast<int>((value - *least) / (*most - *least) * 8), 0, 7) : 0];
  return text;
}

std::string span_text(const std::vector<View>& points) {
  const auto date = [](const View& point) { return visible(point.at("started").text().substr(0, 10)); };
  const std::string count = counted(static_cast<int64_t>(points.size()), "point"), first = date(points.front()),
                    last = date(points.back());
  return first == last ? fmt::format("{}, {}", count, first) : fmt::format("{}, {} … {}", count, first, last);
}

void write_series(const View& series, const View& against, Page& page) {
  const std::vector<View> points = series.at("points").items();
  if (points.empty())
    throw RecordError(series.pointer() + "/points", "expected points, found none; make the trend anew");
  const std::string build = shown(series.at("build"));
  std::string where = fmt::format("machine {}", shown(series.at("fingerprint")));
  if (build != "Release") where += ", build " + build;
  if (!series.at("current").boolean()) where += "; past: newer points are of another machine, workload or build";
  page.wrapped("  " + left(shown(series.at("metric")), 18) + "  ", fmt::format("{}; {}", span_text(points), where),
               Ink::plain, Ink::bold);
  page.line("    " + bars(points) + "  " + milliseconds(points.back().at("ns").number()));
  for (const View& step : series.at("steps").items()) page.wrapped("    step: ", step_text(step));
  page.wrapped("    ", standing_text(series, against), ink_for(series.at("verdict").text()));
}

}  // namespace

std::string render_trend_table(const Json& document, bool colour, int width) {
  const View trend(document), against = trend.at("against");
  Page page(colour, width);
  page.wrapped("",
               fmt::format("{}: {} of {}", shown(trend.at("history")), counted(trend.at("lines").integer(), "line"),
                           counted(trend.at("records").integer(), "record")),
               Ink::bold);
  page.wrapped(
      "",
      fmt::format("Held: {}; changes below {:.0f} % are none.", trend_held(trend), 100 * trend.at("margin").number()),
      Ink::dim);
  if (const std::string left_out = left_out_text(trend); !left_out.empty()) page.wrapped("", left_out, Ink::doubtful);
  std::optional<std::string> last;
  for (const View& series : trend.at("series").items()) {
    const std::string id = shown(series.at("case"));
    if (id != last) {
      page.line();
      page.wrapped("", fmt::format("{} ({})", id, shown(series.at("shape"))), Ink::bold);
    }
    last = id;
    write_series(series, against, page);
  }
  page.line();
  page.wrapped("", trend_closing(trend));
  return page.text();
}

}  // namespace kvproof
