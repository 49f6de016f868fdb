"""Which tiles of a face people need, from apertures or tiles, and how alike the network's are.

The map is that of `importance.bubbles`: Pearson's r, over trials, of how visible a tile is with the
answer being right. Both maps come from the same trials. Two maps of a face are alike because both
favour its middle, whoever made them, so beside their rank correlation stand those of each with the
distance from the middle, and what is left without it (`importance.likeness`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.occlusion.tiles import TILE_ROWS, TILES
from hemiface.stats.importance.bubbles import mean_visibility, visibility_correlations
from hemiface.stats.importance.game import GROUPED
from hemiface.stats.importance.likeness import (
    baselines,
    partial_rank_correlation,
    rank_correlation,
    torus_p,
    within_distance,
)
from hemiface.stats.people.trials import Trials

__all__ = ["LIKENESS_COLUMNS", "MAP_COLUMNS", "likeness", "map_of", "maps", "shows_parts"]

Floats = npt.NDArray[np.float64]

MAP_COLUMNS = (
    "who",
    "condition",
    "emotion",
    "tile",
    "row",
    "column",
    "value",
    "low",
    "high",
    "n",
    "participants",
    "faces",
    "reason",
)

_BOUNDS = (-1.0, 1.0)
"""Of correlations."""

LIKENESS_COLUMNS = (
    "who",
    "condition",
    "emotion",
    "measure",
    "value",
    "low",
    "high",
    "participants",
    "faces",
    "reason",
)


def shows_parts(trials: Trials, condition: str) -> bool:
    """Return whether the stimuli of a condition show other parts each time."""
    rows = trials.table.iloc[trials.rows(condition)]
    return all(len(one) > 0 for one in rows["bubbles"]) or all(
        len(one) > 0 for one in rows["tiles"]
    )


def map_of(trials: Trials, condition: str) -> Floats:
    """Return the map of one condition in the sample and its draws, float64 [8, 48, 1 + all draws].

    Raises:
        UsageError: its stimuli don't show parts, or apertures of several widths.
    """
    rows = trials.rows(condition)
    seen = _visibility(trials.table.iloc[rows], condition)
    right = (trials.answers[rows] == trials.labels[rows]).astype(np.float64)
    found, _ = visibility_correlations(
        seen, right[:, np.newaxis], trials.labels[rows], trials.groups[rows], trials.weights
    )
    moved: Floats = np.moveaxis(found[:, :, 0], 0, -1)
    return moved


def maps(every: Sequence[Trials]) -> pd.DataFrame:
    """Return each map under each condition that shows parts: columns MAP_COLUMNS."""
    rows: list[dict[str, Any]] = []
    for trials in every:
        for key in trials.conditions:
            if shows_parts(trials, key):
                rows += _map_rows(trials, key)
    return pd.DataFrame(rows, columns=list(MAP_COLUMNS))


def likeness(people: Trials, networks: Sequence[Trials]) -> pd.DataFrame:
    """Return how alike people's and each network's maps are: columns LIKENESS_COLUMNS.

    Measures: `correlation` (Spearman's rank correlation of the two maps), `centre` (of the
    network's map with nearness to the middle), `people_centre` (of people's), `partial` (of the two
    with that nearness held constant), `within_distance` (among tiles equally far away) and
    `torus_p`, which has no interval: how often a shifted map agrees as well.
    """
    rows: list[dict[str, Any]] = []
    for key in people.conditions:
        if not shows_parts(people, key):
            continue
        own, centre = _tiles_last(map_of(people, key)), baselines()["centre"]
        for network in networks:
            theirs = _tiles_last(map_of(network, key))
            found = {
                "correlation": rank_correlation(theirs, own),
                "centre": rank_correlation(theirs, centre),
                "people_centre": rank_correlation(own, centre),
                "partial": partial_rank_correlation(theirs, own, centre[None]),
                "within_distance": within_distance(theirs, own),
            }
            for measure, values in found.items():
                rows += _likeness_rows(people, network, key, measure, values)
            for place, emotion in enumerate(GROUPED):
                p = torus_p(theirs[place, 0], own[place, 0])
                rows.append(_facts(people, network, key, place) | {
                    "emotion": emotion, "measure": "torus_p", "value": p, "low": np.nan,
                    "high": np.nan, "reason": "" if np.isfinite(p) else "undefined",
                })  # fmt: skip
    return pd.DataFrame(rows, columns=list(LIKENESS_COLUMNS))


def _visibility(rows: pd.DataFrame, condition: str) -> Floats:
    """Return how visible each tile is in each trial, float64 [n, 48] in 0..1."""
    if all(len(one) > 0 for one in rows["bubbles"]):
        widths = rows["sigma_px"].unique()
        if len(widths) > 1:
            raise UsageError(f"The apertures of {condition} have several widths; part the trials.")
        centres = rows["bubbles"].map(np.array)
        return mean_visibility(centres, float(widths[0]))
    if all(len(one) > 0 for one in rows["tiles"]):
        visible = np.zeros((len(rows), TILES))
        for row, tiles in zip(visible, rows["tiles"], strict=True):
            row[list(tiles)] = 1
        return visible
    raise UsageError(f"The stimuli of {condition} show neither apertures nor tiles.")


def _tiles_last(found: Floats) -> Floats:
    """Return [8, 1 + draws, 48] from [8, 48, 1 + all draws]."""
    return np.moveaxis(found, 1, -1)


def _map_rows(trials: Trials, key: str) -> Iterator[dict[str, Any]]:
    one = trials.infer(
        map_of(trials, key), trials.bearing(key)[:, np.newaxis], _BOUNDS, of_levels=True
    )
    rows = trials.rows(key)
    for place, emotion in enumerate(GROUPED):
        sizes = trials.sizes_of(rows, place)
        for tile in range(TILES):
            row = one.row((place, tile))
            yield (
                {name: row[name] for name in ("low", "high", "reason")}
                | sizes
                | {
                    "who": trials.who,
                    "condition": key,
                    "emotion": emotion,
                    "tile": tile,
                    "row": tile % TILE_ROWS,
                    "column": tile // TILE_ROWS,
                    "value": row["difference"],
                }
            )


def _likeness_rows(
    people: Trials, network: Trials, key: str, measure: str, values: Floats
) -> Iterator[dict[str, Any]]:
    one = people.infer(values, people.bearing(key), _BOUNDS, of_levels=True)
    for place, emotion in enumerate(GROUPED):
        row = one.row(place)
        yield _facts(people, network, key, place) | {
            "emotion": emotion,
            "measure": measure,
            "value": row["difference"],
            "low": row["low"],
            "high": row["high"],
            "reason": row["reason"],
        }


def _facts(people: Trials, network: Trials, key: str, place: int) -> dict[str, Any]:
    sizes = people.sizes_of(people.rows(key), place)
    return {
        "who": network.who,
        "condition": key,
        "participants": sizes["participants"],
        "faces": sizes["faces"],
    }
