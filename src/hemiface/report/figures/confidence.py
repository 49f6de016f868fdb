"""Result tables -> matplotlib figures: confidence before and after temperatures, and abstention.

Like `figures.classes`, a panel per cell (model name, condition) or per view; pure functions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report.figures.classes import Cell, cell_label
from hemiface.report.figures.style import COLOURS, LINES, MARKERS, STYLE, title

__all__ = ["reliability_panels", "risk_coverage_plot"]

_ACROSS = 3
_LOOKS = {
    "none": ("as the network gives it", COLOURS[2], "--", MARKERS[1]),
    "by visibility": ("with a temperature for each condition", COLOURS[1], "-", MARKERS[0]),
}


@matplotlib.rc_context(STYLE)
def reliability_panels(reliability: pd.DataFrame, cells: Sequence[Cell], subject: str) -> Figure:
    """Return how often a model is right at each confidence, before and after temperatures.

    `reliability` has the columns of reliability.csv; the bins of several seeds are pooled. The area
    of a mark grows with its bin. `subject` ends the title.

    Raises:
        UsageError: a cell is not in the table.

    """
    across = min(_ACROSS, len(cells) + 1)
    down = -(-len(cells) // across)
    figure = Figure(figsize=(2.4 * across, 2.35 * down + 0.75), layout="constrained")
    handles: dict[str, Any] = {}
    for index, cell in enumerate(cells):
        axes = figure.add_subplot(down, across, index + 1)
        rows = reliability[
            (reliability["model"] == cell[0]) & (reliability["condition"] == cell[1])
        ]
        if rows.empty:
            raise UsageError(f"The reliability table has no model {cell[0]} under {cell[1]}.")
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.7)
        for calibration, (label, colour, line, marker) in _LOOKS.items():
            bins = _pooled(rows[rows["calibration"] == calibration])
            x, y = bins["confidence"], bins["accuracy"]
            axes.plot(x, y, color=colour, linestyle=line, linewidth=1.0)
            size = 3 + 45 * bins["count"] / max(1.0, float(bins["count"].max()))
            dots = axes.scatter(x, y, s=size, color=colour, marker=marker, zorder=3, alpha=0.9)
            handles.setdefault(label, dots)
        _square(axes, cell_label(cell, cells))
        if index + across >= len(cells):
            axes.set_xlabel("confidence")
        if index % across == 0:
            axes.set_ylabel("share right")
    title(figure, f"Share of right answers at each confidence. {subject}")
    marks = list(handles.values())
    figure.legend(marks, list(handles), loc="outside lower center", ncols=2)
    return figure


@matplotlib.rc_context(STYLE)
def risk_coverage_plot(curves: pd.DataFrame, views: Mapping[str, Sequence[Cell]]) -> Figure:
    """Return the share of wrong answers when only the surest share of the images is answered.

    `curves` has the columns of risk_coverage.csv; `views` maps a panel's title to its cells, one
    line each: the mean over seeds at equal coverage.

    Raises:
        UsageError: a cell is not in the table.

    """
    figure = Figure(figsize=(max(4.4, 2.45 * len(views) + 0.4), 3.35), layout="constrained")
    panels = figure.subplots(1, len(views), sharey=True, squeeze=False)[0]
    found: dict[str, Any] = {}
    grid = np.linspace(0.02, 1, 99)
    for axes, (name, cells) in zip(panels, views.items(), strict=True):
        for cell in cells:
            label = cell_label((cell[1], cell[1]), cells)
            index = list(found).index(label) if label in found else len(found)
            look: Any = {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index % 7]}
            (line,) = axes.plot(grid, _mean_risk(curves, cell, grid), label=label, **look)
            found.setdefault(label, line)
        axes.set_title(name, fontsize=8.5)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, None)
        axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ["0", "25", "50", "75", "100"])
        axes.grid(axis="y")
        axes.set_xlabel("images answered, %")
    panels[0].set_ylabel("share of wrong answers")
    title(figure, "Errors when only the surest answers are given")
    lines = list(found.values())
    figure.legend(lines, list(found), loc="outside lower center", ncols=min(5, len(lines)))
    return figure


def _mean_risk(curves: pd.DataFrame, cell: Cell, grid: np.ndarray) -> np.ndarray:
    rows = curves[(curves["model"] == cell[0]) & (curves["condition"] == cell[1])]
    if rows.empty:
        raise UsageError(f"The risk-coverage table has no model {cell[0]} under {cell[1]}.")
    risks = [
        np.interp(grid, one["coverage"].to_numpy(), one["risk"].to_numpy())
        for _, one in rows.groupby("seed", sort=False)
    ]
    return np.asarray(np.mean(risks, axis=0))


def _pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the bins that hold images, those of several seeds together."""
    held = rows[rows["count"] > 0]
    sums = held.assign(
        confidence=held["confidence"] * held["count"], accuracy=held["accuracy"] * held["count"]
    )
    pooled = sums.groupby("low")[["confidence", "accuracy", "count"]].sum()
    for name in ("confidence", "accuracy"):
        pooled[name] = pooled[name] / pooled["count"]
    return pooled


def _square(axes: Axes, text: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    ticks = (0, 0.25, 0.5, 0.75, 1)
    axes.set_xticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_yticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_box_aspect(1)
    axes.set_title(text, fontsize=8.5)
