"""Latency and throughput of one network: torch beside the ONNX files it was exported to.

    python benchmarks/inference.py bundle.safetensors bundle-fp32.onnx bundle-int8.onnx

Of several networks too: where two files are of the same kind, all are called by their own names.

Every round times every file once, with every number of threads and faces a call, in turning order,
so that what else the machine does meets all of them alike. Times are from uint8 faces in memory to
probabilities; finding, cutting and hiding faces is not part of them.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import skeleton
from hemiface.data.phantom import make as phantom
from hemiface.errors import UsageError
from hemiface.files import sha256_file
from hemiface.models.onnx_file import OnnxModel
from hemiface.tables import EMOTIONS
from timing import median_seconds, order, ratios, spread

if TYPE_CHECKING:
    from hemiface.networks.classifiers import Classifier

THREADS = (1, 2)
FACES_A_CALL = (1, 64)
CALLS = {1: 40, 64: 4}  # timed calls of a round, about as long for both


def open_predictor(path: Path, threads: int) -> "tuple[str, Classifier]":
    """Return what the table calls the file, and the file ready to predict."""
    if path.suffix == ".onnx":
        model = OnnxModel.load(path, threads)
        return f"ONNX {model.header['precision']}", model
    from hemiface.networks.classifiers import NetworkClassifier
    from hemiface.networks.network import Bundle

    return "torch", NetworkClassifier(Bundle.load(path).network())


def open_all(files: Sequence[Path]) -> dict[int, "dict[str, Classifier]"]:
    """Return threads -> what the table calls each file -> the file ready to predict.

    Raises:
        UsageError: two files of the same kind have the same name.
        DamagedError: a file can't be read.
    """
    opened = {threads: [open_predictor(path, threads) for path in files] for threads in THREADS}
    names = [kind for kind, _ in opened[THREADS[0]]]
    if len(set(names)) < len(files):
        names = [path.stem for path in files]
    if len(set(names)) < len(files):
        raise UsageError("Two of the files have the same name; give each a name of its own.")
    return {
        threads: dict(zip(names, (one for _, one in found), strict=True))
        for threads, found in opened.items()
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    import torch

    machine = skeleton.Machine()
    predictors = open_all(options.files)
    names = list(predictors[THREADS[0]])
    faces = phantom.render(np.arange(max(FACES_A_CALL)) % len(EMOTIONS), seed=0)
    runs = []
    for number, threads, size, name in order(names, options.repeats, THREADS, FACES_A_CALL):
        torch.set_num_threads(threads)
        call = partial(predictors[threads][name].predict, faces[:size])
        seconds = median_seconds(call, CALLS[size])
        runs.append(
            {"round": number, "threads": threads, "faces": size, "model": name, "seconds": seconds}
        )
    return {
        "files": {
            name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for name, path in zip(names, options.files, strict=True)
        },
        **machine.facts(),
        "summary": summarise(runs),
        "runs": runs,
    }


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each model, threads and faces a call: median, low, high over the rounds.

    `seconds` are of one call; `speedup` is how many times faster than the first model of the runs,
    taken within each round.
    """
    first = runs[0]["model"]
    cells: dict[tuple[int, int, str], list[float]] = {}
    for one in runs:
        cells.setdefault((one["threads"], one["faces"], one["model"]), []).append(one["seconds"])
    return [
        {
            "threads": threads,
            "faces": size,
            "model": model,
            "seconds": spread(seconds),
            "speedup": ratios(cells[threads, size, first], seconds),
        }
        for (threads, size, model), seconds in cells.items()
    ]


def show(results: dict[str, Any]) -> None:
    """Print a table: one face a call as milliseconds, many as faces a second."""
    first = next(iter(results["files"]))
    columns = list(product(THREADS, FACES_A_CALL))
    rows = {(row["threads"], row["faces"], row["model"]): row for row in results["summary"]}
    headings = [
        ("1 thread, " if threads == 1 else f"{threads} threads, ")
        + ("1 face: ms" if size == 1 else f"{size}: faces/s")
        for threads, size in columns
    ]
    lines = [
        [
            name,
            f"{file['bytes'] / 1e6:.1f}",
            *(_cell(rows[threads, size, name], name != first) for threads, size in columns),
        ]
        for name, file in results["files"].items()
    ]
    skeleton.say([
        *skeleton.markdown(["", "MB", *headings], lines),
        "",
        f"Medians of {results['summary'][0]['seconds']['n']} rounds (smallest to largest); times "
        f"faster than {first}, within each round. {skeleton.processor(results)}; "
        + skeleton.versions(results, ("python", "torch", "onnxruntime", "hemiface"))
        + ".",
    ])  # fmt: skip


def _cell(row: dict[str, Any], with_speedup: bool) -> str:
    seconds = row["seconds"]
    if row["faces"] == 1:
        median, low, high = (1000 * seconds[key] for key in ("median", "low", "high"))
        text = f"{median:.2f} ({low:.2f} to {high:.2f})"
    else:
        median, low, high = (row["faces"] / seconds[key] for key in ("median", "high", "low"))
        text = f"{median:,.0f} ({low:,.0f} to {high:,.0f})"
    return f"{text}, x{row['speedup']['median']:.2g}" if with_speedup else text


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "inference.json", repeats=9, markdown=True)
    told = "a Bundle and its exports; the first is the reference"
    parser.add_argument("files", nargs="*", type=Path, help=told)
    options = parser.parse_args(arguments)
    if not (options.files or options.markdown):
        parser.error("name a Bundle and its exports, or give --markdown")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
