#include "harness/measure/case_record.h"

#include <fmt/format.h>

#include <cmath>
#include <new>
#include <stdexcept>

#include "harness/error.h"
#include "harness/measure/metrics.h"
#include "harness/measure/sample_json.h"
#include "harness/stats/stats.h"

namespace kvproof {
namespace {

Json ns(double value) { return static_cast<int64_t>(std::llround(value)); }
Json number(double value) { return value; }

using ToJson = Json (*)(double);

void put_summary(Json& object, const std::string& key, const Fact<Summary>& fact, ToJson json) {
  if (!fact.has_value()) return put_null(object, key, fact.reason);
  object[key] = {{"median", json(fact->median)}, {"min", json(fact->min)}, {"max", json(fact->max)}, {"n", fact->n}};
}

void put_interval(Json& object, const std::string& key, const Fact<Interval>& fact) {
  if (!fact.has_value()) return put_null(object, key, fact.reason);
  Json& out = object[key] = {{"ratio", fact->ratio}};
  if (fact->low) {
    out["low"] = *fact->low;
    out["high"] = *fact->high;
  } else {
    const std::string reason =
        fmt::format("{} repetitions carry no {:g} % interval; 6 do", fact->n, 100 * fact->confidence);
    put_null(out, "low", reason);
    put_null(out, "high", reason);
  }
  out["confidence"] = fact->confidence;
  out["n"] = fact->n;
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json percentiles_json(const std::vector<double>& gaps) {
  Json out = Json::object();
  for (const auto& [name, q] :
       {std::pair("p50", 0.5), std::pair("p90", 0.9), std::pair("p95", 0.95), std::pair("p99", 0.99)}) {
    if (const auto value = quantile(gaps, q)) {
      out[name] = ns(*value);
    } else {
      put_null(out, name, fmt::format("{} gaps, {} are needed", gaps.size(), minimum_sample(q)));
    }
  }
  return out;
}

Json metrics_json(const PathMetrics& m) {
  Json out = Json::object();
  put_summary(out, "e2e_ns", m.e2e_ns, ns);
  put_summary(out, "ttft_ns", m.ttft_ns, ns);
  put_summary(out, "prefill_ns", m.prefill_ns, ns);
  put_summary(out, "tpot_ns", m.tpot_ns, ns);
  put_summary(out, "prefill_tok_per_s", m.prefill_tok_per_s, number);
  put_summary(out, "decode_tok_per_s", m.decode_tok_per_s, number);
  put_summary(out, "decode_tok_per_s_without_sampling", m.decode_tok_per_s_without_sampling, number);
  put_summary(out, "output_tok_per_s", m.output_tok_per_s, number);
  put_summary(out, "own_prefill_ns", m.own_prefill_ns, ns);
  put_summary(out, "own_tpot_ns", m.own_tpot_ns, ns);
  out["itl_ns"] = percentiles_json(m.itl_ns);
  return out;
}

Json row_json(const GeneratedRow& row, const Tokenizer* tokenizer) {
  Json out = {{"tokens", row.tokens}, {"mask", row.mask}};
  if (tokenizer) {
    std::vector<TokenId> sampled;
    for (std::size_t i = 0; i < row.tokens.size(); ++i) {
      if (row.mask[i] == 1) sampled.push_back(row.tokens[i]);
    }
    out["text"] = tokenizer->decode(row.tokens);
    out["completion"] = tokenizer->decode(sampled);
  } else {
    put_null(out, "text", "the checkpoint has no tokenizer");
    put_null(out, "completion", "the checkpoint has no tokenizer");
  }
  out["finish"] = to_string(row.finish);
  return out;
}

constexpr const char* kUnknownWeights = "the subject's weights are not known here";

void put_peak(Json& object, const char* peak, const Fact<double>& rate, const char* share,
              const Fact<Summary>& reached) {
  put(object, peak, rate);
  put_summary(object, share, reached, number);
}

Json decode_use_json(const DecodeUse& use) {
  Json out = {{"weight_bytes_read", use.weight_bytes_read}, {"kv_bytes_read", use.kv_bytes_read}};
  out["out_of_cache"] = or_null(use.out_of_cache);
  put_summary(out, "bytes_per_s", Fact<Summary>::known(use.bytes_per_s), number);
  put_peak(out, "peak_bytes_per_s", use.peak_bytes_per_s, "mbu", use.mbu);
  return out;
}

Json prefill_use_json(const PrefillUse& use) {
  Json out = {{"flops", use.flops}};
  put_summary(out, "flops_per_s", Fact<Summary>::known(use.flops_per_s), number);
  put_peak(out, "peak_flops_per_s", use.peak_flops_per_s, "mfu", use.mfu);
  return out;
}

template <class Use>
void put_use(Json& object, const char* key, const Fact<Use>& use, Json (*json)(const Use&)) {
  if (use.has_value()) {
    object[key] = json(*use);
  } else {
    put_null(object, key, use.reason);
  }
}

void put_utilization(Json& path, const PathUse* use) {
  if (!use) return put_null(path, "utilization", kUnknownWeights);
  Json& out = path["utilization"] = Json::object();
  put_use(out, "decode", use->decode, decode_use_json);
  put_use(out, "prefill", use->prefill, prefill_use_json);
}

Json path_json(const PathMeasurement& m, const Tokenizer* tokenizer, bool cached, const PathUse* use) {
  Json rows = Json::array();
  for (const GeneratedRow& row : m.result.rows) rows.push_back(row_json(row, tokenizer));
  Json out = {{"rows", rows}, {"token_forwards", m.result.token_forwards}};
  if (cached && m.result.kv_cache_bytes == 0)
    put_null(out, "kv_cache_bytes", "the subject does not say");
  else
    out["kv_cache_bytes"] = m.result.kv_cache_bytes;
  put(out, "peak_rss_bytes", m.peak_rss_bytes);
  out["first_call"] = sample_json(m.first_call);
  out["warmup"] = samples_json(m.warmup);
  out["samples"] = samples_json(m.samples);
  out["metrics"] = metrics_json(path_metrics(m));
  put_utilization(out, use);
  return out;
}

Json agreement_json(const Agreement& a) {
  Json tokens = {
      {"rows", a.rows}, {"identical_rows", a.identical_rows}, {"flips", a.flips}, {"first_divergence", nullptr}};
  if (a.first_divergence) {
    const Flip& flip = *a.first_divergence;
    Json& out = tokens["first_divergence"] = {{"row", flip.row},
                                              {"step", flip.step},
                                              {"naive_token", or_null(flip.naive_token)},
                                              {"engine_token", or_null(flip.engine_token)}};
    if (flip.margin) {
      out["margin"] = *flip.margin;
      out["allowed"] = *flip.allowed;
    } else {
      const char* reason = "the logits of this step were not judged";
      put_null(out, "margin", reason);
      put_null(out, "allowed", reason);
    }
  }
  Json out = {{"verdict", to_string(a.verdict)}, {"explanation", a.explanation}, {"tokens", tokens}};
  if (a.logits) {
    out["logits"] = {{"positions", a.logits->positions}, {"max_abs", a.logits->max_abs},
                     {"kl_mean", a.logits->kl_mean},     {"kl_max", a.logits->kl_max},
                     {"same_top1", a.logits->same_top1}, {"error_ratio", a.logits->error_ratio}};
  } else {
    put_null(out, "logits", a.explanation);
  }
  out["replayed_forced_tokens"] = a.replayed_forced_tokens;
  return out;
}

Json speedup_json(const Speedup& s) {
  Json out = {{"withheld", or_null(s.withheld)}};
  if (s.withheld) {
    for (const char* phase : {"e2e", "prefill", "decode"}) out[phase] = nullptr;
  } else {
    put_interval(out, "e2e", s.e2e);
    put_interval(out, "prefill", s.prefill);
    put_interval(out, "decode", s.decode);
  }
  out["verified"] = s.verified;
  return out;
}

/// INVALID: the outputs cannot be trusted, or the numbers.
Json validity_json(const FinishedCase& f) {
  std::vector<std::string> reasons = output_faults(f.agreement, f.verification);
  reasons.insert(reasons.end(), f.measurement.invalid.begin(), f.measurement.invalid.end());
  return {{"verdict", reasons.empty() ? "VALID" : "INVALID"}, {"reasons", reasons}};
}

Json case_verification_json(const CaseVerification& v) {
  return {{"verdict", v.verdict ? to_string(*v.verdict) : "OFF"}, {"index", v.verdict ? Json(v.index) : Json(nullptr)}};
}

Json settings_json(const FinishedCase& f) {
  const SamplerSettings& sampler = f.request.sampler;
  return {{"sampler",
           {{"temperature", sampler.temperature},
            {"top_k", or_null(sampler.top_k)},
            {"seed", sampler.seed},
            {"max_tokens", or_null(f.request.max_tokens)},
            {"num_samples", f.request.num_samples},
            {"stop", f.request.stop},
            {"mode", f.cell.sampler.mode},
            {"tools", f.request.tools}}},
          {"run",
           {{"backend", f.subject.backend},
            {"dtype", f.subject.dtype},
            {"device", f.subject.device},
            {"threads", f.subject.threads},
            {"pin", f.cell.run.pin},
            {"repetitions", f.measurement.naive.samples.size()}}},
          {"naive", {{"logits", f.cell.naive.logits}}}};
}

Json work_json(const FinishedCase& f) {
  if (!f.config) {
    Json out = {{"work_ratio", work_ratio(f.measurement)}};
    for (const char* key : {"ceiling", "weight_bytes_stored", "weight_bytes_read", "kv_bytes_per_token"})
      put_null(out, key, kUnknownWeights);
    return out;
  }
  const Work work = work_of(*f.config, f.bytes, f.cell.naive.logits == "all", f.prompt.size(), f.prompt.depth, f.measurement);
  return {{"work_ratio", work.work_ratio},
          {"ceiling", work.ceiling},
          {"weight_bytes_stored", work.weight_bytes_stored},
          {"weight_bytes_read", work.weight_bytes_read},
          {"kv_bytes_per_token", work.kv_bytes_per_token}};
}

Json prompt_json(const Prompt& prompt) {
  Json out = {{"name", prompt.name}, {"kind", to_string(prompt.kind)}};
  if (prompt.kind == PromptKind::tokens || prompt.kind == PromptKind::synthetic) {
    put_null(out, "text", "given as token ids");
  } else {
    out["text"] = prompt.text;
  }
  out["tokens"] = prompt.tokens;
  return out;
}

}  // namespace

Json case_json(const FinishedCase& f) {
  const int64_t prompt = f.prompt.size() - f.prompt.depth;
  const CaseMeasurement& m = f.measurement;
  Json out = {{"id", f.cell.id}, {"checkpoint", f.checkpoint}, {"status", "ok"}};
  out["prompt"] = prompt_json(f.prompt);
  out["settings"] = settings_json(f);
  out["shape"] = {{"P", prompt},
                  {"N", m.engine.result.steps},
                  {"depth", f.prompt.depth},
                  {"rows", f.request.num_samples},
                  {"label", shape_label(f.prompt, m.engine.result.steps)}};
  out["phases"] = {{"load_ns", f.once.load_ns},
                   {"tokenize_ns", f.once.tokenize_ns},
                   {"detokenize_ns", f.once.detokenize_ns},
                   {"harness_step_ns", f.once.harness_step_ns}};
  out["validity"] = validity_json(f);
  put(out, "equals_fresh_engine", f.once.equals_fresh);
  out["agreement"] = agreement_json(f.agreement);
  out["verification"] = case_verification_json(f.verification);
  out["paths"] = {{"naive", path_json(m.naive, f.tokenizer, false, f.use ? &f.use->naive : nullptr)},
                  {"engine", path_json(m.engine, f.tokenizer, true, f.use ? &f.use->engine : nullptr)}};
  out["speedup"] = speedup_json(speedup(m, f.agreement, f.verification));
  out["work"] = work_json(f);
  return out;
}

ExitCode code_of_case(const CaseMeasurement& measurement, const Agreement& agreement,
                      const CaseVerification& verification) {
  const bool wrong = !output_faults(agreement, verification).empty() || verification.latent_only;
  const ExitCode outputs = wrong ? ExitCode::disagree : ExitCode::ok;
  return worse(outputs, measurement.invalid.empty() ? ExitCode::ok : ExitCode::failed);
}

Json failed_case_json(const Case& cell, const std::string& checkpoint, const Json& error) {
  return {{"id", cell.id}, {"checkpoint", checkpoint}, {"status", "failed"}, {"error", error}};
}

Json error_json(const std::exception_ptr& error) {
  const auto json = [](const std::string& kind, const std::string& message, const std::string& place, ExitCode code) {
    return Json{{"kind", kind}, {"message", message}, {"place", place}, {"exit_code", static_cast<int>(code)}};
  };
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return json(e.kind(), e.message(), e.place(), exit_code_of(e));
  } catch (const std::bad_alloc&) {
    return json("capacity", "memory ran out; take a smaller model, fewer rows or fewer tokens", "memory",
                ExitCode::failed);
  } catch (const std::exception& e) {
    const std::string text = e.what();
    return json("bug", text.substr(0, text.find('\n')), "", ExitCode::bug);  // LibTorch appends a stack trace
  }
}

int64_t bytes_of(const std::string& dtype) {
  if (dtype == "float64") return 8;
  if (dtype == "float32") return 4;
  if (dtype == "bfloat16" || dtype == "float16") return 2;
  throw std::logic_error("a dtype without a size: " + dtype);
}

std::string to_string(PromptKind kind) {
  switch (kind) {
    case PromptKind::chat:
      return "chat";
    case PromptKind::text:
      return "text";
    case PromptKind::tokens:
      return "tokens";
    case PromptKind::file:
      return "file";
    case PromptKind::synthetic:
      return "synthetic";
  }
  throw std::logic_error("a kind of prompt without a name");
}

}  // namespace kvproof
