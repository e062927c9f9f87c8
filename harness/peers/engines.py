"""The engines of a group: how each is started, what it is called, and on which files it runs."""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from cells import DTYPES, ROWS, bytes_differ
from connection import EngineError

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = ROOT / "harness/adapters"
OURS = "kvproof"
LLAMACPP_TYPES = {"fp32": ("f32",), "bf16": ("bf16", "f16")}  # of the weights: a column each
LLAMACPP_CACHE = {"fp32": "f32", "bf16": "f16"}  # f16 is llama.cpp's own choice; in float32 rows keys and values are float32 as ours


@dataclass(frozen=True)
class Engine:
    """column: of the table; variant: one of several settings of which the table shows the fastest, or ""; roles: of the cells that it
    runs; name: in the log, instead of its own"""
    column: str
    variant: str
    command: list
    environment: dict = field(default_factory=dict)
    roles: tuple = ("one", "rows")
    name: str = ""

    @property
    def key(self):
        return f"{self.column} {self.variant}".strip()


@dataclass
class Setting:
    """Where things are. program: kvproof; python: one with the adapters' packages; work: a folder for weights, kept"""
    program: Path
    python: Path
    work: Path
    backend: str
    nanochat: str | None

    def inspect(self, spec, dtype, depth):
        """What `kvproof inspect` says of a shape: config, parameters, cost of a step behind `depth` tokens."""
        return json.loads(output([self.program, "inspect", "--synthetic", spec, "--dtype", DTYPES[dtype], "--depth", str(depth),
                                  "--format", "json"]))


def output(command):
    """stdout of a command that must succeed. raises EngineError"""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise EngineError(f"{' '.join(map(str, command))} returned {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def has_backends(program):
    return "--backend" in output([program, "subject", "--help"])


def ours(setting, group):
    backend = ["--backend", setting.backend] if setting.backend and has_backends(setting.program) else []
    return Engine(OURS, "", [setting.program, "subject", "--synthetic", group.spec, "--dtype", DTYPES[group.dtype],
                             "--threads", str(group.threads), *backend])


def llamacpp(setting, group):
    """Flash attention off and on, for each type of weights. One row has a context of its own; several rows have a buffer each
    (--split), since in a common one each row's attention would go over the others' slots."""
    engines = []
    for kind in LLAMACPP_TYPES[group.dtype]:
        file = gguf_file(setting, group, kind)
        for flash in ("off", "on"):
            command = [setting.python, ADAPTERS / "llamacpp_adapter.py", "--model", file, "--kv", LLAMACPP_CACHE[group.dtype],
                       "--flash-attn", flash, "--threads", str(group.threads)]
            one = ["--context", "2048", "--ubatch", "512", "--sequences", "1"]
            rows = ["--context", "256", "--ubatch", "512", "--split", "--sequences", str(ROWS)]
            engines += [Engine(f"llama.cpp {kind}", f"fa={flash}", [*command, *one], roles=("one",)),
                        Engine(f"llama.cpp {kind}", f"fa={flash}, rows", [*command, *rows], roles=("rows",))]
    return engines


def gguf_file(setting, group, kind):
    """Writes the file unless it is there, and sees that it holds as many bytes of matrices as we read for a token."""
    model = setting.inspect(group.spec, group.dtype, 0)
    config = model["config"]
    file = setting.work / f"{group.shape}-v{config['vocab_size']}-{kind}.gguf"
    written = json.loads(output([setting.python, ADAPTERS / "llamacpp_random.py", file, "--type", kind, "--layers", config["n_layer"],
                                 "--embd", config["n_embd"], "--heads", config["n_head"], "--kv-heads", config["n_kv_head"],
                                 "--vocab", config["vocab_size"], "--context", config["sequence_len"]]))
    expected = model["parameters"]["matmul"] * {"f32": 4, "f16": 2, "bf16": 2}[kind]
    if differ := bytes_differ(expected, written["matmul_bytes"]):
        raise EngineError(f"{file}: {differ}; remove the file if an older version wrote it")
    print(f"  llama.cpp {kind}: {written['matmul_bytes']} bytes of matrices a token, ours {expected} "
          f"({100 * (written['matmul_bytes'] / expected - 1):+.3f} %)", flush=True)
    return file


def transformers(setting, group):
    return [Engine("transformers", "", [setting.python, ADAPTERS / "transformers_adapter.py", "--random", f"nanochat:{group.spec}",
                                        "--dtype", DTYPES[group.dtype]])]


def nanochat(setting, group):
    """nanochat itself, from NANOCHAT_SRC; it loads what `kvproof synthesize` writes."""
    if not setting.nanochat:
        return []
    base = setting.work / f"nanochat-{group.shape}"
    if not base.exists():
        part = base.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)  # what a run that was stopped left
        output([setting.program, "synthesize", group.spec, "--out", part, "--tag", group.shape])
        part.rename(base)
    environment = {"NANOCHAT_SRC": setting.nanochat, "NANOCHAT_DTYPE": DTYPES[group.dtype]}
    return [Engine("nanochat", "", [setting.python, ADAPTERS / "nanochat_adapter.py", "--base-dir", base, "--source", "base"],
                   environment, name="nanochat")]


def engines_of(setting, group):
    """Ours first."""
    setting.work.mkdir(parents=True, exist_ok=True)
    peers = [*llamacpp(setting, group), *transformers(setting, group), *nanochat(setting, group)]
    limit = {"OMP_NUM_THREADS": str(group.threads)}
    return [ours(setting, group), *(replace(peer, environment={**limit, **peer.environment}) for peer in peers)]


def nanochat_checkout():
    """(folder, None), or (None, why there is none)."""
    folder = os.environ.get("NANOCHAT_SRC")
    if not folder:
        return None, "NANOCHAT_SRC names no checkout of karpathy/nanochat"
    if not (Path(folder) / "nanochat/gpt.py").exists():
        return None, f"{folder} (NANOCHAT_SRC) has no nanochat/gpt.py"
    return folder, None
