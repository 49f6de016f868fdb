"""Answering only when confident: risk-coverage curves, and thresholds that keep a promised risk.

A predictor that answers only where its largest probability reaches a threshold covers a share of
the images (coverage) and errs on a share of those it answers (risk).

Source: Geifman & El-Yaniv 2017, Selective classification for deep neural networks, NeurIPS (curves,
and thresholds with a guaranteed risk, their algorithm 1); Geifman, Uziel & El-Yaniv 2019,
Bias-reduced uncertainty estimation, ICLR (AURC and its excess over the best possible order).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from hemiface.errors import UsageError
from hemiface.stats.calibration import apply_temperatures, held_out, names_and_seeds
from hemiface.stats.inference import align
from hemiface.stats.matrix import check_options, interval, sample_and_draws
from hemiface.stats.metrics import ratio
from hemiface.tables import label_indices, probabilities

__all__ = [
    "CURVE_POINTS",
    "aurc",
    "guaranteed_threshold",
    "risk_coverage",
    "risk_coverage_table",
    "threshold_for_risk",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CURVE_POINTS = 100
"""Points of each curve in the table; areas are of the whole curve."""


def risk_coverage(confidence: Floats, correct: Bools) -> tuple[Floats, Floats, Floats]:
    """Return threshold, coverage and risk, each [distinct confidences], the highest first.

    Row k answers the images whose confidence is at least the threshold; images of equal confidence
    are answered together, so their order doesn't matter.
    """
    order = np.argsort(-confidence, kind="stable")
    last = _last_of_ties(confidence[order])
    answered = last + 1.0
    errors = np.cumsum(~correct[order])[last]
    return confidence[order][last], answered / len(order), errors / answered


def aurc(confidence: Floats, correct: Bools) -> tuple[float, float]:
    """Return the area under the risk-coverage curve and its excess over the best order's.

    AURC is the mean, over all n images, of the risk when exactly the images at least as confident
    are answered; lower is better. The excess is 0 where every error is less confident than every
    hit. NaN without images.
    """
    if not len(confidence):
        return np.nan, np.nan
    weights = np.ones((len(confidence), 1))
    area = float(_areas(confidence, correct, weights)[0])
    ideal = np.where(correct, 1.0, 0.0) - np.arange(len(correct)) / len(correct) / 2
    best = float(_areas(ideal, correct, weights)[0])
    return area, area - best


def risk_coverage_table(
    predictions: pd.DataFrame,
    temperatures: pd.DataFrame,
    *,
    protocol: str = "standard",
    calibration: str = "by visibility",
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the risk-coverage curve of every model and condition, and the areas under them.

    Curves: model (name), seed, condition, threshold, coverage, risk: at most CURVE_POINTS rows
    each, the last answers everything. Areas: model, seed, condition, aurc, low, high (percentile
    interval over groups), excess_aurc, n, reason.

    Raises:
        UsageError: as `calibration.calibration_scores`.

    """
    check_options(draws, level)
    selected = held_out(predictions, protocol)
    names = names_and_seeds(predictions)
    aligned = align(selected)
    confidence, correct = _answers(apply_temperatures(selected, temperatures, calibration))
    weights = sample_and_draws(aligned.group_count, draws, seed)[aligned.groups].astype(np.float32)
    curves, areas = [], []
    for (model, condition), places in zip(aligned.cells, aligned.rows, strict=True):
        key = (*names[model], condition)
        curve = risk_coverage(confidence[places], correct[places])
        steps = np.linspace(0, len(curve[0]) - 1, min(CURVE_POINTS, len(curve[0])))
        points = np.rint(steps).astype(np.int64)
        curves += [(*key, *point) for point in zip(*(part[points] for part in curve), strict=True)]
        area, excess = aurc(confidence[places], correct[places])
        drawn = _areas(confidence[places], correct[places], weights[:, 1:])
        low, high, reason = interval(drawn, aligned.group_count, level)
        areas.append((*key, area, low, high, excess, len(places), reason))
    start = ["model", "seed", "condition"]
    return (
        pd.DataFrame(curves, columns=[*start, "threshold", "coverage", "risk"]),
        pd.DataFrame(areas, columns=[*start, "aurc", "low", "high", "excess_aurc", "n", "reason"]),
    )


