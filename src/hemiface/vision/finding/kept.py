"""What was found in pictures, remembered on disk: arrays, some pictures together in one file."""

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemiface.errors import HemifaceError
from hemiface.files import atomic_path

__all__ = ["Arrays", "Column", "Kept"]

log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[np.generic]]
Column = tuple[tuple[int, ...], type[np.generic]]
"""Shape and type of what there is for each picture; texts are of any length."""


class Kept:
    """Arrays under keys in `folder`, each with the `columns` by name: [n, *shape] for n pictures.

    A key has to be made from everything that decides the arrays. A file that is damaged is as one
    that isn't there, and a folder that can't be written costs time, not the result: the log says
    so, calling them by `what`.
    """

    def __init__(self, folder: Path, columns: Mapping[str, Column], what: str) -> None:
        self._folder = folder
        self._columns = dict(columns)
        self._what = what

    def read(self, key: str, n: int) -> Arrays | None:
        """Return what was kept of `n` pictures, None if that is nothing or damaged."""
        place = self._place(key)
        if not place.is_file():
            return None
        try:
            # Opened here, because numpy leaves a damaged file open.
            with place.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in self._columns}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            arrays = {}
        if not self._are_whole(arrays, n):
            log.warning("%s is damaged; the %s are found again.", place, self._what)
            return None
        return arrays

    def keep(self, key: str, arrays: Arrays) -> None:
        """Write what was found under its key."""
        try:
            with atomic_path(self._place(key)) as partial, partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
        except HemifaceError as error:
            log.warning("The %s aren't kept: %s", self._what, error)

    def _place(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def _are_whole(self, arrays: Arrays, n: int) -> bool:
        return all(
            name in arrays
            and arrays[name].shape == (n, *shape)
            and np.issubdtype(arrays[name].dtype, kind)
            for name, (shape, kind) in self._columns.items()
        )
