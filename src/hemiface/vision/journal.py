"""What a run over many files has done so far, so that a kill loses and doubles nothing.

A file of JSON lines that only grows: faces in parts, then a line that ends their source and names
its parts. Each line begins with a checksum of itself under the run's settings. A line that doesn't
fit it, because it was damaged, is half-written or is of other settings, doesn't count, and neither
does a source that lacks a part or its end: it is done again, or gone on with where a part says what
was reached. Rows stay on disk; only where they lie is in memory.

A run under other settings begins a file of its own beside it, which takes its place when that run
is through: what was stopped goes on, whatever else was begun meanwhile. A line of its own says that
tables tell of all before it, or took its place.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from hemiface.documents import json_value, undamaged
from hemiface.errors import HemifaceError
from hemiface.files import hash_json

__all__ = ["Journal"]

_NAME = ".progress.jsonl"
_BESIDE = ".progress-%s.jsonl"
"""One of other settings than _NAME, which have this hash."""
_SYNC_EVERY_S = 1.0
_DIGITS = 16
_LINE = b'["%s",%s]\n'
"""A checksum and the text that it is of."""
_TELL = (b'"end": ', b'"reached": ')
"""In lines that tell more than rows."""
_TOLD = b'["told"]\n'
"""Behind what is in tables, or gave place to them; and at a file's beginning, where nothing is."""


