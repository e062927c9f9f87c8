// What changed between generations of nanochat's code, from its history. Written apart from the engine's table on
// purpose: a number that is wrong there must not be wrong here as well.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "engine/error.h"
#include "harness/verify/oracle.h"

namespace kvproof {
namespace {

[[noreturn]] void fail(const std::string& key, const std::string& expected, const std::string& found) {
  throw ArgumentError("oracle." + key, "expected " + expected + ", found '" + found + "'");
}

// The eras that a checkpoint's keys can tell apart, oldest first. Before them transformers, which rewrote the oldest.
enum class Era { transformers, no_lambdas, lambdas, value_embeds, longer_rope, smear };

Era era_of(const std::string& generation) {
  if (generation == "huggingface") return Era::transformers;
  if (generation == "2025-10" || generation == "2025-12" || generation == "2025-10/2025-12") return Era::no_lambdas;
  if (generation == "2026-01") return Era::lambdas;
  if (generation == "2026-02") return Era::value_embeds;
  if (generation == "2026-03a") return Era::longer_rope;
  if (generation == "2026-03b" || generation == "head") return Era::smear;
  fail("generation", "one of 2025-10, 2025-12, 2025-10/2025-12, 2026-01, 2026-02, 2026-03a, 2026-03b, head",
       generation);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// An S layer's window. Nothing before January 2026 had one.
std::optional<int64_t> short_window_of(Era era, int64_t sequence_len) {
  if (era <= Era::no_lambdas) return std::nullopt;
  if (era == Era::smear) return ceil_div(ceil_div(sequence_len, 4), 128) * 128;        // a quarter, in whole blocks
  if (era == Era::longer_rope) return ceil_div(ceil_div(sequence_len, 3), 128) * 128;  // a third
  return sequence_len / 2;
}

std::optional<std::string> override_of(const OracleModel& model, const std::string& key) {
  const auto found = model.overrides.find(key);
  if (found == model.overrides.end()) return std::nullopt;
  return found->second;
}

double number(const std::string& key, const std::string& text, double lowest) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < lowest) {
    const auto at_least = lowest == 0 ? std::string("of at least 0") : std::string("above 0");
    fail(key, "a number " + at_least, text);
  }
  return value;
}

void override_number(const OracleModel& model, const std::string& key, double* constant) {
  constexpr double kSmallestPositive = 1e-300;
  if (const auto text = override_of(model, key)) *constant = number(key, *text, kSmallestPositive);
}

void check_override_names(const OracleModel& model) {
  static const std::vector<std::string> kKnown = {"generation",     "rope_base",        "qk_scale",
                                                  "window_pattern", "short_window",     "softcap",
                                                  "ve_gate_scale",  "rope_table_dtype", "norm_eps"};
  for (const auto& [key, value] : model.overrides) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
      throw ArgumentError("oracle." + key,
                          "no such override; known are generation, rope_base, qk_scale, window_pattern, "
                          "short_window, softcap, ve_gate_scale, rope_table_dtype and norm_eps");
  }
}

std::vector<std::optional<int64_t>> windows_of(const OracleModel& model, Era era) {
  std::vector<std::optional<int64_t>> windows(static_cast<std::size_t>(model.n_layer));  // all unlimited
  auto pattern = override_of(model, "window_pattern");
  if (!pattern) pattern = model.window_pattern;
  if (!pattern || *pattern == "none") return windows;

  auto short_window = short_window_of(era, model.sequence_len);
  if (const auto text = override_of(model, "short_window")) {
    const double value = number("short_window", *text, 0);
    if (value != std::floor(value) || value > 1e12) fail("short_window", "a whole number up to 1e12", *text);
    short_window = static_cast<int64_t>(value);
  }
  for (std::size_t layer = 0; layer < windows.size(); ++layer) {
    const char letter = pattern->empty() ? '?' : (*pattern)[layer % pattern->size()];
    const int upper = std::toupper(static_cast<unsigned char>(letter));
    if (upper != 'S' && upper != 'L') fail("window_pattern", "the letters S and L, or none", *pattern);
    const bool is_last = layer + 1 == windows.size();
    if (upper == 'L' || is_last) {
      windows[layer] = model.sequence_len;
    } else if (short_window) {
      windows[layer] = short_window;
    } else {
      fail("window_pattern", "no S, or a short_window beside it, in a generation without windows", *pattern);
    }
  }
  return windows;
}

