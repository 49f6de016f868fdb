"""What a user sees: progress on standard error, tables or one JSON document on standard output."""

import json
import logging
import math
import sys
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hemiface.cli.streams import ascii_alone, in_its_letters
from hemiface.errors import HemifaceError, escaped

if TYPE_CHECKING:
    import pandas as pd

    from hemiface.stages import OnProgress
    from hemiface.tables import Predictions

__all__ = [
    "GOES_ON",
    "begins_anew",
    "json_text",
    "print_bits",
    "print_calibration",
    "print_cells",
    "print_changed_halves",
    "print_data_sets",
    "print_differences",
    "print_evaluated",
    "print_halves",
    "print_json",
    "print_lines",
    "print_parity",
    "print_study",
    "records",
    "say",
    "show",
    "show_progress",
]

GOES_ON = "goes on where it was"
"""What a command does that is given again after it was stopped."""

_BEGINS_ANEW = "begins anew"

_WIDTH = 140
"""Characters of a table that is redirected."""


class _InterruptedError(HemifaceError):
    """Long work was stopped with Ctrl-C."""

    exit_code = 130


class _Escaping(logging.Formatter):
    """What is logged, as a terminal may show it."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


def begins_anew(*, keeps_faces: bool) -> str:
    """Return what a command does that is given again, of whose work found faces alone are kept."""
    if keeps_faces:
        return f"keeps the faces that were found and otherwise {_BEGINS_ANEW}"
    return _BEGINS_ANEW


@contextmanager
def show_progress(*, again: str = _BEGINS_ANEW) -> Iterator["OnProgress"]:
    """Show progress on stderr: a bar in a terminal, else only what is logged.

    `again` is what a command that was stopped does when it is given again, such as GOES_ON.
    """
    from rich.console import Console
    from rich.logging import RichHandler
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    logger = logging.getLogger("hemiface")
    terminal = console.is_terminal
    handler: logging.Handler = (
        RichHandler(console=console, show_path=False, show_level=False, markup=False)
        if terminal
        else logging.StreamHandler(sys.stderr)
    )
    handler.setFormatter(_Escaping())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
    )
    bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not terminal)
    tasks: dict[str, Any] = {}

    def on_progress(what: str, done: int, total: int) -> None:
        kind = what.split()[0]
        if kind not in tasks or done == 1:
            for old in tasks.values():
                bar.remove_task(old)
            tasks.clear()
            tasks[kind] = bar.add_task("", total=total or None)
        words = escape(escaped(what))
        bar.update(tasks[kind], completed=done, total=total or None, description=words)

    try:
        with bar:
            yield on_progress
    except KeyboardInterrupt as stop:
        # typer would answer with a bare "Aborted".
        raise _InterruptedError(f"interrupted; the same command {again}.") from stop
    finally:
        logger.removeHandler(handler)


def print_study(folder: Path, as_json: bool) -> None:
    """Print what a finished study found on its test split, and where the report is."""
    from hemiface.tables import read_csv

    matrix = read_csv(folder / "matrix.csv", dtype={"seed": "str"})
    chosen = matrix[(matrix["protocol"] == "standard") & (matrix["metric"] == "accuracy")]
    seeds = chosen[chosen["seed"] == "mean"]
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "report": str(folder / "report.html"),
                "accuracy": records(seeds[["model", "condition", "value", "low", "high", "n"]]),
            }
        )
        return
    print_cells(seeds, "Accuracy on the test split, % (rows: trained on, columns: hidden)")
    say(f"Report: {folder / 'report.html'}")


def print_cells(cells: "pd.DataFrame", title: str) -> None:
    """Print one metric as models x conditions, in per cent."""
    conditions = list(dict.fromkeys(cells["condition"]))
    corner = "trained on"
    if len(conditions) > 8:
        # Sixteen columns don't fit: let the conditions go down the page.
        cells = cells.rename(columns={"model": "condition", "condition": "model"})
        conditions, corner = list(dict.fromkeys(cells["condition"])), "hidden"
    shown = []
    for model in dict.fromkeys(cells["model"]):
        row = cells[cells["model"] == model].set_index("condition")["value"]
        # Specialists may have fewer conditions than the others.
        known = (row.get(key) for key in conditions)
        shown.append([model, *("" if one is None else f"{100 * one:.1f}" for one in known)])
    show(title, [corner, *conditions], shown, numbers=conditions)


def print_evaluated(predictions: "Predictions", file: Path, as_json: bool) -> None:
    """Print the scores of predictions that were written to `file`, and whose halves were hidden."""
    from hemiface.stats import metrics

    scores, known = metrics.summarise(predictions), predictions.facts
    if as_json:
        facts = {name: known[name] for name in ("halves", "fallbacks")}
        print_json({"predictions": str(file), **facts, "scores": records(scores)})
        return
    print_cells(scores[scores["metric"] == "accuracy"], "Accuracy")
    if known["halves"] == "face":
        images = predictions.table["image"].nunique()
        print(
            f"The face's own halves are hidden; {known['fallbacks']:,} of {images:,} images show "
            "no face that was found and had the image's halves hidden (column halves says "
            "fallback)."
        )
    say(f"{file}: {len(predictions):,} rows")


def print_data_sets(rows: "pd.DataFrame") -> None:
    """Print scores of models on several data sets, in per cent with intervals."""
    metrics = list(dict.fromkeys(rows["metric"]))
    shown: list[list[str] | None] = []
    for name, of_set in rows.groupby("data_set", sort=False):
        if shown:
            shown.append(None)
        for (model, condition), cell in of_set.groupby(["model", "condition"], sort=False):
            values = cell.set_index("metric")
            known = cell.iloc[0]
            three = values[["value", "low", "high"]]
            scores = (_per_cent(*three.loc[metric].to_list()) for metric in metrics)
            counts = (f"{known['n']:,}", f"{known['groups']:,}")
            shown.append([str(name), str(model), str(condition), *scores, *counts])
    named = {"accuracy": "accuracy", "balanced_accuracy": "mean recall", "macro_f1": "macro F1"}
    numbers = [*(named.get(metric, metric) for metric in metrics), "images", "groups"]
    title = "Scores in %, 95% intervals over groups (persons, copies)"
    show(title, ["data set", "model", "hidden", *numbers], shown, numbers=numbers)
    classes = [name for name in map(str, rows) if name.startswith("n_")]
    of_sets = rows.drop_duplicates("data_set")[["data_set", *classes]]
    names = [name.removeprefix("n_") for name in classes]
    table = ([str(name), *(f"{count:,}" for count in of)] for name, *of in of_sets.to_numpy())
    show("Images", ["data set", *names], table, numbers=names)


def _per_cent(value: float, low: float, high: float) -> str:
    """Return a score with its interval, each only where it is defined."""
    if math.isnan(value):
        return "undefined"
    return _with_interval(100 * value, 100 * low, 100 * high, digits=1)


def _with_interval(value: float, low: float, high: float, *, digits: int) -> str:
    """Return a value with its interval below it, where it has one; a dash where it is unknown."""
    if math.isnan(value):
        return "–"
    interval = "" if math.isnan(low) else f"\n[{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{interval}"


def print_differences(rows: "pd.DataFrame", margin: float) -> None:
    """Print differences of accuracy with intervals, in points."""
    title = (
        "Accuracy, A minus B in points, 95% interval; p corrected (Holm) within its family; "
        f"alike: within ±{100 * margin:g} points (TOST)"
    )
    shown = [
        [
            one["kind"],
            one["seed"],
            f"{one['model_a']} on {one['condition_a']}",
            f"{one['model_b']} on {one['condition_b']}",
            *_difference(one),
            "yes" if one["p_equivalence"] < 0.05 else "",
        ]
        for one in rows.to_dict("records")
    ]
    numbers = ["A - B", "interval", "p", "alike"]
    show(title, ["compared", "seed", "A", "B", *numbers], shown, numbers=numbers)


def print_calibration(scores: "pd.DataFrame") -> None:
    """Print the calibration error of each cell before and after."""
    calibrations = list(dict.fromkeys(scores["calibration"]))
    shown = []
    for key, cell in scores.groupby(["model", "seed", "condition"], sort=False):
        values = 100 * cell.set_index(["calibration", "metric"])["value"]
        parts = (
            [values[name, one] for one in ("ece", "ece_floor", "rms_calibration_error")]
            for name in calibrations
        )
        three = [f"{ece:.1f} ({floor:.1f}), {rms:.1f}" for ece, floor, rms in parts]
        shown.append([*map(str, key), *three])
    title = (
        "Expected calibration error on test images, % (what a calibrated network would show by "
        "chance), and the root mean square without chance"
    )
    columns = ["trained on", "seed", "condition", *calibrations]
    show(title, columns, shown, numbers=calibrations)


def print_halves(halves: "pd.DataFrame") -> None:
    """Print what each half contributes over all images, in points, with intervals."""
    regions = list(dict.fromkeys(halves["region"]))
    shown = []
    for (model, fill), rows in halves.groupby(["model", "fill"], sort=False):
        cells = rows.set_index("region")
        values = [
            _with_interval(*one, digits=1)
            for one in 100 * cells.loc[regions, ["value", "low", "high"]].to_numpy()
        ]
        shown.append([str(model), str(fill), *values])
    title = "What each half contributes (Shapley value, percentage points of probability)"
    show(title, ["trained on", "fill", *regions], shown, numbers=regions)


def print_bits(halves: "pd.DataFrame") -> None:
    """Print what the whole face and each half tell over all images, with intervals."""
    known = set(halves["visible"])
    parts = [one for one in ("whole", "upper", "lower", "left", "right") if one in known]
    shown = []
    for (model, fill, mix), rows in halves.groupby(["model", "fill", "mix"], sort=False):
        cells = rows.set_index("visible")[["bits", "low", "high"]].reindex(parts)
        values = [_with_interval(*one, digits=2) for one in cells.to_numpy()]
        named = str(model) if fill == "black" else f"{model}, {fill}"
        shown.append([named, str(mix), *values])
    title = "What the visible part tells about the emotion (bits)"
    show(title, ["trained on", "mix", *parts], shown, numbers=parts)


def print_changed_halves(rows: "pd.DataFrame") -> None:
    """Print what hiding the faces' own halves changes in accuracy, in points."""
    shown = [
        [
            *(str(one[name]) for name in ("model", "seed", "condition")),
            *(f"{100 * one[name]:.1f}" for name in ("image", "face")),
            *_difference(one),
        ]
        for one in rows[rows["metric"] == "accuracy"].to_dict("records")
    ]
    numbers = ["picture", "face", "face - picture", "interval", "p"]
    show(
        "Accuracy in %, the face's own halves minus the picture's in points, 95% interval",
        ["trained on", "seed", "hidden", *numbers],
        shown,
        numbers=numbers,
    )


