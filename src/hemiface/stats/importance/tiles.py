"""Shapley values of the 48 tiles, estimated from sampled orders of uncovering.

With 48 players the 2^48 coalitions can't be evaluated. A sample is a *chain*: one image uncovered
tile by tile in a random order, 49 predictions from nothing to everything. What each tile added is
an unbiased estimate of its Shapley value, and a chain's contributions sum exactly to the value of
the whole face above nothing. Tables of chains are made by `hemiface.networks.uncover`.

Sources: Castro, Gomez & Tejada 2009, Polynomial calculation of the Shapley value based on sampling,
Computers & Operations Research 36 (the estimator); Covert, Lundberg & Lee 2020 (SAGE: the mean
over a data set); Wegrzyn et al. 2017 (the tiles).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.errors import DamagedError, UsageError
from hemiface.occlusion.tiles import TILE_COLUMNS, TILE_ROWS, TILES, place, unpack
from hemiface.stats.importance.game import (
    GROUPED,
    VALUE_FUNCTIONS,
    Scale,
    image_values,
    means_over_draws,
)
from hemiface.stats.importance.regions import BETWEEN
from hemiface.stats.inference import infer
from hemiface.stats.sample import Sample
from hemiface.tables import SAMPLE_COLUMNS, Uncovered, check_facts, label_indices, read_table

__all__ = [
    "TILE_TABLE_COLUMNS",
    "TileMaps",
    "chain_contributions",
    "read_samples",
    "tile_maps",
    "tile_regions",
    "tile_table",
]

Floats = npt.NDArray[np.float64]

TILE_TABLE_COLUMNS = (
    "fill",
    "model",
    "seed",
    "emotion",
    "value_function",
    "region",
    "tile",
    "row",
    "column",
    "value",
    "low",
    "high",
    "n",
)


@dataclass(frozen=True, eq=False)
class TileMaps:
    """The tiles' Shapley values of one model: float64 [1 + draws, 8, 3, 48].

    The sample and then the draws, GROUPED, VALUE_FUNCTIONS, tiles. `fill` is what hidden tiles
    showed; `networks` are the maps of each seed, more than one where this is their mean.
    """

    fill: str
    model: str
    seed: str
    values: Floats
    scale: Scale
    networks: tuple[Floats, ...]


def read_samples(path: str, kind: str) -> Uncovered:
    """Read a table of uncovered faces; `kind` is its column `visible` or `bubbles`.

    Raises:
        DamagedError: the table is missing or lacks a column.
        UsageError: it holds samples of the other kind.

    """
    table = read_table(path)
    missing = [name for name in SAMPLE_COLUMNS if name not in table.columns]
    if missing:
        raise DamagedError(f"{path}: missing column {', '.join(missing)}; sample the tiles again.")
    if kind not in table.columns:
        raise UsageError(f"{path} holds no column {kind}; make it with hemiface tiles.")
    facts = table.attrs.pop("hemiface")
    check_facts(facts, str(path))
    return Uncovered(table, facts)


def chain_contributions(
    masks: npt.NDArray[np.uint64], values: Floats, players: int = TILES
) -> Floats:
    """Return float64 [chains, players, k]: what each player added where its chain uncovered it.

    masks: uint64 [chains, players + 1], from nobody to everybody, each one player more than the
    last; values: float64 [chains, players + 1, k].

    Raises:
        DamagedError: the masks are no such chains.

    """
    added = masks[:, 1:] ^ masks[:, :-1]
    sizes = unpack(masks, players).sum(axis=-1)
    if (
        masks.shape[1] != players + 1
        or (masks >> np.uint64(players)).any()
        or not (sizes == np.arange(players + 1)).all()
        or not (unpack(added, players).sum(axis=-1) == 1).all()
    ):
        raise DamagedError(
            "The samples are not chains that uncover one tile after the other; sample again."
        )
    who = unpack(added, players).argmax(axis=-1)
    steps = np.diff(values, axis=1)
    result = np.empty_like(steps)
    np.put_along_axis(result, who[:, :, None], steps, axis=1)
    return result


def tile_maps(samples: Uncovered, options: StatisticsOptions | None = None) -> list[TileMaps]:
    """Return the maps of every model (each seed, then `mean`) from a table of chains.

    Draws resample groups as those of a Sample do, so that intervals hold both the choice of
    images and that of orders.

    Raises:
        DamagedError: the samples are no whole chains.

    """
    fill = str(samples.facts.get("fill", "black"))
    sample = Sample.whole_table(samples, options)
    groups = pd.Series(sample.groups)
    maps: list[TileMaps] = []
    for name, models in sample.names.groupby("name", sort=False):
        singles = []
        for one in models.sort_values("seed").itertuples():
            rows = sample.table[sample.table["model"] == one.model]
            first, contributions = _image_contributions(rows)
            means, scale = means_over_draws(
                contributions.reshape(len(first), -1),
                label_indices(first),
                groups[first.index].to_numpy(),
                sample.weights,
            )
            shape = (*means.shape[:2], TILES, len(VALUE_FUNCTIONS))
            values = means.reshape(shape).transpose(0, 1, 3, 2)
            singles.append(TileMaps(fill, str(name), str(one.seed), values, scale, (values,)))
        every = tuple(one.values for one in singles)
        mean = np.mean(every, axis=0)
        maps += [*singles, TileMaps(fill, str(name), "mean", mean, singles[0].scale, every)]
    return maps


def _image_contributions(rows: pd.DataFrame) -> tuple[pd.DataFrame, Floats]:
    """Return a row of each image and its contributions [images, tiles, 3], the mean over draws."""
    sizes = unpack(rows["visible"].to_numpy(np.uint64)).sum(axis=1)
    ordered = rows.assign(size=sizes).sort_values(["image", "draw", "size"], kind="stable")
    chains = ordered.groupby(["image", "draw"], sort=False, observed=True).size()
    if not (chains == TILES + 1).all():
        image, draw = chains.index[chains != TILES + 1][0]
        raise DamagedError(
            f"Draw {draw} of image {image} has {chains[image, draw]} predictions instead of "
            f"{TILES + 1}; sample the tiles again."
        )
    masks = ordered["visible"].to_numpy(np.uint64).reshape(len(chains), -1)
    values = image_values(ordered).reshape(len(chains), TILES + 1, -1)
    contributions = chain_contributions(masks, values)
    images = chains.index.get_level_values("image")
    starts = np.flatnonzero(np.r_[True, images[1:] != images[:-1]])
    sums = np.add.reduceat(contributions, starts, axis=0)
    counts = np.diff(np.r_[starts, len(images)])
    return ordered.iloc[starts * (TILES + 1)], sums / counts[:, None, None]


def tile_regions() -> Mapping[str, Floats]:
    """Return coefficients float64 [48] of each region: every tile, the halves, their differences.

    A half's value is the sum over its tiles.
    """
    rows, columns = np.array([place(tile) for tile in range(TILES)]).T
    upper, left = rows < TILE_ROWS // 2, columns < TILE_COLUMNS // 2
    halves = {"upper": upper, "lower": ~upper, "left": left, "right": ~left}
    found = {f"tile-{tile}": np.eye(TILES)[tile] for tile in range(TILES)}
    found |= {half: which.astype(np.float64) for half, which in halves.items()}
    for one, other in BETWEEN:
        found[f"{one} - {other}"] = found[one] - found[other]
    return found


def tile_table(maps: list[TileMaps], options: StatisticsOptions | None = None) -> pd.DataFrame:
    """Return the maps as a tidy table: columns TILE_TABLE_COLUMNS.

    Intervals of a mean over several networks are over images, orders and networks together.
    `tile`, `row` and `column` are -1 for regions of several tiles; `n` counts images.
    """
    options = options or StatisticsOptions()
    coefficients = tile_regions()
    matrix = np.stack(list(coefficients.values()))
    tables = []
    for one in maps:
        # [networks, 1 + draws, 8, 3, regions] -> [8, 3, regions, networks, 1 + draws]
        found = np.moveaxis(
            np.stack([values @ matrix.T for values in one.networks]), (0, 1), (-2, -1)
        )
        told = [
            infer([drawn], groups, options, bearing)
            for drawn, groups, bearing in zip(
                found, one.scale.groups.tolist(), one.scale.bearing.tolist(), strict=True
            )
        ]
        ends = ("value", "low", "high")
        keys = pd.MultiIndex.from_product(
            [GROUPED, VALUE_FUNCTIONS, coefficients], names=["emotion", "value_function", "region"]
        )
        table = pd.DataFrame(
            {name: np.stack([getattr(one, name) for one in told]).ravel() for name in ends},
            index=keys,
        ).reset_index()
        table = table.assign(fill=one.fill, model=one.model, seed=one.seed)
        table["n"] = table["emotion"].map(dict(zip(GROUPED, one.scale.images, strict=True)))
        tables.append(table)
    result = pd.concat(tables, ignore_index=True)
    numbers = {f"tile-{tile}": tile for tile in range(TILES)}
    result["tile"] = [numbers.get(region, -1) for region in result["region"]]
    whole = result["tile"] < 0
    result["row"] = (result["tile"] % TILE_ROWS).mask(whole, -1)
    result["column"] = (result["tile"] // TILE_ROWS).mask(whole, -1)
    return result[list(TILE_TABLE_COLUMNS)]
