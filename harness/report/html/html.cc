#include "harness/report/html/html.h"

#include <fmt/format.h>

#include "harness/report/html/embedded.h"
#include "harness/report/html/markup.h"
#include "harness/report/html/plot_data.h"
#include "harness/report/html/sections.h"
#include "harness/report/page.h"
#include "harness/report/words.h"

namespace kvproof {

std::string render_html(const Json& record) {
  const View view(record);
  const PageFiles files = page_files();
  return filled(files.html, {{"title", html_text(title_text(view))},
                             {"started", html_text(shown(view.at("started")))},
                             {"style", std::string(files.style)},
                             {"facts", facts_list(view)},
                             {"verdict", verdict_section(view)},
                             {"table", case_table(view)},
                             {"growth", growth_section(view)},
                             {"sections", folded_sections(view)},
                             {"data", data_block(plot_data(view))},
                             {"chart_js", std::string(files.chart_js)},
                             {"script", fmt::format("{}{}{}{}", files.parts, files.charts, files.drawing, files.script)}});
}

}  // namespace kvproof
