"""One job's part of the sources, for many jobs that know nothing of each other, and all together.

Every job finds the same sources in the same order and takes each N-th of them, so that folders of
long and short videos are shared out. It works in a folder of its own, with the run's own journal:
killed and started again, it goes on where it was. What it needs to be put together again lies there
too: which shard it is, of how many, of which list, and with which settings. `merge` takes the rows
out of the journals, in the order of the whole list, so that the tables are those of one run.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self

from hemiface.documents import json_value, undamaged
from hemiface.errors import DamagedError, MissingError, UsageError
from hemiface.files import HASH_KEY, atomic_path, with_hash
from hemiface.inputs import open_lines
from hemiface.locks import locked
from hemiface.vision.earlier import Untrue, remove_gone
from hemiface.vision.journal import Journal
from hemiface.vision.predictor import Predictor
from hemiface.vision.results import Held, require_own, told_of, write_tables
from hemiface.vision.run import OnProgress, Outcome, RunOptions, run, settings_of
from hemiface.vision.sources import SHARDS, Source

__all__ = ["Shard", "ShardRecord", "Shards", "merge", "run_shard"]

FORMAT = 2
_RECORD = ".shard.jsonl"
_MANY = 5
"""Shards that a sentence names."""


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) `of` so many."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise UsageError(
                f"Shard {self} is none; shards are 1/{max(self.of, 1)} to {max(self.of, 1)}/"
                f"{max(self.of, 1)}."
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that a text such as `3/16` names.

        Raises:
            UsageError: it names none.

        >>> Shard.parse("3/16")
        Shard(number=3, of=16)
        """
        number, slash, of = text.partition("/")
        # Longer numbers than this are nobody's.
        words = [one for one in (number, of) if one.isascii() and one.isdigit() and len(one) < 7]
        if not slash or len(words) < 2:
            raise UsageError(f"Shard {text!r} is none; the third of sixteen is 3/16.")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def folder(self, out: Path) -> Path:
        """Return where its results lie below those of all.

        >>> str(Shard(3, 16).folder(Path("out")))
        'out/shard-03-of-16'
        """
        return out / f"shard-{self.number:0{len(str(self.of))}}-of-{self.of}"

    def of_all(self, whole: Sequence[Any]) -> list[Any]:
        """Return its part of a list.

        >>> [Shard(n, 2).of_all("abcde") for n in (1, 2)]
        [['a', 'c', 'e'], ['b', 'd']]
        """
        return list(whole[self.number - 1 :: self.of])


