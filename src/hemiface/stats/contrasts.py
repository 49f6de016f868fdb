"""A contrast: two cells over the same images, their difference and all that is said about chance.

`comparisons` compares everything with everything, `halves` the few cells that the report is about;
both build their tables here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hemiface.stats.inference import infer, paired_members
from hemiface.stats.matrix import Drawn
from hemiface.stats.significance import holm

__all__ = [
    "DIFFERENCE_COLUMNS",
    "PAIR_COLUMNS",
    "Pair",
    "corrected",
    "difference_table",
    "matched",
]

Cell = tuple[str, str]

PAIR_COLUMNS = ("kind", "family", "seed", "model_a", "condition_a", "model_b", "condition_b")
DIFFERENCE_COLUMNS = (
    *PAIR_COLUMNS,
    "metric",
    "value_a",
    "value_b",
    "difference",
    "low",
    "high",
    "se",
    "df",
    "p",
    "p_holm",
    "margin",
    "p_equivalence",
    "n",
    "groups",
    "method",
    "reason",
)


@dataclass(frozen=True)
class Pair:
    """Two cells to compare; `a` and `b` hold a (model ID, condition) per seed."""

    key: tuple[str, ...]
    a: tuple[Cell, ...]
    b: tuple[Cell, ...]
    paired: bool


def matched(
    names: pd.DataFrame, cells: Iterable[Cell], kind: str, family: str, a: Cell, b: Cell
) -> Iterator[Pair]:
    """Yield the pairs of two (name, condition), by seed; without those that aren't in `cells`."""
    present = set(cells)
    for seed, first, second, paired in paired_members(names, a[0], b[0]):
        cells_a = tuple((model, a[1]) for model in first)
        cells_b = tuple((model, b[1]) for model in second)
        if present.issuperset((*cells_a, *cells_b)):
            yield Pair((kind, family, seed, *a, *b), cells_a, cells_b, paired)


def difference_table(
    pairs: Iterable[Pair],
    drawn: Drawn,
    metrics: Sequence[str],
    *,
    level: float = 0.95,
    margin: float = 0.02,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row per pair and metric: a minus b, columns DIFFERENCE_COLUMNS.

    `drawn` holds at least `metrics`. Holm's family: the rows of one `family`, seed and metric.
    """
    rows: list[tuple[Any, ...]] = []
    for pair in pairs:
        a, b = (
            np.stack([[drawn.scores[cell][one] for cell in side] for one in metrics])
            for side in (pair.a, pair.b)
        )
        parts = [a - b] if pair.paired else [a, -b]
        one = infer(parts, drawn.groups, level=level, margin=margin, seed=seed)
        n = drawn.sizes[pair.a[0]]
        for place, metric in enumerate(metrics):
            values = (a[place, :, 0].mean(), b[place, :, 0].mean(), one.value[place])
            chance = (one.low, one.high, one.se, one.df, one.p)
            rows.append(
                (
                    *pair.key,
                    metric,
                    *values,
                    *(column[place] for column in chance),
                    np.nan,
                    margin,
                    one.p_equivalence[place],
                    n,
                    drawn.groups,
                    one.method,
                    one.reason[place],
                )
            )
    table = pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))
    return corrected(table, ["seed", "family", "metric"])


def corrected(table: pd.DataFrame, family: list[str], column: str = "p") -> pd.DataFrame:
    """Fill p_holm from `column` within each family."""
    if table.empty:
        return table
    adjusted = table.groupby(family, sort=False)[column].transform(lambda p: holm(p.to_numpy()))
    return table.assign(p_holm=adjusted)
