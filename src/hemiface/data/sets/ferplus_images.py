"""FER+ as pictures: the folders that the scripts of the Microsoft repository write.

Barsoum et al. 2016, Training deep networks for facial expression recognition with crowd-sourced
label distribution, ICMI (github.com/microsoft/FERPlus).

    FER2013Train/fer0000000.png    grey 48 x 48; FER2013Valid/, FER2013Test/ likewise
    FER2013Train/label.csv         fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0

The ten votes have the order of fer2013new.csv, which lies beside the folders or in the folder
above and serves where there is no label.csv. Labels are those of `ferplus.FERPLUS_RULE`, or of
MAJORITY_RULE; contempt, unknown, NF (no face) and images without a majority are counted and left
out, and the votes become columns. Four names occur twice in fer2013new.csv: the scripts write
both rows into one file, where the later picture stays, so that its row alone counts.
"""

import csv
from pathlib import Path

import numpy as np

from hemiface.data.csv_files import USAGES
from hemiface.data.ferplus import NO_MAJORITY, VOTE_COLUMNS, winners
from hemiface.data.listed import Listed
from hemiface.data.listing import Listing
from hemiface.errors import DamagedError
from hemiface.inputs import open_lines

__all__ = ["is_ferplus_images", "list_ferplus", "list_ferplus_majority"]

_FOLDERS = {"FER2013Train": "Training", "FER2013Valid": "PublicTest", "FER2013Test": "PrivateTest"}
_VOTES_FILE = "fer2013new.csv"
_LABEL_FILE = "label.csv"

_Row = tuple[str, Path, str, list[str]]
"""Where it stands, its picture, its split, its votes."""


def is_ferplus_images(folder: Path) -> bool:
    """Whether folders of FER+'s pictures lie here."""
    return any((folder / name).is_dir() for name in _FOLDERS)


def list_ferplus(folder: Path) -> Listing:
    """List FER+'s pictures, labelled by the most votes.

    Raises:
        DamagedError: there are no labels, or they can't be read.
    """
    return _list(folder, majority=False)


def list_ferplus_majority(folder: Path) -> Listing:
    """List FER+'s pictures, labelled where more than half of the votes agree; errors as above."""
    return _list(folder, majority=True)


def _list(folder: Path, *, majority: bool) -> Listing:
    rows, files = _rows(folder)
    written = {row[1]: row for row in rows}
    notes = []
    if len(written) < len(rows):
        notes.append(
            f"{folder.name}: {len(rows) - len(written)} rows name a picture that a later row names "
            "too, and was written over by; they were left out."
        )
    bad, good, counts = [], [], []
    for where, path, split, cells in written.values():
        if len(cells) != len(VOTE_COLUMNS) or not all(map(_is_count, cells)):
            bad.append((where, f"has votes {','.join(cells)[:40]!r}, expected ten whole numbers"))
        else:
            good.append((path, split))
            counts.append([int(float(one)) for one in cells])
    votes = np.array(counts, dtype=np.int64).reshape(-1, len(VOTE_COLUMNS))
    labels, agreed = winners(votes, majority=majority)
    pictures = [
        Listed(
            path,
            path.relative_to(folder).as_posix(),
            str(label) if is_agreed else NO_MAJORITY,
            split,
            extra=dict(zip(VOTE_COLUMNS, map(int, counted), strict=True)),
        )
        for (path, split), label, is_agreed, counted in zip(
            good, labels, agreed, votes, strict=True
        )
    ]
    files = [*files, *(path for path, _ in good)]
    return Listing(folder.name, "ferplus", pictures, files, notes, bad)


def _is_count(text: str) -> bool:
    """Whether a vote is a whole number, which the scripts may write as 4.0."""
    return text.removesuffix(".0").isascii() and text.removesuffix(".0").isdigit() and len(text) < 9


def _rows(folder: Path) -> tuple[list[_Row], list[Path]]:
    """Return the rows of the labels, and the files that they stand in."""
    tables = [folder / name / _LABEL_FILE for name in _FOLDERS if (folder / name).is_dir()]
    if all(table.is_file() for table in tables):
        return [row for table in tables for row in _of_folder(table)], tables
    beside = next((p for p in (folder, folder.parent) if (p / _VOTES_FILE).is_file()), None)
    if beside is None:
        raise DamagedError(
            f"{folder} has FER+'s pictures and no labels: neither {_LABEL_FILE} in each of "
            f"{', '.join(table.parent.name for table in tables)} nor {_VOTES_FILE} beside them."
        )
    return _of_votes(beside / _VOTES_FILE, folder), [beside / _VOTES_FILE]


def _of_folder(table: Path) -> list[_Row]:
    """Return the rows of one label.csv, which has no header: picture, box, ten votes."""
    split = USAGES[_FOLDERS[table.parent.name]]
    called = f"{table.parent.name}/{table.name}"
    return [
        (f"{called}, line {line}", table.parent / row[0].strip(), split, _stripped(row[2:]))
        for line, row in enumerate(_cells(table), 1)
        if row and row[0].strip()
    ]


def _of_votes(table: Path, folder: Path) -> list[_Row]:
    """Return the rows of fer2013new.csv whose pictures were written: Usage, name, ten votes."""
    places = {usage: name for name, usage in _FOLDERS.items() if (folder / name).is_dir()}
    return [
        (
            f"{table.name}, line {line}",
            folder / places[row[0].strip()] / row[1].strip(),
            USAGES[row[0].strip()],
            _stripped(row[2:]),
        )
        for line, row in enumerate(_cells(table), 1)
        # Of images that show no face there is no name.
        if len(row) > 1 and row[0].strip() in places and row[1].strip()
    ]


def _stripped(cells: list[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _cells(table: Path) -> list[list[str]]:
    try:
        with open_lines(table) as file:
            return list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedError(f"{table.name} is not a readable CSV file ({error}).") from error
