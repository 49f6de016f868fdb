"""Training, evaluation and memory: hemiface beside the original study's way, on this machine.

    python benchmarks/training.py --data PATH      measures, writes results/benchmarks/
    python benchmarks/training.py --markdown       writes benchmarks/README.md's table from it

Both pipelines start from the same JPEG files and end in the same network. Every measurement is a
fresh process; the two pipelines alternate. What exactly is compared: benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from hemiface import config as configs
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import write_json, write_text
from hemiface.provenance import environment
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX, label_indices

HERE = Path(__file__).resolve().parent
RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
RECIPE = configs.find("paper")
README = HERE / "README.md"
HEADING = "## Measured"

PIPELINES = ("original", "ours")
TASKS = ("input", "train-resnet50", "train-compact", "evaluate-resnet50", "whole-resnet50")
CONDITIONS = ("full", "upper", "lower", "left", "right")
TRAINED_ON = "upper"  # so that hiding is part of every training step, on both sides

WORKERS = 2
AHEAD = 2 * WORKERS  # batches that a DataLoader prepares ahead of the one in use
# Timing starts after as many batches as can lie ready and stops while as many are still to come, so
# that the queue is alike at both ends: full behind a network, empty without one.
WARMUP = AHEAD
VALIDATION_IMAGES = 64
JPEG_QUALITY = 95
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
_HALF = FER2013_SIZE_PX // 2
HALVES = {
    "upper": (slice(None), slice(0, _HALF)),
    "lower": (slice(None), slice(_HALF, None)),
    "left": (slice(None), slice(None), slice(0, _HALF)),
    "right": (slice(None), slice(None), slice(_HALF, None)),
}
MIB = 2**20


@dataclass(frozen=True)
class Job:
    """One measurement: a task of TASKS, by one of PIPELINES, on the pictures below `data`."""

    task: str
    pipeline: str
    data: str
    steps: int
    batch: int
    device: str = "auto"

    @property
    def kind(self) -> str:
        """What is done: input, train, evaluate, whole."""
        return self.task.partition("-")[0]

    def config(self) -> configs.Config:
        """Return the original recipe with this job's network, random weights and batch size."""
        architecture = self.task.partition("-")[2] or "resnet50"
        return configs.load(
            RECIPE,
            [
                "model.pretrained=false",
                f"model.architecture={architecture}",
                f"train.batch_size={self.batch}",
            ],
        )


class HideHalf:
    """Set half of a picture's tensor [3, 48, 48] to 0; a class, so that workers can pickle it."""

    def __init__(self, half: str) -> None:
        self.where = HALVES[half]

    def __call__(self, tensor: Any) -> Any:
        """Change and return `tensor`."""
        tensor[self.where] = 0
        return tensor


def original_loader(
    folder: Path, batch: int, hidden: str, *, augmented: bool, normalised: bool = True
) -> Any:
    """Return a DataLoader over the JPEG files in the class folders of `folder`.

    It yields float32 [n, 3, 48, 48] and labels (int64, classes in alphabetical order); shuffled
    where augmented, else in the order of the file names. `hidden` is one of CONDITIONS.
    """
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps: list[Any] = []
    if augmented:
        steps += [
            transforms.RandomCrop(FER2013_SIZE_PX, padding=4),
            transforms.RandomHorizontalFlip(),
        ]
    steps.append(transforms.ToTensor())
    if hidden in HALVES:
        steps.append(HideHalf(hidden))
    if normalised:
        steps.append(transforms.Normalize(CIFAR_MEAN, CIFAR_STD))
    pictures = ImageFolder(str(folder), transforms.Compose(steps))
    return DataLoader(pictures, batch_size=batch, shuffle=augmented, num_workers=WORKERS)


def train_original(job: Job) -> dict[str, float]:
    """Time `job.steps` steps of SGD, fed by the DataLoader; write a checkpoint at the end."""
    import torch
    from torch.nn.functional import cross_entropy

    from hemiface.networks.network import build, resolve_device

    device, config = resolve_device(job.device), job.config()
    torch.backends.cudnn.benchmark = True
    network = build(config.model).backbone.to(device).train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=config.train.learning_rate,
        momentum=config.train.momentum,
        weight_decay=config.train.weight_decay,
    )
    loader = original_loader(Path(job.data, "train"), job.batch, TRAINED_ON, augmented=True)
    total_loss, started = 0.0, 0.0
    for step, (inputs, labels) in enumerate(loader, start=1):
        loss = cross_entropy(network(inputs.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item()  # shown at every step, which also waits for the device
        if step == WARMUP:
            started = time.perf_counter()
        if step == WARMUP + job.steps:
            break
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"net": network.state_dict(), "loss": total_loss}, Path(folder, "best.t7"))
    return {"images": job.steps * job.batch, "seconds": seconds}


