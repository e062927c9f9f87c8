#include "harness/report/page.h"

#include "harness/report/text.h"
#include "harness/report/words.h"

namespace kvproof {

void Page::line(const std::string& text) {
  const auto end = text.find_last_not_of(' ');
  text_ += end == std::string::npos ? "" : text.substr(0, end + 1);
  text_ += '\n';
}

void Page::wrapped(const std::string& label, const std::string& text, Ink ink, Ink label_ink) {
  const int indent = display_width(label);
  std::string begin = painted(label, label_ink);
  for (const std::string& part : wrap(text, std::max(20, width_ - indent))) {
    line(begin + painted(part, ink));
    begin = left("", indent);
  }
}

std::string Page::painted(const std::string& text, Ink ink) const {
  if (!colour_ || ink == Ink::plain || text.empty()) return text;
  const char* code = "";
  switch (ink) {
    case Ink::bold:
      code = "1";
      break;
    case Ink::dim:
      code = "2";
      break;
    case Ink::good:
      code = "32";
      break;
    case Ink::doubtful:
      code = "33";
      break;
    case Ink::bad:
      code = "1;31";
      break;
    case Ink::plain:
      break;
  }
  return std::string("\x1b[") + code + "m" + text + "\x1b[0m";
}

std::string shown(const View& text) { return visible(text.text()); }

Ink ink_of(const std::string& verdict) {
  if (verdict == "AGREE" || verdict == "PASS") return Ink::good;
  if (verdict == "TIE" || verdict == "UNVERIFIED" || verdict == "INCONCLUSIVE") return Ink::doubtful;
  return Ink::bad;
}

std::string shape_of(const View& one_case) {
  const View shape = one_case.at("shape");
  const int64_t rows = shape.at("rows").integer();
  const std::string text = shown(shape.at("label")) + (rows > 1 ? " x" + std::to_string(rows) : "");
  return one_case.has("machine") ? text + " on " + machine_name(one_case.at("machine").integer()) : text;
}

std::string verdict_of(const View& one_case) {
  if (one_case.at("status").text() == "ok") return shown(one_case.at("agreement").at("verdict"));
  return one_case.at("error").at("kind").text() == "interrupted" ? "INTERRUPTED" : "FAILED";
}

}  // namespace kvproof
