// What each operating system answers in its own way: linux.cc, macos.cc, other.cc; one of them has content.
// They also hold load_snapshot, current_rss_bytes, reset_peak_rss and peak_rss_bytes.
#pragma once

#include "harness/machine/machine.h"

namespace kvproof {

/// Fills in all but architecture, cores and fingerprint; `os` gets the distribution's name alone, or nothing.
void fill_platform_facts(MachineFacts& facts);

}  // namespace kvproof
