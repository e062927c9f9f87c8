"""Runs kvproof verify on an adapter and hands back what it says, for tests that judge the judgement."""
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ADAPTERS = ROOT / "harness/adapters"


def command(script, *arguments):
    """A shell command that runs a Python script with this Python."""
    return shlex.join([sys.executable, str(script), *map(str, arguments)])


def verify(subject, *flags, environment=None):
    """returns the document of kvproof verify --subject …, printed in short"""
    depth = [] if "--only" in flags else ["--quick", "--max-time", "60"]
    run = subprocess.run([os.environ["KVPROOF"], "verify", "--subject", subject, "--format", "json", *depth, *flags],
                         capture_output=True, text=True, env={**os.environ, **(environment or {})})
    try:
        document = json.loads(run.stdout)
        first = document["first_divergence"]
    except (ValueError, KeyError):
        raise AssertionError(f"no verdict; exit status {run.returncode}\n{run.stdout}\n{run.stderr}") from None
    failed = document["in_use"]["scenarios"], document["latent"]["scenarios"]
    print(f"{document['verdict']}  {document['subject']['name']}: {document['explanation']}\n"
          f"  failed: {failed[0]}; latent: {failed[1]}; {document['scenarios']} scenarios", flush=True)
    if first:
        print(f"  first: {first['scenario']}: {first['message']}; suspect {first['suspect']}", flush=True)
    return document


def kinds(scenarios):
    """{"chunks[1,4]/float32", …} -> {"chunks", …}"""
    return {name.split("[")[0].split("/")[0] for name in scenarios}
