// The pages' own files and the library that draws their plots, as bytes inside the program.
#pragma once

#include <string_view>

namespace kvproof {

/// What every page has. In memory for as long as the program runs.
struct FrameFiles {
  std::string_view html;      // frame.html: the document, with {{names}} where a page's parts go
  std::string_view style;     // page.css
  std::string_view parts;     // chart_parts.js: what plots are made of
  std::string_view drawing;   // drawing.js: how a plot gets onto a page
  std::string_view chart_js;  // Chart.js 3, minified, without the line that names a source map beside it
};

FrameFiles frame_files();

/// Of the page of a run.
struct RunFiles {
  std::string_view html;    // run.html: what <main> holds, likewise
  std::string_view charts;  // charts.js: what each plot shows
  std::string_view script;  // run.js: which case is shown, and how it is drawn
};

RunFiles run_files();

/// Of the page of a history.
struct TrendFiles {
  std::string_view html;    // trend.html, likewise
  std::string_view script;  // trend.js: what its plots show
};

TrendFiles trend_files();

}  // namespace kvproof
