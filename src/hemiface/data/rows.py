"""A part of the images by their rows in the source: a published list of hard ones, say."""

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemiface.data.images import Images
from hemiface.errors import DamagedError, UsageError
from hemiface.files import hash_json
from hemiface.inputs import open_lines

__all__ = ["pick_rows", "read_rows"]

log = logging.getLogger(__name__)


def read_rows(path: str | Path) -> npt.NDArray[np.int64]:
    """Return column `row` of a CSV file: rows of the source table, counted from 0, each once.

    Raises:
        DamagedError: the file is missing, has no column `row` or no rows, a cell is not a whole
            number of at least 0, or a row is named twice.
    """
    source = Path(path)
    try:
        with open_lines(source, "check the list of rows") as file:
            reader = csv.DictReader(file)
            if "row" not in (reader.fieldnames or ()):
                raise DamagedError(f"{source.name} has no column row; it lists no rows.")
            cells = [(one["row"] or "").strip() for one in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DamagedError(f"{source.name} is not a readable CSV file ({error}).") from error
    if not cells:
        raise DamagedError(f"{source.name} lists no rows.")
    seen: set[int] = set()
    for line, cell in enumerate(cells, start=2):
        if not (cell.isascii() and cell.isdigit() and len(cell) < 19):
            raise DamagedError(f"{source.name}, line {line}: row {cell!r} is not a whole number.")
        if int(cell) in seen:
            raise DamagedError(f"{source.name}, line {line}: row {cell} is named twice.")
        seen.add(int(cell))
    return np.array([int(cell) for cell in cells], dtype=np.int64)


def pick_rows(images: Images, path: str | Path) -> tuple[npt.NDArray[np.bool_], dict[str, Any]]:
    """Return which of `images` the list in `path` names (bool [n]), and what to tell about it.

    The second is JSON-able: `file` (its name), `listed` (rows in the list), `absent` (listed, but
    not among the images: left out with their label or as unreadable) and `hash` (of the rows in
    ascending order: equal lists have equal hashes, however they are written).

    Raises:
        UsageError: the images come from no table, or none of them is listed.
        DamagedError: as `read_rows`; or a row lies behind the end of the source.
    """
    name = Path(path).name
    rows = read_rows(path)
    own = images.table["source_row"].to_numpy()
    if len(own) == 0 or own.min() < 0:
        raise UsageError(
            f"{name} lists rows of a table, which {images.info['source']} doesn't have; take a "
            "CSV form of FER2013."
        )
    total = images.info.get("rows")
    if total is not None and rows.max() >= total:
        raise DamagedError(
            f"{name} lists row {rows.max()}, but {images.info['source']} has {total:,} rows: they "
            "don't belong together."
        )
    chosen: npt.NDArray[np.bool_] = np.isin(own, rows)
    if not chosen.any():
        raise UsageError(f"None of the rows in {name} is among the {len(own):,} images.")
    absent = len(rows) - int(chosen.sum())
    if absent:
        log.info("%s: %d of %d rows are not among the images", name, absent, len(rows))
    mark = hash_json(np.sort(rows).tolist())
    return chosen, {"file": name, "listed": len(rows), "absent": absent, "hash": mark}
