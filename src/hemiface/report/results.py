"""The one place that knows which tables Predictions give, and writes them.

`compute` makes every table of a report, `compare` and `calibrate` those of their commands. Each
takes one Sample a protocol, so that no two tables of a page differ in their images or draws. No
two commands write the same file: the report's tables lie beside the predictions, those of
`compare`, `calibrate` and `importance` in folders of these names.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hemiface import config
from hemiface.config import StatisticsOptions
from hemiface.data.images import PIXELS_FILE, TABLE_FILE, Images
from hemiface.data.parts import read_whole, table_path
from hemiface.documents import entry, read_json, read_text, undamaged
from hemiface.errors import DamagedError, UsageError, first_line
from hemiface.files import write_json, write_text
from hemiface.provenance import HARDWARE_OF
from hemiface.report.figures.style import ordered
from hemiface.stats import comparisons, importance, matrix, metrics
from hemiface.stats.abstention import risk_coverage_table, threshold_for_risk
from hemiface.stats.all_pairs import all_pairs, cochran, mcnemar
from hemiface.stats.calibration import (
    POOLED,
    apply_temperatures,
    calibration_scores,
    doubts,
    fit_temperatures,
    reliability_table,
)
from hemiface.stats.confusion_shifts import confusion_shifts
from hemiface.stats.decomposition import decomposition
from hemiface.stats.face_lines import face_lines
from hemiface.stats.importance import Importance
from hemiface.stats.importance.people import People, people_halves
from hemiface.stats.inference import FEWEST_FOR_PERCENTILES
from hemiface.stats.information import families, information, informative, seeds_left_out
from hemiface.stats.planned import planned
from hemiface.stats.sample import Progress, Sample
from hemiface.stats.sensitivity import sensitivity
from hemiface.stats.shapley import shapley
from hemiface.stats.sides import has_sides, sides
from hemiface.tables import Predictions, compact, read_csv, read_predictions, write_csv

_log = logging.getLogger(__name__)

__all__ = [
    "MARKS_OF_RUNS",
    "PAPER_METRICS",
    "PREDICTIONS_FILE",
    "TABLES",
    "Calibrated",
    "Compared",
    "Results",
    "Run",
    "calibrate",
    "claim_for",
    "compare",
    "compute",
    "confusions",
    "headline",
    "information_tables",
    "is_of_before",
    "is_ours",
    "read_recipe",
    "read_run",
    "require_ours",
    "table_files",
    "tell_of_others",
    "temperatures_json",
    "write_tables",
]

PREDICTIONS_FILE = "predictions.parquet"
MIRRORED_FILE = "mirrored.parquet"

_HISTORY_COLUMNS = ("epoch", "train_loss", "validation_loss", "validation_accuracy")
MARKS_OF_RUNS = ("stages.json", "environment.json")
_PAGES = (".html", ".htm")
_GENERATOR = b'<meta name="generator" content="hemiface '
_OF_BEFORE = re.compile(rb"Made (by|with) hemiface \d")
"""What all pages end with; those of before have no generator in their heads."""
_NO_RECIPE = "write it again with the study's own command, or remove it"

TABLES = (
    "matrix", "class_scores", "confusions", "planned", "all_pairs", "mcnemar", "cochran",
    "comparisons", "confusion_shifts", "sides", "calibration", "reliability", "risk_coverage",
    "aurc", "temperatures", "information", "decomposition", "shapley", "sensitivity",
    "importance", "interactions", "people_halves",
)  # fmt: skip
"""All that a report may write, by name."""

_INFORMING = ("information", "decomposition", "shapley", "sensitivity")
_MARKED = {
    "report": TABLES,
    "compare": ("all_pairs", "mcnemar", "cochran", "confusion_shifts", "sides", "face_lines"),
    "calibrate": ("calibration", "reliability", "risk_coverage", "aurc", "abstention"),
    "information": (*_INFORMING, "voters"),
    "importance": ("importance", "interactions", "fills", "tiles", "bubbles", "people",
                   "placements"),
    "people": ("participants", "responses", "confusions", *_INFORMING, "ratings", "maps", "beside",
               "agreement", "likeness"),
}  # fmt: skip
"""The tables that lie beside each command's mark: several commands may share a folder."""

PAPER_METRICS = ("accuracy", "macro_f1", "weighted_f1", "weighted_auc")
"""The four scores of each cell in the original study's table."""

