"""What a run over many files has done so far, so that a kill loses and doubles nothing.

A file of JSON lines that only grows: faces in parts, then a line that ends their source. Parts
without such a line, and a half-written last line, don't count: that source is done again. Rows stay
on disk; only where they lie is in memory.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hemiface.errors import HemifaceError
from hemiface.files import hash_json

__all__ = ["Journal"]

_NAME = ".progress.jsonl"
_SYNC_EVERY_S = 1.0


class Journal:
    """The record of a run in `folder` under `settings` (what the results depend on).

    A journal of other settings is replaced. One thread at a time may write, of one process: whoever
    opens it holds the folder's lock (`hemiface.locks`).

    Raises:
        HemifaceError: the folder can't be written.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.path = folder / _NAME
        self._key = hash_json(settings)
        self._parts: dict[str, list[int]] = {}
        self.ended: dict[str, dict[str, Any]] = {}
        """Source -> what `end` was told, of those that are whole."""
        self._open_parts: dict[str, list[int]] = {}
        self._synced_s = 0.0
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        try:
            with self._writing():
                self._file.truncate(self._read())
                self._file.seek(0, os.SEEK_END)
            self._append({"open": self._key})
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

    def add(self, source: str, rows: list[dict[str, Any]]) -> None:
        """Record some rows of a source that hasn't ended."""
        self._open_parts.setdefault(source, []).append(
            self._append({"source": source, "rows": rows})
        )

    def end(self, source: str, known: dict[str, Any]) -> None:
        """Record that `source` is whole with `known`; earlier rows of it don't count any more."""
        self._append({"source": source, "end": known})
        with self._writing():
            # What is flushed survives a kill; only a crash of the machine needs more, and waiting
            # for the disk takes longer than looking at a small picture.
            self._file.flush()
            if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
                os.fsync(self._file.fileno())
                self._synced_s = time.monotonic()
        self._parts[source] = self._open_parts.pop(source, [])
        self.ended[source] = known

    def rows(self, sources: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of `sources` that ended, in their order."""
        with self._writing():
            self._file.flush()
        with self.path.open("rb") as file:
            for source in sources:
                for offset in self._parts.get(source, []):
                    file.seek(offset)
                    yield from json.loads(file.readline())["rows"]

    def _append(self, line: dict[str, Any]) -> int:
        """Write a line; return where it begins."""
        with self._writing():
            offset = self._file.tell()
            self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        return offset

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

    def _read(self) -> int:
        """Take over what is whole; return how many bytes of the file are good (0: start anew)."""
        pending: dict[str, list[int]] = {}
        good = 0
        with self.path.open("rb") as file:
            for raw in file:
                line = _decoded(raw)
                if line is None:
                    break
                if "open" in line:
                    if line["open"] != self._key:
                        self._parts.clear()
                        self.ended.clear()
                        return 0
                    pending.clear()
                elif "rows" in line:
                    pending.setdefault(line["source"], []).append(good)
                else:
                    self._parts[line["source"]] = pending.pop(line["source"], [])
                    self.ended[line["source"]] = line["end"]
                good += len(raw)
        return good


def _decoded(raw: bytes) -> dict[str, Any] | None:
    """Return a line's object, None if a kill left it half-written."""
    if not raw.endswith(b"\n"):
        return None
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
