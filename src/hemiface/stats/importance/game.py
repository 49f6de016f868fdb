"""The Predictions table as games: players are the four quadrants, coalitions what is visible.

A coalition's value is a weighted mean over images, so one bootstrap draw of a Sample (a weight
per group) gives the values of all sixteen coalitions at once, for every emotion and value function.

Nobody is worth what the shares of the emotions are as an answer, which of all answers that don't
look has the least log loss, as in `stats.information` (Covert, Lundberg & Lee 2020 take the model's
mean answer; these are an ideal model's). The black picture isn't asked; what a network makes of it
depends on chance, and with it every value would. The shares are those among the validation images
(among the scored ones where these are scored, missing or lack an emotion); they are taken as known,
so their chance is in no interval.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import DamagedError, UsageError
from hemiface.occlusion.conditions import COALITIONS, QUADRANTS
from hemiface.stats.metrics import log_losses, ratio
from hemiface.stats.sample import Sample, sizes_by_emotion
from hemiface.stats.significance import effective_units
from hemiface.tables import EMOTIONS, Predictions, label_indices, probabilities

__all__ = [
    "ALL",
    "CONTROLS",
    "GROUPED",
    "NOBODY",
    "VALUE_FUNCTIONS",
    "Game",
    "Scale",
    "coalition_index",
    "emotion_shares",
    "image_values",
    "means_over_draws",
    "play",
    "playable",
]

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

VALUE_FUNCTIONS = ("probability", "accuracy", "neg_log_loss")
"""What a coalition is worth: the probability of the true emotion, whether it is the answer (0 or
1), and the natural log of that probability (minus `metrics.log_losses`, clipped as there)."""

ALL = "all"
GROUPED = (*EMOTIONS, ALL)
"""What values are averaged over: the images of each emotion, then all images."""

CONTROLS = (25, 50)
"""Per cent of the area that a quadrant and a half take."""

_COALITIONS = 2 ** len(QUADRANTS)
NOBODY = 0
"""The coalition of nobody, among those that `coalition_index` counts."""
_Complete = tuple[str, str, list[tuple[str, int]]]
"""A fill, a model's name, and the (model ID, seed) that have all its coalitions."""
_Lacking = tuple[int, str, list[str], list[str]]
"""How many coalitions are missing, the model ID, which they are, and all that are needed."""


@dataclass(frozen=True)
class Scale:
    """How a game's numbers are averaged: images and groups per entry of GROUPED, int [8].

    `bearing`, float64 [8], says of how many groups of like size these are worth.
    """

    images: Ints
    groups: Ints
    bearing: Floats


@dataclass(frozen=True)
class Game:
    """One model under one fill: one of its networks, or all of them where `seed` is `mean`.

    `values` is float64 [networks, 1 + draws, 8, 3, 18]: the sample and then the draws, GROUPED,
    VALUE_FUNCTIONS, the coalitions by `coalition_index` and then the CONTROLS. `controls` says
    which of these were evaluated; the others are 0. NaN: no image of that emotion.
    """

    fill: str
    model: str
    seed: str
    values: Floats
    scale: Scale
    controls: frozenset[int]


def coalition_index(visible: frozenset[str] | set[str]) -> int:
    """Return where the coalition of these visible quadrants stands: bit q for QUADRANTS[q].

    >>> coalition_index({"upper-left", "lower-left"})
    5
    """
    return sum(1 << QUADRANTS.index(one) for one in visible)


def image_values(predictions: pd.DataFrame) -> Floats:
    """Return float64 [rows, 3]: each row's VALUE_FUNCTIONS."""
    return _worth(probabilities(predictions), label_indices(predictions))


def _worth(values: Floats, labels: Ints) -> Floats:
    truth = values[np.arange(len(labels)), labels]
    correct = values.argmax(axis=1) == labels
    return np.stack([truth, correct, -log_losses(values, labels)], axis=1)


def emotion_shares(sample: Sample) -> Floats:
    """Return how frequent the emotions are among a sample's images, float64 [7]."""
    labels = label_indices(sample.table.drop_duplicates("image"))
    counts = np.bincount(labels, minlength=len(EMOTIONS)).astype(np.float64)
    shares: Floats = counts / counts.sum()
    return shares


def _blind(sample: Sample) -> Floats:
    """Return what the shares of the emotions are worth as an answer, float64 [7 emotions, 3]."""
    shares = emotion_shares(sample)
    if sample.protocol != "paper" and len(sample.validation.table):
        known = emotion_shares(sample.validation)
        shares = known if known.all() else shares
    worth = _worth(np.tile(shares, (len(EMOTIONS), 1)), np.arange(len(EMOTIONS)))
    # Whoever has to answer takes one of the most frequent, each of these as often.
    most = shares == shares.max()
    worth[:, VALUE_FUNCTIONS.index("accuracy")] = most / most.sum()
    return worth


def means_over_draws(
    values: Floats, labels: Ints, groups: Ints, weights: npt.NDArray[np.int16]
) -> tuple[Floats, Scale]:
    """Return weighted means float64 [draws, 8, columns] of `values` [n, columns], and their scale.

    labels: int [n] in 0..6; groups: int [n], each row's row of `weights` [groups, draws]. The
    second axis is GROUPED; a mean over nothing is NaN.
    """
    sums = np.zeros((weights.shape[1], len(GROUPED), values.shape[1]))
    totals = np.zeros((weights.shape[1], len(GROUPED)))
    for index in range(len(EMOTIONS)):
        rows = np.flatnonzero(labels == index)
        drawn = weights[groups[rows]].astype(np.float64)
        sums[:, index] = drawn.T @ values[rows]
        totals[:, index] = drawn.sum(axis=0)
    sums[:, -1], totals[:, -1] = sums[:, :-1].sum(axis=1), totals[:, :-1].sum(axis=1)
    sizes = sizes_by_emotion(labels, groups, len(weights))
    scale = Scale(
        images=sizes.sum(axis=1).astype(np.int64),
        groups=np.count_nonzero(sizes, axis=1),
        bearing=effective_units(sizes),
    )
    return ratio(sums, totals[:, :, None]), scale


