"""The brushes of rendered faces: coverage, bumps, texture and light on batches of half-faces."""

from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.tables import FER2013_SIZE_PX

__all__ = [
    "HALF_COLUMNS",
    "ROWS",
    "SIZE_PX",
    "WIDE_PX",
    "Array",
    "bump",
    "cover",
    "darken",
    "joined",
    "lit",
    "paint",
    "smooth",
    "texture",
]

Array = npt.NDArray[np.floating[Any]]
"""float32 throughout; NumPy's annotations can't tell that float32 by a Python number stays so."""

SIZE_PX = FER2013_SIZE_PX
_OVER = 2
WIDE_PX = SIZE_PX * _OVER
"""Faces are drawn at twice the size and averaged."""
HALF_COLUMNS: Array = ((np.arange(SIZE_PX) + 0.5) / _OVER).astype(np.float32)
"""[48]: the distance u of a half-face's columns from the midline, in final pixels."""
ROWS: Array = ((np.arange(WIDE_PX) + 0.5) / _OVER - SIZE_PX / 2).astype(np.float32)
"""[96]: the height y of the rows below the middle, in final pixels."""

_BANK_PX = 256
_GRAIN = {"skin": (2.2, 2.2), "hair": (0.7, 5.0)}


def smooth(t: Array) -> Array:
    """Return 0 for t <= 0, 1 for t >= 1 and a cubic with flat ends between."""
    clipped = np.clip(t, 0, 1)
    eased: Array = clipped * clipped * (3 - 2 * clipped)
    return eased


def bump(t: Array) -> Array:
    """Return (1 - t^2)^3 inside [-1, 1] and exactly 0 outside."""
    inside: Array = np.maximum(1 - t * t, 0)
    cubed: Array = inside * inside * inside
    return cubed


def cover(distance_px: Array, soft_px: float = 0.5) -> Array:
    """Return the coverage 0..1 of pixels `distance_px` outside (+) or inside (-) of an edge."""
    covered: Array = np.clip(0.5 - distance_px * np.float32(1 / soft_px), 0, 1)
    return covered


def paint(canvas: Array, coverage: Array, tone: Array | float) -> None:
    """Lay `tone` over `canvas`, in place."""
    canvas += coverage * (tone - canvas)


def darken(canvas: Array, coverage: Array, share: Array | float) -> None:
    """Take `share` of the light away, in place."""
    canvas *= 1 - coverage * share


def joined(halves: Array) -> Array:
    """Return [n, 96, 96] pictures from [2 n, 96, 48] half-faces: left (mirrored), right in turn."""
    return np.concatenate([halves[0::2, :, ::-1], halves[1::2]], axis=2)


def lit(height: Array, light_x: Array, light_y: Array) -> Array:
    """Return the brightness of a matt surface [n, 96, 96] against its plain front, about 1.

    `height` is in final pixels; the light comes from (`light_x`, `light_y`, 0.8), half of it from
    everywhere (Lambert's law with ambient light).
    """
    slope_x, slope_y = np.zeros_like(height), np.zeros_like(height)
    np.subtract(height[:, :, 2:], height[:, :, :-2], out=slope_x[:, :, 1:-1])
    np.subtract(height[:, 2:], height[:, :-2], out=slope_y[:, 1:-1])
    facing = 0.8 - light_x[:, np.newaxis, np.newaxis] * slope_x
    facing -= light_y[:, np.newaxis, np.newaxis] * slope_y
    facing /= np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    shade: Array = 0.35 + 0.65 / 0.8 * np.maximum(facing, 0)
    return shade


def texture(
    keys: npt.NDArray[np.int64], flipped: npt.NDArray[np.bool_], kind: Literal["skin", "hair"]
) -> Array:
    """Return [2 n, 96, 48] half-faces of noise with mean 0 and deviation 1, one cut per key."""
    bank, room = _bank(kind), _BANK_PX - WIDE_PX
    halves = np.empty((2 * len(keys), WIDE_PX, SIZE_PX), np.float32)
    # Any spread of the cuts will do: multiply by large primes and keep the remainder.
    tops = (keys[:, 0] % 99_991 * 7_919 + keys[:, 1] % 99_991 * 104_729) % room
    lefts = (keys[:, 0] % 99_991 * 15_485_863 + keys[:, 1] % 99_991 * 32_452_843) % room
    for row, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        cut = bank[top : top + WIDE_PX, left : left + WIDE_PX]
        if flipped[row]:
            cut = cut[:, ::-1]
        halves[2 * row] = cut[:, SIZE_PX - 1 :: -1]
        halves[2 * row + 1] = cut[:, SIZE_PX:]
    return halves


@lru_cache(maxsize=2)
def _bank(kind: Literal["skin", "hair"]) -> Array:
    """Return a fixed [256, 256] field of smoothed noise from which textures are cut."""
    white = np.random.default_rng(48).standard_normal((_BANK_PX, _BANK_PX)).astype(np.float32)
    along_x, along_y = _GRAIN[kind]
    field = cv2.GaussianBlur(white, (0, 0), along_x, sigmaY=along_y)
    bank: Array = ((field - field.mean()) / field.std()).astype(np.float32)
    bank.setflags(write=False)
    return bank
