"""CenterFace: a network that finds faces of any size in one look, masked ones too.

Source: Xu et al. 2020, "CenterFace: Joint Face Detection and Alignment Using Face as Point"; the
weights are those of Star-Clouds/CenterFace, trained on WIDER FACE. For each cell of 4 x 4 pixels it
says whether a face's centre lies there, how large that face is, and where its eyes, nose and
corners of the mouth lie. What its numbers mean is written anew here.
"""

import queue
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import DamagedError, UsageError
from hemiface.vision.finding import blazeface
from hemiface.vision.finding.alignment import can_align
from hemiface.vision.finding.detector import (
    LEAST_CONTRAST,
    FoundFace,
    check_photo,
    largest_first,
)
from hemiface.vision.finding.squares import LEAST_FACE_PX

__all__ = ["SURE", "CenterFaceDetector", "decode", "suppress"]

Floats = npt.NDArray[np.float64]
Maps = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

_STRIDE_PX = 4
_MULTIPLE_PX = 32
_OUTPUTS = ("537", "538", "539", "540")
_MOST_OVERLAP = 0.3
# OpenCV 4 (4.10 was tried) is wrong at any other size than the first that a network has seen.
_SERVES_AGAIN = int(cv2.__version__.partition(".")[0]) >= 5
_CLOSE_LOOKS_PX = (320, 160)
"""The photo's longer side where faces that fill or leave it are looked for, ..."""
_MARGIN_PX = 80
"""... and the grey around it."""
_LAST_LOOK_PX = 80
"""The same where no look has shown a sure face: masks that fill a photo up to a fringe are seen at
this size or not at all."""
SURE = 0.55
"""A score from which a face is taken for one that nothing else sees: on photos of masked people
faces reached down to 0.37, other things up to 0.50."""
_GREY = 127


