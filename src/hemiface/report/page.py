"""A run folder or a prediction table -> result tables, figures and one self-contained HTML page.

Nothing is trained or evaluated here and torch is not needed: whatever the page says is computed
again from predictions.parquet, and what else lies in the run folder tells how it was made.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

import hemiface
from hemiface.files import write_text
from hemiface.report.figure_files import (
    CellGroup,
    Figures,
    draw,
    drawn_faces,
    of_evaluated,
)
from hemiface.report.figures.style import model_label, ordered
from hemiface.report.page_tables import (
    Table,
    class_table,
    comparison_tables,
    counts_table,
    drop_table,
    score_table,
)
from hemiface.report.results import (
    MARKS_OF_RUNS,
    Results,
    Run,
    compute,
    is_of_before,
    read_run,
    require_ours,
    table_files,
    tell_of_others,
    write_tables,
)
from hemiface.report.words import texts
from hemiface.report.words.confidence import calibration_table, calibration_words
from hemiface.report.words.costs import half_words, mark_table, summary_table
from hemiface.report.words.findings import findings
from hemiface.report.words.information import information_words
from hemiface.report.words.methods import methods_text, references
from hemiface.report.words.regions import page_words
from hemiface.report.words.scores import answer, further, warnings
from hemiface.report.words.shifts import shift_words, shown_models
from hemiface.report.words.sides import side_tables, side_warnings, side_words
from hemiface.report.words.verdicts import Verdicts, shown_pairs
from hemiface.stats.importance.people import read as read_people
from hemiface.stats.planned import shown_conditions
from hemiface.stats.sample import whole_reader

__all__ = [
    "HEADINGS",
    "REPORT_FILE",
    "build",
    "claim",
    "linked",
    "page_path",
    "remove_pictures",
    "split_table",
    "template",
]

REPORT_FILE = "report.html"
METHODS_FILE = "methods.txt"
_MARK = ".report"

_MOST_PANELS = 6
_MOST_COLUMNS = 5
HEADINGS = {
    "findings": "What was found",
    "scores": "Accuracy of every model on every condition",
    "halves": "What hiding each half costs",
    "information": "What each half tells",
    "sides": "Left and right",
    "regions": "Which part of the face matters",
    "shifts": "What emotions are mistaken for",
    "classes": "Each emotion",
    "calibration": "How sure the networks are",
    "original": "Beside the original study",
    "drop": "All scores, and what hiding costs every model",
    "confusions": "Confusions",
    "curves": "ROC and precision-recall curves",
    "training": "Training curves",
    "pictures": "Examples and mistakes",
    "methods": "Methods, ready for a paper",
    "limits": "How to read the numbers",
    "done": "What was done",
    "cite": "How to cite",
    "rebuild": "How to rebuild this page",
    "configuration": "The whole configuration",
}
APPENDIX = "drop"
"""The first section of the appendix."""
_CSV = re.compile(r"(?<![\w/.\-])([a-z_]+\.csv)(?![\w\-])")


def build(
    run_or_predictions: str | Path,
    out: str | Path | None = None,
    pictures: bool = True,
    people: str | Path | None = None,
) -> Path:
    """Write matrix.csv, class_scores.csv, confusions.csv, comparisons.csv, figures/ and the page.

    Also planned.csv and the tables of comparisons and calibration (see `report.results.Results`),
    methods.txt, and, where the predictions hold all coalitions, importance.csv and
    interactions.csv.

    `run_or_predictions` is a run folder or a Predictions table as Parquet; what lies beside the
    table (images.parquet + pixels.npy, models/<id>/history.csv, config.toml, environment.json) is
    shown as far as it is there, and what is missing is said. `out` is the page's path (a path
    without `.html` is a folder), by default report.html beside the predictions; all else goes into
    the same folder. comparisons.csv is written for FER2013 only. With `pictures` false no face is
    put into the page, and those of an earlier one are removed from figures/. `people` is the folder
    of Wegrzyn's files: what people need stands beside the networks, and people_halves.csv is
    written. Returns the path of the page.

    Raises:
        DamagedError: the predictions or people's files are missing or not valid.
        UsageError: config.toml can't be understood, no image of the test split was scored, or a
            file would take the place of one that no report wrote.

    """
    page, *files = build_all(run_or_predictions, out, pictures, people)
    # A study removes what it made before itself.
    tell_of_others([one.stem for one in files], page.parent)
    return page


def build_all(
    run_or_predictions: str | Path,
    out: str | Path | None = None,
    pictures: bool = True,
    people: str | Path | None = None,
) -> list[Path]:
    """Do what `build` does, and return all files that were written, the page first."""
    run = read_run(run_or_predictions)
    page = page_path(run.folder, out)
    beside = None if people is None else read_people(people)
    results = compute(run.predictions, run.options, run.mirrored, beside)
    claim(page, results.tables)
    written = write_tables(results.tables, page.parent)
    names = ordered(results.matrix["model"])
    scores = results.tables["class_scores"]
    own = scores[(scores["protocol"] == results.primary) & (scores["seed"] == "mean")]
    groups = of_evaluated(_cell_groups(names, _conditions_by(own)), own)
    figures, no_pictures = draw(results, run, groups, page.parent / "figures", pictures=pictures)
    if not pictures:
        remove_pictures(page, run.predictions.names["name"])
    methods = _methods(run, results)
    methods_file = page.parent / METHODS_FILE
    write_text(methods_file, "\n\n".join([*methods.text, *methods.references]) + "\n")
    options = [] if people is None else ["--people", Path(people).resolve().name]
    options += [] if pictures else ["--no-pictures"]
    text = _render(run, results, groups, figures, no_pictures, methods, options)
    write_text(page, linked(text, page.parent))
    return [page, *written, methods_file, *figures.files]


def claim(page: Path, tables: Iterable[str]) -> None:
    """Mark the folder of a page as one that reports are written to.

    Raises:
        UsageError: a file would take the place of one that no report wrote.
    """
    folder = page.parent
    files = [*table_files(tables, folder), folder / METHODS_FILE, page]
    require_ours(folder, files, (page.name, REPORT_FILE, _MARK, *MARKS_OF_RUNS))
    if not any((folder / one).is_file() for one in MARKS_OF_RUNS):
        # Whoever stops before the page is there may go on, and one folder may hold several.
        write_text(folder / _MARK, "A report and its tables are written here.\n")


def remove_pictures(page: Path, names: Iterable[str] = ()) -> None:
    """Remove what earlier reports drew of faces: who wants none shown hands on no folder of them.

    `page` is where the report will be written; `names` are its networks.
    """
    folder = page.parent / "figures"
    unmarked = any(is_of_before(one) for one in (page, page.parent / REPORT_FILE))
    for path in drawn_faces(folder, names if unmarked else None):
        path.unlink()


def linked(text: str, folder: Path) -> str:
    """Return the page with each table that lies beside it linked where it is named."""

    def link(found: re.Match[str]) -> str:
        name = found.group(1)
        return f'<a href="{name}">{name}</a>' if (folder / name).is_file() else name

    # Between tags only, so that no attribute changes.
    return re.sub(r">[^<]+<", lambda part: _CSV.sub(link, part.group()), text)


def _conditions_by(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the conditions that each model of a table was evaluated on."""
    by = table.groupby("model", sort=False, observed=True)["condition"]
    return {str(name): ordered(conditions) for name, conditions in by}


