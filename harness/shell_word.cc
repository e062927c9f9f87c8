#include "harness/shell_word.h"

namespace kvproof {

std::string shell_quoted(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n'\"$`\\[]{}*?;&|<>()!#~") == std::string::npos) return word;
  const bool plain = word.find_first_of("\"$`\\!") == std::string::npos;  // nothing that double quotes leave alive
  if (plain && word.find('\'') != std::string::npos) return '"' + word + '"';
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace kvproof
