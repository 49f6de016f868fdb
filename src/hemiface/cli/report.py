"""Commands that read prediction tables: report, compare, information and the like; and tiles."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hemiface.cli.apps import app
from hemiface.cli.options import (
    AlignOption,
    DataOption,
    DealOption,
    DeviceOption,
    DrawsOption,
    JsonOption,
    LabelsOption,
    NamesOption,
    OutFolder,
    ReplaceOption,
    SkipBadOption,
    SourcePath,
)
from hemiface.cli.printing import (
    begins_anew,
    print_bits,
    print_calibration,
    print_changed_halves,
    print_differences,
    print_halves,
    print_json,
    records,
    say,
    show_progress,
)
from hemiface.cli.reading import (
    network_files,
    open_predictions,
    read_images,
    require_apart_from_data,
    told,
)

if TYPE_CHECKING:
    import pandas as pd

    from hemiface.stats.sample import Sample

__all__ = ["calibrate", "compare", "importance", "information", "report", "tiles"]


@app.command()
def report(
    source: SourcePath,
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show examples of the data.")
    ] = True,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write a PDF beside it too.")] = False,
    people: Annotated[
        Path | None,
        typer.Option(help="Folder with the files of Wegrzyn 2017: what people need, beside it."),
    ] = None,
) -> None:
    """Make tables, figures and the report again from the prediction table alone."""
    from hemiface.data.parts import long_parts, table_path
    from hemiface.errors import UsageError
    from hemiface.report import large
    from hemiface.report.page import build
    from hemiface.report.pdf import require_weasyprint, write_pdf

    if pdf:
        require_weasyprint()
    parts = long_parts(table_path(source))
    if parts and people:
        raise UsageError(
            "--people stands beside bits, which the report of a table that outgrows memory hasn't; "
            "leave it out."
        )
    if parts:
        with show_progress() as on_progress:
            counting = told(on_progress, "counting rows")
            page = large.build(parts, out, counting, pictures=pictures)
    else:
        page = build(source, out, pictures, people)
    say(page)
    if pdf:
        say(write_pdf(page))
    elif not pictures and page.with_suffix(".pdf").is_file():
        print(
            f"hemiface: {page.with_suffix('.pdf')} is not of this report and may show faces; "
            "write it again with --pdf, or remove it.",
            file=sys.stderr,
        )


@app.command()
def compare(
    source: SourcePath,
    out: OutFolder = None,
    mirrored: Annotated[
        Path | None, typer.Option(help="Predictions of mirrored pictures, the control for sides.")
    ] = None,
    face_halves: Annotated[
        Path | None,
        typer.Option("--halves", help="Predictions of evaluate --halves face: what they change."),
    ] = None,
    protocol: Annotated[str, typer.Option(help="standard, paper or leak-free.")] = "standard",
    margin: Annotated[float, typer.Option(help="Closer than this is as good as equal.")] = 0.02,
    draws: DrawsOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """Compare models, conditions and sides of the face: paired tests with intervals, as CSV."""
    from hemiface.config import StatisticsOptions
    from hemiface.data.parts import long_parts, read_whole, table_path
    from hemiface.report import large
    from hemiface.report.results import compare as run
    from hemiface.stats.metrics import require_protocol
    from hemiface.stats.sample import Sample

    require_protocol(protocol)
    options = StatisticsOptions(draws=draws, margin=margin)
    # What is put beside them is compared row by row, which takes all rows at once.
    parts = None if mirrored or face_halves else long_parts(table_path(source))
    with show_progress() as on_progress:
        if parts:
            folder = out or parts.where.parent / "compare"
            counting = told(on_progress, "counting rows")
            found = large.compare(parts, folder, protocol, options, counting)
        else:
            predictions, folder = open_predictions(source, out, "compare")
            found = run(
                Sample.of(predictions, protocol, options),
                folder,
                mirrored=read_whole(mirrored) if mirrored else None,
                face=read_whole(face_halves) if face_halves else None,
                progress=told(on_progress, "comparing cells"),
            )
    lines = found.tables.get("face_lines")
    if as_json:
        changed = {} if lines is None else {"face_lines": records(lines)}
        print_json({"folder": str(folder), "accuracy": records(found.accuracy), **changed})
        return
    print_differences(found.accuracy, margin)
    if lines is not None:
        print_changed_halves(lines)
    for warning in found.warnings:
        print(f"Sides: {warning}.", file=sys.stderr)
    for path in found.files:
        say(path)


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
    from hemiface.config import StatisticsOptions
    from hemiface.report.results import calibrate as run
    from hemiface.stats.sample import Sample

    predictions, folder = open_predictions(source, out, "calibrate")
    sample = Sample.of(predictions, options=StatisticsOptions(draws=draws))
    found = run(sample, folder, risks=risk or [0.1, 0.2])
    for sentence in found.left_out:
        print(f"hemiface: {sentence}", file=sys.stderr)
    if as_json:
        print_json({"folder": str(folder), "temperatures": found.temperatures})
        return
    print_calibration(found.scores)
    for path in found.files:
        say(path)


@app.command()
def importance(
    predictions: Annotated[
        Path, typer.Argument(help="A prediction table of whole faces and parts.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; default importance/ beside it.")
    ] = None,
    tiles: Annotated[
        Path | None, typer.Option(help="What hemiface tiles wrote: importance of 48 tiles.")
    ] = None,
    people: Annotated[
        Path | None, typer.Option(help="Folder with the files of Wegrzyn 2017, to compare with.")
    ] = None,
    data: Annotated[
        str, typer.Option(help="With --people: the faces; their contrast is compared with too.")
    ] = "",
    protocol: Annotated[str, typer.Option(help="standard, paper or leak-free.")] = "standard",
    draws: Annotated[int, typer.Option(help="Bootstrap draws of the intervals.", min=2)] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Say which part of the face matters: Shapley values of quadrants, halves and tiles.

    Quadrants need all coalitions of them; with whole faces and two halves it is halves, in bits.
    """
    from hemiface.config import StatisticsOptions
    from hemiface.data.readers import load
    from hemiface.errors import UsageError
    from hemiface.report.importance import write_importance
    from hemiface.report.words.regions import half_table
    from hemiface.stats.importance import playable
    from hemiface.stats.information import informative
    from hemiface.stats.metrics import require_protocol
    from hemiface.stats.sample import Sample

    if data and people is None:
        raise UsageError("--data is what people's tiles are compared with: it needs --people.")
    require_protocol(protocol)
    known, folder = open_predictions(predictions, out, "importance")
    sample = Sample.of(known, protocol, StatisticsOptions(draws=draws))
    if tiles is None and not playable(sample) and informative(sample):
        if not as_json:
            say("Not all coalitions of quadrants are there: halves alone, in bits.")
        _tell_bits(sample, folder, as_json=as_json)
        return
    faces = load(data).split("test").pixels if data else None
    found = write_importance(sample, folder, tiles=tiles, people=people, faces=faces)
    halves = half_table(found.importance.regions)
    if as_json:
        files = [str(path) for path in found.paths]
        print_json({"files": files, "words": found.words, "halves": records(halves)})
        return
    print_halves(halves)
    say("\n".join(found.words))
    for path in found.paths:
        if path.suffix == ".csv":
            say(path)


