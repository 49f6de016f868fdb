"""Finding faces: a protocol that any detector can fit, and MediaPipe's two small networks.

Photos are searched with CenterFace beside these, see `vision.finding.photo_detector`.

BlazeFace looks at squares of 128 px out of a pyramid of the photo: the whole of it, the whole of
it with a grey margin (faces that fill or leave the picture), and overlapping tiles of larger
versions (small faces in large photos). The landmark network then looks at each candidate, upright,
and says whether it is a face and where its 468 points lie.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.vision.finding import blazeface, squares
from hemiface.vision.finding.alignment import can_align
from hemiface.vision.finding.litert import TfliteNetwork
from hemiface.vision.finding.squares import (
    LEAST_FACE_PX,
    Square,
    cut_out,
    is_cut,
    tile_squares,
    whole_squares,
)

__all__ = [
    "LEAST_CONTRAST",
    "SURELY_UPRIGHT",
    "Detector",
    "FollowingDetector",
    "FoundFace",
    "MediaPipeDetector",
    "Turn",
    "check_photo",
    "five_points",
    "largest_first",
    "turn_of",
]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
LEAST_CONTRAST = 8
"""A picture whose grey levels span less shows no face."""
_LEAST_PRODUCT = 0.55
"""Of both networks' scores: on 30 photos of 75 faces the worst face had 0.66, a pattern 0.50."""
SURELY_UPRIGHT = 0.88
"""With a score like this the photo isn't searched lying on its sides or head: upright faces of the
photos had 0.92 and more, upside-down ones taken for upright up to 0.78, lying ones up to 0.90."""
_CLEARLY_BETTER = 0.03
_NEAR_SCALE = 3.0
"""Side of the square in which a known face is looked for, in sides of its box: it may move by its
size, and fills a third of BlazeFace's input."""
_MOST_FINE = 4
_LANDMARK_PX = 192
_LANDMARK_SCALE = 1.5
"""Side of the square that the landmark network sees, in sides of the detection's box."""


class Turn(NamedTuple):
    """How a head is turned out of the picture's plane, in degrees; 0, 0 looks at the camera.

    Of the face as it is turned upright in the plane (`roll_deg`), not of the picture.
    """

    yaw_deg: float
    """Positive where the face looks to the viewer's right."""
    pitch_deg: float
    """Positive where it looks down."""


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
    turn: Turn | None = None
    """How the head is turned, None where a detector doesn't tell."""


class Detector(Protocol):
    """Anything that finds faces; `Predictor` takes one as `detector`."""

    def detect(self, photo: Pixels) -> list[FoundFace]:
        """Return the faces in an RGB photo uint8 [height, width, 3], largest first."""
        ...


@runtime_checkable
class FollowingDetector(Detector, Protocol):
    """A detector that is faster where it knows the faces of the frame before."""

    def follow(self, photo: Pixels, known: Sequence[FoundFace]) -> list[FoundFace]:
        """Return the faces near those of the frame before, and new ones that are easy to find."""
        ...


