// The sheet that the sections of the terminal table write on. Inside harness/report only.
#pragma once

#include <string>

#include "harness/record/view.h"

namespace kvproof {

enum class Ink { plain, bold, dim, good, doubtful, bad };

class Page {
 public:
  Page(bool colour, int width) : colour_(colour), width_(width) {}

  int width() const { return width_; }
  const std::string& text() const { return text_; }

  void line(const std::string& text = "");
  /// Broken to the page's width: `label` first, all further lines as far in as the text after it.
  void wrapped(const std::string& label, const std::string& text, Ink ink = Ink::plain, Ink label_ink = Ink::plain);
  std::string painted(const std::string& text, Ink ink) const;

 private:
  bool colour_;
  int width_;
  std::string text_;
};

/// A string of the record, safe for a terminal.
std::string shown(const View& text);

/// The ink of AGREE, TIE, DISAGREE, UNVERIFIED and FAILED, and of PASS, FAIL and INCONCLUSIVE.
Ink ink_of(const std::string& verdict);

/// A case's shape: "pp6 tg64", with more rows than one "pp6 tg64 x4"; and where it ran, where a record has several
/// machines: "pp6 tg64 on machine 2".
std::string shape_of(const View& one_case);

/// AGREE, TIE, DISAGREE, UNVERIFIED, or FAILED for a case that could not run.
std::string verdict_of(const View& one_case);

void write_header(const View& record, Page& page);
void write_agreement(const View& record, Page& page);
void write_verifications(const View& record, Page& page);
void write_speed(const View& record, Page& page);
void write_growth(const View& record, Page& page);
void write_outputs(const View& record, Page& page);
void write_closing(const View& record, Page& page);

}  // namespace kvproof