_HEADLINE = ("robustness", "available information", "own conditions")


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
    predictions: Predictions
    images: Images | None
    histories: dict[str, pd.DataFrame]
    settings: config.Config | None
    recipe: str
    environment: dict[str, Any]
    mirrored: Predictions | None = None

    @property
    def options(self) -> StatisticsOptions:
        """How intervals are made: the run's options, else the default ones."""
        return self.settings.statistics if self.settings else StatisticsOptions()


@dataclass(frozen=True, eq=False)
class Results:
    """The result tables by the names of their files, and the samples that they were made from.

    Of TABLES the first seven are always there, the others where there is what they need:
    comparisons for FER2013 only.

    `samples` holds the protocols that have images; `primary` is the one that words and figures, and
    all tables but the first three, are about; so is `regions` (None without all coalitions).
    """

    samples: Mapping[str, Sample]
    tables: Mapping[str, pd.DataFrame]
    regions: Importance | None = None
    left_out: Sequence[str] = ()
    """A sentence for each part that the predictions don't suffice for, with what is missing."""

    @property
    def protocols(self) -> list[str]:
        """The protocols that have images and aren't a part of another one's."""
        return [name for name in ("standard", "paper") if name in self.samples]

    @property
    def primary(self) -> str:
        """The protocol shown first."""
        return self.protocols[0]

    @property
    def sample(self) -> Sample:
        """The sample of the protocol shown first."""
        return self.samples[self.primary]

    @property
    def few_groups(self) -> bool:
        """Do so few groups of like size bear on some cell that its scores have no interval?"""
        groups = (self.sample.groups_of(cell) for cell in self.sample.cells)
        return min(groups) < FEWEST_FOR_PERCENTILES

    @property
    def matrix(self) -> pd.DataFrame:
        """Every metric of every model under every condition."""
        return self.tables["matrix"]

    @property
    def planned(self) -> pd.DataFrame:
        """The comparisons that the report is about."""
        return self.tables["planned"]


def read_run(run_or_predictions: str | Path) -> Run:
    """Read predictions.parquet and whatever of a run lies beside it.

    Raises:
        DamagedError: the predictions are missing or damaged, or another file there is.

    """
    given = Path(run_or_predictions)
    table = table_path(given)
    folder = table.parent
    predictions = compact(read_whole(table))
    environment_file = folder / "environment.json"
    settings, recipe = read_recipe(folder)
    has_images = (folder / TABLE_FILE).is_file() and (folder / PIXELS_FILE).is_file()
    return Run(
        folder=folder,
        name=given.resolve().name,
        predictions=predictions,
        images=Images.read(folder, mmap_mode="r") if has_images else None,
        histories=_histories(folder, predictions),
        settings=settings,
        recipe=recipe,
        environment=_environment(environment_file) if environment_file.is_file() else {},
        mirrored=_mirrored(folder),
    )


def compute(
    predictions: Predictions,
    options: StatisticsOptions,
    mirrored: Predictions | None = None,
    people: People | None = None,
) -> Results:
    """Compute the result tables of Predictions, and what people's tiles say of halves.

    Raises:
        UsageError: no protocol has an image.

    """
    every = {name: Sample.of(predictions, name, options) for name in metrics.PROTOCOLS}
    samples = {name: one for name, one in every.items() if one.cells}
    if not {"standard", "paper"} & set(samples):
        raise UsageError(
            "The predictions hold no image of the test split, so there is nothing to report; "
            "evaluate with --split test."
        )
    primary = samples["standard"] if "standard" in samples else samples["paper"]
    tables = {
        "matrix": pd.concat([matrix.matrix(one) for one in samples.values()], ignore_index=True),
        "class_scores": pd.concat(
            [matrix.class_scores(one) for one in samples.values()], ignore_index=True
        ),
        "confusions": pd.concat(map(confusions, samples.values()), ignore_index=True),
    }
    if set(predictions.table["dataset"]) == {"fer2013"} and "paper" in samples:
        tables["comparisons"] = comparisons.compare(tables["matrix"])
    tables["planned"] = planned(primary)
    tables |= _compared(primary)
    known, left_out = _of_known_confidence(primary)
    if has_sides(primary.conditions):
        tables["sides"] = _sides(primary, mirrored, left_out)
    if known is not None and known.protocol == "standard":
        tables |= _if_possible("Confidence", lambda: _calibration(known), left_out)
        left_out += doubts(tables["temperatures"]) if "temperatures" in tables else []
    if known is not None and informative(known):
        tables |= _if_possible("Bits", lambda: _bits_tables(known), left_out)
    # It asks for labels alone: of networks without validation images too.
    if families(primary):
        tables["sensitivity"] = sensitivity(primary)
        left_out += seeds_left_out(primary)
    if people is not None:
        tables["people_halves"] = people_halves(people, options)
    regions = importance.analyse(primary) if importance.playable(primary) else None
    if regions is not None:
        tables |= {"importance": regions.regions, "interactions": regions.interactions}
    return Results(samples, tables, regions, left_out)


