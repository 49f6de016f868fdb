"""The command line: parse, call one function, print. Heavy imports happen inside the commands."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hemiface.errors import DamagedError, HemifaceError, UsageError

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
SourcePath = Annotated[Path, typer.Argument(help="A run folder or a predictions.parquet.")]
OutFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder of the tables; default beside the predictions.")
]
DrawsOption = Annotated[int, typer.Option(help="Bootstrap draws.", min=1)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Another folder of models with an index.json.")
]


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
    bundles: Annotated[list[Path], typer.Argument(help="Bundles, *.safetensors, or *.onnx.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The prediction table.")] = Path("predictions.parquet"),
    split: Annotated[list[str] | None, typer.Option(help="Repeatable; default test.")] = None,
    conditions: Annotated[
        str, typer.Option(help="Comma-separated; a fill is added as upper@mean.")
    ] = "full,upper,lower,left,right",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored view.")] = False,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Flip every picture first: a control for sides.")
    ] = False,
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
            mirrored=mirrored,
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
def export(
    bundle: Annotated[Path, typer.Argument(help="Bundle, *.safetensors.")],
    to: Annotated[str, typer.Option("--to", help="The format: onnx.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The file; default <bundle>-<precision>.onnx beside it.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, or fp16: weights stored in half precision.")
    ] = "fp32",
    int8: Annotated[bool, typer.Option("--int8", help="Quantise to eight bits.")] = False,
    calibrate: Annotated[
        str, typer.Option(help="Data whose training images set the ranges of int8.")
    ] = "",
    calibration: Annotated[
        str, typer.Option(help="What int8 does with outliers: percentile, minmax or entropy.")
    ] = "percentile",
    parity: Annotated[
        str, typer.Option(help="Data to compare file and Bundle on; default rendered faces.")
    ] = "",
    split: Annotated[str, typer.Option(help="Split of the parity data.")] = "test",
    conditions: Annotated[
        str, typer.Option(help="Comma-separated, for the parity report.")
    ] = "full,upper,lower,left,right",
    scores: Annotated[
        Path | None, typer.Option(help="matrix.csv of the run, to store this Bundle's scores.")
    ] = None,
    most_loss: Annotated[
        float, typer.Option(help="Points of accuracy that int8 may lose under a condition.")
    ] = 0.5,
    opset: Annotated[int, typer.Option(help="ONNX operator set.")] = 18,
    as_json: JsonOption = False,
) -> None:
    """Export a Bundle as one ONNX file that needs no torch, with a parity report."""
    from hemiface import export as exports
    from hemiface.data import load

    if to != "onnx":
        raise UsageError(f"Format {to!r} is unknown; choose onnx.")
    with _progress():
        model = exports.export(
            bundle,
            out,
            precision=precision,
            int8=int8,
            calibrate=load(calibrate).split("train") if calibrate else None,
            calibration=calibration,
            parity=load(parity).split(split) if parity else None,
            conditions=_words(conditions),
            scores=exports.scores_of(scores, bundle) if scores else None,
            opset=opset,
            most_loss_points=most_loss,
        )
    if as_json:
        _print_json(exports.described(model))
    else:
        _print_tables([exports.format_export(model)])
        print(f"{model.path}: {model.path.stat().st_size / 1e6:.1f} MB")


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
def compare(
    source: SourcePath,
    out: OutFolder = None,
    mirrored: Annotated[
        Path | None, typer.Option(help="Predictions of mirrored pictures, the control for sides.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="standard, paper or leak-free.")] = "standard",
    margin: Annotated[float, typer.Option(help="Closer than this is as good as equal.")] = 0.02,
    draws: DrawsOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """Compare models, conditions and sides of the face: paired tests with intervals, as CSV."""
    from hemiface.comparing import compare as run
    from hemiface.tables import read_predictions

    predictions, folder = _predictions(source, out)
    control = read_predictions(mirrored) if mirrored else None
    with _progress() as on_progress:
        found = run(
            predictions,
            folder,
            mirrored=control,
            protocol=protocol,
            margin=margin,
            draws=draws,
            progress=lambda done, total: on_progress("comparing cells", done, total),
        )
    if as_json:
        _print_json({"folder": str(folder), "accuracy": _records(found.accuracy)})
        return
    _print_differences(found.accuracy, margin)
    for warning in found.warnings:
        print(f"Sides: {warning}.", file=sys.stderr)
    for path in found.files:
        print(path)


@app.command()
def calibrate(
    source: SourcePath,
    out: OutFolder = None,
    risk: Annotated[
        list[float] | None,
        typer.Option(help="Share of errors to stay below when abstaining. Repeatable."),
    ] = None,
    draws: DrawsOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """Fit temperatures on validation images; score confidence and abstention on test images."""
    from hemiface.comparing import calibrate as run

    predictions, folder = _predictions(source, out)
    found = run(predictions, folder, risks=risk or [0.1, 0.2], draws=draws)
    if as_json:
        _print_json({"folder": str(folder), "temperatures": found.temperatures})
        return
    _print_calibration(found.scores)
    for path in found.files:
        print(path)


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


@models_app.command("list")
def models_list(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """List models with precision, size, licence, accuracy and SHA-256."""
    from hemiface import shipped

    rows = shipped.describe(folder)
    if as_json:
        _print_json(rows)
    elif rows:
        _print_tables([shipped.format_models(rows)])
    else:
        print("No models are shipped with this version.")


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Models; default all.")] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check each model's size and SHA-256, open it and let it look at one rendered face."""
    from hemiface import shipped

    found = shipped.verify(names or (), folder)
    if as_json:
        _print_json(found)
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
) -> None:
    """Put an exported model into the package's folder (for maintainers) or one of your own."""
    from hemiface import shipped

    shipped.add(file, name, summary, folder)
    print(shipped.path_of(name, folder))


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


