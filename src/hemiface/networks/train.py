"""Training one network: a plain loop over uint8 pixels that stay on the device.

Every random draw is seeded from (seed, epoch, process), and a checkpoint holds all that an epoch
needs, so a training that is killed and started again ends with the weights of an undisturbed one.
"""

import logging
import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from hemiface import errors
from hemiface.config import ModelConfig, TrainConfig
from hemiface.data.images import Images
from hemiface.errors import HemifaceError, UsageError, first_line
from hemiface.inputs import require_apart
from hemiface.locks import locked
from hemiface.networks.attention import WithMaps
from hemiface.networks.augment import Wardrobe, augment, hide_drawn
from hemiface.networks.batches import Batch, Batches, class_weights, mixed_seed
from hemiface.networks.checkpoint import (
    BUNDLE_FILE,
    CHECKPOINTS,
    Progress,
    drop_checkpoints,
    save_every_s,
)
from hemiface.networks.distillation import WithFeatures
from hemiface.networks.loss import Loss
from hemiface.networks.network import Bundle, FaceNetwork, build, resolve_device
from hemiface.networks.optimiser import (
    WeightAverage,
    learning_rate,
    optimizer_of,
    set_learning_rate,
)
from hemiface.networks.precision import trained_in
from hemiface.networks.suitable import require_suitable
from hemiface.networks.task import Task, task
from hemiface.networks.validation import Validation

__all__ = ["Task", "fit", "task"]

log = logging.getLogger(__name__)

OnStep = Callable[[int, int], None]


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
    fingerprint nothing is done; one of another is named in a warning and stays until the new one is
    finished. If it holds a checkpoint, training goes on from there.
    `on_step(done, total)` is called after each step when there is one process.

    Raises:
        UsageError: a split that is needed is empty, the device doesn't exist, the network can't do
            what the recipe asks of it, another training is writing into the folder, or its Bundle
            is what this one starts or learns from.
        HemifaceError: the loss stopped being finite; the last good checkpoint stays.
    """
    bundle = folder / BUNDLE_FILE
    require_apart([one for one in (job.init, job.teacher) if one], [bundle])
    fingerprint = job.fingerprint(images)

    def is_done() -> bool:
        known = Bundle.load(bundle).provenance if bundle.is_file() else {}
        return known.get("fingerprint") == fingerprint

    if bundle.is_file():
        if is_done():
            log.info("%s: done before, nothing to train", job.model_id)
            if (folder / CHECKPOINTS).is_dir():
                # A kill came between the Bundle and this; or another training has begun here.
                with suppress(UsageError), locked(folder):
                    drop_checkpoints(folder)
            return bundle
        log.warning(
            "%s belongs to another config, data or code; it stays until the new training ends",
            bundle,
        )
    for split in ("train", "validation"):
        if not (images.table["split"] == split).any():
            raise UsageError(f"The data has no {split} images; training needs some.")
    accelerator = resolve_device(device)
    precision = trained_in(job.recipe.train.precision, accelerator, job.model_id)
    fabric = _fabric(accelerator, job.recipe.train.processes, precision)
    progress = Progress(job, folder, fingerprint)
    on_step = on_step if job.recipe.train.processes == 1 else None
    with locked(folder):
        # Somebody else may have finished between the first look and the lock.
        if is_done():
            return bundle
        try:
            fabric.launch(partial(_train, job, images, progress, precision, on_step))
        except ProcessRaisedException as error:
            raise _of_process(error) from error
        except ProcessExitedException as error:
            raise HemifaceError(
                f"{job.model_id}: one of {job.recipe.train.processes} processes was ended from "
                f"outside ({first_line(error)}); the same command goes on from the last checkpoint."
            ) from error
        finally:
            torch.set_flush_denormal(False)  # what runs after a training wants IEEE arithmetic
    return bundle


def _of_process(error: ProcessRaisedException) -> Exception:
    """Return what a process of several raised, which comes here as the text of its traceback."""
    lines = str(error).rstrip().splitlines()
    # Behind the last indented line stands what ended it, whatever it was raised from.
    frames = [number for number, line in enumerate(lines) if line[:1].isspace()]
    raised = "\n".join(lines[frames[-1] + 1 :] if frames else lines)
    told = re.match(r"hemiface\.errors\.(\w+): (.*)", raised, re.DOTALL)
    kind = getattr(errors, told[1], None) if told else None
    return error if told is None or kind is None else kind(told[2])


def _train(
    job: Task,
    images: Images,
    progress: Progress,
    precision: str,
    on_step: OnStep | None,
    fabric: Fabric,
) -> None:
    """Train in one process: resume, loop over the epochs and their steps, write the Bundle."""
    _set_up_process(fabric, job.recipe.train)
    learner, device = _Learner(fabric, job, images), fabric.device
    batches = learner.batches
    validation = Validation(images.split("validation"), job.selection, device, job.recipe.train)
    if state := progress.resume(device):
        learner.load_state(state)
        if fabric.is_global_zero:
            log.info("%s: goes on after epoch %d", job.model_id, len(progress.history))
            if device.type == "cpu":
                progress.compare_threads(torch.get_num_threads())
    # Reading the loss back makes a GPU wait for the CPU, so there it is looked at less often.
    look_every = 1 if device.type == "cpu" else 50
    for epoch in range(len(progress.history) + 1, batches.epochs + 1):
        started, steps = time.perf_counter(), batches.steps(epoch)
        # Of dropout. With the seed of what changes pictures both would draw alike.
        torch.manual_seed(mixed_seed(job.seed, epoch, 1 + fabric.global_rank, 1))
        learner.network.train()
        total = torch.zeros((), device=device)
        for done, batch in enumerate(batches.epoch(epoch), start=1):
            total += learner.step(batch)
            if done % look_every == 0 or done == steps:
                _require_finite(float(total), job, epoch, done)
                if on_step:
                    on_step(batch.step + 1, batches.total_steps)
        train_loss, trained_s = float(total) / steps, time.perf_counter() - started
        # In the precision of the training: where bf16 pays, fp32 would take as long as the epoch.
        with learner.average.in_place(), fabric.autocast():
            validation_loss, accuracy = validation.score(learner.network)
        _require_finite(validation_loss, job, epoch, steps)
        row = {
            "epoch": epoch,
            "step": batch.step + 1,
            "learning_rate": learner.rate(batch.step),
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "validation_accuracy": accuracy,
            "seconds": time.perf_counter() - started,
            "images_per_s": steps * batches.size / trained_s,
            "threads": torch.get_num_threads(),
        }
        progress.note(row, learner.average.kept())
        if fabric.is_global_zero:
            progress.log_epoch(batches.epochs)
            progress.save(learner.state(), save_every_s(device))
        fabric.barrier()
    if fabric.is_global_zero:
        progress.finish(images, precision, batches.class_mix())
    fabric.barrier()


class _Learner:
    """The network in one process, with all that moves it."""

    def __init__(self, fabric: Fabric, job: Task, images: Images) -> None:
        self._fabric, self._job = fabric, job
        options, distill = job.recipe.train, job.recipe.distill
        torch.manual_seed(mixed_seed(job.seed, 0, 0))
        self.network = _start_from(job.init, job.model) if job.init else build(job.model)
        if options.channels_last:
            self.network.to(memory_format=torch.channels_last)
        require_suitable(self.network, job.recipe)
        teacher = _teacher(job, fabric.device)
        # What is optimised: the network, with the map to the teacher's features where they differ.
        self._module: nn.Module = self.network
        if distill.paired:
            # A map that nothing is learnt by has no gradient, which processes would wait for.
            width = (teacher or self.network).width if distill.features else None
            self._module = WithFeatures(self.network, width)
        elif options.attention_consistency:
            self._module = WithMaps(self.network)
        # Each size of image gets kernels of its own; those for any size are slower.
        forward: Any = (
            torch.compile(self._module, dynamic=False) if options.compile else self._module
        )
        forward, self._optimizer = fabric.setup(forward, optimizer_of(self._module, options))
        self.network.to(fabric.device)
        self.average = WeightAverage(self.network, options.ema_decay)
        if distill.taught and distill.teacher == "average":
            teacher = self.average.teacher()
        self.batches = Batches(images.split("train"), job, fabric)
        worn = job.recipe.augment.hide_worn > 0
        self._wardrobe = Wardrobe.drawn(job.seed, fabric.device) if worn else None
        self._loss = Loss(
            forward,
            job.recipe,
            class_weights(self.batches.counts, options),
            teacher,
            fabric.autocast,
            ramp_steps=distill.ramp_epochs * self.batches.steps_per_epoch,
        )

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0 over all epochs."""
        return learning_rate(self._job.recipe.train, step, self.batches.steps_per_epoch)

    def step(self, batch: Batch) -> Tensor:
        """Do one optimisation step and return the loss, detached."""
        recipe = self._job.recipe
        whole = augment(batch.pixels, recipe.augment, batch.random, batch.side)
        hidden = hide_drawn(
            whole, self._job.conditions, batch.random, recipe.augment, self._wardrobe
        )
        loss = self._loss.of(whole, hidden, batch)
        set_learning_rate(self._optimizer, self.rate(batch.step))
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        if recipe.train.clip_norm:
            nn.utils.clip_grad_norm_(self._module.parameters(), recipe.train.clip_norm)
        self._optimizer.step()
        self.average.update(batch.step)
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """Return what the next epoch starts from."""
        return {
            "module": self._module.state_dict(),
            "averaged": self.average.weights,
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["averaged"])


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


