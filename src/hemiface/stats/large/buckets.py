"""Rows dealt by group to files: each holds whole groups and fits into memory.

One pass over the parts. Which file a row goes to is a hash of its group, so that all rows of a
group, and with them all rows of an image, come together again; what is paired by image or counted
by group is then a sum over the files.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hemiface.data.parts import Parts
from hemiface.errors import DamagedError
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, SPLITS

__all__ = ["BLOCKS", "MOST_FILES", "Bucket", "Dealt", "deal"]

Ints = npt.NDArray[np.int64]
Cell = tuple[str, str]
Progress = Callable[[int, int], None]

BLOCKS = 2048
"""Random groups that intervals resample where there are more groups than this."""

ROWS_A_BUCKET = 500_000
MOST_FILES = 200
"""Files that are open at a time; some systems allow 256."""

_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("group", pa.string()),
        ("cell", pa.int32()),
        ("label", pa.int8()),
        ("split", pa.int8()),
        ("leaked", pa.bool_()),
        *((name, pa.float32()) for name in PROBABILITY_COLUMNS),
    ]
)
_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Bucket:
    """The images of some whole groups with what every cell says of them, n images in all.

    labels, splits (places in SPLITS), groups (0 to group_count - 1 within the bucket), blocks: int
    [n]; leaked: bool [n]; there: bool [cells, n], whether a cell has the image; values: float32
    [cells, n, 7], NaN where it hasn't.
    """

    labels: Ints
    splits: Ints
    leaked: npt.NDArray[np.bool_]
    groups: Ints
    group_count: int
    blocks: Ints
    there: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float32]


@dataclass(eq=False)
class Dealt:
    """What a pass over all rows found, and where it dealt them.

    cells: (model ID, condition) in order of appearance; datasets likewise; blocks: how many there
    are; sizes: int [cells, splits], rows of each; images: int [splits].
    """

    where: str
    folder: Path
    cells: list[Cell] = field(default_factory=list)
    datasets: dict[str, None] = field(default_factory=dict)
    groups: set[str] | None = field(default_factory=set)
    sizes: Ints = field(default_factory=lambda: np.zeros((0, len(SPLITS)), np.int64))
    images: Ints = field(default_factory=lambda: np.zeros(len(SPLITS), np.int64))

    @property
    def blocks(self) -> int:
        """How many blocks the groups are dealt to: as many as groups, at most BLOCKS."""
        return BLOCKS if self.groups is None else len(self.groups)

    def buckets(self) -> Iterator[Bucket]:
        """Yield the dealt rows file by file, checked; each file is removed when it was read.

        Raises:
            DamagedError: an image occurs twice, has two labels, splits, groups or leaks, lacks a
                cell that others of its split have, or its probabilities are no distribution.
        """
        ranks = None if self.groups is None else pd.Index(sorted(self.groups))
        seen = np.zeros((len(self.cells), len(SPLITS)), np.int64)
        names = _Names(self.where, self.folder)
        for path in sorted(self.folder.glob("*.arrow")):
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_stream(file).read_all()
            path.unlink()
            if len(table):
                bucket, images = _bucket(table, len(self.cells), ranks, self.where)
                for split in range(len(SPLITS)):
                    mine = bucket.splits == split
                    self.images[split] += int(mine.sum())
                    seen[:, split] += bucket.there[:, mine].sum(axis=1)
                names.add(images)
                yield bucket
        names.require_unique()
        self._require_whole(seen)

    def _require_whole(self, seen: Ints) -> None:
        short = np.argwhere((seen > 0) & (seen < self.images))
        if len(short):
            cell, split = short[0]
            model, condition = self.cells[cell]
            raise DamagedError(
                f"{self.where}: split {SPLITS[split]} has {self.images[split]} images, but "
                f"{seen[cell, split]} of them for model {model} under {condition}; evaluate again."
            )


def deal(parts: Parts, folder: Path, progress: Progress | None = None) -> Dealt:
    """Deal the rows of all parts to files in `folder`; `progress(done, total)` counts rows.

    Raises:
        DamagedError: as `Parts.batches`, or a label or split is unknown.
    """
    dealt = Dealt(str(parts.where), folder)
    count = int(np.clip(-(-len(parts) // ROWS_A_BUCKET), 1, MOST_FILES))
    codes: dict[Cell, int] = {}
    done = 0
    with ExitStack() as stack:
        files = []
        for number in range(count):
            file = stack.enter_context(pa.OSFile(str(folder / f"{number:03}.arrow"), "wb"))
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writer = pa.ipc.new_stream(file, _SCHEMA, options=options)
            files.append(stack.enter_context(writer))
        for where, batch in parts.batches():
            slim, hashes = _coded(batch, codes, dealt, where)
            place = (hashes % np.uint64(count)).astype(np.int64)
            order = np.argsort(place, kind="stable")
            slim = slim.take(pa.array(order))
            bounds = np.searchsorted(place[order], np.arange(count + 1))
            for number, file in enumerate(files):
                start, end = bounds[number : number + 2]
                if end > start:
                    file.write_table(slim.slice(start, end - start))
            done += len(batch)
            if progress:
                progress(done, len(parts))
    dealt.cells = list(codes)
    return dealt


def _coded(
    batch: pa.Table, codes: dict[Cell, int], dealt: Dealt, where: str
) -> tuple[pa.Table, npt.NDArray[np.uint64]]:
    """Return a batch as _SCHEMA has it, and the hash of each row's group."""
    models, names = _factorized(batch, "model")
    conditions, keys = _factorized(batch, "condition")
    pairs, places = np.unique(models * len(keys) + conditions, return_inverse=True)
    first = np.full(len(pairs), len(batch))
    np.minimum.at(first, places, np.arange(len(batch)))
    own = np.empty(len(pairs), np.int64)
    for pair in np.argsort(first):  # in order of appearance
        model, condition = divmod(int(pairs[pair]), len(keys))
        own[pair] = codes.setdefault((str(names[model]), str(keys[condition])), len(codes))
    labels = _known(batch, "label", EMOTIONS, where)
    splits = _known(batch, "split", SPLITS, where)
    dealt.sizes = np.pad(dealt.sizes, ((0, len(codes) - len(dealt.sizes)), (0, 0)))
    np.add.at(dealt.sizes, (own[places], splits), 1)
    dealt.datasets |= dict.fromkeys(map(str, _factorized(batch, "dataset")[1]))
    groups, group_names = _factorized(batch, "group")
    if dealt.groups is not None:
        dealt.groups |= set(map(str, group_names))
        dealt.groups = None if len(dealt.groups) > BLOCKS else dealt.groups
    hashes = pd.util.hash_array(np.asarray(group_names, dtype=object), categorize=False)[groups]
    columns = {name: batch.column(name) for name in _SCHEMA.names if name in batch.column_names}
    columns |= {"cell": pa.array(own[places].astype(np.int32))}
    columns |= {
        "label": pa.array(labels.astype(np.int8)),
        "split": pa.array(splits.astype(np.int8)),
    }
    slim = pa.table({name: columns[name] for name in _SCHEMA.names}).combine_chunks()
    return slim, hashes


