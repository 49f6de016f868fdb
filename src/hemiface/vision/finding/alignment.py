"""From a face in a photo to the grey 48 x 48 picture that the networks were trained on.

FER2013's crops are upright, tight and centred. FRAME says where in such a crop the eyes, the nose
and the corners of the mouth lie; a similarity transform brings a face's own there: turned so that
the line between the eyes is level, scaled and moved by least squares over the five points.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.tables import FER2013_SIZE_PX

__all__ = [
    "FRAME",
    "AlignedFace",
    "align",
    "back",
    "can_align",
    "cut_out",
    "similarity",
    "whole_picture",
]

Floats = npt.NDArray[np.float64]

FRAME: Floats = np.array([[15.1, 18.8], [32.9, 18.8], [24.0, 30.2], [16.8, 36.8], [31.2, 36.8]])
"""[5, 2] pixels of the 48 x 48 crop: image-left eye, image-right eye, nose, left and right mouth
corner. Medians over the 968 of 1,000 random training images of FER2013 in which the landmark
network saw a face (interquartile ranges 2.5 to 4.1 px), made symmetric about the middle column,
which moved no value by more than 0.25 px; `validity/detection.py` measures them again."""
FRAME.setflags(write=False)


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face in the networks' frame."""

    pixels: npt.NDArray[np.uint8]
    """Grey [48, 48]; beyond the photo its edge is repeated."""
    inside: npt.NDArray[np.bool_]
    """[48, 48]: whether the pixel's centre lies inside the photo."""
    to_frame: Floats
    """[2, 3]: from pixels of the photo to pixels of the crop."""

    @cached_property
    def roll_deg(self) -> float:
        """How far the face is turned clockwise in the photo, in -180..180 degrees."""
        return -math.degrees(math.atan2(self.to_frame[1, 0], self.to_frame[0, 0]))

    def place(self, points: Floats) -> Floats:
        """Return points [n, 2] of the photo in pixels of the crop."""
        placed: Floats = points @ self.to_frame[:, :2].T + self.to_frame[:, 2]
        return placed


def similarity(five: Floats) -> Floats:
    """Return the [2, 3] transform that brings five points [5, 2] to FRAME.

    The eyes' line becomes level; scale and shift minimise the squared distances then left.

    Raises:
        UsageError: the points don't mark a face (the eyes coincide, or all would fold up).

    >>> np.allclose(similarity(FRAME), [[1, 0, 0], [0, 1, 0]])
    True
    """
    if five.shape != (5, 2) or not np.isfinite(five).all() or (five[0] == five[1]).all():
        raise UsageError("Five finite points [5, 2] with two different eyes are needed to align.")
    if not can_align(five):
        raise UsageError("The five points don't mark a face: its mouth lies above its eyes.")
    turn, scale, middle = _fit(five)
    return np.column_stack([scale * turn, FRAME.mean(axis=0) - scale * middle])


def can_align(five: Floats) -> bool:
    """Return whether five different finite points [5, 2] lie as in a face, mouth below eyes."""
    return _fit(five)[1] > 0


def _fit(five: Floats) -> tuple[Floats, float, Floats]:
    """Return the turn [2, 2] that levels the eyes, the best scale, and the turned points' mean."""
    across = five[1] - five[0]
    angle = math.atan2(across[1], across[0])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    level = five @ turn.T
    middle = level.mean(axis=0)
    spread = level - middle
    scale = float((spread * (FRAME - FRAME.mean(axis=0))).sum() / (spread**2).sum())
    return turn, scale, middle


