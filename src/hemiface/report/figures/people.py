"""Tables about people's answers -> figures: hits by condition, and maps of tiles side by side."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hemiface.report.figures.regions import FacePanel, face_figure
from hemiface.report.figures.style import COLOURS, MARKERS, STYLE, stimulus_label, title

__all__ = ["conditions_plot", "maps_figure"]

_ALL = "all"
_WIDTH_IN = 7.2


@matplotlib.rc_context(STYLE)
def conditions_plot(sensitivity: pd.DataFrame, measures: dict[str, str]) -> Figure:
    """Return each of `measures`, name -> title, under each condition, a panel each.

    `sensitivity` has the columns of people's sensitivity.csv; shown is the mean over the emotions
    with its interval, of people and of every network.
    """
    rows = sensitivity[sensitivity["emotion"] == _ALL]
    conditions = list(dict.fromkeys(rows["condition"]))
    every = list(dict.fromkeys(rows["who"]))
    height = 1.2 + (0.3 + 0.12 * len(every)) * len(conditions)
    figure = Figure(figsize=(_WIDTH_IN, height), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    shifts = np.linspace(-0.14, 0.14, len(every)) if len(every) > 1 else [0.0]
    for axes, (measure, name) in zip(panels, measures.items(), strict=True):
        for place, (who, shift) in enumerate(zip(every, shifts, strict=True)):
            own = rows[(rows["who"] == who) & (rows["measure"] == measure)].set_index("condition")
            value, low, high = (
                own.reindex(conditions)[end].to_numpy(np.float64)
                for end in ("value", "low", "high")
            )
            y = np.arange(len(conditions)) + shift
            colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
            axes.hlines(y, low, high, color=colour, linewidth=1.6)
            axes.plot(value, y, marker, color=colour, markersize=5, label=who)
        axes.set_title(name, fontsize=8.5)
        axes.grid(axis="x")
        axes.set_yticks(np.arange(len(conditions)), [stimulus_label(one) for one in conditions])
        axes.set_ylim(len(conditions) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
    what = "People's answers by what was hidden or made, mean over the emotions with intervals"
    title(figure, what)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


@matplotlib.rc_context(STYLE)
def maps_figure(maps: pd.DataFrame, condition: str, every: Sequence[str]) -> Figure:
    """Return the map of all emotions together of each of `every` under one condition."""
    panels: list[FacePanel | None] = []
    for who in every:
        chosen = (maps["who"] == who) & (maps["condition"] == condition) & (maps["emotion"] == _ALL)
        rows = maps[chosen].sort_values("tile")
        low, high = rows["low"].to_numpy(np.float64), rows["high"].to_numpy(np.float64)
        values = 100 * rows["value"].to_numpy(np.float64)
        panels.append(FacePanel(who, values, (low > 0) | (high < 0)))
    return face_figure(
        panels,
        f"Where seeing helps ({stimulus_label(condition)})",
        "correlation with right answers x 100",
    )
