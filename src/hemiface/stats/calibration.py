"""Confidence that means what it says, with a part of the face hidden too: temperature scaling.

A temperature T divides the logits: p becomes softmax(log p / T). Above 1 it lowers confidence;
which emotion is the most likely never changes. It is fitted on validation images by log loss,
`pooled` over all conditions of a model or for each condition (`by visibility`: what is visible is
known where a part is hidden on purpose). Scores are of the test images, which no fit has seen.

The expected calibration error (`ece`) is never 0: chance alone moves each bin's accuracy off its
confidence. Beside it stand `ece_floor`, what a perfectly calibrated network would show, and
`rms_calibration_error`, from which chance is taken out.

Sources: Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks, ICML; Kumar,
Liang & Ma 2019, Verified uncertainty calibration, NeurIPS (the debiased estimator); Roelofs, Cain,
Shlens & Mozer 2022, Mitigating bias in calibration error estimation, AISTATS (bins of equal mass).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special

from hemiface.errors import UsageError
from hemiface.models.temperatures import POOLED, SMALLEST, scale
from hemiface.stats.inference import interval
from hemiface.stats.metrics import ECE_BINS, calibration_bins, log_losses, reliability
from hemiface.stats.sample import Cell, Sample, cell_codes
from hemiface.stats.scores import scores_over_draws
from hemiface.tables import PROBABILITY_COLUMNS, Predictions, probabilities
from hemiface.threads import in_threads

__all__ = [
    "CALIBRATIONS",
    "FAULTLESS",
    "POOLED",
    "apply_temperatures",
    "calibration_scores",
    "doubt",
    "doubts",
    "ece_floor",
    "fit_temperature",
    "fit_temperatures",
    "reason_of",
    "reliability_table",
    "rms_calibration_error",
    "scale",
    "squared_calibration_error",
    "temperature_of",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CALIBRATIONS = ("none", "pooled", "by visibility")
CALIBRATION_METRICS = ("log_loss", "brier_score", "ece", "ece_floor", "rms_calibration_error")
_SIMULATIONS = 200
_RANGE = (0.05, 20.0)
_PRECISION = 1e-9
"""Of a temperature's logarithm."""
_WORTH = 0.05
"""Nats by which answers at the flattest temperature beat those that don't look: less is chance."""
_NONE_INSIDE = "no minimum inside the range"
FAULTLESS = f"{_NONE_INSIDE}, for no image is wrong; more or other validation images are needed"
"""Why a fit ends at the sharpest temperature, which the first wrong image would cost all: another
one is taken for it. At the flattest all emotions are alike, as they should be to who knows none."""
_KNOWS_NOTHING = f"{_NONE_INSIDE}, for the answers know nothing of the labels"
_TOO_SURE = f"{_NONE_INSIDE}, for the answers are far too sure"
_TOO_UNSURE = f"{_NONE_INSIDE}, for the answers are far too unsure"


def fit_temperature(
    values: Floats,
    labels: Ints,
    weights: Floats | None = None,
    offset: Floats | None = None,
) -> tuple[float, str]:
    """Return the temperature in [0.05, 20] with the least log loss, and "" or a reason for doubt.

    values: probabilities [n, 7], n >= 1; labels: int [n]. `weights` [n] weigh the images, evenly by
    default; `offset` [7] is added to the logits after they were divided by the temperature, as the
    logarithm of another mix of classes is. The loss is convex in 1 / T, so there is one minimum,
    where the slope changes its sign; where it doesn't inside the range the least loss is at an end,
    and `reason` says why: no image is wrong, the answers are far too sure or too unsure, or know
    nothing of the labels.
    """
    logs = np.log(np.maximum(values, SMALLEST))
    logs -= logs[np.arange(len(labels)), labels][:, None]
    added = np.zeros(values.shape[1]) if offset is None else offset

    def slope_at(beta: float) -> float:
        """Return the loss's derivative by 1 / T, which is beta."""
        scaled = beta * logs + added
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        return float(np.average((powers * logs).sum(axis=1), weights=weights))

    def loss_of(scaled: Floats) -> float:
        own = scaled[np.arange(len(labels)), labels]
        return float(np.average(special.logsumexp(scaled, axis=1) - own, weights=weights))

    def slope(log_temperature: float) -> float:
        return slope_at(np.exp(-log_temperature))

    sharpest, flattest = np.log(_RANGE)
    if not logs.any():
        return _RANGE[1], _KNOWS_NOTHING
    if slope(sharpest) <= 0:
        return _RANGE[0], FAULTLESS if logs.max() <= 0 else _TOO_UNSURE
    if slope(flattest) >= 0:
        flat = np.broadcast_to(added, logs.shape)
        told = loss_of(flat) - loss_of(logs / _RANGE[1] + added)
        return _RANGE[1], _TOO_SURE if told > _WORTH else _KNOWS_NOTHING
    return float(np.exp(optimize.brentq(slope, sharpest, flattest, xtol=_PRECISION))), ""


