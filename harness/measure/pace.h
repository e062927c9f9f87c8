// How fast a subject is, roughly: what verification may put it through depends on it.
#pragma once

#include "harness/subject/subject.h"

namespace kvproof {

/// The time of a decode step, or of a token of a short uncached forward if that takes longer, over what is estimated for
/// our own engine on a model of that size; at least 0.1. A subject that fails in it is taken for ten times as slow: what it
/// fails in is verification's to say.
/// cost about ten forwards
double slowness_of(Subject& subject);

}  // namespace kvproof
