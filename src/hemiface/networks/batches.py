"""What a step is given: faces on the device, what they are to be called, and seeded draws.

Every draw is seeded from (seed, epoch, process) or (seed, step, process): a training that goes on
after an epoch draws what an undisturbed one would.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812
from lightning.fabric import Fabric
from torch import Tensor

from hemiface.config import TrainConfig
from hemiface.data.ferplus import OWN_LABEL
from hemiface.data.images import Images
from hemiface.errors import UsageError
from hemiface.networks.task import Task
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX, label_indices

__all__ = [
    "Batch",
    "Batches",
    "class_weights",
    "mixed_seed",
    "mixing_weight",
    "side_px",
    "target_shares",
]


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's faces in this process.

    `pixels` is uint8 [n, 48, 48], `targets` float32 [n, 7]. The network sees [n, side, side];
    `step` counts from 0 over all epochs. Whatever the step draws comes from `random`, but for the
    weight of `mixup`, which is drawn on the CPU and None where nothing is mixed.
    """

    pixels: Tensor
    targets: Tensor
    step: int
    side: int
    random: torch.Generator
    mixing: float | None


class Batches:
    """The train split on the device, dealt to steps and processes."""

    def __init__(self, train: Images, job: Task, fabric: Fabric) -> None:
        self._job, self._options, self._device = job, job.recipe.train, fabric.device
        self._world, self._rank = fabric.world_size, fabric.global_rank
        self._pixels = torch.from_numpy(np.array(train.pixels)).to(fabric.device)
        self.labels = torch.from_numpy(label_indices(train.table)).to(fabric.device)
        """int64 [n]: the classes of all training images."""
        self._targets = target_shares(train, self._options).to(fabric.device)
        self.counts = self._targets.sum(0)
        """float32 [7]: how many images each emotion has, votes as shares of an image."""
        self._local = min(self._options.batch_size, len(train)) // self._world
        self.size = self._local * self._world
        """Images of a step over all processes."""
        self.steps_per_epoch = max(1, len(train) // self.size)
        self.total_steps = min(self._options.epochs * self.steps_per_epoch, job.max_steps or 10**12)
        self.epochs = -(-self.total_steps // self.steps_per_epoch)

    def class_mix(self) -> dict[str, float]:
        """Return each emotion's share of all targets, as weighed: the prior that a network learns.

        Under weights w the cross entropy is least where p(y|x) is proportional to w(y) times the
        share of y among the targets of x.
        """
        shares = self._targets.double().mean(0)
        weights = class_weights(self.counts, self._options)
        if weights is not None:
            shares = shares * weights.double().to(shares.device)
        return dict(zip(EMOTIONS, (shares / shares.sum()).tolist(), strict=True))

    def steps(self, epoch: int) -> int:
        """Return how many steps an epoch (counted from 1) has; the last may be cut short."""
        return min(self.steps_per_epoch, self.total_steps - (epoch - 1) * self.steps_per_epoch)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch (counted from 1) in a new order."""
        seed, first = self._job.seed, (epoch - 1) * self.steps_per_epoch
        shuffle = torch.Generator().manual_seed(mixed_seed(seed, epoch, 0))
        order = torch.randperm(len(self.labels), generator=shuffle).to(self._device)
        own_seed = mixed_seed(seed, epoch, 1 + self._rank)
        random = torch.Generator(self._device).manual_seed(own_seed)
        side = side_px(self._options, epoch)
        for index in range(self.steps(epoch)):
            start, step = (index * self._world + self._rank) * self._local, first + index
            chosen = order[start : start + self._local]
            mixing = (
                mixing_weight(self._options.mixup, seed, step, self._rank)
                if self._options.mixup
                else None
            )
            yield Batch(self._pixels[chosen], self._targets[chosen], step, side, random, mixing)


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


def class_weights(counts: Tensor, options: TrainConfig) -> Tensor | None:
    """Return float32 [7] weights n / (present classes * count), as scikit-learn's `balanced`.

    `counts` float32 [7] are those of the targets. A class that none has gets weight 0: any other
    would be that of what label smoothing alone gives it, and teach the network to answer nothing
    else. One of less than an image counts as of one.
    """
    if options.class_weights == "none":
        return None
    weights = counts.sum() / ((counts > 0).sum() * counts.clamp(min=1))
    return torch.where(counts > 0, weights, torch.zeros_like(weights))


def target_shares(images: Images, options: TrainConfig) -> Tensor:
    """Return float32 [n, 7], what is to be learnt: one-hot labels, or the shares of FER+'s votes.

    Votes for contempt, for something unknown or for no face are left out of the shares; without
    `options.lone_votes` also those of emotions that one voter alone saw, unless no emotion has
    more. The data set's own label joins the ten voters with `options.own_label_votes` votes.

    Raises:
        UsageError: votes are asked for and the data has none.
    """
    if not options.soft_labels:
        return _one_hot(images.table["label"])
    columns = [f"votes_{emotion}" for emotion in EMOTIONS]
    needed = [*columns, OWN_LABEL] if options.own_label_votes else columns
    missing = [column for column in needed if column not in images.table]
    if missing:
        raise UsageError(
            "train.soft_labels learns FER+'s votes, which the data doesn't have; name them with "
            "--labels ferplus=PATH."
        )
    votes = torch.from_numpy(images.table[columns].to_numpy(np.float32, copy=True))
    if not options.lone_votes:
        agreed = torch.where(votes > 1, votes, 0.0)
        votes = torch.where(agreed.sum(1, keepdim=True) > 0, agreed, votes)
    if options.own_label_votes:
        votes = votes + options.own_label_votes * _one_hot(images.table[OWN_LABEL])
    return votes / votes.sum(1, keepdim=True)


def _one_hot(labels: pd.Series) -> Tensor:
    indices = label_indices(pd.DataFrame({"label": labels}))
    return F.one_hot(torch.from_numpy(indices), len(EMOTIONS)).float()


def mixing_weight(alpha: float, seed: int, step: int, rank: int) -> float:
    """Return the step's draw from Beta(alpha, alpha)."""
    return float(np.random.default_rng(mixed_seed(seed, step, rank, 1)).beta(alpha, alpha))


def mixed_seed(*numbers: int) -> int:
    """Return one seed of 63 bits from several numbers, well mixed."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state[0]) >> 1
