"""What one machine of many does with a piece: look at its sources as one run does, write its file.

Whatever ends this process costs the piece, which is then begun again, here or elsewhere. A file
that ends every process that looks at it would be begun for ever: each try leaves a line, and a
source that was being looked at when several tries were lost is an error like any other.
"""

import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemiface import __version__
from hemiface.documents import json_value
from hemiface.errors import DamagedError, HemifaceError
from hemiface.files import passing_folder, unwritable
from hemiface.vision.pieces import Piece, write_piece
from hemiface.vision.predictor import Predictor, PredictorOptions
from hemiface.vision.remote import fetched
from hemiface.vision.results import told_of
from hemiface.vision.run import RunOptions, run, settings_of
from hemiface.vision.sources import Source
from hemiface.vision.stretches import Stretch, watch

__all__ = ["MOST_LOST", "Job", "Looker", "forget_tries", "plain"]

MOST_LOST = 3
"""Tries that one source may cost, after the first of its piece."""

_TRIES = ".tries"
_Seen = tuple[list[dict[str, Any]], Callable[[], Iterator[dict[str, Any]]]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What looking at any piece of one prediction needs."""

    looking: PredictorOptions
    running: RunOptions
    folder: Path
    """Of the pieces; it has to be there."""
    place: Path
    """Where names of files that aren't absolute begin."""
    settings: dict[str, Any]
    """What the predictor of whoever asks depends on (`plain`)."""


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as they are the same everywhere: as they come back from JSON, with version.

    What a number is rounded to, or how a video is read, may change with a version.
    """
    known: dict[str, Any] = json_value(json.dumps(settings))
    return {**known, "hemiface": __version__}


class Looker:
    """A predictor that looks at piece after piece.

    Raises:
        HemifaceError: this machine doesn't see the folders, or its networks aren't there or are
            others than those of whoever asks.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        for folder in (job.place, job.folder):
            if not folder.is_dir():
                raise HemifaceError(
                    f"Machine {platform.node()} doesn't see {folder}; every machine needs the "
                    "folders of sources and results under the same names."
                )
        os.chdir(job.place)
        self._predictor = Predictor.of(job.looking)
        _require_same(job.settings, plain(settings_of(self._predictor, job.running)))

    def look(self, piece: Piece) -> Path:
        """Look at what isn't done yet; return the piece's file.

        Raises:
            HemifaceError: the file or a temporary one can't be written.
        """
        path = self._job.folder / piece.name
        if path.is_file():  # Whoever wrote it was lost before it could say so.
            return path
        tries = _Tries(path)
        told: list[dict[str, Any]] = []
        rows: list[Callable[[], Iterator[dict[str, Any]]]] = []
        try:
            with ExitStack() as stack:
                for some in tries.shares(piece):
                    if isinstance(some, dict):
                        told.append(some)
                        continue
                    known, theirs = (
                        stack.enter_context(self._looked(some))
                        if piece.stretch is None
                        else self._watched(some[0], piece.stretch)
                    )
                    told += known
                    rows.append(theirs)
                every = (row for theirs in rows for row in theirs())
                write_piece(piece, self._job.folder, told, every)
        except OSError as error:
            name = Path(os.fsdecode(error.filename)) if error.filename else path
            raise HemifaceError(unwritable(name, error)) from error
        tries.end()
        return path

    @contextmanager
    def _looked(self, sources: Sequence[Source]) -> Iterator[_Seen]:
        """Yield what one run tells of some sources, and their rows."""
        with passing_folder() as folder:
            told: dict[str, dict[str, Any]] = {}
            here: list[Source] = []
            for source in sources:
                try:
                    here.append(fetched(source, folder) if source.is_remote else source)
                except DamagedError as error:
                    told[source.name] = _error(source, str(error))
            if not here:
                yield [told[one.name] for one in sources], lambda: iter(())
                return
            with run(here, self._predictor, folder / "results", self._job.running) as outcome:
                for one, known in zip(here, outcome.sources, strict=True):
                    # Of a fetched file nobody knows the passing name.
                    sentence = known["error"].replace(one.path, one.name)
                    told[one.name] = {**known, "error": sentence}
                yield [told[one.name] for one in sources], outcome.rows

    def _watched(self, source: Source, stretch: Stretch) -> _Seen:
        """Return what is told of a stretch of a video, and its rows."""
        seen = watch(source, stretch, self._predictor, self._job.running)
        told = told_of(source.name, {"kind": source.kind, "note": "", **seen.known})
        return [{**told, **seen.known}], lambda: iter(seen.rows)


class _Tries:
    """The tries of a piece that were begun and not ended, as far as they went."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}{_TRIES}")
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            lines = []
        self._is_first = not lines
        self._lost = Counter(lines)

    def shares(self, piece: Piece) -> Iterator[Sequence[Source] | dict[str, Any]]:
        """Yield the sources to look at: all at once, after a lost try each alone.

        A source that cost too many tries is what is told of it instead.
        """
        if self._is_first:
            self._note("")
            yield piece.sources
            return
        for source in piece.sources:
            lost = self._lost[json.dumps(source.name).encode()]
            if lost < MOST_LOST:
                self._note(source.name)
                yield [source]
                continue
            known = {"times": [], "first": "", "next": ""} if piece.stretch else {}
            yield known | _error(
                source,
                f"{source.name} can't be looked at: {lost + 1} processes that tried it were killed "
                "or lost; look at it alone, on a machine with more memory.",
            )

    def end(self) -> None:
        """Forget them: the piece is there."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _note(self, name: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(name) + "\n")


def forget_tries(folder: Path) -> None:
    """Remove the tries of an earlier prediction, which says nothing of this one."""
    for path in folder.glob(f".*{_TRIES}"):
        with suppress(OSError):
            path.unlink()


def _error(source: Source, sentence: str) -> dict[str, Any]:
    known = {"kind": source.kind, "faces": 0, "frames": None, "error": sentence, "note": ""}
    return told_of(source.name, known)


def _require_same(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    others = [one for one in sorted(wanted.keys() | found) if wanted.get(one) != found.get(one)]
    if others:
        raise HemifaceError(
            f"Machine {platform.node()} would look in another way ({', '.join(others)}); install "
            "the same hemiface and the same networks on every machine."
        )
