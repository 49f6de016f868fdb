"""Whatever the user has, into Images: the forms of a source, told apart by looking into it."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hemiface.data.class_folders import class_files, is_class_folder, read_class_folders
from hemiface.data.csv_files import peek_header, read_csv
from hemiface.data.ferplus import relabel
from hemiface.data.images import PIXELS_FILE, TABLE_FILE, Images
from hemiface.data.strips import read_strips, strip_files
from hemiface.errors import DamagedError, UsageError
from hemiface.files import printable, reading, sha256_file
from hemiface.inputs import require_file

__all__ = ["READERS", "Found", "Reader", "find", "labels_file", "load", "read", "source_sha256"]

_log = logging.getLogger("hemiface.data")
_DRAWN_BY = Path(__file__).parent / "phantom"
_PHANTOM = "phantom:"
_MAJORITY = "ferplus-majority"


@dataclass(frozen=True)
class Reader:
    """How one form is read.

    `read(path, skip_bad)` gives Images; `files(path)` lists what it reads, for the hash.
    """

    read: Callable[[Path, bool], Images]
    files: Callable[[Path], Sequence[Path]]


def _read_images(folder: Path, skip_bad: bool) -> Images:  # noqa: ARG001 - nothing is half bad here
    return Images.read(folder)


def _read_phantom(source: Path, skip_bad: bool) -> Images:  # noqa: ARG001 - rendered, never bad
    from hemiface.data.phantom import make as phantom

    options = _phantom_options(str(source))
    return phantom.make(options.get("n", 3000), options.get("seed", 0))


def _phantom_options(source: str) -> dict[str, int]:
    """Return the options in `phantom:n=3000,seed=1`, which may be empty.

    >>> _phantom_options("phantom:n=3000,seed=1")
    {'n': 3000, 'seed': 1}
    """
    options: dict[str, int] = {}
    for part in filter(None, source.removeprefix(_PHANTOM).split(",")):
        name, _, value = part.partition("=")
        smallest = {"n": 1, "seed": 0}.get(name.strip())
        digits = value.strip()
        # Longer numbers than this Python refuses to read.
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
        if smallest is None or not is_number or int(digits) < smallest:
            raise UsageError(
                f"{part[:40]!r} in {source[:80]} is not an option; write phantom: or "
                "phantom:n=3000,seed=1."
            )
        options[name.strip()] = int(digits)
    return options


READERS: dict[str, Reader] = {
    "csv": Reader(read_csv, lambda path: [path]),
    "strips": Reader(read_strips, strip_files),
    "class folders": Reader(read_class_folders, class_files),
    "images": Reader(_read_images, lambda path: [path / TABLE_FILE, path / PIXELS_FILE]),
    "phantom": Reader(_read_phantom, lambda _: sorted(_DRAWN_BY.glob("*.py"))),
}
"""Every form of a source and its reader; `find` tells which one a source has."""


@dataclass(frozen=True)
class Found:
    """What a source turned out to be: its form, a key of READERS, and where to read it."""

    form: str
    path: Path
    notes: tuple[str, ...] = ()


def find(source: str | Path) -> Found:
    """Tell which form `source` has by looking at what it holds.

    A folder that holds no form itself but one CSV file of faces stands for that file. DamagedError
    is raised where the source doesn't exist, can't be read or has none of the forms.
    """
    with reading(source):
        return _form_of(source)


def _form_of(source: str | Path) -> Found:
    if str(source).startswith(_PHANTOM):
        _phantom_options(str(source))
        return Found("phantom", Path(source))
    path = Path(source)
    if not path.is_dir():
        require_file(path, hint="check the path given as data")
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        return Found("images", path.parent) if is_parquet else Found("csv", path)
    if (path / TABLE_FILE).is_file() and (path / PIXELS_FILE).is_file():
        return Found("images", path)
    if strip_files(path):
        return Found("strips", path)
    return _find_csv(path) or _find_folders(path)


def _find_csv(folder: Path) -> Found | None:
    """Return the CSV of faces in `folder`: the one with Usage, else the contest's train.csv."""
    headers = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and ".csv" in [suffix.lower() for suffix in path.suffixes]:
            headers[path] = peek_header(path)
    for usage in (True, False):
        found = [path for path, one in headers.items() if one.usable and one.has_usage == usage]
        if len(found) > 1:
            raise UsageError(
                f"{folder} holds {len(found)} files of faces "
                f"({', '.join(path.name for path in found)}); give one of them."
            )
        if found:
            unlabelled = [path.name for path, one in headers.items() if one.columns == ("pixels",)]
            notes = [
                f"{name} has pictures without labels (PublicTest and PrivateTest of the contest): "
                "they can be used neither for validation nor for test."
                for name in unlabelled
                if not usage
            ]
            return Found("csv", found[0], tuple(notes))
    return None


