"""Shapley values in bits -> the first figure of a page: seven emotions by the halves of a face."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report.figures.style import STYLE, decimals, model_label
from hemiface.stats.decomposition import PAIRS
from hemiface.stats.information import FIVE
from hemiface.tables import EMOTIONS

__all__ = ["halves_map"]

_Cells = dict[tuple[str, str, str], dict[Any, Any]]
"""Rows by emotion, mix and region."""

_ROWS = [
    *((emotion, "data", emotion) for emotion in EMOTIONS),
    ("all", "data", "all images"),
    ("all", "balanced", "emotions alike"),
    ("all", FIVE, "without happy\nand neutral"),
]
"""Emotion and mix of each row, and its name; the last is left out where it isn't asked."""
_OWN_NAMES = {"specialists": "networks trained for what is hidden"}
_COLOURS = matplotlib.colormaps["PuOr_r"]


@matplotlib.rc_context(STYLE)
def halves_map(
    shapley: pd.DataFrame,
    model: str,
    sign: Callable[[Mapping[Any, Any]], int],
    *,
    label: str | None = None,
    people: pd.DataFrame | None = None,
) -> Figure:
    """Return how much of what a whole face tells is due to each half, by emotion, in bits.

    `shapley` has the columns of shapley.csv; shown are the model's rows of its first fill, over all
    seeds where there are several. A value is bold and underlined where its half tells more than
    the other one of its pair: where `sign` of the row about the difference of the two, 1 or -1 if a
    direction may be stated and 0 otherwise, is on its side. `label` says what the model is, by
    default what it was trained on. `people`, people_halves.csv, gets a column of its own, bold and
    underlined where its further column `stated` says that people need one half more.

    Raises:
        UsageError: the table has no two halves of this model.
    """
    rows = shapley[(shapley["model"] == model) & (shapley["players"] == "halves")]
    if len(rows):
        rows = rows[rows["fill"] == rows["fill"].iloc[0]]
    seeds = set(rows["seed"].astype(str))
    rows = rows[rows["seed"].astype(str) == "mean"] if "mean" in seeds else rows
    pairs = [pair for pair in PAIRS if set(pair) <= set(rows["region"])]
    if not pairs:
        raise UsageError(f"The table has no Shapley values of halves of model {model}.")
    cells: _Cells = {
        (str(row["emotion"]), str(row["mix"]), str(row["region"])): row
        for row in rows.to_dict("records")
    }
    halves = [half for pair in pairs for half in pair]
    shown = [row for row in _ROWS if (*row[:2], halves[0]) in cells]
    values = np.array(
        [[cells[emotion, mix, half]["bits"] for half in halves] for emotion, mix, _ in shown]
    )
    most = float(np.nanmax(np.abs(values), initial=0.01))
    scale = TwoSlopeNorm(0, -1.6 * most, 1.6 * most)  # pale, to be written on
    figure, axes, beside = _panels(len(halves), people)
    axes.pcolormesh(values, cmap=_COLOURS, norm=scale, edgecolor="white", linewidth=1.2, alpha=0.75)
    for y, (emotion, mix, _) in enumerate(shown):
        for x, half in enumerate(halves):
            one, other = next(pair for pair in pairs if half in pair)
            on_its_side = 1 if half == one else -1
            found = sign(cells[emotion, mix, f"{one} - {other}"])
            _write(axes, x, y, cells[emotion, mix, half], more=found == on_its_side)
    axes.axvline(2, color="#333333", linewidth=1)
    _finish(axes, [f"{half} half" for half in halves], len(shown))
    axes.set_yticks(np.arange(len(shown)) + 0.5, [name for _, _, name in shown])
    if people is not None:
        _people(beside, people, shown)
    label = label or _OWN_NAMES.get(model, f"the network {model_label(model)}")
    fill = str(rows["fill"].iloc[0])
    label += "" if fill == "black" else f", filled with {fill}"
    figure.suptitle(f"Bits that each half tells\n{label}", ha="left", x=0.01)
    return figure


def _panels(halves: int, people: pd.DataFrame | None) -> tuple[Figure, Any, Any]:
    """Return a figure, the axes for the halves and, with people, theirs (else None)."""
    width = 1.3 + 1.15 * halves
    if people is None:
        figure = Figure(figsize=(width, 4.6), layout="constrained")
        return figure, figure.subplots(), None
    figure = Figure(figsize=(width + 1.35, 4.6), layout="constrained")
    axes, beside = figure.subplots(1, 2, width_ratios=[halves, 1.05])
    return figure, axes, beside


def _people(axes: Any, people: pd.DataFrame, shown: Sequence[tuple[str, str, str]]) -> None:
    """Draw people's upper minus lower half, in per cent, in the rows that they have."""
    rows = {str(row["emotion"]): row for row in people.to_dict("records")}
    # Their faces are as many of each emotion, so that all together is emotions alike.
    found = [rows.get(emotion) if mix == "balanced" or emotion != "all" else None
             for emotion, mix, _ in shown]  # fmt: skip
    values = np.array([[math.nan if row is None else row["percent"]] for row in found])
    most = float(np.nanmax(np.abs(values), initial=1.0))
    scale = TwoSlopeNorm(0, -1.6 * most, 1.6 * most)
    axes.pcolormesh(values, cmap=_COLOURS, norm=scale, edgecolor="white", linewidth=1.2, alpha=0.75)
    for y, row in enumerate(found):
        if row is not None:
            form = f"{{:+.{decimals(float(row['low']), float(row['high']))}f}}"
            _write(axes, 0, y, row, more=row["stated"], column="percent", form=form)
    _finish(axes, ["people: upper\n− lower, %"], len(shown))
    axes.set_yticks([])


def _finish(axes: Any, columns: list[str], rows: int) -> None:
    axes.axhline(len(EMOTIONS), color="#333333", linewidth=1)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_ylim(rows, 0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write(
    axes: Any,
    x: int,
    y: int,
    row: dict[Any, Any],
    *,
    more: bool,
    column: str = "bits",
    form: str = "{:.2f}",
) -> None:
    value, low, high = (float(row[name]) for name in (column, "low", "high"))
    if math.isnan(value):
        axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center")
        return
    weight = "bold" if more else "normal"
    axes.text(x + 0.5, y + 0.4, form.format(value).replace("-", "−"), ha="center", va="center",
              fontsize=9, weight=weight)  # fmt: skip
    if more:
        axes.plot([x + 0.3, x + 0.7], [y + 0.6] * 2, color="#1b1f24", linewidth=1.2)
    if not math.isnan(low) and not math.isnan(high):
        ends = f"[{form.format(low)}, {form.format(high)}]".replace("-", "−")
        axes.text(x + 0.5, y + 0.79, ends, ha="center", va="center", fontsize=6.5, color="#333333")
