"""A face's own halves: its midline and nose line out of 468 landmarks, and hiding along them.

`occlusion.conditions` cuts the picture in the middle. A face that is turned, tilted or not quite in
the middle of its crop has its own lines:

- the midline is the straight line with the least squared distance from the points of the mesh that
  lie in the face's plane of symmetry, forehead (10) to chin (152). It tilts with the head; of a
  turned head it follows what the camera saw of that plane.
- the nose line is perpendicular to it, through the point half-way from the root of the nose between
  the eyes (168) to its tip (1).

Why the middle of the nose: a line there has the eyes with all that moves around them on one side
and the mouth on the other, nostrils included, as the two halves of composite faces do (Young,
Hellawell & Hay 1987, Perception 16; for expressions Calder et al. 2000, J. Exp. Psychol. Hum.
Percept. Perform. 26); and it is where the middle row of FER2013's crops lies in the median face
(results/true-halves). So hiding a face's own half hides, on average, as much as hiding the
picture's, and what differs from face to face is all that changes. A line through the tip of the
nose would lie some 6 px lower and hide other areas throughout.

Sides stay image sides: `left` is what a viewer of the upright face sees on the left. Where a face
has no landmarks, the picture's middle stands in, and `found` says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import CONDITIONS, QUADRANTS, Condition, condition, hide
from hemiface.tables import write_csv

if TYPE_CHECKING:
    # Hiding halves of pictures needs no table, and a light install has no pandas.
    import pandas as pd

    from hemiface.data.images import Images

__all__ = [
    "LINE_COLUMNS",
    "MIDLINE_POINTS",
    "NOSE_POINTS",
    "FaceLines",
    "FindLandmarks",
    "centred",
    "hidden_masks",
    "hide_by_lines",
    "line_table",
    "lines_of",
    "measure_lines",
    "quadrant_masks",
    "summarise_lines",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Pictures = npt.NDArray[np.uint8]

FindLandmarks = Callable[[Pictures], Floats]
"""From uint8 pictures [n, height, width] to landmarks [n, 468, 2] in their pixels, x then y; a
pixel's centre is at whole numbers plus a half. NaN where a picture shows no face."""

MIDLINE_POINTS = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 17, 18, 200, 199, 175, 152)
"""Indices of MediaPipe's face mesh in the plane of symmetry, from the forehead to the chin."""

NOSE_POINTS = (168, 1)
"""The root of the nose and its tip; the nose line passes half-way between them."""

_LANDMARKS = 468
_AT_ONCE = 1024
"""Faces: masks of more would take more memory than time."""
_FOREHEAD, _CHIN = 10, 152
LINE_COLUMNS = (
    "found",
    "across_px",
    "down_px",
    "angle_deg",
    "upper",
    "left",
    "moved_upper",
    "moved_left",
)


@dataclass(frozen=True, eq=False)
class FaceLines:
    """The lines of n faces in pictures of one size."""

    crossing: Floats
    """[n, 2] pixels: where midline and nose line cross."""
    down: Floats
    """[n, 2]: the unit vector along the midline from forehead to chin; (0, 1) is upright."""
    found: Bools
    """[n]: False where the picture's middle stands in for lines that weren't found."""
    height_px: int
    """Of the pictures."""
    width_px: int
    """Of the pictures."""

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.found)

    @property
    def words(self) -> npt.NDArray[np.object_]:
        """What column `halves` of the Predictions table says: face or fallback, [n]."""
        return np.where(self.found, "face", "fallback").astype(object)

    def subset(self, which: slice) -> "FaceLines":
        """Return the lines of some of the faces."""
        return replace(
            self, crossing=self.crossing[which], down=self.down[which], found=self.found[which]
        )

    def mirrored(self) -> "FaceLines":
        """Return the lines of the pictures' mirror images."""
        flip = np.array([-1.0, 1.0])
        crossing = self.crossing * flip + [self.width_px, 0]
        return replace(self, crossing=crossing, down=self.down * flip)


