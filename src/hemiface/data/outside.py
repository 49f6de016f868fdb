"""Anybody's probabilities as Predictions: CSV files that other programs wrote (`hemiface import`).

A row is one image under one condition as one model sees it:

column       needed  meaning
image        yes     the image's name, the same in every row about it
label        yes     the true emotion by a name that readers know, or a number with --classes
p_<emotion>  yes     seven probabilities, which sum to 1; the emotion alone is a name too
model        no      the model's ID; without it the file's name
condition    no      what is hidden (full, upper, lower, left, right, ...); without it full
split        no      train, validation, test, or what SPLIT_NAMES knows; without it test
group        no      images that share their fate: near duplicates, or one person
leaked       no      true where the image's group also occurs in a split used to train or select
dataset      no      without it what --dataset says

Rows of OTHER_LABELS (contempt, none, ...) are left out and counted, as readers of pictures do.

Files that say nothing of model, condition or split may have it in their names
(`ImportOptions.pattern`). Beside a prediction table of the same images (`ImportOptions.beside`)
`image` isn't needed either: without it the rows are in that table's order, which the labels prove.
Split, group, leaked and dataset are then that table's, and both become one.

What a table doesn't say is a fact of its own (`facts["unknown"]`): without `group` each image is
resampled alone, without `leaked` nothing is scored as leak-free, and how models were selected is
said to be unknown. Names and seeds of models come from a second table (`--models`), never from IDs.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hemiface.data.groups import leaked
from hemiface.data.parts import read_whole
from hemiface.data.vocabulary import OTHER_LABELS, SPLIT_NAMES, emotion_of
from hemiface.errors import DamagedError, UsageError
from hemiface.files import sha256_file
from hemiface.inputs import open_lines
from hemiface.occlusion.conditions import condition
from hemiface.tables import (
    EMOTIONS,
    PREDICTION_COLUMNS,
    PROBABILITY_COLUMNS,
    SPLITS,
    Predictions,
    check_predictions,
    facts_together,
    without_row_names,
)

__all__ = ["MODEL_COLUMNS", "ImportOptions", "import_predictions"]

log = logging.getLogger(__name__)

MODEL_COLUMNS = ("model", "name", "seed", "trained_on", "conditions", "flips", "selected_on")
"""Of the models table: model (its ID), name (what it was trained on: full, upper, ..., any) and
seed are needed; conditions (parted by `;`), flips (true or false) and selected_on aren't."""

_OPTIONAL = ("group", "leaked")
_OF_IMAGES = ["image", "dataset", "split", "label", "group", "leaked"]
_IN_NAMES = ("model", "condition", "split")
_TRUE = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_LEAST_MISS = 1e-3
"""So much seven probabilities may miss 1 by, however many places they are written with."""
_OF_PREDICT = {"source", "frame", "face", "x_px", "label", "schema"}
"""Columns that tables of faces have (`hemiface predict`) and no others do."""


