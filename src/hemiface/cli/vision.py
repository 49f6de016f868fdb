"""Commands that take pictures: predict, merge, occlude."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer

from hemiface.cli.apps import app
from hemiface.cli.options import HalvesOption, JsonOption, ReplaceOption
from hemiface.cli.printing import print_json, say, show_progress
from hemiface.cli.reading import is_by_face, words
from hemiface.errors import UsageError, escaped

__all__ = ["merge", "occlude", "predict"]

_GOES_ON = "goes on after what it was through with"
"""A video that it was watching is watched from its beginning."""

MostPixelsOption = Annotated[
    int | None, typer.Option(help="Most pixels of a picture; default 89 million.", min=1)
]


@app.command()
def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Photos, folders, videos, or camera:0.", metavar="SOURCE..."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A file of hemiface export, or a shipped model's name; default one for pictures "
            "and in videos a faster one."
        ),
    ] = "",
    label_as: Annotated[
        str,
        typer.Option(
            help="In place of --model: whose labels to give, people (what most people see in a "
            "face) or fer2013 (the labels that came with that data set)."
        ),
    ] = "",
    hide: Annotated[
        str, typer.Option(help="What everybody hides: lower for masks, upper for headsets, ...")
    ] = "",
    no_detect: Annotated[
        bool, typer.Option("--no-detect", help="The pictures are upright face crops.")
    ] = False,
    min_face: Annotated[
        int | None,
        typer.Option(
            help="Look for faces down to so many pixels; default a 40th of the picture's longer "
            "side, at least 20. Half of it takes three times as long.",
            min=20,
        ),
    ] = None,
    detect_by: Annotated[
        str,
        typer.Option(
            help="What searches for faces: both (CenterFace and MediaPipe's networks), mediapipe "
            "alone, which misses more small and masked ones, or auto: both for photos, mediapipe "
            "for videos."
        ),
    ] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Comma-separated: csv, parquet, jsonl.")
    ] = "csv",
    abstain_below: Annotated[
        float | None,
        typer.Option(
            help="Give no label below this confidence; default what hemiface models list says of "
            "the model, 0 gives every face one."
        ),
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored view.")] = False,
    save_image: Annotated[
        bool, typer.Option("--save-image", help="Write annotated copies below --out.")
    ] = False,
    blur: Annotated[
        bool,
        typer.Option(
            "--blur",
            help="Blur the faces in these copies; in videos also 12 frames before a face is first "
            "found, while it is missed and 25 frames after. A face never found isn't blurred.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="A source without a face ends with exit code 3.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Threads that share the photos, default 1; with --on predictors, default one for "
            "each processor.",
            min=1,
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="Stop a video or camera after so many.", min=1)
    ] = None,
    search_every: Annotated[
        int | None,
        typer.Option(
            help="Search every so many-th frame of a video in full and only follow known "
            "faces in between; default 10, 1 searches each.",
            min=1,
        ),
    ] = None,
    cut_videos: Annotated[
        int | None,
        typer.Option(
            help="Search every so many-th frame of a video anew, such as 3000, so that --on may "
            "share it out from there; rows are the same with and without --on.",
            min=1,
        ),
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Draw each video's faces over time, below --out.")
    ] = False,
    smooth: Annotated[
        float | None,
        typer.Option(
            help="Smooth the labels of videos, with this half-life in seconds, such as 0.5: copies "
            "and timelines show them, tables have both.",
            metavar="SECONDS",
        ),
    ] = None,
    max_pixels: MostPixelsOption = None,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate/--no-estimate", help="Let a network say what lies over each face."
        ),
    ] = True,
    mix: Annotated[
        str,
        typer.Option(
            help="How often these pictures show each emotion: trained (as in the network's "
            "training), balanced (all alike), natural (as in press photographs) or FILE (.json, "
            ".toml or .csv with seven shares)."
        ),
    ] = "trained",
    shard: Annotated[
        str,
        typer.Option(
            help="Look at one part of the sources alone: 3/16 is the third of sixteen, for jobs "
            "that share a folder --out; hemiface merge puts their tables together.",
            metavar="K/N",
        ),
    ] = "",
    on: Annotated[
        str,
        typer.Option(
            help="Where else to look: ray (all processors of this machine) or ray://HOST (a "
            "cluster's head; on one of its machines). Sources may be s3://, gs://, hf:// then.",
            metavar="PLACE",
        ),
    ] = "",
    listing: Annotated[
        Path | None, typer.Option("--list", help="A file with more sources, one a line.")
    ] = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find faces in photos, folders, videos or a camera and say what emotion each looks like."""
    from hemiface.cli.predicting import predict as look
    from hemiface.vision.predictor import PredictorOptions
    from hemiface.vision.run import RunOptions
    from hemiface.vision.video.watching import SEARCH_EVERY

    looking = PredictorOptions(
        model=model or None,
        label_as=label_as or None,
        no_detect=no_detect,
        min_face_px=min_face,
        detect_by=detect_by,
        hide=hide or None,
        abstain_below=abstain_below,
        flip=flip,
        most_pixels=max_pixels,
        estimate=estimate,
        mix=mix,
    )
    running = RunOptions(
        formats=words(formats.lower()),
        pictures=save_image,
        blur=blur,
        workers=workers or 1,
        most_frames=frames,
        search_every=search_every or SEARCH_EVERY,
        cut_every=cut_videos,
        timelines=timeline,
        smooth_s=smooth,
        replace=replace,
    )
    look(
        sources or [],
        looking,
        running,
        out=out,
        shard=shard,
        on=on,
        workers=workers,
        listing=listing,
        strict=strict,
        as_json=as_json,
        progress=partial(show_progress, again=_GOES_ON),
    )


