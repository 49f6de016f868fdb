"""How much of a face could be seen, region by region, and how that is known.

A value is the share in 0..1 of a region's pixels in the aligned 48 x 48 face that could be seen.
Its source is a word:

- declared: the user said what is hidden (`--hide lower`: everybody wears a mask); nothing is
  estimated then, and a border still takes away what it cuts.
- estimated: a network says what things lie over the face (`models.visible_tiles`); the value is
  what the picture's border leaves of the region, weighted by its estimates.
- measured: the border cuts the region and the value says how much; all of it if nothing is left to
  estimate. Without an estimate nobody knows what lies over the rest.
- unknown: nothing of the above is known of the region, and the value is NaN.

What a border cuts off and what a thing covers are told apart: of what lies in the picture, the
covered share is estimated by itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.models.visible_tiles import USUAL_REGIONS, enlarge
from hemiface.occlusion.conditions import QUADRANTS, Condition, condition, hidden_mask
from hemiface.tables import FER2013_SIZE_PX

__all__ = ["REGIONS", "SOURCES", "VisibleRegions", "region_masks", "visible_regions"]

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

HALVES = ("upper", "lower", "left", "right")
FEATURES = ("eyes", "nose", "mouth")
REGIONS = (*HALVES, *FEATURES)
"""What is told apart; halves are the crop's, left and right the viewer's."""

_QUADRANT_MASKS = [
    hidden_mask(condition(name), FER2013_SIZE_PX, FER2013_SIZE_PX) for name in QUADRANTS
]

SOURCES = ("declared", "measured", "estimated", "unknown")

# Indices of MediaPipe's face mesh: what outlines each feature.
_EYE_POINTS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
_NOSE_POINTS = (168, 193, 417, 122, 351, 48, 278, 64, 294, 98, 327, 2)
_MOUTH_POINTS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)  # fmt: skip # noqa: E501
_FEATURE_POINTS = {"eyes": _EYE_POINTS, "nose": (_NOSE_POINTS,), "mouth": (_MOUTH_POINTS,)}


@dataclass(frozen=True)
class VisibleRegions:
    """The visible share of each region with its source, and of the whole face."""

    shares: Mapping[str, float]
    """Region -> 0..1, NaN where unknown."""
    sources: Mapping[str, str]
    """Region -> one of SOURCES."""
    most: float
    """The most of the crop that can be visible: what neither a border nor the user takes away."""
    quadrants: tuple[float, float, float, float]
    """What is visible of each of QUADRANTS, 0..1, by border, declaration or estimate."""
    covered: Mapping[str, float]
    """Region -> the share, 0..1, of what lies in the picture that a thing covers by estimate; NaN
    where nothing was estimated or the region lies outside."""
    estimate: float | None = None
    """The share of the crop that is visible as far as was estimated; None where nothing was."""

    @property
    def covered_in_all(self) -> float:
        """The share of what lies in the picture that is covered by estimate, NaN without one."""
        if self.estimate is None or self.most == 0:
            return math.nan
        return 1 - self.estimate / self.most


def region_masks(landmarks: Floats | None) -> dict[str, Mask]:
    """Return region -> bool [48, 48] for landmarks [468, 2] in pixels of the crop.

    Features are the convex hulls of their outlines; one that lies outside the crop has an empty
    mask. Without landmarks, as of many masked faces, features are where they usually lie.
    """
    side = FER2013_SIZE_PX
    half = side // 2
    masks = {name: np.zeros((side, side), dtype=bool) for name in HALVES}
    masks["upper"][:half] = True
    masks["lower"][half:] = True
    masks["left"][:, :half] = True
    masks["right"][:, half:] = True
    if landmarks is None:
        masks.update({name: USUAL_REGIONS[name] for name in FEATURES})
    else:
        for name, outlines in _FEATURE_POINTS.items():
            drawn = np.zeros((side, side), dtype=np.uint8)
            for outline in outlines:
                points = np.floor(landmarks[list(outline)]).astype(np.int32)
                cv2.fillConvexPoly(drawn, cv2.convexHull(points), 1)
            masks[name] = drawn.astype(bool)
    return masks


def visible_regions(
    inside: Mask,
    landmarks: Floats | None,
    declared: Condition | None = None,
    tiles: npt.NDArray[np.float32] | None = None,
) -> VisibleRegions:
    """Say what can be seen of an aligned face.

    `inside` is bool [48, 48], True where the crop shows the photo; `landmarks` float64 [468, 2] in
    pixels of the crop or None; `declared` names what the user says is hidden; `tiles` float32
    [12, 12] are the estimated visible shares of the crop's tiles, which a declaration overrules.
    """
    seen = inside.astype(np.float64)
    estimated = tiles is not None and declared is None
    if declared is not None:
        seen = seen * ~hidden_mask(declared, *inside.shape)
    elif tiles is not None:
        seen = seen * enlarge(tiles)
    masks = region_masks(landmarks)
    shares, sources, covered = {}, {}, {}
    for region in REGIONS:
        mask = masks.get(region)
        if mask is None or not mask.any():
            source = "unknown"
        elif declared is not None:
            source = "declared"
        elif estimated and inside[mask].any():
            source = "estimated"
        else:
            source = "unknown" if inside[mask].all() else "measured"
        sources[region] = source
        shares[region] = math.nan if source == "unknown" or mask is None else _share(seen, mask)
        covered[region] = math.nan
        if source == "estimated" and mask is not None:
            covered[region] = 1 - _share(seen, mask & inside)
    most = inside if declared is None else seen
    whole = float(seen.mean()) if estimated else None
    quarters = tuple(_share(seen, mask) for mask in _QUADRANT_MASKS)
    return VisibleRegions(shares, sources, float(most.mean()), quarters, covered, whole)  # type: ignore[arg-type]


def _share(seen: Floats, mask: Mask) -> float:
    return float(seen[mask].mean())
