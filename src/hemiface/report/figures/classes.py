"""Result tables -> matplotlib figures: what happens to each emotion, and how sure a model is.

A *cell* is a pair (model name, condition); every figure here has one panel per cell. Like
`figures`, these are pure functions that return a `matplotlib.figure.Figure`.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report.figures.style import (
    COLOURS,
    LINES,
    METRIC_NAMES,
    STYLE,
    condition_label,
    model_label,
    title,
)
from hemiface.stats import metrics
from hemiface.tables import EMOTIONS

__all__ = [
    "Cell",
    "cell_label",
    "class_bars",
    "class_values",
    "confusion_matrices",
    "evaluated",
    "precision_recall_curves",
    "reliability_diagram",
    "roc_curves",
]

Cell = tuple[str, str]
"""(what the model was trained on, what is hidden in the test)."""

_ACROSS = 3


def evaluated(table: pd.DataFrame, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that a table with columns model and condition has, in their order."""
    known = set(zip(table["model"], table["condition"], strict=True))
    return [one for one in cells if one in known]


@matplotlib.rc_context(STYLE)
def class_bars(
    class_scores: pd.DataFrame,
    cells: Sequence[Cell],
    metric: str = "recall",
    *,
    protocol: str = "standard",
) -> Figure:
    """Return one group of bars per emotion, one bar per cell, of `recall`, `f1` or `precision`.

    `class_scores` has the columns of class_scores.csv. An undefined score has no bar.

    Raises:
        UsageError: a cell is not in the table.

    """
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.add_subplot()
    width = 0.82 / len(cells)
    places = np.arange(len(EMOTIONS))
    for index, cell in enumerate(cells):
        values = class_values(class_scores, cell, metric, protocol)
        axes.bar(
            places + (index - (len(cells) - 1) / 2) * width,
            values.to_numpy(np.float64),
            width * 0.92,
            color=COLOURS[index % len(COLOURS)],
            label=cell_label(cell, cells),
        )
    axes.set_xticks(places, EMOTIONS)
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, 1)
    axes.set_ylabel(METRIC_NAMES[metric].lower())
    axes.grid(axis="y")
    title(figure, f"{METRIC_NAMES[metric]} of each emotion: {_subject(cells)}")
    figure.legend(loc="outside lower center", ncols=min(5, len(cells)))
    return figure


def class_values(
    class_scores: pd.DataFrame, cell: Cell, metric: str, protocol: str = "standard"
) -> "pd.Series[float]":
    """Return one score of each emotion in a cell, indexed by emotion: the mean over seeds.

    Raises:
        UsageError: the cell is not in the table.

    """
    rows = class_scores[
        (class_scores["protocol"] == protocol)
        & (class_scores["model"] == cell[0])
        & (class_scores["condition"] == cell[1])
    ]
    if rows.empty:
        raise UsageError(f"The class scores have no model {cell[0]} under {cell[1]} ({protocol}).")
    means = rows[rows["seed"].astype(str) == "mean"]
    chosen = means if len(means) else rows
    return chosen.groupby("emotion", observed=True)[metric].mean().reindex(list(EMOTIONS))


