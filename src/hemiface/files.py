"""Writing files so that nothing half-written ever bears a final name, hashing and sealing them."""

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from hemiface.errors import DamagedError, HemifaceError, escaped

__all__ = [
    "MOST_BYTES",
    "SEAL_KEY",
    "UNSEALED",
    "atomic_path",
    "fitting",
    "hash_json",
    "printable",
    "seal",
    "sealed_content",
    "sha256_file",
    "sweep",
    "write_json",
    "write_text",
]

SEAL_KEY = "hemiface_seal"
"""The key under which a file's metadata hold its seal."""

UNSEALED = "sha256-of-this-file-with-zeros-here:" + 64 * "0"
"""What is written there first; `seal` puts the hash in place of the zeros."""

_SEAL = re.compile(re.escape(UNSEALED[:-64]).encode() + rb"([0-9a-f]{64})")

_REMNANT = re.compile(rb"%s|%s" % (SEAL_KEY.encode(), UNSEALED[:-64].encode()[:19]))
"""What a file has of a seal that was damaged itself: `_SEAL` doesn't find it any more."""

_LEFT_OVER = re.compile(r"\..+\.(?P<pid>\d+)(?:-(?P<where>[0-9a-f]{6}))?\.partial(?:\.\w+)?")
MOST_BYTES = 255
"""Of a name in a folder, on nearly every file system."""

_FOREIGN_S = 24 * 3600.0
"""Of a process that can't be asked for, what it hasn't touched for so long is left over."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    The temporary name ends in the suffix of `path`, because several writers choose a format by it.
    What killed processes left of the same file is removed first (see `sweep`).

    Raises:
        HemifaceError: the folder can't be made or the file can't be written.

    """
    target = Path(path)
    if not target.name:
        raise HemifaceError(f"{path} is a folder; name a file to write.")
    stem = _partial_stem(target)
    partial = target.with_name(f".{stem}.{os.getpid()}-{_here()}.partial{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, target.name)
        yield partial
        # Some writers make files that only their owner may read.
        partial.chmod(0o666 & ~_umask())
        # Without this a crash of the machine can leave an empty file under the final name.
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise HemifaceError(
            f"{target} can't be written ({reason}); choose another place or free some space."
        ) from error
    finally:
        # Where nothing can be written nothing can be removed; the first error says more.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def sweep(folder: Path, name: str = "") -> None:
    """Remove the temporary files of `atomic_path` whose process is gone: of one file, or of all.

    Where a process can't be asked for, as on another machine that shares the folder, its files are
    left over when nobody has touched them for a day. A file that can't be removed stays.
    """
    stem, suffix = _partial_stem(Path(name)), Path(name).suffix
    for path in folder.glob(".*.partial*"):
        known = _LEFT_OVER.fullmatch(path.name)
        mine = not name or (path.name.startswith(f".{stem}.") and path.suffix == suffix)
        if known and mine and _is_left_over(path, int(known["pid"]), known["where"]):
            with suppress(OSError):
                path.unlink()


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


def printable(text: str) -> str:
    """Return `text` as it can be written: names of files may hold bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_left_over(path: Path, pid: int, where: str | None) -> bool:
    if where == _here():
        return not _runs(pid)
    try:
        return time.time() - path.stat().st_mtime > _FOREIGN_S
    except OSError:
        return False  # Somebody else was faster.


def _runs(pid: int) -> bool:
    """Return whether a process of this machine runs; a number that came up again counts too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # It runs, as somebody else.
    return True


@lru_cache(maxsize=1)
def _here() -> str:
    """Return six digits for where process numbers mean the same: this boot, this container."""
    known = [platform.node()]
    with suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:6]


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
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


def seal(path: str | Path) -> None:
    """Put the SHA-256 of a file into the file itself, where its metadata hold UNSEALED.

    The hash is of the bytes as they were before, with the zeros, so that whoever puts the zeros
    back can compare. The file keeps its length.
    """
    content = Path(path).read_bytes()
    found = _SEAL.search(content)
    assert found is not None, f"{path} has no place for a seal"  # noqa: S101
    with Path(path).open("rb+") as file:
        file.seek(found.start(1))
        file.write(hashlib.sha256(content).hexdigest().encode())


def sealed_content(path: str | Path) -> bytes:
    """Return a file's bytes if they are as they were sealed; one without a seal is taken as it is.

    Raises:
        DamagedError: the content doesn't fit the seal, or the file can't be read.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DamagedError(f"{path} can't be read ({error.strerror}).") from error
    found = _SEAL.search(content)
    if found is None and _REMNANT.search(content) is None:
        return content
    if found is None or not _fits(content, found):
        raise DamagedError(
            f"{path} was damaged or changed since hemiface wrote it: it doesn't fit the SHA-256 in "
            f"its metadata ({SEAL_KEY}); get it again, or make it anew."
        )
    return content


def _fits(content: bytes, found: re.Match[bytes]) -> bool:
    """Return whether the hash that was found in a content is its own, with zeros in its place.

    Three pieces are hashed, so that nothing is copied.
    """
    whole = memoryview(content)
    known = hashlib.sha256(whole[: found.start(1)])
    known.update(64 * b"0")
    known.update(whole[found.end(1) :])
    return known.hexdigest().encode() == found[1]
