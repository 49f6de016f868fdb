"""The grid of 6 x 8 tiles over a face, and masks made of tiles that differ from image to image.

The grid is that of Wegrzyn et al. 2017, Mapping the emotional face, PLOS ONE 12(5) e0177239: six
columns, eight rows, numbered down the columns (tile 0 is upper left, tile 7 lower left in the
image). On 48 x 48 pixels a tile is 8 px wide and 6 px high.
"""

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError

__all__ = [
    "TILES",
    "TILE_COLUMNS",
    "TILE_ROWS",
    "apertures",
    "pack",
    "place",
    "random_tiles",
    "tile_map",
    "unpack",
]

Bools = npt.NDArray[np.bool_]

TILE_COLUMNS, TILE_ROWS = 6, 8
TILES = TILE_COLUMNS * TILE_ROWS


def place(tile: int) -> tuple[int, int]:
    """Return the (row, column) of a tile.

    >>> place(0), place(7), place(8)
    ((0, 0), (7, 0), (0, 1))
    """
    return tile % TILE_ROWS, tile // TILE_ROWS


def tile_map(height_px: int, width_px: int) -> npt.NDArray[np.int64]:
    """Return int64 [height, width]: the tile that each pixel belongs to."""
    rows = np.arange(height_px) * TILE_ROWS // height_px
    columns = np.arange(width_px) * TILE_COLUMNS // width_px
    result: npt.NDArray[np.int64] = columns[None, :] * TILE_ROWS + rows[:, None]
    return result


def apertures(
    centres: npt.NDArray[np.integer],
    height_px: int,
    width_px: int,
    sigma_px: float,
    grid_px: int | None = None,
) -> npt.NDArray[np.float32]:
    """Return float32 [n, height, width] in 0..1: how visible Gaussian apertures make each pixel.

    `centres` is int [n, bubbles], pixels as row * width + column. Apertures that overlap add up to
    at most 1, as in Gosselin & Schyns 2001, Bubbles, Vision Research 41. With `grid_px`, centres
    and `sigma_px` count pixels of a coarser picture of this side that shows the same: a pixel's
    centre is where it lies among those.
    """

    def bell(size_px: int, at: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        places = np.arange(size_px, dtype=np.float64)
        if grid_px is not None:
            places = (places + 0.5) * grid_px / size_px - 0.5
        away = places[None, :, None] - at[:, None, :]
        heights: npt.NDArray[np.float32] = np.exp(-0.5 * (away / sigma_px) ** 2).astype(np.float32)
        return heights

    rows, columns = np.divmod(centres.astype(np.int64), grid_px or width_px)
    planes = bell(height_px, rows) @ bell(width_px, columns).transpose(0, 2, 1)
    result: npt.NDArray[np.float32] = np.minimum(planes, 1)
    return result


def random_tiles(seeds: npt.ArrayLike, percent: int) -> Bools:
    """Return bool [n, 48]: per image, `percent` of the tiles (rounded), drawn from its seed.

    The same seed and percentage give the same tiles. 25, 50 and 75 per cent are exactly the areas
    of one, two and three quadrants where the picture's sides are multiples of 6 and 8.

    Raises:
        UsageError: that would be none of them, or all.
    """
    if round(TILES * percent / 100) in (0, TILES):
        raise UsageError(
            f"{percent} % of {TILES} tiles are none of them or all; take 2 to 98, as in random-50."
        )
    chosen = np.zeros((len(np.atleast_1d(seeds)), TILES), dtype=bool)
    size = round(TILES * percent / 100)
    for row, seed in zip(chosen, np.atleast_1d(seeds), strict=True):
        row[np.random.default_rng([int(seed), percent, TILES]).permutation(TILES)[:size]] = True
    return chosen


def pack(visible: Bools) -> npt.NDArray[np.uint64]:
    """Return uint64 [...] from bool [..., players]: bit t says whether player t is visible.

    >>> int(pack(np.array([True, False, True])))
    5
    """
    bits = np.left_shift(np.uint64(1), np.arange(visible.shape[-1], dtype=np.uint64))
    result: npt.NDArray[np.uint64] = (visible * bits).sum(axis=-1, dtype=np.uint64)
    return result


def unpack(masks: npt.NDArray[np.uint64], players: int = TILES) -> Bools:
    """Return bool [..., players], the inverse of `pack`."""
    bits = np.left_shift(np.uint64(1), np.arange(players, dtype=np.uint64))
    result: Bools = (masks[..., None] & bits) != 0
    return result
