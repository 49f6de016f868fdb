"""Opening what others give: regular files alone, and never more of them than the limits allow.

A named pipe would block for ever, a device never end: neither is opened. What is read line by line
is counted while it comes, so that nothing has to be in memory to be found too long.
"""

import csv
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TextIO

from hemiface.errors import (
    DamagedError,
    HemifaceError,
    MissingError,
    UsageError,
    escaped,
    first_line,
)
from hemiface.limits import limits, over

__all__ = [
    "BoundedBytes",
    "Readable",
    "as_csv",
    "is_address",
    "is_offline",
    "open_lines",
    "read_bytes",
    "require_apart",
    "require_columns",
    "require_commas",
    "require_file",
    "require_local",
    "require_size",
]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/{1,3}[^/]", re.IGNORECASE)


def is_offline() -> bool:
    """Return whether HEMIFACE_OFFLINE forbids the network."""
    return os.environ.get("HEMIFACE_OFFLINE", "").lower() not in ("", "0", "false", "no")


def is_address(name: str) -> bool:
    """Return whether a name is an address on a network, and no file's.

    `http:/a.jpg` may be a file in a folder that is called so.
    """
    return bool(_ADDRESS.match(name)) and not os.path.lexists(name)


def require_local(name: str) -> None:
    """Raise UsageError if a name is an address on a network; see `is_address`."""
    if is_address(name):
        raise UsageError(_not_fetched(name))


def _not_fetched(address: str) -> str:
    # Of two slashes a Path keeps one.
    whole = re.sub(r":/(?=[^/])", "://", address, count=1)
    return (
        f"{whole} is an address on a network, and nothing is fetched from there; download it and "
        "name the file."
    )


def require_apart(
    read: Iterable[str | Path], written: Iterable[Path], mend: str = "choose another --out"
) -> None:
    """Raise unless none of the files that are to be written is one that is read.

    Raises:
        UsageError: one of them is.
    """
    there = {}
    for path in written:
        with suppress(OSError):
            known = path.stat()
            there[known.st_dev, known.st_ino] = path
    for one in read if there else ():
        with suppress(OSError):
            # A camera is no path, and no file either.
            known = os.stat(one)  # noqa: PTH116
            if (known.st_dev, known.st_ino) in there:
                raise UsageError(
                    f"{escaped(str(one))} is read here, and what is made would take its place; "
                    f"{mend}."
                )


def require_file(
    path: str | Path,
    what: str = "",
    hint: str = "check the path",
    error: type[HemifaceError] = DamagedError,
) -> os.stat_result:
    """Return what the system knows of a regular file; a link counts as what it leads to.

    `what` stands before the path in the sentence, `hint` says how to mend a path without a file;
    an address on a network is called one.

    Raises:
        MissingError: there is nothing, where `error` is DamagedError.
        HemifaceError: as `error`: there is nothing, or something else than a file.
    """
    named = f"{what} {path}".strip()
    try:
        known = os.stat(path)  # noqa: PTH116 - a Path takes no device's or camera's name
    except (FileNotFoundError, NotADirectoryError, ValueError) as missing:
        kind = MissingError if error is DamagedError else error
        sentence = f"{named} doesn't exist; {hint}."
        raise kind(_not_fetched(str(path)) if is_address(str(path)) else sentence) from missing
    except OSError as refused:
        raise error(f"{named} can't be read ({refused.strerror}); {hint}.") from refused
    if not stat.S_ISREG(known.st_mode):
        thing = _KINDS.get(stat.S_IFMT(known.st_mode), "something else")
        raise error(f"{named} is {thing}, not a file; {hint}.")
    return known


def require_size(
    path: str | Path, limit: str, what: str = "", error: type[HemifaceError] = DamagedError
) -> None:
    """Check that `path` is a regular file of no more bytes than field `limit` of Limits.

    Raises:
        HemifaceError: as `error`: it isn't, or it is longer.
    """
    size = require_file(path, what, error=error).st_size
    if size > getattr(limits(), limit):
        raise error(f"{f'{what} {path}'.strip()} has {size:,} bytes, {over(limit)}.")


def read_bytes(
    path: str | Path, limit: str, what: str = "", error: type[HemifaceError] = DamagedError
) -> bytes:
    """Return the content of a file that is read in one piece.

    Raises:
        HemifaceError: as `require_size`.
        OSError: it can't be read.
    """
    require_size(path, limit, what, error)
    return Path(path).read_bytes()


