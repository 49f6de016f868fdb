"""Faces under drawn occluders with what of them can be seen: examples to learn from and to test on.

What is drawn is known exactly; what the pictures themselves hide is not: FER2013 has hands, glasses
and microphones of its own. All of them count as visible here, but for those that a list names
(`ReallyCovered`): a network that is told that drawn sunglasses hide eyes and real ones don't learns
to tell the drawn from the real.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Self, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.models.visible_tiles import tile_shares
from hemiface.occlusion.conditions import image_seeds
from hemiface.occlusion.occluders import NOTHING, SEEN, wear
from hemiface.tables import FER2013_SIZE_PX

__all__ = [
    "COVERS_NOTHING",
    "REAL_THINGS",
    "Covering",
    "ReallyCovered",
    "examples",
    "fixed_examples",
]

Faces = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.float32]
Motion = tuple[bool, npt.NDArray[np.float64]]
Picture = TypeVar("Picture", np.uint8, np.float32)

REAL_THINGS: Mapping[str, tuple[slice, slice, slice]] = MappingProxyType(
    {
        "eyes": (slice(12, 24), slice(8, 40), slice(4, 32)),
        "mouth": (slice(32, 44), slice(14, 34), slice(24, 48)),
    }
)
"""Region that a real thing covers -> rows and columns of the crop that it hides for sure, and rows
in which nobody knows how far it reaches. Elsewhere the face counts as visible."""
COVERS_NOTHING = "nothing"
"""In place of a region: what is taken for an occluder and is none, such as clear spectacles."""


_MEASURES = ("translate_px", "rotate_deg", "repeat_px")


@dataclass(frozen=True)
class Covering:
    """How examples for training are drawn; all probabilities are per face."""

    nothing: float = 0.4
    """How often nothing is laid on a face at first; `second` comes to it."""
    mask: float = 0.35
    """How often an occluder is a mask for sure, rather than any of the kinds: masks are what is
    met most, and the most alike to the faces under them."""
    second: float = 0.12
    """How often another occluder is laid on, whether or not there is one: with the defaults two lie
    on .6 * .12 = 7 % of the faces and none on .4 * .88 = 35 %."""
    swap: float = 0.15
    """How often a part of another face replaces a part of this one, and counts as visible: so that
    a seam alone isn't taken for an occluder."""
    light: float = 0.35
    """Most by which the light falls or rises from the middle to the border, as a share (1.4 times
    this in corners), before anything is laid on: so that a dark or bright half alone isn't taken
    for an occluder."""
    translate_px: float = 3.0
    """Most shift in each direction before anything is laid on."""
    rotate_deg: float = 12.0
    """Most turn."""
    scale: float = 0.2
    """Most change of size, as a share."""
    repeat: float = 0.15
    """How often the picture's border cuts the face: one side repeats its edge from there on."""
    repeat_px: float = 14.0
    """How deep at most, less than 48."""
    worsen: float = 0.5
    """How often the whole picture is blurred, made noisy, compressed or coarser."""
    contrast: float = 0.3
    """Most change of contrast and brightness, as a share."""
    real: float = 0.12
    """How often a face is one of those that a list names, where there is one."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, most = getattr(self, one.name), math.inf if one.name in _MEASURES else 1
            if not 0 <= value <= most or value == math.inf:
                raise UsageError(
                    f"covering.{one.name} must {'not be negative' if most > 1 else 'lie in 0..1'}."
                )
        if self.repeat_px >= FER2013_SIZE_PX:
            raise UsageError(f"covering.repeat_px must be less than {FER2013_SIZE_PX}.")


@dataclass(frozen=True)
class ReallyCovered:
    """Faces uint8 [n, 48, 48] with a real thing over them; `visible` is float32 of that shape.

    It is 1 where the face can be seen, 0 where it is hidden, NaN where nobody said.
    """

    faces: Faces
    visible: Maps

    @classmethod
    def of(cls, faces: Faces, covers: Sequence[str]) -> Self:
        """Return faces with what each thing covers, by the names of REAL_THINGS, or nothing.

        Raises:
            UsageError: there is no such name.
        """
        visible = np.ones(faces.shape, dtype=np.float32)
        for seen, region in zip(visible, covers, strict=True):
            if region == COVERS_NOTHING:
                continue
            if region not in REAL_THINGS:
                known = " or ".join((*REAL_THINGS, COVERS_NOTHING))
                raise UsageError(f"Region {region!r} is unknown; real things cover {known}.")
            rows, columns, around = REAL_THINGS[region]
            seen[around] = np.nan
            seen[rows, columns] = 0
        return cls(faces, visible)


def examples(
    pixels: Faces,
    index: npt.NDArray[np.int64],
    options: Covering,
    random: np.random.Generator,
    covered: ReallyCovered | None = None,
) -> tuple[Faces, npt.NDArray[np.float32]]:
    """Return faces uint8 [n, 48, 48] under occluders drawn anew, and tiles float32 [n, 12, 12].

    `index` names the n faces among `pixels`. Kinds come from SEEN alone. A share `options.real` of
    the faces is drawn from `covered` instead; tiles of which less than half is known are NaN.
    """
    faces = np.empty((len(index), 48, 48), dtype=np.uint8)
    visible = np.ones(faces.shape, dtype=np.float32)
    for at, i in enumerate(index):
        if covered is not None and random.random() < options.real:
            one, motion = random.integers(len(covered.faces)), _motion(options, random)
            faces[at] = _moved(covered.faces[one], motion)
            visible[at] = _moved(covered.visible[one], motion, cv2.INTER_NEAREST)
        else:
            faces[at] = _moved(pixels[i], _motion(options, random))
    for face, seen in zip(faces, visible, strict=True):
        if random.random() < options.swap:
            other = pixels[random.integers(len(pixels))]
            replaced = _swap(face, _moved(other, _motion(options, random)), random)
            seen[replaced] = 1
    faces = np.stack([_lit(face, options, random) for face in faces])
    hidden = np.zeros(faces.shape, dtype=bool)
    for probability in (1 - options.nothing, options.second):
        kinds = [
            _kind(options, random) if chosen else NOTHING
            for chosen in random.random(len(faces)) < probability
        ]
        faces, masks = wear(faces, kinds, random.integers(1 << 62, size=len(faces)))
        hidden |= masks
    for i, face in enumerate(faces):
        if random.random() < options.repeat:
            rows, columns = _repeated(options.repeat_px, random)
            face, hidden[i] = face[rows][:, columns], hidden[i][rows][:, columns]
            visible[i] = visible[i][rows][:, columns]
        faces[i] = _worsened(face, options, random)
    visible[hidden] = 0
    return faces, tile_shares(visible)


def fixed_examples(
    pixels: Faces, ids: list[str], kinds: Sequence[str], *, nothing: float = 0.5
) -> tuple[Faces, npt.NDArray[np.bool_], list[str]]:
    """Return faces under one occluder each, what of them is visible, and its kind.

    Kind and drawing follow from an image's ID alone; a share `nothing` of the faces stays as it is.
    The masks are bool [n, 48, 48], True where visible.
    """
    seeds = image_seeds(ids)
    chosen = []
    for seed in seeds:
        random = np.random.default_rng([int(seed), len(kinds)])
        bare = random.random() < nothing
        chosen.append(NOTHING if bare else kinds[int(random.integers(len(kinds)))])
    faces, masks = wear(pixels, chosen, seeds)
    return faces, ~masks, chosen


def _kind(options: Covering, random: np.random.Generator) -> str:
    if random.random() < options.mask:
        return "mask"
    return SEEN[int(random.integers(len(SEEN)))]


def _lit(face: Faces, options: Covering, random: np.random.Generator) -> Faces:
    """Return the face under light that rises from one side to the other."""
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0, options.light)
    across = np.linspace(-1, 1, 48, dtype=np.float32)
    slope = np.cos(angle) * across[None, :] + np.sin(angle) * across[:, None]
    lit: Faces = np.clip(np.rint(face * (1 + strength * slope)), 0, 255).astype(np.uint8)
    return lit


def _repeated(
    most_px: float, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return rows and columns of a crop that reaches beyond the photo at one side."""
    rows, columns = np.arange(48), np.arange(48)
    depth, side = int(random.uniform(min(1, most_px), most_px)), random.integers(4)
    cut = rows if side < 2 else columns
    cut[:] = np.maximum(cut, depth) if side % 2 else np.minimum(cut, 47 - depth)
    return rows, columns


