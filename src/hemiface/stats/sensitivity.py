"""How well each emotion is told from the others, apart from how often it is answered.

A recall rises when an emotion is answered more often, whether it is seen better or not. Beside it
stand measures that a response bias can't move, or that say what it is:

- `recall`: the share of an emotion's images that are called so, the hit rate H.
- `unbiased_hit_rate`: H times the share of these answers that are right, hits^2 / (images of the
  emotion x answers of it): Wagner 1993, On measuring performance in category judgment studies of
  nonverbal behavior, J. Nonverbal Behav. 17, p. 16, H_u.
- `d_prime`: z(H) - z(F), with F the false alarm rate, the mean over the other emotions of how often
  they are called so. 0 is chance.
- `criterion`: -(z(H) + z(F)) / 2; above 0 the emotion is answered with reserve, below 0 freely.
  Both: Green & Swets 1966, Signal detection theory and psychophysics; rates are taken as
  (k + .5) / (n + 1), so that none is 0 or 1: Hautus 1995, Behav. Res. Methods 27.
- `auc`: the probability that an image of the emotion gets a higher probability for it than another
  image does; no threshold is in it.

A half whose hiding lowers recall and leaves d' and AUC as they are changed what is answered and not
what is seen. `bias_part` says how much of a recall's change that is.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from hemiface.errors import UsageError
from hemiface.stats.inference import Inference, infer
from hemiface.stats.information import Family, families, visible_part
from hemiface.stats.metrics import CLASSES, ratio
from hemiface.stats.sample import Cell, Sample
from hemiface.stats.scores import emotion_aucs_over_draws
from hemiface.stats.significance import holm
from hemiface.tables import EMOTIONS, Predictions

__all__ = [
    "MEASURES",
    "SENSITIVITY_COLUMNS",
    "bias_part",
    "bounds_of",
    "measures_of_counts",
    "sensitivity",
]

Floats = npt.NDArray[np.float64]

MEASURES = ("recall", "unbiased_hit_rate", "d_prime", "criterion", "auc")

_UNBOUNDED = ("d_prime", "criterion")

SENSITIVITY_COLUMNS = (
    "question",
    "model",
    "seed",
    "fill",
    "condition",
    "visible",
    "emotion",
    "measure",
    "value",
    "low",
    "high",
    "change",
    "change_low",
    "change_high",
    "p",
    "p_holm",
    "by_answers",
    "by_answers_low",
    "by_answers_high",
    "by_answers_p",
    "by_answers_p_holm",
    "n",
    "groups",
    "method",
    "reason",
)


def sensitivity(sample: Sample | Predictions) -> pd.DataFrame:
    """Return MEASURES of each emotion under each condition, columns SENSITIVITY_COLUMNS.

    Families as in `information`; `change` is the value minus that of the same family on whole
    faces, 0 there. `by_answers`, with its interval and p, stands in the rows of recall alone: how
    much of the change comes of response biases (`bias_part`); the rest comes of how well the
    emotion is told from the others. Holm's family: the seven emotions of one measure, condition
    and run.

    Raises:
        UsageError: no network reads whole faces and something hidden.
    """
    sample = Sample.of(sample)
    found = families(sample)
    if not found:
        raise UsageError(
            "Sensitivity is told of whole faces and a hidden part, read by one network; evaluate "
            "with --conditions full,upper,lower,left,right."
        )
    bearing = sample.emotion_bearing[:-1]
    known: dict[Cell, tuple[Floats, Floats]] = {}
    rows: list[dict[str, Any]] = []
    for family in found:
        for seed, seeds in family.runs():
            full, whole = _by_seed(sample, known, family, seeds, "full")
            for key in family.conditions:
                values, shares = _by_seed(sample, known, family, seeds, key)
                least, most = bounds_of(MEASURES)
                level, change, bias = (
                    infer(
                        [one], sample.group_count, sample.options, bearing, bounds, of_levels=levels
                    )
                    for one, bounds, levels in (
                        (values, (least, most), True),
                        (values - full, (least - most, most - least), False),
                        (bias_part(whole, shares), None, False),
                    )
                )
                rows += _rows(sample, family, seed, key, level, change, bias)
    return pd.DataFrame(rows, columns=list(SENSITIVITY_COLUMNS))


def bounds_of(measures: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the least and the greatest that each of MEASURES can be, [measures, 1] each."""
    rates = np.array([[one not in _UNBOUNDED] for one in measures])
    return np.where(rates, 0.0, -np.inf), np.where(rates, 1.0, np.inf)


