// What the HTML pages have in common: style, header, footer, data for the scripts, and the library that draws the plots.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/record/record.h"

namespace kvproof {

/// What makes a page itself.
struct PageParts {
  std::string title, line;                // text as it is shown, not yet HTML: of the tab and the heading, and below it
  std::string main;                       // HTML: what <main> holds
  Json data;                              // what the scripts draw; they find it in the element "data"
  std::vector<std::string_view> scripts;  // of this page alone; they run in this order, behind those of every page
};

/// A whole HTML document, UTF-8, that loads nothing: no other file, no network.
std::string framed(const PageParts& page);

}  // namespace kvproof
