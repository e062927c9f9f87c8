#!/usr/bin/env python3
"""Every fault of faulty_skeleton.py is found by kvproof verify, and laid at the right door where that is certain."""
import json
import os
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
FAULTY = [sys.executable, str(HERE / "faulty_skeleton.py")]
PROGRAM = os.environ.get("KVPROOF")

# What a report must name; None where slots and logits leave it open.
SUSPECTS = {
    "position-off-by-one-in-decode": "position", "position-restarts-per-chunk": "position", "reset-leaves-positions": "reset",
    "window-ignored-in-decode": "window", "window-one-wider": "window", "window-one-narrower": "window",
    "last-value-of-a-chunk-dropped": "cache write", "clone-aliases-its-source": "clone", "clone-copies-row-0-only": "clone",
    "clone-one-position-short": "clone", "truncate-leaves-the-length": "rollback", "batch-rows-swapped": "row",
    "overflow-silently-dropped": "capacity", "overflow-accepted": "capacity", "generate-feeds-the-token-before": "generation",
    "lengths-wrong": "state",
}
# The skeleton's own loop clones and decodes batches: nothing else is in use.
LATENT = {"reset-leaves-positions", "truncate-leaves-the-length", "overflow-silently-dropped", "overflow-accepted"}
# An engine that breaks: what the message must say.
BREAKS = {
    "dies-in-forward": "status 3", "hangs-in-forward": "nothing came for 1 s", "raises-in-forward": "out of luck",
    "writes-between-the-messages": "nothing but messages may stand there", "logits-of-another-shape": "shape",
}


def listed():
    out = subprocess.run([*FAULTY, "--list-faults"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("\t") for line in out.splitlines())


def verify(fault):
    """returns (exit status, document, stderr)"""
    patience = "1" if fault.startswith("hangs") else "20"  # seconds: machines are shared
    command = f'"{FAULTY[0]}" "{FAULTY[1]}" --fault {fault}'
    run = subprocess.run([PROGRAM, "verify", "--subject", command, "--quick", "--subject-timeout", patience, "--max-time", "1",
                          "--format", "json"], capture_output=True, text=True)
    return run.returncode, json.loads(run.stdout), run.stderr


@unittest.skipUnless(PROGRAM, "KVPROOF names no program")
class Faults(unittest.TestCase):
    def test_each_is_found_and_the_harmless_ones_pass(self):
        kinds = listed()
        with ThreadPoolExecutor(4) as pool:  # each waits for most of its time
            results = dict(zip(kinds, pool.map(verify, kinds)))
        for fault, kind in kinds.items():
            with self.subTest(fault):
                status, document, errors = results[fault]
                found = document["first_divergence"]
                if kind == "none":
                    self.assertEqual((status, document["verdict"], found), (0, "PASS", None), errors)
                    continue
                self.assertEqual((status, document["verdict"]), (5, "FAIL"), errors)
                self.assertEqual(document["wrong"], [{"generation": "generation", "protocol": "subject"}.get(kind, "cache")])
                in_use, latent = document["in_use"]["scenarios"], document["latent"]["scenarios"]
                self.assertEqual(in_use == [], fault in LATENT, (in_use, latent))
                if fault in LATENT:
                    self.assertTrue(document["explanation"].startswith("latent: "), document["explanation"])
                    found = document["latent"]["first_divergence"]
                if fault in SUSPECTS:
                    self.assertEqual(found["suspect"], SUSPECTS[fault], found)
                if fault in BREAKS:
                    self.assertIn("ended in an error", found["message"])
                    self.assertIn(BREAKS[fault], found["message"])
                self.assertIn("--only", document["reproduce"])


if __name__ == "__main__":
    unittest.main()
