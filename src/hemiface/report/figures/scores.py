"""Result tables -> matplotlib figures: scores by model and condition, and how training went.

Every function is pure: it takes a table and returns a new `matplotlib.figure.Figure`, without
pyplot and its global state. Widths are those of a printed A4 column (7.2 in). Colours are Okabe &
Ito's (2008), which people with any common colour blindness tell apart; lines and markers differ in
shape too. What needs single predictions or classes is in `figures.classes`; `figures.style` has the
looks.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hemiface.errors import UsageError
from hemiface.report.figures.style import (
    COLOURS,
    MARKERS,
    METRIC_NAMES,
    STYLE,
    condition_label,
    model_label,
    ordered,
    row_heading,
    save,
    svg_text,
    title,
)

__all__ = [
    "comparison_map",
    "comparison_plot",
    "drop_plot",
    "headline",
    "heat_map",
    "save",
    "shows_intervals",
    "svg_text",
    "training_curves",
]

_ROOMY_COLUMNS = 7
"""With more columns the cells of a heat map are narrow and hold no interval."""

_NAME_CHARACTERS = 26
"""Longer names are broken: rows have room for some lines."""
_CHARACTERS_AN_INCH = 14

_DIFFERENCE = LinearSegmentedColormap.from_list("difference", ["#D55E00", "#ffffff", "#0072B2"])


def headline(matrix: pd.DataFrame, protocol: str, metric: str) -> pd.DataFrame:
    """Return one row per model x condition of a matrix table: the mean over seeds.

    `matrix` has the columns of matrix.csv. A model for which no `mean` row was written is shown
    by its only seed. The result is indexed by (model, condition).

    Raises:
        UsageError: there is no such protocol and metric in the table.

    """
    rows = matrix[(matrix["protocol"] == protocol) & (matrix["metric"] == metric)]
    if rows.empty:
        raise UsageError(f"The matrix has no metric {metric!r} under protocol {protocol!r}.")
    is_mean = rows["seed"].astype(str) == "mean"
    with_mean = rows["model"].isin(rows.loc[is_mean, "model"])
    chosen = rows[is_mean | ~with_mean]
    return chosen.drop_duplicates(["model", "condition"]).set_index(["model", "condition"])


def shows_intervals(cells: pd.DataFrame) -> bool:
    """Return whether a heat map of what `headline` returns holds an interval."""
    roomy = cells.index.unique("condition").size <= _ROOMY_COLUMNS
    return roomy and bool(cells[["low", "high"]].notna().all(axis=1).any())


@matplotlib.rc_context(STYLE)
def heat_map(
    matrix: pd.DataFrame, metric: str = "accuracy", *, protocol: str = "standard"
) -> Figure:
    """Return the heat map of one metric: rows say what was hidden in training, columns in the test.

    Each cell carries the value and, small, its interval (left out where there are many columns).
    Cells tested on the condition they were trained on are outlined. An undefined value is an empty
    cell with a dash.
    """
    cells = headline(matrix, protocol, metric)
    models = ordered(cells.index.get_level_values("model"))
    conditions = ordered(cells.index.get_level_values("condition"))
    shown = {
        column: _grid(cells[column], models, conditions) for column in ("value", "low", "high")
    }
    figure, axes = _cells_figure(models, conditions)
    low, high = _range(shown["value"])
    roomy = len(conditions) <= _ROOMY_COLUMNS
    colours = matplotlib.colormaps["Blues"]
    _paint(axes, (shown["value"] - low) / (high - low) * 0.8 + 0.04, colours)
    for (row, column), value in np.ndenumerate(shown["value"]):
        ink = "white" if np.isfinite(value) and (value - low) / (high - low) > 0.62 else "#1a1a1a"
        text = "–" if not np.isfinite(value) else f"{value:.3f}"
        axes.text(
            column,
            row - 0.08,
            text,
            ha="center",
            va="center",
            color=ink,
            fontsize=11 if roomy else 8,
        )
        bounds = (shown["low"][row, column], shown["high"][row, column])
        if roomy and np.isfinite(bounds).all():
            note = f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"
            axes.text(column, row + 0.26, note, ha="center", va="center", color=ink, fontsize=6.8)
    _outline_matched(axes, models, conditions)
    _label_cells(axes, models, conditions)
    counts = cells["n"].dropna()
    size = f", {int(counts.max()):,} images" if len(counts) else ""
    rows = "what was hidden in training (rows) and"
    if row_heading(models) == "model":
        rows = "model (rows) and what was hidden"
    title(figure, f"{_name(metric)} by {rows} in the test (columns){size}")
    return figure


@matplotlib.rc_context(STYLE)
def drop_plot(
    matrix: pd.DataFrame, metric: str = "accuracy", *, protocol: str = "standard"
) -> Figure:
    """Return what each model loses against its own score on whole faces, per hidden region.

    Right of the line: worse than on whole faces. Left of it: better (a specialist may be).
    """
    cells = headline(matrix, protocol, metric)
    models = ordered(cells.index.get_level_values("model"))
    hidden = [c for c in ordered(cells.index.get_level_values("condition")) if c != "full"]
    names = [_broken(model_label(model)) for model in models]
    # As high as its rows and as its legend.
    lines = sum(1 + name.count("\n") for name in names)
    height_in = max(1.3 + 0.55 * max(1, len(hidden)), 0.6 + 0.18 * lines)
    figure = Figure(figsize=(7.2, height_in), layout="constrained")
    axes = figure.add_subplot()
    drops = _grid(cells["drop_from_full"], models, hidden)
    offsets = np.linspace(-0.28, 0.28, len(models)) if len(models) > 1 else np.zeros(1)
    for index, name in enumerate(names):
        axes.plot(
            drops[index],
            np.arange(len(hidden)) + offsets[index],
            linestyle="none",
            # As many of both: every second time around each colour has another marker.
            marker=MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],
            color=COLOURS[index % len(COLOURS)],
            markersize=5.5,
            label=name,
        )
    for row in range(1, len(hidden)):
        axes.axhline(row - 0.5, color="#dddddd", linewidth=0.6)
    axes.axvline(0, color="#555555", linewidth=0.9)
    axes.grid(axis="x")
    axes.set_yticks(np.arange(len(hidden)), [condition_label(name) for name in hidden])
    axes.set_ylim(max(len(hidden), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{_name(metric)} on whole faces minus {_name(metric).lower()} shown at left")
    title(figure, f"{_name(metric)} lost when part of the face is hidden, by model")
    figure.legend(loc="outside right center")
    return figure


@matplotlib.rc_context(STYLE)
def comparison_plot(comparisons: pd.DataFrame, metric: str = "accuracy") -> Figure:
    """Return our values with intervals beside the original study's, one panel per model.

    `comparisons` has the columns of comparisons.csv.

    Raises:
        UsageError: the table has no such metric.

    """
    rows = _comparisons(comparisons, metric)
    models, conditions = ordered(rows["model"]), ordered(rows["condition"])
    figure = Figure(figsize=(7.2, 1.15 + 0.3 * len(conditions)), layout="constrained")
    panels = figure.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
    cells = rows.set_index(["model", "condition"])
    for axes, model in zip(panels, models, strict=True):
        here = cells.loc[model].reindex(conditions)
        y = np.arange(len(conditions))
        axes.hlines(y, here["low"], here["high"], color=COLOURS[1], linewidth=1.6)
        axes.plot(
            here["ours"], y, "o", color=COLOURS[1], markersize=4.5, label="ours with its interval"
        )
        axes.plot(
            here["original"],
            y,
            "D",
            color=COLOURS[2],
            markerfacecolor="white",
            markersize=4.5,
            label="original study",
        )
        axes.set_title(model, fontsize=8.5)
        axes.grid(axis="x")
    panels[0].set_yticks(np.arange(len(conditions)), [condition_label(c) for c in conditions])
    panels[0].set_ylim(len(conditions) - 0.5, -0.5)
    title(
        figure,
        f"{_name(metric)}, ours and the original's; one panel per model, by what it was trained on",
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


@matplotlib.rc_context(STYLE)
def comparison_map(comparisons: pd.DataFrame, metric: str = "accuracy") -> Figure:
    """Return the heat map of ours minus the original's; blue is above it, orange below.

    Raises:
        UsageError: the table has no such metric.

    """
    rows = _comparisons(comparisons, metric).set_index(["model", "condition"])
    models = ordered(rows.index.get_level_values("model"))
    conditions = ordered(rows.index.get_level_values("condition"))
    values = _grid(rows["difference"], models, conditions)
    figure, axes = _cells_figure(models, conditions)
    largest = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 1.0
    _paint(axes, 0.5 + 0.4 * values / max(largest, 1e-9), _DIFFERENCE)
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:+.3f}".replace("-", "−") if np.isfinite(value) else "–"
        axes.text(column, row, text, ha="center", va="center", fontsize=10.5, color="#1a1a1a")
    _outline_matched(axes, models, conditions)
    _label_cells(axes, models, conditions)
    title(figure, f"{_name(metric)}: ours minus the original's")
    return figure


@matplotlib.rc_context(STYLE)
def training_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Return loss and validation accuracy by epoch, one panel column per model ID.

    Each table has at least `epoch`, `train_loss`, `validation_loss` and `validation_accuracy`, as
    in history.csv. The kept epoch, the one with the best validation accuracy, is marked.

    Raises:
        UsageError: no history is given.

    """
    if not histories:
        raise UsageError("Training curves need at least one history.csv.")
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    panels = figure.subplots(2, len(histories), sharey="row", squeeze=False)
    for (upper, lower), (model, history) in zip(panels.T, histories.items(), strict=True):
        epoch = history["epoch"].to_numpy()
        # A line through one point can't be seen.
        marker = "." if len(epoch) == 1 else ""
        for column, name, colour, line in (
            ("train_loss", "training", COLOURS[2], "--"),
            ("validation_loss", "validation", COLOURS[1], "-"),
        ):
            upper.plot(epoch, history[column], color=colour, ls=line, marker=marker, label=name)
        room = int(_CHARACTERS_AN_INCH * 0.8 * figure.get_figwidth() / len(histories))
        upper.set_title(textwrap.fill(model, room), fontsize=8.5)
        upper.tick_params(labelbottom=False)
        accuracy = history["validation_accuracy"].to_numpy(np.float64)
        lower.plot(epoch, accuracy, color=COLOURS[1])
        if np.isfinite(accuracy).any():
            best = int(np.nanargmax(accuracy))
            lower.plot(epoch[best], accuracy[best], "o", color=COLOURS[0], markersize=4)
        lower.set_xlabel("epoch")
        lower.xaxis.get_major_locator().set_params(integer=True, nbins=4)
        if len(epoch) == 1:
            for axes in (upper, lower):
                axes.set_xticks(epoch)
        for axes in (upper, lower):
            axes.grid(axis="y")
    panels[0, 0].set_ylabel("loss")
    panels[1, 0].set_ylabel("validation accuracy")
    title(figure, "Training: loss (top) and validation accuracy (bottom); dot: its best epoch")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric)


