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

Each definition takes the smaller or the larger of two estimates, which by chance alone is too small
or too large where they are about equal; the bootstrap's estimate of that bias is taken off. It may
leave a half with slightly less than nothing of its own.

Sources: Williams & Beer 2010, Nonnegative decomposition of multivariate information,
arXiv:1004.2515; Barrett 2015, Exploration of synergistic and redundant information sharing in
static and dynamical Gaussian systems, Phys. Rev. E 91; Efron & Tibshirani 1993, An introduction to
the bootstrap, ch. 10 (bias).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.stats.importance.game import GROUPED
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
    return {"least": least, "specific": _by_emotion(minimum, shares), "minimum": minimum}


def biases(first: Floats, second: Floats, whole: Floats, shares: Floats) -> dict[str, Floats]:
    """Return what chance adds to the redundant information [8, ..., 1] by each of DEFINITIONS.

    Arguments as for `redundancies`, their last axis the sample and its draws. The bias is how far
    the smaller (larger) of two lies, on average over the draws, from the one that is the smaller
    (larger) in the sample: 0 where no draw changes their order. NaN in a draw is left out of it.
    """
    redundant = redundancies(first, second, whole, shares)
    both = first + second - whole
    # What each definition would be if draws had no choice.
    lesser = np.where(first[..., :1] <= second[..., :1], first, second)
    kept = {
        "least": np.where(both[..., :1] > 0, both, 0.0),
        "specific": _by_emotion(lesser, shares),
        "minimum": lesser,
    }
    return {one: _mean_over_draws(redundant[one] - kept[one]) for one in DEFINITIONS}


def _by_emotion(told: Floats, shares: Floats) -> Floats:
    """Return [8, ...] with the emotions' mean, weighted by their shares, in place of all."""
    known = told.copy()
    # An emotion without images weighs nothing.
    known[-1] = (np.where(shares > 0, told[:-1], 0.0) * shares).sum(axis=0)
    return known


def _mean_over_draws(values: Floats) -> Floats:
    """Return [..., 1] from [..., 1 + draws]: the mean of the draws, as far as they are defined."""
    draws = values[..., 1:]
    defined = np.isfinite(draws)
    total = np.where(defined, draws, 0.0).sum(axis=-1, keepdims=True)
    mean: Floats = total / np.maximum(1, defined.sum(axis=-1, keepdims=True))
    return mean


def _rows(
    bits: Bits, family: Family, seed: str, seeds: Sequence[str], pair: tuple[str, str]
) -> Iterator[dict[str, Any]]:
    # What can be seen is the half that isn't hidden.
    second, first, whole = (
        bits.by_seed(family, seeds, family.key(hidden)) for hidden in (*pair, "full")
    )
    estimates = first, second, whole, _shares(bits)[:, None]
    shared, chance = redundancies(*estimates), biases(*estimates)
    counts = bits.counts()
    for definition in DEFINITIONS:
        redundant = shared[definition] - chance[definition]
        parts = {
            f"unique {pair[0]}": first - redundant,
            f"unique {pair[1]}": second - redundant,
            "redundant": redundant,
            "synergistic": whole - first - second + redundant,
        }
        # What is 0 by definition is 0 but for the order of a sum.
        parts = {part: np.where(abs(one) < _ROUNDING, 0.0, one) for part, one in parts.items()}
        for part, values in parts.items():
            one = bits.infer(values)
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
                    "groups": int(bits.groups[place]),
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
