"""What Ray costs beside one process, and what a second predictor brings.

    python benchmarks/ray_predict.py --photos 5000

makes photos with a rendered face in each, looks at them with `hemiface predict` in one process,
with `--on ray --workers 1` and with `--workers 2`, in turn, another way first in each round, and
compares the tables, which must be the same. The same of a single photo is what starting costs.
The ratio to one process is the median over the rounds' own ratios. 5,000 photos take about half an
hour a round and way on one core; `--no-detect` takes crops, of which each costs some milliseconds,
so that the start weighs more.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError
from skeleton import RESULTS, Machine, count, fresh, main, markdown, parser, processor, say

WAYS: dict[str, list[str]] = {
    "one process": [],
    "ray, 1 worker": ["--on", "ray", "--workers", "1"],
    "ray, 2 workers": ["--on", "ray", "--workers", "2"],
}
_DIFFERENT = 64
_SIZE_PX = 1024, 768
_FACE_PX = 240


def pictures(folder: Path, number: int, *, crops: bool) -> Path:
    """Make photos, of which some are alike; crops are faces alone."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    faces = phantom.render(np.arange(min(number, _DIFFERENT)) % 7, seed=0)
    for index in range(number):
        path = folder / f"{index:06}.jpg"
        if index >= _DIFFERENT:
            os.link(folder / f"{index % _DIFFERENT:06}.jpg", path)
            continue
        face = Image.fromarray(faces[index])
        if not crops:
            grey = draw.integers(90, 130, (_SIZE_PX[1] // 16, _SIZE_PX[0] // 16), np.uint8)
            photo = Image.fromarray(grey).resize(_SIZE_PX)
            photo.paste(face.resize((_FACE_PX, _FACE_PX)), (380, 220))
            face = photo
        face.save(path, quality=90)
    return folder


def look(folder: Path, out: Path, way: str, *, crops: bool) -> dict[str, float]:
    """Look at a folder in one way, in a fresh process; return what it took."""
    words = ["predict", folder, "--out", out, *WAYS[way], *(["--no-detect"] if crops else [])]
    return fresh([sys.executable, "-m", "hemiface", *words])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all ways in turn."""
    machine = Machine()
    names = list(WAYS)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    start: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="hemiface-ray-") as place:
        below = Path(place)
        many = pictures(below / "many", options.photos, crops=options.no_detect)
        one = pictures(below / "one", 1, crops=options.no_detect)
        for turn in range(options.repeats):
            tables = set()
            for name in names[turn % 3 :] + names[: turn % 3]:
                out = below / f"out-{turn}-{names.index(name)}"
                seconds[name].append(look(many, out, name, crops=options.no_detect)["seconds"])
                tables.add((out / "faces.csv").read_bytes())
                small = out / "one"
                start[name].append(look(one, small, name, crops=options.no_detect)["seconds"])
            if len(tables) > 1:
                raise HemifaceError("The tables of the ways differ.")
    alone = seconds["one process"]
    return {
        "photos": options.photos,
        "no_detect": options.no_detect,
        "seconds": seconds,
        "start_seconds": start,
        "ratio_to_one_process": {
            name: statistics.median(a / b for a, b in zip(seconds[name], alone, strict=True))
            for name in names
        },
        **machine.facts(),
    }


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    rows = []
    for name, values in results["seconds"].items():
        middle = statistics.median(values)
        start = statistics.median(results["start_seconds"][name])
        ratio = results["ratio_to_one_process"][name]
        rate = results["photos"] / middle
        rows.append((name, f"{middle:.1f}", f"{rate:.1f}", f"{ratio:.2f}", f"{start:.1f}"))
    say([f"{results['photos']:,} photos; {processor(results)}.", ""])
    headings = ("", "seconds", "photos/s", "time / one process", "seconds for one photo")
    say(markdown(headings, rows))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    made = parser(__doc__, RESULTS / "ray_predict.json", repeats=3, markdown=True)
    made.add_argument("--photos", type=count, default=5000)
    made.add_argument("--no-detect", action="store_true", help="crops, and no search for faces")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main(arguments(), run, show))
