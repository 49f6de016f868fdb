"""Training, evaluation and memory: hemiface beside the original study's way, on this machine.

    python benchmarks/training.py --data PATH      measures, writes results/benchmarks/
    python benchmarks/training.py --markdown       writes benchmarks/README.md's table from it

Both pipelines (pipelines.py) start from the same JPEG files and end in the same network. Every
measurement is a fresh process; the two pipelines alternate. What exactly is compared:
benchmarks/README.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import memory
import skeleton
from hemiface.data.readers import load
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import write_text
from hemiface.tables import EMOTIONS
from pipelines import AHEAD, PIPELINES, VALIDATION_IMAGES, WARMUP, Job, prepare, work
from timing import ratios, spread, turned

README = Path(__file__).resolve().with_name("README.md")
HEADING = "## Measured"
TASKS = ("input", "train-resnet50", "train-compact", "evaluate-resnet50", "whole-resnet50")


def measure(job: Job) -> dict[str, Any]:
    """Do one measurement in a fresh process while its memory is watched; return all numbers."""
    command = skeleton.worker_command(__file__, asdict(job))
    with (
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            command, stdout=said, stderr=complaints, start_new_session=True, text=True
        ) as process,
    ):
        try:
            used = memory.watch(process)
        except BaseException:
            process.kill()
            raise
        if process.returncode != 0:
            complaints.seek(0)
            last = (complaints.read().strip().splitlines() or ["no message"])[-1]
            raise HemifaceError(f"{job.task} of pipeline {job.pipeline} failed: {last}")
        said.seek(0)
        result: dict[str, Any] = json.loads(said.read().splitlines()[-1])
    return {"task": job.task, "pipeline": job.pipeline, **result, **used}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    needed = (WARMUP + options.steps + AHEAD) * options.batch
    if options.images < needed:
        raise UsageError(
            f"{options.steps} steps of {options.batch} need --images {needed} or more: "
            f"{WARMUP} batches warm up and {AHEAD} are prepared ahead."
        )
    log = Console(stderr=True)
    machine = skeleton.Machine()
    images = load(options.data)
    whole = options.whole_images or int((images.table["split"] == "train").sum())
    runs = []
    with tempfile.TemporaryDirectory(prefix="hemiface-benchmark-") as folder:
        log.print("Writing JPEG files and five Bundles of random weights into a temporary folder")
        prepare(images, Path(folder, "timed"), options.images, options.test_images, "resnet50")
        if "whole-resnet50" in options.tasks:
            prepare(images, Path(folder, "whole"), whole, len(EMOTIONS))
        for task, repeat, pipeline in order(options):
            is_whole = task.startswith("whole")
            data = Path(folder, "whole" if is_whole else "timed")
            steps = min(2, options.steps) if is_whole else options.steps
            job = Job(task, pipeline, str(data), steps, options.batch, options.device)
            runs.append({"repeat": repeat, **measure(job)})
            rate, rss = runs[-1]["images_per_s"], runs[-1]["rss_mib"] or 0
            log.print(f"{task} {repeat + 1} {pipeline}: {rate:,.1f} images/s, {rss:,.0f} MiB")
    names = ("images", "test_images", "steps", "batch", "repeats", "evaluate_repeats")
    return {
        "settings": {name: getattr(options, name) for name in names} | {"whole_images": whole},
        "data": {key: images.info[key] for key in ("form", "data_sha256")},
        **machine.facts(),
        "summary": summarise(runs),
        "runs": runs,
    }


def order(options: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """Yield (task, repeat, pipeline): the two pipelines of a repeat one after the other, ABBA."""
    repeats = {"evaluate": options.evaluate_repeats, "whole": 1}
    for repeat in range(options.repeats):
        for task in options.tasks:
            if repeat < repeats.get(task.partition("-")[0], options.repeats):
                for pipeline in turned(PIPELINES, repeat):
                    yield task, repeat, pipeline


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each task and quantity: median, low, high of both, and ours / original.

    `ratio` is that of the medians, its `low` and `high` those of the ratios within one repeat.
    Memory of the whole training split is reported without a rate: it has too few steps for one.
    """
    rows = []
    for task in dict.fromkeys(one["task"] for one in runs):
        quantities = ("rss_mib", "pss_mib")
        for quantity in quantities if task.startswith("whole") else ("images_per_s", *quantities):
            values = {
                pipeline: [
                    one[quantity]
                    for one in runs
                    if (one["task"], one["pipeline"]) == (task, pipeline)
                ]
                for pipeline in PIPELINES
            }
            if None in values["original"] + values["ours"]:
                continue  # this system doesn't tell
            row: dict[str, Any] = {"task": task, "quantity": quantity}
            row |= {pipeline: spread(values[pipeline]) for pipeline in PIPELINES}
            row["ratio"] = ratios(values["ours"], values["original"]) | {
                "median": row["ours"]["median"] / row["original"]["median"]
            }
            rows.append(row)
    return rows


