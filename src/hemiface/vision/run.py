"""Photos, folders, videos and cameras to tables: share the work, name what is broken, resume.

A folder of results holds `faces.<format>` (see `hemiface.vision.faces`), `sources.csv` (each
file with the number of its faces, its error and note), `pictures/` where annotated copies were
asked for, `timelines/` where figures of videos were, and a hidden journal, by which the same
command goes on where it was killed, within a video too, unless a copy is made of it: then it is
watched from its beginning. What a camera showed until then is kept as a recording. Under
other settings everything begins anew: copies and timelines of before go when the new tables come
(see `hemiface.vision.earlier`).
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import printable
from hemiface.inputs import require_apart
from hemiface.locks import locked
from hemiface.threads import in_threads, interrupts_noted
from hemiface.vision.drawing import annotate, blur
from hemiface.vision.earlier import (
    OUTDATED,
    Untrue,
    copy_stamp,
    remove_gone,
    remove_timeline,
    timeline,
    timeline_files,
)
from hemiface.vision.faces import SCHEMA, Faces, require_formats
from hemiface.vision.journal import Journal
from hemiface.vision.predictor import Predictor
from hemiface.vision.results import Held, has_tables, require_own, told_of, write_tables
from hemiface.vision.seen import Box, Frame
from hemiface.vision.shown import write_picture
from hemiface.vision.sources import COPIES, TIMELINES, Source, copy_names
from hemiface.vision.video.blurring import Covers, frames_ahead
from hemiface.vision.video.frames import (
    VideoWriter,
    frame_count,
    open_writer,
    read_frames,
    require_camera,
)
from hemiface.vision.video.portraits import Portraits, unpacked
from hemiface.vision.video.smoothing import Smoother
from hemiface.vision.video.timeline import MOST_FACES
from hemiface.vision.video.timeline import write as write_timeline
from hemiface.vision.video.watching import SEARCH_EVERY, Watch

__all__ = [
    "Outcome",
    "RunOptions",
    "check_options",
    "run",
    "settings_of",
    "some_frames",
]

OnProgress = Callable[[str, int, int], None]
_Seen = tuple[Source, Faces | None, str]

_FRAMES_AT_ONCE = 16
# Large frames fill memory before they fill the network's batch.
_BYTES_AT_ONCE = 1 << 28
_TOLD_EVERY = 10
_PORTRAITS = "portraits"
"""Where a journal notes who was who in a video."""
_VIDEO_EXTRA = "pip install 'hemiface[video]'"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run goes over its sources, and what it writes."""

    formats: Sequence[str] = ()
    """Of the tables: csv, parquet, jsonl; without any no table is written."""
    pictures: bool = False
    """Write annotated copies of photos and videos."""
    blur: bool = False
    """Make the faces in these copies unrecognisable."""
    workers: int = 1
    """Threads that share the photos."""
    most_frames: int | None = None
    """Stop each video and camera after so many frames; None watches them to their end."""
    search_every: int = SEARCH_EVERY
    """Search every so many-th frame of a video in full (see `vision.video.watching`)."""
    cut_every: int | None = None
    """Search every so many-th frame of a video anew, so that machines may share it from there
    (`vision.stretches`); None leaves a video whole."""
    timelines: bool = False
    """Draw each video's faces over time."""
    smooth_s: float | None = None
    """Half-life of what smooths the labels of videos (see `vision.video.smoothing`); None smooths
    nothing."""
    replace: bool = False
    """Let the results of fewer photos and frames take the place of those of more."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    sources: list[dict[str, Any]]
    """One per source: source, kind, faces, frames, error, note; empty strings where all is well."""
    rows: Callable[[], Iterator[dict[str, Any]]] = field(repr=False)
    """Rows of the schema, read from disk as they are asked for while the run's folder is open."""
    written: list[Path]
    """The tables; empty without a folder of results."""

    @property
    def errors(self) -> list[str]:
        """One sentence for each source that couldn't be read (to its end)."""
        return [one["error"] for one in self.sources if one["error"]]

    @property
    def faceless(self) -> list[str]:
        """The readable sources without a face."""
        return [one["source"] for one in self.sources if not one["faces"] and not one["error"]]


