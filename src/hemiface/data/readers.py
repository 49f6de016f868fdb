"""Whatever the user has, into Images: the forms of a source, told apart by looking into it."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hemiface.data.class_folders import is_class_tree, list_class_tree
from hemiface.data.csv_files import Header, peek_header, read_csv
from hemiface.data.ferplus import relabel
from hemiface.data.images import PIXELS_FILE, TABLE_FILE, Images
from hemiface.data.listed import AlignFaces, ReadOptions
from hemiface.data.listing import Listing, read_listing
from hemiface.data.picture_tables import is_picture_table, list_tables, picture_tables
from hemiface.data.sets import affectnet, ckplus, ferplus_images, hub, posed, rafdb
from hemiface.data.splits import deal_splits
from hemiface.data.strips import read_strips, strip_files
from hemiface.errors import DamagedError, MissingError, UsageError
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

    `read(path, options)` gives Images; `sha256(path, options)` is the hash of what it reads.
    `holds_crops` says that its pictures are 48 x 48 already, so that no face can be looked for.
    """

    read: Callable[[Path, ReadOptions], Images]
    sha256: Callable[[Path, ReadOptions], str]
    holds_crops: bool = True


def _array(read: Callable[[Path, bool], Images], files: Callable[[Path], Sequence[Path]]) -> Reader:
    """Return the reader of a form that holds arrays: `read(path, skip_bad)`, and its files."""
    return Reader(
        lambda path, options: read(path, options.skip_bad),
        lambda path, _: _files_sha256(path, files(path)),
    )


def _pictures(
    crops: Callable[[Path], Listing], whole: Callable[[Path], Listing] | None = None
) -> Reader:
    """Return the reader of a form that holds pictures in files.

    `crops(path)` lists them, `whole(path)` those to find faces in, if they are others.
    """

    def listing(path: Path, options: ReadOptions) -> Listing:
        return crops(path) if options.align is None or whole is None else whole(path)

    return Reader(
        lambda path, options: read_listing(listing(path, options), options),
        lambda path, options: _files_sha256(path, listing(path, options).files),
        holds_crops=False,
    )


def _read_images(folder: Path, skip_bad: bool) -> Images:  # noqa: ARG001 - nothing is half bad here
    return Images.read(folder)


def _read_phantom(source: Path, _: ReadOptions) -> Images:
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


def _phantom_sha256(source: Path, _: ReadOptions) -> str:
    """Return the hash of the options and of the code that draws."""
    options = repr(sorted(_phantom_options(str(source)).items()))
    return _files_sha256(_DRAWN_BY.parent, sorted(_DRAWN_BY.glob("*.py")), options)


def _csv_files(folder: Path) -> list[Path]:
    """Return the CSV files in a folder, but for hidden ones, such as those that macOS adds."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and ".csv" in [suffix.lower() for suffix in path.suffixes]
    ]


def _headers(folder: Path) -> dict[Path, Header]:
    """Return the header of each CSV file in a folder that has one: others may be notes."""
    found = {}
    for path in _csv_files(folder):
        with suppress(DamagedError):
            found[path] = peek_header(path)
    return found


def _unread(files: Collection[Path]) -> tuple[str, ...]:
    """Return a note about each CSV file whose header can't be read: a table of pictures, maybe."""
    notes = []
    for path in sorted(files):
        try:
            peek_header(path)
        except DamagedError as error:
            notes.append(f"{error} Splits and persons that it may tell are not known.")
    return tuple(notes)


def _list_picture_tables(source: Path) -> Listing:
    if source.is_file():
        return list_tables([source])
    headers = {path: header.columns for path, header in _headers(source).items()}
    return list_tables(picture_tables(headers))


