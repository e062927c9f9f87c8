// The page's own files and the library that draws its plots, as bytes inside the program.
#pragma once

#include <string_view>

namespace kvproof {

/// In memory for as long as the program runs.
struct PageFiles {
  std::string_view html;      // the document, with {{names}} where its parts go
  std::string_view style;     // page.css
  std::string_view parts;     // chart_parts.js: what plots are made of
  std::string_view charts;    // charts.js: what each plot shows
  std::string_view drawing;   // drawing.js: how a plot gets onto a page
  std::string_view script;    // page.js: which case is shown, and how it is drawn
  std::string_view chart_js;  // Chart.js 3, minified, without the line that names a source map beside it
};

PageFiles page_files();

/// Of the page of a history, beside those above.
struct TrendFiles {
  std::string_view html;    // trend.html, likewise
  std::string_view script;  // trend.js: what its plots show
};

TrendFiles trend_files();

}  // namespace kvproof
