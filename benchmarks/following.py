"""What following faces between searches (`--search-every`) loses against searching every frame.

    python benchmarks/following.py --photo GROUP_PHOTO --clip CLIP.mp4

Watches the whole clip, and one made of the photo: a camera of 960 x 540 pixels and 25 frames a
second moves over it to and fro, up and down, and zooms by a factor of two, so that faces come, go
and move. Nothing is random and nothing is compressed. For each value of search_every, against the
boxes found with every frame searched:

recall, precision   pairs with an intersection over union of 0.5 or more, the best first, each box
                    once; for search_every 1 both are 1, being the reference
number_changes      how often a face has another number than when it was last found, and per 1,000
                    found faces. In the photo's clip a face is known by its place; one that was out
                    of view for longer than numbers are remembered is a new one. In another clip it
                    is known by its number with every frame searched, whose own changes stay unseen

and, in the photo's clip, against the faces of the photo (as found in it), as far as they lie wholly
inside the frame and are large enough to be looked for:

faces_recall        the share of these that is found
late_frames         how many frames after it came into view each was first found; one that was never
                    found counts with all the frames that it was there

Writes `results/benchmarks/following.json`. Needs `hemiface models pull`; about eleven minutes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import skeleton
from hemiface.files import sha256_file
from hemiface.vision.finding import blazeface
from hemiface.vision.photos import read_photo
from hemiface.vision.predictor import Predictor
from hemiface.vision.seen import Frame
from hemiface.vision.video.frames import read_frames
from hemiface.vision.video.tracking import MEMORY_S
from hemiface.vision.video.watching import Watch

EVERY = (1, 5, 10, 25)
WIDTH, HEIGHT, FPS = 960, 540, 25
LEAST_FACE_PX = WIDTH / 40
SAME = 0.5

Boxes = np.ndarray[Any, np.dtype[np.float64]]
Found = list[tuple[list[int], Boxes]]
"""For each frame the numbers of its faces and their boxes [n, 2, 2]."""


def views(size: tuple[int, int], frames: int) -> Iterator[Boxes]:
    """Yield the part of a photo of (width, height) that each frame shows: two corners [2, 2]."""
    widest = min(size[0], size[1] * WIDTH / HEIGHT)
    for index in range(frames):
        second = index / FPS
        wide = widest * (0.75 + 0.25 * np.cos(2 * np.pi * second / 7))
        view = np.array([wide, wide * HEIGHT / WIDTH])
        swing = np.array([np.sin(2 * np.pi * second / 10), np.sin(2 * np.pi * second / 4)])
        corner = (np.array(size) - view) * (1 + swing) / 2
        yield np.stack([corner, corner + view])


def seen_through(photo: Any, view: Boxes) -> Any:
    """Return the frame that shows a view of the photo."""
    scale = WIDTH / (view[1, 0] - view[0, 0])
    place = np.column_stack([scale * np.eye(2), -scale * view[0] + (scale - 1) / 2])
    return cv2.warpAffine(photo, place, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def in_view(boxes: Boxes, view: Boxes) -> Boxes:
    """Return the photo's boxes [n, 2, 2] as pixels of the frame."""
    return np.asarray((boxes - view[0]) * WIDTH / (view[1, 0] - view[0, 0]))


def whole(boxes: Boxes) -> Any:
    """Return bool [n]: which boxes lie inside the frame and are large enough to be looked for."""
    inside = (boxes[:, 0] >= 0).all(axis=1) & (boxes[:, 1] <= [WIDTH, HEIGHT]).all(axis=1)
    return inside & ((boxes[:, 1] - boxes[:, 0]).max(axis=1) >= LEAST_FACE_PX)


def pairs(found: Boxes, wanted: Boxes) -> dict[int, int]:
    """Return index of a wanted box -> index of the found one that is the same, the best first."""
    each = [
        (-float(value), index, at)
        for index, box in enumerate(wanted)
        for at, value in enumerate(blazeface.overlap(box, found))
        if value >= SAME
    ]
    result: dict[int, int] = {}
    for _, index, at in sorted(each):
        if index not in result and at not in result.values():
            result[index] = at
    return result


def agreement(found: Found, reference: Found) -> tuple[float, float]:
    """Return recall and precision of the boxes of all frames."""
    same = sum(
        len(pairs(one, other)) for (_, one), (_, other) in zip(found, reference, strict=True)
    )
    wanted = sum(len(boxes) for _, boxes in reference)
    given = sum(len(boxes) for _, boxes in found)
    return same / max(wanted, 1), same / max(given, 1)


@dataclass
class Known:
    """What was found of the faces of which it is known who they are."""

    matched: int = 0
    wanted: int = 0
    changes: int = 0
    late: list[int] = field(default_factory=list)


def followed(found: Found, truth: Found, memory: int | None) -> Known:
    """Return how well the faces of `truth`, whose numbers are who they are, keep found numbers.

    Who was away for more than `memory` frames counts as new; None remembers for ever.
    """
    known = Known()
    last: dict[int, int] = {}
    seen: dict[int, int] = {}
    waits: dict[int, int] = {}
    for at, ((numbers, boxes), (who, wanted)) in enumerate(zip(found, truth, strict=True)):
        same = pairs(boxes, wanted)
        known.wanted += len(who)
        known.matched += len(same)
        for index, name in enumerate(who):
            if name not in seen or (memory is not None and at - seen[name] > memory):
                last.pop(name, None)
                if name in waits:
                    known.late.append(waits[name])
                waits[name] = 0
            seen[name] = at
            if index not in same:
                if name in waits:
                    waits[name] += 1
                continue
            if name in waits:
                known.late.append(waits.pop(name))
            number = numbers[same[index]]
            known.changes += last.get(name, number) != number
            last[name] = number
    known.late += waits.values()
    return known


