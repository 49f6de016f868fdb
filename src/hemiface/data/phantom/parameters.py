"""What a rendered face is made of: traits, facial actions and prototypes, drawn by seed.

Facial actions are the action units (AU) of the Facial Action Coding System (Ekman, Friesen &
Hager 2002, Facial Action Coding System: The Manual and Investigator's Guide). An emotion is drawn
as one of a few combinations of them, after the prototypes and major variants that EMFACS predicts
for it (the Investigator's Guide, table 10-2; Friesen & Ekman 1983, EMFACS-7).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.tables import EMOTIONS

__all__ = [
    "ACTIONS",
    "FACE",
    "PROTOTYPES",
    "TRAITS",
    "Expressiveness",
    "draw_faces",
    "mirrored",
    "strengths",
]

ACTIONS: dict[str, str] = {
    "AU1": "inner brow raised",
    "AU2": "outer brow raised",
    "AU4": "brows lowered and drawn together",
    "AU5": "upper lid raised",
    "AU6": "cheek raised, eye narrowed, crow's feet",
    "AU7": "lids tightened",
    "AU9": "nose wrinkled",
    "AU10": "upper lip raised",
    "AU12": "lip corners pulled up",
    "AU15": "lip corners pulled down",
    "AU17": "chin raised",
    "AU20": "lips stretched",
    "AU23": "lips tightened",
    "AU24": "lips pressed",
    "AU25": "lips parted",
    "AU26": "jaw dropped",
}
"""The action units that can be drawn; position k is column k of `actions`."""

PROTOTYPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "angry": ((4, 5, 7, 23), (4, 5, 7, 24), (4, 7, 17, 24), (4, 5, 7, 10, 23, 25), (4, 7, 24)),
    "disgust": ((9, 15, 17), (10, 15, 17), (9, 10, 25), (9, 10, 15), (9, 17)),
    "fear": (
        (1, 2, 4, 5, 20, 25),
        (1, 2, 4, 5, 20, 25, 26),
        (1, 2, 4, 5, 25, 26),
        (1, 2, 5, 20, 25),
    ),
    "happy": ((6, 12), (6, 12, 25), (6, 12, 25), (6, 12, 25, 26), (12, 25)),
    "sad": ((1, 4, 15), (1, 4, 15, 17), (1, 4, 15, 17), (1, 4, 17), (1, 15)),
    "surprise": ((1, 2, 5, 25, 26), (1, 2, 5, 25, 26), (1, 2, 25, 26), (1, 2, 5, 25), (5, 25, 26)),
    "neutral": ((),),
}
"""The combinations of action units of each emotion; each face draws one of them."""

TRAITS: dict[str, tuple[float, float, str]] = {
    "skin": (0.48, 0.80, "grey of the skin in plain light, of 1"),
    "head_width": (16.3, 18.8, "half the width of the head"),
    "jaw": (1.8, 2.7, "exponent of the jaw's outline: 2 is an ellipse, more is square"),
    "taper": (0.10, 0.28, "share by which the head narrows towards the chin"),
    "chin": (20.6, 23.2, "height of the chin below the middle"),
    "cheek": (0.3, 1.4, "relief of the cheekbones"),
    "age": (0.0, 1.0, "how visible folds at rest are"),
    "hair": (0.08, 0.72, "grey of the hair, as a share of the skin's"),
    "hair_volume": (1.2, 4.2, "how far the hair stands out from the head"),
    "hair_length": (0.0, 1.0, "below 0.5 short, above it falls beside the face"),
    "hairline": (-18.4, -15.4, "height of the hairline"),
    "hair_temple": (9.0, 19.0, "how far the hairline comes down at the temples"),
    "hair_part": (-0.10, 0.10, "slant of the hairline, towards one image side"),
    "bald": (0.0, 1.0, "above 0.93 there is no hair"),
    "ears": (0.0, 1.0, "how far the ears stand out"),
    "beard": (0.0, 1.0, "above 0.78 a beard, ever denser"),
    "eye_height": (-6.5, -5.7, "height of the eyes"),
    "eye_distance": (8.2, 9.5, "from the midline to an eye's centre"),
    "eye_width": (3.9, 4.7, "half the width of an eye"),
    "eye_opening": (0.85, 1.18, "factor of the opening at rest"),
    "eye_slant": (-0.45, 0.20, "height of the outer corner below the inner, halved"),
    "iris": (0.10, 0.42, "grey of the iris"),
    "gaze": (-0.45, 0.45, "shift of both irises to the image's right"),
    "brow_height": (-11.5, -10.4, "height of the brows"),
    "brow_arch": (0.2, 1.5, "height of the brows' arch"),
    "brow_slant": (-0.4, 0.6, "how far the brows' outer ends sink"),
    "brow_thickness": (0.55, 1.05, "half the thickness of the brows"),
    "brow_tone": (0.08, 0.32, "grey of the brows"),
    "nose_width": (2.9, 4.1, "half the width of the nose at its wings"),
    "nose_length": (6.0, 7.4, "height of the nose's tip below the middle"),
    "nose_relief": (0.8, 1.5, "how far the nose stands out"),
    "mouth_height": (13.0, 14.2, "height of the mouth below the middle"),
    "mouth_width": (5.6, 7.2, "half the width of the mouth"),
    "mouth_curve": (-0.45, 0.45, "height of the mouth's corners below its middle at rest"),
    "upper_lip": (0.7, 1.4, "thickness of the upper lip"),
    "lower_lip": (1.1, 2.1, "thickness of the lower lip"),
    "lip_tone": (0.50, 0.72, "grey of the lips, as a share of the skin's"),
    "roll": (-9.0, 9.0, "rotation in the plane, degrees, clockwise in the picture"),
    "yaw": (-2.2, 2.2, "turn to the image's right: parallax of the nearest point"),
    "pitch": (-1.3, 1.3, "nod: parallax of the nearest point, downwards"),
    "scale": (0.98, 1.13, "size"),
    "shift_x": (-1.6, 1.6, "shift to the image's right"),
    "shift_y": (-1.6, 1.6, "shift downwards"),
    "light_x": (-0.45, 0.45, "light comes from the image's left (-) or right (+)"),
    "light_y": (-0.60, -0.05, "light comes from above (-)"),
    "gradient_x": (-0.22, 0.22, "relative brightness gained from the left edge to the right"),
    "exposure": (0.72, 1.15, "factor of all greys"),
    "gamma": (0.85, 1.25, "exponent of all greys"),
    "background": (0.08, 0.85, "grey of the background"),
    "blur": (0.20, 0.55, "standard deviation of the lens's blur"),
    "noise": (1.5, 6.0, "standard deviation of the sensor's noise, in grey levels of 255"),
}
"""Each trait's smallest and largest value (drawn evenly) and meaning.

