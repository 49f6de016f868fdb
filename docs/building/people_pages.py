"""The rows of README.md, MODEL_CARD.md and results/people/ that repeat the tables lying there.

    python docs/building/people_pages.py      # renews them, after the tables were measured again

Words around them are written by hand, and where a row stands too: it is found by its first cells.
A test holds every one against its table.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from repository import ROOT
from result_pages import HALVES

__all__ = ["Row", "renew", "rows", "stale"]

CONDITIONS = tuple(HALVES)
SCORES = ("accuracy", "mean_recall", "recall_neutral")
WITH_RECALL = r"\d\d\.\d \([^|]*"
"""A cell of accuracy with the mean recall in brackets."""
NETWORKS = {"people-int8": "generalist", "people-small-int8": "small", "nano-int8": "nano"}
"""Networks that learnt votes, and the folder below results/people/ of each."""
BEST = "people-int8"
DEFAULTS = {"people-int8": ", default for pictures", "people-small-int8": ", default in videos"}
FER = "fer 25.10.3, quantised"
PAIRS = (
    ("people-int8", "people-small-int8"),
    ("people-small-int8", "nano-int8"),
    ("people-small-int8", "small"),
    ("people-small-int8", FER),
)
"""What is compared on whole photographs and under each hidden half."""
LABELS = {
    "ferplus-majority": "FER+ majority",
    "ferplus": "FER+ most voted",
    "fer2013": "FER2013's own",
}
IMAGES = {
    "all": "all",
    "leak-free": "without near duplicates in training or validation",
    "occlusion": "really occluded",
    "pose30": "turned by 30 degrees and more",
}
MASKED = {
    "masked, claim": "masked, claim",
    "masked, development": "masked, development",
    "bare, claim": "bare, claim",
    "bare, development": "bare, development",
    "bare, press photos": "bare, 500 press photos",
    "bare, test images": "FER2013's test images, bare",
    "drawn mask, test images": "the same under drawn masks",
}
"""Sets of masks.csv, as the page calls them."""
THINGS = (
    ("sunglasses", "eyes"),
    ("hand or thing", "mouth"),
    ("clear spectacles", "eyes"),
    ("anything else", "eyes"),
    ("anything else", "mouth"),
)
SEEN = ("as it is", "covered half hidden")
PEOPLE = Path("results/people")


@dataclass(frozen=True)
class Row:
    """A row of a page: its first cells as they are written, then those that a table tells.

    page: below the repository's root.
    whole: whether nothing follows; the model card goes on with times and bytes, which stay.
    below: cells of a second line, "mean recall".
    begins: a pattern of the first told cell, where the same first cells stand in several tables.
    """

    page: Path
    first: str
    cells: tuple[str, ...]
    whole: bool = True
    below: tuple[str, ...] = ()
    begins: str = r"[^|]*"

    @property
    def text(self) -> str:
        """Return the row as it must be written."""
        lines = [f"| {self.first} | {' | '.join(self.cells)} |"]
        lines += [f"| mean recall | {' | '.join(self.below)} |"] if self.below else []
        return "\n".join(lines)

    @property
    def pattern(self) -> str:
        """Return what finds the row, whatever its numbers are."""
        more = "".join(r"[^|\n]*\|" for _ in self.cells[1:])
        end = "$" if self.whole and not self.below else ""
        below = r"\n\| mean recall \|.*$" if self.below else ""
        return rf"^\| {re.escape(self.first)} \| {self.begins}\|{more}{end}{below}"


@cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / PEOPLE / name)


def _one(table: pd.DataFrame, keep: Mapping[str, object]) -> pd.Series:
    for column, value in keep.items():
        table = table[table[column] == value]
    if len(table) != 1:
        raise ValueError(f"{dict(keep)} fits {len(table)} rows, not one")
    return table.iloc[0]


def _percent(row: pd.Series, column: str) -> str:
    return f"{100 * row[column]:.1f}"


def _interval(row: pd.Series, column: str = "accuracy", *, own: bool = True) -> str:
    """Return a value with its interval, whose columns have the value's name before them or not."""
    low, high = (f"{column}_low", f"{column}_high") if own else ("low", "high")
    return f"{_percent(row, column)} [{_percent(row, low)}, {_percent(row, high)}]"


