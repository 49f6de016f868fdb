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
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 no face found under --strict, "
    "4 damaged data or weights, 130 interrupted.",
)
data_app = typer.Typer(help="Look at data: audit, sheets, rendered faces.", no_args_is_help=True)
app.add_typer(data_app, name="data")
models_app = typer.Typer(help="The models that come with hemiface.", no_args_is_help=True)
app.add_typer(models_app, name="models")

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
    str,
    typer.Option(
        "--labels",
        help="ferplus=PATH takes the labels from FER+ votes, ferplus-majority=PATH only those "
        "with more than half of them.",
    ),
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
    teacher: Annotated[
        Path | None, typer.Option(help="Bundle of the baseline to learn from.")
    ] = None,
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
    job = task(chosen, condition, seed, init=init, baseline=teacher, max_steps=max_steps)
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
            conditions=_words(conditions),
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
def ensemble(
    tables: Annotated[list[Path], typer.Argument(help="Prediction tables, *.parquet.")],
    out: Annotated[Path, typer.Option(help="The prediction table.")] = Path("ensemble.parquet"),
    size: Annotated[int, typer.Option(help="Most members.", min=1)] = 5,
    members: Annotated[
        str, typer.Option(help="Comma-separated model IDs, instead of choosing them.")
    ] = "",
    conditions: Annotated[
        str, typer.Option(help="Comma-separated: what members are chosen by.")
    ] = "full",
    name: Annotated[str, typer.Option(help="Name of the new model.")] = "ensemble",
    as_json: JsonOption = False,
) -> None:
    """Average networks; the members are chosen on the validation split."""
    from hemiface import ensembles, metrics
    from hemiface.tables import read_predictions, write_predictions

    joined = ensembles.join([read_predictions(path) for path in tables])
    chosen = _words(members) or ensembles.select(joined, size=size, conditions=_words(conditions))
    combined = ensembles.combine(joined, chosen, name)
    write_predictions(combined, out, combined.attrs["hemiface"])
    scores = metrics.summarise(combined, by=("model", "split", "condition"))
    if as_json:
        found = {"predictions": str(out), "members": list(chosen), "scores": _records(scores)}
        _print_json(found)
        return
    for split, rows in scores[scores["metric"] == "accuracy"].groupby("split", sort=False):
        _print_cells(rows, f"Accuracy on the {split} split, %")
    print(f"{out}: the mean of {', '.join(chosen)}")


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
def predict(
    sources: Annotated[
        list[str], typer.Argument(help="Photos, folders, videos, or camera:0.", metavar="SOURCE...")
    ],
    model: Annotated[
        str, typer.Option(help="A file of hemiface export, or a shipped model's name.")
    ] = "",
    hide: Annotated[
        str, typer.Option(help="What everybody hides: lower for masks, upper for headsets, ...")
    ] = "",
    no_detect: Annotated[
        bool, typer.Option("--no-detect", help="The pictures are upright face crops.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Comma-separated: csv, parquet, jsonl.")
    ] = "csv",
    abstain_below: Annotated[
        float | None, typer.Option(help="Give no label below this confidence.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored view.")] = False,
    save_image: Annotated[
        bool, typer.Option("--save-image", help="Write annotated copies below --out.")
    ] = False,
    blur: Annotated[bool, typer.Option("--blur", help="Blur the faces in these copies.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="A source without a face ends with exit code 3.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Threads that share the photos.", min=1)] = 1,
    frames: Annotated[
        int | None, typer.Option(help="Stop a video or camera after so many.", min=1)
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Most pixels of a picture; default 89 million.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find faces in photos, folders, videos or a camera and say what emotion each looks like."""
    from hemiface.vision.command import predict as run

    with _progress() as on_progress:
        run(
            sources,
            model=model or None,
            hide=hide or None,
            no_detect=no_detect,
            out=out,
            formats=_words(formats),
            abstain_below=abstain_below,
            flip=flip,
            save_image=save_image,
            blur=blur,
            strict=strict,
            workers=workers,
            frames=frames,
            max_pixels=max_pixels,
            as_json=as_json,
            on_progress=on_progress,
        )


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
    keys = _words(conditions)
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


@models_app.command("pull")
def models_pull(
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="The wheel or a .tflite: file or address. Repeatable."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never touch the network; so does HEMIFACE_OFFLINE=1.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Get the two small networks that find faces (Apache-2.0), once, and check their SHA-256."""
    from hemiface.vision.assets import pull

    with _progress() as on_progress:
        files = pull(source or (), offline=offline, on_progress=on_progress)
    if as_json:
        _print_json([str(path) for path in files])
    else:
        for path in files:
            print(path)


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


def _words(text: str) -> list[str]:
    """Return the words between commas, without blanks."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _images(config: "Config", folder: Path) -> "Images":
    """Read the data once and keep it beside the training, so that starting again is quick."""
    from hemiface.data import prepare

    return prepare(
        config.data.source,
        folder / "data",
        labels=config.data.labels or None,
        skip_bad=config.data.skip_bad,
        near_duplicates=False,
        protocol=config.data.protocol,
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
    table = Table(title=title, title_justify="left")
    table.add_column("trained on")
    for key in conditions:
        table.add_column(key, justify="right")
    for model in dict.fromkeys(cells["model"]):
        row = cells[cells["model"] == model].set_index("condition")["value"]
        table.add_row(model, *(f"{100 * row[key]:.1f}" for key in conditions))
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
    if top == "av":
        return "video"
    return "study" if top in {"scipy", "sklearn", "matplotlib", "jinja2"} else None
