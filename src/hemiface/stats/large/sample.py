"""A Sample of a table that outgrows memory: the same questions, answered from counts.

What is resampled are the groups, as everywhere, where there are no more than BLOCKS of them; the
draws are then the very same. Where there are more, each group goes by a hash of its name to one of
BLOCKS blocks, and blocks are resampled: the method of random groups. A sum over a block is a sum
over independent groups, so the variance over blocks estimates the same as that over groups, with a
standard error known to about 1 / sqrt(2 BLOCKS), 1.6 %.

Source: Wolter 2007, Introduction to Variance Estimation, 2nd ed., ch. 2 (random groups).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.data.parts import Parts
from hemiface.files import passing_folder
from hemiface.stats.large.buckets import BLOCKS, Dealt, deal
from hemiface.stats.large.counts import RECORD, STRATA, Counts, count
from hemiface.stats.large.ranks import Ranked, Scored, rank
from hemiface.stats.metrics import (
    CLASSES,
    METRICS,
    PROTOCOLS,
    average_auc,
    class_rows,
    class_table,
    confusion_rows,
    known_metrics,
)
from hemiface.stats.sample import (
    Cell,
    PairedCounts,
    Progress,
    Sample,
    Scores,
    checked,
    draws_of,
)
from hemiface.stats.scores import scores_of_counts
from hemiface.stats.significance import effective_units
from hemiface.tables import SPLITS, Predictions

__all__ = ["GAPS", "LARGE_METRICS", "CountedSample", "counted"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LARGE_METRICS = tuple(name for name in METRICS if name != "weighted_auc_paper")
"""All but the area of the average curve, whose points are those of all images at once."""

GAPS = (
    "These predictions outgrow memory and were counted in parts (HEMIFACE_MAX_MEMORY_ROWS says "
    "from how many rows on); scores and comparisons are those of all rows.",
    "weighted_auc_paper needs the curves of all images at once and isn't computed; weighted_auc "
    "is.",
    "Left and right, temperatures, reliability, risk-coverage, information, sensitivity and the "
    "importance of regions need every image several times and aren't computed; give a sample of "
    "the rows, or raise HEMIFACE_MAX_MEMORY_ROWS where there is the memory.",
)
"""What a table that outgrows memory doesn't give, in sentences."""

_CHUNK = 1 << 18
_MICRO = -1


