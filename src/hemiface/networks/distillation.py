"""One network for every condition: what a hidden face learns from the whole one beside it.

Each image enters twice, whole and hidden, in the same geometry. The network classifies both, and
what it makes of the hidden face is drawn towards what a teacher makes of the whole one, or of the
hidden one itself: its probabilities (Hinton et al. 2015, Distilling the knowledge in a neural
network, section 2) and the features before its last layer (Georgescu & Ionescu 2020,
Teacher-student training and triplet loss for facial expression recognition under occlusion,
section III).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hemiface.config import DistillConfig
from hemiface.networks.network import FaceNetwork

__all__ = ["Lesson", "WithFeatures", "distillation_loss", "teach"]


class WithFeatures(nn.Module):
    """A network whose features are returned beside its logits, as wide as its teacher's.

    Where the teacher's features have another width, a linear map without bias is learnt with the
    network and left behind when the training ends. With None nobody learns from features.
    """

    def __init__(self, network: FaceNetwork, teacher_width: int | None) -> None:
        super().__init__()
        self.network = network
        self.projection = (
            nn.Identity()
            if teacher_width in (None, network.width)
            else nn.Linear(network.width, int(teacher_width or 0), bias=False)
        )

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [n, 7] and features [n, teacher_width] for faces on the scale 0..255."""
        features = self.network.features(faces)
        return self.network.classify(features), self.projection(features)


@dataclass(frozen=True)
class Lesson:
    """What a network makes of faces: logits [n, 7] and features [n, width]."""

    logits: Tensor
    features: Tensor

    def settled(self) -> "Lesson":
        """Return it as a teacher's: in single precision and without gradient."""
        return Lesson(self.logits.detach().float(), self.features.detach().float())


def teach(teacher: FaceNetwork, faces: Tensor) -> Lesson:
    """Return the lesson of `teacher`, in evaluation mode and without gradient."""
    with torch.no_grad():
        features = teacher.features(faces)
        return Lesson(teacher.classify(features).float(), features.float())


def distillation_loss(
    hidden: Lesson,
    whole: Lesson,
    teacher: Lesson,
    options: DistillConfig,
) -> Tensor:
    """Return the teacher's terms of the loss (see DistillConfig), without the ramp.

    `hidden` and `whole` are what the student makes of the same images. The divergence is
    KL(teacher || student), both softened, times the squared temperature, so that its gradient
    doesn't shrink as the temperature grows (Hinton et al. 2015, section 2).
    """
    loss = torch.zeros((), device=hidden.logits.device)
    if options.logits:
        loss = loss + options.logits * _divergence(hidden, teacher, options.temperature)
    if options.clean_logits:
        loss = loss + options.clean_logits * _divergence(whole, teacher, options.temperature)
    if options.features:
        loss = loss + options.features * F.mse_loss(hidden.features.float(), teacher.features)
    return loss


def _divergence(student: Lesson, teacher: Lesson, temperature: float) -> Tensor:
    return temperature**2 * F.kl_div(
        F.log_softmax(student.logits.float() / temperature, dim=1),
        F.log_softmax(teacher.logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
