"""One question under every reasonable choice: the specification curve of halves.

How much more one half tells than the other depends on what was chosen before anything was
computed: the kind of network, whose labels, what covers the hidden part, where a face is cut, how
frequent the emotions are, and whether images with a near duplicate in training count. Each
combination is a specification; all of them are shown, sorted, with what was chosen for each, so
that a reader sees what holds in all and what depends on which choice.

Specifications share images and networks, so they are no independent tests, and a share of them has
no p. Within each, p are corrected by Holm as in `shapley`. Source: Simonsohn, Simmons &
Nelson 2020, Specification curve analysis, Nature Human Behaviour 4, sections 1 and 2.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.stats.importance.game import ALL
from hemiface.stats.information import informative
from hemiface.stats.sample import Sample
from hemiface.stats.shapley import shapley
from hemiface.stats.significance import stated_signs
from hemiface.tables import Predictions

__all__ = ["DUPLICATES", "NEUTRAL", "RATIO", "Specified", "held", "moved", "specification"]

Floats = npt.NDArray[np.float64]

RATIO = "lower / upper"
NEUTRAL = {RATIO: 1.0, "upper - lower": 0.0, "left - right": 0.0}
"""The quantities and the value at which neither half tells more. The ratio is of all emotions
together alone: of a single one a half may tell nothing, and a ratio to that says nothing."""

DUPLICATES = {"with": "standard", "without": "leak-free"}
"""Are test images scored that have a near duplicate in training? By which protocol."""

_DIFFERENCE = {RATIO: "upper - lower"}
"""The difference that asks what a ratio asks, and has its p."""
_NUMBERS = (
    "seeds", "whole", "quantity", "value", "low", "high", "p_holm", "sign", "n", "groups", "reason",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Specified:
    """Predictions of one kind of network in several seeds, and what was chosen for it.

    `choices` maps each choice to what it is, such as architecture -> compact.
    """

    choices: Mapping[str, str]
    predictions: Predictions


def specification(
    specified: Iterable[Specified], options: StatisticsOptions | None = None
) -> pd.DataFrame:
    """Return a row per specification, emotion (and all together) and quantity of NEUTRAL.

    Mixes are those of `shapley`.
    Columns: each choice, `mix`, `duplicates` and `emotion`, then seeds (how many networks), whole
    (what they tell of whole faces, in bits), quantity, value, low, high, p_holm, sign, n, groups,
    reason. Values are Shapley values in bits and their ratio, of the first family that was trained
    for what it sees (see `information`), over its seeds. p_holm is that of `shapley`, a ratio's
    that of its difference; sign is 1 or -1 where it may be stated (`stated_signs`) that the value
    is above or below its neutral one, else 0.

    Raises:
        UsageError: choices differ in their names, or there are predictions without such a family.
    """
    rows: list[dict[str, Any]] = []
    names: tuple[str, ...] = ()
    for one in specified:
        names = names or tuple(one.choices)
        if tuple(one.choices) != names:
            raise UsageError(
                f"Every specification must choose {', '.join(names)}, got {', '.join(one.choices)}."
            )
        rows += _rows(one, options)
    columns = [*names, "mix", "duplicates", "emotion", *_NUMBERS]
    return pd.DataFrame(rows, columns=columns)


def _rows(one: Specified, options: StatisticsOptions | None) -> Iterator[dict[str, Any]]:
    for duplicates, protocol in DUPLICATES.items():
        sample = Sample.of(one.predictions, protocol, options)
        if protocol == "leak-free" and sample.table.empty:
            continue
        if not informative(sample):
            raise UsageError(
                f"The predictions of {', '.join(one.choices.values())} don't tell what halves "
                "tell; evaluate whole faces and halves with --split validation --split test."
            )
        table = shapley(sample)
        table = table[table["players"] == "halves"]
        trained = table[table["question"] == "available information"]
        table = trained if len(trained) else table
        table = table[table["model"] == table["model"].iloc[0]]
        seeds = list(dict.fromkeys(table["seed"]))
        chosen = table[table["seed"] == ("mean" if "mean" in seeds else seeds[0])]
        by = chosen.set_index(["region", "mix", "emotion"])
        for row in chosen[chosen["region"].isin(list(NEUTRAL))].to_dict("records"):
            quantity, place = row["region"], (row["mix"], row["emotion"])
            if quantity == RATIO and row["emotion"] != ALL:
                continue
            p = by.loc[(_DIFFERENCE.get(quantity, quantity), *place), "p_holm"]
            yield {
                **one.choices,
                "mix": row["mix"],
                "duplicates": duplicates,
                "emotion": row["emotion"],
                "seeds": len([seed for seed in seeds if seed != "mean"]),
                "whole": by.loc[("whole", *place), "bits"],
                "quantity": quantity,
                "value": row["bits"],
                "p_holm": p,
                "sign": int(stated_signs(row["low"], row["high"], p, NEUTRAL[quantity])),
                **{name: row[name] for name in ("low", "high", "n", "groups", "reason")},
            }


def held(table: pd.DataFrame, choices: Sequence[str]) -> pd.DataFrame:
    """Return what holds in all specifications, and under each option of each choice.

    Options meet in different company (a fill may have been tried with one architecture alone), so
    two medians don't tell what a choice does: `moved` does. A row per quantity, emotion and option,
    and one with choice `all`. Columns: quantity, emotion, choice, option, specifications, lowest,
    median, highest (of the values), above and below (in how many it may be stated that the value is
    on that side of the neutral one). `choices` names the columns to go through.
    """
    rows = []
    for quantity, emotion, own in _questions(table):
        about = {"quantity": quantity, "emotion": emotion}
        rows.append(about | {"choice": "all", "option": ""} | _summary(own))
        for choice in choices:
            for option, some in own.groupby(choice, sort=False):
                rows.append(about | {"choice": choice, "option": str(option)} | _summary(some))
    columns = [
        "quantity", "emotion", "choice", "option", "specifications", "lowest", "median", "highest",
        "above", "below",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _questions(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield each quantity and emotion that was asked for, and its specifications."""
    for quantity in NEUTRAL:
        own = table[table["quantity"] == quantity]
        for emotion, some in own.groupby("emotion", sort=False):
            yield quantity, str(emotion), some


