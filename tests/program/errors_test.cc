// Bad inputs to the whole program: the exact message, the kind, the exit code, and one JSON document on stdout.
#include "tests/program/broken_files.h"
#include "tests/program/program.h"

using namespace kvproof::testing;

namespace {

struct BadInput {
  std::vector<std::string> words;  // run in the folder of broken_files.h
  int code;
  std::string kind;
  std::string message;  // "place: what is wrong"; TMP stands for the folder
};

const std::string kTiny = "d2,vocab_size=64,n_embd=32,n_head=2";

/// generate with a prompt that needs no tokenizer.
std::vector<std::string> ids(const std::vector<std::string>& more) {
  return std::vector<std::string>{"generate", "--prompt-tokens", "1,2", "--max-tokens", "1"} + more;
}
std::vector<std::string> logits(const std::vector<std::string>& more) {
  return std::vector<std::string>{"logits", "--base-dir", "demo", "--prompt-tokens", "1,2,3"} + more;
}

// One row, two lines.
// clang-format off
const std::vector<BadInput> kCommandLines = {
    {{"genrate"}, 2, "argument",
     "genrate: unknown command, did you mean \"generate\"?"},
    {{"generate", "--promt", "x"}, 2, "argument",
     "--promt: unknown flag, did you mean \"--prompt\"?"},
    {{"generate", "--prompt"}, 2, "argument",
     "--prompt: needs a value; kvproof generate --help lists what there is"},
    {{"generate", "--prompt", "a", "extra"}, 2, "argument",
     "extra: unexpected word after the command's arguments; kvproof generate --help lists what there is"},
    {{"--promt"}, 2, "argument",
     "--promt: unknown flag; kvproof --help lists what there is"},
    {{"generate"}, 2, "argument",
     "no prompt was given; give one of --prompt, --chat and --prompt-tokens"},
    {{"generate", "--prompt", "", "--base-dir", "demo"}, 2, "argument",
     "--prompt: is empty; give a text that is not empty"},
    {{"generate", "--prompt=", "--base-dir", "demo"}, 2, "argument",
     "--prompt: is empty; give a text that is not empty"},
    {{"generate", "--prompt", "a", "--chat", "b"}, 2, "argument",
     "--chat: cannot be combined with --prompt; give one of --prompt, --chat and --prompt-tokens"},
    {{"generate", "--prompt-tokens", "1,x"}, 2, "argument",
     "--prompt-tokens: item 2 must be an integer from 0 to 2147483647, got \"x\"; write 1,2,3"},
    {{"generate", "--prompt-tokens", ""}, 2, "argument",
     "--prompt-tokens: is empty; give integers separated by commas, such as 1,2,3"},
    {{"generate", "--prompt-tokens", "1,-2"}, 2, "argument",
     "--prompt-tokens: item 2 must be an integer from 0 to 2147483647, got \"-2\"; write 1,2,3"},
    {{"generate", "--prompt", "\xff"}, 2, "argument",
     "--prompt: is not UTF-8: byte 0 is invalid"},
    {ids({"--format", "xml"}), 2, "argument",
     "--format: unknown value \"xml\"; one of text, json"},
    {ids({"--seed", "-1"}), 2, "argument",
     "--seed: must be an integer from 0 to 18446744073709551615, got \"-1\""},
    {ids({"--seed", "1", "--seed", "2"}), 2, "argument",
     "--seed: was given 2 times; give it once"},
    {ids({"--temperature", "-0.5"}), 2, "argument",
     "--temperature: must be a number of at least 0, got \"-0.5\""},
    {ids({"--temperature", "nan"}), 2, "argument",
     "--temperature: must be a number of at least 0, got \"nan\""},
    {ids({"--top-k", "-1"}), 2, "argument",
     "--top-k: must be an integer from 0 to 2147483647, got \"-1\""},
    {ids({"--num-samples", "0"}), 2, "argument",
     "--num-samples: must be an integer from 1 to 4096, got \"0\""},
    {{"generate", "--prompt", "a", "--max-tokens", "1e3"}, 2, "argument",
     "--max-tokens: must be an integer from 0 to 1048576, got \"1e3\""},
    {{"generate", "--prompt", "a", "--max-tokens", "-1"}, 2, "argument",
     "--max-tokens: must be an integer from 0 to 1048576, got \"-1\""},
    {ids({"--path", "nave"}), 2, "argument",
     "--path: unknown value \"nave\", did you mean \"naive\"?"},
    {ids({"--stop", "maybe"}), 2, "argument",
     "--stop: unknown value \"maybe\"; one of on, off"},
    {ids({"--sampler", "gumbel"}), 2, "argument",
     "--sampler: unknown value \"gumbel\"; one of per_row, nanochat"},
    {ids({"--source", "stf"}), 2, "argument",
     "--source: unknown value \"stf\", did you mean \"sft\"?"},
    {ids({"--step", "x"}), 2, "argument",
     "--step: must be an integer of at least 0, got \"x\""},
    {{"subject", "--dtype", "float23"}, 2, "argument",
     "--dtype: unknown value \"float23\", did you mean \"float32\"?"},
    {{"subject", "--synthetic", kTiny}, 2, "argument",
     "--format: stdout holds the protocol's messages, in one format; leave the flag out"},
    {ids({"--dtype", "float23"}), 2, "argument",
     "--dtype: unknown value \"float23\", did you mean \"float32\"?"},
    {ids({"--device", "cdua"}), 2, "argument",
     "--device: unknown value \"cdua\", did you mean \"cuda\"?"},
    {ids({"--threads", "0"}), 2, "argument",
     "--threads: must be an integer from 1 to 1024, got \"0\""},
    {ids({"--threads", "many"}), 2, "argument",
     "--threads: must be an integer from 1 to 1024, got \"many\""},
    {ids({"--base-dir", ""}), 2, "argument",
     "--base-dir: is empty; give a value or leave the flag out"},
    {ids({"--arch", "softcap"}), 2, "argument",
     "--arch: expected key=value, got \"softcap\"; write softcap=20,rope_base=10000"},
    {ids({"--base-dir", "demo", "--arch", "softcp=20"}), 2, "argument",
     "--arch softcp: unknown key; known are generation, rope_base, qk_scale, window_pattern, short_window, softcap, ve_gate_scale, rope_table_dtype, norm_eps"},
    {ids({"--base-dir", "demo", "--arch", "softcap=-1"}), 2, "argument",
     "--arch softcap: expected a number in [0.001, 1000000000] or none, found '-1'"},
    {ids({"--arch", "softcap=1", "--arch", "softcap=2"}), 2, "argument",
     "--arch softcap: was given twice; give it once"},
    {ids({"--base-dir", "demo", "--arch", "generation=2024"}), 2, "argument",
     "--arch generation: expected one of 2025-10, 2025-12, 2025-10/2025-12, 2026-01, 2026-02, 2026-03a, head, found '2024'"},
    {ids({"--synthetic", "d0"}), 2, "argument",
     "--synthetic: n_layer: expected 1 to 4096, found 0"},
    {ids({"--synthetic", "foo"}), 2, "argument",
     "--synthetic: expected d<layers>, perhaps with fields, as in d4,vocab_size=2048; found 'foo'"},
    {ids({"--synthetic", "d4,vocab=3"}), 2, "argument",
     "--synthetic: expected field=value with one of sequence_len, vocab_size, n_layer, n_head, n_kv_head, n_embd, window_pattern, generation, seed, dtype, found 'vocab=3'"},
    {ids({"--synthetic", "d4,n_head=3"}), 2, "argument",
     "--synthetic: n_embd: expected a multiple of n_head 3, found 256"},
    {ids({"--synthetic", "d4", "--base-dir", "demo"}), 2, "argument",
     "--synthetic: cannot be combined with --base-dir; a synthetic model has no files"},
    {ids({"--synthetic", kTiny, "--stop", "on"}), 2, "argument",
     "--stop on: needs a tokenizer, and a synthetic model has none; leave it out, rows then go on to --max-tokens"},
    {{"generate", "--prompt", "a", "--synthetic", kTiny}, 2, "argument",
     "--prompt: needs a tokenizer, and a synthetic model has none; give ids with --prompt-tokens"},
    {{"generate", "--prompt-tokens", "1,64", "--synthetic", kTiny}, 2, "argument",
     "--prompt-tokens: token id 64 at item 2 is outside the vocabulary; ids go from 0 to 63"},
    {{"chat", "--synthetic", kTiny}, 2, "argument",
     "chat: needs a tokenizer, and a synthetic model has none; kvproof generate --prompt-tokens works without"},
    {{"chat", "--base-dir", "demo", "--max-tokens", "0"}, 2, "argument",
     "--max-tokens: must be an integer from 1 to 1048576, got \"0\""},
    {{"tokenize", "--base-dir", "demo"}, 2, "argument",
     "no text was given; give --text or --text-file"},
    {{"tokenize", "--text", "a", "--text-file", "b"}, 2, "argument",
     "--text-file: cannot be combined with --text; give one of them"},
    {{"tokenize", "--text-file", "nowhere"}, 2, "argument",
     "--text-file nowhere: expected a file that can be read"},
    {{"tokenize", "--text-file", "empty"}, 2, "argument",
     "--text-file empty: expected a file that can be read"},
    {{"tokenize", "--text-file", "bad.txt", "--base-dir", "demo"}, 2, "argument",
     "--text-file bad.txt: is not UTF-8: byte 2 is invalid"},
    {{"tokenize", "--text", "a", "--synthetic", "d4"}, 2, "argument",
     "--synthetic: a synthetic model has no tokenizer; give --base-dir"},
    {{"detokenize", "--base-dir", "demo"}, 2, "argument",
     "--tokens: is missing; give integers separated by commas, such as 1,2,3"},
    {{"detokenize", "--base-dir", "demo", "--tokens", "2048"}, 2, "argument",
     "--tokens: token id 2048 at item 1 is outside the vocabulary; ids go from 0 to 2047"},
    {logits({}), 2, "argument",
     "--out: is missing; give the file to write"},
    {logits({"--out", "x.npy", "--prefill-chunks", "1,1"}), 2, "argument",
     "--prefill-chunks: must sum to the 3 prompt tokens, got 2"},
    {logits({"--out", "x.npy", "--prefill-chunks", "1,0,2"}), 2, "argument",
     "--prefill-chunks: item 2 must be an integer from 1 to 3, got \"0\"; write 1,2,3"},
    {logits({"--out", "x.npy", "--path", "naive", "--prefill-chunks", "3"}), 2, "argument",
     "--prefill-chunks: is for the engine path; the naive path has no chunks"},
    {{"inspect", "--base-dir", "demo", "--depth", "5120"}, 2, "argument",
     "--depth: must be below 5120, the positions the rotary tables cover, got 5120"},
    {{"synthesize", kTiny}, 2, "argument",
     "--out: is missing; give the base directory to write into"},
    {{"synthesize", "--out", "x"}, 2, "argument",
     "SPEC: is missing; give what to synthesize, such as d4"},
    {{"synthesize", "d0", "--out", "x"}, 2, "argument",
     "SPEC: n_layer: expected 1 to 4096, found 0"},
    {{"synthesize", kTiny, "--out", "x", "--tag", "a/b"}, 2, "argument",
     "--tag: must be the name of a folder, got \"a/b\""},
    {{"init", "good.yaml"}, 2, "argument",
     "good.yaml: exists already; name another file, or remove this one"},
    {{"run"}, 2, "argument",
     "CONFIG: is missing; give the YAML file of what to run"},
    {{"report"}, 2, "argument",
     "RECORD: is missing; give the file that kvproof run wrote"},
#if !defined(__APPLE__)
    {ids({"--synthetic", kTiny, "--device", "mps"}), 2, "argument",
     "--device: no mps device was found by this build of LibTorch; use --device cpu"},
#endif
};

const std::vector<BadInput> kMissingFiles = {
    {{"subject", "--base-dir", "nowhere"}, 6, "checkpoint",
     "nowhere: no such folder; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir, or set NANOCHAT_BASE_DIR"},
    {ids({"--base-dir", "nowhere"}), 6, "checkpoint",
     "nowhere: no such folder; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir, or set NANOCHAT_BASE_DIR"},
    {ids({"--base-dir", "empty"}), 6, "checkpoint",
     "empty: no checkpoint: searched chatsft_checkpoints (missing), chatrl_checkpoints (missing), mid_checkpoints (missing), base_checkpoints (missing); the folder holds nothing; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir"},
    {ids({"--base-dir", "demo", "--source", "base"}), 6, "checkpoint",
     "demo: no checkpoint with source base: searched base_checkpoints (missing); complete: sft/d4 step 160; try --source sft --tag d4 --step 160"},
    {ids({"--base-dir", "demo", "--tag", "d12"}), 6, "checkpoint",
     "demo: no checkpoint with tag 'd12': searched chatsft_checkpoints, chatrl_checkpoints (missing), mid_checkpoints (missing), base_checkpoints (missing); complete: sft/d4 step 160; try --source sft --tag d4 --step 160"},
    {ids({"--base-dir", "demo", "--step", "7"}), 6, "checkpoint",
     "demo: no checkpoint with step 7: searched chatsft_checkpoints, chatrl_checkpoints (missing), mid_checkpoints (missing), base_checkpoints (missing); complete: sft/d4 step 160; try --source sft --tag d4 --step 160"},
    {ids({"--base-dir", "demo/chatsft_checkpoints/d4"}), 6, "checkpoint",
     "demo/chatsft_checkpoints/d4: no checkpoint: searched chatsft_checkpoints (missing), chatrl_checkpoints (missing), mid_checkpoints (missing), base_checkpoints (missing); the folder holds meta_000160.json, model_000160.pt; the base directory is further up: try --base-dir TMP/demo"},
    {{"tokenize", "--text", "a", "--base-dir", "empty"}, 6, "tokenizer",
     "empty/tokenizer: expected a folder that holds tokenizer.pkl, found nothing; copy nanochat's tokenizer folder here or name another one"},
    {logits({"--out", "empty"}), 6, "record",
     "empty: is a folder; give the name of a file"},
    {logits({"--out", "file/x.npy"}), 6, "record",
     "file: the folder cannot be made: Not a directory"},
    {{"run", "good.yaml", "--out", "empty"}, 6, "record",
     "empty: is a folder; give the name of a file"},
    {{"run", "good.yaml", "--out", "file/record.json"}, 6, "record",
     "file: the folder cannot be made: Not a directory"},
    {{"init", "nowhere/a.yaml"}, 6, "record",
     "nowhere/a.yaml: cannot be written: No such file or directory; nothing was left behind"},
    {{"synthesize", kTiny, "--out", "file"}, 6, "checkpoint",
     "file/base_checkpoints/d2: the folder cannot be made: Not a directory"},
    {{"report", "nowhere.json"}, 6, "record",
     "nowhere.json: no such file; kvproof run CONFIG.yaml writes records to results/runs"},
    {{"report", "empty"}, 6, "record",
     "empty: is a folder; name one of the .json files in it"},
};

const std::vector<BadInput> kCheckpoints = {
    {ids({"--base-dir", "model-cut"}), 6, "checkpoint",
     "model-cut/base_checkpoints/d4/model_000050.pt: truncated: a zip file of 514755 bytes that ends before its directory; copy the file again"},
    {ids({"--base-dir", "model-text"}), 6, "checkpoint",
     "model-text/base_checkpoints/d4/model_000050.pt: not a file of torch.save: expected the zip signature 50 4b 03 04, found 6e 6f 74 20"},
    {ids({"--base-dir", "model-foreign"}), 6, "checkpoint",
     "model-foreign/base_checkpoints/d4/model_000050.pt: data.pkl at byte 2: the global 'posixsystem.OrderedDict' has no place in this kind of file; nothing was run. Use a file you trust, with plain data only"},
    {ids({"--base-dir", "tensor-missing"}), 6, "checkpoint",
     "tensor-missing/base_checkpoints/d4/model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): transformer.h.1.attn.c_k.weight is missing; check model_config in the meta file, or name the generation with --arch generation=…"},
    {ids({"--base-dir", "tensor-extra"}), 6, "checkpoint",
     "tensor-extra/base_checkpoints/d4/model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): 'transformer.wpe.weight' is unknown; check model_config in the meta file, or name the generation with --arch generation=…"},
    {ids({"--base-dir", "tensor-misshaped"}), 6, "checkpoint",
     "tensor-misshaped/base_checkpoints/d4/model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): transformer.h.2.mlp.c_fc.weight has shape (64, 256), expected (256, 64); check model_config in the meta file, or name the generation with --arch generation=…"},
    {ids({"--base-dir", "tensor-integer"}), 6, "checkpoint",
     "tensor-integer/base_checkpoints/d4/model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): transformer.h.2.mlp.c_fc.weight has dtype int64, expected floating point; check model_config in the meta file, or name the generation with --arch generation=…"},
    {ids({"--base-dir", "design-v0"}), 6, "checkpoint",
     "design-v0/base_checkpoints/d4/model_000050.pt: an experimental design of nanochat that is not supported: value_embeds on all layers with v0_lambdas and no ve_gate (commit 9a88194); use a checkpoint of another commit"},
    {ids({"--base-dir", "meta-cut"}), 6, "checkpoint",
     "meta-cut/base_checkpoints/d4/meta_000050.json:5:6: not valid JSON: unexpected the end of the file; copy the file again"},
    {ids({"--base-dir", "meta-empty-object"}), 6, "checkpoint",
     "meta-empty-object/base_checkpoints/d4/meta_000050.json: model_config: is missing; is this a meta_*.json of nanochat?"},
    {ids({"--base-dir", "meta-layers"}), 6, "checkpoint",
     "meta-layers/base_checkpoints/d4/model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): resid_lambdas has shape (4,), expected (5,), transformer.h.0.attn.ve_gate.weight is missing, transformer.h.2.attn.ve_gate.weight is missing, transformer.h.4.attn.c_k.weight is missing and 14 more; check model_config in the meta file, or name the generation with --arch generation=…"},
    {ids({"--base-dir", "meta-embd"}), 6, "checkpoint",
     "meta-embd/base_checkpoints/d4/model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): lm_head.weight has shape (384, 64), expected (331, 128) or more rows, transformer.h.0.attn.c_k.weight has shape (32, 64), expected (64, 128), transformer.h.0.attn.c_proj.weight has shape (64, 64), expected (128, 128), transformer.h.0.attn.c_q.weight has shape (64, 64), expected (128, 128) and 24 more; check model_config in the meta file, or name the generation with --arch generation=…"},
    {ids({"--base-dir", "meta-heads"}), 6, "checkpoint",
     "meta-heads/base_checkpoints/d4/meta_000050.json: model_config.n_embd: expected a multiple of n_head 3, found 64"},
    {ids({"--base-dir", "meta-string"}), 6, "checkpoint",
     "meta-string/base_checkpoints/d4/meta_000050.json: model_config.n_embd: expected an integer, found \"64\""},
    {ids({"--base-dir", "meta-kv-heads"}), 6, "checkpoint",
     "meta-kv-heads/base_checkpoints/d4/meta_000050.json: model_config.n_head: expected a multiple of n_kv_head 3, found 4"},
    {ids({"--base-dir", "meta-missing"}), 6, "checkpoint",
     "meta-missing: no checkpoint: searched chatsft_checkpoints (missing), chatrl_checkpoints (missing), mid_checkpoints (missing), base_checkpoints; incomplete: base_checkpoints/d4/model_000050.pt without meta_000050.json; the folder holds base_checkpoints, golden.json, golden.pt, tokenizer; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir"},
    {{"generate", "--prompt", "a", "--base-dir", "demo", "--max-tokens", "100000"}, 6, "capacity",
     "rotary tables: a prompt of 2 and max_tokens 100000 need 100001 positions, the tables cover 5120 (10 x sequence_len 512); max_tokens can be at most 5119"},
};

const std::vector<BadInput> kTokenizers = {
    {ids({"--base-dir", "tokenizer-cut"}), 6, "tokenizer",
     "tokenizer-cut/tokenizer/tokenizer.pkl at byte 2: truncated: a frame of 2504 bytes, 89 left; copy the file again"},
    {ids({"--base-dir", "tokenizer-foreign"}), 6, "tokenizer",
     "tokenizer-foreign/tokenizer/tokenizer.pkl at byte 2: the global 'os.system' has no place in this kind of file; nothing was run. Use a file you trust, with plain data only"},
    {ids({"--base-dir", "tokenizer-list"}), 6, "tokenizer",
     "tokenizer-list/tokenizer/tokenizer.pkl: expected a pickled tiktoken.core.Encoding, found list; use a tokenizer.pkl that nanochat wrote"},
    {ids({"--base-dir", "tokenizer-missing"}), 6, "tokenizer",
     "tokenizer-missing/tokenizer/tokenizer.pkl: expected a file that can be read; the folder holds nothing; copy nanochat's tokenizer folder here or name another one"},
    {ids({"--base-dir", "tokenizer-other"}), 6, "tokenizer",
     "tokenizer-other/tokenizer: holds 331 tokens, the checkpoint's vocab_size is 2048; put the tokenizer it was trained with beside it, or move this folder away to run on token ids"},
    {{"detokenize", "--tokens", "1", "--base-dir", "tokenizer-cut"}, 6, "tokenizer",
     "tokenizer-cut/tokenizer/tokenizer.pkl at byte 2: truncated: a frame of 2504 bytes, 89 left; copy the file again"},
};

const std::vector<BadInput> kConfigsAndRecords = {
    {{"plan", "nowhere.yaml"}, 2, "config",
     "nowhere.yaml: cannot be read: No such file or directory; `kvproof init` writes a config to start from"},
    {{"plan", "empty.yaml"}, 2, "config",
     "empty.yaml:1:1: empty; `kvproof init` writes a config to start from"},
    {{"plan", "syntax.yaml"}, 2, "config",
     "syntax.yaml:2:1: not valid YAML: end of sequence flow not found"},
    {{"plan", "unknown-key.yaml"}, 2, "config",
     "unknown-key.yaml:3:11: sampler.temprature: unknown key, did you mean \"temperature\"? (known: temperature, top_k, seed, max_tokens, num_samples, stop, mode, tools)"},
    {{"plan", "range.yaml"}, 2, "config",
     "range.yaml:3:23: sampler.max_tokens: must be in [1, 1048576], got 0"},
    {{"plan", "type.yaml"}, 2, "config",
     "type.yaml:3:24: sampler.temperature: must be a number, got hot"},
    {{"plan", "word.yaml"}, 2, "config",
     "word.yaml:3:14: run.dtype: must be one of auto, float32, bfloat16, float16, float64; got float23, did you mean \"float32\"?"},
    {{"plan", "no-checkpoints.yaml"}, 2, "config",
     "no-checkpoints.yaml:1:1: checkpoints is missing; `kvproof init` writes a config to start from"},
    {{"plan", "two-kinds.yaml"}, 2, "config",
     "two-kinds.yaml:2:11: prompts.0: needs exactly one of chat, text, tokens, file, synthetic; got text and tokens"},
    {{"plan", "same-name.yaml"}, 2, "config",
     "same-name.yaml:1:98: checkpoints.1.name: \"a\" is there twice, first at same-name.yaml:1:22"},
    {{"plan", "twice.yaml"}, 2, "config",
     "twice.yaml:4:1: run: given twice, first at twice.yaml:3:1"},
    {{"plan", "synthetic.yaml"}, 2, "config",
     "synthetic.yaml:1:15: synthetic: d<layers>: expected an integer of at least 0, found '2x'"},
    {{"plan", "text.yaml"}, 2, "config",
     "text.yaml:2:11: prompt \"p\": is text, and the checkpoint has no tokenizer; give tokens: […] or synthetic: {length: …}"},
    {{"plan", "outside.yaml"}, 2, "config",
     "outside.yaml:2:11: prompt \"p\": token 64 is outside the vocabulary; the model has ids 0 to 63"},
    {{"plan", "gone.yaml"}, 6, "checkpoint",
     "TMP/nowhere: no such folder; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir, or set NANOCHAT_BASE_DIR"},
    {{"plan", "long.yaml"}, 6, "capacity",
     "a/p: a prompt of 1 and sampler.max_tokens 100 need 100 positions, the rotary tables hold 80; shorten one of them"},
    {{"plan", "empty"}, 2, "config",
     "empty: a directory, not a config; `kvproof init` writes a config to start from"},
    {{"run", "unknown-key.yaml"}, 2, "config",
     "unknown-key.yaml:3:11: sampler.temprature: unknown key, did you mean \"temperature\"? (known: temperature, top_k, seed, max_tokens, num_samples, stop, mode, tools)"},
    {{"plan", "good.yaml", "--set", "sampler.max_token=3"}, 2, "config",
     "--set sampler.max_token: unknown key, did you mean \"max_tokens\"? (known: temperature, top_k, seed, max_tokens, num_samples, stop, mode, tools)"},
    {{"plan", "good.yaml", "--set", "sampler"}, 2, "config",
     "--set sampler: expected key=value, as in --set sampler.max_tokens=16"},
    {{"plan", "good.yaml", "--set", "sampler.seed=x"}, 2, "config",
     "--set sampler.seed: must be an integer, got x"},
    {{"report", "other.json"}, 6, "record",
     "other.json: has no schema.name; expected \"kvproof-run\"; is this a record of kvproof run?"},
    {{"report", "cut.json"}, 6, "record",
     "cut.json: ends after 1 bytes in the middle of a JSON document; the file is cut off"},
    {{"report", "newer.json"}, 6, "record",
     "newer.json: schema.version: expected 1, found 99; a newer kvproof wrote this record: read it with that one"},
    {{"report", "damaged.json"}, 6, "record",
     "damaged.json#/config: expected a value, found nothing; the record is damaged"},
};
const std::vector<BadInput> kVerifications = {
    {{"verify", "--quick", "--only", "decode[5,3]/float32"}, 2, "argument",
     "--quick: cannot be combined with --only, which names what is run"},
    {{"verify", "--self-test", "--quick"}, 2, "argument",
     "--self-test: cannot be combined with --quick: the self-test brings its own models"},
    {{"verify", "--self-test", "--synthetic", kTiny}, 2, "argument",
     "--self-test: cannot be combined with --synthetic: the self-test brings its own models"},
    {{"verify", "--self-test", "--list-faults"}, 2, "argument",
     "--self-test: cannot be combined with --list-faults: the self-test brings its own models"},
    {{"verify", "--self-test", "--threads", "0"}, 2, "argument",
     "--threads: must be an integer from 1 to 1024, got \"0\""},
    {{"verify", "--list-faults", "--plant", "kv-heads-tiled"}, 2, "argument",
     "--list-faults: cannot be combined with --plant: a list runs nothing"},
    {{"verify", "--max-time", "0"}, 2, "argument",
     "--max-time: must be a number of at least 0.1, got \"0\""},
    {{"verify", "--seed", "x"}, 2, "argument",
     "--seed: must be an integer from 0 to 18446744073709551615, got \"x\""},
    {{"verify", "--only", "decode"}, 2, "argument",
     "--only: expected kind[numbers]/dtype, as in chunks[1,299]/float64, got \"decode\""},
    {{"verify", "--only", "decode[5,x]/float32"}, 2, "argument",
     "--only: expected whole numbers between the brackets, got \"decode[5,x]/float32\""},
    {{"verify", "--synthetic", kTiny, "--only", "decode[5]/float32"}, 2, "argument",
     "--only: decode[5]/float32: expected [prompt, steps], got 1 numbers"},
    {{"verify", "--synthetic", kTiny, "--only", "decode[5,3]/bfloat16"}, 2, "argument",
     "--only: decode[5,3]/bfloat16: this run has float64 and float32; choose with --dtype"},
    {{"verify", "--synthetic", kTiny + ",sequence_len=8", "--only", "decode[80,1]/float32"}, 2, "argument",
     "--only: decode[80,1]/float32: needs 81 positions, the model's rotary tables cover 80"},
    {{"verify", "--synthetic", kTiny, "--only", "script_bare[9]/float64"}, 2, "argument",
     "--only: script_bare[9]/float64: script_bare runs on the scripted model only"},
    {{"verify", "--synthetic", kTiny, "--plant", "kv-heads-tilde"}, 2, "argument",
     "--plant: unknown fault \"kv-heads-tilde\", did you mean \"kv-heads-tiled\"?"},
    {{"verify", "--synthetic", kTiny, "--plant", "nonsense"}, 2, "argument",
     "--plant: unknown fault \"nonsense\"; kvproof verify --list-faults [model flags] lists them"},
    {{"verify", "--synthetic", kTiny + ",generation=2025-10", "--plant", "window-one-wider"}, 2, "argument",
     "--plant: window-one-wider cannot show on this model: the model has no sliding window"},
    {{"verify", "--list-faults", "--seed", "2"}, 2, "argument",
     "--list-faults: cannot be combined with --seed: a list runs nothing"},
    {{"verify", "--sweeps", "2", "--plant", "kv-heads-tiled"}, 2, "argument",
     "--sweeps: cannot be combined with --plant: sweeps are whole verifications of what is there"},
    {{"verify", "--log", "log.jsonl"}, 2, "argument",
     "--log: is for --sweeps; redirect --format json to keep a report"},
    {{"verify", "--base-dir", "tensor-missing"}, 6, "checkpoint",
     "tensor-missing/base_checkpoints/d4/model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): transformer.h.1.attn.c_k.weight is missing; check model_config in the meta file, or name the generation with --arch generation=…"},
};
// clang-format on

/// The folder with everything that is wrong, made once.
const std::filesystem::path& broken() {
  struct Folder {
    TempDir temp;
    Folder() { make_broken_files(temp.path()); }
  };
  static const Folder folder;
  return folder.temp.path();
}

std::string with_tmp(std::string text) {
  const auto name = std::filesystem::canonical(broken()).string();
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name)) text.replace(at, name.size(), "TMP");
  return text;
}

