"""Faces seen through Gaussian apertures at random places, the same for networks and for people.

Gosselin & Schyns 2001, Bubbles: a technique to reveal the use of information in recognition tasks,
Vision Research 41, 2261-2271. Places are drawn on a face's 48 x 48 pixels, also where the picture
that is shown is larger: what a network reads at 48 x 48 and what a person sees are one stimulus.
"""

import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import Fill, hide_tiles
from hemiface.occlusion.tiles import TILES, apertures
from hemiface.tables import FER2013_SIZE_PX

__all__ = ["bubble_centres", "through_bubbles"]

Pictures = npt.NDArray[np.uint8]

_SALT = 2
_MOST_SIDE_PX = 256


def bubble_centres(
    image_seed: int, seed: int, samples: int, bubbles: int, side_px: int = FER2013_SIZE_PX
) -> npt.NDArray[np.uint16]:
    """Return uint16 [samples, bubbles]: where the apertures lie, as row * side_px + column.

    `image_seed` is that of the image's ID (see `occlusion.conditions.image_seeds`). The same
    arguments give the same places.

    Raises:
        UsageError: the side is more than 256, whose places 16 bits can't hold.
    """
    if side_px > _MOST_SIDE_PX:
        raise UsageError(f"Apertures lie on at most {_MOST_SIDE_PX} x {_MOST_SIDE_PX} pixels.")
    random = np.random.default_rng([image_seed, seed, _SALT])
    return random.integers(side_px * side_px, size=(samples, bubbles)).astype(np.uint16)


def through_bubbles(
    faces: Pictures,
    centres: npt.NDArray[np.integer],
    sigma_px: float,
    fill: Fill = "mean",
    seeds: npt.ArrayLike | None = None,
    *,
    grid_px: int | None = None,
) -> Pictures:
    """Return copies of `faces` that can be seen through apertures alone.

    faces: uint8 [n, height, width] or [n, height, width, 3]; centres: int [n, bubbles]. Where the
    apertures' sum is 1 the face is shown, where it is 0 the fill: `mean` is a middle grey here, as
    in the source. `grid_px` is the side of the grid on which places and `sigma_px` count, by
    default the picture's own pixels (see `occlusion.tiles.apertures`); `seeds` as for `hide_tiles`.

    Raises:
        UsageError: the array isn't a batch of uint8 images, or noise has no seeds.
    """
    nothing = np.zeros((len(faces), TILES), dtype=bool)
    covered = hide_tiles(faces, nothing, fill, seeds)
    seen = apertures(centres, faces.shape[1], faces.shape[2], sigma_px, grid_px)
    seen = seen.reshape(*seen.shape, *(1,) * (faces.ndim - 3))
    mixed = covered + seen * (faces.astype(np.float32) - covered)
    return np.asarray(np.rint(mixed), dtype=np.uint8)
