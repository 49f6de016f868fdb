"""Writing files so that nothing half-written ever bears a final name, hashing and sealing them."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from hemiface.errors import DamagedError, HemifaceError, UsageError, escaped
from hemiface.inputs import read_bytes
from hemiface.processes import here, runs

__all__ = [
    "HASH_KEY",
    "MOST_BYTES",
    "SEAL_KEY",
    "UNSEALED",
    "as_stem",
    "atomic_path",
    "files_below",
    "fitting",
    "hash_json",
    "keep_larger",
    "passing_folder",
    "printable",
    "reading",
    "require_seal",
    "seal",
    "sealed_content",
    "sha256_file",
    "sweep",
    "unwritable",
    "with_hash",
    "write_json",
    "write_text",
]

SEAL_KEY = "hemiface_seal"
"""The key under which a file's metadata hold its seal."""

UNSEALED = "sha256-of-this-file-with-zeros-here:" + 64 * "0"
"""What is written there first; `seal` puts the hash in place of the zeros."""

HASH_KEY = "hash"
"""The key under which a JSON file has the hash of all else in it."""

_SEAL = re.compile(re.escape(UNSEALED[:-64]).encode() + rb"([0-9a-f]{64})")

_REMNANT = re.compile(rb"%s|%s" % (SEAL_KEY.encode(), UNSEALED[:-64].encode()[:19]))
"""What a file has of a seal that was damaged itself: `_SEAL` doesn't find it any more."""

_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*]+")
"""What names of files may not have, here or on Windows."""

_READING_UMASK = threading.Lock()
_PASSING = "hemiface-"
_LEFT_OVER = re.compile(r".+\.(?P<pid>\d+)(?:-(?P<where>[0-9a-f]{6}))?\.partial(?:\.\w+)?")

MOST_BYTES = 255
"""Of a name in a folder, on nearly every file system."""

_PIECE_BYTES = 1 << 22
"""Of a file that is hashed piece by piece."""

_FOREIGN_S = 24 * 3600.0
"""Of a process that can't be asked for, what it hasn't touched for so long is left over."""
_OPEN_S = 2.0
"""For so long it is tried again on Windows to rename over a file that somebody has open."""
_HELD = (5, 32)
"""What Windows says then: ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION."""
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says where there is no space for more."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    What is made there may be a file or a folder. The temporary name ends in the suffix of `path`,
    because several writers choose a format by it. What killed processes left of the same is removed
    first (see `sweep`). A library that hides why the system refused to write says so if it is given
    an open file (`partial.open("wb")`) in place of the path.

    Raises:
        HemifaceError: the folder can't be made or the file can't be written.

    """
    target = Path(path)
    if not target.name:
        raise HemifaceError(f"{path} is a folder; name a file to write.")
    partial = target.with_name(f".{_partial_stem(target)}.{_mine()}.partial{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, target.name)
        yield partial
        # Some writers make files that only their owner may read.
        partial.chmod((0o777 if partial.is_dir() else 0o666) & ~_umask())
        # Without this a crash of the machine can leave an empty file under the final name.
        if partial.is_file():
            _sync(partial, os.O_RDWR)
        _renamed(partial, target)
        # And without this no file. Some systems can't do it for folders.
        with suppress(OSError):
            _sync(target.parent, os.O_RDONLY)
    except HemifaceError:
        raise
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        raise HemifaceError(unwritable(target, refusal)) from error
    finally:
        # Where nothing can be written nothing can be removed; the first error says more.
        _remove(partial)


def keep_larger(path: Path, had: int, gets: int, unit: str, *, replace: bool) -> None:
    """Raise if a smaller result would take the place of a larger one that nobody asked to replace.

    The one rule of every command whose result takes long to make: `path` holds `had` of a `unit`,
    and what is to be written has `gets` of them.

    Raises:
        UsageError: it would; the sentence says how to have it so.
    """
    if had > gets and not replace:
        raise UsageError(
            f"{path} holds {had:,} {unit}, more than the {gets:,} that would take their place; "
            "name another --out, or give --replace."
        )


@contextmanager
def passing_folder() -> Iterator[Path]:
    """Yield a new folder among the system's temporary ones, which nobody else may read.

    It is removed at the end; those of processes that were killed before theirs are removed first.

    Raises:
        HemifaceError: the system's folder for temporary files can't be written.
    """
    try:
        above = Path(tempfile.gettempdir())
        _sweep(above.glob(f"{_PASSING}*.partial"))
        folder = Path(tempfile.mkdtemp(prefix=_PASSING, suffix=f".{_mine()}.partial"))
    except OSError as error:
        raise HemifaceError(
            f"No temporary folder can be made ({error.strerror or error}); set TMPDIR to a folder "
            "that can be written and has some space."
        ) from error
    try:
        yield folder
    finally:
        _remove(folder)


def unwritable(path: Path, error: OSError) -> str:
    """Return the sentence on what the system refused to write under `path`, and to whom to turn."""
    place = ""
    if error.errno in (None, errno.ENOSPC):
        with suppress(OSError):
            disk = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
            # Path.is_mount isn't there on Windows before Python 3.12.
            disk = next(one for one in (disk, *disk.parents) if os.path.ismount(one))
            place = f" on {disk}, which has {shutil.disk_usage(disk).free / 1e6:,.1f} MB left"
    reason = error.strerror or str(error)
    return f"{path} can't be written ({reason}); choose another place or free some space{place}."


def sweep(folder: Path, name: str = "") -> None:
    """Remove what `atomic_path` made in `folder` for processes that are gone: of one name, or all.

    Where a process can't be asked for, as on another machine that shares the folder, its files are
    left over when nobody has touched them for a day. A file that can't be removed stays.
    """
    stem, suffix = _partial_stem(Path(name)), Path(name).suffix
    _sweep(
        path
        for path in folder.glob(".*.partial*")
        if not name or (path.name.startswith(f".{stem}.") and path.suffix == suffix)
    )


def _sweep(paths: Iterable[Path]) -> None:
    for path in paths:
        known = _LEFT_OVER.fullmatch(path.name)
        if known and _is_left_over(path, int(known["pid"]), known["where"]):
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file or folder, if there is one and if it can be removed."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _refusal(error: BaseException | None) -> OSError | None:
    """Return what the system said: the error itself, or a full disk that led to another error."""
    if isinstance(error, OSError):
        return error
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        error = error.__cause__ or error.__context__
    return None


def _sync(path: Path, mode: int) -> None:
    """See to it that a file, or the list of what a folder holds, is on the disk."""
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _renamed(partial: Path, target: Path) -> None:
    """Give a file its final name; on Windows wait for whoever has that name open for a moment.

    Elsewhere an open file may be renamed over. There a search index or virus scanner opens what is
    new, and a reader of ours may map it (`numpy.load`).
    """
    end_s = time.monotonic() + _OPEN_S
    while True:
        try:
            partial.replace(target)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _HELD or time.monotonic() > end_s:
                raise
            time.sleep(_OPEN_S / 20)
        else:
            return


def _partial_stem(target: Path) -> str:
    """Return what of a file's stem stands in its temporary name, which is longer than its own."""
    around = len(f"..{2**32}-123456.partial")
    return fitting(target.stem, MOST_BYTES - around - len(os.fsencode(target.suffix)))


