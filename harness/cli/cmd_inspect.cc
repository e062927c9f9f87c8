// kvproof inspect: what a checkpoint is, why it is taken for that, and what running it costs.
#include <fmt/format.h>

#include "engine/error.h"
#include "engine/model/cost_model.h"
#include "harness/cli/command.h"
#include "harness/cli/model_flags.h"
#include "harness/measure/checkpoint_session.h"

namespace kvproof::cli {
namespace {

using Json = nlohmann::ordered_json;

void declare_inspect(CLI::App& app) {
  add_value(app, "--depth", "N",
            "Context depth for FLOPs and bytes: tokens before the one that is generated; default sequence_len - 1");
  add_model_flags(app);
}

int64_t bytes_per_element(const std::string& dtype) { return dtype == "float64" ? 8 : dtype == "float32" ? 4 : 2; }

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json window_json(int64_t window) { return window == kUnlimited ? Json() : Json(window); }

Json config_json(const ModelDims& dims) {
  Json config = {{"sequence_len", dims.sequence_len},
                 {"vocab_size", dims.vocab_size},
                 {"n_layer", dims.n_layer},
                 {"n_head", dims.n_head},
                 {"n_kv_head", dims.n_kv_head},
                 {"n_embd", dims.n_embd},
                 {"window_pattern", dims.window_pattern ? Json(*dims.window_pattern) : Json()}};
  if (dims.n_inner != 0) config["n_inner"] = dims.n_inner;  // a width that nanochat does not have
  return config;
}

Json architecture_json(const GptConfig& config) {
  Json windows = Json::array();
  for (int64_t layer = 0; layer < config.n_layer; ++layer) windows.push_back(window_json(config.window(layer)));
  return {{"rope_base", config.rope_base},
          {"rope_table_dtype", config.rope_table_dtype},
          {"rotary_len", config.rotary_len()},
          {"qk_scale", config.qk_scale},
          {"window_pattern", text_or_null(config.Architecture::window_pattern)},
          {"windows", windows},
          {"softcap", config.softcap == 0 ? Json() : Json(config.softcap)},
          {"norm_eps", config.norm_eps},
          {"resid_and_x0_lambdas", config.has_lambdas},
          {"smear", config.has_smear},
          {"backout", config.has_backout},
          {"value_embeds", config.has_value_embeds},
          {"ve_gate_channels", config.ve_gate_channels},
          {"ve_gate_scale", config.ve_gate_scale}};
}

Json cost_json(const GptConfig& config, const ModelOptions& options, int64_t depth) {
  const auto bytes = bytes_per_element(options.dtype);
  return {{"dtype", options.dtype},
          {"device", options.device},
          {"kv_bytes_per_token", kv_bytes_per_token(config, bytes)},
          {"depth", depth},
          {"flops_per_token", flops_per_token(config, depth, true)},
          {"prefill_flops", flops_of_forward(config, 0, depth, /*logits_at_all=*/false)},
          {"weight_bytes_read_per_step", weight_bytes_read(config, bytes, 1)},
          {"kv_bytes_read_per_step", kv_bytes_read(config, bytes, depth)}};
}

// nanochat's tokenizer has a folder of its own; in Hugging Face's layout it is a file among others.
std::string tokenizer_path(const CheckpointLocation& location) {
  const auto& folder = location.tokenizer_dir;
  return (location.layout == CheckpointLayout::huggingface ? Tokenizer::file_in(folder) : folder).string();
}

Json describe(const Checkpoint& checkpoint, const GptConfig& config, const std::optional<Tokenizer>& tokenizer,
              const ModelOptions& options, int64_t depth) {
  const auto& location = checkpoint.location;
  const bool has_step = !location.model_file.empty() && location.layout == CheckpointLayout::nanochat;
  const auto parameters = count_parameters(config);
  return {
      {"checkpoint",
       {{"name", checkpoint.name},
        {"path", text_or_null(location.model_file.string())},
        {"source", text_or_null(location.source)},
        {"tag", text_or_null(location.tag)},
        {"step", has_step ? Json(location.step) : Json()},
        {"val_bpb", checkpoint.val_bpb ? Json(*checkpoint.val_bpb) : Json()},
        {"guesses", location.guesses}}},
      {"tokenizer",
       tokenizer ? Json{{"path", tokenizer_path(location)}, {"vocab_size", tokenizer->vocab_size()}} : Json()},
      {"config", config_json(checkpoint.dims)},
      {"generation",
       {{"name", config.generation},
        {"reason", checkpoint.inference.reason},
        {"constants", checkpoint.inference.origins},
        {"ambiguities", checkpoint.inference.ambiguities}}},
      {"architecture", architecture_json(config)},
      {"parameters",
       {{"total", parameters.total},
        {"matmul", parameters.matmul},
        {"embedding", parameters.embedding},
        {"scalar", parameters.scalar}}},
      {"cost", cost_json(config, options, depth)}};
}

std::string plain(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_array()) {
    std::string items;
    for (const auto& item : value) items += (items.empty() ? "" : ", ") + plain(item);
    return items.empty() ? "none" : items;
  }
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  return value.dump();
}

/// The same document for people: a heading per section, one line per field, one per item of a list of sentences.
std::string text_of(const Json& document) {
  constexpr int kLabelWidth = 28;
  std::string text;
  for (const auto& [section, fields] : document.items()) {
    if (!fields.is_object()) {
      text += fmt::format("{}: {}\n", section, plain(fields));
      continue;
    }
    text += section + "\n";
    for (const auto& [key, value] : fields.items()) {
      const bool sentences = value.is_array() && !value.empty() && value.front().is_string();
      if (!sentences) {
        text += fmt::format("  {:<{}}{}\n", key, kLabelWidth, plain(value));
        continue;
      }
      for (const auto& sentence : value) text += fmt::format("  {:<{}}{}\n", key, kLabelWidth, plain(sentence));
    }
  }
  return text;
}

ExitCode run_inspect(Call& call) {
  const auto flags = read_model_flags(call.arguments);
  const auto given_depth = call.arguments.integer("--depth", 0, std::numeric_limits<int64_t>::max());
  const auto options = resolve_model_options(flags.options);
  const auto checkpoint = open_checkpoint(flags, call.console);
  const auto tokenizer = open_tokenizer(checkpoint);
  const GptConfig config(checkpoint.dims, checkpoint.architecture);
  const auto depth = given_depth.value_or(config.sequence_len - 1);
  if (depth >= config.rotary_len()) {
    throw ArgumentError("--depth", fmt::format("must be below {}, the positions the rotary tables cover, got {}",
                                               config.rotary_len(), depth));
  }
  const auto document = describe(checkpoint, config, tokenizer, options, depth);
  call.console.document(document);
  call.console.text(text_of(document));
  return ExitCode::ok;
}

}  // namespace

Command inspect_command() {
  return {
      "inspect",
      "Say what a checkpoint is, why it is taken for that, and what a token costs",
      {"A window of null is unlimited; FLOPs count a multiplication and an addition as two.",
       "JSON: {\"checkpoint\", \"tokenizer\", \"config\", \"generation\", \"architecture\", \"parameters\", \"cost\"}"},
      {ExitCode::failed},
      declare_inspect,
      run_inspect};
}

}  // namespace kvproof::cli