void check_all(const std::vector<BadInput>& table) {
  for (const auto& bad : table) {
    const auto run = run_kvproof(std::vector<std::string>{"--format", "json"} + bad.words, in_folder(broken()));
    CAPTURE(bad.words, run.err);
    CHECK(run.code == bad.code);
    CHECK(with_tmp(run.last_error_line()) == "error: " + bad.message);
    const auto error = run.json()["error"];
    CHECK(error["kind"] == bad.kind);
    CHECK(error["exit_code"] == bad.code);
    const auto place = error["place"].get<std::string>();
    CHECK(with_tmp((place.empty() ? "" : place + ": ") + error["message"].get<std::string>()) == bad.message);
  }
}

}  // namespace

TEST_CASE("bad command lines are told with the flag at fault", "[program][errors]") { check_all(kCommandLines); }
TEST_CASE("files that are missing or in the way are told by name", "[program][errors]") { check_all(kMissingFiles); }
TEST_CASE("bad checkpoints are told with file, tensor, expected and found", "[program][errors]") {
  check_all(kCheckpoints);
}
TEST_CASE("bad tokenizers are told with their file", "[program][errors]") { check_all(kTokenizers); }
TEST_CASE("bad configs and records are told with line and column, or field", "[program][errors]") {
  check_all(kConfigsAndRecords);
}