def lines_of(landmarks: npt.ArrayLike, height_px: int, width_px: int) -> FaceLines:
    """Return the lines of faces with these landmarks [n, 468, 2] (see `FindLandmarks`).

    A face whose midline or nose points are not finite, or fall together so that they have no
    direction, counts as not found.

    Raises:
        UsageError: the array has another shape.

    >>> lines_of(np.full((1, 468, 2), np.nan), 48, 48).crossing.tolist()
    [[24.0, 24.0]]
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (_LANDMARKS, 2):
        raise UsageError(f"Landmarks must have shape [n, 468, 2], got {list(points.shape)}.")
    finite = np.isfinite(points[:, MIDLINE_POINTS])
    found: Bools = np.asarray(finite.all(axis=(1, 2)))
    points = np.where(found[:, None, None], points, 0.0)
    midline = points[:, MIDLINE_POINTS]
    centre = midline.mean(axis=1)
    down = _principal_axis(midline - centre[:, None])
    towards = ((points[:, _CHIN] - points[:, _FOREHEAD]) * down).sum(axis=1)
    found = found & (np.abs(towards) > 1e-6)
    down = down * np.where(towards < 0, -1.0, 1.0)[:, None]
    nose = points[:, NOSE_POINTS].mean(axis=1)
    along = ((nose - centre) * down).sum(axis=1)
    crossing = centre + along[:, None] * down
    middle, upright = np.array([width_px / 2, height_px / 2]), np.array([0.0, 1.0])
    return FaceLines(
        np.where(found[:, None], crossing, middle),
        np.where(found[:, None], down, upright),
        found,
        height_px,
        width_px,
    )


def quadrant_masks(lines: FaceLines) -> Bools:
    """Return bool [n, 4, height, width]: which pixels each of QUADRANTS holds in each face.

    A pixel belongs where its centre lies; on a line, to the right or lower part, as in
    `occlusion.hidden_mask`. Every pixel is in exactly one quadrant.
    """
    lower, right = _sides(lines)
    of_pixel = 2 * lower.astype(np.int8) + right
    masks: Bools = of_pixel[:, None] == np.arange(len(QUADRANTS))[:, None, None]
    return masks


def hidden_masks(one: Condition, lines: FaceLines) -> Bools:
    """Return bool [n, height, width], True where `one` hides a pixel of the face.

    Raises:
        UsageError: the condition hides random tiles, which have no halves.
    """
    if one.random_percent:
        raise UsageError(f"{one.name} hides tiles, not halves; it is the same for every line.")
    chosen = [QUADRANTS.index(name) for name in sorted(one.hidden)]
    return np.asarray(quadrant_masks(lines)[:, chosen].any(axis=1))


def hide_by_lines(
    images: Pictures, one: Condition, lines: FaceLines, seeds: npt.ArrayLike | None = None
) -> Pictures:
    """Return a copy of `images` in which the faces' own parts that `one` names are hidden.

    `images`, `seeds` and the fills are those of `occlusion.hide`, and where the lines are the
    picture's middle so is the result, noise included. Random tiles don't depend on lines.

    Raises:
        UsageError: as `occlusion.hide`, or the lines are of other pictures.
    """
    if images.ndim >= 3 and images.shape[:3] != (len(lines), lines.height_px, lines.width_px):
        raise UsageError(
            f"The lines are of {len(lines)} pictures of {lines.height_px} x {lines.width_px}, not "
            f"of {list(images.shape[:3])}."
        )
    if one.random_percent or len(one.hidden) in (0, len(QUADRANTS)):
        return hide(images, one, seeds)
    if len(images) > _AT_ONCE:
        known = None if seeds is None else np.atleast_1d(seeds)
        parts = [slice(at, at + _AT_ONCE) for at in range(0, len(images), _AT_ONCE)]
        return np.concatenate(
            [
                hide_by_lines(
                    images[part], one, lines.subset(part), None if known is None else known[part]
                )
                for part in parts
            ]
        )
    masks = hidden_masks(one, lines)
    result = images.copy()
    rows, others = np.flatnonzero(lines.found), np.flatnonzero(~lines.found)
    if len(others):
        own = None if seeds is None else np.atleast_1d(seeds)[others]
        result[others] = hide(images[others], one, own)
    if one.fill in ("black", "blur"):
        # Under `none` the fill covers the whole picture.
        covered = hide(images[rows], condition("none", one.fill))
        for row, cover in zip(rows, covered, strict=True):
            result[row][masks[row]] = cover[masks[row]]
        return result
    salt = CONDITIONS.index(one.name)
    for row in rows:
        mask = masks[row]
        if one.fill == "mean":
            visible = images[row][~mask]
            result[row][mask] = np.rint(visible.mean(axis=0)) if len(visible) else 127
        else:
            random = np.random.default_rng([int(np.atleast_1d(seeds)[row]), salt])  # type: ignore[arg-type]
            noise = random.integers(0, 256, images[row][mask].shape, dtype=np.uint8)
            result[row][mask] = noise
    return result


def centred(images: Pictures, lines: FaceLines) -> Pictures:
    """Return pictures uint8 [n, height, width], turned and moved so that their faces lie straight.

    Midline and nose line come to lie in the picture's middle, so that its halves are the face's own
    and whatever hides the one, in training too, hides the other. What comes in from outside repeats
    the edge. Sizes stay; pictures without lines stay as they are.

    Raises:
        UsageError: the lines are of other pictures.
    """
    if images.shape != (len(lines), lines.height_px, lines.width_px):
        raise UsageError(
            f"The lines are of {len(lines)} pictures of {lines.height_px} x {lines.width_px}, not "
            f"of {list(images.shape)}."
        )
    across, middle = _across(lines), np.array([lines.width_px / 2, lines.height_px / 2])
    result = images.copy()
    for row in np.flatnonzero(lines.found):
        # From the new picture's pixels to the old one's; whole numbers are pixels' corners here,
        # and their centres to OpenCV.
        turn = np.stack([across[row], lines.down[row]], axis=1)
        shift = lines.crossing[row] - turn @ middle
        centres = shift + turn @ [0.5, 0.5] - 0.5
        cv2.warpAffine(
            images[row],
            np.column_stack([turn, centres]),
            (lines.width_px, lines.height_px),
            dst=result[row],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return result


def line_table(lines: FaceLines) -> "pd.DataFrame":
    """Return how far each face's lines lie from the picture's: a row per face, LINE_COLUMNS.

    `across_px` is how far the midline passes right of the picture's middle, `down_px` how far the
    nose line passes below it (both perpendicular to the line), `angle_deg` how far the face is
    tilted clockwise, in -180..180. `upper` and `left` are the shares in 0..1 of the picture above
    the nose line and left of the midline, `moved_upper` and `moved_left` the shares of its pixels
    that lie on another side of that line than of the picture's middle. Where no lines were found
    (`found` is False) everything else is NaN.
    """
    import pandas as pd

    if len(lines) > _AT_ONCE:
        parts = [slice(at, at + _AT_ONCE) for at in range(0, len(lines), _AT_ONCE)]
        return pd.concat([line_table(lines.subset(part)) for part in parts], ignore_index=True)
    middle = np.array([lines.width_px / 2, lines.height_px / 2])
    away = lines.crossing - middle
    lower, right = _sides(lines)
    y, x = np.mgrid[: lines.height_px, : lines.width_px] + 0.5
    columns = {
        "across_px": (away * _across(lines)).sum(axis=1),
        "down_px": (away * lines.down).sum(axis=1),
        # + 0.0 makes an upright face's angle 0 and not -0.
        "angle_deg": np.degrees(np.arctan2(-lines.down[:, 0], lines.down[:, 1])) + 0.0,
        "upper": 1 - lower.mean(axis=(1, 2)),
        "left": 1 - right.mean(axis=(1, 2)),
        "moved_upper": (lower != (y >= middle[1])).mean(axis=(1, 2)),
        "moved_left": (right != (x >= middle[0])).mean(axis=(1, 2)),
    }
    table = pd.DataFrame(
        {name: np.where(lines.found, one, np.nan) for name, one in columns.items()}
    )
    table.insert(0, "found", lines.found)
    return table[list(LINE_COLUMNS)]


def summarise_lines(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row per split and column of `line_table`: n, mean, sd, p5, median, p95.

    `table` is that of `line_table` with a column `split`. Of `found`, mean is the share of faces
    with lines of their own; all else is about those alone.
    """
    import pandas as pd

    rows = []
    for split, part in table.groupby("split", sort=False, observed=True):
        for name in LINE_COLUMNS:
            values = part[name].dropna().to_numpy(np.float64)
            enough = len(values) > 1
            sd = values.std(ddof=1) if enough else np.nan
            ends = np.quantile(values, [0.05, 0.5, 0.95]) if len(values) else np.full(3, np.nan)
            mean = values.mean() if len(values) else np.nan
            rows.append((split, name, len(values), mean, sd, *ends))
    columns = ["split", "quantity", "n", "mean", "sd", "p5", "median", "p95"]
    return pd.DataFrame(rows, columns=columns)


