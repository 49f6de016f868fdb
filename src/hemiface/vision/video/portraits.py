"""Who is who in a video: a small picture of each face, taken where it can be seen best."""

import base64
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hemiface.vision.faces import FacePrediction, Faces
from hemiface.vision.seen import Box, Frame

__all__ = ["SIDE_PX", "Portraits", "unpacked"]

Pixels = npt.NDArray[np.uint8]

SIDE_PX = 96
_MARGIN = 0.2
"""Shown around a face, in sizes of its box."""
_JPEG_QUALITY = 88
_MOST_KEPT = 256
"""With more faces, those that were there for the fewest frames are forgotten."""


class Portraits:
    """The best picture of each face of one video, which is added frame by frame.

    The best is the one that shows most of a face, in most pixels, turned away least: by `_worth`.
    """

    def __init__(self) -> None:
        self._frames: Counter[int] = Counter()
        self._best: dict[int, tuple[float, Pixels]] = {}
        self._better = set[int]()
        """Whose picture is another one than the last state told."""

    def add(self, frame: Frame, faces: Faces) -> None:
        """Take what is better in this frame than in those before."""
        for face in faces:
            self._frames[face.face] += 1
            worth = _worth(face)
            if face.face not in self._best or worth > self._best[face.face][0]:
                self._best[face.face] = worth, _crop(frame.pixels, face.box_px)
                self._better.add(face.face)
        if len(self._best) > _MOST_KEPT:
            kept = [face for face, _ in self._frames.most_common(_MOST_KEPT // 2)]
            here = {face.face for face in faces}
            self._best = {one: self._best[one] for one in {*kept, *here} & self._best.keys()}
            self._frames = Counter({one: self._frames[one] for one in self._best})

    def state(self) -> dict[str, Any]:
        """Return what goes on from here with the states of before, as JSON values.

        It holds no picture that one of these had; nothing is lost of any.
        """
        better = {
            face: [self._best[face][0], _packed(self._best[face][1], "PNG")]
            for face in sorted(self._better & self._best.keys())
        }
        self._better.clear()
        return {"frames": list(self._frames.items()), "better": list(better.items())}

    def go_on(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Go on as the one that returned these `states`, all of them in order."""
        for state in states:
            self._frames = Counter(dict(state["frames"]))
            for face, (worth, content) in state["better"]:
                self._best[face] = worth, _unpacked(content)
        self._best = {face: self._best[face] for face in self._frames}

    def packed(self, most: int) -> dict[str, str]:
        """Return number -> JPEG in base64 of the faces that were there for the most frames."""
        chosen = [face for face, _ in self._frames.most_common(most)]
        return {str(face): _packed(self._best[face][1], "JPEG") for face in chosen}


def unpacked(portraits: Mapping[str, str]) -> dict[int, Pixels]:
    """Return number -> RGB uint8 [SIDE_PX, SIDE_PX, 3] of what `Portraits.packed` returned."""
    return {int(face): _unpacked(content) for face, content in portraits.items()}


def _worth(face: FacePrediction) -> float:
    """Return what a picture of a face is worth, 0..1: uncovered, large and frontal."""
    covered = face.visibility.covered_in_all
    shown = face.in_picture * (1.0 if math.isnan(covered) else 1 - covered)
    large = min(min(face.box_px[2:]) / SIDE_PX, 1.0)
    # Unknown without landmarks, where a face is masked or turned far.
    turned = 0.5 if math.isnan(face.yaw_deg) else max(math.cos(math.radians(face.yaw_deg)), 0.0)
    return shown * large * turned


def _crop(pixels: Pixels, box: Box) -> Pixels:
    """Return a square around a box, black beyond the picture, [SIDE_PX, SIDE_PX, 3]."""
    x, y, width, height = box
    half = (0.5 + _MARGIN) * max(width, height)
    middle = x + width / 2, y + height / 2
    left, top = (round(one - half) for one in middle)
    right, bottom = (round(one + half) for one in middle)
    part = Image.fromarray(pixels).crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    return np.asarray(part.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))


def _packed(pixels: Pixels, kind: str) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=_JPEG_QUALITY)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _unpacked(content: str) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