@dataclass(frozen=True)
class ImportOptions:
    """How an outsider's names become ours."""

    dataset: str = ""
    """The data set's name, of files without that column; needed of these without a table beside."""
    models: Path | None = None
    """A CSV file with MODEL_COLUMNS."""
    classes: tuple[str, ...] = ()
    """Emotions in the order of numeric labels, the first being 0; () where labels are names."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The file's column by our name, where they differ."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """Our split by the file's word for it."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Our condition by the file's word for it."""
    pattern: str = ""
    """A regular expression that finds groups called model, condition or split in a file's name
    (without its ending), for files that have no such column."""
    beside: Path | None = None
    """A prediction table of the same images, which theirs are put beside."""


def import_predictions(paths: Sequence[str | Path], options: ImportOptions) -> Predictions:
    """Read CSV files as one Predictions table with what is known of its models.

    Raises:
        DamagedError: a file is missing, isn't CSV, or a row makes no sense; file and line are
            named.
        UsageError: a column is missing, or a word for a split, condition or class is unknown; the
            option that explains it is named.
    """
    ours = None if options.beside is None else read_whole(options.beside)
    known = None if ours is None else ours.table[_OF_IMAGES].drop_duplicates("image")
    others: dict[str, str] = {}
    tables = [_read(Path(path), options, known, others) for path in paths]
    if not tables:
        raise UsageError("No table is named; name at least one CSV file of predictions.")
    given = set.intersection(*(set(table.columns) for table in tables))
    unknown = [name for name in _OPTIONAL if name not in given]
    table = pd.concat(tables, keys=[Path(path).name for path in paths])
    if "group" in unknown:
        table["group"] = table["image"]
    else:
        table["group"] = _with_lone_images(table["group"], table["image"])
    if "leaked" in unknown:
        table["leaked"] = False
    _require_one_truth(table, others)
    if known is None and not {"group", "leaked"}.intersection(unknown):
        _require_leaks(table)
    _require_one_row(table)
    _require_all_images(table, table if known is None else known)
    table = table[list(PREDICTION_COLUMNS)].reset_index(drop=True)
    check_predictions(table, ", ".join(Path(path).name for path in paths))
    described = [] if options.models is None else _read_models(options.models, table["model"])
    if not all(one.get("selected_on") for one in described) or not described:
        unknown.append("selection")
    sources = [{"file": Path(path).name, "sha256": sha256_file(path)} for path in paths]
    facts = {"models": described, "unknown": unknown, "imported_from": sources}
    if others:
        facts["data"] = {"other_labels": dict(sorted(Counter(others.values()).items()))}
    theirs = Predictions(table, facts)
    return theirs if ours is None else _together(ours, theirs, str(options.beside))


def _together(ours: Predictions, theirs: Predictions, where: str) -> Predictions:
    """Return both tables as one; whatever is known of ours stays known."""
    both = sorted(set(ours.table["model"]) & set(theirs.table["model"]))
    if both:
        raise UsageError(f"{where} has a model {both[0]} too; call theirs otherwise.")
    known = ours.names.to_dict("records")
    for one in theirs.names.to_dict("records"):
        same = _namesake(one, known)
        if same:
            raise UsageError(
                f"{where} has {one['name']} with seed {one['seed']} too, as {same}; give "
                f"{one['model']} another name or seed in --models."
            )
    # What made ours doesn't make this table again; the data are ours.
    facts = {key: value for key, value in ours.facts.items() if key != "fingerprint"}
    facts |= {key: value for key, value in theirs.facts.items() if key != "data"}
    facts |= facts_together([ours, theirs])
    table = pd.concat([ours.table, theirs.table], ignore_index=True)
    check_predictions(table, f"{where} and theirs")
    return Predictions(table, facts)


def _read(
    path: Path, options: ImportOptions, known: pd.DataFrame | None, others: dict[str, str]
) -> pd.DataFrame:
    """Return one file's rows with our column names and words, each under the number of its line.

    `known` are the images, if told; images of OTHER_LABELS are put into `others` with their label.
    """
    given = _read_csv(path)
    for name, word in _named(path, options).items():
        if name not in given:
            given[name] = word
    if set(given) >= _OF_PREDICT and "label" not in options.columns:
        raise UsageError(
            f"{path.name} is what hemiface predict wrote, whose label is the network's own and not "
            "the truth; add a column with what each face shows and name it: --column label=NAME."
        )
    wanted = _wanted(given, options, known is None)
    table = pd.DataFrame({name: given[_their(name, given, options)] for name in wanted})
    table.index = pd.RangeIndex(2, len(table) + 2, name="line")
    words = _Words(path, options)
    table["label"] = words.labels(table["label"])
    table = _of_seven(path, table, others)
    _require_named(path, table)
    found = pd.DataFrame({"model": table.get("model", path.stem)}, index=table.index)
    if "image" in table:
        found["image"] = table["image"]
    if "dataset" not in table and not options.dataset and known is None:
        raise UsageError(
            f"The data set of {path.name} has no name; give it one with --dataset, or a column "
            "dataset."
        )
    if "dataset" in table and options.dataset and known is None:
        log.warning("%s has a column dataset, which counts in place of --dataset.", path.name)
    found["dataset"] = table.get("dataset", options.dataset)
    found["condition"] = words.conditions(table["condition"]) if "condition" in table else "full"
    found["split"] = words.splits(table["split"]) if "split" in table else "test"
    found["label"] = table["label"]
    if "group" in table:
        found["group"] = table["group"].mask(table["group"].str.strip() == "", "")
    if "leaked" in table:
        found["leaked"] = words.truths(table["leaked"])
    found[list(PROBABILITY_COLUMNS)] = _probabilities(path, table)
    if known is None:
        return found
    return _of_known(path, found, known, are_dealt="split" in table)


def _of_seven(path: Path, table: pd.DataFrame, others: dict[str, str]) -> pd.DataFrame:
    """Return the rows of the seven emotions; how many are left out is logged."""
    is_other = ~table["label"].isin(EMOTIONS)
    if is_other.all():
        raise DamagedError(f"{path.name} has no row of {', '.join(EMOTIONS)}; check its labels.")
    if is_other.any():
        counts = Counter(table["label"][is_other])
        said = ", ".join(f"{count:,} {label}" for label, count in sorted(counts.items()))
        log.warning("%s: rows of other labels than the seven were left out (%s).", path.name, said)
    if "image" in table:
        others.update(zip(table["image"][is_other], table["label"][is_other], strict=True))
    return table[~is_other]


def _with_lone_images(groups: pd.Series, images: pd.Series) -> pd.Series:
    """Return the groups where each image without one is a group by itself, of no given one's name.

    Images may be called as groups are: both are numbers in many files.
    """
    given, mark = set(groups), ""
    alone = groups == ""
    while not given.isdisjoint(mark + images[alone]):
        mark += "alone-"
    return groups.mask(alone, mark + images)


def _require_named(path: Path, table: pd.DataFrame) -> None:
    """Raise unless every row says of which image, model and data set it is, where any does."""
    for name in ("image", "model", "dataset"):
        blank = table.get(name, pd.Series(dtype=str)).str.strip() == ""
        if blank.any():
            at = int(np.flatnonzero(blank)[0])
            raise DamagedError(
                f"{path.name}, line {table.index[at]}: the {name} is blank; fill it in."
            )


def _named(path: Path, options: ImportOptions) -> dict[str, str]:
    """Return what the pattern finds in a file's name."""
    if not options.pattern:
        return {}
    try:
        pattern = re.compile(options.pattern)
    except re.error as error:
        raise UsageError(
            f"--pattern {options.pattern!r} is no regular expression: {error}."
        ) from error
    if not pattern.groupindex or set(pattern.groupindex) - set(_IN_NAMES):
        raise UsageError(
            f"--pattern {options.pattern!r} must name its groups {', '.join(_IN_NAMES)}, as in "
            "(?P<model>.+)_on_(?P<condition>.+)."
        )
    match = pattern.search(path.stem)
    if match is None:
        raise UsageError(f"--pattern {options.pattern!r} doesn't fit the name {path.name}.")
    return {name: word for name, word in match.groupdict().items() if word is not None}