@dataclass(frozen=True)
class ShardRecord:
    """What a shard's folder says of itself."""

    shard: Shard
    total: int
    """Sources of all shards."""
    digest: str
    """Of the names of all of them, in order."""
    settings: dict[str, Any]
    """What its results depend on beside its sources."""
    formats: tuple[str, ...]
    """Of the tables."""
    names: tuple[str, ...]
    """Its own sources, in order."""

    @classmethod
    def of(
        cls, shard: Shard, names: Sequence[str], settings: dict[str, Any], formats: Sequence[str]
    ) -> Self:
        """Return the record of a shard of sources that are called `names`, all of them."""
        own = tuple(shard.of_all(names))
        # As they come back: a tuple in the settings is a list in JSON.
        plain = json_value(json.dumps(settings))
        return cls(shard, len(names), _digest(names), plain, tuple(formats), own)

    def write(self, folder: Path) -> None:
        """Write it into the shard's folder.

        Raises:
            HemifaceError: the folder can't be written.
        """
        head = {"format": FORMAT, **asdict(self), "names_sha256": _digest(self.names)}
        names = head.pop("names")
        head = with_hash(head)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / _RECORD) as partial, partial.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in (head, *names))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what a shard's folder says of itself.

        Raises:
            DamagedError: there is nothing, or it isn't as it was written.
        """
        path = folder / _RECORD
        with undamaged(path, "give the shard's command again"), open_lines(path) as lines:
            head = json_value(next(lines, ""))
            if head["format"] != FORMAT:
                raise ValueError("it is of another version of hemiface")
            names = tuple(str(json_value(line)) for line in lines)
            if with_hash(head) != head or head["names_sha256"] != _digest(names):
                raise ValueError("it isn't as it was written")
            del head["format"], head["names_sha256"], head[HASH_KEY]
            shard, formats = Shard(**head.pop("shard")), tuple(head.pop("formats"))
            record = cls(shard=shard, formats=formats, names=names, **head)
            if len(names) != len(shard.of_all(range(record.total))):
                raise ValueError("some of its sources are missing")
        return record


@contextmanager
def run_shard(
    sources: Sequence[Source],
    predictor: Predictor,
    out: Path,
    shard: Shard,
    options: RunOptions | None = None,
    *,
    on_progress: OnProgress = lambda *_: None,
) -> Iterator[Outcome]:
    """Look at a shard's part of all `sources`, into its folder below `out`, as `run` does.

    Raises:
        UsageError: a camera is among the sources; otherwise as `run`.
    """
    options = options or RunOptions()
    live = next((one.name for one in sources if one.kind == "camera"), None)
    if live is not None:
        raise UsageError(f"{live} is watched by one process at a time; leave out --shard.")
    folder = shard.folder(out)
    names = [one.name for one in sources]
    record = ShardRecord.of(shard, names, settings_of(predictor, options), options.formats)
    with run(
        shard.of_all(sources), predictor, folder, options, on_progress=on_progress,
        before=lambda: record.write(folder),
    ) as outcome:  # fmt: skip
        yield outcome


def merge(folder: Path, *, replace: bool = False) -> Outcome:
    """Write the tables of all shards below `folder` into it, as one run would have written them.

    Annotated copies and timelines stay with their shards; those in `folder` itself that a run made
    under other settings, or of a file that has changed, are removed.

    Raises:
        UsageError: the results of more photos and frames lie there, and nobody asked to `replace`
            them, a table there is the user's own, or another process writes into the folder;
            otherwise as `Shards`.
        HemifaceError: the folder can't be written.
    """
    with Shards(folder) as shards, locked(folder):
        told = [told_of(name, known) for name, known in shards.sources()]
        require_own(folder, shards.formats)
        Held.of(folder).require_no_larger(told, replace=replace)
        sources = [_source(name, known) for name, known in shards.sources()]
        Untrue.find(folder, sources, shards.settings).remove()
        written = write_tables(shards.rows(), told, folder, shards.formats)
        remove_gone(folder, sources, told)
    return Outcome(told, lambda: _rows_below(folder), written)


def _source(name: str, known: dict[str, Any]) -> Source:
    """Return what a shard looked at, as it was then."""
    stamp = tuple(known["fingerprint"])
    return Source(name, known["kind"], Path(Path(name).name), name, stamp=stamp)


def _rows_below(folder: Path) -> Iterator[dict[str, Any]]:
    with Shards(folder) as shards:
        yield from shards.rows()


class Shards:
    """All shards of one prediction, checked complete, as one run's rows and sources.

    For one `with` block, in which nobody else may go on with a shard.

    Raises:
        MissingError: there is no shard in the folder, or some of them aren't there.
        DamagedError: a shard isn't finished or damaged, or they aren't of one list of sources with
            one model and the same options.
        UsageError: another process works on a shard.
    """

    def __init__(self, folder: Path) -> None:
        records = [ShardRecord.read(one) for one in sorted(folder.glob(SHARDS)) if one.is_dir()]
        if not records:
            raise MissingError(
                f"{folder} holds no shards; make them with hemiface predict --shard 1/N --out "
                f"{folder}."
            )
        self._folder = folder
        self._records = sorted(records, key=lambda one: (one.shard.of, one.shard.number))
        self._require_all()
        self._require_one_prediction()
        self.formats = self._records[0].formats
        self.settings = self._records[0].settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folders = [one.shard.folder(self._folder) for one in self._records]
            for one in folders:
                stack.enter_context(locked(one))
            self._journals = [
                stack.enter_context(Journal(one, record.settings, keeps=True))
                for one, record in zip(folders, self._records, strict=True)
            ]
            self._require_finished()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each source's name with what is known of it, in the order of one run."""
        for name, journal in self._in_order():
            yield name, journal.ended[name]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of all faces, in the order of one run.

        Raises:
            DamagedError: a journal isn't any more what it was.
        """
        for name, journal in self._in_order():
            yield from journal.rows([name])

    def _in_order(self) -> Iterator[tuple[str, Journal]]:
        for turn in zip_longest(*(one.names for one in self._records)):
            for name, journal in zip(turn, self._journals, strict=True):
                if name is not None:
                    yield name, journal

    def _require_all(self) -> None:
        counts = sorted({one.shard.of for one in self._records})
        if len(counts) > 1:
            raise DamagedError(
                f"{self._folder} holds shards of {counts[0]} and of {counts[1]}; remove those that "
                "don't belong there."
            )
        there = {one.shard.number for one in self._records}
        missing = [str(Shard(n, counts[0])) for n in range(1, counts[0] + 1) if n not in there]
        if missing:
            raise MissingError(
                f"{_listed('Shard', missing)} of {self._folder} never began; give "
                f"hemiface predict --shard {missing[0]} with the sources and options of the others."
            )

    def _require_one_prediction(self) -> None:
        first = self._records[0]
        for one in self._records[1:]:
            if (one.total, one.digest) != (first.total, first.digest):
                raise DamagedError(
                    f"Shards {first.shard} and {one.shard} are of different lists of sources "
                    f"({first.total:,} and {one.total:,}); files came or went between them. Give "
                    "the commands of all shards again: what is done stays."
                )
            names = sorted(first.settings.keys() | one.settings.keys())
            others = [name for name in names if first.settings.get(name) != one.settings.get(name)]
            if others:
                raise DamagedError(
                    f"Shards {first.shard} and {one.shard} differ in {', '.join(others)}; give the "
                    f"command of shard {one.shard} again with the model and options of the others."
                )

    def _require_finished(self) -> None:
        open_ = []
        for record, journal in zip(self._records, self._journals, strict=True):
            done = sum(name in journal.ended for name in record.names)
            if done < len(record.names):
                open_.append(f"{record.shard} ({done:,} of {len(record.names):,} sources)")
        if open_:
            raise DamagedError(
                f"{_listed('Shard', open_)} isn't finished; give its command again."
                if len(open_) == 1
                else f"{_listed('Shard', open_)} aren't finished; give their commands again."
            )


def _listed(what: str, some: Sequence[str]) -> str:
    """Return `Shards 1/4, 3/4`, not longer than a line should be.

    >>> _listed("Shard", ["1/9"]), _listed("Shard", [f"{n}/9" for n in range(1, 8)])
    ('Shard 1/9', 'Shards 1/9, 2/9, 3/9, 4/9, 5/9 and 2 more')
    """
    more = f" and {len(some) - _MANY} more" if len(some) > _MANY else ""
    return f"{what}{'s' if len(some) > 1 else ''} {', '.join(some[:_MANY])}{more}"


def _digest(names: Sequence[str]) -> str:
    whole = hashlib.sha256()
    for name in names:
        whole.update(json.dumps(name).encode() + b"\n")
    return whole.hexdigest()