def fit_temperatures(sample: Sample | Predictions) -> pd.DataFrame:
    """Fit each model's temperatures on the validation images that go with a sample.

    Only rows of split `validation` are used: a temperature fitted on test images would make their
    scores look better than they are. Columns: model (its ID), condition (`pooled`, over all the
    model's conditions, or one condition), temperature, n (rows used), loss_before and loss_after
    (log loss on the very rows it was fitted on), reason (why there is no minimum inside the range).
    Where no image is wrong the temperature is the pooled one, or 1 where none is wrong in all.

    Raises:
        UsageError: there are no validation images.

    """
    chosen = Sample.of(sample).validation
    if chosen.table.empty:
        raise UsageError(
            "Temperatures are fitted on validation images and there are none; "
            "evaluate with --split validation --split test."
        )
    values, labels, aligned = chosen.values, chosen.labels, chosen.aligned
    places: list[tuple[str, str, Ints]] = []
    for model in dict.fromkeys(model for model, _ in aligned.cells):
        own = [at for at, cell in enumerate(aligned.cells) if cell[0] == model]
        places.append((model, POOLED, aligned.rows[own].ravel()))
        places += [(*aligned.cells[at], aligned.rows[at]) for at in own]
    found: list[dict[str, Any]] = []
    pooled = 1.0
    for model, condition, at in places:
        temperature, reason = fit_temperature(values[at], labels[at])
        if condition == POOLED:
            temperature = pooled = 1.0 if reason == FAULTLESS else temperature
        elif reason == FAULTLESS:
            temperature = pooled
        before = log_losses(values[at], labels[at]).mean()
        after = log_losses(scale(values[at], temperature), labels[at]).mean()
        found.append(
            {
                "model": model,
                "condition": condition,
                "temperature": temperature,
                "n": len(at),
                "loss_before": before,
                "loss_after": after,
                "reason": reason,
            }
        )
    return pd.DataFrame(found)


def doubts(temperatures: pd.DataFrame) -> list[str]:
    """Return a sentence for each temperature of `fit_temperatures` that is in doubt.

    But for those of networks that know nothing, of which no temperature makes more.
    """
    doubtful = temperatures[~temperatures["reason"].isin(["", _KNOWS_NOTHING])]
    columns = ("model", "condition", "temperature", "reason")
    return [doubt(*row) for row in zip(*(doubtful[one] for one in columns), strict=True)]


def reason_of(doubt: str) -> str:
    """Return what the reason of a number says that rests on such a temperature, "" if nothing."""
    if doubt in ("", _KNOWS_NOTHING):
        return ""
    return f"{'another' if doubt == FAULTLESS else 'the last'} temperature: {doubt}"


def doubt(model: str, condition: str, used: float, reason: str) -> str:
    """Say that a model's temperature couldn't be fitted, why, and which is `used`."""
    where, instead = f"under {condition}", f"the pooled one ({used:.2f})"
    if condition == POOLED:
        where, instead = "over all conditions", "1"
    if reason != FAULTLESS:
        instead = f"{used:g}, the end of the range,"
    return f"A temperature of {model} {where} can't be fitted, {instead} is used: {reason}."


def temperature_of(
    temperatures: pd.DataFrame, model: str, condition: str, calibration: str = "by visibility"
) -> float:
    """Return the temperature for one model and condition: 1 for calibration `none`.

    A condition that none was fitted for takes the pooled one.

    Raises:
        UsageError: no temperature of the model is there, or no such calibration.

    """
    if calibration not in CALIBRATIONS:
        raise UsageError(
            f"Calibration {calibration!r} is unknown; choose from {', '.join(CALIBRATIONS)}."
        )
    if calibration == "none":
        return 1.0
    return _fitted(temperatures, model, condition, calibration)[0]


