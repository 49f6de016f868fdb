"""Result tables -> the tables of the report: what stands in which cell, and which one is marked.

Scores have three decimals everywhere, differences a sign; a dash is an undefined score.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hemiface.report.figures.classes import Cell, cell_label, class_values
from hemiface.report.figures.scores import headline
from hemiface.report.figures.style import METRIC_NAMES, ordered, row_heading
from hemiface.report.results import PAPER_METRICS
from hemiface.stats.metrics import METRICS
from hemiface.tables import EMOTIONS

__all__ = [
    "Group",
    "Row",
    "Shown",
    "Table",
    "class_table",
    "comparison_tables",
    "counts_table",
    "drop_table",
    "score_table",
]

_LEAK_FREE = "leak-free"
_COMPARED = "Small: ours minus the original's."


@dataclass(frozen=True)
class Shown:
    """One cell: its text, a smaller note behind it, and CSS classes."""

    text: str
    note: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Row:
    """A row: its name and its cells."""

    name: str
    cells: Sequence[Shown]


@dataclass(frozen=True)
class Group:
    """Rows under a common first column."""

    name: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Table:
    """A table; `inner` heads the rows' names, empty where each group is a single unnamed row."""

    key: str
    title: str
    note: str
    corner: str
    inner: str
    columns: Sequence[str]
    groups: Sequence[Group]


def score_table(matrix: pd.DataFrame, protocol: str, copy: str = "a near duplicate") -> Table:
    """Return the table of the original study: per model and hidden region the four scores.

    The accuracy on the images without `copy` among those of training follows each accuracy, where
    the matrix (columns of matrix.csv) has it. The best value of a column is marked, per score.
    """
    lines = [(METRIC_NAMES[name], protocol, name) for name in PAPER_METRICS]
    if len(_scored(matrix, _LEAK_FREE)):
        lines.insert(1, ("Accuracy, leak-free", _LEAK_FREE, "accuracy"))
    found = [(label, name, headline(matrix, where, name)) for label, where, name in lines]
    index = found[0][2].index
    models = ordered(index.get_level_values("model"))
    conditions = ordered(index.get_level_values("condition"))
    best = {label: _best(cells, conditions, name) for label, name, cells in found}
    groups = []
    for model in models:
        rows = []
        for label, _, cells in found:
            shown = [
                _score(cells, model, hidden, best[label].get(hidden) if len(models) > 1 else None)
                for hidden in conditions
            ]
            rows.append(Row(label, shown))
        groups.append(Group(model, rows))
    n = found[0][2]["n"].max()
    size = f"{int(n):,} images" if pd.notna(n) else ""
    titles = {"standard": "Test split", "paper": "The original study's protocol"}
    return Table(
        protocol,
        f"{titles.get(protocol, protocol)}, {size}.",
        _score_note(matrix, protocol, copy),
        row_heading(models),
        "score",
        conditions,
        groups,
    )


def drop_table(matrix: pd.DataFrame, protocol: str, metric: str = "accuracy") -> Table | None:
    """Return each model's drop from whole faces per hidden region; None where none is known."""
    cells = headline(matrix, protocol, metric)
    models = ordered(cells.index.get_level_values("model"))
    hidden = [c for c in ordered(cells.index.get_level_values("condition")) if c != "full"]
    if cells.loc[cells.index.isin(hidden, level="condition"), "drop_from_full"].isna().all():
        return None
    groups = []
    for model in models:
        drops = [_lookup(cells, model, name, "drop_from_full") for name in hidden]
        kinds = ["matched" if model == name else "" for name in hidden]
        shown = [Shown(signed(drop), "", kind) for drop, kind in zip(drops, kinds, strict=True)]
        groups.append(Group(model, [Row("", shown)]))
    name = METRIC_NAMES[metric]
    return Table(
        metric,
        f"{name} on whole faces minus {name.lower()} with a part hidden.",
        "Between bars: trained on that condition.",
        row_heading(models),
        "",
        hidden,
        groups,
    )


def comparison_tables(comparisons: pd.DataFrame) -> list[Table]:
    """Return one table per metric of comparisons.csv: ours, the original's and the difference.

    What the original gave for a single cell only (its micro and macro AUC) shares one last table.
    """
    cells = comparisons.set_index(["metric", "model", "condition"])
    sizes = comparisons.groupby("metric", sort=False).size()
    tables = []
    for metric in sizes[sizes > 1].index:
        here = cells.loc[metric]
        models = ordered(here.index.get_level_values("model"))
        conditions = ordered(here.index.get_level_values("condition"))
        groups = [Group(model, _compared(here, model, conditions)) for model in models]
        title = f"{METRIC_NAMES[metric]}, ours and the original's."
        tables.append(Table(metric, title, _COMPARED, "trained on", "whose", conditions, groups))
    single = sizes[sizes == 1].index
    if len(single):
        groups = [
            Group(METRIC_NAMES[metric], _compared(cells.loc[metric], "full", ["full"]))
            for metric in single
        ]
        title = "Trained on whole faces, tested on whole faces."
        tables.append(Table("single", title, _COMPARED, "score", "whose", ["full"], groups))
    return tables


