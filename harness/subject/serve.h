// The other end of the protocol kvproof-subject/1: any subject of ours, served over a stream.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/subject/message.h"
#include "harness/subject/subject.h"

namespace kvproof {

/// make     makes the subject that hello asks for; dtype is empty where it asks for none. Called by every hello
/// dtypes   what hello may ask for
/// name     who answers
/// generate_uses  what its own generation relies on; absent: what the subject says
struct ServeOptions {
  std::string name;
  std::vector<std::string> dtypes;
  std::function<Subject&(const std::string& dtype)> make;
  std::optional<Abilities> generate_uses = {};
};

/// Answers requests until the stream ends. What the engine throws becomes an answer.
/// throws SubjectError: what the stream holds is no message, or it ends inside one
void serve_subject(ByteStream& stream, const ServeOptions& options);

}  // namespace kvproof
