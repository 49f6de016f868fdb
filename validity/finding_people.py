"""How many people are found, masked and bare, by both detectors and by MediaPipe's networks alone.

    python validity/finding_people.py --masks FOLDER --photos FOLDER --clip CLIP --sheets SHEETS

The folder of masks has a labels.csv with columns image and covered; of each folder in it every
second image is scored, the others chose the thresholds (`--half chosen` scores these). The folder
of photos has a MANIFEST.csv with columns file and faces. Of the clip every 25th frame is searched
as a photo is. SHEETS gets PNGs of all boxes: green where both found a face, blue where only the
combination did, red where only MediaPipe's networks did.

Whether a box is false nobody can tell but by looking: results/people/false_faces.csv lists the
middles and longer sides of those that were judged false on these sheets, which are counted here.
Intervals are Wilson's. Milliseconds are processor time of one thread, the two detectors
alternating. Writes results/people/detection.csv, its environment beside it. Needs
`hemiface models pull`.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from experiment import exit_code, wilson
from hemiface.files import sha256_file, write_json
from hemiface.provenance import environment
from hemiface.vision.finding import assets, blazeface
from hemiface.vision.finding.centerface import CenterFaceDetector
from hemiface.vision.finding.detector import Detector, FoundFace, MediaPipeDetector
from hemiface.vision.finding.photo_detector import LEAST_SCORE, PhotoDetector
from hemiface.vision.photos import read_photo
from hemiface.vision.video.frames import read_frames

RESULTS = Path(__file__).resolve().parents[1] / "results" / "people"
COLOURS = {"both": (0, 200, 0), "combined": (40, 90, 255), "mediapipe": (255, 30, 30)}
CELL_PX, ACROSS, ROWS = 240, 8, 5
SAME = 0.3


@dataclass
class Looked:
    """What both detectors found in one picture of a set."""

    group: str
    name: str
    pixels: Any
    listed: int | None = None
    faces: dict[str, list[FoundFace]] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)


def masks(folder: Path, half: str) -> Iterator[Looked]:
    labels = pd.read_csv(folder / "labels.csv").fillna("")
    for covered, rows in labels.groupby("covered", sort=False):
        for name in rows["image"].iloc[int(half == "scored") :: 2]:
            group = "masked" if covered else "bare"
            yield Looked(group, name, read_photo(folder / name).pixels)


def photos(folder: Path) -> Iterator[Looked]:
    known = pd.read_csv(folder / "MANIFEST.csv").dropna(subset=["faces"])
    for name, faces in zip(known["file"], known["faces"], strict=True):
        yield Looked("photos", name, read_photo(folder / name).pixels, int(faces))


def frames(clip: Path) -> Iterator[Looked]:
    for frame in islice(read_frames(clip), 0, None, 25):
        yield Looked("clip", f"{clip.name}#{frame.number}", frame.pixels)


def look(one: Looked, detectors: dict[str, Detector], first: bool) -> None:
    for name in list(detectors)[:: 1 if first else -1]:
        start = time.process_time()
        one.faces[name] = detectors[name].detect(one.pixels)
        one.ms[name] = 1000 * (time.process_time() - start)


def boxes(faces: list[FoundFace]) -> Any:
    return np.array([face.box for face in faces]).reshape(-1, 2, 2)


def false_of(one: Looked, name: str, judged: pd.DataFrame) -> int:
    """Return how many faces lie where a false one of about their size was judged to be."""
    known = judged.loc[judged["image"] == one.name, ["x_px", "y_px", "side_px"]].to_numpy(float)
    count = 0
    for box in boxes(one.faces[name]):
        side = (box[1] - box[0]).max()
        away = np.abs(known[:, :2] - box.mean(axis=0)).max(axis=1, initial=0)
        count += bool(((away < 0.15 * side) & (np.abs(known[:, 2] - side) < 0.15 * side)).any())
    return count


def rows_of(looked: list[Looked], judged: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for group in dict.fromkeys(one.group for one in looked):
        own = [one for one in looked if one.group == group]
        ratio = np.median([one.ms["combined"] / one.ms["mediapipe"] for one in own])
        for name in ("mediapipe", "combined"):
            hits = sum(bool(one.faces[name]) for one in own)
            low, high = wilson(hits, len(own))
            false = sum(false_of(one, name, judged) for one in own)
            listed = [one for one in own if one.listed is not None]
            rows.append({
                "set": group, "detector": name, "pictures": len(own), "with_a_face": hits,
                "share": round(hits / len(own), 4), "low": round(low, 4), "high": round(high, 4),
                "faces": sum(len(one.faces[name]) for one in own), "false_faces": false,
                "without_landmarks": sum(f.landmarks is None for o in own for f in o.faces[name]),
                "listed": sum(one.listed or 0 for one in listed) or None,
                "listed_found": sum(
                    min(one.listed or 0, len(one.faces[name])) for one in listed
                ) or None,
                "ms_median": round(float(np.median([one.ms[name] for one in own])), 1),
                "ms_ratio_median": round(float(ratio), 2) if name == "combined" else 1.0,
            })  # fmt: skip
    return rows


def drawn(one: Looked) -> Any:
    """Return the picture with its boxes in a square cell."""
    height, width = one.pixels.shape[:2]
    scale = CELL_PX / max(height, width)
    small = cv2.resize(one.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cell = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    cell[: small.shape[0], : small.shape[1]] = small[:CELL_PX, :CELL_PX]
    for name in ("mediapipe", "combined"):
        (other,) = {"mediapipe", "combined"} - {name}
        for face in one.faces[name]:
            overlaps = blazeface.overlap(face.box, boxes(one.faces[other]))
            kind = "both" if overlaps.max(initial=0) > SAME else name
            corners = np.round(face.box * scale).astype(int).tolist()
            thick = 2 if face.landmarks is not None else 1
            cv2.rectangle(cell, *corners, COLOURS[kind], thick)
    cv2.putText(cell, one.name[-14:], (2, CELL_PX - 4), 0, 0.4, (255, 0, 255), 1)
    return cell


def write_sheets(looked: list[Looked], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for group in dict.fromkeys(one.group for one in looked):
        cells = [drawn(one) for one in looked if one.group == group]
        for start in range(0, len(cells), ACROSS * ROWS):
            part = cells[start : start + ACROSS * ROWS]
            part += [np.full_like(cells[0], 255)] * (-len(part) % ACROSS)
            rows = [np.hstack(part[at : at + ACROSS]) for at in range(0, len(part), ACROSS)]
            path = folder / f"{group}-{start:03}.png"
            cv2.imwrite(str(path), np.vstack(rows)[:, :, ::-1])


_ASSETS = ("detection", "landmarks", "centerface")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--half", choices=("scored", "chosen"), default="scored")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--out", type=Path, help="default detection.csv, of --half chosen apart")
    options = parser.parse_args()
    is_scored = options.half == "scored"
    default = RESULTS / ("detection.csv" if is_scored else "detection-chosen.csv")
    out = options.out or default
    cv2.setNumThreads(1)
    detection, landmarks, searching = map(assets.path_of, _ASSETS)
    mediapipe = MediaPipeDetector(detection, landmarks)
    centerface = CenterFaceDetector(searching, least_score=LEAST_SCORE)
    detectors: dict[str, Detector] = {
        "mediapipe": mediapipe, "combined": PhotoDetector(mediapipe, centerface),
    }  # fmt: skip
    looked = []
    for group in (
        photos(options.photos), frames(options.clip), masks(options.masks, options.half)
    ):  # fmt: skip
        for one in group:
            look(one, detectors, first=len(looked) % 2 == 0)
            looked.append(one)
    if options.sheets:
        write_sheets(looked, options.sheets)
    judged = RESULTS / "false_faces.csv"
    known = (
        pd.read_csv(judged)
        if judged.is_file()
        else pd.DataFrame(columns=["image", "x_px", "y_px", "side_px"])
    )
    table = pd.DataFrame(rows_of(looked, known))
    print(table.to_string(index=False))
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out, index=False)
    files = {name: sha256_file(assets.path_of(name)) for name in _ASSETS}
    facts = environment() | {"half": options.half, "detectors_sha256": files}
    beside = "environment.json" if is_scored else f"{out.stem}.environment.json"
    write_json(out.with_name(beside), facts)


if __name__ == "__main__":
    sys.exit(exit_code(main))
