"""What two halves of a face tell alone, both of them, and only together, in bits.

With A and B the information of two halves (`stats.information`) and W that of the whole face,

    A = redundant + unique to the first        B = redundant + unique to the second
    W = redundant + both unique ones + synergistic

three equations for four parts (Williams & Beer 2010): one further definition decides. If no part
is negative, the redundant one lies between max(0, A + B - W) and min(A, B), and what is unique and
synergistic follows from it. Definitions here, from the least to the most redundancy:

- `least`: max(0, A + B - W): no synergy where the halves overlap at all. Over all images the
  co-information, where that is above 0.
- `specific`: what both tell of each emotion at least, averaged over the emotions (Williams & Beer
  2010, I_min, with the pointwise information of each emotion's images as what a half tells of it).
  It is the one that the report uses.
- `minimum`: min(A, B) (Barrett 2015, MMI): one of the halves then has nothing of its own, by
  definition.

I_min is known to call redundant what is equal in amount and not in kind; `least` and `minimum` say
what any other definition without negative parts can say at most. A part below 0 means that a half
told more than the whole face, which chance or training can do.

Sources: Williams & Beer 2010, Nonnegative decomposition of multivariate information,
arXiv:1004.2515; Barrett 2015, Exploration of synergistic and redundant information sharing in
static and dynamical Gaussian systems, Phys. Rev. E 91.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.stats.importance.game import GROUPED
from hemiface.stats.inference import infer
from hemiface.stats.information import MIXES, Bits, Family, families
from hemiface.stats.metrics import ratio
from hemiface.stats.sample import Sample
from hemiface.tables import Predictions

__all__ = ["DECOMPOSITION_COLUMNS", "DEFINITIONS", "PAIRS", "decomposable", "decomposition"]

Floats = npt.NDArray[np.float64]

DEFINITIONS = ("least", "specific", "minimum")

PAIRS = (("upper", "lower"), ("left", "right"))
"""Two halves that make up the face, by what can be seen."""

_ROUNDING = 1e-12

DECOMPOSITION_COLUMNS = (
    "question",
    "model",
    "seed",
    "fill",
    "mix",
    "pair",
    "emotion",
    "definition",
    "part",
    "bits",
    "low",
    "high",
    "se",
    "df",
    "n",
    "groups",
    "method",
    "reason",
)


def decomposable(family: Family) -> list[tuple[str, str]]:
    """Return those of PAIRS of which a family reads both halves."""
    known = set(family.conditions)
    return [pair for pair in PAIRS if {family.key(half) for half in pair} <= known]


def decomposition(sample: Sample | Predictions) -> pd.DataFrame:
    """Return unique, redundant and synergistic information, columns DECOMPOSITION_COLUMNS.

    `pair` is `upper, lower` or `left, right` (what can be seen), `part` is `unique <half>`,
    `redundant` or `synergistic`. For one emotion `specific` and `minimum` are the same. Empty where
    no family reads both halves of a pair.

    Raises:
        UsageError: as `information`.
    """
    sample = Sample.of(sample)
    rows: list[dict[str, Any]] = []
    for mix in MIXES:
        bits = Bits.of_sample(sample, mix)
        for family in families(sample):
            for seed, seeds in family.runs():
                for pair in decomposable(family):
                    rows += _rows(bits, family, seed, seeds, pair)
    return pd.DataFrame(rows, columns=list(DECOMPOSITION_COLUMNS))


def redundancies(first: Floats, second: Floats, whole: Floats, shares: Floats) -> dict[str, Floats]:
    """Return the redundant information [8, ...] by each of DEFINITIONS.

    first, second, whole: information [8, ...], the seven emotions, then all; shares: how much each
    emotion weighs in all, [7, ...], summing to 1 over the first axis.
    """
    least = np.maximum(0.0, first + second - whole)
    minimum = np.minimum(first, second)
    specific = minimum.copy()
    # An emotion without images weighs nothing.
    told = np.where(shares > 0, minimum[:-1], 0.0)
    specific[-1] = (told * shares).sum(axis=0)
    return {"least": least, "specific": specific, "minimum": minimum}


def _rows(
    bits: Bits, family: Family, seed: str, seeds: Sequence[str], pair: tuple[str, str]
) -> Iterator[dict[str, Any]]:
    # What can be seen is the half that isn't hidden.
    second, first, whole = (
        bits.by_seed(family, seeds, family.key(hidden)) for hidden in (*pair, "full")
    )
    shared = redundancies(first, second, whole, _shares(bits)[:, None])
    sample, counts = bits.sample, bits.counts()
    for definition, redundant in shared.items():
        parts = {
            f"unique {pair[0]}": first - redundant,
            f"unique {pair[1]}": second - redundant,
            "redundant": redundant,
            "synergistic": whole - first - second + redundant,
        }
        # What is 0 by definition is 0 but for the order of a sum.
        parts = {part: np.where(abs(one) < _ROUNDING, 0.0, one) for part, one in parts.items()}
        for part, values in parts.items():
            one = infer([values], sample.group_count, sample.options)
            for place, emotion in enumerate(GROUPED):
                row = one.row(place)
                yield row | {
                    "question": family.question,
                    "model": family.name,
                    "seed": seed,
                    "fill": family.fill,
                    "mix": bits.mix,
                    "pair": ", ".join(pair),
                    "emotion": emotion,
                    "definition": definition,
                    "part": part,
                    "bits": row["difference"],
                    "n": counts[emotion],
                    "groups": sample.group_count,
                }


def _shares(bits: Bits) -> Floats:
    """Return how much each emotion weighs in the sample and its draws, [7, 1 + draws]."""
    aligned, weights = bits.sample.aligned, bits.sample.weights
    emotions = len(GROUPED) - 1
    if bits.mix == "balanced":
        return np.full((emotions, weights.shape[1]), 1 / emotions)
    counts = np.zeros((emotions, aligned.group_count))
    np.add.at(counts, (aligned.labels, aligned.groups), 1.0)
    drawn = counts @ weights.astype(np.float64)
    return ratio(drawn, drawn.sum(axis=0))