def _fitted(
    temperatures: pd.DataFrame, model: str, condition: str, calibration: str
) -> tuple[float, str]:
    """Return the temperature that a cell takes, and why it has no minimum inside the range."""
    columns = ("condition", "temperature", "reason")
    of_model = temperatures.loc[temperatures["model"] == model, list(columns)]
    rows = {key: (float(value), str(reason)) for key, value, reason in of_model.to_numpy()}
    key = condition if calibration == "by visibility" and condition in rows else POOLED
    if key not in rows:
        raise UsageError(f"No temperature was fitted for model {model}; fit on a table with it.")
    return rows[key]


def apply_temperatures(
    predictions: Predictions, temperatures: pd.DataFrame, calibration: str = "by visibility"
) -> Predictions:
    """Return the Predictions with recalibrated probabilities; all else stays.

    `temperatures` is what `fit_temperatures` returned; `calibration` one of CALIBRATIONS.

    Raises:
        UsageError: as `temperature_of`.

    """
    table = predictions.table.copy()
    table[list(PROBABILITY_COLUMNS)] = scaled_values(table, temperatures, calibration)
    return dataclasses.replace(predictions, table=table)


def scaled_values(
    table: pd.DataFrame, temperatures: pd.DataFrame, calibration: str = "by visibility"
) -> Floats:
    """Return recalibrated probabilities float64 [rows, 7]; errors as `temperature_of`."""
    cells, place = cell_codes(table)
    each = np.array([temperature_of(temperatures, *cell, calibration) for cell in cells])
    values = probabilities(table)
    return values if calibration == "none" or not len(table) else scale(values, each[place])


