"""What to look at: photos, videos and cameras, named or found in folders; where copies go."""

import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Self

from hemiface.documents import undamaged
from hemiface.errors import UsageError
from hemiface.files import MOST_BYTES, files_below, fitting, printable, reading, write_text
from hemiface.inputs import is_address, open_lines, require_file, require_local
from hemiface.vision.faces import FORMATS
from hemiface.vision.photos import PHOTO_SUFFIXES
from hemiface.vision.video.frames import VIDEO_SUFFIXES, camera_number

__all__ = [
    "COPIES",
    "SHARDS",
    "TIMELINES",
    "Source",
    "copies_of",
    "copy_names",
    "find_sources",
    "is_marked",
    "kind_of",
    "listed",
    "mark",
    "tell_of_kinds",
]

COPIES = "pictures"
"""The folder of annotated copies, below that of a run's results."""
TIMELINES = "timelines"
"""The folder of figures of videos, beside it."""
_PACKET_BYTES = 188
_THUMBNAILS = "@eaDir"
"""Where network drives of one maker keep small copies of all pictures."""
_RESULTS = ("sources.csv", *(f"faces.{one}" for one in FORMATS))
"""What runs write among the pictures that they look at."""
_MOST_KINDS = 8
"""Suffixes that a sentence names."""
_MARKS = {COPIES: (".copies", "annotated copies"), TIMELINES: (".timelines", "timelines")}
"""Beside such a file a folder of ours is known from one of the user's own of that name."""
SHARDS = "shard-*-of-*"
"""What the folders of shards are called, below that of all results."""

_log = logging.getLogger(__name__)
_JPEG_SUFFIXES = frozenset({".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"})


@dataclass(frozen=True)
class Source:
    """One thing to look at."""

    name: str
    """As it stands in the results: the path as it was given, or camera:N. Bytes of a file's name
    that are no text are written as escapes."""
    kind: str
    """photo, video, camera, or folder: one that isn't looked into."""
    inner: Path
    """Where its annotated copy goes below `pictures`, but for its suffix."""
    path: str
    """What to open."""
    problem: str = ""
    """One sentence on a folder that isn't looked into."""
    stamp: tuple[int, ...] | None = None
    """The fingerprint as it was noted before; None asks the file."""
    is_remote: bool = False
    """Whether `path` is an address (`vision.remote`)."""

    @property
    def moves(self) -> bool:
        """Whether it has frames one after the other."""
        return self.kind in ("video", "camera")

    @property
    def film(self) -> str | Path:
        """What `read_frames` takes: a text is a camera, and a Path a file whatever its name."""
        return self.path if self.kind == "camera" else Path(self.path)

    @property
    def fingerprint(self) -> list[int]:
        """Size and time of change of the file; results of another one don't count."""
        if self.stamp is not None:
            return list(self.stamp)
        try:
            known = os.stat(self.path)  # noqa: PTH116 - a camera is no path
        except OSError:
            return []
        return [known.st_size, known.st_mtime_ns]

    def noted(self) -> Self:
        """Return it with the fingerprint that its file has now, whatever becomes of the file."""
        return replace(self, stamp=tuple(self.fingerprint))


def find_sources(
    names: Sequence[str],
    out: Path | None = None,
    beyond: Callable[[str], Iterable[Source]] | None = None,
) -> list[Source]:
    """Return what to look at: files and cameras as named, and the pictures and videos in folders.

    Folders are searched deeply, in the order of names; files and folders in them whose name begins
    with a dot, and @eaDir, are passed over. So are the copies and timelines that runs and shards
    made, in the folder of results `out` or, which is said, elsewhere; and files of other kinds,
    whose number is said. A file named on purpose is tried whatever its suffix: as a video where
    that is one of VIDEO_SUFFIXES, else as a photo. A folder that can't be looked into is a source
    too, and so is a link to a folder elsewhere, which isn't followed: nobody is to take what lies
    there for looked at. `beyond` says what an address on a network stands for; without it none is
    taken.

    Raises:
        DamagedError: a file or folder doesn't exist, lies where nobody may look, or is a named pipe
            or a device.
        UsageError: a name is empty, a folder holds neither pictures nor videos, `camera:` lacks its
            number, a name is an address on a network, or two files would be called the same.
    """
    found: dict[str, Source] = {}
    roots = [Path(name).resolve() for name in names if name and os.path.isdir(name)]  # noqa: PTH112
    passed = _Passed([] if out is None else _made_folders(out.resolve()), roots)
    for name in names:
        # A Path takes it for the current folder, where an unset variable was meant to name one.
        if not name:
            raise UsageError("A name to look at is empty; name a photo, folder or video.")
        if camera_number(name) is not None:
            found[name] = Source(name, "camera", Path(name.replace(":", "-")), name)
            continue
        if beyond is not None and is_address(name):
            found |= {one.path: one for one in beyond(name)}
            continue
        require_local(name)
        with reading(name):
            found |= {one.path: one for one in _named(Path(name), passed)}
    passed.tell()
    _require_names(found.values())
    return list(found.values())


