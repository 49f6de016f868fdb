"""Where a network looks: the same in a face and in its mirrored picture, by a term of the loss.

A network that remembers a wrong label does so by parts of the picture that it doesn't use in the
mirrored one; one whose maps must agree can't remember as easily (Zhang et al. 2022, Learn from all:
erasing attention consistency for noisy label facial expression recognition, ECCV, section 3). The
erasing is `augment.erase_probability`.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hemiface.errors import UsageError
from hemiface.networks.network import FaceNetwork
from hemiface.tables import FER2013_SIZE_PX

__all__ = ["WithMaps", "attention_drift", "require_average"]


class WithMaps(nn.Module):
    """A network whose class activation maps are returned beside its logits.

    A map is the last feature map weighed as the last layer weighs its average for a class (Zhou et
    al. 2016, Learning deep features for discriminative localization, equation 2), without the bias.

    Raises:
        UsageError: the network does more with its last feature map than to average it.
    """

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        require_average(network)
        self.network = network

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [n, 7] and maps [n, 7, height, width] for faces on the scale 0..255."""
        found = self.network.feature_map(faces)
        return self.network.classify(self.network.pooled(found)), _maps(self.network, found)


def attention_drift(maps: Tensor, mirrored: Tensor) -> Tensor:
    """Return the mean squared distance between maps and those of the mirrored pictures.

    Both are [n, 7, height, width]; `mirrored` is turned back (Zhang et al. 2022, section 3, the
    consistency loss).
    """
    return F.mse_loss(maps.float(), mirrored.flip(-1).float())


def _maps(network: FaceNetwork, found: Tensor) -> Tensor:
    weight = network.backbone.get_classifier().weight
    return torch.einsum("nchw,kc->nkhw", found, weight.to(found.dtype))


@torch.no_grad()
def require_average(network: FaceNetwork) -> None:
    """Raise unless logits are the averages of maps, but for the bias; nothing is changed.

    Raises:
        UsageError: they aren't.
    """
    was_training = network.training
    network.eval()
    face = torch.linspace(0, 255, FER2013_SIZE_PX**2).view(1, FER2013_SIZE_PX, FER2013_SIZE_PX)
    face = face.to(network.mean.device)
    found, last = network.feature_map(face), network.backbone.get_classifier()
    averages = isinstance(last, nn.Linear) and found.ndim == 4 and found.shape[1] == network.width
    if averages:
        bias = last.bias
        logits = _maps(network, found).mean((2, 3)) + (0 if bias is None else bias)
        averages = torch.allclose(logits, network(face), rtol=1e-3, atol=1e-3)
    network.train(was_training)
    if not averages:
        raise UsageError(
            f"train.attention_consistency needs a network whose last layer reads averages of a "
            f"feature map, as ResNets do; {network.config.architecture} has another head. Set "
            "train.attention_consistency=0."
        )
