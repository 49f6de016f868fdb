"""Each executor starts the same real process, says how it ended, and ends it when asked."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hemiface.config import Cluster
from hemiface.errors import HemifaceError, UsageError
from hemiface.processes import runs
from hemiface.studies import local
from hemiface.studies.jobs import Executor, Job, is_lost
from hemiface.studies.local import Local
from hemiface.studies.on_ray import Ray
from hemiface.studies.slurm import Slurm

STANDS_IN = """
import os, pathlib, sys, time
pathlib.Path("pid").write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")
print("hemiface: it says so.", flush=True)
if sys.argv[1] == "wait":
    time.sleep(60)
sys.exit(int(sys.argv[2]))
"""
"""A program that jobs find under the name of hemiface."""


class _Malicious:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are others there"),
]


@pytest.fixture(scope="module")
def executors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Executor]]:
    known: dict[str, Executor] = {}

    def of(kind: str) -> Executor:
        pytest.importorskip(
            {"slurm": "submitit", "ray": "ray"}.get(kind, "os"), reason=f"needs hemiface[{kind}]"
        )
        if kind not in known:
            needs = Cluster(cpus=1, slurm={"cluster": "local"})
            known[kind] = (
                Local(needs, 1, None) if kind == "local"
                else Ray("", None) if kind == "ray"
                else Slurm(tmp_path_factory.mktemp("submitit"), needs, None)
            )  # fmt: skip
        return known[kind]

    yield of
    for one in known.values():
        one.close()


@pytest.fixture(params=["local", "slurm", "ray"])
def executor(request: pytest.FixtureRequest, executors: Callable[[str], Executor]) -> Executor:
    return executors(request.param)


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    (tmp_path / "other/hemiface").mkdir(parents=True)
    (tmp_path / "other/hemiface/__init__.py").touch()
    (tmp_path / "other/hemiface/__main__.py").write_text(STANDS_IN)
    variables = {"PYTHONPATH": str(tmp_path / "other"), "OMP_NUM_THREADS": "3"}

    def of(*words: str) -> Job:
        return Job(
            name="full-seed0 predictions", words=words, log=tmp_path / "jobs/one/log.txt",
            folder=tmp_path, needs=Cluster(cpus=1), variables=variables,
        )  # fmt: skip

    return of


def waited(found: Callable[[], object], seconds: float = 60) -> object:
    end_s = time.monotonic() + seconds
    while (value := found()) is None:
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return value


def pid_of(folder: Path) -> int | None:
    known = folder / "pid"
    words = known.read_text().split() if known.exists() else []
    return int(words[0]) if words else None


@pytest.mark.parametrize("code", [0, 3])
def test_exit_codes_arrive_and_words_are_kept(tmp_path, executor, job, code):
    running = executor.start(job("end", str(code)))
    assert waited(running.ended) == code
    assert (tmp_path / "jobs/one/log.txt").read_text() == "hemiface: it says so.\n"
    assert (tmp_path / "pid").read_text().endswith(" 3")


def test_one_that_is_killed_is_lost(tmp_path, executor, job):
    running = executor.start(job("wait", "0"))
    os.kill(waited(lambda: pid_of(tmp_path)), signal.SIGKILL)
    assert is_lost(waited(running.ended))


def test_one_that_is_stopped_ends(tmp_path, executor, job):
    running = executor.start(job("wait", "0"))
    pid = waited(lambda: pid_of(tmp_path))
    running.stop()
    assert is_lost(waited(running.ended))
    # Ray's worker is gone at once, and its job, which here looks for nobody, is not.
    if not isinstance(executor, Ray):
        waited(lambda: None if runs(pid) else True, 10)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_one_in_the_queue_is_found_again_by_its_number(tmp_path, executors, job):
    executor = executors("slurm")
    running = executor.start(job("end", "3"))
    assert waited(running.ended) == 3
    assert running.record == {"on": "slurm", "id": running.record["id"]}
    assert executor.taken_up(running.record["id"]).ended() == 3
    # A pickle runs what it likes: in a folder that came from somebody none is opened.
    (pickled,) = executor._folder.rglob(f"{running.record['id']}_0_result.pkl")
    pickled.write_bytes(pickle.dumps(_Malicious(tmp_path / "ran")))
    assert executor.taken_up(running.record["id"]).ended() == 3
    assert not (tmp_path / "ran").exists()
    # One that left nothing is lost, once a shared folder has had time to show it.
    gone = executor.taken_up("999999999")
    assert gone.ended() is None
    assert is_lost(waited(gone.ended))
    assert (tmp_path / "pid").is_file()


ENDS = """
import subprocess, sys, time
code = ("from hemiface.studies.jobs import end_with_starter as end; import time; end(); "
        "print('up', flush=True); time.sleep(60)")