def moved(table: pd.DataFrame, choices: Sequence[str]) -> pd.DataFrame:
    """Return how far each choice moves the answer where all others are alike.

    A row per quantity, emotion, choice and two of its options that were tried under the same other
    choices. Columns: quantity, emotion, choice, option, other, pairs (of specifications), lowest,
    median, highest of the option's answer beside the other's: their quotient for the ratio, else
    their difference in bits. `option` is the one whose answer is higher in the median. `choices`
    names all that tell specifications of one emotion apart.
    """
    rows = []
    for quantity, emotion, own in _questions(table[np.isfinite(table["value"])]):
        for choice in choices:
            rest = [one for one in choices if one != choice]
            some = {
                option: part.set_index(rest)["value"]
                for option, part in own.groupby(choice, sort=False)
            }
            for one, other in combinations(some, 2):
                pairs = pd.concat([some[one], some[other]], axis=1, join="inner").to_numpy()
                if not len(pairs):
                    continue
                names = [one, other]
                change = _beside(pairs, quantity)
                if np.median(change) < NEUTRAL[quantity]:
                    names = [other, one]
                    change = _beside(pairs[:, ::-1], quantity)
                ends = np.quantile(change, [0, 0.5, 1])
                rows.append([quantity, emotion, choice, *names, len(pairs), *ends])
    columns = [
        "quantity", "emotion", "choice", "option", "other", "pairs", "lowest", "median", "highest",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _beside(pairs: Floats, quantity: str) -> Floats:
    """Return each first answer of [n, 2] beside its second."""
    change: Floats = (np.divide if quantity == RATIO else np.subtract)(*pairs.T)
    return change


def _summary(rows: pd.DataFrame) -> dict[str, Any]:
    values = rows["value"].to_numpy(np.float64)
    known = values[np.isfinite(values)]
    lowest, median, highest = np.quantile(known, [0, 0.5, 1]) if len(known) else [np.nan] * 3
    return {
        "specifications": len(rows),
        "lowest": lowest,
        "median": median,
        "highest": highest,
        "above": int((rows["sign"] > 0).sum()),
        "below": int((rows["sign"] < 0).sum()),
    }
