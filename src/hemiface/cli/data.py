"""Commands that look at data: check, show, lines, phantom, across."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hemiface.cli.apps import data_app
from hemiface.cli.options import (
    AlignOption,
    DealOption,
    DrawsOption,
    JsonOption,
    LabelsOption,
    SkipBadOption,
)
from hemiface.cli.printing import (
    GOES_ON,
    begins_anew,
    print_data_sets,
    print_json,
    print_lines,
    records,
    say,
    show_progress,
)
from hemiface.cli.reading import crop_landmarks, read_images, words
from hemiface.errors import UsageError

__all__ = ["data_across", "data_check", "data_lines", "data_phantom", "data_show"]


@data_app.command("check")
def data_check(
    path: Annotated[str, typer.Argument(help="Any source of data.")],
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Audit: how it was read, counts, duplicates, leaks, conflicting labels, unreadable files."""
    from hemiface.cli.audit_tables import print_audit
    from hemiface.data.audit import audit

    with show_progress(again=begins_anew(keeps_faces=align)) as on_progress:
        images = read_images(
            path, on_progress, labels=labels, skip_bad=skip_bad, align=align, deal=deal
        )
        found = audit(
            images, progress=lambda done, total: on_progress("comparing images", done, total)
        )
    if as_json:
        print_json(found)
    else:
        print_audit(found)


@data_app.command("show")
def data_show(
    path: Annotated[str, typer.Argument(help="Any source of data, or a run folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the sheets.")] = Path("sheets"),
    seed: Annotated[int, typer.Option(help="Which examples are drawn.", min=0)] = 0,
    conditions: Annotated[str, typer.Option(help="Comma-separated, for the second sheet.")] = (
        "full,upper,lower,left,right"
    ),
    predictions: Annotated[
        Path | None, typer.Option(help="A prediction table, for sheets of confident mistakes.")
    ] = None,
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw sheets: examples of each class, every condition, the most confident mistakes."""
    from hemiface.data.sheets import write_sheets

    with show_progress(again=begins_anew(keeps_faces=align)) as on_progress:
        images = read_images(
            path, on_progress, labels=labels, skip_bad=skip_bad, align=align, deal=deal
        )
    keys = words(conditions)
    beside = Path(path) / "predictions.parquet"
    table = predictions or (beside if beside.is_file() else None)
    written = write_sheets(images, out, conditions=keys, predictions=table, seed=seed)
    if as_json:
        print_json([str(path) for path in written])
    else:
        for sheet in written:
            say(sheet)


@data_app.command("lines")
def data_lines(
    path: Annotated[str, typer.Argument(help="Any source of data, or a run folder.")],
    out: Annotated[Path, typer.Option(help="Folder of lines.csv and line_summary.csv.")],
    split: Annotated[list[str] | None, typer.Option(help="Repeatable; default test.")] = None,
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find each face's midline and nose line: how far do they lie from the picture's middle?"""
    from hemiface.occlusion.face_lines import measure_lines

    with show_progress(again=GOES_ON) as on_progress:
        images = read_images(
            path, on_progress, labels=labels, skip_bad=skip_bad, align=align, deal=deal
        )
        summary = measure_lines(images, split or ["test"], crop_landmarks(on_progress), out)
    if as_json:
        print_json({"folder": str(out), "summary": records(summary)})
    else:
        print_lines(summary)
        say(out)


@data_app.command("phantom")
def data_phantom(
    out: Annotated[Path, typer.Option(help="New folder of class folders.")],
    n: Annotated[int, typer.Option("--n", min=70, help="How many faces.")] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of every face.")] = 0,
) -> None:
    """Render faces whose right answers are known."""
    from hemiface.data.phantom import make as phantom

    phantom.write_folder(phantom.make(n, seed), out)
    say(out)


def _begins_with(path: Path, columns: Sequence[str]) -> bool:
    """Return whether a file's first line names these columns."""
    header = ",".join(columns).encode()
    try:
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False


@data_app.command("across")
def data_across(
    tables: Annotated[
        list[Path],
        typer.Argument(help="Runs, prediction tables or folders of their parts."),
    ],
    out: Annotated[Path, typer.Option(help="The table.")] = Path("data_sets.csv"),
    protocol: Annotated[str, typer.Option(help="standard, paper or leak-free.")] = "standard",
    draws: DrawsOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """Set data sets side by side: accuracy, mean recall, macro F1 of each model and condition."""
    from hemiface.config import StatisticsOptions
    from hemiface.stats.data_sets import DATA_SET_COLUMNS, data_sets, read_data_sets
    from hemiface.tables import write_csv

    if out.exists() and not _begins_with(out, DATA_SET_COLUMNS):
        raise UsageError(f"{out} is there and no table of this command's; name another --out.")
    found = data_sets(read_data_sets(tables), StatisticsOptions(draws=draws), protocol=protocol)
    write_csv(found, out)
    if as_json:
        print_json({"table": str(out), "scores": records(found)})
        return
    print_data_sets(found)
    say(out)