@app.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="The --out of hemiface predict --shard K/N.")],
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put the tables of all shards together, checked complete, as one run writes them."""
    from hemiface.cli.predicting import counted, end
    from hemiface.vision.shards import merge as merge_shards

    outcome = merge_shards(folder, replace=replace)
    if as_json:
        print_json(
            {"sources": len(outcome.sources), "written": [str(one) for one in outcome.written]}
        )
    else:
        faces = sum(one["faces"] for one in outcome.sources)
        print(f"{counted(faces, 'face')} in {counted(len(outcome.sources), 'source')}")
        for path in outcome.written:
            say(path)
    end(outcome)


@app.command()
def occlude(
    images: Annotated[list[Path], typer.Argument(help="Pictures; of a set also folders.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    hide: Annotated[
        str, typer.Option(help="upper, lower, left, right, upper-left, diagonal, ...")
    ] = "",
    fill: Annotated[str, typer.Option(help="black, mean, noise or blur.")] = "black",
    halves: HalvesOption = "image",
    max_pixels: MostPixelsOption = None,
    kinds: Annotated[
        str,
        typer.Option(
            "--set",
            help="In place of --hide a whole set with a manifest, comma-separated: halves, "
            "composites, chimeras, bubbles, tiles, mask, sunglasses, and any condition of --hide.",
        ),
    ] = "",
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Of a set: CSV with file, label and, if known, person; default class folders."
        ),
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Of a set: find each photo's face and cut it out.")
    ] = False,
    name: Annotated[str, typer.Option(help="Of a set: letters and digits.")] = "stimuli",
    size: Annotated[
        int, typer.Option(help="Of a set: side of every stimulus in pixels, a multiple of 48.")
    ] = 480,
    bubbles: Annotated[int, typer.Option(help="Apertures of a stimulus of bubbles.", min=1)] = 12,
    sigma_px: Annotated[
        float, typer.Option(help="Width of apertures, in pixels of a 48 x 48 face.")
    ] = 4.0,
    percent: Annotated[
        int, typer.Option(help="Share of tiles that is hidden.", min=2, max=98)
    ] = 50,
    samples: Annotated[
        int, typer.Option(help="Stimuli of bubbles, and of tiles, for each face.", min=1)
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of everything random in a set.", min=0)] = 0,
    participants: Annotated[
        int, typer.Option(help="Of a set: deal out trials for so many people.", min=0)
    ] = 0,
    blocks: Annotated[int, typer.Option(help="Blocks of a participant's trials.", min=1)] = 1,
    design: Annotated[
        str,
        typer.Option(
            help="all: everybody sees every stimulus. latin: each picture once, in turn in every "
            "version."
        ),
    ] = "all",
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace also pictures that hemiface didn't make."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hide a part of pictures, or make a whole set of stimuli with a manifest and trials."""
    if bool(hide) == bool(kinds):
        raise UsageError("Give --hide for one picture of each, or --set for a whole set.")
    if hide and (labels or align or participants):
        raise UsageError("--labels, --align and --participants are about sets; give --set.")
    given = (name, size, bubbles, sigma_px, percent, samples, seed, blocks, design)
    if hide and given != ("stimuli", 480, 12, 4.0, 50, 10, 0, 1, "all"):
        raise UsageError(
            "--name, --size, --bubbles, --sigma-px, --percent, --samples, --seed, --blocks and "
            "--design are about sets; give --set."
        )
    if kinds and replace:
        raise UsageError("--replace is about --hide; a set is made in a new folder.")
    landmarks = None
    if is_by_face(halves):
        from hemiface.vision.finding.crop_landmarks import default_detector
        from hemiface.vision.finding.photo_landmarks import PhotoLandmarks

        landmarks = PhotoLandmarks(default_detector())
    if kinds:
        from hemiface.cli.stimuli import make
        from hemiface.occlusion.conditions import Fill
        from hemiface.vision.stimulus_sets.make import SetOptions
        from hemiface.vision.stimulus_sets.order import Dealing

        options = SetOptions(
            kinds=tuple(words(kinds)), name=name, side_px=size, fill=cast(Fill, fill),
            bubbles=bubbles, sigma_px=sigma_px, percent=percent, samples=samples, seed=seed,
        )  # fmt: skip
        dealing = Dealing(participants=participants, blocks=blocks, design=design, seed=seed)
        make(images, out, options, dealing, labels=labels, align=align, landmarks=landmarks,
             most_pixels=max_pixels, as_json=as_json)  # fmt: skip
        return
    from hemiface.cli.predicting import end_if_unread
    from hemiface.vision.stimuli import occlude_files

    damaged: list[str] = []
    written = occlude_files(
        images,
        hide,
        fill,
        out,
        landmarks=landmarks,
        most_pixels=max_pixels,
        replace=replace,
        on_note=lambda _, sentence: print(f"hemiface: {escaped(sentence)}", file=sys.stderr),
        on_damaged=lambda error: damaged.append(str(error)),
    )
    if as_json:
        print_json([str(path) for path in written])
    else:
        for path in written:
            say(path)
    end_if_unread(damaged, len(images), "pictures")
