// Where the program's words go: results on stdout, everything else on stderr, one JSON document where that was asked for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "harness/error.h"

namespace kvproof::cli {

/// {"kind", "message", "place", "exit_code"}: how every failure looks in JSON.
nlohmann::ordered_json error_json(const std::string& kind, const std::string& place, const std::string& message,
                                  ExitCode code);

class Console {
 public:
  /// json  stdout is to hold exactly one JSON document and nothing else
  explicit Console(bool json) : json_(json) {}

  bool json() const { return json_; }
  void set_json(bool json) { json_ = json; }
  /// Whether someone is there to talk to: stdin and stdout are terminals.
  static bool interactive();
  /// A terminal is there and NO_COLOR is not set.
  static bool colour_on_stdout();
  static bool colour_on_stderr();
  static bool stderr_is_terminal();
  /// Columns of the terminal on stdout; `otherwise` where there is none.
  static int width(int otherwise = 120);
  static int stderr_width(int otherwise = 80);

  /// Text for stdout, at once; nothing with --format json.
  void text(std::string_view text);
  /// The one JSON document, with a newline; nothing with --format text.
  void document(const nlohmann::ordered_json& document);

  /// A dim line on stderr, for what happens.
  void note(std::string_view line);
  /// "warning: …" on stderr.
  void warn(std::string_view line);
  /// Reports a failure: "error: place: message" on stderr, and with --format json as the document, unless one was
  /// written already.
  void failure(const std::string& kind, const std::string& place, const std::string& message, ExitCode code);

  /// Reports a failure that does not end the program, on stderr alone.
  void complaint(const Error& error);

  /// throws RecordError("stdout", …) where something written to stdout was lost
  void finish();

 private:
  bool json_;
  bool document_written_ = false;
  int lost_ = 0;  // errno of the first write to stdout that failed

  void write(std::string_view text);
};

}  // namespace kvproof::cli
