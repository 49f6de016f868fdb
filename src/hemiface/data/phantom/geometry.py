"""Drawing rendered faces: numpy on batches, at twice the size, then pose, lens and sensor.

A face is two half-faces, drawn in the same coordinates: u, the distance from the midline (0 to
24), and y, downwards from the middle of the picture (-24 to 24), both in pixels of the final
48 x 48 picture. Bilateral features are thus written once, and left and right differ only in what
the face's record says. Shapes are regions between two curves over u, so their outlines are cheap
one-dimensional arrays; relief is a sum of separable bumps, lit by Lambert's law.

What a quadrant's actions change stays inside it: every mark of an upper action lies above y = -2,
every mark of a lower one below y = 2, and a mark that meets the midline takes the weaker side's
strength until 2.75 px from it. The gap is as wide as the lens's blur reaches. Actions that are seen
in both halves are drawn as two marks (AU6: lids and crow's feet above, cheeks below; AU9: the root
of the nose and the brows above, its wings below), each scaled by its own half.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.data.phantom.parameters import ACTIONS, strengths
from hemiface.data.phantom.shapes import (
    HALF_COLUMNS,
    ROWS,
    SIZE_PX,
    WIDE_PX,
    Array,
    bump,
    cover,
    darken,
    joined,
    lit,
    paint,
    smooth,
    texture,
)

__all__ = ["draw"]

_BATCH = 8
_GUARD_PX = 2.75
_RAMP_PX = 4.0
_EYES = (slice(None), slice(6, 44), slice(3, 36))
"""Rows y < -2 and columns 1.5 < u < 18: forehead, brows, eyes and what moves around them."""
_EARS = (slice(None), slice(30, 60), slice(28, 48))
_BELOW = slice(46, WIDE_PX)
"""Rows y > -1."""
_MOUTH = (slice(None), slice(53, WIDE_PX), slice(0, 36))
"""Rows y > 2.5 and columns u < 18: nose, mouth and the folds beside them."""
_COLUMN = {int(name.removeprefix("AU")): column for column, name in enumerate(ACTIONS)}


def draw(faces: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """Return uint8 [n, 48, 48] for FACE records [n], each as if it were drawn alone."""
    pictures = np.empty((len(faces), SIZE_PX, SIZE_PX), np.uint8)
    for first in range(0, len(faces), _BATCH):
        batch = faces[first : first + _BATCH]
        canonical = _HalfFaces(batch).assembled()
        for picture, drawn, face in zip(pictures[first:], canonical, batch, strict=False):
            picture[:] = _photographed(drawn, face)
    return pictures


class _HalfFaces:
    """The canonical, unposed drawing of a batch: m = 2 n half-faces, left and right in turn.

    Arrays per half-face are [m, 1, 1], over columns [m, 1, 48], over rows [1, 96, 1].
    """

    def __init__(self, faces: npt.NDArray[np.void]) -> None:
        self.faces = faces
        self.u = HALF_COLUMNS[np.newaxis, np.newaxis, :]
        self.y = ROWS[np.newaxis, :, np.newaxis]
        self.side = np.tile(np.array([-1, 1], np.float32), len(faces))[:, np.newaxis, np.newaxis]
        by_side = np.moveaxis(strengths(faces), 3, 1)
        own = by_side.reshape(len(faces) * 2, len(ACTIONS), 2)
        weaker = np.repeat(by_side.min(axis=1), 2, axis=0)
        fade = smooth((HALF_COLUMNS - _GUARD_PX) / _RAMP_PX)
        self._own: Array = own
        self._across: Array = weaker[..., np.newaxis] + (own - weaker)[..., np.newaxis] * fade
        self.long = (self.trait("hair_length") > 0.5).astype(np.float32)
        self.contour = self._hair_contour() * (self.trait("bald") < 0.93)
        self.hair_tone = self.trait("hair") * self.trait("skin")
        self.strands = texture(faces["key"], faces["flipped"], "hair")

    def trait(self, name: str) -> Array:
        """Return a trait as [m, 1, 1]."""
        return np.repeat(self.faces[name], 2)[:, np.newaxis, np.newaxis]

    def upper(self, unit: int) -> Array:
        """Return [m, 1, 1]: an action's strength in this upper quadrant, beyond the guard."""
        return self._own[:, _COLUMN[unit], 0, np.newaxis, np.newaxis]

    def lower(self, unit: int) -> Array:
        """Return [m, 1, 1]: an action's strength in this lower quadrant, beyond the guard."""
        return self._own[:, _COLUMN[unit], 1, np.newaxis, np.newaxis]

    def upper_across(self, unit: int) -> Array:
        """Return [m, 1, 48]: the strength in the upper half for marks that meet the midline."""
        return self._across[:, _COLUMN[unit], 0, np.newaxis, :]

    def lower_across(self, unit: int) -> Array:
        """Return [m, 1, 48]: the strength in the lower half for marks that meet the midline."""
        return self._across[:, _COLUMN[unit], 1, np.newaxis, :]

    def assembled(self) -> Array:
        """Return float32 [n, 96, 96] greys (1 is white) before pose, lens and sensor."""
        tone = self._surroundings()
        head = self._head(tone)
        self._forehead_and_brows(tone[_EYES])
        self._eyes(tone[_EYES])
        self._nose(tone[_MOUTH])
        self._mouth(tone[_MOUTH])
        hair = self._hair(tone)
        shade = lit(joined(self._relief()), self.faces["light_x"], self.faces["light_y"])
        picture = joined(tone)
        picture *= 1 + joined(head * (1 - hair)) * (shade - 1)
        return picture

    def _surroundings(self) -> Array:
        """Background, hair behind the head, neck and clothes: [m, 96, 48]."""
        u, y = self.u, self.y
        background = self.trait("background")
        tone = background * (1 - 0.006 * y) + 0 * u
        paint(tone, self.contour, self.hair_tone * 0.75)
        low, y = tone[:, _BELOW], y[:, _BELOW]
        neck = cover(u - 11.0 - np.maximum(y - 19, 0) * 0.8) * smooth((y - 8) / 2)
        paint(low, neck, self.trait("skin") * 0.55)
        paint(low, cover(22.2 + 0.1 * u - y) * smooth((u - 7) / 2), background * 0.3 + 0.12)
        return tone

    def _hair_contour(self) -> Array:
        """Coverage [m, 96, 48] of everything inside the hair's outer contour."""
        u, y, volume = self.u, self.y, self.trait("hair_volume")
        length = self.trait("hair_length")
        end = np.where(self.long > 0, np.float32(24), -8 + 9 * length)
        across = (u / (self.trait("head_width") + volume * (0.45 + 0.9 * length))) ** 2
        down = (np.maximum(-5 - y, 0) / (16 + volume)) ** 2 + (np.maximum(y - end, 0) / 6) ** 2
        return cover((across + down - 1) * 9.5)

    def _head(self, tone: Array) -> Array:
        """Paint ears, head and beard; return the head's coverage [m, 96, 48]."""
        u, y, width = self.u, self.y, self.trait("head_width")
        skin, chin, jaw = self.trait("skin"), self.trait("chin") - 3, self.trait("jaw")
        self._ears(tone[_EARS])
        drop = 3.2 * self.lower_across(26) - 0.7 * self.lower_across(17)
        grown = (chin / (chin + drop)) ** jaw
        narrowed = 1 - self.trait("taper") * smooth((y - 1) / 22)
        distance = (u / (width * narrowed)) ** 2 + (np.maximum(-5 - y, 0) / 17.5) ** 2
        distance = distance + (np.maximum(y - 3, 0) / chin) ** jaw * grown
        head = cover((distance - 1) * 9.0)
        # Skin turns away from the viewer towards the outline, and is never quite even.
        paint(tone, head, skin * (1.04 - 0.30 * distance * distance))
        tone += head * 0.018 * texture(self.faces["key"], self.faces["flipped"], "skin")
        self._beard(tone[:, _BELOW], head[:, _BELOW])
        return head

    def _ears(self, tone: Array) -> None:
        """Ears, in window _EARS; long hair hides them."""
        u, y = self.u[..., _EARS[2]], self.y[:, _EARS[1]]
        outwards = u - self.trait("head_width") + 0.2 - 0.9 * self.trait("ears")
        ear = (outwards / 1.9) ** 2 + ((y + 2.5) / 4.6) ** 2
        paint(tone, cover((ear - 1) * 1.5) * (1 - self.long), self.trait("skin") * 0.78)

    def _beard(self, tone: Array, head: Array) -> None:
        """Beard and moustache, in the rows _BELOW."""
        u, y = self.u, self.y[:, _BELOW]
        dense = np.maximum(self.trait("beard") - 0.78, 0) / 0.22
        moustache = bump((y - self.trait("mouth_height") + 2.6) / 2.2) * bump(u / 7.5)
        area = np.maximum(smooth((y - 13.5 + 0.045 * u * u) / 4), moustache) * head
        stubble = (0.1 + 0.9 * dense) * (dense > 0) * (0.45 + 0.10 * self.strands[:, _BELOW])
        tone *= 1 - area * stubble

    def _hair(self, tone: Array) -> Array:
        """Paint the hair in front of the head; return its coverage [m, 96, 48]."""
        u, y, width = self.u, self.y, self.trait("head_width")
        line = self.trait("hairline") + self.trait("hair_temple") * (u / width) ** 4
        line = line + self.trait("hair_part") * self.side * u
        strands = self.strands
        front = cover(y - line + 0.5 * strands, 0.9)
        curtain = cover(width - 2.0 + 0.05 * (y - 2) - u + 0.2 * strands, 0.9) * self.long
        hair: Array = np.maximum(front, curtain) * self.contour
        gloss = 1.05 + 0.2 * bump((y + 19.5 - 0.012 * u * u) / 3.5) - 0.016 * np.maximum(u - 8, 0)
        paint(tone, hair, self.hair_tone * (gloss + 0.12 * strands) + 0.012 * strands)
        darken(tone, bump((y - line - 0.8) / 2.0) * (1 - hair) * self.contour, 0.12)
        return hair

    def _relief(self) -> Array:
        """Return heights [m, 96, 48] in pixels towards the viewer."""
        u, y = self.u, self.y
        nose, tip = self.trait("nose_relief"), self.trait("nose_length")
        raised = 0.8 * self.lower(9) + 0.4 * self.lower(10)
        pushed = self.lower_across(17)
        sunk = 2.8 * self.lower_across(26)
        ridge = self.trait("brow_height") + 0.5
        cheek = 1.1 * self.lower(6) + 0.7 * self.lower(12)
        wing = self.trait("nose_width") + 0.6
        bumps = (
            (bump((u - 8) / 10), bump((y - ridge) / 4.5), 0.8),
            (
                bump((u - self.trait("eye_distance") + 0.8) / 6.5),
                bump((y - self.trait("eye_height")) / 4.6),
                -1.2,
            ),
            (bump(u / 4.6), bump((y - 0.5) / 10.5), 1.25 * nose),
            (bump(u / 4.8), bump((y - tip + 0.4) / 4.4), 1.5 * nose),
            (bump((u - wing) / 2.2), bump((y - tip - 0.6 + raised) / 2.4), 0.9),
            (bump((u - 11.5) / 6.5), bump((y - 4) / 8), self.trait("cheek")),
            (bump((u - 10.4) / 6.8), bump((y - 8.2) / 5.4), cheek),
            (bump(u / 11), bump((y - self.trait("mouth_height")) / 8), 0.8),
            (bump(u / 5.5), bump((y - 18.4 - 0.5 * sunk) / 2.6), -0.7 - 0.9 * pushed),
            (bump(u / 6), bump((y - 21.2 - sunk + pushed) / 4.2), 1.0 + 1.1 * pushed),
        )
        height = -7.0 * (u / self.trait("head_width")) ** 2 - 5.0 * ((y + 1) / 24) ** 2
        for over_u, over_y, amount in bumps:
            height += (over_u * amount) * over_y
        return height

    def _forehead_and_brows(self, tone: Array) -> None:
        """Brows, frown and forehead lines and the wrinkled root of the nose, in window _EYES."""
        u, y = self.u[..., _EYES[2]], self.y[:, _EYES[1]]
        inner, outer, lowered, wrinkled = (self.upper(unit) for unit in (1, 2, 4, 9))
        height = self.trait("brow_height")
        start = 4.4 - 1.1 * lowered
        end = self.trait("eye_distance") + self.trait("eye_width") + 1.9
        t = np.clip((u - start) / (end - start), 0, 1)
        # Raised and lowered at once, as in sadness and fear, the inner end wins: it goes up.
        lift = 2.9 * inner * (1 - t) ** 1.4 + 2.8 * outer * smooth(1.25 * t)
        sink = 2.0 * lowered * (1 - 0.5 * t) * (1 - 0.75 * inner * (1 - t))
        sink = sink + 1.0 * wrinkled * (1 - t)
        arch = self.trait("brow_arch") * 6.75 * t * t * (1 - t)
        middle = height - arch * (1 - 0.8 * inner * (1 - outer)) - lift + sink
        middle = middle + self.trait("brow_slant") * t
        half = self.trait("brow_thickness") * (1 - 0.65 * smooth(1.5 * t - 0.4))
        present = smooth((u - start + 0.9) / 1.6) * smooth((end + 0.4 - u) / 1.2)
        lines = (1.1 + 0.5 * self.trait("age")) * (1 - 0.5 * lowered)
        for above in (3.6, 5.5):
            at = height - above + 0.016 * (u - 7) ** 2
            crease = 0.2 * self.upper_across(1)[..., _EYES[2]] * bump(u / 8.5)
            crease = crease + 0.2 * outer * bump((u - 9) / 5.5)
            darken(tone, cover(np.abs(y - at) - 0.15, 1.1), np.minimum(crease * lines, 0.35))
        frown = self.upper_across(4)[..., _EYES[2]] * bump((u - 2.3) / 1.3)
        darken(tone, bump((y - height - 0.5) / 3.2), 0.40 * frown)
        darken(tone, bump((u - 8.5) / 7.5) * bump((y - middle - 1.9) / 2.2), 0.22 * lowered)
        for root in (-5.0, -3.3):
            bent = root - 0.12 * u * u
            crease = bump(u / 4.2) * self.upper_across(9)[..., _EYES[2]]
            darken(tone, cover(np.abs(y - bent) - 0.2, 0.9), 0.34 * crease)
        paint(
            tone,
            cover(np.abs(y - middle) - half + 0.12 * self.strands[_EYES], 0.9) * present * 0.92,
            np.minimum(self.trait("brow_tone"), 0.55 * self.trait("skin")),
        )

    def _eyes(self, tone: Array) -> None:
        """Eyeballs, lids and the folds around them, in window _EYES."""
        u, y = self.u[..., _EYES[2]], self.y[:, _EYES[1]]
        half, level = self.trait("eye_width"), self.trait("eye_height")
        off = u - self.trait("eye_distance")
        e = off / half
        arch = np.maximum(1 - e * e, 0) ** 0.75
        top, bottom = self._lids(e, arch)
        inside = cover(top - y) * cover(y - bottom) * (np.abs(e) < 1)
        hooded = 0.24 * smooth((top + 1.5 - y) / 1.5) + 0.18 * e * e
        paint(tone, inside, (0.50 + 0.50 * self.trait("skin")) * (1 - hooded))
        x = off - self.trait("gaze") * self.side
        radius = np.sqrt(x * x + (y - level + 0.25) ** 2)
        paint(tone, inside * cover(radius - 1.85, 0.7), self.trait("iris") * (0.7 + 0.3 * radius))
        paint(tone, inside * cover(radius - 0.85, 0.7), 0.03)
        glint = np.hypot(x - self.side * 1.2 * self.trait("light_x"), y - level + 0.95)
        paint(tone, inside * cover(glint - 0.45, 0.6), 0.95)
        near = smooth((1.12 - np.abs(e)) / 0.12)
        lash = 0.20 + 0.16 * smooth(0.5 + 0.5 * e)
        darken(tone, cover(np.abs(y - top) - lash, 0.8) * near, 0.80)
        darken(tone, cover(np.abs(y - bottom) - 0.1, 0.9) * near, 0.34)
        crease = top - 1.35 + 0.5 * self.upper(5) + 0.3 * e * e
        darken(tone, cover(np.abs(y - crease) - 0.1, 1.0) * near, 0.28)
        raised = self.upper(6)
        bag = 0.10 + 0.10 * self.trait("age") + 0.26 * raised + 0.14 * self.upper(7)
        darken(tone, cover(np.abs(y - bottom - 1.05) - 0.15, 1.1) * arch, bag)
        away = off - half - 0.3
        for slope in (-0.45, 0.02, 0.42):
            foot = cover(np.abs(y - level - slope * (away + 0.6)) - 0.08, 0.9)
            darken(tone, foot * bump((away - 1.6) / 1.9), 0.42 * raised)

    def _lids(self, e: Array, arch: Array) -> tuple[Array, Array]:
        """Return the edges of the upper and lower lid over e, -1 (inner corner) to 1 (outer)."""
        opening, sad = self.trait("eye_opening"), self.upper(1) * (1 - self.upper(2))
        wide, narrow, tight = self.upper(5), self.upper(6), self.upper(7)
        above = 2.1 * opening + 1.3 * wide - 0.50 * tight - 0.4 * narrow
        above = above - 0.45 * self.upper(4) * (1 - wide) - 0.3 * self.upper(9)
        below = 1.25 * opening - 0.85 * tight - 0.80 * narrow - 0.5 * self.upper(9) + 0.2 * wide
        level = self.trait("eye_height") + self.trait("eye_slant") * e
        top = (
            level - np.maximum(above, 0.55) * arch * (1 - 0.12 * e) + 0.75 * sad * e * (arch + 0.2)
        )
        return top, np.maximum(level + np.maximum(below, -0.1) * arch, top + 0.4 * arch)

    def _nose(self, tone: Array) -> None:
        """Nostrils, wings, the shadow below and the folds down to the mouth, in window _MOUTH."""
        u, y = self.u[..., _MOUTH[2]], self.y[:, _MOUTH[1]]
        tip, width = self.trait("nose_length"), self.trait("nose_width")
        raised_across = self.lower_across(9)[..., _MOUTH[2]]
        darken(tone, bump(u / (width + 0.8)) * bump((y - tip - 2.7) / 1.5), 0.26)
        nostril = ((u - 0.52 * width) / 1.05) ** 2 + (
            (y - tip - 1.7 + 0.7 * raised_across) / 0.62
        ) ** 2
        darken(tone, cover((nostril - 1) * 0.5, 0.9), 0.72)
        raised = 0.8 * self.lower(9) + 0.4 * self.lower(10)
        wing = np.hypot((u - width + 1.3) / 1.25, (y - tip - 0.7 + raised) / 1.75)
        outward = smooth((u - width + 0.5) / 0.8) * (u > _GUARD_PX)
        darken(tone, cover(np.abs(wing - 1) * 1.3 - 0.15, 0.9) * outward, 0.40)
        start, end = tip - 0.2 - raised, self.trait("mouth_height") + 0.6
        s = (y - start) / (end - start)
        fold = width + 1.2 + (self.trait("mouth_width") + 1.4 - width) * np.clip(s, 0, 1.2) ** 1.2
        smile = self.lower(12)
        fold = fold + 1.5 * smile * smooth(s)
        depth = 0.05 + 0.18 * self.trait("age") + 0.34 * smile
        depth = depth + 0.30 * self.lower(9) + 0.26 * self.lower(10) + 0.10 * self.lower(20)
        line = cover(np.abs(u - fold) - 0.2, 1.5) * smooth(s / 0.25) * smooth((1.15 - s) / 0.4)
        darken(tone, line, np.minimum(depth, 0.5))

    def _mouth(self, tone: Array) -> None:
        """Lips, teeth, the open mouth and the skin around it, in window _MOUTH."""
        u, y = self.u[..., _MOUTH[2]], self.y[:, _MOUTH[1]]
        cut = {unit: self.lower_across(unit)[..., _MOUTH[2]] for unit in _COLUMN}
        skin = self.trait("skin")
        q, line, arch = self._mouth_line(u, cut)
        rise = 0.5 * cut[25] + 0.9 * cut[26] + 1.0 * cut[10] + 0.4 * cut[25] * cut[12]
        fall = 0.85 * cut[25] + 3.6 * cut[26] + 0.5 * cut[25] * (cut[12] + cut[20])
        shut = 1 - np.maximum(0.45 * cut[23], 0.80 * cut[24])
        parted = smooth(2.5 * (cut[25] + cut[26]) + 0.8 * cut[10] - 0.3)
        inner_top, inner_bottom = line - rise * arch * (0.45 + 0.55 * parted), line + fall * arch
        bow = arch * (1 - 0.30 * bump(q / 0.34))
        top = inner_top - self.trait("upper_lip") * shut * (1 - 0.35 * cut[12]) * bow
        top = top - 0.35 * rise * cut[10] * arch
        bottom = inner_bottom + self.trait("lower_lip") * shut * (1 - 0.25 * cut[12]) * arch
        within = (q < 1).astype(np.float32)
        around = np.maximum(cut[23], cut[24]) * arch
        for at in (top - 0.9, bottom + 0.8):
            darken(tone, cover(np.abs(y - at) - 0.3, 1.2), 0.22 * around)
        darken(tone, bump((y - bottom - 1.3) / 1.7) * bump(u / 6.5), 0.20)
        lips = cover(top - y, 0.8) * cover(y - bottom, 0.8) * within
        shine = 1.0 - 0.13 * cover(y - line) + 0.10 * bump((y - bottom + 1.0) / 1.0) * arch
        paint(tone, lips, skin * self.trait("lip_tone") * shine)
        gap = cover(inner_top - y) * cover(y - inner_bottom) * within * parted
        paint(tone, gap, 0.07 + 0.10 * skin * smooth((y - inner_bottom + 1.8) / 1.5))
        bared = np.clip(0.35 + cut[12] + cut[20] + cut[10] - 0.3 * cut[26], 0, 1)
        edge = inner_top + np.minimum(0.75 * (rise + fall), 1.0 + 0.9 * bared) * arch
        teeth = gap * cover(y - edge, 0.7) * smooth((0.97 - q) / 0.2) * bared
        paint(tone, teeth, 0.92 - 0.25 * q * q)
        seam = cover(np.abs(y - line) - 0.16, 0.9) * smooth((1.05 - q) / 0.1) * (1 - gap)
        darken(tone, seam, 0.62 * (1 - 0.8 * parted * within))
        corner = bump((q - 1.02) / 0.15) * bump((y - line) / 1.1)
        darken(tone, corner, 0.38 + 0.25 * cut[12])
        droop = bump((q - 1.06) / 0.16) * bump((y - line - 1.8) / 2.2)
        darken(tone, droop, 0.40 * cut[15] + 0.06 * self.trait("age"))
        dimpled = cover(np.abs(y - bottom - 2.0 + 0.06 * u * u) - 0.25, 1.2) * bump(u / 5.5)
        darken(tone, dimpled, 0.28 * cut[17])

    def _mouth_line(self, u: Array, cut: dict[int, Array]) -> tuple[Array, Array, Array]:
        """Return q (0 at the midline, 1 at the corner), the height of the line and its arch."""
        pressed = np.maximum(cut[23], cut[24])
        factor = 1 + 0.26 * cut[12] + 0.24 * cut[20] - 0.14 * pressed - 0.22 * cut[26]
        q = u / (self.trait("mouth_width") * factor)
        corners = self.trait("mouth_curve") - 2.9 * cut[12] + 2.5 * cut[15] + 0.5 * cut[20]
        middle = self.trait("mouth_height") + 0.5 * cut[12] - 0.9 * cut[17] - 0.3 * cut[15]
        line = middle + corners * np.minimum(q, 1.2) ** 2
        return q, line, np.maximum(1 - q * q, 0) ** 0.65


