"""What the short-range BlazeFace network's numbers mean: anchors, decoding, weighted suppression.

Source: Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
and the public options of MediaPipe's face detection graph (SSD anchors of fixed size on grids of
16 x 16 and 8 x 8, IoU 0.3), written anew here.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["INPUT_PX", "KEYPOINTS", "anchors", "decode", "overlap", "suppress"]

Floats = npt.NDArray[np.float64]

INPUT_PX = 128
"""Side of the square the network takes."""

KEYPOINTS = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")
"""What a detection marks; right and left are the person's own."""

_GRIDS = ((16, 2), (8, 6))
_SCORE_CLIP = 100.0


def anchors() -> Floats:
    """Return float64 [896, 2]: x and y of each anchor's centre in shares of the input's side.

    >>> anchors().shape, anchors()[0].tolist(), anchors()[-1].tolist()
    ((896, 2), [0.03125, 0.03125], [0.9375, 0.9375])
    """
    parts = []
    for cells, copies in _GRIDS:
        middle = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(middle, middle, indexing="ij")
        parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), copies, axis=0))
    return np.concatenate(parts)


def decode(
    regressors: npt.NDArray[np.float32], logits: npt.NDArray[np.float32], least_score: float
) -> tuple[Floats, Floats]:
    """Return boxes with keypoints float64 [n, 8, 2] and scores float64 [n] in (0, 1).

    `regressors` is float32 [896, 16] (centre, size, six keypoints, in pixels from the anchor),
    `logits` float32 [896]. Row 0 of a result is the box's upper left corner, row 1 its lower right
    one, the others are KEYPOINTS; all in pixels of the input. Only scores of at least
    `least_score` come back, best first.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_SCORE_CLIP, _SCORE_CLIP)))
    chosen = np.flatnonzero(scores >= least_score)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    points = regressors[chosen].astype(np.float64).reshape(-1, 8, 2)
    size = points[:, 1].copy()
    origin = anchors()[chosen, np.newaxis] * INPUT_PX
    points += origin
    centre = points[:, 0].copy()
    points[:, 0] = centre - size / 2
    points[:, 1] = centre + size / 2
    return points, scores[chosen]


def overlap(one: Floats, others: Floats) -> Floats:
    """Return float64 [n]: intersection over union of a box [2, 2] and boxes [n, 2, 2] (corners)."""
    sides = np.minimum(one[1], others[:, 1]) - np.maximum(one[0], others[:, 0])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(np.maximum(others[:, 1] - others[:, 0], 0), axis=1)
    union = np.prod(np.maximum(one[1] - one[0], 0)) + areas - shared
    result: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def suppress(points: Floats, scores: Floats, most_overlap: float = 0.3) -> tuple[Floats, Floats]:
    """Melt detections of one face into one: their mean weighted by score, with the best's score.

    Takes and returns what `decode` returns; rows must be ordered by score, best first. The mean
    makes a face stand still from frame to frame, which picking the best doesn't.
    """
    kept_points, kept_scores = [], []
    left = np.arange(len(scores))
    while len(left):
        same = overlap(points[left[0], :2], points[left, :2]) > most_overlap
        same[0] = True
        members = left[same]
        weights = scores[members] / scores[members].sum()
        kept_points.append(np.tensordot(weights, points[members], axes=1))
        kept_scores.append(scores[members[0]])
        left = left[~same]
    return np.array(kept_points).reshape(-1, 8, 2), np.array(kept_scores)
