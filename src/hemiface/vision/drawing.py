"""Pictures with what was found: faces with their labels, and faces made unrecognisable.

Lines and letters are sized for the picture and its faces. A label stands beside its face, where it
covers neither a face nor another label if there is any such place, with a line to its face where it
stands apart. The part that a network didn't see is shaded.
"""

import math
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hemiface.occlusion.conditions import QUADRANTS, condition
from hemiface.tables import FER2013_SIZE_PX
from hemiface.vision.finding.alignment import back, similarity
from hemiface.vision.seen import Box

if TYPE_CHECKING:
    from hemiface.vision.faces import FacePrediction

__all__ = ["COLOURS", "annotate", "blur"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

COLOURS = {
    "angry": (240, 96, 72), "disgust": (126, 200, 80), "fear": (196, 144, 240),
    "happy": (255, 208, 64), "sad": (104, 172, 255), "surprise": (255, 152, 196),
    "neutral": (232, 232, 232),
}  # fmt: skip
"""RGB of each emotion, all of them light enough for a black ground."""
_NO_LABEL = (160, 160, 160)
_GROUND = (0, 0, 0, 190)
_BLACK = (0, 0, 0)
_SHADE = 120
"""Of 255: how much of that is laid over what is hidden."""
_BLUR_MARGIN = 0.25
_BLUR_CELLS = 6
_TYPE_SHARE, _LEAST_TYPE_PX, _MOST_TYPE_PX = 1 / 40, 11, 64
"""Type by the picture's longer side, ..."""
_TYPE_OF_FACE = 1 / 5
"""... and no larger than by the face's width, as long as it can be read."""
_REASON_COLUMNS = 20
"""Where words break: a label is no wider than about two faces."""
_COVERED_COSTS, _BEYOND_COSTS = 20.0, 40.0
"""What a pixel costs that a label covers of a face or another label, or that lies beyond the
picture; a pixel of distance costs 1 for each line of type."""
_LINE_PX = 1
"""Between a face's box and its label."""


@dataclass(frozen=True)
class _Rectangle:
    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, box: Box, margin: float = 0.0) -> "_Rectangle":
        x, y, width, height = box
        across, down = margin * width, margin * height
        return cls(x - across, y - down, x + width + across, y + height + down)

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def sides(self) -> tuple[float, float, float, float]:
        return self.left, self.top, self.right, self.bottom

    def nearest(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return its point that is nearest to another."""
        x, y = point
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


def annotate(pixels: Pixels, faces: Iterable["FacePrediction"], *, off: bool = False) -> Pixels:
    """Return a copy of an RGB picture with each face's box, label and confidence.

    Faces without a label are grey and say why in words; several are numbered. With `off` nothing is
    drawn on the faces and a quarter of their boxes around them, which `blur` has covered: labels
    stand beside them. Faces of videos are shown as smoothed where they are.
    """
    known = [face.steadied for face in faces]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(picture, "RGBA")
    whole = _Rectangle(0, 0, pixels.shape[1], pixels.shape[0])
    areas = [_Rectangle.of(face.box_px, _BLUR_MARGIN if off else 0) for face in known]
    # Of all faces, and of labels as they come.
    taken = np.empty((2 * len(areas), 4))
    taken[: len(areas)] = np.reshape([one.sides for one in areas], (-1, 4))
    if not off:
        picture.paste(_BLACK, mask=_shade(picture.size, known))
    for count, (face, area) in enumerate(zip(known, areas, strict=True), len(areas)):
        colour = COLOURS[face.best] if face.label else _NO_LABEL
        size = _type_px(pixels, face)
        thick = max(round(size / 9), 1)
        if not off:
            draw.rectangle(_corners(area), outline=colour, width=thick)
        font = _font(size)
        text = _words(face, number=len(known) > 1)
        left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font)
        pad = max(size // 4, 2)
        wide, high = right - left + 2 * pad, bottom - top + 2 * pad
        place = _placed(wide, high, area, taken[:count], whole, size)
        taken[count] = place.sides
        if _gap(place, area) > size / 2:
            start = area.nearest(place.middle)
            draw.line([start, place.nearest(start)], fill=colour, width=thick)
        draw.rectangle(_corners(place), fill=_GROUND)
        draw.multiline_text(
            (place.left + pad - left, place.top + pad - top), text, fill=colour, font=font
        )
    return np.array(picture, dtype=np.uint8)


def _type_px(pixels: Pixels, face: "FacePrediction") -> int:
    by_picture: float = min(max(pixels.shape[:2]) * _TYPE_SHARE, _MOST_TYPE_PX)
    return max(round(min(by_picture, face.box_px[2] * _TYPE_OF_FACE)), _LEAST_TYPE_PX)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _words(face: "FacePrediction", *, number: bool) -> str:
    name = f"{face.face}  " if number else ""
    if face.label:
        return f"{name}{face.label} {100 * face.confidence:.0f} %"
    return "\n".join([f"{name}no label", *textwrap.wrap(face.reason, _REASON_COLUMNS)])


def _placed(
    wide: float, high: float, face: _Rectangle, taken: Floats, whole: _Rectangle, size: int
) -> _Rectangle:
    """Return where a label costs least: beside its face, on nothing else, within the picture.

    `taken` [n, 4] are the left, upper, right and lower sides of faces and other labels.
    """
    places = list(_places(wide, high, face, whole, size))
    sides = np.array([one.sides for one in places])
    # Of a crowd only those about the face can be covered.
    (left, top), (right, bottom) = sides[:, :2].min(axis=0), sides[:, 2:].max(axis=0)
    near = taken[
        (taken[:, 0] < right) & (taken[:, 2] > left) & (taken[:, 1] < bottom) & (taken[:, 3] > top)
    ]
    covered = _common(sides, near[:, np.newaxis]).sum(axis=0)
    beyond = _common(sides, sides) - _common(sides, np.array(whole.sides))
    # Nearer than the box's own line, which one that is pushed back may come, is no better.
    away = np.maximum([_gap(one, face) for one in places], _LINE_PX)
    costs = _COVERED_COSTS * covered + _BEYOND_COSTS * beyond + high * away
    # Rounded, so that of places that are as good the first one is taken.
    return places[int(np.rint(costs).argmin())]


def _common(some: Floats, others: Floats) -> Floats:
    """Return the areas that rectangles [..., 4] have in common with others."""
    corner = np.maximum(some[..., :2], others[..., :2])
    size = np.maximum(np.minimum(some[..., 2:], others[..., 2:]) - corner, 0)
    area: Floats = size[..., 0] * size[..., 1]
    return area


def _places(
    wide: float, high: float, face: _Rectangle, whole: _Rectangle, size: int
) -> Iterator[_Rectangle]:
    """Yield places around a face, the nearest first: above, below, right, left; then further."""
    x, y = face.middle
    lefts = (face.left, x - wide / 2, face.right - wide)
    tops = (face.top, y - high / 2, face.bottom - high)
    for step in range(12):
        # The box's own line is left free.
        away = step * size + _LINE_PX
        beside = [
            *product(lefts, (face.top - high - away, face.bottom + away)),
            *product((face.right + away, face.left - wide - away), tops),
        ]
        for left, top in beside:
            # Pushed back into the picture along its border.
            left = max(min(left, whole.right - wide), 0)
            top = max(min(top, whole.bottom - high), 0)
            yield _Rectangle(left, top, left + wide, top + high)


def _gap(place: _Rectangle, face: _Rectangle) -> float:
    x, y = place.nearest(face.middle)
    near = face.nearest((x, y))
    return math.hypot(near[0] - x, near[1] - y)


def _corners(one: _Rectangle) -> tuple[int, int, int, int]:
    return round(one.left), round(one.top), round(one.right), round(one.bottom)


def _shade(size: tuple[int, int], faces: Iterable["FacePrediction"]) -> Image.Image:
    """Return how dark to make what was hidden from the network, as declared or by estimate.

    One picture for all of it, so that where two parts meet it isn't darker.
    """
    shade = Image.new("L", size)
    draw = ImageDraw.Draw(shade)
    half = FER2013_SIZE_PX / 2
    for face in faces:
        key = face.hidden or face.hidden_by_estimate
        hidden = condition(key).hidden if key else ()
        for name in QUADRANTS:
            if name in hidden:
                top, left = half * name.startswith("lower"), half * name.endswith("right")
                corners = np.array([[left, top], [left + half, top], [left + half, top + half],
                                    [left, top + half]])  # fmt: skip
                draw.polygon([tuple(one) for one in _in_photo(face, corners).tolist()], _SHADE)
    return shade


def _in_photo(face: "FacePrediction", points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points [n, 2] of the networks' crop in pixels of the photo."""
    if face.five_px:
        return back(similarity(np.array(face.five_px)), points)
    x, y, width, height = face.box_px
    corner, size = np.array([x, y]), np.array([width, height])
    placed: npt.NDArray[np.float64] = corner + points * size / FER2013_SIZE_PX
    return placed


def blur(pixels: Pixels, boxes: Iterable[Box]) -> Pixels:
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