def _compared(cells: pd.DataFrame, model: str, conditions: Sequence[str]) -> list[Row]:
    theirs = [Shown(number(_lookup(cells, model, name, "original"))) for name in conditions]
    return [
        Row("ours", [_ours(cells, model, name) for name in conditions]),
        Row("original", theirs),
    ]


def class_table(
    class_scores: pd.DataFrame, cells: Sequence[Cell], protocol: str, key: str, title: str
) -> Table:
    """Return recall, F1 and AUC of each emotion in each cell, from class_scores.csv's columns."""
    columns = {
        metric: [class_values(class_scores, cell, metric, protocol) for cell in cells]
        for metric in ("recall", "f1", "auc")
    }
    names = {"recall": "Recall", "f1": "F1", "auc": "AUC"}
    support = class_values(class_scores, cells[0], "support", protocol)
    groups = []
    for emotion in EMOTIONS:
        rows = [
            Row(names[metric], [Shown(number(float(values[emotion]))) for values in series])
            for metric, series in columns.items()
        ]
        count = support[emotion]
        groups.append(Group(f"{emotion} ({count:.0f})" if count == count else emotion, rows))
    labels = [cell_label(cell, cells) for cell in cells]
    note = "Behind each emotion: how many images bear that label."
    return Table(key, title, note, "emotion", "score", labels, groups)


def counts_table(images: pd.DataFrame) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return (columns, rows) of images per split and label, from columns `split` and `label`."""
    wide = pd.crosstab(images["split"], images["label"])
    splits = [name for name in ("train", "validation", "test") if name in wide.index]
    wide = wide.reindex(index=splits, columns=list(EMOTIONS), fill_value=0)
    rows = [
        (split, [f"{int(count):,}" for count in (*wide.loc[split], wide.loc[split].sum())])
        for split in splits
    ]
    return [*EMOTIONS, "all"], rows


def number(value: float) -> str:
    """Return a score with three decimals, or a dash for NaN.

    >>> number(0.66449), number(float("nan"))
    ('0.664', '–')
    """
    return "–" if math.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """Return a difference with its sign, or a dash for NaN.

    >>> signed(-0.0114), signed(0.2)
    ('−0.011', '+0.200')
    """
    return "–" if math.isnan(value) else f"{value:+.3f}".replace("-", "−")


def _score(cells: pd.DataFrame, model: str, hidden: str, best: float | None) -> Shown:
    value = _lookup(cells, model, hidden, "value")
    low, high = (_lookup(cells, model, hidden, end) for end in ("low", "high"))
    note = "" if math.isnan(low) or math.isnan(high) else f"[{low:.3f}, {high:.3f}]"
    kinds = ["best"] if best is not None and number(value) == number(best) else []
    if model == hidden:
        kinds.append("matched")
    return Shown(number(value), note, " ".join(kinds))


def _best(cells: pd.DataFrame, conditions: Sequence[str], metric: str) -> Mapping[str, float]:
    """Return each condition's best value over the models; conditions without any are left out."""
    better = np.max if METRICS[metric].greater_is_better else np.min
    best = {}
    for name in conditions:
        values = cells.xs(name, level="condition")["value"].dropna().to_numpy(np.float64)
        if len(values):
            best[name] = float(better(values))
    return best


def _lookup(cells: pd.DataFrame, model: str, hidden: str, column: str) -> float:
    key = (model, hidden)
    return float(cells[column].loc[key]) if key in cells.index else math.nan


def _ours(cells: pd.DataFrame, model: str, hidden: str) -> Shown:
    low, high, original, ours, difference = (
        _lookup(cells, model, hidden, column)
        for column in ("low", "high", "original", "ours", "difference")
    )
    kind = "up" if low > original else "down" if high < original else ""
    return Shown(number(ours), "" if math.isnan(difference) else signed(difference), kind)


def _scored(matrix: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return the rows of a protocol that images were scored for."""
    return matrix[(matrix["protocol"] == protocol) & (matrix["n"] > 0)]


def _score_note(matrix: pd.DataFrame, protocol: str, copy: str) -> str:
    parts = []
    if protocol == "paper":
        parts.append("Validation and test images together.")
    rows = _scored(matrix, _LEAK_FREE)
    if len(rows):
        parts.append(
            f"Leak-free: the {int(rows['n'].max()):,} test images without "
            f"{copy} in the training or validation split."
        )
    parts.append("Bold: best of its column. Between bars: tested on what it was trained on.")
    return " ".join(parts)
