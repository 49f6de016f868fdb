"""What `hemiface predict` does around a run: the folder, what is printed, how it ends."""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from hemiface.cli.printing import json_text, say, show
from hemiface.errors import DamagedError, HemifaceError, NoFaceError, UsageError, escaped
from hemiface.files import passing_folder
from hemiface.ray_cluster import address_of, require_ray
from hemiface.vision import remote
from hemiface.vision.faces import SCHEMA
from hemiface.vision.on_ray import RayOptions, run_on_ray
from hemiface.vision.predictor import Predictor, PredictorOptions
from hemiface.vision.run import OnProgress, Outcome, RunOptions, run
from hemiface.vision.shards import Shard, run_shard
from hemiface.vision.sources import find_sources, listed

__all__ = ["counted", "end", "end_if_unread", "predict"]

_ROWS_SHOWN = 40
_WELL_VISIBLE = 0.95
_LINES_OF_PROGRESS = 10
_WORTH_LINES = 50
_OF_FRAMES = ("watching ", "going on in ")
"""How what is told begins where frames are counted."""


class _LostError(HemifaceError):
    """Ctrl-C without a folder that keeps what was done."""

    exit_code = 130


def predict(
    names: Sequence[str],
    looking: PredictorOptions,
    running: RunOptions,
    *,
    out: Path | None,
    shard: str,
    on: str = "",
    workers: int | None = None,
    listing: Path | None = None,
    strict: bool,
    as_json: bool,
    progress: Callable[[], AbstractContextManager[OnProgress]],
) -> None:
    """Run, print a table or one JSON document, and raise at the end what went wrong.

    `out` is the folder of results; without one nothing is kept, whatever formats `running` names.
    `shard`, such as 3/16, looks at that part of the sources alone (`hemiface.vision.shards`); `on`,
    ray or ray://HOST, has them looked at on a cluster (`hemiface.vision.on_ray`), where they may be
    addresses, by so many `workers`. `listing` is a file with more names, one a line.
    `progress` shows how far the work is until it is left; nothing is printed before.

    Raises:
        UsageError: copies are asked for without a folder, or what `Predictor` and `run` raise.
        HemifaceError: what `run` raises.
        DamagedError: some sources couldn't be read; all the others have been.
        NoFaceError: `strict`, and a source shows no face.
    """
    if (running.pictures or running.timelines) and out is None:
        raise UsageError("Annotated copies and timelines need a folder; name it with --out.")
    part = Shard.parse(shard) if shard else None
    if part is not None and out is None:
        raise UsageError("A shard needs the folder of all results; name it with --out.")
    where = _place(on, workers, out, part) if on else None
    if out is not None and not running.formats:
        raise UsageError("No format is named; give --format csv, parquet or jsonl.")
    # Pillow warns of oddities in metadata, which nothing here depends on.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    names = [*names, *(listed(listing) if listing else ())]
    if not names:
        raise UsageError("Nothing is named to look at; give photos, folders or videos, or --list.")
    if out is None:
        running = replace(running, formats=())
    with _folder(out) as folder, ExitStack() as stack:
        with progress() as on_progress, _said_if_lost(out):
            sources = find_sources(names, out, remote.find if where else None)
            predictor = Predictor.of(looking)
            told = _lines(on_progress)
            if where is not None:
                looked = run_on_ray(
                    sources, predictor, looking, folder, running, where, on_progress=told
                )
            elif part is not None:
                looked = run_shard(sources, predictor, folder, part, running, on_progress=told)
            else:
                looked = run(sources, predictor, folder, running, on_progress=told)
            outcome = stack.enter_context(looked)
        if as_json:
            _print_json(outcome)
        else:
            _print_table(outcome)
    if not any(one.moves for one in sources):
        if running.timelines:
            print("hemiface: --timeline draws videos; these are photos.", file=sys.stderr)
        if running.smooth_s is not None:
            print("hemiface: --smooth smooths videos; these are photos.", file=sys.stderr)
    kinds = {one.moves for one in sources}
    still = predictor.threshold_note if False in kinds else ""
    moving = predictor.for_videos().threshold_note if True in kinds else ""
    if still:
        print(f"hemiface: {still}", file=sys.stderr)
    if moving and moving != still:
        print(f"hemiface: {'In videos: ' if still else ''}{moving}", file=sys.stderr)
    if part is not None:
        said = f"Shard {part}: hemiface merge {escaped(str(out))} puts all of them together."
        print(said, file=sys.stderr if as_json else sys.stdout)
    end(outcome, strict=strict)


def _place(on: str, workers: int | None, out: Path | None, part: Shard | None) -> RayOptions:
    """Return where to look instead of here.

    Raises:
        UsageError: that is no place, or it doesn't go with the other options.
        HemifaceError: Ray isn't installed.
    """
    address = address_of(on)
    if out is None:
        raise UsageError("A cluster needs the folder of the results; name it with --out.")
    if part is not None:
        raise UsageError("--on shares the sources out by itself; leave out --shard.")
    require_ray()
    return RayOptions(address=address, workers=workers)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Yield the folder of results, a passing one where none is named."""
    if out is not None:
        yield out
        return
    with passing_folder() as folder:
        yield folder


@contextmanager
def _said_if_lost(out: Path | None) -> Iterator[None]:
    """Say after Ctrl-C that nothing was kept, where that is so."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if out is not None:
            raise
        raise _LostError("interrupted; name a folder with --out to keep what is done.") from stop


