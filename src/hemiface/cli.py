"""The command line: parse, call one function, print. Heavy imports happen inside the commands."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemiface.errors import HemifaceError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from hemiface.config import Config
    from hemiface.data.images import Images
    from hemiface.stages import OnProgress

__all__ = ["app", "main"]

app = typer.Typer(
    name="hemiface",
    help="How much of a face an emotion needs: train, evaluate and explain emotion recognition "
    "on whole and half-hidden faces.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or config, 4 damaged data or weights, "
    "130 interrupted.",
)
data_app = typer.Typer(help="Look at data: audit, sheets, rendered faces.", no_args_is_help=True)
app.add_typer(data_app, name="data")

ConfigPath = Annotated[Path, typer.Argument(help="TOML file, such as configs/quick.toml.")]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="fer2013.csv (also .gz, .bz2, .zip), a folder of class folders, a run folder, "
        "or phantom: for rendered faces.",
    ),
]
LabelsOption = Annotated[
    str, typer.Option("--labels", help="ferplus=PATH takes the labels from FER+ votes.")
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out what can't be read, and count it.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key: --set train.epochs=10. Repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


class _InterruptedError(HemifaceError):
    """Long work was stopped with Ctrl-C."""

    exit_code = 130


def main() -> None:
    """Run the command line; errors become one sentence on stderr and a documented exit code."""
    try:
        app(standalone_mode=True)
    except HemifaceError as error:
        print(f"hemiface: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        extra = _extra_of(error.name or "")
        if extra is None:
            raise
        print(
            f"hemiface: this command needs {error.name}; pip install 'hemiface[{extra}]'.",
            file=sys.stderr,
        )
        sys.exit(1)


@app.command()
def study(
    config: ConfigPath,
    data: DataOption = "",
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<name>.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Start over, or go on where it was.")
    ] = False,
    device: DeviceOption = "auto",
    settings: SetOption = None,
    labels: LabelsOption = "",
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the whole study: data, baseline, specialists, evaluation, statistics, report."""
    from hemiface.stages import study as run_study

    chosen = _config(config, settings, data=data, labels=labels, skip_bad=skip_bad)
    with _progress() as on_progress:
        folder = run_study(chosen, out=out, fresh=fresh, device=device, on_progress=on_progress)
    _print_study(folder, as_json)


