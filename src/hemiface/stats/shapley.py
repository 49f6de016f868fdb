"""How the information of a whole face is shared out among its halves: Shapley values, in bits.

Players are two halves that make up the face; a coalition is worth the information of what can be
seen (`stats.information`), and nobody is worth 0 by definition, for who sees nothing answers with
the shares of the emotions. So four conditions are enough, no black picture is asked, and the two
values add up to what the whole face tells:

    first = (A + W - B) / 2        second = (B + W - A) / 2

with A, B and W as in `decomposition`; synergy and redundancy go to both in equal parts. With all
sixteen coalitions `quadrants` are four players, and each half has the sum of its two quadrants.

Source: Shapley 1953, A value for n-person games.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.occlusion.conditions import COALITIONS, QUADRANTS
from hemiface.stats.contrasts import corrected
from hemiface.stats.decomposition import PAIRS, decomposable
from hemiface.stats.importance.game import GROUPED, coalition_index
from hemiface.stats.importance.indices import shapley_coefficients
from hemiface.stats.inference import Inference
from hemiface.stats.information import (
    FIVE,
    MIXES,
    WHOLE,
    Bits,
    Family,
    Informing,
    emotions_of,
    families,
)
from hemiface.stats.sample import Sample
from hemiface.tables import Predictions

__all__ = ["SHAPLEY_COLUMNS", "shapley", "shared_out"]

Floats = npt.NDArray[np.float64]

SHAPLEY_COLUMNS = (
    "question",
    "model",
    "seed",
    "fill",
    "mix",
    "players",
    "region",
    "emotion",
    "bits",
    "low",
    "high",
    "se",
    "df",
    "p",
    "p_holm",
    "n",
    "groups",
    "method",
    "reason",
)
_KEY = ("question", "model", "seed", "fill", "mix", "players", "region", "emotion")
_SIZE = 2 ** len(QUADRANTS)


@dataclass(frozen=True)
class _Value:
    """A value [8, seeds, 1 + draws] of one region, or of a difference or ratio of two."""

    players: str
    region: str
    values: Floats
    tested: bool = False
    """Is 0 (1 for a ratio) a question?"""


def shapley(sample: Sample | Predictions) -> pd.DataFrame:
    """Return the Shapley values of halves, and of quadrants where there are sixteen coalitions.

    Columns SHAPLEY_COLUMNS. `mix` is one of MIXES, or FIVE, which has no rows of happy and neutral
    and so says how much of a half's lead is theirs. `players` is `halves` or `quadrants`; `region`
    a half, a quadrant, `whole`, a difference (`upper - lower`, `left - right`) or the ratio
    `lower / upper`, which is NaN where a value isn't above 0. `p` is of "the two are alike" and
    given for differences. Holm's families, of one run and kind of players: what the first figure
    draws of it (both differences, of the seven emotions as in the data and of `all` under each
    mix); the emotions of each other mix, both differences. A ratio's interval is that of its
    logarithm.

    Raises:
        UsageError: as `information`.
    """
    sample = Sample.of(sample)
    known = families(sample)
    return shared_out(
        (Bits.of_sample(sample, mix), family) for mix in (*MIXES, FIVE) for family in known
    )


def shared_out(told: Iterable[tuple[Informing, Family]]) -> pd.DataFrame:
    """Return the table of `shapley` for whatever tells bits, in the order in which it comes.

    What comes twice, as whole faces do where each pair of halves comes for itself, stands once.
    """
    rows: list[dict[str, Any]] = []
    for bits, family in told:
        for seed, seeds in family.runs():
            for one in _values(bits, family, seeds):
                rows += _rows(bits, family, seed, one)
    table = pd.DataFrame(rows, columns=list(SHAPLEY_COLUMNS))
    table = table.drop_duplicates(list(_KEY), ignore_index=True)
    drawn = (table["mix"] == MIXES[0]) | (table["emotion"] == GROUPED[-1])
    table = table.assign(asked=table["mix"].where(~drawn, "first figure"))
    run = ["question", "model", "seed", "fill", "players"]
    found = corrected(table, [*run, "asked"]).drop(columns="asked")
    return found.astype({"p_holm": float})


def _values(bits: Informing, family: Family, seeds: Sequence[str]) -> Iterator[_Value]:
    whole = bits.by_seed(family, seeds, "full")
    pairs = decomposable(family)
    halves: dict[str, Floats] = {}
    for one, other in pairs:
        # What is seen is the half that isn't hidden.
        first, second = (bits.by_seed(family, seeds, family.key(half)) for half in (other, one))
        halves |= {one: (first + whole - second) / 2, other: (second + whole - first) / 2}
    if pairs or family.conditions == ["full"]:
        yield _Value("halves", WHOLE, whole)
    if pairs:
        yield from _regions("halves", halves)
    if {family.key(name) for seen, name in COALITIONS.items() if seen} <= set(family.conditions):
        quadrants = _quadrants(bits, family, seeds)
        for pair in PAIRS:
            for half in pair:
                quadrants[half] = sum(
                    (quadrants[one] for one in QUADRANTS if half in one.split("-")),
                    start=np.zeros(()),
                )
        yield from _regions("quadrants", quadrants)


def _quadrants(bits: Informing, family: Family, seeds: Sequence[str]) -> dict[str, Floats]:
    worth = np.zeros((_SIZE, *bits.by_seed(family, seeds, "full").shape))
    for seen, name in COALITIONS.items():
        if seen:
            worth[coalition_index(seen)] = bits.by_seed(family, seeds, family.key(name))
    shared = np.tensordot(shapley_coefficients(len(QUADRANTS)), worth, axes=1)
    return dict(zip(QUADRANTS, shared, strict=True))


def _regions(players: str, found: dict[str, Floats]) -> Iterator[_Value]:
    """Yield each region's value, then the differences and the ratio between halves."""
    for region, values in found.items():
        yield _Value(players, region, values)
    for one, other in PAIRS:
        if {one, other} <= set(found):
            yield _Value(players, f"{one} - {other}", found[one] - found[other], tested=True)
    if {"upper", "lower"} <= set(found):
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(found["lower"]) - np.log(found["upper"])
        yield _Value(players, "lower / upper", np.where(np.isfinite(logs), logs, np.nan))


def _rows(bits: Informing, family: Family, seed: str, value: _Value) -> Iterator[dict[str, Any]]:
    counts = bits.counts()
    one = bits.infer(value.values)
    p = one.p if value.tested else np.full(len(GROUPED), np.nan)
    for place, emotion in enumerate(GROUPED):
        if emotion not in (*emotions_of(bits.mix), GROUPED[-1]):
            continue
        yield _row(one, place, is_ratio="/" in value.region) | {
            "question": family.question,
            "model": family.name,
            "seed": seed,
            "fill": family.fill,
            "mix": bits.mix,
            "players": value.players,
            "region": value.region,
            "emotion": emotion,
            "p": p[place],
            "p_holm": np.nan,
            "n": counts[emotion],
            "groups": int(bits.groups[place]),
        }


def _row(one: Inference, place: int, *, is_ratio: bool) -> dict[str, Any]:
    row = one.row(place)
    if is_ratio:
        row |= {name: np.exp(row[name]) for name in ("difference", "low", "high")}
        row |= {"method": f"{row['method']} of the logarithm"}
    return row | {"bits": row["difference"]}
