// A comparison as workflow commands: what GitHub shows beside a pull request's files and in a run's list of annotations.
#pragma once

#include <string>
#include <string_view>

#include "harness/record/record.h"

namespace kvproof {

/// How many annotations of one kind GitHub shows of a step.
inline constexpr std::size_t kMostAnnotations = 10;

/// Lines for stdout of a step: ::error for what fails; ::warning for what is INCONCLUSIVE or INCOMPARABLE, for controls that
/// are off, entries of ci.accept that are of no use, and warnings; ::notice for cases that are new, changes that were
/// accepted, times that got better, or worse without failing.
/// At most kMostAnnotations of a kind; where there are more, the last says how many.
///
/// comparison   a document as harness/compare/document.h has it
/// config_file  where they are shown, relative to the repository; empty: at no file
/// returns      UTF-8; of the document only text: no line begins but these
/// throws       RecordError naming the field that is missing or of another type
std::string github_annotations(const Json& comparison, std::string_view config_file);

}  // namespace kvproof
