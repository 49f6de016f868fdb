"""Does a kill at any moment lose, double or half-write anything?

    python validity/chaos.py --kills 200 --out results/reliability

runs study, study-jobs (--on local), predict, evaluate, export and pull undisturbed, then kills each
with SIGKILL at random moments (of study-jobs a job, too, and its undisturbed run is compared with a
study in one process), gives the same command again until it ends, and compares. After each kill
whatever bears a final name must be as it is in the end; in the end all of it must be there, as the
undisturbed run left it. Compared are bytes; of what holds times or says when it was made, what it
holds beside them (`essence`). A round is killed up to three times and the kills are shared among
the commands.

Face networks must be in the cache (`hemiface models pull`) for pull to have something to be given.
"""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import reliability_page
from experiment import exit_code, parser
from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError
from hemiface.models import shipped
from hemiface.tables import read_table
from hemiface.vision.finding import assets

__all__ = ["STUDY", "Scene", "Tally", "disturb", "essence", "essences"]

_KILLS_A_ROUND = 3
_PATIENCE_S = 900
_TIMES = ("seconds", "images_per_s")
_OWN_RECORDS = frozenset(
    {"stages.json", "environment.json", "log.txt", "report.html", ".lock", ".progress.jsonl"}
)
"""They hold times or moments, or are there only to go on by."""

_SETTINGS = (
    "model.architecture=compact", "train.epochs=2", "models=['full', 'upper']", "seeds=[0]",
    "statistics.draws=20", "evaluate.conditions=['full', 'upper', 'lower']",
    "finetune.train.epochs=1",
)  # fmt: skip
STUDY = (
    "study", "quick", "--data", "phantom:n=140", "--device", "cpu",
    *(word for one in _SETTINGS for word in ("--set", one)),
)  # fmt: skip
"""The words of a study that takes a minute, without where it writes."""


@dataclass(frozen=True)
class Scene:
    """A command and where it writes."""

    name: str
    command: Callable[[Path], list[str]]
    """The words behind `hemiface` that write into a folder."""
    variables: Callable[[Path], dict[str, str]] = lambda _: {}
    """What is added to the environment."""
    grows: frozenset[str] = frozenset({"history.csv"})
    """Files that are replaced by longer ones while it runs."""
    has_jobs: bool = False
    """It starts processes that outlive it for a moment; each kill takes one of them, too."""
    like: Callable[[Path], list[str]] | None = None
    """The words of another command that has to leave the same."""


@dataclass
class Tally:
    """What came of the kills of one command."""

    scene: str
    seed: int
    undisturbed_s: float = 0.0
    files: int = 0
    """That are compared."""
    rounds: int = 0
    kills: int = 0
    lost: int = 0
    changed: int = 0
    added: int = 0
    half_written: int = 0
    failed: int = 0
    notes: list[str] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """Return the counts, without notes."""
        return {name: one for name, one in asdict(self).items() if name != "notes"}

    @property
    def found(self) -> int:
        """How often something was not as it should be."""
        return self.lost + self.changed + self.added + self.half_written + self.failed


def scenes(folder: Path) -> list[Scene]:
    """Return the commands, with what they need made in `folder`."""
    crops = folder / "crops"
    crops.mkdir()
    for number, face in enumerate(phantom.render(np.arange(400) % 7, seed=0)):
        Image.fromarray(face).save(crops / f"{number:03}.png")
    run = folder / "study"
    _finish([*STUDY, "--out", str(run)], {})
    bundle = run / "models/full-seed0/bundle.safetensors"
    model = min(shipped.list_models(), key=lambda one: one.bytes if one.kind == "emotion" else 1e9)
    files = [assets.path_of(name) for name in assets.ASSETS]
    return [
        Scene("study", lambda out: [*STUDY, "--out", str(out / "run")]),
        Scene(
            "study-jobs",
            lambda out: [*STUDY, "--out", str(out / "run"), "--on", "local", "--jobs", "2"],
            has_jobs=True,
            like=lambda out: [*STUDY, "--out", str(out / "run")],
        ),
        Scene(
            "predict",
            lambda out: [
                "predict", str(crops), "--no-detect", "--model", model.name, "--save-image",
                "--format", "csv,parquet,jsonl", "--out", str(out / "results"),
            ],
        ),
        Scene(
            "evaluate",
            lambda out: [
                "evaluate", str(bundle), "--data", str(run), "--device", "cpu",
                "--conditions", "full,upper,lower,left,right", "--out", str(out / "p.parquet"),
            ],
        ),
        Scene(
            "export",
            lambda out: ["export", str(bundle), "--to", "onnx", "--out", str(out / "a.onnx")],
        ),
        Scene(
            "pull",
            lambda _: ["models", "pull", "--offline", *(
                word for path in files for word in ("--from", str(path))
            )],
            lambda out: {"HEMIFACE_CACHE": str(out / "cache")},
        ),
    ]  # fmt: skip


