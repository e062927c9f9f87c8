#!/usr/bin/env python3
"""Google Benchmark's compare.py reads what `kvproof report --to gbench` writes: two records, one of them 1.1 times slower."""
import json
import os
import re
import subprocess
import sys
import tempfile

KVPROOF = os.environ["KVPROOF"]
COMPARE = "/usr/share/benchmark/compare.py"  # Debian's libbenchmark-tools, for the system's Python
SAMPLE = os.path.join(os.path.dirname(__file__), "..", "data", "record", "sample.json")
SLOWER = 1.1

if sys.platform == "darwin" and not os.path.exists(COMPARE):
    print("skipped: Homebrew has no compare.py")
    sys.exit(77)


def slower(sample):
    """One repetition that took SLOWER times as long in all its parts."""
    scaled = dict(sample)
    for key, value in sample.items():
        if key.endswith("_ns") and value is not None:
            scaled[key] = [round(SLOWER * gap) for gap in value] if key == "itl_ns" else round(SLOWER * value)
    return scaled


def exported(record, folder, name):
    """The record's Google Benchmark JSON, as a file."""
    record_file, file = os.path.join(folder, name + ".record.json"), os.path.join(folder, name + ".json")
    with open(record_file, "w") as f:
        json.dump(record, f)
    subprocess.run([KVPROOF, "report", record_file, "--to", "gbench", "--out", file], check=True)
    return file


with open(SAMPLE) as f:
    base = json.load(f)
other = json.loads(json.dumps(base))
for case in other["cases"]:
    for path in case.get("paths", {}).values():
        path["samples"] = [slower(sample) for sample in path["samples"]]

with tempfile.TemporaryDirectory() as scratch:
    files = [exported(base, scratch, "base"), exported(other, scratch, "other")]
    with open(files[0]) as f:
        rows = json.load(f)["benchmarks"]
    shown = subprocess.run(["/usr/bin/python3", COMPARE, "--no-color", "benchmarks", *files],
                           check=True, capture_output=True, text=True).stdout

# NAME  time  CPU  time old  time new  CPU old  CPU new
line = re.compile(r"^(\S+)\s+([+-]\d+\.\d+)\s+([+-]\d+\.\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$")
read = [found.groups() for found in map(line.match, shown.splitlines()) if found]
assert [each[0] for each in read] == [row["name"] for row in rows], shown
for (name, time, cpu, old, new, *_), row in zip(read, rows):
    expected = "+0.0000" if row.get("error_occurred") and row["real_time"] == 0 else "+0.1000"
    assert time == expected, (name, time, expected)
    assert cpu == ("+0.1000" if row["cpu_time"] > 0 else "+0.0000"), (name, cpu)
    assert abs(int(old) - row["real_time"]) <= 1 and abs(int(new) - SLOWER * row["real_time"]) <= 1 + row["real_time"] * 1e-6
tested = [name for name in shown.split() if name.endswith("_pvalue")]
assert len(tested) == len({row["name"] for row in rows if row["repetitions"] > 1}), shown
print(f"compare.py read {len(rows)} rows of {len({row['name'] for row in rows})} benchmarks: each is 1.1 times slower; "
      f"its U test ran on {len(tested)}")