class Journal:
    """The record of a run in `folder` under `settings` (what the results depend on).

    A journal of other settings stays beside it until `settle`; with `keeps` what it holds stays for
    good, though nothing of it counts but for `of_before`. One thread at a time may write, of one
    process: whoever opens it holds the folder's lock (`hemiface.locks`).

    Raises:
        HemifaceError: the folder can't be written.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], *, keeps: bool = False) -> None:
        self._key = hash_json(settings)
        self.path = _place(folder, self._key, keeps)
        self._settles = False
        self._parts: dict[str, list[int]] = {}
        """Source -> where the lines of its rows begin, of those that are whole."""
        self.ended: dict[str, dict[str, Any]] = {}
        """Source -> what `end` was told, of those that are whole."""
        self._open_parts: dict[str, dict[str, int]] = {}
        """Source -> checksum -> where that line begins, of those that haven't ended."""
        self._reached: dict[str, tuple[dict[str, Any], dict[str, int]]] = {}
        """Source -> what an earlier run reached of it, and the parts up to there."""
        self.untold = set[str]()
        """Sources that ended in a run which was stopped before its tables told of them."""
        self._synced_s = 0.0
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        try:
            with self._writing():
                self._file.truncate(self._read(keeps))
                self._file.seek(0, os.SEEK_END)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._writing():
                self._file.close()
        except HemifaceError:
            # The first error says more than that the rest can't be written either.
            if error is None:
                raise
        if self._settles:
            self._take_over()

    def settle(self) -> None:
        """Let this be the folder's only journal when it is closed: its run is through."""
        with self._writing():
            self._file.write(_TOLD)
        self._settles = True

    def _take_over(self) -> None:
        # Windows renames no open file.
        with self._writing():
            self.path.replace(self.path.with_name(_NAME))
            for other in _journals(self.path.parent):
                if other.name != _NAME:
                    other.unlink()

    def add(
        self, source: str, rows: list[dict[str, Any]], reached: dict[str, Any] | None = None
    ) -> None:
        """Record some rows of a source that hasn't ended, and what was `reached` with them.

        That survives a kill: the next run may go on from there.
        """
        parts = self._open_parts.setdefault(source, {})
        # By the part before, equal rows aren't one part, and none is missing between two.
        line: dict[str, Any] = {"source": source, "after": next(reversed(parts), ""), "rows": rows}
        offset, checksum = self._append(line | ({} if reached is None else {"reached": reached}))
        parts[checksum] = offset
        if reached is not None:
            self._flush()

    def reached(self, source: str) -> dict[str, Any] | None:
        """Return what an earlier run last `reached` of a source that hasn't ended; None if nothing.

        Without `go_on` it begins anew.
        """
        return self._reached[source][0] if source in self._reached else None

    def all_reached(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield all that was `reached` of it up to there, in order.

        Raises:
            DamagedError: a line isn't any more what it was.
        """
        with self.path.open("rb") as file:
            for offset in self._reached[source][1].values():
                line = self._line(file, offset)
                if "reached" in line:
                    yield line["reached"]

    def go_on(self, source: str) -> None:
        """Let what is added next follow the rows that were recorded up to what was `reached`."""
        _, self._open_parts[source] = self._reached.pop(source)

    def end(self, source: str, known: dict[str, Any], *, lasting: bool = True) -> None:
        """Record that `source` is whole with `known`; earlier rows of it don't count any more.

        What isn't `lasting` is true of this run alone: the next one finds what was known before.
        """
        parts = self._open_parts.pop(source, {})
        if not lasting:
            self._parts[source], self.ended[source] = [], known
            return
        self._append({"source": source, "end": known, "parts": list(parts)})
        self._flush()
        self._parts[source] = list(parts.values())
        self.ended[source] = known

    def _flush(self) -> None:
        with self._writing():
            # What is flushed survives a kill; only a crash of the machine needs more, and waiting
            # for the disk takes longer than looking at a small picture.
            self._file.flush()
            if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
                os.fsync(self._file.fileno())
                self._synced_s = time.monotonic()

    def rows(self, sources: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of `sources` that ended, in their order.

        Raises:
            DamagedError: a line isn't any more what it was.
        """
        with self._writing():
            self._file.flush()
        with self.path.open("rb") as file:
            for source in sources:
                for offset in self._parts.get(source, []):
                    yield from self._line(file, offset)["rows"]

    def _line(self, file: BinaryIO, offset: int) -> dict[str, Any]:
        """Return the part that begins there, which has `rows`."""
        file.seek(offset)
        with undamaged(self.path, "give the same command again"):
            _, line = _whole(self._key, file.readline())
            return line | {"rows": line["rows"]}

    def _append(self, line: dict[str, Any]) -> tuple[int, str]:
        """Write a line; return where it begins, and its checksum."""
        body = json.dumps(line, ensure_ascii=False).encode()
        checksum = _checksum(self._key, body)
        with self._writing():
            if not self._file.tell():
                self._file.write(_TOLD)
            offset = self._file.tell()
            self._file.write(_LINE % (checksum.encode(), body))
        return offset, checksum

    @staticmethod
    def is_of(folder: Path, settings: dict[str, Any]) -> bool:
        """Return whether a run under these very settings noted something, and then none of others.

        None that is through: what one that was stopped noted lies beside it. Those whose journal it
        keeps (`keeps`) are no others.
        """
        return _has(folder / _NAME, hash_json(settings))

    @staticmethod
    def of_before(
        folder: Path,
        besides: Sequence[dict[str, Any]] = (),
        *,
        of: Sequence[dict[str, Any]] | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each source that ended in the folder with what is known, under any settings.

        But for those in `besides`, or under none but those in `of`. Of other settings nobody can
        tell whether a line is as it was written.
        """
        for path in _journals(folder):
            for raw in _lines(path, besides, of):
                yield from _told_by(raw)

    @staticmethod
    def begun(
        folder: Path, besides: Sequence[dict[str, Any]] = (), *, told: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield, as `of_before`, what tables don't tell of, nor took the place of.

        `told` says whether there are tables, which a journal of a version before 0.2 doesn't.
        Cameras are among it with what was reached: what they showed doesn't come again.
        """
        for path in _journals(folder):
            found: list[tuple[str, dict[str, Any]]] = []
            says = not told or path.name != _NAME
            for raw in _lines(path, besides):
                if raw == _TOLD:
                    # What was renamed since is among it under both names.
                    found, says = [], True
                else:
                    found += _told_by(raw, cameras=True)
            yield from found if says else ()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what the system says into a sentence."""
        try:
            yield
        except OSError as error:
            raise HemifaceError(
                f"{self.path.parent} can't be written ({error.strerror or error}); choose another "
                "--out or free some space."
            ) from error

    def _read(self, keeps: bool) -> int:
        """Take over what is whole; return how many bytes of the file stay (0: start anew)."""
        pending: dict[str, _Begun] = {}
        start, known = 0, keeps
        with self.path.open("rb") as file:
            for raw in file:
                # What follows a half-written line would become a part of it.
                if not raw.endswith(b"\n"):
                    break
                if raw == _TOLD:
                    self.untold.clear()
                with suppress(ValueError):
                    checksum, line = _whole(self._key, raw)
                    known = True
                    self._take(line, checksum, start, pending)
                start += len(raw)
        for source, begun in pending.items():
            if begun.reached is not None:
                self._reached[source] = begun.reached, begun.up_to_there()
        return start if known else 0

    def _take(
        self, line: dict[str, Any], checksum: str, start: int, pending: dict[str, "_Begun"]
    ) -> None:
        """Take over a line that begins at `start`; an end without all of its parts is none."""
        source = line["source"]
        if "rows" in line:
            pending.setdefault(source, _Begun()).add(line, checksum, start)
            return
        found = pending.pop(source, _Begun()).places
        if found.keys() >= set(line["parts"]):
            self._parts[source] = [found[part] for part in line["parts"]]
            self.ended[source] = line["end"]
            self.untold.add(source)


@dataclass
class _Begun:
    """What a file has of a source before the line that ends it."""

    places: dict[str, int] = field(default_factory=dict)
    """Checksum of a part -> where its line begins."""
    before: dict[str, str] = field(default_factory=dict)
    """Checksum of a part that lacks none before it -> that of the part before, empty at first."""
    last: str = ""
    """The checksum of the last part that says what was reached."""
    reached: dict[str, Any] | None = None

    def add(self, line: dict[str, Any], checksum: str, start: int) -> None:
        """Take a part; one whose part before isn't whole goes on from nothing."""
        self.places[checksum] = start
        after = line.get("after")
        if after == "" or after in self.before:
            self.before[checksum] = after
            if "reached" in line:
                self.last, self.reached = checksum, line["reached"]

    def up_to_there(self) -> dict[str, int]:
        """Return checksum -> place of the parts with which it was reached, in their order."""
        parts, checksum = [], self.last
        while checksum:
            parts.append(checksum)
            checksum = self.before[checksum]
        return {one: self.places[one] for one in reversed(parts)}


def _lines(
    path: Path, besides: Sequence[dict[str, Any]], of: Sequence[dict[str, Any]] | None = None
) -> Iterator[bytes]:
    """Yield a journal's lines that tell more than rows, as `Journal.of_before` chooses them."""
    others = [hash_json(one) for one in besides]
    ours = None if of is None else [hash_json(one) for one in of]
    with path.open("rb") as file:
        for raw in file:
            # Most of a journal are rows.
            if raw != _TOLD and not any(one in raw for one in _TELL):
                continue
            if any(_is_of(key, raw) for key in others):
                continue
            if ours is None or any(_is_of(key, raw) for key in ours):
                yield raw


def _told_by(raw: bytes, *, cameras: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a line tells of a source that ended, or of one of `cameras` that hasn't yet."""
    with suppress(ValueError):
        line = json_value(raw[_DIGITS + 4 : -2])
        if not isinstance(line, dict):
            return
        ended, reached = line.get("end"), line.get("reached")
        if isinstance(ended, dict):
            yield str(line.get("source")), ended
        elif cameras and isinstance(reached, dict) and reached.get("kind") == "camera":
            yield str(line.get("source")), reached


def _journals(folder: Path) -> list[Path]:
    """Return the journals that there are in a folder, the one of runs that are through first."""
    return [
        one
        for one in (folder / _NAME, *sorted(folder.glob(_BESIDE % ("[0-9a-f]" * _DIGITS))))
        if one.is_file()
    ]


def _place(folder: Path, key: str, keeps: bool) -> Path:
    """Return where the journal of settings with the hash `key` is, or is to be."""
    common, own = folder / _NAME, folder / (_BESIDE % key)
    is_free = not common.is_file() or not common.stat().st_size
    if _has(common, key) or (not own.is_file() and (is_free or keeps)):
        return common
    return own


def _has(path: Path, key: str) -> bool:
    """Return whether a journal has a line of settings with the hash `key`."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return any(_is_of(key, raw) for raw in file)


def _is_of(key: str, raw: bytes) -> bool:
    try:
        _whole(key, raw)
    except ValueError:
        return False
    return True


def _checksum(key: str, body: bytes) -> str:
    return hashlib.sha256(key.encode() + body).hexdigest()[:_DIGITS]


def _whole(key: str, raw: bytes) -> tuple[str, dict[str, Any]]:
    """Return the checksum and the content of a line as a run of these settings writes them.

    Raises:
        ValueError: it isn't as it was written, or not of these settings.
    """
    body = raw[_DIGITS + 4 : -2]
    checksum = _checksum(key, body)
    if raw != _LINE % (checksum.encode(), body):
        raise ValueError("a line doesn't fit its checksum")
    content: dict[str, Any] = json_value(body)
    return checksum, content
