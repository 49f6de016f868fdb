"""The command that takes other programs' predictions: import."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hemiface.cli.apps import app
from hemiface.cli.options import JsonOption, ReplaceOption
from hemiface.cli.printing import print_json, say
from hemiface.errors import UsageError

__all__ = ["import_", "pairs_of"]


@app.command("import")
def import_(
    tables: Annotated[list[Path], typer.Argument(help="CSV files, a row per image and model.")],
    dataset: Annotated[
        str, typer.Option(help="The data set's name; not needed with --beside.")
    ] = "",
    models: Annotated[
        Path | None,
        typer.Option(help="CSV: model, name, seed; trained_on, conditions, flips, selected_on."),
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Emotions in the order of numeric labels, comma-separated.")
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(help="OURS=THEIRS: what the file calls a column. Repeatable."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="THEIRS=OURS: train, validation or test. Repeatable."),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(help="THEIRS=OURS: full, upper, lower, left, ... Repeatable."),
    ] = None,
    pattern: Annotated[
        str,
        typer.Option(help="What names of files say: '(?P<model>.+)_on_(?P<condition>.+)'."),
    ] = "",
    beside: Annotated[
        Path | None,
        typer.Option(
            help="A prediction table of the same images: both become one, with its splits, groups "
            "and leaks. Images may be nameless then, in its order."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The prediction table; without an ending, a folder of its parts.")
    ] = Path("predictions.parquet"),
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take anybody's probabilities as a prediction table, which report, compare, ... read."""
    from hemiface.cli.reading import words
    from hemiface.data.outside import ImportOptions, import_predictions
    from hemiface.data.parts import (
        keep_larger_table_or_parts,
        table_path,
        write_table_or_parts,
    )
    from hemiface.inputs import require_apart

    options = ImportOptions(
        dataset=dataset,
        models=models,
        classes=tuple(words(classes)),
        columns=pairs_of(column, "--column"),
        splits=pairs_of(split, "--split"),
        conditions=pairs_of(condition, "--condition"),
        pattern=pattern,
        beside=beside,
    )
    ours = [] if beside is None else [table_path(beside)]
    require_apart([*tables, *filter(None, [models]), *ours], [out])
    predictions = import_predictions(tables, options)
    keep_larger_table_or_parts(out, len(predictions), replace=replace)
    write_table_or_parts(predictions, out)
    if as_json:
        found = {"predictions": str(out), "rows": len(predictions), "unknown": predictions.unknown}
        print_json({**found, "models": predictions.models})
        return
    for sentence in predictions.gaps:
        say(sentence)
    say(f"{out}: {len(predictions):,} rows")


def pairs_of(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """Return {before the sign: after it} of each `A=B`."""
    found: dict[str, str] = {}
    for one in given or ():
        first, sign, second = one.partition("=")
        if not (first and sign and second):
            raise UsageError(f"{option} {one} must have the form A=B.")
        if found.setdefault(first, second) != second:
            raise UsageError(f"{option} says {first}={found[first]} and {one}; give one of them.")
    return found