def _factorized(batch: pa.Table, name: str) -> tuple[Ints, list[str]]:
    """Return the codes [rows] of a column of words, and the words."""
    coded = batch.column(name).combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return coded.indices.to_numpy().astype(np.int64), coded.dictionary.to_pylist()


def _known(batch: pa.Table, name: str, known: tuple[str, ...], where: str) -> Ints:
    codes, words = _factorized(batch, name)
    wrong = [word for word in words if word not in known]
    if wrong:
        raise DamagedError(f"{where}: {name} is {wrong[0]!r}, expected one of {', '.join(known)}.")
    return np.array([known.index(word) for word in words], np.int64)[codes]


def _bucket(
    table: pa.Table, cells: int, ranks: pd.Index | None, where: str
) -> tuple[Bucket, npt.NDArray[np.object_]]:
    """Return the rows of a file by cell and image, and the images' names."""
    table = table.combine_chunks()
    images, names = _factorized(table, "image")
    groups, group_names = _factorized(table, "group")
    cell, label, split = (
        table.column(name).to_numpy().astype(np.int64) for name in ("cell", "label", "split")
    )
    leaked = table.column("leaked").to_numpy()
    values = np.column_stack([table.column(name).to_numpy() for name in PROBABILITY_COLUMNS])
    _require_distributions(values, where)
    there = np.zeros((cells, len(names)), bool)
    there[cell, images] = True
    if there.sum() < len(cell):
        keys, count = np.unique(cell * len(names) + images, return_counts=True)
        twice = names[int(keys[count > 1][0]) % len(names)]
        raise DamagedError(f"{where}: image {twice} occurs twice for a model and condition.")
    first = np.zeros(len(names), np.int64)
    first[images[::-1]] = np.arange(len(images))[::-1]
    of_image = first[images]
    for what, column in (("label", label), ("split", split), ("leaked", leaked), ("group", groups)):
        differs = column != column[of_image]
        if differs.any():
            image = names[int(images[differs][0])]
            raise DamagedError(f"{where}: image {image} has more than one {what}; evaluate again.")
    by_cell = np.full((cells, len(names), len(EMOTIONS)), np.nan, np.float32)
    by_cell[cell, images] = values
    known = np.asarray(group_names, dtype=object)
    if ranks is None:
        # Other bits than those by which the file was chosen.
        high = pd.util.hash_array(known, categorize=False) >> np.uint64(32)
        blocks = (high % np.uint64(BLOCKS)).astype(np.int64)
    else:
        blocks = np.asarray(ranks.get_indexer(pd.Index(known)), np.int64)
    own = groups[first]
    bucket = Bucket(
        labels=label[first],
        splits=split[first],
        leaked=leaked[first],
        groups=own,
        group_count=len(group_names),
        blocks=blocks[own],
        there=there,
        values=by_cell,
    )
    return bucket, np.asarray(names, dtype=object)


