"""What every statistic needs of millions of images: sums over them, added up bucket by bucket.

Sums are kept for each stratum (a split, and of the test images those with and without leak), of
which every protocol is a union, and for each block of groups, which intervals resample. What is
paired by image or voted on by group is kept for one protocol.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemiface.stats.large.buckets import Bucket, Dealt
from hemiface.stats.metrics import CLASSES, ECE_BINS, brier_losses, calibration_gaps, log_losses
from hemiface.tables import SPLITS

__all__ = ["RECORD", "STRATA", "Counts", "count"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STRATA: dict[str, tuple[int, ...]] = {
    "standard": (1, 2),
    "paper": (0, 1, 2),
    "leak-free": (1,),
    "validation": (0,),
}
"""The strata that each protocol scores; 0: validation, 1: test without leak, 2: test with."""

RECORD = np.dtype([("p", "<f4", CLASSES), ("label", "u1"), ("stratum", "u1"), ("block", "<u2")])
"""An image as one cell sees it: what is sorted is read from files of these."""

_PAIRS = CLASSES**2


@dataclass(eq=False)
class Counts:
    """Sums over images, by stratum, cell and block; the last three over those of `protocol`.

    confusions: int [strata, cells, 49, blocks]; gaps: float64 [strata, cells, 15, blocks]; losses
    (log, Brier): float64 [strata, cells, 2, blocks]; labels: int [strata, 7, blocks], the images of
    each emotion. together: int [cells, cells], images that both have right; votes: int [cells,
    cells], groups that have more images right by the first; answers: int [2, cells, 49], groups
    that give an answer more often, and less often, than to the same model's whole faces.
    """

    folder: Path
    protocol: str
    confusions: npt.NDArray[np.int32]
    gaps: Floats
    losses: Floats
    labels: npt.NDArray[np.int32]
    together: Ints
    votes: Ints
    answers: Ints

    def records(self, cell: int) -> Path:
        """Return the file with the RECORDs of one cell."""
        return self.folder / f"cell-{cell}.records"


def count(dealt: Dealt, protocol: str) -> Counts:
    """Add up the buckets; what is paired is of the images of `protocol`.

    Raises:
        DamagedError: as `Dealt.buckets`.
    """
    cells, blocks = len(dealt.cells), dealt.blocks
    counts = Counts(
        folder=dealt.folder,
        protocol=protocol,
        confusions=np.zeros((3, cells, _PAIRS, blocks), np.int32),
        gaps=np.zeros((3, cells, ECE_BINS, blocks)),
        losses=np.zeros((3, cells, 2, blocks)),
        labels=np.zeros((3, CLASSES, blocks), np.int32),
        together=np.zeros((cells, cells), np.int64),
        votes=np.zeros((cells, cells), np.int64),
        answers=np.zeros((2, cells, _PAIRS), np.int64),
    )
    whole = [
        next((n for n, other in enumerate(dealt.cells) if other == (model, "full")), -1)
        for model, _ in dealt.cells
    ]
    for bucket in dealt.buckets():
        _add(counts, bucket, whole)
    return counts


def _add(counts: Counts, bucket: Bucket, whole: list[int]) -> None:
    """Add one bucket to the sums."""
    strata = _strata(bucket)
    scored = strata >= 0
    width = counts.labels.shape[-1]
    for stratum in range(3):
        mine = strata == stratum
        at = bucket.labels[mine] * width + bucket.blocks[mine]
        counts.labels[stratum] += np.bincount(at, minlength=CLASSES * width).reshape(-1, width)
    best = np.zeros(bucket.there.shape, np.int64)
    for cell, there in enumerate(bucket.there):
        mine = there & scored
        if mine.any():
            best[cell, mine] = _add_cell(counts, bucket, strata, cell, mine)
    _add_pairs(counts, bucket, np.isin(strata, STRATA[counts.protocol]), best, whole)


def _strata(bucket: Bucket) -> Ints:
    """Return each image's stratum [n], -1 for training images, which no protocol scores."""
    test = bucket.splits == SPLITS.index("test")
    strata = np.where(test, 1 + bucket.leaked, -1)
    strata[bucket.splits == SPLITS.index("validation")] = 0
    return np.asarray(strata, np.int64)


def _add_cell(
    counts: Counts, bucket: Bucket, strata: Ints, cell: int, mine: npt.NDArray[np.bool_]
) -> Ints:
    """Add one cell's images to its sums and to its file; return their predicted classes."""
    single = bucket.values[cell, mine]
    values, labels = single.astype(np.float64), bucket.labels[mine]
    blocks, stratum = bucket.blocks[mine], strata[mine]
    width = counts.labels.shape[-1]
    best = np.asarray(values.argmax(axis=1), np.int64)
    bins, gaps = calibration_gaps(values, labels)
    losses = log_losses(values, labels), brier_losses(values, labels)
    for one in np.unique(stratum):
        some = stratum == one
        place = blocks[some]
        at = (labels[some] * CLASSES + best[some]) * width + place
        found = np.bincount(at, minlength=_PAIRS * width).reshape(-1, width)
        counts.confusions[one, cell] += found.astype(np.int32)
        at = bins[some] * width + place
        counts.gaps[one, cell] += np.bincount(at, gaps[some], ECE_BINS * width).reshape(-1, width)
        for kind, loss in enumerate(losses):
            counts.losses[one, cell, kind] += np.bincount(place, loss[some], width)
    records = np.empty(len(labels), RECORD)
    records["p"], records["label"] = single, labels
    records["stratum"], records["block"] = stratum, blocks
    with counts.records(cell).open("ab") as file:
        records.tofile(file)
    return best


def _add_pairs(
    counts: Counts, bucket: Bucket, chosen: npt.NDArray[np.bool_], best: Ints, whole: list[int]
) -> None:
    """Add what is paired by image, and what groups vote for, over the chosen images."""
    there, labels = bucket.there[:, chosen], bucket.labels[chosen]
    groups, best = bucket.groups[chosen], best[:, chosen]
    right = (best == labels) & there
    hits = right.astype(np.float32)  # whole numbers far below 2^24
    counts.together += (hits @ hits.T).astype(np.int64)
    by_group = np.stack([np.bincount(groups[one], minlength=bucket.group_count) for one in right])
    for cell, own in enumerate(by_group):
        counts.votes[cell] += (own > by_group).sum(axis=1)
    base = (groups * CLASSES + labels) * CLASSES
    size = bucket.group_count * _PAIRS
    for cell, full in enumerate(whole):
        if full in (-1, cell) or not (there[cell].any() and there[full].any()):
            continue
        net = np.bincount(base + best[cell], minlength=size)
        net -= np.bincount(base + best[full], minlength=size)
        net = net.reshape(-1, _PAIRS)
        counts.answers[0, cell] += (net > 0).sum(axis=0)
        counts.answers[1, cell] += (net < 0).sum(axis=0)
