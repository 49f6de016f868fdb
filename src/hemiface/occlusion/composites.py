"""Faces made of two faces, or of one side twice: composites and chimeras.

A composite shows the upper half of one face above the lower half of another: aligned, so that both
are seen as one new face, or misaligned, the halves half a face apart, so that each can be judged by
itself. What aligning costs is the composite effect: Young, Hellawell & Hay 1987, Configurational
information in face perception, Perception 16, 747-759; for expressions Calder, Young, Keane & Dean
2000, J. Exp. Psychol. Hum. Percept. Perform. 26, 527-551.

A chimera shows one side and its mirror image: Levy, Heller, Banich & Burton 1983, Asymmetry of
perception in free viewing of chimeric faces, Brain and Cognition 2; Sackeim, Gur & Saucy 1978,
Emotions are expressed more intensely on the left side of the face, Science 202. Sides are those of
the picture.

Halves end in the picture's middle; `face_lines.centred` brings a face's own lines there first.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError

__all__ = ["APART", "chimera", "composite"]

Picture = npt.NDArray[np.uint8]

APART = 1 / 3
"""How far the halves of a misaligned composite lie apart, as a share of the picture's width. A face
is two thirds as wide as its crop (`vision.finding.alignment.FRAME`): half a face, and each half,
moved by half of it, keeps all of its face in the picture."""


def composite(upper: Picture, lower: Picture, apart_px: int = 0) -> Picture:
    """Return the upper half of one picture above the lower half of another.

    Both are uint8 [height, width] or [height, width, 3], of one shape; the upper half is rows
    [0, height // 2), as in `conditions.hidden_mask`. With `apart_px` the upper half lies half of
    it (rounded down) further left and the lower one the rest further right, the other way round if
    it is negative; what is left empty is black.

    Raises:
        UsageError: the pictures have different shapes, or are narrower than `apart_px`.
    """
    if upper.shape != lower.shape:
        raise UsageError(
            f"The halves of a composite need pictures of one size, got {list(upper.shape)} and "
            f"{list(lower.shape)}."
        )
    if abs(apart_px) >= upper.shape[1]:
        raise UsageError(f"Halves can't lie {apart_px} pixels apart in {upper.shape[1]}.")
    middle = upper.shape[0] // 2
    first = abs(apart_px) // 2
    left, right = -first, abs(apart_px) - first
    if apart_px < 0:
        left, right = -left, -right
    return np.concatenate([_moved(upper[:middle], left), _moved(lower[middle:], right)])


def chimera(face: Picture, side: Literal["left", "right"]) -> Picture:
    """Return one side of a picture beside its mirror image, uint8 of the same shape.

    The left half is columns [0, width // 2), as in `conditions.hidden_mask`.

    Raises:
        UsageError: the width is odd: the middle column would be in both halves.
    """
    width = face.shape[1]
    if width % 2:
        raise UsageError(f"A chimera needs an even width, got {width} pixels.")
    half = face[:, : width // 2] if side == "left" else face[:, width // 2 :]
    pair = (half, half[:, ::-1]) if side == "left" else (half[:, ::-1], half)
    return np.concatenate(pair, axis=1)


def _moved(part: Picture, by_px: int) -> Picture:
    """Return a picture moved to the right by so many pixels; what comes in is black."""
    result = np.zeros_like(part)
    if by_px >= 0:
        result[:, by_px:] = part[:, : part.shape[1] - by_px]
    else:
        result[:, :by_px] = part[:, -by_px:]
    return result
