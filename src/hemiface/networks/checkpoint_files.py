"""The files of checkpoints: the last one and the one before, read only where they are whole."""

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


def save(content: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint into `folder`; the one that was the last becomes the one before.

    Raises:
        HemifaceError: it can't be written, such as where the disk is full.
    """
    last = folder / LAST
    with atomic_path(last) as unfinished:
        with unfinished.open("wb") as file:
            torch.save(content, file)
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
        # torch writes checksums of what it saves and doesn't compare them.
        with ZipFile(path) as parts:
            damaged = parts.testzip()
        if damaged is not None:
            raise DamagedError(f"{path} is damaged in {damaged}")
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if not set(keys) <= content.keys():
            raise DamagedError(f"{path} is no checkpoint")
    except (ArithmeticError, AssertionError, AttributeError, BadZipFile, EOFError, LookupError,
            NotImplementedError, OSError, RecursionError, RuntimeError, TypeError,
            UnpicklingError, ValueError, zlib.error) as error:  # fmt: skip
        raise DamagedError(f"{path} can't be read ({first_line(error)})") from error
    return content
