// What a child that measures is asked for, apart from messages: our own engine on the cases of a config, one at a time.
#pragma once

#include <memory>
#include <string>

#include "harness/config/config.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/paired/protocol.h"

namespace kvproof {

class EpochSource {
 public:
  virtual ~EpochSource() = default;
  virtual MeasureHello hello() = 0;
  /// Opens a case: its model, kept from the case before where they share one; both cold calls; the warm-up. returns what
  /// every later call must give. throws ArgumentError: no such case; what opening and the engine throw. No case is then
  /// open
  virtual CaseFacts open(const std::string& id, const WarmUp& warm_up) = 0;
  /// Of the case that is open. throws as time_epoch
  virtual EpochTimes epoch(const Timed& timed, const EpochLength& length) = 0;
  /// Frees the case and its model.
  virtual void close() = 0;
};

/// Of a config; nothing is opened yet.
/// on_model  is shown each model as it is opened; may be empty
/// throws ConfigError: a checkpoint has a subject of its own, whose CPU time is not this process's
std::unique_ptr<EpochSource> make_epoch_source(LoadedConfig config, ModelHook on_model = {});

}  // namespace kvproof
