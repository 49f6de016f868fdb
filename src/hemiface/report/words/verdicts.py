"""What a row of a result table allows one to say: a direction, equivalence, or nothing.

One rule for the whole report. A direction is stated only where the Holm-corrected p is below .05
*and* the interval leaves 0 out. Where it isn't, two things are told apart: `alike` (an equivalence
test places the difference within the margin) and nothing found, which is no finding of equality.
A pair of cells has one verdict on the whole page (`Verdicts`), whichever sentence asks for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hemiface.report.figures.style import decimals
from hemiface.stats.significance import SIGNIFICANT, holm, stated_signs

__all__ = [
    "CONTRAST",
    "Cell",
    "Verdict",
    "Verdicts",
    "over_seeds",
    "points",
    "shown_pairs",
    "verdict",
]

CONTRAST = ["kind", "family", "model_a", "condition_a", "model_b", "condition_b"]

Cell = tuple[str, str]
"""(model, condition): a network's name and what is hidden in the test."""


@dataclass(frozen=True)
class Verdict:
    """A difference of shares, its interval, and what may be said of it.

    `sign` is 1 or -1 where a direction may be stated, else 0; `alike` says that an equivalence test
    places the difference within +-`margin`. Both can hold: a difference that is sure and small.
    """

    value: float
    low: float
    high: float
    sign: int
    alike: bool
    margin: float

    @property
    def text(self) -> str:
        """The difference in points with its interval."""
        return points(self.value, self.low, self.high)

    @property
    def size(self) -> str:
        """The same without a sign: for "x points less"; the interval's ends by size."""
        ends = (self.low, self.high) if self.value >= 0 else (-self.high, -self.low)
        return points(abs(self.value), *ends, plus="")

    @property
    def turned(self) -> "Verdict":
        """The same of b minus a."""
        low, high = -self.high, -self.low
        return Verdict(-self.value, low, high, -self.sign, self.alike, self.margin)

    @property
    def within(self) -> str:
        """The margin in words."""
        return f"{100 * self.margin:g} points"


def verdict(row: "Mapping[Any, Any] | pd.Series[Any]", column: str = "difference") -> Verdict:
    """Return what a row with `column`, low, high, p_holm, p_equivalence and margin allows.

    >>> row = {"difference": 0.1, "low": -0.01, "high": 0.2, "p_holm": 0.001}
    >>> verdict(row).sign
    0
    """
    value, low, high, p = (float(row[name]) for name in (column, "low", "high", "p_holm"))
    sign = int(stated_signs(low, high, p))
    margin = float(row.get("margin", math.nan))
    alike = float(row.get("p_equivalence", math.nan)) < SIGNIFICANT
    return Verdict(value, low, high, sign, alike, margin)


class Verdicts:
    """What may be said of the accuracies of two cells, in one place for the whole page.

    A pair can be a comparison of several families, each of which corrects for its own size. The
    first row that holds it speaks, so planned.csv goes before all_pairs.csv: what was planned isn't
    drowned by what else was computed, and no two sentences contradict each other.
    """

    def __init__(self, *tables: pd.DataFrame) -> None:
        """Read tables with the columns of planned.csv, the one that goes first first."""
        self._found: dict[tuple[Cell, Cell], Verdict] = {}
        for table in tables:
            rows = over_seeds(table[table["metric"] == "accuracy"], CONTRAST)
            for row in rows.to_dict("records"):
                a = str(row["model_a"]), str(row["condition_a"])
                b = str(row["model_b"]), str(row["condition_b"])
                if (b, a) not in self._found:
                    self._found.setdefault((a, b), verdict(row))

    def of(self, a: Cell, b: Cell) -> Verdict | None:
        """Return the verdict on a's accuracy minus b's; None if the two were not compared."""
        if (a, b) in self._found:
            return self._found[a, b]
        return self._found[b, a].turned if (b, a) in self._found else None

    def sign(self, a: Cell, b: Cell) -> int:
        """Return 1 or -1 where it may be said that a's accuracy is higher or lower, else 0."""
        found = self.of(a, b)
        return found.sign if found else 0


def shown_pairs(all_pairs: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """Return the rows of all_pairs.csv about accuracy under `conditions`, corrected among these.

    The first paragraph speaks of the first table's conditions; a correction over all 120 pairs of
    sixteen coalitions would answer questions that it doesn't ask.
    """
    rows = all_pairs[
        (all_pairs["metric"] == "accuracy")
        & all_pairs["condition_a"].isin(conditions)
        & all_pairs["condition_b"].isin(conditions)
    ]
    corrected = rows.groupby(["seed", "family"], sort=False)["p"].transform(holm)
    return rows.assign(p_holm=corrected)


def points(value: float, low: float, high: float, plus: str = "+") -> str:
    """Return a difference in percentage points, with the interval if there is one.

    An interval that leaves 0 out is never rounded to one that ends there.

    >>> points(0.1234, 0.1, 0.15), points(-0.01, -0.0199, -0.0004)
    ('+12.3 [10.0, 15.0] points', '−1.00 [−1.99, −0.04] points')
    >>> points(-0.0001, -0.02, 0.02)
    '0.0 [−2.0, 2.0] points'
    """
    if math.isnan(value):
        return "undefined"
    if math.isnan(low) or math.isnan(high):
        return f"{_unsigned_zero(f'{100 * value:{plus}.1f}')} points".replace("-", "−")
    low, high = 100 * low + 0.0, 100 * high + 0.0
    places = decimals(low, high, least=1)
    # An end keeps its sign: -0.0 says that 0 is inside.
    shown = _unsigned_zero(f"{100 * value:{plus}.{places}f}")
    return f"{shown} [{low:.{places}f}, {high:.{places}f}] points".replace("-", "−")


def _unsigned_zero(number: str) -> str:
    """Return a written number; without its sign where nothing but zeros is left of it."""
    return number if number.strip("+-0.") else number.lstrip("+-")


def over_seeds(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Return one row per `key`: the mean over seeds, or that of a seed of models without means.

    What a seed lacks has no mean, and one seed's row doesn't stand beside means of the same models;
    it does where no other seed has anything of what is compared.
    """
    means = table[table["seed"].astype(str) == "mean"]
    models = [one for one in ("question", "model", "model_a", "model_b") if one in key]
    averaged = pd.MultiIndex.from_frame(means[models])
    single = table[~pd.MultiIndex.from_frame(table[models]).isin(averaged)]
    rows = pd.concat([means, single]).sort_index()
    return rows.drop_duplicates(key)
