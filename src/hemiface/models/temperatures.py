"""Temperatures of a model file by what can be seen of a face, kept beside the file; without scipy.

`hemiface models calibrate` writes `<model>.calibration.json` from validation images (see
`stats.model_temperatures`); `Predictor` reads it here. It holds a temperature for each of the
sixteen sets of quadrants that can be hidden. A real face shows any share of each quadrant; its
temperature is the geometric mean of the sixteen, each weighted by the probability that exactly its
quadrants are hidden if quadrant q is hidden with probability 1 - visible share, independently. That
is interpolation: its logarithm is linear in each quadrant's share and exact at the sixteen corners.
What lies between them isn't measured. The quadrants were hidden under black; what is hidden under
another fill, or behind a thing, takes the same temperatures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import DamagedError
from hemiface.files import HASH_KEY, with_hash
from hemiface.models.class_mix import KEY, checked_shares
from hemiface.occlusion.conditions import COALITIONS, CONDITIONS, QUADRANTS

__all__ = [
    "FORMAT",
    "POOLED",
    "SMALLEST",
    "STATED",
    "VIEWS",
    "ModelCalibration",
    "View",
    "calibration_path",
    "scale",
]

Floats = npt.NDArray[np.float64]

FORMAT = 1
POOLED = "pooled"
"""Takes the place of a condition that no temperature was fitted for."""

STATED = ("full", "upper", "lower", "left", "right")
"""What risk and coverage are stated for."""

VIEWS = ("one", "flipped")
"""What is averaged: one look at a face, or one and its mirror image (`--flip`)."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""Smaller probabilities are stored imprecisely or as 0, whose log no temperature changes."""


def scale(values: Floats, temperature: npt.ArrayLike) -> Floats:
    """Return probabilities [n, 7] at another temperature (> 0; one, or one per row).

    Equal to softmax(logits / T), since logits differ from log p by a constant per row only.

    >>> scale(np.array([[0.8, 0.2]]), 2.0).round(4).tolist()
    [[0.6667, 0.3333]]
    """
    logits = np.log(np.maximum(values, SMALLEST)) / np.reshape(temperature, (-1, 1))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: Floats = powers / powers.sum(axis=1, keepdims=True)
    return scaled


def calibration_path(model: str | Path) -> Path:
    """Return where the calibration of a model's file lies: beside it.

    >>> calibration_path("shipped/small.onnx").name
    'small.calibration.json'
    """
    return Path(model).with_suffix(".calibration.json")


@dataclass(frozen=True)
class View:
    """What is known of one way to look at faces."""

    temperatures: Mapping[str, float]
    """Condition -> temperature, and one for `pooled`."""
    abstain_below: float
    """The default threshold on the calibrated confidence, chosen on validation images."""
    answered: Sequence[Mapping[str, Any]]
    """Rows of condition, abstain_below, coverage (share of validation faces that get a label),
    accuracy (of these), n (validation faces)."""

    def temperature(self, visible: Sequence[float]) -> float:
        """Return the temperature for the visible shares, 0..1, of QUADRANTS."""
        log = 0.0
        for seen in product((False, True), repeat=len(QUADRANTS)):
            parts = zip(seen, visible, strict=True)
            weight = math.prod(share if shown else 1 - share for shown, share in parts)
            if weight > 0:
                shown = frozenset(name for name, one in zip(QUADRANTS, seen, strict=True) if one)
                pooled = self.temperatures[POOLED]
                log += weight * math.log(self.temperatures.get(COALITIONS[shown], pooled))
        return math.exp(log)


@dataclass(frozen=True)
class ModelCalibration:
    """The content of a calibration file."""

    model_sha256: str
    """Of the model's file that it belongs to."""
    views: Mapping[str, View]
    """By name of VIEWS; one may be missing."""
    fitted_on: Mapping[str, Any]
    """Dataset, split, number of images and their hash."""
    class_mix: Mapping[str, float] | None = None
    """Emotion -> share in the network's training, for files whose own metadata don't say it."""

    @classmethod
    def beside(cls, model: str | Path, model_sha256: str) -> Self | None:
        """Return the calibration beside a model's file, None where there is none.

        Raises:
            DamagedError: it is damaged, or belongs to another file than one of `model_sha256`.
        """
        path = calibration_path(model)
        if not path.is_file():
            return None
        found = cls._read(path)
        if found.model_sha256 != model_sha256:
            raise DamagedError(
                f"{path} was made for another file than {model}; make it again with "
                "hemiface models calibrate, or remove it."
            )
        return found

    @classmethod
    def _read(cls, path: Path) -> Self:
        with undamaged(path, "make it again with hemiface models calibrate, or remove it"):
            content = read_json(path)
            if entry(content, "format", int) != FORMAT:
                raise DamagedError(
                    f"{path} has format {content['format']}, this hemiface reads {FORMAT}."
                )
            # Files of before have none.
            if HASH_KEY in content and with_hash(content) != content:
                raise ValueError("it doesn't fit the hash in it")
            views = {name: _view(one) for name, one in content["views"].items()}
            unknown = set(views) - set(VIEWS)
            if unknown or not isinstance(content["model_sha256"], str):
                raise ValueError("views or model_sha256")
            mix = content.get(KEY)
            if mix is not None:
                checked_shares(mix)
            return cls(
                content["model_sha256"],
                MappingProxyType(views),
                MappingProxyType(dict(content["fitted_on"])),
                mix,
            )


def _view(content: Any) -> View:
    temperatures = {str(key): float(value) for key, value in content["temperatures"].items()}
    known = {POOLED, *CONDITIONS}
    if POOLED not in temperatures or not set(temperatures) <= known:
        raise ValueError("the conditions of its temperatures")
    if not all(math.isfinite(one) and one > 0 for one in temperatures.values()):
        raise ValueError("temperatures must be positive")
    below = float(content["abstain_below"])
    if not 0 <= below <= 1:
        raise ValueError("abstain_below must lie in 0..1")
    return View(MappingProxyType(temperatures), below, tuple(content["answered"]))
