"""Confidence with a part hidden, in a table and words: before and after temperatures."""

import pandas as pd

from hemiface.report.figures.classes import Cell
from hemiface.report.figures.style import condition_label
from hemiface.report.page_tables import Group, Row, Shown, Table

__all__ = ["calibration_table", "calibration_words"]

_AFTER = "by visibility"


def calibration_table(scores: pd.DataFrame, cells: list[Cell], level: float = 0.95) -> Table:
    """Return temperature, calibration error and log loss of each cell, before and after.

    `scores` has the columns of calibration.csv; values are means over the seeds, intervals are
    given where there is one seed.
    """
    groups = []
    for model, hidden in cells:
        here = scores[(scores["model"] == model) & (scores["condition"] == hidden)]
        rows = []
        for calibration, name in (("none", "as given"), (_AFTER, "with temperature")):
            found = here[here["calibration"] == calibration]
            shown = [Shown(f"{found['temperature'].mean():.2f}")]
            shown += [_score(found[found["metric"] == one]) for one in ("ece", "log_loss")]
            rows.append(Row(name, shown))
        groups.append(Group(f"{model}, {condition_label(hidden)}", rows))
    note = (
        "A temperature above 1 makes a network less sure; it was fitted on validation images for "
        "each condition, everything else is measured on test images. Calibration error: the mean "
        "distance between how sure the network is and how often it is right. Log loss: the "
        "penalty for giving the truth little probability. Lower is better for both; small: "
        f"{100 * level:g} % intervals."
    )
    columns = ["temperature", "calibration error", "log loss, nats"]
    title = "Confidence before and after."
    return Table("confidence", title, note, "model", "confidence", columns, groups)


def calibration_words(scores: pd.DataFrame, cells: list[Cell]) -> str:
    """Give the calibration error before and after: without a test, there is no verdict."""
    said = []
    for model, hidden in cells:
        here = scores[
            (scores["model"] == model)
            & (scores["condition"] == hidden)
            & (scores["metric"] == "ece")
        ]
        before = here[here["calibration"] == "none"]
        after = here[here["calibration"] == _AFTER]
        text = f"{model}, {condition_label(hidden)}"
        text += f" ({before['value'].mean():.3f} → {after['value'].mean():.3f})"
        said.append(text)
    return (
        f"Calibration error as given → with a temperature: {'; '.join(said)}. The differences were "
        "not tested."
    )


def _score(rows: pd.DataFrame) -> Shown:
    value = float(rows["value"].mean())
    if value != value:
        return Shown("–")
    if len(rows) > 1:
        return Shown(f"{value:.3f}", f"mean of {len(rows)} seeds")
    low, high = float(rows["low"].iloc[0]), float(rows["high"].iloc[0])
    return Shown(f"{value:.3f}", f"[{low:.3f}, {high:.3f}]" if low == low else "")
