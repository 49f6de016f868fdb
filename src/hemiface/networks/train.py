"""Training one network: a plain loop over uint8 pixels that stay on the device.

Every random draw is seeded from (seed, epoch, process), and a checkpoint holds all that an epoch
needs, so a training that is killed and started again ends with the weights of an undisturbed one.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812
from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from hemiface.config import Config, ModelConfig, Recipe, TrainConfig, as_plain
from hemiface.data.images import Images
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.files import atomic_path, hash_json, sha256_file
from hemiface.networks.augment import augment, hide_drawn, mixup
from hemiface.networks.distillation import Lesson, TwoViews, distillation_loss, teach
from hemiface.networks.network import Bundle, FaceNetwork, build, has_bf16, predict, resolve_device
from hemiface.occlusion.conditions import Condition, condition, hide, image_seeds
from hemiface.provenance import Mark
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX, label_indices, write_csv

__all__ = ["Task", "fit", "learning_rate", "side_px", "task"]

log = logging.getLogger(__name__)

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """One training: which network, on what, how.

    `conditions` are hidden during training, one drawn evenly for each image and step;
    `selection` is what validation hides, as a rule the same; `init` is a Bundle to start from,
    `teacher` one to learn from.
    """

    name: str
    seed: int
    model: ModelConfig
    recipe: Recipe
    conditions: tuple[Condition, ...]
    selection: tuple[Condition, ...]
    init: Path | None = None
    teacher: Path | None = None
    max_steps: int | None = None

    @property
    def model_id(self) -> str:
        """The model's ID in every table."""
        return f"{self.name}-seed{self.seed}"

    def mark(self, images: Images) -> Mark:
        """Return what decides the weights."""
        inputs = {
            "model": as_plain(self.model),
            "recipe": as_plain(self.recipe),
            "conditions": [one.key for one in self.conditions],
            "selection": [one.key for one in self.selection],
            "name": self.name,
            "seed": self.seed,
            "init": _hash_of(self.init),
            "teacher": _hash_of(self.teacher),
            "max_steps": self.max_steps,
            "data": images.info.get("data_sha256"),
        }
        return Mark.of(inputs, __name__)

    def fingerprint(self, images: Images) -> str:
        """Return a hash of everything that decides the weights."""
        return self.mark(images).fingerprint

    def made(self, bundle: Path, images: Images) -> bool:
        """Return whether a Bundle came from this very training but for the code that ran it.

        Asked of what the Bundle says of itself; one that says too little didn't.
        """
        if self.max_steps is not None or not bundle.is_file():
            return False
        known = Bundle.load(bundle)
        said, recipe = known.provenance, as_plain(self.recipe)
        wanted = {
            "name": self.name,
            "seed": self.seed,
            "conditions": [one.key for one in self.conditions],
            "selection": [one.key for one in self.selection],
            "init_sha256": _hash_of(self.init),
            "teacher_sha256": _hash_of(self.teacher),
            "data_sha256": images.info.get("data_sha256"),
            "recipe": recipe,
        }
        # A key that is newer than the Bundle had its default then.
        defaults = as_plain(Recipe())
        old = {name: defaults[name] | said.get("recipe", {}).get(name, {}) for name in recipe}
        return (
            known.model == self.model
            and {name: old if name == "recipe" else said.get(name, "not said") for name in wanted}
            == wanted
        )


def task(
    config: Config,
    name: str,
    seed: int = 0,
    *,
    init: Path | None = None,
    baseline: Path | None = None,
    max_steps: int | None = None,
) -> Task:
    """Return the training of model `name` (full, a condition, or any) that `config` describes.

    `baseline` is the Bundle that a recipe with `distill.teacher = "full"` learns from; other
    recipes don't need it.

    Raises:
        UsageError: `name` is neither `any` nor a condition, or a teacher is needed and missing.
        DamagedError: the Bundle of the teacher or to start from doesn't exist.
    """
    keys = config.generalist_conditions if name == "any" else (name,)
    selection = (config.selection_conditions if name == "any" else ()) or keys
    recipe = config.recipe(name, fine_tuned=init is not None)
    return Task(
        name=name,
        seed=seed,
        model=config.model,
        recipe=recipe,
        conditions=tuple(condition(key) for key in keys),
        selection=tuple(condition(key) for key in selection),
        init=init,
        teacher=_teacher_of(recipe, baseline),
        max_steps=max_steps,
    )


