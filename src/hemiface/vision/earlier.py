"""Copies and timelines of earlier runs in a folder of results, which would belie the new ones.

Made under other settings, or of a file as it was, they would lie beside tables that tell of
something else; and where faces are blurred now, they would still show them. What is a run's own is
proven, never guessed: a copy by what the journal noted of it, or by its name in a folder that a run
marked; a timeline by its title. Whatever else lies there stays.
"""

import logging
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hemiface.errors import HemifaceError
from hemiface.files import MOST_BYTES, as_stem, fitting, printable, reading, sweep
from hemiface.vision.journal import Journal
from hemiface.vision.sources import (
    COPIES,
    SHARDS,
    TIMELINES,
    Source,
    copies_of,
    is_marked,
    mark,
)
from hemiface.vision.video.timeline import TITLE

__all__ = [
    "OUTDATED",
    "Untrue",
    "copy_stamp",
    "remove_gone",
    "remove_timeline",
    "timeline",
    "timeline_files",
]

OUTDATED = "outdated"
"""Where a journal notes the stamps of timelines that are of a video as it was."""
_MADE = (COPIES, TIMELINES)
_START_BYTES = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Untrue:
    """Copies and timelines that new tables would belie. Until these are there, they are true."""

    is_as_before: bool
    """Whether the journal is of the new settings, or of these with copies: what it notes stays."""
    files: Mapping[Path, tuple[int, ...]]
    """Each file, and what tells it from another one that is written in its place."""

    @classmethod
    def find(
        cls,
        folder: Path,
        sources: Sequence[Source],
        settings: dict[str, Any],
        writes: Collection[str] = (),
    ) -> Self:
        """Return what in `folder` is untrue beside tables of `sources` under `settings`.

        These are of `run.settings_of`. `writes` are those of COPIES and TIMELINES that will be
        written; they are marked. Whoever calls holds the folder's lock.

        Raises:
            UsageError: one of them has files that no run is known to have written.
            HemifaceError: the folder can't be read or written.
        """
        is_as_before, made = _untrue(folder, sources, settings, writes)
        return cls(is_as_before, {one: _identity(one) for one in made})

    def remove(self, ended: Iterable[Mapping[str, Any]] = (), gone: Iterable[Path] = ()) -> None:
        """Remove what hasn't been replaced and isn't the copy of a source that `ended` so.

        And what the run itself found to be `gone`.

        Raises:
            HemifaceError: a file can't be removed.
        """
        true = {_noted(known) for known in ended}
        untrue = {
            one
            for one, identity in self.files.items()
            if _identity(one) == identity and str(copy_stamp(one)) not in true
        }
        _remove_said(untrue.union(one for one in gone if one.is_file()))


def _identity(path: Path) -> tuple[int, ...]:
    try:
        known = path.stat()
    except OSError:
        return ()
    return known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns


def _untrue(
    folder: Path, sources: Sequence[Source], settings: dict[str, Any], writes: Collection[str]
) -> tuple[bool, set[Path]]:
    """Return what the journal is of and the files, as in `Untrue`.

    Raises:
        UsageError: one of them has files that no run is known to have written.
        HemifaceError: the folder can't be read or written.
    """
    _sweep(folder)
    made = set[Path]()
    with reading(folder):
        goes_on = Journal.is_of(folder, settings)
        # That copies aren't asked for again makes none of those untrue that lie there.
        ours = [settings, settings | {"pictures": True}]
        is_as_before = any(Journal.is_of(folder, one) for one in ours)
        if not is_as_before:
            made = _copies(folder, sources) | _timelines(folder / TIMELINES)
        elif any((folder / name).is_dir() for name in _MADE):
            made = _of_changed(folder, sources, ours, writes)
    made = _unread(made, sources)
    for name in writes:
        # A run of before they were marked wrote copies too, where these settings say so.
        mark(folder / name, made, are_ours=goes_on)
    if settings["blur"]:
        _tell_of_shards(folder, settings)
    return is_as_before, made


def remove_gone(folder: Path, sources: Sequence[Source], told: Iterable[Mapping[str, Any]]) -> None:
    """Remove copies and timelines of what isn't in the tables, as of `sources` that were `told` of.

    They are of files that runs under the same settings looked at, and that aren't named or there
    any more. For after the tables: until these are written, the older ones tell of such files.

    Raises:
        HemifaceError: the folder can't be read or written.
    """
    if not any((folder / name).is_dir() for name in _MADE):
        return
    seen = {one["source"] for one in told if one["frames"] or not one["error"]}
    drawn = {path for one in sources if one.moves for path in timeline_files(folder, one)}
    with reading(folder):
        true, stale = set[str](), set[str]()
        for name, known in Journal.of_before(folder):
            (true if name in seen else stale).add(_noted(known))
        copies = _files(folder / COPIES)
        made = {one for one in copies if str(copy_stamp(one)) in stale - true}
        films = (one for one in _of_before(folder) if one.moves and one.name not in seen)
        made |= set[Path]().union(*(timeline(folder, one) for one in films)) - drawn
    _remove_said(_unread(made, sources))


