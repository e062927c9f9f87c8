// What is being done just now: one line on the terminal's last row.
#pragma once

#include <string>

namespace kvproof::cli {

/// Written over at each show(), gone when this is; nothing where stderr is no terminal.
class ProgressLine {
 public:
  ProgressLine() = default;
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Cut to the terminal's width: a wrapped line cannot be written over.
  void show(const std::string& line);
  void clear();

 private:
  bool shown_ = false;
};

}  // namespace kvproof::cli
