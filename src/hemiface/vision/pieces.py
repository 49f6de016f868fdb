"""What many machines have done of one prediction: files of whole sources, each written once.

A piece is some sources that one predictor looks at together. What comes of it is one Parquet file
with the rows of all their faces, in order, and with what is known of each source in its metadata.
It gets its name when it is whole and holds the SHA-256 of itself, so that a piece is there or it
isn't, whoever was killed. The name is a hash of the settings and of the sources with the size and
time of their files: who looks at the same piece twice writes the same file twice. Rows are read
row group by row group; only which source lies where is in memory.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from hemiface.documents import json_value, read_json
from hemiface.errors import DamagedError, first_line
from hemiface.files import atomic_path, hash_json, sealed_content, write_json
from hemiface.vision.faces import COLUMNS, ROWS_AT_ONCE, parquet_sink
from hemiface.vision.sources import Source
from hemiface.vision.stretches import EXACT, Stretch, fit, numbered
from hemiface.vision.video.watching import Identities

__all__ = ["PIECES", "Piece", "Pieces", "cut", "write_piece"]

PIECES = "pieces"
"""The folder of these files, below that of the results."""

_FORMAT = 1
_KEY = b"hemiface"
_SUFFIX = ".parquet"
_TOLD = "told.json"
_MOST_BYTES = 1 << 28
"""Of the photos of one piece, but for the last: so much has to be fetched before it is begun."""
_OPEN = 8
"""Files that are kept open while rows are read: sources of one may alternate with another's."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Some sources, as they are now, to be looked at under settings with the hash `key`."""

    key: str
    sources: tuple[Source, ...]
    stretch: Stretch | None = None
    """Of the one video, if it isn't the whole of it."""

    @cached_property
    def name(self) -> str:
        """What its file is called."""
        known = [[one.name, one.fingerprint] for one in self.sources]
        stretch = self.stretch and [self.stretch.start, self.stretch.stop]
        return hash_json([self.key, known, stretch]) + _SUFFIX

    @property
    def bytes(self) -> int:
        """What its files hold together; 0 for those that can't be asked."""
        return sum(one.fingerprint[0] for one in self.sources if one.fingerprint)


def cut(
    sources: Sequence[Source],
    key: str,
    photos: int,
    stretches: Mapping[str, Sequence[Stretch]] | None = None,
) -> list[Piece]:
    """Return pieces of at most so many `photos`, and of one video each, the longest work first.

    A video that begins last would be waited for by all: they come first, by their size. Of those
    that are named in `stretches` each stretch is a piece.
    """
    known = stretches or {}
    moving = [
        Piece(key, (one,), stretch)
        for one in sources
        if one.moves
        for stretch in known.get(one.name, (None,))
    ]
    still: list[list[Source]] = []
    size = _MOST_BYTES
    for one in sources:
        if one.moves:
            continue
        if size >= _MOST_BYTES or len(still[-1]) == photos:
            still.append([])
            size = 0
        still[-1].append(one)
        size += (one.fingerprint or [0])[0]
    chunks = (Piece(key, tuple(some)) for some in still)
    return [*sorted(moving, key=lambda one: -one.bytes), *chunks]


def write_piece(
    piece: Piece,
    folder: Path,
    told: Sequence[dict[str, Any]],
    rows: Iterable[dict[str, Any]],
) -> Path:
    """Write what came of a piece into `folder`, whole or not at all; return its file.

    `told` is what `Outcome.sources` tells of each of its sources, of a stretch also what `Watched`
    does; `rows` are their faces in order.

    Raises:
        HemifaceError: the folder can't be written.
    """
    known = [
        {**one, "fingerprint": source.fingerprint}
        for one, source in zip(told, piece.sources, strict=True)
    ]
    more: tuple[str, ...] = ()
    if piece.stretch is not None:
        known[0]["stretch"] = [piece.stretch.start, piece.stretch.stop]
        more = (EXACT,)
    facts = {"format": _FORMAT, "key": piece.key, "sources": known}
    metadata = {_KEY: json.dumps(facts).encode()}
    path = folder / piece.name
    with atomic_path(path) as partial, parquet_sink(partial, metadata, more) as sink:
        every = iter(rows)
        while some := list(islice(every, ROWS_AT_ONCE)):
            sink(some)
    return path


@dataclass(frozen=True)
class _Place:
    """Where the rows of a source lie."""

    path: Path
    start: int
    """Rows of the file before it."""
    known: dict[str, Any]


