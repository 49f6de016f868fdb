"""Intervals: a cluster bootstrap of every metric, and the result tables that a study leaves.

What is resampled is `group` (near duplicates, or one person), never the row: images of one group
share their fate, so rows drawn one by one would pretend to more independent evidence than there is.
A draw is a vector of integer weights, how often each group was drawn, and every metric is a
function of weighted sums. So a draw needs no resampled table, and all metrics of all models under
all conditions are computed on the same draws (paired).

Sources: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 (percentile intervals);
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
from scipy import sparse

from hemiface.errors import UsageError
from hemiface.metrics import (
    CLASSES,
    ECE_BINS,
    FROM_COUNTS,
    PAPER_GRID,
    PROTOCOLS,
    average_auc,
    brier_losses,
    calibration_gaps,
    class_scores,
    ece_of_gaps,
    known_metrics,
    log_losses,
    model_names,
    ratio,
    require_one_cell,
    select_protocol,
    why_undefined,
)
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
Counts = npt.NDArray[Any]
"""Sums of weights, in the type that `_counting_type` chose."""
CountType = type[np.float32] | type[np.float64]
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

_BLOCK = 128
"""Draws computed at a time: the arrays of one block (8 MB for 7,178 images) stay in the cache."""

_THREADS = 4
_ROWS = 16
"""Rows that `_running_sum` adds up at a time."""

MOST_UNDEFINED = 0.05
"""An interval is given if at most this share of the draws is undefined (they are left out)."""


_CLASS_AUCS = {"weighted_auc", "weighted_auc_paper", "macro_auc"}


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


def scores_over_draws(
    values: Floats,
    labels: Ints,
    groups: Ints,
    weights: npt.NDArray[Any],
    metrics: Sequence[str] | None = None,
) -> Scores:
    """Return each metric as float64 [draws], NaN in the draws where it is undefined.

    values: probabilities [n, 7]; labels: int [n] in 0..6; groups: int [n], each image's row of
    `weights` [groups, draws] (>= 0). Column d gives what the metric's function gives for the
    weights `weights[groups, d]`, or for rows repeated that often.

    Raises:
        UsageError: a metric is unknown.

    """
    chosen = known_metrics(metrics)
    counting = _counting_type(weights, len(labels))
    cell = _prepare(values, labels, groups, len(weights), chosen, counting)
    scores = {name: np.empty(weights.shape[1]) for name in chosen}
    for start in range(0, weights.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        for name, found in _block_scores(cell, weights[:, block]).items():
            scores[name][block] = found
    return scores


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


# Draws of one cell.


@dataclass(frozen=True)
class _Ranking:
    """Who ranks above whom when one class's probability is the score, as sparse sums over groups.

    Row k belongs to the k-th largest of the distinct scores of positives. hits: positives with that
    score (where each row has one: int [rows], its group); passed: negatives that score less than
    row k-1 (or equal) but more than row k; their running sum is the weight above row k. tied:
    negatives whose score equals that of row `tied_rows`. negatives [groups]: all of them.
    """

    hits: sparse.csr_array | Ints
    passed: sparse.csr_array
    tied: sparse.csr_array
    tied_rows: Ints
    negatives: Floats

    def hits_over(self, weights: Counts) -> Counts:
        """Return the weight of the positives of each row: [rows, draws]."""
        if isinstance(self.hits, np.ndarray):
            return np.asarray(weights[self.hits])
        return np.asarray(self.hits @ weights)


@dataclass(frozen=True)
class _CellSums:
    """Everything about one cell's images that the chosen metrics need, ready for any weights.

    confusions [49, groups] and gaps [bins, groups] are sparse, losses float64 [2, groups];
    `counting` is the type in which weights are added up.
    """

    chosen: tuple[str, ...]
    confusions: sparse.csr_array
    gaps: sparse.csr_array
    losses: Floats
    rankings: tuple[_Ranking, ...]
    micro: _Ranking | None
    counting: CountType


def _counting_type(weights: npt.NDArray[Any], images: int) -> CountType:
    """Return float32 where it holds every sum of weights exactly: whole numbers below 2^24."""
    whole = np.issubdtype(weights.dtype, np.integer) and weights.size
    # micro_auc counts each image's seven decisions.
    return np.float32 if whole and CLASSES * images * int(weights.max()) < 2**24 else np.float64


def _prepare(
    values: Floats,
    labels: Ints,
    groups: Ints,
    count: int,
    chosen: tuple[str, ...],
    counting: CountType,
) -> _CellSums:
    bins, gaps = calibration_gaps(values, labels)
    cells = labels * CLASSES + values.argmax(axis=1)
    one = np.ones(len(labels), dtype=counting)
    losses = (log_losses(values, labels), brier_losses(values, labels))
    truth = labels[:, None] == np.arange(CLASSES)
    ranked = CLASSES if _CLASS_AUCS & set(chosen) else 0
    rankings = tuple(
        _ranking(values[:, index], truth[:, index], groups, count, counting)
        for index in range(ranked)
    )
    micro = None
    if "micro_auc" in chosen:
        repeated = np.repeat(groups, CLASSES)
        micro = _ranking(values.ravel(), truth.ravel(), repeated, count, counting)
    return _CellSums(
        chosen=chosen,
        confusions=_sparse(one, cells, groups, CLASSES**2, count),
        gaps=_sparse(gaps, bins, groups, ECE_BINS, count),
        losses=np.stack([np.bincount(groups, each, count) for each in losses]),
        rankings=rankings,
        micro=micro,
        counting=counting,
    )


def _ranking(
    scores: Floats,
    positive: npt.NDArray[np.bool_],
    groups: Ints,
    count: int,
    counting: CountType,
) -> _Ranking:
    losses = -scores
    levels, rows = np.unique(losses[positive], return_inverse=True)
    others, owners = losses[~positive], groups[~positive]
    # side="right": an equal negative is above only the rows after the one it is tied with.
    first = np.searchsorted(levels, others, side="right")
    equal = np.searchsorted(levels, others, side="left")
    is_tied = first > equal
    tied_rows, tied_index = np.unique(equal[is_tied], return_inverse=True)
    kept = first < len(levels)
    size = len(levels)

    def ones(number: int) -> Counts:
        return np.ones(number, dtype=counting)

    hits: sparse.csr_array | Ints
    if size == len(rows):
        hits = np.empty(size, dtype=np.int64)
        hits[rows] = groups[positive]
    else:
        hits = _sparse(ones(len(rows)), rows, groups[positive], size, count)
    tied = _sparse(ones(len(tied_index)), tied_index, owners[is_tied], len(tied_rows), count)
    return _Ranking(
        hits=hits,
        passed=_sparse(ones(int(kept.sum())), first[kept], owners[kept], size, count),
        tied=tied,
        tied_rows=tied_rows.astype(np.int64),
        negatives=np.bincount(owners, minlength=count).astype(np.float64),
    )


def _sparse(data: Counts, rows: Ints, columns: Ints, height: int, width: int) -> sparse.csr_array:
    return sparse.csr_array((data, (rows, columns)), shape=(height, width))


def _block_scores(cell: _CellSums, weights: npt.NDArray[Any]) -> Scores:
    """Return the chosen metrics as [draws] for weights [groups, draws]."""
    exact, weights = weights.astype(np.float64), weights.astype(cell.counting)
    counts = np.asarray((cell.confusions @ weights).T, dtype=np.float64)
    counts = counts.reshape(-1, CLASSES, CLASSES)
    support = counts.sum(axis=-1)
    total = support.sum(axis=-1)
    log_loss, brier = cell.losses @ exact
    found: Scores = {"log_loss": ratio(log_loss, total), "brier_score": ratio(brier, total)}
    if "ece" in cell.chosen:
        found["ece"] = ece_of_gaps(np.asarray((cell.gaps @ exact).T), total)
    found |= {name: formula(counts) for name, formula in FROM_COUNTS.items() if name in cell.chosen}
    if cell.rankings:
        pairs = [_areas(one, weights, "weighted_auc_paper" in cell.chosen) for one in cell.rankings]
        areas, paper_areas = (np.stack(both, axis=-1) for both in zip(*pairs, strict=True))
        found |= {name: average_auc(name, areas, support) for name in ("weighted_auc", "macro_auc")}
        found["weighted_auc_paper"] = average_auc("weighted_auc_paper", paper_areas, support)
    if cell.micro:
        found["micro_auc"] = _areas(cell.micro, weights, False)[0]
    return {name: found[name] for name in cell.chosen}


def _areas(ranking: _Ranking, weights: Counts, with_paper: bool) -> tuple[Floats, Floats]:
    """Return the AUC [draws] and the area on the paper's grid [draws] (NaN unless asked for).

    AUC is the share of pairs in which the positive scores more, ties counting half (Hanley &
    McNeil 1982), so it is 1 minus the weight of the pairs lost.
    """
    hits = ranking.hits_over(weights)
    above = _running_sum(ranking.passed @ weights)
    tied = ranking.tied @ weights
    positives, negatives = hits.sum(axis=0, dtype=np.float64), ranking.negatives @ weights
    lost = _dot(hits, above)
    if len(ranking.tied_rows):
        lost += _dot(hits[ranking.tied_rows], tied) / 2
    auc = 1 - ratio(lost, positives * negatives)
    if not with_paper:
        return auc, np.full_like(auc, np.nan)
    rows = ranking.tied_rows
    gained, at_zero = _on_grid(hits, above, negatives)
    more, less = _tie_correction(hits[rows], above[rows], tied, negatives)
    heights = ratio(gained + more, positives)
    ends = ratio(at_zero - less, positives) + 1
    paper = (heights - ends / 2) / (len(PAPER_GRID) - 1)
    return auc, np.where(negatives > 0, paper, np.nan)


def _dot(first: Counts, second: Counts) -> Floats:
    return np.asarray(np.einsum("kd,kd->d", first, second, dtype=np.float64))


def _running_sum(values: Counts) -> Counts:
    """Return np.cumsum(values, axis=0), five times as fast: sums of 16 rows are products."""
    rows, draws = values.shape
    if rows < 2 * _ROWS:
        return np.cumsum(values, axis=0)
    blocks = np.zeros((-(-rows // _ROWS), _ROWS, draws), dtype=values.dtype)
    blocks.reshape(-1, draws)[:rows] = values
    sums = np.matmul(np.tri(_ROWS, dtype=values.dtype), blocks)
    sums[1:] += np.cumsum(sums[:-1, -1], axis=0)[:, None]
    running: Counts = sums.reshape(-1, draws)[:rows]
    return running


def _on_grid(hits: Counts, above: Counts, negatives: Floats) -> tuple[Floats, Floats]:
    """Return the sum over PAPER_GRID of the ROC curve's height, and its height at 0: both [draws].

    Without ties the curve is a staircase: a positive lifts every grid point at or beyond the false
    positive rate at which it is reached. Heights are in weight of positives.
    """
    reached = len(PAPER_GRID) - _grid_points_before(above, negatives)
    return _dot(hits, reached), _dot(hits, (above == 0).astype(np.float64))


def _tie_correction(
    hits: Counts, above: Counts, tied: Counts, negatives: Floats
) -> tuple[Floats, Floats]:
    """Return what ties change in both results of `_on_grid`: positives tied with negatives.

    There the curve climbs a slope from the rate of the negatives above to that of those above or
    tied, instead of a step at the former. Shapes [tied rows, draws] -> [draws].
    """
    start = _grid_points_before(above, negatives).astype(np.int64)
    end = _grid_points_before(above + tied, negatives).astype(np.int64)
    until = np.concatenate([[0.0], np.cumsum(PAPER_GRID)])
    size = np.where(negatives > 0, negatives, 1)
    climbed = until[end] - until[start] - (end - start) * above / size
    slope = ratio(climbed * size, tied)
    change = np.where(tied > 0, slope - (end - start), 0.0)
    return _dot(hits, change), _dot(hits, ((above == 0) & (tied > 0)).astype(np.float64))


def _grid_points_before(above: Counts, negatives: Floats) -> Floats:
    """Return how many points of PAPER_GRID lie below the rate above / negatives (0 if undefined).

    Exactly `np.searchsorted(PAPER_GRID, rate)`, ten times as fast: only where the product is
    next to a whole number can rounding tip the comparison, and those few are searched.
    """
    rate = above / np.where(negatives > 0, negatives, 1)
    steps = rate * (len(PAPER_GRID) - 1)
    before = np.ceil(steps)
    doubtful = np.abs(before - steps - 0.5) > 0.5 - 1e-6
    doubtful &= above > 0
    before[doubtful] = np.searchsorted(PAPER_GRID, rate[doubtful])
    return before


# Tables.


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
    """Return the central `level` of the defined draws, or NaN, NaN and the reason."""
    if groups < 2:
        return np.nan, np.nan, "fewer than two groups to resample"
    defined = scores[np.isfinite(scores)]
    undefined = len(scores) - len(defined)
    if undefined > MOST_UNDEFINED * len(scores):
        return np.nan, np.nan, f"undefined in {undefined} of {len(scores)} draws"
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
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
