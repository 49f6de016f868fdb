"""Predictions in parts: a folder of Parquet files that together are one table, read in batches.

What `hemiface import` and `evaluate` write where --out has no ending, and what Spark, Ray, DuckDB
or polars write: files of any names, plain or in hive folders (`condition=upper/part-0.parquet`). A
table of no more rows than Limits.memory_rows is read whole, whether it lies in one file or in many;
a longer one stays a `Parts`, and `hemiface.stats.large` counts it.

What hemiface writes has a list of its parts (PARTS_FILE) with the facts, so that a part that was
lost is found, and each part has the SHA-256 of itself (see `files.seal`).
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from hemiface.documents import entry, json_value, read_json, undamaged
from hemiface.errors import DamagedError, UsageError, first_line
from hemiface.files import atomic_path, keep_larger, require_seal, write_json
from hemiface.inputs import require_file
from hemiface.limits import limits, over
from hemiface.tables import (
    HALVES_COLUMN,
    PREDICTION_COLUMNS,
    PROBABILITY_COLUMNS,
    Predictions,
    check_facts,
    check_predictions,
    keep_larger_table,
    read_predictions,
    require_room,
    text_bytes,
    write_predictions,
    write_table,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PARTS_FILE",
    "TEXT_COLUMNS",
    "Part",
    "Parts",
    "PartsWriter",
    "keep_larger_table_or_parts",
    "long_parts",
    "open_parts",
    "parts_writer",
    "read_whole",
    "table_path",
    "write_parts",
    "write_table_or_parts",
]

PARTS_FILE = "parts.json"
"""Lists `facts`, as a table's metadata hold them, and `parts`, each its `file` and `rows`."""

TEXT_COLUMNS = tuple(PREDICTION_COLUMNS[:7])
"""The columns that hold words; a hive folder may give their value too."""

_COLUMNS = (*PREDICTION_COLUMNS, HALVES_COLUMN)
ROWS_A_PART = 1_000_000
_ROWS_A_BATCH = 65_536
_BEFORE = "_before"
"""What a folder of parts takes the place of lies in it for a moment, under no part's name."""
_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What systems put into any folder that somebody looks at."""
_OURS = re.compile(rf"{re.escape(PARTS_FILE)}|part-\d{{5,}}\.parquet|{_BEFORE}")
_WRITTEN = "get it again, or make it anew"


@dataclass(frozen=True)
class Part:
    """One file: its path, how many rows it has, and what its folders say of all of them."""

    path: Path
    rows: int
    given: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Parts:
    """A Predictions table that is too long for memory; `facts` as those of Predictions."""

    where: Path
    parts: tuple[Part, ...]
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return sum(one.rows for one in self.parts)

    def batches(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield where rows are from (for a sentence) and up to 65,536 of them, in order.

        Columns are PREDICTION_COLUMNS, and HALVES_COLUMN where it is there: words as string,
        `leaked` as bool, probabilities as float32.
        The checksum of each part is compared before its first row is handed out.

        Raises:
            DamagedError: a part can't be read, isn't what was written, lacks a column or a value,
                or a column is of another kind.
        """
        for part in self.parts:
            require_seal(part.path)
            yield from _batches_of(part)

    def read(self) -> Predictions:
        """Return the whole table, checked as `tables.read_predictions` does.

        Raises:
            DamagedError: as `batches`, or the table isn't valid.
        """
        batches = list(self.batches())
        kinds = {HALVES_COLUMN in batch.schema.names: where for where, batch in batches}
        if len(kinds) > 1:
            raise DamagedError(
                f"{kinds[True]} has column {HALVES_COLUMN} and {kinds[False]} doesn't; read apart "
                "what was evaluated by other halves."
            )
        table = pa.concat_tables([batch for _, batch in batches]).to_pandas()
        check_predictions(table, str(self.where))
        return Predictions(table, self.facts)


def table_path(source: str | Path) -> Path:
    """Return where the predictions of a run folder, a file or a folder of parts lie."""
    given = Path(source)
    inside = given / "predictions.parquet"
    if not given.is_dir():
        return given
    # A folder without any table is named by the one that a run would have.
    return given if not inside.exists() and next(given.rglob("*.parquet"), None) else inside


def long_parts(path: str | Path) -> Parts | None:
    """Return the parts of a table with more rows than Limits.memory_rows, None for a shorter one.

    `path` is a Parquet file or a folder of them.

    Raises:
        DamagedError: as `open_parts`.
    """
    given = Path(path)
    if given.is_dir():
        parts = open_parts(given)
        return parts if len(parts) > limits().memory_rows else None
    with suppress(pa.ArrowException, OSError):
        if given.is_file() and pq.read_metadata(given).num_rows > limits().memory_rows:
            return open_parts(given)
    return None