@dataclass(frozen=True, eq=False, kw_only=True)
class CountedSample(Sample):
    """A Sample whose images aren't in memory: `table` and `whole` have a row per cell, no image.

    Its `scores`, `paired`, `class_scores` and `confusions` come from `counts`; a statistic that
    asks for images finds none, so `report.large` computes those alone that don't.
    """

    dealt: Dealt
    counts: Counts
    _ranks: dict[tuple[int, tuple[int, ...], int], Ranked] = field(default_factory=dict, repr=False)

    @cached_property
    def strata(self) -> tuple[int, ...]:
        """The strata of the protocol; () where it needs to be known who leaked and nobody does."""
        if self.protocol == "leak-free" and "leaked" in self.whole.facts.get("unknown", ()):
            return ()
        return STRATA[self.protocol]

    @cached_property
    def every_cell(self) -> list[Cell]:
        """As `Sample.every_cell`."""
        return list(self.dealt.cells)

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells that have images of every split of the protocol."""
        needed = [SPLITS.index(split) for split in PROTOCOLS[self.protocol]]
        return [
            cell
            for place, cell in enumerate(self.every_cell)
            if self.strata and self.dealt.sizes[place, needed].all() and self._support.any()
        ]

    @cached_property
    def _support(self) -> Ints:
        """Images of each emotion by block, int [7, blocks]."""
        return np.asarray(self.counts.labels[list(self.strata)].sum(axis=0), np.int64)

    @cached_property
    def _blocks(self) -> Ints:
        """The blocks that have an image of the protocol."""
        return np.flatnonzero(self._support.sum(axis=0)).astype(np.int64)

    @property
    def group_count(self) -> int:
        """How many groups, or blocks of them, are resampled."""
        return len(self._blocks)

    @property
    def weights(self) -> Any:
        """As `Sample.weights`, of the blocks."""
        return draws_of(self.group_count, self.options)

    @cached_property
    def support(self) -> Ints:
        """As `Sample.support`."""
        return np.asarray(self._support.sum(axis=1), np.int64)

    @cached_property
    def emotion_groups(self) -> Ints:
        """As `Sample.emotion_groups`, of the blocks."""
        own = (self._support > 0).sum(axis=1)
        return np.append(own, self.group_count).astype(np.int64)

    @cached_property
    def emotion_bearing(self) -> npt.NDArray[np.float64]:
        """As `Sample.emotion_bearing`, of the blocks."""
        sizes = self._support[:, self._blocks].astype(np.float64)
        return effective_units(np.vstack([sizes, sizes.sum(axis=0)]))

    @cached_property
    def effective_groups(self) -> float:
        """As `Sample.effective_groups`, of the blocks."""
        return float(self.emotion_bearing[-1])

    def groups_of(self, cell: Cell) -> float:
        """As `Sample.groups_of`, of the blocks."""
        return self.effective_groups if cell in self.cells else 0.0

    def aligned_cells(self) -> tuple[Cell, ...]:
        """As `Sample.aligned_cells`."""
        self.require_images()
        return tuple(self.cells)

    def require_images(self) -> None:
        """As `Sample.require_images`."""
        if not self.cells:
            super().require_images()

    def size(self, cell: Cell) -> int:
        """As `Sample.size`."""
        return int(self.support.sum()) if cell in self.cells else 0

    def group_confusions(self, cell: Cell) -> Floats:
        """As `Sample.group_confusions`."""
        place = self.every_cell.index(cell)
        counts = self.counts.confusions[list(self.strata), place].sum(axis=0)
        return np.asarray(counts[:, self._blocks], np.float64)

    def answer_votes(self, model: str, condition: str) -> tuple[Ints, Ints]:
        """As `Sample.answer_votes`."""
        self._require_paired()
        more, fewer = self.counts.answers[:, self.every_cell.index((model, condition))]
        return more.reshape(CLASSES, CLASSES), fewer.reshape(CLASSES, CLASSES)

    @cached_property
    def paired(self) -> PairedCounts:
        """As `Sample.paired`."""
        self._require_paired()
        return _Pairs(self)

    def _require_paired(self) -> None:
        assert self.protocol == self.counts.protocol, self.protocol  # noqa: S101

    def scores(
        self, metrics: Sequence[str] | None = None, progress: Progress | None = None
    ) -> dict[Cell, Scores]:
        """As `Sample.scores`, but all metrics are LARGE_METRICS.

        The areas of draws are those of `ranks.Ranked.over_draws`; the sample's own are exact.
        """
        chosen = known_metrics(LARGE_METRICS if metrics is None else metrics)
        for done, cell in enumerate(self.every_cell, start=1):
            missing = [one for one in chosen if one not in self._scores.get(cell, {})]
            if missing:
                self._scores.setdefault(cell, {}).update(self._score(cell, missing))
            if missing and progress:
                progress(done, len(self.every_cell))
        return {
            cell: {name: self._scores[cell][name] for name in chosen} for cell in self.every_cell
        }

    def _score(self, cell: Cell, metrics: Sequence[str]) -> Scores:
        weights = self.weights.astype(np.float64)
        if cell not in self.cells or "weighted_auc_paper" in metrics:
            undefined = metrics if cell not in self.cells else ["weighted_auc_paper"]
            found = {name: np.full(weights.shape[1], np.nan) for name in undefined}
            rest = [name for name in metrics if name not in found]
            return found | (self._score(cell, rest) if rest else {})
        place, strata = self.every_cell.index(cell), list(self.strata)
        confusions = self.group_confusions(cell)
        gaps, losses = (
            part[strata, place].sum(axis=0)[:, self._blocks]
            for part in (self.counts.gaps, self.counts.losses)
        )
        found = scores_of_counts(metrics, confusions, gaps, losses, weights)
        if {"weighted_auc", "macro_auc"} & set(metrics):
            areas = np.stack([self._area(place, one, weights) for one in range(CLASSES)], axis=-1)
            support = (self._support[:, self._blocks] @ weights).T
            for name in {"weighted_auc", "macro_auc"} & set(metrics):
                found[name] = average_auc(name, areas, support)
        if "micro_auc" in metrics:
            found["micro_auc"] = self._area(place, _MICRO, weights)
        return {name: found[name] for name in metrics}

    def _area(self, cell: int, emotion: int, weights: Floats) -> Floats:
        whole = np.zeros((self.dealt.blocks, weights.shape[1]))
        whole[self._blocks] = weights
        return self._ranked(cell, emotion).over_draws(whole)

    def _ranked(self, cell: int, emotion: int) -> Ranked:
        """Return the ranks of one emotion's scores, or of all seven at once, which are kept."""
        # Protocols that differ by strata without images have the same ranks.
        used = tuple(one for one in self.strata if self.counts.labels[one].any())
        key = cell, used, emotion
        if key not in self._ranks:
            chunks = self._chunks(cell, used, emotion)
            self._ranks[key] = rank(chunks, self.dealt.blocks, self.dealt.folder)
        return self._ranks[key]

    def _chunks(
        self, cell: int, strata: tuple[int, ...], emotion: int
    ) -> Callable[[], Iterator[Scored]]:
        def read() -> Iterator[Scored]:
            with self.counts.records(cell).open("rb") as file:
                while len(records := np.fromfile(file, RECORD, _CHUNK)):
                    kept = records[np.isin(records["stratum"], strata)]
                    blocks = kept["block"].astype(np.int64)
                    if emotion == _MICRO:
                        positive = kept["label"][:, None] == np.arange(CLASSES)
                        yield kept["p"].ravel(), positive.ravel(), np.repeat(blocks, CLASSES)
                    else:
                        yield kept["p"][:, emotion].copy(), kept["label"] == emotion, blocks

        return read

    def class_scores(self) -> pd.DataFrame:
        """As `Sample.class_scores`."""
        rows: list[tuple[Any, ...]] = []
        for cell in self.cells:
            place = self.every_cell.index(cell)
            counts = self.group_confusions(cell).sum(axis=1).reshape(CLASSES, CLASSES)
            ranked = [self._ranked(place, one) for one in range(CLASSES)]
            curves = [(one.area, one.average_precision) for one in ranked]
            rows += class_rows(cell, counts, curves)
        return class_table(rows)

    def confusions(self) -> pd.DataFrame:
        """As `Sample.confusions`."""
        return confusion_rows(
            (cell, self.group_confusions(cell).sum(axis=1).reshape(CLASSES, CLASSES))
            for cell in self.cells
        )