def decode(
    heat: Maps, log_size: Maps, offset: Maps, landmarks: Maps, least_score: float
) -> tuple[Floats, Floats]:
    """Return boxes with five points float64 [n, 7, 2] and scores float64 [n], best first.

    `heat` is float32 [rows, columns] in 0..1; `log_size` and `offset` [2, rows, columns] and
    `landmarks` [10, rows, columns] tell y before x: sizes as logarithms in cells, offsets in cells,
    landmarks in shares of the box. Row 0 of a result is the box's upper left corner, row 1 its
    lower right one, the others are the image-left and image-right eye, the nose and the image-left
    and -right corner of the mouth; all in pixels of the input. Only scores of at least
    `least_score` come back.
    """
    rows, columns = np.nonzero(heat >= least_score)
    order = np.argsort(-heat[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]

    def told(maps: Maps) -> Floats:
        values = maps[:, rows, columns].astype(np.float64).T
        return values.reshape(len(rows), len(maps) // 2, 2)[:, :, ::-1]

    size = _STRIDE_PX * np.exp(told(log_size))
    cells = np.stack([columns, rows], axis=1)[:, np.newaxis]
    corner = _STRIDE_PX * (cells + 0.5 + told(offset)) - size / 2
    points = np.concatenate([corner, corner + size, corner + size * told(landmarks)], axis=1)
    return points, heat[rows, columns].astype(np.float64)


def suppress(points: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Keep of the boxes that overlap by more than .3 (intersection over union) the best.

    Takes and returns what `decode` returns.
    """
    kept: list[int] = []
    for index in range(len(scores)):
        overlaps = blazeface.overlap(points[index, :2], points[kept, :2])
        if overlaps.max(initial=0) <= _MOST_OVERLAP:
            kept.append(index)
    return points[kept], scores[kept]


class CenterFaceDetector:
    """CenterFace on OpenCV; one object serves any number of threads at once.

    The network sees the photo with `longest_px` on its longer side, never enlarged, and twice small
    with a grey margin: otherwise it misses faces that fill a photo. Where it is sure of no face it
    sees it once more, smaller still. Faces whose longer side is
    under `min_face_px` aren't returned. Of what it finds nothing is checked by another network, and
    there are no 468 landmarks: see `vision.finding.photo_detector`.

    Raises:
        UsageError: an option is out of range.
        DamagedError: the file is not a network that OpenCV can run.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        longest_px: int = 1600,
        least_score: float = 0.5,
        min_face_px: int = LEAST_FACE_PX,
    ) -> None:
        if longest_px < _MULTIPLE_PX:
            raise UsageError(f"longest_px must be at least {_MULTIPLE_PX}, got {longest_px}.")
        if not 0 < least_score <= 1:
            raise UsageError(f"least_score must lie in 0..1, got {least_score}.")
        self.path = Path(path)
        try:
            self._content = np.fromfile(self.path, dtype=np.uint8)
        except OSError as error:
            raise DamagedError(f"{self.path} can't be read ({error.strerror}).") from error
        self._longest_px = longest_px
        self._least_score = least_score
        self._min_face_px = min_face_px
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._idle.put(self._open())

    def detect(self, photo: Pixels) -> list[FoundFace]:
        """Return the faces in an RGB photo uint8 [height, width, 3], largest first.

        Raises:
            UsageError: the array has another type or shape.
        """
        check_photo(photo)
        if int(photo.max()) - int(photo.min()) < LEAST_CONTRAST:
            return []  # OpenCV 4 sees a face in a single grey pixel.
        points, scores = self._candidates(photo)
        faces = [
            FoundFace(one[:2], score, five=one[2:])
            for one, score in zip(points, scores.tolist(), strict=True)
            if (one[1] - one[0]).max() >= self._min_face_px and can_align(one[2:])
        ]
        return largest_first(faces)

    def _candidates(self, photo: Pixels) -> tuple[Floats, Floats]:
        """Return boxes with five points [n, 7, 2] in pixels of the photo, and scores."""
        looks = [self._look(photo, min(self._longest_px, max(photo.shape[:2])), 0)]
        looks += [self._look(photo, side, _MARGIN_PX) for side in _CLOSE_LOOKS_PX]
        if max(scores.max(initial=0) for _, scores in looks) < SURE:
            looks.append(self._look(photo, _LAST_LOOK_PX, _MARGIN_PX))
        points = np.concatenate([one for one, _ in looks])
        scores = np.concatenate([one for _, one in looks])
        order = np.argsort(-scores, kind="stable")
        return suppress(points[order], scores[order])

    def _look(self, photo: Pixels, longer_px: int, margin: int) -> tuple[Floats, Floats]:
        """Return what one look at the photo with `longer_px` on its longer side shows."""
        height, width = photo.shape[:2]
        scale = longer_px / max(height, width)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        # What fills up to the next multiple lies to the right and below.
        sides = [_next_multiple(side + 2 * margin) for side in size[::-1]]
        image = np.full((*sides, 3), _GREY, dtype=np.uint8)
        part = np.s_[margin : margin + size[1], margin : margin + size[0]]
        image[part] = cv2.resize(photo, size, interpolation=how)
        heat, sizes, offsets, landmarks = self._run(image)
        found = decode(heat[0], sizes, offsets, landmarks, self._least_score)
        points, scores = suppress(*found)
        return (points - margin) * (np.array([width, height]) / size), scores

    def _run(self, image: Pixels) -> list[Maps]:
        """Return the four maps, each [channels, rows, columns], of an image [height, width, 3]."""
        try:
            network = self._idle.get_nowait()
        except queue.Empty:
            network = self._open()
        network.setInput(image.transpose(2, 0, 1)[np.newaxis].astype(np.float32, order="C"))
        maps = [np.asarray(one[0], dtype=np.float32) for one in network.forward(_OUTPUTS)]
        if _SERVES_AGAIN:
            self._idle.put(network)
        return maps

    def _open(self) -> Any:
        try:
            return cv2.dnn.readNetFromONNX(self._content)
        except cv2.error as error:
            reason = str(error).strip().splitlines()[0]
            raise DamagedError(
                f"{self.path} is not a network that OpenCV can run ({reason}); "
                "get it again with hemiface models pull."
            ) from error


def _next_multiple(side: int) -> int:
    return -(-side // _MULTIPLE_PX) * _MULTIPLE_PX
