"""Finding faces: a protocol that any detector can fit, and MediaPipe's two small networks.

BlazeFace looks at squares of 128 px out of a pyramid of the photo: the whole of it, the whole of
it with a grey margin (faces that fill or leave the picture), and overlapping tiles of larger
versions (small faces in large photos). The landmark network then looks at each candidate, upright,
and says whether it is a face and where its 468 points lie.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.vision import blazeface
from hemiface.vision.alignment import can_align
from hemiface.vision.litert import TfliteNetwork

__all__ = ["Detector", "FoundFace", "MediaPipeDetector"]

Floats = npt.NDArray[np.float64]
Photo = npt.NDArray[np.uint8]

_TILE_PX = blazeface.INPUT_PX
_STEP_PX = _TILE_PX // 2
_GREY = 127
_MARGIN = 0.25
"""Share of the photo's longer side that the padded view adds on each side."""
_SMALLEST_IN_TILE_PX = 24
"""What BlazeFace still finds reliably in its input."""
_LEAST_CONTRAST = 8
"""A tile whose grey levels span less shows no face."""
_LEAST_PRODUCT = 0.55
"""Of both networks' scores: on 30 photos of 75 faces the worst face had 0.66, a pattern 0.50."""
_SURELY_UPRIGHT = 0.88
"""With a score like this the photo isn't searched lying on its sides or head: upright faces of the
photos had 0.92 and more, upside-down ones taken for upright up to 0.78, lying ones up to 0.90."""
_CLEARLY_BETTER = 0.03
_LANDMARK_PX = 192
_LANDMARK_SCALE = 1.5
"""Side of the square that the landmark network sees, in sides of the detection's box."""


@dataclass(frozen=True, eq=False)
class FoundFace:
    """One face in a photo; all positions are pixels of the photo, x to the right, y down.

    A pixel's centre is at whole numbers plus a half.
    """

    box: Floats
    """[2, 2]: upper left and lower right corner; may reach beyond the photo."""
    score: float
    """The detector's score in 0..1."""
    landmarks: Floats | None = None
    """[468, 2] of MediaPipe's face mesh, None where a detector has none."""
    presence: float | None = None
    """The landmark network's probability in 0..1 that this is a face."""
    five: Floats | None = None
    """[5, 2]: image-left eye, image-right eye, nose, image-left and -right mouth corner."""


class Detector(Protocol):
    """Anything that finds faces; `Predictor` takes one as `detector`."""

    def detect(self, photo: Photo) -> list[FoundFace]:
        """Return the faces in an RGB photo uint8 [height, width, 3], largest first."""
        ...


