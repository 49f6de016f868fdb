"""What a report is made of: the files of a run, and the result tables computed from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hemiface import config
from hemiface.data.images import PIXELS_FILE, TABLE_FILE, Images
from hemiface.errors import DamagedError, UsageError
from hemiface.report.figures.style import ordered
from hemiface.stats import comparisons, importance, metrics
from hemiface.stats.abstention import risk_coverage_table
from hemiface.stats.all_pairs import cochran, differences, mcnemar
from hemiface.stats.calibration import calibration_scores, fit_temperatures, reliability_table
from hemiface.stats.confusion_shifts import confusion_shifts
from hemiface.stats.importance import Importance
from hemiface.stats.matrix import Drawn, class_score_table, draw_scores, matrix_rows
from hemiface.stats.planned import half_contrasts
from hemiface.stats.sides import has_sides, laterality
from hemiface.tables import compact, read_predictions

__all__ = [
    "MARGIN",
    "PAPER_METRICS",
    "PREDICTIONS_FILE",
    "Results",
    "Run",
    "compute",
    "read_run",
]

PREDICTIONS_FILE = "predictions.parquet"
MIRRORED_FILE = "mirrored.parquet"
MARGIN = 0.02
"""Accuracies that differ by less are as good as equal: the margin of the equivalence tests."""

PAPER_METRICS = ("accuracy", "macro_f1", "weighted_f1", "weighted_auc")
"""The four scores of each cell in the original study's table."""


@dataclass(frozen=True)
class Run:
    """What lies in a run folder; only `predictions` has to be there.

    `name` is that of the folder, or of the table if the table was given.
    `mirrored` is mirrored.parquet, the control for left and right (`evaluate --mirrored`).
    `histories` maps model IDs to history.csv, `settings` and `recipe` are config.toml, parsed and
    as text (None and "" if absent), `environment` the content of environment.json ({} if absent).
    """

    folder: Path
    name: str
    predictions: pd.DataFrame
    images: Images | None
    histories: dict[str, pd.DataFrame]
    settings: config.Config | None
    recipe: str
    environment: dict[str, Any]
    mirrored: pd.DataFrame | None = None

    @property
    def options(self) -> config.StatisticsOptions:
        """How intervals are made: the run's options, else the default ones."""
        return self.settings.statistics if self.settings else config.StatisticsOptions()


@dataclass(frozen=True)
class Results:
    """The result tables: matrix.csv, class_scores.csv, confusions.csv, comparisons.csv (or None).

    `halves` is halves.csv, `tests` holds the other tables of comparisons and of calibration by the
    names of their files: differences, mcnemar, cochran, and, where there is what they need,
    confusion_shifts, laterality, calibration, reliability, risk_coverage, aurc, temperatures.

    `protocols` are those that have images, `primary` is the one the words and figures are about;
    `regions` (None without the sixteen coalitions) is about that one too.
    """

    matrix: pd.DataFrame
    class_scores: pd.DataFrame
    confusions: pd.DataFrame
    comparisons: pd.DataFrame | None
    halves: pd.DataFrame
    tests: dict[str, pd.DataFrame]
    protocols: Sequence[str]
    regions: Importance | None = None

    @property
    def primary(self) -> str:
        """The protocol shown first."""
        return self.protocols[0]

    @property
    def importance(self) -> pd.DataFrame | None:
        """The table importance.csv."""
        return self.regions.regions if self.regions else None

    @property
    def interactions(self) -> pd.DataFrame | None:
        """The table interactions.csv."""
        return self.regions.interactions if self.regions else None


def read_run(run_or_predictions: str | Path) -> Run:
    """Read predictions.parquet and whatever of a run lies beside it.

    Raises:
        DamagedError: the predictions are missing or damaged, or another file there is.
        UsageError: config.toml can't be understood.

    """
    given = Path(run_or_predictions)
    table = given / PREDICTIONS_FILE if given.is_dir() else given
    folder = table.parent
    predictions = compact(read_predictions(table))
    recipe_file, environment_file = folder / "config.toml", folder / "environment.json"
    has_recipe = recipe_file.is_file()
    has_images = (folder / TABLE_FILE).is_file() and (folder / PIXELS_FILE).is_file()
    return Run(
        folder=folder,
        name=given.resolve().name,
        predictions=predictions,
        images=Images.read(folder, mmap_mode="r") if has_images else None,
        histories=_histories(folder, predictions),
        settings=config.load(recipe_file) if has_recipe else None,
        recipe=recipe_file.read_text(encoding="utf-8") if has_recipe else "",
        environment=_json(environment_file) if environment_file.is_file() else {},
        mirrored=_mirrored(folder),
    )