def _of_known(
    path: Path, found: pd.DataFrame, known: pd.DataFrame, *, are_dealt: bool
) -> pd.DataFrame:
    """Return the rows with the images, splits, groups and leaks of `known`.

    `are_dealt` says that the file states splits: rows without names are looked for there alone.

    Raises:
        DamagedError: a label isn't that of the image.
        UsageError: images are unknown, or rows without names can't be in the order of `known`, or
            could be of more than one of its splits.
    """
    if "image" not in found:
        found["image"] = ""
        within = ["model", "condition", *(["split"] if are_dealt else [])]
        for (model, hidden, *stated), cell in found.groupby(within, sort=False):
            here = known[known["split"].isin(stated)] if stated else known
            fits = _in_order(cell["label"], here)
            what = f"{path.name} has {len(cell):,} {''.join(f'{one} ' for one in stated)}rows"
            if not fits:
                sizes = known["split"].value_counts(sort=False)
                held = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
                raise UsageError(
                    f"{what} of {model} on {hidden} without a column "
                    f"image; no split beside ({held}), nor several one after the other, has as "
                    "many images with these labels in this order. Name the images."
                )
            if len(fits) > 1:
                raise UsageError(
                    f"{what} of {model} on {hidden} without a column image, which fit "
                    f"{' and '.join(fits)} beside; name the images, or their splits."
                )
            found.loc[cell.index, "image"] = next(iter(fits.values()))
    told = found[["image"]].merge(known, on="image", how="left", validate="many_to_one")
    strange = told["label"].isna()
    if strange.any():
        at = int(np.flatnonzero(strange)[0])
        raise UsageError(
            f"{path.name}, line {found.index[at]}: image {found['image'].iloc[at]} isn't in the "
            "table beside."
        )
    other = told["label"].to_numpy() != found["label"].to_numpy()
    if other.any():
        at = int(np.flatnonzero(other)[0])
        raise DamagedError(
            f"{path.name}, line {found.index[at]}: image {found['image'].iloc[at]} is labelled "
            f"{found['label'].iloc[at]}, beside {told['label'].iloc[at]}; compare what has the "
            "same labels."
        )
    return found.assign(**{name: told[name].to_numpy() for name in _OF_IMAGES})


