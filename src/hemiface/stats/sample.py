"""The sample that every statistic of a protocol is computed from: selected, aligned and drawn once.

A statistic is a function `f(sample) -> table`. `Sample.of` selects a protocol's images, names the
models, and holds the draws; what else several statistics need (aligned cells, scores over all
draws) is computed when it is first asked for and kept. Tables of one report can't differ in their
images or draws, because they have the same object.

What is resampled is `group` (near duplicates, or one person), never the row: images of one group
share their fate, so rows drawn one by one would pretend to more independent evidence than there is.
A draw is a vector of integer weights, how often each group was drawn, and every metric is a
function of weighted sums. So a draw needs no resampled table, and all metrics of all models under
all conditions are computed on the same draws (paired).

Sources: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13; Field & Welsh 2007,
Bootstrapping clustered data, JRSS B 69 (the cluster bootstrap).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.stats.metrics import (
    CLASSES,
    class_scores,
    confusion,
    known_metrics,
    select_protocol,
)
from hemiface.stats.scores import scores_over_draws
from hemiface.stats.significance import effective_units
from hemiface.tables import Predictions, label_indices, probabilities
from hemiface.threads import in_threads

__all__ = [
    "Aligned",
    "Cell",
    "PairedCounts",
    "Progress",
    "Sample",
    "Scores",
    "Weights",
    "checked",
    "draws_of",
    "group_weights",
    "sizes_by_emotion",
    "whole_reader",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Weights = npt.NDArray[np.int16]
Progress = Callable[[int, int], None]
Cell = tuple[str, str]
"""(model ID, condition)."""
Scores = dict[str, Floats]
"""Metrics as float64 [1 + draws]: of the sample itself, then of its draws."""

VALIDATION = "validation"
"""What temperatures and members of ensembles are chosen on: no protocol that is reported."""


def whole_reader(names: Iterable[str]) -> str:
    """Return which of the networks reads whole faces for the specialists: `longer`, else `full`.

    Specialists went on training from the baseline, and `longer` did so with whole faces; beside the
    baseline itself their gains could come of going on at all.

    >>> whole_reader(["full", "upper", "longer"]), whole_reader(["full", "upper"])
    ('longer', 'full')
    """
    return "longer" if "longer" in set(names) else "full"


@dataclass(frozen=True)
class Aligned:
    """Cells (model ID, condition) over the same images in the same order.

    rows: int [cells, n], where each cell's images stand in the table; labels and groups: int [n];
    group_count: how many groups there are.
    """

    cells: tuple[Cell, ...]
    rows: Ints
    labels: Ints
    groups: Ints
    group_count: int

    def at(self, model: str, condition: str) -> Ints:
        """Return the rows [n] of one cell."""
        rows: Ints = self.rows[self.cells.index((model, condition))]
        return rows


class PairedCounts(ABC):
    """What tests of two or more cells need of their images: who got how many right together."""

    @abstractmethod
    def images(self, a: Cell, b: Cell) -> tuple[int, int, int, int]:
        """Return how many images both have right, only a, only b, and neither."""

    @abstractmethod
    def votes(self, a: Cell, b: Cell) -> tuple[int, int]:
        """Return how many groups have more images right by a than by b, and by b than by a."""

    @abstractmethod
    def hits(self, cells: Sequence[Cell]) -> tuple[Floats, float]:
        """Return the hits of each cell [k], and the sum of each image's hits times its misses."""


class _Pairs(PairedCounts):
    """Counts of pairs from every image's answers."""

    def __init__(self, sample: "Sample") -> None:
        self._aligned = aligned = sample.aligned
        right = sample.values.argmax(axis=1) == sample.labels
        self._right = dict(zip(aligned.cells, right[aligned.rows], strict=True))

    def images(self, a: Cell, b: Cell) -> tuple[int, int, int, int]:
        """As `PairedCounts.images`."""
        one, other = self._right[a], self._right[b]
        four = one & other, one & ~other, ~one & other, ~one & ~other
        both, only_a, only_b, neither = (int(part.sum()) for part in four)
        return both, only_a, only_b, neither

    def votes(self, a: Cell, b: Cell) -> tuple[int, int]:
        """As `PairedCounts.votes`."""
        net = self._right[a].astype(np.float64) - self._right[b]
        net = np.bincount(self._aligned.groups, net, self._aligned.group_count)
        return int((net > 0).sum()), int((net < 0).sum())

    def hits(self, cells: Sequence[Cell]) -> tuple[Floats, float]:
        """As `PairedCounts.hits`."""
        right = np.stack([self._right[cell] for cell in cells], axis=1).astype(np.float64)
        row = right.sum(axis=1)
        return right.sum(axis=0), float((row * (len(cells) - row)).sum())