def compute(
    predictions: pd.DataFrame,
    options: config.StatisticsOptions,
    mirrored: pd.DataFrame | None = None,
) -> Results:
    """Compute the result tables of a Predictions table.

    Raises:
        UsageError: no protocol has an image.

    """
    drawn = {
        protocol: draw_scores(predictions, protocol, draws=max(1, options.draws), seed=options.seed)
        for protocol in metrics.PROTOCOLS
    }
    kept = [name for name, one in drawn.items() if one.cells]
    protocols = [name for name in ("standard", "paper") if name in kept]
    if not protocols:
        raise UsageError(
            "The predictions hold no image of the test split, so there is nothing to report; "
            "evaluate with --split test."
        )
    matrix = pd.concat(
        [matrix_rows(drawn[name], options.level) for name in kept], ignore_index=True
    )
    is_fer2013 = set(predictions["dataset"]) == {"fer2013"}
    compared = comparisons.compare(matrix) if is_fer2013 and "paper" in protocols else None
    primary = drawn[protocols[0]]
    halves = half_contrasts(primary, level=options.level, margin=MARGIN, seed=options.seed)
    return Results(
        matrix=matrix,
        class_scores=class_score_table(predictions, kept),
        confusions=_confusions(predictions, kept),
        comparisons=compared,
        halves=halves,
        tests=_tests(predictions, primary, options, mirrored),
        protocols=protocols,
        regions=_regions(predictions, protocols[0], options),
    )


def _tests(
    predictions: pd.DataFrame,
    drawn: Drawn,
    options: config.StatisticsOptions,
    mirrored: pd.DataFrame | None,
) -> dict[str, pd.DataFrame]:
    """Return the tables of every comparison and of calibration, by the names of their files."""
    draws = max(1, options.draws)
    shared: dict[str, Any] = {
        "protocol": drawn.protocol,
        "draws": draws,
        "level": options.level,
        "seed": options.seed,
    }
    found = {
        "differences": differences(predictions, margin=MARGIN, drawn=drawn, **shared),
        "mcnemar": mcnemar(predictions, protocol=drawn.protocol),
        "cochran": cochran(predictions, protocol=drawn.protocol),
    }
    conditions = {condition for _, condition in drawn.cells}
    if "full" in conditions and len(conditions) > 1:
        found["confusion_shifts"] = confusion_shifts(predictions, **shared)
    if has_sides(predictions):
        found["laterality"] = laterality(predictions, mirrored, margin=MARGIN, **shared)
    if drawn.protocol == "standard" and (predictions["split"] == "validation").any():
        temperatures = fit_temperatures(predictions)
        found["temperatures"] = temperatures
        found["calibration"] = calibration_scores(predictions, temperatures, **shared)
        found["reliability"] = reliability_table(predictions, temperatures)
        shared["draws"] = min(draws, 200)
        curves, areas = risk_coverage_table(predictions, temperatures, **shared)
        found |= {"risk_coverage": curves, "aurc": areas}
    return found


def _mirrored(folder: Path) -> pd.DataFrame | None:
    path = folder / MIRRORED_FILE
    return compact(read_predictions(path)) if path.is_file() else None


def _regions(
    predictions: pd.DataFrame, protocol: str, options: config.StatisticsOptions
) -> Importance | None:
    if not importance.playable(predictions, protocol):
        return None
    return importance.analyse(
        predictions,
        protocol=protocol,
        draws=max(1, options.draws),
        level=options.level,
        seed=options.seed,
    )


def _confusions(predictions: pd.DataFrame, protocols: Sequence[str]) -> pd.DataFrame:
    """Return protocol, model, seed, condition, true, predicted, count."""
    names = metrics.model_names(predictions).astype({"seed": str}).rename(columns={"model": "id"})
    tables = []
    for protocol in protocols:
        counts = metrics.confusion(metrics.select_protocol(predictions, protocol))
        counts = counts.rename(columns={"model": "id"}).merge(
            names, on="id", validate="many_to_one"
        )
        tables.append(counts.rename(columns={"name": "model"}).assign(protocol=protocol))
    columns = ["protocol", "model", "seed", "condition", "true", "predicted", "count"]
    return pd.concat(tables, ignore_index=True)[columns]


def _histories(folder: Path, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the history of each model ID that has one with at least an epoch, in table order."""
    names = metrics.model_names(predictions)
    order = {name: rank for rank, name in enumerate(ordered(names["name"]))}
    names = names.assign(rank=names["name"].map(order)).sort_values(["rank", "seed"])
    found = {}
    for model in names["model"]:
        path = folder / "models" / model / "history.csv"
        if path.is_file():
            history = pd.read_csv(path)
            if len(history):
                found[model] = history
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedError(f"{path} is not readable JSON ({error}); delete it.") from error
    if not isinstance(content, dict):
        raise DamagedError(f"{path} holds no JSON object; delete it.")
    return content
