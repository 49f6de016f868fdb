"""A job: one command that any machine can run which sees the folder, and who starts it.

An executor starts jobs and says when they ended. It knows nothing of studies: what a job did is
read in the run folder. The same job is started by each of them in the same way, in an interpreter
of its own.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hemiface.config import Cluster
from hemiface.processes import runs

__all__ = [
    "ARRIVES_S",
    "LOST",
    "Executor",
    "Job",
    "Running",
    "carried_out",
    "end_with_starter",
    "is_lost",
]

LOST = -int(getattr(signal, "SIGKILL", 9))
"""The exit code of a job of which nothing is known but that it doesn't run any more."""

ARRIVES_S = 5.0
"""So long a shared folder may take to show what a job on another machine has written last."""

_STARTER = "HEMIFACE_STARTED_BY"
_INTERRUPTED = (130, 137, 143)
"""What hemiface and shells say of a process that a signal ended."""
_LOOK_EVERY_S = 0.5
_GRACE_S = 10.0


@dataclass(frozen=True)
class Job:
    """A command line of hemiface, and what it asks for."""

    name: str
    """That of its stage."""
    words: tuple[str, ...]
    """Behind `hemiface`."""
    log: Path
    """The file that what it says is added to."""
    folder: Path
    """Where it is run; relative paths in a config begin there."""
    needs: Cluster
    after: tuple[str, ...] = ()
    """The names of the jobs that have to be done before."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What its environment has beside that of whoever runs it."""

    def start(self, **variables: str) -> "subprocess.Popen[bytes]":
        """Start it on this machine, in a process group of its own; it ends with this process."""
        own = {**os.environ, **self.variables, **variables, _STARTER: str(os.getpid())}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "hemiface", *self.words], cwd=self.folder, env=own,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip


class Running(Protocol):
    """A job that was started."""

    @property
    def record(self) -> Mapping[str, str] | None:
        """How another process finds it again; None if it ends with this one."""

    def ended(self) -> int | None:
        """Return its exit code, None while it waits or runs, LOST if its machine is gone."""

    def stop(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it, if asking didn't."""


class Executor(Protocol):
    """Who starts jobs."""

    at_once: int | None
    """How many jobs may wait or run there at a time; None for any number."""
    look_every_s: float

    def start(self, job: Job) -> Running:
        """Start a job, or put it into a queue."""

    def taken_up(self, job: str) -> Running:
        """Return a job that an earlier process started, by its ID."""

    def close(self) -> None:
        """Let go of what was needed for starting jobs."""


def carried_out(job: Job) -> int:
    """Run a job here to its end and return its exit code; what other machines are asked to call.

    Whatever ends this call, such as a queue's signal, ends the job.
    """
    process = job.start()
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            end_group(process, signal.SIGTERM)
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def end_group(process: "subprocess.Popen[bytes]", sign: signal.Signals) -> None:
    """Send a signal to a job and all that it has started."""
    try:
        if sys.platform == "win32":
            process.send_signal(sign)
        else:
            os.killpg(process.pid, sign)
    except (ProcessLookupError, PermissionError):
        pass  # It has ended, and so has its group.


def end_with_starter() -> None:
    """End this process as Ctrl-C would, as soon as who started it as a job has gone."""
    starter = os.environ.pop(_STARTER, "")
    if not starter.isdigit():
        return

    def watch() -> None:
        while os.getppid() == int(starter) and runs(int(starter)):
            time.sleep(_LOOK_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def is_lost(code: int) -> bool:
    """Return whether a job was ended from outside, so that another one may go on."""
    return code < 0 or code in _INTERRUPTED