@dataclass(frozen=True, eq=False)
class Sample:
    """The images of one protocol with everything that statistics of them share.

    Made by `Sample.of`. `table` holds the selected rows of the Predictions table with a fresh
    index; `whole` is what they were selected from, whose facts (names, seeds, flips) describe them.
    """

    whole: Predictions
    protocol: str
    options: StatisticsOptions
    table: pd.DataFrame
    _scores: dict[Cell, Scores] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        predictions: "Sample | Predictions",
        protocol: str = "standard",
        options: StatisticsOptions | None = None,
    ) -> "Sample":
        """Select the images of a protocol (see `metrics.PROTOCOLS`) or the validation images.

        A Sample is handed back as it is, so that every statistic takes either: Predictions then
        stand for their standard protocol with the default options.

        Raises:
            UsageError: there is no such protocol, or an option is out of range.
        """
        if isinstance(predictions, Sample):
            return predictions
        chosen = checked(options)
        rows = predictions.table
        if protocol == VALIDATION:
            selected = rows[rows["split"] == VALIDATION]
        else:
            selected = select_protocol(rows, protocol)
            if protocol == "leak-free" and "leaked" in predictions.facts.get("unknown", ()):
                selected = selected.iloc[:0]
        return cls(predictions, protocol, chosen, selected.reset_index(drop=True))

    @classmethod
    def whole_table(
        cls, predictions: Predictions, options: StatisticsOptions | None = None
    ) -> "Sample":
        """Take all rows as they are, of whatever split.

        Raises:
            UsageError: an option is out of range.
        """
        rows = predictions.table.reset_index(drop=True)
        return cls(predictions, "all", checked(options), rows)

    @cached_property
    def kept(self) -> dict[tuple[str, ...], Any]:
        """What statistics computed of it and will ask for again, by their own keys."""
        return {}

    @cached_property
    def validation(self) -> "Sample":
        """The validation images of the same predictions, on which temperatures are fitted."""
        return Sample.of(self.whole, VALIDATION, self.options)

    @cached_property
    def names(self) -> pd.DataFrame:
        """`Predictions.names`.

        Raises:
            UsageError: two models have one name and seed.
        """
        names = self.whole.names
        twice = names.duplicated(["name", "seed"], keep=False)
        if twice.any():
            both = names[twice]
            raise UsageError(
                f"Models {', '.join(both['model'])} are all {both['name'].iloc[0]} with seed "
                f"{both['seed'].iloc[0]}; give each its own seed."
            )
        return names

    @cached_property
    def name_and_seed(self) -> dict[str, tuple[str, str]]:
        """(name, seed as text) by model ID; errors as `names`."""
        rows = self.names.itertuples(index=False)
        return {str(one.model): (str(one.name), str(one.seed)) for one in rows}

    @cached_property
    def every_cell(self) -> list[Cell]:
        """Each (model, condition) of the whole table, in order of appearance."""
        cells = self.whole.table[["model", "condition"]].drop_duplicates()
        return [(str(model), str(key)) for model, key in cells.itertuples(index=False, name=None)]

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells of `every_cell` that have images in this protocol."""
        return [cell for cell in self.every_cell if cell in self.places]

    @cached_property
    def conditions(self) -> list[str]:
        """The conditions of `cells`, in order of appearance."""
        return list(dict.fromkeys(condition for _, condition in self.cells))

    @cached_property
    def values(self) -> Floats:
        """The probabilities of `table`, float64 [rows, 7]."""
        return probabilities(self.table)

    @cached_property
    def labels(self) -> Ints:
        """The labels of `table`, int64 [rows]."""
        return label_indices(self.table)

    @cached_property
    def _grouped(self) -> tuple[Ints, int]:
        # Sorted, so that the rows' order doesn't matter.
        codes, known = pd.factorize(self.table["group"], sort=True)
        return codes.astype(np.int64), len(known)

    @property
    def groups(self) -> Ints:
        """Each row's group as an index, int64 [rows]."""
        return self._grouped[0]

    @property
    def group_count(self) -> int:
        """How many groups there are to resample."""
        return self._grouped[1]

    @cached_property
    def places(self) -> dict[Cell, Ints]:
        """Where each cell's rows stand in `table`, in their own order."""
        cells, place = cell_codes(self.table)
        order = np.argsort(place, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(place, minlength=len(cells)))[:-1])
        return dict(zip(cells, parts, strict=True)) if cells else {}

    def size(self, cell: Cell) -> int:
        """Return how many images a cell has, 0 where it has none in this protocol."""
        return len(self.places.get(cell, ()))

    @property
    def weights(self) -> Weights:
        """How often each draw holds each group, int16 [groups, 1 + draws], read-only.

        Column 0 weighs every group once: it is the sample itself.
        """
        return draws_of(self.group_count, self.options)

    @cached_property
    def aligned(self) -> Aligned:
        """All cells over the same images.

        Raises:
            UsageError: the protocol has no image here, or two cells hold different images.
        """
        self.require_images()
        cells, place = cell_codes(self.table)
        images, known = pd.factorize(self.table["image"], sort=True)
        if len(self.table) != len(cells) * len(known):
            raise UsageError("Cells to compare must hold the same images; evaluate them together.")
        rows = np.lexsort((images, place)).astype(np.int64).reshape(len(cells), len(known))
        # As in the whole table: among a protocol's rows another cell may come first.
        rows = rows[[cells.index(cell) for cell in self.cells]]
        first = rows[0]
        return Aligned(
            tuple(self.cells), rows, self.labels[first], self.groups[first], self.group_count
        )

    def aligned_cells(self) -> tuple[Cell, ...]:
        """Return the cells, all over the same images; errors as `aligned`."""
        return self.aligned.cells

    @property
    def support(self) -> Ints:
        """How many images each emotion has, int [7]; errors as `aligned`."""
        return np.bincount(self.aligned.labels, minlength=CLASSES).astype(np.int64)

    @cached_property
    def emotion_groups(self) -> Ints:
        """How many groups have images of each emotion, then how many there are, int [8].

        What is said of one emotion rests on its own alone. Errors as `aligned`.
        """
        known = np.unique(np.stack([self.aligned.labels, self.aligned.groups]), axis=1)
        own = np.bincount(known[0], minlength=CLASSES)
        return np.append(own, self.group_count).astype(np.int64)

    @cached_property
    def effective_groups(self) -> float:
        """How many groups of like size the sample is worth (`significance.effective_units`)."""
        return float(effective_units(np.bincount(self.groups)))

    def groups_of(self, cell: Cell) -> float:
        """Return how many groups of like size a cell is worth, of the images that it has."""
        own = self.groups[self.places[cell]] if cell in self.places else ()
        return float(effective_units(np.bincount(own, minlength=1)))

    @cached_property
    def emotion_bearing(self) -> npt.NDArray[np.float64]:
        """Groups of like size that bear on each emotion, then on all, float64 [8].

        Errors as `aligned`.
        """
        return effective_units(
            sizes_by_emotion(self.aligned.labels, self.aligned.groups, self.group_count)
        )

    @cached_property
    def paired(self) -> PairedCounts:
        """What is counted of pairs of cells; errors as `aligned`."""
        return _Pairs(self)

    @cached_property
    def _predicted(self) -> Ints:
        return np.asarray(self.values.argmax(axis=1), np.int64)

    def group_confusions(self, cell: Cell) -> Any:
        """Return one cell's confusions in each group, sparse or dense [49, groups].

        Row 7 t + p counts images of emotion t that were taken for p; errors as `aligned`.
        """
        aligned = self.aligned
        cells = aligned.labels * CLASSES + self._predicted[aligned.at(*cell)]
        counts = np.ones(len(cells)), (cells, aligned.groups)
        return sparse.csr_array(counts, shape=(CLASSES**2, aligned.group_count))

    def answer_votes(self, model: str, condition: str) -> tuple[Ints, Ints]:
        """Return how many groups give each answer more often than on whole faces, and less often.

        Both int [7 true, 7 predicted]; errors as `aligned`.
        """
        aligned = self.aligned
        size = aligned.group_count * CLASSES**2
        base = (aligned.groups * CLASSES + aligned.labels) * CLASSES
        hidden, full = (
            np.bincount(base + self._predicted[aligned.at(model, one)], minlength=size)
            for one in (condition, "full")
        )
        net = (hidden - full).reshape(aligned.group_count, CLASSES, CLASSES)
        more, fewer = (net > 0).sum(axis=0), (net < 0).sum(axis=0)
        return np.asarray(more, np.int64), np.asarray(fewer, np.int64)

    def class_scores(self) -> pd.DataFrame:
        """Return `metrics.class_scores` of the sample's images."""
        return class_scores(self.table)

    def confusions(self) -> pd.DataFrame:
        """Return `metrics.confusion` of the sample's images."""
        return confusion(self.table)

    def require_images(self) -> None:
        """Raise UsageError if the protocol has no image here."""
        if self.table.empty:
            raise UsageError(
                f"The predictions hold no image of protocol {self.protocol}; evaluate with the "
                "splits it scores (--split test, and --split validation for paper)."
            )

    def scores(
        self, metrics: Sequence[str] | None = None, progress: Progress | None = None
    ) -> dict[Cell, Scores]:
        """Return metrics of every cell over the sample and its draws, by cell; by default all.

        A cell without images has NaN. What was scored before is kept, and the same for every
        statistic. `progress(done, total)` is called after every cell that is scored anew.

        Raises:
            UsageError: a metric is unknown.
        """
        chosen = known_metrics(metrics)
        missing = tuple(
            name
            for name in chosen
            if any(name not in self._scores.get(cell, {}) for cell in self.every_cell)
        )
        if missing:
            scored = self.score_cells(self.every_cell, missing)
            for done, (cell, found) in enumerate(scored, start=1):
                self._scores.setdefault(cell, {}).update(found)
                if progress:
                    progress(done, len(self.every_cell))
        return {
            cell: {name: self._scores[cell][name] for name in chosen} for cell in self.every_cell
        }

    def score_cells(
        self, cells: Iterable[Cell], metrics: Sequence[str]
    ) -> Iterator[tuple[Cell, Scores]]:
        """Yield each cell with its scores, several computed at a time."""
        values, labels, groups, weights = self.values, self.labels, self.groups, self.weights

        def score(cell: Cell) -> tuple[Cell, Scores]:
            rows = self.places.get(cell)
            if rows is None:
                return cell, {name: np.full(weights.shape[1], np.nan) for name in metrics}
            return cell, scores_over_draws(
                values[rows], labels[rows], groups[rows], weights, metrics
            )

        yield from in_threads(score, cells)


