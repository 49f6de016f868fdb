"""Whether a network can do what a recipe asks of it, found out before it is trained."""

import torch
from torch import Tensor, nn

from hemiface.config import Recipe
from hemiface.errors import UsageError, first_line
from hemiface.networks.attention import require_average
from hemiface.networks.backbones import MISFITS
from hemiface.networks.batches import side_px
from hemiface.networks.network import FaceNetwork
from hemiface.tables import FER2013_SIZE_PX

__all__ = ["require_suitable"]


@torch.no_grad()
def require_suitable(network: FaceNetwork, recipe: Recipe) -> None:
    """Raise unless `network` takes pictures of each size in `recipe` and has what it learns by.

    Whether it is in training, and its weights and statistics, stay as they are.

    Raises:
        UsageError: it doesn't.
    """
    sides = {side_px(recipe.train, epoch + 1) for epoch in range(recipe.train.epochs)}
    was_training = network.training
    network.eval()
    try:
        # Validation sees the full size.
        for side in sorted({*sides, FER2013_SIZE_PX}, reverse=True):
            _require_side(network, side)
        if recipe.distill.paired:
            _require_features(network)
        if recipe.train.attention_consistency:
            require_average(network)
    finally:
        network.train(was_training)


def _faces(network: FaceNetwork, side: int) -> Tensor:
    """Return float32 [2, side, side] on the network's device: a ramp and its negative."""
    ramp = torch.linspace(0, 255, side**2, device=network.mean.device).view(side, side)
    return torch.stack([ramp, 255 - ramp])


def _require_side(network: FaceNetwork, side: int) -> None:
    try:
        network(_faces(network, side))
    except MISFITS as error:
        mend = "set train.start_px=0 or " if side < FER2013_SIZE_PX else ""
        raise UsageError(
            f"{network.config.architecture} can't take images of {side} pixels "
            f"({first_line(error)}); {mend}choose another model.architecture."
        ) from error


def _require_features(network: FaceNetwork) -> None:
    """Raise unless logits are what one linear layer makes of the features."""
    faces = _faces(network, FER2013_SIZE_PX)
    # Of several last layers, and of others, the features are of several kinds or none.
    is_linear = isinstance(network.backbone.get_classifier(), nn.Linear)
    if not is_linear or not torch.allclose(
        network(faces), network.classify(network.features(faces)), rtol=1e-3, atol=1e-3
    ):
        raise UsageError(
            f"[distill] needs a network whose last layer is one linear layer; "
            f"{network.config.architecture} has another head: choose another model.architecture, "
            "or leave [distill] out."
        )
