"""Does the page's prediction in a browser equal Python's, and how long does it take?

    python validity/page.py --data FOLDER --photos results/page/photos.csv --out results/page

`--photos` lists photographs by name inside of `--data` and SHA-256. Each is decoded in Python and
handed as pixels to a page that `hemiface page` wrote and a headless Chromium opened, because
decoders differ. Both name the faces' emotions, as they are and with each half declared hidden.

Writes `photographs.csv`, one row a photo: faces found by both, the largest differences, times; and
`page.json`: their summary, what a first answer fetches, a video's frames, versions and hardware.
"""

import argparse
import csv
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from chromium import Chromium, chromium
from experiment import exit_code, parser
from hemiface import Predictor
from hemiface.errors import DamagedError
from hemiface.files import atomic_path, sha256_file, write_json
from hemiface.models import shipped
from hemiface.occlusion.conditions import HALVES
from hemiface.provenance import environment
from hemiface.serve.page import write_page
from hemiface.vision.faces import FacePrediction
from hemiface.vision.finding.blazeface import overlap
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.photos import read_photo
from hemiface.vision.seen import Frame

Pixels = npt.NDArray[np.uint8]

MODEL = shipped.default_model(in_videos=True)
"""What the page reads faces with unless told."""

_SAME_OVERLAP = 0.5
_FRAME = (640, 480)
_FRAMES = 60
_WARM = 20
"""Frames that don't count: a browser compiles what it has often run."""

_FIND = "async (photo) => plain(await predictor.find(await given(photo)))"
_HIDE = """async ([faces, halves]) => {
  const hides = [];
  for (let face = 0; face < faces; face += 1) hides.push(await predictor.hide(face, halves));
  return plain(hides);
}"""
_FRAMES_READ = """async ([photos, times, follow]) => {
  const frames = [];
  for (const photo of photos) frames.push(await given(photo));
  const ms = [];
  for (let index = 0; index < times; index += 1) {
    const frame = frames[index % frames.length];
    const start = performance.now();
    const {faces} = await (follow ? predictor.find(frame, {follow}) : predictor.again(frame));
    ms.push(performance.now() - start);
    if (faces.length !== 1) throw new Error(`${faces.length} faces in frame ${index}`);
  }
  return ms;
}"""


class Known:
    """A detector that says what was found already, so that Python searches once a photo."""

    def __init__(self, faces: Sequence[FoundFace]) -> None:
        self._faces = list(faces)

    def detect(self, photo: Pixels) -> list[FoundFace]:  # noqa: ARG002
        """Return the known faces."""
        return self._faces


def listed(path: Path, data: Path) -> list[tuple[str, Path]]:
    """Return name and place of each photograph of a list.

    Raises:
        DamagedError: one is missing or another one.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        place = data / row["photo"]
        if not place.is_file() or sha256_file(place) != row["sha256"]:
            raise DamagedError(f"{place} isn't the photograph that {path} names.")
    return [(row["photo"], data / row["photo"]) for row in rows]


def compared(browser: Chromium, name: str, pixels: Pixels, usual: Predictor) -> dict[str, Any]:
    """Return one photo's row."""
    started, cpu_started = time.perf_counter(), time.process_time()
    seen = usual.see(pixels)
    (faces,) = usual.say([Frame(pixels)], [seen])
    python_ms = 1000 * (time.perf_counter() - started)
    python_cpu_ms = 1000 * (time.process_time() - cpu_started)
    given = browser.give("photo", pixels)
    before = browser.cpu_ms()
    found = browser.run(_FIND, given)
    cpu_ms = browser.cpu_ms() - before
    hides = browser.run(_HIDE, [len(found["faces"]), list(HALVES)])
    known = Known([one.found for one in seen])
    hidden = {half: Predictor(MODEL, hide=half, detector=known).predict(pixels) for half in HALVES}
    row: dict[str, Any] = {
        "photo": name,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "faces_python": len(faces),
        "faces_page": len(found["faces"]),
        "faces_both": 0,
        "most_box_px": 0.0,
        "most_box_share": 0.0,
        "most_probability": 0.0,
        "most_probability_hidden": 0.0,
        "same_label": 0,
        "same_label_hidden": 0,
        "ms_find": found["ms"]["find"],
        "ms_say": found["ms"]["say"],
        "ms_processor": cpu_ms,
        "ms_python": python_ms,
        "ms_processor_python": python_cpu_ms,
    }
    for index, one in enumerate(found["faces"]):
        place = _same(one["box"], faces)
        if place is None:
            continue
        row["faces_both"] += 1
        face = faces[place]
        away = float(np.abs(np.subtract(one["box"], face.box_px)).max())
        _raise(row, "most_box_px", away)
        _raise(row, "most_box_share", away / max(face.box_px[2:]))
        _raise(row, "most_probability", _apart(one["reading"], face))
        row["same_label"] += one["reading"]["label"] == face.label
        for half in HALVES:
            reading, other = hides[index][half], hidden[half][place]
            _raise(row, "most_probability_hidden", _apart(reading, other))
            row["same_label_hidden"] += reading["label"] == other.label
    return row