@app.command()
def information(
    source: SourcePath,
    out: OutFolder = None,
    data: Annotated[
        str, typer.Option(help="The faces, whose people's votes (--labels) are compared with.")
    ] = "",
    labels: LabelsOption = "",
    protocol: Annotated[str, typer.Option(help="standard or leak-free.")] = "standard",
    draws: DrawsOption = 1000,
    as_json: JsonOption = False,
) -> None:
    """Say what each half tells about the emotion, in bits: alone, both, only together."""
    from hemiface.config import StatisticsOptions
    from hemiface.data.readers import load
    from hemiface.errors import UsageError
    from hemiface.stats.metrics import require_protocol
    from hemiface.stats.sample import Sample

    if labels and not data:
        raise UsageError("--labels are of the faces that --data names; give both.")
    require_protocol(protocol)
    predictions, folder = open_predictions(source, out, "information")
    sample = Sample.of(predictions, protocol, StatisticsOptions(draws=draws))
    votes = load(data, labels=labels or None).table if data else None
    _tell_bits(sample, folder, votes, as_json=as_json)


def _tell_bits(
    sample: "Sample", folder: Path, votes: "pd.DataFrame | None" = None, *, as_json: bool
) -> None:
    from hemiface.report.information import write_information
    from hemiface.report.words.information import half_bits

    found = write_information(sample, folder, votes)
    halves = half_bits(found.tables["information"])
    if as_json:
        files = [str(path) for path in found.paths]
        print_json({"files": files, "words": found.words, "halves": records(halves)})
        return
    print_bits(halves)
    say("\n".join(found.words))
    for path in found.paths:
        if path.suffix == ".csv":
            say(path)


