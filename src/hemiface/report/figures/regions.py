"""Result tables -> matplotlib figures: how much each part of the face matters, drawn on a face.

The face is a schematic one of ours, so nobody's picture is needed. Colours are centred on 0 and
share one scale within a figure: blue where seeing the part helps, orange where it misleads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Ellipse, PathPatch, Rectangle
from matplotlib.path import Path

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import QUADRANTS
from hemiface.occlusion.tiles import TILE_COLUMNS, TILE_ROWS, TILES, place
from hemiface.report.figures.style import COLOURS, MARKERS, STYLE, colour_bar, model_label, title
from hemiface.tables import EMOTIONS

__all__ = [
    "FacePanel",
    "face_figure",
    "halves_plot",
    "people_figure",
    "quadrant_map",
    "tile_figure",
]

Floats = npt.NDArray[np.float64]

_COLOURS = LinearSegmentedColormap.from_list(
    "importance", ["#B35806", "#F1A340", "#FEE0B6", "#FFFFFF", "#C6DBEF", "#4292C6", "#08519C"]
)
_ACROSS = 4
_SHOWN = (*EMOTIONS, "all")
_UNITS = {
    "probability": ("probability of the true emotion, percentage points", 100.0, 1),
    "accuracy": ("accuracy, percentage points", 100.0, 1),
    "neg_log_loss": ("log of the true emotion's probability, nats", 1.0, 2),
}
# Where a quadrant's value is written: on the forehead and the cheeks, beside the features.
_PLACES = dict(zip(QUADRANTS, [(0.27, 0.12), (0.73, 0.12), (0.2, 0.62), (0.8, 0.62)], strict=True))


@dataclass(frozen=True, eq=False)
class FacePanel:
    """One face: its title, `values` of its cells, and which of them are `sure` to differ from 0.

    Four cells are quadrants in the order of QUADRANTS, 48 are tiles; NaN is left grey.
    """

    title: str
    values: Floats
    sure: npt.NDArray[np.bool_]


@matplotlib.rc_context(STYLE)
def face_figure(
    panels: Sequence[FacePanel | None], text: str, unit: str, *, decimals: int = 1
) -> Figure:
    """Return a face per panel, cells coloured by value on one scale, each value written.

    `text` is the figure's title, `unit` that of the colour bar. What isn't `sure` is written in
    grey italics; None leaves a place free.
    """
    down = -(-len(panels) // _ACROSS)
    figure = Figure(figsize=(1.8 * _ACROSS, 2.02 * down + 0.85), layout="constrained")
    shown = {index: one for index, one in enumerate(panels) if one is not None}
    values = np.concatenate([one.values for one in shown.values()])
    values = values[np.isfinite(values)]
    top = float(np.abs(values).max()) if len(values) and np.abs(values).max() > 0 else 1.0
    scale = Normalize(-top, top)
    for index, panel in shown.items():
        axes = figure.add_subplot(down, _ACROSS, index + 1)
        _draw_cells(axes, panel, scale, decimals)
        _draw_face(axes, faint=len(panel.values) > len(QUADRANTS))
        axes.set_title(panel.title, fontsize=8.5, loc="center")
    colour_bar(figure, scale, _COLOURS, unit)
    title(figure, text)
    return figure


def quadrant_map(
    regions: pd.DataFrame,
    *,
    value_function: str = "probability",
    model: str | None = None,
    fill: str | None = None,
) -> Figure:
    """Return the Shapley values of the four quadrants, a face per emotion and one for all images.

    `regions` has the columns of importance.csv. The model is that named, else the first; values are
    means over its seeds.

    Raises:
        UsageError: the table has no such rows.

    """
    rows = regions[regions["quantity"] == "shapley"]
    rows = _one_model(rows, value_function, model, fill)
    cells = {name: rows[rows["region"] == name].set_index("emotion") for name in QUADRANTS}
    panels = [
        _panel(emotion, [cells[name].loc[emotion] for name in QUADRANTS], value_function)
        for emotion in _SHOWN
    ]
    return _figure_of(panels, rows, value_function, "each quarter of the face")


def tile_figure(
    tiles: pd.DataFrame, *, value_function: str = "probability", model: str | None = None
) -> Figure:
    """Return the Shapley values of the 48 tiles, a face per emotion and one for all images.

    `tiles` has the columns of tiles.csv; the rest as in `quadrant_map`.

    Raises:
        UsageError: the table has no such rows.

    """
    rows = _one_model(tiles[tiles["tile"] >= 0], value_function, model, None)
    panels = []
    for emotion in _SHOWN:
        cells = rows[rows["emotion"] == emotion].sort_values("tile")
        panels.append(_panel(emotion, [row for _, row in cells.iterrows()], value_function))
    return _figure_of(panels, rows, value_function, "each of 48 tiles")


def people_figure(
    tiles: pd.DataFrame,
    maps: Floats,
    *,
    value_function: str = "probability",
    model: str | None = None,
) -> Figure:
    """Return the model's tiles above people's, a face per emotion, both in per cent of the largest.

    `tiles` has the columns of tiles.csv, `maps` is float64 [7, 48], people's map of each emotion.
    Each map is divided by its own largest absolute value, because the units differ.

    Raises:
        UsageError: the table has no such rows.

    """
    rows = _one_model(tiles[tiles["tile"] >= 0], value_function, model, None)
    panels: list[FacePanel | None] = []
    for start in range(0, len(EMOTIONS), _ACROSS):
        some = EMOTIONS[start : start + _ACROSS]
        for who in ("model", "people"):
            for emotion in some:
                cells = rows[rows["emotion"] == emotion].sort_values("tile")["value"]
                ours = who == "model"
                values = cells.to_numpy(np.float64) if ours else maps[EMOTIONS.index(emotion)]
                percent = 100 * values / max(float(np.abs(values).max()), 1e-12)
                panels.append(FacePanel(f"{emotion}, {who}", percent, np.ones(TILES, dtype=bool)))
            panels += [None] * (_ACROSS - len(some))
    text = f"Tiles that matter to the model {_label(rows)} and to people"
    return face_figure(panels, text, "per cent of each face's largest value", decimals=0)


@matplotlib.rc_context(STYLE)
def halves_plot(
    regions: pd.DataFrame,
    *,
    value_function: str = "probability",
    model: str | None = None,
    fill: str | None = None,
) -> Figure:
    """Return the halves' Shapley values with intervals: upper and lower, left and right.

    Takes what `quadrant_map` takes. A half's value is the sum of its two quadrants'.

    Raises:
        UsageError: the table has no such rows.

    """
    rows = regions[regions["quantity"] == "shapley"]
    rows = _one_model(rows, value_function, model, fill)
    unit, factor, _ = _UNITS[value_function]
    figure = Figure(figsize=(7.2, 3.3), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, pair in zip(panels, (("upper", "lower"), ("left", "right")), strict=True):
        for index, region in enumerate(pair):
            cells = rows[rows["region"] == region].set_index("emotion").loc[list(_SHOWN)]
            value = factor * cells["value"].to_numpy(np.float64)
            ends = factor * cells[["low", "high"]].to_numpy(np.float64)
            y = np.arange(len(_SHOWN)) + 0.17 * (2 * index - 1)
            colour = COLOURS[1 + index]
            axes.hlines(y, ends[:, 0], ends[:, 1], color=colour, linewidth=1.4)
            axes.plot(value, y, MARKERS[index], color=colour, markersize=4.5, label=region)
        axes.axvline(0, color="#999999", linewidth=0.7)
        axes.set_yticks(np.arange(len(_SHOWN)), _SHOWN)
        axes.set_ylim(len(_SHOWN) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    if value_function != "neg_log_loss":
        # Intervals of two seeds that go far beyond would hide all the others.
        low, high = panels[0].get_xlim()
        panels[0].set_xlim(max(low, -factor), min(high, factor))
    figure.supxlabel(f"Shapley value: {unit}", fontsize=8.5)
    title(figure, f"What each half of the face contributes, {_label(rows)}")
    return figure


def _one_model(
    table: pd.DataFrame, value_function: str, model: str | None, fill: str | None
) -> pd.DataFrame:
    """Return the rows of one model and fill: the mean over its seeds."""
    rows = table[(table["value_function"] == value_function) & (table["seed"] == "mean")]
    if model is not None:
        rows = rows[rows["model"] == model]
    if fill is not None:
        rows = rows[rows["fill"] == fill]
    if rows.empty:
        raise UsageError(
            f"The table has no importance of model {model or 'any'} for {value_function}."
        )
    for column in ("model", "fill"):
        if column in rows.columns:
            rows = rows[rows[column] == rows[column].iloc[0]]
    return rows


def _panel(emotion: str, cells: Sequence[Any], value_function: str) -> FacePanel:
    factor = _UNITS[value_function][1]
    values = np.array([cell["value"] for cell in cells], dtype=np.float64)
    low = np.array([cell["low"] for cell in cells], dtype=np.float64)
    high = np.array([cell["high"] for cell in cells], dtype=np.float64)
    name = "all images" if emotion == "all" else emotion
    return FacePanel(name, factor * values, (low > 0) | (high < 0))


def _figure_of(
    panels: Sequence[FacePanel], rows: pd.DataFrame, value_function: str, what: str
) -> Figure:
    unit, _, decimals = _UNITS[value_function]
    text = f"What {what} contributes (Shapley value), {_label(rows)}"
    note = f"{unit} (grey italics: the interval includes 0)"
    return face_figure(panels, text, note, decimals=decimals)


def _label(rows: pd.DataFrame) -> str:
    label = model_label(str(rows["model"].iloc[0]))
    fill = str(rows["fill"].iloc[0]) if "fill" in rows.columns else "black"
    return label if fill == "black" else f"{label}, fill {fill}"


def _draw_cells(axes: Axes, panel: FacePanel, scale: Normalize, decimals: int) -> None:
    quadrants = len(panel.values) == len(QUADRANTS)
    columns, rows = (2, 2) if quadrants else (TILE_COLUMNS, TILE_ROWS)
    size = 9.0 if quadrants else 4.6
    for index, value in enumerate(panel.values):
        row, column = divmod(index, 2) if quadrants else place(index)
        known = np.isfinite(value)
        shade = _COLOURS(scale(value)) if known else "#f2f2f2"
        corner = (column / columns, row / rows)
        axes.add_patch(
            Rectangle(
                corner, 1 / columns, 1 / rows, facecolor=shade, edgecolor="white", linewidth=0.8
            )
        )
        x, y = (column + 0.5) / columns, (row + 0.5) / rows
        if quadrants:
            x, y = _PLACES[QUADRANTS[index]]
        text = f"{value:+.{decimals}f}".replace("-", "−") if known else "–"
        dark = known and abs(scale(value) - 0.5) > 0.36
        ink = "white" if dark else "#1a1a1a" if panel.sure[index] else "#666666"
        axes.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color=ink,
            fontstyle="normal" if panel.sure[index] else "italic",
            zorder=5,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _draw_face(axes: Axes, *, faint: bool) -> None:
    """Draw head, brows, eyes, nose and mouth over the unit square, y downwards."""
    line: dict[str, Any] = {
        "color": "#1a1a1a",
        "alpha": 0.28 if faint else 0.6,
        "linewidth": 0.9,
        "fill": False,
        "zorder": 3,
    }
    shapes: list[Any] = [Ellipse((0.5, 0.47), 0.9, 1.16, **line)]
    for side in (-1, 1):
        eye = 0.5 + side * 0.19
        shapes.append(Ellipse((eye, 0.37), 0.17, 0.075, **line))
        shapes.append(Ellipse((eye, 0.37), 0.055, 0.065, **{**line, "fill": True, "linewidth": 0}))
        shapes.append(Arc((eye, 0.3), 0.24, 0.1, theta1=200, theta2=340, **line))
    nose = Path([(0.47, 0.42), (0.43, 0.6), (0.5, 0.61), (0.57, 0.6)], [1, 2, 2, 2])
    lips = Path(
        [
            (0.34, 0.77),
            (0.44, 0.73),
            (0.5, 0.76),
            (0.56, 0.73),
            (0.66, 0.77),
            (0.5, 0.86),
            (0.34, 0.77),
        ],
        [1, 3, 3, 3, 3, 3, 3],
    )
    between = Path([(0.34, 0.77), (0.5, 0.785), (0.66, 0.77)], [1, 3, 3])
    shapes += [PathPatch(path, **line) for path in (nose, lips, between)]
    for shape in shapes:
        axes.add_patch(shape)
        shape.set_clip_path(Rectangle((0, 0), 1, 1, transform=axes.transData))
