"""Who ranks above whom among scores that lie in a file, exactly, and what it means for each block.

The area under the ROC curve is the share of pairs of a positive and a negative in which the
positive scores more, ties counting half. Scores are sorted a range of values at a time, so that
memory doesn't depend on how many there are; float32 scores of 0 to 1 are in the order of their
bits.

A draw's area follows from each image's placement value, the share of the other kind that it beats
(DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837-845): to first order the area moves by the
mean placement value of the positives drawn and that of the negatives (Hajek's projection; van der
Vaart 1998, Asymptotic Statistics, ch. 11 and 12). What is left out has the order 1 / n, where the
interval's width has 1 / sqrt(n).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemiface.stats.metrics import ratio

__all__ = ["Ranked", "Scored", "rank"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scored = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], Ints]
"""Scores in [0, 1], which of them are positives, and the block of each, [n] all three."""

MOST_SORTED = 1_000_000
"""Scores that are sorted at a time, unless more have the same leading 16 bits."""

_TOP = 16


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


def rank(chunks: Callable[[], Iterator[Scored]], blocks: int) -> Ranked:
    """Rank what `chunks` yields, which is asked for it several times."""
    top, positives, negatives = _histogram(chunks, blocks)
    hits, others = positives.sum(), negatives.sum()
    over = np.zeros((2, blocks))
    lost, precision = 0.0, 0.0
    above = np.zeros(2)  # positives and negatives with more than the range's scores
    for low, high in _ranges(top):
        levels, count = _levels(chunks, low, high)
        # Running sums from the largest score down, without the level itself.
        better = above + count[::-1].cumsum(axis=0)[::-1] - count
        above = above + count.sum(axis=0)
        lost += float((count[:, 0] * (2 * better[:, 1] + count[:, 1])).sum()) / 2
        answered = (better + count).sum(axis=1)
        precision += float((count[:, 0] * ratio(better[:, 0] + count[:, 0], answered)).sum())
        half = better + count / 2
        beats = np.stack([1 - ratio(half[:, 1], others), ratio(half[:, 0], hits)])
        for keys, positive, block in _within(chunks, low, high):
            value = beats[1 - positive.astype(np.int64), np.searchsorted(levels, keys)]
            for kind, mine in enumerate((positive, ~positive)):
                over[kind] += np.bincount(block[mine], value[mine], blocks)
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


def _ranges(top: Ints) -> Iterator[tuple[int, int]]:
    """Yield ranges of leading bits [low, high), the highest first, of MOST_SORTED or one value."""
    used = np.flatnonzero(top)[::-1]
    if not len(used):
        return
    high, held = int(used[0]) + 1, 0
    for one in used:
        if held and held + top[one] > MOST_SORTED:
            yield int(one) + 1, high
            high, held = int(one) + 1, 0
        held += int(top[one])
    yield 0, high


def _within(
    chunks: Callable[[], Iterator[Scored]], low: int, high: int
) -> Iterator[tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_], Ints]]:
    for scores, positive, block in chunks():
        keys = _keys(scores)
        leading = keys >> _TOP
        mine = (leading >= low) & (leading < high)
        yield keys[mine], positive[mine], block[mine]


def _levels(
    chunks: Callable[[], Iterator[Scored]], low: int, high: int
) -> tuple[npt.NDArray[np.uint32], Floats]:
    """Return the distinct keys of a range, ascending, and how many positives and negatives each."""
    found, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for keys, positive, _ in _within(chunks, low, high):
        both, count = np.unique(keys.astype(np.uint64) << 1 | positive, return_counts=True)
        found.append(both)
        counts.append(count)
    both, count = np.concatenate(found), np.concatenate(counts)
    levels, place = np.unique(both >> 1, return_inverse=True)
    kinds = np.zeros((len(levels), 2))
    np.add.at(kinds, (place, 1 - (both & 1).astype(np.int64)), count)
    return levels.astype(np.uint32), kinds
