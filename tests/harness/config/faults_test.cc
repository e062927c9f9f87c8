// Faults and what is said about them: place, key, what was expected, what was found.
#include "tests/harness/config/config_file.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

struct Fault {
  const char* name;
  std::string yaml;
  std::string message;
};

const std::string kCheckpoint = "checkpoints: [{name: m, synthetic: d4}]\n";
const std::string kPrompt = "prompts: [{name: p, text: hi}]\n";
const std::string kKinds = "needs exactly one of chat, text, tokens, file, synthetic; got ";

void check(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    CAPTURE(fault.name, fault.yaml);
    CHECK(fault_of(fault.yaml) == fault.message);
  }
}

}  // namespace

TEST_CASE("an unknown key is an error with its place, the known keys and a guess", "[config]") {
  check({
      {"at the top", kTop + "smapler: {}\n",
       "bad.yaml:3:1: smapler: unknown key, did you mean \"sampler\"? (known: checkpoints, prompts, sampler, run, "
       "naive, sweep, compare, ci)"},
      {"a setting at the top", kTop + "max_tokens: 5\n",
       "bad.yaml:3:1: max_tokens: unknown key, did you mean \"sampler.max_tokens\"? (known: checkpoints, prompts, "
       "sampler, "
       "run, naive, sweep, compare, ci)"},
      {"in a section", kTop + "run:\n  Threads: 5\n",
       "bad.yaml:4:3: run.Threads: unknown key, did you mean \"threads\"? (known: backend, dtype, device, threads, "
       "pin, repetitions, verify, peaks)"},
      {"dashes for underscores", kTop + "sampler: {num-samples: 2}\n",
       "bad.yaml:3:11: sampler.num-samples: unknown key, did you mean \"num_samples\"? (known: temperature, top_k, "
       "seed, "
       "max_tokens, num_samples, stop, mode, tools)"},
      {"nothing like it", kTop + "naive: {x: 2}\n", "bad.yaml:3:9: naive.x: unknown key (known: logits)"},
      {"in a checkpoint", "checkpoints: [{name: m, basedir: x}]\n" + kPrompt,
       "bad.yaml:1:25: checkpoints.0.basedir: unknown key, did you mean \"base_dir\"? (known: name, base_dir, "
       "synthetic, subject, reference, source, tag, step, architecture)"},
      {"in an architecture", "checkpoints: [{synthetic: d4, architecture: {soft_cap: 20}}]\n" + kPrompt,
       "bad.yaml:1:46: checkpoints.0.architecture.soft_cap: unknown key, did you mean \"softcap\"? (known: generation, "
       "rope_base, qk_scale, window_pattern, short_window, softcap, ve_gate_scale, rope_table_dtype, norm_eps)"},
      {"in a prompt", kCheckpoint + "prompts:\n- {text: a}\n- {text: b, temperature: 1}\n",
       "bad.yaml:4:13: prompts.1.temperature: unknown key, did you mean \"sampler.temperature\"? (known: name, chat, "
       "text, "
       "tokens, file, synthetic, sampler, run, naive)"},
      {"in a prompt's own section", kCheckpoint + "prompts: [{text: a, run: {dtyp: auto}}]\n",
       "bad.yaml:2:27: prompts.0.run.dtyp: unknown key, did you mean \"dtype\"? (known: backend, dtype, device, "
       "threads, "
       "pin, repetitions, verify, peaks)"},
      {"in a synthetic prompt", kCheckpoint + "prompts: [{synthetic: {len: 4}}]\n",
       "bad.yaml:2:24: prompts.0.synthetic.len: unknown key (known: length, depth, seed)"},
      {"of a sweep", kTop + "sweep: {dtype: [float32]}\n",
       "bad.yaml:3:9: sweep.dtype: unknown key, did you mean \"run.dtype\"? (known: sampler.temperature, "
       "sampler.top_k, "
       "sampler.seed, sampler.max_tokens, sampler.num_samples, sampler.stop, sampler.mode, sampler.tools, run.backend, "
       "run.dtype, run.device, run.threads, run.pin, run.repetitions, run.verify, run.peaks, naive.logits, "
       "prompt.length, prompt.depth, prompt.seed, zip)"},
  });
}

