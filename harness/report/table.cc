#include "harness/report/table.h"

#include <algorithm>

#include "harness/report/page.h"

namespace kvproof {

std::string render_table(const Json& record, bool colour, int width) {
  const View view(record);
  Page page(colour, std::max(width, 80));
  write_header(view, page);
  write_agreement(view, page);
  write_speed(view, page);
  write_growth(view, page);
  write_outputs(view, page);
  write_closing(view, page);
  return page.text();
}

}  // namespace kvproof