@contextmanager
def run(
    sources: Sequence[Source],
    predictor: Predictor,
    folder: Path,
    options: RunOptions | None = None,
    *,
    on_progress: OnProgress = lambda *_: None,
    before: Callable[[], None] = lambda: None,
) -> Iterator[Outcome]:
    """Look at every source and write tables into `folder`; yield what came of it.

    A source that can't be read becomes an error in the outcome and stops nothing. Sources that the
    journal in `folder` knows as done, with the same options and an unchanged file, aren't looked at
    again. `on_progress` is called with what is done, its number and the total, 0 where nobody knows
    it; `before` is called when the folder is locked and nothing has been looked at.

    Raises:
        UsageError: `workers`, `most_frames` or `smooth_s` is not positive, `blur` without
            `pictures`, an unknown format, two annotated pictures would have the same name, they or
            timelines or a table would take the place of a file that no run wrote, another process
            writes into the folder, or the results of more lie there.
        HemifaceError: the folder can't be written, a camera can't be opened, there are only videos
            and PyAV isn't installed, or Parquet is asked for and pyarrow isn't.
    """
    options = options or RunOptions()
    check_options(options, sources)
    copies = None
    if options.pictures:
        copies = _Copies(folder / COPIES, options.blur, copy_names(sources))
        require_apart((one.path for one in sources), map(copies.path, copies.of(sources)))
    settings = settings_of(predictor, options)
    with ExitStack() as stack:
        stack.enter_context(locked(folder))
        require_own(folder, options.formats)
        # The journal of these settings stays, whatever of it is in the tables.
        known = [settings, settings | {"pictures": True}]
        begun = Journal.begun(folder, known, told=has_tables(folder))
        held = Held.of(folder, begun)
        held.require_smaller(sources, options.most_frames, replace=options.replace)
        _require_cameras(sources, [Held.of(folder), held], options)
        untrue = Untrue.find(folder, sources, settings, _writes(sources, options))
        before()
        # Which copies were made is known from it alone.
        journal = stack.enter_context(Journal(folder, settings, keeps=untrue.is_as_before))
        work = _Work(predictor, copies, journal, options, on_progress, untrue.files)
        _look_at(sources, work)
        names = [one.name for one in sources]
        told = [told_of(name, journal.ended[name]) for name in names]
        # What a camera showed doesn't come again: it isn't given up for what is there.
        if not any(one.kind == "camera" for one in sources):
            held.require_no_larger(told, replace=options.replace)
        untrue.remove((journal.ended[name] for name in names), work.gone)
        written = _write(sources, told, journal, folder, options)
        journal.settle()
        yield Outcome(told, lambda: journal.rows(names), written)


def _require_cameras(sources: Sequence[Source], held: Iterable[Held], options: RunOptions) -> None:
    """Raise before hours of other work if a camera can't be opened, or where it would overwrite."""
    cameras = [one for one in sources if one.kind == "camera"]
    for each in held if cameras else ():
        each.require_kept(sources, replace=options.replace)
    # Alone it is opened next.
    if len(sources) > 1 and find_spec("av") is not None:
        for one in cameras:
            require_camera(one.path)


def _unopened(source: Source) -> str:
    """Return why a camera can't be opened, empty if it can and of what is none."""
    if source.kind == "camera":
        try:
            require_camera(source.path)
        except HemifaceError as error:
            return printable(str(error))
    return ""


def settings_of(predictor: Predictor, options: RunOptions) -> dict[str, Any]:
    """Return what the results of a run depend on beside its sources, as JSON values."""
    return {**predictor.settings(), "schema": SCHEMA, "pictures": options.pictures,
            "blur": options.blur, "most_frames": options.most_frames,
            "search_every": options.search_every, "cut_every": options.cut_every,
            "smooth_s": options.smooth_s}  # fmt: skip


