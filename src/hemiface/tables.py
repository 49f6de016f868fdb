"""The tables that everything passes through: emotions and their order, schemas, check, read, write.

Images: a row per image. Predictions: a row per image x condition x model. Both are plain
DataFrames, checked when they are written and when they are read.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hemiface.documents import entry, json_value
from hemiface.errors import DamagedError, UsageError, first_line
from hemiface.files import (
    SEAL_KEY,
    UNSEALED,
    atomic_path,
    keep_larger,
    seal,
    sealed_content,
)
from hemiface.inputs import as_csv, open_lines
from hemiface.limits import limits, over

if TYPE_CHECKING:
    # Imported where they are used: predicting needs the names here and no table, and pandas and
    # pyarrow take longer to import than all the rest of a prediction.
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "EMOTIONS",
    "FER2013_SIZE_PX",
    "HALVES_COLUMN",
    "HALVES_WORDS",
    "IMAGE_COLUMNS",
    "PREDICTION_COLUMNS",
    "PROBABILITY_COLUMNS",
    "SAMPLE_COLUMNS",
    "SPLITS",
    "Predictions",
    "Uncovered",
    "check_facts",
    "check_images",
    "check_predictions",
    "compact",
    "csv_sink",
    "derive",
    "facts_together",
    "for_spreadsheets",
    "keep_larger_table",
    "label_indices",
    "probabilities",
    "read_csv",
    "read_predictions",
    "read_table",
    "require_room",
    "text_bytes",
    "without_row_names",
    "write_csv",
    "write_predictions",
    "write_table",
]

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven emotions in FER2013's order; index i is class i everywhere."""

SPLITS = ("train", "validation", "test")
FER2013_SIZE_PX = 48
IMAGE_COLUMNS = ("image", "dataset", "split", "label", "group", "sha256")
PROBABILITY_COLUMNS = tuple(f"p_{emotion}" for emotion in EMOTIONS)
PREDICTION_COLUMNS = (
    "image",
    "condition",
    "model",
    "dataset",
    "split",
    "label",
    "group",
    "leaked",
    *PROBABILITY_COLUMNS,
)
SAMPLE_COLUMNS = (
    "image",
    "draw",
    "model",
    "dataset",
    "split",
    "label",
    "group",
    "leaked",
    *PROBABILITY_COLUMNS,
)
"""What `Uncovered` always has, beside `visible` (uint64: bit t for tile t) or `bubbles`."""

HALVES_COLUMN = "halves"
"""Optional last column of a Predictions table: by which lines the image's halves are cut. A table
without it, which is every table made without `--halves face`, holds image halves only."""

HALVES_WORDS = ("image", "face", "fallback")
"""image: the picture's middle. face: the face's own lines. fallback: those weren't found, and the
picture's middle stood in. An image has the same word under every condition and model of a table,
also where nothing is hidden."""

_LINE_END = "\r\n"
_METADATA_KEY = b"hemiface"
_HASH_KEY = b"hemiface_sha256"
_PARQUET = b"PAR1"
"""What every Parquet file begins with."""


_OWN_SELECTION = "validation images"
"""On what networks of hemiface's own are selected, in the words of `selected_on`."""
_CONSEQUENCES = {
    "group": "No column group: each image counts as independent of all others; near duplicates or "
    "several pictures of one person make intervals too narrow.",
    "leaked": "No column leaked: nothing is scored as leak-free.",
    "selection": "How the models were selected isn't known (column selected_on of --models): if "
    "test images had a say, their scores are optimistic.",
}
"""What follows from a fact that `hemiface import` wasn't given, by its word in `unknown`."""


