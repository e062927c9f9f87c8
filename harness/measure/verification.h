// The verification of a group of cases that share one model, as run.verify asks for it.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/config/config.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/verify/verdict/own_engine.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

/// What its group's verification says about a case.
struct CaseVerification {
  std::optional<VerifyVerdict> verdict;  // absent: run.verify is off, or the run was interrupted first
  std::size_t index = 0;                 // into the record's verifications; of no meaning without a verdict
  std::string explanation;
  bool latent_only = false;  // it failed in nothing that the subject's own generation does

  bool is(VerifyVerdict which) const { return verdict == which; }
};

/// The deepest check that any of these cases asks for; absent: all say off.
std::optional<Depth> deepest(const std::vector<const Case*>& cases);

/// What one group is put through.
///
/// quick: the caches' scenarios in a tenth of the time that measuring took, shorter sequences first; the few that every
/// model is put through run however short that is. full: everything, for as long as `kvproof verify` would.
/// measured_s  that the group's cases took to measure
/// vectors     whether Python's vectors are still to be compared: they are the same for every group
VerifyOptions verify_options(Depth depth, double measured_s, bool vectors);

/// About how long a group's verification takes. Pure.
/// info  of the model under test
double estimated_verification_s(const SubjectInfo& info, Depth depth, double measured_s);

/// The command line that runs a scenario again on a config's model, the whole verification where it is "".
std::string verify_command(const CheckpointSpec& spec, const CheckpointSession& session, const RunSpec& run,
                           const std::string& dtype, const std::string& scenario);

/// An entry of the record's `verifications`: results/README.md.
/// reproduce  verify_command of what failed; empty: nothing did
Json verification_json(const std::string& checkpoint, const VerifyReport& report, const std::string& reproduce);

}  // namespace kvproof
