"""What can be hidden of a face, and hiding it.

A condition names what is HIDDEN, in image sides (the viewer's left and right). Hiding comes after
every geometric change, so that `left` is always the left of the picture that the model sees.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.occlusion.tiles import random_tiles, tile_map

__all__ = [
    "COALITIONS",
    "CONDITIONS",
    "FILLS",
    "HALVES",
    "QUADRANTS",
    "Condition",
    "Fill",
    "coalition",
    "condition",
    "hidden_mask",
    "hide",
    "hide_tiles",
    "hiding",
    "image_seeds",
    "mirror",
]

Fill = Literal["black", "mean", "noise", "blur"]
FILLS: tuple[Fill, ...] = get_args(Fill)

QUADRANTS = ("upper-left", "upper-right", "lower-left", "lower-right")
HALVES = ("upper", "lower", "left", "right")

_MOST_CHANNELS = 4
_MOST_BLURRED_PX = 256
"""Width at which pictures of more than twice of it are blurred."""

_HIDDEN: dict[str, frozenset[str]] = {
    "full": frozenset(),
    "upper": frozenset({"upper-left", "upper-right"}),
    "lower": frozenset({"lower-left", "lower-right"}),
    "left": frozenset({"upper-left", "lower-left"}),
    "right": frozenset({"upper-right", "lower-right"}),
    **{quadrant: frozenset({quadrant}) for quadrant in QUADRANTS},
    "diagonal": frozenset({"upper-left", "lower-right"}),
    "antidiagonal": frozenset({"upper-right", "lower-left"}),
    **{f"only-{quadrant}": frozenset(QUADRANTS) - {quadrant} for quadrant in QUADRANTS},
    "none": frozenset(QUADRANTS),
}
CONDITIONS = tuple(_HIDDEN)
"""All sixteen names of what is hidden; `only-<quadrant>` names the one that is visible."""

COALITIONS: dict[frozenset[str], str] = {
    frozenset(QUADRANTS) - hidden: name for name, hidden in _HIDDEN.items()
}
"""From the set of VISIBLE quadrants to the condition's name."""


@dataclass(frozen=True)
class Condition:
    """What is hidden and what is put there.

    `hidden` holds quadrants. `random_percent` is above 0 for the control `random-<percent>`, which
    hides that share of the 6 x 8 tiles (see `occlusion.tiles`), other tiles in each image. `key` is
    what the Predictions table stores: the name, followed by `@fill` unless the fill is black.

    >>> condition("upper").hidden == {"upper-left", "upper-right"}
    True
    >>> condition("left@mean").key
    'left@mean'
    """

    name: str
    hidden: frozenset[str]
    fill: Fill = "black"
    random_percent: int = 0

    @property
    def key(self) -> str:
        """The condition as one word."""
        nothing = not self.hidden and not self.random_percent
        return self.name if self.fill == "black" or nothing else f"{self.name}@{self.fill}"


def condition(key: str, fill: Fill | None = None, *, offer_random: bool = True) -> Condition:
    """Return the condition that `key` names: `upper`, `diagonal`, `left@blur`, `random-50`, ...

    Without `offer_random` the sentence on an unknown one doesn't name those that hide other pixels
    in each image.

    Raises:
        UsageError: there is no such condition or fill.

    """
    name, _, suffix = key.partition("@")
    chosen = suffix or fill or "black"
    random = re.fullmatch("random-([1-9][0-9]?)", name)
    if name not in _HIDDEN and not random:
        known = (*CONDITIONS, "random-50") if offer_random else CONDITIONS
        raise UsageError(f"Condition {name!r} is unknown; choose from {', '.join(known)}.")
    if chosen not in FILLS or (suffix and fill and suffix != fill):
        raise UsageError(f"Fill {chosen!r} can't be used here; choose one of {', '.join(FILLS)}.")
    if random:
        return Condition(name, frozenset(), chosen, int(random[1]))
    return Condition(name, _HIDDEN[name], chosen)