TITLES = {
    "input": "Input pipeline alone",
    "train-resnet50": "Training, ResNet-50",
    "train-compact": "Training, compact network",
    "evaluate-resnet50": "Evaluation of 25 cells, ResNet-50",
    "whole-resnet50": "Training, ResNet-50, {whole_images:,} images",
}
QUANTITIES = {
    "images_per_s": "images/s",
    "rss_mib": "peak memory, MiB (RSS)",
    "pss_mib": "peak memory, MiB (shared pages once)",
}
HEADER = ("", "original study's way", "hemiface", "hemiface / original", "runs")


def cells(results: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the printed table under HEADER: medians, smallest and largest."""

    def text(spread: dict[str, float], digits: int) -> str:
        median, low, high = (f"{spread[key]:,.{digits}f}" for key in ("median", "low", "high"))
        return median if spread["n"] == 1 else f"{median} ({low} to {high})"

    return [
        (
            f"{TITLES[row['task']].format(**results['settings'])}: {QUANTITIES[row['quantity']]}",
            *(text(row[one], 1 if row[one]["median"] < 1000 else 0) for one in PIPELINES),
            text(row["ratio"], 2),
            str(row["ours"]["n"]),
        )
        for row in results["summary"]
    ]


def markdown(results: dict[str, Any]) -> str:
    """Return the section of README.md that a results file fills, heading included."""
    settings, hardware = results["settings"], results["environment"]["hardware"]
    named = ("python", "torch", "torchvision", "timm", "lightning", "pillow", "numpy", "hemiface")
    used = results["runs"][0]
    loads = [
        one["load_s"]
        for one in results["runs"]
        if one["task"] == "train-resnet50" and "load_s" in one
    ]
    lines = [
        HEADING,
        "",
        f"{hardware['processor']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB, "
        f"{hardware['system']}; device {used['device']}, {used['threads']} thread(s); load average "
        f"{results['load_average']['before'][0]:.1f} before the run of "
        f"{results['minutes']:.0f} minutes. {skeleton.versions(results, named)}"
        f". {settings['images']:,} training images, {settings['test_images']:,} test images, "
        f"{settings['steps']} timed steps of {settings['batch']}.",
        "",
        "Medians (smallest to largest); the last but one column divides the medians, its range is "
        "that of the pairs of neighbouring runs. Above 1 hemiface is faster, or takes more memory.",
        "",
        *skeleton.markdown(HEADER, cells(results)),
        "",
    ]
    if loads:
        total = settings["images"] + settings["test_images"] + VALIDATION_IMAGES
        lines += [
            f"hemiface reads the {total:,} JPEG files once, in {statistics.median(loads):.2f} s "
            "(median); that is part of its evaluation's time and of no training's.",
            "",
        ]
    return "\n".join(lines)


def fill(results: dict[str, Any], readme: Path = README) -> None:
    """Replace everything from HEADING on in `readme` by what `results` hold.

    Raises:
        DamagedError: `readme` has no such heading.
    """
    before, heading, _ = readme.read_text(encoding="utf-8").partition(HEADING)
    if not heading:
        raise DamagedError(f"{readme} has no section {HEADING!r}; put the heading at its end.")
    write_text(readme, before + markdown(results))


def show(results: dict[str, Any]) -> None:
    table = Table(*HEADER)
    for row in cells(results):
        table.add_row(*row)
    Console().print(table)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    out = skeleton.RESULTS / "training.json"
    parser = skeleton.parser(__doc__, out, repeats=5, markdown=True, worker=True)
    add, count = parser.add_argument, skeleton.count
    add("--data", help="anything hemiface takes as data; FER2013 for numbers to publish")
    add("--images", type=count, default=2048, help="training images (default %(default)s)")
    add("--test-images", type=count, default=512, help="images per cell (default %(default)s)")
    add("--whole-images", type=count, help="training images of the last memory row (default: all)")
    add("--steps", type=count, default=8, help="timed training steps (default %(default)s)")
    add("--batch", type=count, default=128, help="images per step (default %(default)s)")
    add("--evaluate-repeats", type=count, default=2, help="of the evaluation, the longest")
    add("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="only some measurements")
    add("--device", default="auto", help="auto, cpu or cuda")
    options = parser.parse_args(arguments)
    if not (options.data or options.markdown or options.worker):
        parser.error("give --data PATH, or --markdown")
    if options.batch < 2:
        parser.error("--batch must be at least 2")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parse(arguments)
    shown = fill if options.markdown else show
    return skeleton.main(options, run, shown, lambda job: work(Job(**job)))


if __name__ == "__main__":
    sys.exit(main())
