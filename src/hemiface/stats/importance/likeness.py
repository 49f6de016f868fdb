"""How alike two maps of tiles are, and what else would make them so.

Two maps of a face both favour its middle, whoever made them, and that alone correlates them. So
beside a rank correlation stand: what maps correlate that know nothing of emotions (`baselines`);
what is left when those are held constant (`partial_rank_correlation`) or among tiles that are
equally far from the middle (`within_distance`); how often a map that is
shifted over the other's face agrees as well (`torus_p`); and whether one emotion's map is more like
the same emotion's than like the others' (`own_and_others`, `permutation_p`).

Sources: Tatler 2007, The central fixation bias in scene viewing, J. Vision 7(14) (why the middle
must be a baseline); Alexander-Bloch et al. 2018, On testing for spatial correspondence between maps
of human brain structure and function, NeuroImage 178 (spin tests; on a rectangle the torus takes
the sphere's place: Fortin & Jacquez 2000, Randomization tests and spatially autocorrelated data).
"""

from itertools import permutations

import numpy as np
import numpy.typing as npt
from scipy import stats

from hemiface.occlusion.tiles import TILE_COLUMNS, TILE_ROWS, TILES, place, tile_map

__all__ = [
    "baselines",
    "own_and_others",
    "partial_rank_correlation",
    "permutation_p",
    "rank_correlation",
    "shifted",
    "torus_p",
    "within_distance",
]

Floats = npt.NDArray[np.float64]


def rank_correlation(one: Floats, other: Floats) -> Floats:
    """Return Spearman's rank correlation along the last axis; leading axes are broadcast.

    NaN where a map is constant or undefined.
    """
    return _correlation(_ranks(one), _ranks(other))


def partial_rank_correlation(one: Floats, other: Floats, given: Floats) -> Floats:
    """Return the rank correlation [...] of maps [..., n] with the maps `given` [k, n] constant.

    The correlation of what a linear fit on the ranks of `given` leaves of the ranks of both. NaN
    where nothing is left. Maps that follow a given one but not by a straight line of ranks keep
    something in common: two noisy maps of the middle about .1.
    """
    return _left_in_common(one, other, np.column_stack([np.ones(given.shape[-1]), *_ranks(given)]))


def within_distance(one: Floats, other: Floats) -> Floats:
    """Return the rank correlation [...] of maps [..., 48] among tiles equally far from the middle.

    Of both maps' ranks the mean of the (mostly four) tiles at the same distance is taken away, so
    that no function of the distance, whatever its form, can make them alike.
    """
    _, which = np.unique(baselines()["centre"].round(9), return_inverse=True)
    return _left_in_common(one, other, np.eye(which.max() + 1)[which])


def _left_in_common(one: Floats, other: Floats, known: Floats) -> Floats:
    """Return the correlation of what a fit on the columns of `known` [n, k] leaves of ranks."""
    basis, _ = np.linalg.qr(known)

    def left(ranks: Floats) -> Floats:
        rest: Floats = ranks - (ranks @ basis) @ basis.T
        # What a fit explains wholly leaves rounding, which would correlate at random.
        size = np.sqrt((rest**2).sum(axis=-1, keepdims=True))
        whole = np.sqrt(((ranks - ranks.mean(axis=-1, keepdims=True)) ** 2).sum(-1, keepdims=True))
        return np.where(size > 1e-9 * np.maximum(whole, 1e-300), rest, 0.0)

    return _correlation(left(_ranks(one)), left(_ranks(other)))


def baselines(faces: npt.NDArray[np.uint8] | None = None) -> dict[str, Floats]:
    """Return maps [48] that know nothing of any emotion, by name.

    `centre`: minus the distance of the tile's middle from the face's, in widths of the picture.
    With `faces` uint8 [n, height, width] also `contrast`, the standard deviation of the pixels
    within the tile, averaged over the faces, and `mean face`, the same of the faces' mean.
    """
    rows, columns = np.array([place(tile) for tile in range(TILES)]).T
    away = np.hypot((rows + 0.5) / TILE_ROWS - 0.5, (columns + 0.5) / TILE_COLUMNS - 0.5)
    found = {"centre": -away}
    if faces is not None and len(faces):
        tiles = tile_map(*faces.shape[1:])
        inside = [faces[:, tiles == tile].astype(np.float64) for tile in range(TILES)]
        found["contrast"] = np.array([one.std(axis=1).mean() for one in inside])
        found["mean face"] = np.array([one.mean(axis=0).std() for one in inside])
    return found


def torus_p(one: Floats, other: Floats) -> float:
    """Return how often a map [48], shifted around the face, agrees at least as well with another.

    All 48 shifts by rows and columns are taken, what leaves on one side coming in on the other; the
    map as it is counts as one, so p is at least 1 / 48. NaN where a map is undefined.
    """
    found = rank_correlation(shifted(one), other)
    return float((found >= found[0] - 1e-12).mean()) if np.isfinite(found[0]) else np.nan


def shifted(map_: Floats) -> Floats:
    """Return [48, 48]: a map [48] in all its shifts around the face, first as it is."""
    grid = map_.reshape(TILE_COLUMNS, TILE_ROWS)
    return np.stack(
        [
            np.roll(grid, (across, down), axis=(0, 1)).ravel()
            for across in range(TILE_COLUMNS)
            for down in range(TILE_ROWS)
        ]
    )


def own_and_others(maps: Floats, people: Floats) -> tuple[Floats, Floats]:
    """Return how alike each emotion's map is to people's of the same and of the other emotions.

    maps: [..., 7, 48], people: [7, 48]; both [..., 7], the second a mean over six.
    """
    crossed = rank_correlation(maps[..., :, None, :], people)
    own: Floats = np.diagonal(crossed, axis1=-2, axis2=-1)
    others: Floats = (crossed.sum(axis=-1) - own) / (crossed.shape[-1] - 1)
    return own, others


def permutation_p(maps: Floats, people: Floats) -> float:
    """Return how often emotions that are exchanged at random agree at least as well, on the mean.

    Over all permutations of people's maps [7, 48], 5,040 of them; maps [7, 48]. NaN where a map is
    undefined.
    """
    crossed = rank_correlation(maps[:, None], people)
    if not np.isfinite(crossed).all():
        return np.nan
    size = np.arange(len(crossed))
    orders = np.array(list(permutations(size)))
    found = crossed[size, orders].mean(axis=1)
    return float((found >= found[0] - 1e-12).mean())


def _ranks(maps: Floats) -> Floats:
    ranks: Floats = stats.rankdata(maps, axis=-1, nan_policy="propagate")
    return ranks


def _correlation(first: Floats, second: Floats) -> Floats:
    first = first - first.mean(axis=-1, keepdims=True)
    second = second - second.mean(axis=-1, keepdims=True)
    above = (first * second).sum(axis=-1)
    below = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(below > 0, above / below, np.nan)
    return result
