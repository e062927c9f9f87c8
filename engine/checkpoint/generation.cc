#include "engine/checkpoint/generation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "engine/checkpoint/dtype.h"
#include "engine/checkpoint/state_dict.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

constexpr int64_t kSmearChannels = 24;  // smear_gate reads the first so many
constexpr double kFloatEpsilon = 0x1p-23;

enum class ShortWindow { kNone, kHalf, kThird, kQuarter };

// One row per design of nanochat's code; the commit each began with is in the comment.
struct Generation {
  const char* name;
  double rope_base, qk_scale;
  ShortWindow short_window;
  bool has_lambdas;
  int64_t ve_gate_channels;  // 0: no value embeddings
  double ve_gate_scale;
  bool has_smear;  // and backout: they came together
  const char* rope_table_dtype;
};
constexpr std::array<Generation, 7> kGenerations = {{
    {"2025-10", 1e4, 1, ShortWindow::kNone, false, 0, 0, false, "bfloat16"},          // 3a5e0bc
    {"2025-12", 1e4, 1, ShortWindow::kNone, false, 0, 0, false, "bfloat16"},          // f1bf69d: padded vocabulary
    {"2025-10/2025-12", 1e4, 1, ShortWindow::kNone, false, 0, 0, false, "bfloat16"},  // where padding cannot tell
    {"2026-01", 1e4, 1, ShortWindow::kHalf, true, 0, 0, false, "bfloat16"},           // aa530cd; windows fbc1484
    {"2026-02", 1e4, 1, ShortWindow::kHalf, true, 32, 2, false, "bfloat16"},          // e85db6b
    {"2026-03a", 1e5, 1.15, ShortWindow::kThird, true, 12, 3, false, "compute"},      // 6ed7d1d
    {"head", 1e5, 1.2, ShortWindow::kQuarter, true, 12, 3, true, "compute"},          // a825e63 = 2026-03b
}};
constexpr const char* kHeadAlias = "2026-03b";
// transformers' own code, not a commit of nanochat's: the forward of 2025-10, tables in the compute dtype, another eps.
constexpr Generation kTransformers = {kHuggingFace, 1e4, 1, ShortWindow::kNone, false, 0, 0, false, "compute"};
constexpr double kTransformersEpsilon = 1e-6;

const Generation& generation_named(const std::string& name) {
  if (name == kHuggingFace) return kTransformers;
  const std::string canonical = name == kHeadAlias ? "head" : name;
  std::vector<std::string> known;
  for (const auto& generation : kGenerations) {
    if (canonical == generation.name) return generation;
    known.push_back(generation.name);
  }
  throw ArgumentError("architecture.generation",
                      fmt::format("expected one of {}, found {}", fmt::join(known, ", "), quote(name)));
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t short_window_of(ShortWindow rule, int64_t sequence_len) {
  switch (rule) {
    case ShortWindow::kNone:
      return kUnlimited;
    case ShortWindow::kHalf:
      return sequence_len / 2;
    case ShortWindow::kThird:
      return ceil_div(ceil_div(sequence_len, 3), 128) * 128;
    case ShortWindow::kQuarter:
      return ceil_div(ceil_div(sequence_len, 4), 128) * 128;
  }
  return kUnlimited;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

bool is_window_pattern(const std::string& text) {
  return !text.empty() && text.size() <= 4096 && text.find_first_not_of("SLsl") == std::string::npos;
}

void set_window_pattern(Architecture& a, const std::string& pattern, const ModelDims& dims) {
  a.window_pattern = upper(pattern);
  a.long_window = pattern.empty() ? kUnlimited : dims.sequence_len;
  a.short_window =
      pattern.empty() ? kUnlimited : short_window_of(generation_named(a.generation).short_window, dims.sequence_len);
}

// --- which generation ---------------------------------------------------------------------------------------------

bool has_name_with(const StateDict& tensors, std::string_view part) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& item) { return item.first.find(part) != std::string::npos; });
}

