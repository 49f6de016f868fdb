"""What searches photos by default: CenterFace, and MediaPipe's networks on top and beside it.

CenterFace finds small, masked and turned faces in one look. MediaPipe's two networks then look at
each of them as they do at known faces of a video, turned upright, and at the photo as a whole,
where they win for faces that fill it. A face that they confirm is as they find it, with its 468
landmarks. One that only CenterFace sees, such as many a masked one, is found all the same, with its
own five points and no landmarks, if CenterFace is surer of it.

Where no face is surely upright, as in drawings or in photos that lie on their heads, the photo is
searched by MediaPipe's networks alone as well, in tiles and turned.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hemiface.vision.finding import blazeface
from hemiface.vision.finding.alignment import can_align
from hemiface.vision.finding.centerface import SURE
from hemiface.vision.finding.detector import (
    SURELY_UPRIGHT,
    Detector,
    FoundFace,
    MediaPipeDetector,
    five_points,
    largest_first,
    turn_of,
)
from hemiface.vision.finding.squares import cut_out, to_photo

__all__ = ["LEAST_SCORE", "PhotoDetector"]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

LEAST_SCORE = 0.35
"""Of CenterFace, where MediaPipe's networks confirm the face."""
_SURELY_UPRIGHT_MASKED = 0.65
"""Of CenterFace, where MediaPipe's networks see no face surely upright: most masked faces have
more, upside-down ones taken for upright had up to 0.57."""
_LEAST_PRESENCE = 0.5
_SAME_OVERLAP = 0.3
_MOST_TILT_DEG = 60
"""Faces turned by more say that the whole photo may be."""
_LANDMARK_PX = 192
_LANDMARK_SCALE = 1.3
"""Side of the square that the landmark network sees, in longer sides of CenterFace's box."""


class PhotoDetector:
    """CenterFace and MediaPipe's networks together; serves any number of threads at once.

    `centerface` should report faces from LEAST_SCORE on. With `tiles`, MediaPipe's networks search
    every photo alone as well: where faces are asked for that are too small for CenterFace.
    """

    def __init__(
        self, mediapipe: MediaPipeDetector, centerface: Detector, *, tiles: bool = False
    ) -> None:
        self._mediapipe = mediapipe
        self._centerface = centerface
        self._tiles = tiles

    def detect(self, photo: Pixels) -> list[FoundFace]:
        """Return the faces in an RGB photo uint8 [height, width, 3], largest first.

        Raises:
            UsageError: the array has another type or shape.
        """
        candidates = self._centerface.detect(photo)
        found = self._mediapipe.follow(photo, candidates)
        sure = _is_surely_upright(found, candidates)
        looked = [self._look(photo, one) for one in _apart(candidates, found)]
        found = _with(found, [face for face in looked if face is not None])
        if self._tiles or not sure:
            found = _with(self._mediapipe.detect(photo), found)
        return largest_first(found)

    def _look(self, photo: Pixels, one: FoundFace) -> FoundFace | None:
        """Return what CenterFace found with landmarks if it has some, None if it is no face."""
        if one.five is None:
            return None
        mesh, presence = self._mesh(photo, one.box, one.five[1] - one.five[0])
        landmarks = mesh[:, :2]
        five = five_points(landmarks)
        box = np.stack([landmarks.min(axis=0), landmarks.max(axis=0)])
        near = blazeface.overlap(one.box, box[np.newaxis])[0] > _SAME_OVERLAP
        if presence >= _LEAST_PRESENCE and near and can_align(five):
            return FoundFace(box, one.score, landmarks, presence, five, turn_of(mesh))
        return replace(one, presence=presence) if one.score >= SURE else None

    def _mesh(self, photo: Pixels, box: Floats, across: Floats) -> tuple[Floats, float]:
        """Return landmarks [468, 3] in the photo and their presence in the square around a box."""
        side = _LANDMARK_SCALE * float((box[1] - box[0]).max())
        square = to_photo(box.mean(axis=0), side, across, _LANDMARK_PX)
        patch = cut_out(photo, square, _LANDMARK_PX)
        mesh, presence = self._mediapipe.look(patch)
        flat = mesh[:, :2] @ square[:, :2].T + square[:, 2]
        return np.column_stack([flat, mesh[:, 2] * math.hypot(*square[:, 0])]), presence


def _is_surely_upright(found: list[FoundFace], candidates: list[FoundFace]) -> bool:
    """Return whether a face that is surely upright says so of the photo."""
    if any(face.score >= SURELY_UPRIGHT and _is_upright(face) for face in found):
        return True
    best = max(candidates, key=lambda face: face.score, default=None)
    return best is not None and best.score >= _SURELY_UPRIGHT_MASKED and _is_upright(best)


def _is_upright(face: FoundFace) -> bool:
    if face.five is None:
        return False
    right, down = face.five[1] - face.five[0]
    return bool(right > 0 and abs(down) < math.tan(math.radians(_MOST_TILT_DEG)) * right)


def _apart(faces: list[FoundFace], others: list[FoundFace]) -> list[FoundFace]:
    """Return those of `faces` that lie on none of `others`."""
    boxes = np.array([face.box for face in others]).reshape(-1, 2, 2)
    return [
        one for one in faces if blazeface.overlap(one.box, boxes).max(initial=0) <= _SAME_OVERLAP
    ]


def _with(faces: list[FoundFace], others: list[FoundFace]) -> list[FoundFace]:
    """Return `faces`, and of `others`, best first, those that lie on none of them."""
    kept = list(faces)
    for one in sorted(others, key=lambda face: -face.score):
        kept += _apart([one], kept)
    return kept