def measure_lines(
    images: "Images", splits: Sequence[str], landmarks: FindLandmarks, out: Path
) -> "pd.DataFrame":
    """Write lines.csv (a row per image of `splits`) and line_summary.csv; return the latter.

    Raises:
        UsageError: a split is unknown.
    """
    import pandas as pd

    parts = []
    for split in splits:
        part = images.split(split)
        found = line_table(lines_of(landmarks(part.pixels), *part.pixels.shape[1:]))
        names = part.table[["image", "split"]]
        parts.append(pd.concat([names, found], axis=1))
    table = pd.concat(parts, ignore_index=True)
    summary = summarise_lines(table)
    write_csv(table, out / "lines.csv")
    write_csv(summary, out / "line_summary.csv")
    return summary


def _principal_axis(centred: Floats) -> Floats:
    """Return unit vectors [n, 2] along which points [n, k, 2] of mean 0 spread most."""
    x, y = centred[..., 0], centred[..., 1]
    along, both = (x * x - y * y).sum(axis=1) / 2, (x * y).sum(axis=1)
    size = np.hypot(along, both)
    # Half-angle formulas instead of angles: an upright axis is exactly (0, 1).
    cosine = np.divide(along, size, out=np.zeros_like(size), where=size > 0)
    sine = np.copysign(np.sqrt(np.maximum(1 - cosine, 0) / 2), both)
    return np.stack([np.sqrt(np.maximum(1 + cosine, 0) / 2), sine], axis=1)


def _across(lines: FaceLines) -> Floats:
    """Return unit vectors [n, 2] from the face's left to its right, as its viewer sees them."""
    return np.stack([lines.down[:, 1], -lines.down[:, 0]], axis=1)


def _sides(lines: FaceLines) -> tuple[Bools, Bools]:
    """Return for each pixel [n, height, width] whether it is in the lower and the right half."""
    y, x = np.mgrid[: lines.height_px, : lines.width_px] + 0.5
    dx = x - lines.crossing[:, 0, None, None]
    dy = y - lines.crossing[:, 1, None, None]
    down, across = (one[:, :, None, None] for one in (lines.down, _across(lines)))
    lower: Bools = dx * down[:, 0] + dy * down[:, 1] >= 0
    right: Bools = dx * across[:, 0] + dy * across[:, 1] >= 0
    return lower, right


def _over_channels(which: Bools, images: Pictures) -> Bools:
    return which.reshape(-1, *(1,) * (images.ndim - 1))
