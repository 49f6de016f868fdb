"""Latency and throughput of one network: torch beside the ONNX files it was exported to.

    python benchmarks/inference.py bundle.safetensors bundle-fp32.onnx bundle-int8.onnx

Of several networks too: where two files are of the same kind, all are called by their own names.

Every round times every file once, with every number of threads and faces a call, in turning order,
so that what else the machine does meets all of them alike. Times are from uint8 faces in memory to
probabilities; finding, cutting and hiding faces is not part of them.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from hemiface.data.phantom import make as phantom
from hemiface.errors import HemifaceError, UsageError
from hemiface.files import sha256_file, write_json
from hemiface.models.onnx_file import OnnxModel
from hemiface.provenance import environment
from hemiface.tables import EMOTIONS

if TYPE_CHECKING:
    from hemiface.networks.classifiers import Classifier

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
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


def seconds_a_call(predictor: "Classifier", faces: np.ndarray, calls: int) -> float:
    """Return the median time of `calls` calls, after one that doesn't count."""
    predictor.predict(faces)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        predictor.predict(faces)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def order(names: list[str], rounds: int) -> Iterator[tuple[int, int, int, str]]:
    """Yield (round, threads, faces a call, name); each round begins with another name."""
    for number in range(rounds):
        turn = number % len(names)
        for threads, size in product(THREADS, FACES_A_CALL):
            for name in names[turn:] + names[:turn]:
                yield number, threads, size, name


def run(files: list[Path], rounds: int) -> dict[str, Any]:
    """Do all measurements and return what the results file holds.

    Raises:
        UsageError: two files of the same kind have the same name.
        DamagedError: a file can't be read.
    """
    import torch

    started, load_before = time.perf_counter(), os.getloadavg()
    opened = {threads: [open_predictor(path, threads) for path in files] for threads in THREADS}
    names = [kind for kind, _ in opened[THREADS[0]]]
    if len(set(names)) < len(files):
        names = [path.stem for path in files]
    if len(set(names)) < len(files):
        raise UsageError("Two of the files have the same name; give each a name of its own.")
    predictors = {
        threads: dict(zip(names, (one for _, one in found), strict=True))
        for threads, found in opened.items()
    }
    faces = phantom.render(np.arange(max(FACES_A_CALL)) % len(EMOTIONS), seed=0)
    runs = []
    for number, threads, size, name in order(names, rounds):
        torch.set_num_threads(threads)
        seconds = seconds_a_call(predictors[threads][name], faces[:size], CALLS[size])
        runs.append(
            {"round": number, "threads": threads, "faces": size, "model": name, "seconds": seconds}
        )
    return {
        "files": {
            name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for name, path in zip(names, files, strict=True)
        },
        "environment": environment(),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "minutes": (time.perf_counter() - started) / 60,
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
            "speedup": spread(
                [base / own for base, own in zip(cells[threads, size, first], seconds, strict=True)]
            ),
        }
        for (threads, size, model), seconds in cells.items()
    ]


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": statistics.median(values), "low": min(values), "high": max(values),
        "n": len(values),
    }  # fmt: skip


def markdown(results: dict[str, Any]) -> str:
    """Return the results as a table: one face a call as milliseconds, many as faces a second."""
    first = next(iter(results["files"]))
    columns = list(product(THREADS, FACES_A_CALL))
    rows = {(row["threads"], row["faces"], row["model"]): row for row in results["summary"]}
    headings = [
        ("1 thread, " if threads == 1 else f"{threads} threads, ")
        + ("1 face: ms" if size == 1 else f"{size}: faces/s")
        for threads, size in columns
    ]
    lines = [
        "| | MB | " + " | ".join(headings) + " |",
        "|---|---" + "|---" * len(columns) + "|",
    ]
    for name, file in results["files"].items():
        cells = [_cell(rows[threads, size, name], name != first) for threads, size in columns]
        lines.append(f"| {name} | {file['bytes'] / 1e6:.1f} | " + " | ".join(cells) + " |")
    hardware, versions = (results["environment"][part] for part in ("hardware", "versions"))
    named = ("python", "torch", "onnxruntime", "hemiface")
    lines += [
        "",
        f"Medians of {results['summary'][0]['seconds']['n']} rounds (smallest to largest); times "
        f"faster than {first}, within each round. {hardware['processor']}, {hardware['cores']} "
        f"cores, load average {results['load_average']['before'][0]:.1f} before; "
        + ", ".join(f"{one} {versions[one]}" for one in named if one in versions)
        + ".",
    ]
    return "\n".join(lines)


def _cell(row: dict[str, Any], with_speedup: bool) -> str:
    seconds = row["seconds"]
    if row["faces"] == 1:
        median, low, high = (1000 * seconds[key] for key in ("median", "low", "high"))
        text = f"{median:.2f} ({low:.2f} to {high:.2f})"
    else:
        median, low, high = (row["faces"] / seconds[key] for key in ("median", "high", "low"))
        text = f"{median:,.0f} ({low:,.0f} to {high:,.0f})"
    return f"{text}, x{row['speedup']['median']:.1f}" if with_speedup else text


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("files", nargs="*", type=Path, help="a Bundle and its exports; the first is the reference")
    add("--rounds", type=int, default=9, help="measurements of each (default %(default)s)")
    add("--out", type=Path, default=RESULTS / "inference.json", help="the results file")
    add("--markdown", action="store_true", help="measure nothing; print the table of --out")
    options = parser.parse_args(arguments)
    if not (options.files or options.markdown):
        parser.error("name a Bundle and its exports, or give --markdown")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parse(arguments)
    try:
        if not options.markdown:
            write_json(options.out, run(options.files, options.rounds))
        if not options.out.is_file():
            raise UsageError(f"{options.out} doesn't exist; run the benchmark first.")
        results = json.loads(options.out.read_text(encoding="utf-8"))
        Console(soft_wrap=True, highlight=False, markup=False).print(markdown(results))
    except HemifaceError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