_NAMED = 6
"""How many conditions that a seed lacks are named."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """A Predictions table and the facts that go with it, which the table itself can't say.

    `table` is a DataFrame with PREDICTION_COLUMNS, see `check_predictions`. `facts` are what it was
    written with: `models` describes each model (a mapping with at least `model`, its ID; `name`,
    what it was trained on; `seed`), and whoever evaluated adds `conditions` and `flips` (of the
    training), `mirrored`, `flip`, `halves`, `fallbacks`, `fingerprint` and more. Nothing here
    copies them into `DataFrame.attrs`, which any round trip loses.
    """

    table: pd.DataFrame
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def models(self) -> list[dict[str, Any]]:
        """What is known of each model, in the order of the facts; [] where nothing is."""
        return [dict(one) for one in self.facts.get("models", [])]

    @property
    def names(self) -> pd.DataFrame:
        """A row per model ID in order of appearance: model, name (what it saw), seed (int).

        A model that the facts don't describe is its own name, with seed 0; see `missing`.
        """
        import pandas as pd

        described = {str(one["model"]): one for one in self.models}
        rows = []
        for model in map(str, self.table["model"].unique()):
            known = described.get(model, {"name": model, "seed": 0})
            rows.append({"model": model, "name": str(known["name"]), "seed": int(known["seed"])})
        return pd.DataFrame(rows, columns=["model", "name", "seed"])

    @property
    def missing(self) -> str:
        """One sentence on models that the facts don't describe: "" where all are known."""
        described = {str(one["model"]) for one in self.models}
        unknown = [one for one in map(str, self.table["model"].unique()) if one not in described]
        if not unknown:
            return ""
        return (
            f"Name and seed aren't known of {', '.join(unknown)}: each counts as a model of its "
            "own, so that no mean over seeds, no comparison with a baseline and no specialist of a "
            "condition is computed; give them with hemiface import --models models.csv."
        )

    @property
    def unknown(self) -> list[str]:
        """What `hemiface import` wasn't told, of `group`, `leaked` and `selection`."""
        return list(self.facts.get("unknown", ()))

    @property
    def uneven(self) -> str:
        """One sentence on seeds that lack a condition which another of their name has, or ""."""
        rows = self.table
        # What a seed has of validation images alone has no score. What stands for a table that
        # outgrows memory has a row for each cell alone.
        if "split" in rows and (rows["split"] == "test").any():
            rows = rows[rows["split"] == "test"]
        cells = rows[["model", "condition"]].drop_duplicates().merge(self.names, on="model")
        seeds = {str(name): set(seeds) for name, seeds in cells.groupby("name")["seed"]}
        lacking = []
        for (name, condition), had in cells.groupby(["name", "condition"], sort=False)["seed"]:
            without = sorted(seeds[str(name)] - set(had))
            if without:
                lacking.append(f"{condition} of {name} (seed {', '.join(map(str, without))})")
        if not lacking:
            return ""
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        return (
            f"Not every seed has every condition; not averaged over seeds, for want of one: "
            f"{', '.join(lacking[:_NAMED])}{more}."
        )

    @property
    def gaps(self) -> list[str]:
        """A sentence for all that is missing, with what follows; [] where nothing is."""
        known = (_CONSEQUENCES.get(one, "") for one in self.unknown)
        return [one for one in (self.missing, *known, self.uneven) if one]

    def select(self, rows: Any) -> Predictions:
        """Return these predictions with the rows that a mask or an indexer of `.loc` chooses."""
        return replace(self, table=self.table.loc[rows])

    def with_facts(self, **facts: Any) -> Predictions:
        """Return these predictions with some facts added or replaced."""
        return replace(self, facts={**self.facts, **facts})


def facts_together(tables: Sequence[Predictions]) -> dict[str, Any]:
    """Return the facts `models` and, where any table was imported, `unknown` of tables as one.

    What isn't known of some isn't known of all; our own networks' selection is.
    """
    if not any("unknown" in one.facts for one in tables):
        return {"models": [row for one in tables for row in one.models]}
    return {
        "models": [
            row if "unknown" in one.facts else {"selected_on": _OWN_SELECTION, **row}
            for one in tables
            for row in one.models
        ],
        "unknown": sorted({what for one in tables for what in one.unknown}),
    }


class Uncovered(Predictions):
    """Predictions for images uncovered at random: SAMPLE_COLUMNS, and `visible` or `bubbles`.

    `facts` describe the model, as those of Predictions do, and how parts were drawn: `kind`
    (chains or bubbles), `samples`, `split`, `limit`, `fill`, `seed`, and of bubbles `sigma_px`.
    """


def check_images(images: pd.DataFrame, where: str = "Images table") -> None:
    """Raise unless `images` is a valid Images table.

    Required columns: `image` (unique stable ID), `dataset`, `split` (train / validation / test),
    `label` (an emotion's name), `group` (near-duplicate or subject group), `sha256` (of the
    image's uint8 pixels in C order).

    Raises:
        DamagedError: a column is missing, an ID occurs twice, or a value is not allowed.

    """
    _require_columns(images, IMAGE_COLUMNS, where)
    _require_known(images, "split", SPLITS, where)
    _require_known(images, "label", EMOTIONS, where)
    _require_unique(images, ["image"], where)


