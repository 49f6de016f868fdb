"""The tables of a folder of results: whose they are, of how much they tell, and writing them."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hemiface.errors import DamagedError, UsageError
from hemiface.files import atomic_path, keep_larger
from hemiface.inputs import open_lines
from hemiface.tables import csv_sink, for_spreadsheets
from hemiface.vision.faces import require_own_tables, write_rows, written_before
from hemiface.vision.sources import Source

__all__ = ["keep_larger_merge", "keep_larger_run", "require_own", "told_of", "write_tables"]

_TOLD = ("kind", "faces", "frames", "error", "note")
_WHAT = "photos and frames"
"""What the size of a run is counted in."""


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


def keep_larger_run(
    folder: Path, sources: Sequence[Source], *, most_frames: int | None = None, replace: bool
) -> None:
    """Raise if an earlier run into the folder looked at more photos and frames than this one can.

    Raises:
        UsageError: it did, and nobody asked to replace its results.
    """
    known = _looked_at(folder)
    had = sum(known.values())
    # Of a video nobody knows how long it is: as long as it was, or as all that there was.
    most = (min(most_frames or had, known.get(for_spreadsheets(one.name), had))
            if one.moves else 1 for one in sources)  # fmt: skip
    keep_larger(_sources_file(folder), had, sum(most), _WHAT, replace=replace)


def keep_larger_merge(folder: Path, told: Iterable[dict[str, Any]], *, replace: bool) -> None:
    """Raise if an earlier run into the folder looked at more photos and frames than are `told` of.

    Raises:
        UsageError: it did, and nobody asked to replace its results.
    """
    had = sum(_looked_at(folder).values())
    got = sum(one["frames"] or 1 for one in told)
    keep_larger(_sources_file(folder), had, got, _WHAT, replace=replace)


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


def _looked_at(folder: Path) -> dict[str, int]:
    """Return source -> photos and frames that a run into `folder` looked at; {} without one."""
    known: dict[str, int] = {}
    try:
        with open_lines(_sources_file(folder)) as file:
            for row in csv.DictReader(file):
                known[row["source"]] = int(row["frames"] or 1)
    except (DamagedError, OSError, csv.Error, KeyError, TypeError, ValueError):
        return {}  # No earlier run, or none that can be read.
    return known
