"""Scores of a Predictions table: eleven metrics, class-wise scores, curves, protocols.

An undefined score is NaN and comes with a reason in words, never 0. Formulas that `scores`
also applies to a thousand bootstrap draws at once (`FROM_COUNTS`, `average_auc`, `ece_of_gaps`)
work on any leading axes, so point value and interval can't follow two definitions.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.integrate import trapezoid
from sklearn import config_context
from sklearn import metrics as sk

from hemiface.errors import UsageError
from hemiface.tables import EMOTIONS, Predictions, label_indices, probabilities

__all__ = [
    "FROM_COUNTS",
    "METRICS",
    "PROTOCOLS",
    "Curve",
    "Metric",
    "class_scores",
    "confusion",
    "precision_recall_curve",
    "ranking_scores",
    "reliability",
    "roc_curve",
    "select_protocol",
    "summarise",
    "why_undefined",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Function = Callable[[Floats, Ints, Floats | None], float]

CLASSES = len(EMOTIONS)
ECE_BINS = 15
PROTOCOLS: dict[str, tuple[str, ...]] = {
    "standard": ("test",),
    "paper": ("validation", "test"),
    "leak-free": ("test",),
}
"""The splits that each protocol scores; `leak-free` also leaves out images with `leaked`."""


# Building blocks: sums over images that every score below is a function of.


def confusion_counts(values: Floats, labels: Ints, weights: Floats | None = None) -> Floats:
    """Return [7, 7] summed weights: row true class, column class with the largest probability."""
    cell = labels * CLASSES + values.argmax(axis=1)
    return np.bincount(cell, weights, CLASSES**2).astype(np.float64).reshape(CLASSES, CLASSES)


def log_losses(values: Floats, labels: Ints) -> Floats:
    """Return [n]: minus the natural log of the true class's probability, in nats.

    Probabilities are clipped to [eps, 1 - eps] with float64's eps, as scikit-learn does, so that
    one confident mistake costs 36 nats instead of infinity.
    """
    eps = np.finfo(np.float64).eps
    return -np.log(np.clip(values[np.arange(len(labels)), labels], eps, 1 - eps))


def brier_losses(values: Floats, labels: Ints) -> Floats:
    """Return [n]: the squared distance of the distribution from the truth, summed over classes."""
    truth = labels[:, None] == np.arange(CLASSES)
    squared: Floats = ((values - truth) ** 2).sum(axis=1)
    return squared


def calibration_bins(confidence: Floats) -> Ints:
    """Return [n] bin indices; bin m holds confidences in (m / 15, (m + 1) / 15]."""
    edges = np.linspace(0, 1, ECE_BINS + 1)
    index = np.searchsorted(edges, confidence, side="left") - 1
    # Rounding can lift a confidence of float32 just above 1.
    return np.clip(index, 0, ECE_BINS - 1).astype(np.int64)


def calibration_gaps(values: Floats, labels: Ints) -> tuple[Ints, Floats]:
    """Return each image's bin [n] and its correctness (0 or 1) minus its confidence [n]."""
    confidence = values.max(axis=1)
    correct = values.argmax(axis=1) == labels
    return calibration_bins(confidence), correct - confidence


def class_aucs(values: Floats, labels: Ints, weights: Floats | None = None) -> Floats:
    """Return [7]: area under the ROC curve of each class against the rest; NaN where undefined."""
    return _areas(_curves(values, labels, weights))


def class_paper_areas(values: Floats, labels: Ints, weights: Floats | None = None) -> Floats:
    """Return [7]: area under each class's ROC curve, interpolated; NaN where undefined.

    As the original study did it: at every false positive rate at which any class's curve has a
    point, a curve that rises there counts with the upper end, so that the trapezoid before it is a
    little too large.
    """
    return _interpolated_areas(_curves(values, labels, weights))


def paper_excess(values: Floats, labels: Ints) -> float:
    """Return `weighted_auc_paper` minus `weighted_auc` of one cell, from the same curves."""
    curves = _curves(values, labels, None)
    excess = _interpolated_areas(curves) - _areas(curves)
    return float(average_present(excess, _shares(labels, None)))