def disturb(scene: Scene, kills: int, seed: int, folder: Path) -> Tally:
    """Kill a command `kills` times in all, and compare what it leaves with an undisturbed run."""
    tally = Tally(scene.name, seed)
    draw = random.Random(f"{seed}/{scene.name}")
    whole = folder / "whole"
    started = time.perf_counter()
    _finish(scene.command(whole), scene.variables(whole))
    tally.undisturbed_s = round(time.perf_counter() - started, 1)
    wanted = essences(whole)
    if scene.like is not None:
        other = folder / "other"
        _finish(scene.like(other), scene.variables(other))
        wanted = essences(other)
        _check(tally, scene, whole, wanted, is_end=True)
    tally.files = len(wanted)
    while tally.kills < kills:
        out = folder / f"round{tally.rounds}"
        tally.rounds += 1
        for _ in range(min(_KILLS_A_ROUND, kills - tally.kills)):
            if not _killed(scene, out, draw.uniform(0, tally.undisturbed_s)):
                break
            tally.kills += 1
            _check(tally, scene, out, wanted, is_end=False)
        try:
            _finish(scene.command(out), scene.variables(out))
        except HemifaceError as error:
            tally.failed += 1
            tally.notes.append(f"round {tally.rounds}: {error}")
        else:
            _check(tally, scene, out, wanted, is_end=True)
        shutil.rmtree(out, ignore_errors=True)
    return tally


def _check(tally: Tally, scene: Scene, out: Path, wanted: dict[str, str], *, is_end: bool) -> None:
    there = essences(out, scene.grows if not is_end else frozenset())
    bad = {name for name in there.keys() & wanted.keys() if there[name] != wanted[name]}
    where = f"round {tally.rounds}, kill {tally.kills}"
    if not is_end:
        tally.half_written += len(bad)
        tally.notes += [f"{where}: {name} is not what it becomes" for name in sorted(bad)]
        return
    lost, added = wanted.keys() - there.keys(), there.keys() - wanted.keys()
    tally.changed, tally.lost = tally.changed + len(bad), tally.lost + len(lost)
    tally.added += len(added)
    for word, names in (("changed", bad), ("lost", lost), ("added", added)):
        tally.notes += [f"{where}: {name} is {word}" for name in sorted(names)]


def essences(folder: Path, but: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the essence of every file by its name; temporary ones count only in the end."""
    found = {}
    for path in sorted(folder.rglob("*")):
        hidden = path.name.startswith(".") and but
        temporary = "checkpoint" in path.parts and bool(but)
        # A job's own: its log, how far it is, its note.
        temporary |= "jobs" in path.parts
        if path.is_file() and path.name not in _OWN_RECORDS | but and not hidden and not temporary:
            name = path.relative_to(folder).as_posix()
            try:
                found[name] = essence(path)
            except HemifaceError as error:
                # Half a file under its final name is what is looked for.
                found[name] = f"damaged: {error}"
    return found


def essence(path: Path) -> str:
    """Return a hash of what a file holds, without the times in it.

    Raises:
        DamagedError: it is a Bundle or a table, and not whole.
    """
    if path.suffix == ".safetensors":
        from hemiface.networks.network import Bundle

        weights = Bundle.load(path).weights
        content = b"".join(one.encode() + weights[one].numpy().tobytes() for one in sorted(weights))
    elif path.suffix == ".parquet" and path.name != "faces.parquet":
        content = read_table(path).to_csv().encode()
    elif path.name == "history.csv":
        table = pd.read_csv(io.BytesIO(path.read_bytes()))
        content = table.drop(columns=list(_TIMES)).to_csv().encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _start(scene: Scene, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "hemiface", *scene.command(out)],
        env={**os.environ, **scene.variables(out)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _killed(scene: Scene, out: Path, after_s: float) -> bool:
    """Start a command and kill it and what it started; False if it ended before."""
    process = _start(scene, out)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        if scene.has_jobs:
            _kill_a_job(out)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def _kill_a_job(out: Path) -> None:
    """Kill the first of the jobs that hold a stage, if any runs."""
    for path in sorted(out.rglob("jobs/*/.lock")):
        with suppress(OSError, ValueError, KeyError):
            os.kill(json.loads(path.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
            return


def _finish(words: list[str], variables: dict[str, str]) -> None:
    """Run a command to its end.

    Raises:
        HemifaceError: it ends with another code than 0.
    """
    done = subprocess.run(
        [sys.executable, "-m", "hemiface", *words], env={**os.environ, **variables},
        capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise HemifaceError(f"hemiface {words[0]} ended with {done.returncode}: {said}")


def main() -> None:
    """Kill the commands that are asked for, and write what came of it."""
    options = parser(__doc__ or "")
    options.add_argument("--kills", type=int, default=200, help="of all commands together")
    options.add_argument("--scenes", default="", help="parted by commas; default all")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, help="folder of the counts; without it they are shown")
    given = options.parse_args()
    command = f"python validity/chaos.py {' '.join(sys.argv[1:])}"
    tallies = []
    with tempfile.TemporaryDirectory(prefix="hemiface-chaos-") as folder:
        chosen = scenes(Path(folder))
        if given.scenes:
            wanted = given.scenes.split(",")
            unknown = set(wanted) - {one.name for one in chosen}
            if unknown:
                known = ", ".join(one.name for one in chosen)
                options.error(f"no scene {', '.join(sorted(unknown))}; there are {known}")
            chosen = [one for one in chosen if one.name in wanted]
        for number, scene in enumerate(chosen):
            kills = given.kills // len(chosen) + (number < given.kills % len(chosen))
            place = Path(folder) / f"scene-{scene.name}"
            place.mkdir()
            tally = disturb(scene, kills, given.seed, place)
            tallies.append(tally)
            print(f"{scene.name}: {tally.row()}", flush=True)
            for note in tally.notes[:20]:
                print(f"  {note}", flush=True)
            if given.out:  # after each, for all of them take hours
                row = {**tally.row(), "command": command}
                reliability_page.add(given.out, "chaos", row, ("scene",))
    if any(tally.found for tally in tallies):
        raise HemifaceError("Something was lost, changed or half-written.")


if __name__ == "__main__":
    sys.exit(exit_code(main))