TEST_CASE("bad flags of verify are told with the flag, the scenario or the fault", "[program][errors]") { check_all(kVerifications); }

TEST_CASE("in text a failure leaves stdout empty and says the same", "[program][errors]") {
  for (const auto* bad : {&kCommandLines.front(), &kMissingFiles.front(), &kCheckpoints.front(), &kTokenizers.front(),
                          &kConfigsAndRecords.front()}) {
    const auto run = run_kvproof(bad->words, in_folder(broken()));
    CHECK(run.code == bad->code);
    CHECK(run.out.empty());
    CHECK(run.last_error_line() == "error: " + bad->message);
  }
}

TEST_CASE("a subject that nobody asks anything ends well, one that hears no message says what came", "[program][errors]") {
  const std::vector<std::string> words = {"subject", "--synthetic", kTiny};
  const auto quiet = run_kvproof(words);
  CHECK(quiet.code == 0);
  CHECK(quiet.out.empty());
  CHECK(quiet.err.find("error") == std::string::npos);
  const auto text = run_kvproof(words, typing("hello\n"));
  CHECK(text.code == 6);
  CHECK(text.out.empty());
  CHECK(text.last_error_line() ==
        "error: stdin: expected a message of kvproof-subject/1, found \"hello.\"; nothing but messages may stand there: print "
        "to stderr");
  const auto cut = run_kvproof(words, typing("KVP1"));
  CHECK(cut.code == 6);
  CHECK(cut.last_error_line() ==
        "error: stdin: the stream ended in the middle of a message; the length of a header had not all come");
}

TEST_CASE("a failed run leaves no record and no half of a file", "[program][errors]") {
  const TempDir temp;
  write_file_of(temp / "bad.yaml", "checkpoints: [{name: a, synthetic: d2}]\n");
  CHECK(run_kvproof({"run", "bad.yaml"}, in_folder(temp.path())).code == 2);
  CHECK(run_kvproof(logits({"--out", temp / "x.npy", "--prefill-chunks", "9"}), in_folder(broken())).code == 2);
  CHECK(std::distance(std::filesystem::directory_iterator(temp.path()), {}) == 1);
}
