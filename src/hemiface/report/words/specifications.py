"""Sentences about one question under every choice: what holds in all, and what moves the answer.

Specifications share images and networks, so nothing here is a test of many: a sentence says in how
many of them an interval leaves the neutral value out, and between which values the answer lies.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hemiface.stats.specification import NEUTRAL, RATIO

__all__ = ["specification_words"]

_HALVES = {
    "lower / upper": ("the lower half tells more", "the upper half tells more"),
    "upper - lower": ("the upper half tells more", "the lower half tells more"),
    "left - right": ("the picture's left half tells more", "the picture's right half tells more"),
}
_FORMS = {
    "lower / upper": "The ratio lies between {} and {}, in the middle {}",
    "upper - lower": "The upper half tells between {} and {} bits more, in the middle {}",
    "left - right": "The left half tells between {} and {} bits more, in the middle {}",
}


def specification_words(held: pd.DataFrame, moved: pd.DataFrame) -> list[str]:
    """Return three sentences for each quantity of `held` and `moved` (see `specification`).

    In how many specifications which half tells more; between which values the answer lies; which
    two options differ most where all else is alike. Quantities without any answer are left out.
    """
    said = []
    for quantity in NEUTRAL:
        every = held[(held["quantity"] == quantity) & (held["choice"] == "all")]
        if len(every) and every["specifications"].iloc[0] and every["median"].notna().all():
            said += _words(quantity, every.iloc[0].to_dict(), moved)
    return said


def _words(quantity: str, every: Mapping[Any, Any], moved: pd.DataFrame) -> list[str]:
    above, below = _HALVES[quantity]
    count = every["specifications"]
    said = [
        _holding(above, below, count, every["above"], every["below"]),
        _FORMS[quantity].format(*(_number(every[one]) for one in ("lowest", "highest", "median")))
        + ".",
    ]
    ways = moved[moved["quantity"] == quantity]
    if len(ways) and (ways["median"] != NEUTRAL[quantity]).any():
        said.append(_moving(quantity, ways.iloc[int(ways["median"].argmax())].to_dict()))
    return said


def _moving(quantity: str, most: Mapping[Any, Any]) -> str:
    lowest, median, highest = (_number(most[one]) for one in ("lowest", "median", "highest"))
    change = f"{median} times the ratio of" if quantity == RATIO else f"{median} bits more than"
    pairs = "1 pair" if most["pairs"] == 1 else f"{most['pairs']} pairs"
    return (
        f"With all else alike, what moves it most is the choice of {most['choice']}: "
        f"{most['option']} has {change} {most['other']} ({lowest} to {highest}, {pairs})."
    )


def _holding(above: str, below: str, count: int, ups: int, downs: int) -> str:
    """Return in how many of `count` specifications an interval is on which side."""
    sides = [(ups, above), (downs, below)]
    for hits, words in sides:
        if hits == count:
            return f"In all {count} specifications {words}."
    if not ups and not downs:
        return f"In none of {count} specifications it is decided whether {above} or {below}."
    parts = [f"in {hits} {words}" for hits, words in sides if hits]
    rest = count - ups - downs
    ending = f", and in {rest} it is undecided" if rest else ""
    return f"Of {count} specifications, {' and '.join(parts)}{ending}."


def _number(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")
