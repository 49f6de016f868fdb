"""Intervals: a cluster bootstrap of every metric, and the result tables that a study leaves.

What is resampled is `group` (near duplicates, or one person), never the row: images of one group
share their fate, so rows drawn one by one would pretend to more independent evidence than there is.
A draw is a vector of integer weights, how often each group was drawn, and every metric is a
function of weighted sums. So a draw needs no resampled table, and all metrics of all models under
all conditions are computed on the same draws (paired).

Sources: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 (percentile intervals);
Hesterberg 2015, The American Statistician 69 (expanded for small samples);
Field & Welsh 2007, Bootstrapping clustered data, JRSS B 69 (the cluster bootstrap).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.stats.metrics import (
    PROTOCOLS,
    class_scores,
    known_metrics,
    model_names,
    require_one_cell,
    select_protocol,
    why_undefined,
)
from hemiface.stats.scores import scores_over_draws
from hemiface.stats.significance import expanded_quantiles
from hemiface.tables import EMOTIONS, label_indices, probabilities

__all__ = [
    "MATRIX_COLUMNS",
    "Drawn",
    "Estimate",
    "Progress",
    "class_score_table",
    "draw_scores",
    "estimate",
    "group_weights",
    "matrix",
    "matrix_rows",
    "scores_over_draws",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Draws = npt.NDArray[np.int16]
Progress = Callable[[int, int], None]
Cell = tuple[str, str]
Scores = dict[str, Floats]
Item = TypeVar("Item")
Result = TypeVar("Result")

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
)
CLASS_COLUMNS = ("precision", "recall", "f1", "auc", "average_precision", "support")
ALL_PROTOCOLS = tuple(PROTOCOLS)

_THREADS = 4
MOST_UNDEFINED = 0.05
"""An interval is given if at most this share of the draws is undefined (they are left out)."""


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


@dataclass(frozen=True, eq=False)
class Drawn:
    """The scores of every cell of one protocol, all over the same draws of `groups` groups.

    names: `metrics.model_names`; sizes: images by (model ID, condition), in order of appearance;
    scores: metrics as float64 [1 + draws] by cell: the sample, then the draws.
    """

    protocol: str
    names: pd.DataFrame
    sizes: dict[Cell, int]
    scores: dict[Cell, Scores]
    groups: int

    @property
    def cells(self) -> list[Cell]:
        """The cells that have images."""
        return [cell for cell, size in self.sizes.items() if size]


def group_weights(groups: int, draws: int, seed: int = 0) -> Draws:
    """Return int16 [groups, draws]: how often each draw holds each group.

    A draw takes `groups` groups with replacement, so each column sums to `groups` (a multinomial
    sample). The same arguments give the same draws.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((groups, draws), dtype=np.int16)
    for draw in range(draws if groups else 0):
        weights[:, draw] = np.bincount(rng.integers(groups, size=groups), minlength=groups)
    return weights


