"""Squares of a photo that networks look at: all of it, tiles of larger versions, cut-outs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.vision.finding import blazeface

__all__ = [
    "LEAST_FACE_PX",
    "Sizes",
    "Square",
    "cut_out",
    "is_cut",
    "tile_squares",
    "to_photo",
    "whole_squares",
]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_TILE_PX = blazeface.INPUT_PX
_STEP_PX = _TILE_PX // 2
_GREY = 127
_MARGIN = 0.25
"""Share of the photo's longer side that the padded square adds on each side."""
_MOST_PX = (1 << 15) - 2
"""Of a side of what OpenCV warps: version 4 counts pixels in 16 bits."""
_SMALLEST_IN_TILE_PX = 24
"""What BlazeFace still finds reliably in its input."""
LEAST_FACE_PX = 20
"""Smaller faces are never looked for: too little is left to see in them."""
_SMALLEST_SHARE = 1 / 40
"""Of the photo's longer side: what is looked for where nothing else is asked. Every halving takes
four times as many tiles."""


@dataclass(frozen=True, eq=False)
class Square:
    """A square of 128 px of a photo, or of a larger or smaller version of it."""

    pixels: Pixels
    """RGB [128, 128, 3]."""
    origin: Floats
    """[2]: x and y of its upper left corner in pixels of the scaled photo."""
    scale: float
    """Pixels of the scaled photo for one of the photo."""
    inner: tuple[bool, bool, bool, bool]
    """Which of its sides (left, top, right, bottom) lie inside the photo: what touches these is
    whole in another tile."""


class Sizes:
    """A photo at the sizes that are looked at, made once for all of its turns.

    To make a large photo small takes longer than looking at it: without this, where no face stands
    upright, four fifths of the time.
    """

    def __init__(self, photo: Pixels) -> None:
        self.longer_px = max(photo.shape[:2])
        self._photo = photo
        self._smaller: dict[int, Pixels] = {}

    def at(self, side: int, quarters: int) -> tuple[Pixels, float]:
        """Return the photo with `side` pixels on its longer side, turned by quarters; the scale."""
        scale = side / self.longer_px
        scaled = self._smaller[side] if side in self._smaller else self._resized(scale)
        if scale < 1:
            # Enlarged ones would fill the memory.
            self._smaller[side] = scaled
        return np.ascontiguousarray(np.rot90(scaled, quarters)), scale

    def _resized(self, scale: float) -> Pixels:
        height, width = self._photo.shape[:2]
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(self._photo, size, interpolation=how), dtype=np.uint8)


def whole_squares(photo: Sizes, quarters: int = 0) -> Iterator[Square]:
    """Yield the whole photo, turned by quarters, in a square of 128 px, and again with a margin."""
    yield _whole(*photo.at(_TILE_PX, quarters))
    yield _whole(*photo.at(round(_TILE_PX / (1 + 2 * _MARGIN)), quarters))


def tile_squares(photo: Sizes, smallest_px: float | None, quarters: int = 0) -> Iterator[Square]:
    """Yield squares of 128 px of larger versions of the photo, for faces of `smallest_px` and more.

    None stands for a 40th of the photo's longer side, at least LEAST_FACE_PX. The photo is turned
    by quarters before.
    """
    longer = photo.longer_px
    if smallest_px is None:
        smallest_px = max(float(LEAST_FACE_PX), _SMALLEST_SHARE * longer)
    side = 2 * _TILE_PX
    # A level finds faces of _SMALLEST_IN_TILE_PX; the one before found those twice as large.
    while longer * _SMALLEST_IN_TILE_PX / (side / 2) > smallest_px and side < 2 * longer:
        yield from _tiles(*photo.at(side, quarters))
        side *= 2


def _whole(scaled: Pixels, scale: float) -> Square:
    height, width = scaled.shape[:2]
    left, top = (_TILE_PX - width) // 2, (_TILE_PX - height) // 2
    pixels = np.full((_TILE_PX, _TILE_PX, 3), _GREY, dtype=np.uint8)
    pixels[top : top + height, left : left + width] = scaled
    origin = np.array([-left, -top], dtype=np.float64)
    return Square(pixels, origin, scale, (False, False, False, False))


def _tiles(scaled: Pixels, scale: float) -> Iterator[Square]:
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
            tile = padded[top : top + _TILE_PX, left : left + _TILE_PX]
            right, bottom = left + _TILE_PX < width, top + _TILE_PX < height
            inner = (left > 0, top > 0, bool(right), bool(bottom))
            origin = np.array([left - pad, top - pad], dtype=np.float64)
            yield Square(np.asarray(tile, dtype=np.uint8), origin, scale, inner)


def _starts(size: int) -> list[int]:
    """Return where tiles begin so that they cover `size` pixels and overlap by half or more."""
    last = size - _TILE_PX
    return [*range(0, last, _STEP_PX), last]


def is_cut(points: Floats, inner: tuple[bool, bool, bool, bool]) -> npt.NDArray[np.bool_]:
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


def to_photo(middle: Floats, side: float, across: Floats, size_px: int) -> Floats:
    """Return [2, 3] from a square of `size_px` to one of the photo whose rows run `across`."""
    angle = math.atan2(across[1], across[0])
    scale = side / size_px
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, middle - turn @ np.full(2, size_px / 2)])


def cut_out(photo: Pixels, transform: Floats, size_px: int) -> Pixels:
    """Return uint8 [size, size, 3], where the photo lies at `transform`, grey outside the photo."""
    if max(photo.shape[:2]) > _MOST_PX:
        photo, transform = _within_reach(photo, transform, size_px)
    # Pixel centres lie at halves, while warpAffine counts them from 0.
    centred = transform.copy()
    centred[:, 2] += transform[:, :2] @ np.full(2, 0.5) - 0.5
    patch = cv2.warpAffine(
        photo,
        centred,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(_GREY, _GREY, _GREY),
    )
    return np.asarray(patch, dtype=np.uint8)


def _within_reach(photo: Pixels, transform: Floats, size_px: int) -> tuple[Pixels, Floats]:
    """Return the part of a photo that a square shows, reduced if need be, and where it lies."""
    size = float(size_px)
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]])
    shown = corners @ transform[:, :2].T + transform[:, 2]
    sides = photo.shape[1::-1]
    low = np.clip(np.floor(shown.min(axis=0)).astype(int) - 2, 0, np.array(sides) - 1)
    high = np.clip(np.ceil(shown.max(axis=0)).astype(int) + 2, low + 1, sides)
    part = photo[low[1] : high[1], low[0] : high[0]]
    moved = transform.copy()
    moved[:, 2] -= low
    if max(part.shape[:2]) > _MOST_PX:
        factor = math.ceil(max(part.shape[:2]) / _MOST_PX)
        width, height = (max(side // factor, 1) for side in part.shape[1::-1])
        moved *= np.array([[width / part.shape[1]], [height / part.shape[0]]])
        part = np.asarray(
            cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    return np.ascontiguousarray(part), moved
