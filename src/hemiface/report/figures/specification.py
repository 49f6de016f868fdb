"""Result tables -> matplotlib figures: one question under every choice, sorted by the answer."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report.figures.style import COLOURS, STYLE, title
from hemiface.stats.specification import NEUTRAL, RATIO

__all__ = ["specification_curve", "specification_strength"]

_UNITS = {
    RATIO: "lower half to upper half",
    "upper - lower": "upper minus lower, bits",
    "left - right": "left minus right of the image, bits",
}
_UNSURE = "#9a9a9a"


@matplotlib.rc_context(STYLE)
def specification_curve(table: pd.DataFrame, quantity: str, choices: Sequence[str]) -> Figure:
    """Return the answers of all specifications, sorted, above what was chosen for each.

    `table` has the columns of specification.csv, `choices` are those that are shown. An answer
    whose interval holds the neutral value is grey.

    Raises:
        UsageError: the table has no such quantity.
    """
    rows = _answers(table, quantity).sort_values("value", kind="stable").reset_index(drop=True)
    options = {choice: list(dict.fromkeys(table[choice].astype(str))) for choice in choices}
    lines = sum(len(some) for some in options.values())
    figure = Figure(figsize=(7.2, 2.3 + 0.17 * (lines + len(choices))), layout="constrained")
    top, bottom = figure.subplots(
        2, 1, sharex=True, height_ratios=[2.0, 0.17 * (lines + len(choices))]
    )
    _draw_answers(top, rows, quantity)
    _draw_choices(bottom, rows, options)
    neutral = NEUTRAL[quantity]
    sides = int((rows["low"] > neutral).sum()), int((rows["high"] < neutral).sum())
    title(
        figure,
        f"{_heading(quantity)}: {len(rows)} specifications, "
        f"{sides[0]} above {neutral:g}, {sides[1]} below",
    )
    return figure


@matplotlib.rc_context(STYLE)
def specification_strength(table: pd.DataFrame, quantity: str, choice: str) -> Figure:
    """Return the answers of all specifications beside what their networks tell of whole faces.

    `table` has the columns of specification.csv; the options of `choice` have colours and marks of
    their own. Answers that fall or rise along the axis depend on how well networks were trained.

    Raises:
        UsageError: the table has no such quantity.
    """
    rows = _answers(table, quantity)
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    marks = "os^Dv<>P*X"
    for index, (option, some) in enumerate(rows.groupby(choice, sort=False)):
        colour = COLOURS[index % len(COLOURS)]
        axes.vlines(
            some["whole"], some["low"], some["high"], colors=colour, linewidth=0.7, alpha=0.5
        )
        axes.scatter(
            some["whole"], some["value"], s=16, color=colour, marker=marks[index % len(marks)],
            label=str(option), zorder=3,
        )  # fmt: skip
    _scale(axes, rows, quantity)
    axes.set_xlabel("what the networks tell of whole faces, bits")
    axes.legend(title=choice, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    title(figure, f"{_heading(quantity)}, by how much they tell")
    return figure


def _answers(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the specifications that have an answer to this question."""
    rows: pd.DataFrame = table[(table["quantity"] == quantity) & np.isfinite(table["value"])]
    if rows.empty:
        raise UsageError(f"The table has no specification of {quantity}.")
    return rows


def _heading(quantity: str) -> str:
    unit = _UNITS[quantity]
    return unit[0].upper() + unit[1:]


def _draw_answers(axes: Axes, rows: pd.DataFrame, quantity: str) -> None:
    x = np.arange(len(rows))
    neutral = NEUTRAL[quantity]
    sure = ((rows["low"] > neutral) | (rows["high"] < neutral)).to_numpy()
    colours = np.where(sure, COLOURS[1], _UNSURE)
    axes.vlines(x, rows["low"], rows["high"], colors=list(colours), linewidth=0.9, alpha=0.7)
    axes.scatter(x, rows["value"], s=7, c=list(colours), zorder=3)
    _scale(axes, rows, quantity)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _scale(axes: Axes, rows: pd.DataFrame, quantity: str) -> None:
    """Label the axis of answers, draw the neutral one, and make ratios logarithmic."""
    axes.axhline(NEUTRAL[quantity], color="#333333", linewidth=0.7)
    if quantity == RATIO:
        axes.set_yscale("log")
        low, high = rows["low"].min(), rows["high"].max()
        ticks = [one for one in (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6) if low <= one <= high]
        axes.set_yticks(ticks, [f"{one:g}" for one in ticks])
        axes.minorticks_off()
    axes.set_ylabel(_UNITS[quantity].replace(", ", ",\n"))
    axes.grid(axis="y")


def _draw_choices(axes: Axes, rows: pd.DataFrame, options: dict[str, list[str]]) -> None:
    y, ticks, labels = 0.0, [], []
    for choice, some in options.items():
        axes.text(
            -0.012, y, choice, transform=axes.get_yaxis_transform(), ha="right", va="center",
            fontsize=8, fontweight="bold",
        )  # fmt: skip
        y += 1
        for option in some:
            at = np.flatnonzero(rows[choice].astype(str) == option)
            axes.scatter(at, np.full(len(at), y), s=5, marker="|", color=COLOURS[0], linewidth=0.9)
            ticks.append(y)
            labels.append(option)
            y += 1
        y += 0.3  # tells one choice from the next
    axes.set_yticks(ticks, labels)
    axes.set_ylim(y - 0.7, -0.6)
    axes.set_xlim(-1, len(rows))
    axes.tick_params(axis="both", length=0, labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)
