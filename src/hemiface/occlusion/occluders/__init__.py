"""Drawn occluders: masks, glasses, scarves, hands and the like laid on faces.

They serve to train and to test what says how much of a face can be seen (`models.visible_tiles`),
and to train networks that shall read faces under such things: of a drawn occluder it is known,
pixel by pixel, what it hides. SEEN are the kinds to train on,
HELD_OUT those that only tests draw, so that a test says how the result carries over to things
never drawn in training. All of them are simple shapes with varied place, tone, pattern, light and
edges, not photographs.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.occlusion.occluders import boxes, held, masks, worn
from hemiface.occlusion.occluders.canvas import CANVAS_PX, Canvas
from hemiface.tables import FER2013_SIZE_PX

__all__ = ["HELD_OUT", "KINDS", "NOTHING", "SEEN", "lay", "layers", "wear", "wear_large"]

Faces = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.bool_]

_PAINTERS: dict[str, Callable[[Canvas], None]] = {
    "mask": masks.mask,
    "sunglasses": worn.sunglasses,
    "scarf": masks.scarf,
    "headset": worn.headset,
    "hair": worn.hair,
    "hand": held.hand,
    "box": boxes.box,
    "half": boxes.half,
    "microphone": held.microphone,
    "cup": held.cup,
    "phone": held.phone,
    "paper": held.paper,
    "patch": worn.patch,
}
KINDS: Mapping[str, Callable[[Canvas], None]] = MappingProxyType(_PAINTERS)
"""Kind -> what draws it."""

HELD_OUT = ("microphone", "cup", "phone", "paper", "patch")
"""Kinds for tests only; nothing may be trained or chosen on them."""

SEEN = tuple(kind for kind in KINDS if kind not in HELD_OUT)
"""Kinds to train on."""

NOTHING = "nothing"
"""In place of a kind: the face stays as it is."""

# Less of a pixel than this is not hidden, and is left as it was.
_LEAST_COVER = 0.25

# What varies over less than this is the face's shape rather than the light on it.
_LIGHT_PX = 6.0


def wear(faces: Faces, kinds: Sequence[str], seeds: npt.ArrayLike) -> tuple[Faces, Masks]:
    """Return copies of `faces` with an occluder each, and which pixels it covers.

    `faces` is uint8 [n, 48, 48], about where FER2013's faces are; `kinds` names n of KINDS or
    NOTHING; `seeds` is one non-negative integer per face, and the same face, kind and seed give the
    same picture. The masks are bool [n, 48, 48]: pixels outside them are bit for bit those of the
    face; inside, at least a quarter of the pixel is covered.

    Raises:
        UsageError: the arrays don't fit together, a kind is unknown or a seed no whole number.
    """
    side = FER2013_SIZE_PX
    # As objects: an array of large and small whole numbers would be one of floats.
    numbers = np.atleast_1d(np.asarray(seeds, dtype=object))
    if not all(isinstance(one, (int, np.integer)) and 0 <= one < 2**64 for one in numbers.flat):
        raise UsageError("Seeds of wear() are whole numbers from 0, below 2**64.")
    if faces.dtype != np.uint8 or faces.shape != (len(kinds), side, side):
        raise UsageError(
            f"wear() takes uint8 [n, {side}, {side}] and n kinds, got {faces.dtype} "
            f"{list(faces.shape)} and {len(kinds)} kinds."
        )
    if numbers.shape != (len(faces),):
        raise UsageError(f"wear() needs one seed per face, got {numbers.size} for {len(faces)}.")
    result, covered = faces.copy(), np.zeros(faces.shape, dtype=bool)
    for i, (kind, seed) in enumerate(zip(kinds, numbers, strict=True)):
        if kind == NOTHING:
            continue
        result[i], covered[i] = lay(faces[i], _painted(faces[i], kind, int(seed)))
    return result, covered


def wear_large(picture: Faces, kind: str, seed: int) -> tuple[Faces, Masks]:
    """Return a copy of a larger picture of a face with one of KINDS, and which pixels it covers.

    `picture` is uint8 [side, side] or [side, side, 3] and shows a face as a crop does (see `wear`),
    in more pixels; the mask is bool [side, side]. The same kind and seed draw the same thing, its
    edges and its tone finer than at 48 x 48. On coloured pictures too it is grey, but for a hand,
    which has the hue of the face's skin.

    Raises:
        UsageError: the picture is no square of at least 48 pixels, or the kind is unknown.
    """
    side = picture.shape[0]
    if picture.dtype != np.uint8 or picture.shape[:2] != (side, side) or side < FER2013_SIZE_PX:
        raise UsageError(
            f"An occluder is laid on uint8 squares of {FER2013_SIZE_PX} pixels or more, got "
            f"{picture.dtype} {list(picture.shape)}."
        )
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    size = (FER2013_SIZE_PX, FER2013_SIZE_PX)
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    canvas = _painted(small, kind, seed, max(2 * side, CANVAS_PX))
    weight, tone = _rendered(canvas, side)
    if picture.ndim == 3:
        weight, tone = weight[:, :, None], tone[:, :, None]
        if kind == "hand":
            tone = tone * _hue(picture)
    mixed = picture + weight * (np.clip(tone, 0, 255) - picture)
    worn = np.where(weight > 0, np.rint(mixed), picture).astype(np.uint8)
    return worn, (weight > 0).reshape(side, side)


def _hue(picture: Faces) -> npt.NDArray[np.float32]:
    """Return how much of its grey a face's skin has in red, green and blue, float32 [3].

    picture: [side, side, 3] as `wear_large` takes it. Where the face is black there is no hue: 1
    each.
    """
    side = len(picture)
    middle = picture[14 * side // 48 : 40 * side // 48, side // 4 : 3 * side // 4]
    level = np.median(cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY))
    hue = np.median(middle, axis=(0, 1)) / level if level else np.ones(3)
    return hue.astype(np.float32)


def _painted(face: Faces, kind: str, seed: int, px: int = CANVAS_PX) -> Canvas:
    """Return what one of KINDS with this seed draws on a face [48, 48], on a canvas [px, px]."""
    if kind not in KINDS:
        raise UsageError(f"Occluder {kind!r} is unknown; choose from {', '.join(KINDS)}.")
    random = np.random.default_rng([seed, list(KINDS).index(kind)])
    skin = float(np.median(face[14:40, 12:36]))
    canvas = Canvas(random, skin=skin, light=_light(face, px), px=px)
    KINDS[kind](canvas)
    return canvas


def layers(n: int, seed: int) -> tuple[Faces, Faces]:
    """Return `n` occluders of kinds from SEEN without faces: what they cover, and their tones.

    Both are uint8 [n, 48, 48]: a pixel of a face under one is mixed with its tone to cover / 255.
    The same seed gives the same occluders. Hands are of the tone of skins drawn from 60 to 200.
    """
    side = FER2013_SIZE_PX
    cover, tone = np.zeros((2, n, side, side), dtype=np.uint8)
    for i in range(n):
        random = np.random.default_rng([seed, i])
        canvas = Canvas(random, skin=float(random.uniform(60, 200)))
        KINDS[SEEN[int(random.integers(len(SEEN)))]](canvas)
        weight, grey = _rendered(canvas)
        cover[i], tone[i] = np.rint(255 * weight), np.rint(np.clip(grey, 0, 255))
    return cover, tone


def lay(face: Faces, canvas: Canvas) -> tuple[Faces, Masks]:
    """Return the face [48, 48] under what was drawn, and which pixels [48, 48] that covers."""
    weight, tone = _rendered(canvas)
    mask = weight > 0
    mixed = face + weight * (np.clip(tone, 0, 255) - face)
    pixels = np.where(mask, np.rint(mixed), face).astype(np.uint8)
    return pixels, mask


def _light(face: Faces, px: int) -> npt.NDArray[np.float32]:
    """Return float32 [px, px]: how bright the face is around each point, 1 being its middle."""
    smooth = cv2.GaussianBlur(face.astype(np.float32) + 4, (0, 0), _LIGHT_PX)
    relative = np.clip(smooth / smooth[14:40, 12:36].mean(), 0.4, 1.7)
    large = cv2.resize(relative, (px, px), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, dtype=np.float32)


def _rendered(
    canvas: Canvas, side: int = FER2013_SIZE_PX
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return at side x side how much of each pixel shows the canvas, in 0..1, and its tone."""
    random = canvas.random
    softness_px = canvas.softness_px * canvas.finer
    cover = cv2.GaussianBlur(canvas.cover, (0, 0), softness_px) if softness_px else canvas.cover
    cover = np.clip(cv2.resize(cover, (side, side), interpolation=cv2.INTER_AREA), 0, 1)
    tone = cv2.resize(canvas.tone, (side, side), interpolation=cv2.INTER_AREA)
    if canvas.grain:
        tone = tone + canvas.grain * random.standard_normal((side, side), dtype=np.float32)
    weight = np.where(cover >= _LEAST_COVER, np.minimum(cover * canvas.opacity, 1), 0)
    return np.asarray(weight, dtype=np.float32), np.asarray(tone, dtype=np.float32)
