#!/usr/bin/env python3
"""Fetches LibTorch: the headers, libraries and CMake files inside PyTorch's wheel.

    libtorch.py unpack DIR --stamp TEXT   leaves LibTorch in DIR, with TEXT in DIR/.stamp
    libtorch.py wheel DIR                 leaves the wheel itself in DIR and prints its path

pip does the fetching, so that the user's indexes, certificates and proxies hold. The environment says
what: TORCH_VERSION, TORCH (cpu, cuda), TORCH_INDEX_URL (where to look after pip's own indexes).
"""
import argparse
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

VERSION = os.environ["TORCH_VERSION"]
INDEX_URL = os.environ["TORCH_INDEX_URL"]
CUDA = os.environ.get("TORCH", "cpu") == "cuda"
MACOS = platform.system() == "Darwin"  # its wheels carry no CUDA and no local version
# Any Python's wheel holds the same LibTorch; where there is none for this Python, another one's will do.
WHEEL_OF = [] if (3, 10) <= sys.version_info[:2] <= (3, 14) else ["--python-version", "3.12"]
# CPU wheels of 2.13 have 110 to 200 MB, CUDA wheels 420 and more.
LARGEST_CPU_WHEEL = 300 * 2**20


def say(text):
    print(f"libtorch: {text}", file=sys.stderr, flush=True)


def pip(*args, show=False):
    """Runs pip; returns (succeeded, what it wrote). show: its progress goes to stderr."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *args]
    done = subprocess.run(command, text=True, stdout=sys.stderr if show else subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode == 0, (done.stdout or "") + done.stderr


def download(requirement, folder, *where):
    """The wheel's path, or None and pip's reason."""
    ok, text = pip("download", "--no-deps", "--only-binary=:all:", *WHEEL_OF, "--dest", str(folder), *where, requirement,
                   show=True)
    wheels = list(folder.glob("torch-*.whl"))
    return (wheels[0], None) if ok and wheels else (None, reason_in(text))


def reason_in(text):
    """pip ends on "no matching distribution" even where it reached no index: then that is the reason."""
    broken = re.findall(r"connection broken by '.*?(Failed to .*?|Tunnel .*?|[^:()]*timed out.*?)'\)?", text)
    return broken[-1] if broken else (text.strip().splitlines() or ["pip gave no reason"])[-1].removeprefix("ERROR: ")


def plain_wheel():
    """Address of the wheel that pip would take for the version without a local part, or None. Downloads nothing."""
    _, text = pip("index", "versions", "-vvv", "--only-binary=:all:", *WHEEL_OF, "torch")
    found = re.findall(r"Found link (\S+).*, version: (\S+)", text)
    return next((link.split("#")[0] for link, version in found if version == VERSION), None)


def open_url(url, method="GET"):
    ok, cert = pip("config", "get", "global.cert")
    cert = os.environ.get("PIP_CERT") or (cert.strip() if ok else None)
    context = ssl.create_default_context(cafile=cert)
    return urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60, context=context)


def is_cuda_build(url):
    """Judged by what the wheel requires, which an index serves beside it or a local file holds; else by its size."""
    try:
        if url.startswith("file:"):
            with zipfile.ZipFile(urllib.request.url2pathname(url[len("file://"):])) as wheel:
                name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
                metadata = wheel.read(name).decode()
        else:
            with open_url(url + ".metadata") as answer:
                metadata = answer.read().decode()
        return bool(re.search(r"^Requires-Dist: (nvidia|cuda|triton)", metadata, re.M))
    except urllib.error.URLError:
        try:
            with open_url(url, "HEAD") as answer:
                return int(answer.headers.get("Content-Length") or LARGEST_CPU_WHEEL + 1) > LARGEST_CPU_WHEEL
        except urllib.error.URLError:
            return True  # unknown: better not begin gigabytes


def cpu_wheel(folder):
    """Downloads the CPU build: from pip's indexes, else from TORCH_INDEX_URL."""
    requirement = f"torch=={VERSION}" if MACOS else f"torch=={VERSION}+cpu"
    say(f"fetching {requirement} (about 200 MB)")
    wheel, reason = download(requirement, folder)
    tried = [f"pip's indexes: {reason}"]
    if not wheel and not MACOS:
        plain = plain_wheel()
        if plain and not is_cuda_build(plain):
            wheel, reason = download(f"torch==={VERSION}", folder)  # "==" would also take a "+cu130"
            tried.append(f"pip's indexes, {VERSION}: {reason}")
            if wheel and is_cuda_build(wheel.as_uri()):  # passed by its size alone; now its requirements are known
                wheel.unlink()
                wheel = None
        if plain and not wheel:
            tried.append(f"pip's indexes: torch {VERSION} is there as a CUDA build only (TORCH=cuda takes it)")
    if not wheel:
        say(f"{tried[-1]}; looking in TORCH_INDEX_URL")
        wheel, reason = download(requirement, folder, "--index-url", INDEX_URL)
        tried.append(f"{INDEX_URL}: {reason}")
    if not wheel:
        sys.exit("libtorch: no CPU build of torch " + VERSION + "\n  " + "\n  ".join(tried) + "\n"
                 "  next: set TORCH_INDEX_URL to an index that has it, or CMAKE_PREFIX_PATH to a LibTorch you have")
    return wheel


def unpack_cpu(part):
    part.mkdir()
    file = cpu_wheel(part)
    with zipfile.ZipFile(file) as wheel:
        # torch.libs has what some platforms' libraries find at $ORIGIN/../../torch.libs.
        wanted = re.compile(r"torch/(include|lib|share/cmake)/|torch\.libs/")
        wheel.extractall(part, [name for name in wheel.namelist() if wanted.match(name)])
    file.unlink()


def unpack_cuda(part):
    """The CUDA build with the NVIDIA libraries it requires, laid out as pip does: its libraries find them so."""
    say(f"fetching torch {VERSION} for CUDA with what it requires (gigabytes)")
    # A "+cpu" wheel also satisfies "==VERSION", and pip would prefer it.
    requirement = f"torch=={VERSION},!={VERSION}+cpu"
    for where in ([], ["--index-url", INDEX_URL]):
        ok, text = pip("install", "--only-binary=:all:", "--target", str(part), *where, requirement, show=True)
        if ok:
            return
    sys.exit(f"libtorch: no CUDA build of torch {VERSION}: {reason_in(text)}\n"
             "  next: set TORCH_INDEX_URL to an index that has it")


def unpack(target, stamp):
    """Everything goes into a folder beside the target first: an interrupted run is not taken for a complete one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (unpack_cuda if CUDA else unpack_cpu)(part)
    config = part / "torch/share/cmake/Torch/TorchConfig.cmake"
    if not config.is_file():
        sys.exit(f"libtorch: the wheel has no {config.relative_to(part)}; is TORCH_VERSION={VERSION} a build with headers?")
    (part / "torch/.stamp").write_text(stamp + "\n")
    for entry in sorted(part.iterdir(), key=lambda e: e.name == "torch"):  # torch, which has the stamp, last
        shutil.rmtree(target.parent / entry.name, ignore_errors=True)
        entry.rename(target.parent / entry.name)
    part.rmdir()
    say(f"ready in {target}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["unpack", "wheel"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stamp", default="")
    args = parser.parse_args()
    if args.what == "unpack":
        unpack(args.folder, args.stamp)
    else:
        args.folder.mkdir(parents=True, exist_ok=True)
        print(cpu_wheel(args.folder))


if __name__ == "__main__":
    main()