def check_predictions(predictions: pd.DataFrame, where: str = "Predictions table") -> None:
    """Raise unless `predictions` is a valid Predictions table.

    Key: (`image`, `condition`, `model`), unique. Every model x condition x split cell holds the
    same images of that split. `leaked` is True where the image's group also occurs in a split
    used to train or to select. `p_<emotion>` are in [0, 1] and sum to 1 within 1e-4. HALVES_COLUMN,
    where there is one, holds HALVES_WORDS.

    Raises:
        DamagedError: what is wrong and in which row.

    """
    _require_columns(predictions, PREDICTION_COLUMNS, where)
    _require_known(predictions, "split", SPLITS, where)
    _require_known(predictions, "label", EMOTIONS, where)
    _require_unique(predictions, ["image", "condition", "model"], where)
    _require_types(predictions, where)
    if HALVES_COLUMN in predictions.columns:
        _require_columns(predictions, (HALVES_COLUMN,), where)
        _require_known(predictions, HALVES_COLUMN, HALVES_WORDS, where)
    values = probabilities(predictions)
    bad = ~np.isfinite(values).all(axis=1) | (values < 0).any(axis=1)
    bad |= np.abs(values.sum(axis=1) - 1) > 1e-4
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DamagedError(
            f"{where}, row {row}: the seven probabilities are not a distribution "
            f"({values[row].round(4).tolist()}); evaluate again."
        )
    _require_whole_cells(predictions, where)


def check_facts(facts: Mapping[str, Any], where: str) -> None:
    """Raise unless what a table of predictions says of its models and data can be used.

    Each of `models` has `model`, `name` and `seed`, and maybe `conditions`; `data` counts in
    `aligned` and `other_labels`.

    Raises:
        DamagedError: something is missing or of another kind.
    """
    try:
        _require_facts(facts)
    except ValueError as error:
        raise DamagedError(
            f"{where}: what it says of its models or data is damaged ({error}); make it anew."
        ) from error


def _require_facts(facts: Mapping[str, Any]) -> None:
    for name in {"models", "unknown"} & facts.keys():
        entry(facts, name, list)
    known = entry({"data": {}, **facts}, "data", dict)
    for name in {"aligned", "other_labels"} & known.keys():
        for count in entry(known, name, dict):
            entry(known[name], count, int)
    for one in facts.get("models", ()):
        for key, kind in (("model", str), ("name", str), ("seed", int)):
            entry(one, key, kind)
        entry({"conditions": [], **one}, "conditions", list)


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    """Return the probabilities as float64 [rows, 7] in the order of EMOTIONS."""
    return predictions[list(PROBABILITY_COLUMNS)].to_numpy(np.float64)


def label_indices(table: pd.DataFrame) -> np.ndarray:
    """Return column `label` as int64 [rows] indices into EMOTIONS."""
    import pandas as pd

    return pd.Categorical(table["label"], categories=list(EMOTIONS)).codes.astype(np.int64)