def _grid(values: "pd.Series[Any]", rows: list[str], columns: list[str]) -> np.ndarray:
    """Return float64 [rows, columns]; NaN where the series, indexed by both, has no value."""
    wide = values.astype(float).unstack().reindex(index=rows, columns=columns)
    return wide.to_numpy(np.float64)


def _range(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high - low > 1e-6 else (low - 0.5, high + 0.5)


def _cells_figure(models: list[str], conditions: list[str]) -> tuple[Figure, Axes]:
    longest = max(len(line) for name in models for line in _broken(name).splitlines())
    # 1.4 inches hold what is beside the cells of the usual names.
    names_in = 1.4 + max(0, longest - 6) / _CHARACTERS_AN_INCH
    # Where the label below is broken the title is too.
    height_in = (
        1.0 + 0.62 * max(1, len(models)) + 0.3 * _label_below(models, conditions).count("\n")
    )
    size = (names_in + _cells_in(conditions), height_in)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def _cells_in(conditions: list[str]) -> float:
    """Return how wide all cells are together, in inches."""
    return (1.12 if len(conditions) <= _ROOMY_COLUMNS else 0.55) * max(2, len(conditions))


def _label_below(models: list[str], conditions: list[str]) -> str:
    outlined = " (outlined: trained on that condition)" if set(models) & set(conditions) else ""
    said = f"hidden in the test{outlined}"
    return textwrap.fill(said, int(0.9 * _CHARACTERS_AN_INCH * _cells_in(conditions)))


def _broken(name: str) -> str:
    return textwrap.fill(name, _NAME_CHARACTERS)


def _paint(axes: Axes, shades: np.ndarray, colours: Any) -> None:
    """Fill cell (row, column) by colours(shade) as vectors; a NaN shade is left grey."""
    rows, columns = shades.shape
    for (row, column), shade in np.ndenumerate(shades):
        fill = colours(float(shade)) if np.isfinite(shade) else "#f2f2f2"
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5), 1, 1, facecolor=fill, edgecolor="white", linewidth=1.5
            )
        )
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)


