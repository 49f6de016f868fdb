"""What steps are given: every image once an epoch, the same after a pause, mixed as in print."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

from builders import tiny_images  # noqa: E402
from hemiface.config import from_dict  # noqa: E402
from hemiface.networks.batches import Batches, class_weights, mixing_weight  # noqa: E402
from hemiface.networks.train import task  # noqa: E402

TRAIN = tiny_images().split("train")


def batches(rank: int = 0, world: int = 1, **options: object) -> Batches:
    """The batches of one process of `world`, four images a step."""
    config = from_dict({"train": {"epochs": 3, "batch_size": 4, **options}})
    fabric = SimpleNamespace(device=torch.device("cpu"), world_size=world, global_rank=rank)
    return Batches(TRAIN, task(config, "full"), fabric)  # type: ignore[arg-type]


def pixels_of(batches: Batches, epoch: int) -> list[bytes]:
    return [face.numpy().tobytes() for one in batches.epoch(epoch) for face in one.pixels]


def test_an_epoch_deals_every_image_once_in_a_new_order() -> None:
    dealt = batches()
    first, second = pixels_of(dealt, 1), pixels_of(dealt, 2)
    assert len(first) == len(TRAIN) == 16
    assert sorted(first) == sorted(second) == sorted(face.tobytes() for face in TRAIN.pixels)
    assert first != second
    assert pixels_of(batches(), 2) == second  # whatever was dealt before
    assert [one.step for one in dealt.epoch(3)] == [8, 9, 10, 11]


def test_processes_share_the_images() -> None:
    alone = pixels_of(batches(), 1)
    two = [pixels_of(batches(rank, 2), 1) for rank in (0, 1)]
    assert not set(two[0]) & set(two[1])
    assert sorted(two[0] + two[1]) == sorted(alone)


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_the_class_mix_is_what_a_network_that_sees_nothing_learns(weights: str) -> None:
    """There the loss of a training has no slope; with weights it isn't the targets' mean."""
    dealt = batches(class_weights=weights)
    mix = torch.tensor(list(dealt.class_mix().values()))
    assert float(mix.sum()) == pytest.approx(1)
    targets = torch.cat([one.targets for one in dealt.epoch(1)])
    logits = mix.clamp(min=1e-12).log().requires_grad_()
    options = from_dict({"train": {"class_weights": weights}}).train
    weight = class_weights(dealt.counts, options)
    loss = torch.nn.functional.cross_entropy(logits.expand(len(targets), 7), targets, weight=weight)
    loss.backward()
    np.testing.assert_allclose(logits.grad, 0, atol=1e-6)


def test_an_emotion_without_images_is_not_taught() -> None:
    """Label smoothing gives it a share of targets, which a large weight made into the answer."""
    labels = torch.tensor([0] * 60 + [1] * 20 + [3] * 20)
    options = from_dict({"train": {"class_weights": "balanced", "label_smoothing": 0.1}}).train
    weight = class_weights(torch.bincount(labels, minlength=7).float(), options)
    assert weight is not None
    # scikit-learn's over the classes that are there.
    assert weight.tolist() == pytest.approx([100 / 180, 100 / 60, 0, 100 / 60, 0, 0, 0])
    logits = torch.zeros(100, 7, requires_grad=True)
    for _ in range(200):
        (slope,) = torch.autograd.grad(
            torch.nn.functional.cross_entropy(logits, labels, weight=weight, label_smoothing=0.1),
            logits,
        )
        logits = (logits - 50 * slope).detach().requires_grad_()
    assert torch.equal(logits.argmax(1), labels)


def test_an_emotion_that_has_votes_alone_is_taught() -> None:
    options = from_dict({"train": {"class_weights": "balanced"}}).train
    weight = class_weights(torch.tensor([60.0, 20.0, 4.5, 0.25, 0.0, 0.0, 15.25]), options)
    assert weight is not None
    assert weight.tolist() == pytest.approx(
        [100 / (5 * count) if count else 0 for count in (60, 20, 4.5, 1, 0, 0, 15.25)]
    )


def test_mixing_weights_follow_the_beta_distribution() -> None:
    """Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)); every step draws anew."""
    for alpha in (0.2, 1.0, 4.0):
        drawn = np.array([mixing_weight(alpha, 0, step, 0) for step in range(4000)])
        assert ((drawn >= 0) & (drawn <= 1)).all()
        assert abs(drawn.mean() - 0.5) < 0.03
        assert abs(drawn.var() - 1 / (4 * (2 * alpha + 1))) < 0.01
    assert mixing_weight(1.0, 0, 7, 0) == mixing_weight(1.0, 0, 7, 0)
    assert len({mixing_weight(1.0, seed, 7, rank) for seed in (0, 1) for rank in (0, 1)}) == 4