def _require_distributions(values: npt.NDArray[np.float32], where: str) -> None:
    exact = values.astype(np.float64)
    bad = ~np.isfinite(exact).all(axis=1) | (exact < 0).any(axis=1)
    bad |= np.abs(exact.sum(axis=1) - 1) > _TOLERANCE
    if bad.any():
        row = values[int(np.flatnonzero(bad)[0])]
        raise DamagedError(
            f"{where}: seven probabilities are not a distribution ({row.round(4).tolist()}); "
            "evaluate again."
        )


class _Names:
    """Finds an image that is in two groups: its rows lie in two files, each of them whole.

    What is kept of a name are 128 bits of hashes, dealt to files once more.
    """

    _FILES = 64

    def __init__(self, where: str, folder: Path) -> None:
        self._where, self._folder = where, folder

    def add(self, names: npt.NDArray[np.object_]) -> None:
        """Note the distinct names of one file."""
        keys = ("0123456789123456", "6543219876543210")
        two = [pd.util.hash_array(names, hash_key=key, categorize=False) for key in keys]
        both = np.column_stack(two)
        place = both[:, 0] % np.uint64(self._FILES)
        for number in np.unique(place):
            with (self._folder / f"{number}.names").open("ab") as file:
                both[place == number].tofile(file)

    def require_unique(self) -> None:
        """Raise DamagedError if a name was noted twice."""
        for path in self._folder.glob("*.names"):
            both = np.fromfile(path, np.uint64).reshape(-1, 2)
            path.unlink()
            both = both[np.lexsort(both.T)]
            if (both[1:] == both[:-1]).all(axis=1).any():
                raise DamagedError(
                    f"{self._where}: an image has rows in more than one group; evaluate again."
                )
