"""What looking for smaller faces (`--min-face`) finds, invents and costs.

    python benchmarks/small_faces.py --photos FOLDER

FOLDER holds photos and a MANIFEST.csv with columns file and faces. Two measurements, each with the
default (a 40th of the longer side), half and a quarter of it, never under 20 px:

- the photos as they are: faces found, and found ones that the default doesn't find;
- scenes of 3000 x 2000 and 6000 x 4000 pixels made of those lower thirds of the photos that show no
  face, into which each photo of a single face is pasted once, reduced to faces of 24 to 64 px:
  pasted ones that are found (IoU of 0.3 or more with the face as found in its photo, reduced), and
  others, which are false. Reduced faces are sharper than those that a lens leaves so small.

Times are processor seconds of one thread. Writes results/benchmarks/small_faces.json. Needs
`hemiface models pull`; about five minutes.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import skeleton
from hemiface.errors import UsageError
from hemiface.vision.finding import assets, blazeface
from hemiface.vision.finding.detector import FoundFace, MediaPipeDetector
from hemiface.vision.photos import read_photo

PARTS = (40, 80, 160)
LEAST_PX = 20
SCENES = ((3000, 2000), (6000, 4000))
FACES_PX = (24, 32, 48, 64)
GRID = (6, 8)
SAME = 0.3

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class Finder:
    """Finds faces of a 40th, an 80th, ... of a picture's longer side."""

    def __init__(self) -> None:
        self._made: dict[int, MediaPipeDetector] = {}

    def __call__(self, pixels: Pixels, part: int) -> tuple[list[FoundFace], float]:
        """Return what is found and the processor seconds that it took."""
        smallest = max(LEAST_PX, max(pixels.shape) // part)
        if smallest not in self._made:
            self._made[smallest] = MediaPipeDetector(
                assets.path_of("detection"), assets.path_of("landmarks"), min_face_px=smallest
            )
        start = time.process_time()
        found = self._made[smallest].detect(pixels)
        return found, time.process_time() - start


def boxes_of(faces: list[FoundFace]) -> Any:
    return np.array([face.box for face in faces], dtype=np.float64).reshape(-1, 2, 2)


def as_they_are(photos: dict[str, Pixels], listed: int, find: Finder) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    base: dict[str, Any] = {}
    for part in PARTS:
        found, new, seconds, large_s = 0, 0, 0.0, []
        for name, pixels in photos.items():
            faces, took = find(pixels, part)
            before = base.setdefault(name, boxes_of(faces))
            overlaps = [blazeface.overlap(one.box, before).max(initial=0) for one in faces]
            found, new = found + len(faces), new + sum(bool(one < SAME) for one in overlaps)
            seconds += took
            if max(pixels.shape) >= 2000:
                large_s.append(took)
        rows.append({
            "part": part, "photos": len(photos), "listed": listed, "found": found,
            "not_found_by_default": new, "seconds_a_photo": seconds / len(photos),
            "photos_of_2000_px": len(large_s),
            "seconds_a_photo_of_2000_px": float(np.mean(large_s)) if large_s else None,
        })  # fmt: skip
    return rows


def backgrounds(photos: dict[str, Pixels], find: Finder) -> list[Pixels]:
    """Return the photos' lower thirds in which not even the finest search sees a face."""
    thirds = [pixels[2 * len(pixels) // 3 :] for pixels in photos.values()]
    return [one for one in thirds if not find(one, PARTS[-1])[0]]


def scene_of(size: tuple[int, int], parts: list[Pixels], rng: np.random.Generator) -> Pixels:
    """Return a wall of four rows of `parts`."""
    width, height = size
    scene = np.zeros((height, width, 3), np.uint8)
    step = height // 4
    for top in range(0, height, step):
        left = 0
        while left < width:
            one = parts[rng.integers(len(parts))]
            wide = max(round(one.shape[1] * step / len(one)), 1)
            piece = cv2.resize(one, (wide, step))[: height - top, : width - left]
            scene[top : top + len(piece), left : left + piece.shape[1]] = piece
            left += wide
    return scene


def paste(scene: Pixels, faces: list[tuple[Pixels, Any]], px: int, rng: np.random.Generator) -> Any:
    """Put each face (a photo and the box in it) into a cell of its own; return the boxes."""
    cells = [(row, column) for row in range(GRID[0]) for column in range(GRID[1])]
    rng.shuffle(cells)
    boxes = []
    for (pixels, box), (row, column) in zip(faces, cells, strict=False):
        side = (box[1] - box[0]).max()
        low = np.maximum(box.mean(axis=0) - 1.1 * side, 0).astype(int)
        high = (box.mean(axis=0) + 1.1 * side).astype(int)
        scale = px / side
        part = pixels[low[1] : high[1], low[0] : high[0]]
        small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        corner = np.array([column, row]) * scene.shape[1::-1] // GRID[::-1] + 20
        x, y = corner
        scene[y : y + len(small), x : x + small.shape[1]] = small
        boxes.append((box - low) * scale + corner)
    return np.array(boxes)


def in_scenes(photos: dict[str, Pixels], single: list[str], find: Finder) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    parts = backgrounds(photos, find)
    found_in = {name: find(photos[name], PARTS[0])[0] for name in single}
    faces = [(photos[name], one[0].box) for name, one in found_in.items() if len(one) == 1]
    rows: list[dict[str, Any]] = []
    for size in SCENES:
        for px in FACES_PX:
            scene = scene_of(size, parts, rng)
            truth = paste(scene, faces, px, rng)
            for part in PARTS:
                found, took = find(scene, part)
                overlaps = [blazeface.overlap(one.box, truth) for one in found]
                hits = {int(one.argmax()) for one in overlaps if one.max() >= SAME}
                false = sum(bool(one.max() < SAME) for one in overlaps)
                rows.append({
                    "width": size[0], "height": size[1], "face_px": px, "part": part,
                    "pasted": len(truth), "found": len(hits), "false": false, "seconds": took,
                })  # fmt: skip
    return rows


def show(results: dict[str, Any]) -> None:
    table = Table("photos", "part", "listed", "found", "new", "s a photo", "s, 2000 px and more")
    for one in results["photos"]:
        large = one["seconds_a_photo_of_2000_px"]
        table.add_row(
            str(one["photos"]), f"1/{one['part']}", str(one["listed"]), str(one["found"]),
            str(one["not_found_by_default"]), f"{one['seconds_a_photo']:.2f}",
            "" if large is None else f"{large:.2f}",
        )  # fmt: skip
    scenes = Table("scene", "face, px", "part", "pasted", "found", "false", "s")
    for one in results["scenes"]:
        scenes.add_row(
            f"{one['width']} x {one['height']}", str(one["face_px"]), f"1/{one['part']}",
            str(one["pasted"]), str(one["found"]), str(one["false"]), f"{one['seconds']:.2f}",
        )  # fmt: skip
    Console(width=118).print(table, scenes)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    machine = skeleton.Machine()
    if not (options.photos / "MANIFEST.csv").is_file():
        raise UsageError(f"There is no MANIFEST.csv in {options.photos}.")
    known = pd.read_csv(options.photos / "MANIFEST.csv").dropna(subset=["faces"])
    photos: dict[str, Pixels] = {
        name: read_photo(options.photos / name).pixels for name in known["file"]
    }
    single = known.loc[known["faces"] == 1, "file"].tolist()
    find = Finder()
    results = {
        "photos": as_they_are(photos, int(known["faces"].sum()), find),
        "scenes": in_scenes(photos, single, find),
    }
    return {**machine.flat_facts(), **results}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "small_faces.json")
    parser.add_argument("--photos", type=Path, required=True, help="folder with a MANIFEST.csv")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
