"""Result tables -> matplotlib figures: what halves of a face tell of each emotion, in bits."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report.figures.style import COLOURS, MARKERS, STYLE, model_label, title
from hemiface.stats.decomposition import PAIRS
from hemiface.stats.information import WHOLE
from hemiface.tables import EMOTIONS

__all__ = ["USED", "bits_plot", "decomposition_plot"]

USED = "specific"
"""The definition of redundancy that figures and words use (see `stats.decomposition`)."""

_ROWS = [
    *((emotion, "data", emotion) for emotion in EMOTIONS),
    ("all", "data", "all images"),
    ("all", "balanced", "emotions alike"),
]
"""Emotion and mix of each row, and what it is called."""
_PARTS = ("unique {0}", "redundant", "unique {1}", "synergistic")
_PART_COLOURS = (COLOURS[1], "#9a9a9a", COLOURS[2], COLOURS[3])
_PART_HATCHES = ("", "", "////", "....")
"""Two of the colours are one grey in print."""


@matplotlib.rc_context(STYLE)
def bits_plot(information: pd.DataFrame, model: str) -> Figure:
    """Return what each visible half and the whole face tell, by emotion, with intervals.

    `information` has the columns of information.csv; the model's rows over all seeds are shown.

    Raises:
        UsageError: the table has no half of this model.
    """
    rows = _one_model(information, model)
    pairs = [pair for pair in PAIRS if set(pair) <= set(rows["visible"])]
    if not pairs:
        raise UsageError(f"The table has no information of halves of model {model}.")
    figure = Figure(figsize=(3.6 * len(pairs), 3.8), layout="constrained")
    panels = figure.subplots(1, len(pairs), sharex=True, sharey=True, squeeze=False)[0]
    for axes, pair in zip(panels, pairs, strict=True):
        _draw_bits(axes, rows, pair)
    figure.supxlabel("bits about the emotion (V-information)", fontsize=8.5)
    title(figure, f"What the visible part of a face tells, {_label(model, rows)}")
    return figure


@matplotlib.rc_context(STYLE)
def decomposition_plot(decomposition: pd.DataFrame, model: str) -> Figure:
    """Return what two halves tell alone, both, and only together, as bars that add up to the whole.

    `decomposition` has the columns of decomposition.csv; by the definition USED, over all seeds.

    Raises:
        UsageError: the table has no rows of this model.
    """
    rows = _one_model(decomposition, model)
    rows = rows[rows["definition"] == USED]
    pairs = list(dict.fromkeys(rows["pair"]))
    figure = Figure(figsize=(3.6 * len(pairs), 3.8), layout="constrained")
    panels = figure.subplots(1, len(pairs), sharex=True, sharey=True, squeeze=False)[0]
    for axes, pair in zip(panels, pairs, strict=True):
        _draw_parts(axes, rows[rows["pair"] == pair], pair.split(", "))
    figure.supxlabel("bits about the emotion", fontsize=8.5)
    title(figure, f"Unique, redundant and synergistic information of halves, {_label(model, rows)}")
    return figure


def _one_model(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return a model's rows of its first fill, over all its seeds or of its only one."""
    rows = table[table["model"] == model]
    if rows.empty:
        raise UsageError(f"The table has no information of model {model}.")
    rows = rows.loc[rows["fill"] == rows["fill"].iloc[0]]
    seeds = list(dict.fromkeys(rows["seed"]))
    chosen: pd.DataFrame = rows[rows["seed"] == ("mean" if "mean" in seeds else seeds[0])]
    return chosen


def _draw_bits(axes: Axes, rows: pd.DataFrame, pair: Sequence[str]) -> None:
    whole, offset = _cells(rows[rows["visible"] == WHOLE], "bits"), 0.17
    y = np.arange(len(_ROWS))
    axes.barh(y, whole[:, 0], height=0.62, color="#e3e3e3", label="whole face")
    for index, part in enumerate(pair):
        cells, at = _cells(rows[rows["visible"] == part], "bits"), y + offset * (2 * index - 1)
        colour = COLOURS[1 + index]
        axes.hlines(at, cells[:, 1], cells[:, 2], color=colour, linewidth=1.4)
        axes.plot(
            cells[:, 0], at, MARKERS[index], color=colour, markersize=4.5, label=f"only {part} half"
        )
    _finish(axes)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=0.9,
                handletextpad=0.3, handlelength=1.2)  # fmt: skip


def _draw_parts(axes: Axes, rows: pd.DataFrame, pair: Sequence[str]) -> None:
    y = np.arange(len(_ROWS))
    right, left = np.zeros(len(_ROWS)), np.zeros(len(_ROWS))
    for part, colour, hatch in zip(_PARTS, _PART_COLOURS, _PART_HATCHES, strict=True):
        name = part.format(*pair)
        values = _cells(rows[rows["part"] == name], "bits")[:, 0]
        start = np.where(values >= 0, right, left)
        axes.barh(
            y, values, left=start, height=0.62, color=colour, label=name,
            hatch=hatch, edgecolor="white", linewidth=0.6,
        )  # fmt: skip
        right, left = right + np.maximum(values, 0), left + np.minimum(values, 0)
    _finish(axes)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=0.9,
                handletextpad=0.4, handlelength=1.2)  # fmt: skip


def _cells(rows: pd.DataFrame, column: str) -> np.ndarray:
    """Return [rows, 3]: value, low, high of each of _ROWS; NaN where the table has none."""
    known = rows.set_index(["emotion", "mix"])[[column, "low", "high"]]
    wanted = pd.MultiIndex.from_tuples([(emotion, mix) for emotion, mix, _ in _ROWS])
    return known.reindex(wanted).to_numpy(np.float64)


def _finish(axes: Axes) -> None:
    axes.axvline(0, color="#999999", linewidth=0.7)
    axes.axhline(len(EMOTIONS) - 0.5, color="#bbbbbb", linewidth=0.7)
    axes.set_yticks(np.arange(len(_ROWS)), [name for _, _, name in _ROWS])
    axes.set_ylim(len(_ROWS) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)


def _label(model: str, rows: pd.DataFrame) -> str:
    """Return what a model is, and with what hidden parts are filled where that isn't black."""
    label = model_label(model)
    label = label if label != model or model == "specialists" else f"network {model}"
    fill = str(rows["fill"].iloc[0])
    return label if fill == "black" else f"{label}, filled with {fill}"
