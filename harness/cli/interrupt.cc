#include "harness/cli/interrupt.h"

#include <csignal>

namespace kvproof::cli {
namespace {

volatile std::sig_atomic_t g_raised = 0;
bool g_second_ends = false;

void remember(int) { g_raised = 1; }

void install() {
  struct sigaction action {};
  action.sa_handler = remember;
  // No SA_RESTART: a read of the keyboard returns.
  action.sa_flags = g_second_ends ? static_cast<int>(SA_RESETHAND) : 0;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  if (g_second_ends) sigaction(SIGTERM, &action, nullptr);  // CI systems and timeout end a run like this
}

}  // namespace

InterruptGuard::InterruptGuard(bool second_ends) {
  g_second_ends = second_ends;
  rearm();
}
InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
  if (g_second_ends) std::signal(SIGTERM, SIG_DFL);
}
bool InterruptGuard::raised() { return g_raised != 0; }

void InterruptGuard::rearm() {
  g_raised = 0;
  install();
}

}  // namespace kvproof::cli