def _in_order(labels: pd.Series, known: pd.DataFrame) -> dict[str, Any]:
    """Return, by split or splits, the names of images that have these labels in `known`'s order."""
    splits = list(known["split"].unique())
    fits = {}
    for count in range(1, len(splits) + 1):
        for some in combinations(splits, count):
            these = known[known["split"].isin(some)]
            if these["label"].tolist() == labels.tolist():
                fits[" with ".join(some)] = these["image"].to_numpy()
    return fits


def _read_csv(path: Path) -> pd.DataFrame:
    """Return all cells as texts; the separator is the one that the header has more of."""
    try:
        with open_lines(path) as file:
            header = file.readline()
        separator = max(",;\t", key=header.count)
        with open_lines(path) as file:
            table = pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, csv.Error, pd.errors.ParserError) as error:
        raise DamagedError(f"{path} is not a readable CSV file ({error}).") from error
    except pd.errors.EmptyDataError as error:
        raise DamagedError(
            f"{path} is empty; it needs a header and a row for each image."
        ) from error
    if table.empty:
        raise DamagedError(f"{path} has no rows; it needs one for each image.")
    # pandas calls the second of two by another name.
    named = [cell.strip() for cell in next(csv.reader([header], delimiter=separator))]
    twice = next((one for one in named if one and named.count(one) > 1), None)
    if twice is not None:
        raise DamagedError(f"{path} has two columns {twice}; leave one of them out.")
    table = without_row_names(table, path)
    table.columns = table.columns.str.strip()
    return table


def _wanted(given: pd.DataFrame, options: ImportOptions, alone: bool) -> Iterator[str]:
    """Yield our names of the columns that the file has; the needed ones must be there.

    Alone, without a table beside, the images must be named.
    """
    wrong = [name for name in options.columns if name not in (*PREDICTION_COLUMNS,)]
    if wrong:
        raise UsageError(
            f"--column {wrong[0]}={options.columns[wrong[0]]}: {wrong[0]} is no column of a "
            f"prediction table; choose from {', '.join(PREDICTION_COLUMNS)}."
        )
    for name in PREDICTION_COLUMNS:
        needed = name in ("label", *PROBABILITY_COLUMNS) or (alone and name == "image")
        if _their(name, given, options):
            yield name
        elif needed or name in options.columns:
            asked = options.columns.get(name, name)
            unless = ""
            if name in PROBABILITY_COLUMNS:
                unless = ", or add a column of zeros where networks don't know this emotion"
            raise UsageError(
                f"The table has no column {asked}; it has {', '.join(given.columns)}. Say which "
                f"one it is with --column {name}=NAME{unless}."
            )