TEST_CASE("a value of the wrong type is an error that shows it", "[config]") {
  check({
      {"text for an integer", kTop + "sampler: {max_tokens: many}\n",
       "bad.yaml:3:23: sampler.max_tokens: must be an integer, got many"},
      {"a quoted integer", kTop + "sampler: {max_tokens: \"5\"}\n",
       "bad.yaml:3:23: sampler.max_tokens: must be an integer, got the string \"5\""},
      {"a fraction", kTop + "sampler: {max_tokens: 1.0}\n",
       "bad.yaml:3:23: sampler.max_tokens: must be an integer, got 1.0"},
      {"octal to some, decimal to others", kTop + "sampler: {max_tokens: 010}\n",
       "bad.yaml:3:23: sampler.max_tokens: must be an integer, got 010"},
      {"nothing, where a value is needed", kTop + "sampler:\n  seed:\n  top_k:\n",
       "bad.yaml:4:3: sampler.seed: must be an integer, got null"},
      {"an optional integer", kTop + "run: {threads: two}\n",
       "bad.yaml:3:16: run.threads: must be an integer or auto, got two"},
      {"text for a number", kTop + "sampler: {temperature: hot}\n",
       "bad.yaml:3:24: sampler.temperature: must be a number, got hot"},
      {"not a number", kTop + "sampler: {temperature: .nan}\n",
       "bad.yaml:3:24: sampler.temperature: must be a number, got .nan"},
      {"infinity as C++ reads it", kTop + "sampler: {temperature: inf}\n",
       "bad.yaml:3:24: sampler.temperature: must be a number, got inf"},
      {"a number for a boolean", kTop + "sampler: {tools: 1}\n",
       "bad.yaml:3:18: sampler.tools: must be true or false, got 1"},
      {"an unknown word", kTop + "run: {dtype: float31}\n",
       "bad.yaml:3:14: run.dtype: must be one of auto, float32, bfloat16, float16, float64; got float31, did you mean "
       "\"float32\"?"},
      {"a list for a word", kTop + "run: {dtype: [float32, bfloat16]}\n",
       "bad.yaml:3:14: run.dtype: must be one of auto, float32, bfloat16, float16, float64; got a list"},
      {"a number for a string", kCheckpoint + "prompts: [{text: 12}]\n",
       "bad.yaml:2:18: prompts.0.text: must be a string, got the number 12; put it in quotes"},
      {"a boolean for a string", kCheckpoint + "prompts: [{chat: true}]\n",
       "bad.yaml:2:18: prompts.0.chat: must be a string, got the boolean true; put it in quotes"},
      {"an empty string", kCheckpoint + "prompts: [{text: \"\"}]\n",
       "bad.yaml:2:18: prompts.0.text: must not be empty"},
      {"a map for a string", kCheckpoint + "prompts: [{text: {a: b}}]\n",
       "bad.yaml:2:18: prompts.0.text: must be a string, got a map"},
      {"a map for a list", "checkpoints: {synthetic: d4}\n" + kPrompt,
       "bad.yaml:1:14: checkpoints: must be a list, got a map"},
      {"a list for a map", kTop + "sampler: [1]\n", "bad.yaml:3:10: sampler: must be a map, got a list"},
      {"text for a list", kCheckpoint + "prompts: [{tokens: 5}]\n",
       "bad.yaml:2:20: prompts.0.tokens: must be a list, got 5"},
      {"text among tokens", kCheckpoint + "prompts: [{tokens: [5, bos]}]\n",
       "bad.yaml:2:24: prompts.0.tokens.1: must be an integer, got bos"},
      {"a list in an architecture", "checkpoints: [{synthetic: d4, architecture: {softcap: [20]}}]\n" + kPrompt,
       "bad.yaml:1:55: checkpoints.0.architecture.softcap: must be a word or a number, got a list"},
      {"a long text is cut between characters", kTop + "run: {threads: " + std::string(39, 'x') + "äöü}\n",
       "bad.yaml:3:16: run.threads: must be an integer or auto, got " + std::string(39, 'x') + "…"},
      {"the whole file", "- a\n", "bad.yaml:1:1: must be a map, got a list"},
  });
}