def derive(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with `pred` (name), `correct` (bool) and `confidence` (the largest p).

    These three are never stored. A tie goes to the emotion that comes first in EMOTIONS.
    """
    values = probabilities(predictions)
    best = values.argmax(axis=1)
    pred = np.asarray(EMOTIONS)[best]
    return predictions.assign(
        pred=pred,
        correct=best == label_indices(predictions),
        confidence=values[np.arange(len(values)), best],
    )


def write_table(table: pd.DataFrame, path: str | Path, info: dict[str, Any] | None = None) -> None:
    """Write `table` as Parquet under `path`, whole or not at all; `info` goes into its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    text = json.dumps(info or {}).encode()
    merged = {**(arrow.schema.metadata or {}), _METADATA_KEY: text, SEAL_KEY: UNSEALED}
    with atomic_path(path) as partial:
        pq.write_table(
            arrow.replace_schema_metadata(merged),
            partial,
            compression="zstd",
            write_page_checksum=True,
        )
        seal(partial)


def read_table(path: str | Path, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table; what was given to `write_table` as `info` is in `.attrs["hemiface"]`.

    `columns` are those that are read where they are there; None reads all.

    Raises:
        DamagedError: the file is missing, is not Parquet, isn't what was written, is longer, packed
            or unpacked, or has more rows than Limits.table_bytes and Limits.table_rows.
    """
    import pyarrow as pa

    content = sealed_content(path, "table_bytes")
    try:
        arrow = _unpacked(path, content, columns)
        metadata = arrow.schema.metadata or {}
        text = metadata.get(_METADATA_KEY, b"{}")
        # Tables of before may have a hash of their facts.
        if metadata.get(_HASH_KEY, _hash(text)) != _hash(text):
            raise ValueError("what it says of itself doesn't fit its SHA-256")
        info = json_value(text)
        if not isinstance(info, dict):
            raise ValueError("what it says of itself is no object")
        if len(set(arrow.column_names)) < arrow.num_columns:
            raise ValueError("two of its columns have one name")
        arrow.validate(full=True)  # such as texts that are UTF-8
        table: pd.DataFrame = arrow.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, LookupError, OSError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{path} is not a readable Parquet table ({first_line(error)}); get it again, or make "
            "it anew."
        ) from error
    table.attrs["hemiface"] = info
    return table


def _unpacked(path: str | Path, content: bytes, wanted: Collection[str] | None) -> pa.Table:
    """Return the `wanted` columns of a Parquet table that is as long as the limits allow.

    A page of a few bytes can stand for any number of equal cells, each of which may be a long text:
    texts are read as places in a list of different ones, and measured before they are written out.

    Raises:
        DamagedError: it has more rows, or more bytes when it is unpacked.
        pa.ArrowException, OSError, ValueError: it isn't Parquet, or holds more than flat columns
            and lists of numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = pq.read_metadata(pa.BufferReader(content))
    if known.num_rows > limits().table_rows:
        raise DamagedError(f"{path} has {known.num_rows:,} rows, {over('table_rows')}.")
    schema = known.schema.to_arrow_schema()
    names = [one for one in schema.names if wanted is None or one in wanted]
    if len(names) < len(schema):
        schema = pa.schema([schema.field(one) for one in names], schema.metadata)
    schema = pa.schema([one.with_type(_usual(one.type)) for one in schema], schema.metadata)
    texts = [one.name for one in schema if _is_text(one.type)]
    listed = {one.name: one.type.value_type for one in schema if pa.types.is_list(one.type)}
    for one in schema:
        if pa.types.is_nested(listed.get(one.name, one.type)) or _is_text(listed.get(one.name)):
            raise ValueError(
                f"its column {one.name} holds {one.type}, which no cell has here: leave it out"
            )
    # A text and a list take four bytes beside themselves, nothing at all a place for None.
    bits = (
        32
        if _is_text(one.type) or one.name in listed
        else 64
        if pa.types.is_null(one.type)
        else one.type.bit_width
        for one in schema
    )
    columns = [
        known.row_group(group).column(column)
        for group in range(known.num_row_groups)
        for column in range(known.num_columns)
    ]
    columns = [one for one in columns if one.path_in_schema.partition(".")[0] in names]
    in_lists = sum(
        one.num_values * listed[name].bit_width // 8
        for one in columns
        if (name := one.path_in_schema.partition(".")[0]) in listed
    )
    pages = sum(one.total_uncompressed_size for one in columns)
    require_room(path, max(known.num_rows * sum(bits) // 8 + in_lists, pages))
    # Tables of before have no seal, but checksums of their pages.
    arrow = pq.read_table(
        pa.BufferReader(content),
        columns=None if wanted is None else names,
        page_checksum_verification=True,
        read_dictionary=texts,
    )
    lengths = (
        text_bytes(chunk)
        for column, one in zip(arrow.columns, schema, strict=True)
        if _is_text(one.type)
        for chunk in column.chunks
    )
    require_room(path, sum(lengths))
    return arrow.cast(schema)


def _usual(kind: pa.DataType) -> pa.DataType:
    """Return the usual one of types that differ in how they lie in memory alone."""
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(is_one(kind) for is_one in lists):
        return pa.list_(_usual(kind.value_type))
    return {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}.get(kind, kind)


def text_bytes(column: pa.DictionaryArray) -> int:
    """Return how many bytes texts take that are held as places in a list of different ones."""
    import pyarrow.compute as pc

    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return 4 * len(column) + (pc.sum(lengths).as_py() or 0)


def _is_text(kind: pa.DataType | None) -> bool:
    import pyarrow as pa

    return kind is not None and any(
        (pa.types.is_string(kind), pa.types.is_large_string(kind), pa.types.is_binary(kind),
         pa.types.is_large_binary(kind))
    )  # fmt: skip


def require_room(path: str | Path, n_bytes: int) -> None:
    """Raise DamagedError if a table unpacks to more bytes than the limit allows."""
    if n_bytes > limits().table_bytes:
        raise DamagedError(f"{path} unpacks to {n_bytes:,} bytes, {over('table_bytes')}.")


def keep_larger_table(
    path: str | Path, rows: int, *, replace: bool, columns: Sequence[str] = PREDICTION_COLUMNS
) -> None:
    """Raise if a table of `rows` would take the place of a larger one, or of one of another kind.

    Of its kind is what has all `columns`. Asked before the work. A damaged Parquet file holds no
    rows.

    Raises:
        UsageError: it would (see `keep_larger`), or what is there isn't Parquet, and `replace`
            doesn't say so.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    had = 0
    if Path(path).is_file() and not replace:
        begin = b""
        with suppress(OSError), Path(path).open("rb") as file:
            begin = file.read(len(_PARQUET))
        if begin and begin != _PARQUET:
            raise UsageError(
                f"{path} is there and no table of hemiface's (Parquet); name another --out, or "
                "give --replace."
            )
        with suppress(pa.ArrowException, OSError):
            known = pq.read_metadata(path)
            had, names = known.num_rows, known.schema.to_arrow_schema().names
            if not set(columns) <= set(names):
                raise UsageError(
                    f"{path} holds a table of another kind (with columns {', '.join(names[:5])}), "
                    "whose place this one would take; name another --out, or give --replace."
                )
    keep_larger(Path(path), had, rows, "rows", replace=replace)


def _hash(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def write_predictions(predictions: Predictions, path: str | Path) -> None:
    """Check and write a Predictions table with its facts as Parquet.

    Raises:
        DamagedError: the table isn't a valid one, see `check_predictions`.
        UsageError: its facts aren't what `check_facts` asks for, or nothing that JSON can hold.
    """
    table = predictions.table
    check_predictions(table)
    try:
        # As they come back.
        _require_facts(json_value(json.dumps(dict(predictions.facts))))
    except (RecursionError, TypeError, ValueError) as error:
        raise UsageError(
            f"The facts of these predictions can't be written ({first_line(error)}); give plain "
            "texts, numbers, lists and mappings, and model, name and seed of each of the models."
        ) from error
    columns = [*PREDICTION_COLUMNS, *{HALVES_COLUMN}.intersection(table.columns)]
    slim = table[columns].astype(dict.fromkeys(PROBABILITY_COLUMNS, "float32"))
    write_table(slim, path, dict(predictions.facts))


def read_predictions(path: str | Path) -> Predictions:
    """Read and check a Predictions table with the facts that it was written with.

    Raises:
        DamagedError: the file is missing or damaged, or holds no Predictions table.
    """
    table = read_table(path, {*PREDICTION_COLUMNS, HALVES_COLUMN})
    facts = table.attrs.pop("hemiface")
    check_predictions(table, str(path))
    check_facts(facts, str(path))
    return Predictions(table, facts)


def compact(predictions: Predictions) -> Predictions:
    """Return the Predictions with texts as categories: a fraction of the size, and faster."""
    texts = [column for column in PREDICTION_COLUMNS[:-8] if column in predictions.table.columns]
    return replace(predictions, table=predictions.table.astype(dict.fromkeys(texts, "category")))


_RUN = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
"""What the cells begin with that some spreadsheet runs, in full width those of Japanese."""


def for_spreadsheets(cell: Any) -> Any:
    """Return a cell of a CSV table that no spreadsheet takes for a formula.

    Names are anybody's, and a cell that begins with =, +, -, @, one of these in full width, a tab
    or a line break is run by some programs: such words get an apostrophe before them. Numbers and
    other cells stay.
    """
    if not isinstance(cell, str) or not cell.startswith(_RUN):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


class _CsvFile:
    r"""Takes the rows of a CSV writer for a file whose lines end in \n alone.

    A writer quotes no line breaks but those that its own lines end with. One that ends them with
    \r\n quotes \r as well, which would end the row for whoever reads it.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, row: str) -> int:
        return self._file.write(row.removesuffix(_LINE_END) + "\n")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield _CsvFile(file)


@contextmanager
def csv_sink(
    path: Path, columns: Sequence[str]
) -> Iterator[Callable[[Iterable[Mapping[str, Any]]], None]]:
    """Yield what writes rows under a header as CSV (UTF-8); cells as `for_spreadsheets` says."""
    with _opened(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator=_LINE_END)
        writer.writeheader()
        yield lambda rows: writer.writerows(
            {name: for_spreadsheets(cell) for name, cell in row.items()} for row in rows
        )


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a result table as CSV (UTF-8, six significant digits, no index).

    Words that a spreadsheet would run are written as `for_spreadsheets` says.
    """
    import pandas as pd

    words = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    table = table.assign(**{name: table[name].map(for_spreadsheets) for name in words})
    with atomic_path(path) as partial, _opened(partial) as file:
        table.to_csv(file, index=False, float_format="%.6g", lineterminator=_LINE_END)


def read_csv(path: str | Path, hint: str = "check the path", **options: Any) -> pd.DataFrame:
    """Read a CSV table; `options` are those of `pandas.read_csv`.

    `hint` says how to mend a path without a file.

    Raises:
        DamagedError: the file is missing, empty or no CSV in UTF-8, or goes over a limit (see
            `hemiface.inputs.BoundedBytes`).
    """
    import pandas as pd

    with as_csv(path), open_lines(Path(path), hint) as file:
        table: pd.DataFrame = pd.read_csv(file, **options)
    return table if "index_col" in options else without_row_names(table, path)


def without_row_names(table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Return a CSV file's table whose rows may have a cell more than its header names.

    pandas takes the first cells for names of rows then. So they are in files of R, and are left
    out; with a comma at the end of each row every cell would stand one column too far left.

    Raises:
        DamagedError: the last column is empty throughout.
    """
    import pandas as pd

    # pandas counts rows from 0 on; whoever names them by numbers counts from 1.
    if not len(table) or (isinstance(table.index, pd.RangeIndex) and table.index.start == 0):
        return table
    if table.index.nlevels > 1:
        raise DamagedError(
            f"{path}: its rows have {table.index.nlevels} cells more than its header names; "
            "remove what is too many, or give these columns names."
        )
    last = table.iloc[:, -1]
    if last.isna().all() or (last.astype(str).str.strip() == "").all():
        raise DamagedError(
            f"{path}: its rows have more cells than its header names; remove what is too many, "
            "such as a comma at the end of each row."
        )
    return table.reset_index(drop=True)


def _require_columns(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DamagedError(f"{where}: missing column {', '.join(missing)}.")
    twice = table.columns[table.columns.duplicated()].intersection(list(columns))
    if len(twice):
        raise DamagedError(f"{where}: two columns are called {', '.join(twice)}.")
    empty = [column for column in columns if table[column].isna().any()]
    if empty:
        raise DamagedError(f"{where}: column {', '.join(empty)} has empty cells.")


def _require_known(table: pd.DataFrame, column: str, known: tuple[str, ...], where: str) -> None:
    wrong = ~table[column].isin(known)
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise DamagedError(
            f"{where}, row {row}: {column} is {table[column].iloc[row]!r}, "
            f"expected one of {', '.join(known)}."
        )


def _require_types(predictions: pd.DataFrame, where: str) -> None:
    import pandas as pd

    if not pd.api.types.is_bool_dtype(predictions["leaked"]):
        raise DamagedError(f"{where}: column leaked must hold true or false; evaluate again.")
    for column in PROBABILITY_COLUMNS:
        if not pd.api.types.is_float_dtype(predictions[column]):
            raise DamagedError(f"{where}: column {column} must hold numbers; evaluate again.")


def _require_whole_cells(predictions: pd.DataFrame, where: str) -> None:
    """Raise unless each cell holds all images of its split, given that the key is unique."""
    cells = predictions.groupby(["split", "model", "condition"], observed=True).size()
    images = predictions.groupby("split", observed=True)["image"].nunique()
    for split, sizes in cells.groupby(level="split", observed=True):
        short = sizes[sizes < images[split]]
        if len(short):
            _, model, one = short.index[0]
            raise DamagedError(
                f"{where}: split {split} has {images[split]} images, but {short.iloc[0]} of them "
                f"for model {model} under {one}; evaluate again."
            )


def _require_unique(table: pd.DataFrame, key: list[str], where: str) -> None:
    twice = table.duplicated(key)
    if twice.any():
        row = int(np.flatnonzero(twice.to_numpy())[0])
        what = ", ".join(str(table[column].iloc[row]) for column in key)
        raise DamagedError(f"{where}, row {row}: {', '.join(key)} = {what} occurs twice.")