class Readable(Protocol):
    """What gives bytes, packed or not."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


class BoundedBytes(io.RawIOBase):
    """The bytes of another stream, as long as none of its lines is longer than Limits.line_bytes.

    Nor are there more lines than Limits.table_rows, nor, with `unpacked`, is the whole longer than
    Limits.unpacked_bytes. Whoever reads on gets a DamagedError that names `name`; a line ends with
    a line feed or carriage return.
    """

    def __init__(self, source: Readable, name: str, *, unpacked: bool = False) -> None:
        known = limits()
        self._source = source
        self._name = name
        self._most_line = known.line_bytes
        self._most_lines = known.table_rows
        self._left = known.unpacked_bytes if unpacked else None
        self._line, self._in_line = 1, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Read the next bytes into `buffer`; return how many, 0 at the end."""
        # No more at once than a line may have, so that one can only be too long at its beginning.
        part = self._source.read(min(len(buffer), self._most_line))
        buffer[: len(part)] = part
        self._count(part)
        return len(part)

    def _count(self, part: bytes) -> None:
        if self._left is not None:
            self._left -= len(part)
            if self._left < 0:
                raise DamagedError(f"{self._name} is, unpacked, {over('unpacked_bytes')}.")
        first = _first_end(part)
        if self._in_line + (len(part) if first < 0 else first) > self._most_line:
            raise DamagedError(f"{self._name}, line {self._line}, is {over('line_bytes')}.")
        self._line += part.count(b"\n")
        if self._line > self._most_lines + 1:
            raise DamagedError(f"{self._name} is {over('table_rows')}.")
        if first < 0:
            self._in_line += len(part)
        else:
            self._in_line = len(part) - 1 - max(part.rfind(b"\n"), part.rfind(b"\r"))


def _first_end(part: bytes) -> int:
    """Return where the first line end is, -1 without one."""
    found = [place for place in (part.find(b"\n"), part.find(b"\r")) if place >= 0]
    return min(found, default=-1)


_PARTED = {";": "semicolons", "\t": "tabs"}


@contextmanager
def open_lines(path: Path, hint: str = "check the path") -> Iterator[TextIO]:
    """Yield a CSV file as UTF-8 text, with or without a mark; csv.reader takes it as it comes.

    Raises:
        DamagedError: it is no regular file, or a line is too long (also while it is read).
        OSError, UnicodeDecodeError: it can't be read.
    """
    require_file(path, hint=hint)
    with (
        path.open("rb", buffering=0) as raw,
        io.BufferedReader(BoundedBytes(raw, path.name), 1 << 16) as bounded,
        io.TextIOWrapper(bounded, encoding="utf-8-sig", newline="") as text,
    ):
        yield text


@contextmanager
def as_csv(name: str | Path) -> Iterator[None]:
    """Tell of a file that is found to be no CSV table in UTF-8 while it is read.

    Raises:
        DamagedError: as said.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        # As spreadsheets call what is wanted.
        raise DamagedError(f"{name} is not UTF-8 text; save it as CSV UTF-8.") from error
    except (csv.Error, LookupError, OSError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{name} is not a readable CSV table ({first_line(error)}); get it again, or make it "
            "anew."
        ) from error


def require_columns(
    path: Path, named: Sequence[str], needed: Sequence[str], known: Sequence[str] = ()
) -> None:
    """Raise unless a CSV file's header has each of `needed`, and none of these and `known` twice.

    Whoever reads two columns of one name takes one of them in silence.

    Raises:
        UsageError: as said, or the cells of the header are parted by something else than commas.
    """
    require_commas(path, named)
    missing = [one for one in needed if one not in named]
    if missing:
        may = f" and may have {', '.join(known)}" if known else ""
        raise UsageError(
            f"{path} lacks column {', '.join(missing)}; it needs {', '.join(needed)}{may}."
        )
    twice = [one for one in (*needed, *known) if named.count(one) > 1]
    if twice:
        raise UsageError(f"{path} has two columns {twice[0]}; leave one of them out.")


def require_commas(
    path: str | Path, named: Sequence[str], error: type[HemifaceError] = UsageError
) -> None:
    """Raise `error` if the header of a CSV file shows that no commas part its cells."""
    first = named[0] if named else ""
    if first.startswith("sep="):
        raise error(
            f"{path} begins with {','.join(named)!r}, which Excel alone reads; remove this line."
        )
    parted = next((word for sign, word in _PARTED.items() if sign in first), "")
    if len(named) == 1 and parted:
        raise error(
            f"{path} has cells that are parted by {parted}; save it as CSV UTF-8 with commas, and "
            "with points in decimal numbers."
        )
