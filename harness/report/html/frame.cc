#include "harness/report/html/frame.h"

#include "harness/report/html/embedded.h"
#include "harness/report/html/markup.h"

namespace kvproof {

std::string framed(const PageParts& page) {
  const FrameFiles files = frame_files();
  std::string script = std::string(files.parts) + std::string(files.drawing);
  for (const std::string_view own : page.scripts) script += own;
  return filled(files.html, {{"title", html_text(page.title)},
                             {"line", html_text(page.line)},
                             {"style", std::string(files.style)},
                             {"main", page.main},
                             {"data", data_block(page.data)},
                             {"chart_js", std::string(files.chart_js)},
                             {"script", script}});
}

}  // namespace kvproof