def print_lines(summary: "pd.DataFrame") -> None:
    """Print how the lines of faces are spread."""
    columns = list(summary.columns)
    shown = [
        [str(split), str(quantity), f"{n:,}", *(f"{value:.3f}" for value in values)]
        for split, quantity, n, *values in summary.itertuples(index=False)
    ]
    title = "The faces' own lines against the picture's"
    show(title, columns, shown, numbers=columns[2:])


def print_parity(header: Mapping[str, Any]) -> None:
    """Print what the header of an exported model says of its parity with its Bundle."""
    known = header["parity"]
    numbers = ["n", "largest |Δp|", "same answer %", "Bundle %", "export %", "loss, points"]
    shown = [
        [
            row["condition"],
            f"{row['n']:,}",
            f"{row['max_difference']:.1e}",
            f"{100 * row['equal_decisions']:.2f}",
            f"{100 * row['source_accuracy']:.2f}",
            f"{100 * row['accuracy']:.2f}",
            f"{row['loss_points']:+.2f}",
        ]
        for row in known["conditions"]
    ]
    splits = ", ".join(known["splits"])
    title = f"{header['precision']} beside its Bundle on {known['data']} ({splits})"
    show(title, ["hidden", *numbers], shown, numbers=numbers)


def _difference(one: dict[Hashable, Any]) -> tuple[str, str, str]:
    """Return a difference in points, its interval and its corrected p, as they are printed."""
    difference, low, high = (100 * one[name] for name in ("difference", "low", "high"))
    p = one["p_holm"]
    return (
        f"{difference:+.1f}",
        "–" if math.isnan(low) else f"[{low:+.1f}, {high:+.1f}]",
        "–" if math.isnan(p) else "< .001" if p < 0.001 else f"{p:.3f}",
    )