def _outline_matched(axes: Axes, models: list[str], conditions: list[str]) -> None:
    for row, model in enumerate(models):
        if model in conditions:
            corner = (conditions.index(model) - 0.47, row - 0.47)
            axes.add_patch(
                Rectangle(corner, 0.94, 0.94, fill=False, edgecolor="#1a1a1a", linewidth=1.3)
            )


def _label_cells(axes: Axes, models: list[str], conditions: list[str]) -> None:
    roomy = len(conditions) <= _ROOMY_COLUMNS
    turn: Any = {} if roomy else {"rotation": 35, "ha": "left", "rotation_mode": "anchor"}
    # What is turned has room beside it, what isn't has that of a cell.
    shown = [textwrap.fill(one, 16) for one in conditions] if roomy else conditions
    axes.set_xticks(np.arange(len(conditions)), shown, **turn)
    axes.set_yticks(np.arange(len(models)), [_broken(one) for one in models])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_ylabel(row_heading(models))
    axes.set_xlabel(_label_below(models, conditions))


def _comparisons(comparisons: pd.DataFrame, metric: str) -> pd.DataFrame:
    rows = comparisons[comparisons["metric"] == metric]
    if rows.empty:
        raise UsageError(f"The comparisons have no metric {metric!r}.")
    return rows
