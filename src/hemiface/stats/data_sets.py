"""Several data sets side by side: each model under each condition on each of them.

A prediction table knows its data sets; they are never pooled, for their images, labels and mixes of
emotions are different things. Each has draws of its own: another data set's images are another
sample, so that intervals of two rows may be compared and their rows not paired.

Sources of the scores: see `hemiface.stats.metrics`; of the intervals: `hemiface.stats.inference`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.data.parts import read_whole
from hemiface.errors import UsageError
from hemiface.files import hash_json
from hemiface.stats.inference import interval
from hemiface.stats.metrics import why_undefined
from hemiface.stats.sample import Sample
from hemiface.tables import EMOTIONS, Predictions

__all__ = ["DATA_SET_COLUMNS", "SHOWN_METRICS", "data_sets", "read_data_sets"]

SHOWN_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
"""What is scored: accuracy, the mean recall of the classes present, macro F1."""

DATA_SET_COLUMNS = (
    "data_set",
    "protocol",
    "model",
    "condition",
    "metric",
    "value",
    "low",
    "high",
    "reason",
    "n",
    "groups",
    *(f"n_{emotion}" for emotion in EMOTIONS),
)
"""`model` is its ID, for tables of several sources may name and number theirs alike; `n` and
`n_<emotion>` count images, `groups` what is resampled: persons, or copies; `reason` says why there
is no value or interval."""


def data_sets(
    tables: Sequence[tuple[str, Predictions]],
    options: StatisticsOptions | None = None,
    *,
    protocol: str = "standard",
    metrics: Sequence[str] = SHOWN_METRICS,
) -> pd.DataFrame:
    """Score every model under every condition on every data set, with intervals.

    `tables` are names and Predictions of one data set each, as `read_data_sets` gives them.
    Columns: DATA_SET_COLUMNS, a row per metric. The interval is that of the draws of the data set's
    own groups. A class without images has n_<emotion> 0 and no say in the mean recall.

    Raises:
        UsageError: nothing is given, a cell occurs twice, the protocol has no image of a data set,
            or a metric is unknown.
    """
    if not tables:
        raise UsageError("No prediction table is named; name at least one.")
    rows = [_of_one(name, one, options, protocol, metrics) for name, one in tables]
    found = pd.concat(rows, ignore_index=True)[list(DATA_SET_COLUMNS)]
    twice = found[found.duplicated(["data_set", "model", "condition", "metric"])]
    if len(twice):
        name, model, condition = twice[["data_set", "model", "condition"]].iloc[0]
        raise UsageError(f"{model} under {condition} on {name} is given twice; give each once.")
    return found


def _of_one(
    name: str,
    predictions: Predictions,
    options: StatisticsOptions | None,
    protocol: str,
    metrics: Sequence[str],
) -> pd.DataFrame:
    sample = Sample.of(predictions, protocol, options)
    if sample.table.empty:
        raise UsageError(
            f"{name} has no image that protocol {protocol} scores; evaluate with --split test."
        )
    images = sample.table.drop_duplicates("image")
    counts = {f"n_{emotion}": int((images["label"] == emotion).sum()) for emotion in EMOTIONS}
    scores = sample.scores(metrics)
    level, groups = sample.options.level, sample.group_count
    rows = []
    for model, condition in sample.cells:
        labels = sample.labels[sample.places[model, condition]]
        bearing = sample.groups_of((model, condition))
        for metric, values in scores[model, condition].items():
            low, high, why = interval(values[1:], bearing, level, metric)
            rows.append(
                {
                    "data_set": name,
                    "protocol": protocol,
                    "model": model,
                    "condition": condition,
                    "metric": metric,
                    "value": float(values[0]),
                    "low": low,
                    "high": high,
                    "reason": why_undefined(metric, labels) or why,
                    "n": len(labels),
                    "groups": groups,
                    **counts,
                }
            )
    return pd.DataFrame(rows)


def read_data_sets(paths: Sequence[str | Path]) -> list[tuple[str, Predictions]]:
    """Return each data set of each prediction table under the name in its column `dataset`.

    Where two tables say of one name that other images or labels belong to it, such as FER2013 by
    two kinds of labels, what tells the tables apart stands behind it: the file's name, or the
    folder's too. The same stands behind a model's ID where two tables of one data set have it.

    Raises:
        DamagedError: a table is missing or damaged.
        UsageError: a table is given twice.
    """
    resolved = [Path(path).resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        raise UsageError("A table is given twice; give each once.")
    parts = [
        _Part(str(name), _called(path, resolved), replace(whole, table=rows))
        for path in resolved
        for whole in [read_whole(path)]
        for name, rows in whole.table.groupby("dataset", sort=False, observed=True)
    ]
    truths = {name: {one.truth for one in parts if one.name == name} for name, _, _ in parts}
    parts = [
        one._replace(name=f"{one.name} ({one.called})") if len(truths[one.name]) > 1 else one
        for one in parts
    ]
    return [(one.name, one.apart([other for other in parts if other is not one])) for one in parts]


class _Part(NamedTuple):
    """One data set of one table."""

    name: str
    called: str
    predictions: Predictions

    @property
    def truth(self) -> str:
        """The images with their labels and groups, as a hash."""
        images = self.predictions.table[["image", "split", "label", "group"]].drop_duplicates()
        return hash_json(images.sort_values("image").to_csv(index=False))

    def apart(self, others: Sequence["_Part"]) -> Predictions:
        """Return the Predictions, models that others of the data set have too named after both."""
        of_set = [one.predictions.table["model"] for one in others if one.name == self.name]
        known = {str(model) for models in of_set for model in models.unique()}
        table = self.predictions.table
        own = table["model"].astype("str")
        named = own.where(~own.isin(known), own + f" ({self.called})")
        return replace(self.predictions, table=table.assign(model=named))


def _called(path: Path, paths: Sequence[Path]) -> str:
    """Return what tells a table from the others: its file's name, and folders where needed."""

    def named(one: Path, folders: int) -> str:
        above = one.resolve().parent.parts
        return "/".join([*above[len(above) - folders :], one.stem])

    most = max(len(one.resolve().parent.parts) for one in paths)
    for folders in range(most):
        if [named(one, folders) for one in paths].count(named(path, folders)) == 1:
            return named(path, folders)
    return named(path, most)