class MediaPipeDetector:
    """BlazeFace and face mesh on LiteRT; one object serves any number of threads at once.

    `min_face_px` is the longer side of the smallest face to look for, by default a 40th of the
    photo's longer side and at least 20 px; with half of it a large photo takes about three times as
    long. `least_score` and `least_presence` are what both
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
        min_face_px: int | None = None,
        least_score: float = 0.5,
        least_presence: float = 0.5,
    ) -> None:
        if min_face_px is not None and min_face_px < LEAST_FACE_PX:
            raise UsageError(f"min_face_px must be at least {LEAST_FACE_PX}, got {min_face_px}.")
        for name, value in {
            "least_score": least_score,
            "least_presence": least_presence,
        }.items():
            if not 0 < value <= 1:
                raise UsageError(f"{name} must lie in 0..1, got {value}.")
        self._detection = TfliteNetwork(detection)
        self._landmarks = TfliteNetwork(landmarks)
        self._smallest_px = min_face_px
        self._least_score = least_score
        self._least_presence = least_presence

    def detect(self, photo: Pixels) -> list[FoundFace]:
        """Return the faces in an RGB photo uint8 [height, width, 3], largest first.

        Raises:
            UsageError: the array has another type or shape.
        """
        check_photo(photo)
        sizes = squares.Sizes(photo)
        best = self._search(photo, sizes, 0)
        # An upside-down face can pass for an upright one, but scores lower than turned back.
        if _best_score(best) < SURELY_UPRIGHT:
            turned = max((self._search(photo, sizes, one) for one in (1, 2, 3)), key=_best_score)
            if _best_score(turned) > _best_score(best) + _CLEARLY_BETTER:
                best = turned
        return largest_first(best)

    def follow(self, photo: Pixels, known: Sequence[FoundFace]) -> list[FoundFace]:
        """Return the faces of a video's next frame, largest first: near `known`, and large ones.

        BlazeFace looks at the whole frame and at a square around each known face, turned upright,
        of three times its size; at no tiles, which most of `detect`'s time goes to. So small faces
        that are new aren't found.

        Raises:
            UsageError: as `detect`.
        """
        check_photo(photo)
        whole = [self._in_square(one) for one in whole_squares(squares.Sizes(photo))]
        points, scores = _best_first([*whole, *(self._near(photo, one) for one in known)])
        looked = (self._look(photo, *one) for one in zip(points, scores.tolist(), strict=True))
        return largest_first(_distinct([face for face in looked if face is not None]))

    def _search(self, photo: Pixels, sizes: squares.Sizes, quarters: int) -> list[FoundFace]:
        """Return what is found after turning the photo by quarters, as positions in the photo."""
        points, scores = self._candidates(sizes, quarters)
        upright = _turned_back(points, quarters, photo)
        looked = (
            self._look(photo, one, float(score)) for one, score in zip(upright, scores, strict=True)
        )
        return _distinct([face for face in looked if face is not None])

    def _candidates(self, photo: squares.Sizes, quarters: int) -> tuple[Floats, Floats]:
        """Return boxes with keypoints [n, 8, 2] in pixels of the turned photo, and scores."""
        whole = whole_squares(photo, quarters)
        tiles = tile_squares(photo, self._smallest_px, quarters)
        return _best_first(self._in_square(one) for one in chain(whole, tiles))

    def _in_square(self, square: Square) -> tuple[Floats, Floats]:
        """Return what one square shows, as `_candidates` does."""
        points, scores = self._blaze(square.pixels)
        whole = ~is_cut(points, square.inner)
        return (points[whole] + square.origin) / square.scale, scores[whole]

    def _near(self, photo: Pixels, known: FoundFace) -> tuple[Floats, Floats]:
        """Return what lies around a face of the frame before, as `_candidates` does."""
        to_photo = _nearsquare(known)
        scale = math.hypot(*to_photo[:, 0])
        # Sampled about as finely as the photo, then averaged: warping alone would skip pixels.
        finer = min(max(math.floor(scale), 1), _MOST_FINE)
        fine = np.column_stack([to_photo[:, :2] / finer, to_photo[:, 2]])
        patch = cv2.resize(
            cut_out(photo, fine, blazeface.INPUT_PX * finer),
            (blazeface.INPUT_PX, blazeface.INPUT_PX),
            interpolation=cv2.INTER_AREA,
        )
        points, scores = self._blaze(np.asarray(patch, dtype=np.uint8))
        whole = ~is_cut(points, (True, True, True, True))
        points, scores = points[whole], scores[whole]
        placed = points @ to_photo[:, :2].T + to_photo[:, 2]
        # A box isn't turned with its keypoints, as in every other square.
        half = (points[:, 1] - points[:, 0])[:, np.newaxis] * scale / 2
        middle = placed[:, :2].mean(axis=1, keepdims=True)
        placed[:, :2] = middle + half * np.array([[-1.0], [1.0]])
        return placed, scores

    def _blaze(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """Return boxes with keypoints [n, 8, 2] in pixels of a square of 128 px, and scores."""
        if int(pixels.max()) - int(pixels.min()) < LEAST_CONTRAST:
            return np.zeros((0, 8, 2)), np.zeros(0)
        found = self._detection.run(pixels.astype(np.float32) / np.float32(127.5) - np.float32(1))
        points, scores = blazeface.decode(
            found["regressors"][0], found["classificators"][0, :, 0], self._least_score
        )
        return blazeface.suppress(points, scores)

    def _look(self, photo: Pixels, points: Floats, score: float) -> FoundFace | None:
        """Let the landmark network look at a candidate; None if it sees no face."""
        mesh, presence = self._mesh(photo, _landmark_square(points))
        landmarks = mesh[:, :2]
        if presence < self._least_presence or score * presence < _LEAST_PRODUCT:
            return None
        five = five_points(landmarks)
        if not can_align(five):
            return None
        box = np.stack([landmarks.min(axis=0), landmarks.max(axis=0)])
        return FoundFace(box, score, landmarks, presence, five, turn_of(mesh))

    def look(self, photo: Pixels, scale: float = 1.0) -> tuple[Floats, float]:
        """Let the landmark network look at the whole of an RGB photo, without detection.

        The square that it sees is upright, centred and `scale` times the longer side. Returns the
        landmarks [468, 3], of which the third is the depth behind the head's middle in pixels of
        the photo, and the probability in 0..1 that they are a face's.
        """
        height, width = photo.shape[:2]
        side = scale * max(height, width)
        zoom = side / _LANDMARK_PX
        corner = np.array([width - side, height - side]) / 2
        return self._mesh(photo, np.column_stack([zoom * np.eye(2), corner]))

    def _mesh(self, photo: Pixels, to_photo: Floats) -> tuple[Floats, float]:
        """Return landmarks [468, 3] in the photo and their presence for one square of it."""
        patch = cut_out(photo, to_photo, _LANDMARK_PX)
        found = self._landmarks.run(patch.astype(np.float32) / np.float32(255))
        raw = {value.size: value.ravel() for value in found.values()}
        presence = 1 / (1 + math.exp(-float(raw[1][0])))
        mesh = raw[1404].reshape(468, 3).astype(np.float64)
        flat = mesh[:, :2] @ to_photo[:, :2].T + to_photo[:, 2]
        # The network's depth has the scale of its x.
        depth = mesh[:, 2] * math.hypot(*to_photo[:, 0])
        return np.column_stack([flat, depth]), presence


def check_photo(photo: Pixels) -> None:
    """Raise UsageError unless `photo` is uint8 [height, width, 3]."""
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise UsageError(
            f"A photo must be uint8 [height, width, 3], got {photo.dtype} {list(photo.shape)}."
        )


_EYES = ((33, 133), (362, 263))
_NOSE = 1
_MOUTH_CORNERS = (61, 291)


def five_points(landmarks: Floats) -> Floats:
    """Return [5, 2] of [468, 2]: both eyes' centres (between their corners), nose, mouth corners.

    The person's right eye and mouth corner, which a photo shows on its left, come first.
    """
    eyes = [landmarks[list(corners)].mean(axis=0) for corners in _EYES]
    return np.stack([*eyes, landmarks[_NOSE], *landmarks[list(_MOUTH_CORNERS)]])


def turn_of(mesh: Floats) -> Turn:
    """Return how the head is turned whose landmarks [468, 3] these are (x, y and depth).

    By the plane that both eyes and the mouth lie in: the line from eye to eye tells the yaw, the
    one from the eyes to the mouth the pitch. The network guesses depth from one picture: on 250
    press photographs (LFW) the yaw of the mirrored picture was off by 1.6 degrees (standard
    deviation), and the median pitch was -.2; of FER2013's 48 px faces that others call turned by
    more than 45 degrees half had a yaw under 19.
    """
    right, down = mesh[list(_EYES[1])].mean(axis=0), mesh[list(_MOUTH_CORNERS)].mean(axis=0)
    left = mesh[list(_EYES[0])].mean(axis=0)
    across, along = right - left, down - (left + right) / 2
    yaw = math.atan2(across[2], math.hypot(*across[:2]))
    pitch = math.atan2(along[2], math.hypot(*along[:2]))
    return Turn(math.degrees(yaw), math.degrees(pitch))


def _turned_back(points: Floats, quarters: int, photo: Pixels) -> Floats:
    """Return points [..., 2] of the photo after np.rot90(photo, quarters) as points of the photo.

    Boxes stay ordered: their corners come back as upper left and lower right.
    """
    height, width = photo.shape[:2]
    x, y = points[..., 0], points[..., 1]
    turned = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarters]
    result = np.stack(turned, axis=-1)
    corners = np.sort(result[:, :2], axis=1)
    return np.concatenate([corners, result[:, 2:]], axis=1)


def _strongest(points: Floats, scores: Floats, most_overlap: float = 0.3) -> tuple[Floats, Floats]:
    """Keep the best of the candidates that several tiles gave for one face."""
    kept: list[int] = []
    for index in range(len(scores)):
        others = points[kept, :2]
        if not kept or blazeface.overlap(points[index, :2], others).max() <= most_overlap:
            kept.append(index)
    return points[kept], scores[kept]


def _best_first(found: Iterable[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return the candidates of several squares together, each face once, best first."""
    each = [(np.zeros((0, 8, 2)), np.zeros(0)), *found]
    points = np.concatenate([one for one, _ in each])
    scores = np.concatenate([one for _, one in each])
    order = np.argsort(-scores, kind="stable")
    return _strongest(points[order], scores[order])


def _landmark_square(points: Floats) -> Floats:
    """Return [2, 3] from the landmark network's input to the photo: upright by the eyes, 1.5 x."""
    box, (right_eye, left_eye) = points[:2], points[2:4]
    side = _LANDMARK_SCALE * float((box[1] - box[0]).max())
    return squares.to_photo(box.mean(axis=0), side, left_eye - right_eye, _LANDMARK_PX)


def _nearsquare(known: FoundFace) -> Floats:
    """Return [2, 3] from BlazeFace's input to the photo: around a known face, upright, 3 x."""
    side = _NEAR_SCALE * float((known.box[1] - known.box[0]).max())
    across = np.array([1.0, 0.0]) if known.five is None else known.five[1] - known.five[0]
    return squares.to_photo(known.box.mean(axis=0), side, across, blazeface.INPUT_PX)


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


def largest_first(faces: list[FoundFace]) -> list[FoundFace]:
    """Return the faces by the areas of their boxes."""
    return sorted(faces, key=lambda face: -float(np.prod(face.box[1] - face.box[0])))