def watch(predictor: Predictor, frames: Iterator[Frame], every: int) -> tuple[Found, float]:
    """Return what is found, and the processor seconds that it took without making the frames."""
    watched = Watch(predictor, every)
    found: Found = []
    took = 0.0
    for frame in frames:
        start = time.process_time()
        (faces,) = watched.predict_frames([frame])
        took += time.process_time() - start
        boxes = np.array([one.box_px for one in faces], dtype=np.float64).reshape(-1, 2, 2)
        boxes[:, 1] += boxes[:, 0]
        found.append(([one.face for one in faces], boxes))
    return found, took


def measure(
    predictor: Predictor, frames: Callable[[], Iterator[Frame]], truth: Found | None, memory: int
) -> list[dict[str, Any]]:
    """Return a row for each value of search_every."""
    rows: list[dict[str, Any]] = []
    reference: Found = []
    for every in EVERY:
        found, took = watch(predictor, frames(), every)
        reference = reference or found
        recall, precision = agreement(found, reference)
        known = followed(found, truth or reference, memory if truth else None)
        row: dict[str, Any] = {
            "search_every": every,
            "frames": len(found),
            "found": sum(len(boxes) for _, boxes in found),
            "numbers": len({one for numbers, _ in found for one in numbers}),
            "recall": recall,
            "precision": precision,
            "number_changes": known.changes,
            "number_changes_per_1000": 1000 * known.changes / max(known.matched, 1),
            "processor_s": round(took, 2),
        }
        if truth is not None:
            row["faces"] = known.wanted
            row["faces_recall"] = known.matched / max(known.wanted, 1)
            row["came_into_view"] = len(known.late)
            row["late_frames_mean"] = float(np.mean(known.late)) if known.late else None
            row["late_frames_95"] = float(np.quantile(known.late, 0.95)) if known.late else None
            row["late_frames_most"] = max(known.late, default=None)
        rows.append(row)
        print(f"search_every {every}: {took:.0f} s", file=sys.stderr)
    return rows


def of_photo(predictor: Predictor, path: Path, count: int) -> dict[str, Any]:
    photo = read_photo(path).pixels
    size = (photo.shape[1], photo.shape[0])
    boxes = np.array([one.found.box for one in predictor.see(photo)]).reshape(-1, 2, 2)
    truth: Found = []
    for view in views(size, count):
        placed = in_view(boxes, view)
        chosen = np.flatnonzero(whole(placed))
        truth.append((chosen.tolist(), placed[chosen]))

    def frames() -> Iterator[Frame]:
        for index, view in enumerate(views(size, count)):
            yield Frame(seen_through(photo, view), "photo", index, index / FPS)

    return {
        "photo": path.name,
        "sha256": sha256_file(path),
        "faces_in_photo": len(boxes),
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "rows": measure(predictor, frames, truth, round(MEMORY_S * FPS)),
    }


def of_clip(predictor: Predictor, path: Path) -> dict[str, Any]:
    rows = measure(predictor, lambda: read_frames(path), None, 0)
    return {"clip": path.name, "sha256": sha256_file(path), "rows": rows}


def show(results: dict[str, Any]) -> None:
    for name in ("photo", "clip"):
        if name in results:
            _show(results[name][name], results[name]["rows"])


def _show(what: str, rows: list[dict[str, Any]]) -> None:
    table = Table(
        "search every", "found", "recall", "precision", "number changes", "per 1,000",
        "faces' recall", "late: mean", "95 %", "most", "s", title=what, title_justify="left",
    )  # fmt: skip
    for one in rows:
        rest = ["", "", "", ""]
        if "faces" in one:
            rest = [
                f"{one['faces_recall']:.3f}", f"{one['late_frames_mean']:.1f}",
                f"{one['late_frames_95']:.0f}", str(one["late_frames_most"]),
            ]  # fmt: skip
        table.add_row(
            str(one["search_every"]), f"{one['found']:,}", f"{one['recall']:.3f}",
            f"{one['precision']:.3f}", str(one["number_changes"]),
            f"{one['number_changes_per_1000']:.1f}", *rest, f"{one['processor_s']:.0f}",
        )  # fmt: skip
    Console(width=118).print(table)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    machine = skeleton.Machine()
    predictor = Predictor()
    results: dict[str, Any] = {"model": predictor.model_in_videos, "same_overlap": SAME}
    if options.photo:
        results["photo"] = of_photo(predictor, options.photo, options.frames)
    if options.clip:
        results["clip"] = of_clip(predictor, options.clip)
    return {**machine.flat_facts(), **results}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "following.json")
    add = parser.add_argument
    add("--photo", type=Path, help="of a group, for a clip made of it")
    add("--clip", type=Path, help="a video of faces")
    add("--frames", type=skeleton.count, default=300, help="of the photo's clip")
    options = parser.parse_args(arguments)
    if not (options.photo or options.clip):
        parser.error("name --photo, --clip or both")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
