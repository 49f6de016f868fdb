"""The two pipelines that training.py compares: the original study's way and hemiface's.

Both start from the same JPEG files, which `prepare` writes, and end in the same network. What
exactly is compared: benchmarks/README.md.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hemiface import config as configs
from hemiface.data.images import Images
from hemiface.data.readers import load
from hemiface.errors import UsageError
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX, label_indices

RECIPE = configs.find("paper")
PIPELINES = ("original", "ours")
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
