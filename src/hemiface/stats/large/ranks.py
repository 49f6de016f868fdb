"""Who ranks above whom among scores that lie in a file, exactly, and what it means for each block.

The area under the ROC curve is the share of pairs of a positive and a negative in which the
positive scores more, ties counting half. Scores are dealt to files by range of value and sorted
range by range: an external bucket sort, whose time grows as their number does, and whose memory
doesn't up to a hundred million of them (above, it is that of a hundredth). float32 scores of 0 to 1
are in the order of their bits.

A draw's area follows from each image's placement value, the share of the other kind that it beats
(DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837-845): to first order the area moves by the
mean placement value of the positives drawn and that of the negatives (Hajek's projection; van der
Vaart 1998, Asymptotic Statistics, ch. 11 and 12). What is left out has the order 1 / n, where the
interval's width has 1 / sqrt(n).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemiface.stats.large.buckets import MOST_FILES
from hemiface.stats.metrics import ratio

__all__ = ["Ranked", "Scored", "rank"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scored = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Ints]
"""Scores in [0, 1], which of them are positives, and the block of each, [n] all three."""

MOST_SORTED = 1_000_000
"""Scores that are sorted at a time, unless more have the same leading 16 bits, or MOST_FILES would
not do."""

_TOP = 16
_KIND, _KEY = np.uint64(16), np.uint64(17)
"""A score in one number, which its file has: the bits of the score from _KEY on, whether it is a
positive at _KIND, its block below."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Positives against negatives: the area, the average precision, and sums over each block.

    positives and negatives count them, [blocks]; over_positives and over_negatives are the sums of
    their placement values minus the area, [blocks]. NaN where there is nothing to rank.
    """

    area: float
    average_precision: float
    positives: Floats
    negatives: Floats
    over_positives: Floats
    over_negatives: Floats

    def over_draws(self, weights: Floats) -> Floats:
        """Return the area [draws] to first order, for weights [blocks, draws]."""
        moved = ratio(self.over_positives @ weights, self.positives @ weights)
        moved = moved + ratio(self.over_negatives @ weights, self.negatives @ weights)
        return np.clip(self.area + moved, 0, 1)


def rank(chunks: Callable[[], Iterator[Scored]], blocks: int, folder: Path) -> Ranked:
    """Rank what `chunks` yields, which is asked for it twice.

    Scores are dealt to files in `folder` by range and read again range by range, so that the work
    grows as their number does. The files are gone when this returns.
    """
    top, positives, negatives = _histogram(chunks, blocks)
    hits, others = positives.sum(), negatives.sum()
    over = np.zeros((2, blocks))
    lost, precision = 0.0, 0.0
    above = np.zeros(2)  # positives and negatives with more than the range's scores
    for packed in _by_range(chunks, top, folder):
        positive = (packed >> _KIND & np.uint64(1)).astype(bool)
        block = packed.astype(np.uint16)
        level, count = _levels(packed >> _KEY, positive)
        # Running sums from the largest score down, without the level itself.
        better = above + count[::-1].cumsum(axis=0)[::-1] - count
        above = above + count.sum(axis=0)
        lost += float((count[:, 0] * (2 * better[:, 1] + count[:, 1])).sum()) / 2
        answered = (better + count).sum(axis=1)
        precision += float((count[:, 0] * ratio(better[:, 0] + count[:, 0], answered)).sum())
        half = better + count / 2
        beats = np.stack([1 - ratio(half[:, 1], others), ratio(half[:, 0], hits)])
        for kind, mine in enumerate((positive, ~positive)):
            over[kind] += np.bincount(block[mine], beats[kind][level[mine]], blocks)
    area = float(1 - ratio(lost, hits * others))
    return Ranked(
        area=area,
        average_precision=float(ratio(precision, hits)),
        positives=positives,
        negatives=negatives,
        over_positives=over[0] - area * positives,
        over_negatives=over[1] - area * negatives,
    )


def _keys(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    return (scores + np.float32(0)).view(np.uint32)  # -0 becomes 0


def _histogram(chunks: Callable[[], Iterator[Scored]], blocks: int) -> tuple[Ints, Floats, Floats]:
    """Return how many scores have each leading 16 bits, and both kinds in each block."""
    top = np.zeros(1 << _TOP, np.int64)
    kinds = np.zeros((2, blocks))
    for scores, positive, block in chunks():
        top += np.bincount(_keys(scores) >> _TOP, minlength=1 << _TOP)
        for kind, mine in enumerate((positive, ~positive)):
            kinds[kind] += np.bincount(block[mine], minlength=blocks)
    return top, kinds[0], kinds[1]


def _ranges(top: Ints) -> list[int]:
    """Return the bounds in leading bits of ranges [low, high), the highest first, then 0."""
    most = max(MOST_SORTED, -(-int(top.sum()) // (MOST_FILES // 2)))
    used = np.flatnonzero(top)[::-1]
    bounds, held = [1 << _TOP], 0
    for one in used:
        if held and held + top[one] > most:
            bounds.append(int(one) + 1)
            held = 0
        held += int(top[one])
    return [*bounds, 0]


def _by_range(
    chunks: Callable[[], Iterator[Scored]], top: Ints, folder: Path
) -> Iterator[npt.NDArray[np.uint64]]:
    """Yield the scores of each range, packed and ascending; the highest range first."""
    bounds = _ranges(top)
    # The range of each value of the leading bits, counted from the highest.
    ranges = np.empty(1 << _TOP, np.uint8)
    for number, (high, low) in enumerate(pairwise(bounds)):
        ranges[low:high] = number
    paths = [folder / f"{number:03}.scores" for number in range(len(bounds) - 1)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for scores, positive, block in chunks():
            keys = _keys(scores)
            packed = keys.astype(np.uint64) << _KEY | positive.astype(np.uint64) << _KIND
            packed |= block.astype(np.uint64)
            place = ranges[keys >> _TOP]
            packed = packed[np.argsort(place, kind="stable")]
            ends = np.bincount(place, minlength=len(files)).cumsum()
            for file, part in zip(files, np.split(packed, ends[:-1]), strict=True):
                part.tofile(file)
    for path in paths:
        found = np.fromfile(path, np.uint64)
        path.unlink()
        found.sort()
        yield found


def _levels(keys: npt.NDArray[np.uint64], positive: npt.NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """Return the level of each of ascending keys, and each level's positives and negatives."""
    level = np.zeros(len(keys), np.int64)
    np.cumsum(keys[1:] != keys[:-1], out=level[1:])
    levels = int(level[-1]) + 1 if len(level) else 0
    kinds = [np.bincount(level[mine], minlength=levels) for mine in (positive, ~positive)]
    return level, np.column_stack(kinds).astype(np.float64)
