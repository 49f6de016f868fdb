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
from hemiface.stats.calibration import held_out, scaled_values
from hemiface.stats.inference import interval
from hemiface.stats.metrics import ratio
from hemiface.stats.sample import Sample
from hemiface.tables import Predictions

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

_MOST_DRAWS = 200
_FITTED = ("threshold", "validation_coverage", "validation_risk")


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
    are answered; lower is better. By the source's definition, which is over thresholds, images of
    equal confidence are answered together. The excess is 0 where every error is less confident than
    every hit and no two errors are equally so: the best order tells them apart. NaN without images.
    """
    if not len(confidence):
        return np.nan, np.nan
    weights = np.ones((len(confidence), 1))
    area = float(_areas(confidence, correct, weights)[0])
    ideal = np.where(correct, 1.0, 0.0) - np.arange(len(correct)) / len(correct) / 2
    best = float(_areas(ideal, correct, weights)[0])
    return area, area - best


def risk_coverage_table(
    sample: Sample | Predictions, temperatures: pd.DataFrame, calibration: str = "by visibility"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the risk-coverage curve of every model and condition, and the areas under them.

    Curves: model (name), seed, condition, threshold, coverage, risk: at most CURVE_POINTS rows
    each, the last answers everything. Areas: model, seed, condition, aurc, low, high (percentile
    interval over groups; of the first 200 draws, which an area is sharp enough with), excess_aurc,
    n, reason.

    Raises:
        UsageError: as `calibration.calibration_scores`.

    """
    sample = held_out(Sample.of(sample))
    aligned = sample.aligned
    values = scaled_values(sample.table, temperatures, calibration)
    confidence, correct = _answers(values, sample.labels)
    draws = sample.weights[:, 1 : 1 + _MOST_DRAWS]
    weights = draws[aligned.groups].astype(np.float32)
    start, curves, areas = ("model", "seed", "condition"), [], []
    for (model, condition), places in zip(aligned.cells, aligned.rows, strict=True):
        key = dict(zip(start, (*sample.name_and_seed[model], condition), strict=True))
        curve = risk_coverage(confidence[places], correct[places])
        steps = np.linspace(0, len(curve[0]) - 1, min(CURVE_POINTS, len(curve[0])))
        points = np.rint(steps).astype(np.int64)
        parts = zip(("threshold", "coverage", "risk"), curve, strict=True)
        curves.append(pd.DataFrame({**key, **{name: part[points] for name, part in parts}}))
        area, excess = aurc(confidence[places], correct[places])
        drawn = _areas(confidence[places], correct[places], weights)
        low, high, reason = interval(drawn, sample.effective_groups, sample.options.level, "aurc")
        found = {"aurc": area, "low": low, "high": high, "excess_aurc": excess}
        areas.append({**key, **found, "n": len(places), "reason": reason})
    return pd.concat(curves, ignore_index=True), pd.DataFrame(areas)


def threshold_for_risk(
    sample: Sample | Predictions, risk: float, assurance: float | None = 0.95
) -> pd.DataFrame:
    """Choose per model and condition the least confidence at which errors stay below `risk`.

    The threshold is chosen on validation images: with `assurance`, as the one that covers most and
    whose risk stays at or below `risk` with that probability (`guaranteed_threshold`); with None,
    as the one that covers most at an observed risk of at most `risk`. What it achieves is measured
    on the sample's images. Give it a sample of what the predictor's confidences come from:
    recalibrated by `calibration.apply_temperatures` if the predictor is.

    Columns: model (name), seed, condition, target, assurance, threshold, validation_coverage,
    validation_risk, risk, risk_low, risk_high, coverage, coverage_low, coverage_high (achieved,
    percentile intervals over groups), n (images of the protocol), reason. Where no threshold keeps
    the risk, it and all that depends on it are NaN and `reason` says so.

    Raises:
        UsageError: `risk` or `assurance` isn't in (0, 1), there are no validation images, or as
            `calibration.calibration_scores`.

    """
    sample = Sample.of(sample)
    _check_choice(sample, risk, assurance)
    tested = held_out(sample)
    aligned = tested.aligned
    weights = sample.weights[aligned.groups].astype(np.float32)
    known, answers = (_answers(one.values, one.labels) for one in (sample.validation, tested))
    rows: list[dict[str, Any]] = []
    for cell, places in zip(aligned.cells, aligned.rows, strict=True):
        own = sample.validation.aligned.at(*cell)
        fit = guaranteed_threshold(known[0][own], known[1][own], risk, assurance)
        confidence, correct = (part[places] for part in answers)
        achieved = _achieved(confidence >= fit[0], correct, weights)
        reason = "" if np.isfinite(fit[0]) else "no threshold keeps this risk on validation images"
        name, seed = sample.name_and_seed[cell[0]]
        row = {"model": name, "seed": seed, "condition": cell[1], "target": risk}
        row |= {"assurance": np.nan if assurance is None else assurance}
        row |= dict(zip(_FITTED, fit, strict=True))
        for what, drawn in achieved.items():
            low, high, why = interval(
                drawn[1:], sample.effective_groups, sample.options.level, what
            )
            reason = reason or why
            three = (drawn[0], low, high) if np.isfinite(fit[0]) else (np.nan,) * 3
            row |= dict(zip((what, f"{what}_low", f"{what}_high"), three, strict=True))
        rows.append(row | {"n": len(places), "reason": reason})
    return pd.DataFrame(rows)


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


def _check_choice(sample: Sample, risk: float, assurance: float | None) -> None:
    """Raise UsageError unless a threshold can be chosen for these shares on validation images."""
    for what, share in (
        ("A risk", risk),
        ("An assurance", 0.5 if assurance is None else assurance),
    ):
        if not 0 < share < 1:
            raise UsageError(f"{what} must lie between 0 and 1, got {share}.")
    if sample.validation.table.empty:
        raise UsageError(
            "Thresholds are chosen on validation images and there are none; "
            "evaluate with --split validation --split test."
        )


def _achieved(
    answered: Bools, correct: Bools, weights: npt.NDArray[np.float32]
) -> dict[str, Floats]:
    """Return risk and coverage [1 + draws] of bool [n] answers, by weights [n, 1 + draws]."""
    total = weights.sum(axis=0, dtype=np.float64)
    covered = weights[answered].sum(axis=0, dtype=np.float64)
    missed = weights[answered & ~correct].sum(axis=0, dtype=np.float64)
    return {"risk": np.asarray(ratio(missed, covered)), "coverage": covered / total}


def _risk_bound(errors: float, answered: float, chance: float) -> float:
    """Return the upper Clopper-Pearson bound of a risk: exceeded with probability `chance`."""
    if errors >= answered:
        return 1.0
    return float(stats.beta.ppf(1 - chance, errors + 1, answered - errors))


def _point(
    thresholds: Floats, coverage: Floats, observed: Floats, place: int
) -> tuple[float, float, float]:
    return float(thresholds[place]), float(coverage[place]), float(observed[place])


def _answers(values: Floats, labels: npt.NDArray[np.int64]) -> tuple[Floats, Bools]:
    return values.max(axis=1), values.argmax(axis=1) == labels


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
