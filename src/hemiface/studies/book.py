"""Which stages of a run folder are done, made from what and in what time.

Whoever holds the run folder notes in its `stages.json`, and nobody else writes that file. A stage
that is carried out by a job of its own, perhaps on another machine, is noted in a file of its own,
`jobs/NAME/note.json`: so jobs lose no note of each other's, and none is lost when whoever started
them is killed. The next that holds the folder takes these notes over.
"""

import logging
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import DamagedError
from hemiface.files import printable, sha256_file, write_json
from hemiface.provenance import Mark, environment

__all__ = [
    "JOBS",
    "NOTE_FILE",
    "STAGES_FILE",
    "Book",
    "OnProgress",
    "Stage",
    "Until",
    "job_folder",
    "read_stages",
]

log = logging.getLogger(__name__)

Result = TypeVar("Result")

OnProgress = Callable[[str, int, int], None]
"""Called with (what runs, steps done, steps in all)."""

Until = Literal["data", "models", "predictions", "report"]
"""The last thing that a study makes."""

STAGES_FILE = "stages.json"
JOBS = "jobs"
"""The folder of a run in which each job has a folder."""

NOTE_FILE = "note.json"
_DIARY = "diary"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of a study: what decides its result, how it is made and what it leaves."""

    name: str
    """As in stages.json."""
    mark: Callable[[], Mark]
    """What decides the result; known once the stages that it comes `after` are done."""
    work: Callable[[], object]
    """Writes `keeps`, and perhaps something `beside` it."""
    keeps: Path
    after: tuple[str, ...] = ()
    """The names of the stages whose products it needs."""
    is_of: Callable[[], bool] = lambda: False
    """Whether `keeps` says of itself that it came from the same, but for the code."""
    beside: Callable[[], Iterable[Path]] = lambda: ()
    """The files of which some may be products of it, too."""
    diary: Path | None = None
    """A file that tells how the work went: if it changes, that is told, and nothing made again."""
    computes: bool = False
    """Whether it runs a network."""


def job_folder(run: Path, stage: str) -> Path:
    """Return where the job of a stage has its note, its log and how far it is.

    >>> job_folder(Path("runs/small"), "full-seed0 predictions").as_posix()
    'runs/small/jobs/full-seed0-predictions'
    """
    return run / JOBS / stage.replace(" ", "-")


class Book:
    """The record of a run folder; `job` names the stage that this process carries out alone.

    Raises:
        DamagedError: a record isn't as it was written.
    """

    def __init__(self, folder: Path, *, trust_code: bool = False, job: str | None = None) -> None:
        self.folder = folder
        self.trust_code = trust_code
        self.path = folder / STAGES_FILE
        self._job = job
        self.stages = read_stages(self.path) if self.path.is_file() else {}
        self.take_over()
        before_marks = any("code" not in one for name, one in self.stages.items() if name != "data")
        if before_marks and job is None:
            log.warning(
                "%s was begun by an earlier version of hemiface, whose code counts as another: %s",
                folder,
                "networks that came from this config and data are kept"
                if trust_code
                else "everything is made again; --trust-code keeps networks that came from this "
                "config and data",
            )

    def take_over(self) -> None:
        """Take over what jobs have noted; whoever holds the folder puts it into `stages.json`."""
        # A job looks for its own alone: those of others may be taken over in this moment.
        which = "*" if self._job is None else job_folder(self.folder, self._job).name
        notes = sorted(self.folder.glob(f"{JOBS}/{which}/{NOTE_FILE}"))
        for path in notes:
            try:
                self.stages |= read_stages(path)
            except DamagedError:
                if path.is_file():
                    raise
        if notes and self._job is None:
            self._write()
            for path in notes:
                path.unlink(missing_ok=True)

    def always(self, name: str, work: Callable[[], Result]) -> Result:
        """Do the work of a stage that looks after its own cache, and note it."""
        log.info("%s: starts", name)
        started = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - started
        self._note(name, None, round(seconds, 1), ())
        log.info("%s: done in %.0f s", name, seconds)
        return result

    def run(self, stage: Stage) -> None:
        """Do the work of a stage unless it is done (see `has`), and note it."""
        if self.has(stage):
            log.info("%s: done before (%.0f s)", stage.name, self.stages[stage.name]["seconds"])
            return
        # Before the work: afterwards what it was made from may be something else.
        mark = stage.mark()
        log.info("%s: starts", stage.name)
        started, before = time.perf_counter(), {one: _state(one) for one in stage.beside()}
        stage.work()
        seconds = time.perf_counter() - started
        # A resumed training took longer than its last part; the bundle knows the whole.
        written = [one for one in stage.beside() if before.get(one) != _state(one)]
        whole_s = round(max(seconds, _trained_seconds(stage.keeps)), 1)
        self._note(stage.name, mark, whole_s, [stage.keeps, *written], **_hash_of(stage.diary))
        log.info("%s: done in %.0f s", stage.name, seconds)

    def has(self, stage: Stage) -> bool:
        """Return whether a stage is done with the same mark.

        Where code is trusted, one is done also whose inputs are the same, or of which `is_of` says
        so; that is noted. `keeps` and those of the files `beside` it that the work wrote are its
        products; if one of them isn't as it was written, the stage isn't done.
        """
        known = self.stages.get(stage.name, {})
        if not stage.keeps.exists() or not self._is_whole(stage):
            return False
        mark, told = stage.mark(), known.get(_DIARY)
        if told and _hash_of(stage.diary) != {_DIARY: told}:
            log.warning("%s: %s changed since it was written, or is gone", stage.name, stage.diary)
        if known.get("fingerprint") == mark.fingerprint:
            return True
        if not (known["inputs"] == mark.inputs if "inputs" in known else stage.is_of()):
            return False
        if not self.trust_code:
            log.info("%s: made by other code, so it is made again", stage.name)
            return False
        log.info("%s: kept, although other code made it", stage.name)
        products = [stage.keeps, *(self.folder / one for one in known.get("products", ()))]
        more = {_DIARY: told} if told else {}
        self._note(
            stage.name, mark, known.get("seconds", 0.0), products, trusted=known.get("code", ""),
            **more,
        )  # fmt: skip
        return True

    def _is_whole(self, stage: Stage) -> bool:
        """Return whether a stage's products are as it wrote them; put `keeps` aside if it isn't.

        What it wrote beside that is made again in its place. Stages of before noted no hashes.
        """
        products = self.stages.get(stage.name, {}).get("products", {})
        changed = [one for one in products if _sha256_if_there(self.folder / one) != products[one]]
        if not changed:
            return True
        log.warning(
            "%s: %s changed since it was made, so it is made again", stage.name, ", ".join(changed)
        )
        if stage.keeps.relative_to(self.folder).as_posix() in changed:
            aside = stage.keeps.with_name(f"{stage.keeps.stem}.changed{stage.keeps.suffix}")
            stage.keeps.replace(aside)
            log.warning("%s: what was there is kept as %s", stage.name, aside)
        return False

    def _note(
        self, name: str, mark: Mark | None, seconds: float, products: Iterable[Path], **more: str
    ) -> None:
        made_from = {} if mark is None else {**asdict(mark), "fingerprint": mark.fingerprint}
        self.stages[name] = {
            **made_from,
            "seconds": seconds,
            "products": {
                one.relative_to(self.folder).as_posix(): sha256_file(one)
                for one in sorted(set(products))
                if one.is_file()
            },
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }
        if self._job is None:
            self._write()
        else:
            note = {**self.stages[name], "machine": platform.node(), "threads": _threads()}
            write_json(job_folder(self.folder, name) / NOTE_FILE, {name: note})

    def _write(self) -> None:
        write_json(self.path, self.stages)
        write_json(
            self.folder / "environment.json",
            {
                **environment(),
                "command": _command(),
                "times_s": {name: stage["seconds"] for name, stage in self.stages.items()},
                "finished": max(stage["finished"] for stage in self.stages.values()),
            },
        )


def read_stages(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a record says of each stage.

    Raises:
        DamagedError: it isn't as it was written, or isn't there.
    """
    mend = (
        "remove it and run the study with --trust-code, which keeps networks that came from its "
        "config and data"
    )
    with undamaged(path, mend):
        stages: dict[str, dict[str, Any]] = read_json(path)
        for name in stages:
            stage = entry(stages, name, dict)
            entry(stage, "seconds", float)
            entry(stage, "finished", str)
            for key in {"fingerprint", "inputs", "code", _DIARY} & stage.keys():
                entry(stage, key, str)
            # Stages of before noted no products.
            for product in entry({"products": {}, **stage}, "products", dict):
                entry(stage["products"], product, str)
                if "\0" in product:
                    raise ValueError(f"{product[:80]!r} is no file's name")
        stages.items()
    return stages


def _state(path: Path) -> tuple[int, int, int]:
    """Return what changes of a file when it is written anew."""
    known = path.stat()
    return known.st_ino, known.st_mtime_ns, known.st_size


def _sha256_if_there(path: Path) -> str:
    return sha256_file(path) if path.is_file() else ""


def _hash_of(diary: Path | None) -> dict[str, str]:
    """Return what is noted of a stage's diary."""
    return {} if diary is None else {_DIARY: _sha256_if_there(diary)}


def _trained_seconds(bundle: Path) -> float:
    if bundle.suffix != ".safetensors":
        return 0.0
    from hemiface.networks.network import Bundle

    return float(Bundle.load(bundle).provenance.get("training_s", 0.0))


def _threads() -> int | None:
    """Return how many threads torch computes with, None where it isn't used."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _command() -> str:
    """Return the command line without the folder that the program lies in."""
    program = Path(sys.argv[0]).name
    # What `python -m hemiface` is called.
    words = ["hemiface" if program == "__main__.py" else program, *sys.argv[1:]]
    return printable(" ".join(words))
