"""Prediction tables of a model's file -> the calibration that lies beside it.

Everything is fitted and chosen on validation images; where a table has test images too, what the
result does to these is told beside it.

Temperatures are those of `calibration.fit_temperatures`, one for each condition. The default
threshold is the least whole percent of calibrated confidence at which at most `risk` of the
answered validation faces are wrong, under every one of the conditions full, upper, lower, left and
right. It is one number for all of them, since nobody knows beforehand what will be hidden; what it
costs is told for each: the share of faces that get a label, and how many of these are right.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hemiface.data.parts import read_whole
from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file, with_hash, write_json
from hemiface.inputs import require_file
from hemiface.models.class_mix import KEY
from hemiface.models.temperatures import (
    FORMAT,
    STATED,
    VIEWS,
    ModelCalibration,
    calibration_path,
)
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.stats.calibration import POOLED, apply_temperatures, fit_temperatures
from hemiface.stats.model_scores import rows_of
from hemiface.tables import Predictions, derive

__all__ = ["RISK", "SHOWN_THRESHOLDS", "answered", "calibrate_model"]

RISK = 0.3
SHOWN_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_DIGITS = 4
_ROUNDING = 1e-9


def calibrate_model(model: str | Path, tables: Sequence[str | Path], *, risk: float = RISK) -> Path:
    """Fit what `hemiface.models.temperatures` reads, write it beside `model` and return its path.

    `tables` are prediction tables of this very file, whose validation images decide: one made
    without and, if wanted, one with `--flip`. They must have the conditions STATED; each of
    the other twelve that they have gets a temperature too. One whose fit is in doubt (see
    `fit_temperature`) is left out, and takes the pooled temperature.

    Raises:
        UsageError: a table isn't of this file, two are of the same view, a condition or all
            validation images are missing, or no threshold keeps the risk.
        DamagedError: a table can't be read.
    """
    if not 0 < risk < 1:
        raise UsageError(f"The risk must lie between 0 and 1, got {risk}.")
    require_file(model, "Model", "name a file of hemiface export")
    sha256 = sha256_file(model)
    views: dict[str, Any] = {}
    fitted_on: dict[str, Any] = {}
    for path in tables:
        predictions = read_whole(path)
        info = predictions.facts
        rows, tested = _own_rows(predictions, sha256, path, model)
        name = VIEWS[bool(info.get("flip"))]
        if name in views:
            raise UsageError(f"{path} is a second table of the view {name!r}; give one of each.")
        images = {
            "dataset": ", ".join(sorted(rows.table["dataset"].unique())),
            "split": "validation",
            "images": int(rows.table["image"].nunique()),
            "data": info.get("data", {}).get("data_sha256"),
        }
        if fitted_on and fitted_on != images:
            raise UsageError(f"{path} is about other images than the table before it.")
        fitted_on = images
        views[name] = _view(rows, tested, risk)
    if VIEWS[0] not in views:
        raise UsageError("A table made without --flip is needed; add it.")
    target = calibration_path(model)
    write_json(target, with_hash({
        "format": FORMAT, "model": Path(model).name, "model_sha256": sha256,
        "fitted_on": fitted_on,
        "rule": f"least whole percent at which at most {100 * risk:g} % of the answered validation "
        f"faces are wrong under each of {', '.join(STATED)}",
        "views": views,
    } | _known_mix(model, sha256)))  # fmt: skip
    return target


def answered(scaled: Predictions, thresholds: Sequence[float]) -> list[dict[str, Any]]:
    """Return what thresholds do to calibrated predictions of one model, for each of STATED.

    Rows: condition, abstain_below, coverage (share that gets a label), accuracy (of these; None if
    none is answered), n (images).
    """
    cells = _by_condition(scaled)
    rows = []
    for below in thresholds:
        for condition, (confidence, correct) in cells.items():
            kept = correct[confidence >= below]
            rows.append(
                {
                    "condition": condition,
                    "abstain_below": below,
                    "coverage": round(len(kept) / max(len(correct), 1), _DIGITS),
                    "accuracy": round(float(kept.mean()), _DIGITS) if len(kept) else None,
                    "n": len(correct),
                }
            )
    return rows


def _by_condition(scaled: Predictions) -> dict[str, tuple[Any, Any]]:
    """Return confidence, float [n], and whether it is right, bool [n], under each of STATED."""
    cells = {}
    for condition in STATED:
        cell = derive(scaled.table[scaled.table["condition"] == condition])
        cells[condition] = cell["confidence"].to_numpy(), cell["correct"].to_numpy(bool)
    return cells


def _lowest_threshold(scaled: Predictions, risk: float) -> float | None:
    """Return the lowest whole per cent from which at most `risk` are wrong under every condition.

    Counted, not rounded: 30 wrong of 100 are no more than .3.
    """
    cells = _by_condition(scaled)
    for below in (percent / 100 for percent in range(100)):
        kept = [correct[confidence >= below] for confidence, correct in cells.values()]
        if all(len(one) and (~one).sum() <= risk * len(one) + _ROUNDING for one in kept):
            return below
    return None


def _known_mix(model: str | Path, sha256: str) -> dict[str, Any]:
    """Return the training's mix if a calibration that is about to be replaced knows it.

    Files exported before it was in their metadata have it nowhere else.
    """
    try:
        known = ModelCalibration.beside(model, sha256)
    except DamagedError:
        # Damaged or another file's: nothing in it is known of this one.
        return {}
    return {KEY: dict(known.class_mix)} if known and known.class_mix else {}


def _own_rows(
    predictions: Predictions, sha256: str, path: str | Path, model: str | Path
) -> tuple[Predictions, Predictions]:
    """Return the validation and the test rows of the file with this hash."""
    own = rows_of(predictions, sha256, path, model)
    rows = own.select(own.table["split"] == "validation")
    missing = [one for one in STATED if not (rows.table["condition"] == one).any()]
    if missing:
        raise UsageError(
            f"{path} has no validation images under {', '.join(missing)}; evaluate with --split "
            f"validation --conditions {','.join(CONDITIONS)}."
        )
    return rows, own.select(own.table["split"] == "test")


def _view(rows: Predictions, tested: Predictions, risk: float) -> dict[str, Any]:
    fitted = fit_temperatures(rows)
    sure = fitted[fitted["reason"] == ""]
    doubts = fitted.loc[fitted["condition"] == POOLED, "reason"]
    doubt = next(filter(None, doubts), "")
    if doubt:
        raise UsageError(f"No temperature can be fitted to these images: {doubt}.")
    scaled = apply_temperatures(rows, sure)
    below = _lowest_threshold(scaled, risk)
    if below is None:
        raise UsageError(
            f"No threshold keeps {100 * risk:g} % of errors under every condition; allow more with "
            "--risk, or give a better network or more validation images."
        )
    temperatures = zip(sure["condition"], sure["temperature"], strict=True)
    return {
        "temperatures": {str(key): float(np.round(value, _DIGITS)) for key, value in temperatures},
        "abstain_below": below,
        "answered": answered(scaled, sorted({below, *SHOWN_THRESHOLDS})),
        "tested": answered(apply_temperatures(tested, sure), [below]) if len(tested) else [],
    }
