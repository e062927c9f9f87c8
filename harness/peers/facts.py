"""What stands beside the figures: the machine, the versions, and how fast memory is read and matrices are multiplied, measured in the same session."""
import datetime
import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path

from cells import DTYPES, PROMPT
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


def peak(setting, group):
    """A line of the log: how fast so many threads read memory, and multiply, as the shape's c_fc does or a square, at best just now."""
    width = setting.inspect(group.spec, group.dtype, 0)["config"]["n_embd"]
    prompt = PROMPT[group.shape]
    found = json.loads(output([setting.program, "machine", "--format", "json", "--threads", str(group.threads), "--dtype", DTYPES[group.dtype],
                               "--shape", f"{prompt},{4 * width},{width}"]))
    [peaks] = found["machine"]["peaks"]
    [read] = [entry["bytes_per_s"] for entry in peaks["read"] if entry["working_set"] == "out_of_cache"]
    return {"threads": group.threads, "dtype": group.dtype, "read_bytes_per_s": read,
            "gemm_flops_per_s": max(entry["flops_per_s"] for entry in peaks["gemm"])}
