"""Jobs that wait for one another, started as soon as there is room, until all are done."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hemiface.errors import HemifaceError
from hemiface.studies.jobs import ARRIVES_S, Executor, Job, Running, is_lost
from hemiface.studies.started import forget, last_words, note_started, progress_of
from hemiface.threads import interrupts_kept_back

__all__ = ["JobState", "OnJobs", "Schedule"]

log = logging.getLogger(__name__)

_LOST_IN_VAIN = 3
"""A job that is lost so often without getting further is given up."""
_GRACE_S = 15.0
_SLICE_S = 0.1


@dataclass
class JobState:
    """How a job is doing."""

    job: Job
    state: Literal["waiting", "running", "done", "failed", "left out"] = "waiting"
    what: str = ""
    done: int = 0
    """Steps."""
    total: int = 0
    """Steps in all; 0 where that isn't known yet, as of a job in a queue."""
    began_s: float = 0.0
    ended_s: float = 0.0
    furthest: int = 0
    lost: int = 0
    in_vain: int = 0
    """How often in a row it was lost no further than before."""
    why: str = ""
    """It failed."""


OnJobs = Callable[[Sequence[JobState]], None]


class Schedule:
    """Which jobs are done, which run, and what may start now."""

    def __init__(
        self,
        jobs: Sequence[Job],
        executor: Executor,
        run: Path,
        *,
        is_done: Callable[[str], bool],
        taken_up: Mapping[str, str] | None = None,
    ) -> None:
        """Take `jobs` in an order in which each comes after those that it needs.

        `is_done` is asked by their names, once those that they need are done; `taken_up` has the
        IDs of those that an earlier process has given to the executor. `run` is their run folder.
        """
        self._states = {one.name: JobState(one) for one in jobs}
        self._executor, self._run, self._is_done = executor, run, is_done
        self._taken_up = dict(taken_up or {})
        self._running: dict[str, Running] = {}
        self._unseen_s: dict[str, float] = {}

    def carry_out(self, on_jobs: OnJobs | None = None) -> None:
        """Start what may start and look what ended, until nothing is left to start.

        Ctrl-C, or what else raises here, ends what runs.

        Raises:
            HemifaceError: jobs failed; all that doesn't need them is done.
        """
        with interrupts_kept_back() as raise_if_any:
            try:
                while self._step():
                    if on_jobs:
                        on_jobs(list(self._states.values()))
                    self._wait(raise_if_any)
            except BaseException:
                self._stop()
                raise
            finally:
                self._executor.close()
        if on_jobs:
            on_jobs(list(self._states.values()))
        self._require_done()

    def _wait(self, raise_if_any: Callable[[], None]) -> None:
        """Wait until it is worth looking again, or for Ctrl-C."""
        end_s = time.monotonic() + self._executor.look_every_s
        raise_if_any()
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(_SLICE_S, left_s))
            raise_if_any()

    def _step(self) -> bool:
        """Look what ended and start what may start; return whether anything runs."""
        for name in list(self._running):
            self._look(self._states[name])
        for one in self._states.values():
            if one.state != "waiting":
                continue
            before = [self._states[name].state for name in one.job.after if name in self._states]
            if any(state in ("failed", "left out") for state in before):
                one.state = "left out"
            elif all(state == "done" for state in before):
                self._start_if_needed(one)
        return bool(self._running)

    def _start_if_needed(self, one: JobState) -> None:
        """Start a job that may start, if it isn't done and there is room for it."""
        name, most = one.job.name, self._executor.at_once
        job = self._taken_up.pop(name, None)
        if job is None and most is not None and len(self._running) >= most:
            return
        if not one.lost and self._is_done(name):
            forget(self._run, name)
            one.state = "done"
            return
        if job is None:
            forget(self._run, name, progress=True)
            running = self._executor.start(one.job)
            log.info("%s: %s", name, "starts again" if one.lost else "starts")
        else:
            running = self._executor.taken_up(job)
            log.info("%s: was started before, as job %s", name, job)
        self._running[name] = running
        if running.record:
            note_started(self._run, name, running.record)
        one.state, one.began_s = "running", time.monotonic()

    def _look(self, one: JobState) -> None:
        """See how far a job is, and what came of it if it has ended."""
        name = one.job.name
        one.what, one.done, one.total = progress_of(self._run, name)
        one.furthest, had = max(one.furthest, one.done), one.furthest
        one.in_vain = 0 if one.furthest > had else one.in_vain
        code = self._running[name].ended()
        if code is None:
            return
        is_done = self._is_done(name)
        # Of a queue the job ran elsewhere, and what it noted may take a while to show here.
        is_elsewhere = self._running[name].record is not None
        if code == 0 and not is_done and is_elsewhere and not self._is_late(name):
            return
        del self._running[name]
        forget(self._run, name)
        one.ended_s = time.monotonic()
        if is_done:
            one.state = "done"
            done = sum(state.state == "done" for state in self._states.values())
            log.info(
                "%s: done in %.0f s; %d of %d jobs are",
                name, one.ended_s - one.began_s, done, len(self._states),
            )  # fmt: skip
            return
        self._not_done(one, code)

    def _is_late(self, name: str) -> bool:
        """Return whether what a job noted at its end should have been seen by now."""
        since_s = self._unseen_s.setdefault(name, time.monotonic())
        if time.monotonic() - since_s <= ARRIVES_S:
            return False
        del self._unseen_s[name]
        return True

    def _not_done(self, one: JobState, code: int) -> None:
        """Let a lost job start again; give up one that failed, or was lost too often."""
        one.why = last_words(one.job.log)
        if is_lost(code):
            one.lost, one.in_vain = one.lost + 1, one.in_vain + 1
            if one.in_vain < _LOST_IN_VAIN:
                log.warning("%s: was lost, so it starts again", one.job.name)
                one.state = "waiting"
                return
            one.why = f"it was lost {one.in_vain} times without getting further; {one.why}"
        elif code == 0:
            one.why = f"it ended as if it were done and isn't; {one.why}"
        one.state = "failed"
        log.warning("%s: failed: %s", one.job.name, one.why)

    def _stop(self) -> None:
        """End all jobs and wait until they have; what they have noted stays."""
        if self._running:
            log.warning("%d jobs are ended", len(self._running))
        for running in self._running.values():
            running.stop()
        end_s = time.monotonic() + _GRACE_S
        for name, running in self._running.items():
            while running.ended() is None:
                if time.monotonic() > end_s:
                    running.kill()
                    break
                time.sleep(_SLICE_S)
            forget(self._run, name)

    def _require_done(self) -> None:
        failed = [one for one in self._states.values() if one.state == "failed"]
        if not failed:
            return
        left_out = sum(one.state == "left out" for one in self._states.values())
        beside = f" and {left_out} that need them were left out" if left_out else ""
        first = failed[0]
        raise HemifaceError(
            f"{len(failed)} of {len(self._states)} jobs failed{beside}. {first.job.name}: "
            f"{first.why.rstrip('.')} (all it said is in {first.job.log}). The others are done; "
            "the same command goes on with what is left."
        )