def squared_calibration_error(values: Floats, labels: Ints) -> float:
    """Return the squared calibration error of the largest probability without finite bins' bias.

    values: probabilities [n, 7]; labels: int [n]. Images are put into 15 bins of equal numbers by
    their confidence (images of equal confidence into one). The mean over bins, weighted by
    their n, of (confidence - accuracy)^2 - accuracy (1 - accuracy) / (n - 1): what is subtracted is
    what chance alone adds (Kumar et al. 2019, section 5). Of a calibrated network it is 0 on
    average, and so negative about every other time. NaN of fewer than two images; a bin of one
    image, which ties may leave, isn't counted.
    """
    confidence = values.max(axis=1)
    correct = values.argmax(axis=1) == labels
    count = min(ECE_BINS, len(labels) // 2)
    if not count:
        return np.nan
    rank = np.searchsorted(np.sort(confidence), confidence, side="left")
    bins = rank * count // len(labels)
    n = np.bincount(bins, minlength=count)
    bins_confidence, accuracy = (
        np.bincount(bins, one, count)[n > 1] / n[n > 1] for one in (confidence, correct)
    )
    n = n[n > 1]
    by_chance = accuracy * (1 - accuracy) / (n - 1)
    return float(np.average((bins_confidence - accuracy) ** 2 - by_chance, weights=n))


def rms_calibration_error(values: Floats, labels: Ints) -> float:
    """Return the root of `squared_calibration_error`, 0 where that is negative.

    In the scale of `ece`, but a root mean square: where gaps differ it weighs the large ones more.
    """
    return float(np.sqrt(max(squared_calibration_error(values, labels), 0.0)))


def ece_floor(values: Floats, draws: int = _SIMULATIONS, seed: int = 0) -> float:
    """Return the mean `ece` of perfectly calibrated networks with the confidences of `values`.

    A parametric bootstrap: in each draw every image is right with the probability that its
    confidence says, independently. Images that share their fate, such as near duplicates, would
    lift the floor further. NaN without images.
    """
    confidence = np.sort(values.max(axis=1))
    if not len(confidence):
        return np.nan
    starts = np.flatnonzero(np.diff(calibration_bins(confidence), prepend=-1))
    right = np.random.default_rng(seed).random((len(confidence), draws)) < confidence[:, None]
    gaps = np.add.reduceat(right - confidence[:, None], starts, axis=0)
    return float(np.abs(gaps).sum(axis=0).mean() / len(confidence))


def _without_interval(metric: str, values: Floats, labels: Ints) -> tuple[float, str]:
    """Return a score that draws of images can't judge, and why not."""
    if metric == "ece_floor":
        return ece_floor(values), "a mean of simulations has no interval"
    reason = "no interval: images drawn twice bring the bias back that is taken out"
    return rms_calibration_error(values, labels), reason


_WITHOUT_INTERVAL = ("ece_floor", "rms_calibration_error")


def calibration_scores(
    sample: Sample | Predictions,
    temperatures: pd.DataFrame,
    metrics: Sequence[str] = CALIBRATION_METRICS,
) -> pd.DataFrame:
    """Return the calibration of every model under every condition, before and after.

    Columns: model (name), seed, condition, calibration (one of CALIBRATIONS), temperature, metric,
    value, low, high (percentile interval over groups; NaN for `ece`, `ece_floor` and
    `rms_calibration_error`), n, reason (why there is no interval, or why the temperature is
    another one than the fitted). Scores are of the protocol's images.

    Raises:
        UsageError: the protocol scores validation images, on which temperatures are fitted, or has
            no images; an unknown metric, or two models with one name and seed.

    """
    sample = held_out(Sample.of(sample))
    names, aligned, weights, values = (
        sample.name_and_seed, sample.aligned, sample.weights, sample.values
    )  # fmt: skip

    drawn = [one for one in metrics if one not in _WITHOUT_INTERVAL]

    def score(cell: tuple[Cell, Ints]) -> list[dict[str, Any]]:
        (model, condition), places = cell
        name, seed = names[model]
        rows: list[dict[str, Any]] = []
        for calibration in CALIBRATIONS:
            temperature = temperature_of(temperatures, model, condition, calibration)
            doubtful = ""
            if calibration != "none":
                _, why = _fitted(temperatures, model, condition, calibration)
                doubtful = reason_of(why)
            scaled = values[places] if calibration == "none" else scale(values[places], temperature)
            found = scores_over_draws(scaled, aligned.labels, aligned.groups, weights, drawn)
            for metric in metrics:
                low, high = np.nan, np.nan
                if metric in _WITHOUT_INTERVAL:
                    value, reason = _without_interval(metric, scaled, aligned.labels)
                else:
                    scores = found[metric]
                    value = float(scores[0])
                    low, high, reason = interval(
                        scores[1:], sample.effective_groups, sample.options.level, metric
                    )
                rows.append(
                    {
                        "model": name,
                        "seed": seed,
                        "condition": condition,
                        "calibration": calibration,
                        "temperature": temperature,
                        "metric": metric,
                        "value": value,
                        "low": low,
                        "high": high,
                        "n": len(places),
                        "reason": "; ".join(filter(None, [doubtful, reason])),
                    }
                )
        return rows

    cells = zip(aligned.cells, aligned.rows, strict=True)
    return pd.DataFrame([row for found in in_threads(score, cells) for row in found])


def reliability_table(sample: Sample | Predictions, temperatures: pd.DataFrame) -> pd.DataFrame:
    """Return the reliability diagram of every model under every condition, before and after.

    Columns: model (name), seed, condition, calibration, then those of `metrics.reliability`: a row
    for each of the 15 bins of confidence.

    Raises:
        UsageError: as `calibration_scores`.

    """
    sample = held_out(Sample.of(sample))
    aligned, tables = sample.aligned, []
    for calibration in CALIBRATIONS:
        values = scaled_values(sample.table, temperatures, calibration)
        scaled = sample.table.assign(**dict(zip(PROBABILITY_COLUMNS, values.T, strict=True)))
        for (model, condition), places in zip(aligned.cells, aligned.rows, strict=True):
            name, seed = sample.name_and_seed[model]
            diagram = reliability(scaled.iloc[places])
            keys = {"model": name, "seed": seed, "condition": condition, "calibration": calibration}
            for place, (column, value) in enumerate(keys.items()):
                diagram.insert(place, column, value)
            tables.append(diagram)
    return pd.concat(tables, ignore_index=True)


def held_out(sample: Sample) -> Sample:
    """Return the sample, on none of whose images a temperature may have been fitted.

    Raises:
        UsageError: the protocol scores validation images, or it has no images here.

    """
    sample.require_images()
    if (sample.table["split"] != "test").any():
        raise UsageError(
            f"Protocol {sample.protocol} scores validation images, on which temperatures are "
            "fitted; use standard or leak-free."
        )
    return sample
