"""Commands that make networks and run them: study, train, evaluate, ensemble, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hemiface.cli.apps import app
from hemiface.cli.jobs import show_jobs
from hemiface.cli.options import (
    AlignOption,
    ConfigPath,
    DataOption,
    DealOption,
    DeviceOption,
    HalvesOption,
    JsonOption,
    LabelsOption,
    NamesOption,
    ReplaceOption,
    SetOption,
    SkipBadOption,
)
from hemiface.cli.printing import (
    GOES_ON,
    begins_anew,
    print_cells,
    print_evaluated,
    print_json,
    print_parity,
    print_study,
    records,
    say,
    show_progress,
)
from hemiface.cli.reading import (
    crop_landmarks,
    face_aligner,
    is_by_face,
    network_files,
    read_config,
    read_images,
    require_apart_from_data,
    require_extra,
    training_images,
    words,
)
from hemiface.errors import UsageError

if TYPE_CHECKING:
    from hemiface.config import Config
    from hemiface.data.images import Images

__all__ = ["ensemble", "evaluate", "export", "study", "train"]


@app.command()
def study(
    config: ConfigPath,
    data: DataOption = "",
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<name>.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Start over, or go on where it was.")
    ] = False,
    device: DeviceOption = "auto",
    until: Annotated[
        Literal["data", "models", "predictions", "report"],
        typer.Option(help="Last thing to make; the same command without it goes on from there."),
    ] = "report",
    trust_code: Annotated[
        bool,
        typer.Option(
            "--trust-code",
            help="Keep what other code made from the same config and data, networks above all.",
        ),
    ] = False,
    on: Annotated[
        str | None,
        typer.Option("--on", help="Make each stage a job: local, ray, ray://HOST or slurm."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="With --on: so many at a time; default here as many as cores allow, elsewhere "
            "all that may start.",
            min=1,
        ),
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm", help="With --on slurm: what sbatch is told, partition=gpu. Repeatable."
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(help="Carry out one stage, such as full-seed0: what a job of --on does."),
    ] = "",
    settings: SetOption = None,
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the whole study: data, baseline, specialists, evaluation, statistics, report."""
    require_extra("train")
    from hemiface import stages
    from hemiface.config import load_cluster

    if only and (on or fresh or until != "report"):
        raise UsageError("--only is one stage by itself; leave out --on, --fresh and --until.")
    if only and as_json:
        raise UsageError("--json is what a whole study says; --only has nothing to tell with it.")
    if jobs and not on:
        raise UsageError("--jobs is how many run at a time with --on; name where, as --on local.")
    if slurm and on != "slurm":
        raise UsageError("--slurm is for --on slurm; elsewhere nobody asks for it.")
    settings = [*(settings or []), *(f"cluster.slurm.{one}" for one in slurm or ())]
    chosen = read_config(
        config, settings, data=data, labels=labels, skip_bad=skip_bad, align=align, deal=deal
    )
    if only:
        _carry_out(chosen, only, out=out, device=device, trust_code=trust_code)
        return
    with show_progress(again=GOES_ON) as on_progress, show_jobs(is_asked=on is not None) as on_jobs:
        folder = stages.study(
            chosen,
            out=out,
            fresh=fresh,
            device=device,
            until=until,
            trust_code=trust_code,
            on_progress=on_progress,
            align=face_aligner(on_progress) if chosen.data.align else None,
            on=on,
            jobs=jobs,
            cluster=load_cluster(config, settings),
            on_jobs=on_jobs,
        )
    if until == "report":
        print_study(folder, as_json)
    elif as_json:
        print_json({"folder": str(folder), "until": until})
    else:
        say(f"{folder}: done as far as the {until}; without --until it goes on to the report.")


def _carry_out(
    config: "Config", stage: str, *, out: Path | None, device: str, trust_code: bool
) -> None:
    """Carry out one stage, ending with who started this process as a job."""
    from hemiface.stages import carry_out
    from hemiface.studies.jobs import end_with_starter

    end_with_starter()
    with show_progress(again=GOES_ON):
        folder = carry_out(config, stage, out=out, device=device, trust_code=trust_code)
    say(f"{folder}: {stage} is done.")