def threshold_for_risk(
    predictions: pd.DataFrame,
    risk: float,
    *,
    assurance: float | None = 0.95,
    protocol: str = "standard",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Choose per model and condition the least confidence at which errors stay below `risk`.

    The threshold is chosen on validation images: with `assurance`, as the one that covers most and
    whose risk stays at or below `risk` with that probability (`guaranteed_threshold`); with None,
    as the one that covers most at an observed risk of at most `risk`. What it achieves is measured
    on the protocol's images. Give it the table that the predictor's confidences come from:
    recalibrated by `calibration.apply_temperatures` if the predictor is.

    Columns: model (name), seed, condition, target, assurance, threshold, validation_coverage,
    validation_risk, risk, risk_low, risk_high, coverage, coverage_low, coverage_high (achieved,
    percentile intervals over groups), n (images of the protocol), reason. Where no threshold keeps
    the risk, it and all that depends on it are NaN and `reason` says so.

    Raises:
        UsageError: `risk` or `assurance` isn't in (0, 1), there are no validation images, or as
            `calibration.calibration_scores`.

    """
    check_options(draws, level)
    for what, share in (
        ("A risk", risk),
        ("An assurance", 0.5 if assurance is None else assurance),
    ):
        if not 0 < share < 1:
            raise UsageError(f"{what} must lie between 0 and 1, got {share}.")
    validation = predictions[predictions["split"] == "validation"]
    if validation.empty:
        raise UsageError(
            "Thresholds are chosen on validation images and there are none; "
            "evaluate with --split validation --split test."
        )
    tested = held_out(predictions, protocol)
    names = names_and_seeds(predictions)
    chosen, aligned = align(validation), align(tested)
    weights = sample_and_draws(aligned.group_count, draws, seed)[aligned.groups].astype(np.float32)
    known, answers = _answers(validation), _answers(tested)
    rows: list[tuple[Any, ...]] = []
    for cell, places in zip(aligned.cells, aligned.rows, strict=True):
        own = chosen.at(*cell)
        fit = guaranteed_threshold(known[0][own], known[1][own], risk, assurance)
        confidence, correct = (part[places] for part in answers)
        answered = confidence >= fit[0]
        total = weights.sum(axis=0, dtype=np.float64)
        covered = weights[answered].sum(axis=0, dtype=np.float64)
        missed = weights[answered & ~correct].sum(axis=0, dtype=np.float64)
        reason = "" if np.isfinite(fit[0]) else "no threshold keeps this risk on validation images"
        scores = []
        for drawn in (ratio(missed, covered), covered / total):
            low, high, why = interval(drawn[1:], aligned.group_count, level)
            reason = reason or why
            scores += [drawn[0], low, high] if np.isfinite(fit[0]) else [np.nan] * 3
        start = (*names[cell[0]], cell[1], risk, np.nan if assurance is None else assurance)
        rows.append((*start, *fit, *scores, len(places), reason))
    columns = ["model", "seed", "condition", "target", "assurance", "threshold"]
    columns += ["validation_coverage", "validation_risk", "risk", "risk_low", "risk_high"]
    columns += ["coverage", "coverage_low", "coverage_high", "n", "reason"]
    return pd.DataFrame(rows, columns=columns)


def guaranteed_threshold(
    confidence: Floats, correct: Bools, risk: float, assurance: float | None = 0.95
) -> tuple[float, float, float]:
    """Return threshold, coverage and observed risk on the images given; NaN if there is none.

    With `assurance` 1 - d: Geifman & El-Yaniv's selection with guaranteed risk. A binary search
    over the sorted confidences tests about log2 n thresholds, each at d / log2 n (Bonferroni), by
    the exact binomial bound on the risk; with probability 1 - d the true risk of the result is at
    most `risk`, for images of the same kind that are independent. With None, the threshold that
    covers most at an observed risk of at most `risk`, which new images exceed about every other
    time.
    """
    missing = np.nan, np.nan, np.nan
    if not len(confidence):
        return missing
    thresholds, coverage, observed = risk_coverage(confidence, correct)
    if assurance is None:
        kept = np.flatnonzero(observed <= risk)
        return _point(thresholds, coverage, observed, int(kept[-1])) if len(kept) else missing
    answered = np.rint(coverage * len(confidence))
    errors = np.rint(observed * answered)
    rounds = int(np.ceil(np.log2(len(thresholds)))) + 1
    low, high, best = 0, len(thresholds) - 1, -1
    for _ in range(rounds):
        if low > high:
            break
        middle = (low + high + 1) // 2
        bound = _risk_bound(errors[middle], answered[middle], (1 - assurance) / rounds)
        if bound <= risk:
            best, low = max(best, middle), middle + 1
        else:
            high = middle - 1
    return missing if best < 0 else _point(thresholds, coverage, observed, best)


def _risk_bound(errors: float, answered: float, chance: float) -> float:
    """Return the upper Clopper-Pearson bound of a risk: exceeded with probability `chance`."""
    if errors >= answered:
        return 1.0
    return float(stats.beta.ppf(1 - chance, errors + 1, answered - errors))


def _point(
    thresholds: Floats, coverage: Floats, observed: Floats, place: int
) -> tuple[float, float, float]:
    return float(thresholds[place]), float(coverage[place]), float(observed[place])


def _answers(predictions: pd.DataFrame) -> tuple[Floats, Bools]:
    values = probabilities(predictions)
    return values.max(axis=1), values.argmax(axis=1) == label_indices(predictions)


def _areas(confidence: Floats, correct: Bools, weights: npt.NDArray[Any]) -> Floats:
    """Return AURC [draws] for weights [n, draws], with ties answered together."""
    order = np.argsort(-confidence, kind="stable")
    starts, last = _starts_of_ties(confidence[order]), _last_of_ties(confidence[order])
    drawn = weights[order]
    answered = np.cumsum(drawn, axis=0, dtype=np.float64)[last]
    errors = np.cumsum(drawn * ~correct[order][:, None], axis=0, dtype=np.float64)[last]
    share = np.add.reduceat(drawn, starts, axis=0)
    risk = np.divide(errors, answered, out=np.zeros_like(errors), where=answered > 0)
    return np.asarray(ratio((risk * share).sum(axis=0), answered[-1]))


def _last_of_ties(falling: Floats) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.append(falling[1:] != falling[:-1], True)).astype(np.int64)


def _starts_of_ties(falling: Floats) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.append(True, falling[1:] != falling[:-1])).astype(np.int64)
