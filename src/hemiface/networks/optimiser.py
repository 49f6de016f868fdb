"""How weights move: the optimizer, its learning rate over the steps, and the average of weights."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hemiface.config import TrainConfig
from hemiface.networks.network import FaceNetwork

__all__ = ["WeightAverage", "copied", "learning_rate", "optimizer_of", "set_learning_rate"]


def optimizer_of(network: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
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


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step of `optimizer` be taken at `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class WeightAverage:
    """What is validated and shipped: the network's weights, or their moving average over steps.

    With `decay` 0 there is no average, and the kept weights are the network's own.
    """

    def __init__(self, network: FaceNetwork, decay: float) -> None:
        self._network, self._decay = network, decay
        self.weights = copied(network.state_dict()) if decay else None
        """The average, by the names of the network's weights."""

    def update(self, step: int) -> None:
        """Move the average towards the weights and running statistics after `step` (from 0).

        Early averages forget faster: the first weights are random.
        """
        if self.weights is None:
            return
        decay = min(self._decay, (1 + step) / (10 + step))
        moving, towards = [], []
        for name, value in self._network.state_dict().items():
            if value.is_floating_point():
                moving.append(self.weights[name])
                towards.append(value)
            else:
                self.weights[name].copy_(value)
        # All at once: one by one a GPU would start a hundred small kernels in every step.
        torch._foreach_lerp_(moving, towards, 1 - decay)

    def kept(self) -> dict[str, Tensor]:
        """Return the weights that are validated and shipped."""
        return self._network.state_dict() if self.weights is None else self.weights

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the kept weights for a while."""
        if self.weights is None:
            yield
            return
        current = copied(self._network.state_dict())
        self._network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self._network.load_state_dict(current)

    def teacher(self) -> FaceNetwork | None:
        """Return the average as a network in evaluation mode, which moves as it moves.

        None where there is no average.
        """
        if self.weights is None:
            return None
        teacher = copy.deepcopy(self._network).requires_grad_(False).eval()
        teacher.load_state_dict(self.weights, assign=True)  # the same memory
        return teacher

    def load(self, weights: dict[str, Tensor] | None) -> None:
        """Take over what `weights` of an earlier average was."""
        if self.weights is not None and weights is not None:
            for name, value in self.weights.items():
                value.copy_(weights[name])


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of its own memory."""
    return {name: value.detach().clone() for name, value in state.items()}
