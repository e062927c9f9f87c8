// One case of the record. Its fields are described in results/README.md.
#pragma once

#include <exception>
#include <string>

#include "engine/model/gpt_config.h"
#include "harness/error.h"
#include "harness/measure/repetitions.h"
#include "harness/measure/utilization.h"
#include "harness/measure/verification.h"
#include "harness/record/record.h"
#include "harness/subject/subject.h"
#include "harness/verify/agreement.h"
#include "harness/workload/workload.h"

namespace kvproof {

/// What is measured once of a case, beside its repetitions.
struct CaseOnce {
  int64_t load_ns = 0;         // opening the checkpoint and making the model, or starting the subject: of the whole group
  int64_t tokenize_ns = 0;     // the prompt
  int64_t detokenize_ns = 0;   // what the engine generated, all rows
  double harness_step_ns = 0;  // of every gap between tokens: the clock's own
  Fact<bool> equals_fresh = Fact<bool>::unknown("no fresh engine was run");  // every repetition, to the bit
};

/// Everything that is known of a case once it ran.
struct FinishedCase {
  const Case& cell;
  const std::string& checkpoint;  // its name in the config
  const Prompt& prompt;
  const GenerationRequest& request;      // as both paths got it
  const GptConfig* config = nullptr;     // null: nothing is known of what a forward costs
  const Tokenizer* tokenizer = nullptr;  // null: every text is null
  const SubjectInfo& subject;
  const CaseMeasurement& measurement;
  const Agreement& agreement;
  const CaseVerification& verification;
  ElementBytes bytes = {};       // of the weights; means something where config is known
  const CaseUse* use = nullptr;  // null where config is
  CaseOnce once = {};
};

/// A case that ran. status "ok"
Json case_json(const FinishedCase& facts);

/// How a case that ran counts: disagree where the outputs do or verification failed, failed where the measurement itself
/// is invalid; the worse of both.
ExitCode code_of_case(const CaseMeasurement& measurement, const Agreement& agreement,
                      const CaseVerification& verification);

/// A case that did not. status "failed"
Json failed_case_json(const Case& cell, const std::string& checkpoint, const Json& error);

/// {kind, message, place, exit_code} of whatever was thrown; what is no Error is a bug, but for memory that ran out.
Json error_json(const std::exception_ptr& error);

/// Bytes of one element of "float32" and the like.
int64_t bytes_of(const std::string& dtype);

std::string to_string(PromptKind kind);

}  // namespace kvproof