TEST_CASE("a value out of range is an error with the range", "[config]") {
  check({
      {"too small", kTop + "sampler: {\nmax_tokens: 0}\n",
       "bad.yaml:4:13: sampler.max_tokens: must be in [1, 1048576], got 0"},
      {"too large", kTop + "sampler: {num_samples: 4097}\n",
       "bad.yaml:3:24: sampler.num_samples: must be in [1, 4096], got 4097"},
      {"larger than any integer", kTop + "sampler: {seed: 9223372036854775808}\n",
       "bad.yaml:3:17: sampler.seed: must be in [0, 9223372036854775807], got 9223372036854775808"},
      {"negative", kTop + "sampler: {top_k: -1}\n", "bad.yaml:3:18: sampler.top_k: must be in [0, 1048576], got -1"},
      {"a negative number", kTop + "sampler: {temperature: -0.5}\n",
       "bad.yaml:3:24: sampler.temperature: must be in [0, 100], got -0.5"},
      {"a prompt's own", kCheckpoint + "prompts: [{text: a, run: {threads: 0}}]\n",
       "bad.yaml:2:36: prompts.0.run.threads: must be in [1, 1024], got 0"},
      {"a token", kCheckpoint + "prompts: [{tokens: [2147483648]}]\n",
       "bad.yaml:2:21: prompts.0.tokens.0: must be in [0, 2147483647], got 2147483648"},
      {"a prompt's length", kCheckpoint + "prompts: [{synthetic: {length: 0}}]\n",
       "bad.yaml:2:32: prompts.0.synthetic.length: must be in [1, 1048576], got 0"},
  });
}

TEST_CASE("nothing to run, too little said or too much is an error", "[config]") {
  check({
      {"no checkpoints", kPrompt, "bad.yaml:1:1: checkpoints is missing; `kvproof init` writes a config to start from"},
      {"no prompts", kCheckpoint, "bad.yaml:1:1: prompts is missing; `kvproof init` writes a config to start from"},
      {"an empty list", kCheckpoint + "prompts: []\n", "bad.yaml:2:10: prompts: must not be empty"},
      {"a list of which all is commented out", kCheckpoint + "prompts:\n# - {text: a}\n",
       "bad.yaml:2:1: prompts: must be a list, got null"},
      {"no tokens", kCheckpoint + "prompts: [{tokens: []}]\n", "bad.yaml:2:20: prompts.0.tokens: must not be empty"},
      {"a prompt of no kind", kCheckpoint + "prompts: [{name: p}]\n", "bad.yaml:2:11: prompts.0: " + kKinds + "none"},
      {"a prompt of two kinds", kCheckpoint + "prompts: [{text: a, chat: b}]\n",
       "bad.yaml:2:11: prompts.0: " + kKinds + "chat and text"},
      {"a checkpoint from nowhere", "checkpoints: [{name: m}]\n" + kPrompt,
       "bad.yaml:1:15: checkpoints.0: needs exactly one of base_dir, synthetic, or subject alone; got none"},
      {"a checkpoint from two places", "checkpoints: [{base_dir: a, synthetic: d4}]\n" + kPrompt,
       "bad.yaml:1:15: checkpoints.0: needs exactly one of base_dir, synthetic, or subject alone; got base_dir and synthetic"},
      {"a reference without a subject", "checkpoints: [{base_dir: x, reference: own}]\n" + kPrompt,
       "bad.yaml:1:29: checkpoints.0.reference: is for a subject, and none is given"},
      {"our engine as the reference of a subject alone", "checkpoints: [{subject: ./x, reference: both}]\n" + kPrompt,
       "bad.yaml:1:41: checkpoints.0.reference: both needs the checkpoint that the subject runs; add base_dir"},
      {"a tag of a subject alone", "checkpoints: [{subject: ./x, tag: d4}]\n" + kPrompt,
       "bad.yaml:1:30: checkpoints.0.tag: is of a checkpoint, and only a subject is given; add base_dir"},
      {"a synthetic checkpoint with a tag", "checkpoints: [{synthetic: d4, tag: d4}]\n" + kPrompt,
       "bad.yaml:1:31: checkpoints.0.tag: a synthetic checkpoint has none; remove it, or give base_dir instead"},
      {"a synthetic prompt without a length", kCheckpoint + "prompts: [{synthetic: {seed: 4}}]\n",
       "bad.yaml:2:23: prompts.0.synthetic: length is missing, as in {length: 512}"},
      {"a name twice", kCheckpoint + "prompts:\n- {name: a, text: x}\n- {name: a, text: y}\n",
       "bad.yaml:4:10: prompts.1.name: \"a\" is there twice, first at bad.yaml:3:10"},
      {"a name with a slash", kCheckpoint + "prompts: [{name: a/b, text: x}]\n",
       "bad.yaml:2:18: prompts.0.name: must be letters, digits, \".\", \"_\", \"+\" or \"-\", 64 at most; got a/b"},
  });
}