def hiding(key: str) -> Condition:
    """Return the condition that `key` names, which is to hide something in pictures.

    Raises:
        UsageError: as `condition`, or a control would hide none of the tiles, or all.
    """
    one = condition(key)
    if one.random_percent:
        random_tiles(0, one.random_percent)
    return one


def coalition(visible: frozenset[str] | set[str], fill: Fill = "black") -> Condition:
    """Return the condition under which exactly the quadrants `visible` can be seen.

    Raises:
        UsageError: a member is not one of QUADRANTS.

    """
    unknown = set(visible) - set(QUADRANTS)
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))} is not one of {', '.join(QUADRANTS)}.")
    return condition(COALITIONS[frozenset(visible)], fill)


def mirror(one: Condition) -> Condition:
    """Return the condition that hides the mirror image of what `one` hides.

    Flipping a picture hidden under `one` gives the flipped picture hidden under `mirror(one)` if
    its width is even; the middle column of an odd width always belongs to the right half. A
    random condition, which favours no side, is its own mirror image.

    >>> mirror(condition("left")).name, mirror(condition("diagonal")).name
    ('right', 'antidiagonal')
    """
    if one.random_percent:
        return one
    swapped = {"left": "right", "right": "left"}
    hidden = frozenset(
        f"{half}-{swapped[side]}" for half, side in (quadrant.split("-") for quadrant in one.hidden)
    )
    return Condition(COALITIONS[frozenset(QUADRANTS) - hidden], hidden, one.fill)