// Designs that nanochat tried for some days each; their code is gone and nothing here runs them.
void refuse_experiments(const StateDict& tensors, const std::string& place) {
  const auto refuse = [&](const char* what) {
    throw CheckpointError(
        place, fmt::format("an experimental design of nanochat that is not supported: {}; use a checkpoint of "
                           "another commit",
                           what));
  };
  if (has_name_with(tensors, "bigram_")) refuse("bigram_embed with bigram_lambdas (commits 59e36cc, c8d93be)");
  if (!has_name_with(tensors, "v0_lambdas")) return;
  if (has_name_with(tensors, "value_embed_A"))
    refuse("value_embed_A and value_embed_B with v0_lambdas (commit e3f58b8)");
  if (has_name_with(tensors, "value_embed.")) refuse("one value_embed with v0_lambdas (commit 0b58d70)");
  if (has_name_with(tensors, "value_embeds."))
    refuse("value_embeds on all layers with v0_lambdas and no ve_gate (commit 9a88194)");
}

struct Verdict {
  std::string generation, reason;
};

Verdict classify(const ModelDims& dims, const StateDict& tensors, const std::string& place) {
  if (tensors.count("smear_gate.weight")) return {"head", "smear_gate.weight is present"};
  for (const auto& [name, tensor] : tensors) {
    if (name.find(".ve_gate.weight") == std::string::npos) continue;
    const int64_t channels = tensor.dim() == 2 ? tensor.size(1) : 0;
    if (channels == 32) return {"2026-02", "ve_gate.weight reads 32 channels"};
    if (channels == 12) return {"2026-03a", "ve_gate.weight reads 12 channels, and there is no smear_gate.weight"};
    throw CheckpointError(
        place, fmt::format("tensor {}: expected shape (n_kv_head, 12) or (n_kv_head, 32), found {}; this is no "
                           "known generation of nanochat",
                           quote(name), shape_text(tensor.sizes().vec())));
  }
  if (tensors.count("resid_lambdas")) return {"2026-01", "resid_lambdas is present, ve_gate.weight is not"};
  const std::string without = "there is no resid_lambdas";
  const auto wte = tensors.find("transformer.wte.weight");
  if (wte == tensors.end() || wte->second.dim() == 0) return {"2025-10/2025-12", without};
  const int64_t rows = wte->second.size(0);
  if (rows != dims.vocab_size) {
    return {"2025-12", fmt::format("{}, and wte has {} rows for a vocabulary of {}", without, rows, dims.vocab_size)};
  }
  if (dims.vocab_size % 64 != 0) return {"2025-10", without + ", and wte is not padded to a multiple of 64"};
  return {"2025-10/2025-12",
          without + "; the two are the same, and vocab_size is a multiple of 64, so padding cannot tell"};
}

// --- tensors ------------------------------------------------------------------------------------------------------

bool has_value_embedding(int64_t layer, int64_t n_layer) { return layer % 2 == (n_layer - 1) % 2; }

bool is_vocabulary(const std::string& name) {
  return name == "transformer.wte.weight" || name == "lm_head.weight" || name.rfind("value_embeds.", 0) == 0;
}

// "" or what is wrong with a tensor that should be there.
std::string tensor_fault(const std::string& name, const at::Tensor& tensor, const std::vector<int64_t>& expected) {
  const auto found = tensor.sizes().vec();
  auto unpadded = found;
  if (is_vocabulary(name) && found.size() == 2) unpadded[0] = std::min(found[0], expected[0]);
  if (unpadded != expected) {
    return fmt::format("{} has shape {}, expected {}{}", name, shape_text(found), shape_text(expected),
                       is_vocabulary(name) ? " or more rows" : "");
  }
  if (!tensor.is_floating_point())
    return fmt::format("{} has dtype {}, expected floating point", name, dtype_name(tensor.scalar_type()));
  return "";
}

