"""What a larger network costs where faces have to be found first: whole photos, search included.

    python benchmarks/whole_photos.py FOLDER

Every photo of the folder is searched and read by the default network for pictures and by the one
for videos (`--model`, repeatable, names others), which take turns, each photo and each repeat
beginning with another. Searching and reading are timed apart, in processor time of this process.
Given are a photo's medians over repeats, and the ratio of whole times, larger to smaller network,
photo by photo. Writes `results/benchmarks/whole_photos.json`; needs `hemiface models pull`.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

import skeleton
from hemiface.errors import UsageError
from hemiface.files import sha256_file
from hemiface.models import shipped
from hemiface.vision.photos import PHOTO_SUFFIXES, read_photo
from hemiface.vision.predictor import Predictor
from hemiface.vision.seen import Frame
from timing import ratios, spread, turned

Value = TypeVar("Value")


def timed(work: Callable[[], Value]) -> tuple[Value, float]:
    """Return what `work` returns, and the milliseconds of processor time that it took."""
    started = time.process_time()
    value = work()
    return value, 1000 * (time.process_time() - started)


def of_photo(predictors: dict[str, Predictor], path: Path, repeats: int, turn: int) -> Any:
    """Return a photo's faces, and each network's medians over repeats in ms."""
    photo = read_photo(path).pixels
    frames = [Frame.without_pixels(path.name)]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in predictors}
    faces = 0
    for repeat in range(repeats):
        for name in turned(list(predictors), repeat + turn):
            predictor = predictors[name]
            seen, searching = timed(partial(predictor.see, photo))
            _, reading = timed(partial(predictor.say, frames, [seen]))
            times[name].append((searching, reading))
            faces = len(seen)
    medians = {}
    for name, taken in times.items():
        searching, reading = (statistics.median(one) for one in zip(*taken, strict=True))
        medians[name] = {
            "searching_ms": searching,
            "reading_ms": reading,
            "whole_ms": statistics.median(map(sum, taken)),
        }
    return {"photo": path.name, "sha256": sha256_file(path), "faces": faces, "ms": medians}


def summary(photos: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return spreads over photos: of each network, and of whole times against the last one's."""

    def over(name: str, part: str) -> list[float]:
        return [one["ms"][name][part] for one in photos]

    parts = ("searching_ms", "reading_ms", "whole_ms")
    return {
        name: {part: spread(over(name, part)) for part in parts}
        | {"times_the_last": ratios(over(name, "whole_ms"), over(names[-1], "whole_ms"))}
        for name in names
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    paths = sorted(one for one in options.folder.glob("*") if one.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise UsageError(f"{options.folder} holds no photos; name another folder.")
    defaults = [shipped.default_model(in_videos=one) for one in (False, True)]
    predictors = {name: Predictor(name) for name in options.model or defaults}
    machine = skeleton.Machine()
    photos = []
    for turn, path in enumerate(paths):
        print(f"{turn + 1}/{len(paths)} {path.name}", file=sys.stderr)
        photos.append(of_photo(predictors, path, options.repeats, turn))
    shown = [one for one in photos if one["faces"]]
    return {
        **machine.facts(),
        "repeats": options.repeats,
        "faces": sum(one["faces"] for one in shown),
        "with_faces": len(shown),
        "over_photos_with_faces": summary(shown, list(predictors)) if shown else {},
        "photos": photos,
    }


def show(results: dict[str, Any]) -> None:
    """Print a row for each network."""
    title = (
        f"{results['with_faces']} photos with {results['faces']} faces, ms of processor time, "
        "median over photos"
    )
    table = Table(
        "network", "searching", "reading", "whole", "times the last", "smallest to largest",
        title=title, title_justify="left",
    )  # fmt: skip
    for name, one in results["over_photos_with_faces"].items():
        times = one["times_the_last"]
        table.add_row(
            name, *(f"{one[part]['median']:.1f}" for part in ("searching_ms", "reading_ms")),
            f"{one['whole_ms']['median']:.1f}", f"{times['median']:.3f}",
            f"{times['low']:.2f} to {times['high']:.2f}",
        )  # fmt: skip
    Console(width=100).print(table)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "whole_photos.json", repeats=3)
    parser.add_argument("folder", type=Path, help="of photos, JPEG and the like")
    parser.add_argument("--model", action="append", help="a shipped network; repeatable")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
