"""Validation: the loss and accuracy of a network, against arithmetic done by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from builders import tiny_bundle, tiny_images  # noqa: E402
from hemiface.config import TrainConfig  # noqa: E402
from hemiface.networks.network import Bundle  # noqa: E402
from hemiface.networks.validation import Validation  # noqa: E402
from hemiface.occlusion.conditions import condition, hide, image_seeds  # noqa: E402
from hemiface.tables import label_indices  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return Bundle.load(tiny_bundle(tmp_path_factory.mktemp("net") / "b.safetensors")).network()


@pytest.mark.parametrize("keys", [("full",), ("upper", "left@noise"), ("full", "full", "lower")])
def test_means_over_conditions_each_counted_once(network, keys):
    images = tiny_images(validation=23).split("validation")
    labels, seeds = label_indices(images.table), image_seeds(images.table["image"])
    losses, hits = [], []
    for key in dict.fromkeys(keys):
        faces = torch.from_numpy(hide(np.asarray(images.pixels), condition(key), seeds))
        with torch.no_grad():
            logits = network(faces).double().numpy()
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        losses.append(-log_p[np.arange(len(labels)), labels].mean())
        hits.append((logits.argmax(axis=1) == labels).mean())
    conditions = tuple(condition(key) for key in keys)
    loss, accuracy = Validation(images, conditions, CPU, TrainConfig()).score(network)
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert accuracy == pytest.approx(np.mean(hits))


def test_a_network_that_knows_nothing_pays_log_7():
    class Uniform(torch.nn.Module):
        mean = torch.zeros(1)

        def forward(self, faces):
            return torch.zeros(len(faces), 7)

    images = tiny_images(validation=14).split("validation")
    loss, accuracy = Validation(images, (condition("full"),), CPU, TrainConfig()).score(Uniform())
    assert loss == pytest.approx(np.log(7))
    assert accuracy == pytest.approx(1 / 7)  # the first emotion, of two images each
