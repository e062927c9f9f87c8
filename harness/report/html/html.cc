#include "harness/report/html/html.h"

#include "harness/report/html/embedded.h"
#include "harness/report/html/frame.h"
#include "harness/report/html/markup.h"
#include "harness/report/html/plot_data.h"
#include "harness/report/html/sections.h"
#include "harness/report/page.h"
#include "harness/report/words.h"

namespace kvproof {

std::string render_html(const Json& record) {
  const View view(record);
  const RunFiles files = run_files();
  const std::string main = filled(files.html, {{"verdict", verdict_section(view)},
                                               {"facts", facts_list(view)},
                                               {"table", case_table(view)},
                                               {"growth", growth_section(view)},
                                               {"sections", folded_sections(view)}});
  return framed({title_text(view), shown(view.at("started")), main, plot_data(view), {files.charts, files.script}});
}

}  // namespace kvproof