def check_options(options: RunOptions, sources: Sequence[Source]) -> None:
    """Raise what `run` says of options before it looks at anything."""
    frames = options.most_frames
    if min(options.workers, 1 if frames is None else frames, options.cut_every or 1) < 1:
        raise UsageError("Workers and frames must be at least 1.")
    if options.smooth_s is not None:
        # Refused before anything is looked at.
        Smoother(options.smooth_s)
    if options.blur and not options.pictures:
        raise UsageError("Blurring changes the pictures that --save-image writes; give both.")
    # Not only when all the work is done and is to be written.
    require_formats(options.formats)
    if options.timelines:
        _check_timelines(sources)


def _check_timelines(sources: Sequence[Source]) -> None:
    # Missing, it must be told before hours of work.
    import matplotlib  # noqa: F401

    videos = [one.inner for one in sources if one.moves]
    if len(set(videos)) < len(videos):
        raise UsageError("Two of the videos have one name, and so would their timelines.")


def _writes(sources: Sequence[Source], options: RunOptions) -> list[str]:
    """Return what a run makes beside its tables."""
    draws = options.timelines and any(one.moves for one in sources)
    return [COPIES] * options.pictures + [TIMELINES] * draws


def _is_done(source: Source, work: "_Work") -> bool:
    known = work.journal.ended.get(source.name)
    if source.kind == "camera":
        # What one showed doesn't come again: first it comes into tables.
        return source.name in work.journal.untold
    return (
        known is not None
        and not known["error"]
        and known["fingerprint"] == source.fingerprint
        and (work.copies is None or work.copies.has(source, known))
        # Kept only where somebody asked to see them.
        and not (source.moves and work.shows_faces and _PORTRAITS not in known)
    )


def _watchable(sources: Sequence[Source], work: "_Work", *, alone: bool) -> Sequence[Source]:
    """Return videos and cameras; without PyAV none, and an error for each or, `alone`, for all."""
    if not sources or find_spec("av") is not None:
        return sources
    if alone:
        raise HemifaceError(f"Videos and cameras need PyAV; {_VIDEO_EXTRA}.")
    for source in sources:
        error = f"{source.name} needs PyAV to be watched; {_VIDEO_EXTRA}."
        work.end(source, {"faces": 0, "frames": None, "error": error}, copied=False)
    return ()


@dataclass(frozen=True)
class _Copies:
    """Annotated copies of what was looked at."""

    folder: Path
    blur: bool
    names: dict[str, Path]

    def of(self, sources: Iterable[Source]) -> list[Source]:
        """Return those of the sources that have a copy."""
        return [one for one in sources if one.name in self.names]

    def path(self, source: Source) -> Path:
        return self.folder / self.names[source.name]

    def stamp(self, source: Source) -> list[int]:
        """Return what tells its copy from others of that name, [] where there is none."""
        return copy_stamp(self.path(source))

    def has(self, source: Source, known: Mapping[str, Any]) -> bool:
        """Return whether its own copy lies there, not another source's of the same name."""
        stamp = self.stamp(source)
        # Before these were noted that any lay there had to do.
        return bool(stamp) and known.get("copy", stamp) == stamp

    def drawn(self, frame: Frame, faces: Faces, boxes: Sequence[Box]) -> Any:
        pixels = blur(frame.pixels, boxes) if self.blur else frame.pixels
        return annotate(pixels, faces, off=self.blur)

    def save(self, source: Source, frame: Frame, faces: Faces) -> None:
        write_picture(self.drawn(frame, faces, [face.box_px for face in faces]), self.path(source))


