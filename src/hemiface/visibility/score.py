"""How well a network says what of a face is visible: on drawn occluders, and on real ones.

Only test images are looked at, and nothing is chosen here: the network's epoch and its threshold
come from the validation images. Drawn occluders are those of training (seen) and kinds that
training never drew (held out). What the test photos themselves hide counts as visible on drawn
sets, as in training; images listed as really occluded are left out of those sets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.data.images import Images
from hemiface.errors import DamagedError, UsageError
from hemiface.models.visible_tiles import USUAL_REGIONS, VisibleTiles, region_shares, tile_shares
from hemiface.occlusion.occluders import HELD_OUT, NOTHING, SEEN
from hemiface.stats.metrics import ratio
from hemiface.stats.sample import group_weights
from hemiface.tables import read_csv
from hemiface.visibility.covered_faces import fixed_examples

__all__ = ["COLUMNS", "format_scores", "rank_auc", "read_occluded", "score"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COLUMNS = ("set", "kind", "metric", "value", "low", "high", "n")
_LEVEL = 0.95


def read_occluded(path: str | Path) -> list[int]:
    """Return the column `row` of a CSV file: data rows of fer2013.csv, counted from 0.

    Raises:
        DamagedError: the file is missing or has no such column of integers.
    """
    try:
        return [int(one) for one in read_csv(path)["row"]]
    except (KeyError, OverflowError, ValueError) as error:
        raise DamagedError(f"{path} is not a CSV file with a column `row` of integers.") from error


def score(
    model: VisibleTiles,
    images: Images,
    *,
    occluded: Iterable[int] = (),
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score a network on the test images; return COLUMNS, one row per set, kind and metric.

    `occluded` names really occluded test images by their rows in the source. Sets are `seen`,
    `held-out` and `real`; kind `all` joins those of a set. Metrics, with 95 % percentile intervals
    over `draws` bootstrap draws of near-duplicate groups where that costs no sorting:

    - tile_auc: how well hidden tiles (more than half covered) rank before visible ones.
    - tile_iou: hidden tiles that are also called hidden, over tiles that are either.
    - <region>_error: mean absolute error of a region's visible share (0..1).
    - face_auc: how well covered faces rank before bare ones by their hidden share.
    - found: share of covered faces whose hidden share passes the network's own threshold.
    - false_alarms: the same share of bare faces.
    - hidden_share: mean hidden share as estimated.

    Raises:
        UsageError: there are no test images, or `occluded` names rows that are none.
    """
    test = images.split("test")
    if not len(test):
        raise UsageError("The data has no test images.")
    rows = set(occluded)
    real = test.table["source_row"].isin(rows).to_numpy()
    if len(rows) != real.sum():
        raise UsageError(f"Only {real.sum()} of {len(rows)} occluded rows are test images.")
    groups = pd.factorize(test.table["group"])[0]
    weights = group_weights(int(groups.max()) + 1, draws, seed).astype(np.float64)
    found = []
    bare = test.subset(~real)
    for name, kinds in (("seen", SEEN), ("held-out", HELD_OUT)):
        cell = _drawn(model, bare, kinds, weights[groups[~real]])
        found += [{"set": name, **row} for row in cell]
    if real.any():
        hidden = _hidden(model.predict(test.pixels))
        both = _Faces(hidden, real, model.partly_hidden_above, weights[groups])
        found += [{"set": "real", "kind": "all", **row} for row in both.scores()]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _drawn(
    model: VisibleTiles, images: Images, kinds: Sequence[str], weights: Floats
) -> list[dict[str, Any]]:
    faces, visible, chosen = fixed_examples(images.pixels, images.table["image"].tolist(), kinds)
    guess = model.predict(faces)
    hidden, true_tiles = _hidden(guess), tile_shares(visible)
    errors = {
        region: np.abs(share - visible[:, USUAL_REGIONS[region]].mean(axis=1))
        for region, share in region_shares(guess).items()
    }
    kind_of = np.array(chosen)
    bare = kind_of == NOTHING
    rows = []
    for kind in ("all", *kinds):
        covered = ~bare if kind == "all" else kind_of == kind
        if not covered.any() or not bare.any():
            continue
        w = weights[covered]
        cell = _tiles(guess[covered], true_tiles[covered], w)
        cell += [_row(f"{name}_error", _mean(one[covered], w), covered.sum())
                 for name, one in errors.items()]  # fmt: skip
        used = covered | bare
        both = _Faces(hidden[used], covered[used], model.partly_hidden_above, weights[used])
        cell += both.scores()
        rows += [{"kind": kind, **row} for row in cell]
    return rows


