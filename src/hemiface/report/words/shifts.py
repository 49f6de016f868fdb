"""What emotions are mistaken for when a half is hidden, in words."""

from collections.abc import Iterable

import pandas as pd

from hemiface.occlusion.conditions import HALVES
from hemiface.report.figures.style import model_label
from hemiface.report.words.scores import percent, region
from hemiface.report.words.texts import joined
from hemiface.report.words.verdicts import over_seeds, verdict

__all__ = ["once", "shift_words", "shown_models"]

_KEY = ["model", "condition", "true", "predicted"]
_MOST = 3


def once(shifts: pd.DataFrame) -> pd.DataFrame:
    """Return confusion_shifts.csv's rows, one per cell: the mean over seeds if several."""
    return over_seeds(shifts, _KEY)


def shown_models(shifts: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Return whose shifts are shown: the baseline's and the generalist's, else the first model's.

    The first of `names`: rows come in the order of their shifts, and what is shown isn't to be
    chosen by how much it shifted. A specialist's whole faces are not what it was trained for, so
    its shifts answer neither question.
    """
    there = set(shifts["model"])
    models = [one for one in dict.fromkeys(names) if one in there]
    known = [one for one in models if one in ("full", "any")]
    return known or models[:1]


def shift_words(shifts: pd.DataFrame, model: str) -> str:
    """Return the largest new mistakes of a model with each half hidden: at most three each."""
    rows = once(shifts[shifts["model"] == model])
    rows = rows[rows["true"] != rows["predicted"]]
    question = {"full": "Robustness", "any": "Available information"}.get(model)
    said = [f"{f'{question}, the' if question else 'The'} model {model_label(model)}:"]
    parts, nothing = [], []
    for half in HALVES:
        here = rows[rows["condition"] == half].sort_values("shift", ascending=False, kind="stable")
        if here.empty:
            continue
        found: list[str] = []
        for _, row in here.iterrows():
            v = verdict(row, "shift")
            if v.sign > 0 and len(found) < _MOST:
                found.append(
                    f"{row['true']} is called {row['predicted']} in "
                    f"{percent(float(row['share_hidden']))} instead of "
                    f"{percent(float(row['share_full']))} of its images ({v.text})"
                )
        if found:
            parts.append(f"with {region(half)} hidden, {joined(found)}")
        else:
            nothing.append(region(half))
    if nothing:
        hidden = joined(nothing)
        parts.append(f"with {hidden} hidden, no mistake was found that grows more frequent")
    return " ".join([*said, "; ".join(parts) + "."]) if parts else ""