def _same(box: Sequence[float], faces: Sequence[FacePrediction]) -> int | None:
    """Return which of Python's faces a box of the page is, None if none."""

    def corners(x: float, y: float, width: float, height: float) -> npt.NDArray[np.float64]:
        return np.array([[x, y], [x + width, y + height]])

    if not faces:
        return None
    overlaps = overlap(corners(*box), np.stack([corners(*one.box_px) for one in faces]))
    best = int(overlaps.argmax())
    return best if overlaps[best] > _SAME_OVERLAP else None


def _apart(reading: dict[str, Any], face: FacePrediction) -> float:
    return float(np.abs(np.subtract(reading["probabilities"], face.probabilities)).max())


def _raise(row: dict[str, Any], key: str, value: float) -> None:
    row[key] = max(row[key], value)


def frames(browser: Chromium, pixels: Pixels) -> dict[str, dict[str, float]]:
    """Return milliseconds of a frame of 640 x 480 with one face that moves.

    `follow` finds and reads it, `again` reads it where it was, as while something is dragged. Of
    each the median and the shortest time, and processor time a frame.
    """
    width, height = _FRAME
    scale = max(width / pixels.shape[1], height / pixels.shape[0])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    large = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)[:height, :width]
    moves = [(0, 0), (1, 2), (2, 4), (1, 2)]
    moved = [np.ascontiguousarray(np.roll(large, one, axis=(0, 1))) for one in moves]
    given = [browser.give(f"frame{index}", one) for index, one in enumerate(moved)]
    found = {}
    for name in ("follow", "again"):
        browser.run(_FRAMES_READ, [given, _WARM, name == "follow"])
        before = browser.cpu_ms()
        ms = browser.run(_FRAMES_READ, [given, _FRAMES, name == "follow"])
        cpu = (browser.cpu_ms() - before) / _FRAMES
        found[name] = {"median": median(ms), "shortest": min(ms), "processor": cpu}
    return found


def fetched(browser: Chromium, folder: Path) -> dict[str, dict[str, int]]:
    """Return file -> bytes, plain and by gzip, of all that was fetched until now."""
    addresses = browser.run("() => performance.getEntriesByType('resource').map((one) => one.name)")
    paths = {one.removeprefix(browser.address + "/") for one in addresses}
    own = sorted(one for one in paths if (folder / one).is_file())
    return {
        one: {
            "bytes": (folder / one).stat().st_size,
            "gzip": len(gzip.compress((folder / one).read_bytes(), 9, mtime=0)),
        }
        for one in own
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what fifty rows say together."""

    def total(key: str) -> int:
        return sum(row[key] for row in rows)

    both = total("faces_both")
    seen = [row for row in rows if row["faces_page"]]
    return {
        "photos": len(rows),
        "faces": {key: total(f"faces_{key}") for key in ("python", "page", "both")},
        "most_box_px": max(row["most_box_px"] for row in rows),
        "most_box_share": max(row["most_box_share"] for row in rows),
        "most_probability": max(row["most_probability"] for row in rows),
        "most_probability_hidden": max(row["most_probability_hidden"] for row in rows),
        "median_most_probability": median(row["most_probability"] for row in seen),
        "same_label": total("same_label") / both,
        "same_label_hidden": total("same_label_hidden") / (both * len(HALVES)),
        "median_ms_photo": median(row["ms_find"] + row["ms_say"] for row in rows),
        "median_ms_face": median(row["ms_say"] / row["faces_page"] for row in seen),
        "median_ms_python": median(row["ms_python"] for row in rows),
        "median_ms_processor": median(row["ms_processor"] for row in rows),
        "median_ms_processor_python": median(row["ms_processor_python"] for row in rows),
    }


def _measure(options: argparse.Namespace) -> None:
    photos = listed(options.photos, options.data)
    usual = Predictor(MODEL)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_page(Path(scratch, "page"), models=[])
        with chromium(folder) as browser:
            versions = browser.run(
                """async () => {
                  const {openPredictor} = await import('/predictor.js');
                  globalThis.predictor = await openPredictor();
                  const ort = await import('/ort/ort.wasm.min.mjs');
                  return {'onnxruntime-web': ort.env.versions.web,
                          threads: predictor.about.threads};
                }"""
            )
            rows = []
            for name, place in photos:
                rows.append(compared(browser, name, read_photo(place).pixels, usual))
                print(f"{name}: {rows[-1]}", file=sys.stderr)
                if len(rows) == 1:
                    first = fetched(browser, folder)
            live = frames(browser, read_photo(photos[0][1]).pixels)
            versions["chromium"] = browser.page.context.browser.version
    _write(options.out, rows, first, live, versions)


def _write(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    first: dict[str, dict[str, int]],
    live: dict[str, dict[str, float]],
    versions: dict[str, Any],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        atomic_path(folder / "photographs.csv") as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _short(value) for key, value in row.items()})
    facts = {
        "summary": summary(rows),
        "ms_a_frame_of_640_x_480": live,
        "first_answer": {
            "bytes": sum(one["bytes"] for one in first.values()),
            "gzip": sum(one["gzip"] for one in first.values()),
            "files": first,
        },
        "browser": versions,
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        **environment(),
    }
    write_json(folder / "page.json", facts)


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def main() -> int:
    arguments = parser(__doc__ or "")
    add = arguments.add_argument
    add("--data", type=Path, required=True, help="the folder that the list's names lie in")
    add("--photos", type=Path, required=True, help="columns photo and sha256")
    add("--out", type=Path, required=True, help="folder of the tables")
    return exit_code(lambda: _measure(arguments.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