def original_cells(job: Job, bundles: list[Path]) -> dict[tuple[str, str], Any]:
    """Return probabilities float32 [n, 7] of each (Bundle's name, condition), in ImageFolder order.

    The files are read and decoded again for every cell.
    """
    import torch
    from safetensors.torch import load_file

    from hemiface.networks.network import build, resolve_device

    device = resolve_device(job.device)
    torch.backends.cudnn.benchmark = True
    cells = {}
    for path in bundles:
        network = build(job.config().model).backbone
        weights = load_file(path)
        network.load_state_dict({name.removeprefix("backbone."): weights[name] for name in weights})
        network.to(device).eval()
        for hidden in CONDITIONS:
            loader = original_loader(Path(job.data, "test"), job.batch, hidden, augmented=False)
            with torch.no_grad():
                found = [network(inputs.to(device)).softmax(1).cpu() for inputs, _ in loader]
            cells[path.parent.name, hidden] = torch.cat(found)
    return cells


def our_batches(job: Job, images: Images, *, augmented: bool) -> Iterator[tuple[Any, Any]]:
    """Yield one epoch of the train split as the network's backbone gets it: float32 [n, 3, 48, 48].

    The pixels stay where they are as uint8; a batch is drawn, augmented, hidden and normalised by
    the functions that `hemiface.networks.train` uses.
    """
    import torch

    from hemiface.networks.augment import augment, hide_drawn
    from hemiface.networks.network import FaceNetwork, resolve_device
    from hemiface.occlusion.conditions import condition

    device, config = resolve_device(job.device), job.config()
    train = images.split("train")
    pixels = torch.from_numpy(np.array(train.pixels)).to(device)
    labels = torch.from_numpy(label_indices(train.table)).to(device)
    normalise = FaceNetwork(config.model, torch.nn.Identity()).to(device)
    draws = torch.Generator(device).manual_seed(0)
    order = torch.arange(len(train), device=device)
    if augmented:
        order = torch.randperm(len(train), generator=draws, device=device)
    for chosen in order.split(job.batch):
        inputs = pixels[chosen]
        if augmented:
            inputs = augment(inputs, config.augment, draws)
        hidden = hide_drawn(inputs, [condition(TRAINED_ON)], draws)
        yield normalise(hidden), labels[chosen]


def train_ours(job: Job) -> dict[str, float]:
    """Time `job.steps` steps of `networks.train.fit`, which ends with checkpoint and Bundle."""
    from hemiface.networks.train import fit, task

    images, load_s = _timed_load(job)
    training = task(job.config(), TRAINED_ON, max_steps=WARMUP + job.steps)
    times: list[tuple[int, float]] = []

    def on_step(done: int, _: int) -> None:
        times.append((done, time.perf_counter()))

    with tempfile.TemporaryDirectory() as folder:
        fit(training, images, Path(folder), device=job.device, on_step=on_step)
    timed = [one for one in times if one[0] >= WARMUP]
    if len(timed) < 2:
        raise UsageError("A GPU reports every 50 steps only; measure with --steps 100 or more.")
    (first, started), (last, ended) = timed[0], timed[-1]
    return {"images": (last - first) * job.batch, "seconds": ended - started, "load_s": load_s}


def _timed_load(job: Job) -> tuple[Images, float]:
    started = time.perf_counter()
    images = load(job.data)
    return images, time.perf_counter() - started


def time_input(job: Job, at_least_s: float = 1.0) -> dict[str, float]:
    """Time whole epochs of augmented batches without a network, for `at_least_s`."""
    import torch

    result: dict[str, float] = {"images": 0, "seconds": 0.0}
    if job.pipeline == "ours":
        images, result["load_s"] = _timed_load(job)
    while result["seconds"] < at_least_s:
        batches = (
            our_batches(job, images, augmented=True)
            if job.pipeline == "ours"
            else original_loader(Path(job.data, "train"), job.batch, TRAINED_ON, augmented=True)
        )
        started = ended = 0.0
        for index, (inputs, _) in enumerate(batches):
            if inputs.is_cuda:
                torch.cuda.synchronize()
            ended = time.perf_counter()
            if index < WARMUP:
                started = ended
            else:
                result["images"] += len(inputs)
        result["seconds"] += ended - started
    return result