READERS: dict[str, Reader] = {
    "csv": _array(read_csv, lambda path: [path]),
    "strips": _array(read_strips, strip_files),
    "images": _array(_read_images, lambda path: [path / TABLE_FILE, path / PIXELS_FILE]),
    "phantom": Reader(_read_phantom, _phantom_sha256),
    "affectnet": _pictures(affectnet.list_affectnet),
    "raf-db": _pictures(rafdb.list_rafdb, rafdb.list_rafdb_originals),
    "ferplus": _pictures(ferplus_images.list_ferplus),
    "ferplus-majority": _pictures(ferplus_images.list_ferplus_majority),
    "ck+": _pictures(ckplus.list_ckplus),
    "table of pictures": _pictures(_list_picture_tables),
    "kdef": _pictures(posed.list_kdef),
    "kdef-all": _pictures(posed.list_kdef_of_all_angles),
    "jaffe": _pictures(posed.list_jaffe),
    "ck+48": _pictures(ckplus.list_ckplus_crops),
    "class folders": _pictures(list_class_tree),
    "hub": Reader(
        lambda source, options: read_listing(hub.list_hub(source), options),
        lambda source, _: hub.hub_sha256(source),
        holds_crops=False,
    ),
}
"""Every form of a source and its reader; `find` tells which one a source has.

`raf-db:PATH` takes a form without looking, the only way to ask for kdef-all and ferplus-majority.
"""

_BEFORE_TABLES = {
    "affectnet": affectnet.is_affectnet,
    "raf-db": rafdb.is_rafdb,
    "ferplus": ferplus_images.is_ferplus_images,
    "ck+": ckplus.is_ckplus,
}
"""How a folder's form is told, in this order: these know the tables that lie there."""

_BEHIND_TABLES = {
    "kdef": posed.is_kdef,
    "jaffe": posed.is_jaffe,
    "ck+48": ckplus.is_ckplus_crops,
    "class folders": is_class_tree,
}
"""Of these a table of pictures, which may say more, is read in their place."""

_FORCED = (*_BEFORE_TABLES, *_BEHIND_TABLES, "kdef-all", "ferplus-majority")


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
    name = str(source)
    if name.startswith(_PHANTOM):
        _phantom_options(name)
        return Found("phantom", Path(source))
    if name.startswith(hub.PREFIX):
        hub.HubSource.of(name)
        return Found("hub", Path(source))
    form, _, rest = name.partition(":")
    if rest and form in _FORCED:
        return Found(form, _folder(rest))
    path = Path(source)
    return _form_of_folder(path) if path.is_dir() else _form_of_file(path)


def _folder(path: str) -> Path:
    if not Path(path).is_dir():
        raise MissingError(f"{path} is no folder; check the path given as data.")
    return Path(path)


def _form_of_file(path: Path) -> Found:
    require_file(path, hint="check the path given as data")
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return Found("images", path.parent)
    # What is packed, or no text, or has no header, is read as FER2013's, which says what is wrong.
    if path.suffix.lower() == ".csv" and path.stat().st_size:
        columns = _columns(path)
        if set(affectnet.NEEDED_COLUMNS) <= set(columns):
            return Found("affectnet", path)
        if is_picture_table(columns):
            return Found("table of pictures", path)
    return Found("csv", path)


def _columns(path: Path) -> tuple[str, ...]:
    try:
        return peek_header(path).columns
    except DamagedError:
        return ()


def _form_of_folder(path: Path) -> Found:
    # Of "." the name is nothing, and sentences and tables need one.
    path = path if path.name else path.resolve()
    if (path / TABLE_FILE).is_file() and (path / PIXELS_FILE).is_file():
        return Found("images", path)
    if strip_files(path):
        return Found("strips", path)
    headers = _headers(path)
    found = _find_csv(path, headers)
    if found:
        return found
    for form, is_here in _BEFORE_TABLES.items():
        if is_here(path):
            return Found(form, path)
    tables = picture_tables({one: header.columns for one, header in headers.items()})
    if tables:
        return Found("table of pictures", path if len(tables) > 1 else tables[0])
    for form, is_here in _BEHIND_TABLES.items():
        if is_here(path):
            return Found(form, path, _unread(set(_csv_files(path)) - headers.keys()))
    for one in _csv_files(path):
        # If it was meant to be read, its fault says more than that nothing was found.
        peek_header(one)
    raise DamagedError(
        f"{path} has none of the known forms; expected a CSV file of FER2013, a table of pictures "
        "(path, label), folders named after emotions, fer2013_pixels_0.png with its labels, "
        f"{TABLE_FILE}, or AffectNet, CK+, FER+, JAFFE, KDEF or RAF-DB as they were published."
    )


def _find_csv(folder: Path, headers: Mapping[Path, Header]) -> Found | None:
    """Return the CSV of faces in `folder`: the one with Usage, else the contest's train.csv."""
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


