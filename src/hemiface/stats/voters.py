"""People's own agreement beside the network's: one voter against the others, and the network.

Ten people said what they see in each whole face (FER+). One of them is taken out; the others'
most frequent answer is what is right. How often the one agrees with it is what a person reaches by
this measure, and how often the network agrees with the very same answer stands beside it, on the
whole face and with a part hidden, which no voter had to do without. Every voter is taken out once.
Where several answers are equally frequent, agreeing with one of k counts 1 / k.

Only votes for the seven emotions count, of images with three or more of them. Source: Barsoum,
Zhang, Canton Ferrer & Zhang 2016, Training deep networks for facial expression recognition with
crowd-sourced label distribution, ICMI (the votes).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.stats.inference import Inference, infer, runs_of
from hemiface.stats.metrics import ratio
from hemiface.stats.sample import Sample
from hemiface.stats.significance import effective_units, holm
from hemiface.tables import EMOTIONS, Predictions

__all__ = ["VOTERS_COLUMNS", "agreement_with_others", "voters"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

VOTERS_COLUMNS = (
    "model",
    "seed",
    "condition",
    "network",
    "network_low",
    "network_high",
    "voter",
    "voter_low",
    "voter_high",
    "difference",
    "low",
    "high",
    "se",
    "df",
    "p",
    "p_holm",
    "n",
    "votes",
    "groups",
    "method",
    "reason",
)
_LEAST_VOTES = 3


def agreement_with_others(votes: Ints) -> Floats:
    """Return [n, 7]: how often an answer agrees with the others when one voter is taken out.

    votes: int [n, 7], how many of each image's people gave each answer, two or more in all. It is
    averaged over who is taken out, each person once.
    """
    total = np.zeros(votes.shape)
    for out in range(votes.shape[1]):
        total += votes[:, out, None] * _best(_without(votes, out))
    return ratio(total, votes.sum(axis=1, keepdims=True))


def _own_agreement(votes: Ints) -> Floats:
    """Return [n]: how often the voter who is taken out agrees with the others."""
    total = np.zeros(len(votes))
    for out in range(votes.shape[1]):
        total += votes[:, out] * _best(_without(votes, out))[:, out]
    return ratio(total, votes.sum(axis=1))


def _without(votes: Ints, out: int) -> Ints:
    left = votes.copy()
    left[:, out] = np.maximum(left[:, out] - 1, 0)
    return left


def _best(votes: Ints) -> Floats:
    """Return [n, 7]: 1 / k for the k most frequent answers, else 0."""
    top = votes == votes.max(axis=1, keepdims=True)
    shares: Floats = top / top.sum(axis=1, keepdims=True)
    return shares


def voters(sample: Sample | Predictions, votes: pd.DataFrame) -> pd.DataFrame:
    """Return each network's agreement with people and one person's, columns VOTERS_COLUMNS.

    `votes` has the column `image` and `votes_<emotion>` of seven emotions, as the Images table of
    data read with `labels="ferplus=PATH"`. `difference` is network minus voter, over the same
    images; `n` counts them and `votes` their votes. Holm's family: the conditions of one run.

    Raises:
        UsageError: there are no votes, or none for these images.
    """
    sample = Sample.of(sample)
    columns = [f"votes_{emotion}" for emotion in EMOTIONS]
    if not {"image", *columns} <= set(votes.columns):
        raise UsageError("The data has no people's votes; name them with --labels ferplus=PATH.")
    aligned = sample.aligned
    images = sample.table["image"].astype(str).to_numpy()[aligned.rows[0]]
    known = votes.assign(image=votes["image"].astype(str)).set_index("image")[columns]
    counts = known.reindex(images).fillna(0).to_numpy(np.int64)
    enough = counts.sum(axis=1) >= _LEAST_VOTES
    if not enough.any():
        raise UsageError("None of these images has votes; evaluate the very data that has them.")
    drawn = sample.weights[aligned.groups[enough]].astype(np.float64)
    own = _means(_own_agreement(counts[enough]), drawn)
    agreement = agreement_with_others(counts[enough])
    facts = {
        "n": int(enough.sum()),
        "votes": int(counts[enough].sum()),
        "groups": len(np.unique(aligned.groups[enough])),
    }
    bearing = float(effective_units(np.bincount(aligned.groups[enough])))
    tables = []
    for name in dict.fromkeys(sample.names["name"]):
        for seed, models in runs_of(sample.names, [str(name)]):
            keys = [
                key for key in sample.conditions if all((m, key) in aligned.cells for m in models)
            ]
            rows = []
            for key in keys:
                answers = [
                    sample.values[aligned.at(model, key)][enough].argmax(axis=1) for model in models
                ]
                means = [_means(agreement[np.arange(len(one)), one], drawn) for one in answers]
                cell = str(name), seed, key
                row = _row(sample, *cell, np.stack(means), own, bearing)
                rows.append(row | facts)
            if not rows:
                # Of a network that wasn't scored on these images, or seeds that share no condition.
                continue
            tables.append(pd.DataFrame(rows).assign(p_holm=lambda t: holm(t["p"].to_numpy())))
    columns = list(VOTERS_COLUMNS)
    return (
        pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    )


def _means(values: Floats, drawn: Floats) -> Floats:
    """Return the mean of values [n] in the sample and its draws, [1 + draws]."""
    return ratio(values @ drawn, drawn.sum(axis=0))


def _row(
    sample: Sample, name: str, seed: str, key: str, network: Floats, own: Floats, bearing: float
) -> dict[str, Any]:
    def of(part: Floats, least: float, *, of_levels: bool) -> Inference:
        bounds = least, 1.0
        return infer(
            [part], sample.group_count, sample.options, bearing, bounds, of_levels=of_levels
        )

    level, person = (of(one, 0.0, of_levels=True) for one in (network, own[None]))
    apart = of(network - own, -1.0, of_levels=False)
    return apart.row(()) | {
        "model": name,
        "seed": seed,
        "condition": key,
        "network": float(level.value),
        "network_low": float(level.low),
        "network_high": float(level.high),
        "voter": float(person.value),
        "voter_low": float(person.low),
        "voter_high": float(person.high),
    }
