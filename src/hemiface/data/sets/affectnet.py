"""AffectNet: 440,000 photos of the web with eight labels, each from one annotator.

Mollahosseini, Hasani & Mahoor 2019, AffectNet: a database for facial expression, valence, and
arousal computing in the wild, IEEE Trans. Affective Computing 10. Two forms are known:

    training.csv, validation.csv          subDirectory_filePath, face_x, face_y, ..., expression
    Manually_Annotated_Images/1/a.jpg     beside or above them

    train_set/annotations/0_exp.npy       one number; ...
    train_set/images/0.jpg                a crop; val_set likewise

Numbers: 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt, 8 none,
9 uncertain, 10 no face; all from 7 on are counted and left out. Nothing says who is who.

automatically_annotated.csv has the labels of a network, which are no truth: in a folder it is left
out, named itself it is read, and said of.

The test set was never published, so that papers report on the validation set: that is `test` here,
and a tenth of the training set becomes validation.
"""

import csv
from pathlib import Path

import numpy as np

from hemiface.data.listed import Box, Listed
from hemiface.data.listing import Listing
from hemiface.errors import DamagedError
from hemiface.inputs import open_lines

__all__ = ["LABELS", "NEEDED_COLUMNS", "is_affectnet", "list_affectnet"]

LABELS = (
    "neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt", "none",
    "uncertain", "non-face",
)  # fmt: skip
"""By AffectNet's numbers."""

NEEDED_COLUMNS = ("subDirectory_filePath", "expression")
"""What tells AffectNet's tables from others."""

_BOX = ("face_x", "face_y", "face_width", "face_height")
_SPLITS = {"train": "train", "val": "test"}
"""By how the names of files and folders begin."""
_IMAGES = ("", "Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images",
           "Automatically_Annotated_Images",
           "Automatically_Annotated/Automatically_Annotated_Images",
           "Manually_Annotated", "images")  # fmt: skip
_AUTOMATIC = "automatic"
"""How the names of tables begin whose labels nobody gave."""
_MOST_DIGITS = 2
_SETS = ("train_set", "val_set")


def is_affectnet(folder: Path) -> bool:
    """Whether AffectNet lies here, as tables of labels or as a .npy file for each label."""
    return bool(_sets(folder)) or bool(_tables(folder))


def list_affectnet(folder: Path) -> Listing:
    """List AffectNet's pictures, with the box of the face where the tables give one.

    `folder` may also be one of the tables.

    Raises:
        DamagedError: a table can't be read, the pictures aren't where they are looked for, or a
            folder has no other labels than a network's.
    """
    pictures: list[Listed] = []
    bad: list[tuple[str, str]] = []
    files: list[Path] = []
    tables = [folder] if folder.is_file() else [] if _sets(folder) else _tables(folder)
    notes = []
    unseen = [table for table in tables if _is_automatic(table)]
    if unseen and folder.is_file():
        notes.append(f"{folder.name}: its labels are a network's, not an annotator's.")
    elif unseen:
        tables = [table for table in tables if table not in unseen]
        if not tables:
            raise DamagedError(
                f"{folder} has no labels but those of {unseen[0].name}, which a network gave; name "
                "that file to take them all the same."
            )
        notes.append(f"{unseen[0].name} was left out: its labels are a network's.")
    for place in _sets(folder):
        _list_set(place, folder, pictures, bad, files)
    for table in tables:
        _list_table(table, pictures, bad, files)
    note = (
        "AffectNet's validation set, which papers report on, is the test split here; its own test "
        "set was never published."
    )
    if any(one.split == "test" for one in pictures):
        notes.append(note)
    return Listing(folder.name, "affectnet", pictures, files, notes, bad)


def _sets(folder: Path) -> list[Path]:
    places = [folder / name for name in _SETS] if folder.name not in _SETS else [folder]
    return [one for one in places if (one / "annotations").is_dir() and (one / "images").is_dir()]


