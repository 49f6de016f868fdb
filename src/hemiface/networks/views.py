"""Several views of one picture at test time: the mirrored one, and crops enlarged to full size.

What is hidden is hidden before: views are made of the picture that the network would see, so no
hidden pixel ever comes back. A crop keeps hidden what was hidden, but not as a half: of an
upper-masked face the upper crops show less than half, the lower ones more, and the border lies
elsewhere than in training.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.tables import FER2013_SIZE_PX

__all__ = ["SMALLEST_CROP_PX", "five_crops", "require_crop", "views"]

SMALLEST_CROP_PX = FER2013_SIZE_PX // 2
"""A smaller crop of a half-hidden face could show nothing at all."""


def require_crop(crop_px: int) -> None:
    """Raise unless `crop_px` is 0 (no crops) or a size that crops can have.

    Raises:
        UsageError: it is anything else.
    """
    if crop_px and not SMALLEST_CROP_PX < crop_px < FER2013_SIZE_PX:
        raise UsageError(
            f"Crops of {crop_px} px can't be made; choose {SMALLEST_CROP_PX + 1} to "
            f"{FER2013_SIZE_PX - 1}, or 0 for none."
        )


def views(
    faces: npt.NDArray[np.uint8], *, flip: bool = False, crop_px: int = 0
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the views uint8 [n, 48, 48] of faces uint8 [n, 48, 48], whose answers are averaged.

    Without options that is `faces` itself. `flip` adds the mirrored pictures; `crop_px` puts five
    crops in the place of each picture, ten with `flip` (the ten-crop of Krizhevsky et al. 2012).

    Raises:
        UsageError: as `require_crop`.
    """
    require_crop(crop_px)
    for pictures in (faces, faces[:, :, ::-1]) if flip else (faces,):
        if crop_px:
            yield from five_crops(pictures, crop_px)
        else:
            yield pictures


def five_crops(faces: npt.NDArray[np.uint8], crop_px: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the four corners (upper left, upper right, lower left, lower right) and the centre.

    Each is `crop_px` wide and high and is enlarged to the size of `faces` (uint8 [n, side, side])
    by bilinear interpolation. An odd margin is rounded as torchvision's CenterCrop does.
    """
    side = faces.shape[1]
    most = side - crop_px
    middle = round(most / 2)
    corners = [(top, left) for top in (0, most) for left in (0, most)]
    for top, left in [*corners, (middle, middle)]:
        enlarged = np.empty(faces.shape, dtype=np.uint8)
        for target, face in zip(enlarged, faces, strict=True):
            crop = np.ascontiguousarray(face[top : top + crop_px, left : left + crop_px])
            target[:] = cv2.resize(crop, (side, side), interpolation=cv2.INTER_LINEAR)
        yield enlarged
