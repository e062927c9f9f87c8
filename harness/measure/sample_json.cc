#include "harness/measure/sample_json.h"

namespace kvproof {
namespace {

Json or_null(const std::optional<int64_t>& value) { return value ? Json(*value) : Json(nullptr); }

}  // namespace

Json sample_json(const Sample& s) {
  return {{"repetition", s.repetition},
          {"order", s.order},
          {"e2e_ns", s.e2e_ns},
          {"ttft_ns", s.ttft_ns},
          {"prefill_ns", s.prefill_ns},
          {"sampling_ns", s.sampling_ns},
          {"itl_ns", s.itl_ns},
          {"cpu_ns", or_null(s.cpu_ns)},
          {"context_switches", or_null(s.context_switches)},
          {"steal_ns", or_null(s.steal_ns)},
          {"first_logits", s.first_logits.empty() ? Json(nullptr) : Json(s.first_logits)},
          {"own_prefill_ns", or_null(s.own_prefill_ns)},
          {"own_decode_ns", or_null(s.own_decode_ns)}};
}

Json samples_json(const std::vector<Sample>& samples) {
  Json list = Json::array();
  for (const Sample& sample : samples) list.push_back(sample_json(sample));
  return list;
}

Sample sample_of(const View& json) {
  Sample s;
  s.repetition = json.at("repetition").integer();
  s.order = json.at("order").integer();
  s.e2e_ns = json.at("e2e_ns").integer();
  s.ttft_ns = json.at("ttft_ns").integer();
  s.prefill_ns = json.at("prefill_ns").integer();
  s.sampling_ns = json.at("sampling_ns").integer();
  for (const View& gap : json.at("itl_ns").items()) s.itl_ns.push_back(gap.integer());
  s.cpu_ns = json.at("cpu_ns").integer_or_null();
  s.context_switches = json.at("context_switches").integer_or_null();
  s.steal_ns = json.at("steal_ns").integer_or_null();
  s.first_logits = json.at("first_logits").text_or_null().value_or("");
  s.own_prefill_ns = json.at("own_prefill_ns").integer_or_null();
  s.own_decode_ns = json.at("own_decode_ns").integer_or_null();
  return s;
}

std::vector<Sample> samples_of(const View& json) {
  std::vector<Sample> samples;
  for (const View& sample : json.items()) samples.push_back(sample_of(sample));
  return samples;
}

}  // namespace kvproof
