"""Result tables -> matplotlib figures: what hiding each half costs, and what is mistaken for what.

Like `figures`, pure functions that return a `matplotlib.figure.Figure`. Where a colour or a weight
says that something differs from 0, the corrected test and the interval both say so.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import HALVES
from hemiface.report.figures.style import (
    COLOURS,
    MARKERS,
    STYLE,
    colour_bar,
    condition_label,
    model_label,
    title,
)
from hemiface.stats.significance import stated_signs
from hemiface.tables import EMOTIONS

__all__ = ["forest_plot", "shift_maps"]

_READERS = {
    "robustness": ("trained on whole faces", 0),
    "available information, specialists": ("trained on that condition", 1),
    "available information, generalist": ("trained on every condition", 2),
}
_SHIFTS = LinearSegmentedColormap.from_list("shifts", ["#D55E00", "#ffffff", "#0072B2"])


@matplotlib.rc_context(STYLE)
def forest_plot(contrasts: pd.DataFrame) -> Figure:
    """Return the accuracy that hiding each half costs, with intervals, in two panels.

    `contrasts` has the columns of planned.csv, one row per family and half. Left is robustness,
    right available information. Robustness and specialists count from the network of whole faces
    on whole faces, the generalist from itself on them.

    Raises:
        UsageError: the table compares no half with whole faces.

    """
    rows = contrasts[contrasts["family"].isin(_READERS)]
    if rows.empty:
        raise UsageError("The contrasts compare no half with whole faces.")
    halves = [one for one in HALVES if one in set(rows["condition_b"])]
    kinds = [one for one in ("robustness", "available information") if one in set(rows["kind"])]
    figure = Figure(figsize=(7.2, 1.35 + 0.42 * len(halves)), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        here = rows[rows["kind"] == kind]
        families = [one for one in _READERS if one in set(here["family"])]
        shifts = np.linspace(-0.17, 0.17, len(families)) if len(families) > 1 else [0.0]
        for family, shift in zip(families, shifts, strict=True):
            label, style = _READERS[family]
            cells = here[here["family"] == family].set_index("condition_b").reindex(halves)
            _intervals(axes, cells, np.arange(len(halves)) + shift, label, style)
        axes.axvline(0, color="#555555", linewidth=0.9)
        axes.grid(axis="x")
        axes.set_yticks(np.arange(len(halves)), [condition_label(one) for one in halves])
        axes.set_ylim(len(halves) - 0.5, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_title(kind[0].upper() + kind[1:], fontsize=8.5)
    title(figure, "Accuracy on whole faces less accuracy with a half hidden, percentage points")
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=3)
    return figure


def _intervals(axes: Axes, cells: pd.DataFrame, y: Any, label: str, style: int) -> None:
    colour = COLOURS[style + 1]
    value, low, high = (100 * cells[name].to_numpy(np.float64) for name in _ENDS)
    axes.hlines(y, low, high, color=colour, linewidth=1.6)
    axes.plot(
        value, y, linestyle="none", marker=MARKERS[style], color=colour, markersize=5, label=label
    )
    for x, place, number in zip(np.fmax(high, value), y, value, strict=True):
        if np.isfinite(number):
            text = f"{number:.1f}".replace("-", "−")
            offset: Any = {"xytext": (4, 0), "textcoords": "offset points"}
            axes.annotate(text, (x, place), va="center", fontsize=7, color=colour, **offset)
    axes.margins(x=0.12)


_ENDS = ("difference", "low", "high")


@matplotlib.rc_context(STYLE)
def shift_maps(shifts: pd.DataFrame, model: str, conditions: Sequence[str] = HALVES) -> Figure:
    """Return what each emotion is called with a part hidden minus on whole faces, in points.

    `shifts` has the columns of confusion_shifts.csv, one row per cell; a panel for each of
    `conditions` that the model was tested on. A shift whose interval includes 0, or whose
    Holm-corrected p is .05 or more, is small and grey.

    Raises:
        UsageError: the table has no such model and condition.

    """
    rows = shifts[(shifts["model"] == model) & shifts["condition"].isin(conditions)]
    if rows.empty:
        raise UsageError(f"The shifts have no model {model} under {', '.join(conditions)}.")
    shown = [one for one in conditions if one in set(rows["condition"])]
    across = min(2, len(shown))
    down = -(-len(shown) // across)
    size = (3.6 * across if across > 1 else 4.2, 2.85 * down + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    top = max(float(np.nanmax(np.abs(rows["shift"]), initial=0.0)), 1e-9)
    scale = Normalize(-100 * top, 100 * top)
    for index, one in enumerate(shown):
        axes = figure.add_subplot(down, across, index + 1)
        _draw_shifts(axes, rows[rows["condition"] == one], scale)
        axes.set_title(condition_label(one), fontsize=8.5)
        axes.set_xlabel("answer")
        if index % across == 0:
            axes.set_ylabel("label")
    unit = "percentage points of the label's images (large: differs from 0)"
    colour_bar(figure, scale, _SHIFTS, unit)
    title(figure, f"How answers shift when a part is hidden: the model {model_label(model)}")
    return figure


def _draw_shifts(axes: Axes, rows: pd.DataFrame, scale: Normalize) -> None:
    cells = rows.set_index(["true", "predicted"])
    wide = {
        name: cells[name].unstack().reindex(index=list(EMOTIONS), columns=list(EMOTIONS))
        for name in ("shift", "low", "high", "p_holm")
    }
    grid = {name: one.to_numpy(np.float64) for name, one in wide.items()}
    points = 100 * grid["shift"]
    sure = stated_signs(grid["low"], grid["high"], grid["p_holm"]) != 0
    axes.pcolormesh(
        np.ma.masked_invalid(points), cmap=_SHIFTS, norm=scale, edgecolor="white", lw=0.7
    )
    for (row, column), value in np.ndenumerate(points):
        if not np.isfinite(value):
            continue
        strong = abs(scale(value) - 0.5) > 0.36
        ink = "white" if strong else "#1a1a1a" if sure[row, column] else "#777777"
        text = f"{value:+.0f}".replace("-", "−").replace("+0", "0").replace("−0", "0")
        font: Any = {"fontsize": 7.8, "fontweight": "bold"} if sure[row, column] else {}
        font = font or {"fontsize": 5.8}
        place = (column + 0.5, row + 0.5)
        axes.text(*place, text, ha="center", va="center", color=ink, **font)
    axes.invert_yaxis()
    middles = np.arange(len(EMOTIONS)) + 0.5
    axes.set_xticks(middles, EMOTIONS, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(middles, EMOTIONS)
    axes.tick_params(length=0, labelsize=7)
    axes.spines[:].set_visible(False)
