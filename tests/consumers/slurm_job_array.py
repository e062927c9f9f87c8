#!/usr/bin/env python3
"""Slurm runs the job array of harness/measure/SHARDING.md on a cluster of one node, started by hand in a folder of its own:
four shards, one of them cut off before, and the merge behind them give, in everything that is exact, what one unsharded run
gives. So does the plain loop."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

KVPROOF = os.path.abspath(os.environ["KVPROOF"])
GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "harness", "measure", "SHARDING.md")
NEEDED = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo"]
CONFIG = """\
checkpoints:
  - {name: one, synthetic: "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=64"}
  - {name: two, synthetic: "d2,vocab_size=64,n_embd=64,n_head=2,sequence_len=64,seed=2"}
prompts:
  - {name: short, synthetic: {length: 6, seed: 1}}
  - {name: rows, synthetic: {length: 9, seed: 2}, sampler: {temperature: 1, num_samples: 3}}
  - {name: longer, synthetic: {length: 40, seed: 3}}
sampler: {max_tokens: 24}
run: {repetitions: 2, peaks: off}
"""


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def scripts():
    """The guide's blocks of shell, in order: the loop, the job array, the merge, the line that queues both."""
    with open(GUIDE) as f:
        found = re.findall(r"```bash\n(.*?)```", f.read(), re.DOTALL)
    assert len(found) == 4 and "--array=1-4" in found[1], found
    return found


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def slurm_conf(folder):
    controller, daemon = free_ports(2)
    host = socket.gethostname().split(".")[0]
    return f"""\
ClusterName=alone
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1
ReturnToService=2
MailProg=/bin/true
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of Linux's prctl


def end_with_parent():
    """Linux ends the process when this test is gone, even where that was killed and could end nothing itself."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def nothing_left_behind():
    """Slurm's daemons have children of their own, one for each job, which would outlive them: here they become this test's."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        while children := children_of_this():
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def children_of_this():
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as f:
        return [int(word) for word in f.read().split()]


@contextlib.contextmanager
def daemon(words, environment):
    """A process of this test's own, ended with it whatever happens."""
    process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(what, done, processes, seconds):
    deadline = time.monotonic() + seconds
    while not done():
        for process in processes:
            assert process.poll() is None, f"{process.args[0]} ended with {process.returncode} while waiting for {what}"
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def output_of(words, environment, folder=None):
    return subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True).stdout


@contextlib.contextmanager
def cluster(folder, environment):
    """One node that is idle."""
    for name in ("state", "spool"):
        os.mkdir(os.path.join(folder, name))
    key, munge_socket = os.path.join(folder, "munge.key"), os.path.join(folder, "munge.socket")
    with open(key, "wb", opener=lambda path, flags: os.open(path, flags, 0o400)) as f:
        f.write(os.urandom(128))
    conf = environment["SLURM_CONF"]
    with open(conf, "w") as f:
        f.write(slurm_conf(folder))
    munge = ["munged", "--foreground", "--force", "--key-file", key, "--socket", munge_socket, "--num-threads", "2"]
    for kind in ("pid", "log", "seed"):
        munge += [f"--{kind}-file", os.path.join(folder, "munge." + kind)]
    with nothing_left_behind(), contextlib.ExitStack() as stack:
        processes = [stack.enter_context(daemon(munge, environment))]
        wait_until("munge", lambda: os.path.exists(munge_socket), processes, 30)
        for words in (["slurmctld", "-D", "-f", conf], ["slurmd", "-D", "-f", conf]):
            processes.append(stack.enter_context(daemon(words, environment)))
        wait_until("an idle node", lambda: "idle" in output_of(["sinfo", "-h", "-o", "%T"], environment), processes, 90)
        yield processes


def exact(record):
    """What neither the machine nor the moment changes, by case."""
    cases = {}
    for case in record["cases"]:
        paths = {name: {key: path[key] for key in ("rows", "token_forwards", "kv_cache_bytes")}
                 for name, path in case["paths"].items()}
        cases[case["id"]] = (case["settings"], case["shape"], case["agreement"], case["validity"],
                             case["verification"]["verdict"], case["work"], paths)
    return {"order": [case["id"] for case in record["cases"]], "cases": cases, "config": record["config"],
            "checkpoints": record["checkpoints"], "kvproof": record["kvproof"], "exit_code": record["exit_code"]}