def _tiles(
    guess: npt.NDArray[np.float32], true: npt.NDArray[np.float32], weights: Floats
) -> list[dict[str, Any]]:
    hidden, called = true < 0.5, guess < 0.5
    both = (hidden & called).sum(axis=(1, 2)).astype(np.float64)
    either = (hidden | called).sum(axis=(1, 2)).astype(np.float64)
    overlap = _interval(ratio(both.sum(), either.sum()), ratio(both @ weights, either @ weights))
    area = rank_auc(1 - guess[hidden], 1 - guess[~hidden])
    return [
        _row("tile_auc", (area, np.nan, np.nan), len(guess)),
        _row("tile_iou", overlap, len(guess)),
    ]


@dataclass(frozen=True)
class _Faces:
    """Faces told apart by their hidden share."""

    hidden: Floats
    covered: Bools
    threshold: float
    weights: Floats

    def scores(self) -> list[dict[str, Any]]:
        """Return rows of metric, value, low, high, n."""
        covered, bare = self.covered, ~self.covered
        above = (self.hidden > self.threshold).astype(np.float64)
        return [
            _row("face_auc", self._auc(), len(covered)),
            _row("found", _mean(above[covered], self.weights[covered]), covered.sum()),
            _row("false_alarms", _mean(above[bare], self.weights[bare]), bare.sum()),
            _row("hidden_share", _mean(self.hidden[covered], self.weights[covered]), covered.sum()),
            _row("hidden_share_bare", _mean(self.hidden[bare], self.weights[bare]), bare.sum()),
        ]

    def _auc(self) -> tuple[float, float, float]:
        order = np.argsort(self.hidden, kind="stable")
        positive = np.where(self.covered[order][:, None], self.weights[order], 0)
        negative = np.where(self.covered[order][:, None], 0, self.weights[order])
        # Ties of two floats are too rare to count halves of them in the draws.
        below = np.cumsum(negative, axis=0)
        totals = positive.sum(axis=0) * negative.sum(axis=0)
        over_draws = ratio((positive * below).sum(axis=0), totals)
        value = rank_auc(self.hidden[self.covered], self.hidden[~self.covered])
        return _interval(value, over_draws)


def rank_auc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Return the share of pairs in which the positive scores more, ties counting half.

    Hanley & McNeil 1982, Radiology 143(1). NaN where one side is empty.

    >>> rank_auc([2, 3], [1, 2])
    0.875
    """
    high, low = np.ravel(positive), np.sort(np.ravel(negative))
    if not high.size or not low.size:
        return float("nan")
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.sum() / (2 * high.size * low.size))


def format_scores(scores: pd.DataFrame) -> str:
    """Return the scores as Markdown, one row per set and kind."""
    chosen = ("n", "tile_auc", "tile_iou", "upper_error", "lower_error", "left_error",
              "right_error", "eyes_error", "nose_error", "mouth_error", "face_auc",
              "found", "false_alarms")  # fmt: skip
    lines = [f"| set | kind | {' | '.join(one.removesuffix('_error') for one in chosen)} |"]
    lines.append("|---" * (len(chosen) + 2) + "|")
    for (group, kind), part in scores.groupby(["set", "kind"], sort=False):
        values = part.set_index("metric")["value"]
        counts = part.set_index("metric")["n"]
        cells = [f"{values[one]:.3f}" if one in values else "" for one in chosen[1:]]
        lines.append(f"| {group} | {kind} | {counts['found']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _hidden(tiles: npt.NDArray[np.float32]) -> Floats:
    shares: Floats = 1 - tiles.mean(axis=(1, 2), dtype=np.float64)
    return shares


def _mean(values: npt.NDArray[Any], weights: Floats) -> tuple[float, float, float]:
    return _interval(float(values.mean()), ratio(values @ weights, weights.sum(axis=0)))


def _interval(value: Any, over_draws: Floats) -> tuple[float, float, float]:
    tail = (1 - _LEVEL) / 2
    # A draw may hold none of a small set's groups.
    known = over_draws[np.isfinite(over_draws)]
    low, high = np.quantile(known, [tail, 1 - tail]) if known.size else (np.nan, np.nan)
    return float(value), float(low), float(high)


def _row(metric: str, estimate: tuple[float, float, float], n: Any) -> dict[str, Any]:
    value, low, high = estimate
    return {"metric": metric, "value": value, "low": low, "high": high, "n": int(n)}