def _list_set(
    place: Path,
    folder: Path,
    pictures: list[Listed],
    bad: list[tuple[str, str]],
    files: list[Path],
) -> None:
    """List what has a file of its own for each label."""
    split = _SPLITS[place.name.partition("_")[0]]
    labels = {
        path.name.removesuffix("_exp.npy"): path for path in place.glob("annotations/*_exp.npy")
    }
    if not labels:
        raise DamagedError(
            f"{place / 'annotations'} holds no label (0_exp.npy, 1_exp.npy, ...); unpack the "
            "annotations again."
        )
    named = {path.stem: path for path in sorted((place / "images").iterdir())}
    for name in sorted(labels, key=lambda one: (len(one), one)):
        called = labels[name].relative_to(folder).as_posix()
        files.append(labels[name])
        number = _number(labels[name])
        if not 0 <= number < len(LABELS):
            bad.append((called, f"holds no number from 0 to {len(LABELS) - 1}"))
            continue
        path = named.get(name, place / "images" / f"{name}.jpg")
        files.append(path)
        pictures.append(Listed(path, path.relative_to(folder).as_posix(), LABELS[number], split))


def _number(path: Path) -> int:
    """Return the number in a .npy file, which holds it as a number or as text; -1 for none."""
    try:
        # Mapped: a header that promises more than the file holds would be allocated first.
        value = np.load(path, mmap_mode="r", allow_pickle=False)
        return int(value.item()) if value.size == 1 else -1
    except (ArithmeticError, EOFError, OSError, TypeError, ValueError):
        return -1


def _tables(folder: Path) -> list[Path]:
    """Return AffectNet's tables of labels in a folder."""
    places = (
        folder,
        folder / "Manually_Annotated_file_lists",
        folder / "Automatically_annotated_file_lists",
    )
    found = [path for place in places if place.is_dir() for path in sorted(place.glob("*.csv"))]
    return [path for path in found if set(NEEDED_COLUMNS) <= set(_columns(path))]


def _is_automatic(table: Path) -> bool:
    return table.stem.lower().startswith(_AUTOMATIC)


def _columns(path: Path) -> list[str]:
    try:
        with open_lines(path) as file:
            return next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error, DamagedError):
        return []  # whatever it is, it is none of AffectNet's


def _list_table(
    table: Path,
    pictures: list[Listed],
    bad: list[tuple[str, str]],
    files: list[Path],
) -> None:
    """List what one table of labels names."""
    split = next(
        (split for key, split in _SPLITS.items() if table.stem.lower().startswith(key)), ""
    )
    files.append(table)
    named: list[tuple[str, str, Box | None]] = []
    try:
        with open_lines(table) as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                name, label = (str(row[column] or "").strip() for column in NEEDED_COLUMNS)
                where = f"{table.name}, line {line}"
                # A number of a million digits would take minutes.
                is_number = label.isascii() and label.isdigit() and len(label) <= _MOST_DIGITS
                if not (is_number and int(label) < len(LABELS)):
                    bad.append((where, f"has expression {label[:20]!r}, expected 0 to 10"))
                    continue
                named.append((name, LABELS[int(label)], _box(row)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedError(f"{table.name} is not a readable CSV file ({error}).") from error
    root = _root(table, [name for name, *_ in named]) if named else table.parent
    for name, word, box in named:
        files.append(root / name)
        pictures.append(Listed(root / name, name, word, split, box=box))


def _root(table: Path, names: list[str]) -> Path:
    """Return the folder below which the table's pictures lie: where one of them does."""
    for name in names:
        for base in (table.parent, table.parent.parent):
            for inside in _IMAGES:
                if (base / inside / name).is_file():
                    return base / inside
    raise DamagedError(
        f"{table.name} names {names[0]}, which is in none of {', '.join(filter(None, _IMAGES))} "
        "beside it or above; unpack the pictures there."
    )


def _box(row: dict[str, str]) -> Box | None:
    """Return where a row says that the face is; faces that nobody marked have -1 or NULL there."""
    try:
        left, top, width, height = (float(row[column]) for column in _BOX)
    except (KeyError, TypeError, ValueError):
        return None
    return (left, top, width, height) if width > 0 and height > 0 else None