@matplotlib.rc_context(STYLE)
def confusion_matrices(
    confusions: pd.DataFrame, cells: Sequence[Cell], *, protocol: str = "standard"
) -> Figure:
    """Return a confusion matrix per cell: row shares in colour and per cent, counts below.

    `confusions` has the columns protocol, model, condition, true, predicted, count. A row without
    images stays empty.

    Raises:
        UsageError: a cell is not in the table.

    """
    figure, panels = _panels(len(cells), height_in=2.75, across=2, width_in=7.2)
    colours = matplotlib.colormaps["Blues"]
    for axes, cell in zip(panels, cells, strict=True):
        counts = _confusion(confusions, cell, protocol)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
        axes.pcolormesh(
            np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=1.1, edgecolor="white", lw=0.7
        )
        for (row, column), share in np.ndenumerate(shares):
            if not np.isfinite(share):
                continue
            ink = "white" if share > 0.6 else "#1a1a1a"
            place: Any = {"ha": "center", "va": "center", "color": ink}
            axes.text(column + 0.5, row + 0.37, f"{100 * share:.0f}", fontsize=7.5, **place)
            count = f"{counts[row, column]:.0f}"
            axes.text(column + 0.5, row + 0.75, count, fontsize=4.8, **place)
        axes.invert_yaxis()
        middles = np.arange(len(EMOTIONS)) + 0.5
        axes.set_xticks(middles, EMOTIONS, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(middles, EMOTIONS)
        axes.tick_params(length=0, labelsize=7)
        axes.spines[:].set_visible(False)
        axes.set_title(cell_label(cell, cells), fontsize=8.5)
    _outer_labels(figure, "answer", "label")
    title(figure, f"Answers given to each label, per cent of the row and count: {_subject(cells)}")
    return figure


@matplotlib.rc_context(STYLE)
def roc_curves(predictions: pd.DataFrame, cells: Sequence[Cell]) -> Figure:
    """Return ROC curves, each emotion against the rest, a panel per cell.

    `predictions` is a Predictions table with a column `name` (what each model was trained on) that
    holds the images to be scored and one model per name. An undefined curve is left out.
    """
    figure, panels = _panels(len(cells), height_in=2.3, across=_ACROSS, width_in=7.2, legend=True)
    for axes, cell in zip(panels, cells, strict=True):
        rows = _rows(predictions, cell)
        for index, emotion in enumerate(EMOTIONS):
            curve = metrics.roc_curve(rows, emotion)
            if len(curve.x):
                axes.plot(curve.x, curve.y, **_line(index))
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.7)
        _unit_square(axes, cell, cells)
    _outer_labels(figure, "false positive rate", "true positive rate")
    title(figure, f"ROC curve of each emotion against the rest: {_subject(cells)}")
    _class_legend(figure, panels)
    return figure


@matplotlib.rc_context(STYLE)
def precision_recall_curves(predictions: pd.DataFrame, cells: Sequence[Cell]) -> Figure:
    """Return precision-recall curves, each emotion against the rest, a panel per cell.

    Drawn as steps, since precision can't be interpolated linearly between thresholds (Davis &
    Goadrich 2006, section 4). Takes what `roc_curves` takes.
    """
    figure, panels = _panels(len(cells), height_in=2.3, across=_ACROSS, width_in=7.2, legend=True)
    for axes, cell in zip(panels, cells, strict=True):
        rows = _rows(predictions, cell)
        for index, emotion in enumerate(EMOTIONS):
            curve = metrics.precision_recall_curve(rows, emotion)
            if len(curve.x):
                keep = _visible_steps(curve.x, curve.y)
                axes.plot(curve.x[keep], curve.y[keep], drawstyle="steps-post", **_line(index))
        _unit_square(axes, cell, cells)
    _outer_labels(figure, "recall", "precision")
    title(figure, f"Precision and recall of each emotion against the rest: {_subject(cells)}")
    _class_legend(figure, panels)
    return figure


@matplotlib.rc_context(STYLE)
def reliability_diagram(predictions: pd.DataFrame, cells: Sequence[Cell]) -> Figure:
    """Return how often a model is right at each confidence, a panel per cell.

    The bins are those of `metrics.reliability`; grey bars and the dots' areas show how many images
    a bin holds. On the diagonal a model is exactly as sure as it should be; below it,
    too sure. Takes what `roc_curves` takes.
    """
    figure, panels = _panels(len(cells), height_in=2.3, across=_ACROSS, width_in=7.2)
    for axes, cell in zip(panels, cells, strict=True):
        bins = metrics.reliability(_rows(predictions, cell))
        widths = bins["high"] - bins["low"]
        share = bins["count"] / max(1, bins["count"].sum())
        axes.bar(bins["low"], share, widths, align="edge", color="#cccccc", edgecolor="white")
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.7)
        filled = bins[bins["count"] > 0]
        line: Any = {"color": COLOURS[1], "linewidth": 1.0}
        axes.plot(filled["confidence"], filled["accuracy"], **line)
        # The area of a dot grows with its bin, so that a bin of three images doesn't impress.
        size = 4 + 60 * filled["count"] / max(1, filled["count"].max())
        axes.scatter(filled["confidence"], filled["accuracy"], s=size, color=COLOURS[1], zorder=3)
        _unit_square(axes, cell, cells)
    _outer_labels(figure, "confidence", "share right")
    title(
        figure, f"Share of right answers by confidence (grey: share of images): {_subject(cells)}"
    )
    return figure


