#!/usr/bin/env python3
"""SciPy still finds the numbers that the comparison's tests are held against: tests/golden/compare/scipy.json, made anew."""
import json
import math
import os
import subprocess
import sys
import tempfile

GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden", "compare")
TOLERANCE = 1e-9  # relative: another version of SciPy sums in another order; the worst seen is 0

if sys.platform == "darwin" and subprocess.run(["/usr/bin/python3", "-c", "import scipy"], capture_output=True).returncode:
    print("skipped: the system's Python has no SciPy")
    sys.exit(77)


def differences(committed, anew, place=""):
    """Places where the two documents differ, numbers by more than TOLERANCE."""
    if isinstance(committed, dict) and isinstance(anew, dict) and committed.keys() == anew.keys():
        return [each for key in committed for each in differences(committed[key], anew[key], f"{place}/{key}")]
    if isinstance(committed, list) and isinstance(anew, list) and len(committed) == len(anew):
        return [each for i in range(len(committed)) for each in differences(committed[i], anew[i], f"{place}/{i}")]
    if isinstance(committed, (int, float)) and isinstance(anew, (int, float)):
        same = math.isclose(committed, anew, rel_tol=TOLERANCE, abs_tol=1e-15)
        return [] if same else [f"{place}: {committed} is committed, SciPy finds {anew}"]
    return [] if committed == anew else [f"{place}: {committed!r} is committed, made anew it is {anew!r}"]


with tempfile.TemporaryDirectory() as scratch:
    file = os.path.join(scratch, "scipy.json")
    # Debian's python3-scipy is for the system's Python.
    subprocess.run(["/usr/bin/python3", os.path.join(GOLDEN, "make.py"), file], check=True)
    with open(file) as f:
        anew = json.load(f)
with open(os.path.join(GOLDEN, "scipy.json")) as f:
    committed = json.load(f)
found = differences(committed, anew)
assert not found, "\n".join(found[:20] + ["run tests/golden/compare/make.py and look at what changed"])
print(f"SciPy finds what is committed: {', '.join(f'{len(rows)} {name}' for name, rows in committed.items())}")