def bias_part(before: npt.ArrayLike, after: npt.ArrayLike) -> Floats:
    """Return how much of each emotion's change in recall comes of a change of response bias.

    before, after: shares [7 true, 7 answered, ...] above 0, NaN in the rows of emotions without
    images; the result is [7, ...]. By Luce's choice model an emotion i is answered as j in
    proportion to b_j times how alike the two look, so biases b are known from pairs of answers,

        b_j / b_i = sqrt(p(j|i) p(j|j) / (p(i|i) p(i|j))),

    and what would be answered with other biases too. A recall's change is shared out between biases
    and likeness by exchanging each first and averaging over both orders, so that the parts add up.
    Unlike a criterion, b stays as it is when all emotions are merely told apart less well.
    Sources: Luce 1963, Detection and recognition, in Luce, Bush & Galanter, Handbook of
    Mathematical Psychology 1, 103-189 (the choice model and its b, there called response biases);
    Shorrocks 2013, J. Econ. Inequality 11, 99-126 (the average over orders).
    """
    old, new = (np.asarray(one, np.float64) for one in (before, after))
    towards = _log_bias(new) - _log_bias(old)
    hits = [np.moveaxis(np.diagonal(one), -1, 0) for one in (old, new)]
    added = _recall(old, towards) - hits[0]
    taken = hits[1] - _recall(new, -towards)
    return np.asarray((added + taken) / 2)


def _log_bias(shares: Floats) -> Floats:
    """Return log b [7, ...] but for a constant, averaged over the pairs with each emotion."""
    logs = np.log(shares)
    own = np.moveaxis(np.diagonal(logs), -1, 0)
    pairs = (logs - np.swapaxes(logs, 0, 1) + own[None] - own[:, None]) / 2
    there = np.isfinite(pairs)
    return np.asarray(np.where(there, pairs, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1))


def _recall(shares: Floats, towards: Floats) -> Floats:
    """Return the recalls [7, ...] where biases change by these logarithms [7, ...]."""
    tilted = shares * np.exp(towards)[None]
    return np.asarray(np.moveaxis(np.diagonal(tilted), -1, 0) / tilted.sum(axis=1))


def _by_seed(
    sample: Sample,
    known: dict[Cell, tuple[Floats, Floats]],
    family: Family,
    seeds: Sequence[str],
    key: str,
) -> tuple[Floats, Floats]:
    """Return [5 measures, 7, seeds, 1 + draws] and shares [7, 7, seeds, 1 + draws]."""
    cells = [(family.members[seed][key], key) for seed in seeds]
    for cell in cells:
        if cell not in known:
            known[cell] = _measures(sample, cell)
    measures, shares = (
        np.stack([known[cell][place] for cell in cells], axis=-2) for place in (0, 1)
    )
    return measures, shares


def _measures(sample: Sample, cell: Cell) -> tuple[Floats, Floats]:
    """Return [5 measures, 7, 1 + draws] of one cell, and its shares [7, 7, 1 + draws]."""
    aligned, weights = sample.aligned, sample.weights
    values, labels = sample.values[aligned.at(*cell)], aligned.labels
    # Counts of (true, predicted) in the sample and its draws: [7, 7, 1 + draws].
    counts = np.zeros((CLASSES**2, aligned.group_count))
    np.add.at(counts, (labels * CLASSES + values.argmax(axis=1), aligned.groups), 1.0)
    drawn = (counts @ weights.astype(np.float64)).reshape(CLASSES, CLASSES, -1)
    areas = emotion_aucs_over_draws(values, labels, aligned.groups, weights)
    images = drawn.sum(axis=1)
    measures = np.concatenate([measures_of_counts(drawn, images), areas[np.newaxis]])
    # As in Hautus's correction: half an answer more of each, so that none is never given.
    shares = (drawn + 0.5) / (images + CLASSES / 2)[:, None]
    return measures, np.where(images[:, None] > 0, shares, np.nan)