def cell_label(cell: Cell, cells: Sequence[Cell]) -> str:
    """Return what to call one of several cells: as much as tells it from the others."""
    model, hidden = cell
    if len({name for name, _ in cells}) == 1 or model == hidden:
        return condition_label(hidden)
    return f"{model} → {condition_label(hidden)}"


def _confusion(confusions: pd.DataFrame, cell: Cell, protocol: str) -> np.ndarray:
    """Return float64 [7, 7] counts, rows labels, columns answers, summed over seeds."""
    rows = confusions[
        (confusions["protocol"] == protocol)
        & (confusions["model"] == cell[0])
        & (confusions["condition"] == cell[1])
    ]
    if rows.empty:
        raise UsageError(f"The confusions have no model {cell[0]} under {cell[1]} ({protocol}).")
    wide = rows.pivot_table(
        index="true", columns="predicted", values="count", aggfunc="sum", observed=True
    )
    names = list(EMOTIONS)
    return wide.reindex(index=names, columns=names).fillna(0).to_numpy(np.float64)


def _rows(predictions: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    rows = predictions[(predictions["name"] == cell[0]) & (predictions["condition"] == cell[1])]
    if rows.empty:
        raise UsageError(f"The predictions have no model {cell[0]} under {cell[1]}.")
    return rows


def _visible_steps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the indices of steps that can be seen: those moving more than 0.002 either way.

    A curve has as many thresholds as images; drawn in full it would only make the file large.
    """
    keep = [0]
    for index in range(1, len(x)):
        last = keep[-1]
        if abs(x[index] - x[last]) > 0.002 or abs(y[index] - y[last]) > 0.01:
            keep.append(index)
    if keep[-1] != len(x) - 1:
        keep.append(len(x) - 1)
    return np.asarray(keep)


def _panels(
    count: int, *, height_in: float, across: int, width_in: float, legend: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels in rows of `across`, left to right, top to bottom."""
    across = min(across, count)
    down = -(-count // across)
    width = width_in * (across / 3 if across < 3 and height_in < 2.5 else 1)
    if across == 1 and height_in > 2.5:
        width = width_in / 2
    beside = legend and count == across * down
    size = (max(3.6, width) + 0.8 * beside, height_in * down + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    return figure, [figure.add_subplot(down, across, index + 1) for index in range(count)]


def _line(index: int) -> dict[str, Any]:
    return {
        "color": COLOURS[index],
        "linestyle": LINES[index],
        "linewidth": 1.1,
        "label": EMOTIONS[index],
    }


def _unit_square(axes: Axes, cell: Cell, cells: Sequence[Cell]) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    ticks = (0, 0.25, 0.5, 0.75, 1)
    axes.set_xticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_yticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_box_aspect(1)
    axes.set_title(cell_label(cell, cells), fontsize=8.5)


def _outer_labels(figure: Figure, x: str, y: str) -> None:
    size = STYLE["axes.labelsize"]
    figure.supxlabel(x, fontsize=size)
    figure.supylabel(y, fontsize=size)


def _class_legend(figure: Figure, panels: list[Axes]) -> None:
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found.update(zip(labels, handles, strict=True))
    names = [name for name in EMOTIONS if name in found]
    if not names:
        return
    handles = [found[name] for name in names]
    across, down = min(_ACROSS, len(panels)), -(-len(panels) // _ACROSS)
    if len(panels) < across * down:
        # The first free place of the grid.
        free = figure.add_subplot(down, across, len(panels) + 1)
        free.set_axis_off()
        free.legend(handles, names, loc="center", handlelength=3)
    else:
        figure.legend(handles, names, loc="outside right center", handlelength=3)


def _subject(cells: Sequence[Cell]) -> str:
    """Say which models the panels show, for a title."""
    models = {model for model, _ in cells}
    if len(models) == 1:
        model = cells[0][0]
        return "the generalist" if model == "any" else f"the model {model_label(model)}"
    return "each model on its own condition"
