"""What Ray costs beside one process, and what a second predictor brings.

    python benchmarks/ray_predict.py --photos 5000

makes photos with a rendered face in each and looks at them with `hemiface predict`: in one process
and with `--on ray`, each on one core (a worker is promised one, while a process alone takes what it
finds) and on two, in turn, another way first in each round. One worker on two cores leaves the
second one to Ray's own processes, which a cluster has elsewhere. The tables must be the same. The
same of a single photo is what starting costs. The ratio to one process is the median over the
rounds' own ratios; what more photos would cost follows from start and photo, and is called
computed. `--ways 1 3` takes the first and the third way alone. 5,000 photos take about an hour a
round and way on one core; smaller ones (`--size-px 512 384`) and crops without a search for faces
(`--no-detect`) cost less, so that Ray weighs more. Cores are kept to by Linux.
"""

import argparse
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError
from skeleton import RESULTS, Machine, count, fresh, main, markdown, parser, processor, say


@dataclass(frozen=True)
class Way:
    """How photos are looked at, and on how many cores."""

    words: tuple[str, ...]
    cores: int
    beside: str
    """The way of one process that it is put beside."""


_ALONE, _ALONE_ON_TWO = "one process, 1 core", "one process, 2 cores"
WAYS = {
    _ALONE: Way((), 1, _ALONE),
    "ray, 1 worker on 1 core": Way(("--on", "ray", "--workers", "1"), 1, _ALONE),
    "ray, 1 worker on 2 cores": Way(("--on", "ray", "--workers", "1"), 2, _ALONE),
    _ALONE_ON_TWO: Way((), 2, _ALONE_ON_TWO),
    "ray, 2 workers on 2 cores": Way(("--on", "ray", "--workers", "2"), 2, _ALONE_ON_TWO),
}
_AIMED_AT = 5000
"""Photos that the computed ratio is of."""
_DIFFERENT = 64
_SIZE_PX = 1024, 768
_CELL_PX = 16
"""Width of the background's cells, in photos of every size."""


def pictures(folder: Path, number: int, size_px: tuple[int, int], *, crops: bool) -> Path:
    """Make photos, of which some are alike; crops are faces alone."""
    width, height = size_px
    face_px = width * 15 // 64
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
            cells = max(1, height // _CELL_PX), max(1, width // _CELL_PX)
            grey = draw.integers(90, 130, cells, np.uint8)
            photo = Image.fromarray(grey).resize(size_px)
            photo.paste(face.resize((face_px, face_px)), (width * 3 // 8, height * 2 // 7))
            face = photo
        face.save(path, quality=90)
    return folder


def look(folder: Path, out: Path, way: Way, *, crops: bool) -> float:
    """Look at a folder in one way, in a fresh process; return the seconds that it took."""
    words = ["predict", folder, "--out", out, *way.words, *(["--no-detect"] if crops else [])]
    if sys.platform != "linux":
        raise HemifaceError("Only Linux keeps a process to some cores.")
    every = os.sched_getaffinity(0)
    if len(every) < way.cores:
        raise HemifaceError(f"{way.cores} cores are needed, and there is {len(every)}.")
    os.sched_setaffinity(0, sorted(every)[: way.cores])  # What is started inherits it.
    try:
        return fresh([sys.executable, "-m", "hemiface", *words])["seconds"]
    finally:
        os.sched_setaffinity(0, every)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all ways in turn."""
    machine = Machine()
    names = [name for place, name in enumerate(WAYS, 1) if place in options.ways]
    missing = {WAYS[name].beside for name in names} - {*names}
    if missing:
        raise HemifaceError(f"{' and '.join(missing)} is what others are put beside; take it too.")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    start: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="hemiface-ray-") as place:
        below = Path(place)
        size_px = tuple(options.size_px)
        many = pictures(below / "many", options.photos, size_px, crops=options.no_detect)
        one = pictures(below / "one", 1, size_px, crops=options.no_detect)
        for turn in range(options.repeats):
            tables = set()
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                out = below / f"out-{turn}-{names.index(name)}"
                seconds[name].append(look(many, out, WAYS[name], crops=options.no_detect))
                tables.add((out / "faces.csv").read_bytes())
                start[name].append(look(one, out / "one", WAYS[name], crops=options.no_detect))
            if len(tables) > 1:
                raise HemifaceError("The tables of the ways differ.")
    return {
        "photos": options.photos,
        "size_px": options.size_px,
        "no_detect": options.no_detect,
        "seconds": seconds,
        "start_seconds": start,
        "ratio_to_one_process": {
            name: statistics.median(
                a / b for a, b in zip(seconds[name], seconds[way.beside], strict=True)
            )
            for name, way in WAYS.items()
            if name in names
        },
        **machine.facts(),
    }


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    rows = []
    photos = results["photos"]
    start = {name: statistics.median(one) for name, one in results["start_seconds"].items()}
    middle = {name: statistics.median(one) for name, one in results["seconds"].items()}
    # One photo is among those of the start.
    each = {name: (middle[name] - start[name]) / max(photos - 1, 1) for name in middle}
    for name in middle:
        way = WAYS[name]
        computed = [start[one] + (_AIMED_AT - 1) * each[one] for one in (name, way.beside)]
        rows.append(
            (
                name,
                f"{middle[name]:.1f}",
                f"{results['ratio_to_one_process'][name]:.2f}",
                f"{start[name]:.1f}",
                f"{1000 * each[name]:.0f}",
                f"{computed[0] / computed[1]:.2f}",
            )
        )
    # What was measured before sizes could be chosen had this one.
    width, height = results.get("size_px", _SIZE_PX)
    say([f"{photos:,} photos of {width:,} x {height:,}; {processor(results)}.", ""])
    headings = (
        "",
        "seconds",
        "of one process",
        "seconds for 1 photo",
        "ms for each more",
        f"of one process, {_AIMED_AT:,} photos, computed",
    )
    say(markdown(headings, rows))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    made = parser(__doc__, RESULTS / "ray_predict.json", repeats=3, markdown=True)
    made.add_argument("--photos", type=count, default=5000)
    ways = range(1, len(WAYS) + 1)
    made.add_argument("--ways", type=int, nargs="+", choices=ways, default=list(ways))
    made.add_argument("--size-px", type=count, nargs=2, default=list(_SIZE_PX), metavar="PX")
    made.add_argument("--no-detect", action="store_true", help="crops, and no search for faces")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main(arguments(), run, show))
