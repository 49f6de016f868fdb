"""The mix of emotions that pictures show, declared by who knows them: another prior.

A network learns how often each emotion occurs where it is trained, and says so in its
probabilities. Where pictures show another mix, and each emotion still looks as it did in training,
Bayes' rule gives

    p'(y|x) = p(y|x) q(y) / pi(y), divided by its sum over y,

with pi the mix of the training and q the declared one: Saerens, Latinne & Decaestecker 2002,
Adjusting the outputs of a classifier to new a priori probabilities, Neural Computation 14, eq. 4;
Elkan 2001, The foundations of cost-sensitive learning, IJCAI. That q is declared, not estimated
from the pictures: their EM for it was tried and collapses. Mixes go here as seven shares in the
order of EMOTIONS.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hemiface.documents import json_value, read_text, toml_value
from hemiface.errors import DamagedError, UsageError
from hemiface.files import hash_json, printable
from hemiface.inputs import require_file
from hemiface.tables import EMOTIONS

__all__ = [
    "KEY",
    "MIXES",
    "NATURAL",
    "NATURAL_FLOOR",
    "NATURAL_WEIGHTS",
    "Mix",
    "MixChoice",
    "checked_shares",
    "reweigh",
    "trained_shares",
]

Floats = npt.NDArray[np.float64]
MixChoice = str | Path | Mapping[str, float]
"""A name of MIXES, a file, or emotion -> share."""

KEY = "class_mix"
"""What Bundles, the metadata of ONNX files and calibrations call the training's mix: emotion ->
share."""

MIXES = ("trained", "balanced", "natural")

NATURAL_WEIGHTS = {
    "angry": 227, "disgust": 12, "fear": 12, "happy": 5306,
    "sad": 124, "surprise": 355, "neutral": 6713,
}  # fmt: skip
"""Press photographs by what they show: summed weights of the labels of Labeled Faces in the Wild in
muxspace/facial_expressions (each class as often as among all 12,749 labelled pictures)."""

NATURAL_FLOOR = 0.005
"""Rarer emotions are taken for as frequent as that: twelve pictures with labels of one or few
persons don't tell .1 from .5 % of all, and a share near 0 would all but forbid an emotion."""

_SMALLEST = float(np.finfo(np.float32).tiny)
"""As in `temperatures`: smaller probabilities are stored as 0, which no mix could change."""

_LARGEST_SHARE = 1e9
_TOLERANCE = 0.005
"""By how much a sum of seven shares that were rounded to three digits may differ from 1."""


def _natural() -> dict[str, float]:
    total = sum(NATURAL_WEIGHTS.values())
    floored = {key: max(one / total, NATURAL_FLOOR) for key, one in NATURAL_WEIGHTS.items()}
    return {key: one / sum(floored.values()) for key, one in floored.items()}


NATURAL: Mapping[str, float] = _natural()
"""Emotion -> share of `natural`.

>>> {key: round(share, 3) for key, share in NATURAL.items()}
{'angry': 0.018, 'disgust': 0.005, 'fear': 0.005, 'happy': 0.413, 'sad': 0.01, 'surprise': 0.028, \
'neutral': 0.522}
"""


@dataclass(frozen=True, eq=False)
class Mix:
    """A declared mix."""

    name: str
    """What the rows call it: one of MIXES, or a file's name (`declared` for a mapping) with eight
    digits of a hash of its shares, such as `mine.json#1f0c22ab`."""
    shares: Floats | None
    """float64 [7], summing to 1; None is the training's, whatever that is."""

    @classmethod
    def of(cls, choice: MixChoice) -> Self:
        """Return the mix that a name, a file (.json, .toml or .csv) or emotion -> share declares.

        JSON and TOML map emotions to shares, CSV has the columns emotion and share.

        >>> Mix.of("balanced").shares.round(3).tolist()
        [0.143, 0.143, 0.143, 0.143, 0.143, 0.143, 0.143]

        Raises:
            UsageError: neither of the names nor a file, a file can't be read, or its shares aren't
                the seven emotions', are negative or don't sum to 1.
        """
        if choice == "trained":
            return cls("trained", None)
        if choice == "balanced":
            return cls("balanced", np.full(len(EMOTIONS), 1 / len(EMOTIONS)))
        if choice == "natural":
            return cls("natural", np.array([NATURAL[one] for one in EMOTIONS]))
        if isinstance(choice, Mapping):
            title, name, content = "The mix", "declared", choice
        else:
            title, name, content = f"Mix {choice}", Path(choice).name, _content(Path(choice))
        try:
            shares = checked_shares(content)
        except ValueError as error:
            raise UsageError(f"{title} {error}.") from None
        digits = hash_json([round(one, 6) for one in shares.tolist()])[:8]
        # A name that is no text can't be written into tables.
        return cls(f"{printable(name)}#{digits}", shares)


