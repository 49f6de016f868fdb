"""How many faces are found, and where eyes, nose and mouth lie in FER2013's crops.

    python validity/detection.py --photos FOLDER --data PATH_TO_FER2013
    python validity/detection.py --data PATH_TO_FER2013 --lines --n 300

FOLDER holds photos and a MANIFEST.csv with columns file and faces. The medians printed last are
what FRAME in hemiface.vision.finding.alignment was rounded from. With --lines: in how many
validation crops each way of finding landmarks succeeds, and how far the lines of a face and of its
mirror image disagree. Needs `hemiface models pull`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import experiment
from hemiface.data.readers import load
from hemiface.occlusion.face_lines import line_table, lines_of
from hemiface.vision.finding import assets
from hemiface.vision.finding.crop_landmarks import CropLandmarks
from hemiface.vision.finding.detector import MediaPipeDetector
from hemiface.vision.photos import read_photo


def photos(detector: MediaPipeDetector, folder: Path) -> None:
    known = pd.read_csv(folder / "MANIFEST.csv").dropna(subset=["faces"])
    start = time.process_time()
    found = [len(detector.detect(read_photo(folder / name).pixels)) for name in known["file"]]
    seconds = (time.process_time() - start) / len(known)
    table = known[["file", "faces"]].assign(faces=known["faces"].astype(int), found=found)
    other = table[table["faces"] != table["found"]]
    recall = np.minimum(table["faces"], table["found"]).sum() / table["faces"].sum()
    print(f"{len(table)} photos, {table['faces'].sum()} faces listed, {sum(found)} found")
    print(f"recall by number {recall:.3f}; {seconds:.2f} s of one core a photo; other numbers in:")
    print(other.to_string(index=False))


def frame(detector: MediaPipeDetector, source: str, n: int) -> None:
    pixels = load(source).split("train").pixels
    chosen = np.random.default_rng(0).choice(len(pixels), min(n, len(pixels)), replace=False)
    faces = [detector.detect(np.repeat(pixels[i][:, :, None], 3, axis=2)) for i in chosen]
    five = np.array([one[0].five for one in faces if one])
    print(
        f"{len(five)} of {len(chosen)} crops have a face; two in {sum(len(f) > 1 for f in faces)}"
    )
    print("median\n", np.median(five, axis=0).round(2))
    print("interquartile range\n", np.subtract(*np.quantile(five, [0.75, 0.25], axis=0)).round(2))


def lines(detector: MediaPipeDetector, source: str, n: int) -> None:
    pixels = load(source).split("validation").pixels
    chosen = np.random.default_rng(1).choice(len(pixels), min(n, len(pixels)), replace=False)
    crops = pixels[chosen]
    photos = [np.repeat(crop[:, :, None], 3, axis=2) for crop in crops]
    detected = np.array([bool(detector.detect(photo)) for photo in photos])
    print(f"{len(crops)} crops; the detector finds a face in {detected.sum()}")
    for margin in (1.0, 1.15, 1.3, 1.5):
        presence = np.array([detector.look(photo, margin)[1] for photo in photos])
        missed = np.sort(presence[~detected])[::-1].round(2).tolist()
        print(f"the landmark network alone, margin {margin}: {(presence >= 0.5).sum()} at 0.5")
        print(f"  its presence where the detector missed: {missed}")
    with tempfile.TemporaryDirectory() as folder:
        find = CropLandmarks(Path(folder))
        here = lines_of(find(crops), *crops.shape[1:])
        there = lines_of(find(np.ascontiguousarray(crops[:, :, ::-1])), *crops.shape[1:])
    both = here.found & there.found
    columns = ["across_px", "down_px", "angle_deg"]
    away = (line_table(here)[columns] - line_table(there.mirrored())[columns])[both]
    print(f"both together: {here.found.sum()}; lines against those of the mirror image, rms:")
    print(np.sqrt((away**2).mean()).round(2).to_string())


def run(options: argparse.Namespace) -> None:
    """Print what was asked for."""
    detector = MediaPipeDetector(assets.path_of("detection"), assets.path_of("landmarks"))
    if options.photos:
        photos(detector, options.photos)
    if options.data and options.lines:
        lines(detector, options.data, options.n)
    elif options.data:
        frame(detector, options.data, options.n)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = experiment.parser(__doc__)
    parser.add_argument("--photos", type=Path, help="folder of photos and a MANIFEST.csv")
    parser.add_argument("--data", default="", help="FER2013 in any form")
    parser.add_argument("--lines", action="store_true", help="landmarks and lines of the crops")
    parser.add_argument("--n", type=int, default=1000, help="crops (default %(default)s)")
    options = parser.parse_args(arguments)
    if not (options.photos or options.data):
        parser.error("name --photos, --data or both")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return experiment.exit_code(partial(run, parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
