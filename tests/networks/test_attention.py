"""Class activation maps and their consistency: against brute force, and in training."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

import torch.nn.functional as F  # noqa: E402, N812
from test_train import _interrupt_at, assert_equal_weights, small, striped, weights  # noqa: E402

from builders import grey_faces  # noqa: E402
from hemiface.config import ModelConfig, Recipe, TrainConfig, from_dict  # noqa: E402
from hemiface.data.images import Images  # noqa: E402
from hemiface.errors import UsageError  # noqa: E402
from hemiface.networks.attention import WithMaps, attention_drift  # noqa: E402
from hemiface.networks.batches import Batch  # noqa: E402
from hemiface.networks.loss import Loss  # noqa: E402
from hemiface.networks.network import Bundle, build  # noqa: E402
from hemiface.networks.train import fit, task  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images() -> Images:
    return striped()


def lopsided(images: Images) -> Images:
    """The same images, each class lit from one side, so that mirrored ones look different."""
    ramp = np.linspace(0.3, 1.0, 48)
    return replace(images, pixels=(images.pixels * ramp).astype(np.uint8))


class TestMaps:
    @pytest.mark.parametrize("architecture", ["compact", "nano", "tiny", "resnet18"])
    def test_their_averages_are_the_logits_without_the_bias(self, architecture: str) -> None:
        torch.manual_seed(0)
        network = build(ModelConfig(architecture=architecture, stem="3x3")).eval()
        faces = torch.from_numpy(grey_faces(3))
        with torch.inference_mode():
            logits, maps = WithMaps(network)(faces)
            torch.testing.assert_close(logits, network(faces))
        classifier = network.backbone.get_classifier()
        torch.testing.assert_close(
            maps.mean((2, 3)) + classifier.bias, logits, rtol=1e-3, atol=1e-4
        )

    def test_a_map_is_weighed_place_by_place(self) -> None:
        network = build(ModelConfig(architecture="tiny")).eval()
        faces = torch.from_numpy(grey_faces(2))
        with torch.inference_mode():
            found = network.feature_map(faces).numpy()
            _, maps = WithMaps(network)(faces)
        weight = network.backbone.get_classifier().weight.detach().numpy()
        for k in range(7):
            expected = sum(weight[k, c] * found[1, c] for c in range(found.shape[1]))
            np.testing.assert_allclose(maps[1, k].numpy(), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("name", ["mobilenetv3_small_050", "test_vit", "levit_128s"])
    def test_a_head_of_more_than_an_average_is_refused(self, name: str) -> None:
        network = build(ModelConfig(architecture=name)).train()
        with pytest.raises(UsageError, match=f"{name} has another head. Set train"):
            WithMaps(network)

    def test_nothing_is_moved(self) -> None:
        resnet = build(ModelConfig(architecture="tiny")).train()
        before = {name: value.clone() for name, value in resnet.state_dict().items()}
        assert WithMaps(resnet).network.training
        for name, value in resnet.state_dict().items():
            torch.testing.assert_close(value, before[name])


class TestDrift:
    def test_it_is_the_mean_square_to_the_map_turned_back(self) -> None:
        draws = torch.Generator().manual_seed(0)
        maps, mirrored = (torch.randn(4, 7, 3, 5, generator=draws) for _ in range(2))
        expected = ((maps.numpy() - mirrored.numpy()[..., ::-1]) ** 2).mean()
        assert float(attention_drift(maps, mirrored)) == pytest.approx(float(expected), rel=1e-5)
        assert float(attention_drift(maps, maps.flip(-1))) == 0
        assert float(attention_drift(maps, maps)) > 0.1

    def test_the_loss_classifies_only_the_unmirrored_picture(self) -> None:
        draws = torch.Generator().manual_seed(1)
        faces = torch.rand(5, 48, 48, generator=draws)
        targets = torch.softmax(torch.randn(5, 7, generator=draws), 1)
        weight = torch.randn(48 * 48, 7, generator=draws) / 48

        def forward(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return seen.flatten(1) @ weight, seen[:, None] * torch.arange(1.0, 8)[:, None, None]

        recipe = Recipe(train=TrainConfig(attention_consistency=0.5))
        pixels = torch.zeros(5, 48, 48, dtype=torch.uint8)
        batch = Batch(pixels, targets, 0, 48, torch.Generator(), None)
        found = Loss(forward, recipe, None, None, nullcontext, 0.0).of(faces, faces, batch)
        # These maps follow the picture, so nothing drifts.
        expected = F.cross_entropy(faces.flatten(1) @ weight, targets)
        assert float(found) == pytest.approx(float(expected), rel=1e-5)

        def stiff(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, _ = forward(seen)
            return logits, torch.arange(4.0).expand(len(seen), 7, 2, 4)

        drifting = Loss(stiff, recipe, None, None, nullcontext, 0.0).of(faces, faces, batch)
        away = np.mean((np.arange(4) - np.arange(4)[::-1]) ** 2)
        assert float(drifting) == pytest.approx(float(expected) + 0.5 * away, rel=1e-5)


class TestTraining:
    def test_maps_agree_more_and_the_bundle_says_that_mirrored_pictures_were_seen(
        self, images: Images, tmp_path: Path
    ) -> None:
        lit = lopsided(images)
        drifts, bundles = [], []
        for weight in (0.0, 5.0):
            config = small(epochs=5, attention_consistency=weight)
            config = replace(config, augment=replace(config.augment, flip=False))
            bundle = Bundle.load(
                fit(task(config, "full"), lit, tmp_path / f"{weight}", device="cpu")
            )
            network = WithMaps(bundle.network())
            faces = torch.from_numpy(np.array(lit.pixels[:60])).float()
            with torch.inference_mode():
                drift = attention_drift(network(faces)[1], network(faces.flip(-1))[1])
                scale = network(faces)[1].var()
            drifts.append(float(drift / scale))
            bundles.append(bundle)
        assert drifts[1] < 0.7 * drifts[0]
        assert [one.provenance["flips"] for one in bundles] == [False, True]
        assert set(bundles[0].weights) == set(bundles[1].weights)
        assert bundles[1].provenance["validation_accuracy"] > 0.2  # chance is 0.14

    def test_interrupted_and_started_again_reaches_the_same_weights(
        self, images: Images, tmp_path: Path
    ) -> None:
        job = task(small(attention_consistency=2.0), "full")
        undisturbed = fit(job, images, tmp_path / "a", device="cpu")
        with pytest.raises(KeyboardInterrupt):
            fit(job, images, tmp_path / "b", device="cpu", on_step=_interrupt_at(5))
        assert_equal_weights(undisturbed, fit(job, images, tmp_path / "b", device="cpu"))
        assert set(weights(undisturbed)) == set(build(job.model).state_dict())


def test_it_is_refused_where_images_enter_in_pairs() -> None:
    tree = {"train": {"attention_consistency": 1.0}, "distill": {"clean": 1.0}}
    with pytest.raises(UsageError, match=r"generalist\.train\.attention_consistency must be 0"):
        from_dict({"generalist": tree})
    with pytest.raises(UsageError, match=r"attention_consistency must not be negative"):
        from_dict({"train": {"attention_consistency": -1.0}})