def _difference(row: pd.Series, column: str) -> str:
    """Return points with their interval, without the zero before the point."""
    return re.sub(r"(?<!\d)0\.", ".", _interval(row, column)).replace("-.0", ".0")


def _bold(text: str, network: str) -> str:
    return f"**{text}**" if network == BEST else text


def _photographs() -> Iterator[Row]:
    page, table = PEOPLE / "README.md", _table("photographs.csv")
    for _, row in table[table["condition"] == "full"].iterrows():
        first = f"`{row['system']}` | {row['mix']}"
        yield Row(page, first, tuple(_interval(row, one) for one in SCORES))
    for name in table["system"].unique():
        yield Row(page, f"`{name}`", _with_recall(name, CONDITIONS[1:]), begins=WITH_RECALL)
    for name in ("nano-int8", "people-small-int8"):
        cells = _with_recall(name, CONDITIONS)
        yield Row(PEOPLE / "nano" / "README.md", f"`{name}`", cells, begins=WITH_RECALL)


def _with_recall(system: str, conditions: tuple[str, ...]) -> tuple[str, ...]:
    keep = {"system": system, "mix": "trained"}
    found = [_one(_table("photographs.csv"), {**keep, "condition": one}) for one in conditions]
    return tuple(f"{_percent(row, 'accuracy')} ({_percent(row, 'mean_recall')})" for row in found)


def _pairs() -> Iterator[Row]:
    page, table = PEOPLE / "README.md", _table("photographs_paired.csv")
    for one, other in (*PAIRS, ("small", FER)):
        of = table[(table["system"] == one) & (table["other"] == other)]
        whole, *halves = (_one(of, {"mix": "trained", "condition": x}) for x in CONDITIONS)
        first = f"`{one}` less `{other}`"
        yield Row(page, first, tuple(_difference(whole, score) for score in SCORES))
        if (one, other) in PAIRS:
            accuracy, recall = (tuple(_difference(row, x) for row in halves) for x in SCORES[:2])
            yield Row(page, first, accuracy, below=recall)


def _small_faces() -> Iterator[Row]:
    table = _table("small_faces.csv")
    for name in table["model"].unique():
        for hidden in CONDITIONS:
            keep = {"model": name, "split": "test", "condition": hidden}
            found = [_one(table, {**keep, "size_px": size}) for size in (48, 32, 24, 20, 16)]
            cells = [f"{_percent(x, 'accuracy')} ({_percent(x, 'mean_recall')})" for x in found]
            cells.append(_interval(found[-1], "accuracy_lost"))
            first = f"`{name}` | {hidden}"
            yield Row(PEOPLE / "README.md", first, tuple(cells), begins=WITH_RECALL)


def _flipped() -> Iterator[Row]:
    for name in NETWORKS:
        cells = []
        for hidden in CONDITIONS:
            keep = {"model": name, "views": "flip", "labels": "ferplus-majority", "images": "all"}
            keep["condition"] = hidden
            reached = _percent(_one(_table("views/ferplus.csv"), keep), "accuracy")
            added = _interval(_one(_table("views/views.csv"), keep), "difference", own=False)
            cells.append(f"{reached}: {added if added[0] == '-' else '+' + added}")
        page, begins = PEOPLE / "README.md", r"\d\d\.\d: [^|]*"
        yield Row(page, f"`{name}`", tuple(cells), begins=begins)


