"""Every metric of every model under every condition: the tables matrix and class_scores.

Sources of the intervals: see `hemiface.stats.inference`; of the draws: `hemiface.stats.sample`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.stats import metrics
from hemiface.stats.inference import interval
from hemiface.stats.sample import Cell, Progress, Sample, Scores
from hemiface.tables import EMOTIONS, Predictions

__all__ = ["MATRIX_COLUMNS", "Estimate", "class_scores", "estimate", "matrix"]

Floats = npt.NDArray[np.float64]

MATRIX_COLUMNS = (
    "protocol",
    "model",
    "seed",
    "condition",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "drop_from_full",
    "reason",
)
CLASS_COLUMNS = ("precision", "recall", "f1", "auc", "average_precision", "support")


@dataclass(frozen=True)
class Estimate:
    """A score with its interval; `n` counts images, `method` says how the interval was made.

    What is undefined is NaN, and `reason` says why.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    reason: str = ""


def estimate(cell: Predictions, metric: str, options: StatisticsOptions | None = None) -> Estimate:
    """Return a metric of one model under one condition with its bootstrap percentile interval.

    All rows of `cell` are scored, whatever their split.

    Raises:
        UsageError: the metric is unknown, an option is out of range, or the table holds more than
            one cell.

    """
    metrics.require_one_cell(cell.table)
    sample = Sample.whole_table(cell, options)
    found = sample.scores([metric])
    level, groups = sample.options.level, sample.group_count
    draws = f"{sample.options.draws} bootstrap draws of {groups} groups"
    method = f"{100 * level:g}% percentile interval, {draws}"
    why = metrics.why_undefined(metric, sample.labels)
    if not found:
        return Estimate(np.nan, np.nan, np.nan, 0, method, why)
    scores = next(iter(found.values()))[metric]
    low, high, reason = interval(scores[1:], sample.effective_groups, level, metric)
    return Estimate(float(scores[0]), low, high, len(sample.labels), method, why or reason)


def matrix(
    sample: Sample | Predictions,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score every model under every condition, with intervals.

    Columns: MATRIX_COLUMNS. `names` are metrics, by default all. `model` is what the model was
    trained on, `seed` its seed as text or `mean`; `n` counts images. low and high bound the central
    `level` of the draws: the uncertainty from the choice of test images (NaN where there is
    none, see `inference.interval`; `reason` says why). The rows with seed `mean`
    are the mean over the seeds (there is none of a condition that a seed lacks, see
    `Predictions.uneven`), their interval that of the mean under the same draws; it is
    conditional on these very seeds, so it doesn't include how much another training would differ
    (compare the seeds' rows for that). `drop_from_full` is the value of the same model on condition
    `full` minus the value, for every metric: a drop in accuracy is positive, a rise in a loss
    negative; NaN without `full`.

    A cell without images under the protocol has its rows all the same, with n = 0 and NaN.
    `progress(done, total)` is called after every cell.

    Raises:
        UsageError: an unknown metric, or two models with one name and seed.

    """
    sample = Sample.of(sample)
    found = sample.scores(names, progress)
    rows = [
        row
        for name, condition, seed, members in _with_means(sample)
        for row in _rows(sample, found, name, condition, seed, members)
    ]
    return pd.DataFrame(rows, columns=list(MATRIX_COLUMNS))


def class_scores(sample: Sample | Predictions) -> pd.DataFrame:
    """Score every emotion for every model under every condition.

    Columns: protocol, model, seed, condition, emotion, then CLASS_COLUMNS as in
    `metrics.class_scores` (NaN where undefined; support 0 for an emotion without images). Models
    and seeds as in `matrix`; with seed `mean`, scores are means over the seeds.

    Raises:
        UsageError: two models with one name and seed.

    """
    sample = Sample.of(sample)
    every = pd.DataFrame(sample.every_cell, columns=["model", "condition"]).merge(
        pd.DataFrame({"emotion": EMOTIONS}), how="cross"
    )
    columns = ["protocol", "model", "seed", "condition", "emotion", *CLASS_COLUMNS]
    tables = [pd.DataFrame(columns=columns)] if every.empty else []
    scores = sample.class_scores().set_index(list(every))
    scores = scores[list(CLASS_COLUMNS)].reindex(pd.MultiIndex.from_frame(every)).astype(float)
    scores["support"] = scores["support"].fillna(0).astype(np.int64)
    found = dict(list(scores.groupby(level=["model", "condition"], sort=False)))
    for name, condition, seed, members in _with_means(sample):
        parts = [found[model, condition].droplevel(["model", "condition"]) for model in members]
        # Summed, not averaged by pandas: a NaN of one seed must make the mean NaN.
        mean = sum(parts[1:], start=parts[0]) / len(parts)
        mean["support"] = parts[0]["support"]
        key = {"protocol": sample.protocol, "model": name, "seed": seed, "condition": condition}
        tables.append(mean.reset_index().assign(**key))
    return pd.concat(tables, ignore_index=True)[columns]


def _rows(
    sample: Sample,
    found: Mapping[Cell, Scores],
    name: str,
    condition: str,
    seed: str,
    members: list[str],
) -> Iterator[dict[str, Any]]:
    has_full = all((model, "full") in found for model in members)
    groups = min(sample.groups_of((model, condition)) for model in members)
    for metric in found[members[0], condition]:
        scores = _mean_scores(found, members, condition, metric)
        low, high, reason = interval(scores[1:], groups, sample.options.level, metric)
        full = _mean_scores(found, members, "full", metric)[0] if has_full else np.nan
        yield {
            "protocol": sample.protocol,
            "model": name,
            "seed": seed,
            "condition": condition,
            "metric": metric,
            "value": float(scores[0]),
            "low": low,
            "high": high,
            "n": min(sample.size((model, condition)) for model in members),
            "drop_from_full": float(full - scores[0]),
            "reason": reason,
        }


def _mean_scores(
    found: Mapping[Cell, Scores], models: list[str], condition: str, metric: str
) -> Floats:
    """Return [1 + draws]: draw d of the mean is the mean of the models' draw d."""
    return np.asarray(np.mean([found[model, condition][metric] for model in models], axis=0))


def _with_means(sample: Sample) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield (name, condition, seed, model IDs) for each seed in order, then for `mean`.

    Only what all seeds of a name have is averaged: means over different seeds would differ by them.
    """
    present, scored = set(sample.every_cell), set(sample.cells)
    conditions = list(dict.fromkeys(condition for _, condition in sample.every_cell))
    for name, models in sample.names.groupby("name", sort=False):
        models = models.sort_values("seed")
        singles = [(str(one.seed), [one.model]) for one in models.itertuples()]
        for seed, members in [*singles, ("mean", list(models["model"]))]:
            for condition in conditions:
                cells = [(model, condition) for model in members]
                # A mean over some of the seeds would be that of none.
                even = len({cell in scored for cell in cells}) == 1
                if present.issuperset(cells) and even:
                    yield str(name), condition, seed, members