Lengths are pixels of the final 48 x 48 picture, heights count downwards from its middle.
"""

POSE_AT_REST = {"roll": 0, "yaw": 0, "pitch": 0, "scale": 1, "shift_x": 0, "shift_y": 0}

FACE = np.dtype(
    [(name, "f4") for name in TRAITS]
    + [
        ("actions", "f4", (len(ACTIONS),)),
        ("scale_by", "f4", (2, 2)),
        ("key", "i8", (2,)),
        ("flipped", "?"),
    ]
)
"""One face: its traits, then

- `actions` [16]: how strong each action of ACTIONS is, 0 (absent) to 1 (FACS level E);
- `scale_by` [half: upper, lower; side: image left, right]: factors of all actions there;
- `key` [2]: seeds whatever is random in the pixels (strands of hair, noise);
- `flipped`: mirror what `key` seeds.
"""

_SIGNED = ("hair_part", "gaze", "roll", "yaw", "shift_x", "light_x", "gradient_x")
_BACKGROUND_ACTIVITY = 0.14


@dataclass(frozen=True)
class Expressiveness:
    """How strongly each region of the face shows the emotion; 1 is as drawn, 0 not at all.

    A quadrant's factor is the product of its half's and its side's. Sides are image sides. No
    action becomes stronger than FACS level E, so `left=1, right=0.5` is the clean way to make one
    side twice as expressive as the other.

    Raises:
        UsageError: a factor is negative or not a finite number.

    """

    upper: float = 1.0
    lower: float = 1.0
    left: float = 1.0
    right: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0):
                raise UsageError(f"Expressiveness {name}={value} is not a factor; use 0 or more.")

    def quadrants(self) -> npt.NDArray[np.float32]:
        """Return float32 [half, side]: rows upper and lower, columns left and right."""
        return np.outer((self.upper, self.lower), (self.left, self.right)).astype(np.float32)


def draw_faces(
    labels: npt.NDArray[np.int64],
    seed: int,
    *,
    start: int,
    expressiveness: Expressiveness | Mapping[str, Expressiveness],
    intensity: npt.NDArray[np.float32] | None,
    noise: float,
    pose: bool,
) -> npt.NDArray[np.void]:
    """Return FACE records [n] for faces `start`, `start` + 1, ... of `seed`.

    Everything but the actions is drawn without looking at the label, so the same face can be seen
    under every emotion. See `hemiface.data.phantom.make.render` for the options.
    """
    faces = np.zeros(len(labels), FACE)
    draws = np.empty((len(labels), len(TRAITS) + len(ACTIONS) * 2 + 2), np.float32)
    for row, index in zip(draws, range(start, start + len(labels)), strict=True):
        np.random.default_rng([seed, index]).random(out=row, dtype=np.float32)
    for column, (name, (low, high, _)) in enumerate(TRAITS.items()):
        faces[name] = low + (high - low) * draws[:, column]
    rest = draws[:, len(TRAITS) :]
    faces["actions"] = _actions(labels, rest, intensity)
    faces["scale_by"] = _scales(labels, expressiveness)
    faces["noise"] *= noise
    faces["key"] = np.stack([np.full(len(labels), seed), start + np.arange(len(labels))], axis=1)
    if not pose:
        for name, value in POSE_AT_REST.items():
            faces[name] = value
    return faces


def strengths(faces: npt.NDArray[np.void]) -> npt.NDArray[np.float32]:
    """Return float32 [n, action, half, side]: what is drawn where, 0 to 1."""
    product = faces["actions"][:, :, np.newaxis, np.newaxis] * faces["scale_by"][:, np.newaxis]
    drawn: npt.NDArray[np.float32] = np.clip(product, 0, 1)
    return drawn


def mirrored(faces: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Return the faces whose pictures are the mirror images, within the rounding of a pose."""
    other = faces.copy()
    for name in _SIGNED:
        other[name] *= -1
    other["scale_by"] = faces["scale_by"][:, :, ::-1]
    other["flipped"] = ~faces["flipped"]
    return other