@lru_cache(maxsize=1)
def _grid() -> tuple[Array, Array, Array]:
    """Return x [1, 96] and y [96, 1] from the wide picture's centre, and nearness, 0 to 1."""
    x = (np.arange(WIDE_PX, dtype=np.float32) - (WIDE_PX - 1) / 2)[np.newaxis, :]
    y = x.T
    dome = np.sqrt(np.maximum(1 - (x / 44) ** 2 - ((y + 4) / 56) ** 2, 0))
    nose = bump(x / 10) * bump((y - 8) / 20)
    return x, y, (0.75 * dome + 0.25 * nose).astype(np.float32)


def _photographed(drawn: Array, face: np.void) -> npt.NDArray[np.uint8]:
    """Return uint8 [48, 48]: the canonical float32 [96, 96] drawing in its pose, photographed.

    Yaw and pitch shift each point by its nearness (parallax), which turns the head well enough for
    small angles.
    """
    x, y, near = _grid()
    over = WIDE_PX // SIZE_PX
    angle = np.deg2rad(face["roll"])
    cos, sin = np.cos(angle) / face["scale"], np.sin(angle) / face["scale"]
    x, y = x - over * face["shift_x"], y - over * face["shift_y"]
    centre = np.float32((WIDE_PX - 1) / 2)
    from_x = cos * x + (sin * y + centre) - over * face["yaw"] * near
    from_y = (cos * y + centre) - sin * x - over * face["pitch"] * near
    posed = cv2.remap(drawn, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(posed, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    # A kernel of 5 keeps the blur's reach at 2 px, inside the gap between the halves.
    small = cv2.GaussianBlur(small, (5, 5), float(face["blur"]), borderType=cv2.BORDER_REPLICATE)
    columns = (np.arange(SIZE_PX, dtype=np.float32) + 0.5) / SIZE_PX - 0.5
    small = small * (face["exposure"] * (1 + face["gradient_x"] * columns))
    grey = 255 * np.clip(small, 0, 1) ** face["gamma"]
    random = np.random.default_rng([*face["key"], 1])
    grain = random.standard_normal(grey.shape, dtype=np.float32)
    grey += face["noise"] * (grain[:, ::-1] if face["flipped"] else grain)
    taken: npt.NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return taken