def _cell_groups(names: Sequence[str], evaluated: Mapping[str, Sequence[str]]) -> list[CellGroup]:
    """Return what the class-wise sections show: robustness, available information, the others.

    `evaluated` are the conditions by model: not every network is on everything.

    The baseline is seen on every condition (robustness) and each specialist on its own (available
    information); the two never share a figure. A model that is neither, such as the generalist, or
    any model where there is no baseline, is seen on every condition.
    """
    conditions = {one for each in evaluated.values() for one in each}
    groups = []
    if "full" in names:
        text = "Robustness: the model trained on whole faces, with parts hidden"
        cells = [("full", hidden) for hidden in shown_conditions(evaluated.get("full", ()))]
        groups.append(CellGroup("robustness", text, "Robustness: baseline", cells))
        own = [name for name in names if name in conditions][:_MOST_PANELS]
        if len(own) > 1:
            text = "Available information: each model on the condition it was trained on"
            cells = [(whole_reader(names) if name == "full" else name, name) for name in own]
            groups.append(CellGroup("information", text, "Information: specialists", cells))
    for name in names:
        if "full" not in names or name not in ("full", "longer", *conditions):
            text = f"The model {model_label(name)}"
            short = "Information: generalist" if name == "any" else f"Model {name}"
            cells = [(name, hidden) for hidden in shown_conditions(evaluated.get(name, ()))]
            groups.append(CellGroup(f"model-{name}", text, short, cells))
    return groups