@app.command()
def tiles(
    models: Annotated[
        list[Path],
        typer.Argument(help="Bundles, *.safetensors or *.onnx, or names of hemiface models list."),
    ],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The table to write.")] = Path("tiles.parquet"),
    samples: Annotated[int, typer.Option(help="Draws for each image.", min=1)] = 1,
    limit: Annotated[
        int | None, typer.Option(help="At most so many images, drawn at random.", min=1)
    ] = None,
    bubbles: Annotated[
        int, typer.Option(help="So many Gaussian apertures instead of tiles.", min=0)
    ] = 0,
    sigma_px: Annotated[float, typer.Option(help="Width of the apertures, in pixels.")] = 4.0,
    fill: Annotated[
        str,
        typer.Option(help="black, mean, noise or blur; default black, with --bubbles mean."),
    ] = "",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 0,
    names: NamesOption = None,
    replace: ReplaceOption = False,
    device: DeviceOption = "auto",
    labels: LabelsOption = "",
    align: AlignOption = False,
    deal: DealOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Uncover faces tile by tile in random orders, for hemiface importance --tiles."""
    from hemiface.networks.uncover import UncoverOptions, sample_bubbles, sample_chains
    from hemiface.occlusion.tiles import TILES
    from hemiface.tables import SAMPLE_COLUMNS, keep_larger_table

    networks = network_files(models)
    require_apart_from_data(out, data, labels, networks)
    again = begins_anew(keeps_faces=align)
    with show_progress(again=again) as on_progress:
        images = read_images(
            data, on_progress, labels=labels, skip_bad=skip_bad, align=align, deal=deal
        )
    of_split = int((images.table["split"] == split).sum())
    rows = min(limit or of_split, of_split) * samples * (1 if bubbles else TILES + 1)
    rows *= len(networks)
    keep_larger_table(out, rows, replace=replace, columns=SAMPLE_COLUMNS)
    with show_progress(again=again) as on_progress:
        chosen = UncoverOptions(
            samples=samples,
            limit=limit,
            fill=fill,
            split=split,
            seed=seed,
            names=tuple(names or ()),
            device=device,
            on_batch=lambda done, total: on_progress("uncovering faces", done, total),
        )
        if bubbles:
            found = sample_bubbles(
                networks, images, chosen, bubbles=bubbles, sigma_px=sigma_px, out=out
            )
        else:
            found = sample_chains(networks, images, chosen, out=out)
    if as_json:
        counts = {"rows": len(found), "images": int(found.table["image"].nunique())}
        print_json({"tiles": str(out), **counts})
    else:
        say(f"{out}: {len(found):,} rows")
