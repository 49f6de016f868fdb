"""What a report is made of: the files of a run, and the result tables computed from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hemiface import config, importance, metrics, original, statistics
from hemiface.data.images import PIXELS_FILE, TABLE_FILE, Images
from hemiface.errors import DamagedError, UsageError
from hemiface.figures.style import ordered
from hemiface.importance import Importance
from hemiface.tables import read_predictions

__all__ = ["PAPER_METRICS", "PREDICTIONS_FILE", "Results", "Run", "compute", "read_run"]

PREDICTIONS_FILE = "predictions.parquet"
PAPER_METRICS = ("accuracy", "macro_f1", "weighted_f1", "weighted_auc")
"""The four scores of each cell in the original study's table."""


@dataclass(frozen=True)
class Run:
    """What lies in a run folder; only `predictions` has to be there.

    `name` is that of the folder, or of the table if the table was given.
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

    @property
    def options(self) -> config.StatisticsConfig:
        """How intervals are made: the run's options, else the default ones."""
        return self.settings.statistics if self.settings else config.StatisticsConfig()


@dataclass(frozen=True)
class Results:
    """The result tables: matrix.csv, class_scores.csv, confusions.csv, comparisons.csv (or None).

    `protocols` are those that have images, `primary` is the one the words and figures are about;
    `regions` (None without the sixteen coalitions) is about that one too.
    """

    matrix: pd.DataFrame
    class_scores: pd.DataFrame
    confusions: pd.DataFrame
    comparisons: pd.DataFrame | None
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
    predictions = read_predictions(table)
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
    )


def compute(predictions: pd.DataFrame, options: config.StatisticsConfig) -> Results:
    """Compute the result tables of a Predictions table.

    Raises:
        UsageError: no protocol has an image.

    """
    matrix = statistics.matrix(
        predictions, draws=max(1, options.draws), level=options.level, seed=options.seed
    )
    sizes = matrix.groupby("protocol", sort=False)["n"].max()
    protocols = [name for name in ("standard", "paper") if sizes.get(name, 0) > 0]
    if not protocols:
        raise UsageError(
            "The predictions hold no image of the test split, so there is nothing to report; "
            "evaluate with --split test."
        )
    matrix = matrix[matrix["protocol"].map(sizes) > 0].reset_index(drop=True)
    kept = [name for name in sizes.index if sizes[name] > 0]
    is_fer2013 = set(predictions["dataset"]) == {"fer2013"}
    compared = original.compare(matrix) if is_fer2013 and "paper" in protocols else None
    return Results(
        matrix=matrix,
        class_scores=statistics.class_score_table(predictions, kept),
        confusions=_confusions(predictions, kept),
        comparisons=compared,
        protocols=protocols,
        regions=_regions(predictions, protocols[0], options),
    )


def _regions(
    predictions: pd.DataFrame, protocol: str, options: config.StatisticsConfig
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