def _lines(on_progress: OnProgress) -> OnProgress:
    """Tell `on_progress`, and say some times in a line how far the work is if nobody sees a bar."""
    if sys.stderr.isatty():
        return on_progress

    def told(what: str, done: int, total: int) -> None:
        on_progress(what, done, total)
        if what.startswith(_OF_FRAMES):
            if done % 1000 == 0:
                of = f" of {total:,}" if total else ""
                print(f"{escaped(what)}: {done:,}{of} frames", file=sys.stderr, flush=True)
            return
        step = -(-total // _LINES_OF_PROGRESS)
        if total >= _WORTH_LINES and done % step == 0:
            print(f"looked at {done:,} of {total:,}", file=sys.stderr, flush=True)

    return told


def end(outcome: Outcome, *, strict: bool = False) -> None:
    """Raise at the end what went wrong on the way, and name all of it.

    Raises:
        DamagedError: some sources couldn't be read.
        NoFaceError: `strict`, and a source shows no face.
    """
    total = len(outcome.sources)
    end_if_unread(outcome.errors, total, "sources")
    if strict and outcome.faceless:
        raise NoFaceError(
            f"No face was found in {len(outcome.faceless)} of {total} sources, such as "
            f"{outcome.faceless[0]}."
        )


def end_if_unread(errors: Sequence[str], total: int, what: str) -> None:
    """Name what couldn't be read of so many, one error in itself, and raise that there is some.

    Raises:
        DamagedError: there is.
    """
    if errors and total == 1:
        raise DamagedError(errors[0])
    for sentence in errors:
        print(f"hemiface: {escaped(sentence)}", file=sys.stderr)
    if errors:
        raise DamagedError(f"{len(errors)} of {total} {what} can't be read; see above.")


def _print_json(outcome: Outcome) -> None:
    """Print the document piece by piece: the faces of a long video don't fit into memory."""
    sources = json_text(outcome.sources)
    print(f'{{"schema": {SCHEMA},\n"sources": {sources},\n"faces": [', end="")
    for number, row in enumerate(outcome.rows()):
        print("," if number else "", json_text(row), sep="\n", end="")
    print("\n]}")


def _print_table(outcome: Outcome) -> None:
    photos = (row for row in outcome.rows() if row["frame"] is None)
    shown = list(islice(photos, _ROWS_SHOWN))
    if shown:
        _print_faces(shown)
    more = sum(1 for _ in photos)
    if more:
        print(f"... and {counted(more, 'more face')}")
    for one in outcome.sources:
        if one["frames"] is not None:
            seen = f"{counted(one['faces'], 'face')} in {counted(one['frames'], 'frame')}"
            print(f"{escaped(one['source'])}: {seen}")
        if one["note"]:
            print(escaped(f"{one['source']}: {one['note']}"))
    for source in outcome.faceless[:_ROWS_SHOWN]:
        print(f"{escaped(source)}: no face found")
    more = len(outcome.faceless) - _ROWS_SHOWN
    if more > 0:
        print(f"... and no face in {counted(more, 'more source')}")
    faces = sum(one["faces"] for one in outcome.sources)
    # Of a film that is cut off there are the faces before.
    read = sum(bool(one["faces"]) or not one["error"] for one in outcome.sources)
    print(f"{counted(faces, 'face')} in {counted(read, 'source')}")
    if not outcome.written and any(one["frames"] for one in outcome.sources):
        print("To keep what was seen in each frame, name a folder with --out, or give --json.")
    for path in outcome.written:
        say(path)


def counted(number: int, word: str) -> str:
    """Return `1 face`, `2 faces`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _print_faces(rows: Sequence[dict[str, Any]]) -> None:
    """Print one line per face; a source is named at its first, columns without a word are left out.

    Names are shortened by the folder that they have in common, which the title names.
    """
    folder = _common_folder(row["source"] for row in rows)
    columns = ("photo", "face", "box, px", "emotion", "sure", "visible", "why not")
    cells = [_cells(row) for row in rows]
    last = ""
    for row, cell in zip(rows, cells, strict=True):
        cell[0] = os.path.relpath(row["source"], folder or ".") if row["source"] != last else ""
        last = row["source"]
    kept = [i for i, name in enumerate(columns) if i < 5 or any(cell[i] for cell in cells)]
    show(
        f"Faces in {folder}" if folder else "Faces",
        [columns[i] for i in kept],
        [[cell[i] for i in kept] for cell in cells],
        numbers=("face", "box, px", "sure"),
    )


def _common_folder(names: Iterable[str]) -> str:
    """Return the folder that files lie in together, empty if there is none."""
    try:
        return os.path.commonpath({os.path.dirname(name) for name in names})  # noqa: PTH120
    except ValueError:
        # Absolute and relative names, or two drives.
        return ""


def _cells(row: dict[str, Any]) -> list[str]:
    box = f"{row['x_px']:.0f},{row['y_px']:.0f} {row['width_px']:.0f}x{row['height_px']:.0f}"
    label = row["label"] or "?"
    return ["", str(row["face"]), box, label, f"{100 * row['confidence']:.0f}%", _visible(row),
            row["reason"] or ""]  # fmt: skip


def _visible(row: dict[str, Any]) -> str:
    """Return the halves that aren't whole, by where that is known from."""
    known: dict[str, list[str]] = {}
    for region in ("upper", "lower", "left", "right"):
        share = row[f"visible_{region}"]
        if share is not None and share < _WELL_VISIBLE:
            said = f"{region} {100 * share:.0f}%"
            known.setdefault(row[f"visible_{region}_source"], []).append(said)
    return "; ".join(f"{', '.join(said)} ({source})" for source, said in known.items())