class MediaPipeDetector:
    """BlazeFace and face mesh on LiteRT; one object serves any number of threads at once.

    `smallest_face` is the smallest face to look for as a share of the photo's longer side; a face
    of fewer than 20 px is never looked for. `least_score` and `least_presence` are what both
    networks must reach, and the product of the two must reach 0.55 (chance patterns in tiles just
    pass each network). Where no face is surely upright, the photo is turned by quarters and
    searched again.

    Raises:
        UsageError: an option is out of range.
        DamagedError: a file is not a network that LiteRT can run.
    """

    def __init__(
        self,
        detection: str | Path,
        landmarks: str | Path,
        *,
        smallest_face: float = 1 / 40,
        least_score: float = 0.5,
        least_presence: float = 0.5,
    ) -> None:
        for name, value in {
            "smallest_face": smallest_face,
            "least_score": least_score,
            "least_presence": least_presence,
        }.items():
            if not 0 < value <= 1:
                raise UsageError(f"{name} must lie in 0..1, got {value}.")
        self._detection = TfliteNetwork(detection)
        self._landmarks = TfliteNetwork(landmarks)
        self._smallest = smallest_face
        self._least_score = least_score
        self._least_presence = least_presence

    def detect(self, photo: Photo) -> list[FoundFace]:
        """Return the faces in an RGB photo uint8 [height, width, 3], largest first.

        Raises:
            UsageError: the array has another type or shape.
        """
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise UsageError(
                f"detect() takes uint8 [height, width, 3], got {photo.dtype} {list(photo.shape)}."
            )
        best = self._search(photo, 0)
        # An upside-down face can pass for an upright one, but scores lower than turned back.
        if _best_score(best) < _SURELY_UPRIGHT:
            turned = max((self._search(photo, quarters) for quarters in (1, 2, 3)), key=_best_score)
            if _best_score(turned) > _best_score(best) + _CLEARLY_BETTER:
                best = turned
        return _largest_first(best)

    def _search(self, photo: Photo, quarters: int) -> list[FoundFace]:
        """Return what is found after turning the photo by quarters, as positions in the photo."""
        points, scores = self._candidates(np.ascontiguousarray(np.rot90(photo, quarters)))
        upright = _turned_back(points, quarters, photo)
        looked = (
            self._look(photo, one, float(score)) for one, score in zip(upright, scores, strict=True)
        )
        return _distinct([face for face in looked if face is not None])

    def _candidates(self, photo: Photo) -> tuple[Floats, Floats]:
        """Return boxes with keypoints [n, 8, 2] in pixels of the photo, and scores, best first."""
        all_points, all_scores = [np.zeros((0, 8, 2))], [np.zeros(0)]
        for view, origin, scale, inner in _views(photo, self._smallest):
            if int(view.max()) - int(view.min()) < _LEAST_CONTRAST:
                continue
            found = self._detection.run(view.astype(np.float32) / np.float32(127.5) - np.float32(1))
            points, scores = blazeface.decode(
                found["regressors"][0], found["classificators"][0, :, 0], self._least_score
            )
            points, scores = blazeface.suppress(points, scores)
            whole = ~_is_cut(points, inner)
            all_points.append((points[whole] + origin) / scale)
            all_scores.append(scores[whole])
        points, scores = np.concatenate(all_points), np.concatenate(all_scores)
        order = np.argsort(-scores, kind="stable")
        return _strongest(points[order], scores[order])

    def _look(self, photo: Photo, points: Floats, score: float) -> FoundFace | None:
        """Let the landmark network look at a candidate; None if it sees no face."""
        landmarks, presence = self._mesh(photo, _landmark_square(points))
        if presence < self._least_presence or score * presence < _LEAST_PRODUCT:
            return None
        five = five_points(landmarks)
        if not can_align(five):
            return None
        box = np.stack([landmarks.min(axis=0), landmarks.max(axis=0)])
        return FoundFace(box, score, landmarks, presence, five)

    def look(self, photo: Photo, scale: float = 1.0) -> tuple[Floats, float]:
        """Let the landmark network look at the whole of an RGB photo, without detection.

        The square that it sees is upright, centred and `scale` times the longer side. Returns the
        landmarks [468, 2] and the probability in 0..1 that they are a face's.
        """
        height, width = photo.shape[:2]
        side = scale * max(height, width)
        zoom = side / _LANDMARK_PX
        corner = np.array([width - side, height - side]) / 2
        return self._mesh(photo, np.column_stack([zoom * np.eye(2), corner]))

    def _mesh(self, photo: Photo, to_photo: Floats) -> tuple[Floats, float]:
        """Return landmarks [468, 2] in the photo and their presence for one square of it."""
        patch = _cut_out(photo, to_photo)
        found = self._landmarks.run(patch.astype(np.float32) / np.float32(255))
        raw = {value.size: value.ravel() for value in found.values()}
        presence = 1 / (1 + math.exp(-float(raw[1][0])))
        mesh = raw[1404].reshape(468, 3)[:, :2].astype(np.float64)
        return mesh @ to_photo[:, :2].T + to_photo[:, 2], presence


_EYES = ((33, 133), (362, 263))
_NOSE = 1
_MOUTH_CORNERS = (61, 291)


def five_points(landmarks: Floats) -> Floats:
    """Return [5, 2] of [468, 2]: both eyes' centres (between their corners), nose, mouth corners.

    The person's right eye and mouth corner, which a photo shows on its left, come first.
    """
    eyes = [landmarks[list(corners)].mean(axis=0) for corners in _EYES]
    return np.stack([*eyes, landmarks[_NOSE], *landmarks[list(_MOUTH_CORNERS)]])


def _turned_back(points: Floats, quarters: int, photo: Photo) -> Floats:
    """Return points [..., 2] of the photo after np.rot90(photo, quarters) as points of the photo.

    Boxes stay ordered: their corners come back as upper left and lower right.
    """
    height, width = photo.shape[:2]
    x, y = points[..., 0], points[..., 1]
    turned = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarters]
    result = np.stack(turned, axis=-1)
    corners = np.sort(result[:, :2], axis=1)
    return np.concatenate([corners, result[:, 2:]], axis=1)


def _views(
    photo: Photo, smallest: float
) -> Iterator[tuple[Photo, Floats, float, tuple[bool, bool, bool, bool]]]:
    """Yield squares of 128 px of the photo at several scales.

    Each comes with its origin in pixels of the scaled photo, the scale, and which of its sides
    (left, top, right, bottom) lie inside the photo: what touches these is whole in another tile.
    """
    height, width = photo.shape[:2]
    longer = max(height, width)
    yield _whole(photo, _TILE_PX)
    yield _whole(photo, round(_TILE_PX / (1 + 2 * _MARGIN)))
    smallest_px = max(20.0, smallest * longer)
    side = 2 * _TILE_PX
    # A level finds faces of _SMALLEST_IN_TILE_PX; the one before found those twice as large.
    while longer * _SMALLEST_IN_TILE_PX / (side / 2) > smallest_px and side < 2 * longer:
        yield from _tiles(photo, side)
        side *= 2