@app.command()
def train(
    config: ConfigPath,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the Bundle, history and checkpoint.")],
    init: Annotated[Path | None, typer.Option(help="Bundle to start from.")] = None,
    condition: Annotated[str, typer.Option(help="What is hidden, or any.")] = "full",
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    max_steps: Annotated[int | None, typer.Option(help="Stop early, to rehearse.", min=1)] = None,
    device: DeviceOption = "auto",
    settings: SetOption = None,
    labels: LabelsOption = "",
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train one network; killed and started again, it goes on where it was."""
    from hemiface.model import Bundle
    from hemiface.train import fit, task

    chosen = _config(config, settings, data=data, labels=labels, skip_bad=skip_bad)
    images = _images(chosen, out)
    job = task(chosen, condition, seed, init=init, max_steps=max_steps)
    with _progress() as on_progress:
        bundle = fit(
            job,
            images,
            out,
            device=device,
            on_step=lambda done, total: on_progress(f"training {job.model_id}", done, total),
        )
    known = Bundle.load(bundle).provenance
    if as_json:
        _print_json({"bundle": str(bundle), **known})
    else:
        print(
            f"{bundle}: epoch {known['epoch']}, "
            f"validation accuracy {known['validation_accuracy']:.4f}"
        )


@app.command()
def evaluate(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles, *.safetensors.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The prediction table.")] = Path("predictions.parquet"),
    split: Annotated[list[str] | None, typer.Option(help="Repeatable; default test.")] = None,
    conditions: Annotated[
        str, typer.Option(help="Comma-separated; a fill is added as upper@mean.")
    ] = "full,upper,lower,left,right",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored view.")] = False,
    device: DeviceOption = "auto",
    labels: LabelsOption = "",
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the prediction table of every Bundle under every condition."""
    from hemiface import metrics
    from hemiface.data import load
    from hemiface.evaluation import evaluate as run

    images = load(data, labels=labels or None, skip_bad=skip_bad)
    with _progress() as on_progress:
        predictions = run(
            bundles,
            images,
            conditions=[key.strip() for key in conditions.split(",") if key.strip()],
            splits=split or ["test"],
            flip=flip,
            device=device,
            out=out,
            on_cell=lambda done, total, what: on_progress(f"evaluating {what}", done, total),
        )
    scores = metrics.summarise(predictions)
    if as_json:
        _print_json({"predictions": str(out), "scores": _records(scores)})
    else:
        _print_cells(scores[scores["metric"] == "accuracy"], "Accuracy")
        print(f"{out}: {len(predictions):,} rows")


@app.command()
def report(
    source: Annotated[Path, typer.Argument(help="A run folder or a predictions.parquet.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show examples of the data.")
    ] = True,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write a PDF beside it too.")] = False,
) -> None:
    """Make tables, figures and the report again from the prediction table alone."""
    from hemiface.report import build

    page = build(source, out, pictures=pictures)
    print(page)
    if pdf:
        from hemiface.report.pdf import write_pdf

        print(write_pdf(page))


@app.command()
def importance(
    predictions: Annotated[
        Path, typer.Argument(help="A prediction table with the sixteen coalitions.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; default beside the table.")
    ] = None,
    tiles: Annotated[
        Path | None, typer.Option(help="What hemiface tiles wrote: importance of 48 tiles.")
    ] = None,
    people: Annotated[
        Path | None, typer.Option(help="Folder with the files of Wegrzyn 2017, to compare with.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="standard, paper or leak-free.")] = "standard",
    draws: Annotated[int, typer.Option(help="Bootstrap draws of the intervals.", min=1)] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Say which part of the face matters: Shapley values of quadrants, halves and tiles."""
    from hemiface.report.regions import half_table, write_importance

    found = write_importance(
        predictions, out, tiles=tiles, people=people, protocol=protocol, draws=draws
    )
    halves = half_table(found.importance.regions)
    if as_json:
        files = [str(path) for path in found.paths]
        _print_json({"files": files, "words": found.words, "halves": _records(halves)})
        return
    _print_halves(halves)
    print("\n".join(found.words))
    for path in found.paths:
        if path.suffix == ".csv":
            print(path)


@app.command()
def tiles(
    bundle: Annotated[Path, typer.Argument(help="A Bundle, *.safetensors.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The table of samples.")] = Path("tiles.parquet"),
    samples: Annotated[int, typer.Option(help="Draws for each image.", min=1)] = 1,
    limit: Annotated[
        int | None, typer.Option(help="At most so many images, drawn at random.", min=1)
    ] = None,
    bubbles: Annotated[
        int, typer.Option(help="So many Gaussian apertures instead of tiles.", min=0)
    ] = 0,
    sigma_px: Annotated[float, typer.Option(help="Width of the apertures, in pixels.")] = 4.0,
    fill: Annotated[str, typer.Option(help="black, mean, noise or blur.")] = "black",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    device: DeviceOption = "auto",
    labels: LabelsOption = "",
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Uncover faces tile by tile in random orders, for hemiface importance --tiles."""
    from hemiface.data import load
    from hemiface.sampling import Draws, sample_bubbles, sample_chains

    images = load(data, labels=labels or None, skip_bad=skip_bad)
    with _progress() as on_progress:
        chosen = Draws(
            samples=samples,
            limit=limit,
            fill=fill,
            split=split,
            seed=seed,
            device=device,
            on_batch=lambda done, total: on_progress("uncovering faces", done, total),
        )
        if bubbles:
            table = sample_bubbles(
                bundle, images, chosen, bubbles=bubbles, sigma_px=sigma_px, out=out
            )
        else:
            table = sample_chains(bundle, images, chosen, out=out)
    if as_json:
        counts = {"rows": len(table), "images": int(table["image"].nunique())}
        _print_json({"tiles": str(out), **counts})
    else:
        print(f"{out}: {len(table):,} rows")


@app.command()
def occlude(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    hide: Annotated[str, typer.Option(help="upper, lower, left, right, upper-left, diagonal, ...")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    fill: Annotated[str, typer.Option(help="black, mean, noise or blur.")] = "black",
    as_json: JsonOption = False,
) -> None:
    """Hide a part of pictures, as stimuli; exactly the named pixels change."""
    from hemiface.stimuli import occlude_files

    written = occlude_files(images, hide, fill, out)
    if as_json:
        _print_json([str(path) for path in written])
    else:
        for path in written:
            print(path)


@app.command()
def info(as_json: JsonOption = False) -> None:
    """Print versions and devices: what a bug report needs."""
    from hemiface.provenance import environment

    try:
        import torch  # noqa: F401
    except ImportError:
        print("torch is not installed: pip install 'hemiface[train]' to train.", file=sys.stderr)
    known = environment()
    if as_json:
        _print_json(known)
        return
    for part, values in known.items():
        print(part)
        for name, value in values.items():
            print(f"  {name}: {', '.join(value) if isinstance(value, list) else value}")


@data_app.command("check")
def data_check(
    path: Annotated[str, typer.Argument(help="Any source of data.")],
    labels: LabelsOption = "",
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Audit: counts, duplicates, leaks between splits, conflicting labels, unreadable files."""
    from hemiface.data import load
    from hemiface.data.audit import audit, format_audit

    images = load(path, labels=labels or None, skip_bad=skip_bad)
    with _progress() as on_progress:
        found = audit(
            images, progress=lambda done, total: on_progress("comparing images", done, total)
        )
    if as_json:
        _print_json(found)
    else:
        _print_tables(format_audit(found))


@data_app.command("show")
def data_show(
    path: Annotated[str, typer.Argument(help="Any source of data, or a run folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the sheets.")] = Path("sheets"),
    seed: Annotated[int, typer.Option(help="Which examples are drawn.")] = 0,
    conditions: Annotated[str, typer.Option(help="Comma-separated, for the second sheet.")] = (
        "full,upper,lower,left,right"
    ),
    predictions: Annotated[
        Path | None, typer.Option(help="A prediction table, for sheets of confident mistakes.")
    ] = None,
    labels: LabelsOption = "",
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw sheets: examples of each class, every condition, the most confident mistakes."""
    from hemiface.data import load
    from hemiface.data.sheets import write_sheets

    images = load(path, labels=labels or None, skip_bad=skip_bad)
    keys = [key.strip() for key in conditions.split(",") if key.strip()]
    beside = Path(path) / "predictions.parquet"
    table = predictions or (beside if beside.is_file() else None)
    written = write_sheets(images, out, conditions=keys, predictions=table, seed=seed)
    if as_json:
        _print_json([str(path) for path in written])
    else:
        for sheet in written:
            print(sheet)


@data_app.command("phantom")
def data_phantom(
    out: Annotated[Path, typer.Option(help="New folder of class folders.")],
    n: Annotated[int, typer.Option("--n", min=70, help="How many faces.")] = 3000,
    seed: Annotated[int, typer.Option(help="Seed of every face.")] = 0,
) -> None:
    """Render faces whose right answers are known."""
    from hemiface.data import phantom

    phantom.write_folder(phantom.make(n, seed), out)
    print(out)


def _config(
    path: Path, settings: list[str] | None, *, data: str, labels: str, skip_bad: bool
) -> "Config":
    from hemiface.config import load

    extra = []
    if data:
        extra.append(f"data.source={json.dumps(data)}")
    if labels:
        extra.append(f"data.labels={json.dumps(labels)}")
    if skip_bad:
        extra.append("data.skip_bad=true")
    return load(path, [*(settings or []), *extra])


def _images(config: "Config", folder: Path) -> "Images":
    """Read the data once and keep it beside the training, so that starting again is quick."""
    from hemiface.data import prepare

    return prepare(
        config.data.source,
        folder / "data",
        labels=config.data.labels or None,
        skip_bad=config.data.skip_bad,
        near_duplicates=False,
    )


@contextmanager
def _progress() -> Iterator["OnProgress"]:
    """Show progress on stderr: a bar in a terminal, else only what is logged."""
    from rich.console import Console
    from rich.logging import RichHandler
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    logger = logging.getLogger("hemiface")
    terminal = console.is_terminal
    handler: logging.Handler = (
        RichHandler(console=console, show_path=False, show_level=False, markup=False)
        if terminal
        else logging.StreamHandler(sys.stderr)
    )
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not terminal)
    tasks: dict[str, Any] = {}

    def on_progress(what: str, done: int, total: int) -> None:
        kind = what.split()[0]
        if kind not in tasks or done == 1:
            for old in tasks.values():
                bar.remove_task(old)
            tasks.clear()
            tasks[kind] = bar.add_task(what, total=total)
        bar.update(tasks[kind], completed=done, total=total, description=what)

    try:
        with bar:
            yield on_progress
    except KeyboardInterrupt as stop:
        # typer would answer with a bare "Aborted".
        raise _InterruptedError("interrupted; the same command goes on where it was.") from stop
    finally:
        logger.removeHandler(handler)


def _print_study(folder: Path, as_json: bool) -> None:
    import pandas as pd

    matrix = pd.read_csv(folder / "matrix.csv", dtype={"seed": "str"})
    chosen = matrix[(matrix["protocol"] == "standard") & (matrix["metric"] == "accuracy")]
    seeds = chosen[chosen["seed"] == "mean"]
    if as_json:
        _print_json(
            {
                "folder": str(folder),
                "report": str(folder / "report.html"),
                "accuracy": _records(seeds[["model", "condition", "value", "low", "high", "n"]]),
            }
        )
        return
    _print_cells(seeds, "Accuracy on the test split, % (rows: trained on, columns: hidden)")
    print(f"Report: {folder / 'report.html'}")


def _print_cells(cells: "pd.DataFrame", title: str) -> None:
    """Print one metric as models x conditions, in per cent."""
    from rich.table import Table

    conditions = list(dict.fromkeys(cells["condition"]))
    corner = "trained on"
    if len(conditions) > 8:
        # Sixteen columns don't fit: let the conditions go down the page.
        cells = cells.rename(columns={"model": "condition", "condition": "model"})
        conditions, corner = list(dict.fromkeys(cells["condition"])), "hidden"
    table = Table(title=title, title_justify="left")
    table.add_column(corner)
    for key in conditions:
        table.add_column(key, justify="right")
    for model in dict.fromkeys(cells["model"]):
        row = cells[cells["model"] == model].set_index("condition")["value"]
        table.add_row(model, *(f"{100 * row[key]:.1f}" for key in conditions))
    _print_tables([table])


def _print_halves(halves: "pd.DataFrame") -> None:
    """Print what each half contributes over all images, in points, with intervals."""
    from rich.table import Table

    title = "What each half contributes (Shapley value, percentage points of probability)"
    regions = list(dict.fromkeys(halves["region"]))
    table = Table(title=title, title_justify="left")
    for column in ("trained on", "fill"):
        table.add_column(column)
    for region in regions:
        table.add_column(region, justify="right")
    for (model, fill), rows in halves.groupby(["model", "fill"], sort=False):
        cells = rows.set_index("region")
        shown = [
            f"{100 * value:.1f}\n[{100 * low:.1f}, {100 * high:.1f}]"
            for value, low, high in cells.loc[regions, ["value", "low", "high"]].to_numpy()
        ]
        table.add_row(str(model), str(fill), *shown)
    _print_tables([table])


def _print_tables(tables: "list[Table]") -> None:
    from rich.console import Console

    # Redirected output must not be folded at a guessed 80 columns.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    for table in tables:
        console.print(table)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return rows as JSON values; NaN becomes null."""
    records: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return records


def _extra_of(module: str) -> str | None:
    """Return the extra that brings `module`, None if it is none of ours."""
    top = module.partition(".")[0]
    if top in {"torch", "torchvision", "timm", "lightning", "safetensors"}:
        return "train"
    return "study" if top in {"scipy", "sklearn", "matplotlib", "jinja2"} else None