class _Film:
    """The annotated copy of a video, written while it is watched; see `open_writer`."""

    def __init__(self, copies: _Copies, writer: VideoWriter, search_every: int) -> None:
        self._copies = copies
        self._writer = writer
        # Only blurring needs to know what comes.
        self._covers = Covers(frames_ahead(search_every) if copies.blur else 0)

    def add(self, frame: Frame, faces: Faces) -> None:
        self._write(self._covers.add(frame, faces))

    def finish(self) -> None:
        self._write(self._covers.rest())

    def _write(self, ready: Iterable[tuple[Frame, Faces, list[Box]]]) -> None:
        for frame, faces, boxes in ready:
            self._writer.add(self._copies.drawn(frame, faces, boxes), frame.timestamp_s)


@dataclass(frozen=True)
class _Work:
    """What looking at any source of one run needs."""

    predictor: Predictor
    copies: _Copies | None
    journal: Journal
    options: RunOptions
    on_progress: OnProgress
    untrue: Mapping[Path, Any]
    """See `Untrue.files`."""
    gone: set[Path] = field(default_factory=set)
    """Copies and timelines that what was looked at belies."""

    @property
    def shows_faces(self) -> bool:
        """Whether timelines show whose lane is whose."""
        return self.options.timelines and not self.options.blur

    def end(self, source: Source, values: dict[str, Any], note: str = "", *, copied: bool) -> None:
        """Note that a source is whole; what an earlier run made of it will go, unless remade.

        A file that changed may show other faces, or none that can be found and blurred.
        """
        known = {"kind": source.kind, "fingerprint": source.fingerprint, **values, "note": note}
        before = self.journal.ended.get(source.name, known)
        is_gone = source.kind != "camera" and not source.fingerprint
        if values["error"] and not before["error"] and is_gone:
            # A drive that isn't there comes back with the file as it was.
            self.journal.end(source.name, known, lasting=False)
            return
        if source.moves:
            drawn = timeline(self.journal.path.parent, source)
            is_as_before = all(before[one] == known[one] for one in ("fingerprint", "error"))
            if is_as_before and source.kind != "camera":
                drawn &= self.untrue.keys()
            self.gone.update(drawn)
            # The next run, should this one be stopped, takes the source for done.
            known[OUTDATED] = [copy_stamp(one) for one in drawn]
        if self.copies is not None and source.kind != "folder":
            if not copied:
                self.gone.add(self.copies.path(source))
            known["copy"] = self.copies.stamp(source) if copied else []
        self.journal.end(source.name, known)


def _look_at(sources: Sequence[Source], work: _Work) -> None:
    """Look at what the journal doesn't know as done: photos first, then videos and cameras."""
    journal = work.journal
    todo = [one for one in sources if not _is_done(one, work)]
    done = len(sources) - len(todo)
    if done:
        _log.info("%d of %d sources were looked at before", done, len(sources))
    for source in sources:
        if source.name in journal.untold and source.kind == "camera":
            _log.warning(
                "%s isn't recorded: what it showed to a run that was stopped comes into the "
                "tables first",
                source.name,
            )
    with closing(_photos([one for one in todo if one.kind == "photo"], work)) as photos:
        for source, faces, error in photos:
            if faces:
                journal.add(source.name, [face.row() for face in faces])
            known = {"faces": len(faces or ()), "frames": None, "error": error}
            work.end(source, known, faces.note if faces else "", copied=faces is not None)
            done += 1
            work.on_progress(f"looking at {Path(source.name).name}", done, len(sources))
    for source in (one for one in todo if one.kind == "folder"):
        work.end(source, {"faces": 0, "frames": None, "error": source.problem}, copied=False)
    moving = [one for one in todo if one.moves]
    for source in _watchable(moving, work, alone=len(moving) == len(sources)):
        is_kept = journal.reached(source.name) is not None
        problem = _unopened(source) if len(sources) > 1 and not is_kept else ""
        if problem:
            # What others showed isn't lost by it.
            work.end(source, {"faces": 0, "frames": 0, "error": problem}, copied=False)
        else:
            _watch(source, work)