def _their(name: str, given: pd.DataFrame, options: ImportOptions) -> str:
    """Return the file's name of one of our columns, "" where it has none.

    Raises:
        UsageError: several could be a class's probability; a file may have a column for each class
            beside, such as what is true.
    """
    if name in options.columns:
        return options.columns[name] if options.columns[name] in given.columns else ""
    if name in given.columns:
        return name
    emotion = name.removeprefix("p_")
    found = []
    if name in PROBABILITY_COLUMNS:
        words = {one: emotion_of(one.lower().removeprefix("p_")) for one in given.columns}
        found = [one for one, meant in words.items() if meant == emotion]
    if len(found) > 1:
        raise UsageError(
            f"The table has several columns that could be {name} ({', '.join(found)}); say which "
            f"one it is with --column {name}=NAME."
        )
    return found[0] if found else ""


@dataclass(frozen=True)
class _Words:
    """An outsider's words translated; whatever is unknown is named with its line."""

    path: Path
    options: ImportOptions

    def splits(self, column: pd.Series) -> pd.Series:
        known = {one: one for one in SPLITS} | SPLIT_NAMES | _lower(self.options.splits)
        wrong = next((one for one in self.options.splits.values() if one not in SPLITS), None)
        if wrong is not None:
            raise UsageError(f"There is no split {wrong!r}; choose from {', '.join(SPLITS)}.")
        words = column.str.strip().str.lower()
        return self._translated(words, known, "split", "explain it with --split")

    def conditions(self, column: pd.Series) -> pd.Series:
        words = {word: self.options.conditions.get(word, word) for word in column.unique()}
        known = {}
        for word, name in words.items():
            try:
                known[word] = condition(name.strip().lower()).key
            except UsageError:
                if word in self.options.conditions:
                    raise
        return self._translated(column, known, "condition", "explain it with --condition")

    def labels(self, column: pd.Series) -> pd.Series:
        """Return each row's label, of EMOTIONS or of OTHER_LABELS."""
        words = _plain(column)
        numbers = {str(place): label for place, label in enumerate(self._classes())}
        meant = {word: numbers.get(word) or emotion_of(word) for word in words.unique()}
        known = {word: label for word, label in meant.items() if label}
        strange = next((word for word in meant if word not in known), "")
        mend = f"write one of {', '.join(EMOTIONS)}, or remove its rows"
        if strange.isdecimal():
            mend = (
                f"--classes names 0 to {len(numbers) - 1}: name it there too, or remove its rows"
                if numbers
                else "explain it with --classes"
            )
        return self._translated(words, known, "label", mend)

    def _classes(self) -> list[str]:
        """Return what each number of --classes means."""
        named: dict[str, str] = {}
        for word in self.options.classes:
            label = emotion_of(word)
            if label is None:
                raise UsageError(
                    f"There is no class {word!r}; choose from "
                    f"{', '.join((*EMOTIONS, *OTHER_LABELS))}."
                )
            if label in named:
                raise UsageError(
                    f"--classes names {label} twice ({named[label]}, {word}); name each class "
                    "once, in the order of the numbers."
                )
            named[label] = word
        return list(named)

    def truths(self, column: pd.Series) -> pd.Series:
        words = _plain(column)
        return self._translated(words, _TRUE, "leaked", "write true or false").astype(bool)

    def _translated(
        self, column: pd.Series, known: Mapping[str, Any], what: str, mend: str
    ) -> pd.Series:
        found = column.map(known)
        missing = found.isna()
        if missing.any():
            at = int(np.flatnonzero(missing.to_numpy())[0])
            raise UsageError(
                f"{self.path.name}, line {column.index[at]}: {what} {column.iloc[at]!r} is "
                f"unknown; {mend}."
            )
        return found