class Pieces:
    """What lies in `folder` of `sources` under settings with the hash `key`.

    A file that isn't as it was written is removed: its sources are looked at again. Those of other
    settings stay until `settle`.

    Raises:
        HemifaceError: the folder can't be written.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        sources: Iterable[Source],
        identities: Callable[[], Identities] | None = None,
    ) -> None:
        self.folder = folder
        self._identities = identities
        """Gives the numbers of faces of a video that was cut."""
        self._key = key
        self._wanted = {one.name: one.fingerprint for one in sources}
        self._places: dict[str, _Place] = {}
        self._others: dict[Path, Any] = {}
        """File of other settings -> its facts."""
        self._stretches: dict[str, dict[int, _Place]] = {}
        """Video -> where a stretch starts -> its file."""
        self._opened = lru_cache(_OPEN)(_Opened)
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            try:
                self.take(path)
            except DamagedError as error:
                _log.info("%s; what it held is looked at again", error)
                path.unlink(missing_ok=True)

    def take(self, path: Path) -> None:
        """Take over what a file holds of the sources that are wanted, if it is of these settings.

        Raises:
            DamagedError: it is damaged.
        """
        facts = _Opened(path).facts
        if facts["key"] != self._key:
            self._others[path] = facts
            return
        start = 0
        for known in facts["sources"]:
            name = known["source"]
            before = self._places.get(name)
            fits = self._wanted.get(name) == known["fingerprint"]
            if fits and "stretch" in known:
                place = _Place(path, start, known)
                self._stretches.setdefault(name, {})[known["stretch"][0]] = place
            # Of two files the one that could read it.
            elif fits and (before is None or before.known["error"] or not known["error"]):
                self._places[name] = _Place(path, start, known)
            start += known["faces"]

    def of_others(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each source and stretch of other settings, by a name, with what is known of it.

        But for what was there when tables were written: these tell of it, or took its place, and of
        files that were renamed since there are two.
        """
        told = _told(self.folder)
        for path, facts in self._others.items():
            for known in facts["sources"] if path.name not in told else ():
                yield f"{known['source']} {known.get('stretch', '')}", known

    def settle(self) -> None:
        """Remove the files of other settings: the tables are written."""
        for path in self._others:
            path.unlink(missing_ok=True)
        write_json(self.folder / _TOLD, sorted(one.name for one in self.folder.glob(f"*{_SUFFIX}")))

    def known(self, name: str) -> dict[str, Any] | None:
        """Return what is known of a source, None if no file or not all of its stretches hold it."""
        place = self._whole(name)
        if place is not None:
            return place.known
        parts = [one.known for one in self._in_order(name)]
        if not parts or not fit(parts):
            return None
        sums = {key: sum(one[key] for one in parts) for key in ("faces", "frames")}
        return {**parts[0], **sums}

    def begins(self, name: str) -> set[int]:
        """Return where the stretches of a video start that are there."""
        return set(self._stretches.get(name, ()))

    def rows(self, names: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of sources in their order.

        Raises:
            DamagedError: a file isn't any more what it was.
        """
        for name in names:
            place = self._whole(name)
            if place is not None:
                yield from self._rows(place)
                continue
            assert self._identities is not None, f"{name} was cut"  # noqa: S101
            stretches = ((one.known, self._rows(one)) for one in self._in_order(name))
            yield from numbered(stretches, self._identities())

    def _whole(self, name: str) -> _Place | None:
        """Return where all of a source lies, unless its stretches say more."""
        place = self._places.get(name)
        if place is not None and place.known["error"]:
            return None if fit([one.known for one in self._in_order(name)]) else place
        return place

    def _in_order(self, name: str) -> list[_Place]:
        return [place for _, place in sorted(self._stretches.get(name, {}).items())]

    def _rows(self, place: _Place) -> Iterator[dict[str, Any]]:
        return self._opened(place.path).rows(place.start, place.known["faces"])


def _told(folder: Path) -> set[str]:
    """Return the names of the files that were there when tables were written."""
    try:
        return set(read_json(folder / _TOLD))
    except (DamagedError, OSError, TypeError, ValueError):
        # Counted once too often is said; lost isn't.
        return set()


def _is_known(file: Any) -> bool:
    return file.schema_arrow.names in ([*COLUMNS], [*COLUMNS, EXACT])


class _Opened:
    """One file of a piece, of which a row group at a time is in memory.

    Raises:
        DamagedError: it is missing or isn't as it was written.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        content = sealed_content(path, "table_bytes")
        try:
            self._file = pq.ParquetFile(pa.BufferReader(content))
            self.facts = json_value((self._file.schema_arrow.metadata or {})[_KEY])
            if self.facts["format"] != _FORMAT or not _is_known(self._file):
                raise ValueError("it is of another version of hemiface")
            total = sum(one["faces"] for one in self.facts["sources"])
            if total != self._file.metadata.num_rows:
                raise ValueError("it doesn't hold the rows that it tells of")
        except (pa.ArrowException, LookupError, OSError, TypeError, ValueError) as error:
            raise DamagedError(
                f"{path} is no piece of a prediction ({first_line(error)})"
            ) from error
        self._group = -1
        self._rows: list[dict[str, Any]] = []

    def rows(self, start: int, count: int) -> Iterator[dict[str, Any]]:
        """Yield some rows; all groups but the last have ROWS_AT_ONCE."""
        for number in range(start, start + count):
            group, row = divmod(number, ROWS_AT_ONCE)
            if group != self._group:
                self._rows = self._file.read_row_group(group).to_pylist()
                self._group = group
            yield self._rows[row]
