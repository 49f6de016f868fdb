"""The figures of the report: each is drawn, written as SVG and PNG, and fitted into the page."""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL.PngImagePlugin import PngInfo

from hemiface.data import sheets
from hemiface.data.images import Images
from hemiface.data.pictures import MADE_BY, is_made_here
from hemiface.files import as_stem, atomic_path
from hemiface.occlusion.conditions import CONDITIONS, HALVES
from hemiface.report.figures import classes, scores
from hemiface.report.figures.classes import Cell
from hemiface.report.figures.confidence import reliability_panels, risk_coverage_plot
from hemiface.report.figures.costs import forest_plot, shift_maps
from hemiface.report.figures.halves import halves_map
from hemiface.report.figures.style import METRIC_NAMES, condition_label, model_label, ordered, save
from hemiface.report.results import PAPER_METRICS, Results, Run
from hemiface.report.words import costs, shifts
from hemiface.report.words.information import (
    information_figures,
    informative_halves,
    shown_fill,
)
from hemiface.report.words.regions import importance_figures
from hemiface.report.words.verdicts import verdict
from hemiface.stats.sample import Sample
from hemiface.tables import Predictions

__all__ = [
    "CellGroup",
    "Figures",
    "Picture",
    "draw",
    "drawn_faces",
    "drawn_picture",
    "inline_svg",
    "of_evaluated",
]

_MODELS_A_FIGURE = 6
_MOST_SHEETS = 6
_MOST_PANELS = 3
_MISTAKES = 16


@dataclass(frozen=True)
class CellGroup:
    """Which (model, condition) cells are put side by side; `short` is a title for a panel."""

    key: str
    title: str
    short: str
    cells: list[Cell]


def of_evaluated(groups: Sequence[CellGroup], table: pd.DataFrame) -> list[CellGroup]:
    """Return the groups with the cells that a table has: not every network is on everything."""
    found = [replace(group, cells=classes.evaluated(table, group.cells)) for group in groups]
    return [group for group in found if group.cells]


@dataclass(frozen=True)
class Picture:
    """A figure in the page: inline SVG or an image as data URI, and what it shows."""

    markup: Markup
    caption: str
    narrow: bool = False
    files: tuple[Path, ...] = ()

    @property
    def width_pt(self) -> float:
        """How wide an SVG was drawn; its letters stay readable if it isn't shown much smaller."""
        return float(self.markup.split('viewBox="', 1)[1].split()[2])


@dataclass(frozen=True)
class Figures:
    """The figures of each section."""

    first: list[Picture] = field(default_factory=list)
    scores: list[Picture] = field(default_factory=list)
    halves: list[Picture] = field(default_factory=list)
    information: list[Picture] = field(default_factory=list)
    drop: list[Picture] = field(default_factory=list)
    original: list[Picture] = field(default_factory=list)
    classes: list[Picture] = field(default_factory=list)
    shifts: list[Picture] = field(default_factory=list)
    confusions: list[Picture] = field(default_factory=list)
    curves: list[Picture] = field(default_factory=list)
    regions: list[Picture] = field(default_factory=list)
    calibration: list[Picture] = field(default_factory=list)
    abstention: list[Picture] = field(default_factory=list)
    training: list[Picture] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    unshown: list[Picture] = field(default_factory=list)
    """Those that are written and aren't on the page."""

    @property
    def files(self) -> list[Path]:
        """All files that were written."""
        every = (getattr(self, one.name) for one in fields(self))
        return [path for pictures in every for one in pictures for path in one.files]


def draw(
    results: Results,
    run: Run,
    groups: Sequence[CellGroup],
    folder: Path,
    *,
    pictures: bool = True,
) -> tuple[Figures, str]:
    """Draw every figure, write it into `folder` as SVG and PNG, and return what the page shows.

    The text says why there are no pictures of faces, and is empty if there are.
    """
    drawn = Figures()
    _draw_scores(drawn, results, folder)
    _draw_halves(drawn, results, folder)
    _draw_original(drawn, results, folder)
    _draw_information(drawn, results, folder)
    if not drawn.first and drawn.scores[0].width_pt <= _WIDEST_FIRST_PT:
        drawn.first.append(drawn.scores.pop(0))
    _draw_regions(drawn, results, folder)
    _draw_confidence(drawn, results, groups, folder)
    _draw_cells(drawn, results, groups, folder)
    models = list(run.histories)
    for start in range(0, len(models), _MODELS_A_FIGURE):
        some = {model: run.histories[model] for model in models[start : start + _MODELS_A_FIGURE]}
        name = "training" if not start else f"training-{start // _MODELS_A_FIGURE + 1}"
        caption = f"Loss and validation accuracy by epoch: {', '.join(some)}."
        drawn.training.append(drawn_picture(scores.training_curves(some), folder, name, caption))
    if not pictures:
        return drawn, "Pictures were left out on request."
    if run.images is None:
        return drawn, "No images.parquet and pixels.npy lie beside the predictions: no pictures."
    _draw_pictures(drawn, run.images, run.predictions, folder)
    return drawn, ""


