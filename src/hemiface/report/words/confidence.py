"""Confidence with a part hidden, in a table and words: before and after temperatures."""

import pandas as pd

from hemiface.report.figures.classes import Cell, evaluated
from hemiface.report.figures.style import condition_label
from hemiface.report.page_tables import Group, Row, Shown, Table

__all__ = ["calibration_table", "calibration_words"]

_AFTER = "by visibility"
_SHOWN = ("ece", "ece_floor", "rms_calibration_error", "log_loss")


def calibration_table(scores: pd.DataFrame, cells: list[Cell], level: float = 0.95) -> Table:
    """Return temperature, calibration error and log loss of each cell, before and after.

    `scores` has the columns of calibration.csv; values are means over the seeds, intervals are
    given where there is one seed. Cells that it lacks are left out.
    """
    groups = []
    for model, hidden in evaluated(scores, cells):
        here = scores[(scores["model"] == model) & (scores["condition"] == hidden)]
        rows = []
        for calibration, name in (("none", "as given"), (_AFTER, "with temperature")):
            found = here[here["calibration"] == calibration]
            shown = [Shown(f"{found['temperature'].mean():.2f}")]
            shown += [_score(found[found["metric"] == one]) for one in _SHOWN]
            rows.append(Row(name, shown))
        groups.append(Group(f"{model}, {condition_label(hidden)}", rows))
    note = (
        "A temperature above 1 makes a network less sure; it was fitted on validation images for "
        "each condition, everything else is measured on test images. Calibration error: the mean "
        "distance between how sure the network is and how often it is right, in 15 bins of equal "
        "width. By chance: what a perfectly calibrated network that is as sure would show on so "
        "many images. Without chance: the root mean square of these distances in 15 bins of equal "
        "numbers, what chance adds to it taken out (0 where less is left). Log loss: the "
        "penalty for giving the truth little probability. Lower is better for all; small: "
        f"{100 * level:g} % intervals."
    )
    columns = [
        "temperature",
        "calibration error",
        "by chance",
        "without chance",
        "log loss, nats",
    ]
    title = "Confidence before and after."
    return Table("confidence", title, note, "model", "confidence", columns, groups)


def calibration_words(scores: pd.DataFrame, cells: list[Cell]) -> str:
    """Say the calibration error of each cell before and after temperatures, and chance's part.

    No test compares the two, so no direction is claimed. Cells that `scores` lacks are left out.
    """
    said = []
    for model, hidden in evaluated(scores, cells):
        here = scores[(scores["model"] == model) & (scores["condition"] == hidden)]
        means = here.groupby(["metric", "calibration"])["value"].mean()
        ends = [f"{means['ece', one]:.3f}" for one in ("none", _AFTER)]
        floor = means.get(("ece_floor", _AFTER), float("nan"))
        by_chance = f" (by chance {floor:.3f})" if floor == floor else ""
        said.append(f"{condition_label(hidden)} {ends[0]} → {ends[1]}{by_chance}")
    named = "; ".join(said)
    return f"Calibration error without → with temperature, model {cells[0][0]}: {named}."


def _score(rows: pd.DataFrame) -> Shown:
    value = float(rows["value"].mean())
    if value != value:
        return Shown("–")
    if len(rows) > 1:
        return Shown(f"{value:.3f}", f"mean of {len(rows)} seeds")
    low, high = float(rows["low"].iloc[0]), float(rows["high"].iloc[0])
    return Shown(f"{value:.3f}", f"[{low:.3f}, {high:.3f}]" if low == low else "")