@app.command()
def train(
    config: ConfigPath,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the Bundle, history and checkpoint.")],
    init: Annotated[
        Path | None,
        typer.Option(help="Bundle, exported file or shipped model to start from."),
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Bundle, exported file or shipped model to learn from.")
    ] = None,
    condition: Annotated[str, typer.Option(help="What is hidden, any or longer.")] = "full",
    seed: Annotated[int, typer.Option(help="Seed of every random draw.", min=0)] = 0,
    max_steps: Annotated[int | None, typer.Option(help="Stop early, to rehearse.", min=1)] = None,
    device: DeviceOption = "auto",
    settings: SetOption = None,
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train one network; killed and started again, it goes on where it was."""
    require_extra("train")
    from hemiface.inputs import require_apart
    from hemiface.networks.checkpoint import BUNDLE_FILE
    from hemiface.networks.network import Bundle
    from hemiface.networks.reopened import trainable
    from hemiface.networks.task import require_seed
    from hemiface.networks.train import fit, task

    chosen = read_config(
        config, settings, data=data, labels=labels, skip_bad=skip_bad, align=align, deal=deal
    )
    require_seed(seed)
    require_apart([one for one in (init, teacher) if one], [out / BUNDLE_FILE])
    with show_progress(again=GOES_ON) as on_progress:
        images = training_images(chosen, out, on_progress)
        init, teacher = (
            None if one is None else trainable(one, images, out) for one in (init, teacher)
        )
        job = task(chosen, condition, seed, init=init, baseline=teacher, max_steps=max_steps)
        if teacher is not None and job.teacher != teacher:
            raise UsageError(
                f"The recipe of {condition} learns from no network that is named to it; leave out "
                "--teacher, or set distill.teacher=full with distill.logits or distill.features "
                "above 0."
            )
        bundle = fit(
            job,
            images,
            out,
            device=device,
            on_step=lambda done, total: on_progress(f"training {job.model_id}", done, total),
        )
    known = Bundle.load(bundle).provenance
    if as_json:
        print_json({"bundle": str(bundle), **known})
    else:
        say(
            f"{bundle}: epoch {known['epoch']}, "
            f"validation accuracy {known['validation_accuracy']:.4f}"
        )


@app.command()
def evaluate(
    bundles: Annotated[
        list[Path],
        typer.Argument(help="Bundles, *.safetensors or *.onnx, or names of hemiface models list."),
    ],
    data: DataOption,
    out: Annotated[
        Path, typer.Option(help="The prediction table; without an ending, a folder of its parts.")
    ] = Path("predictions.parquet"),
    split: Annotated[list[str] | None, typer.Option(help="Repeatable; default test.")] = None,
    conditions: Annotated[
        str, typer.Option(help="Comma-separated; a fill is added as upper@mean.")
    ] = "full,upper,lower,left,right",
    rows: Annotated[
        Path | None, typer.Option(help="CSV file; its column row lists the only rows to score.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored view.")] = False,
    crop_px: Annotated[
        int, typer.Option(help="Average five crops of so many pixels (ten with --flip).", min=0)
    ] = 0,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Flip every picture first: a control for sides.")
    ] = False,
    halves: HalvesOption = "image",
    names: NamesOption = None,
    replace: ReplaceOption = False,
    device: DeviceOption = "auto",
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the prediction table of every Bundle under every condition."""
    require_extra("train")
    from hemiface.networks.evaluate import EvaluationOptions, evaluate_by

    by_face = is_by_face(halves)
    networks = network_files(bundles)
    require_apart_from_data(out, data, labels, [*networks, *([rows] if rows else [])])
    with show_progress(again=begins_anew(keeps_faces=align or by_face)) as on_progress:
        images = read_images(
            data, on_progress, labels=labels, skip_bad=skip_bad, align=align, deal=deal
        )
        options = EvaluationOptions(
            conditions=tuple(words(conditions)),
            splits=tuple(split or ["test"]),
            rows=rows,
            flip=flip,
            crop_px=crop_px,
            mirrored=mirrored,
            landmarks=crop_landmarks(on_progress) if by_face else None,
            names=tuple(names or ()),
            device=device,
        )
        predictions = evaluate_by(
            options,
            networks,
            images,
            out=out,
            replace=replace,
            on_cell=lambda done, total, what: on_progress(f"evaluating {what}", done, total),
        )
    print_evaluated(predictions, out, as_json)


@app.command()
def ensemble(
    tables: Annotated[
        list[Path], typer.Argument(help="Runs, prediction tables or folders of their parts.")
    ],
    out: Annotated[
        Path, typer.Option(help="The prediction table; without an ending, a folder of its parts.")
    ] = Path("ensemble.parquet"),
    size: Annotated[int, typer.Option(help="Most members.", min=1)] = 5,
    members: Annotated[
        str, typer.Option(help="Comma-separated model IDs, instead of choosing them.")
    ] = "",
    conditions: Annotated[
        str, typer.Option(help="Comma-separated: what members are chosen by.")
    ] = "full",
    name: Annotated[str, typer.Option(help="Name of the new model.")] = "ensemble",
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Average networks; the members are chosen on the validation split."""
    from hemiface.data.parts import (
        keep_larger_table_or_parts,
        read_whole,
        table_path,
        write_table_or_parts,
    )
    from hemiface.inputs import require_apart
    from hemiface.stats import ensembles, metrics

    require_apart(map(table_path, tables), [out])
    joined = ensembles.join([read_whole(path) for path in tables])
    chosen = words(members) or ensembles.select(joined, size=size, conditions=words(conditions))
    combined = ensembles.combine(joined, chosen, name)
    keep_larger_table_or_parts(out, len(combined), replace=replace)
    write_table_or_parts(combined, out)
    scores = metrics.summarise(combined, by=("model", "split", "condition"))
    if as_json:
        found = {"predictions": str(out), "members": list(chosen), "scores": records(scores)}
        print_json(found)
        return
    for split, rows in scores[scores["metric"] == "accuracy"].groupby("split", sort=False):
        print_cells(rows, f"Accuracy on the {split} split, %")
    say(f"{out}: the mean of {', '.join(chosen)}")


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
        float | None,
        typer.Option(
            help="Points of accuracy that int8 may lose under a condition of --parity; default .5."
        ),
    ] = None,
    opset: Annotated[int, typer.Option(help="ONNX operator set.")] = 18,
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Export a Bundle as one ONNX file that needs no torch, with a parity report.

    Both kinds of data are read, and splits dealt, as its training's: give the same options.
    """
    require_extra("export")
    # Of one that comes along the file is known, which is no Bundle.
    (bundle,) = network_files([bundle])
    from hemiface.networks import export as exports

    if to != "onnx":
        raise UsageError(f"Format {to!r} is unknown; choose onnx.")
    with show_progress(again=begins_anew(keeps_faces=align)) as on_progress:

        def images_of(source: str, split: str) -> "Images | None":
            if not source:
                return None
            images = read_images(
                source, on_progress, labels=labels, skip_bad=skip_bad, align=align, deal=deal
            )
            return images.split(split)

        options = exports.ExportOptions(
            precision=precision,
            int8=int8,
            ranges_from=images_of(calibrate, "train"),
            range_rule=calibration,
            parity=images_of(parity, split),
            conditions=tuple(words(conditions)),
            scores=exports.scores_of(scores, bundle) if scores else {},
            opset=opset,
            most_loss_points=most_loss,
        )
        model = exports.export(bundle, out, options)
    if as_json:
        print_json(exports.described(model))
    else:
        print_parity(model.header)
        say(f"{model.path}: {model.path.stat().st_size / 1e6:.1f} MB")
