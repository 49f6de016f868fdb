"""Trees of folders that are named after emotions, with folders of splits above them or without.

    train/happy/1.jpg       happy/1.jpg       session-2/Happiness/S010/1.png

A picture's label is the one folder above it that is named like a class, its split the one that is
named like a split; what other folders are called doesn't matter.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hemiface.data.csv_files import USAGES
from hemiface.data.listed import Listed
from hemiface.data.listing import Listing, below
from hemiface.data.pictures import PICTURE_SUFFIXES
from hemiface.data.vocabulary import emotion_of, is_class, split_of
from hemiface.errors import DamagedError
from hemiface.tables import EMOTIONS

__all__ = ["is_class_tree", "list_class_tree", "pictures_below"]

_LOOKED_AT = 2000


def is_class_tree(folder: Path) -> bool:
    """Whether a folder below `folder` is named like a class, or one in it like a split.

    So many folders are looked at as hold the first few thousand files.
    """
    if any(split_of(path.name) for path in folder.iterdir() if path.is_dir()):
        return True
    first = islice(below(folder), _LOOKED_AT)
    return any(is_class(part) for path in first for part in _folders(path, folder))


def pictures_below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder that has the name of a picture."""
    return (path for path in below(folder) if path.suffix.lower() in PICTURE_SUFFIXES)


def list_class_tree(folder: Path) -> Listing:
    """List the pictures below `folder`, in the order of their relative names.

    FER2013's JPEG form keeps the Usage in its file names (`PublicTest_123.jpg` in test/): where a
    name begins so, that decides the split, and it has to agree with the folder.

    Raises:
        DamagedError: a picture lies in no class, in an unknown one, or in two; a class is empty.
    """
    pictures: list[Listed] = []
    bad: list[tuple[str, str]] = []
    files, ignored = [], []
    for path in below(folder):
        name = path.relative_to(folder).as_posix()
        # A link that leads nowhere is a picture that can't be read.
        is_other = path.exists() and not path.is_file()
        if is_other or path.suffix.lower() not in PICTURE_SUFFIXES or path.parent == folder:
            ignored.append(name)
            continue
        files.append(path)
        split, problem = _split(path, folder)
        if problem:
            bad.append((name, problem))
        else:
            pictures.append(Listed(path, name, _label(path, folder), split))
    _require_full(folder)
    notes = []
    if ignored:
        what = f"{len(ignored):,} files that are no pictures of a class were ignored"
        notes.append(f"{folder.name}: {what}, such as {ignored[0]}.")
    pictures.sort(key=lambda picture: picture.name)
    is_fer2013 = all(one.name.rpartition("/")[2].split("_")[0] in USAGES for one in pictures)
    return Listing(
        name=folder.name or folder.resolve().name,
        dataset="fer2013" if pictures and is_fer2013 else folder.resolve().name,
        pictures=pictures,
        files=files,
        notes=notes,
        bad=bad,
    )


def _folders(path: Path, folder: Path) -> tuple[str, ...]:
    """Return the names of the folders between a file and the source."""
    return path.relative_to(folder).parts[:-1]


def _label(path: Path, folder: Path) -> str:
    parts = _folders(path, folder)
    labels = {emotion_of(part) for part in parts if is_class(part)}
    where = "/".join(parts)
    if len(labels) > 1:
        raise DamagedError(f"{where} is named after two classes; a picture has one.")
    if not labels:
        raise DamagedError(
            f"{where} is not a known class; the folders are {', '.join(EMOTIONS)} (or anger, "
            "happiness, ...; contempt is counted and left out)."
        )
    return str(labels.pop())


def _split(path: Path, folder: Path) -> tuple[str, str]:
    """Return the split by the Usage in the name, else by the folder, and what is wrong with it."""
    above = [part for part in _folders(path, folder) if split_of(part)]
    splits = {split_of(part) or "" for part in above}
    if len(splits) > 1:
        return "", f"lies in folders of two splits ({', '.join(above)})"
    by_folder = splits.pop() if splits else ""
    usage, underscore, _ = path.name.partition("_")
    if not underscore or usage not in USAGES:
        return by_folder, ""
    by_name = USAGES[usage]
    # The published folders put PublicTest_ pictures, the validation split, into test/.
    if by_folder in ("", by_name) or (by_name, by_folder) == ("validation", "test"):
        return by_name, ""
    return "", f"lies in {above[0]}/ although its name says {usage}"


def _require_full(folder: Path) -> None:
    """Raise where a folder of a class holds no file: it was unpacked or copied in part."""
    for above in (folder, *(path for path in sorted(folder.iterdir()) if path.is_dir())):
        for path in sorted(above.iterdir()):
            if path.is_dir() and is_class(path.name) and next(below(path), None) is None:
                raise DamagedError(
                    f"{path.relative_to(folder.parent).as_posix()} is empty; copy or unpack its "
                    "pictures, or remove it if there are none."
                )
