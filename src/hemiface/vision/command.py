"""What `hemiface predict` does around a run: the folder, what is printed, how it ends."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from hemiface.errors import DamagedError, NoFaceError, UsageError
from hemiface.vision.photos import MOST_PIXELS
from hemiface.vision.predictor import Predictor
from hemiface.vision.results import SCHEMA
from hemiface.vision.run import OnProgress, Outcome
from hemiface.vision.run import run as run_all
from hemiface.vision.sources import find_sources

__all__ = ["predict"]

_ROWS_SHOWN = 40


def predict(
    names: Sequence[str],
    *,
    model: str | None,
    hide: str | None,
    no_detect: bool,
    out: Path | None,
    formats: Sequence[str],
    abstain_below: float | None,
    flip: bool,
    save_image: bool,
    blur: bool,
    strict: bool,
    workers: int,
    frames: int | None,
    max_pixels: int | None,
    as_json: bool,
    on_progress: OnProgress,
) -> None:
    """Run, print a table or one JSON document, and raise at the end what went wrong.

    Raises:
        UsageError: copies are asked for without a folder, or what `Predictor` and `run` raise.
        DamagedError: some sources couldn't be read; all the others have been.
        NoFaceError: `strict`, and a source shows no face.
    """
    if save_image and out is None:
        raise UsageError("Annotated copies need a folder; name it with --out.")
    sources = find_sources(names, out)
    with _quiet_start():
        predictor = Predictor(
            model,
            no_detect=no_detect,
            hide=hide,
            abstain_below=abstain_below,
            flip=flip,
            most_pixels=max_pixels or MOST_PIXELS,
        )
    with _folder(out) as folder, run_all(
        sources, predictor, folder, formats=formats if out else (), pictures=save_image, blur=blur,
        workers=workers, most_frames=frames, on_progress=on_progress,
    ) as outcome:  # fmt: skip
        if as_json:
            _print_json(outcome)
        else:
            _print_table(outcome)
    for sentence in outcome.errors if len(sources) > 1 else []:
        print(f"hemiface: {sentence}", file=sys.stderr)
    _finish(outcome, strict)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Yield the folder of results, a passing one where none is named."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="hemiface-") as folder:
        yield Path(folder)


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Keep what LiteRT's first interpreter writes to the process's standard error away."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def _finish(outcome: Outcome, strict: bool) -> None:
    errors, total = outcome.errors, len(outcome.sources)
    if errors and total == 1:
        raise DamagedError(errors[0])
    if errors:
        raise DamagedError(f"{len(errors)} of {total} sources can't be read; see above.")
    if strict and outcome.faceless:
        raise NoFaceError(
            f"No face was found in {len(outcome.faceless)} of {total} sources, such as "
            f"{outcome.faceless[0]}."
        )


def _print_json(outcome: Outcome) -> None:
    """Print the document piece by piece: the faces of a long video don't fit into memory."""
    sources = json.dumps(outcome.sources, ensure_ascii=False)
    print(f'{{"schema": {SCHEMA},\n"sources": {sources},\n"faces": [', end="")
    for number, row in enumerate(outcome.rows()):
        print("," if number else "", json.dumps(row, ensure_ascii=False), sep="\n", end="")
    print("\n]}")


def _print_table(outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Faces", title_justify="left")
    table.add_column("source", overflow="fold")
    for heading in ("face", "box px"):
        table.add_column(heading, justify="right")
    for heading in ("looks", "confidence", "visible", "why not"):
        table.add_column(heading)
    photos = (row for row in outcome.rows() if row["frame"] is None)
    for row in islice(photos, _ROWS_SHOWN):
        table.add_row(*_cells(row))
    console = Console() if sys.stdout.isatty() else Console(width=140)
    if table.row_count:
        console.print(table)
    more = sum(1 for _ in photos)
    if more:
        print(f"... and {more:,} more faces")
    for one in outcome.sources:
        if one["frames"] is not None:
            print(f"{one['source']}: {one['faces']:,} faces in {one['frames']:,} frames")
        if one["note"]:
            print(f"{one['source']}: {one['note']}")
    faces = sum(one["faces"] for one in outcome.sources)
    print(f"{faces:,} faces in {len(outcome.sources) - len(outcome.errors):,} sources")
    for source in outcome.faceless[:_ROWS_SHOWN]:
        print(f"{source}: no face found")
    for path in outcome.written:
        print(path)


def _cells(row: dict[str, Any]) -> list[str]:
    box = f"{row['x_px']:.0f},{row['y_px']:.0f} {row['width_px']:.0f}x{row['height_px']:.0f}"
    seen = [
        f"{region} {100 * row[f'visible_{region}']:.0f}% {row[f'visible_{region}_source']}"
        for region in ("upper", "lower", "left", "right")
        if row[f"visible_{region}"] is not None and row[f"visible_{region}"] < 1
    ]
    return [
        row["source"], str(row["face"]), box, row["label"] or "?",
        f"{row['confidence']:.2f}", ", ".join(seen), row["reason"] or "",
    ]  # fmt: skip