def _render(
    run: Run,
    results: Results,
    groups: Sequence[CellGroup],
    figures: Figures,
    no_pictures: str,
    methods: "_Methods",
    options: Sequence[str],
) -> str:
    """Return the page; `options` are those of the command that makes it."""
    verdicts, level = _verdicts(results), run.options.level
    compared = _beside_original(results)
    told = _told(results, verdicts, level)
    predictions = run.predictions
    datasets = list(dict.fromkeys(predictions.table["dataset"]))
    parts = _parts(results, verdicts, datasets, level)
    in_bits = _information_words(results, level)
    return template("report.html.j2").render(
        title=texts.title(datasets),
        subtitle=texts.subtitle(run.name, run.environment),
        all_described=not predictions.missing,
        findings=findings(
            results.matrix,
            results.tables,
            parts,
            further(
                results.matrix,
                protocol=results.primary,
                comparisons=compared,
                copy=_copy(run),
            ),
            (told["side_words"], told["side_warnings"]),
        ),
        rendered=parts["rendered"],
        warnings=[
            *texts.pooled(datasets),
            *predictions.gaps,
            *results.left_out,
            *warnings(predictions.models, predictions.table["model"].unique()),
        ],
        selected=texts.beside_original(predictions),
        headings=_headings(run, results, compared, told),
        done=_done(run),
        configuration=run.recipe,
        told=told,
        information=in_bits,
        regions=_region_words(results, level, in_bits=bool(in_bits)),
        tables=_tables(run, results, groups, verdicts, compared),
        figures=figures,
        trainings=texts.Trainings.of(predictions.names, "name"),
        no_pictures=no_pictures,
        methods=methods,
        limits=texts.methods(
            predictions,
            results.protocols,
            run.options,
            compared=compared is not None,
            few_groups=results.few_groups,
        ),
        citations=texts.citations(datasets, run.images),
        bibtex=texts.bibtex(datasets),
        appendix=APPENDIX,
        rebuild=texts.rebuild(
            run.name,
            run.environment,
            run.recipe,
            folder=run.folder.resolve().name,
            options=options,
        ),
        version=hemiface.__version__,
    )


