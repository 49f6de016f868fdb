"""How often a network answers as people do, beside two people, and beyond being right together.

- `agreement`: the share of people's answers that are the network's answer to the same stimulus.
- `expected`: what it would be if the two answered each emotion as often as they do, but
  independently of the stimulus: they are right together, and have the same favourite mistakes.
- `beyond`: (agreement - expected) / (1 - expected), Cohen's kappa within the emotion: do they err
  on the same faces? Cohen 1960, Educ. Psychol. Meas. 20; Geirhos, Meding & Wichmann 2020, Beyond
  accuracy: quantifying trial-by-trial behaviour of CNNs and humans by measuring error consistency,
  NeurIPS 33. Both are the control without which any good network looks human.
- `people`: how often two different people give the same answer to a stimulus, which weighs as many
  as answered it, as in `agreement`: what agreement could be reached. `difference` is agreement
  minus people.

Answers that are no emotion agree with no network; two people who both give none do agree.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from hemiface.stats.importance.game import GROUPED, means_over_draws
from hemiface.stats.metrics import CLASSES, ratio
from hemiface.stats.people.trials import Trials, visible_of

__all__ = ["AGREEMENT_COLUMNS", "AGREEMENT_MEASURES", "agreement", "two_people"]

Floats = npt.NDArray[np.float64]

AGREEMENT_MEASURES = ("agreement", "expected", "beyond", "people", "difference")

AGREEMENT_COLUMNS = (
    "who",
    "condition",
    "visible",
    "emotion",
    "measure",
    "value",
    "low",
    "high",
    "p",
    "n",
    "participants",
    "faces",
    "method",
    "reason",
)
_TESTED: dict[str, tuple[float, float]] = {"beyond": (-np.inf, 1.0), "difference": (-1.0, 1.0)}
"""What is tested and no share, with the least and the greatest that it can be."""
_DRAWS_AT_ONCE = 64


def agreement(people: Trials, networks: Sequence[Trials]) -> pd.DataFrame:
    """Return AGREEMENT_MEASURES of each network under each condition: columns AGREEMENT_COLUMNS.

    `p` is of "it is 0", for `beyond` and `difference`; it isn't corrected for how many there are.
    """
    rows: list[dict[str, Any]] = []
    for key in people.conditions:
        pairs = two_people(people, key)
        for network in networks:
            agreed = _agreed(people, network, key)
            expected = _expected(people, network, key)
            beyond = ratio(agreed - expected, 1 - expected)
            found = (agreed, expected, beyond, pairs, agreed - pairs)
            for measure, values in zip(AGREEMENT_MEASURES, found, strict=True):
                rows += _rows(people, network, key, measure, values)
    return pd.DataFrame(rows, columns=list(AGREEMENT_COLUMNS))


def two_people(people: Trials, condition: str) -> Floats:
    """Return how often two different people answer a stimulus alike, [8, 1 + all draws] as GROUPED.

    Of each stimulus the share of pairs of trials of different participants, and of these the mean
    weighted by how many answered it: pairs alone would weigh by the square of that. NaN where
    nobody shares a stimulus with anybody.
    """
    rows = people.rows(condition)
    stimuli, names = pd.factorize(people.table["stimulus"].iloc[rows], sort=True)
    first = np.unique(stimuli, return_index=True)[1]
    labels, faces = people.labels[rows][first], people.faces[rows][first]
    cells = stimuli * (CLASSES + 1) + people.answers[rows]
    shape = (len(names) * (CLASSES + 1), people.participant_count)
    votes = sparse.csr_matrix((np.ones(len(rows)), (cells, people.participants[rows])), shape)
    every = sparse.csr_matrix(
        (np.ones(len(rows)), (stimuli, people.participants[rows])), (len(names), shape[1])
    )
    by_emotion = sparse.csr_matrix(
        (np.ones(len(names)), (labels, np.arange(len(names)))), (CLASSES, len(names))
    )
    found = []
    for start in range(0, people.participant_weights.shape[1], _DRAWS_AT_ONCE):
        part = slice(start, start + _DRAWS_AT_ONCE)
        drawn = people.participant_weights[:, part].astype(np.float64)
        times = people.face_weights[faces, part].astype(np.float64)
        # Pairs of a participant with themselves, drawn twice or not, say nothing.
        alike = (votes @ drawn) ** 2 - votes.power(2) @ drawn**2
        alike = alike.reshape(len(names), CLASSES + 1, -1).sum(axis=1)
        total = (every @ drawn) ** 2 - every.power(2) @ drawn**2
        weight = np.where(total > 0, (every @ drawn) * times, 0.0)
        shares = np.where(total > 0, ratio(alike, total), 0.0)
        sums = [by_emotion @ one for one in (shares * weight, weight)]
        with_all = [np.vstack([one, one.sum(axis=0)]) for one in sums]
        found.append(ratio(*with_all))
    return np.concatenate(found, axis=1)


def _agreed(people: Trials, network: Trials, key: str) -> Floats:
    rows = people.rows(key)
    same = people.answers[rows] == network.answers[rows]
    means, _ = means_over_draws(
        same[:, np.newaxis].astype(np.float64),
        people.labels[rows],
        people.groups[rows],
        people.weights,
    )
    agreed: Floats = means[:, :, 0].T
    return agreed


def _expected(people: Trials, network: Trials, key: str) -> Floats:
    """Return the agreement of independent answers, [8, 1 + all draws]."""
    ours, theirs = people.drawn_counts(key), network.drawn_counts(key)
    shown = ours.sum(axis=1)
    both = (ratio(ours, shown[:, None]) * ratio(theirs, shown[:, None]))[:, :CLASSES].sum(axis=1)
    weighed = np.where(shown > 0, both * shown, 0.0).sum(axis=0)
    return np.vstack([both, ratio(weighed, shown.sum(axis=0))])


def _rows(
    people: Trials, network: Trials, key: str, measure: str, values: Floats
) -> Iterator[dict[str, Any]]:
    bounds, of_levels = _TESTED.get(measure, (0.0, 1.0)), measure not in _TESTED
    one = people.infer(values, people.bearing(key), bounds, of_levels=of_levels)
    trials = people.rows(key)
    for place, emotion in enumerate(GROUPED):
        row, sizes = one.row(place), people.sizes_of(trials, place)
        yield (
            row
            | sizes
            | {
                "who": network.who,
                "condition": key,
                "visible": visible_of(key),
                "emotion": emotion,
                "measure": measure,
                "value": row["difference"],
                "p": row["p"] if measure in _TESTED else np.nan,
                "reason": row["reason"] if sizes["n"] else "no trials",
            }
        )
