"""Which quadrant and which half matters: games -> tidy tables with intervals.

Every number is a fixed linear combination of the coalitions' values (a *measure*), so its interval
comes from the very draws that all of a Sample use, and a difference of two regions is paired. Of
several seeds it is over images and seeds together (`inference.infer`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.errors import HemifaceError
from hemiface.occlusion.conditions import HALVES, QUADRANTS
from hemiface.stats.importance.game import (
    CONTROLS,
    GROUPED,
    NOBODY,
    VALUE_FUNCTIONS,
    Game,
    coalition_index,
)
from hemiface.stats.importance.indices import interaction_coefficients, pairs, shapley_coefficients
from hemiface.stats.inference import FEWEST_FOR_PERCENTILES, infer
from hemiface.stats.significance import expanded_quantiles

__all__ = [
    "BETWEEN",
    "IMPORTANCE_COLUMNS",
    "INTERACTION_COLUMNS",
    "REGIONS",
    "fill_spread",
    "interaction_table",
    "intervals",
    "region_table",
]

Floats = npt.NDArray[np.float64]

KEY_COLUMNS = ("protocol", "fill", "model", "seed", "emotion", "value_function")
_NUMBERS = ("value", "low", "high", "n", "p")
IMPORTANCE_COLUMNS = (*KEY_COLUMNS, "quantity", "region", *_NUMBERS)
INTERACTION_COLUMNS = (*KEY_COLUMNS, "index", "regions", *_NUMBERS)

REGIONS: dict[str, frozenset[str]] = {
    **{one: frozenset({one}) for one in QUADRANTS},
    **{half: frozenset(one for one in QUADRANTS if half in one.split("-")) for half in HALVES},
}
"""From a region's name to its quadrants. Here a name says what is CREDITED, not what is hidden."""

BETWEEN = (("upper", "lower"), ("left", "right"))
"""The halves that are played against each other; their difference is `upper - lower`."""

_EVERYBODY = 2 ** len(QUADRANTS) - 1
_SIZE = 2 ** len(QUADRANTS) + len(CONTROLS)
_TOLERANCE = 1e-9
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True, eq=False)
class Measure:
    """A quantity of a region: coefficients float64 [18] of a game's values.

    It exists where the game has all `controls` that it uses.
    """

    quantity: str
    region: str
    coefficients: Floats
    controls: frozenset[int] = field(default_factory=frozenset)


def region_table(games: Iterable[Game], protocol: str, options: StatisticsOptions) -> pd.DataFrame:
    """Return every measure of every game: columns IMPORTANCE_COLUMNS (see `importance.shapley`).

    Raises:
        HemifaceError: Shapley values don't sum to what the whole face is worth.

    """
    measures = [
        *_shapley(),
        *_halves(),
        *_necessity_and_sufficiency(),
        *_controls(),
        *_ends(),
    ]
    games = list(games)
    for game in games:
        _require_efficiency(game)
    return _table(games, measures, protocol, options, IMPORTANCE_COLUMNS)


def interaction_table(
    games: Iterable[Game], protocol: str, options: StatisticsOptions
) -> pd.DataFrame:
    """Return the interactions of every game: columns INTERACTION_COLUMNS."""
    return _table(list(games), list(_interactions()), protocol, options, INTERACTION_COLUMNS)


def fill_spread(table: pd.DataFrame) -> pd.DataFrame:
    """Return what changes with the fill: lowest and highest value, spread, and the number of fills.

    `table` has the columns of IMPORTANCE_COLUMNS; rows that only one fill has are left out.
    """
    key = [column for column in IMPORTANCE_COLUMNS if column not in ("fill", *_NUMBERS)]
    values = table.groupby(key, sort=False, observed=True)["value"]
    found = values.agg(fills="size", lowest="min", highest="max").reset_index()
    found["spread"] = found["highest"] - found["lowest"]
    return found[found["fills"] > 1].reset_index(drop=True)