def show(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str] | None],
    *,
    numbers: Collection[str] = (),
) -> None:
    """Print a table as wide as the terminal; every table of the command line comes from here.

    Of the columns those in `numbers` are set to the right; None in place of a row draws a line.
    Nothing in a cell is taken for markup, and nothing is cut off: what is too long goes on below.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(in_its_letters(escaped(title))), title_justify="left")
    for name in columns:
        side: Literal["left", "right"] = "right" if name in numbers else "left"
        table.add_column(escape(in_its_letters(name)), justify=side, overflow="fold")
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*(escape(in_its_letters(escaped(cell))) for cell in row))
    # Redirected output must not be folded at a guessed 80 columns.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    console.print(table)


def say(line: object) -> None:
    """Print a line, such as a file's name, as a terminal may show it."""
    print(escaped(str(line)))


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json_text(value, indent=2))


def json_text(value: Any, indent: int | None = None) -> str:
    r"""Return JSON for standard output: what a terminal would obey in it stands as JSON's escapes.

    >>> print(json_text("a\x1b[31mb\u202ec\x9bd"))
    "a\u001b[31mb\u202ec\u009bd"
    """
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_alone())
    # Nothing but words holds such characters, so that each may be escaped wherever it stands.
    obeyed = (one for one in set(text) if escaped(one) != one)
    return text.translate({ord(one): json.dumps(one)[1:-1] for one in obeyed})


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return rows as JSON values; NaN becomes null."""
    records: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return records