def estimate(
    predictions: pd.DataFrame,
    metric: str,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return a metric of one model under one condition with its bootstrap percentile interval.

    Raises:
        UsageError: the metric is unknown, or the table holds more than one cell.

    """
    require_one_cell(predictions)
    check_options(draws, level)
    codes, count = group_codes(predictions)
    labels = label_indices(predictions)
    weights = sample_and_draws(count, draws, seed)
    scores = scores_over_draws(probabilities(predictions), labels, codes, weights, [metric])[metric]
    low, high, reason = interval(scores[1:], count, level)
    method = f"{level:.0%} percentile interval, {draws} bootstrap draws of {count} groups"
    why = why_undefined(metric, labels) or reason
    return Estimate(float(scores[0]), low, high, len(labels), method, why)


def matrix(
    predictions: pd.DataFrame,
    protocols: Sequence[str] = ALL_PROTOCOLS,
    metrics: Sequence[str] | None = None,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score every model under every condition by every protocol, with intervals.

    Columns: MATRIX_COLUMNS. `model` is what the model was trained on, `seed` its seed as text or
    `mean`; `n` counts images. low and high bound the central `level` of the draws: the uncertainty
    from the choice of test images. The rows with seed `mean` are the mean over the seeds, their
    interval that of the mean under the same draws; it is conditional on these very seeds, so it
    doesn't include how much another training would differ (compare the seeds' rows for that).
    `drop_from_full` is the value of the same model on condition `full` minus the value, for
    every metric: a drop in accuracy is positive, a rise in a loss negative; NaN without `full`.

    All cells of a protocol share one set of draws. A cell without images under a protocol has its
    rows all the same, with n = 0 and NaN. `progress(done, total)` is called after every cell.

    Raises:
        UsageError: an unknown protocol or metric, a bad option, or two models with one name and
            seed.

    """
    check_options(draws, level)
    tables = []
    for index, protocol in enumerate(protocols):

        def count(done: int, total: int, before: int = index) -> None:
            if progress:
                progress(before * total + done, len(protocols) * total)

        drawn = draw_scores(predictions, protocol, metrics, draws=draws, seed=seed, progress=count)
        tables.append(matrix_rows(drawn, level))
    if not tables:
        return pd.DataFrame(columns=list(MATRIX_COLUMNS))
    return pd.concat(tables, ignore_index=True)


def draw_scores(
    predictions: pd.DataFrame,
    protocol: str,
    metrics: Sequence[str] | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Drawn:
    """Score every cell of one protocol over the sample and over `draws` draws of groups.

    Options and errors as in `matrix`.
    """
    chosen = known_metrics(metrics)
    check_options(draws, 0.5)
    names = unique_names(predictions)
    cells = present_cells(predictions)
    selected = select_protocol(predictions, protocol)
    _, groups = group_codes(selected)
    sizes: dict[Cell, int] = {}
    found: dict[Cell, Scores] = {}
    scored = score_cells(selected, cells, chosen, draws, seed)
    for done, (cell, n, scores) in enumerate(scored, start=1):
        sizes[cell], found[cell] = n, scores
        if progress:
            progress(done, len(cells))
    return Drawn(protocol, names, sizes, found, groups)


def matrix_rows(drawn: Drawn, level: float = 0.95) -> pd.DataFrame:
    """Return the rows of `matrix` about one protocol."""
    rows = _matrix_rows(drawn, level)
    return pd.DataFrame(rows, columns=list(MATRIX_COLUMNS))


def class_score_table(
    predictions: pd.DataFrame, protocols: Sequence[str] = ALL_PROTOCOLS
) -> pd.DataFrame:
    """Score every emotion for every model under every condition by every protocol.

    Columns: protocol, model, seed, condition, emotion, then CLASS_COLUMNS as in
    `metrics.class_scores` (NaN where undefined; support 0 for an emotion without images). Models
    and seeds as in `matrix`; with seed `mean`, scores are means over the seeds.

    Raises:
        UsageError: an unknown protocol, or two models with one name and seed.

    """
    names = unique_names(predictions)
    cells = present_cells(predictions)
    every = pd.DataFrame(cells, columns=["model", "condition"]).merge(
        pd.DataFrame({"emotion": EMOTIONS}), how="cross"
    )
    columns = ["protocol", "model", "seed", "condition", "emotion", *CLASS_COLUMNS]
    tables = [pd.DataFrame(columns=columns)] if every.empty else []
    for protocol in protocols:
        scores = class_scores(select_protocol(predictions, protocol)).set_index(list(every))
        scores = scores[list(CLASS_COLUMNS)].reindex(pd.MultiIndex.from_frame(every)).astype(float)
        scores["support"] = scores["support"].fillna(0).astype(np.int64)
        found = dict(list(scores.groupby(level=["model", "condition"], sort=False)))
        for name, condition, seed, members in _with_means(names, cells):
            parts = [found[model, condition].droplevel(["model", "condition"]) for model in members]
            # Summed, not averaged by pandas: a NaN of one seed must make the mean NaN.
            mean = sum(parts[1:], start=parts[0]) / len(parts)
            mean["support"] = parts[0]["support"]
            key = {"protocol": protocol, "model": name, "seed": seed, "condition": condition}
            tables.append(mean.reset_index().assign(**key))
    return pd.concat(tables, ignore_index=True)[columns]


def score_cells(
    selected: pd.DataFrame, cells: list[Cell], chosen: tuple[str, ...], draws: int, seed: int
) -> Iterator[tuple[Cell, int, Scores]]:
    """Yield each cell, its number of images and its scores [1 + draws]: the sample, then draws."""
    values, labels = probabilities(selected), label_indices(selected)
    codes, count = group_codes(selected)
    weights = sample_and_draws(count, draws, seed)
    places = selected.groupby(["model", "condition"], observed=True).indices

    def score(cell: Cell) -> tuple[Cell, int, Scores]:
        rows = places.get(cell, np.empty(0, dtype=np.int64))
        if not len(rows):
            return cell, 0, {name: np.full(1 + draws, np.nan) for name in chosen}
        scores = scores_over_draws(values[rows], labels[rows], codes[rows], weights, chosen)
        return cell, len(rows), scores

    yield from in_threads(score, cells)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield function(item) for every item, in order, several at a time.

    For work in numpy and scipy, which let other threads run meanwhile.
    """
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        yield from pool.map(function, items)


def _matrix_rows(drawn: Drawn, level: float) -> Iterator[tuple[Any, ...]]:
    found = drawn.scores
    for name, condition, seed, members in _with_means(drawn.names, list(found)):
        n = min(drawn.sizes[model, condition] for model in members)
        for metric in found[members[0], condition]:
            scores = _mean_scores(found, members, condition, metric)
            low, high, _ = interval(scores[1:], drawn.groups, level)
            has_full = all((model, "full") in found for model in members)
            full = _mean_scores(found, members, "full", metric)[0] if has_full else np.nan
            value, drop = float(scores[0]), float(full - scores[0])
            key = (drawn.protocol, name, seed, condition, metric)
            yield *key, value, low, high, n, drop


def _mean_scores(
    found: dict[Cell, Scores], models: list[str], condition: str, metric: str
) -> Floats:
    """Return [1 + draws]: draw d of the mean is the mean of the models' draw d."""
    return np.asarray(np.mean([found[model, condition][metric] for model in models], axis=0))


def _with_means(
    names: pd.DataFrame, cells: list[Cell]
) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield (name, condition, seed, model IDs) for each seed in order, then for `mean`."""
    present = set(cells)
    conditions = list(dict.fromkeys(condition for _, condition in cells))
    for name, models in names.groupby("name", sort=False):
        models = models.sort_values("seed")
        singles = [(str(one.seed), [one.model]) for one in models.itertuples()]
        for seed, members in [*singles, ("mean", list(models["model"]))]:
            for condition in conditions:
                having = [model for model in members if (model, condition) in present]
                if having:
                    yield str(name), condition, seed, having


def interval(scores: Floats, groups: int, level: float) -> tuple[float, float, str]:
    """Return the expanded percentile interval of the defined draws, or NaN, NaN and the reason."""
    if groups < 2:
        return np.nan, np.nan, "fewer than two groups to resample"
    defined = scores[np.isfinite(scores)]
    undefined = len(scores) - len(defined)
    if undefined > MOST_UNDEFINED * len(scores):
        return np.nan, np.nan, f"undefined in {undefined} of {len(scores)} draws"
    low, high = np.quantile(defined, expanded_quantiles(level, groups))
    return float(low), float(high), ""


def sample_and_draws(groups: int, draws: int, seed: int) -> Draws:
    """Return int16 [groups, 1 + draws]; column 0 weighs every group once: the sample itself."""
    sample = np.ones((groups, 1), dtype=np.int16)
    return np.hstack([sample, group_weights(groups, draws, seed)])


def group_codes(table: pd.DataFrame) -> tuple[Ints, int]:
    """Return each row's group as an index, sorted so that the rows' order doesn't matter."""
    codes, known = pd.factorize(table["group"], sort=True)
    return codes.astype(np.int64), len(known)


def present_cells(predictions: pd.DataFrame) -> list[Cell]:
    """Return each (model, condition) in order of appearance."""
    cells = predictions[["model", "condition"]].drop_duplicates()
    return list(cells.itertuples(index=False, name=None))


def unique_names(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return `metrics.model_names`.

    Raises:
        UsageError: two models have one name and seed.

    """
    names = model_names(predictions)
    twice = names.duplicated(["name", "seed"], keep=False)
    if twice.any():
        both = names[twice]
        raise UsageError(
            f"Models {', '.join(both['model'])} are all {both['name'].iloc[0]} with seed "
            f"{both['seed'].iloc[0]}; give each its own seed."
        )
    return names


def check_options(draws: int, level: float) -> None:
    """Raise UsageError unless draws >= 1 and 0 < level < 1."""
    if draws < 1 or not 0 < level < 1:
        raise UsageError(f"draws must be 1 or more and level in (0, 1), got {draws} and {level}.")