def _of_known_confidence(sample: Sample) -> tuple[Sample | None, list[str]]:
    """Return a sample of the models that have validation images, and a sentence on the others."""
    judged = set(sample.validation.table["model"])
    others = [one for one in dict.fromkeys(model for model, _ in sample.cells) if one not in judged]
    if not judged or not others:
        return (sample if judged else None), []
    said = (
        f"Confidence and bits of {', '.join(others)} aren't told: they rest on validation images, "
        "of which the table has none for them."
    )
    own = sample.whole.table["model"].isin(judged)
    return Sample.of(sample.whole.select(own), sample.protocol, sample.options), [said]


def _if_possible(
    what: str, make: Callable[[], dict[str, pd.DataFrame]], left_out: list[str]
) -> dict[str, pd.DataFrame]:
    """Return a part's tables, or none and the reason in `left_out`: the rest is worth a page."""
    try:
        return make()
    except UsageError as error:
        left_out.append(f"{what}: {error}")
        return {}


def information_tables(sample: Sample) -> dict[str, pd.DataFrame]:
    """Return what visible parts of a face tell: bits, their parts, their shares, sensitivity.

    Raises:
        UsageError: as `stats.information.information`.
    """
    return _bits_tables(sample) | {"sensitivity": sensitivity(sample)}


def _bits_tables(sample: Sample) -> dict[str, pd.DataFrame]:
    return {
        "information": information(sample),
        "decomposition": decomposition(sample),
        "shapley": shapley(sample),
    }


def require_ours(folder: Path, written: Iterable[Path], marks: Sequence[str]) -> None:
    """Raise unless what is to be written takes the place of earlier results of hemiface alone.

    Raises:
        UsageError: a file is there, none of the marks (see `is_ours`), and no mark of another
            command that writes such a table.
    """
    there = [one for one in written if one.exists()]
    if not there or is_ours(folder, marks):
        return
    others = [names for command, names in _MARKED.items() if (folder / f".{command}").is_file()]
    known = {f"{name}.csv" for names in others for name in names}
    foreign = [one for one in there if one.name not in known]
    if foreign:
        raise UsageError(
            f"{foreign[0]} is there, and nothing beside it says that hemiface wrote it; choose "
            "another --out, or move it."
        )


def is_ours(folder: Path, marks: Sequence[str]) -> bool:
    """Return whether any file of `marks` in a folder says that hemiface wrote what lies there.

    A page is a mark where it says so itself: people have pages of the same name.
    """
    there = (folder / one for one in marks)
    return any(
        path.is_file()
        and (
            path.suffix.lower() not in _PAGES
            or _GENERATOR in path.read_bytes()
            or is_of_before(path)
        )
        for path in there
    )


def is_of_before(page: Path) -> bool:
    """Return whether a page is there that says who wrote it at its end alone.

    Not all pictures of faces that such a report drew bear a mark.
    """
    text = page.read_bytes() if page.is_file() else b""
    return _GENERATOR not in text and bool(_OF_BEFORE.search(text))