def drawn_faces(folder: Path, unmarked: Iterable[str] | None = None) -> list[Path]:
    """Return the pictures of faces in a folder that reports drew: those with hemiface's mark.

    Where reports put none into theirs, `unmarked` are the names of the networks: it is also what
    one with pictures of these would replace.
    """
    sheets_of = [f"mistakes-{one}" for one in (() if unmarked is None else unmarked)]
    known = [folder / f"{as_stem(name)}.png" for name in ("examples", "conditions", *sheets_of)]
    there = {*(path for path in known if path.is_file()), *folder.glob("mistakes-*.png")}
    return [
        path
        for path in sorted(there)
        if is_made_here(path) or (unmarked is not None and path in known)
    ]


_PAGE_WIDTH_PT = 518.4
"""A figure this wide fills the page's column."""
_WIDEST_FIRST_PT = 330.0
"""Of the figure beside the findings, which is shown 227 pt wide on paper."""


def inline_svg(text: str, label: str) -> Markup:
    """Return a matplotlib SVG as an element of an HTML page, named `label` for screen readers.

    Dropped: the XML prologue, fixed size and namespaces, which HTML doesn't need, fonts (the page
    has its own) and the IDs of groups, which nothing refers to and which would occur in every
    figure of the page.
    """
    body = text[text.index("<svg") :]
    body = re.sub(r"<g id=\"[^\"]*\"", "<g", body)
    body = re.sub(r" xmlns(:xlink)?=\"[^\"]*\"", "", body)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r"(<svg[^>]*?) width=\"[^\"]*\" height=\"[^\"]*\"", r"\1", body, count=1)
    body = re.sub(r" transform=\"rotate\(-0 [^)]*\)\"", "", body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    # A narrow figure keeps the size of its letters instead of filling the page.
    width_pt = float(body.split('viewBox="', 1)[1].split()[2])
    opening = Markup('<svg role="img" aria-label="{}" style="width: {:.1f}%"').format(
        label, min(100.0, 100 * width_pt / _PAGE_WIDTH_PT)
    )
    return Markup(body.replace("<svg", str(opening), 1))  # noqa: S704


def _draw_scores(drawn: Figures, results: Results, folder: Path) -> None:
    """Draw the heat maps of the four metrics (the page shows the accuracy) and the drop."""
    for protocol in results.protocols:
        for metric in PAPER_METRICS:
            cells = scores.headline(results.matrix, protocol, metric)
            figure = scores.heat_map(results.matrix, metric, protocol=protocol)
            interval = " with its interval" if scores.shows_intervals(cells) else ""
            caption = f"{METRIC_NAMES[metric]}{interval}, protocol {protocol}."
            picture = drawn_picture(figure, folder, f"heat-{metric}-{protocol}", caption)
            is_shown = metric == "accuracy" and protocol == results.primary
            (drawn.scores if is_shown else drawn.unshown).append(picture)
    # Without whole faces nothing is known to be lost.
    accuracy = scores.headline(results.matrix, results.primary, "accuracy")
    hidden = accuracy[accuracy.index.get_level_values("condition") != "full"]
    if hidden["drop_from_full"].notna().any():
        figure = scores.drop_plot(results.matrix, protocol=results.primary)
        caption = "Each mark is one model; the further right, the more it loses."
        drawn.drop.append(drawn_picture(figure, folder, "drop-accuracy", caption))


def _draw_halves(drawn: Figures, results: Results, folder: Path) -> None:
    """Draw what each half costs, and what emotions are mistaken for when it is hidden."""
    contrasts = costs.once(results.planned)
    told = {
        "robustness": "a network that met only whole faces",
        "available information": "networks trained for what is hidden",
    }
    panels = [who for kind, who in told.items() if (contrasts["kind"] == kind).any()]
    if panels:
        sides = f"Left, {panels[0]}; right, {panels[1]}" if len(panels) > 1 else f"Of {panels[0]}"
        caption = f"Points of accuracy lost, with intervals. {sides}."
        drawn.halves.append(drawn_picture(forest_plot(contrasts), folder, "halves", caption))
    if "confusion_shifts" not in results.tables:
        return
    table = shifts.once(results.tables["confusion_shifts"])
    shown = [one for one in HALVES if one in set(table["condition"])]
    for model in shifts.shown_models(table, results.matrix["model"]) if shown else ():
        caption = (
            f"The model {model_label(model)}. Blue: given more often when the part is hidden, "
            "orange: less often; the diagonal is what is still read right."
        )
        figure = shift_maps(table, model, shown)
        drawn.shifts.append(drawn_picture(figure, folder, f"shifts-{model}", caption))


def _draw_confidence(
    drawn: Figures, results: Results, groups: Sequence[CellGroup], folder: Path
) -> None:
    """Draw reliability before and after temperatures, and risk by coverage."""
    tables = results.tables
    if "reliability" not in tables:
        return
    judged = of_evaluated(groups, tables["reliability"])
    for group in judged:
        figure = reliability_panels(tables["reliability"], group.cells, group.title)
        caption = f"{group.title}. The larger a mark, the more images it stands for."
        drawn.calibration.append(drawn_picture(figure, folder, f"reliability-{group.key}", caption))
    panels = {group.short: group.cells for group in judged[:_MOST_PANELS]}
    # Where no condition is one of all seeds nothing is averaged.
    if not panels:
        return
    caption = (
        "The further right a line starts to rise, the better a network knows what it can't tell."
    )
    figure = risk_coverage_plot(tables["risk_coverage"], panels)
    drawn.abstention.append(drawn_picture(figure, folder, "risk-coverage", caption))


def _draw_original(drawn: Figures, results: Results, folder: Path) -> None:
    if "comparisons" not in results.tables or results.tables["comparisons"]["ours"].isna().all():
        return
    compared = results.tables["comparisons"].dropna(subset=["ours"])
    for metric in compared.loc[compared["condition"] != "full", "metric"].unique():
        plot = scores.comparison_plot(compared, metric)
        caption = (
            f"{METRIC_NAMES[metric]} under the original study's protocol; the original gave no "
            "intervals."
        )
        picture = drawn_picture(plot, folder, f"original-{metric}", caption)
        difference = scores.comparison_map(compared, metric)
        drawn.unshown.append(drawn_picture(difference, folder, f"difference-{metric}", ""))
        (drawn.original if metric == "accuracy" else drawn.unshown).append(picture)


def _draw_information(drawn: Figures, results: Results, folder: Path) -> None:
    if "information" not in results.tables:
        return
    for model in informative_halves(results.tables)[:1]:
        caption = (
            f"Shapley values in bits with {100 * results.sample.options.level:g} % intervals: "
            "above 0 (orange) the half tells about the emotion. Bold and underlined: more than "
            "the other half of its pair (test after Holm's correction, and interval). Below the "
            "line: over all images, with all emotions as frequent, and so for the five other than "
            "happy and neutral. Left and right are those of the picture."
        )
        people = results.tables.get("people_halves")
        if people is not None:
            stated = [verdict(row, "percent").sign != 0 for row in people.to_dict("records")]
            people = people.assign(stated=stated)
            caption += (
                " Beside it, people who uncovered tiles of two faces (Wegrzyn et al. 2017): how "
                "much more each tile of the upper half was worth to them than one of the lower "
                "(orange), in per cent of the mean tile, with intervals over participants."
            )
        shapley = results.tables["shapley"]
        figure = halves_map(
            shapley[shapley["fill"] == shown_fill(shapley, model)],
            model,
            lambda row: verdict(row, "bits").sign,
            people=people,
        )
        drawn.first.append(drawn_picture(figure, folder, "halves-map", caption, narrow=True))
    bits = "Marks and lines: one half alone, with its interval; grey bars: the whole face."
    parts = "The parts of a bar add up to what the whole face tells."
    for name, figure in information_figures(results.tables).items():
        caption = bits if name.startswith("information") else parts
        drawn.information.append(drawn_picture(figure, folder, name, caption))


def _draw_regions(drawn: Figures, results: Results, folder: Path) -> None:
    if results.regions is None:
        return
    quarters = "Above 0: seeing the part helps. Sides are those of the image."
    halves = "Each half is the sum of its two quarters; lines are intervals."
    for name, figure in importance_figures(results.regions.regions).items():
        caption = quarters if "quadrants" in name else halves
        drawn.regions.append(drawn_picture(figure, folder, name, caption))


def _draw_cells(
    drawn: Figures, results: Results, groups: Sequence[CellGroup], folder: Path
) -> None:
    primary, tables = results.primary, results.tables
    scored = _first_seeds(results.sample)
    for group in groups:
        cells, key, caption = group.cells, group.key, f"{group.title}."
        bars = classes.class_bars(tables["class_scores"], cells, protocol=primary)
        drawn.classes.append(drawn_picture(bars, folder, f"recall-{key}", caption))
        f1 = classes.class_bars(tables["class_scores"], cells, "f1", protocol=primary)
        drawn.unshown.append(drawn_picture(f1, folder, f"f1-{key}", caption))
        counts = classes.confusion_matrices(tables["confusions"], cells, protocol=primary)
        drawn.confusions.append(
            drawn_picture(counts, folder, f"confusions-{key}", caption, len(cells) == 1)
        )
        for name, curves in (
            ("roc", classes.roc_curves),
            ("precision-recall", classes.precision_recall_curves),
        ):
            figure = curves(scored, cells)
            drawn.curves.append(
                drawn_picture(figure, folder, f"{name}-{key}", caption, len(cells) == 1)
            )
        if "reliability" not in tables:
            diagram = classes.reliability_diagram(scored, cells)
            drawn.calibration.append(
                drawn_picture(diagram, folder, f"reliability-{key}", caption, len(cells) == 1)
            )


def _draw_pictures(drawn: Figures, images: Images, predictions: Predictions, folder: Path) -> None:
    """Draw examples, every condition, and each model's most confident mistakes on its own one."""
    table = predictions.table
    present = dict.fromkeys(table["condition"])
    known = [key for key in ordered(present) if key.partition("@")[0] in CONDITIONS]
    names = predictions.names.sort_values("seed").drop_duplicates("name")
    models = dict(zip(names["name"], names["model"], strict=True))
    found = [
        (sheets.examples_sheet(images), "examples", "Examples of each label, drawn at random."),
        (sheets.conditions_sheet(images, known), "conditions", "The same faces in each condition."),
    ]
    own_halves = sheets.shows_own_halves(table)
    for name in () if own_halves else ordered(models)[:_MOST_SHEETS]:
        hidden = next((key for key in (name, "full", *known) if key in known), None)
        if hidden is not None:
            is_shown = table["model"].eq(models[name]) & table["condition"].eq(hidden)
            cell = table[is_shown].astype({"image": str})
            sheet = sheets.mistakes_sheet(images, cell, models[name], hidden, _MISTAKES)
            caption = f"Where {models[name]} was surest and wrong; {condition_label(hidden)}."
            found.append((sheet, f"mistakes-{name}", caption))
    mark = PngInfo()
    mark.add_text(*MADE_BY)
    for sheet, file, caption in found:
        path = folder / f"{as_stem(file)}.png"
        with atomic_path(path) as partial:
            sheet.save(partial, optimize=True, pnginfo=mark)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        image = Markup('<img src="data:image/png;base64,{}" alt="{}">').format(data, caption)
        drawn.pictures.append(Picture(image, caption, files=(path,)))


def _first_seeds(sample: Sample) -> pd.DataFrame:
    """Return the rows of each name's first seed, with the name as column `name`."""
    names = sample.names.sort_values("seed").drop_duplicates("name")
    known = names.set_index("model")["name"]
    kept = sample.table[sample.table["model"].isin(known.index)]
    return kept.assign(name=kept["model"].map(known))


def drawn_picture(
    figure: Figure, folder: Path, name: str, caption: str, narrow: bool = False
) -> Picture:
    """Write a figure into `folder` as SVG and PNG, and return it as the page shows it."""
    svg, png = save(figure, folder, name)
    markup = inline_svg(svg.read_text(encoding="utf-8"), caption or name)
    return Picture(markup, caption, narrow, (svg, png))