def intervals(draws: Floats, bearing: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the ends [8, ...] of the intervals of `draws` [draws, 8, ...] (GROUPED second).

    Expanded percentile intervals for as many groups of like size as `bearing` [8] says; NaN where
    they are fewer than FEWEST_FOR_PERCENTILES, or more than 5 % of the draws are undefined.
    """
    ends = np.full((2, *draws.shape[1:]), np.nan)
    for index, count in enumerate(bearing.tolist()):
        here = draws[:, index]
        defined = np.isfinite(here).reshape(len(here), -1).all(axis=1)
        if count >= FEWEST_FOR_PERCENTILES and defined.sum() >= (1 - _MOST_UNDEFINED) * len(here):
            quantiles = expanded_quantiles(level, count)
            ends[:, index] = np.quantile(here[defined], quantiles, axis=0)
    return ends[0], ends[1]


def _value(visible: int) -> Floats:
    """Return the coefficients of one coalition's value."""
    row = np.zeros(_SIZE)
    row[visible] = 1
    return row


def _padded(coefficients: Floats) -> Floats:
    return np.concatenate([coefficients, np.zeros(_SIZE - len(coefficients))])


def _index(region: str) -> int:
    return coalition_index(REGIONS[region])


def _with_differences(found: Sequence[Measure]) -> Iterator[Measure]:
    """Yield the measures, then upper - lower and left - right of them."""
    yield from found
    by_region = {one.region: one for one in found}
    for one, other in BETWEEN:
        first, second = by_region[one], by_region[other]
        yield Measure(
            first.quantity,
            f"{one} - {other}",
            first.coefficients - second.coefficients,
            first.controls | second.controls,
        )


def _shapley() -> Iterator[Measure]:
    """Yield the quadrants' Shapley values, and each half's as the sum of its two quadrants."""
    rows = shapley_coefficients(len(QUADRANTS))
    found = []
    for region, members in REGIONS.items():
        total = sum(rows[QUADRANTS.index(one)] for one in members)
        found.append(Measure("shapley", region, _padded(np.asarray(total))))
    yield from _with_differences(found)


def _halves() -> Iterator[Measure]:
    """Yield the Shapley values of the games with two players: upper and lower, left and right."""
    found = [
        Measure("halves", half, _in_halves(pair, row))
        for pair in BETWEEN
        for half, row in zip(pair, shapley_coefficients(2), strict=True)
    ]
    yield from _with_differences(found)


def _in_halves(pair: tuple[str, str], coefficients: Floats) -> Floats:
    """Return coefficients of the game of two halves as coefficients of the quadrants' game."""
    coalitions = (NOBODY, _index(pair[0]), _index(pair[1]), _EVERYBODY)
    return sum(
        (weight * _value(one) for weight, one in zip(coefficients, coalitions, strict=True)),
        start=np.zeros(_SIZE),
    )


def _necessity_and_sufficiency() -> Iterator[Measure]:
    everybody, nobody = _value(_EVERYBODY), _value(NOBODY)
    necessity, sufficiency = [], []
    for region in REGIONS:
        without = _value(_EVERYBODY & ~_index(region))
        necessity.append(Measure("necessity", region, everybody - without))
        alone = _value(_index(region))
        sufficiency.append(Measure("sufficiency", region, alone - nobody))
    yield from _with_differences(necessity)
    yield from _with_differences(sufficiency)


def _controls() -> Iterator[Measure]:
    """Yield what hiding a region costs more than hiding as much at random."""
    first = 2 ** len(QUADRANTS)
    found = []
    for region, members in REGIONS.items():
        percent = 100 * len(members) // len(QUADRANTS)
        hidden = _value(_EVERYBODY & ~_index(region))
        random = _value(first + CONTROLS.index(percent))
        found.append(Measure("above_random", region, random - hidden, frozenset({percent})))
    # The same random masks stand against both halves: their difference is that of the necessity.
    yield from found


def _ends() -> Iterator[Measure]:
    yield Measure("value", "full", _value(_EVERYBODY))
    yield Measure("value", "none", _value(NOBODY))
    yield Measure("value", "full - none", _value(_EVERYBODY) - _value(NOBODY))


def _interactions() -> Iterator[Measure]:
    for index in ("shapley", "banzhaf"):
        rows = interaction_coefficients(len(QUADRANTS), index)
        for (one, other), row in zip(pairs(len(QUADRANTS)), rows, strict=True):
            yield Measure(index, f"{QUADRANTS[one]} x {QUADRANTS[other]}", _padded(row))
    for pair in BETWEEN:
        row = interaction_coefficients(2, "shapley")[0]
        yield Measure("halves", " x ".join(pair), _in_halves(pair, row))


def _require_efficiency(game: Game) -> None:
    """Raise HemifaceError unless the Shapley values share out exactly what the face is worth."""
    values = game.values[..., : 2 ** len(QUADRANTS)]
    shared = (values @ shapley_coefficients(len(QUADRANTS)).T).sum(axis=-1)
    worth = values[..., _EVERYBODY] - values[..., NOBODY]
    gap = np.abs(shared - worth)
    allowed = _TOLERANCE * np.maximum(1, np.abs(values).max(axis=-1))
    if not (gap <= allowed)[np.isfinite(worth)].all():
        raise HemifaceError(
            f"The Shapley values of {game.model} (seed {game.seed}) don't add up to the value of "
            "the whole face; the predictions can't be used as a game."
        )


def _bounds(coefficients: Floats) -> tuple[Floats, Floats]:
    """Return the least and the greatest of [measures, 18], [3, measures] each.

    Probabilities and shares of right answers lie in 0..1, so that no sum of them passes that of the
    coefficients above or below 0; of negative losses none is above 0.
    """
    is_loss = np.array([[one == "neg_log_loss"] for one in VALUE_FUNCTIONS])
    least, most = (kept(coefficients, 0).sum(axis=1) for kept in (np.minimum, np.maximum))
    lowest = np.where(most > 0, -np.inf, 0.0)
    highest = np.where(least < 0, np.inf, 0.0)
    return np.where(is_loss, lowest, least), np.where(is_loss, highest, most)


def _table(
    games: Sequence[Game],
    measures: Sequence[Measure],
    protocol: str,
    options: StatisticsOptions,
    columns: Sequence[str],
) -> pd.DataFrame:
    kind, region = columns[len(KEY_COLUMNS) : -len(_NUMBERS)]
    tables = []
    for game in games:
        here = [one for one in measures if one.controls <= game.controls]
        coefficients = np.stack([one.coefficients for one in here])
        found = game.values @ coefficients.T
        bounds = _bounds(coefficients)
        # [networks, draws, 8, 3, measures] -> [8, 3, measures, networks, draws]
        drawn = np.moveaxis(found, (0, 1), (-2, -1))
        told = [
            infer([one], groups, options, bearing, bounds)
            for one, groups, bearing in zip(
                drawn, game.scale.groups.tolist(), game.scale.bearing.tolist(), strict=True
            )
        ]
        numbers = {
            name: np.stack([getattr(one, name) for one in told]).ravel()
            for name in ("value", "low", "high", "p")
        }
        keys = pd.MultiIndex.from_product([GROUPED, VALUE_FUNCTIONS, range(len(here))])
        which = keys.get_level_values(2).to_numpy()
        images = dict(zip(GROUPED, game.scale.images.tolist(), strict=True))
        emotions = keys.get_level_values(0)
        tables.append(
            pd.DataFrame(
                {
                    "protocol": protocol,
                    "fill": game.fill,
                    "model": game.model,
                    "seed": game.seed,
                    "emotion": emotions,
                    "value_function": keys.get_level_values(1),
                    kind: np.array([one.quantity for one in here])[which],
                    region: np.array([one.region for one in here])[which],
                    **numbers,
                    "n": emotions.map(images),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)[list(columns)]
