"""Pictures and videos at addresses: s3://, gs://, hf:// and whatever else fsspec opens.

A place is asked for its size, time or tag, so that what changed is looked at again, and a file is
fetched where it is looked at and gone afterwards. Who may read it, and by which library, is up to
fsspec and the library of that protocol (s3fs, gcsfs, huggingface_hub, ...).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from hemiface.errors import DamagedError, UsageError, first_line
from hemiface.files import hash_json, printable
from hemiface.inputs import is_offline
from hemiface.vision.photos import PHOTO_SUFFIXES
from hemiface.vision.sources import Source, kind_of, tell_of_kinds
from hemiface.vision.video.frames import VIDEO_SUFFIXES

__all__ = ["fetched", "find"]

_HERE = ("file", "local", "memory")
"""Protocols that never leave the machine."""

_CHANGES = (
    "ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "modified", "generation",
    "md5Hash", "sha256", "blob_id", "content_hash", "created",
)  # fmt: skip
"""What the systems say of a file that is another one after a change."""


def find(address: str) -> list[Source]:
    """Return the picture or video at an address, or all of those below it, by name.

    Raises:
        UsageError: nothing here opens such addresses, HEMIFACE_OFFLINE forbids it, or neither
            picture nor video is below it.
        DamagedError: there is nothing, or it can't be asked.
    """
    with _asking(address):
        system, path = _opened(address)
        known = system.info(path)
        is_file = known["type"] != "directory"
        inside = {path: known} if is_file else system.find(path, detail=True)
    suffixes = {name: PurePosixPath(name).suffix.lower() for name in sorted(inside)}
    wanted = {one for one in suffixes.values() if is_file or one in PHOTO_SUFFIXES | VIDEO_SUFFIXES}
    found = [
        _source(system.unstrip_protocol(name), inside[name])
        for name, suffix in suffixes.items()
        if suffix in wanted
    ]
    tell_of_kinds(Counter(one for one in suffixes.values() if one not in wanted))
    if not found:
        raise UsageError(f"{address} holds neither pictures nor videos.")
    return found


def fetched(source: Source, folder: Path) -> Source:
    """Return a source whose file was fetched into a folder, where it has a name of its own.

    Raises:
        DamagedError: it can't be fetched.
    """
    target = folder / f"{hash_json(source.path)}{PurePosixPath(source.path).suffix.lower()}"
    with _asking(source.path):
        system, path = _opened(source.path)
        system.get_file(path, str(target))
    return replace(source, path=str(target), is_remote=False)


def _source(address: str, known: Mapping[str, Any]) -> Source:
    changes = {name: str(known[name]) for name in _CHANGES if known.get(name) is not None}
    stamp = int(known.get("size") or 0), int(hash_json(changes)[:15], 16)
    place = PurePosixPath(address)
    return Source(
        printable(address), kind_of(place), Path(place.name), address, stamp=stamp, is_remote=True
    )


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path there."""
    if is_offline() and address.partition("://")[0].lower() not in _HERE:
        raise UsageError(f"{address} lies on a network, which HEMIFACE_OFFLINE forbids.")
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{address} can't be opened ({first_line(error)}).") from error
    return system, str(path)


@contextmanager
def _asking(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or first_line(error)
        if isinstance(error, FileNotFoundError):
            reason = "there is nothing of that name"
        raise DamagedError(
            f"{printable(address)} can't be fetched ({reason}); check the address and who may "
            "read it."
        ) from error