def read_whole(source: str | Path) -> Predictions:
    """Read the predictions of a run folder, one file or all parts of a folder into memory.

    Raises:
        DamagedError: they are missing or damaged, or no Predictions table.
        UsageError: they have more than Limits.memory_rows rows.
    """
    given = table_path(source)
    parts = open_parts(given) if given.is_dir() else long_parts(given)
    if parts is None:
        return read_predictions(given)
    if len(parts) > limits().memory_rows:
        raise UsageError(
            f"{given} has {len(parts):,} rows, {over('memory_rows')}, and all of them are needed "
            "at once; only report and compare, without a second table, read longer ones."
        )
    return parts.read()


def open_parts(path: str | Path) -> Parts:
    """Return the parts of a table, none of them read but for its length.

    Facts come from PARTS_FILE, or from the first part's metadata.

    Raises:
        DamagedError: there is no part, one is missing or is no Parquet file, or together they have
            more rows than Limits.parted_rows.
    """
    where = Path(path)
    listed, facts = _listed(where)
    found = [where]
    if where.is_dir():
        # As Spark and Hive: what begins with a dot or an underscore is no part.
        found = [
            one
            for one in sorted(where.rglob("*.parquet"))
            if one.is_file() and not any(n[0] in "._" for n in one.relative_to(where).parts)
        ]
    if not found:
        raise DamagedError(
            f"{where} holds no Parquet file; name a table or the folder of its parts."
        )
    parts = tuple(_part(one, where) for one in found)
    if listed is not None:
        _require_listed(where, parts, listed)
    else:
        facts = _facts_of(parts[0].path)
    check_facts(facts, str(where))
    whole = Parts(where, parts, facts)
    if len(whole) > limits().parted_rows:
        raise DamagedError(f"{where} has {len(whole):,} rows, {over('parted_rows')}.")
    return whole


class PartsWriter(Protocol):
    """Takes rows of a Predictions table, as many at a time as lie together in a part."""

    def __call__(self, rows: "pd.DataFrame", /) -> None:
        """Write rows as the next part."""


@contextmanager
def parts_writer(folder: str | Path, facts: Mapping[str, Any]) -> Iterator[PartsWriter]:
    """Yield what writes one part after the other; the folder is there when all are, or not at all.

    It takes the place of parts that were there (see `keep_larger_table_or_parts`). Rows are checked
    when they are read: a cell may go over several parts.
    """
    target = Path(folder)
    listed: list[dict[str, Any]] = []
    with atomic_path(target) as partial:
        partial.mkdir()

        def write(rows: "pd.DataFrame") -> None:
            name = f"part-{len(listed):05}.parquet"
            columns = [*PREDICTION_COLUMNS, *{HALVES_COLUMN}.intersection(rows.columns)]
            slim = rows[columns].astype(dict.fromkeys(PROBABILITY_COLUMNS, "float32"))
            write_table(slim, partial / name, dict(facts))
            listed.append({"file": name, "rows": len(rows)})

        yield write
        write_json(partial / PARTS_FILE, {"facts": dict(facts), "parts": listed})
        if target.is_dir():
            _require_parts_alone(target)
        if _is_of_parts(target):
            target.rename(partial / _BEFORE)
    shutil.rmtree(target / _BEFORE, ignore_errors=True)


def _is_of_parts(folder: Path) -> bool:
    return (folder / PARTS_FILE).is_file()


def _require_parts_alone(folder: Path) -> None:
    """Raise if a folder holds anything but parts, which would go with them."""
    is_table = _is_of_parts(folder)
    for path in folder.iterdir():
        is_ours = _OURS.fullmatch(path.name) is not None or path.name in _SYSTEMS
        if not (is_table and is_ours):
            raise UsageError(
                f"{folder} holds other things than a table ({path.name}); name another --out."
            )


def keep_larger_table_or_parts(path: str | Path, rows: int, *, replace: bool) -> None:
    """Raise if what `write_table_or_parts` writes would take the place of more, or of other things.

    Asked before the work, as `tables.keep_larger_table`.

    Raises:
        UsageError: the table that is there has more rows or is of another kind and `replace` isn't
            given, or a folder holds anything but parts.
    """
    target = Path(path)
    if target.suffix or not target.is_dir():
        keep_larger_table(target, rows, replace=replace)
        return
    _require_parts_alone(target)
    if not _is_of_parts(target):
        return
    had = 0
    with suppress(DamagedError):
        had = len(open_parts(target))
    keep_larger(target, had, rows, "rows", replace=replace)


def write_parts(
    predictions: Predictions, folder: str | Path, rows_a_part: int = ROWS_A_PART
) -> None:
    """Check and write a Predictions table as a folder of parts.

    Raises:
        DamagedError: the table isn't a valid one, see `tables.check_predictions`.
    """
    table = predictions.table
    check_predictions(table)
    with parts_writer(folder, predictions.facts) as write:
        for start in range(0, max(len(table), 1), rows_a_part):
            write(table.iloc[start : start + rows_a_part])


