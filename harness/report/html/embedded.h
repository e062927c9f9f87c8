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
  std::string_view script;    // page.js: which case is shown, and how it is drawn
  std::string_view chart_js;  // Chart.js 3, minified
};

PageFiles page_files();

}  // namespace kvproof
