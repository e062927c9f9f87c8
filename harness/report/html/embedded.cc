#include "harness/report/html/embedded.h"

#include <cstddef>

// What embedded_files.S defines: where each file begins and ends.
#define FILE_OF(symbol) extern "C" const char symbol[], symbol##_end[];
FILE_OF(kvproof_frame_html)
FILE_OF(kvproof_frame_css)
FILE_OF(kvproof_frame_parts)
FILE_OF(kvproof_frame_drawing)
FILE_OF(kvproof_frame_chart_js)
FILE_OF(kvproof_run_html)
FILE_OF(kvproof_run_charts)
FILE_OF(kvproof_run_script)
FILE_OF(kvproof_trend_html)
FILE_OF(kvproof_trend_script)
#undef FILE_OF

namespace kvproof {
namespace {

std::string_view between(const char* begin, const char* end) { return {begin, static_cast<std::size_t>(end - begin)}; }

}  // namespace

#define FILE_OF(symbol) between(symbol, symbol##_end)

FrameFiles frame_files() {
  const std::string_view library = FILE_OF(kvproof_frame_chart_js);
  return {FILE_OF(kvproof_frame_html), FILE_OF(kvproof_frame_css), FILE_OF(kvproof_frame_parts),
          FILE_OF(kvproof_frame_drawing), library.substr(0, library.rfind("\n//# sourceMappingURL="))};
}

RunFiles run_files() { return {FILE_OF(kvproof_run_html), FILE_OF(kvproof_run_charts), FILE_OF(kvproof_run_script)}; }

TrendFiles trend_files() { return {FILE_OF(kvproof_trend_html), FILE_OF(kvproof_trend_script)}; }

#undef FILE_OF

}  // namespace kvproof