@lru_cache(maxsize=256)
def hidden_mask(one: Condition, height_px: int, width_px: int) -> npt.NDArray[np.bool_]:
    """Return a read-only bool [height, width] array that is True where `one` hides a pixel.

    The upper half is rows [0, height // 2), the left half columns [0, width // 2).

    Raises:
        UsageError: the condition hides other pixels in each image.

    """
    if one.random_percent:
        raise UsageError(
            f"{one.name} hides other pixels in each image; it is a control for evaluation, so "
            "name another condition to train on or to draw."
        )
    mask = np.zeros((height_px, width_px), dtype=bool)
    rows = {"upper": slice(0, height_px // 2), "lower": slice(height_px // 2, None)}
    columns = {"left": slice(0, width_px // 2), "right": slice(width_px // 2, None)}
    for quadrant in one.hidden:
        half, side = quadrant.split("-")
        mask[rows[half], columns[side]] = True
    mask.setflags(write=False)
    return mask


def image_seeds(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return one seed per image ID, so that every model sees the same noise in the same image."""
    digests = (hashlib.sha256(one.encode()).digest()[:8] for one in ids)
    return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)


def hide(
    images: npt.NDArray[np.uint8], one: Condition, seeds: npt.ArrayLike | None = None
) -> npt.NDArray[np.uint8]:
    """Return a copy of `images` in which the pixels that `one` names are replaced by its fill.

    `images` is uint8 [n, height, width] or [n, height, width, channels]. Fills:

    - black: 0.
    - mean: the mean over the image's visible pixels, per channel (127 where nothing is visible).
    - noise: independent uniform grey levels, drawn for image i from `seeds[i]` and the condition.
    - blur: the image under a Gaussian of a sixth of its width (8 px at 48), mirrored at its
      borders; a low-frequency trace of what is replaced stays.

    `seeds` is one non-negative integer per image, required for noise and for random conditions:
    see `image_seeds`.

    Raises:
        UsageError: the array isn't a batch of uint8 images, `one` isn't a Condition, or seeds are
            missing.

    """
    _require_batch(images)
    if not isinstance(one, Condition):
        raise UsageError(f"hide() takes a Condition, got {one!r}; make one: hf.condition(name).")
    if one.random_percent:
        if seeds is None or len(np.atleast_1d(seeds)) != len(images):
            raise UsageError(f"{one.name} needs one seed per image, so that it can be repeated.")
        visible = ~random_tiles(seeds, one.random_percent)
        salt = len(CONDITIONS) + one.random_percent
        return hide_tiles(images, visible, one.fill, seeds, salt=salt)
    result = images.copy()
    if not one.hidden or len(images) == 0:
        return result
    mask = hidden_mask(one, images.shape[1], images.shape[2])
    if one.fill == "black":
        result[:, mask] = 0
    elif one.fill == "mean":
        result[:, mask] = _visible_means(images, mask)[:, np.newaxis]
    elif one.fill == "noise":
        if seeds is None or len(np.atleast_1d(seeds)) != len(images):
            raise UsageError("Fill 'noise' needs one seed per image, so that it can be repeated.")
        salt = CONDITIONS.index(one.name)
        for row, seed in zip(result, np.atleast_1d(seeds), strict=True):
            random = np.random.default_rng([int(seed), salt])
            row[mask] = random.integers(0, 256, row[mask].shape, dtype=np.uint8)
    else:
        for row, image in zip(result, images, strict=True):
            row[mask] = _blurred(image)[mask]
    return result


def hide_tiles(
    images: npt.NDArray[np.uint8],
    visible: npt.NDArray[np.bool_],
    fill: Fill = "black",
    seeds: npt.ArrayLike | None = None,
    *,
    salt: int = 200,
) -> npt.NDArray[np.uint8]:
    """Return a copy of `images` in which image i shows only the tiles `visible[i]`.

    `images` as for `hide`, with the same fills; `visible` is bool [n, 48] (see `occlusion.tiles`).
    Noise is one field per image, drawn from `seeds[i]` and `salt`, of which hidden tiles show
    their part: an image that occurs twice has the same noise where it is hidden in both.

    Raises:
        UsageError: the array isn't a batch of uint8 images, or noise has no seeds.

    """
    _require_batch(images)
    if fill == "noise" and (seeds is None or len(np.atleast_1d(seeds)) != len(images)):
        raise UsageError("Fill 'noise' needs one seed per image, so that it can be repeated.")
    masks = ~visible[:, tile_map(images.shape[1], images.shape[2])]
    result = images.copy()
    if fill == "black":
        result[masks] = 0
        return result
    seeds_known = [0] * len(images) if seeds is None else np.atleast_1d(seeds)
    for row, image, mask, seed in zip(result, images, masks, seeds_known, strict=True):
        if fill == "mean":
            row[mask] = _visible_means(image[None], mask)[0]
        elif fill == "noise":
            random = np.random.default_rng([int(seed), salt])
            row[mask] = random.integers(0, 256, image.shape, dtype=np.uint8)[mask]
        else:
            row[mask] = _blurred(image)[mask]
    return result


def _require_batch(images: npt.NDArray[np.uint8]) -> None:
    if not isinstance(images, np.ndarray):
        raise UsageError(
            f"hide() takes an array [n, height, width], got {type(images).__name__}; give "
            "np.stack(images)."
        )
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise UsageError(
            f"hide() takes uint8 [n, height, width] or [n, height, width, channels], "
            f"got {images.dtype} {list(images.shape)}."
        )
    if images.ndim == 3 and images.shape[-1] <= _MOST_CHANNELS < min(images.shape[:-1]):
        raise UsageError(
            f"hide() takes a batch, and {list(images.shape)} is one picture with channels; "
            "give images[None]."
        )


def _blurred(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    # Of a photo it would take minutes: the kernel grows with the picture. What is left after such
    # a blur is as much in a picture of 256 pixels, to within two of 256 greys.
    smaller = width / _MOST_BLURRED_PX if width > 2 * _MOST_BLURRED_PX else 1
    sigma_px = width / smaller / 6
    if smaller > 1:
        size = _MOST_BLURRED_PX, max(round(height / smaller), 1)
        image_small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(image_small, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
        blurred = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        blurred = cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred.reshape(image.shape), dtype=np.uint8)


def _visible_means(
    images: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return uint8 [n] or [n, channels]: the mean grey of each image's visible pixels, rounded."""
    if mask.all():
        return np.full((len(images), *images.shape[3:]), 127, dtype=np.uint8)
    means: npt.NDArray[np.uint8] = np.rint(images[:, ~mask].mean(axis=1)).astype(np.uint8)
    return means
