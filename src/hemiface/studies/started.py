"""Jobs as their run folder knows them: whose turn it is, how far each is, what was left behind."""

import json
import logging
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from hemiface.documents import entry, json_value, read_json, undamaged
from hemiface.errors import UsageError, escaped
from hemiface.files import write_json
from hemiface.locks import LOCK_FILE, locked
from hemiface.studies.book import JOBS, NOTE_FILE, OnProgress, job_folder

__all__ = [
    "LOG_FILE",
    "QUEUE",
    "end_strays",
    "forget",
    "in_turn",
    "last_words",
    "note_started",
    "progress_file",
    "progress_of",
    "remove_jobs",
]

log = logging.getLogger(__name__)

LOG_FILE = "log.txt"
"""What a job says."""

QUEUE = "submitit"
"""The folder beside those of the jobs for what SLURM's queue is given and gives back."""

_PROGRESS_FILE = "progress.json"
_STARTED_FILE = "started.json"
_JOB_ID = re.compile(r"\d+(_\d+)?")
"""SLURM's number of a job, with that of a task."""
_TOLD_EVERY_S = 0.5
_LOOK_EVERY_S = 0.3
_STRAYS_S = 30.0
"""For so long jobs may take to notice that who started them has gone."""


@contextmanager
def in_turn(run: Path, stage: str) -> Iterator[Path]:
    """Yield the folder of a stage's job, which is this process's alone; wait while it isn't."""
    place, is_told = job_folder(run, stage), False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(place))
                break
            except UsageError as held:
                if not is_told:
                    log.info("%s: waits its turn. %s", stage, held)
                is_told = True
                time.sleep(_LOOK_EVERY_S)
        yield place


def progress_file(place: Path) -> OnProgress:
    """Return what notes in a job's folder how far it is, at most twice a second."""
    path, told_s = place / _PROGRESS_FILE, -_TOLD_EVERY_S

    def on_progress(what: str, done: int, total: int) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if done < total and now_s - told_s < _TOLD_EVERY_S:
            return
        told_s = now_s
        partial = path.with_suffix(".partial")
        # A full disk may take the view; what it takes of the work is said there.
        with suppress(OSError):
            partial.write_text(json.dumps([what, done, total]), encoding="utf-8")
            partial.replace(path)

    return on_progress


def progress_of(run: Path, stage: str) -> tuple[str, int, int]:
    """Return what a stage's job does, the steps that are done and those in all; ("", 0, 0)."""
    with suppress(OSError, ValueError):
        text = (job_folder(run, stage) / _PROGRESS_FILE).read_text(encoding="utf-8")
        what, done, total = json_value(text)
        return str(what), int(done), int(total)
    return "", 0, 0


def last_words(path: Path) -> str:
    """Return the sentence that a job ended with, by its log."""
    with suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return escaped(lines[-1].removeprefix("hemiface: ")) if lines else "it said nothing"
    return "it said nothing"


def note_started(run: Path, stage: str, record: Mapping[str, str]) -> None:
    """Note how a job that outlives this process is found again: `on` what, its `id` there."""
    write_json(job_folder(run, stage) / _STARTED_FILE, {**record, "stage": stage})


def forget(run: Path, stage: str, *, progress: bool = False) -> None:
    """Remove the note on a job that has ended; before it starts, how far the last one was, too."""
    (job_folder(run, stage) / _STARTED_FILE).unlink(missing_ok=True)
    if progress:
        (job_folder(run, stage) / _PROGRESS_FILE).unlink(missing_ok=True)


def end_strays(run: Path, on: str | None) -> dict[str, str]:
    """See to it that no job of an earlier start does what it shouldn't; return those to take up.

    Jobs of the same study that wait or run in the queue `on` are taken up: their IDs, by stage.
    Others are cancelled. Without `on` this process wants the folder for itself, or for another
    study: it waits for jobs to notice that who started them has gone.

    Raises:
        UsageError: a job still runs, or can't be cancelled from here.
        DamagedError: the note on a job isn't as it was written.
    """
    taken_up = {}
    for path in sorted(run.glob(f"{JOBS}/*/{_STARTED_FILE}")):
        with undamaged(path, "see that its job has ended, then remove it"):
            known = read_json(path)
            stage, where, job = (entry(known, key, str) for key in ("stage", "on", "id"))
            # It is handed to scancel, which takes more than numbers.
            if not _JOB_ID.fullmatch(job):
                raise ValueError(f"{job[:80]!r} is no number of a job")
        if where == on:
            taken_up[stage] = job
        else:
            _cancel(path, known)
            path.unlink(missing_ok=True)
    if on is None:
        end_s = time.monotonic() + _STRAYS_S
        for lock in sorted(run.glob(f"{JOBS}/*/{LOCK_FILE}")):
            _wait_for(lock.parent, end_s)
    return taken_up


def _cancel(path: Path, known: dict[str, Any]) -> None:
    if shutil.which("scancel") is None:
        raise UsageError(
            f"Job {known['id']} of {path.parent} may still wait or run on SLURM, and there is no "
            f"scancel here; give the command with --on slurm where it was given, or remove {path} "
            "when the job has ended."
        )
    log.info("%s: SLURM's job %s is cancelled", known["stage"], known["id"])
    subprocess.run(["scancel", "--", known["id"]], check=False)


def _wait_for(place: Path, end_s: float) -> None:
    while True:
        try:
            with locked(place):
                return
        except UsageError:
            if time.monotonic() > end_s:
                raise
            time.sleep(_LOOK_EVERY_S)


def remove_jobs(run: Path) -> None:
    """Remove what jobs left in a run folder, but for what isn't theirs."""
    if (run / JOBS).is_symlink():
        return
    if not (run / JOBS / QUEUE).is_symlink():
        shutil.rmtree(run / JOBS / QUEUE, ignore_errors=True)
    own = (NOTE_FILE, LOG_FILE, _PROGRESS_FILE, _STARTED_FILE, LOCK_FILE)
    for place in (*run.glob(f"{JOBS}/*"), run / JOBS):
        if place.is_dir() and not place.is_symlink():
            for name in own:
                (place / name).unlink(missing_ok=True)
            with suppress(OSError):  # Something else lies there.
                place.rmdir()