def compare(merged_file, whole_file):
    with open(merged_file) as merged, open(whole_file) as whole:
        merged, whole = json.load(merged), json.load(whole)
    assert whole["exit_code"] == 0, whole["cases"]
    left, right = exact(merged), exact(whole)
    for key, value in right.items():
        assert left[key] == value, f"{key}: {left[key]} merged, {value} of the whole"
    assert [part["shard"] for part in merged["merged_from"]] == [1, 2, 3, 4], merged["merged_from"]
    return merged


def log_of(folder):
    texts = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".log"):
            with open(os.path.join(folder, name), errors="replace") as f:
                texts.append(f"--- {name}\n" + "".join(f.readlines()[-30:]))
    return "\n".join(texts)


def cut_off(folder, environment):
    """The second shard as a run leaves it that was killed before its first case."""
    words = ["kvproof", "run", "bench.yaml", "--set", "run.threads=1", "--shard", "2/4", "--out", "parts/2.json"]
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    os.remove(os.path.join(folder, "parts", "2.json"))
    with open(os.path.join(folder, "parts", "2.jsonl"), "r+") as f:
        f.readline()
        f.readline()  # the journal and its session
        f.truncate(f.tell())


def run_array(folder, environment, processes):
    """As the guide says, but for the CPUs that a small machine may not have."""
    _, array, merge, queue = scripts()
    for name, text in (("shards.sh", array.replace("--cpus-per-task=2", "--cpus-per-task=1")), ("merge.sh", merge)):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    print(output_of(["bash", "-c", queue], environment, folder).strip())
    wait_until("the jobs", lambda: not output_of(["squeue", "-h"], environment).strip(), processes, 300)
    assert os.path.exists(os.path.join(folder, "all.json")), log_of(folder)


if sys.platform != "linux":
    skip("Slurm runs on Linux")
missing = [name for name in NEEDED if shutil.which(name) is None]
if missing:
    skip(f"{', '.join(missing)} not found; Debian: slurm-wlm and munge")
if os.geteuid() != 0:
    skip("starting Slurm's daemons needs root")
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))

with tempfile.TemporaryDirectory() as scratch:
    work, loop, slurm = (os.path.join(scratch, name) for name in ("work", "loop", "slurm"))
    for folder in (work, loop, slurm):
        os.mkdir(folder, 0o755)
    for folder in (work, loop):
        with open(os.path.join(folder, "bench.yaml"), "w") as f:
            f.write(CONFIG)
    environment = dict(os.environ, SLURM_CONF=os.path.join(slurm, "slurm.conf"), OMP_NUM_THREADS="1",
                       PATH=os.path.dirname(KVPROOF) + os.pathsep + os.environ["PATH"])
    cut_off(work, environment)
    try:
        with cluster(slurm, environment) as processes:
            run_array(work, environment, processes)
    except AssertionError:
        print(log_of(slurm), log_of(work), sep="\n")
        raise
    whole = ["kvproof", "run", "bench.yaml", "--set", "run.threads=1", "--out", "whole.json"]
    subprocess.run(whole, cwd=work, env=environment, check=True, capture_output=True)
    merged = compare(os.path.join(work, "all.json"), os.path.join(work, "whole.json"))
    assert [len(part["sessions"]) for part in merged["merged_from"]] == [1, 2, 1, 1], merged["merged_from"]
    print(f"four tasks of a Slurm job array and their merge: {len(merged['cases'])} cases, as one run gives them")

    subprocess.run(["bash", "-ec", scripts()[0]], cwd=loop, env=environment, check=True, capture_output=True)
    subprocess.run(["kvproof", "run", "bench.yaml", "--out", "whole.json"], cwd=loop, env=environment, check=True,
                   capture_output=True)
    compare(os.path.join(loop, "all.json"), os.path.join(loop, "whole.json"))
    print("the plain loop, too")