void check_tensors(const Architecture& a, const ModelDims& dims, const StateDict& tensors, const std::string& reason,
                   const std::string& place) {
  const auto expected = expected_tensors(a, dims);
  std::vector<std::string> faults;
  for (const auto& [name, shape] : expected) {
    const auto found = tensors.find(name);
    const auto fault = found == tensors.end() ? name + " is missing" : tensor_fault(name, found->second, shape);
    if (!fault.empty()) faults.push_back(fault);
  }
  for (const auto& [name, tensor] : tensors) {
    if (!expected.count(name)) faults.push_back(quote(name) + " is unknown");
  }
  if (faults.empty()) return;
  throw CheckpointError(
      place, fmt::format("its tensors do not fit generation {} ({}): {}; check model_config in the meta file, or "
                         "name the generation with --arch generation=…",
                         a.generation, reason, listed(faults, 4)));
}

void check_channels(const Architecture& a, const ModelDims& dims, const std::string& place) {
  const int64_t needed = std::max(a.has_smear ? kSmearChannels : 0, a.ve_gate_channels);
  if (dims.n_embd < needed) {
    throw CheckpointError(
        place, fmt::format("model_config.n_embd: expected at least {}, which the gates of generation {} read, found {}",
                           needed, a.generation, dims.n_embd));
  }
}

// --- overrides ----------------------------------------------------------------------------------------------------

[[noreturn]] void fail_override(const std::string& key, const std::string& expected, const std::string& found) {
  throw ArgumentError("architecture." + key, fmt::format("expected {}, found {}", expected, quote(found)));
}

double number_override(const std::string& key, const std::string& text, double low, double high,
                       const char* otherwise = "") {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool plain = !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string::npos;
  if (!plain || *end != '\0' || !(value >= low && value <= high)) {
    fail_override(key, fmt::format("a number in [{}, {}]{}", low, high, otherwise), text);
  }
  return value;
}

void apply_override(Architecture& a, const std::string& key, const std::string& value, const ModelDims& dims) {
  static const std::array<const char*, 5> kTableDtypes = {"compute", "bfloat16", "float16", "float32", "float64"};
  if (key == "rope_base")
    a.rope_base = number_override(key, value, 1.0001, 1e12);
  else if (key == "qk_scale")
    a.qk_scale = number_override(key, value, 1e-6, 1e6);
  else if (key == "softcap")
    a.softcap = value == "none" ? 0 : number_override(key, value, 1e-3, 1e9, " or none");
  else if (key == "ve_gate_scale")
    a.ve_gate_scale = number_override(key, value, -1e6, 1e6);
  else if (key == "norm_eps")
    a.norm_eps = number_override(key, value, 0, 1);
  else if (key == "rope_table_dtype") {
    if (std::find(kTableDtypes.begin(), kTableDtypes.end(), value) == kTableDtypes.end()) {
      fail_override(key, fmt::format("one of {}", fmt::join(kTableDtypes, ", ")), value);
    }
    a.rope_table_dtype = value;
  } else if (key == "window_pattern") {
    if (value != "none" && !is_window_pattern(value)) fail_override(key, "letters S and L, or none", value);
    set_window_pattern(a, value == "none" ? "" : value, dims);
  } else if (key == "short_window") {
    const double window = number_override(key, value, 0, static_cast<double>(int64_t{1} << 40));
    if (window != std::floor(window)) fail_override(key, "a whole number", value);
    a.short_window = static_cast<int64_t>(window);
  } else if (key != "generation") {
    throw ArgumentError("architecture." + key,
                        "unknown key; known are generation, rope_base, qk_scale, window_pattern, "
                        "short_window, softcap, ve_gate_scale, rope_table_dtype, norm_eps");
  }
}