TEST_CASE("a sweep that cannot be run is an error", "[config]") {
  const std::string synthetic = kCheckpoint + "prompts: [{synthetic: {length: 4}}]\n";
  check({
      {"not a list", kTop + "sweep: {run.dtype: float32}\n",
       "bad.yaml:3:20: sweep.run.dtype: must be a list, got float32"},
      {"no values", kTop + "sweep: {run.dtype: []}\n", "bad.yaml:3:20: sweep.run.dtype: must not be empty"},
      {"a value out of range", kTop + "sweep: {run.threads: [1, 0]}\n",
       "bad.yaml:3:26: sweep.run.threads.1: must be in [1, 1024], got 0"},
      {"a value twice", kTop + "sweep: {sampler.temperature: [0.5, 1, 0.50]}\n",
       "bad.yaml:3:30: sweep.sampler.temperature: 0.5 is there twice"},
      {"a range that goes down", kTop + "sweep: {run.threads: 4-1}\n",
       "bad.yaml:3:22: sweep.run.threads: the range 4-1 goes down; write the smaller end first"},
      {"a range that stands still", kTop + "sweep: {run.threads: [1-8*1]}\n",
       "bad.yaml:3:23: sweep.run.threads.0: the range 1-8*1 never ends; * needs a start of 1 and a factor of 2 at "
       "least, + a "
       "step of 1"},
      {"zero doubled", kTop + "sweep: {sampler.top_k: 0-8*2}\n",
       "bad.yaml:3:24: sweep.sampler.top_k: the range 0-8*2 never ends; * needs a start of 1 and a factor of 2 at "
       "least, + a "
       "step of 1"},
      {"a range that leaves the allowed one", kTop + "sweep: {run.threads: 1-2048*2}\n",
       "bad.yaml:3:22: sweep.run.threads: must be in [1, 1024], got 1-2048*2"},
      {"a range without end", kTop + "sweep: {sampler.seed: 0-999999999999}\n",
       "bad.yaml:3:23: sweep.sampler.seed: the range 0-999999999999 has more than 10000 values"},
      {"a range of no integers", kTop + "sweep: {sampler.temperature: 0-1}\n",
       "bad.yaml:3:30: sweep.sampler.temperature: must be a list, got 0-1"},
      {"something that is no range", kTop + "sweep: {run.threads: 1..8}\n",
       "bad.yaml:3:22: sweep.run.threads: must be a list or a range such as 64-1024*2, got 1..8"},
      {"the length of a text", kTop + "sweep: {prompt.length: [1, 2]}\n",
       "bad.yaml:3:9: sweep.prompt.length: only synthetic prompts have a length to sweep, and \"p\" at bad.yaml:2:11 "
       "is none; "
       "give it a config of its own"},
      {"unequal lengths",
       kTop + "sweep:\n  run.dtype: [float32, bfloat16]\n  run.threads: 1-3\n  zip: [[run.dtype, run.threads]]\n",
       "bad.yaml:6:9: sweep.zip.0: run.dtype has 2 values and run.threads has 3; keys that advance together need "
       "equally many"},
      {"a group of what is not swept", kTop + "sweep: {run.threads: [1, 2], zip: [[run.threads, run.dtype]]}\n",
       "bad.yaml:3:36: sweep.zip.0: run.dtype is not swept; add sweep: {run.dtype: […]}"},
      {"a group of one", kTop + "sweep: {run.threads: [1, 2], zip: [[run.threads]]}\n",
       "bad.yaml:3:36: sweep.zip.0: a group needs two keys at least"},
      {"a key in two groups",
       kTop +
           "sweep: {run.threads: [1], run.dtype: [auto], zip: [[run.threads, run.dtype], [run.dtype, run.threads]]}\n",
       "bad.yaml:3:78: sweep.zip.1: run.dtype is in zip twice"},
      {"a pair twice",
       kTop + "sweep: {run.threads: [1, 2, 1], run.dtype: [auto, auto, auto], zip: [[run.threads, run.dtype]]}\n",
       "bad.yaml:3:70: sweep.zip.0: 1, auto is there twice"},
      {"too many cases", synthetic + "sweep: {sampler.seed: 1-101, prompt.length: 1-100}\n",
       "bad.yaml:3:8: sweep: 10100 cases, 10000 at most; sweep less in one file"},
      {"more cases than can be counted",
       synthetic +
           "sweep: {sampler.seed: 1-9999, prompt.length: 1-9999, sampler.max_tokens: 1-9999, sampler.top_k: 1-9999, "
           "sampler.num_samples: 1-4000, run.repetitions: 1-9999}\n",
       "bad.yaml:3:8: sweep: far more than 10000 cases; sweep less in one file"},
  });
}

