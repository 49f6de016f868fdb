"""Sentences about one question under every choice: what holds in all, and what moves the answer.

Specifications share images and networks, so nothing here is a test of many: a sentence says in how
many of them a direction may be stated, and between which values the answer lies.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hemiface.report.figures.specification import ENDS
from hemiface.report.words.texts import two_decimals
from hemiface.stats.importance.game import ALL
from hemiface.stats.specification import NEUTRAL, RATIO

__all__ = ["specification_words"]

_TOWARDS = {
    "upper - lower": "towards the upper half",
    "left - right": "towards the picture's left half",
}
_FORMS = {
    "lower / upper": "The ratio lies between {} and {}, in the middle {}",
    "upper - lower": "Upper minus lower lies between {} and {} bits, in the middle {}",
    "left - right": "The picture's left minus right lies between {} and {} bits, in the middle {}",
}


def specification_words(held: pd.DataFrame, moved: pd.DataFrame) -> list[str]:
    """Return sentences for each quantity of `held` and `moved` (see `specification`).

    Of all emotions together three: in how many specifications which half tells more; between which
    values the answer lies; which two options differ most where all else is alike. Of each emotion
    these in one. What has no answer is left out.
    """
    said = []
    for quantity in NEUTRAL:
        every = held[(held["quantity"] == quantity) & (held["choice"] == "all")]
        every = every[every["median"].notna()]
        alone = every["emotion"] != ALL
        for row in pd.concat([every[~alone], every[alone]]).to_dict("records"):
            ways = moved[(moved["quantity"] == quantity) & (moved["emotion"] == row["emotion"])]
            sentences = _words(quantity, row, ways)
            if row["emotion"] == ALL:
                said += [f"{one}." for one in sentences]
            else:
                told = [one[0].lower() + one[1:] for one in sentences]
                said.append(f"{str(row['emotion']).capitalize()}: {'; '.join(told)}.")
    return said


def _words(quantity: str, every: Mapping[Any, Any], ways: pd.DataFrame) -> list[str]:
    below, above = ENDS[quantity]
    said = [
        _holding(above, below, every["specifications"], every["above"], every["below"]),
        _FORMS[quantity].format(
            *(two_decimals(every[one]) for one in ("lowest", "highest", "median"))
        ),
    ]
    if len(ways) and (ways["median"] != NEUTRAL[quantity]).any():
        said.append(_moving(quantity, ways.iloc[int(ways["median"].argmax())].to_dict()))
    return said


def _moving(quantity: str, most: Mapping[Any, Any]) -> str:
    lowest, median, highest = (two_decimals(most[one]) for one in ("lowest", "median", "highest"))
    pairs = "1 pair" if most["pairs"] == 1 else f"{most['pairs']} pairs"
    option, other = most["option"], most["other"]
    change = (
        f"{option} has {median} times the ratio of {other}"
        if quantity == RATIO
        else f"{option} instead of {other} moves it {median} bits {_TOWARDS[quantity]}"
    )
    return (
        f"With all else alike, the choice of {most['choice']} moves it most: {change} "
        f"({lowest} to {highest}, {pairs})"
    )


def _holding(above: str, below: str, count: int, ups: int, downs: int) -> str:
    """Return in how many of `count` specifications which half may be said to tell more."""
    sides = [(ups, above), (downs, below)]
    for hits, words in sides:
        if hits == count:
            every = f"all {count} specifications" if count > 1 else "the only specification"
            return f"In {every} {words}"
    if not ups and not downs:
        return f"In none of {count} specifications it is decided whether {above} or {below}"
    parts = [f"in {hits} {words}" for hits, words in sides if hits]
    rest = count - ups - downs
    ending = f", and in {rest} it is undecided" if rest else ""
    return f"Of {count} specifications, {' and '.join(parts)}{ending}"
