"""Pictures with what was found: a box and a word for each face, and faces made unrecognisable."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hemiface.vision.faces import FacePrediction

__all__ = ["annotate", "blur"]

Pixels = npt.NDArray[np.uint8]

_GREEN, _GREY, _BLACK = (64, 224, 96), (190, 190, 190), (0, 0, 0)
_BLUR_MARGIN = 0.25
_BLUR_CELLS = 6


def annotate(pixels: Pixels, faces: "Iterable[FacePrediction]") -> Pixels:
    """Return a copy of an RGB picture with each face's box, number, label and confidence.

    Abstained faces are grey and carry a question mark.
    """
    drawn = np.ascontiguousarray(pixels).copy()
    thick = max(1, round(max(pixels.shape[:2]) / 600))
    for face in faces:
        left, top, width, height = face.box_px
        colour = _GREY if face.abstained else _GREEN
        corner, end = (round(left), round(top)), (round(left + width), round(top + height))
        cv2.rectangle(drawn, corner, end, colour, thick)
        text = f"{face.face} {face.label or '?'} {100 * face.confidence:.0f}%"
        _write(drawn, text, corner, end, colour, thick)
    return drawn


def _write(
    drawn: Pixels, text: str, corner: tuple[int, int], end: tuple[int, int],
    colour: tuple[int, int, int], thick: int,
) -> None:  # fmt: skip
    """Write above a box, or below where there is no room."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    # As wide as the face, as long as it can be read: neighbours in a group must not be covered.
    size = min(max((end[0] - corner[0]) / 190, 0.35), 0.42 * (thick + 0.3))
    thick = 1 if size < 0.6 else thick
    (width, height), drop = cv2.getTextSize(text, font, size, thick)
    x = min(max(corner[0], 0), max(drawn.shape[1] - width, 0))
    y = corner[1] - drop - thick
    if y - height < 0:
        y = min(end[1] + height + 2 * thick, drawn.shape[0] - drop)
    cv2.rectangle(drawn, (x, y - height - thick), (x + width, y + drop), _BLACK, -1)
    cv2.putText(drawn, text, (x, y), font, size, colour, thick, cv2.LINE_AA)


def blur(pixels: Pixels, boxes: Iterable[tuple[float, float, float, float]]) -> Pixels:
    """Return a copy in which every box and a quarter more on each side is six by six soft cells.

    What is left can't be turned back: a face becomes 36 colours. Boxes are x, y, width, height.
    """
    drawn = np.ascontiguousarray(pixels).copy()
    height, width = pixels.shape[:2]
    for x, y, w, h in boxes:
        left, top = max(int(x - _BLUR_MARGIN * w), 0), max(int(y - _BLUR_MARGIN * h), 0)
        right = min(int(x + (1 + _BLUR_MARGIN) * w) + 1, width)
        bottom = min(int(y + (1 + _BLUR_MARGIN) * h) + 1, height)
        if right <= left or bottom <= top:
            continue
        part = drawn[top:bottom, left:right]
        cells = cv2.resize(part, (_BLUR_CELLS, _BLUR_CELLS), interpolation=cv2.INTER_AREA)
        size = (right - left, bottom - top)
        drawn[top:bottom, left:right] = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
    return drawn
