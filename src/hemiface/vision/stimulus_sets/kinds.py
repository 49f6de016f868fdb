"""What can be made of a face for a set of stimuli: parts, composites, chimeras, apertures, tiles.

Every kind is a function from a face and what it needs to what is shown; nothing is written here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.occlusion.bubbles import bubble_centres, through_bubbles
from hemiface.occlusion.composites import APART, chimera, composite
from hemiface.occlusion.conditions import (
    HALVES,
    Condition,
    Fill,
    condition,
    hide,
    hide_tiles,
    image_seeds,
)
from hemiface.occlusion.face_lines import FaceLines, centred, hide_by_lines
from hemiface.occlusion.occluders import KINDS, wear_large
from hemiface.occlusion.tiles import random_tiles
from hemiface.tables import FER2013_SIZE_PX
from hemiface.vision.stimulus_sets.faces import Face

__all__ = ["Made", "Making", "known_kinds", "make"]

Pictures = npt.NDArray[np.uint8]

_SETS = ("halves", "composites", "chimeras", "bubbles", "tiles")
_JUDGED = ("upper", "lower")


@dataclass(frozen=True, eq=False)
class Made:
    """A stimulus: its pixels, the end of its file's name, and what it is (fields of Stimulus)."""

    ending: str
    pixels: Pictures
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Making:
    """What all stimuli of a set are made with."""

    crop: Callable[[Face], Pictures]
    """From a face to its square crop."""
    fill: Fill = "black"
    """What is put where a half or a tile is hidden; around apertures it is a middle grey."""
    lines: Callable[[Face], FaceLines | None] = lambda _: None
    """From a face to its own lines in its crop, None where halves end in the picture's middle."""
    bubbles: int = 12
    """Apertures of a stimulus."""
    sigma_px: float = 4.0
    """Their width, on the face's 48 x 48 pixels."""
    percent: int = 50
    """Share of the tiles that is hidden."""
    samples: int = 10
    """Stimuli of apertures, and of tiles, for each face."""
    seed: int = 0
    """Of everything random; the face's name is the other half of it."""

    def straight(self, face: Face) -> Pictures:
        """Return the crop with the face's own lines in its middle, if they are asked for."""
        pixels, lines = self.crop(face), self.lines(face)
        if lines is None:
            return pixels
        planes = pixels[np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        every = [centred(np.ascontiguousarray(plane[np.newaxis]), lines)[0] for plane in planes]
        return every[0] if pixels.ndim == 2 else np.stack(every, axis=2)

    def words(self, face: Face) -> str:
        """Return by which lines the face's halves end, as column `halves` says it."""
        lines = self.lines(face)
        return "image" if lines is None else str(lines.words[0])


def known_kinds(kinds: Sequence[str], fill: Fill = "black") -> tuple[str, ...]:
    """Return kinds without repetition, `halves` as its four conditions and `full` first.

    With `fill` for those that name none, two kinds of the same condition are one.

    Raises:
        UsageError: a kind is none of the sets, occluders and conditions.
    """
    found = {"full": None}
    for kind in kinds:
        found |= dict.fromkeys(HALVES if kind == "halves" else (kind,))
    alike: dict[str, str] = {}
    for kind in found:
        if kind in _SETS or kind in KINDS:
            alike[kind] = kind
            continue
        try:
            alike.setdefault(_condition(kind, fill).key, kind)
        except UsageError as error:
            raise UsageError(
                f"Stimuli {kind!r} are unknown; choose from {', '.join((*_SETS, *KINDS))} and the "
                "conditions of --hide."
            ) from error
    return tuple(alike.values())


def _condition(kind: str, fill: Fill) -> Condition:
    # Black is the default, so it doesn't contradict a fill that the name carries.
    return condition(kind, None if fill == "black" or "@" in kind else fill)


def make(kind: str, face: Face, partner: Face | None, making: Making) -> Iterator[Made]:
    """Yield the stimuli of one of `known_kinds`; composites need a partner.

    Raises:
        UsageError: the pictures don't fit.
    """
    match kind:
        case "composites":
            if partner is not None:
                yield from _composites(face, partner, making)
        case "chimeras":
            yield from _chimeras(face, making)
        case "bubbles":
            yield from _bubbles(face, making)
        case "tiles":
            yield from _tiles(face, making)
        case _ if kind in KINDS:
            yield _worn(kind, face, making)
        case _:
            yield _part(kind, face, making)


def _part(kind: str, face: Face, making: Making) -> Made:
    """Return the face with a condition's part hidden."""
    one = _condition(kind, making.fill)
    seed = _seed(face, making, one.key)
    pixels, seeds = making.crop(face)[np.newaxis], np.array([seed], dtype=np.uint64)
    lines = making.lines(face)
    hidden = hide(pixels, one, seeds) if lines is None else hide_by_lines(pixels, one, lines, seeds)
    whole = one.key == "full"
    facts: dict[str, Any] = {
        "kind": "whole" if whole else "part",
        "condition": one.key,
        "reference": "" if whole else "full",
        "halves": making.words(face),
    }
    if one.random_percent or one.fill == "noise":
        facts["seed"] = seed
    if one.random_percent:
        facts["tiles"] = _numbers(~random_tiles(seeds, one.random_percent)[0])
    return Made(one.key.replace("@", "-"), hidden[0], facts)


def _composites(face: Face, partner: Face, making: Making) -> Iterator[Made]:
    """Yield `face` above `partner`, aligned and misaligned, each to be judged above and below.

    What is judged is the stimulus's own picture and emotion, and so `partner` where it is below.
    """
    pair = making.straight(face), making.straight(partner)
    side = pair[0].shape[1]
    seed = _seed(face, making, "composite")
    direction = 1 if np.random.default_rng(seed).random() < 0.5 else -1
    halves = making.words(face)
    if making.words(partner) == "fallback":
        halves = "fallback"
    for how, apart_px in (("aligned", 0), ("misaligned", direction * round(APART * side))):
        pixels = composite(*_of_one_kind(pair), apart_px)
        for cue in _JUDGED:
            judged, other = (face, partner) if cue == "upper" else (partner, face)
            yield Made(
                f"composite-{how}",
                pixels,
                {
                    "kind": "composite",
                    "condition": f"composite-{how}-{cue}",
                    "reference": f"composite-misaligned-{cue}" if how == "aligned" else "",
                    "cue": cue,
                    "emotion": judged.emotion,
                    "person": judged.person,
                    "picture": judged.name,
                    "other_picture": other.name,
                    "other_emotion": other.emotion,
                    "halves": halves,
                    "seed": seed,
                },
            )


def _chimeras(face: Face, making: Making) -> Iterator[Made]:
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    for side in sides:
        yield Made(
            f"chimera-{side}",
            chimera(making.straight(face), side),
            {
                "kind": "chimera",
                "condition": f"chimera-{side}",
                "reference": "chimera-right" if side == "left" else "full",
                "halves": making.words(face),
            },
        )


def _bubbles(face: Face, making: Making) -> Iterator[Made]:
    seed = int(image_seeds([face.name])[0])
    places = bubble_centres(seed, making.seed, making.samples, making.bubbles)
    pixels = making.crop(face)[np.newaxis]
    for number, centres in enumerate(places):
        shown = through_bubbles(
            pixels, centres[np.newaxis], making.sigma_px, grid_px=FER2013_SIZE_PX
        )
        yield Made(
            f"bubbles-{number:02}",
            shown[0],
            {
                "kind": "bubbles",
                "condition": "bubbles",
                "reference": "full",
                "seed": making.seed,
                "bubbles": tuple(centres.tolist()),
                "sigma_px": making.sigma_px,
            },
        )


def _tiles(face: Face, making: Making) -> Iterator[Made]:
    pixels = making.crop(face)[np.newaxis]
    for number in range(making.samples):
        seed = _seed(face, making, f"tiles {number}")
        visible = ~random_tiles([seed], making.percent)
        shown = hide_tiles(pixels, visible, making.fill, [seed])
        yield Made(
            f"tiles-{number:02}",
            shown[0],
            {
                "kind": "tiles",
                "condition": "tiles",
                "reference": "full",
                "seed": seed,
                "tiles": _numbers(visible[0]),
            },
        )


def _worn(kind: str, face: Face, making: Making) -> Made:
    seed = _seed(face, making, kind)
    worn, _ = wear_large(making.crop(face), kind, seed)
    facts = {"kind": "occluder", "condition": kind, "reference": "full", "seed": seed}
    return Made(kind, worn, facts)


def _of_one_kind(pair: tuple[Pictures, Pictures]) -> tuple[Pictures, Pictures]:
    """Return two pictures with as many channels: a grey one beside a coloured one is repeated."""
    if pair[0].ndim == pair[1].ndim:
        return pair
    one, other = (np.repeat(x[..., None], 3, axis=2) if x.ndim == 2 else x for x in pair)
    return one, other


def _numbers(visible: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(visible).tolist())


def _seed(face: Face, making: Making, what: str) -> int:
    """Return a seed below 2**63 of the face, the set and what is made, as JSON can hold it."""
    return int(image_seeds([f"{face.name}#{making.seed}#{what}"])[0] >> np.uint64(1))
