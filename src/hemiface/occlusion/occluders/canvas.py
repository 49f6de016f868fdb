"""What occluders are drawn with: shapes in the face's own pixels, tones, patterns, light.

Positions are pixels of the 48 x 48 crop, x to the right and y down; the canvas is finer, so that
edges come out smooth: twice as fine as a crop, or as the larger picture that something is laid on.
FACE says where a face's parts lie in such a crop.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.tables import FER2013_SIZE_PX

__all__ = ["CANVAS_PX", "FACE", "Canvas", "Point", "oval"]

Floats = npt.NDArray[np.float32]
Point = tuple[float, float]

CANVAS_PX = 96
"""Side of the canvas for crops of 48 x 48."""

FACE: dict[str, Point] = {
    "left_eye": (15.1, 18.8),
    "right_eye": (32.9, 18.8),
    "nose": (24.0, 30.2),
    "mouth": (24.0, 36.8),
}
"""Where parts lie in FER2013's crops; as FRAME in `hemiface.vision.finding.alignment`."""

_SHIFT = 4  # binary digits of cv2's coordinates behind the point


class Canvas:
    """One occluder in the making; painters set its fields.

    `cover` is float32 [px, px] in 0..1, how much of each point is covered, `tone` float32 [px, px]
    in 0..255 its grey. `skin` is a typical grey of the face, `light` float32 [px, px] how bright
    the face is around each point, 1 being typical; None is even light. The same random numbers
    draw the same thing, whatever `px` is. Everything drawn is moved,
    turned and scaled a little, by an amount drawn once per canvas; `place_exactly` takes that away.
    """

    def __init__(
        self,
        random: np.random.Generator,
        skin: float,
        light: Floats | None = None,
        px: int = CANVAS_PX,
    ) -> None:
        self.random = random
        self.skin = skin
        self.px = px
        self.finer = px / FER2013_SIZE_PX
        self._light = light
        self.cover: Floats = np.zeros((self.px, self.px), dtype=np.float32)
        self.tone: Floats = np.full((self.px, self.px), 128, dtype=np.float32)
        self.softness_px = float(random.uniform(0.0, 0.9))
        self.opacity = 1.0
        self.grain = float(random.choice([0, 0, 1, 2, 3, 6]))
        turn = math.radians(random.normal(0, 5))
        scale = random.uniform(0.9, 1.14)
        shift = random.normal(0, 1.3, 2)
        mirrored = -1.0 if random.random() < 0.5 else 1.0
        cos, sin = scale * math.cos(turn), scale * math.sin(turn)
        self._matrix = np.array([[cos * mirrored, -sin], [sin * mirrored, cos]])
        self._middle = np.array([24.0, 26.0])
        self._shift = shift

    def between(self, low: float, high: float) -> float:
        """Return a number drawn uniformly."""
        return float(self.random.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return bool(self.random.random() < probability)

    def place_exactly(self) -> None:
        """Draw everything from here on where it is named."""
        self._matrix, self._shift = np.eye(2), np.zeros(2)

    def polygon(self, points: Sequence[Point] | npt.NDArray[np.float64]) -> None:
        """Cover a filled polygon."""
        cv2.fillPoly(self.cover, [self._placed(points)], 1.0, cv2.LINE_AA, _SHIFT)

    def line(self, points: Sequence[Point], width_px: float, *, cover: float = 1.0) -> None:
        """Cover a broken line with round ends."""
        thick = max(1, round(width_px * self.finer))
        cv2.polylines(self.cover, [self._placed(points)], False, cover, thick, cv2.LINE_AA, _SHIFT)

    def mark(self, points: Sequence[Point], width_px: float, grey: float) -> None:
        """Draw a broken line in another tone, covering nothing more."""
        thick = max(1, round(width_px * self.finer))
        cv2.polylines(self.tone, [self._placed(points)], False, grey, thick, cv2.LINE_AA, _SHIFT)

    def fill(self, points: Sequence[Point] | npt.NDArray[np.float64], grey: float) -> None:
        """Draw a filled polygon in another tone, covering nothing more."""
        cv2.fillPoly(self.tone, [self._placed(points)], grey, cv2.LINE_AA, _SHIFT)

    def paint(self, grey: float, *, light: float = 0.3, clouds: float = 10.0) -> None:
        """Fill the tone: a grey under light from one side and with soft irregularities.

        `light` is the most by which the tone changes from one side of the crop to the other, as a
        share of it; `clouds` is the standard deviation of the irregularities.
        """
        angle, strength = self.between(0, 2 * math.pi), self.between(0, light)
        across = np.linspace(-0.5, 0.5, self.px, dtype=np.float32)
        slope = math.cos(angle) * across[None, :] + math.sin(angle) * across[:, None]
        tone = grey * (1 + strength * slope)
        if clouds:
            cells = int(self.random.integers(3, 9))
            rough = self.random.standard_normal((cells, cells), dtype=np.float32) * clouds
            tone = tone + cv2.resize(rough, (self.px, self.px), interpolation=cv2.INTER_LINEAR)
        self.tone = np.ascontiguousarray(tone, dtype=np.float32)

    def pattern(self) -> None:
        """Lay stripes, checks or dots over the tone, or nothing."""
        which = int(self.random.integers(0, 6))
        if which > 2:
            return
        angle, period = self.between(0, math.pi), self.between(2.5, 9) * self.finer
        y, x = np.mgrid[: self.px, : self.px].astype(np.float32)
        along = np.sin((math.cos(angle) * x + math.sin(angle) * y) * 2 * math.pi / period)
        if which > 0:
            other = np.sin((math.cos(angle) * y - math.sin(angle) * x) * 2 * math.pi / period)
            along = np.maximum(along, other) if which == 1 else along * other
        strength = self.between(8, 60)
        if self.chance(0.5):
            along = np.sign(along)
        self.tone = self.tone + strength * along.astype(np.float32)

    def round_off(self, strength: float, width_px: float = 3.0) -> None:
        """Darken the tone towards the edges of what is covered, as of something round."""
        depth = cv2.GaussianBlur(self.cover, (0, 0), width_px * self.finer)
        self.tone = self.tone * (1 - strength * (1 - depth))

    def shade(self, strength: float) -> None:
        """Put the tone into the face's own light: all of it at 1, none at 0."""
        if self._light is not None:
            self.tone = self.tone * self._light**strength

    def _placed(self, points: Sequence[Point] | npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        moved = (np.asarray(points, dtype=np.float64) - self._middle) @ self._matrix.T
        on_canvas = (moved + self._middle + self._shift) * self.finer - 0.5
        fixed: npt.NDArray[np.int32] = np.rint(on_canvas * (1 << _SHIFT)).astype(np.int32)
        return fixed


def oval(
    centre: Point, radii: Point, power: float = 2.0, points: int = 28
) -> npt.NDArray[np.float64]:
    """Return the outline [points, 2] of a superellipse: 2 is an ellipse, 5 nearly a rectangle."""
    angles = np.linspace(0, 2 * math.pi, points, endpoint=False)
    cos, sin = np.cos(angles), np.sin(angles)
    x = np.sign(cos) * np.abs(cos) ** (2 / power) * radii[0] + centre[0]
    y = np.sign(sin) * np.abs(sin) ** (2 / power) * radii[1] + centre[1]
    return np.stack([x, y], axis=1)
