// The settings of one case and their keys: the one place that ties "sampler.top_k" to SamplerSpec::top_k.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

#include "harness/config/config.h"
#include "harness/config/fields.h"

namespace kvproof::config {

struct Settings {
  SamplerSpec sampler;
  RunSpec run;
  NaiveSpec naive;
};

/// Calls visit(dotted key, reference) for every setting, in the table's order.
template <class S, class Visitor>
void for_each_setting(S& s, Visitor&& visit) {
  visit("sampler.temperature", s.sampler.temperature);
  visit("sampler.top_k", s.sampler.top_k);
  visit("sampler.seed", s.sampler.seed);
  visit("sampler.max_tokens", s.sampler.max_tokens);
  visit("sampler.num_samples", s.sampler.num_samples);
  visit("sampler.stop", s.sampler.stop);
  visit("sampler.mode", s.sampler.mode);
  visit("sampler.tools", s.sampler.tools);
  visit("run.backend", s.run.backend);
  visit("run.dtype", s.run.dtype);
  visit("run.device", s.run.device);
  visit("run.threads", s.run.threads);
  visit("run.pin", s.run.pin);
  visit("run.repetitions", s.run.repetitions);
  visit("run.verify", s.run.verify);
  visit("run.peaks", s.run.peaks);
  visit("naive.logits", s.naive.logits);
}

/// A setting as JSON, as read_value gives it.
Json to_json(const Settings& settings, const std::string& key);

/// Puts a value that read_value has checked where its key says.
void store(Settings& settings, const std::string& key, const Json& value);

/// Stores every setting of {"sampler": {…}, "run": {…}, "naive": {…}}; other keys are left alone.
void overlay(Settings& settings, const Json& given);

}  // namespace kvproof::config
