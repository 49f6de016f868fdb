"""What starts when, and what a lost or failing job costs, with jobs of few lines."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hemiface.config import Cluster
from hemiface.errors import HemifaceError
from hemiface.studies import jobs as described
from hemiface.studies.jobs import Job
from hemiface.studies.schedule import JobState, Schedule
from hemiface.studies.started import job_folder, progress_file

WORK = """
import sys, time
from pathlib import Path
name, folder, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with (folder / "began").open("a") as log:
    log.write(f"{name}\\n")
kept = folder / f"{name}.steps"
had = int(kept.read_text()) if kept.exists() else 0
for step in range(had, steps):
    time.sleep(0.01)
    partial = kept.with_suffix(".partial")
    partial.write_text(str(step + 1))
    partial.replace(kept)
if name.startswith("bad"):
    print("hemiface: it can't be done.")
    sys.exit(1)
(folder / f"{name}.done").write_text(name)
"""
"""A job that goes on where it was; one whose name begins with bad fails."""


class Processes:
    """Starts python in place of hemiface."""

    look_every_s = 0.01

    def __init__(self, at_once: int | None = None) -> None:
        self.at_once = at_once
        self.started: list[Process] = []
        self.most = 0

    def start(self, job: Job) -> "Process":
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-SEc", WORK, *job.words], stdout=log, start_new_session=True
            )
        self.started.append(Process(process, job))
        running = sum(one.process.poll() is None for one in self.started)
        self.most = max(self.most, running)
        return self.started[-1]

    def taken_up(self, job: str) -> "Process":
        return next(one for one in self.started if one.process.pid == int(job))

    def close(self) -> None:
        pass


class Process:
    record: Mapping[str, str] | None = None

    def __init__(self, process: subprocess.Popen[bytes], job: Job) -> None:
        self.process, self.job = process, job

    def ended(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        described.end_group(self.process, signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def job(folder: Path, name: str, *after: str, steps: int = 1) -> Job:
    return Job(
        name=name, words=(name, str(folder), str(steps)),
        log=job_folder(folder, name) / "log.txt", folder=folder, needs=Cluster(), after=after,
    )  # fmt: skip


def schedule(folder: Path, jobs: Sequence[Job], executor: Processes, **more: object) -> Schedule:
    return Schedule(
        jobs, executor, folder, is_done=lambda name: (folder / f"{name}.done").is_file(), **more
    )


def began(folder: Path) -> list[str]:
    return (folder / "began").read_text().split() if (folder / "began").exists() else []


def diamond(folder: Path, steps: int = 1) -> list[Job]:
    one = lambda name, *after: job(folder, name, *after, steps=steps)  # noqa: E731
    return [one("a"), one("b", "a"), one("c", "a"), one("d", "b", "c"), one("e")]


@pytest.mark.parametrize("at_once", [1, 2, None])
def test_each_starts_after_those_it_needs_and_no_more_than_may(tmp_path, at_once):
    executor, seen = Processes(at_once), []
    schedule(tmp_path, diamond(tmp_path, 3), executor).carry_out(
        lambda states: seen.append({one.job.name: one.state for one in states})
    )
    order = began(tmp_path)
    assert sorted(order) == list("abcde")
    assert order.index("a") < min(order.index("b"), order.index("c"))
    assert order.index("d") > max(order.index("b"), order.index("c"))
    assert executor.most <= (at_once or 3)
    assert set(seen[-1].values()) == {"done"}
    # Whoever needs something never ran beside it.
    assert not any(one["a"] == one["b"] == "running" for one in seen)


def test_what_is_done_is_not_started(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.done").touch()
    schedule(tmp_path, diamond(tmp_path), Processes()).carry_out()
    assert sorted(began(tmp_path)) == ["c", "d", "e"]
    schedule(tmp_path, diamond(tmp_path), Processes()).carry_out()
    assert sorted(began(tmp_path)) == ["c", "d", "e"]


def test_a_failed_job_costs_those_that_need_it_and_no_others(tmp_path):
    jobs = [
        job(tmp_path, "bad"), job(tmp_path, "b", "bad"), job(tmp_path, "c", "b"),
        job(tmp_path, "other"),
    ]  # fmt: skip
    seen: list[Sequence[JobState]] = []
    with pytest.raises(HemifaceError) as caught:
        schedule(tmp_path, jobs, Processes()).carry_out(seen.append)
    said = str(caught.value)
    assert said.startswith("1 of 4 jobs failed and 2 that need them were left out. bad: it can't")
    assert str(tmp_path / "jobs/bad/log.txt") in said
    assert sorted(began(tmp_path)) == ["bad", "other"]
    assert [one.state for one in seen[-1]] == ["failed", "left out", "left out", "done"]


def test_a_job_that_ends_well_and_is_not_done_has_failed(tmp_path):
    jobs = [job(tmp_path, "a")]
    one = Schedule(jobs, Processes(), tmp_path, is_done=lambda _: False)
    with pytest.raises(HemifaceError, match="ended as if it were done and isn't"):
        one.carry_out()


def test_what_a_job_elsewhere_noted_may_take_a_while_to_show(tmp_path, monkeypatch):
    monkeypatch.setattr(Process, "record", {"on": "slurm", "id": "1"})
    since: list[float] = []

    def shows_after_a_while(_: str) -> bool:
        since.append(time.monotonic())
        return time.monotonic() - since[0] > 0.3

    jobs = [job(tmp_path, "a")]
    Schedule(jobs, Processes(), tmp_path, is_done=shows_after_a_while).carry_out()
    monkeypatch.setattr("hemiface.studies.schedule.ARRIVES_S", 0.1)
    with pytest.raises(HemifaceError, match="ended as if it were done and isn't"):
        Schedule(jobs, Processes(), tmp_path / "b", is_done=lambda _: False).carry_out()


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    """Twenty jobs are killed; each goes on where it was, and those beside it are left alone."""
    draw, executor = random.Random(0), Processes(3)
    jobs = diamond(tmp_path, 60)
    kills = 0

    def disturb(states: Sequence[JobState]) -> None:
        nonlocal kills
        alive = [one for one in executor.started if one.process.poll() is None]
        # What has come further since it was killed last isn't given up.
        for state in states:
            state.in_vain = 0
        if alive and kills < 20 and draw.random() < 0.6:
            draw.choice(alive).process.kill()
            kills += 1

    schedule(tmp_path, jobs, executor).carry_out(disturb)
    assert kills == 20
    assert sorted(path.name for path in tmp_path.glob("*.done")) == [f"{n}.done" for n in "abcde"]
    assert {path.read_text() for path in tmp_path.glob("*.steps")} == {"60"}
    assert 5 < len(began(tmp_path)) <= 25


def test_one_that_is_lost_and_gets_no_further_is_given_up(tmp_path):
    executor = Processes()

    def kill(_: object) -> None:
        for one in executor.started:
            one.process.kill()

    with pytest.raises(HemifaceError, match="was lost 3 times without getting further"):
        schedule(tmp_path, [job(tmp_path, "a", steps=9**9)], executor).carry_out(kill)
    assert len(executor.started) == 3


def test_one_that_gets_further_each_time_is_not(tmp_path):
    executor, lost = Processes(), 0

    def kill(_: object) -> None:
        nonlocal lost
        if lost < 6 and executor.started[-1].process.poll() is None:
            lost += 1
            progress_file(job_folder(tmp_path, "a"))("training a", lost, lost)
            time.sleep(0.05)
            executor.started[-1].process.kill()

    schedule(tmp_path, [job(tmp_path, "a", steps=20)], executor).carry_out(kill)
    assert lost == 6


@pytest.mark.skipif(sys.platform == "win32", reason="there a signal is no signal")
def test_ctrl_c_ends_what_runs_and_the_next_goes_on(tmp_path):
    executor = Processes()
    ended = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
    ended.start()
    with pytest.raises(KeyboardInterrupt):
        schedule(tmp_path, diamond(tmp_path, 200), executor).carry_out()
    assert executor.started
    assert all(one.process.poll() is not None for one in executor.started)
    had = int((tmp_path / "a.steps").read_text())
    assert 0 < had < 200
    for name in "ae":
        (tmp_path / f"{name}.steps").write_text("200")
    schedule(tmp_path, diamond(tmp_path, 2), Processes()).carry_out()
    assert len(list(tmp_path.glob("*.done"))) == 5


def test_a_job_that_was_started_before_is_taken_up(tmp_path):
    executor, one = Processes(), job(tmp_path, "a", steps=20)
    before = executor.start(one)
    known = {"a": str(before.process.pid)}
    schedule(tmp_path, [one], executor, taken_up=known).carry_out()
    assert began(tmp_path) == ["a"]