def claim_for(command: str, folder: Path, written: Iterable[Path], *pages: str) -> None:
    """Mark a folder as one that a command writes its results into.

    `pages` are files by which results without the command's own mark are known again.

    Raises:
        UsageError: a file would take the place of one that hemiface didn't write.
    """
    mark = f".{command}"
    require_ours(folder, written, (*pages, mark, *MARKS_OF_RUNS))
    # Whoever stops before all is there may go on.
    write_text(folder / mark, f"Results of hemiface {command} are written here.\n")


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write each table as `<name>.csv` into the folder and return the paths."""
    paths = table_files(tables, folder)
    for path, table in zip(paths, tables.values(), strict=True):
        write_csv(table, path)
    return paths


def table_files(tables: Iterable[str], folder: Path) -> list[Path]:
    """Return where `write_tables` writes each table."""
    return [folder / f"{name}.csv" for name in tables]


def tell_of_others(tables: Collection[str], folder: Path) -> None:
    """Warn of a report's tables that lie in the folder and aren't of the one just written there."""
    there = [f"{one}.csv" for one in TABLES if one not in tables]
    others = [one for one in there if (folder / one).is_file()]
    if others:
        _log.warning(
            "%s: %s %s not of this report; an earlier one may have left %s.",
            folder, ", ".join(others), *(("is", "it") if len(others) == 1 else ("are", "them")),
        )  # fmt: skip


def _as(predictions: Predictions, sample: Sample) -> Sample:
    """Return other predictions, selected and drawn as a sample is."""
    return Sample.of(predictions, sample.protocol, sample.options)


def _sides(sample: Sample, mirrored: Predictions | None, left_out: list[str]) -> pd.DataFrame:
    """Return left against right, without the control where it lacks the sample's networks.

    What lies beside a table may be of the run's networks and not of an ensemble of them.
    """
    if mirrored is not None:
        try:
            return sides(sample, _as(mirrored, sample))
        except UsageError as error:
            left_out.append(f"Left and right stand without {MIRRORED_FILE}: {error}")
    return sides(sample)


def _compared(sample: Sample, progress: Progress | None = None) -> dict[str, pd.DataFrame]:
    """Return the tables of every comparison but of sides."""
    found = {
        "all_pairs": all_pairs(sample, progress=progress),
        "mcnemar": mcnemar(sample),
        "cochran": cochran(sample),
    }
    if "full" in sample.conditions and len(sample.conditions) > 1:
        found["confusion_shifts"] = confusion_shifts(sample)
    return found


def _calibration(sample: Sample) -> dict[str, pd.DataFrame]:
    """Return the tables of confidence, with temperatures of the validation images."""
    temperatures = fit_temperatures(sample)
    curves, areas = risk_coverage_table(sample, temperatures)
    return {
        "temperatures": temperatures,
        "calibration": calibration_scores(sample, temperatures),
        "reliability": reliability_table(sample, temperatures),
        "risk_coverage": curves,
        "aurc": areas,
    }


@dataclass(frozen=True, eq=False)
class Compared:
    """What `compare` computed and where it lies.

    `accuracy` is the part to look at first, `warnings` are sentences. Tables: all_pairs, mcnemar,
    cochran; confusion_shifts, sides and face_lines where there is what they need.
    """

    tables: Mapping[str, pd.DataFrame]
    files: Sequence[Path]
    accuracy: pd.DataFrame
    warnings: Sequence[str] = field(default_factory=list)


def compare(
    sample: Sample,
    folder: Path,
    *,
    mirrored: Predictions | None = None,
    face: Predictions | None = None,
    progress: Progress | None = None,
) -> Compared:
    """Write the tables of every comparison (see Compared) into the folder.

    `mirrored` are predictions of mirrored pictures, the control for sides; `face` those of the same
    networks with the faces' own halves hidden: face_lines.csv says what that changes. `accuracy`
    holds the rows of all_pairs about accuracy that answer the two questions (robustness, available
    information) and compare own conditions, over all seeds where there are several; every row where
    there is no baseline on whole faces.

    Raises:
        UsageError: as `all_pairs`, `sides` and `face_lines`, or as `claim_for`.

    """
    if mirrored is not None and not has_sides(sample.conditions):
        raise UsageError("Mirrored predictions control left against right; evaluate both.")
    control = None if mirrored is None else _as(mirrored, sample)
    tables = _compared(sample, progress)
    if has_sides(sample.conditions):
        tables["sides"] = sides(sample, control)
    if face is not None:
        tables["face_lines"] = face_lines(sample, face)
    said = list(tables["sides"]["warning"]) if "sides" in tables else []
    warnings = [str(one) for one in dict.fromkeys(said) if one]
    claim_for("compare", folder, table_files(tables, folder))
    return Compared(tables, write_tables(tables, folder), headline(tables["all_pairs"]), warnings)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What `calibrate` wrote, the temperatures as in temperatures.json, and calibration.csv.

    `left_out` are sentences on models without validation images and on temperatures in doubt.
    """

    files: Sequence[Path]
    temperatures: dict[str, Any]
    scores: pd.DataFrame
    left_out: Sequence[str] = ()


