"""Resident memory of processes, from Linux's /proc."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

MIB = 2**20


def resident_mib() -> float:
    """Return the resident memory of this process."""
    return _resident_of(Path("/proc/self")) / MIB


def watch(process: subprocess.Popen[str]) -> dict[str, float | None]:
    """Return the peak memory of a process, which leads a session, and its children; wait for it.

    `rss_mib` is the largest sum of their resident memory at one moment, sampled ten times a second;
    `pss_mib` the same with pages that several of them share counted once, sampled once a second and
    at every new peak; both None where there is no /proc.
    """
    rss = pss = samples = 0
    while process.poll() is None:
        now = resident(process.pid)
        # Adding up shared pages takes milliseconds, so that is done less often.
        if now > 1.01 * rss or samples % 10 == 0:
            pss = max(pss, proportional(process.pid))
        rss, samples = max(rss, now), samples + 1
        time.sleep(0.1)
    return {"rss_mib": rss / MIB or None, "pss_mib": pss / MIB or None}


def session(leader: int) -> list[Path]:
    """Return the /proc folders of the processes in the session that `leader` leads."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(folder)
    return found


def resident(leader: int) -> int:
    """Return the bytes that the processes of a session hold, shared ones once for each."""
    total = 0
    for folder in session(leader):
        with suppress(OSError):
            total += _resident_of(folder)
    return total


def proportional(leader: int) -> int:
    """Return the bytes that the processes of a session hold, shared ones once."""
    total = 0
    for folder in session(leader):
        with suppress(OSError):
            lines = (folder / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024


def _resident_of(folder: Path) -> int:
    return int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
