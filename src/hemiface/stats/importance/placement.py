"""People's stimuli laid over the network's crops in many ways: how alike the maps are in each.

People saw 6 x 8 square tiles over a portrait of 300 x 400 pixels, the network a square crop, and
where eyes and mouth lay in those portraits isn't published. Tile against tile widens the portrait
by a third. So people's map is also brought to the crop with its own proportions, in
five sizes and at five heights, and what is said must hold for the best of all these: emotions are
exchanged at random with the same choice of the best (the maximum as statistic: Westfall & Young
1993, Resampling-based multiple testing).
"""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from hemiface.occlusion.tiles import TILE_COLUMNS, TILE_ROWS
from hemiface.stats.importance.likeness import (
    partial_rank_correlation,
    rank_correlation,
    shifted,
)

__all__ = [
    "PLACEMENTS",
    "PROPORTION",
    "Laid",
    "Placement",
    "best_permutation_p",
    "best_torus_p",
    "own_minus_others",
    "place_map",
]

Floats = npt.NDArray[np.float64]

PROPORTION = 0.75
"""Width of a stimulus by its height: 300 x 400 pixels, tiles of 50 (Wegrzyn et al. 2017)."""

_COVERED = 0.5
"""How much of a tile of the crop a stimulus must cover for it to count."""


@dataclass(frozen=True)
class Placement:
    """Where a stimulus lies in the crop: width and height in crops, how far it is moved down."""

    width: float
    height: float
    down: float


PLACEMENTS = (
    Placement(1.0, 1.0, 0.0),
    *(
        Placement(PROPORTION * height, height, down)
        for height, down in product(
            (0.75, 0.875, 1.0, 1.125, 1.25), (-0.125, -0.0625, 0.0, 0.0625, 0.125)
        )
    ),
)
"""The first is tile against tile, as if the stimulus were square."""


def place_map(maps: Floats, placement: Placement) -> Floats:
    """Return people's maps [..., 48] on the crop's tiles, NaN where they cover less than half."""
    down = _overlaps(TILE_ROWS, placement.height, placement.down)
    across = _overlaps(TILE_COLUMNS, placement.width, 0.0)
    grid = maps.reshape(*maps.shape[:-1], TILE_COLUMNS, TILE_ROWS)
    told = np.einsum("ck,rl,...kl->...cr", across, down, grid)
    covered = np.outer(across.sum(axis=1), down.sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(covered >= _COVERED - 1e-9, told / covered, np.nan)
    moved = found.reshape(maps.shape)
    # Tiles that are worth the same stay tied: sums in another order differ by rounding.
    most = np.nanmax(np.abs(moved), axis=-1, keepdims=True)
    unit = np.where(most > 0, most, 1.0)
    tied: Floats = np.round(moved / unit, 12) * unit
    return tied


@dataclass(frozen=True, eq=False)
class Laid:
    """People's maps [7, 48] in all PLACEMENTS, each [7, tiles that it covers], and those tiles."""

    maps: tuple[Floats, ...]
    seen: tuple[npt.NDArray[np.bool_], ...]

    @classmethod
    def of(cls, people: Floats) -> "Laid":
        """Lay people's maps [7, 48] over the crop in every way."""
        moved = [place_map(people, one) for one in PLACEMENTS]
        seen = tuple(np.isfinite(one[0]) for one in moved)
        return cls(tuple(one[:, some] for one, some in zip(moved, seen, strict=True)), seen)

    def correlations(self, maps: Floats) -> Floats:
        """Return [placements, ...]: rank correlations of maps [..., 48] with people's mean map."""
        return np.array(
            [
                rank_correlation(maps[..., some], theirs.mean(axis=0))
                for theirs, some in zip(self.maps, self.seen, strict=True)
            ]
        )

    def partial(self, map_: Floats, given: Floats) -> Floats:
        """Return [placements]: the same of one map [48] with the maps `given` [k, 48] constant."""
        return np.array(
            [
                partial_rank_correlation(map_[some], theirs.mean(axis=0), given[:, some])
                for theirs, some in zip(self.maps, self.seen, strict=True)
            ]
        )

    def crossed(self, maps: Floats) -> Floats:
        """Return [placements, 7, 7]: each emotion's map [7, 48] with people's of each."""
        return np.array(
            [
                rank_correlation(maps[:, None, some], theirs)
                for theirs, some in zip(self.maps, self.seen, strict=True)
            ]
        )


def own_minus_others(crossed: Floats) -> Floats:
    """Return [...] from crossed [..., 7, 7]: how much more alike maps of the same emotion are."""
    return _own_minus_others(crossed, np.arange(crossed.shape[-1])[None])[..., 0]


def best_permutation_p(crossed: Floats) -> float:
    """Return how often exchanged emotions' best placement is at least as good as the best one.

    crossed: [placements, 7, 7]. What is compared is `own_minus_others`, over all 5,040
    permutations. NaN where a map is undefined.
    """
    if not np.isfinite(crossed).all():
        return np.nan
    orders = np.array(list(permutations(range(crossed.shape[-1]))))
    best = _own_minus_others(crossed, orders).max(axis=0)
    return float((best >= best[0] - 1e-12).mean())


def best_torus_p(map_: Floats, laid: Laid) -> float:
    """Return how often a map [48], shifted around the face, has as good a best placement.

    Over all 48 shifts, as `likeness.torus_p`. NaN where a map is undefined.
    """
    best = laid.correlations(shifted(map_)).max(axis=0)
    return float((best >= best[0] - 1e-12).mean()) if np.isfinite(best).all() else np.nan


def _own_minus_others(crossed: Floats, orders: npt.NDArray[np.int64]) -> Floats:
    """Return [..., orders] from crossed [..., 7, 7]."""
    size = crossed.shape[-1]
    own = crossed[..., np.arange(size), orders].mean(axis=-1)
    rest = crossed.sum(axis=(-2, -1))[..., None] / size - own
    found: Floats = own - rest / (size - 1)
    return found


def _overlaps(tiles: int, size: float, moved: float) -> Floats:
    """Return [crop's tiles, stimulus's tiles]: the share of each of the crop's that each covers."""
    crop = np.arange(tiles + 1) / tiles
    stimulus = 0.5 + moved + size * (crop - 0.5)
    ends = np.minimum(crop[1:, None], stimulus[1:]), np.maximum(crop[:-1, None], stimulus[:-1])
    shares: Floats = np.maximum(0.0, ends[0] - ends[1]) * tiles
    return shares
