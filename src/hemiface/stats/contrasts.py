"""A contrast: two cells over the same images, their difference and all that is said about chance.

`all_pairs` compares everything with everything, `planned` the few cells that the report is about;
both build their tables here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hemiface.stats.inference import infer, paired_members
from hemiface.stats.metrics import METRICS
from hemiface.stats.sample import Cell, Floats, Progress, Sample
from hemiface.stats.significance import holm

__all__ = [
    "DIFFERENCE_COLUMNS",
    "PAIR_COLUMNS",
    "Pair",
    "bounds_of",
    "corrected",
    "difference_table",
    "matched",
]

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


def matched(sample: Sample, kind: str, family: str, a: Cell, b: Cell) -> Iterator[Pair]:
    """Yield the pairs of two (name, condition), by seed; without those that have no images."""
    present = set(sample.cells)
    for seed, first, second, paired in paired_members(sample.names, a[0], b[0]):
        cells_a = tuple((model, a[1]) for model in first)
        cells_b = tuple((model, b[1]) for model in second)
        if present.issuperset((*cells_a, *cells_b)):
            yield Pair((kind, family, seed, *a, *b), cells_a, cells_b, paired)


def difference_table(
    pairs: Iterable[Pair], sample: Sample, metrics: Sequence[str], progress: Progress | None = None
) -> pd.DataFrame:
    """Return a row per pair and metric: a minus b, columns DIFFERENCE_COLUMNS.

    Holm's family: the rows of one `family`, seed and metric. Errors as `Sample.scores`.
    """
    scores = sample.scores(metrics, progress)
    rows: list[dict[str, Any]] = []
    for pair in pairs:
        a, b = (
            np.stack([[scores[cell][one] for cell in side] for one in metrics])
            for side in (pair.a, pair.b)
        )
        parts = [a - b] if pair.paired else [a, -b]
        one = infer(
            parts, sample.group_count, sample.options, sample.effective_groups, bounds_of(metrics)
        )
        rows += [
            dict(zip(PAIR_COLUMNS, pair.key, strict=True))
            | one.row(place)
            | {
                "metric": metric,
                "value_a": a[place, :, 0].mean(),
                "value_b": b[place, :, 0].mean(),
                "margin": sample.options.margin,
                "n": sample.size(pair.a[0]),
                "groups": sample.group_count,
            }
            for place, metric in enumerate(metrics)
        ]
    table = pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))
    return corrected(table, ["seed", "family", "metric"])


def bounds_of(metrics: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the least and the greatest that a difference of each of METRICS can be."""
    widths = np.array([high - low for low, high in (METRICS[one].unit_range for one in metrics)])
    return -widths, widths


def corrected(table: pd.DataFrame, family: list[str], column: str = "p") -> pd.DataFrame:
    """Fill p_holm from `column` within each family."""
    if table.empty:
        return table
    adjusted = table.groupby(family, sort=False)[column].transform(lambda p: holm(p.to_numpy()))
    return table.assign(p_holm=adjusted)