def fitting(stem: str, most_bytes: int) -> str:
    """Return `stem` if it has no more than `most_bytes`, else its start and a hash of the whole.

    >>> fitting("short", 40), fitting(50 * "é", 40)
    ('short', 'ééééééééééééé-2d18fe4b61f0')
    """
    content = os.fsencode(stem)
    if len(content) <= most_bytes:
        return stem
    digits = hashlib.sha256(content).hexdigest()[:12]
    start = content[: max(most_bytes - len(digits) - 1, 0)].decode("utf-8", "ignore")
    return f"{start}-{digits}"


def as_stem(name: str, most_bytes: int = MOST_BYTES - len(".png"), *, also: str = "") -> str:
    """Return a file's stem for any name of a thing: itself, or without what files may not have.

    `also` are more characters that it is not to have. What changed ends with a hash of the whole,
    so that two names don't become one file.

    >>> as_stem("people-small-int8"), as_stem("maker/model"), as_stem("../up")
    ('people-small-int8', 'maker-model-0ad0d81be92f', 'up-8c722b8ae2c9')
    """
    plain = name.translate(dict.fromkeys(map(ord, also), "-"))
    kept = _NOT_IN_NAMES.sub("-", plain).lstrip(".-").rstrip(". ")
    if kept == name:
        return fitting(name, most_bytes)
    digits = hashlib.sha256(printable(name).encode()).hexdigest()[:12]
    return fitting(f"{kept}-{digits}", most_bytes)


def printable(text: str) -> str:
    """Return `text` as it can be written: names of files may hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_left_over(path: Path, pid: int, where: str | None) -> bool:
    if where == here():
        return not runs(pid)
    try:
        return time.time() - path.stat().st_mtime > _FOREIGN_S
    except OSError:
        return False  # Somebody else was faster.


def _mine() -> str:
    """Return what the temporary names of this process hold."""
    return f"{os.getpid()}-{here()}"


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    # Two threads in here could leave the process with what they set.
    with _READING_UMASK:
        mask = os.umask(0o022)
        os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 under `path`, whole or not at all."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise HemifaceError(
            f"{path} would hold a name that isn't UTF-8 ({escaped(_around(text, error))}), which "
            "can't be written; rename what bears it."
        ) from error
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def _around(text: str, error: UnicodeEncodeError) -> str:
    return text[max(error.start - 20, 0) : error.end + 20].strip()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with a final line break, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Name what the system refuses to read while `path` is read, which may lie below it.

    Raises:
        DamagedError: a file or folder can't be read.
    """
    try:
        yield
    except OSError as error:
        name = path if error.filename is None else os.fsdecode(error.filename)
        raise DamagedError(
            f"{name} can't be read ({error.strerror or error}); check the path and who may read it."
        ) from error