def calibrate(sample: Sample, folder: Path, risks: Sequence[float] = (0.1, 0.2)) -> Calibrated:
    """Write temperatures.json, calibration, reliability, risk_coverage, aurc and abstention .csv.

    Temperatures are fitted on the validation images, everything else is measured on the sample's
    images with temperatures by visibility; abstention.csv has a threshold for each of `risks`.

    Raises:
        UsageError: validation or test images are missing; or as `threshold_for_risk` and
            `claim_for`.

    """
    known, left_out = _of_known_confidence(sample)
    sample = known or sample
    tables = _calibration(sample)
    temperatures = tables.pop("temperatures")
    scaled = _as(apply_temperatures(sample.whole, temperatures), sample)
    thresholds = [threshold_for_risk(scaled, risk) for risk in risks]
    tables["abstention"] = pd.concat(thresholds, ignore_index=True)
    plain = temperatures_json(temperatures)
    file = folder / "temperatures.json"
    claim_for("calibrate", folder, [file, *table_files(tables, folder)])
    write_json(file, plain)
    files = [file, *write_tables(tables, folder)]
    left_out += doubts(temperatures)
    return Calibrated(files, plain, tables["calibration"], left_out)


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


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all_pairs to look at first (see `compare`)."""
    rows = table[table["metric"] == "accuracy"]
    first = rows["kind"].isin(_HEADLINE)
    averaged = set(rows.loc[rows["seed"] == "mean", "family"])
    chosen = (rows["seed"] == "mean") | ~rows["family"].isin(averaged)
    return rows[(first | (not first.any())) & chosen].reset_index(drop=True)


def confusions(sample: Sample) -> pd.DataFrame:
    """Return protocol, model, seed, condition, true, predicted, count."""
    names = sample.names.astype({"seed": str}).rename(columns={"model": "id"})
    counts = sample.confusions().rename(columns={"model": "id"})
    merged = counts.merge(names, on="id", validate="many_to_one")
    columns = ["protocol", "model", "seed", "condition", "true", "predicted", "count"]
    return merged.rename(columns={"name": "model"}).assign(protocol=sample.protocol)[columns]


def _mirrored(folder: Path) -> Predictions | None:
    path = folder / MIRRORED_FILE
    return compact(read_predictions(path)) if path.is_file() else None


def _histories(folder: Path, predictions: Predictions) -> dict[str, pd.DataFrame]:
    """Return the history of each model ID that has one with at least an epoch, in table order."""
    names = predictions.names
    order = {name: rank for rank, name in enumerate(ordered(names["name"]))}
    names = names.assign(rank=names["name"].map(order)).sort_values(["rank", "seed"])
    found = {}
    for model in names["model"]:
        path = folder / "models" / model / "history.csv"
        if path.is_file():
            history = read_csv(path)
            for column in _HISTORY_COLUMNS:
                if column not in history or not pd.api.types.is_numeric_dtype(history[column]):
                    raise DamagedError(
                        f"{path} is damaged (no numbers in column {column}); remove it, and the "
                        "report leaves out its curves."
                    )
            if len(history):
                found[model] = history
    return found


def read_recipe(folder: Path) -> tuple[config.Config | None, str]:
    """Return the config that a study wrote beside its results, parsed and as text; None without.

    In a folder that no run has marked, what can't be understood is another program's, and left out.

    Raises:
        DamagedError: it can't be understood.
    """
    path = folder / "config.toml"
    if not path.is_file():
        return None, ""
    try:
        with undamaged(path, _NO_RECIPE):
            return config.load(path), read_text(path)
    except (UsageError, DamagedError) as error:
        if not any((folder / name).is_file() for name in MARKS_OF_RUNS):
            _log.warning("%s is left out: it is no config of hemiface's.", path)
            return None, ""
        if isinstance(error, DamagedError):
            raise
        # Of a run with options that aren't taken any more, or changed by hand.
        why = first_line(error).rstrip(".")
        raise DamagedError(f"{why}; set that right, {_NO_RECIPE}.") from error


def _environment(path: Path) -> dict[str, Any]:
    with undamaged(path, "remove it, and the report says nothing of versions and hardware"):
        known: dict[str, Any] = read_json(path)
        for part, kind in (("command", str), ("versions", dict), ("hardware", dict),
                           (HARDWARE_OF, dict)):  # fmt: skip
            if part in known:
                entry(known, part, kind)
        for name in entry({"times_s": {}, **known}, "times_s", dict):
            entry(known["times_s"], name, float)
    return known