_Curves = dict[int, tuple[Floats, Floats]]
"""Class -> false and true positive rates."""


def _areas(curves: _Curves) -> Floats:
    result = np.full(CLASSES, np.nan)
    for index, curve in curves.items():
        result[index] = trapezoid(curve[1], curve[0])
    return result


def _interpolated_areas(curves: _Curves) -> Floats:
    result = np.full(CLASSES, np.nan)
    if curves:
        grid = np.unique(np.concatenate([fpr for fpr, _ in curves.values()]))
        for index, (fpr, tpr) in curves.items():
            result[index] = trapezoid(np.interp(grid, fpr, tpr), grid)
    return result


def _curves(values: Floats, labels: Ints, weights: Floats | None) -> _Curves:
    """Return false and true positive rates of each class that has both kinds of images."""
    found = {}
    # What goes in is checked already, and a report asks thousands of times.
    with config_context(skip_parameter_validation=True):
        for index in range(CLASSES):
            positive = labels == index
            if 0 < _support(positive, weights) < _support(np.ones_like(positive), weights):
                found[index] = sk.roc_curve(positive, values[:, index], sample_weight=weights)[:2]
    return found


def _support(positive: npt.NDArray[np.bool_], weights: Floats | None) -> float:
    return float(positive.sum() if weights is None else weights[positive].sum())


# Formulas on those sums; every argument may have leading axes (draws).


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
    """Divide elementwise; NaN, without a warning, where the denominator is 0."""
    above, below = np.broadcast_arrays(numerator, denominator)
    out = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def class_precision(counts: Floats) -> Floats:
    """Return [..., 7] from [..., 7, 7]; NaN where a class is never predicted."""
    return ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-2))


def class_recall(counts: Floats) -> Floats:
    """Return [..., 7] from [..., 7, 7]; NaN where a class is absent."""
    return ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1))


def class_f1(counts: Floats) -> Floats:
    """Return [..., 7]: 2 TP / (2 TP + FP + FN); NaN where a class is absent and never predicted."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return ratio(2 * hits, counts.sum(axis=-1) + counts.sum(axis=-2))


def average_present(values: Floats, weights: Floats) -> Floats:
    """Return [...]: the mean of [..., 7] weighted by `weights`; classes of weight 0 are left out.

    A NaN among the classes that do have weight makes the mean NaN.
    """
    return ratio(np.where(weights > 0, values * weights, 0.0).sum(axis=-1), weights.sum(axis=-1))


def average_auc(name: str, areas: Floats, support: Floats) -> Floats:
    """Return [...]: class-wise areas [..., 7] averaged as metric `name` does."""
    if name == "macro_auc":
        mean: Floats = areas.mean(axis=-1)
        return mean
    return average_present(areas, support)


def ece_of_gaps(gaps: Floats, total: Floats) -> Floats:
    """Return [...] from [..., bins] summed (correct - confidence) and [...] summed weights."""
    return ratio(np.abs(gaps).sum(axis=-1), total)


def _accuracy(counts: Floats) -> Floats:
    return ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def _macro_f1(counts: Floats) -> Floats:
    f1 = class_f1(counts)
    return average_present(f1, np.isfinite(f1).astype(np.float64))


def _balanced_accuracy(counts: Floats) -> Floats:
    recall = class_recall(counts)
    return average_present(recall, np.isfinite(recall).astype(np.float64))


FROM_COUNTS: dict[str, Callable[[Floats], Floats]] = {
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "weighted_f1": lambda counts: average_present(class_f1(counts), counts.sum(axis=-1)),
    "balanced_accuracy": _balanced_accuracy,
}
"""The metrics that depend on the confusion counts alone: [..., 7, 7] -> [...]."""


# The metrics: probabilities float [n, 7], labels int [n], weights float [n] or None -> float.


def accuracy(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the share of images whose largest probability is the true class's."""
    return float(_accuracy(confusion_counts(values, labels, weights)))