def _motion(options: Covering, random: np.random.Generator) -> Motion:
    """Draw whether a picture is mirrored, as half are, and how it is turned, scaled and shifted."""
    mirrored = bool(random.random() < 0.5)
    turn, size, across, down = random.uniform(-1, 1, 4)
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), turn * options.rotate_deg,
                                     1 + size * options.scale)  # fmt: skip
    matrix[0, 2] += across * options.translate_px
    matrix[1, 2] += down * options.translate_px
    return mirrored, np.asarray(matrix, dtype=np.float64)


def _moved(
    picture: npt.NDArray[Picture], motion: Motion, how: int = cv2.INTER_LINEAR
) -> npt.NDArray[Picture]:
    """Return a picture [48, 48] as `motion` moves it, its edge repeated."""
    mirrored, matrix = motion
    moved = cv2.warpAffine(
        np.ascontiguousarray(picture[:, ::-1] if mirrored else picture), matrix, (48, 48),
        flags=how, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(moved, dtype=picture.dtype)


def _swap(face: Faces, other: Faces, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Replace a box of `face` by that of `other`, with a soft or hard edge, in place.

    Returns which pixels [48, 48] are mostly the other's.
    """
    weight = np.zeros((48, 48), dtype=np.float32)
    width, height = random.integers(14, 49, 2)
    left, top = random.integers(0, 49 - width), random.integers(0, 49 - height)
    weight[top : top + height, left : left + width] = 1
    if random.random() < 0.6:
        blurred = cv2.GaussianBlur(weight, (0, 0), random.uniform(0.5, 2.5))
        weight = np.asarray(blurred, dtype=np.float32)
    face[:] = np.rint(face + weight * (other.astype(np.float32) - face)).astype(np.uint8)
    return weight > 0.5


def _worsened(face: Faces, options: Covering, random: np.random.Generator) -> Faces:
    """Return the face with other contrast and, sometimes, as from a worse camera."""
    gain, lift = 1 + random.uniform(-1, 1, 2) * options.contrast
    middle = face.mean()
    value = (face - middle) * np.float32(gain) + np.float32(middle * lift)
    if random.random() < options.worsen:
        which = random.integers(4)
        if which == 0:
            value = cv2.GaussianBlur(value, (0, 0), random.uniform(0.4, 1.2))
        elif which == 1:
            value = value + random.uniform(2, 12) * random.standard_normal((48, 48))
        elif which == 2:
            side = int(random.integers(20, 44))
            small = cv2.resize(value, (side, side), interpolation=cv2.INTER_AREA)
            value = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
        else:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 95))]
            plain = np.clip(value, 0, 255).astype(np.uint8)
            value = cv2.imdecode(cv2.imencode(".jpg", plain, quality)[1], cv2.IMREAD_GRAYSCALE)
    worse: Faces = np.clip(np.rint(value), 0, 255).astype(np.uint8)
    return worse
