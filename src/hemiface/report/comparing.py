"""A Predictions table -> the files of `hemiface compare` and `hemiface calibrate`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hemiface.errors import UsageError
from hemiface.files import write_json
from hemiface.stats.abstention import risk_coverage_table, threshold_for_risk
from hemiface.stats.all_pairs import cochran, differences, mcnemar
from hemiface.stats.calibration import (
    POOLED,
    apply_temperatures,
    calibration_scores,
    fit_temperatures,
    reliability_table,
)
from hemiface.stats.confusion_shifts import confusion_shifts
from hemiface.stats.face_lines import compare_halves
from hemiface.stats.matrix import Progress
from hemiface.stats.sides import has_sides, laterality
from hemiface.tables import write_csv

__all__ = ["Calibrated", "Compared", "calibrate", "compare", "temperatures_json"]


@dataclass(frozen=True)
class Compared:
    """What `compare` wrote; `accuracy` is the part to look at first, `warnings` sentences.

    `halves` is halves.csv, None where no predictions of the faces' own halves were given.
    """

    files: Sequence[Path]
    accuracy: pd.DataFrame
    warnings: Sequence[str]
    halves: pd.DataFrame | None = None


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` wrote, the temperatures as in temperatures.json, and calibration.csv."""

    files: Sequence[Path]
    temperatures: dict[str, Any]
    scores: pd.DataFrame


def compare(
    predictions: pd.DataFrame,
    folder: Path,
    *,
    mirrored: pd.DataFrame | None = None,
    face_halves: pd.DataFrame | None = None,
    protocol: str = "standard",
    margin: float = 0.02,
    draws: int = 1000,
    progress: Progress | None = None,
) -> Compared:
    """Write differences.csv, mcnemar.csv, cochran.csv, confusion_shifts.csv and laterality.csv.

    The last two only where there is something to compare: whole faces and another condition; two
    conditions that mirror each other. `face_halves` are predictions of the same networks with the
    faces' own halves hidden; with them halves.csv says what that changes. `accuracy` holds the rows
    of differences.csv about accuracy that answer the two questions (robustness, available
    information) and compare own conditions, over all seeds where there are several; every row where
    there is no baseline on whole faces.

    Raises:
        UsageError: as `differences`, `laterality` and `compare_halves`.

    """
    options: dict[str, Any] = {"protocol": protocol, "draws": draws}
    tables = {
        "differences": differences(predictions, margin=margin, progress=progress, **options),
        "mcnemar": mcnemar(predictions, protocol=protocol),
        "cochran": cochran(predictions, protocol=protocol),
    }
    conditions = set(predictions["condition"])
    if "full" in conditions and len(conditions) > 1:
        tables["confusion_shifts"] = confusion_shifts(predictions, **options)
    if has_sides(predictions):
        tables["laterality"] = laterality(predictions, mirrored, margin=margin, **options)
    elif mirrored is not None:
        raise UsageError("Mirrored predictions control left against right, and neither is here.")
    if face_halves is not None:
        tables["halves"] = compare_halves(predictions, face_halves, margin=margin, **options)
    files = _write(tables, folder)
    found = tables.get("laterality", pd.DataFrame({"warning": []}))["warning"]
    warnings = [one for one in dict.fromkeys(found) if one]
    headline = _headline(tables["differences"])
    return Compared(files, headline, warnings, tables.get("halves"))


def calibrate(
    predictions: pd.DataFrame,
    folder: Path,
    *,
    risks: Sequence[float] = (0.1, 0.2),
    draws: int = 1000,
) -> Calibrated:
    """Write temperatures.json, calibration, reliability, risk_coverage, aurc and abstention .csv.

    Temperatures are fitted on the validation images, everything else is measured on the test images
    with temperatures by visibility; abstention.csv has a threshold for each of `risks`.

    Raises:
        UsageError: validation or test images are missing; or as `threshold_for_risk`.

    """
    temperatures = fit_temperatures(predictions)
    curves, areas = risk_coverage_table(predictions, temperatures, draws=min(draws, 200))
    scaled = apply_temperatures(predictions, temperatures)
    thresholds = [threshold_for_risk(scaled, risk, draws=draws) for risk in risks]
    tables = {
        "calibration": calibration_scores(predictions, temperatures, draws=draws),
        "reliability": reliability_table(predictions, temperatures),
        "risk_coverage": curves,
        "aurc": areas,
        "abstention": pd.concat(thresholds, ignore_index=True),
    }
    plain = temperatures_json(temperatures)
    write_json(folder / "temperatures.json", plain)
    files = [folder / "temperatures.json", *_write(tables, folder)]
    return Calibrated(files, plain, tables["calibration"])


def temperatures_json(temperatures: pd.DataFrame) -> dict[str, Any]:
    """Return {model ID: {"pooled": T, "conditions": {condition: T}}} of `fit_temperatures`."""
    found: dict[str, Any] = {}
    for one in temperatures.itertuples(index=False):
        of_model = found.setdefault(str(one.model), {POOLED: None, "conditions": {}})
        value = round(float(one.temperature), 6)  # type: ignore[arg-type]
        if one.condition == POOLED:
            of_model[POOLED] = value
        else:
            of_model["conditions"][str(one.condition)] = value
    return found


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["metric"] == "accuracy"]
    first = rows["kind"].isin(["robustness", "available information", "own conditions"])
    averaged = set(rows.loc[rows["seed"] == "mean", "family"])
    chosen = (rows["seed"] == "mean") | ~rows["family"].isin(averaged)
    return rows[(first | (not first.any())) & chosen].reset_index(drop=True)


def _write(tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    for name, table in tables.items():
        write_csv(table, folder / f"{name}.csv")
    return [folder / f"{name}.csv" for name in tables]