def _actions(
    labels: npt.NDArray[np.int64],
    draws: npt.NDArray[np.float32],
    intensity: npt.NDArray[np.float32] | None,
) -> npt.NDArray[np.float32]:
    """Return float32 [n, action] from uniform `draws` [n, 2 * actions + 2].

    Every face, a neutral one too, has a little activity in every muscle; without it a neutral face
    would be recognised by the exact absence of everything.
    """
    count = len(ACTIONS)
    overall = 0.40 + 0.60 * draws[:, -1] if intensity is None else intensity
    active = _variant_table()[labels, (draws[:, -2] * _VARIANTS).astype(np.int64)]
    shares = active * (0.6 + 0.4 * draws[:, :count]) * overall[:, np.newaxis]
    noise = _BACKGROUND_ACTIVITY * draws[:, count : 2 * count] ** 2
    chosen: npt.NDArray[np.float32] = np.maximum(shares, noise).astype(np.float32)
    return chosen


def _scales(
    labels: npt.NDArray[np.int64], expressiveness: Expressiveness | Mapping[str, Expressiveness]
) -> npt.NDArray[np.float32]:
    """Return float32 [n, half, side], the factors for each face's emotion."""
    if isinstance(expressiveness, Expressiveness):
        expressiveness = dict.fromkeys(EMOTIONS, expressiveness)
    unknown = set(expressiveness) - set(EMOTIONS)
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))} is not one of {', '.join(EMOTIONS)}.")
    table = [expressiveness.get(emotion, Expressiveness()).quadrants() for emotion in EMOTIONS]
    factors: npt.NDArray[np.float32] = np.stack(table)[labels]
    return factors


_VARIANTS = 60
"""Divisible by 1 to 6, so that any such number of prototypes is drawn evenly."""


def _variant_table() -> npt.NDArray[np.float32]:
    """Return float32 [emotion, _VARIANTS, action]: 1 where the action takes part."""
    table = np.zeros((len(EMOTIONS), _VARIANTS, len(ACTIONS)), np.float32)
    column = {name: position for position, name in enumerate(ACTIONS)}
    for row, emotion in zip(table, EMOTIONS, strict=True):
        variants = PROTOTYPES[emotion]
        for position, actions in enumerate(row):
            units = variants[position * len(variants) // _VARIANTS]
            actions[[column[f"AU{unit}"] for unit in units]] = 1
    return table
