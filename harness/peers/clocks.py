"""Whose CPU time it was: engines that should wait, and programs that are none of ours. Linux tells; elsewhere both are unknown."""
import os
import time
from pathlib import Path


class IdleClock:
    """CPU time that a process takes while nobody asks it anything: threads that spin would take it from the others."""

    def __init__(self, pid):
        self.pid, self.cpu_ns, self.wall_ns, self.began = pid, 0, 0, None

    def cpu(self):
        """Nanoseconds that all threads of the process have run; None: this system does not tell"""
        try:
            threads = list(Path(f"/proc/{self.pid}/task").iterdir())
            return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
        except (OSError, ValueError):
            return None

    def begin(self):
        self.began = (self.cpu(), time.perf_counter_ns())

    def end(self):
        if self.began is None or self.began[0] is None:
            return
        cpu = self.cpu()
        if cpu is not None:
            self.cpu_ns += cpu - self.began[0]
            self.wall_ns += time.perf_counter_ns() - self.began[1]
        self.began = None

    def share(self):
        """CPU time per time idle; None: not known"""
        return round(self.cpu_ns / self.wall_ns, 5) if self.wall_ns else None


def busy_seconds(stat=Path("/proc/stat")):
    """CPU time of all CPUs that was not idle, steal included; None: this system does not tell"""
    try:
        user, nice, system, _, _, *other = map(int, stat.read_text().split("\n", 1)[0].split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + sum(other)) / os.sysconf("SC_CLK_TCK")


class OthersClock:
    """CPU time that neither the engines nor this program took: that of other programs, and what a hypervisor gave to others."""

    def __init__(self, engines):
        """engines: their idle clocks, which know what they run"""
        self.engines, self.begun = engines, None

    def now(self):
        """(seconds of all CPUs, seconds of ours, seconds of the wall)"""
        ours = [engine.cpu() for engine in self.engines]
        if busy_seconds() is None or None in ours:
            return None
        return busy_seconds(), sum(ours) / 1e9 + time.process_time(), time.perf_counter()

    def begin(self):
        self.begun = self.now()

    def share(self):
        """CPUs that others kept busy since begin(), 0.5: half of one; None: not known"""
        end = self.now()
        if self.begun is None or end is None:
            return None
        busy, ours, wall = (b - a for a, b in zip(self.begun, end))
        return round(max(0.0, busy - ours) / wall, 3)
