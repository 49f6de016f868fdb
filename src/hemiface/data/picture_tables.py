"""CSV files that name pictures: path and label, and split and person where they are known.

    path,label,split,person
    a/1.jpg,happiness,train,Ann

Column names may be others (PATH_COLUMNS and so on; upper and lower case don't matter), paths are
relative to the table. Several tables of one folder that are called after splits (train.csv,
test.csv) are one source.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hemiface.data.listed import Listed
from hemiface.data.listing import Listing
from hemiface.data.vocabulary import emotion_of, split_of
from hemiface.errors import DamagedError, UsageError
from hemiface.inputs import as_csv, open_lines, require_columns
from hemiface.tables import EMOTIONS

__all__ = [
    "LABEL_COLUMNS",
    "PATH_COLUMNS",
    "PERSON_COLUMNS",
    "SPLIT_COLUMNS",
    "is_picture_table",
    "list_tables",
    "picture_tables",
]

PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "pth")
LABEL_COLUMNS = ("label", "emotion", "expression", "class")
SPLIT_COLUMNS = ("split", "usage", "set", "partition", "subset")
PERSON_COLUMNS = ("person", "subject", "subject_id", "participant", "identity")


class _Columns(NamedTuple):
    """A table's names of our columns; "" for one that it lacks."""

    path: str
    label: str
    split: str
    person: str

    @classmethod
    def of(cls, header: Sequence[str]) -> "_Columns":
        lower = {name.strip().lower(): name for name in reversed(header)}
        known = (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS, PERSON_COLUMNS)
        return cls(*(next((lower[one] for one in names if one in lower), "") for names in known))


def is_picture_table(header: Sequence[str]) -> bool:
    """Whether a table with these columns names pictures and their labels.

    >>> is_picture_table(["Image", "Emotion"]), is_picture_table(["emotion", "pixels", "Usage"])
    (True, False)
    """
    columns = _Columns.of(header)
    return bool(columns.path and columns.label)


def picture_tables(headers: Mapping[Path, Sequence[str]]) -> list[Path]:
    """Return the tables of a folder that are one source, given the header of each of its tables.

    Raises:
        UsageError: there are several that aren't all called after splits.
    """
    found = [path for path, header in headers.items() if is_picture_table(header)]
    if len(found) > 1 and not all(split_of(path.stem) for path in found):
        raise UsageError(
            f"{found[0].parent} holds {len(found)} tables of pictures "
            f"({', '.join(path.name for path in found)}); give one of them."
        )
    return found


def list_tables(tables: Sequence[Path]) -> Listing:
    """List the pictures that tables name, in their order.

    A row whose label or split isn't known is bad, see `Listing.bad`.

    Raises:
        DamagedError: a table is no CSV file in UTF-8, or lacks a column.
        UsageError: two columns of a table have one name.
    """
    pictures: list[Listed] = []
    bad: list[tuple[str, str]] = []
    for table in tables:
        of_file = split_of(table.stem) or ""
        for where, columns, row in _rows(table):
            label = emotion_of(row[columns.label])
            word = row[columns.split].strip() if columns.split else ""
            split = (split_of(word) or "") if columns.split else of_file
            name = row[columns.path].strip()
            if not name:
                bad.append((where, "names no picture"))
            elif label is None:
                bad.append((where, _unknown_label(row[columns.label])))
            elif columns.split and not split:
                bad.append((where, f"has split {word[:20]!r}, expected train, validation or test"))
            else:
                person = row[columns.person].strip() if columns.person else ""
                # An absolute path stays what it is.
                pictures.append(Listed(table.parent / name, name, label, split, person))
    first = tables[0]
    is_alone = len(tables) == 1 and not _is_general(first)
    files = [*tables, *(one.source for one in pictures if isinstance(one.source, Path))]
    return Listing(
        name=first.name if is_alone else first.resolve().parent.name,
        dataset=first.stem if is_alone else first.resolve().parent.name,
        pictures=pictures,
        files=files,
        bad=bad,
    )


def _is_general(table: Path) -> bool:
    """Whether a table's name says nothing of its data set, so that the folder's has to."""
    return table.stem.lower() in ("labels", "label", "annotations") or bool(split_of(table.stem))


def _rows(table: Path) -> Iterator[tuple[str, _Columns, dict[str, str]]]:
    """Yield where each row stands, the table's columns, and its cells."""
    with as_csv(table.name), open_lines(table) as file:
        reader = csv.DictReader(file, restval="")
        named = list(reader.fieldnames or ())
        columns = _Columns.of(named)
        if not (columns.path and columns.label):
            lacks, known = ("path", PATH_COLUMNS) if not columns.path else ("label", LABEL_COLUMNS)
            raise DamagedError(
                f"{table.name} has no column {lacks} (looked for {', '.join(known)}; it has "
                f"{', '.join(named)[:80]})."
            )
        require_columns(table, named, [one for one in columns if one])
        for row in reader:
            yield f"{table.name}, line {reader.line_num}", columns, row


def _unknown_label(word: str) -> str:
    """Return the predicate about a label that isn't known; of a number only its table knows."""
    said = f"has label {word.strip()[:20]!r}, expected {', '.join(EMOTIONS)} or contempt"
    return (
        f"{said} (write the emotion, for numbers have no one order)"
        if word.strip().isdigit()
        else said
    )
