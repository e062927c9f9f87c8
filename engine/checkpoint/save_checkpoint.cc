#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "engine/checkpoint/atomic_file.h"
#include "engine/checkpoint/byte_tokenizer.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/checkpoint/mapped_file.h"
#include "engine/checkpoint/save_tensor.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;

std::string meta_text(const Checkpoint& checkpoint, int64_t step) {
  nlohmann::ordered_json config = {
      {"sequence_len", checkpoint.dims.sequence_len}, {"vocab_size", checkpoint.dims.vocab_size},
      {"n_layer", checkpoint.dims.n_layer},           {"n_head", checkpoint.dims.n_head},
      {"n_kv_head", checkpoint.dims.n_kv_head},       {"n_embd", checkpoint.dims.n_embd}};
  if (checkpoint.dims.window_pattern) config["window_pattern"] = *checkpoint.dims.window_pattern;
  nlohmann::ordered_json meta = {{"step", step},
                                 {"val_bpb", nullptr},
                                 {"model_config", config},
                                 {"note", "written by kvproof: " + checkpoint.name}};
  if (checkpoint.val_bpb) meta["val_bpb"] = *checkpoint.val_bpb;
  return meta.dump(2, ' ', true, nlohmann::json::error_handler_t::replace);
}

// nanochat's token_bytes.pt: how many bytes of text each token stands for, none for special tokens.
at::Tensor token_bytes(const EncodingData& encoding) {
  const auto n = static_cast<int64_t>(encoding.ranks.size() + encoding.specials.size());
  at::Tensor lengths = at::empty({n}, at::kInt);
  auto* to = lengths.mutable_data_ptr<int32_t>();
  std::fill(to, to + n, 0);
  std::transform(encoding.ranks.begin(), encoding.ranks.end(), to,
                 [](const auto& token) { return static_cast<int32_t>(token.size()); });
  return lengths;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw CheckpointError(folder.string(), fmt::format("the folder cannot be made: {}", error.message()));
}

// Several checkpoints may share a base directory, and so a tokenizer; another tokenizer than theirs would be a trap.
void save_tokenizer(int64_t vocab_size, const fs::path& folder) {
  const fs::path file = folder / "tokenizer.pkl";
  const EncodingData encoding = byte_encoding(vocab_size);
  const std::string pickle = pickle_encoding(encoding);
  if (fs::exists(file)) {
    if (MappedFile::open(file)->bytes() == pickle) return;
    throw CheckpointError(file.string(),
                          fmt::format("another tokenizer than the one of {} tokens to be written is there; choose "
                                      "another base directory",
                                      vocab_size));
  }
  make_folder(folder);
  write_file(file, pickle);
  save_tensor(token_bytes(encoding), folder / "token_bytes.pt");
}

}  // namespace

void save_checkpoint(const Checkpoint& checkpoint, const fs::path& base_dir, const std::string& tag, int64_t step) {
  if (tag.empty() || tag == "." || tag == ".." || tag.find('/') != std::string::npos) {
    throw CheckpointError("tag", fmt::format("expected the name of a folder, found {}", quote(tag)));
  }
  if (checkpoint.dims.n_inner != 0) {
    throw CheckpointError(
        "n_inner", fmt::format("expected 4 · n_embd, {}, the only width that nanochat's meta file can mean, found {}",
                               4 * checkpoint.dims.n_embd, checkpoint.dims.n_inner));
  }
  if (step < 0) throw CheckpointError("step", fmt::format("expected at least 0, found {}", step));
  const fs::path folder = base_dir / "base_checkpoints" / tag;
  const fs::path model = folder / fmt::format("model_{:06}.pt", step),
                 meta = folder / fmt::format("meta_{:06}.json", step);
  for (const auto& file : {model, meta}) {
    if (fs::exists(file))
      throw CheckpointError(file.string(),
                            "is there already and is not overwritten; choose another folder, tag or step");
  }
  if (checkpoint.dims.vocab_size >= kSmallestVocabulary)
    save_tokenizer(checkpoint.dims.vocab_size, base_dir / "tokenizer");
  make_folder(folder);
  save_state_dict(checkpoint.tensors, model);
  write_file(meta, meta_text(checkpoint, step));  // last: a checkpoint counts once it has both
}

}  // namespace kvproof