def checked(options: StatisticsOptions | None) -> StatisticsOptions:
    """Return the options, or the default ones.

    Raises:
        UsageError: one is out of range.
    """
    chosen = options or StatisticsOptions()
    if chosen.draws < 1 or not 0 < chosen.level < 1:
        raise UsageError(
            f"draws must be 1 or more and level in (0, 1), got {chosen.draws} and {chosen.level}."
        )
    if not 0 < chosen.margin < 1:
        raise UsageError(
            f"margin must lie between 0 and 1, as a difference of shares does, got {chosen.margin}."
        )
    return chosen


def cell_codes(table: pd.DataFrame) -> tuple[list[Cell], Ints]:
    """Return the cells of a table in order of appearance, and int [rows]: the cell of each row."""
    models, names = pd.factorize(table["model"])
    conditions, keys = pd.factorize(table["condition"])
    place, found = pd.factorize(models.astype(np.int64) * len(keys) + conditions)
    pairs = [divmod(int(one), len(keys)) for one in found]
    cells = [(str(names[model]), str(keys[key])) for model, key in pairs]
    return cells, place.astype(np.int64)


def sizes_by_emotion(labels: Ints, groups: Ints, count: int) -> npt.NDArray[np.float64]:
    """Return how many images of each emotion, then of all, each group has, float64 [8, count].

    labels: int [n] in 0..6; groups: int [n] in 0..count - 1.
    """
    sizes = np.zeros((CLASSES, count))
    np.add.at(sizes, (labels, groups), 1.0)
    return np.vstack([sizes, sizes.sum(axis=0)])


def group_weights(groups: int, draws: int, seed: int = 0) -> Weights:
    """Return int16 [groups, draws]: how often each draw holds each group.

    A draw takes `groups` groups with replacement, so each column sums to `groups` (a multinomial
    sample). The same arguments give the same draws, and fewer draws the first ones of more.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((groups, draws), dtype=np.int16)
    for draw in range(draws if groups else 0):
        weights[:, draw] = np.bincount(rng.integers(groups, size=groups), minlength=groups)
    return weights


def draws_of(groups: int, options: StatisticsOptions) -> Weights:
    """Return int16 [groups, 1 + draws]: each group once, then as often as each draw holds it."""
    return _sample_and_draws(groups, options.draws, options.seed)


# The protocols of a table often have the same number of groups, and a draw depends on nothing else.
@lru_cache(maxsize=4)
def _sample_and_draws(groups: int, draws: int, seed: int) -> Weights:
    sample = np.ones((groups, 1), dtype=np.int16)
    weights = np.hstack([sample, group_weights(groups, draws, seed)])
    weights.flags.writeable = False
    return weights