def _plain(column: pd.Series) -> pd.Series:
    """Return words in lower case, and whole numbers as 5 that pandas wrote as 5.0 beside a gap."""
    return column.str.strip().str.lower().str.replace(r"^(\d+)\.0+$", r"\1", regex=True)


def _lower(words: Mapping[str, str]) -> dict[str, str]:
    return {word.lower(): name for word, name in words.items()}


def _probabilities(path: Path, table: pd.DataFrame) -> np.ndarray:
    """Return float64 [rows, 7] that sum to 1: what misses 1 by rounding alone is divided by it."""
    texts = table[list(PROBABILITY_COLUMNS)]
    values = texts.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    sums, most = values.sum(axis=1), _most_miss(values)
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(sums - 1) <= most) | (values < 0).any(axis=1)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DamagedError(
            f"{path.name}, line {table.index[at]}: the seven probabilities are not a distribution "
            f"({', '.join(texts.iloc[at])}); they must not be negative and must sum to 1 (rounded "
            f"as these are, to {most:g})."
        )
    scaled: np.ndarray = values / sums[:, None]
    return scaled


def _most_miss(values: np.ndarray) -> float:
    """Return by how much float64 [rows, 7] may miss 1: seven times half a unit of the last place.

    Places are those of .1 and more: of smaller values fixed digits would leave more.
    """
    large = values[values >= 0.1]
    for places in (2, 3):
        # As float32 they are near what was written.
        if np.allclose(large, large.round(places), rtol=0, atol=1e-6):
            return 7 * 0.5 * 10.0**-places
    return _LEAST_MISS


def _require_one_truth(table: pd.DataFrame, others: Mapping[str, str]) -> None:
    """Raise unless each image has one label, split and group in all of its rows.

    `others` are images that were left out, with their label.
    """
    clash = table.loc[table["image"].isin(others.keys()), ["image", "label"]]
    if len(clash):
        image, label = map(str, clash.iloc[0])
        raise DamagedError(
            f"Image {image} has label {others[image]!r} and {label!r} in different rows; give it "
            "one."
        )
    for column in ("label", "split", "group", "leaked"):
        values = table[["image", column]].drop_duplicates()
        twice = values[values.duplicated("image")]
        if len(twice):
            image = twice["image"].iloc[0]
            both = " and ".join(map(repr, values.loc[values["image"] == image, column].iloc[:2]))
            raise DamagedError(f"Image {image} has {column} {both} in different rows; give it one.")


def _require_leaks(table: pd.DataFrame) -> None:
    """Raise where an image isn't marked although its group occurs in an earlier split too.

    Scores without copies would be of copies.
    """
    hidden = leaked(table) & ~table["leaked"].to_numpy() & (table["split"] != "train").to_numpy()
    if hidden.any():
        row = table[hidden].iloc[0]
        splits = set(table["split"][table["group"] == row["group"]])
        raise DamagedError(
            f"{_place(table, hidden)}: leaked is false, but group {row['group']} of this "
            f"{row['split']} image is in {next(one for one in SPLITS if one in splits)} too; "
            "write true there, or leave column leaked out."
        )


def _require_one_row(table: pd.DataFrame) -> None:
    """Raise unless each image has one row under each condition of each model."""
    key = ["image", "condition", "model"]
    twice = table.duplicated(key).to_numpy()
    if twice.any():
        image, hidden, model = table[key].to_numpy()[twice][0]
        same = (table[key] == [image, hidden, model]).all(axis=1).to_numpy()
        raise DamagedError(
            f"{_place(table, same)}, and {_place(table, twice)}, are both of image {image} under "
            f"{hidden} for model {model}; remove one of them, or give their models two names."
        )


