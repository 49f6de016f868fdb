"""How good a network is while it is trained: its loss and accuracy on the validation split."""

import numpy as np
import torch

from hemiface.config import TrainConfig
from hemiface.data.images import Images
from hemiface.networks.batches import target_shares
from hemiface.networks.network import FaceNetwork, predict
from hemiface.occlusion.conditions import Condition, hide, image_seeds
from hemiface.tables import label_indices

__all__ = ["Validation"]


class Validation:
    """The validation split under some conditions, hidden once and kept on the device.

    The loss is judged by what the recipe `options` learns from: labels, or people's votes.
    """

    def __init__(
        self,
        images: Images,
        conditions: tuple[Condition, ...],
        device: torch.device,
        options: TrainConfig,
    ) -> None:
        seeds = image_seeds(images.table["image"])
        self._pixels = [
            torch.from_numpy(hide(np.asarray(images.pixels), one, seeds)).to(device)
            for one in dict.fromkeys(conditions)
        ]
        self._labels = torch.from_numpy(label_indices(images.table)).to(device)
        self._targets = target_shares(images, options).to(device)

    def score(self, network: FaceNetwork) -> tuple[float, float]:
        """Return cross entropy and accuracy of `network`, means over the conditions."""
        losses, accuracies = [], []
        for pixels in self._pixels:
            values = predict(network, pixels)
            told = self._targets * values.clamp(min=1e-12).log()
            losses.append(float(-told.sum(1).mean()))
            accuracies.append(float((values.argmax(1) == self._labels).double().mean()))
        return sum(losses) / len(losses), sum(accuracies) / len(accuracies)
