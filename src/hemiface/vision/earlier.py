"""Copies and timelines of earlier runs in a folder of results, which would belie the new ones.

Made under other settings, or of a file as it was, they would lie beside tables that tell of
something else; and where faces are blurred now, they would still show them. What is a run's own is
proven, never guessed: a copy by what the journal noted of it, or by its name in a folder that a run
marked; a timeline by its title. Whatever else lies there stays.
"""

import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from hemiface.errors import HemifaceError
from hemiface.files import MOST_BYTES, as_stem, fitting
from hemiface.vision.journal import Journal
from hemiface.vision.sources import COPIES, TIMELINES, Source, copies_of, is_marked
from hemiface.vision.video.timeline import TITLE

__all__ = ["copy_stamp", "made_before", "remove", "remove_timeline", "timeline_files"]

_START_BYTES = 1 << 16


def copy_stamp(path: Path) -> list[int]:
    """Return what tells a copy from others of its name, [] where there is none."""
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
            return [file.seek(0, 2), zlib.crc32(start)]
    except OSError:
        return []


def timeline_files(folder: Path, source: Source) -> tuple[Path, Path]:
    """Return where a video's timeline lies below a run's folder, as SVG and PNG."""
    below = folder / TIMELINES / source.inner.parent
    stem = as_stem(fitting(source.inner.name, MOST_BYTES - len(".svg")))
    return below / f"{stem}.svg", below / f"{stem}.png"


def made_before(folder: Path, sources: Sequence[Source]) -> set[Path]:
    """Return the copies and timelines that earlier runs made in `folder`, but for the sources.

    Raises:
        OSError: something there can't be read.
    """
    found = _copies(folder, sources) | _timelines(folder / TIMELINES)
    # Who names a copy on purpose wants it looked at.
    read = {Path(one.path).resolve() for one in sources if one.kind == "photo"} if found else set()
    return {one for one in found if one.resolve() not in read}


def _copies(folder: Path, sources: Sequence[Source]) -> set[Path]:
    copies = folder / COPIES
    if not is_marked(copies):
        return set()
    there = {one for one in copies.rglob("*") if one.is_file()}
    noted = {str(known.get("copy")) for _, known in Journal.of_before(folder)}
    named = {copies / name for one in sources for name in copies_of(one)}
    return {one for one in there if one in named or str(copy_stamp(one)) in noted}


def _timelines(folder: Path) -> set[Path]:
    drawn = {one for one in folder.rglob("*.svg") if _is_drawn(one)}
    pictures = {one.with_suffix(".png") for one in drawn}
    return drawn | {one for one in pictures if one.is_file()}


def _is_drawn(svg: Path) -> bool:
    return svg.is_file() and TITLE.encode() in svg.read_bytes()


def remove_timeline(folder: Path, source: Source) -> None:
    """Remove a video's timeline below a run's folder, if one is there and is a run's.

    Raises:
        HemifaceError: it can't be removed.
    """
    files = timeline_files(folder, source)
    if is_marked(folder / TIMELINES) or _is_drawn(files[0]):
        remove(files)


def remove(paths: Iterable[Path]) -> None:
    """Remove files that there are, and the folders that become empty.

    Raises:
        HemifaceError: one can't be removed.
    """
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HemifaceError(
                f"{path} is of an earlier run, may show faces and can't be removed "
                f"({error.strerror or error}); remove it, or choose another --out."
            ) from error
        with suppress(OSError):
            path.parent.rmdir()
