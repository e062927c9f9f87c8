// The other end of the protocol kvproof-subject/1: any subject of ours, served over two file descriptors.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/subject/message.h"
#include "harness/subject/subject.h"

namespace kvproof {

/// Answers requests until the stream ends. Errors of the engine become answers; those of the stream end it.
/// make     makes the subject that hello asks for; dtype is empty where it asks for none. Called once, by hello.
/// dtypes   what hello may ask for
/// name     who answers
struct ServeOptions {
  std::string name;
  std::vector<std::string> dtypes;
  std::function<Subject&(const std::string& dtype)> make;
};
void serve_subject(ByteStream& stream, const ServeOptions& options);

}  // namespace kvproof