@dataclass(frozen=True, eq=False)
class _Pairs(PairedCounts):
    """Counts of pairs of cells from the images that both have right."""

    sample: CountedSample

    def images(self, a: Cell, b: Cell) -> tuple[int, int, int, int]:
        """As `PairedCounts.images`."""
        both, own, others = (int(self._of(*two)) for two in ((a, b), (a, a), (b, b)))
        n = self.sample.size(a)
        return both, own - both, others - both, n - own - others + both

    def votes(self, a: Cell, b: Cell) -> tuple[int, int]:
        """As `PairedCounts.votes`."""
        first, second = (self.sample.every_cell.index(one) for one in (a, b))
        known = self.sample.counts.votes
        return int(known[first, second]), int(known[second, first])

    def hits(self, cells: Sequence[Cell]) -> tuple[Floats, float]:
        """As `PairedCounts.hits`: the sum of squared rows is that of all pairs of cells."""
        both = np.array([[self._of(a, b) for b in cells] for a in cells], dtype=np.float64)
        column = both.diagonal()
        return column, float(len(cells) * column.sum() - both.sum())

    def _of(self, a: Cell, b: Cell) -> int:
        cells = self.sample.every_cell
        return int(self.sample.counts.together[cells.index(a), cells.index(b)])


@contextmanager
def counted(
    parts: Parts,
    protocols: Sequence[str],
    options: StatisticsOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[dict[str, CountedSample]]:
    """Yield a CountedSample for each protocol, whose files are there until the end.

    What is paired is of the first protocol that has images. Temporary files take about as much
    space as the rows have in memory, in the system's folder for them (TMPDIR).

    Raises:
        UsageError: there is no such protocol, or an option is out of range.
        DamagedError: as `buckets.deal` and `Dealt.buckets`.
    """
    chosen = checked(options)
    with passing_folder() as folder:
        dealt = deal(parts, folder, progress)
        there = [one for one in protocols if _has_images(dealt, one)]
        counts = count(dealt, there[0] if there else protocols[0])
        whole = _whole(parts, dealt)
        ranks: dict[Any, Ranked] = {}
        yield {
            one: CountedSample(
                whole, one, chosen, whole.table.iloc[:0], dealt=dealt, counts=counts, _ranks=ranks
            )
            for one in protocols
        }


def _has_images(dealt: Dealt, protocol: str) -> bool:
    needed = [SPLITS.index(split) for split in PROTOCOLS[protocol]]
    return bool(dealt.sizes[:, needed].all(axis=1).any())


def _whole(parts: Parts, dealt: Dealt) -> Predictions:
    """Return the facts with a table that has a row for each cell and names no image."""
    table = pd.DataFrame(dealt.cells, columns=["model", "condition"])
    return Predictions(table.assign(dataset=next(iter(dealt.datasets), "")), parts.facts)


assert np.iinfo(RECORD["block"]).max + 1 >= BLOCKS  # noqa: S101
