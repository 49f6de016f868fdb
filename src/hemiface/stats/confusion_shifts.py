"""What each emotion is mistaken for when a part of the face is hidden.

For one model and true emotion, the shares of the seven predicted emotions under a condition minus
those on whole faces. Under a mask that hides the lower half, is disgust read as anger?

A shift has two parts. If an answer is simply given more often, to faces of whatever emotion, that
is a response bias; what goes beyond it is about the two emotions: their `specific` confusion. The
bias towards an answer is the mean shift towards it over the true emotions that are neither the one
in question nor the answer itself, each emotion counting alike. For the change of an emotion's
recall, where both are the same, it is the change in false alarms, and what is left is a change in
sensitivity, as in the theory of signal detection (Green & Swets 1966; Wagner 1993, On measuring
performance in category judgment studies of nonverbal behavior, J. Nonverbal Behav. 17).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.stats.inference import Inference, infer, runs_of
from hemiface.stats.metrics import CLASSES, ratio
from hemiface.stats.sample import Cell, Progress, Sample
from hemiface.stats.significance import holm, mcnemar_exact
from hemiface.tables import EMOTIONS, Predictions

__all__ = ["SHIFT_COLUMNS", "confusion_shifts"]

Floats = npt.NDArray[np.float64]

SHIFT_COLUMNS = (
    "model",
    "seed",
    "condition",
    "true",
    "predicted",
    "share_full",
    "share_hidden",
    "shift",
    "low",
    "high",
    "se",
    "df",
    "p",
    "p_holm",
    "bias",
    "specific",
    "specific_low",
    "specific_high",
    "specific_p_holm",
    "n",
    "groups",
    "method",
    "reason",
)


def confusion_shifts(
    sample: Sample | Predictions, progress: Progress | None = None
) -> pd.DataFrame:
    """Return a row per model, condition, true and predicted emotion, the largest shifts first.

    Columns SHIFT_COLUMNS. `share_full` and `share_hidden` are shares of the images of the true
    emotion (`n` of them), `shift` is the latter minus the former; the seven shifts of an emotion
    add up to 0, and where predicted is true it is the change in recall. Intervals: see
    `inference.infer`; `groups` are those with images of the true emotion. `p` of one network is the
    exact sign test over groups, each of which votes for whichever condition gives it more such
    predictions (McNemar's where every group is one image): many shifts rest on few images, where a
    t test calls too much. `p` of the mean over seeds is `infer`'s. `bias` and `specific` add up to
    `shift`; the latter has an interval and a p by `infer`. Holm's family: the 49 shifts of one
    model, seed and condition.

    Raises:
        UsageError: no condition `full` or nothing else, or as `all_pairs`.

    """
    sample = Sample.of(sample)
    names, present, conditions = sample.names, sample.aligned_cells(), sample.conditions
    if "full" not in conditions or len(conditions) < 2:
        raise UsageError("Confusion shifts need condition full and another; evaluate with both.")
    weights = sample.weights.astype(np.float64)
    known = list(dict.fromkeys(names["name"]))
    bearing = sample.emotion_bearing[:-1, None]
    tables = []
    for done, name in enumerate(known, start=1):
        models = [str(one) for one in names.loc[names["name"] == name, "model"]]
        cells = [cell for cell in present if cell[0] in models]
        shares = {cell: _shares(sample, cell, weights) for cell in cells}
        for run, members in runs_of(names, [name]):
            for key in conditions:
                if key == "full" or any((one, key) not in shares for one in members):
                    continue
                if any((one, "full") not in shares for one in members):
                    continue
                full, hidden = (
                    np.stack([shares[one, at] for one in members], axis=-2) for at in ("full", key)
                )
                bias = response_bias(hidden - full)
                one, own = (
                    infer([change], sample.group_count, sample.options, bearing, (-most, most))
                    for change, most in ((hidden - full, 1.0), (hidden - full - bias, 2.0))
                )
                p = one.p
                if len(members) == 1:
                    p = _sign_tests(sample, members[0], key)
                tables.append(_table((name, run, key), full, hidden, one, p, own, sample))
        if progress:
            progress(done, len(known))
    if not tables:
        # Each network was asked under its own condition alone.
        return pd.DataFrame(columns=list(SHIFT_COLUMNS))
    table = pd.concat(tables, ignore_index=True)
    order = table["shift"].abs().sort_values(ascending=False, kind="stable", na_position="last")
    return table.loc[order.index].reset_index(drop=True)


def response_bias(change: Floats) -> Floats:
    """Return how much more often an answer is given to other emotions: float64 like `change`.

    change: [7 true, 7 predicted, ...]. Emotions without images (NaN) don't count.
    """
    there = np.isfinite(change)
    known = np.where(there, change, 0.0)
    own = np.eye(CLASSES, dtype=bool).reshape(CLASSES, CLASSES, *[1] * (change.ndim - 2))
    # Of the answer's own emotion nothing is a false alarm.
    alarms, count = np.where(own, 0.0, known), (there & ~own).astype(np.float64)
    return ratio(alarms.sum(axis=0) - alarms, count.sum(axis=0) - count)


def _shares(sample: Sample, cell: Cell, weights: Floats) -> Floats:
    """Return [7 true, 7 predicted, 1 + draws]: shares of the true emotion's images."""
    sums = np.asarray(sample.group_confusions(cell) @ weights).reshape(CLASSES, CLASSES, -1)
    return ratio(sums, sums.sum(axis=1, keepdims=True))


def _sign_tests(sample: Sample, model: str, key: str) -> Floats:
    """Return p [7 true, 7 predicted] of one network: do as many groups gain as lose?"""
    p = mcnemar_exact(*sample.answer_votes(model, key))
    p[sample.support == 0] = np.nan
    return p


def _table(
    key: tuple[str, str, str],
    full: Floats,
    hidden: Floats,
    one: Inference,
    p: Floats,
    own: Inference,
    sample: Sample,
) -> pd.DataFrame:
    true, predicted = np.divmod(np.arange(CLASSES**2), CLASSES)
    support = sample.support
    columns: dict[str, Any] = dict(zip(SHIFT_COLUMNS[:3], key, strict=True))
    columns |= {
        "true": np.asarray(EMOTIONS)[true],
        "predicted": np.asarray(EMOTIONS)[predicted],
        "share_full": full[..., 0].mean(axis=-1).ravel(),
        "share_hidden": hidden[..., 0].mean(axis=-1).ravel(),
        "shift": one.value.ravel(),
        "low": one.low.ravel(),
        "high": one.high.ravel(),
        "se": one.se.ravel(),
        "df": one.df.ravel(),
        "p": p.ravel(),
        "p_holm": holm(p.ravel()),
        "bias": (one.value - own.value).ravel(),
        "specific": own.value.ravel(),
        "specific_low": own.low.ravel(),
        "specific_high": own.high.ravel(),
        "specific_p_holm": holm(own.p.ravel()),
        "n": support[true],
        "groups": sample.emotion_groups[true],
        "method": one.method.ravel(),
        "reason": np.where(support[true] == 0, "no images", one.reason.ravel()),
    }
    return pd.DataFrame(columns)[list(SHIFT_COLUMNS)]