def _write(
    sources: Sequence[Source],
    told: Sequence[dict[str, Any]],
    journal: Journal,
    folder: Path,
    options: RunOptions,
) -> list[Path]:
    """Write the tables and timelines that are asked for; return their files."""
    written: list[Path] = []
    if options.formats:
        every = journal.rows([one.name for one in sources])
        written = write_tables(every, told, folder, options.formats)
        remove_gone(folder, sources, told)
    for source in sources if options.timelines else ():
        if source.moves:
            files = timeline_files(folder, source)
            rows = partial(journal.rows, [source.name])
            portraits = unpacked(journal.ended[source.name].get(_PORTRAITS, {}))
            target, stem = files[0].parent, files[0].stem
            made = write_timeline(rows, target, stem, source.inner.name, portraits)
            if not made:
                remove_timeline(folder, source)
            written += made
    return written


def _photos(sources: Sequence[Source], work: _Work) -> Generator[_Seen, None, None]:
    """Yield each photo with its faces, or None and the error, in order."""

    def look(source: Source) -> _Seen:
        # What takes its place while it is looked at is looked at by the next run.
        source = source.noted()
        try:
            photo = work.predictor.read(source.path)
        except DamagedError as error:
            return source, None, printable(str(error))
        frame = Frame(photo.pixels, source.name)
        found = work.predictor.predict_frames([frame])[0]
        faces = Faces(found.source, found.faces, photo.note)
        if work.copies is not None:
            work.copies.save(source, frame, faces)
        return source, faces, ""

    return in_threads(look, sources, work.options.workers)


def _watch(source: Source, work: _Work) -> None:
    """Look at a video or camera, some frames at a time."""
    copies, options = work.copies, work.options
    source = source.noted()
    recorded = work.journal.reached(source.name) if source.kind == "camera" else None
    if recorded is not None:
        _keep(source, recorded, work)
        return
    read = (replace(frame, source=source.name) for frame in read_frames(source.film))
    stream: Iterator[Frame] = islice(read, options.most_frames)
    looking = _Looking(source, work)
    error = looking.go_on(stream)
    ended = bool(error)
    with ExitStack() as stack:
        if source.kind == "camera":
            # It has no other end, and what it showed doesn't come again.
            came = stack.enter_context(interrupts_noted())
            stream = takewhile(lambda _: not came(), stream)
        while not ended:
            part, error, ended = some_frames(
                stream, source.kind, options.cut_every, looking.watch.ahead(_FRAMES_AT_ONCE)
            )
            # No file for a video without a frame.
            if copies is not None and looking.film is None and part:
                writer = stack.enter_context(open_writer(copies.path(source)))
                looking.film = _Film(copies, writer, looking.watch.search_every)
            looking.look_at(part)
            if ended and source.kind == "camera" and came():
                _log.info("%s was stopped; its tables are being written", source.name)
        if looking.film is not None:
            looking.film.finish()
    if not looking.frames and not error:
        error = f"Video {source.name} has no frames; get it again."
        if source.kind == "camera":
            error = f"{source.name} had shown no frame when it was stopped; give it more time."
    has_copy = looking.film is not None
    note = "sound isn't kept" if has_copy and source.kind == "video" else ""
    work.end(source, looking.known(error), note, copied=has_copy)


