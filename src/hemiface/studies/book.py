"""Which stages of a run folder are done, made from what and in what time.

Whoever holds the run folder notes in its `stages.json`, and nobody else writes that file. A stage
that is carried out by a job of its own, perhaps on another machine, is noted in a file of its own,
`jobs/NAME/note.json`: so jobs lose no note of each other's, and none is lost when whoever started
them is killed. The next that holds the folder takes these notes over.
"""

import itertools
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import DamagedError, HemifaceError
from hemiface.files import printable, sha256_file, write_json
from hemiface.provenance import HARDWARE_OF, Mark, environment

__all__ = [
    "JOBS",
    "NOTE_FILE",
    "STAGES_FILE",
    "Book",
    "OnProgress",
    "Stage",
    "Until",
    "is_inside",
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
_HARDWARE = "hardware"
_OF_JOBS = ("machine", "threads")
_THREADS = {"threads", "omp_num_threads"}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of a study: what decides its result, how it is made and what it leaves."""

    name: str
    """As in stages.json."""
    mark: Callable[[], Mark]
    """What decides the result; known once the stages that it comes `after` are done."""
    work: Callable[[], Iterable[Path] | None]
    """Writes `keeps`, and returns what else it wrote."""
    keeps: Path
    after: tuple[str, ...] = ()
    """The names of the stages whose products it needs."""
    is_of: Callable[[], bool] = lambda: False
    """Whether `keeps` says of itself that it came from the same, but for the code."""
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
        # Whoever holds the folder puts notes into the record before they go: what isn't among the
        # notes any more is in a record that is read after them.
        noted = {} if job is None else self._notes()
        self.stages = (read_stages(self.path) if self.path.is_file() else {}) | noted
        if job is None:
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
        """Put what jobs have noted into `stages.json`, as whoever holds the folder may."""
        notes = self._paths_of_notes()
        self.stages |= self._notes(notes)
        if notes:
            self._write()
            for path in notes:
                path.unlink(missing_ok=True)

    def _paths_of_notes(self) -> list[Path]:
        return sorted(self.folder.glob(f"{JOBS}/*/{NOTE_FILE}"))

    def _notes(self, paths: Iterable[Path] | None = None) -> dict[str, dict[str, Any]]:
        """Return what jobs have noted; another process may be taking it over in this moment."""
        found: dict[str, dict[str, Any]] = {}
        for path in self._paths_of_notes() if paths is None else paths:
            try:
                found |= read_stages(path)
            except DamagedError:
                if path.is_file():
                    raise
        return found

    def always(self, name: str, work: Callable[[], tuple[Result, str]]) -> Result:
        """Do the work of a stage that looks after its own cache, and note it.

        `work` returns the result, and the hash of all that it was made from.
        """
        log.info("%s: starts", name)
        started = time.perf_counter()
        result, inputs = work()
        seconds = time.perf_counter() - started
        self._note(name, None, round(seconds, 1), (), inputs=inputs)
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
        started = time.perf_counter()
        written = stage.work() or ()
        seconds = time.perf_counter() - started
        products = {stage.keeps, *written}
        self._remove_former(stage.name, products)
        # A resumed training took longer than its last part; the bundle knows the whole.
        whole_s = round(max(seconds, _trained_seconds(stage.keeps)), 1)
        computed = {_HARDWARE: environment()["hardware"], **_hash_of(stage.diary)}
        if self._job is not None:
            computed |= {"machine": platform.node(), "threads": _threads()}
        self._note(stage.name, mark, whole_s, products, **computed)
        log.info("%s: done in %.0f s", stage.name, seconds)

    def has(self, stage: Stage) -> bool:
        """Return whether a stage is done with the same mark.

        Where code is trusted, one is done also whose inputs are the same, or of which `is_of` says
        so; that is noted. `keeps` and what the work wrote beside it are its products; if one of
        them isn't as it was written, it is put aside, and the stage isn't done.
        """
        known = self.stages.get(stage.name, {})
        if not stage.keeps.exists() or not self._is_whole(stage):
            return False
        mark, told = stage.mark(), known.get(_DIARY)
        if told and _hash_of(stage.diary) != {_DIARY: told}:
            log.warning("%s: %s changed since it was written, or is gone", stage.name, stage.diary)
        if known.get("fingerprint") == mark.fingerprint:
            return True
        if not self._is_of(stage, mark):
            return False
        if not self.trust_code:
            log.info("%s: made by other code, so it is made again", stage.name)
            return False
        log.info("%s: kept, although other code made it", stage.name)
        products = [stage.keeps, *(self.folder / one for one in known.get("products", ()))]
        # Who computed it stays who did.
        kept = {key: known[key] for key in (_DIARY, _HARDWARE, *_OF_JOBS) if known.get(key)}
        self._note(
            stage.name, mark, known.get("seconds", 0.0), products, trusted=known.get("code", ""),
            **kept,
        )  # fmt: skip
        return True

    def is_current(self, stage: Stage) -> bool:
        """Return whether a stage is done as `has` says it, and change and note nothing."""
        known = self.stages.get(stage.name, {})
        if not stage.keeps.exists() or self._changed(stage.name):
            return False
        try:
            mark = stage.mark()
        except (HemifaceError, OSError):
            return False  # What it was made from isn't there any more.
        if known.get("fingerprint") == mark.fingerprint:
            return True
        return self.trust_code and self._is_of(stage, mark)

    def _is_of(self, stage: Stage, mark: Mark) -> bool:
        """Return whether a stage was made from the same, by whatever code."""
        known = self.stages.get(stage.name, {})
        return known["inputs"] == mark.inputs if "inputs" in known else stage.is_of()

    def _changed(self, name: str) -> list[str]:
        """Return the products of a stage that aren't as it wrote them, or are gone."""
        products = self.stages.get(name, {}).get("products", {})
        return [one for one in products if _sha256_if_there(self.folder / one) != products[one]]

    def _is_whole(self, stage: Stage) -> bool:
        """Return whether a stage's products are as it wrote them; put aside what isn't.

        Stages of before noted no hashes.
        """
        changed = self._changed(stage.name)
        if not changed:
            return True
        log.warning(
            "%s: %s changed since it was made, so it is made again", stage.name, ", ".join(changed)
        )
        for one in (self.folder / name for name in changed):
            # What the stage is for is made in this place, wherever links on the way lead.
            if one.is_file() and (one == stage.keeps or is_inside(one, self.folder)):
                aside = _free(one)
                one.replace(aside)
                log.warning("%s: what was there is kept as %s", stage.name, aside)
        return False

    def _remove_former(self, name: str, products: set[Path]) -> None:
        """Remove what a stage wrote when it was made before, and hasn't written again.

        Results of other settings would stand beside its own; what somebody changed stays.
        """
        known = self.stages.get(name, {})
        # Records of before count what lay beside as products, if it changed meanwhile.
        former = known.get("products", {}) if _HARDWARE in known else {}
        for one, sha256 in former.items():
            path = self.folder / one
            is_former = path not in products and is_inside(path, self.folder)
            if is_former and _sha256_if_there(path) == sha256:
                path.unlink()

    def _note(
        self, name: str, mark: Mark | None, seconds: float, products: Iterable[Path], **more: Any
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
            write_json(job_folder(self.folder, name) / NOTE_FILE, {name: self.stages[name]})

    def _write(self) -> None:
        write_json(self.path, self.stages)
        here = environment()
        noted = {name: one[_HARDWARE] for name, one in self.stages.items() if _HARDWARE in one}
        elsewhere = {name: one for name, one in noted.items() if _is_another(one, here["hardware"])}
        write_json(
            self.folder / "environment.json",
            {
                **here,
                **({HARDWARE_OF: elsewhere} if elsewhere else {}),
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
            entry({_HARDWARE: {}, **stage}, _HARDWARE, dict)
            # Stages of before noted no products.
            for product in entry({"products": {}, **stage}, "products", dict):
                entry(stage["products"], product, str)
                if "\0" in product:
                    raise ValueError(f"{product[:80]!r} is no file's name")
        stages.items()
    return stages


def _is_another(hardware: dict[str, Any], here: dict[str, Any]) -> bool:
    """Return whether what computed something isn't what is here, as far as both are known.

    Threads may be others in each process; GPUs are known where torch is imported alone.
    """
    unlike = any(here[key] != hardware[key] for key in hardware.keys() & here.keys() - _THREADS)
    return unlike or bool(hardware.get("gpus") and "gpus" not in here)


def is_inside(product: Path, folder: Path) -> bool:
    """Return whether a file lies below a run folder, and no link is on the way to it from there."""
    # What leads to the folder is the user's affair: links and `..` count from there on.
    inside = product.relative_to(folder).parts if product.is_relative_to(folder) else ()
    if not inside or ".." in inside:
        return False
    return not any((folder / Path(*inside[:n])).is_symlink() for n in range(1, len(inside)))


def _free(path: Path) -> Path:
    """Return a name beside a changed file that nothing has."""
    for number in itertools.count(1):
        mark = ".changed" if number == 1 else f".changed-{number}"
        aside = path.with_name(f"{path.stem}{mark}{path.suffix}")
        if not os.path.lexists(aside):
            return aside
    raise AssertionError


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