def _whole(photo: Photo, side: int) -> tuple[Photo, Floats, float, tuple[bool, bool, bool, bool]]:
    scaled, scale = _scaled(photo, side)
    height, width = scaled.shape[:2]
    left, top = (_TILE_PX - width) // 2, (_TILE_PX - height) // 2
    view = np.full((_TILE_PX, _TILE_PX, 3), _GREY, dtype=np.uint8)
    view[top : top + height, left : left + width] = scaled
    return view, np.array([-left, -top], dtype=np.float64), scale, (False,) * 4


def _tiles(
    photo: Photo, side: int
) -> Iterator[tuple[Photo, Floats, float, tuple[bool, bool, bool, bool]]]:
    scaled, scale = _scaled(photo, side)
    pad = _STEP_PX // 2
    padded = cv2.copyMakeBorder(
        scaled, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(_GREY, _GREY, _GREY)
    )
    missing = [max(_TILE_PX - size, 0) for size in padded.shape[:2]]
    padded = cv2.copyMakeBorder(
        padded, 0, missing[0], 0, missing[1], cv2.BORDER_CONSTANT, value=(_GREY, _GREY, _GREY)
    )
    height, width = padded.shape[:2]
    for top in _starts(height):
        for left in _starts(width):
            view = np.asarray(padded[top : top + _TILE_PX, left : left + _TILE_PX], dtype=np.uint8)
            right, bottom = left + _TILE_PX < width, top + _TILE_PX < height
            inner = (left > 0, top > 0, bool(right), bool(bottom))
            yield view, np.array([left - pad, top - pad], dtype=np.float64), scale, inner


def _starts(size: int) -> list[int]:
    """Return where tiles begin so that they cover `size` pixels and overlap by half or more."""
    last = size - _TILE_PX
    return [*range(0, last, _STEP_PX), last]


def _scaled(photo: Photo, side: int) -> tuple[Photo, float]:
    """Return the photo with `side` pixels on its longer side, and the scale."""
    height, width = photo.shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(photo, size, interpolation=how), dtype=np.uint8)
    return scaled, scale


def _is_cut(points: Floats, inner: tuple[bool, bool, bool, bool]) -> npt.NDArray[np.bool_]:
    """Return bool [n]: whether a box leaves the tile through a side inside the photo."""
    left, top, right, bottom = inner
    cut = np.zeros(len(points), dtype=bool)
    if left:
        cut |= points[:, 0, 0] < 0
    if top:
        cut |= points[:, 0, 1] < 0
    if right:
        cut |= points[:, 1, 0] > _TILE_PX
    if bottom:
        cut |= points[:, 1, 1] > _TILE_PX
    return cut


def _strongest(points: Floats, scores: Floats, most_overlap: float = 0.3) -> tuple[Floats, Floats]:
    """Keep the best of the candidates that several tiles gave for one face."""
    kept: list[int] = []
    for index in range(len(scores)):
        others = points[kept, :2]
        if not kept or blazeface.overlap(points[index, :2], others).max() <= most_overlap:
            kept.append(index)
    return points[kept], scores[kept]


def _landmark_square(points: Floats) -> Floats:
    """Return [2, 3] from the landmark network's input to the photo: upright by the eyes, 1.5 x."""
    box, (right_eye, left_eye) = points[:2], points[2:4]
    angle = math.atan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0])
    side = _LANDMARK_SCALE * float((box[1] - box[0]).max())
    scale = side / _LANDMARK_PX
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    offset = box.mean(axis=0) - turn @ np.full(2, _LANDMARK_PX / 2)
    return np.column_stack([turn, offset])


def _cut_out(photo: Photo, to_photo: Floats) -> Photo:
    """Return the landmark network's uint8 [192, 192, 3] square, grey outside the photo."""
    # Pixel centres lie at halves, while warpAffine counts them from 0.
    centred = to_photo.copy()
    centred[:, 2] += to_photo[:, :2] @ np.full(2, 0.5) - 0.5
    patch = cv2.warpAffine(
        photo,
        centred,
        (_LANDMARK_PX, _LANDMARK_PX),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(_GREY, _GREY, _GREY),
    )
    return np.asarray(patch, dtype=np.uint8)


def _distinct(faces: list[FoundFace], most_overlap: float = 0.4) -> list[FoundFace]:
    """Drop a face whose landmarks lie on those of a better one."""
    kept: list[FoundFace] = []
    for face in sorted(faces, key=lambda one: -one.score):
        boxes = np.array([other.box for other in kept]).reshape(-1, 2, 2)
        if not kept or blazeface.overlap(face.box, boxes).max() <= most_overlap:
            kept.append(face)
    return kept


def _best_score(faces: list[FoundFace]) -> float:
    return max((face.score for face in faces), default=0.0)


def _largest_first(faces: list[FoundFace]) -> list[FoundFace]:
    return sorted(faces, key=lambda face: -float(np.prod(face.box[1] - face.box[0])))
