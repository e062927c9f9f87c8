#include "harness/verify/verdict/verify_json.h"

#include <cmath>

namespace kvproof {
namespace {

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json place_number(int64_t value) { return value == kNowhere ? Json(nullptr) : Json(value); }
Json words(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json ability_list(Abilities abilities) {
  Json out = Json::array();
  for (const Ability ability : abilities.list()) out.push_back(word_of(ability).word);
  return out;
}

Json tally_json(const LevelTally& t) {
  return {{"checks", t.checks},
          {"failures", t.failures},
          {"worst_error", number(t.worst_error)},
          {"worst_ratio", number(t.worst_ratio)}};
}

Json place_json(const Place& p) {
  return {{"step", place_number(p.step)}, {"operation", words(p.operation)},
          {"row", place_number(p.row)},   {"layer", place_number(p.layer)},
          {"stage", words(p.stage)},      {"tensor", words(p.tensor)},
          {"head", place_number(p.head)}, {"position", place_number(p.position)}};
}

Json finding_json(const Finding& f) {
  Json out = {{"level", level_code(f.level)}};
  out.update(place_json(f.place));
  out["error"] = number(f.error);
  out["allowed"] = number(f.allowed);
  out["message"] = f.message;
  out["evidence"] = words(f.evidence);
  return out;
}

Json findings_json(const std::vector<Finding>& findings) {
  Json out = Json::array();
  for (const Finding& finding : findings) out.push_back(finding_json(finding));
  return out;
}

Json errors_json(const PositionErrors& errors) {
  Json positions = Json::array(), max_abs = Json::array();
  for (const auto& [position, error] : errors) {
    positions.push_back(position);
    max_abs.push_back(number(error));
  }
  return {{"positions", positions}, {"max_abs", max_abs}};
}

Json outcome_json(const ScenarioOutcome& o) {
  Json out = {{"name", o.name},
              {"seed", o.seed},
              {"failed", o.failed()},
              {"latent", o.latent},
              {"skipped", words(o.skipped)},
              {"broke_off", words(o.broke_off)}};
  Json levels = Json::object();
  for (const Level level : kLevels)
    if (o.level(level).checks > 0) levels[level_code(level)] = tally_json(o.level(level));
  out["levels"] = levels;
  out["findings"] = findings_json(o.findings);
  Json& errors = out["errors"] = errors_json(o.errors_of(Level::logits));
  errors["levels"] = Json::object();
  for (const Level level : kLevels) {
    if (level != Level::logits && !o.errors_of(level).empty())
      errors["levels"][level_code(level)] = errors_json(o.errors_of(level));
  }
  return out;
}

Json divergence_json(const Divergence& d) {
  Json out = {{"scenario", d.scenario}, {"seed", d.seed}};
  out.update(finding_json(d.finding));
  out["suspect"] = to_string(d.suspect);
  out["hint"] = d.hint;
  out["evidence"] = d.evidence;
  return out;
}

Json controls_json(const std::vector<Control>& controls) {
  Json out = Json::array();
  for (const Control& c : controls) out.push_back({{"name", c.name}, {"effect", number(c.effect)}});
  return out;
}

Json calibration_json(const Calibration& c) {
  Json out = {{"unit", Gate{c.dtype}.exact() ? "max_abs" : "R"},
              {"worst_benign", number(c.worst_benign)},
              {"gate", number(c.gate)}};
  const Control* smallest = c.smallest_negative();
  out["smallest_negative"] = smallest ? number(smallest->effect) : Json(nullptr);
  out["smallest_negative_name"] = smallest ? Json(smallest->name) : Json(nullptr);
  out["benign"] = controls_json(c.benign);
  out["negative"] = controls_json(c.negative);
  out["doubts"] = c.doubts;
  return out;
}

Json model_json(const VerifyReport& r) {
  Json out = Json::object();
  out["vectors"] = out["oracle"] = nullptr;
  if (r.vectors) {
    const VectorReport& v = *r.vectors;
    out["vectors"] = {{"generations", v.generations},
                      {"positions", v.positions},
                      {"streams", v.streams},
                      {"worst", number(v.worst)},
                      {"allowed", kVectorTolerance}};
    out["vectors"].update(tally_json(v.tally));
    out["vectors"]["findings"] = findings_json(v.findings);
  }
  if (r.model) {
    const ModelReport& m = *r.model;
    out["oracle"] = {{"tokens", m.tokens},
                     {"positions", m.positions},
                     {"worst", number(m.worst)},
                     {"allowed", number(m.allowed)},
                     {"constants", tally_json(m.constants)},
                     {"logits", tally_json(m.logits)},
                     {"findings", findings_json(m.findings)}};
  }
  out["against_ours"] = nullptr;
  if (r.against_ours) {
    const ModelReport& m = *r.against_ours;
    out["against_ours"] = {
        {"tokens", m.tokens},           {"positions", m.positions},       {"worst", number(m.worst)},
        {"allowed", number(m.allowed)}, {"logits", tally_json(m.logits)}, {"findings", findings_json(m.findings)}};
  }
  out["broke_off"] = words(r.model_error);
  return out;
}

Json metrics_json(const LogitSummary& s) {
  return {{"positions", s.positions},
          {"max_abs", number(s.max_abs)},
          {"nmse", number(s.nmse)},
          {"kl_mean", number(s.kl_mean)},
          {"kl_p99", number(s.kl_p99)},
          {"kl_max", number(s.kl_max)},
          {"same_top1", number(s.same_top1)},
          {"divergent_tokens", s.divergent_tokens},
          {"first_divergent_position", place_number(s.first_divergent)},
          {"slope_per_position", number(s.slope)}};
}

}  // namespace

Json verify_json(const VerifyReport& r) {
  Json out = {{"schema", {{"name", "kvproof-verify"}, {"version", 1}}},
              {"verdict", to_string(r.verdict)},
              {"explanation", r.explanation},
              {"wrong", r.wrong},
              {"subject",
               {{"name", r.subject.name},
                {"backend", r.subject.backend},
                {"dtype", r.subject.dtype},
                {"device", r.subject.device},
                {"threads", r.subject.threads},
                {"can", ability_list(r.subject.can)},
                {"generate_uses", ability_list(r.subject.generate_uses)}}},
              {"depth", !r.options.only.empty()          ? "only"
                        : r.options.depth == Depth::full ? "full"
                                                         : "quick"},
              {"seed", r.options.seed}};
  out["model"] = model_json(r);
  Json levels = Json::object();
  for (const Level level : kLevels) {
    levels[level_code(level)] = tally_json(r.level(level));
    levels[level_code(level)]["name"] = level_name(level);
  }
  out["levels"] = levels;
  out["scenarios"] = r.outcomes.size();
  out["longest_sequence"] = r.longest;
  const auto& first = r.divergence();
  out["first_divergence"] = first ? divergence_json(*first) : Json(nullptr);
  out["in_use"] = {{"failures", r.failed(false).size()}, {"scenarios", r.failed(false)}};
  out["latent"] = {{"failures", r.failed(true).size()},
                   {"scenarios", r.failed(true)},
                   {"first_divergence", r.latent_divergence ? divergence_json(*r.latent_divergence) : Json(nullptr)}};
  Json calibration = Json::object();
  for (const Calibration& c : r.calibrations) calibration[c.dtype] = calibration_json(c);
  out["calibration"] = calibration;
  out["metrics"] = metrics_json(r.logits);
  out["not_covered"] = r.not_covered;
  Json outcomes = Json::array();
  for (const ScenarioOutcome& outcome : r.outcomes) outcomes.push_back(outcome_json(outcome));
  out["outcomes"] = outcomes;
  return out;
}

}  // namespace kvproof