def play(sample: Sample | Predictions) -> list[Game]:
    """Return the games of every model (each seed, then `mean` over the seeds) under every fill.

    A model lacking some of a fill's coalitions has no game there, and that is logged. `none` isn't
    needed: see the module.

    Raises:
        UsageError: no model has all fifteen coalitions that see something, the protocol has no
            images, or two models have one name and seed.
        DamagedError: the cells hold different images.

    """
    sample = Sample.of(sample)
    names = sample.names
    sample.require_images()
    table = _Rows(
        cells=sample.places,
        images=pd.factorize(sample.table["image"])[0],
        groups=sample.groups,
        labels=sample.labels,
        values=image_values(sample.table),
    )
    weights, nobody = sample.weights, _blind(sample)
    complete, lacking = _complete(names, set(table.cells))
    if not complete:
        raise UsageError(_what_to_do(lacking))
    for text in _left_out(lacking):
        log.info(text)
    games = []
    for fill, name, members in complete:
        singles = [
            _single(table, weights, nobody, fill, name, model, model_seed)
            for model, model_seed in members
        ]
        games += [*singles, _together(singles)]
    return games


def playable(sample: Sample | Predictions) -> bool:
    """Return whether `play` would find a model with all coalitions that see something."""
    sample = Sample.of(sample)
    found, _ = _complete(sample.names, set(sample.cells))
    return bool(found)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a Predictions table as arrays; `cells` maps (model ID, condition) to rows."""

    cells: dict[tuple[str, str], Ints]
    images: Ints
    groups: Ints
    labels: Ints
    values: Floats


def _single(
    table: _Rows,
    weights: npt.NDArray[np.int16],
    nobody: Floats,
    fill: str,
    name: str,
    model: str,
    seed: int,
) -> Game:
    """Return the game of one model ID under one fill; `nobody` is what `_blind` returned."""
    keys = _keys(fill)
    columns = {key: table.cells[model, key] for key in keys if (model, key) in table.cells}
    columns = {key: rows[np.argsort(table.images[rows])] for key, rows in columns.items()}
    first = columns["full"]
    values = np.zeros((len(first), len(VALUE_FUNCTIONS), len(keys)))
    for index, key in enumerate(keys):
        if key in columns:
            if not np.array_equal(table.images[columns[key]], table.images[first]):
                raise DamagedError(
                    f"{model} saw other images under {key} than under full; evaluate again."
                )
            values[:, :, index] = table.values[columns[key]]
    values[:, :, NOBODY] = nobody[table.labels[first]]
    means, scale = means_over_draws(
        values.reshape(len(first), -1), table.labels[first], table.groups[first], weights
    )
    return Game(
        fill=fill,
        model=name,
        seed=str(seed),
        values=means.reshape(1, *means.shape[:2], *values.shape[1:]),
        scale=scale,
        controls=frozenset(
            percent
            for percent, key in zip(CONTROLS, keys[_COALITIONS:], strict=True)
            if key in columns
        ),
    )


def _together(singles: Sequence[Game]) -> Game:
    """Return the game of all networks, whose mean is asked for."""
    first = singles[0]
    values = np.concatenate([one.values for one in singles])
    controls = frozenset.intersection(*(one.controls for one in singles))
    return Game(first.fill, first.model, "mean", values, first.scale, controls)


def _keys(fill: str) -> list[str]:
    """Return the conditions of a fill in the order of `Game.values`."""
    names = dict(sorted((coalition_index(seen), name) for seen, name in COALITIONS.items()))
    keys = [*names.values(), *(f"random-{percent}" for percent in CONTROLS)]
    return [key if fill == "black" or key == "full" else f"{key}@{fill}" for key in keys]


def _complete(
    names: pd.DataFrame, cells: set[tuple[str, str]]
) -> tuple[list[_Complete], list[_Lacking]]:
    """Return what has all coalitions of a fill that see something, and what lacks some."""
    fills = dict.fromkeys(key.partition("@")[2] or "black" for _, key in sorted(cells))
    found: list[_Complete] = []
    lacking: list[_Lacking] = []
    for fill in sorted(fills, key=lambda one: (one != "black", one)):
        keys = [key for at, key in enumerate(_keys(fill)[:_COALITIONS]) if at != NOBODY]
        for name, models in names.groupby("name", sort=False):
            members = []
            for one in models.sort_values("seed").itertuples():
                missing = [key for key in keys if (str(one.model), key) not in cells]
                if missing:
                    lacking.append((len(missing), str(one.model), missing, keys))
                else:
                    members.append((str(one.model), int(one.seed)))  # type: ignore[arg-type]
            if members:
                found.append((fill, str(name), members))
    return found, lacking


def _what_to_do(lacking: Sequence[_Lacking]) -> str:
    _, model, missing, keys = min(lacking)
    return (
        f"{model} lacks {', '.join(missing)} of the fifteen visible parts that region importance "
        "needs; make them with hemiface evaluate BUNDLE --data PATH "
        f"--conditions {','.join(keys)} --out predictions.parquet"
    )


def _left_out(lacking: Sequence[_Lacking]) -> Iterator[str]:
    for _, model, missing, keys in lacking:
        # A fill that a model was never asked for is no gap.
        if len(missing) < len(keys) - 1:
            yield f"{model} is left out: it lacks {', '.join(missing)}"
