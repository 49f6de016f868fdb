"""Images per second of a training, and which share of the machine's own matrix rate that is.

    python benchmarks/throughput.py small reference --device auto

For each config and model it runs the training itself (`networks.train.fit`: augmentation, hiding,
both views, the teacher, the optimizer) on random pixels, whose content costs nothing, and divides
the arithmetic that torch counts (torch.utils.flop_counter; a multiplication and an addition are two
operations) by the time. The yardstick is measured in the same run: the fastest of several sizes of
square matrix products in the same precision. Training and yardstick alternate; medians are given.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

import skeleton
from hemiface.config import Config, ModelConfig, load
from hemiface.data.images import Images
from hemiface.networks.network import Bundle, build, resolve_device
from hemiface.networks.train import fit, task
from hemiface.tables import EMOTIONS
from timing import median_seconds

SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192), "mps": (1024, 2048)}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every config and return what the results file holds."""
    machine = skeleton.Machine()
    device = resolve_device(options.device)
    rows = []
    for path in options.configs:
        config = load(path, options.settings)
        for name in [name for name in ("full", "any") if name in config.models]:
            rows.append(measure(config, name, device, options.steps, options.repeats))
            print(_sentence(rows[-1]), file=sys.stderr, flush=True)
    return {"rows": rows, **machine.flat_facts()}


def measure(config: Config, name: str, device: str, steps: int, repeats: int) -> dict[str, Any]:
    """Return the rates of one training: medians over `repeats` of `steps` steps each."""
    batch = config.recipe(name, fine_tuned=True).train.batch_size
    rates, yardsticks = [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        teacher = _untrained(config.model, place / "teacher.safetensors")
        counted = _operations(config, name, teacher, batch, place)
        for repeat in range(repeats):
            job = (config, name, teacher, batch, device, steps, place / str(repeat))
            rate, precision = _rate(*job)
            rates.append(rate)
            yardsticks.append(matrix_rate(device, precision))
    rate, yardstick = statistics.median(rates), statistics.median(yardsticks)
    return {
        "config": config.name,
        "model": name,
        "architecture": config.model.architecture,
        "device": device,
        "precision": precision,
        "batch": batch,
        "images_per_s": rate,
        "all_images_per_s": rates,
        "gflop_per_image": counted / 1e9,
        "tflop_per_s": rate * counted / 1e12,
        "matrix_tflop_per_s": yardstick / 1e12,
        "all_matrix_tflop_per_s": [one / 1e12 for one in yardsticks],
        "share": rate * counted / yardstick,
        "repeats": repeats,
        "steps": steps,
    }


def matrix_rate(device: str, precision: str) -> float:
    """Return operations per second of the fastest square matrix product of SIZES."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    best = 0.0
    for size in SIZES[device]:
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        multiply = partial(_multiply, left, right, device)
        multiply()
        best = max(best, 2 * size**3 / median_seconds(multiply, 6))
    return best


def _rate(
    config: Config, name: str, teacher: Path, batch: int, device: str, steps: int, place: Path
) -> tuple[float, str]:
    """Return images per second of whole epochs and the precision that was computed in.

    The first epoch, which starts the kernels, doesn't count. A processor that only imitates bf16
    trains in fp32.
    """
    images = _pixels(steps * batch)
    longer = _epochs(config, 3)
    job = task(longer, name, init=teacher if name == "any" else None, baseline=teacher)
    bundle = Bundle.load(fit(job, images, place, device=device))
    history = pd.read_csv(place / "history.csv")
    return float(history["images_per_s"].iloc[1:].median()), bundle.provenance["precision"]


def _operations(config: Config, name: str, teacher: Path, batch: int, place: Path) -> float:
    """Return the operations per training image of one step, as torch counts them."""
    plain = _epochs(config, 1, compile=False, precision="fp32")
    job = task(plain, name, init=teacher if name == "any" else None, baseline=teacher)
    with FlopCounterMode(display=False) as counter:
        fit(replace(job, max_steps=1), _pixels(batch), place / "count", device="cpu")
    return counter.get_total_flops() / batch


def _epochs(config: Config, epochs: int, **train: Any) -> Config:
    """Return `config` with every training `epochs` long, at full size."""
    options = {"epochs": epochs, "start_px": 0, "warmup_epochs": 0.0, **train}
    generalist = config.generalist
    return replace(
        config,
        train=replace(config.train, **options),
        generalist=replace(generalist, train=replace(generalist.train, **options)),
        selection_conditions=("full",),
    )


def _untrained(model: ModelConfig, path: Path) -> Path:
    Bundle(model, build(model, pretrained=False).state_dict()).save(path)
    return path


def _pixels(n: int) -> Images:
    """Return n random training faces and one validation face, whose arithmetic is counted too."""
    total = n + 1
    pixels = np.random.default_rng(0).integers(0, 256, (total, 48, 48), dtype=np.uint8)
    return Images.build(
        pixels,
        labels=[EMOTIONS[index % len(EMOTIONS)] for index in range(total)],
        splits=["train"] * n + ["validation"],
        dataset="random",
        sources=[f"random:{index}" for index in range(total)],
    )


def _multiply(left: torch.Tensor, right: torch.Tensor, device: str) -> None:
    left @ right
    _wait(device)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def _sentence(row: dict[str, Any]) -> str:
    return (
        f"{row['config']} {row['model']}: {row['images_per_s']:,.0f} images/s, "
        f"{100 * row['share']:.0f} % of the matrix rate"
    )


def show(results: dict[str, Any]) -> None:
    table = Table(title="Training, random pixels", title_justify="left")
    for column in ("config", "model", "network", "precision"):
        table.add_column(column)
    for column in ("images/s", "GFLOP an image", "TFLOP/s", "matrix TFLOP/s", "share"):
        table.add_column(column, justify="right")
    for row in results["rows"]:
        table.add_row(
            row["config"],
            row["model"],
            row["architecture"],
            row["precision"],
            f"{row['images_per_s']:,.0f}",
            f"{row['gflop_per_image']:.2f}",
            f"{row['tflop_per_s']:.2f}",
            f"{row['matrix_tflop_per_s']:.2f}",
            f"{100 * row['share']:.0f} %",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "throughput.json", repeats=3)
    add = parser.add_argument
    add("configs", type=Path, nargs="+")
    add("--device", default="auto")
    add("--steps", type=skeleton.count, default=12, help="steps of an epoch that is timed")
    add("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
