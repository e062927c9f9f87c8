"""What stands beside the figures: the machine, the versions, and how fast memory is read, measured in the same session."""
import datetime
import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path

from engines import ROOT, EngineError, output

# /proc/cpuinfo's word → llama.cpp's. A build for another machine lacks some of what this one has.
LLAMACPP_WORDS = {"avx2": "AVX2", "fma": "FMA", "avx512f": "AVX512", "avx512_vnni": "AVX512_VNNI", "avx512_bf16": "AVX512_BF16",
                  "amx_int8": "AMX_INT8", "asimd": "NEON"}


def first_line(path, start):
    try:
        return next(line.partition(":")[2].strip() for line in Path(path).read_text().splitlines() if line.startswith(start))
    except (OSError, StopIteration):
        return ""


def not_native(system_line, cpu_flags):
    """Extensions that the CPU has and llama.cpp's build does not use: it was compiled for another machine."""
    return [word for flag, word in LLAMACPP_WORDS.items() if flag in cpu_flags and f"{word} = 1" not in system_line]


def versions(setting):
    """Of the packages behind the peers, asked of their Python; null: not installed."""
    script = ("import importlib.metadata as m, json\nfound = {}\n"
              "for name in ('torch', 'transformers', 'llama_cpp_python', 'gguf', 'numpy'):\n"
              "    try: found[name] = m.version(name)\n"
              "    except m.PackageNotFoundError: found[name] = None\n"
              "print(json.dumps(found))")
    found = json.loads(output([setting.python, "-c", script]))
    missing = [name for name in ("transformers", "llama_cpp_python", "gguf") if not found[name]]
    if missing:
        raise EngineError(f"{setting.python} has no {', '.join(missing)}: run make adapters LLAMACPP=1")
    if setting.nanochat:
        commit = subprocess.run(["git", "-C", setting.nanochat, "log", "-1", "--format=%h of %cs"], capture_output=True, text=True)
        found["nanochat"] = commit.stdout.strip() or "unknown commit"
    return found


def program_digest(program):
    return hashlib.sha256(Path(program).read_bytes()).hexdigest()[:16]


def session(setting, system_line):
    """A line of the log: who measures what, where."""
    flags = first_line("/proc/cpuinfo", "flags") or first_line("/proc/cpuinfo", "Features")
    return {
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "program": {"version": output([setting.program, "--version"]).splitlines(), "sha256": program_digest(setting.program)},
        "commit": subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip(),
        "versions": versions(setting), "llamacpp_system": system_line, "llamacpp_not_native": not_native(system_line, flags.split()),
        "machine": {"cpu": first_line("/proc/cpuinfo", "model name") or platform.processor(), "cores": os.cpu_count(),
                    "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "system": platform.platform()},
        "python": platform.python_version(),
        "environment": {name: os.environ[name] for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME") if name in os.environ},
    }


def llamacpp_system(setting):
    return output([setting.python, "-c", "import llama_cpp; print(llama_cpp.llama_print_system_info().decode().strip(' |\\n'))"]).strip()


def read_bandwidth(setting, threads):
    """Bytes a second that so many threads read out of memory, by kvproof-bench beside the program; None: it is not built, or has no
    such benchmark (the table then says nothing of bandwidth)."""
    bench = setting.program.with_name("kvproof-bench")
    if not bench.exists():
        return None
    # The benchmark's own warnings about the machine go to stderr, which output() keeps.
    text = output([bench, f"--benchmark_filter=kernels/read/threads:{threads}/", "--benchmark_format=json", "--benchmark_repetitions=3"])
    runs = json.loads(text)["benchmarks"] if text.strip() else []
    return max((run["GB/s"] for run in runs if run["run_type"] == "iteration"), default=0) * 1e9 or None
