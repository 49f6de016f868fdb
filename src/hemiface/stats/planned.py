"""The planned comparisons, which the report is about: what hiding each half of the face costs.

A few contrasts of accuracy that follow from the questions, each corrected within its own small
family, so that the hundreds of comparisons in `all_pairs` don't drown them:

- robustness: the baseline on whole faces minus the baseline with a half hidden;
- available information: what is lost where a network was trained for the hidden half. The
  specialists are one family: `longer`, which was fine-tuned as they were, on whole faces minus each
  of them on its half; where it wasn't trained, the baseline, from which they were fine-tuned. The
  generalist is another: itself on whole faces minus itself on the half, for it was trained
  otherwise than the baseline, and that difference isn't the half's;
- sides: upper against lower and left against right hidden, for the baseline (robustness), the
  specialists and the generalist (available information), each a family of two;
- table, models: every other model minus the baseline on the same condition;
- table, conditions: each model on whole faces minus the same model with a part hidden.

The two last are the marks of the report's first table and are families of the whole table. Where
there is no baseline `full`, the first model takes its place in them.
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from hemiface.occlusion.conditions import HALVES
from hemiface.stats.contrasts import Pair, difference_table, matched
from hemiface.stats.sample import Cell, Sample, whole_reader
from hemiface.tables import Predictions

__all__ = ["METRIC", "SIDES", "planned", "shown_conditions"]

METRIC = "accuracy"
SIDES = (("upper", "lower"), ("left", "right"))
_MOST = 5


def planned(sample: Sample | Predictions) -> pd.DataFrame:
    """Return the contrasts (see the module): columns as in `all_pairs.all_pairs`.

    A row for each seed and one for their mean, where there are several; empty where there is
    nothing to compare.
    """
    sample = Sample.of(sample)
    return difference_table(_pairs(sample), sample, (METRIC,))


def shown_conditions(conditions: Sequence[str]) -> list[str]:
    """Return the columns of the report's first table: whole faces and halves, else the first five.

    >>> shown_conditions(["upper-left", "left", "full", "right"])
    ['full', 'left', 'right']
    """
    main = [one for one in ("full", *HALVES) if one in conditions]
    return main if len(main) > 1 else list(dict.fromkeys(conditions))[:_MOST]


def _pairs(sample: Sample) -> Iterator[Pair]:
    known = list(dict.fromkeys(sample.names["name"]))
    conditions = shown_conditions(sample.conditions)
    for kind, family, a, b in _questions(known, conditions):
        yield from matched(sample, kind, family, a, b)
    base = "full" if "full" in known else known[0]
    for one in conditions:
        for name in known:
            if name != base:
                family = "table, models"
                yield from matched(sample, family, family, (name, one), (base, one))
    for name in known:
        for one in conditions:
            if one != "full" and "full" in conditions:
                family = "table, conditions"
                yield from matched(sample, family, family, (name, "full"), (name, one))


def _questions(
    known: Sequence[str], conditions: Sequence[str]
) -> Iterator[tuple[str, str, Cell, Cell]]:
    """Yield (kind, family, a, b) about the halves that are hidden in the test."""
    hidden = [one for one in HALVES if one in conditions]
    if "full" in known:
        for one in hidden:
            yield "robustness", "robustness", ("full", "full"), ("full", one)
    for one in hidden:
        if one in known and "full" in known:
            family = "available information, specialists"
            yield "available information", family, (whole_reader(known), "full"), (one, one)
    for one in hidden:
        if "any" in known:
            family = "available information, generalist"
            yield "available information", family, ("any", "full"), ("any", one)
    for kind, readers in (
        ("robustness", ["full"]),
        ("available information, specialists", [""]),
        ("available information, generalist", ["any"]),
    ):
        for reader in readers:
            for one, other in SIDES:
                a, b = reader or one, reader or other
                if {one, other} <= set(hidden) and {a, b} <= set(known):
                    yield "sides", f"sides, {kind}", (a, one), (b, other)