class _Looking:
    """One video or camera that is being watched, and what came of it so far."""

    def __init__(self, source: Source, work: _Work) -> None:
        self._source, self._work, self._journal = source, work, work.journal
        options = work.options
        self.watch = Watch(
            work.predictor, options.search_every, options.smooth_s, options.cut_every
        )
        self.film: _Film | None = None
        self._portraits = Portraits() if work.shows_faces else None
        self.frames, self._faces = 0, 0
        self._count = frame_count(source.film)
        """Of all frames; 0 where nobody knows."""
        if self._count and options.most_frames is not None:
            self._count = min(self._count, options.most_frames)
        # A copy can't be taken up again.
        self._resumes = source.kind == "video" and bool(source.fingerprint) and work.copies is None

    def go_on(self, stream: Iterator[Frame]) -> str:
        """Pass over the frames that a run which was stopped looked at; return what went wrong."""
        name, source = Path(self._source.name).name, self._source
        reached = self._journal.reached(source.name) if self._resumes else None
        if reached is None or reached["fingerprint"] != source.fingerprint:
            return ""
        if self._portraits is not None:
            if _PORTRAITS not in reached:
                return ""
            every = self._journal.all_reached(source.name)
            self._portraits.go_on(one[_PORTRAITS] for one in every)
        self._journal.go_on(source.name)
        self.watch.go_on(reached["watch"])
        self.frames, self._faces = reached["frames"], reached["faces"]
        _log.info("%s goes on after %d frames", source.name, self.frames)
        try:
            for done, _ in enumerate(islice(stream, self.frames), 1):
                if done % _TOLD_EVERY == 0:
                    self._work.on_progress(f"going on in {name}", done, self.frames)
        except DamagedError as error:
            return printable(str(error))
        return ""

    def look_at(self, part: Sequence[Frame]) -> None:
        """Look at the next frames, and note their faces and, where that can be, the place."""
        rows: list[dict[str, Any]] = []
        for frame, found in zip(part, self.watch.predict_frames(part), strict=True):
            if self.film is not None:
                self.film.add(frame, found)
            if self._portraits is not None:
                self._portraits.add(frame, found)
            rows += [face.row() for face in found]
            self.frames, self._faces = self.frames + 1, self._faces + len(found)
            if self.frames % _TOLD_EVERY == 0:
                name = Path(self._source.name).name
                total = self._count if self.frames <= self._count else 0
                self._work.on_progress(f"watching {name}", self.frames, total)
        reached = self._reached() if part else None
        if rows or reached is not None:
            self._journal.add(self._source.name, rows, reached)

    def _reached(self) -> dict[str, Any] | None:
        """Return what the next run needs to know if this one is killed; None where it can't be."""
        reached = {"kind": self._source.kind, "frames": self.frames, "faces": self._faces}
        if self._source.kind == "camera":
            return reached
        state = self.watch.state() if self._resumes else None
        if state is None:
            return None
        if self._portraits is not None:
            reached[_PORTRAITS] = self._portraits.state()
        return reached | {"fingerprint": self._source.fingerprint, "watch": state}

    def known(self, error: str) -> dict[str, Any]:
        """Return what is known at the end."""
        known = {"faces": self._faces, "frames": self.frames, "error": error}
        if self._portraits is not None:
            known[_PORTRAITS] = self._portraits.packed(MOST_FACES)
        return known


def _keep(source: Source, recorded: Mapping[str, Any], work: _Work) -> None:
    """End a camera with what it showed until its process was killed: that doesn't come again."""
    work.journal.go_on(source.name)
    frames, faces = recorded["frames"], recorded["faces"]
    error = (
        f"The recording of {source.name} broke off after {frames:,} frames, as its process did; "
        "what it had is kept, and the same command with --replace records anew."
    )
    work.end(source, {"faces": faces, "frames": frames, "error": error}, copied=False)


def some_frames(
    stream: Iterator[Frame], kind: str, cut_every: int | None = None, most: int = _FRAMES_AT_ONCE
) -> tuple[list[Frame], str, bool]:
    """Return the next frames, what went wrong after them, and whether they were the last ones.

    They are at most `most`, and none of them lies behind a cut that another one lies before. Ctrl-C
    ends a camera.
    """
    part: list[Frame] = []
    size = 0
    try:
        for frame in stream:
            part.append(frame)
            size += frame.pixels.nbytes
            is_cut = cut_every is not None and ((frame.number or 0) + 1) % cut_every == 0
            if len(part) == most or size >= _BYTES_AT_ONCE or is_cut:
                return part, "", False
    except DamagedError as error:
        return part, printable(str(error)), True
    except KeyboardInterrupt:
        if kind != "camera":
            raise
    return part, "", True
