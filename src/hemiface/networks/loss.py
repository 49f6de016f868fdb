"""What a step is judged by: cross entropy, and what a teacher makes of the same face."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from hemiface.config import Recipe
from hemiface.networks.attention import attention_drift
from hemiface.networks.augment import mixup
from hemiface.networks.batches import Batch
from hemiface.networks.distillation import Lesson, distillation_loss, teach
from hemiface.networks.network import FaceNetwork

__all__ = ["Loss"]


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of one training's steps.

    `forward` makes logits [n, 7] of faces; beside them features where images enter in pairs, or
    class activation maps where mirrored pictures are compared.
    `class_weights` is float32 [7] or None; `autocast` gives the precision that `teacher` computes
    in; the teacher's terms rise over `ramp_steps`.
    """

    forward: Callable[[Tensor], Any]
    recipe: Recipe
    class_weights: Tensor | None
    teacher: FaceNetwork | None
    autocast: Callable[[], AbstractContextManager[Any]]
    ramp_steps: float

    def of(self, whole: Tensor, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the loss of a batch whose faces float [n, side, side] are given."""
        if self.recipe.distill.paired:
            return self._of_pairs(whole, hidden, batch)
        targets = batch.targets
        if batch.mixing is not None:
            hidden, targets = mixup(hidden, targets, batch.mixing, batch.random)
        if self.recipe.train.attention_consistency:
            return self._of_mirrored(hidden, targets)
        return self._cross_entropy(self.forward(hidden), targets)

    def _of_mirrored(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the loss with its term for maps; only the unmirrored picture is classified."""
        n = len(targets)
        logits, maps = self.forward(torch.cat([hidden, hidden.flip(-1)]))
        drift = attention_drift(maps[:n], maps[n:])
        return (
            self._cross_entropy(logits[:n], targets)
            + self.recipe.train.attention_consistency * drift
        )

    def _of_pairs(self, whole: Tensor, hidden: Tensor, batch: Batch) -> Tensor:
        """Return the loss of DistillConfig; both faces pass through the network as one batch."""
        n, options = len(batch.targets), self.recipe.distill
        logits, features = self.forward(
            torch.cat([hidden, whole]) if options.shows_whole else hidden
        )
        seen, own = Lesson(logits[:n], features[:n]), Lesson(logits[n:], features[n:])
        loss = self._cross_entropy(seen.logits, batch.targets)
        if options.clean:
            loss = loss + options.clean * self._cross_entropy(own.logits, batch.targets)
        if options.taught:
            ramp = min(1.0, (batch.step + 1) / self.ramp_steps) if self.ramp_steps else 1.0
            shown = hidden if options.teacher_sees == "same" else whole
            told = own.settled() if self.teacher is None else self._taught(self.teacher, shown)
            loss = loss + ramp * distillation_loss(seen, own, told, options)
        return loss

    def _taught(self, teacher: FaceNetwork, faces: Tensor) -> Lesson:
        with self.autocast():
            return teach(teacher, faces)

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(
            logits.float(),
            targets,
            weight=self.class_weights,
            label_smoothing=self.recipe.train.label_smoothing,
        )