def _unread(made: set[Path], sources: Iterable[Source]) -> set[Path]:
    """Return what isn't looked at: who names a copy on purpose wants it to be."""
    read = {Path(one.path).resolve() for one in sources} if made else set()
    return {one for one in made if one.resolve() not in read}


def _remove_said(made: Collection[Path]) -> None:
    if made:
        _log.warning("%d copies and timelines of earlier runs are removed", len(made))
    remove(made)


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


def _sweep(folder: Path) -> None:
    """Remove what a killed run was writing; the lock keeps all others away."""
    for name in _MADE:
        for below in (folder / name, *filter(Path.is_dir, (folder / name).rglob("*"))):
            sweep(below)
    sweep(folder)


def _copies(folder: Path, sources: Sequence[Source]) -> set[Path]:
    """Return the copies that runs of before made, whatever of."""
    copies = folder / COPIES
    there = _files(copies)
    if not there:
        return there
    noted = {_noted(known) for _, known in Journal.of_before(folder)}
    found = {one for one in there if str(copy_stamp(one)) in noted}
    # Elsewhere a file of that name may be the user's own.
    if is_marked(copies):
        found |= there & _named(copies, sources) | there & _named(copies, _of_before(folder))
    return found


def _files(folder: Path) -> set[Path]:
    return {one for one in folder.rglob("*") if one.is_file()}


def _noted(known: Mapping[str, Any]) -> str:
    """Return the stamp of a source's copy as a journal knows it; one of no copy is no file's."""
    return str(known.get("copy") or None)


def _named(copies: Path, sources: Iterable[Source]) -> set[Path]:
    return {copies / name for one in sources for name in copies_of(one)}


def _of_before(folder: Path) -> Iterator[Source]:
    """Yield what earlier runs looked at, once for each folder that may have been the one named."""
    for name, known in Journal.of_before(folder):
        path = Path(name)
        parts = path.parts[bool(path.anchor) :]
        for first in range(len(parts)):
            yield Source(name, str(known.get("kind")), Path(*parts[first:]), name)


def _of_changed(
    folder: Path,
    sources: Sequence[Source],
    ours: Sequence[dict[str, Any]],
    writes: Collection[str],
) -> set[Path]:
    """Return the copies and timelines of sources that aren't as they were when these were made.

    And what a run made that was under none of the settings `ours`, and was stopped.
    """
    # What a camera shows is always another thing.
    now = {one.name: one.fingerprint for one in sources if one.kind != "camera"}
    names = {one.name for one in sources}
    same, outdated = set[str](), set[str]()
    theirs = any(True for _ in Journal.of_before(folder, ours))
    true, stale = set[str](), set[str]()
    for name, known in Journal.of_before(folder, of=ours):
        # One that isn't there may come back as it was.
        if name in now and now[name] in ([], known.get("fingerprint")):
            same.add(name)
            true.add(_noted(known))
            outdated |= set(map(str, known.get(OUTDATED, ())))
        elif name in names:
            stale.add(_noted(known))
    found = set[Path]()
    if theirs:
        found = {one for one in _copies(folder, sources) if str(copy_stamp(one)) not in true}
    elif COPIES not in writes:
        copies = {one: str(copy_stamp(one)) for one in _files(folder / COPIES)}
        named = _named(folder / COPIES, sources) if is_marked(folder / COPIES) else set()
        found = {
            one for one, stamp in copies.items()
            if stamp not in true and (stamp in stale or one in named)
        }  # fmt: skip
    films = [(one.name in same, timeline(folder, one)) for one in sources if one.moves]
    drawn = {
        one
        for is_same, files in films
        for one in files
        if not is_same or str(copy_stamp(one)) in outdated
    }
    return found | drawn


def _tell_of_shards(folder: Path, settings: dict[str, Any]) -> None:
    """Say which shards below `folder` keep copies and timelines of other settings."""
    for shard in sorted(folder.glob(SHARDS)):
        made = [shard / one for one in _MADE if is_marked(shard / one) and (shard / one).is_dir()]
        if made and not Journal.is_of(shard, settings):
            _log.warning(
                "%s may show faces: a shard with other settings made what lies there; remove it, "
                "or give the shard's command again with these.",
                printable(" and ".join(map(str, made))),
            )


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
    remove(timeline(folder, source))


def timeline(folder: Path, source: Source) -> set[Path]:
    """Return the files of a video's timeline below a run's folder that there are, if a run's."""
    files = timeline_files(folder, source)
    ours = is_marked(folder / TIMELINES) or _is_drawn(files[0])
    return {one for one in files if ours and one.is_file()}


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
