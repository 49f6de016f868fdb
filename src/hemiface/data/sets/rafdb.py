"""RAF-DB, the basic set: 15,339 photos of the web, each labelled by about 40 people.

Li, Deng & Du 2017, Reliable crowdsourcing and deep locality-preserving learning for expression
recognition in the wild, CVPR. Seven labels, two splits, no persons.

    EmoLabel/list_patition_label.txt     train_00001.jpg 5
    Image/aligned/train_00001_aligned.jpg, Image/original/train_00001.jpg

The folder basic/ above may be named or not. The copy that goes round as folders 1 to 7 below train
and test is read too. With faces to align the originals are taken where they are there.
"""

import re
from pathlib import Path

from hemiface.data.class_folders import pictures_below
from hemiface.data.listed import Listed
from hemiface.data.listing import Listing
from hemiface.errors import DamagedError
from hemiface.inputs import open_lines

__all__ = ["LABELS", "is_rafdb", "list_rafdb", "list_rafdb_originals"]

LABELS = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happy",
    "5": "sad",
    "6": "angry",
    "7": "neutral",
}
"""From the numbers of list_patition_label.txt (readme of the data set)."""

_COMPOUND = ("8", "9", "10", "11")
"""Numbers that the compound set alone has, whose 1 to 7 are other classes; 4 is sadly angry."""

_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
"""The first is the authors' spelling."""
_NAME = re.compile(r"(?P<split>train|test)_\d{4,5}(?:_aligned)?\.(?:jpg|jpeg|png)", re.IGNORECASE)


def is_rafdb(folder: Path) -> bool:
    """Whether RAF-DB lies here, in its own form or in folders of numbers."""
    return _list_file(folder) is not None or bool(_numbered(folder))


def list_rafdb(folder: Path) -> Listing:
    """List RAF-DB's aligned pictures.

    Raises:
        DamagedError: they aren't there, or are those of the compound set.
    """
    return _list(folder, whole=False)


def list_rafdb_originals(folder: Path) -> Listing:
    """List RAF-DB's whole photos, whose faces are to be found; the aligned ones without them.

    Raises:
        DamagedError: neither are there, or they are those of the compound set.
    """
    return _list(folder, whole=True)


def _list(folder: Path, *, whole: bool) -> Listing:
    table = _list_file(folder)
    if table is None:
        return _list_numbered(folder)
    base = table.parent.parent if table.parent.name == "EmoLabel" else table.parent
    pictures, ending = _pictures(base, whole)
    found, bad = [], []
    for line, words in _lines(table):
        where = f"{table.name}, line {line}"
        name = _NAME.fullmatch(words[0]) if len(words) == 2 else None
        if name is None:
            bad.append((where, f"says {' '.join(words)[:40]!r}, expected train_00001.jpg 5"))
        elif words[1] in _COMPOUND:
            raise _compound(f"{where} has label {words[1]}")
        elif words[1] not in LABELS:
            bad.append((where, f"has label {words[1]!r}, expected 1 to 7"))
        else:
            path = pictures / f"{Path(words[0]).stem}{ending}{Path(words[0]).suffix}"
            root = folder if folder in path.parents else base
            called = path.relative_to(root).as_posix()
            found.append(Listed(path, called, LABELS[words[1]], name["split"].lower()))
    files = [table, *(one.source for one in found if isinstance(one.source, Path))]
    return Listing(folder.name, "raf-db", found, files, bad=bad)


def _compound(what: str) -> DamagedError:
    """Return what to say: to leave out the bad rows would leave wrong labels of the others."""
    return DamagedError(
        f"{what}: this is RAF-DB's compound set, whose 1 to 7 are other classes than those of the "
        "basic set; give the folder of the basic one."
    )


def _list_file(folder: Path) -> Path | None:
    places = (folder / above for above in ("EmoLabel", "basic/EmoLabel", ".", "basic"))
    return next((at / name for at in places for name in _LISTS if (at / name).is_file()), None)


def _lines(table: Path) -> list[tuple[int, list[str]]]:
    try:
        with open_lines(table) as file:
            return [(number, line.split()) for number, line in enumerate(file, 1) if line.strip()]
    except UnicodeDecodeError as error:
        raise DamagedError(f"{table.name} is no text ({error}); get it again.") from error


def _pictures(base: Path, whole: bool) -> tuple[Path, str]:
    """Return the folder of the pictures, and what stands behind their names."""
    aligned = next((p for p in (base / "Image/aligned", base / "aligned") if p.is_dir()), None)
    original = next((p for p in (base / "Image/original", base / "original") if p.is_dir()), None)
    if original is not None and (whole or aligned is None):
        if not whole:
            raise DamagedError(
                f"{base}: Image/aligned isn't there, only Image/original; unpack aligned.zip, or "
                "let the faces be found with --align."
            )
        return original, ""
    if aligned is None:
        raise DamagedError(
            f"{base} has RAF-DB's labels and neither Image/aligned nor Image/original; unpack "
            "aligned.zip or original.zip there."
        )
    return aligned, "_aligned"


def _numbered(folder: Path) -> list[Path]:
    """Return the folders train/1 ... test/7 that hold RAF-DB's pictures; test/11 of the others."""
    for base in (folder, folder / "DATASET"):
        splits = [base / split for split in ("test", "train") if (base / split).is_dir()]
        found = [
            place
            for split in splits
            for place in sorted(split.iterdir())
            if place.name in LABELS or place.name in _COMPOUND
        ]
        if any(_NAME.fullmatch(path.name) for one in found[:1] for path in one.iterdir()):
            return found
    return []


def _list_numbered(folder: Path) -> Listing:
    places = _numbered(folder)
    others = [place for place in places if place.name in _COMPOUND]
    if others:
        raise _compound(f"{folder.name} has a folder {others[0].relative_to(folder).as_posix()}")
    found = [
        Listed(
            path, path.relative_to(folder).as_posix(), LABELS[place.name], place.parent.name.lower()
        )
        for place in places
        for path in pictures_below(place)
    ]
    found.sort(key=lambda one: one.name)
    files = [one.source for one in found if isinstance(one.source, Path)]
    return Listing(folder.name, "raf-db", found, files)
