// Ctrl-C as something a loop can look at.
#pragma once

namespace kvproof::cli {

/// While one lives, Ctrl-C is only remembered, and SIGTERM with it where a second one ends the program.
class InterruptGuard {
 public:
  /// second_ends  whether a second Ctrl-C, before the first was dealt with, ends the program as usual
  explicit InterruptGuard(bool second_ends);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool raised();
  /// Forgets a Ctrl-C that was dealt with.
  static void rearm();
};

}  // namespace kvproof::cli
