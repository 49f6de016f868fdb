"""One cell over many draws: every metric as a function of weighted sums over groups.

What `Sample.scores` does a thousand times for hundreds of cells, so most of a report's time is
spent here. Sums of whole weights are exact in float32, which halves what has to be moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hemiface.stats.metrics import (
    CLASSES,
    ECE_BINS,
    FROM_COUNTS,
    average_auc,
    brier_losses,
    calibration_gaps,
    ece_of_gaps,
    known_metrics,
    log_losses,
    paper_excess,
    ratio,
)

__all__ = ["emotion_aucs_over_draws", "scores_of_counts", "scores_over_draws"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[Any]
"""Sums of weights, in the type that `_counting_type` chose."""
CountType = type[np.float32] | type[np.float64]
Scores = dict[str, Floats]

_BLOCK = 128
"""Draws computed at a time: the arrays of one block (8 MB for 7,178 images) stay in the cache."""

_ROWS = 16
"""Rows that `_running_sum` adds up at a time."""

_CLASS_AUCS = {"weighted_auc", "weighted_auc_paper", "macro_auc"}


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
    weights `weights[groups, d]`, or for rows repeated that often; but `weighted_auc_paper` is the
    draw's `weighted_auc` plus what lies between the two for the images as they are, for the curves'
    points, whose number makes the difference (1e-5 for thousands of images), are those of the data.

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


def emotion_aucs_over_draws(
    values: Floats, labels: Ints, groups: Ints, weights: npt.NDArray[Any]
) -> Floats:
    """Return the AUC of each emotion against all others, float64 [7, draws]; NaN where undefined.

    Arguments as `scores_over_draws`.
    """
    counting = _counting_type(weights, len(labels))
    found = np.empty((CLASSES, weights.shape[1]))
    for index in range(CLASSES):
        positive = labels == index
        one = _ranking(values[:, index], positive, groups, len(weights), counting)
        for start in range(0, weights.shape[1], _BLOCK):
            block = slice(start, start + _BLOCK)
            found[index, block] = _areas(one, weights[:, block].astype(counting))
    return found


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
    paper_excess: float
    """What `weighted_auc_paper` is above `weighted_auc`, of the images as they are."""
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
    excess = 0.0
    if "weighted_auc_paper" in chosen:
        excess = paper_excess(values, labels)
    return _CellSums(
        chosen=chosen,
        confusions=_sparse(one, cells, groups, CLASSES**2, count),
        gaps=_sparse(gaps, bins, groups, ECE_BINS, count),
        losses=np.stack([np.bincount(groups, each, count) for each in losses]),
        rankings=rankings,
        micro=micro,
        paper_excess=excess,
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
    counts = _counts(cell.confusions @ weights)
    found = _of_sums(cell.chosen, counts, cell.gaps, cell.losses, exact)
    support = counts.sum(axis=-1)
    if cell.rankings:
        areas = np.stack([_areas(one, weights) for one in cell.rankings], axis=-1)
        found |= {name: average_auc(name, areas, support) for name in ("weighted_auc", "macro_auc")}
        found["weighted_auc_paper"] = np.minimum(found["weighted_auc"] + cell.paper_excess, 1)
    if cell.micro:
        found["micro_auc"] = _areas(cell.micro, weights)
    return {name: found[name] for name in cell.chosen}


def scores_of_counts(
    metrics: Sequence[str], confusions: Floats, gaps: Floats, losses: Floats, weights: Floats
) -> Scores:
    """Return those of `metrics` that sums over groups tell, each float64 [draws].

    confusions: [49, groups]; gaps: [bins, groups]; losses (log, Brier): [2, groups]; weights:
    float64 [groups, draws]. Areas under curves aren't among them.
    """
    found = _of_sums(metrics, _counts(confusions @ weights), gaps, losses, weights)
    return {name: found[name] for name in metrics if name in found}


def _counts(sums: Any) -> Floats:
    """Return sums [49, draws] as confusion counts [draws, 7, 7]."""
    return np.asarray(sums.T, dtype=np.float64).reshape(-1, CLASSES, CLASSES)


def _of_sums(
    chosen: Sequence[str], counts: Floats, gaps: Any, losses: Floats, weights: Floats
) -> Scores:
    """Return both losses, and what else is chosen of counts [draws, 7, 7] and the ECE."""
    total = counts.sum(axis=-1).sum(axis=-1)
    log_loss, brier = losses @ weights
    found: Scores = {"log_loss": ratio(log_loss, total), "brier_score": ratio(brier, total)}
    if "ece" in chosen:
        found["ece"] = ece_of_gaps(np.asarray((gaps @ weights).T), total)
    return found | {
        name: formula(counts) for name, formula in FROM_COUNTS.items() if name in chosen
    }


def _areas(ranking: _Ranking, weights: Counts) -> Floats:
    """Return the AUC [draws].

    It is the share of pairs in which the positive scores more, ties counting half (Hanley & McNeil
    1982), so it is 1 minus the weight of the pairs lost.
    """
    hits = ranking.hits_over(weights)
    above = _running_sum(ranking.passed @ weights)
    tied = ranking.tied @ weights
    positives, negatives = hits.sum(axis=0, dtype=np.float64), ranking.negatives @ weights
    lost = _dot(hits, above)
    if len(ranking.tied_rows):
        lost += _dot(hits[ranking.tied_rows], tied) / 2
    return 1 - ratio(lost, positives * negatives)


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