def whole_picture(photo: npt.NDArray[np.uint8]) -> AlignedFace:
    """Take the central square of an RGB picture [height, width, 3] for a crop that is aligned."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    grey = cv2.cvtColor(
        np.ascontiguousarray(photo[top : top + side, left : left + side]), cv2.COLOR_RGB2GRAY
    )
    size = (FER2013_SIZE_PX, FER2013_SIZE_PX)
    how = cv2.INTER_AREA if side > FER2013_SIZE_PX else cv2.INTER_LINEAR
    scale = FER2013_SIZE_PX / side
    to_frame = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], dtype=np.float64)
    pixels = np.array(cv2.resize(grey, size, interpolation=how), dtype=np.uint8)
    return AlignedFace(pixels, np.ones(size, dtype=bool), to_frame)


def align(photo: npt.NDArray[np.uint8], five: Floats) -> AlignedFace:
    """Cut a face with the marked points `five` [5, 2] out of an RGB photo [height, width, 3].

    Each pixel of the crop is the mean of the photo over its area where the face shrinks, and
    interpolated linearly where it grows. Grey is .299 R + .587 G + .114 B. Where the crop reaches
    beyond the photo, the photo's edge is repeated: black is unlike any face, and networks read
    something into it. What can be seen is said by `inside` alone.

    Raises:
        UsageError: see `similarity`.
    """
    to_frame = similarity(five)
    rows, columns = _needed(photo, to_frame, FER2013_SIZE_PX)
    grey = np.asarray(
        cv2.cvtColor(np.ascontiguousarray(photo[rows, columns]), cv2.COLOR_RGB2GRAY), np.uint8
    )
    pixels = _warped(grey, to_frame, (columns.start, rows.start), FER2013_SIZE_PX)
    return AlignedFace(pixels, _inside(to_frame, photo.shape[0], photo.shape[1]), to_frame)


def cut_out(photo: npt.NDArray[np.uint8], five: Floats, side_px: int) -> npt.NDArray[np.uint8]:
    """Cut a face with the marked points out as `align` does, in more pixels and in its colours.

    Returns uint8 [side_px, side_px, 3] of an RGB photo [height, width, 3].

    Raises:
        UsageError: see `similarity`.
    """
    to_frame = similarity(five) * (side_px / FER2013_SIZE_PX)
    rows, columns = _needed(photo, to_frame, side_px)
    part = np.ascontiguousarray(photo[rows, columns])
    return _warped(part, to_frame, (columns.start, rows.start), side_px)


def _warped(
    part: npt.NDArray[np.uint8], to_frame: Floats, corner: tuple[int, int], side: int
) -> npt.NDArray[np.uint8]:
    """Return the crop [side, side, ...] of a photo of which `part`, from `corner` on, is there."""
    scale = math.hypot(*to_frame[0, :2])
    # Sampled at least as finely as the photo, then averaged: warping alone would skip pixels.
    finer = max(1, math.ceil(1 / scale))
    fine = _centred(to_frame * finer)
    fine[:, 2] += fine[:, :2] @ np.array(corner, dtype=np.float64)
    drawn = cv2.warpAffine(
        part, fine, (side * finer, side * finer), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.array(cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _centred(transform: Floats) -> Floats:
    """Return a transform of pixel edges for cv2, which counts pixel centres from 0."""
    result = transform.copy()
    result[:, 2] += transform[:, :2] @ np.full(2, 0.5) - 0.5
    return result


def _needed(photo: npt.NDArray[np.uint8], to_frame: Floats, side_px: int) -> tuple[slice, slice]:
    """Return the rows and columns of the photo that the crop shows, and some around them."""
    side = float(side_px)
    corners = back(to_frame, np.array([[0, 0], [side, 0], [0, side], [side, side]]))
    low = np.floor(corners.min(axis=0)).astype(int) - 2
    high = np.ceil(corners.max(axis=0)).astype(int) + 2
    height, width = photo.shape[:2]
    left, top = min(max(low[0], 0), width - 1), min(max(low[1], 0), height - 1)
    right, bottom = max(min(high[0], width), left + 1), max(min(high[1], height), top + 1)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _inside(to_frame: Floats, height: int, width: int) -> npt.NDArray[np.bool_]:
    side = FER2013_SIZE_PX
    y, x = np.mgrid[:side, :side] + 0.5
    centres = back(to_frame, np.stack([x.ravel(), y.ravel()], axis=1))
    within = (centres >= 0).all(axis=1) & (centres < [width, height]).all(axis=1)
    result: npt.NDArray[np.bool_] = within.reshape(side, side)
    return result


def back(to_frame: Floats, points: Floats) -> Floats:
    """Return points [n, 2] of the crop in pixels of the photo."""
    found: Floats = (points - to_frame[:, 2]) @ np.linalg.inv(to_frame[:, :2]).T
    return found
