"""The faces that a set of stimuli is made of: pictures, what they show, and their square crops."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.data.vocabulary import emotion_of
from hemiface.errors import DamagedError, UsageError, first_names
from hemiface.files import printable
from hemiface.inputs import as_csv, open_lines, require_columns
from hemiface.occlusion.face_lines import FaceLines, FindLandmarks, lines_of
from hemiface.tables import EMOTIONS
from hemiface.vision.finding.alignment import can_align, cut_out
from hemiface.vision.finding.detector import Detector
from hemiface.vision.photos import read_photo
from hemiface.vision.sources import find_sources

__all__ = ["Face", "crops", "face_lines", "find_faces", "placed"]

Pictures = npt.NDArray[np.uint8]
OnNote = Callable[[str], None]

_KEPT = 32
"""Crops in memory: a composite needs two at a time."""


@dataclass(frozen=True, eq=False)
class Face:
    """A picture of a face, and what is known of it."""

    path: Path
    name: str
    """File name as it stands in tables."""
    emotion: str
    """One of EMOTIONS, empty where nobody labelled it."""
    person: str
    """Who is shown; the file's name where that isn't known."""
    five: npt.NDArray[np.float64] | None = None
    """Points by which it is cut out of a photo, None where the central square is taken."""

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return Path(self.name).stem


def find_faces(
    names: Sequence[str], labels: Path | None = None, on_note: OnNote = lambda _: None
) -> list[Face]:
    """Return the pictures that files and folders hold, with their labels.

    `labels` is a CSV table with the columns `file` (a path from the table's folder, or a name that
    only one picture has), `label` and, if known, `person`; without it the folder in which a picture
    lies names the emotion, where it is one's name. `on_note` is told in a sentence of rows of the
    table that are about none of the pictures.

    Raises:
        DamagedError: a file or the table is missing or damaged, or a label is no emotion.
        UsageError: there are no pictures, or two bear the same name.
    """
    sources = find_sources(names)
    for one in sources:
        if one.problem:
            raise DamagedError(one.problem)
        if one.kind != "photo" and one.path in names:
            raise UsageError(f"{one.name} is no picture; stimuli are made of pictures.")
    paths = [Path(one.path) for one in sources if one.kind == "photo"]
    if not paths:
        raise UsageError(f"{', '.join(names)} holds no pictures to make stimuli of.")
    stems = Counter(path.stem for path in paths)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise UsageError(f"Two of the pictures are called {twice[0]}; rename one of them.")
    known = _labels(labels) if labels else {}
    strangers = _strangers(known, paths)
    if strangers:
        on_note(
            f"{labels}: none of the pictures is {first_names(strangers)}; look how files are spelt "
            "there."
        )
    found = []
    for path in paths:
        name = printable(path.name)
        row = known.get(str(path.resolve()), known.get(path.name, {}))
        emotion = row.get("label", "") if labels else _emotion(path.parent.name)
        found.append(Face(path, name, emotion, row.get("person") or Path(name).stem))
    return found


def _emotion(word: str) -> str:
    """Return the emotion that a word names, empty if it names none."""
    named = emotion_of(word)
    return named if named in EMOTIONS else ""


def _labels(path: Path) -> dict[str, dict[str, str]]:
    """Return what a table says of each picture, by its whole path and by its name."""
    found: dict[str, dict[str, str]] = {}
    names: Counter[str] = Counter()
    with as_csv(path), open_lines(path) as lines:
        reader = csv.DictReader(lines)
        require_columns(path, list(reader.fieldnames or ()), ("file", "label"), ("person",))
        for row in reader:
            emotion = _emotion(row["label"] or "")
            if not emotion:
                raise DamagedError(
                    f"{path}, line {reader.line_num}: {row['label']!r} is none of "
                    f"{', '.join(EMOTIONS)}."
                )
            file = path.parent / (row["file"] or "").strip()
            said = {"label": emotion, "person": (row.get("person") or "").strip()}
            if found.get(str(file.resolve()), said) != said:
                raise DamagedError(
                    f"{path}, line {reader.line_num}: {file.name} has another label or person in a "
                    "line before; give it one."
                )
            found |= {str(file.resolve()): said, file.name: said}
            names[file.name] += 1
    # A name that several have says nothing.
    return {name: said for name, said in found.items() if names[name] < 2}


def _strangers(known: Mapping[str, object], paths: Sequence[Path]) -> list[str]:
    """Return the names of files that a table of labels names, and that are none of the pictures."""
    whole = {str(path.resolve()) for path in paths}
    names = {path.name for path in paths} & known.keys()
    rows = (Path(one) for one in known if Path(one).is_absolute() and one not in whole)
    return [path.name for path in rows if path.name not in names]


def placed(
    faces: Sequence[Face], detector: Detector, most_pixels: int | None, on_note: OnNote
) -> Iterator[Face]:
    """Yield the faces with the points of the largest one in each photo; others are left out.

    `on_note` is told in a sentence of each photo that shows no face, or several.

    Raises:
        DamagedError: a picture can't be read; see `vision.photos.read_photo`.
    """
    for one in faces:
        found = detector.detect(read_photo(one.path, most_pixels).pixels)
        fives = [face.five for face in found if face.five is not None and can_align(face.five)]
        if fives:
            if len(fives) > 1:
                on_note(f"{one.path} shows {len(fives)} faces; the largest is taken.")
            yield replace(one, five=fives[0])
        else:
            on_note(f"no face was found in {one.path}; it is left out.")


def crops(side_px: int, most_pixels: int | None = None) -> Callable[[Face], Pictures]:
    """Return what gives a face's crop: uint8 [side_px, side_px], or [..., 3] if it has colours.

    A face with points is cut out upright, as the networks see it (`alignment.cut_out`); of others
    the central square is taken, as `predict --no-detect` takes it.
    """

    @lru_cache(maxsize=_KEPT)
    def crop(face: Face) -> Pictures:
        photo = read_photo(face.path, most_pixels)
        pixels = (
            _square(photo.pixels, side_px)
            if face.five is None
            else cut_out(photo.pixels, face.five, side_px)
        )
        return pixels[..., 0] if photo.is_grey else pixels

    return crop


def face_lines(
    crop: Callable[[Face], Pictures], landmarks: FindLandmarks
) -> Callable[[Face], FaceLines]:
    """Return what gives the lines of a face in its crop; what was found is kept for a while."""

    @lru_cache(maxsize=_KEPT)
    def lines(face: Face) -> FaceLines:
        pixels = crop(face)
        return lines_of(landmarks(pixels[np.newaxis]), *pixels.shape[:2])

    return lines


def _square(pixels: Pictures, side_px: int) -> Pictures:
    """Return the central square of a picture, as large as is asked for."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    part = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (side_px, side_px), interpolation=how), dtype=np.uint8)