void apply_overrides(Architecture& a, const ArchitectureOverrides& overrides, const ModelDims& dims,
                     const std::string& place) {
  // The pattern first: it sets the short window that short_window may then replace.
  if (const auto pattern = overrides.find("window_pattern"); pattern != overrides.end()) {
    apply_override(a, pattern->first, pattern->second, dims);
  }
  for (const auto& [key, value] : overrides) {
    if (key != "window_pattern") apply_override(a, key, value, dims);
  }
  if (a.window_pattern.find('S') != std::string::npos && a.short_window == kUnlimited) {
    const auto message =
        fmt::format("window_pattern {} has short windows, but generation {} has none; add --arch short_window=N",
                    a.window_pattern, a.generation);
    if (overrides.count("window_pattern")) throw ArgumentError("architecture.window_pattern", message);
    throw CheckpointError(place, message);
  }
}

// Its constants are half a config.json's, which other checkpoints do not have.
void refuse_huggingface(const ArchitectureOverrides& overrides) {
  const auto named = overrides.find("generation");
  if (named == overrides.end() || named->second != kHuggingFace) return;
  throw ArgumentError("architecture.generation",
                      fmt::format("{} is for folders with a config.json alone, and is found out there; leave it out",
                                  kHuggingFace));
}

std::vector<std::string> ambiguities_of(const Architecture& a, const ModelDims& dims,
                                        const ArchitectureOverrides& overrides) {
  std::vector<std::string> lines;
  if (a.generation == "2026-02" && !overrides.count("softcap")) {
    lines.push_back(
        "softcap 15 or 20: nanochat had 20 from 2026-03-02 to 2026-03-09 with the same keys; assumed 15, else "
        "--arch softcap=20");
  }
  if (a.generation == "2026-02" && !overrides.count("rope_table_dtype")) {
    lines.push_back(
        "rope_table_dtype bfloat16 or compute: nanochat changed it on 2026-03-04 with the same keys; assumed bfloat16, "
        "else --arch rope_table_dtype=compute");
  }
  if (!dims.window_pattern && !overrides.count("window_pattern")) {
    lines.push_back(fmt::format(
        "window_pattern absent or L: the code that trained it had unlimited attention, today's nanochat would "
        "read L, which differs past {} tokens; assumed unlimited, else --arch window_pattern=L",
        dims.sequence_len));
  }
  return lines;
}

}  // namespace

void check_dims(const ModelDims& dims, const std::string& place) {
  const auto check = [&](const char* key, bool good, const std::string& expected, const auto& found) {
    if (!good)
      throw CheckpointError(place, fmt::format("model_config.{}: expected {}, found {}", key, expected, found));
  };
  // Far beyond any nanochat, and small enough that no product of two overflows.
  const auto bounded = [&](const char* key, int64_t value, int64_t most) {
    check(key, value >= 1 && value <= most, fmt::format("1 to {}", most), value);
  };
  bounded("sequence_len", dims.sequence_len, 1 << 24);
  bounded("vocab_size", dims.vocab_size, 1 << 24);
  bounded("n_layer", dims.n_layer, 1 << 12);
  bounded("n_head", dims.n_head, 1 << 12);
  bounded("n_kv_head", dims.n_kv_head, 1 << 12);
  bounded("n_embd", dims.n_embd, 1 << 20);
  bounded("n_inner", dims.mlp_width(), 1 << 24);
  check("n_embd", dims.n_embd % dims.n_head == 0, fmt::format("a multiple of n_head {}", dims.n_head), dims.n_embd);
  const int64_t head_dim = dims.n_embd / dims.n_head;
  check("n_embd", head_dim % 2 == 0, "an even number of channels per head, which rotary pairs need", head_dim);
  check("n_head", dims.n_head % dims.n_kv_head == 0, fmt::format("a multiple of n_kv_head {}", dims.n_kv_head),
        dims.n_head);
  if (dims.window_pattern) {
    check("window_pattern", is_window_pattern(*dims.window_pattern), "letters S and L", quote(*dims.window_pattern));
  }
}

