"""The tables of a folder of results: whose they are, of how much they tell, and writing them."""

import csv
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hemiface.errors import DamagedError, UsageError
from hemiface.files import atomic_path, keep_larger
from hemiface.inputs import open_lines
from hemiface.tables import csv_sink, for_spreadsheets
from hemiface.vision.faces import require_own_tables, write_rows, written_before
from hemiface.vision.sources import Source

__all__ = ["Held", "has_tables", "require_own", "told_of", "write_tables"]

_TOLD = ("kind", "faces", "frames", "error", "note")
_WHAT = "photos and frames"
"""What the size of a run is counted in."""
_log = logging.getLogger(__name__)


def require_own(folder: Path, formats: Sequence[str]) -> None:
    """Raise unless the tables that a run into `folder` writes take the place of a run's alone.

    Raises:
        UsageError: one that is there is the user's own.
    """
    if not formats:
        return
    path = _sources_file(folder)
    if path.exists() and not _is_ours(path):
        raise UsageError(
            f"{path} is no table that hemiface predict wrote, and would be replaced by one; move "
            "it, or choose another --out."
        )
    require_own_tables(folder, formats)


@dataclass(frozen=True)
class Held:
    """What runs into a folder looked at, and what nobody wants to lose unasked."""

    path: Path
    """The table, or the folder in which runs began that never wrote one."""
    sizes: Mapping[str, int]
    """Source -> its photos and frames."""

    @classmethod
    def of(cls, folder: Path, noted: Iterable[tuple[str, Mapping[str, Any]]] = ()) -> Self:
        """Return what the table of sources tells of, or what is `noted` of them if that is more.

        `noted` are sources with what is known of each, which goes with the table; one that has
        moved since counts once.
        """
        told = cls(_sources_file(folder), _looked_at(folder))
        begun = cls(folder, _each_once(noted))
        return max(told, begun, key=lambda one: one.total)

    @property
    def total(self) -> int:
        """Photos and frames together."""
        return sum(self.sizes.values())

    def require_smaller(
        self, sources: Sequence[Source], most_frames: int | None = None, *, replace: bool
    ) -> None:
        """Raise if it is more than a run over `sources` can look at.

        Raises:
            UsageError: it is, and nobody asked to replace it.
        """
        # Of a video nobody knows how long it is: as long as it was, or as all that there was.
        most = (min(most_frames or self.total, self._known(one.name) or self.total)
                if one.moves else 1 for one in sources)  # fmt: skip
        keep_larger(self.path, self.total, sum(most), _WHAT, replace=replace)

    def require_kept(self, sources: Sequence[Source], *, replace: bool) -> None:
        """Raise if what it has isn't looked at by a run over `sources` but for their cameras.

        For runs with a camera, whose pictures don't come again, nor what it showed before.

        Raises:
            UsageError: it isn't, and nobody asked to replace it.
        """
        again = {one.name for one in sources if one.kind != "camera"}
        again |= {for_spreadsheets(one) for one in again}
        lost = sum(size for name, size in self.sizes.items() if name not in again)
        if lost and not replace:
            raise UsageError(
                f"{self.path} holds {lost:,} {_WHAT} in whose place a recording would come; choose "
                "another --out, or give --replace if that is meant."
            )

    def require_no_larger(self, told: Sequence[Mapping[str, Any]], *, replace: bool) -> None:
        """Raise if it is more than what a run is `told` to have read; what it couldn't is said.

        Raises:
            UsageError: it is, and nobody asked to replace it.
        """
        got = sum(map(_size, told))
        if self.total > got and not replace:
            for one in told:
                if one["error"]:
                    _log.warning("%s", one["error"])
        keep_larger(self.path, self.total, got, _WHAT, replace=replace)

    def _known(self, name: str) -> int:
        return self.sizes.get(name) or self.sizes.get(for_spreadsheets(name), 0)


def told_of(name: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return what an Outcome tells of a source that ended with `known`."""
    return {"source": name, **{key: known[key] for key in _TOLD}}


def write_tables(
    rows: Iterable[dict[str, Any]],
    told: Sequence[dict[str, Any]],
    folder: Path,
    formats: Sequence[str],
) -> list[Path]:
    """Write the rows of faces and what is told of the sources; return their files.

    Tables that an earlier run wrote in other formats are written again too: beside these they would
    tell of other sources.
    """
    written = write_rows(rows, folder, (*formats, *written_before(folder)))
    path = _sources_file(folder)
    with atomic_path(path) as partial, csv_sink(partial, ["source", *_TOLD]) as sink:
        sink(told)
    return [*written, path]


def has_tables(folder: Path) -> bool:
    """Return whether a run into `folder` came to its tables."""
    return _sources_file(folder).is_file()


def _sources_file(folder: Path) -> Path:
    return folder / "sources.csv"


def _is_ours(path: Path) -> bool:
    """Return whether a table of sources is of a run, of any version."""
    try:
        with open_lines(path) as lines:
            columns = next(lines, "").strip().split(",")
    except (DamagedError, OSError, ValueError):
        return False
    return columns == [""] or {"source", "kind", "faces"} <= set(columns)


def _each_once(noted: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, int]:
    """Return source -> photos and frames, one of each file however its folder was spelt.

    One that isn't there is that of its name, size and time which is: its folder has moved.
    """
    there: dict[tuple[Any, ...], tuple[str, int]] = {}
    away: dict[str, tuple[tuple[Any, ...], int]] = {}
    found = set[tuple[Any, ...]]()
    for name, known in noted:
        path = Path(known.get("source", name))
        part, stamp = str(known.get("stretch")), str(known.get("fingerprint"))
        moved = path.name, stamp, part
        # A path that is no file's, such as an address, may be too long to be asked for.
        if os.path.exists(path):  # noqa: PTH110
            there[path.resolve(), part] = name, _size(known)
            found.add(moved)
        else:
            away[name] = moved, _size(known)
    gone = {name: size for name, (moved, size) in away.items() if moved not in found}
    return gone | dict(there.values())


def _size(known: Mapping[str, Any]) -> int:
    """Return how many photos or frames were read of a source that ended with `known`."""
    return int(known.get("frames") or not known.get("error"))


def _looked_at(folder: Path) -> dict[str, int]:
    """Return source -> photos and frames that a run into `folder` looked at; {} without one."""
    known: dict[str, int] = {}
    try:
        with open_lines(_sources_file(folder)) as file:
            for row in csv.DictReader(file):
                known[row["source"]] = _size(row)
    except (DamagedError, OSError, csv.Error, KeyError, TypeError, ValueError):
        return {}  # No earlier run, or none that can be read.
    return known