def measures_of_counts(drawn: Floats, images: Floats) -> Floats:
    """Return all MEASURES but the last, [4, 7, ...], from how often what was answered to what.

    drawn: weighted counts [7 true, 7 answered, ..., draws], the sample first; images: [7 true, ...,
    draws], which may be more than their sums where some answers were no emotion.
    """
    answers = drawn.sum(axis=0)
    hits = np.moveaxis(np.diagonal(drawn), -1, 0)
    shares = ratio(drawn, images[:, None])
    alarms = _mean_of_others(shares)
    others = images.sum(axis=0) - images
    rates = (ratio(hits, images), images), (alarms, others)
    hit, alarm = (stats.norm.ppf((rate * n + 0.5) / (n + 1)) for rate, n in rates)
    # Where neither rate varies, the correction would, by how many images a draw happens to have.
    same = np.logical_and(*(_is_constant(rate) for rate, _ in rates))
    hit, alarm = (np.where(same & np.isfinite(one), one[..., :1], one) for one in (hit, alarm))
    return np.stack(
        [
            ratio(hits, images),
            # Never answered, it is never right: Wagner's rate is 0 then.
            np.where((answers == 0) & (images > 0), 0.0, ratio(hits**2, images * answers)),
            hit - alarm,
            -(hit + alarm) / 2,
        ]
    )


def _is_constant(rates: Floats) -> npt.NDArray[np.bool_]:
    """Return [..., 1]: is a rate the same in all draws [..., draws] in which it is defined?"""
    same = ~np.isfinite(rates) | (rates == rates[..., :1])
    return np.asarray(same.all(axis=-1, keepdims=True), dtype=np.bool_)


def _mean_of_others(shares: Floats) -> Floats:
    """Return [7, ...]: how often the other emotions are answered so, those without images apart."""
    own = np.eye(CLASSES, dtype=bool)[:, :, None]
    there = np.isfinite(shares) & ~own
    return ratio(np.where(there, shares, 0.0).sum(axis=0), there.sum(axis=0))


def _rows(
    sample: Sample,
    family: Family,
    seed: str,
    key: str,
    level: Inference,
    change: Inference,
    bias: Inference,
) -> Iterator[dict[str, Any]]:
    support = np.bincount(sample.aligned.labels, minlength=CLASSES)
    for place, measure in enumerate(MEASURES):
        p = change.p[place] if key != "full" else np.full(CLASSES, np.nan)
        p_holm = holm(p)
        biased = measure == "recall"
        bias_p = bias.p if biased and key != "full" else np.full(CLASSES, np.nan)
        bias_p_holm = holm(bias_p)
        for index, emotion in enumerate(EMOTIONS):
            at = place, index
            yield {
                "question": family.question,
                "model": family.name,
                "seed": seed,
                "fill": family.fill,
                "condition": key,
                "visible": visible_part(key),
                "emotion": emotion,
                "measure": measure,
                "value": level.value[at],
                "low": level.low[at],
                "high": level.high[at],
                "change": change.value[at],
                "change_low": change.low[at],
                "change_high": change.high[at],
                "p": p[index],
                "p_holm": p_holm[index],
                "by_answers": bias.value[index] if biased else np.nan,
                "by_answers_low": bias.low[index] if biased else np.nan,
                "by_answers_high": bias.high[index] if biased else np.nan,
                "by_answers_p": bias_p[index],
                "by_answers_p_holm": bias_p_holm[index],
                "n": int(support[index]),
                "groups": int(sample.emotion_groups[index]),
                "method": level.method[at],
                "reason": "no images" if support[index] == 0 else level.reason[at],
            }