def _flipped_photographs() -> Iterator[Row]:
    table = _table("views/photographs_paired.csv")
    for name in ("people-int8", "people-small-int8"):
        told: dict[str, list[str]] = {"accuracy": [], "mean_recall": []}
        for hidden in CONDITIONS:
            keep = {"system": name, "other": f"{name} --flip", "mix": "trained"}
            row = _one(table, {**keep, "condition": hidden})
            for score, cells in told.items():
                # The table has what the plain network has more.
                low, value, high = (-row[f"{score}{end}"] for end in ("_high", "", "_low"))
                added = pd.Series({score: value, "low": low, "high": high})
                text = _interval(added, score, own=False)
                cells.append(text if text[0] == "-" else f"+{text}")
        first, begins = f"`{name}`, photographs", r"[+-]\d\.\d [^|]*"
        cells, below = (tuple(one) for one in told.values())
        yield Row(PEOPLE / "README.md", first, cells, below=below, begins=begins)


def _masked() -> Iterator[Row]:
    table = _table("masked_labels.csv")
    for drawn in table["drawn"].unique():
        _, cells = _seen_both_ways(table, {"drawn": drawn})
        yield Row(PEOPLE / "README.md", drawn, cells, begins=r"\d\d\.\d % ")


def _seen_both_ways(table: pd.DataFrame, keep: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return n, what each network reads of such faces, and of how many a half is hidden."""
    found = [
        _one(table, {**keep, "model": name, "seen": one})
        for name in ("small", *NETWORKS)
        for one in SEEN
    ]
    cells = [f"{_percent(row, 'accuracy')} %" for row in found]
    return f"{found[0]['n']}", (*cells, f"{_percent(found[0], 'hidden')} %")


def _masks() -> Iterator[Row]:
    page, table = PEOPLE / "README.md", _table("masks.csv")
    for group in MASKED:
        keep = {"set": group, "metric": "lower_covered"}
        before, now = (_one(table, {**keep, "network": one}) for one in ("before", "shipped"))
        ends = f"{_percent(now, 'low')} to {_percent(now, 'high')} %"
        cells = (f"{now['n']}", *(f"{_percent(one, 'value')} %" for one in (before, now)), ends)
        yield Row(page, MASKED[group], cells)


def _real_things() -> Iterator[Row]:
    page, table = PEOPLE / "README.md", _table("real_things.csv")
    for thing, region in THINGS:
        keep = {"split": "test", "thing": thing, "region": region}
        before, now = (
            _one(table, {**keep, "network": one}) for one in ("before.onnx", "visibility.onnx")
        )
        cells = [f"{_interval(x, 'noticed', own=False)} %" for x in (before, now)]
        what = "" if now["covered"] or thing == "anything else" else ": false alarms"
        yield Row(page, f"{thing}, {region}{what}", (f"{now['n']:,}", *cells))
    table = _table("real_things_labels.csv")
    for thing in table["thing"].unique():
        n, cells = _seen_both_ways(table, {"thing": thing})
        yield Row(page, thing, (n, *cells), begins=r"\d\d ")


def _calibration() -> Iterator[Row]:
    for name in NETWORKS:
        table = _table(f"calibration/{name}/calibration.csv")
        for hidden in CONDITIONS:
            of = {
                (calibration, metric): _one(
                    table, {"condition": hidden, "calibration": calibration, "metric": metric}
                )
                for calibration in ("none", "by visibility")
                for metric in ("log_loss", "ece", "ece_floor", "rms_calibration_error")
            }
            after = "by visibility"
            cells = (
                f"{of[after, 'log_loss']['temperature']:.2f}",
                f"{of['none', 'log_loss']['value']:.3f}",
                f"{of[after, 'log_loss']['value']:.3f}",
                _percent(of["none", "ece"], "value"),
                _percent(of[after, "ece"], "value"),
                _percent(of[after, "ece_floor"], "value"),
                _percent(of["none", "rms_calibration_error"], "value"),
                _percent(of[after, "rms_calibration_error"], "value"),
            )
            yield Row(PEOPLE / "calibration" / "README.md", f"`{name}` | {hidden}", cells)


def _of_ferplus(network: str, labels: str, images: str) -> tuple[str, tuple[str, ...]]:
    """Return n and a network's scores under the five conditions."""
    table = _table(f"{NETWORKS[network]}/ferplus.csv")
    keep = {"views": "plain", "labels": labels, "images": images}
    found = [_one(table, {**keep, "condition": hidden}) for hidden in CONDITIONS]
    return f"{found[0]['n']:,}", tuple(_interval(row, own=False) for row in found)


def _ferplus() -> Iterator[Row]:
    for network in ("people-int8", "people-small-int8"):
        page = PEOPLE / NETWORKS[network] / "README.md"
        for labels, name in LABELS.items():
            for images, which in IMAGES.items():
                n, cells = _of_ferplus(network, labels, images)
                yield Row(page, f"{name} | {which}", (n, *cells))
    n, cells = _of_ferplus("people-small-int8", "ferplus-majority", "all")
    first = "FER+ majority, `people-small-int8` | all"
    yield Row(PEOPLE / "generalist" / "README.md", first, (n, *cells))
    page = PEOPLE / "nano" / "README.md"
    yield Row(page, "`people-small-int8`", (n, *cells), begins=r"\d,\d\d\d ")
    for labels, images, first in (
        ("ferplus-majority", "all", "FER+ majority"),
        (
            "ferplus-majority",
            "leak-free",
            "FER+ majority, without near duplicates in training or validation",
        ),
        ("ferplus-majority", "occlusion", "FER+ majority, really occluded"),
        ("fer2013", "all", "FER2013's own"),
    ):
        n, cells = _of_ferplus("nano-int8", labels, images)
        yield Row(page, first, (n, *cells))


def _overviews() -> Iterator[Row]:
    keep = {"mix": "trained", "condition": "full"}
    for network in NETWORKS:
        photos = _one(_table("photographs.csv"), {**keep, "system": network})
        accuracy, recall, neutral = (_percent(photos, one) for one in SCORES)
        between = _interval(photos).removeprefix(accuracy)
        _, scores = _of_ferplus(network, "ferplus-majority", "all")
        first = f"`{network}`{DEFAULTS.get(network, '')}"
        if network in DEFAULTS:
            apart = [one.partition(" ") for one in scores]
            cells = [f"{_bold(value, network)} {ends}" for value, _, ends in apart]
            cells.append(f"{_bold(accuracy, network)}{between} ({recall})")
            yield Row(Path("README.md"), first, tuple(cells))
        _, own = _of_ferplus(network, "fer2013", "all")
        values = [recall, neutral, *(one.split()[0] for one in scores)]
        cells = [_bold(accuracy, network) + between, *(_bold(one, network) for one in values)]
        cells.append(own[0].split()[0])
        yield Row(Path("MODEL_CARD.md"), first, tuple(cells), whole=False)


def rows() -> Iterator[Row]:
    """Yield every row of the pages that repeats a table."""
    yield from _photographs()
    yield from _pairs()
    yield from _small_faces()
    yield from _flipped()
    yield from _flipped_photographs()
    yield from _masked()
    yield from _masks()
    yield from _real_things()
    yield from _calibration()
    yield from _ferplus()
    yield from _overviews()


def stale() -> list[tuple[Row, str]]:
    """Return the rows that say something else than their tables, each with what it says.

    Raises:
        ValueError: a page has no such row, or several.
    """
    found = []
    for row in rows():
        written = re.findall(row.pattern, (ROOT / row.page).read_text("utf-8"), re.MULTILINE)
        if len(written) != 1:
            raise ValueError(f"{row.page} has {len(written)} rows that begin with {row.first}")
        if written[0] != row.text:
            found.append((row, written[0]))
    return found


def renew() -> int:
    """Write what is stale anew; return the number of rows."""
    wrong = stale()
    for row, written in wrong:
        page = ROOT / row.page
        page.write_text(page.read_text("utf-8").replace(written, row.text), "utf-8")
    return len(wrong)


if __name__ == "__main__":
    print(f"{renew()} rows renewed")