def checked_shares(content: Any) -> Floats:
    """Return emotion -> share as float64 [7] that sums to 1 exactly.

    >>> checked_shares({"happy": 0.5, "neutral": 0.5})
    Traceback (most recent call last):
    ValueError: lacks angry, disgust, fear, sad, surprise; give every emotion a share, 0 for none

    Raises:
        ValueError: what is wrong, as the rest of a sentence about these shares.
    """
    if not isinstance(content, Mapping):
        raise ValueError("isn't emotion -> share")
    unknown = [str(key) for key in content if key not in EMOTIONS]
    if unknown:
        raise ValueError(
            f"names {', '.join(unknown)}, which is unknown; choose from {', '.join(EMOTIONS)}"
        )
    missing = [key for key in EMOTIONS if key not in content]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}; give every emotion a share, 0 for none")
    for key in EMOTIONS:
        share = content[key]
        number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
        # NaN is in no range; more than 1 fails by its sum, with a better sentence.
        if not number or not 0 <= share <= _LARGEST_SHARE:
            raise ValueError(f"gives {key} {share!r}; a share is a number from 0 to 1")
    shares = np.array([float(content[key]) for key in EMOTIONS])
    total = float(shares.sum())
    if abs(total - 1) > _TOLERANCE:
        raise ValueError(f"sums to {total:.6g}; the seven shares must sum to 1")
    return shares / total


def trained_shares(known: Any, model: Path) -> Floats:
    """Return the shares [7] of the training of the network in the file `model`, all positive.

    `known` is emotion -> share as the file's metadata or its calibration say it, None if neither
    does.

    Raises:
        UsageError: nobody knows them, or an emotion wasn't there, of which nothing is known then.
        DamagedError: they aren't the seven emotions' shares.
    """
    if known is None:
        raise UsageError(
            f"Nobody knows the mix of emotions that {model.name} was trained on, so no other can "
            "be declared; train its network again and export it, or leave the mix at trained."
        )
    try:
        shares = checked_shares(known)
    except ValueError as error:
        raise DamagedError(f"The training's mix of {model} {error}.") from None
    absent = [name for name, share in zip(EMOTIONS, shares, strict=True) if share == 0]
    if absent:
        raise UsageError(
            f"{model.name} was trained without {', '.join(absent)}, so no other mix can be "
            "declared; leave it at trained."
        )
    return shares


def reweigh(values: Floats, trained: Floats, declared: Floats) -> Floats:
    """Return probabilities [n, 7] under another mix; both are shares [7], `trained` all positive.

    >>> half = np.array([0.5, 0.5])
    >>> reweigh(np.array([[0.8, 0.2]]), np.array([0.8, 0.2]), half).round(3).tolist()
    [[0.5, 0.5]]
    """
    weighted = np.maximum(values, _SMALLEST) * (declared / trained)
    moved: Floats = weighted / weighted.sum(axis=1, keepdims=True)
    return moved


def _content(path: Path) -> Any:
    """Return what a file of shares holds, unchecked."""
    readers: dict[str, Callable[[str], Any]] = {
        ".json": json_value,
        ".toml": toml_value,
        ".csv": _csv_shares,
    }
    if not path.exists() or path.is_dir():
        raise UsageError(
            f"Mix {path} is neither {', '.join(MIXES[:-1])} or {MIXES[-1]} nor a file; "
            "choose one of them or check the path."
        )
    require_file(path, "Mix", error=UsageError)
    if path.suffix.lower() not in readers:
        raise UsageError(f"Mix {path} must end in {', '.join(readers)}; convert it.")
    try:
        return readers[path.suffix.lower()](read_text(path, "Mix", UsageError))
    except OSError as error:
        raise UsageError(f"Mix {path} can't be read ({error.strerror}).") from error
    except (csv.Error, ValueError) as error:
        raise UsageError(f"Mix {path} can't be read ({error}); mend it.") from error


def _csv_shares(text: str) -> dict[str, float]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if set(reader.fieldnames or ()) != {"emotion", "share"}:
        raise ValueError("its columns must be emotion and share")
    shares: dict[str, float] = {}
    for row in reader:
        if row["emotion"] in shares:
            raise ValueError(f"it names {row['emotion']} twice")
        shares[row["emotion"]] = float(row["share"] or "nan")
    return shares