def time_training(job: Job) -> dict[str, float]:
    return train_ours(job) if job.pipeline == "ours" else train_original(job)


def time_evaluation(job: Job) -> dict[str, float]:
    """Time all cells, from the files (pictures and weights) to the probabilities."""
    from hemiface.networks.evaluate import evaluate
    from hemiface.networks.network import build

    bundles = sorted(Path(job.data, "models").glob("*/bundle.safetensors"))
    build(job.config().model)  # timm and torchvision take seconds to import: not part of the time
    if job.pipeline == "original":
        original_loader(Path(job.data, "test"), job.batch, "full", augmented=False)
    started = time.perf_counter()
    if job.pipeline == "ours":
        images, load_s = _timed_load(job)
        count = len(evaluate(bundles, images, conditions=CONDITIONS, device=job.device))
        return {"images": count, "seconds": time.perf_counter() - started, "load_s": load_s}
    count = sum(len(cell) for cell in original_cells(job, bundles).values())
    return {"images": count, "seconds": time.perf_counter() - started}


MEASURE: dict[str, Callable[[Job], dict[str, float]]] = {
    "input": time_input,
    "train": time_training,
    "whole": time_training,
    "evaluate": time_evaluation,
}


def work(job: Job) -> dict[str, Any]:
    """Do one measurement in this process."""
    import torch

    from hemiface.networks.network import resolve_device

    result = MEASURE[job.kind](job)
    return {
        **result,
        "images_per_s": result["images"] / result["seconds"],
        "device": resolve_device(job.device),
        "threads": torch.get_num_threads(),
    }


def measure(job: Job) -> dict[str, Any]:
    """Do one measurement in a fresh process while its memory is watched; return all numbers.

    `rss_mib` is the largest sum of the resident memory of the process and its children at one
    moment, sampled ten times a second; `pss_mib` the same with pages that several of them share
    counted once, sampled once a second and at every new peak; both None where there is no /proc.
    """
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", json.dumps(asdict(job))]
    rss = pss = samples = 0
    with (
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            command, stdout=said, stderr=complaints, start_new_session=True
        ) as process,
    ):
        try:
            while process.poll() is None:
                now = _resident(process.pid)
                # Adding up shared pages takes milliseconds, so that is done less often.
                if now > 1.01 * rss or samples % 10 == 0:
                    pss = max(pss, _proportional(process.pid))
                rss, samples = max(rss, now), samples + 1
                time.sleep(0.1)
        except BaseException:
            process.kill()
            raise
        if process.returncode != 0:
            complaints.seek(0)
            last = (complaints.read().strip().splitlines() or ["no message"])[-1]
            raise HemifaceError(f"{job.task} of pipeline {job.pipeline} failed: {last}")
        said.seek(0)
        result: dict[str, Any] = json.loads(said.read().splitlines()[-1])
    memory = {"rss_mib": rss / MIB or None, "pss_mib": pss / MIB or None}
    return {"task": job.task, "pipeline": job.pipeline, **result, **memory}