def write_table_or_parts(predictions: Predictions, path: str | Path) -> None:
    """Write predictions as one file, or where the path has no ending as a folder of parts.

    Raises:
        DamagedError: the table isn't a valid one.
    """
    if Path(path).suffix:
        write_predictions(predictions, path)
    else:
        write_parts(predictions, path)


def _batches_of(part: Part) -> Iterator[tuple[str, pa.Table]]:
    where = str(part.path)
    try:
        known = pq.read_metadata(part.path)
        names = [one for one in _COLUMNS if one in known.schema.to_arrow_schema().names]
        _require_room_for_groups(known, names, where)
        # A few bytes can stand for many equal texts: see `tables._unpacked`.
        texts = [one for one in names if one in TEXT_COLUMNS or one == HALVES_COLUMN]
        with pq.ParquetFile(
            part.path, page_checksum_verification=True, read_dictionary=texts
        ) as file:
            for batch in file.iter_batches(_ROWS_A_BATCH, columns=names, use_threads=False):
                batch.validate(full=True)
                listed = (one for one in batch.columns if pa.types.is_dictionary(one.type))
                require_room(where, sum(text_bytes(one) for one in listed))
                yield where, _normal(batch, part, where)
    except (pa.ArrowException, LookupError, OSError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{where} is not a readable Parquet table ({first_line(error)}); {_WRITTEN}."
        ) from error


def _require_room_for_groups(known: pq.FileMetaData, names: Sequence[str], where: str) -> None:
    """Raise if what lies together in a file, and is unpacked together, is more than a table has."""
    for number in range(known.num_row_groups):
        group = known.row_group(number)
        columns = (group.column(one) for one in range(group.num_columns))
        own = (one for one in columns if one.path_in_schema in names)
        require_room(where, sum(one.total_uncompressed_size for one in own))


def _normal(batch: pa.RecordBatch, part: Part, where: str) -> pa.Table:
    """Return the rows with their columns in order, each of its one type."""
    columns = {}
    for name in _COLUMNS:
        if name in part.given:
            columns[name] = pa.array([part.given[name]] * len(batch), pa.string())
            continue
        if name not in batch.schema.names:
            if name == HALVES_COLUMN:
                continue
            raise DamagedError(f"{where}: missing column {name}.")
        column = batch.column(name)
        if column.null_count:
            raise DamagedError(f"{where}: column {name} has empty cells.")
        columns[name] = _typed(name, column, where)
    return pa.table(columns)


def _typed(name: str, column: pa.Array, where: str) -> pa.Array:
    if name in TEXT_COLUMNS or name == HALVES_COLUMN:
        return column.cast(pa.string())
    wanted = pa.bool_() if name == "leaked" else pa.float32()
    if column.type != wanted:
        raise DamagedError(
            f"{where}: column {name} holds {column.type}, but a table in parts holds {wanted} "
            "there; write it again so."
        )
    return column


def _part(path: Path, where: Path) -> Part:
    require_file(path)
    given = {}
    for folder in path.relative_to(where).parts[:-1] if path != where else ():
        name, sign, value = folder.partition("=")
        if sign and name in TEXT_COLUMNS:
            given[name] = unquote(value)
    try:
        return Part(path, pq.read_metadata(path).num_rows, given)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(
            f"{path} is not a readable Parquet table ({first_line(error)}); {_WRITTEN}."
        ) from error


def _listed(where: Path) -> tuple[list[dict[str, Any]] | None, dict[str, Any]]:
    """Return what PARTS_FILE lists, None without one, and the facts in it."""
    path = where / PARTS_FILE
    if not (where.is_dir() and path.is_file()):
        return None, {}
    with undamaged(path, _WRITTEN):
        known = read_json(path)
        listed: list[dict[str, Any]] = entry(known, "parts", list)
        for one in listed:
            entry(one, "file", str)
            entry(one, "rows", int)
        facts: dict[str, Any] = entry(known, "facts", dict)
    return listed, facts


def _require_listed(
    where: Path, parts: Sequence[Part], listed: Sequence[Mapping[str, Any]]
) -> None:
    there = {one.path.relative_to(where).as_posix(): one.rows for one in parts}
    wanted = {str(one["file"]): one["rows"] for one in listed}
    for name in sorted(there.keys() ^ wanted.keys()):
        state = "is missing" if name in wanted else "isn't one of its parts"
        raise DamagedError(f"{where}: {name} {state} by {PARTS_FILE}; {_WRITTEN}.")
    for name, rows in wanted.items():
        if there[name] != rows:
            raise DamagedError(
                f"{where / name} has {there[name]:,} rows, {rows:,} by {PARTS_FILE}; {_WRITTEN}."
            )


def _facts_of(path: Path) -> dict[str, Any]:
    """Return what a Parquet file of ours says of itself; {} for one of anybody else."""
    with undamaged(path, _WRITTEN):
        found = json_value((pq.read_schema(path).metadata or {}).get(b"hemiface", b"{}"))
        if not isinstance(found, dict):
            raise ValueError("what it says of itself is no object")
    return found