def _predictions(source: Path, out: Path | None) -> "tuple[pd.DataFrame, Path]":
    """Return the prediction table of a run folder or file, and where results go."""
    from hemiface.tables import read_predictions

    table = source / "predictions.parquet" if source.is_dir() else source
    return read_predictions(table), out or table.parent


def _print_differences(rows: "pd.DataFrame", margin: float) -> None:
    """Print differences of accuracy with intervals, in points."""
    from rich.table import Table

    title = (
        "Accuracy, A minus B in points, 95% interval; p corrected (Holm) within its family; "
        f"alike: within ±{100 * margin:g} points (TOST)"
    )
    table = Table(title=title, title_justify="left")
    for name in ("compared", "seed", "A", "B"):
        table.add_column(name)
    for name in ("A - B", "interval", "p", "alike"):
        table.add_column(name, justify="right")
    for one in rows.to_dict("records"):
        table.add_row(
            one["kind"],
            one["seed"],
            f"{one['model_a']} on {one['condition_a']}",
            f"{one['model_b']} on {one['condition_b']}",
            f"{100 * one['difference']:+.1f}",
            f"[{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]",
            f"{one['p_holm']:.2g}",
            "yes" if one["p_equivalence"] < 0.05 else "",
        )
    _print_tables([table])


def _print_calibration(scores: "pd.DataFrame") -> None:
    """Print the expected calibration error of each cell before and after."""
    from rich.table import Table

    rows = scores[scores["metric"] == "ece"]
    calibrations = list(dict.fromkeys(rows["calibration"]))
    table = Table(title="Expected calibration error on test images, %", title_justify="left")
    for name in ("trained on", "seed", "condition"):
        table.add_column(name)
    for name in calibrations:
        table.add_column(name, justify="right")
    for key, cell in rows.groupby(["model", "seed", "condition"], sort=False):
        values = cell.set_index("calibration")["value"]
        table.add_row(*map(str, key), *(f"{100 * values[name]:.1f}" for name in calibrations))
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
    if top in {"onnx", "onnxscript"}:
        return "export"
    if top == "av":
        return "video"
    return "study" if top in {"scipy", "sklearn", "matplotlib", "jinja2"} else None