def files_below(
    folder: Path,
    on_closed: Callable[[OSError], None],
    enters: Callable[[Path], bool] = lambda _: True,
) -> list[Path]:
    """Return everything below a folder that is no folder, sorted by name; links aren't followed.

    `on_closed` is given what the system says of each folder that can't be listed, which is not the
    same as an empty one; it may raise it. `enters` is asked of each folder below, linked ones too,
    whether to go on there.
    """
    found = []
    for above, folders, names in os.walk(folder, onerror=on_closed):
        folders[:] = [name for name in folders if enters(Path(above, name))]
        found += [Path(above, name) for name in names]
    return sorted(found)


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of the file's bytes as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `value` as canonical JSON.

    >>> hash_json({"b": 1, "a": 2}) == hash_json({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def with_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a JSON file holds, with the hash of it that is compared when it is read.

    >>> with_hash({"format": 1})
    {'format': 1, 'hash': '3f0a99256beeb89a'}
    """
    plain = {name: value for name, value in content.items() if name != HASH_KEY}
    return {**plain, HASH_KEY: hash_json(plain)}


def seal(path: str | Path) -> None:
    """Put the SHA-256 of a file into the file itself, where its metadata hold UNSEALED.

    The hash is of the bytes as they were before, with the zeros, so that whoever puts the zeros
    back can compare. The file keeps its length.
    """
    # Mapped, because tables may be longer than memory.
    with Path(path).open("rb") as read, mmap(read.fileno(), 0, access=ACCESS_READ) as content:
        found = _SEAL.search(content)
        assert found is not None, f"{path} has no place for a seal"  # noqa: S101
        place, digits = found.start(1), hashlib.sha256(content).hexdigest().encode()
        # While a match holds it, Windows lets no mapping be closed.
        del found
    with Path(path).open("rb+") as file:
        file.seek(place)
        file.write(digits)


def sealed_content(path: str | Path, limit: str = "model_bytes") -> bytes:
    """Return a file's bytes if they are as they were sealed; one without a seal is taken as it is.

    Raises:
        DamagedError: the content doesn't fit the seal, or the file can't be read or is longer than
            field `limit` of Limits.
    """
    try:
        content = read_bytes(path, limit)
    except OSError as error:
        raise DamagedError(f"{path} can't be read ({error.strerror}).") from error
    found = _SEAL.search(content)
    if found is None and _REMNANT.search(content) is None:
        return content
    if found is None or not _fits(content, found):
        raise _unsealed(path)
    return content


def require_seal(path: str | Path) -> None:
    """Compare a file of any length with its seal, piece by piece; one without is taken as it is.

    Raises:
        DamagedError: the content doesn't fit the seal, or the file can't be read.
    """
    margin = len(UNSEALED)
    zeros, digits, at, remnant, before = hashlib.sha256(), b"", -1, False, b""
    with reading(path), Path(path).open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            both = before + piece
            found = _SEAL.search(both) if at < 0 else None
            if found:
                at, digits = file.tell() - len(both) + found.start(1), found[1]
            remnant = remnant or _REMNANT.search(both) is not None
            before = both[-margin:]
        if at < 0 and not remnant:
            return
        file.seek(0)
        left = max(at, 0)
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            zeros.update(piece)
            left -= len(piece)
        zeros.update(64 * b"0")
        file.seek(64, os.SEEK_CUR)
        while piece := file.read(_PIECE_BYTES):
            zeros.update(piece)
    if zeros.hexdigest().encode() != digits:
        raise _unsealed(path)


def _unsealed(path: str | Path) -> DamagedError:
    return DamagedError(
        f"{path} was damaged or changed since hemiface wrote it: it doesn't fit the SHA-256 in "
        f"its metadata ({SEAL_KEY}); get it again, or make it anew."
    )


def _fits(content: bytes, found: re.Match[bytes]) -> bool:
    """Return whether the hash that was found in a content is its own, with zeros in its place.

    Three pieces are hashed, so that nothing is copied.
    """
    whole = memoryview(content)
    known = hashlib.sha256(whole[: found.start(1)])
    known.update(64 * b"0")
    known.update(whole[found.end(1) :])
    return known.hexdigest().encode() == found[1]
