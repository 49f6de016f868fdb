"""Result tables -> matplotlib figures: one question under every choice, sorted by the answer."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hemiface.errors import UsageError
from hemiface.report.figures.style import COLOURS, STYLE, title
from hemiface.stats.importance.game import ALL
from hemiface.stats.specification import NEUTRAL, RATIO
from hemiface.tables import EMOTIONS

__all__ = ["ENDS", "specification_curve", "specification_emotions", "specification_strength"]

_UNITS = {
    RATIO: "lower half to upper half",
    "upper - lower": "upper minus lower, bits",
    "left - right": "left minus right of the image, bits",
}
ENDS = {
    RATIO: ("the upper half tells more", "the lower half tells more"),
    "upper - lower": ("the lower half tells more", "the upper half tells more"),
    "left - right": ("the picture's right half tells more", "the picture's left half tells more"),
}
"""What an answer below and above the neutral value means."""
_UNSURE = "#9a9a9a"
_MARKS = "os^Dv<>P*X"


@matplotlib.rc_context(STYLE)
def specification_curve(table: pd.DataFrame, quantity: str, choices: Sequence[str]) -> Figure:
    """Return the answers of all specifications, sorted, above what was chosen for each.

    `table` has the columns of specification.csv, `choices` are those that are shown. An answer
    of which no direction may be stated is grey.

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
    sides = int((rows["sign"] > 0).sum()), int((rows["sign"] < 0).sum())
    title(
        figure,
        f"{_heading(quantity)}: {len(rows)} specifications, "
        f"{sides[0]} above {NEUTRAL[quantity]:g}, {sides[1]} below",
    )
    return figure


@matplotlib.rc_context(STYLE)
def specification_emotions(table: pd.DataFrame, quantity: str, choice: str) -> Figure:
    """Return the answers of all specifications for each emotion, and for all together.

    `table` has the columns of specification.csv; each option of `choice` has a colour and a lane
    of its own in an emotion's row. A full mark is an answer of which a direction may be stated (see
    `stated_signs`).

    Raises:
        UsageError: the table has no such quantity.
    """
    rows = _answers(table, quantity, None)
    emotions = [one for one in (*EMOTIONS, ALL) if (rows["emotion"] == one).any()]
    options = list(dict.fromkeys(rows[choice].astype(str)))
    figure = Figure(figsize=(7.2, 1.2 + 0.55 * len(emotions)), layout="constrained")
    axes = figure.subplots()
    lane = 0.8 / len(options)
    for place, emotion in enumerate(emotions):
        for index, option in enumerate(options):
            some = rows[(rows["emotion"] == emotion) & (rows[choice].astype(str) == option)]
            some = some.sort_values("value", kind="stable")
            middle = place + (index + 0.5) * lane - 0.4
            _draw_lane(axes, some, middle, lane, index)
    for place in range(len(emotions) - 1):
        axes.axhline(place + 0.5, color="#dddddd", linewidth=0.6, zorder=0)
    axes.axvline(NEUTRAL[quantity], color="#333333", linewidth=0.7, zorder=1)
    axes.set_yticks(range(len(emotions)), emotions)
    axes.set_ylim(len(emotions) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    less, more = ENDS[quantity]
    axes.set_xlabel(f"\N{LEFTWARDS ARROW} {less}          {more} \N{RIGHTWARDS ARROW}")
    axes.grid(axis="x")
    for index, option in enumerate(options):
        mark = _MARKS[index % len(_MARKS)]
        axes.plot([], [], linestyle="", marker=mark, color=_colour(index), label=option)
    axes.legend(title=choice, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    title(figure, f"{_heading(quantity)}, by emotion (full marks: decided)")
    return figure


def _draw_lane(axes: Axes, rows: pd.DataFrame, middle: float, lane: float, index: int) -> None:
    """Draw one option's answers for one emotion, sorted, from the top of the lane to its bottom."""
    y = middle + lane * 0.7 * (np.linspace(-0.5, 0.5, len(rows)) if len(rows) > 1 else np.zeros(1))
    colour = _colour(index)
    faces = ["none" if sign == 0 else colour for sign in rows["sign"]]
    axes.scatter(
        rows["value"], y[: len(rows)], s=11, marker=_MARKS[index % len(_MARKS)], facecolors=faces,
        edgecolors=colour, linewidths=0.7, zorder=3,
    )  # fmt: skip


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
    for index, (option, some) in enumerate(rows.groupby(choice, sort=False)):
        colour = _colour(index)
        axes.vlines(
            some["whole"], some["low"], some["high"], colors=colour, linewidth=0.7, alpha=0.5
        )
        axes.scatter(
            some["whole"], some["value"], s=16, color=colour, marker=_MARKS[index % len(_MARKS)],
            label=str(option), zorder=3,
        )  # fmt: skip
    _scale(axes, rows, quantity)
    axes.set_xlabel("what the networks tell of whole faces, bits")
    axes.legend(title=choice, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    title(figure, f"{_heading(quantity)}, by how much they tell")
    return figure


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _answers(table: pd.DataFrame, quantity: str, emotion: str | None = ALL) -> pd.DataFrame:
    """Return the specifications that have an answer to this question, of one emotion or of all."""
    rows: pd.DataFrame = table[(table["quantity"] == quantity) & np.isfinite(table["value"])]
    rows = rows if emotion is None else rows[rows["emotion"] == emotion]
    if rows.empty:
        raise UsageError(f"The table has no specification of {quantity}.")
    return rows


def _heading(quantity: str) -> str:
    unit = _UNITS[quantity]
    return unit[0].upper() + unit[1:]


def _draw_answers(axes: Axes, rows: pd.DataFrame, quantity: str) -> None:
    x = np.arange(len(rows))
    colours = np.where(rows["sign"] != 0, COLOURS[1], _UNSURE)
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