def _require_all_images(table: pd.DataFrame, known: pd.DataFrame) -> None:
    """Raise unless each model has all images of a split, which are those of `known`, or none."""
    wanted = {str(split): set(images) for split, images in known.groupby("split")["image"]}
    for (model, hidden, split), cell in table.groupby(["model", "condition", "split"], sort=False):
        there = wanted[str(split)]
        if len(cell) == len(there):
            continue
        lacking, total = min(there.difference(cell["image"])), len(there)
        raise DamagedError(
            f"{cell.index[0][0]}: model {model} has {len(cell):,} of {total:,} {split} images "
            f"under {hidden}, and not {lacking}; add the rows that are missing, or remove these "
            "images everywhere."
        )


def _place(table: pd.DataFrame, which: np.ndarray) -> str:
    """Return the file and line of the first of some rows."""
    file, line = table.index[int(np.flatnonzero(which)[0])]
    return f"{file}, line {line}"


def _read_models(path: Path, used: pd.Series) -> list[dict[str, Any]]:
    """Return the description of each model in `used`, in the order of the file."""
    table = _read_csv(path)
    missing = [name for name in MODEL_COLUMNS[:3] if name not in table.columns]
    if missing:
        raise UsageError(
            f"{path.name} has no column {', '.join(missing)}; a table of models has "
            f"{', '.join(MODEL_COLUMNS)}."
        )
    if table["model"].duplicated().any():
        twice = table["model"][table["model"].duplicated()].iloc[0]
        raise DamagedError(f"{path.name} describes model {twice} twice; keep one row.")
    strangers = [one for one in table["model"] if one not in set(used)]
    if strangers:
        raise UsageError(
            f"{path.name} describes {', '.join(strangers)}, which the predictions don't hold; they "
            f"hold {', '.join(dict.fromkeys(used))}."
        )
    models: list[dict[str, Any]] = []
    for line, row in enumerate(table.to_dict("records"), 2):
        one = _model(path, line, {str(key): str(cell) for key, cell in row.items()})
        same = _namesake(one, models)
        if same:
            raise DamagedError(
                f"{path.name}, line {line}: model {one['model']} is {one['name']} with seed "
                f"{one['seed']}, as {same} is; give each its own seed, or its own name."
            )
        models.append(one)
    return models


def _namesake(one: Mapping[Any, Any], models: Iterable[Mapping[Any, Any]]) -> str:
    """Return which of the models has the name and the seed of `one`, "" where none has."""
    pair = (one["name"], one["seed"])
    found = (str(other["model"]) for other in models if (other["name"], other["seed"]) == pair)
    return next(found, "")


def _model(path: Path, line: int, row: Mapping[str, str]) -> dict[str, Any]:
    where = f"{path.name}, line {line}"
    if not row["name"]:
        raise DamagedError(
            f"{where} gives model {row['model']} no name; say what it was trained on."
        )
    if not row["seed"].isascii() or not row["seed"].isdigit():
        raise DamagedError(f"{where}: seed {row['seed']!r} must be a whole number from 0.")
    flips = row.get("flips", "").strip().lower()
    if flips and flips not in _TRUE:
        raise DamagedError(f"{where}: flips {row['flips']!r} must be true or false.")
    conditions = [one.strip() for one in row.get("conditions", "").split(";") if one.strip()]
    known: dict[str, Any] = {
        "model": row["model"],
        "name": row["name"],
        "seed": int(row["seed"]),
        "trained_on": row.get("trained_on", "") or ", ".join(conditions),
        "conditions": [condition(one).key for one in conditions],
    }
    if flips:
        known["flips"] = _TRUE[flips]
    if row.get("selected_on"):
        known["selected_on"] = row["selected_on"]
    return known