Architecture architecture_of(const std::string& generation, const ModelDims& dims) {
  const Generation& row = generation_named(generation);
  Architecture a;
  a.generation = row.name;
  a.rope_base = row.rope_base;
  a.qk_scale = row.qk_scale;
  a.softcap = 15;
  a.has_lambdas = row.has_lambdas;
  a.has_smear = a.has_backout = row.has_smear;
  a.has_value_embeds = row.ve_gate_channels > 0;
  a.ve_gate_channels = row.ve_gate_channels;
  a.ve_gate_scale = row.ve_gate_scale;
  a.rope_table_dtype = row.rope_table_dtype;
  a.norm_eps = a.generation == kHuggingFace ? kTransformersEpsilon : kFloatEpsilon;
  set_window_pattern(a, dims.window_pattern.value_or(""), dims);
  return a;
}

std::map<std::string, std::vector<int64_t>> expected_tensors(const Architecture& a, const ModelDims& dims) {
  const int64_t C = dims.n_embd, kv = dims.n_kv_head * (dims.n_embd / dims.n_head);
  std::map<std::string, std::vector<int64_t>> shapes = {{"transformer.wte.weight", {dims.vocab_size, C}},
                                                        {"lm_head.weight", {dims.vocab_size, C}}};
  if (a.has_lambdas) shapes["resid_lambdas"] = shapes["x0_lambdas"] = {dims.n_layer};
  if (a.has_smear) shapes["smear_gate.weight"] = {1, kSmearChannels}, shapes["smear_lambda"] = {1};
  if (a.has_backout) shapes["backout_lambda"] = {1};
  for (int64_t i = 0; i < dims.n_layer; ++i) {
    const std::string layer = fmt::format("transformer.h.{}.", i);
    shapes[layer + "attn.c_q.weight"] = shapes[layer + "attn.c_proj.weight"] = {C, C};
    shapes[layer + "attn.c_k.weight"] = shapes[layer + "attn.c_v.weight"] = {kv, C};
    shapes[layer + "mlp.c_fc.weight"] = {dims.mlp_width(), C};
    shapes[layer + "mlp.c_proj.weight"] = {C, dims.mlp_width()};
    if (a.has_value_embeds && has_value_embedding(i, dims.n_layer)) {
      shapes[layer + "attn.ve_gate.weight"] = {dims.n_kv_head, a.ve_gate_channels};
      shapes[fmt::format("value_embeds.{}.weight", i)] = {dims.vocab_size, kv};
    }
  }
  return shapes;
}

Architecture infer_architecture(const ModelDims& dims, const StateDict& tensors, const std::string& place,
                                const ArchitectureOverrides& overrides, Inference* inference) {
  check_dims(dims, place);
  refuse_experiments(tensors, place);
  const auto named = overrides.find("generation");
  refuse_huggingface(overrides);
  const Verdict verdict = named != overrides.end() ? Verdict{named->second, "named by architecture.generation"}
                                                   : classify(dims, tensors, place);
  Architecture a = architecture_of(verdict.generation, dims);
  check_channels(a, dims, place);
  check_tensors(a, dims, tensors, verdict.reason, place);
  apply_overrides(a, overrides, dims, place);
  if (inference) *inference = {verdict.reason, ambiguities_of(a, dims, overrides), {}};
  return a;
}

Architecture huggingface_architecture(const ModelDims& dims, const StateDict& tensors, const std::string& place,
                                      const ArchitectureOverrides& stated, const ArchitectureOverrides& overrides) {
  check_dims(dims, place);
  refuse_huggingface(overrides);
  ArchitectureOverrides all = overrides;
  all.insert(stated.begin(), stated.end());  // does not replace what is there
  const auto named = overrides.find("generation");
  Architecture a = architecture_of(named != overrides.end() ? named->second : kHuggingFace, dims);
  check_channels(a, dims, place);
  check_tensors(a, dims, tensors, named != overrides.end() ? "named by architecture.generation" : "config.json", place);
  apply_overrides(a, all, dims, place);
  return a;
}

}  // namespace kvproof
