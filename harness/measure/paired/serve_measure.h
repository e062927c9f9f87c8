// The end of kvproof-measure/1 that is asked: an EpochSource served over a stream.
#pragma once

#include <functional>
#include <memory>

#include "harness/measure/paired/epoch_source.h"
#include "harness/subject/message.h"

namespace kvproof {

/// Answers requests until the stream ends. What the source throws becomes an answer. Between requests this process sleeps
/// in a read.
///
/// make    makes the source, at the first hello; what it throws is answered, with its kind, and thrown: a config that
///         cannot be used ends the child
/// throws  SubjectError: what the stream holds is no message, or it ends inside one
void serve_measure(ByteStream& stream, const std::function<std::unique_ptr<EpochSource>()>& make);

}  // namespace kvproof
