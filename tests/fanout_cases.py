"""A study whose stages are jobs gives what one in this process gives, whatever is killed.

Jobs are real processes that run the command which any queue would run. They are forked from this
one, which has torch already: an interpreter of their own would take ten seconds each.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="a study needs hemiface[train]")

import chaos
from builders import hemiface
from hemiface import cli
from hemiface.cli.jobs import table_of, told
from hemiface.config import Cluster, load
from hemiface.errors import HemifaceError
from hemiface.locks import LOCK_FILE, locked
from hemiface.processes import runs
from hemiface.stages import carry_out, study
from hemiface.studies import fan_out
from hemiface.studies.book import Book, job_folder, read_stages
from hemiface.studies.jobs import Job
from hemiface.studies.schedule import JobState
from hemiface.studies.started import note_started

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forked processes are looked at in /proc"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
    pytest.mark.usefixtures("one_thread"),
]

SETTINGS = (
    "data.source=phantom:n=140,seed=5", "model.architecture=test_resnet", "train.epochs=2",
    "finetune.train.epochs=1", 'models=["full","left"]', "statistics.draws=20",
    'evaluate.conditions=["full","left"]',
)  # fmt: skip
STAGES = {
    "data", "full-seed0", "left-seed0", "full-seed0 predictions", "left-seed0 predictions",
    "predictions", "report",
}  # fmt: skip


def config(*more: str):
    return load("quick", (*SETTINGS, *more))


class Forked:
    """Starts jobs as `Local` does, but for the interpreter."""

    look_every_s = 0.02

    def __init__(self, _needs: Cluster, _threads: int, at_once: int | None) -> None:
        self.at_once = at_once

    def start(self, job: Job) -> "Child":
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with (job.log.parent.parent / "began").open("a") as log:
            log.write(f"{job.name}\n")
        return Child(forked(lambda: run_here(job), job.log))

    def close(self) -> None:
        pass


def run_here(job: Job) -> None:
    # An interpreter of its own would have inherited none of the locks of who starts it.
    for handle in Path("/proc/self/fd").iterdir():
        if os.path.basename(os.path.realpath(handle)) == LOCK_FILE:  # noqa: PTH119
            os.close(int(handle.name))
    os.environ["HEMIFACE_STARTED_BY"] = str(os.getppid())
    sys.argv = ["hemiface", *job.words]
    cli.main()


def forked(work, log: Path) -> int:
    """Do `work` in a process of its own and return its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(handle, stream)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, signal.SIG_DFL)
        work()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Child:
    record = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def ended(self) -> int | None:
        if self._code is None and os.waitpid(self.pid, os.WNOHANG)[0]:
            self._code = -1
        return self._code

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Kept(Child):
    """With its exit code."""

    def ended(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study in this process."""
    return study(config(), out=tmp_path_factory.mktemp("whole") / "run", device="cpu")


@pytest.fixture(autouse=True)
def executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "Local", Forked)


def fanned(folder: Path, *more: str, **options: object) -> Path:
    given = {"on": "local", "jobs": 2, **options}
    return study(config(*more), out=folder, device="cpu", **given)


def results(folder: Path) -> dict[str, str]:
    """What every file holds that is a result: bytes, but for times."""
    found = chaos.essences(folder)
    return {name: one for name, one in found.items() if not name.startswith("jobs/")}


def before_the_report(folder: Path) -> dict[str, str]:
    """`results` of what comes before the report, which takes longest to make."""
    known = results(folder)
    drawn = {name for name in known if name.startswith("figures/")}
    written = {name for name in known if "/" not in name and name.endswith((".csv", ".txt"))}
    return {name: one for name, one in known.items() if name not in drawn | written}


def started(folder: Path) -> list[str]:
    path = folder / "jobs" / "began"
    return path.read_text().splitlines() if path.exists() else []


def test_the_results_are_those_of_one_process_and_nothing_runs_again(tmp_path, whole):
    seen: list[list[JobState]] = []
    folder = fanned(tmp_path / "run", on_jobs=seen.append)
    wanted = results(whole)
    assert {"predictions.parquet", "matrix.csv", "pixels.npy", "config.toml"} <= wanted.keys()
    assert results(folder) == wanted
    assert set(started(folder)) == STAGES - {"data"}
    stages = read_stages(folder / "stages.json")
    assert stages.keys() == STAGES
    assert {one["threads"] for name, one in stages.items() if name.startswith("full")} == {1}
    assert not list(folder.glob("jobs/*/note.json"))
    # The record is the same: neither way runs anything again that the other has done.
    before = len(started(folder))
    fanned(folder)
    study(config(), out=folder, device="cpu")
    assert len(started(folder)) == before
    finished = {name: one["finished"] for name, one in read_stages(folder / "stages.json").items()}
    assert all(finished[name] == stages[name]["finished"] for name in STAGES - {"data"})
    assert "training full-seed0" in {one.what for states in seen for one in states}


def test_kills_of_jobs_and_of_who_starts_them_lose_nothing(tmp_path, whole, monkeypatch):
    draw, folder = random.Random(7), tmp_path / "run"
    monkeypatch.setattr(sys.modules[__name__], "Child", Kept)
    kills = {"driver": 0, "job": 0}
    while sum(kills.values()) < 6:
        driver = forked(lambda: fanned(folder, until="predictions"), tmp_path / "log")
        time.sleep(draw.uniform(0.5, 4))
        if draw.random() < 0.5:
            held = [place.parent for place in folder.glob("jobs/*/.lock")]
            pids = [json.loads((one / ".lock").read_text() or "{}").get("pid") for one in held]
            if victims := [one for one in pids if one and runs(one)]:
                os.kill(draw.choice(victims), signal.SIGKILL)
                kills["job"] += 1
                time.sleep(0.2)
        os.kill(driver, signal.SIGKILL)
        os.waitpid(driver, 0)
        kills["driver"] += 1
    fanned(folder, until="predictions")
    assert results(folder) == before_the_report(whole)
    assert kills["driver"] > 1
    assert read_stages(folder / "stages.json").keys() == STAGES - {"report"}


def test_sigterm_ends_the_jobs_and_the_next_command_goes_on(tmp_path, whole):
    folder = tmp_path / "run"
    words = ["study", "quick", "--out", str(folder), "--device", "cpu", "--on", "local"]
    words += [word for one in SETTINGS for word in ("--set", one)]

    def command() -> None:
        sys.argv = ["hemiface", *words]
        cli.main()

    driver = forked(command, tmp_path / "log")
    end_s = time.monotonic() + 60
    lock = folder / "jobs/full-seed0/.lock"
    # It lies there a moment before it says who holds it.
    while not (held := lock.read_text() if lock.is_file() else ""):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    job = json.loads(held)["pid"]
    os.kill(driver, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1]) == 130
    assert not runs(job)
    assert "the same command goes on where it was" in (tmp_path / "log").read_text()
    fanned(folder, until="predictions")
    assert results(folder) == before_the_report(whole)


def test_a_failed_stage_leaves_the_others_done(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "Child", Kept)
    with pytest.raises(HemifaceError, match=r"1 of 5 jobs failed and 2 that need them") as caught:
        fanned(tmp_path / "run", "finetune.train.learning_rate=1e30", until="predictions")
    assert "left-seed0: the loss stopped being finite" in str(caught.value)
    done = read_stages(tmp_path / "run/stages.json")
    assert {"full-seed0", "full-seed0 predictions"} <= done.keys()
    assert "left-seed0" not in done


class TestOneStage:
    """`hemiface study CONFIG --only STAGE`."""

    @pytest.fixture
    def prepared(self, tmp_path) -> Path:
        return study(config(), out=tmp_path / "run", device="cpu", until="data")

    def test_anybody_may_carry_it_out(self, prepared, whole, monkeypatch, capsys):
        words = ("--out", prepared, "--device", "cpu", "--only", "full-seed0")
        assert hemiface(monkeypatch, "study", prepared / "config.toml", *words) == 0
        assert "full-seed0 is done" in capsys.readouterr().out
        assert chaos.essence(prepared / "models/full-seed0/bundle.safetensors") == chaos.essence(
            whole / "models/full-seed0/bundle.safetensors"
        )
        note = json.loads((prepared / "jobs/full-seed0/note.json").read_text())["full-seed0"]
        assert note["products"].keys() == {"models/full-seed0/bundle.safetensors"}
        # The next that holds the folder takes the note over.
        assert "full-seed0" in Book(prepared).stages
        assert "full-seed0" in read_stages(prepared / "stages.json")

    @pytest.mark.parametrize(
        ("stage", "sentence"),
        [
            ("fool-seed0", "no stage 'fool-seed0'; these are full-seed0, left-seed0"),
            ("left-seed0", "left-seed0 needs full-seed0, not done in"),
            ("report", "report needs predictions, full-seed0, left-seed0, not done in"),
        ],
    )
    def test_what_is_not_there_is_said(self, prepared, monkeypatch, capsys, stage, sentence):
        words = ("--out", prepared, "--only", stage)
        assert hemiface(monkeypatch, "study", prepared / "config.toml", *words) == 2
        assert sentence in capsys.readouterr().err

    def test_what_another_config_made_is_not_taken(self, whole, tmp_path):
        """All files are there, and none is of this study: a job that overtook those it needs."""
        run = shutil.copytree(whole, tmp_path / "run")
        other = config("evaluate.flip=true")
        study(other, out=run, device="cpu", until="data")
        with pytest.raises(HemifaceError, match="predictions needs full-seed0 predictions, left-"):
            carry_out(other, "predictions", out=run, device="cpu")
        with pytest.raises(HemifaceError, match=r"report needs predictions, not done in"):
            carry_out(other, "report", out=run, device="cpu")
        longer = config("train.epochs=3")
        study(longer, out=run, device="cpu", until="data")
        with pytest.raises(HemifaceError, match=r"report needs .*full-seed0"):
            carry_out(longer, "report", out=run, device="cpu")
        study(config(), out=run, device="cpu", until="data")
        carry_out(config(), "report", out=run, device="cpu")
        (run / "models/full-seed0/bundle.safetensors").unlink()
        with pytest.raises(HemifaceError, match=r"report needs .*full-seed0.*, not done in"):
            carry_out(config(), "report", out=run, device="cpu")

    def test_data_that_could_not_be_read_leaves_the_study_as_it_was(self, prepared):
        before = (prepared / "config.toml").read_text()
        gone = config("data.source=gone.csv")
        with pytest.raises(HemifaceError, match=r"gone\.csv doesn't exist"):
            study(gone, out=prepared, device="cpu", until="data")
        assert (prepared / "config.toml").read_text() == before
        with pytest.raises(HemifaceError, match="holds another study"):
            carry_out(gone, "full-seed0", out=prepared)
        # Images that somebody has put there since are not those that were prepared.
        elsewhere = study(
            config("data.source=phantom:n=140,seed=6"), out=prepared.parent / "b", until="data"
        )
        for name in ("images.parquet", "pixels.npy"):
            shutil.copy(elsewhere / name, prepared / name)
        with pytest.raises(HemifaceError, match="needs data, not prepared for this study"):
            carry_out(config(), "full-seed0", out=prepared)

    def test_another_study_is_kept_out(self, prepared, tmp_path):
        with pytest.raises(HemifaceError, match="holds another study; start this one"):
            carry_out(config("train.epochs=3"), "full-seed0", out=prepared)
        with pytest.raises(HemifaceError, match="holds no study"):
            carry_out(config(), "full-seed0", out=tmp_path / "nothing")
        assert not (tmp_path / "nothing").exists()

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("--only", "x", "--on", "local"), "--only is one stage by itself"),
            (("--only", "x", "--json"), "--only has nothing to tell with it"),
            (("--jobs", "2"), "--jobs is how many run at a time with --on"),
            (("--on", "local", "--slurm", "partition=gpu"), "--slurm is for --on slurm"),
        ],
    )
    def test_options_that_mean_nothing_together(self, monkeypatch, capsys, words, sentence):
        assert hemiface(monkeypatch, "study", "quick", *words) == 2
        assert sentence in capsys.readouterr().err


class TestWhatWasLeft:
    """Jobs that an earlier start has left in the queue, or running."""

    def test_a_second_driver_is_turned_away(self, tmp_path):
        with (
            locked(tmp_path / "run"),
            pytest.raises(HemifaceError, match="being written into by"),
        ):
            fanned(tmp_path / "run")

    def test_a_job_of_slurm_is_cancelled_or_named(self, tmp_path, monkeypatch):
        run, said = tmp_path / "run", tmp_path / "said"
        note_started(run, "full-seed0", {"on": "slurm", "id": "1234"})
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(HemifaceError, match=r"Job 1234 of .*full-seed0 may still wait or run"):
            fanned(run, until="data")
        (tmp_path / "scancel").write_text(f'#!/bin/sh\necho "$@" > {said}\n')
        (tmp_path / "scancel").chmod(0o755)
        fanned(run, until="data")
        assert said.read_text() == "-- 1234\n"
        assert not (job_folder(run, "full-seed0") / "started.json").exists()

    @pytest.mark.parametrize("job", ["--user=me", "12 13", "../x", ""])
    def test_a_number_of_a_job_is_one(self, tmp_path, monkeypatch, job):
        """The note comes with the folder, from whomever; scancel takes more than numbers."""
        run, said = tmp_path / "run", tmp_path / "said"
        note_started(run, "full-seed0", {"on": "slurm", "id": job})
        (tmp_path / "scancel").write_text(f'#!/bin/sh\necho "$@" > {said}\n')
        (tmp_path / "scancel").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(HemifaceError, match="is no number of a job"):
            fanned(run, until="data")
        assert not said.exists()

    def test_fresh_takes_over_nothing(self, tmp_path):
        folder = study(config(), out=tmp_path / "run", device="cpu", until="data")
        place = job_folder(folder, "full-seed0")
        place.mkdir(parents=True)
        note = {"seconds": 1.0, "finished": "2026", "products": {}}
        (place / "note.json").write_text(json.dumps({"full-seed0": note}))
        (place / "mine.txt").write_text("mine")
        study(config(), out=folder, device="cpu", until="data", fresh=True)
        assert read_stages(folder / "stages.json").keys() == {"data"}
        assert [path.name for path in place.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("on", "jobs", "sentence"),
    [("cloud", None, "--on takes local, ray"), ("local", 0, "a number from 1 on, not 0")],
)
def test_bad_use_makes_nothing(tmp_path, on, jobs, sentence):
    with pytest.raises(HemifaceError, match=sentence):
        fanned(tmp_path / "run", on=on, jobs=jobs)
    assert not (tmp_path / "run").exists()


def test_the_view_fits_eighty_columns(tmp_path):
    from rich.console import Console

    def state(name: str, number: int, **more: object) -> JobState:
        job = Job(name=f"{name}-seed{number}", words=(), log=tmp_path, folder=tmp_path,
                  needs=Cluster())  # fmt: skip
        return JobState(job, **more)

    long = "upper-left+lower-right@noise"
    jobs = [
        state("full", 0, state="done"),
        *(state(long, n, state="running", done=n, total=40) for n in range(30)),
        state("[red]\x1b[31m", 0, state="running"),
        state("left", 1),
    ]
    with (tmp_path / "out").open("w") as shown:
        console = Console(width=80, height=12, record=True, file=shown)
        console.print(table_of(jobs, console))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].strip() == "1 of 33 jobs done, 1 waiting"
    assert lines[-1].strip() == "and 23 more"
    assert len(lines) <= 12
    line = told(jobs[:3] + jobs[-2:])
    assert line.startswith("1 of 5 jobs done, 3 running, 1 waiting: upper-left+lower-right@noise-s")
    assert line.endswith("2 %, [red]\x1b[31m-seed0 begins")
