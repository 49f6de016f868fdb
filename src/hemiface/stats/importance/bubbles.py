"""Classification images: where visibility goes with right answers, from random apertures.

Gosselin & Schyns 2001, Bubbles: a technique to reveal the use of information in recognition tasks,
Vision Research 41, 2261-2271. A sample shows an image through Gaussian apertures at random places;
the correlation, over samples, of a place's visibility with the answer says how much it helps.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.occlusion.tiles import TILE_ROWS, TILES, apertures, tile_map
from hemiface.stats.importance.game import (
    ALL,
    GROUPED,
    VALUE_FUNCTIONS,
    Scale,
    image_values,
    means_over_draws,
)
from hemiface.stats.importance.regions import intervals
from hemiface.stats.metrics import ratio
from hemiface.stats.sample import Sample
from hemiface.tables import FER2013_SIZE_PX, Uncovered

__all__ = [
    "BUBBLE_COLUMNS",
    "bubble_table",
    "classification_image",
    "mean_visibility",
    "visibility_correlations",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BUBBLE_COLUMNS = (
    "model",
    "seed",
    "emotion",
    "value_function",
    "tile",
    "row",
    "column",
    "value",
    "low",
    "high",
    "z",
    "n",
)
_USED = VALUE_FUNCTIONS[:2]
_CHUNK = 2048


def bubble_table(samples: Uncovered, options: StatisticsOptions | None = None) -> pd.DataFrame:
    """Return each tile's correlation of mean visibility with the answer: columns BUBBLE_COLUMNS.

    `model` is what a network was trained on or its name, `seed` its seed as text; each stands for
    itself, there is no mean over seeds.
    `samples` has SAMPLE_COLUMNS and `bubbles` (a list of centres), and its facts `sigma_px`.
    `value` is Pearson's r with the probability of the true emotion or with being right; `z` is
    atanh(r) sqrt(n - 3) with n samples, which takes samples of one image for independent; low and
    high come from bootstrap draws of groups and don't.

    Raises:
        UsageError: the samples hold no apertures, or two models have one name and seed.

    """
    sample = Sample.whole_table(samples, options)
    table, sigma_px = sample.table, _sigma_px(samples)
    planes = mean_visibility(table["bubbles"], sigma_px)
    tables = []
    for network in sample.names.itertuples(index=False):
        rows = (table["model"] == network.model).to_numpy()
        answers = image_values(table[rows])[:, : len(_USED)]
        labels, groups = sample.labels[rows], sample.groups[rows]
        found, scale = visibility_correlations(
            planes[rows], answers, labels, groups, sample.weights
        )
        low, high = intervals(found[1:], scale.bearing, sample.options.level)
        counts = scale.images[:, None, None]
        z = _fisher_z(found[0], counts)
        keys = pd.MultiIndex.from_product(
            [GROUPED, _USED, range(TILES)], names=["emotion", "value_function", "tile"]
        )
        named = {"value": found[0], "low": low, "high": high, "z": z}
        values = {name: one.ravel() for name, one in named.items()}
        values["n"] = np.broadcast_to(counts, z.shape).ravel()
        whose = {"model": str(network.name), "seed": str(network.seed)}
        tables.append(pd.DataFrame(values, index=keys).reset_index().assign(**whose))
    table = pd.concat(tables, ignore_index=True)
    table["row"], table["column"] = table["tile"] % TILE_ROWS, table["tile"] // TILE_ROWS
    return table[list(BUBBLE_COLUMNS)]


def visibility_correlations(
    seen: Floats, answers: Floats, labels: Ints, groups: Ints, weights: npt.NDArray[np.int16]
) -> tuple[Floats, Scale]:
    """Return Pearson's r of tiles' visibility with answers, float64 [draws, 8, k, 48], and n.

    seen: [n, 48] in 0..1; answers: [n, k]; labels, groups and weights as for
    `game.means_over_draws`, whose second axis, GROUPED, is the result's too. NaN where one of both
    doesn't vary.
    """
    products = (seen[:, None, :] * answers[:, :, None]).reshape(len(seen), -1)
    columns = np.hstack([seen, seen**2, products, answers, answers**2])
    means, scale = means_over_draws(columns, labels, groups, weights)
    return _correlations(means, answers.shape[1]), scale


def classification_image(samples: Uncovered, emotion: str = ALL) -> Floats:
    """Return float64 [48, 48]: per pixel the z of its correlation with being right (NaN undefined).

    Over the samples of `emotion`, of one model. z as in `bubble_table`.

    Raises:
        UsageError: the samples hold no apertures or several models.

    """
    table, sigma_px = samples.table, _sigma_px(samples)
    rows = table if emotion == ALL else table[table["label"] == emotion]
    if rows["model"].nunique() > 1:
        raise UsageError("A classification image is of one model; select its samples first.")
    right = image_values(rows)[:, VALUE_FUNCTIONS.index("accuracy")]
    side = FER2013_SIZE_PX
    sums = np.zeros((3, side, side))
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        planes = _apertures(rows["bubbles"].iloc[part], sigma_px).astype(np.float64)
        sums[0] += planes.sum(axis=0)
        sums[1] += (planes**2).sum(axis=0)
        sums[2] += np.tensordot(right[part], planes, axes=1)
    n = max(1, len(rows))
    mean, square, product = sums / n
    spread = np.sqrt(np.maximum(square - mean**2, 0)) * right.std() if len(rows) else mean
    r = ratio(product - mean * (right.mean() if len(rows) else 0), spread)
    return _fisher_z(r, np.array(n))


def _fisher_z(r: Floats, n: npt.NDArray[np.int64]) -> Floats:
    """Return atanh(r) sqrt(n - 3), NaN where n is too small for it."""
    # A correlation of exactly 1 would be infinite.
    inner = np.clip(r, -1 + 1e-12, 1 - 1e-12)
    z: Floats = np.where(n > 3, np.arctanh(inner) * np.sqrt(np.maximum(n - 3, 0)), np.nan)
    return z


def _correlations(means: Floats, used: int) -> Floats:
    """Return r float64 [draws, 8, used, 48] from the means of `visibility_correlations`."""
    ends = np.cumsum([TILES, TILES, used * TILES, used])
    seen, squares, products, answers, answer_squares = np.split(means, ends, axis=-1)
    products = products.reshape(*means.shape[:2], used, TILES)
    covariance = products - answers[..., None] * seen[:, :, None, :]
    spread = np.maximum(squares - seen**2, 0)[:, :, None, :]
    answer_spread = np.maximum(answer_squares - answers**2, 0)[..., None]
    return ratio(covariance, np.sqrt(spread * answer_spread))


def mean_visibility(bubbles: "pd.Series[Any]", sigma_px: float) -> Floats:
    """Return float64 [rows, 48]: each tile's mean visibility through these lists of centres."""
    which = np.eye(TILES)[tile_map(FER2013_SIZE_PX, FER2013_SIZE_PX).ravel()]
    which /= which.sum(axis=0)
    parts = [
        _apertures(bubbles.iloc[start : start + _CHUNK], sigma_px).reshape(-1, len(which)) @ which
        for start in range(0, len(bubbles), _CHUNK)
    ]
    return np.concatenate(parts)


def _sigma_px(samples: Uncovered) -> float:
    sigma_px = samples.facts.get("sigma_px")
    if "bubbles" not in samples.table.columns or not sigma_px:
        raise UsageError("The samples hold no apertures; make them with hemiface tiles --bubbles.")
    return float(sigma_px)


def _apertures(bubbles: "pd.Series[Any]", sigma_px: float) -> npt.NDArray[np.float32]:
    centres = np.stack(list(bubbles))
    return apertures(centres, FER2013_SIZE_PX, FER2013_SIZE_PX, sigma_px)