def template(name: str) -> Template:
    """Return a template of this room; what a page doesn't give it is an error."""
    loader = PackageLoader("hemiface.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    return environment.get_template(name)


def _parts(
    results: Results, verdicts: Verdicts, datasets: Sequence[str], level: float
) -> dict[str, list[str]]:
    """Return the first sentences by what they are about."""
    labels = results.sample.table.drop_duplicates("image")["label"]
    shares = labels.value_counts(normalize=True)
    return answer(
        results.matrix,
        verdicts,
        protocol=results.primary,
        most_frequent=(str(shares.index[0]), float(shares.iloc[0])),
        rendered=list(datasets) == ["phantom"],
        level=level,
    )


def _headings(
    run: Run, results: Results, compared: pd.DataFrame | None, told: Mapping[str, list[str]]
) -> dict[str, str]:
    """Return HEADINGS without those of sections that have nothing to show."""
    absent = {name for name in ("halves", "sides", "shifts") if not told[name]}
    absent |= {"original"} if compared is None else set()
    absent |= set() if run.recipe else {"configuration"}
    absent |= {"regions"} if results.regions is None else set()
    absent |= set() if _information_words(results, level=0.95) else {"information"}
    return {anchor: text for anchor, text in HEADINGS.items() if anchor not in absent}


def _done(run: Run) -> dict[str, Any]:
    """Return what the section on what was done shows."""
    return {
        "data": texts.data_rows(run.predictions, run.images),
        "partial": run.images is None,
        "counts": _counts(run),
        "models": texts.model_rows(run.predictions),
        "recipe": texts.recipe_table(run.settings) if run.settings else None,
        "environment": texts.environment_rows(run.environment),
    }


def _copy(run: Run) -> str:
    """Return what makes an image leaked, with its article."""
    return texts.with_article(texts.copy_word(run.predictions.facts, run.images))


def _beside_original(results: Results) -> pd.DataFrame | None:
    """Return the scores that stand beside published ones; None where there are none."""
    compared = results.tables.get("comparisons")
    compared = None if compared is None else compared.dropna(subset=["ours"])
    return None if compared is None or compared.empty else compared


def _tables(
    run: Run,
    results: Results,
    groups: Sequence[CellGroup],
    verdicts: Verdicts,
    compared: pd.DataFrame | None,
) -> dict[str, Table | list[Table] | None]:
    """Return the page's tables by their place in the template."""
    matrix, primary, level = results.matrix, results.primary, run.options.level
    confidence, sides = (results.tables.get(name) for name in ("calibration", "sides"))
    shown = list(dict.fromkeys(cell for group in groups for cell in group.cells))
    return {
        "marks": mark_table(matrix, verdicts, primary),
        "halves": summary_table(results.planned, level),
        "sides": [] if sides is None else side_tables(sides, verdicts, level),
        "calibration": None if confidence is None else calibration_table(confidence, shown, level),
        "scores": [
            table
            for protocol in results.protocols
            for table in split_table(matrix, partial(score_table, copy=_copy(run)), protocol)
        ],
        "drop": split_table(matrix, drop_table, primary),
        "original": [] if compared is None else comparison_tables(compared),
        "classes": [
            class_table(
                results.tables["class_scores"], group.cells, primary, group.key, f"{group.title}."
            )
            for group in groups
        ],
    }


def split_table(
    matrix: pd.DataFrame, make: Callable[[pd.DataFrame, str], Table | None], protocol: str
) -> list[Table]:
    """Return a table, or several of `_MOST_COLUMNS` conditions each, so that they fit on paper."""
    conditions = ordered(matrix["condition"])
    tables = []
    for start in range(0, len(conditions), _MOST_COLUMNS):
        some = conditions[start : start + _MOST_COLUMNS]
        table = make(matrix[matrix["condition"].isin(some)], protocol)
        if table:
            key = f"{table.key}-{start // _MOST_COLUMNS + 1}" if start else table.key
            tables.append(replace(table, key=key))
    return tables


@dataclass(frozen=True)
class _Methods:
    """The paragraphs of the methods section and what they cite."""

    text: list[str]
    references: list[str]


def _methods(run: Run, results: Results) -> _Methods:
    known = {"calibration": "calibration", "confusion_shifts": "shifts", "sides": "sides"}
    parts = [part for name, part in known.items() if name in results.tables]
    parts += ["regions"] if results.regions else []
    parts += ["few groups"] if results.few_groups else []
    parts += ["information"] if _information_words(results, run.options.level) else []
    parts += ["pairs"] if len(results.tables["all_pairs"]) else []
    parts += ["votes"] if run.settings is not None and run.settings.data.labels else []
    asked = list(dict.fromkeys(results.planned["kind"]))
    text = methods_text(
        run.predictions,
        protocol=results.primary,
        options=run.options,
        settings=run.settings,
        images=run.images,
        environment=run.environment,
        parts=parts,
        asked=asked,
    )
    return _Methods(text, references(run.predictions, parts, asked))


def _verdicts(results: Results) -> Verdicts:
    """Return the one verdict of each pair: planned questions, shown conditions, all pairs."""
    every = results.tables["all_pairs"]
    shown = shown_conditions(ordered(results.matrix["condition"]))
    return Verdicts(results.planned, shown_pairs(every, shown), every)


def _told(results: Results, verdicts: Verdicts, level: float) -> dict[str, list[str]]:
    """Return the paragraphs of the sections on comparisons, and what they warn of."""
    sides, moved, sure = (
        results.tables.get(name) for name in ("sides", "confusion_shifts", "calibration")
    )
    told: dict[str, list[str]] = {
        "halves": half_words(results.planned, level),
        "sides": [] if sides is None else [*side_warnings(sides), *side_words(sides, verdicts)],
        "side_warnings": [] if sides is None else side_warnings(sides),
        "side_words": [] if sides is None else side_words(sides, verdicts),
        "shifts": [],
        "calibration": [],
    }
    if moved is not None:
        words = (
            shift_words(moved, model) for model in shown_models(moved, results.matrix["model"])
        )
        told["shifts"] = [one for one in words if one]
    if sure is not None:
        conditions = _conditions_by(sure)
        models = [one for one in ("full", "any") if one in conditions]
        told["calibration"] = [
            calibration_words(sure, [(model, one) for one in shown_conditions(conditions[model])])
            for model in models or list(conditions)[:1]
        ]
    return told


def _information_words(results: Results, level: float) -> list[str]:
    """Return the paragraphs on bits; [] where no network reads both halves of a pair."""
    if "information" not in results.tables:
        return []
    said = information_words(results.tables, level)
    return said if len(said) > 1 else []


def _region_words(results: Results, level: float, *, in_bits: bool) -> list[str]:
    known = results.regions
    return page_words(known, level, in_bits=in_bits) if known else []


def _counts(run: Run) -> dict[str, Any]:
    scored = run.predictions.table.drop_duplicates("image")
    texts_only = {"split": str, "label": str}
    table = scored.astype(texts_only) if run.images is None else run.images.table
    columns, rows = counts_table(table)
    return {"columns": columns, "rows": rows}


def page_path(folder: Path, out: str | Path | None) -> Path:
    """Return where the page of predictions in `folder` goes; `out` as in `build`."""
    if out is None:
        return folder / REPORT_FILE
    path = Path(out)
    return path if path.suffix.lower() in (".html", ".htm") else path / REPORT_FILE