def _require_names(sources: Iterable[Source]) -> None:
    """Raise unless every source is told from all others by its name."""
    named: dict[str, str] = {}
    for one in sources:
        if named.setdefault(one.name, one.path) != one.path:
            raise UsageError(
                f"Two of the files would both be called {one.name}, since bytes that are no text "
                "are written as escapes; rename one of them."
            )


def tell_of_kinds(kinds: Counter[str]) -> None:
    """Say how many files of which suffixes are passed over, if any."""
    total = sum(kinds.values())
    if not total:
        return
    named = [f"{n:,} {one or 'without a suffix'}" for one, n in kinds.most_common(_MOST_KINDS)]
    more = total - sum(n for _, n in kinds.most_common(_MOST_KINDS))
    _log.warning(
        "%s passed over: %s%s",
        "1 file of another kind was" if total == 1 else f"{total:,} files of other kinds were",
        printable(", ".join(named)), f" and {more:,} more" if more else "",
    )  # fmt: skip


def listed(path: Path) -> list[str]:
    """Return the names that a file lists, one a line; empty lines are passed over.

    Raises:
        DamagedError: it is missing, no regular file or not UTF-8.
        UsageError: it names nothing.
    """
    with undamaged(path, "write one name a line, as UTF-8"), open_lines(path) as lines:
        names = [name for name in (line.rstrip("\r\n") for line in lines) if name.strip()]
    if not names:
        raise UsageError(f"{path} names nothing; write one photo, folder or video a line.")
    return names


class _Passed:
    """What is passed over in folders, so that it can be said once.

    `own` are the folders of copies and timelines in the results that are written, `roots` those
    that are searched.
    """

    def __init__(self, own: Sequence[Path], roots: Sequence[Path]) -> None:
        self._own = own
        self._roots = roots
        self._made: set[Path] = set()
        self.linked: set[Path] = set()
        """Links to folders that aren't searched otherwise."""
        self.kinds: Counter[str] = Counter()
        """Suffix -> files that have another one than pictures and videos."""

    def is_own(self, folder: Path) -> bool:
        """Return whether a folder is or lies in one of those that are written."""
        whole = folder.resolve()
        return any(whole.is_relative_to(one) for one in self._own)

    def enters(self, folder: Path) -> bool:
        """Return whether to look into a folder, and note it if not."""
        if folder.name in _MARKS and is_marked(folder):
            self._made.add(folder)
            return False
        if folder.is_symlink():
            target = folder.resolve()
            if not any(target.is_relative_to(one) for one in self._roots):
                self.linked.add(folder)
            return False
        return not folder.name.startswith(".") and folder.name != _THUMBNAILS

    def made_below(self, folder: Path) -> bool:
        """Return whether copies or timelines were passed over in a folder."""
        return any(one.is_relative_to(folder) for one in self._made)

    def tell(self) -> None:
        tell_of_kinds(self.kinds)
        others = sorted(str(one) for one in self._made if not self.is_own(one))
        if others:
            _log.warning(
                "copies and timelines that other runs made are passed over: %s%s",
                printable(others[0]), f" and {len(others) - 1} more" if others[1:] else "",
            )  # fmt: skip


def _named(path: Path, passed: _Passed) -> list[Source]:
    """Return what a path that isn't a camera stands for."""
    if not path.is_dir():
        require_file(path)
        return [_source(path, Path(path.name))]
    closed: list[OSError] = []
    is_own = passed.is_own(path)
    found = [] if is_own else list(_files(path, closed.append, passed))
    if not found and (is_own or passed.made_below(path)):
        raise UsageError(
            f"Folder {path} holds only annotated copies of an earlier run, or its timelines."
        )
    linked = sorted(one for one in passed.linked if one.is_relative_to(path))
    if not found and not closed and not linked:
        passed.tell()
        raise UsageError(f"Folder {path} holds neither pictures nor videos.")
    inside = (_source(one, one.relative_to(path)) for one in found)
    shut = (
        _unseen(one.filename, path, f"can't be looked into ({one.strerror}); see who may read it")
        for one in closed
    )
    links = (_unseen(one, path, "is a link, which isn't followed; name it too") for one in linked)
    return [*inside, *shut, *links]