def _teacher_of(recipe: Recipe, baseline: Path | None) -> Path | None:
    """Return the Bundle that `recipe` learns from; None where there is none or it is itself."""
    known = recipe.distill.teacher
    if not recipe.distill.taught or known == "self":
        return None
    if known != "full":
        return Path(known)
    if baseline is None:
        raise UsageError(
            "The recipe learns from a teacher (distill.teacher = full); name the baseline's "
            "Bundle with --teacher, or set distill.teacher=self."
        )
    return baseline


def _hash_of(bundle: Path | None) -> str | None:
    if bundle is None:
        return None
    if not bundle.is_file():
        raise DamagedError(f"Bundle {bundle} doesn't exist; check the path.")
    return sha256_file(bundle)


def fit(
    job: Task,
    images: Images,
    folder: Path,
    *,
    device: str = "auto",
    on_step: OnStep | None = None,
) -> Path:
    """Train `job` on the train split and return the path of its Bundle in `folder`.

    Selects on the validation split only. If `folder` holds the finished Bundle of the same
    fingerprint nothing is done; if it holds a checkpoint of it, training goes on from there.
    `on_step(done, total)` is called after each step when there is one process.

    Raises:
        UsageError: a split that is needed is empty, or the device doesn't exist.
        HemifaceError: the loss stopped being finite; the last good checkpoint stays.
    """
    bundle = folder / "bundle.safetensors"
    fingerprint = job.fingerprint(images)
    if bundle.is_file() and Bundle.load(bundle).provenance.get("fingerprint") == fingerprint:
        log.info("%s: done before, nothing to train", job.model_id)
        return bundle
    for split in ("train", "validation"):
        if not (images.table["split"] == split).any():
            raise UsageError(f"The data has no {split} images; training needs some.")
    folder.mkdir(parents=True, exist_ok=True)
    processes = job.recipe.train.processes
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    accelerator = resolve_device(device)
    precision = _precision(job, accelerator)
    fabric = Fabric(
        accelerator=accelerator,
        devices=processes,
        strategy=DDPStrategy(start_method="spawn") if processes > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    on_step = on_step if processes == 1 else None
    try:
        fabric.launch(partial(_run, job, images, folder, fingerprint, precision, on_step))
    finally:
        torch.set_flush_denormal(False)  # what runs after a training wants IEEE arithmetic again
    return bundle


def _precision(job: Task, device: str) -> str:
    """Return the precision to compute in: what was asked for, unless it would only cost time."""
    wanted = job.recipe.train.precision
    if wanted == "bf16" and not has_bf16(device):
        log.warning(
            "%s: %s has no bf16 instructions; training in fp32, which is faster here",
            job.model_id,
            "this processor" if device == "cpu" else "this GPU",
        )
        return "fp32"
    return wanted


def learning_rate(options: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step (counted from 0).

    >>> round(learning_rate(TrainConfig(epochs=10, learning_rate=1.0), 50, 10), 3)
    0.5
    """
    total, warmup = options.epochs * steps_per_epoch, options.warmup_epochs * steps_per_epoch
    if options.schedule == "one-cycle":
        # Linear up, linear down (Smith 2018, super-convergence, without its momentum cycle).
        peak = warmup or 0.3 * total
        shape = min((step + 1) / peak, max(0.0, (total - step) / max(1.0, total - peak)))
        return options.learning_rate * min(1.0, shape)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if options.schedule == "cosine":
        progress = max(0.0, step - warmup) / max(1.0, total - warmup)
        shape = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    elif options.schedule == "step":
        shape = options.step_factor ** (step // steps_per_epoch // options.step_epochs)
    else:
        shape = 1.0
    return options.learning_rate * rise * shape


def side_px(options: TrainConfig, epoch: int) -> int:
    """Return the side of the training images in an epoch (counted from 1).

    Small images first, as in Tan & Le 2021 (EfficientNetV2, section 4.2): they cost less and what
    is learnt from them carries over.

    >>> [side_px(TrainConfig(epochs=6, start_px=32, grown_by=0.5), epoch) for epoch in range(1, 7)]
    [32, 32, 40, 48, 48, 48]
    """
    if not options.start_px:
        return FER2013_SIZE_PX
    smaller = (FER2013_SIZE_PX - options.start_px) // 8
    grown = (epoch - 1) / (options.grown_by * options.epochs)
    return min(FER2013_SIZE_PX, options.start_px + 8 * int(grown * smaller))


class _Run:
    """The moving parts of one training in one process."""

    def __init__(self, fabric: Fabric, job: Task, images: Images) -> None:
        self.fabric, self.job, self.options = fabric, job, job.recipe.train
        self.distill = job.recipe.distill
        torch.manual_seed(_mix(job.seed, 0, 0))
        self.network = _start_from(job.init, job.model) if job.init else build(job.model)
        if self.options.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.teacher = _teacher(job.teacher, fabric.device)
        # What is optimised: the network, with the map to the teacher's features where they differ.
        self.module: nn.Module = self.network
        if self.distill.two_views:
            width = self.teacher.width if self.teacher else self.network.width
            self.module = TwoViews(self.network, width)
        optimizer = _optimizer(self.module, self.options)
        # Each size of image gets kernels of its own; those for any size are slower.
        forward: Any = (
            torch.compile(self.module, dynamic=False) if self.options.compile else self.module
        )
        self.forward, self.optimizer = fabric.setup(forward, optimizer)
        self.network.to(fabric.device)
        self.averaged = _copy(self.network.state_dict()) if self.options.ema_decay else None
        train = images.split("train")
        self.pixels = torch.from_numpy(np.array(train.pixels)).to(fabric.device)
        self.labels = torch.from_numpy(label_indices(train.table)).to(fabric.device)
        self.targets = _targets(train, self.options).to(fabric.device)
        self.weights = _class_weights(self.labels, self.options)
        self.validation = _Validation(images.split("validation"), job.selection, fabric.device)
        self.local_batch = min(self.options.batch_size, len(train)) // fabric.world_size
        self.steps_per_epoch = max(1, len(train) // (self.local_batch * fabric.world_size))
        self.total_steps = min(self.options.epochs * self.steps_per_epoch, job.max_steps or 10**12)
        # Reading the loss back makes a GPU wait for the CPU, so there it is looked at less often.
        self.check_every = 1 if fabric.device.type == "cpu" else 50
        # There an epoch may take less time than writing all that the next one starts from.
        self.save_every_s = 0.0 if fabric.device.type == "cpu" else 15.0

    def train_epoch(self, epoch: int, on_step: OnStep | None) -> tuple[float, int]:
        """Run one epoch; return the mean training loss and the number of steps done."""
        world, rank, device = self.fabric.world_size, self.fabric.global_rank, self.fabric.device
        order = torch.randperm(
            len(self.labels), generator=torch.Generator().manual_seed(_mix(self.job.seed, epoch, 0))
        ).to(device)
        draws = torch.Generator(device).manual_seed(_mix(self.job.seed, epoch, 1 + rank))
        torch.manual_seed(_mix(self.job.seed, epoch, 1 + rank))  # dropout
        self.network.train()
        first, side = (epoch - 1) * self.steps_per_epoch, side_px(self.options, epoch)
        steps = min(self.steps_per_epoch, self.total_steps - first)
        total = torch.zeros((), device=device)
        for index in range(steps):
            start = (index * world + rank) * self.local_batch
            chosen = order[start : start + self.local_batch]
            total += self.step(
                self.pixels[chosen], self.targets[chosen], first + index, draws, side
            )
            if (index + 1) % self.check_every == 0 or index + 1 == steps:
                self._require_finite(total, epoch, index + 1)
                if on_step:
                    on_step(first + index + 1, self.total_steps)
        return float(total) / steps, steps

    def step(
        self, pixels: Tensor, targets: Tensor, step: int, draws: torch.Generator, side: int
    ) -> Tensor:
        """Do one optimisation step and return the loss, detached.

        `pixels` is uint8 [n, 48, 48], `targets` float32 [n, 7]; the network sees [n, side, side].
        """
        whole = augment(pixels, self.job.recipe.augment, draws, side)
        hidden = hide_drawn(whole, self.job.conditions, draws, self.job.recipe.augment)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, step, self.steps_per_epoch)
        if self.distill.two_views:
            loss = self._two_view_loss(whole, hidden, targets, step)
        else:
            if self.options.mixup:
                weight = _mixing_weight(
                    self.options.mixup, self.job.seed, step, self.fabric.global_rank
                )
                hidden, targets = mixup(hidden, targets, weight, draws)
            loss = self._cross_entropy(self.forward(hidden), targets)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.options.clip_norm:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.options.clip_norm)
        self.optimizer.step()
        if self.averaged is not None:
            _average(
                self.averaged, self.network, min(self.options.ema_decay, (1 + step) / (10 + step))
            )
        return loss.detach()

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(
            logits.float(),
            targets,
            weight=self.weights,
            label_smoothing=self.options.label_smoothing,
        )

    def _two_view_loss(self, whole: Tensor, hidden: Tensor, targets: Tensor, step: int) -> Tensor:
        """Return the loss of DistillConfig; both views pass through the network as one batch."""
        n, options = len(targets), self.distill
        views = torch.cat([hidden, whole]) if options.shows_whole else hidden
        logits, features = self.forward(views)
        seen = Lesson(logits[:n], features[:n])
        own = Lesson(logits[n:], features[n:])
        loss = self._cross_entropy(seen.logits, targets)
        if options.clean:
            loss = loss + options.clean * self._cross_entropy(own.logits, targets)
        if options.taught:
            ramp_steps = options.ramp_epochs * self.steps_per_epoch
            ramp = min(1.0, (step + 1) / ramp_steps) if ramp_steps else 1.0
            teacher = self._lesson(whole, own)
            loss = loss + ramp * distillation_loss(seen, own, teacher, options)
        return loss

    def _lesson(self, whole: Tensor, own: Lesson) -> Lesson:
        """Return what the teacher, or the network itself, makes of the whole view."""
        if self.teacher is None:
            return Lesson(own.logits.detach().float(), own.features.detach().float())
        with self.fabric.autocast():
            return teach(self.teacher, whole)

    def kept_weights(self) -> dict[str, Tensor]:
        """Return what is validated and shipped: the averaged weights, if there are any."""
        return self.network.state_dict() if self.averaged is None else self.averaged

    def validate(self) -> tuple[float, float]:
        """Return validation loss and accuracy of the kept weights, means over the conditions."""
        if self.averaged is None:
            return self.validation.score(self.network)
        current = _copy(self.network.state_dict())
        self.network.load_state_dict(self.averaged)
        result = self.validation.score(self.network)
        self.network.load_state_dict(current)
        return result

    def state(self) -> dict[str, Any]:
        """Return what the next epoch starts from."""
        return {
            "module": self.module.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            for name, value in self.averaged.items():
                value.copy_(state["averaged"][name])

    def _require_finite(self, total: Tensor, epoch: int, step: int) -> None:
        if not math.isfinite(float(total)):
            kept = "the last checkpoint is kept" if epoch > 1 else "nothing is kept"
            raise HemifaceError(
                f"{self.job.model_id}: the loss stopped being finite in epoch {epoch}, by step "
                f"{step}; {kept}. Lower train.learning_rate (now {self.options.learning_rate:g}), "
                "set train.clip_norm or use train.precision=fp32."
            )


def _start_from(init: Path, config: ModelConfig) -> FaceNetwork:
    """Return the network of Bundle `init`, which must be of the same kind as `config` describes."""
    bundle = Bundle.load(init)
    if any(
        getattr(bundle.model, key) != getattr(config, key)
        for key in ("architecture", "stem", "channels", "mean", "std")
    ):
        raise UsageError(
            f"Bundle {init} holds another kind of network ({bundle.model.architecture}) than the "
            f"config's [model] ({config.architecture}) or other preprocessing; make them agree."
        )
    return replace(bundle, model=config).network("cpu")


def _teacher(bundle: Path | None, device: torch.device) -> FaceNetwork | None:
    """Return the teacher in evaluation mode; it never learns."""
    return Bundle.load(bundle).network(device).requires_grad_(False) if bundle else None


def _targets(images: Images, options: TrainConfig) -> Tensor:
    """Return float32 [n, 7]: one-hot labels, or the shares of FER+'s votes.

    Raises:
        UsageError: votes are asked for and the data has none.
    """
    if not options.soft_labels:
        return F.one_hot(torch.from_numpy(label_indices(images.table)), len(EMOTIONS)).float()
    columns = [f"votes_{emotion}" for emotion in EMOTIONS]
    missing = [column for column in columns if column not in images.table]
    if missing:
        raise UsageError(
            "train.soft_labels learns FER+'s votes, which the data doesn't have; name them with "
            "--labels ferplus=PATH."
        )
    votes = torch.from_numpy(images.table[columns].to_numpy(np.float32))
    return votes / votes.sum(1, keepdim=True)


class _Validation:
    """The validation split under some conditions, hidden once and kept on the device."""

    def __init__(
        self, images: Images, conditions: tuple[Condition, ...], device: torch.device
    ) -> None:
        seeds = image_seeds(images.table["image"])
        self.pixels = [
            torch.from_numpy(hide(np.asarray(images.pixels), one, seeds)).to(device)
            for one in dict.fromkeys(conditions)
        ]
        self.labels = torch.from_numpy(label_indices(images.table)).to(device)

    def score(self, network: FaceNetwork) -> tuple[float, float]:
        losses, accuracies = [], []
        for pixels in self.pixels:
            values = predict(network, pixels)
            at_label = values[torch.arange(len(values)), self.labels]
            losses.append(float(-at_label.clamp(min=1e-12).log().mean()))
            accuracies.append(float((values.argmax(1) == self.labels).double().mean()))
        return sum(losses) / len(losses), sum(accuracies) / len(accuracies)


def _run(
    job: Task,
    images: Images,
    folder: Path,
    fingerprint: str,
    precision: str,
    on_step: OnStep | None,
    fabric: Fabric,
) -> None:
    """Train in one process: resume, loop over the epochs, write the Bundle."""
    if fabric.world_size > 1 and fabric.device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // fabric.world_size))
    if fabric.world_size > 1 and not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(message)s")  # a spawned process has none
    deterministic = job.recipe.train.deterministic
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = (
        deterministic,
        not deterministic,
    )
    # Moments of filters that died decay into denormal numbers, which CPUs multiply very slowly.
    torch.set_flush_denormal(True)
    run = _Run(fabric, job, images)
    checkpoint = folder / "checkpoint" / "last.pt"
    history: list[dict[str, Any]] = []
    best: dict[str, Any] = {"score": -1.0, "epoch": 0, "weights": {}}
    saved = _read_checkpoint(checkpoint, fingerprint, fabric.device)
    if saved:
        run.load_state(saved["state"])
        history, best = saved["history"], saved["best"]
        if fabric.is_global_zero:
            log.info("%s: goes on after epoch %d", job.model_id, len(history))
    epochs = math.ceil(run.total_steps / run.steps_per_epoch)
    saved_at = -math.inf
    for epoch in range(len(history) + 1, epochs + 1):
        started = time.perf_counter()
        train_loss, steps = run.train_epoch(epoch, on_step)
        trained_s = time.perf_counter() - started
        validation_loss, accuracy = run.validate()
        if not math.isfinite(validation_loss):
            run._require_finite(torch.tensor(validation_loss), epoch, steps)
        done = (epoch - 1) * run.steps_per_epoch + steps
        history.append(
            {
                "epoch": epoch,
                "step": done,
                "learning_rate": learning_rate(run.options, done - 1, run.steps_per_epoch),
                "train_loss": train_loss,
                "validation_loss": validation_loss,
                "validation_accuracy": accuracy,
                "seconds": time.perf_counter() - started,
                "images_per_s": steps * run.local_batch * fabric.world_size / trained_s,
            }
        )
        if accuracy > best["score"] or run.options.select == "last":
            best = {"score": accuracy, "epoch": epoch, "weights": _copy(run.kept_weights())}
        if fabric.is_global_zero:
            _log_epoch(job, history, best, epochs)
            if time.monotonic() - saved_at >= run.save_every_s:
                content = {
                    "fingerprint": fingerprint,
                    "state": run.state(),
                    "history": history,
                    "best": best,
                }
                with atomic_path(checkpoint) as unfinished:
                    torch.save(content, unfinished)
                saved_at = time.monotonic()
            write_csv(pd.DataFrame(history), folder / "history.csv")
        fabric.barrier()
    if fabric.is_global_zero:
        _finish(job, images, folder, fingerprint, precision, history, best)
    fabric.barrier()


def _finish(
    job: Task,
    images: Images,
    folder: Path,
    fingerprint: str,
    precision: str,
    history: list[dict[str, Any]],
    best: dict[str, Any],
) -> None:
    """Write the Bundle, then drop the checkpoint, which nothing needs any more."""
    Bundle(
        model=job.model,
        weights=best["weights"],
        provenance={
            "model_id": job.model_id,
            "name": job.name,
            "seed": job.seed,
            "conditions": [one.key for one in job.conditions],
            "selection": [one.key for one in job.selection],
            "init_sha256": _hash_of(job.init),
            "teacher_sha256": _hash_of(job.teacher),
            "recipe": as_plain(job.recipe),
            "flips": job.recipe.augment.flip,
            "precision": precision,
            "epoch": best["epoch"],
            "validation_accuracy": best["score"],
            "train_images": int((images.table["split"] == "train").sum()),
            "data_sha256": images.info.get("data_sha256"),
            "config_hash": hash_json(
                {"model": as_plain(job.model), "recipe": as_plain(job.recipe)}
            ),
            "fingerprint": fingerprint,
            "training_s": sum(row["seconds"] for row in history),
        },
    ).save(
        folder / "bundle.safetensors",
        torch.float16 if job.recipe.train.saved_as == "fp16" else torch.float32,
    )
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)


def _log_epoch(job: Task, history: list[dict[str, Any]], best: dict[str, Any], epochs: int) -> None:
    last = history[-1]
    left_s = float(np.median([row["seconds"] for row in history])) * (epochs - len(history))
    log.info(
        "%s epoch %d/%d  loss %.4f  validation loss %.4f accuracy %.4f (best %.4f, epoch %d)  "
        "%.0f images/s  %.0f s, about %.0f min left",
        job.model_id,
        last["epoch"],
        epochs,
        last["train_loss"],
        last["validation_loss"],
        last["validation_accuracy"],
        best["score"],
        best["epoch"],
        last["images_per_s"],
        last["seconds"],
        left_s / 60,
    )


def _read_checkpoint(path: Path, fingerprint: str, device: torch.device) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if content["fingerprint"] != fingerprint:
        log.warning("%s belongs to another config, data or code; training starts anew", path)
        return None
    return content


def _mixing_weight(alpha: float, seed: int, step: int, rank: int) -> float:
    """Return the step's draw from Beta(alpha, alpha)."""
    return float(np.random.default_rng(_mix(seed, step, rank, 1)).beta(alpha, alpha))


def _optimizer(network: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer; biases and normalisation weights decay only under `decay_all`."""
    parameters = [one for one in network.parameters() if one.requires_grad]
    decayed = [one for one in parameters if one.ndim > 1 or options.decay_all]
    spared = [one for one in parameters if not (one.ndim > 1 or options.decay_all)]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}]
    if spared:
        groups.append({"params": spared, "weight_decay": 0.0})
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(options.momentum, 0.999))
    return torch.optim.SGD(
        groups,
        lr=options.learning_rate,
        momentum=options.momentum,
        nesterov=options.nesterov and options.momentum > 0,
    )


def _class_weights(labels: Tensor, options: TrainConfig) -> Tensor | None:
    """Return float32 [7] weights n / (7 * count of the class), as scikit-learn's `balanced`."""
    if options.class_weights == "none":
        return None
    counts = torch.bincount(labels, minlength=len(EMOTIONS)).float()
    return len(labels) / (len(EMOTIONS) * counts.clamp(min=1))


def _average(averaged: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    """Move `averaged` towards the network's weights and running statistics, in place."""
    moving, towards = [], []
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            moving.append(averaged[name])
            towards.append(value)
        else:
            averaged[name].copy_(value)
    # All at once: one by one a GPU would start a hundred small kernels in every step.
    torch._foreach_lerp_(moving, towards, 1 - decay)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


def _mix(*numbers: int) -> int:
    """Return one seed of 63 bits from several numbers, well mixed."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state[0] >> 1)