import os
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                         env={**os.environ, "HEMIFACE_STARTED_BY": str(os.getpid())})
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_job_ends_with_who_started_it():
    with subprocess.Popen([sys.executable, "-c", ENDS], stdout=subprocess.PIPE, text=True) as of:
        child = int(of.stdout.readline())
        assert runs(child)
        of.kill()
    waited(lambda: None if runs(child) else True, 20)


class TestSlurm:
    """What sbatch would be told. No SLURM is at hand: the script is submitit's own."""

    @pytest.fixture
    def path(self, tmp_path, monkeypatch) -> None:
        pytest.importorskip("submitit", reason="needs hemiface[slurm]")
        for name in ("sbatch", "srun"):
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin" / name).touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    @pytest.mark.usefixtures("path")
    def test_what_is_asked_for_stands_in_the_script(self, tmp_path):
        needs = Cluster(
            cpus=8, gpus=1, memory_gb=24, hours=1.5,
            slurm={"partition": "gpu", "account": "faces", "reservation": "night run"},
        )  # fmt: skip
        executor = Slurm(tmp_path, needs, None)._executor("full-seed0 predictions", needs)
        script = executor._executor._make_submission_file_text("do it", "x")
        asked = [line.removeprefix("#SBATCH --") for line in script.splitlines()]
        for one in (
            "cpus-per-task=8", "gpus-per-node=1", "mem=24GB", "time=90", "partition=gpu",
            "account=faces", "reservation='night run'", "job-name=full-seed0-predictions",
        ):  # fmt: skip
            assert one in asked
        assert script.splitlines()[-1].startswith("srun ")

    @pytest.mark.usefixtures("path")
    def test_what_submitit_refuses_is_one_sentence(self, tmp_path):
        with pytest.raises(UsageError, match=r"cluster\.slurm"):
            Slurm(tmp_path, Cluster(slurm={"setup": 3}), None)
        with pytest.raises(UsageError, match="neither slurm nor local"):
            Slurm(tmp_path, Cluster(slurm={"cluster": "cloud"}), None)

    def test_without_slurm_it_says_so(self, tmp_path, monkeypatch):
        pytest.importorskip("submitit", reason="needs hemiface[slurm]")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(HemifaceError, match="no sbatch and srun here"):
            Slurm(tmp_path, Cluster(), None)


@pytest.mark.parametrize(
    ("module", "made"),
    [
        ("submitit", lambda: Slurm(Path(), Cluster(), None)),
        ("ray", lambda: Ray("", None)),
    ],
)
def test_what_is_missing_is_named_with_its_extra(monkeypatch, module, made):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(HemifaceError, match=r"pip install 'hemiface\[(slurm|ray)\]'"):
        made()


class TestGpus:
    @pytest.mark.parametrize(
        ("said", "seen"), [("", []), ("-1", []), ("0,1", ["0", "1"]), ("2,-1,3", ["2"])]
    )
    def test_those_that_cuda_sees(self, monkeypatch, said, seen):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
        assert local.gpus() == seen

    def test_each_job_gets_its_own(self, monkeypatch, tmp_path, job):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
        needs = Cluster(cpus=1, gpus=1)
        executor, given = Local(needs, 1, 8), []

        class Noted(Job):
            def start(self, **variables: str) -> "subprocess.Popen[bytes]":
                given.append(variables.get("CUDA_VISIBLE_DEVICES"))
                return Job.start(self, **variables)

        assert executor.at_once == 3
        one = Noted(
            name="a", words=("end", "0"), log=tmp_path / "log", folder=tmp_path, needs=needs,
            variables=job().variables,
        )  # fmt: skip
        running = [executor.start(one) for _ in range(3)]
        assert sorted(given) == ["3", "5", "7"]
        for each in running:
            waited(each.ended)
        executor.start(one).kill()
        assert given[-1] in ("3", "5", "7")

    def test_more_than_there_are_is_said(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        with pytest.raises(UsageError, match="asks for 2 GPUs and 1 are here"):
            Local(Cluster(cpus=1, gpus=2), 1, None)

    def test_as_many_jobs_as_cores_allow(self, monkeypatch):
        monkeypatch.setattr(local, "cores", lambda: 8)
        assert Local(Cluster(cpus=3), 3, None).at_once == 2
        assert Local(Cluster(cpus=16), 16, None).at_once == 1
        assert Local(Cluster(cpus=16), 16, 5).at_once == 5