std::string table_dtype_of(const OracleModel& model, Era era, const OracleConstants& constants) {
  std::string dtype = override_of(model, "rope_table_dtype").value_or(constants.rope_table_dtype);
  const std::string key = dtype == "compute" ? "compute_dtype" : "rope_table_dtype";
  if (dtype == "compute") dtype = model.compute_dtype;
  if (dtype != "float64" && dtype != "float32" && dtype != "bfloat16" && dtype != "float16")
    fail(key, "float64, float32, bfloat16 or float16", dtype);
  return dtype;
}

void check_sizes(const OracleModel& model) {
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, int64_t>>{{"sequence_len", model.sequence_len},
                                                              {"vocab_size", model.vocab_size},
                                                              {"n_layer", model.n_layer},
                                                              {"n_head", model.n_head},
                                                              {"n_kv_head", model.n_kv_head},
                                                              {"n_embd", model.n_embd}}) {
    if (value < 1) fail(key, "at least 1", std::to_string(value));
  }
  if (model.n_inner < 0) fail("n_inner", "at least 1, or 0 for 4 * n_embd", std::to_string(model.n_inner));
  if (model.n_embd % (2 * model.n_head) != 0)
    fail("n_embd", "an even number of channels per head", std::to_string(model.n_embd));
  if (model.n_head % model.n_kv_head != 0) fail("n_kv_head", "a divisor of n_head", std::to_string(model.n_kv_head));
}

}  // namespace

OracleConstants oracle_constants(const OracleModel& model) {
  check_sizes(model);
  check_override_names(model);
  const Era era = era_of(override_of(model, "generation").value_or(model.generation));

  OracleConstants c;
  c.softcap = 15;                     // 20 for a week of March 2026, which no key tells: an override
  c.norm_eps = std::ldexp(1.0, -23);  // PyTorch's default is the dtype's epsilon; in float64 float32's is kept
  if (era == Era::transformers) c.norm_eps = 1e-6;  // rms_norm_eps of its NanoChatConfig
  c.rope_base = era >= Era::longer_rope ? 100000 : 10000;
  // transformers casts cos and sin to the hidden states' dtype, whatever it is.
  c.rope_table_dtype = era >= Era::longer_rope || era == Era::transformers ? "compute" : "bfloat16";
  c.qk_scale = era == Era::smear ? 1.2 : era == Era::longer_rope ? 1.15 : 1;
  c.has_lambdas = era >= Era::lambdas;
  if (era >= Era::value_embeds) {
    c.ve_gate_channels = era == Era::value_embeds ? 32 : 12;
    c.ve_gate_scale = era == Era::value_embeds ? 2 : 3;
  }
  c.smear_channels = era == Era::smear ? 24 : 0;
  c.has_backout = era == Era::smear;
  c.backout_layer = model.n_layer / 2;

  override_number(model, "rope_base", &c.rope_base);
  override_number(model, "qk_scale", &c.qk_scale);
  const bool uncapped = override_of(model, "softcap") == "none";
  if (uncapped)
    c.softcap = 0;
  else
    override_number(model, "softcap", &c.softcap);
  override_number(model, "ve_gate_scale", &c.ve_gate_scale);
  if (const auto text = override_of(model, "norm_eps")) c.norm_eps = number("norm_eps", *text, 0);
  c.rope_table_dtype = table_dtype_of(model, era, c);
  c.windows = windows_of(model, era);
  return c;
}

}  // namespace kvproof