TEST_CASE("what is not one YAML document is an error with its place", "[config]") {
  check({
      {"empty", "", "bad.yaml:1:1: empty; `kvproof init` writes a config to start from"},
      {"comments only", "# nothing\n", "bad.yaml:1:1: empty; `kvproof init` writes a config to start from"},
      {"a second document", kTop + "---\na: 1\n", "bad.yaml:4:1: a second YAML document; a config is one document"},
      {"a key twice", kTop + "sampler: {seed: 1, seed: 2}\n",
       "bad.yaml:3:20: sampler.seed: given twice, first at bad.yaml:3:11"},
      {"a section twice", kTop + "run: {}\nrun: {}\n", "bad.yaml:4:1: run: given twice, first at bad.yaml:3:1"},
      {"a list for a key", kTop + "run: {[a]: 1}\n", "bad.yaml:3:7: run: a key must be one plain word"},
      {"Latin-1", kTop + "# \xe4\n", "bad.yaml:3:1: not UTF-8; save it as UTF-8 text"},
      {"the byte yaml-cpp takes for the end of the file", kTop + "sampler: {seed: 1}\x04\nrun: 5\n",
       "bad.yaml:3:1: holds the control character 0x04; in a double-quoted string write \"\\x04\""},
      {"an alias of itself", "a: &a [*a]\n", "bad.yaml:1:4: nested more than 32 levels deep"},
      {"a few lines that stand for 10^9 values",
       "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, "
       "*b]\n"
       "d: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, "
       "*e, *e]\n"
       "g: [*f, *f, *f, *f, *f, *f, *f, *f]\n",
       "bad.yaml:1:23: more than 200000 values in the config"},
  });
  // The words after the place are yaml-cpp's and differ between its versions.
  CHECK_THAT(fault_of(kTop + "sampler: {seed: 1\n"), Catch::Matchers::StartsWith("bad.yaml:4:1: not valid YAML: "));
  CHECK_THAT(fault_of(kTop + "run: *x\n"), Catch::Matchers::StartsWith("bad.yaml:3:6: not valid YAML: "));
}

TEST_CASE("a config that cannot be read is an error", "[config]") {
  const auto fault = [](const std::filesystem::path& file) -> std::string {
    try {
      load_config(file);
      return "loaded";
    } catch (const ConfigError& error) {
      return error.what();
    }
  };
  CHECK(fault("no/such.yaml") ==
        "no/such.yaml: cannot be read: No such file or directory; `kvproof init` writes a config to start from");
  const ConfigFolder folder;
  CHECK(fault(folder.dir()) ==
        folder.dir().string() + ": a directory, not a config; `kvproof init` writes a config to start from");
}
