"""Shapley values in bits -> the first figure of a page: seven emotions by the halves of a face."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report.figures.style import STYLE, model_label
from hemiface.stats.decomposition import PAIRS
from hemiface.tables import EMOTIONS

__all__ = ["halves_map"]

_Cells = dict[tuple[str, str, str], dict[Any, Any]]
"""Rows by emotion, mix and region."""

_ROWS = [
    *((emotion, "data", emotion) for emotion in EMOTIONS),
    ("all", "data", "all images"),
    ("all", "balanced", "emotions alike"),
]
_OWN_NAMES = {"specialists": "networks trained for what is hidden"}
_COLOURS = matplotlib.colormaps["PuOr_r"]


@matplotlib.rc_context(STYLE)
def halves_map(
    shapley: pd.DataFrame,
    model: str,
    sign: Callable[[Mapping[Any, Any]], int],
    *,
    label: str | None = None,
) -> Figure:
    """Return how much of what a whole face tells is due to each half, by emotion, in bits.

    `shapley` has the columns of shapley.csv; shown are the model's rows of its first fill, over all
    seeds where there are several. A value is bold and underlined where its half tells more than
    the other one of its pair: where `sign` of the row about the difference of the two, 1 or -1 if a
    direction may be stated and 0 otherwise, is on its side. `label` says what the model is, by
    default what it was trained on.

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
    values = np.array(
        [[cells[emotion, mix, half]["bits"] for half in halves] for emotion, mix, _ in _ROWS]
    )
    most = float(np.nanmax(np.abs(values), initial=0.01))
    scale = TwoSlopeNorm(0, -1.6 * most, 1.6 * most)  # pale, to be written on
    figure = Figure(figsize=(1.3 + 1.15 * len(halves), 4.3), layout="constrained")
    axes = figure.subplots()
    axes.pcolormesh(values, cmap=_COLOURS, norm=scale, edgecolor="white", linewidth=1.2, alpha=0.75)
    for y, (emotion, mix, _) in enumerate(_ROWS):
        for x, half in enumerate(halves):
            one, other = next(pair for pair in pairs if half in pair)
            on_its_side = 1 if half == one else -1
            found = sign(cells[emotion, mix, f"{one} - {other}"])
            _write(axes, x, y, cells[emotion, mix, half], more=found == on_its_side)
    axes.axhline(len(EMOTIONS), color="#333333", linewidth=1)
    axes.axvline(2, color="#333333", linewidth=1)
    axes.set_xticks(np.arange(len(halves)) + 0.5, [f"{half} half" for half in halves])
    axes.set_yticks(np.arange(len(_ROWS)) + 0.5, [name for _, _, name in _ROWS])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_ylim(len(_ROWS), 0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    label = label or _OWN_NAMES.get(model, f"the network {model_label(model)}")
    figure.suptitle(f"Bits that each half tells\n{label}", ha="left", x=0.01)
    return figure


def _write(axes: Any, x: int, y: int, row: dict[Any, Any], *, more: bool) -> None:
    value, low, high = (float(row[name]) for name in ("bits", "low", "high"))
    if math.isnan(value):
        axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center")
        return
    weight = "bold" if more else "normal"
    axes.text(x + 0.5, y + 0.4, f"{value:.2f}".replace("-", "−"), ha="center", va="center",
              fontsize=9, weight=weight)  # fmt: skip
    if more:
        axes.plot([x + 0.3, x + 0.7], [y + 0.6] * 2, color="#1b1f24", linewidth=1.2)
    if not math.isnan(low) and not math.isnan(high):
        ends = f"[{low:.2f}, {high:.2f}]".replace("-", "−")
        axes.text(x + 0.5, y + 0.79, ends, ha="center", va="center", fontsize=6.5, color="#333333")