def _teacher(job: Task, device: torch.device) -> FaceNetwork | None:
    """Return the teacher in evaluation mode; it never learns."""
    if job.teacher is None:
        return None
    network = Bundle.load(job.teacher).network("cpu").requires_grad_(False)
    require_suitable(network, job.recipe)
    return network.to(device)


def _fabric(accelerator: str, processes: int, precision: str) -> Fabric:
    """Return what runs the processes, one device each."""
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    return Fabric(
        accelerator=accelerator,
        devices=processes,
        strategy=DDPStrategy(start_method="spawn") if processes > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )


def _set_up_process(fabric: Fabric, options: TrainConfig) -> None:
    """Set what torch computes with in this process."""
    if fabric.world_size > 1 and fabric.device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // fabric.world_size))
    if fabric.world_size > 1 and not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(message)s")  # a spawned process has none
    torch.backends.cudnn.deterministic = options.deterministic
    torch.backends.cudnn.benchmark = not options.deterministic
    # Moments of filters that died decay into denormal numbers, which CPUs multiply very slowly.
    torch.set_flush_denormal(True)


def _require_finite(loss: float, job: Task, epoch: int, step: int) -> None:
    if not math.isfinite(loss):
        kept = "the last checkpoint is kept" if epoch > 1 else "nothing is kept"
        raise HemifaceError(
            f"{job.model_id}: the loss stopped being finite in epoch {epoch}, by step "
            f"{step}; {kept}. Lower train.learning_rate (now {job.recipe.train.learning_rate:g}), "
            "set train.clip_norm or use train.precision=fp32."
        )