def _unseen(folder: str | Path, below: Path, why: str) -> Source:
    """Return a folder that isn't looked into, and why."""
    path = Path(folder)
    name = printable(str(path))
    return Source(name, "folder", path.relative_to(below), str(path), f"Folder {name} {why}.")


def _files(folder: Path, on_closed: Callable[[OSError], None], passed: _Passed) -> Iterator[Path]:
    """Yield the pictures and videos in `folder`."""
    for path in files_below(folder, on_closed, passed.enters):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or path.name in _RESULTS or not _is_file(path):
            continue
        is_text = suffix == ".ts" and not _is_transport_stream(path)
        if suffix not in PHOTO_SUFFIXES | VIDEO_SUFFIXES or is_text:
            passed.kinds[suffix] += 1
            continue
        yield path


def _is_transport_stream(path: Path) -> bool:
    """Return whether a file is of MPEG-TS packets (ISO/IEC 13818-1), not a text of TypeScript."""
    try:
        with path.open("rb") as file:
            start = file.read(_PACKET_BYTES + 1)
    except OSError:
        return True  # That it can't be read is told when it is looked at.
    return start[:1] == start[_PACKET_BYTES:] == b"G"


def _made_folders(results: Path) -> list[Path]:
    """Return the folders of copies and timelines that runs and shards into `results` made."""
    above = [results, *results.glob(SHARDS)]
    return [one / name for one in above for name in _MARKS if is_marked(one / name)]


def is_marked(folder: Path) -> bool:
    """Return whether a run marked a folder of copies or timelines as its own."""
    return folder.with_name(_MARKS[folder.name][0]).is_file()


def mark(folder: Path, ours: Collection[Path] = (), *, are_ours: bool = False) -> None:
    """Mark what will be a folder of copies or timelines: what lies there are no photos.

    `ours` are the files in it that a run is known to have written; `are_ours` says it of all.

    Raises:
        UsageError: it is there, with files, and no run made it.
        HemifaceError: the folder that it lies in can't be written.
    """
    name, what = _MARKS[folder.name]
    if is_marked(folder):
        return
    if not are_ours and any(one not in ours for one in folder.rglob("*") if not one.is_dir()):
        raise UsageError(
            f"Folder {printable(str(folder))} has files that no run is known to have written; "
            f"{what} could take their places. Choose another --out, move them, or make a file "
            f"{name} beside the folder if hemiface wrote all of them."
        )
    write_text(folder.with_name(name), f"{folder.name} has {what}: hemiface replaces them.\n")


def _is_file(path: Path) -> bool:
    """Return whether something is a file, also one of those that can't be read."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return True  # A link that leads nowhere, or a folder in which nothing may be opened.
    return stat.S_ISREG(mode)


def _source(path: Path, inner: Path) -> Source:
    return Source(printable(str(path)), kind_of(path), inner, str(path))


def kind_of(path: PurePath) -> str:
    """Return video or photo, by a name's suffix."""
    return "video" if path.suffix.lower() in VIDEO_SUFFIXES else "photo"


def copy_names(sources: Sequence[Source]) -> dict[str, Path]:
    """Return source name -> its copy below `pictures`: a.png, or a.gif.png where a.bmp is too.

    JPEG stays JPEG, videos become .mp4, every other photo .png.
    Of a name that becomes too long its start and a hash are left.
    """
    sources = [one for one in sources if one.kind != "folder"]
    short = {one.name: copies_of(one)[0] for one in sources}
    # Some file systems take A.png and a.png for one file.
    taken = Counter(str(path).casefold() for path in short.values())
    targets = {
        one.name: short[one.name]
        if taken[str(short[one.name]).casefold()] == 1
        else copies_of(one)[1]
        for one in sources
    }
    twice = [path for path, n in Counter(str(one).casefold() for one in targets.values()).items()
             if n > 1]  # fmt: skip
    if twice:
        raise UsageError(
            f"Two of the sources would both become pictures/{printable(twice[0])}; look at them "
            "one after the other, each with its own --out."
        )
    return targets


def copies_of(source: Source) -> tuple[Path, Path]:
    """Return both names that its copy may have below `pictures`, without its suffix and with it."""
    # What came as JPEG has lost what PNG would keep.
    still = ".jpg" if Path(source.path).suffix.lower() in _JPEG_SUFFIXES else ".png"
    suffix = ".mp4" if source.moves else still
    most = MOST_BYTES - len(suffix)
    short, whole = source.inner.stem, source.inner.name
    return (
        source.inner.with_name(fitting(short, most) + suffix),
        source.inner.with_name(fitting(whole, most) + suffix),
    )