def _session(leader: int) -> list[Path]:
    """Return the /proc folders of the processes in the session that `leader` leads."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(folder)
    return found


def _resident(leader: int) -> int:
    total = 0
    for folder in _session(leader):
        with suppress(OSError):
            total += int((folder / "statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def _proportional(leader: int) -> int:
    total = 0
    for folder in _session(leader):
        with suppress(OSError):
            lines = (folder / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024


def prepare(images: Images, folder: Path, train: int, test: int, models: str | None = None) -> None:
    """Write pictures as JPEG files in class folders and, where `models` names a network, Bundles.

    `train` and `test` are numbers of pictures; the five Bundles hold random weights.
    """
    wanted = {"train": train, "validation": VALIDATION_IMAGES, "test": test}
    for split, count in wanted.items():
        for index in some(images, split, count):
            label = images.table["label"].iloc[index]
            path = folder / split / label / f"{index:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.pixels[index]).save(path, quality=JPEG_QUALITY)
    if models is None:
        return
    import torch

    from hemiface.networks.network import Bundle, build

    for seed, name in enumerate(CONDITIONS):
        torch.manual_seed(seed)
        model = Job(f"evaluate-{models}", "ours", "", 1, 2).config().model
        known = {"model_id": f"{name}-seed0", "name": name, "conditions": [name]}
        bundle = Bundle(model, build(model).state_dict(), known)
        bundle.save(folder / "models" / name / "bundle.safetensors")


def some(images: Images, split: str, count: int) -> np.ndarray:
    """Return `count` indices of images of `split`, drawn evenly, each emotion at least once.

    Raises:
        UsageError: the split has fewer images, or not every emotion.
    """
    inside = np.flatnonzero(images.table["split"] == split)
    drawn = np.random.default_rng(0).permutation(inside)
    labels = images.table["label"].iloc[drawn]
    first = ~labels.duplicated().to_numpy()
    if not len(EMOTIONS) <= count <= len(drawn) or first.sum() < len(EMOTIONS):
        raise UsageError(
            f"{count} {split} images of all {len(EMOTIONS)} emotions are needed, the data has "
            f"{len(drawn)} of {first.sum()}; give other data or other numbers of images."
        )
    return np.concatenate([drawn[first], drawn[~first]])[:count]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    needed = (WARMUP + options.steps + AHEAD) * options.batch
    if options.images < needed:
        raise UsageError(
            f"{options.steps} steps of {options.batch} need --images {needed} or more: "
            f"{WARMUP} batches warm up and {AHEAD} are prepared ahead."
        )
    log = Console(stderr=True)
    started, load_before = time.perf_counter(), os.getloadavg()
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
        "environment": environment(),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "minutes": (time.perf_counter() - started) / 60,
        "summary": summarise(runs),
        "runs": runs,
    }


def order(options: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """Yield (task, repeat, pipeline): the two pipelines of a repeat one after the other, ABBA."""
    repeats = {"evaluate": options.evaluate_repeats, "whole": 1}
    for repeat in range(options.repeats):
        for task in options.tasks:
            if repeat < repeats.get(task.partition("-")[0], options.repeats):
                for pipeline in PIPELINES if repeat % 2 == 0 else reversed(PIPELINES):
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
            row |= {pipeline: _spread(values[pipeline]) for pipeline in PIPELINES}
            paired = zip(values["ours"], values["original"], strict=True)
            row["ratio"] = _spread([ours / original for ours, original in paired]) | {
                "median": row["ours"]["median"] / row["original"]["median"]
            }
            rows.append(row)
    return rows


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "n": len(values),
    }


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
    versions = results["environment"]["versions"]
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
        f"{results['minutes']:.0f} minutes. "
        + ", ".join(f"{name} {versions[name]}" for name in named if name in versions)
        + f". {settings['images']:,} training images, {settings['test_images']:,} test images, "
        f"{settings['steps']} timed steps of {settings['batch']}.",
        "",
        "Medians (smallest to largest); the last but one column divides the medians, its range is "
        "that of the pairs of neighbouring runs. Above 1 hemiface is faster, or takes more memory.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---|---|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in cells(results)),
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


def fill(results: Path, readme: Path = README) -> None:
    """Replace everything from HEADING on in `readme` by what `results` holds.

    Raises:
        DamagedError: there are no results, or `readme` has no such heading.
    """
    if not results.is_file():
        raise DamagedError(f"{results} doesn't exist; run the benchmark first.")
    before, heading, _ = readme.read_text(encoding="utf-8").partition(HEADING)
    if not heading:
        raise DamagedError(f"{readme} has no section {HEADING!r}; put the heading at its end.")
    write_text(readme, before + markdown(json.loads(results.read_text(encoding="utf-8"))))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--data", help="anything hemiface takes as data; FER2013 for numbers to publish")
    add("--images", type=int, default=2048, help="training images (default %(default)s)")
    add("--test-images", type=int, default=512, help="images per cell (default %(default)s)")
    add("--whole-images", type=int, help="training images of the last memory row (default: all)")
    add("--steps", type=int, default=8, help="timed training steps (default %(default)s)")
    add("--batch", type=int, default=128, help="images per step (default %(default)s)")
    add("--repeats", type=int, default=5, help="runs of each pipeline (default %(default)s)")
    add("--evaluate-repeats", type=int, default=2, help="the same for the evaluation, the longest")
    add("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="only some measurements")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--out", type=Path, default=RESULTS / "training.json", help="the results file")
    add("--markdown", action="store_true", help="measure nothing; write README.md's table")
    add("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not (options.data or options.markdown or options.worker):
        parser.error("give --data PATH, or --markdown")
    if min(options.steps, options.repeats, options.evaluate_repeats) < 1 or options.batch < 2:
        parser.error("steps and repeats must be at least 1, batch at least 2")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parse(arguments)
    try:
        if options.worker:
            print(json.dumps(work(Job(**json.loads(options.worker)))))
        elif options.markdown:
            fill(options.out)
        else:
            results = run(options)
            write_json(options.out, results)
            table = Table(*HEADER)
            for row in cells(results):
                table.add_row(*row)
            Console().print(table)
    except HemifaceError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