def source_sha256(found: Found, options: ReadOptions | None = None) -> str:
    """Return the SHA-256 of a source: of its bytes if it is one file.

    Else of the name relative to the folder, the size and the bytes of each file that the reader
    reads, sorted by name; of one that can't be read, that it can't. For rendered faces: of the
    options and of the code that draws them.
    """
    with reading(found.path):
        return READERS[found.form].sha256(found.path, options or ReadOptions())


def _files_sha256(source: Path, files: Sequence[Path], options: str = "") -> str:
    if list(files) == [source]:
        return sha256_file(source)
    digest = hashlib.sha256(options.encode())
    root = source if source.is_dir() else source.parent
    named = {os.path.relpath(path, root).replace(os.sep, "/"): path for path in files}
    for name, path in sorted(named.items()):
        try:
            # Of a pipe or a device nobody knows the end.
            size = require_file(path, error=DamagedError).st_size
            with path.open("rb") as file:
                digest.update(os.fsencode(f"{name}\0{size}\0"))
                while piece := file.read(1 << 20):
                    digest.update(piece)
        except (OSError, DamagedError):
            # The reader names it, or leaves it out where that is asked for.
            digest.update(os.fsencode(f"{name}\0unreadable\0"))
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


def load(
    source: str | Path,
    *,
    labels: str | None = None,
    skip_bad: bool = False,
    align: AlignFaces | None = None,
    deal: bool = False,
) -> Images:
    """Read any source of labelled faces into Images.

    `source` is a CSV file of FER2013 (plain, .gz, .bz2 or .zip) or a folder that holds one, a table
    of pictures (path, label, maybe split and person), a tree of folders named after emotions,
    AffectNet, CK+, FER+, JAFFE, KDEF or RAF-DB as they were published, `hf:NAME` for a data set of
    the hub, FER2013 as strips, a folder written by `Images.write`, or `phantom:` /
    `phantom:n=3000,seed=1` for rendered faces. `labels="ferplus=fer2013new.csv"` replaces the
    labels by FER+ votes, `ferplus-majority=` by those of a majority (see `ferplus.relabel`).
    `align` finds the faces of whole pictures (`hemiface.vision.finding.aligned_pictures` does);
    without, pictures are taken for crops. `deal` gives whole groups of images splits of our own
    (`splits.deal_splits`). What else a user should know (no validation split, no test rows,
    converted pictures, labels that are none of the seven) is in `info["notes"]` and is logged as a
    warning.

    A bad row or picture raises DamagedError, naming it; under `skip_bad` it is left out, logged
    and listed in `info["skipped"]`. A missing or unusable source raises DamagedError, a wrong
    option UsageError.
    """
    options = ReadOptions(skip_bad=skip_bad, align=align, deal=deal)
    return read(find(source), options, labels=labels)


def read(
    found: Found,
    options: ReadOptions | None = None,
    *,
    labels: str | None = None,
    sha256: str | None = None,
) -> Images:
    """Do the work of `load` for a source that was found; `sha256` if its hash is known already."""
    options = options or ReadOptions()
    votes, reader = labels_file(labels), READERS[found.form]
    if options.align is not None and reader.holds_crops:
        raise UsageError(
            f"{found.path} holds faces that are cut out already ({found.form}); --align is for "
            "pictures."
        )
    with reading(found.path):
        images = reader.read(found.path, options)
    info = dict(images.info)
    if found.form != "images":  # those remember where they came from, and it has been said
        info["source"] = printable(found.path.name or found.path.resolve().name)
        info["form"] = found.form
        info["source_sha256"] = sha256 or source_sha256(found, options)
        info["notes"] = [*info.get("notes", []), *found.notes]
        _say(info["notes"], info["skipped"])
    images = dataclasses.replace(images, info=info)
    if votes is not None:
        images = relabel(images, votes, majority=str(labels).startswith(_MAJORITY))
    # Pictures in files were dealt when they were read, before their own splits were looked at.
    return deal_splits(images) if options.deal and reader.holds_crops else images


def _say(notes: list[str], skipped: list[str]) -> None:
    """Log the notes, and how many bad items were left out."""
    for note in notes:
        _log.warning("%s", note)
    if skipped:
        _log.warning("%d bad items were left out, the first: %s", len(skipped), skipped[0])
