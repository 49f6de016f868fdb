"""The files of checkpoints: the last one and the one before, read only where they are whole."""

import hashlib
import logging
import zlib
from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from hemiface.errors import DamagedError, first_line
from hemiface.files import atomic_path

__all__ = ["newest_whole", "save"]

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.pt", "previous.pt"
_TAG = b"sha256:"
_COMMENT_BYTES = len(_TAG) + 64
_SEALED = "sealed"
"""A key in what is saved: a file without a seal that holds it has lost its seal."""


def save(content: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint into `folder`; the one that was the last becomes the one before.

    Raises:
        HemifaceError: it can't be written, such as where the disk is full.
    """
    last = folder / LAST
    with atomic_path(last) as unfinished:
        with unfinished.open("wb") as file:
            torch.save({**content, _SEALED: True}, file)
        _seal(unfinished)
        # Not before: a disk that is full leaves both.
        if last.is_file():
            last.replace(folder / PREVIOUS)


def newest_whole(
    folder: Path, what: str, keys: Collection[str], device: torch.device | str = "cpu"
) -> dict[str, Any] | None:
    """Return the last checkpoint in `folder`, the one before where that is damaged.

    `what` is trained; `keys` are what a checkpoint of it holds. None where there is none.

    Raises:
        DamagedError: there are checkpoints, and none of them is whole.
    """
    reasons = []
    for path in (folder / LAST, folder / PREVIOUS):
        if path.is_file():
            try:
                return _read(path, keys, device)
            except DamagedError as error:
                reasons.append(str(error))
                log.warning("%s: %s; the checkpoint before is tried", what, error)
    if reasons:
        raise DamagedError(
            f"No checkpoint of {what} is whole ({reasons[0]}); remove {folder} to train anew."
        )
    return None


def _read(path: Path, keys: Collection[str], device: torch.device | str) -> dict[str, Any]:
    """Return the content of a checkpoint, all of which fits its checksums.

    Raises:
        DamagedError: it doesn't, or isn't a checkpoint.
    """
    try:
        is_sealed = _fits_its_seal(path)
        if not is_sealed:
            # torch writes checksums of what it saves and doesn't compare them.
            with ZipFile(path) as parts:
                damaged = parts.testzip()
            if damaged is not None:
                raise DamagedError(f"{path} is damaged in {damaged}")
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if not set(keys) <= content.keys():
            raise DamagedError(f"{path} is no checkpoint")
        if content.pop(_SEALED, False) and not is_sealed:
            raise DamagedError(f"{path} has lost its seal")
    except (ArithmeticError, AssertionError, AttributeError, BadZipFile, EOFError, LookupError,
            NotImplementedError, OSError, RecursionError, RuntimeError, TypeError,
            UnpicklingError, ValueError, zlib.error) as error:  # fmt: skip
        raise DamagedError(f"{path} can't be read ({first_line(error)})") from error
    return content


def _seal(path: Path) -> None:
    """Give a torch file its SHA-256 as the comment that ends every ZIP archive.

    The checksums of its parts don't cover the archive's own directory, where one bit can make torch
    read zeros. Who doesn't know of the comment reads the file as before.
    """
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(-2, 2)
        file.write(_COMMENT_BYTES.to_bytes(2, "little") + _TAG + digest.encode())


def _fits_its_seal(path: Path) -> bool:
    """Return whether a file bears a seal, as files of before don't.

    Raises:
        DamagedError: it isn't that of the file.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256()
        left = path.stat().st_size - _COMMENT_BYTES - 2
        while left > 0 and (part := file.read(min(left, 1 << 20))):
            digest.update(part)
            left -= len(part)
        size, comment = file.read(2), file.read()
    if not comment.startswith(_TAG):
        return False
    digest.update(b"\0\0")
    known = _COMMENT_BYTES.to_bytes(2, "little"), _TAG + digest.hexdigest().encode()
    if (size, comment) != known:
        raise DamagedError(f"{path} was changed since it was written")
    return True
