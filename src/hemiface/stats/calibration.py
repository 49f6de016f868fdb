"""Confidence that means what it says, with a part of the face hidden too: temperature scaling.

A temperature T divides the logits: p becomes softmax(log p / T). Above 1 it lowers confidence;
which emotion is the most likely never changes. It is fitted on validation images by log loss,
`pooled` over all conditions of a model or for each condition (`by visibility`: what is visible is
known where a part is hidden on purpose). Scores are of the test images, which no fit has seen.

Source: Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks, ICML.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.models.temperatures import POOLED, SMALLEST, scale
from hemiface.stats.inference import align, cell_codes, select
from hemiface.stats.matrix import (
    check_options,
    in_threads,
    interval,
    sample_and_draws,
    scores_over_draws,
    unique_names,
)
from hemiface.stats.metrics import log_losses, reliability
from hemiface.tables import PROBABILITY_COLUMNS, label_indices, probabilities

__all__ = [
    "CALIBRATIONS",
    "POOLED",
    "apply_temperatures",
    "calibration_scores",
    "fit_temperature",
    "fit_temperatures",
    "reliability_table",
    "scale",
    "temperature_of",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CALIBRATIONS = ("none", "pooled", "by visibility")
CALIBRATION_METRICS = ("log_loss", "brier_score", "ece")
_RANGE = (0.05, 20.0)
_MOST_STEPS = 60
_PRECISION = 1e-7


def fit_temperature(values: Floats, labels: Ints) -> tuple[float, str]:
    """Return the temperature in [0.05, 20] with the least log loss, and "" or a reason for doubt.

    values: probabilities [n, 7], n >= 1; labels: int [n]. The loss is convex in 1 / T, so there is
    one minimum, found by Newton's method inside shrinking bounds; at an end of the range (every
    image right, or labels at random) there is none inside, and `reason` says so.
    """
    logs = np.log(np.maximum(values, SMALLEST))
    logs -= logs[np.arange(len(labels)), labels][:, None]
    low, high = 1 / _RANGE[1], 1 / _RANGE[0]
    beta = min(max(1.0, low), high)
    for _ in range(_MOST_STEPS):
        scaled = beta * logs
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        mean = (powers * logs).sum(axis=1)
        slope = float(mean.mean())
        curvature = float(((powers * logs**2).sum(axis=1) - mean**2).mean())
        # The loss is convex: the slope's sign says on which side of beta the minimum lies.
        low, high = (low, beta) if slope > 0 else (beta, high)
        step = beta - slope / curvature if curvature > 0 else np.nan
        # Newton's step where it stays inside, the (geometric) middle elsewhere.
        following = step if low < step < high else float(np.sqrt(low * high))
        if abs(np.log(following / beta)) < _PRECISION:
            beta = following
            break
        beta = following
    near = min(np.log(beta * _RANGE[1]), -np.log(beta * _RANGE[0])) < 1e-3
    reason = "no minimum inside the range; more or other validation images are needed"
    return 1 / beta, reason if near else ""


def fit_temperatures(predictions: pd.DataFrame) -> pd.DataFrame:
    """Fit each model's temperatures on the validation images of a Predictions table.

    Only rows of split `validation` are used: a temperature fitted on test images would make their
    scores look better than they are. Columns: model (its ID), condition (`pooled`, over all the
    model's conditions, or one condition), temperature, n (rows used), loss_before and loss_after
    (log loss on the very rows it was fitted on), reason.

    Raises:
        UsageError: there are no validation images.

    """
    rows = predictions[predictions["split"] == "validation"]
    if rows.empty:
        raise UsageError(
            "Temperatures are fitted on validation images and there are none; "
            "evaluate with --split validation --split test."
        )
    values, labels = probabilities(rows), label_indices(rows)
    aligned = align(rows)
    places: list[tuple[str, str, Ints]] = []
    for model in dict.fromkeys(model for model, _ in aligned.cells):
        own = [at for at, cell in enumerate(aligned.cells) if cell[0] == model]
        places.append((model, POOLED, aligned.rows[own].ravel()))
        places += [(*aligned.cells[at], aligned.rows[at]) for at in own]
    found = []
    for model, condition, at in places:
        temperature, reason = fit_temperature(values[at], labels[at])
        before = log_losses(values[at], labels[at]).mean()
        after = log_losses(scale(values[at], temperature), labels[at]).mean()
        found.append((model, condition, temperature, len(at), before, after, reason))
    columns = ["model", "condition", "temperature", "n", "loss_before", "loss_after", "reason"]
    return pd.DataFrame(found, columns=columns)


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
    of_model = temperatures[temperatures["model"] == model].set_index("condition")["temperature"]
    key = condition if calibration == "by visibility" and condition in of_model.index else POOLED
    if key not in of_model.index:
        raise UsageError(f"No temperature was fitted for model {model}; fit on a table with it.")
    return float(of_model[key])


def apply_temperatures(
    predictions: pd.DataFrame, temperatures: pd.DataFrame, calibration: str = "by visibility"
) -> pd.DataFrame:
    """Return the Predictions table with recalibrated probabilities; all else stays.

    `temperatures` is what `fit_temperatures` returned; `calibration` one of CALIBRATIONS.

    Raises:
        UsageError: as `temperature_of`.

    """
    cells, place = cell_codes(predictions)
    each = np.array([temperature_of(temperatures, *cell, calibration) for cell in cells])
    result = predictions.copy()
    if calibration != "none" and len(result):
        scaled = scale(probabilities(predictions), each[place])
        result[list(PROBABILITY_COLUMNS)] = scaled
    return result


def calibration_scores(
    predictions: pd.DataFrame,
    temperatures: pd.DataFrame,
    *,
    protocol: str = "standard",
    metrics: Sequence[str] = CALIBRATION_METRICS,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the calibration of every model under every condition, before and after.

    Columns: model (name), seed, condition, calibration (one of CALIBRATIONS), temperature, metric,
    value, low, high (percentile interval over groups), n, reason. Scores are of the protocol's
    images.

    Raises:
        UsageError: the protocol scores validation images, on which temperatures are fitted, or has
            no images; or as `statistics.matrix`.

    """
    check_options(draws, level)
    selected = held_out(predictions, protocol)
    names = names_and_seeds(predictions)
    aligned = align(selected)
    weights = sample_and_draws(aligned.group_count, draws, seed)
    values = probabilities(selected)

    def score(cell: tuple[tuple[str, str], Ints]) -> list[tuple[Any, ...]]:
        (model, condition), places = cell
        key = *names[model], condition
        rows: list[tuple[Any, ...]] = []
        for calibration in CALIBRATIONS:
            temperature = temperature_of(temperatures, model, condition, calibration)
            scaled = values[places] if calibration == "none" else scale(values[places], temperature)
            found = scores_over_draws(scaled, aligned.labels, aligned.groups, weights, metrics)
            for metric, scores in found.items():
                low, high, reason = interval(scores[1:], aligned.group_count, level)
                one = (metric, float(scores[0]), low, high, len(places), reason)
                rows.append((*key, calibration, temperature, *one))
        return rows

    cells = zip(aligned.cells, aligned.rows, strict=True)
    rows = [row for found in in_threads(score, cells) for row in found]
    columns = ["model", "seed", "condition", "calibration", "temperature"]
    return pd.DataFrame(rows, columns=[*columns, "metric", "value", "low", "high", "n", "reason"])


def reliability_table(
    predictions: pd.DataFrame, temperatures: pd.DataFrame, *, protocol: str = "standard"
) -> pd.DataFrame:
    """Return the reliability diagram of every model under every condition, before and after.

    Columns: model (name), seed, condition, calibration, then those of `metrics.reliability`: a row
    for each of the 15 bins of confidence.

    Raises:
        UsageError: as `calibration_scores`.

    """
    selected = held_out(predictions, protocol)
    names = names_and_seeds(predictions)
    aligned = align(selected)
    tables = []
    for calibration in CALIBRATIONS:
        scaled = apply_temperatures(selected, temperatures, calibration)
        for (model, condition), places in zip(aligned.cells, aligned.rows, strict=True):
            diagram = reliability(scaled.iloc[places])
            diagram.insert(0, "calibration", calibration)
            diagram.insert(0, "condition", condition)
            diagram.insert(0, "seed", names[model][1])
            diagram.insert(0, "model", names[model][0])
            tables.append(diagram)
    return pd.concat(tables, ignore_index=True)


def names_and_seeds(predictions: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return (name, seed as text) by model ID.

    Raises:
        UsageError: two models have one name and seed.

    """
    rows = unique_names(predictions).itertuples(index=False)
    return {str(one.model): (str(one.name), str(one.seed)) for one in rows}


def held_out(predictions: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return the rows of a protocol, all of which no temperature may have been fitted on.

    Raises:
        UsageError: the protocol scores validation images, or it has no images here.

    """
    selected = select(predictions, protocol)
    if (selected["split"] != "test").any():
        raise UsageError(
            f"Protocol {protocol} scores validation images, on which temperatures are fitted; "
            "use standard or leak-free."
        )
    return selected