def macro_f1(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the plain mean of the class-wise F1 (van Rijsbergen 1979).

    As in scikit-learn it runs over the classes that occur in the labels or the predictions; a
    class that does but is never hit counts 0. Opitz & Burst 2019 discuss the other macro F1.
    """
    return float(_macro_f1(confusion_counts(values, labels, weights)))


def weighted_f1(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the mean of the class-wise F1 weighted by how often each class is true."""
    return float(FROM_COUNTS["weighted_f1"](confusion_counts(values, labels, weights)))


def balanced_accuracy(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the plain mean of the recalls of the classes present (Brodersen et al. 2010)."""
    return float(_balanced_accuracy(confusion_counts(values, labels, weights)))


def weighted_auc(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the one-vs-rest areas under the ROC curve, averaged by class share.

    scikit-learn's `roc_auc_score(multi_class="ovr", average="weighted")`, after Provost & Domingos
    2001. A class that is absent has share 0 and is left out; NaN where only one class is present.
    """
    return float(average_present(class_aucs(values, labels, weights), _shares(labels, weights)))


def weighted_auc_paper(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the area under the average, weighted by class share, of interpolated ROC curves.

    The original study's "weighted AUC": the recipe of scikit-learn's example "Multiclass Receiver
    Operating Characteristic" (curves interpolated at all their false positive rates and averaged),
    with class shares as weights. The area is linear in the curves, so the areas are averaged here.
    It is above `weighted_auc` by less than the step between two such rates. Absent classes as
    there.
    """
    areas = class_paper_areas(values, labels, weights)
    return float(average_present(areas, _shares(labels, weights)))


def macro_auc(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the plain mean of the seven one-vs-rest areas; NaN if any class is absent.

    Unlike the weighted average it would change its meaning if a class were left out.
    """
    return float(class_aucs(values, labels, weights).mean())


def micro_auc(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the area under the ROC curve of all n x 7 (image, class) decisions pooled."""
    repeated = None if weights is None else np.repeat(weights, CLASSES)
    positive = (labels[:, None] == np.arange(CLASSES)).ravel()
    if _support(positive, repeated) == 0:
        return np.nan
    return float(sk.roc_auc_score(positive, values.ravel(), sample_weight=repeated))


def log_loss(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the mean negative log likelihood of the truth in nats (Good 1952)."""
    return _mean(log_losses(values, labels), weights)


def brier_score(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the mean squared error summed over the seven classes, 0 to 2 (Brier 1950, eq. 2)."""
    return _mean(brier_losses(values, labels), weights)


def ece(values: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Return the expected calibration error: 15 equal-width bins of confidence.

    The mean over bins of |accuracy - confidence|, weighted by the bins' sizes (Guo et al. 2017,
    eq. 3; bins open on the left).
    """
    bins, gaps = calibration_gaps(values, labels)
    weighted = gaps if weights is None else gaps * weights
    per_bin = np.bincount(bins, weighted, ECE_BINS).astype(np.float64)
    return float(ece_of_gaps(per_bin, np.asarray(_shares(labels, weights).sum())))


def _mean(losses: Floats, weights: Floats | None) -> float:
    used = np.ones(len(losses)) if weights is None else weights
    return float(ratio(losses @ used, used.sum()))


def _shares(labels: Ints, weights: Floats | None) -> Floats:
    return np.bincount(labels, weights, CLASSES).astype(np.float64)


@dataclass(frozen=True)
class Metric:
    """A score of one cell of the Predictions table.

    `function` takes probabilities float [n, 7], labels int [n] in 0..6 and weights float [n] >= 0
    or None (all 1), and returns a number in `unit_range` or NaN. Integer weights mean the same as
    repeated rows.
    """

    name: str
    title: str
    greater_is_better: bool
    unit_range: tuple[float, float]
    function: Function

    @property
    def best(self) -> float:
        """The value that perfect predictions reach."""
        return self.unit_range[1 if self.greater_is_better else 0]


_UNIT = (0.0, 1.0)
_PAPER_TITLE = "Weighted AUC (of the average curve)"
METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy", "Accuracy", True, _UNIT, accuracy),
    "macro_f1": Metric("macro_f1", "Macro F1", True, _UNIT, macro_f1),
    "weighted_f1": Metric("weighted_f1", "Weighted F1", True, _UNIT, weighted_f1),
    "weighted_auc": Metric("weighted_auc", "Weighted AUC", True, _UNIT, weighted_auc),
    "weighted_auc_paper": Metric(
        "weighted_auc_paper", _PAPER_TITLE, True, _UNIT, weighted_auc_paper
    ),
    "macro_auc": Metric("macro_auc", "Macro AUC", True, _UNIT, macro_auc),
    "micro_auc": Metric("micro_auc", "Micro AUC", True, _UNIT, micro_auc),
    "balanced_accuracy": Metric(
        "balanced_accuracy", "Balanced accuracy", True, _UNIT, balanced_accuracy
    ),
    "log_loss": Metric("log_loss", "Log loss (nats)", False, (0.0, np.inf), log_loss),
    "brier_score": Metric("brier_score", "Brier score", False, (0.0, 2.0), brier_score),
    "ece": Metric("ece", "Expected calibration error", False, _UNIT, ece),
}


def why_undefined(name: str, labels: Ints) -> str:
    """Return why metric `name` is NaN for images with these labels; "" where it is defined.

    >>> why_undefined("macro_auc", np.array([0, 1, 3, 4, 5, 6]))
    'no image of fear'
    """
    support = np.bincount(labels, minlength=CLASSES)
    if not len(labels):
        return "no images"
    absent = [emotion for emotion, count in zip(EMOTIONS, support, strict=True) if not count]
    if name == "macro_auc" and absent:
        return f"no image of {', '.join(absent)}"
    if name in ("weighted_auc", "weighted_auc_paper") and len(absent) == CLASSES - 1:
        return "every image is of the same emotion"
    return ""


# From the Predictions table to result tables.


def known_metrics(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return `names`, or every metric's name for None.

    Raises:
        UsageError: a name is not in METRICS.

    """
    chosen = tuple(METRICS) if names is None else tuple(names)
    unknown = [name for name in chosen if name not in METRICS]
    if unknown:
        raise UsageError(
            f"Metric {', '.join(unknown)} is unknown; choose from {', '.join(METRICS)}."
        )
    return chosen


def summarise(
    predictions: Predictions | pd.DataFrame,
    metrics: Sequence[str] | None = None,
    by: Sequence[str] = ("model", "condition"),
) -> pd.DataFrame:
    """Score every cell: a row per cell and metric with `by`, metric, value, n and reason.

    `n` counts images. `reason` says why a value is NaN and is "" elsewhere. No split is chosen
    here: see `select_protocol`.

    Raises:
        UsageError: a metric or a column of `by` is unknown.

    """
    chosen = known_metrics(metrics)
    rows = []
    for key, cell in _cells(_table_of(predictions), by):
        values, labels = probabilities(cell), label_indices(cell)
        for name in chosen:
            why = why_undefined(name, labels)
            score = np.nan if why else METRICS[name].function(values, labels, None)
            rows.append((*key, name, score, len(labels), why))
    return pd.DataFrame(rows, columns=[*by, "metric", "value", "n", "reason"])


def class_scores(
    predictions: Predictions | pd.DataFrame, by: Sequence[str] = ("model", "condition")
) -> pd.DataFrame:
    """Score every class of every cell against the rest.

    Columns: `by`, emotion, precision, recall, f1, auc, average_precision, support (images of the
    emotion), reason. Precision is NaN for an emotion that is never predicted, recall, auc and
    average_precision for one that is absent, f1 for one that is both; `reason` says which.
    """
    rows = []
    for key, cell in _cells(_table_of(predictions), by):
        values, labels = probabilities(cell), label_indices(cell)
        curves = [ranking_scores(values[:, one], labels == one) for one in range(CLASSES)]
        rows += class_rows(key, confusion_counts(values, labels), curves)
    return class_table(rows, by)


def class_rows(
    key: tuple[Hashable, ...], counts: Floats, curves: Sequence[tuple[float, float]]
) -> list[tuple[Any, ...]]:
    """Return the rows of `class_scores` about one cell.

    counts: [7, 7] as `confusion_counts`; curves: each emotion's area and average precision.
    """
    scores = (class_precision(counts), class_recall(counts), class_f1(counts))
    rows = []
    for index, emotion in enumerate(EMOTIONS):
        support, answered = int(counts[index].sum()), counts[:, index].sum()
        reasons = [
            *(["absent"] if not support else []),
            *(["never predicted"] if not answered else []),
            *(["every image is of this emotion"] if 0 < support == counts.sum() else []),
        ]
        three = (float(score[index]) for score in scores)
        rows.append((*key, emotion, *three, *curves[index], support, ", ".join(reasons)))
    return rows


def class_table(
    rows: Sequence[tuple[Any, ...]], by: Sequence[str] = ("model", "condition")
) -> pd.DataFrame:
    """Return the table that `class_scores` gives from what `class_rows` gave."""
    names = ["emotion", "precision", "recall", "f1", "auc", "average_precision", "support"]
    return pd.DataFrame(rows, columns=[*by, *names, "reason"])


def ranking_scores(scores: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the area under the ROC curve and the average precision of scores [n].

    What scikit-learn's `roc_auc_score` and `average_precision_score` give, ties included, several
    times as fast; NaN where there is no positive, the area also where there is nothing else.
    """
    hits = int(positive.sum())
    if not hits:
        return np.nan, np.nan
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    above = np.concatenate([[0], np.cumsum(positive[order])[last]]).astype(np.float64)
    answered = np.concatenate([[0], last + 1]).astype(np.float64)
    gained = np.diff(above)
    precision = float((gained * above[1:] / answered[1:]).sum() / hits)
    others = len(scores) - hits
    passed = np.diff(answered - above)
    area = (
        float((passed * (above[1:] + above[:-1])).sum() / 2 / hits / others) if others else np.nan
    )
    return area, precision


def confusion(
    predictions: Predictions | pd.DataFrame, by: Sequence[str] = ("model", "condition")
) -> pd.DataFrame:
    """Count predictions: 49 rows per cell with `by`, true, predicted, count and share.

    `share` is of the images of the true emotion, so each true emotion's seven shares sum to 1; it
    is NaN where there is no such image.
    """
    cells = _cells(_table_of(predictions), by)
    return confusion_rows(
        ((key, confusion_counts(probabilities(cell), label_indices(cell))) for key, cell in cells),
        by,
    )


def confusion_rows(
    cells: Iterable[tuple[tuple[Hashable, ...], Floats]],
    by: Sequence[str] = ("model", "condition"),
) -> pd.DataFrame:
    """Return the table that `confusion` gives from each cell's key and counts [7, 7]."""
    rows: list[tuple[Any, ...]] = []
    for key, counts in cells:
        shares = ratio(counts, counts.sum(axis=1, keepdims=True))
        rows += [
            (*key, true, predicted, int(counts[i, j]), float(shares[i, j]))
            for i, true in enumerate(EMOTIONS)
            for j, predicted in enumerate(EMOTIONS)
        ]
    return pd.DataFrame(rows, columns=[*by, "true", "predicted", "count", "share"])


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve as float arrays [points] and its area; empty, NaN and a `reason` if undefined."""

    x: Floats
    y: Floats
    area: float
    reason: str = ""


def roc_curve(predictions: Predictions | pd.DataFrame, emotion: str) -> Curve:
    """Return the ROC curve of one emotion against the rest in one cell.

    x is the false positive rate, y the true positive rate, area the AUC.

    Raises:
        UsageError: the table holds more than one cell, or there is no such emotion.

    """
    positive, score = _one_against_rest(_table_of(predictions), emotion)
    if positive.all() or not positive.any():
        return _undefined_curve(positive, emotion)
    fpr, tpr, _ = sk.roc_curve(positive, score)
    return Curve(fpr, tpr, float(sk.auc(fpr, tpr)))


def precision_recall_curve(predictions: Predictions | pd.DataFrame, emotion: str) -> Curve:
    """Return the precision-recall curve of one emotion against the rest in one cell.

    x is recall (falling from 1 to 0), y precision, area the average precision (a step-wise sum:
    Davis & Goadrich 2006 show why not to interpolate).

    Raises:
        UsageError: the table holds more than one cell, or there is no such emotion.

    """
    positive, score = _one_against_rest(_table_of(predictions), emotion)
    if not positive.any():
        return _undefined_curve(positive, emotion)
    precision, recall, _ = sk.precision_recall_curve(positive, score)
    return Curve(recall, precision, float(sk.average_precision_score(positive, score)))


def reliability(predictions: Predictions | pd.DataFrame) -> pd.DataFrame:
    """Return the reliability diagram of one cell: a row for each of the 15 bins of `ece`.

    Columns: low and high (the bin holds confidences in (low, high]), confidence and accuracy (means
    over the bin, NaN if it is empty), count.

    Raises:
        UsageError: the table holds more than one cell.

    """
    cell = _table_of(predictions)
    require_one_cell(cell)
    values, labels = probabilities(cell), label_indices(cell)
    bins, gaps = calibration_gaps(values, labels)
    confidence = values.max(axis=1)
    count = np.bincount(bins, minlength=ECE_BINS)
    edges = np.linspace(0, 1, ECE_BINS + 1)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "confidence": ratio(np.bincount(bins, confidence, ECE_BINS), count),
            "accuracy": ratio(np.bincount(bins, gaps + confidence, ECE_BINS), count),
            "count": count,
        }
    )


def require_protocol(protocol: str) -> None:
    """Raise unless there is such a protocol.

    Raises:
        UsageError: there isn't.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"Protocol {protocol!r} is unknown; choose from {', '.join(PROTOCOLS)}.")


def select_protocol(predictions: Predictions | pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return the rows that a protocol scores: `standard`, `paper` or `leak-free` (see PROTOCOLS).

    A model x condition cell that lacks one of the protocol's splits is left out altogether: a score
    of half a protocol must not bear its name.

    Raises:
        UsageError: there is no such protocol.

    """
    require_protocol(protocol)
    splits, table = PROTOCOLS[protocol], _table_of(predictions)
    rows = table[table["split"].isin(splits)]
    cells = rows.groupby(["model", "condition"], observed=True, sort=False)["split"]
    rows = rows[cells.transform("nunique") == len(splits)]
    return rows[~rows["leaked"].astype(bool)] if protocol == "leak-free" else rows


def _table_of(predictions: Predictions | pd.DataFrame) -> pd.DataFrame:
    return predictions.table if isinstance(predictions, Predictions) else predictions


def _cells(
    predictions: pd.DataFrame, by: Sequence[str]
) -> Iterator[tuple[tuple[Hashable, ...], pd.DataFrame]]:
    """Yield (key, rows) per cell in order of appearance; all rows as one cell if `by` is empty."""
    unknown = [column for column in by if column not in predictions.columns]
    if unknown:
        raise UsageError(f"The predictions have no column {', '.join(unknown)} to group by.")
    if not by:
        yield (), predictions
        return
    yield from predictions.groupby(list(by), sort=False, observed=True)


def require_one_cell(predictions: pd.DataFrame) -> None:
    """Raise UsageError if the rows belong to more than one model or condition."""
    cells = predictions[["model", "condition"]].drop_duplicates()
    if len(cells) > 1:
        raise UsageError(
            f"One model under one condition is expected here, got {len(cells)} such cells; "
            "select the rows of one first."
        )


def _one_against_rest(
    predictions: pd.DataFrame, emotion: str
) -> tuple[npt.NDArray[np.bool_], Floats]:
    if emotion not in EMOTIONS:
        raise UsageError(f"Emotion {emotion!r} is unknown; choose from {', '.join(EMOTIONS)}.")
    require_one_cell(predictions)
    score = predictions[f"p_{emotion}"].to_numpy(np.float64)
    return (predictions["label"] == emotion).to_numpy(bool), score


def _undefined_curve(positive: npt.NDArray[np.bool_], emotion: str) -> Curve:
    if not len(positive):
        reason = "no images"
    else:
        reason = f"every image is of {emotion}" if positive.all() else f"no image of {emotion}"
    return Curve(np.empty(0), np.empty(0), np.nan, reason)
