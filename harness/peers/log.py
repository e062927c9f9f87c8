"""The log of a measurement: JSON lines, appended as cells finish, so that what was stopped goes on where it was."""
import json
from pathlib import Path


class LogError(Exception):
    """A log that cannot be gone on with."""


NOISY = 0.1  # CPUs that other programs kept busy, from which on a launch of a cell may be measured again


class Log:
    """Lines are {"session": …}, a start of the driver; {"peak": …}, how fast memory was read; or {"cell": …, "launch": …}, what one
    launch measured of a cell; of several of the same cell and launch the last one counts."""

    def __init__(self, path):
        self.path = Path(path)
        self.sessions, self.peaks, self.cells = [], [], []
        if self.path.exists():
            for number, line in enumerate(self.path.read_text().splitlines(), 1):
                try:
                    self.take(json.loads(line))
                except (ValueError, KeyError) as e:
                    raise LogError(f"{self.path}:{number}: expected a JSON line of a session, a peak or a cell ({e}); remove the line, or give "
                                   "another --out") from e

    def take(self, line):
        if "session" in line:
            self.sessions.append(line["session"])
        elif "peak" in line:
            self.peaks.append(line["peak"])
        else:
            line["engines"]
            self.cells = [old for old in self.cells if (old["cell"], old["launch"]) != (line["cell"], line["launch"])] + [line]

    def begin(self, session):
        """raises LogError where the log's figures are of another build of the program"""
        builds = {old["program"]["sha256"] for old in self.sessions}
        if builds and builds != {session["program"]["sha256"]}:
            raise LogError(f"{self.path}: its figures are of another build of the program (sha256 {', '.join(sorted(builds))}; this one "
                           f"is {session['program']['sha256']}): remove the file, or give another --out")
        self.append({"session": session})

    def append(self, line):
        self.take(line)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def has(self, cell, launch, noisy=True):
        """noisy: whether a line counts during which other programs ran"""
        return any(line["cell"] == cell and line["launch"] == launch and (noisy or (line["others_cpu"] or 0) <= NOISY)
                   for line in self.cells)