def _find_folders(folder: Path) -> Found:
    if is_class_folder(folder):
        return Found("class folders", folder)
    raise DamagedError(
        f"{folder} has none of the known forms; expected a CSV file of FER2013, train/<class>/ and "
        f"test/<class>/ folders, fer2013_pixels_0.png with its labels, or {TABLE_FILE}."
    )


def source_sha256(found: Found) -> str:
    """Return the SHA-256 of a source: of its bytes if it is one file.

    Else of the name relative to the folder, the size and the bytes of each file that the reader
    reads, sorted by name; of one that can't be read, that it can't. For rendered faces: of the
    options and of the code that draws them.
    """
    with reading(found.path):
        files = READERS[found.form].files(found.path)
        if list(files) == [found.path]:
            return sha256_file(found.path)
    digest = hashlib.sha256()
    root = found.path
    if found.form == "phantom":
        digest.update(repr(sorted(_phantom_options(str(found.path)).items())).encode())
        root = Path(__file__).parent
    for path in sorted(files):
        name = path.relative_to(root).as_posix()
        try:
            content = path.read_bytes()
        except OSError:
            # The reader names it, or leaves it out where that is asked for.
            digest.update(os.fsencode(f"{name}\0unreadable\0"))
            continue
        digest.update(os.fsencode(f"{name}\0{len(content)}\0"))
        digest.update(content)
    return digest.hexdigest()


def labels_file(labels: str | None) -> Path | None:
    """Return the path in `ferplus=PATH` or `ferplus-majority=PATH`, None for None.

    Raises:
        UsageError: `labels` is anything else.
    """
    if labels is None:
        return None
    kind, _, path = labels.partition("=")
    if kind not in ("ferplus", _MAJORITY) or not path:
        raise UsageError(
            f"Labels {labels!r} are unknown; write ferplus=fer2013new.csv or "
            f"{_MAJORITY}=fer2013new.csv."
        )
    return Path(path)


def load(source: str | Path, *, labels: str | None = None, skip_bad: bool = False) -> Images:
    """Read any source of labelled faces into Images.

    `source` is a CSV file of FER2013 (plain, .gz, .bz2 or .zip) or a folder that holds one, class
    folders of pictures, FER2013 as strips, a folder written by `Images.write`, or `phantom:` /
    `phantom:n=3000,seed=1` for rendered faces. `labels="ferplus=fer2013new.csv"` replaces the
    labels by FER+ votes, `ferplus-majority=` by those of a majority (see `ferplus.relabel`). What
    else a user should know (no validation split, no test rows, converted pictures) is in
    `info["notes"]` and is logged as a warning.

    A bad row or picture raises DamagedError, naming it; under `skip_bad` it is left out, logged
    and listed in `info["skipped"]`. A missing or unusable source raises DamagedError, a wrong
    option UsageError.
    """
    return read(find(source), labels=labels, skip_bad=skip_bad)


def read(
    found: Found, *, labels: str | None = None, skip_bad: bool = False, sha256: str | None = None
) -> Images:
    """Do the work of `load` for a source that was found; `sha256` if its hash is known already."""
    votes = labels_file(labels)
    with reading(found.path):
        images = READERS[found.form].read(found.path, skip_bad)
    info = dict(images.info)
    if found.form != "images":  # those remember where they came from, and it has been said
        info["source"] = printable(found.path.name or found.path.resolve().name)
        info["form"] = found.form
        info["source_sha256"] = sha256 or source_sha256(found)
        info["notes"] = [*info.get("notes", []), *found.notes]
        _say(info["notes"], info["skipped"])
    images = dataclasses.replace(images, info=info)
    if votes is None:
        return images
    return relabel(images, votes, majority=str(labels).startswith(_MAJORITY))


def _say(notes: list[str], skipped: list[str]) -> None:
    """Log the notes, and how many bad items were left out."""
    for note in notes:
        _log.warning("%s", note)
    if skipped:
        _log.warning("%d bad items were left out, the first: %s", len(skipped), skipped[0])
